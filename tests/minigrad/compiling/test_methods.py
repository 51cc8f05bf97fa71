"""Functions of a class that are compiled."""

import numpy as np

import minigrad as mg

X = np.arange(6.0).reshape(2, 3)


class Layer:
    def __init__(self, scale):
        self.scale = mg.tensor(np.full(3, scale), requires_grad=True)

    @mg.compile
    def forward(self, x):
        """Tanh of a multiple."""
        return np.tanh(x * self.scale)

    @mg.compile(static=("times",), batch=False)
    def repeated(self, x, times=1):
        for _ in range(times):
            x = x * self.scale
        return x

    @staticmethod
    @mg.compile
    def doubled(x):
        return x * 2


def test_each_object_has_its_own():
    one, other = Layer(1.0), Layer(2.0)
    for layer in (one, other, one):
        for x in (X, X + 1):
            np.testing.assert_allclose(layer.forward(x).numpy(), np.tanh(x * layer.scale.numpy()), rtol=1e-14)
            np.testing.assert_allclose(layer.repeated(x, times=2).numpy(), x * layer.scale.numpy() ** 2, rtol=1e-14)
    one.scale.data = np.full(3, 5.0)
    np.testing.assert_allclose(one.forward(X).numpy(), np.tanh(X * 5), rtol=1e-14)
    assert np.array_equal(Layer.doubled(X), 2 * X)
    assert np.array_equal(one.doubled(X), 2 * X)


def test_what_is_known_of_a_compiled_function_is_known_of_the_method():
    layer = Layer(1.0)
    layer.forward(X)
    assert "tanh(" in layer.forward.source
    assert layer.forward.__doc__ == "Tanh of a multiple."
    assert layer.forward.__name__ == "forward"
    assert np.array_equal(Layer.forward(layer, X).numpy(), layer.forward(X).numpy())
