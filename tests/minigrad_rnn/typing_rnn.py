"""Types that a program with recurrent networks sees; `test_typing.py` gives this file to mypy. It is never run.

The lines marked with ``# mistake`` are the only ones with an error.
"""

from typing import assert_type

import numpy as np

import minigrad_rnn as rnn
from minigrad import Tensor

x = np.ones((5, 2, 3))
model = rnn.Sequence(rnn.LSTM(3, 4), rnn.Linear(4, 2))
optimizer = rnn.Adam(model.parameters(), lr=0.01)
trainer = rnn.Trainer(model, optimizer, schedule=rnn.schedule.StepLR(optimizer, 3))


class Scale(rnn.Module):
    def __init__(self) -> None:
        self.factor = rnn.Parameter([2.0])

    def forward(self, x: Tensor, times: int = 1) -> Tensor:
        return x


def layers() -> None:
    assert_type(rnn.RNN(3, 4)(x), tuple[Tensor, Tensor])
    assert_type(rnn.GRU(3, 4)(x, lengths=[5, 2]), tuple[Tensor, Tensor])
    assert_type(rnn.LSTM(3, 4)(x), tuple[Tensor, tuple[Tensor, Tensor]])
    assert_type(rnn.LSTMCell(3, 4)(x[0]), tuple[Tensor, Tensor])
    assert_type(rnn.GRUCell(3, 4)(x[0]), Tensor)
    assert_type(rnn.Linear(3, 2)(x), Tensor)
    assert_type(rnn.Embedding(9, 3)([1, 2]), Tensor)
    assert_type(rnn.LSTM(3, 4).weight_hh_l0, rnn.Parameter)


def models() -> None:
    assert_type(model(x), Tensor)
    assert_type(model.parameters(), list[rnn.Parameter])
    assert_type(model.eval(), rnn.Sequence)
    assert_type(rnn.EncoderDecoder(rnn.GRU(3, 4), rnn.GRU(5, 4), rnn.Linear(4, 5), start=0).generate(x, 3), np.ndarray)


def training() -> None:
    assert_type(Scale()(Tensor(1.0), times=2), Tensor)

    assert_type(optimizer.lr, float)
    assert_type(optimizer.betas, tuple[float, float])
    assert_type(optimizer.param_groups, tuple[rnn.Optimizer, ...])
    assert_type(rnn.optim.sgd(x, x, lr=0.1), np.ndarray)

    history = trainer.fit((x, x), epochs=3)
    assert_type(history, rnn.History)
    assert_type(history.loss, list[float])
    assert_type(rnn.evaluate(model, rnn.tasks.parity(5)).accuracy, float)
    assert_type(rnn.predict(model, x), np.ndarray)
    assert_type(rnn.predict(model, rnn.tasks.hello()), str)
    assert_type(rnn.mse_loss(model(x), x), Tensor)
    assert_type(rnn.sequence_loss("mse", model(x), x).total, Tensor)
    assert_type(rnn.tasks.adding(9).data(batch_size=4).batch(0).inputs, np.ndarray)
    assert_type(rnn.load_checkpoint("model.safetensors")[0], dict[str, np.ndarray])
    assert_type(rnn.config.load("model.safetensors")[1], rnn.Model)


def mistakes() -> None:
    print(rnn.LSTM(3, 4).hiden_size)  # mistake
    print(rnn.Linear(3, 2).wieght)  # mistake
    print(optimizer.beta)  # mistake
    print(trainer.histroy)  # mistake
    rnn.LSMT(3, 4)  # mistake
    rnn.Trainer(optimizer, model)  # mistake
    Scale()(Tensor(1.0), times="two")  # mistake
