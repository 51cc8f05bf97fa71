"""Models: recurrent layers and readouts, wired as many-to-many, many-to-one, one-to-many, or encoder and decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

import minigrad as mg
from minigrad import Tensor
from minigrad.tensor import values

from .attention import Attention, Keys
from .by_step import each_step
from .cell import State
from .data.batch import Batch, cleared
from .forcing import Schedule, probability, uniform_numbers
from .init import Seed, generator
from .layers import Linear
from .module import Module, in_dtype, mode
from .recurrent import Recurrent, last_output

__all__ = ["EncoderDecoder", "ManyToOne", "Model", "OneToMany", "Sequence"]


class Model(Module):
    """A module that a `Trainer` can train. Subclasses define ``predict_batch``.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> class Bigram(rnn.Model):
    ...     def __init__(self, symbols):
    ...         self.table = rnn.Linear(symbols, symbols, rng=0)
    ...     def predict_batch(self, batch, state=None):
    ...         return self.table(batch.inputs), None
    >>> model = Bigram(5)
    >>> history = rnn.Trainer(model, rnn.Adam(model.parameters(), lr=0.1)).fit(rnn.tasks.hello(), 20, progress=False)
    >>> history.loss[-1] < history.loss[0]
    True
    """

    def predict_batch(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State | None]:
        """Return the outputs for a batch, and the final state. `state` is the final state of the batch before, or None."""
        raise NotImplementedError(f"{type(self).__name__} does not define predict_batch(batch, state)")

    def output_lengths(self, batch: Batch) -> ArrayLike | None:
        """Return the lengths (B,) of outputs at each step, None if all count: by default the lengths of the batch.
        Override it in a model whose outputs have other time steps than its inputs."""
        return batch.lengths

    def before_update(self, update: int) -> None:
        """Prepare the model for an update, given the number of updates so far. A `Trainer` calls it; by default it does
        nothing."""


class Sequence(Model):
    """Many to many: a recurrent layer and a readout of each output; inputs (T, batch, I) to outputs (T, batch, O).

    With an `embedding` the inputs are (T, batch) integers.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.Sequence(rnn.LSTM(3, 4, rng=0), rnn.Linear(4, 2, rng=1))
    >>> model(np.ones((5, 1, 3))).shape
    (5, 1, 2)
    """

    def __init__(self, recurrent: Recurrent, readout: Module, *, embedding: Module | None = None) -> None:
        self.recurrent = time_first(recurrent)
        self.readout = fitting(readout, recurrent.output_size)
        self.embedding = embedding

    def forward(self, x: Any, lengths: ArrayLike | None = None) -> Tensor:
        return self.run(x, None, lengths)[0]

    def run(self, x: Any, state: State | None = None, lengths: ArrayLike | None = None) -> tuple[Tensor, State]:
        """Return the outputs, and the state after the last step, from which the next part of the sequences continues."""
        output, state = self.recurrent.run(self.embedded(x, lengths), state, lengths)
        return each_step(self.readout, output, "readout"), state

    def predict_batch(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State | None]:
        return self.run(batch.inputs, state, batch.lengths)

    def step(self, x: Any, state: State | None, t: int) -> tuple[Tensor, State]:
        """Return the output (batch, O) and the new state after one time step, given x (batch, I) and the state before it, or
        None for the initial state."""
        if state is None:
            state = self.recurrent.initial_state(len(x))
        state = self.recurrent.step(self.embedded(x), state, t)
        with mg.scope("readout"), mg.scope("t", t):
            output: Tensor = self.readout(self.recurrent.output_of(state))
            output.name = "o"
        return output, state

    def embedded(self, x: Any, lengths: ArrayLike | None = None) -> Any:
        return embedded(x, self.embedding, lengths)


class ManyToOne(Model):
    """Many to one: a recurrent layer, and a readout of its last output; inputs (T, batch, I) to outputs (batch, O).

    The last output is at the last step of each sequence, and for the backward direction at the first; see `last_output`.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.ManyToOne(rnn.GRU(3, 4, bidirectional=True, rng=0), rnn.Linear(8, 2, rng=1))
    >>> model(np.ones((5, 2, 3)), lengths=[5, 2]).shape
    (2, 2)
    """

    def __init__(self, recurrent: Recurrent, readout: Module, *, embedding: Module | None = None) -> None:
        if len(sizes := {cell.state_sizes[0] for cell in recurrent.cells[-1]}) > 1:
            raise ValueError(f"both directions must have outputs of one size, the halves of the last output; they have {sizes}")
        self.recurrent = time_first(recurrent)
        self.readout = fitting(readout, recurrent.output_size)
        self.embedding = embedding

    def forward(self, x: Any, lengths: ArrayLike | None = None) -> Tensor:
        output, _ = self.recurrent.run(embedded(x, self.embedding, lengths), None, lengths)
        last = last_output(output, lengths, bidirectional=self.recurrent.bidirectional, reverse=self.recurrent.reverse)
        with mg.scope("readout"):
            answer: Tensor = self.readout(last)
        return answer

    def predict_batch(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State | None]:
        return self(batch.inputs, batch.lengths), None


class Forced(Model):
    """A model whose outputs are its next inputs: the base of those that are trained with teacher forcing.

    `teacher_forcing` is the probability, in training mode, that a sequence reads the target of the step before, and not the
    model's own output. It is a number, or a schedule: a function from the number of updates so far to a number, such as
    ``rnn.forcing.inverse_sigmoid(200)``. A `Trainer` updates it; in your own loop call ``model.before_update(i)``.
    """

    rng: np.random.Generator | None

    def __init__(self, teacher_forcing: float | Schedule, rng: Seed) -> None:
        self.rng = None if rng is None else generator(rng)
        self._share = mg.tensor(1.0)  # a compiled program reads it at each run
        self.teacher_forcing = teacher_forcing

    @property
    def teacher_forcing(self) -> float | Schedule:
        """The probability of reading a target in training mode, or its schedule."""
        return self._teacher_forcing

    @teacher_forcing.setter
    def teacher_forcing(self, share: float | Schedule) -> None:
        self._share.data = probability("teacher_forcing", share(0) if callable(share) else share)
        self._teacher_forcing = share
        if share != 1.0 and self.rng is None:
            self.rng = generator(None)

    def before_update(self, update: int) -> None:
        if callable(self._teacher_forcing):
            self._share.data = probability(f"teacher_forcing({update:,})", self._teacher_forcing(update))

    def forced(self, T: int, batch: int, like: Any) -> Any:
        """Draw which inputs after the first are targets: (T-1, batch) booleans, or None for all of them."""
        if self._teacher_forcing == 1.0 or not self.training:
            return None
        return uniform_numbers((T - 1, batch), self.rng, like=values(like)) < self._share.data


class OneToMany(Forced):
    """One to many: a vector (batch, I) is the first input, and each output is the next input; outputs (T, batch, I).

    Give either `steps` or `targets` (T, batch, I). With targets, each target is the next input (teacher forcing). In training
    mode that has the probability `teacher_forcing`, a number or a schedule of `minigrad_rnn.forcing`, for each step and
    sequence; otherwise the output is the next input. `rng` draws.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.OneToMany(rnn.RNN(3, 4, rng=0), rnn.Linear(4, 3, rng=1))
    >>> model(np.ones((2, 3)), steps=5).shape
    (5, 2, 3)
    """

    def __init__(
        self, recurrent: Recurrent, readout: Linear, *, teacher_forcing: float | Schedule = 1.0, rng: Seed = None
    ) -> None:
        super().__init__(teacher_forcing, rng)
        self.recurrent = time_first(recurrent)
        self.readout = fitting(readout, recurrent.output_size)
        if readout.weight.shape[0] != recurrent.input_size:
            raise ValueError(
                f"the readout must have input_size={recurrent.input_size} features, because an output is the next input; "
                f"it has {readout.weight.shape[0]}"
            )

    def forward(self, x: Any, steps: int | None = None, targets: Any = None) -> Tensor:
        if (steps is None) == (targets is None):
            raise ValueError("give either steps or targets, not both; with targets, the number of steps is len(targets)")
        count = len(targets) if steps is None else steps
        if count < 1:
            raise ValueError(f"the number of steps is {count}; it must be at least 1")
        x = in_dtype(x, self.readout.weight.dtype)
        if targets is not None and (shape := np.shape(values(targets)))[1:] != x.shape:
            raise ValueError(f"targets have shape {shape}; expected (T, batch, features) = (T, {', '.join(map(str, x.shape))})")
        recurrent = self.recurrent.with_dropped_weights()
        state = recurrent.initial_state(len(x))
        forced = None if targets is None else self.forced(count, len(x), x)
        outputs = []
        for t in range(count):
            state = recurrent.step(x, state, t)
            with mg.scope("readout"), mg.scope("t", t):
                output = self.readout(recurrent.output_of(state))
                output.name = "o"
            outputs.append(output)
            x = output if targets is None else in_dtype(targets[t], output.dtype)
            if forced is not None and t < count - 1:
                x = mg.where(forced[t][:, None], x, output)
        stacked: Tensor = mg.stack(outputs)
        return stacked

    def predict_batch(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State | None]:
        targets = batch.targets if batch.lengths is None else cleared(batch.targets, batch.lengths)  # they are inputs, too
        return self(batch.inputs[0], targets=targets), None


class EncoderDecoder(Forced):
    """Sequence to sequence (Sutskever, Vinyals & Le 2014): an encoder reads the source, and its final state is the initial
    state of a decoder, which predicts a symbol at each step from the symbol before.

    `forward` feeds the decoder the targets (teacher forcing): source (S, batch, I) and class indices (T, batch) to logits
    (T, batch, O). `generate` feeds it its own predictions. The first symbol is the class index `start`. The decoder reads
    one-hot vectors of its `input_size` symbols. Both layers must have the same cells, sizes and numbers of layers.

    With an `attention`, an `Attention` whose query is the decoder's output and whose keys are the encoder's outputs, the
    readout reads both: the decoder's output, then the context (Luong, Pham & Manning 2015). So it reads ``query_size +
    key_size`` features. `attention_weights` returns the weights.

    In training mode, `teacher_forcing` is the probability that the decoder reads the target of the step before, for each step
    and sequence, and not its most likely symbol (scheduled sampling, Bengio et al. 2015): a number or a schedule of
    `minigrad_rnn.forcing`. `rng` draws. Raises ValueError for sizes that do not fit.

    >>> import numpy as np, minigrad_rnn as rnn
    >>> model = rnn.EncoderDecoder(rnn.LSTM(3, 8, rng=0), rnn.LSTM(5, 8, rng=1), rnn.Linear(8, 5, rng=2), start=4)
    >>> model(np.ones((7, 2, 3)), [[0, 1], [2, 3]]).shape, model.generate(np.ones((7, 2, 3)), steps=4).shape
    ((2, 2, 5), (4, 2))
    """

    def __init__(
        self,
        encoder: Recurrent,
        decoder: Recurrent,
        readout: Module,
        *,
        start: int,
        attention: Attention | None = None,
        teacher_forcing: float | Schedule = 1.0,
        rng: Seed = None,
    ) -> None:
        sizes = [[[cell.state_sizes for cell in layer] for layer in part.cells] for part in (encoder, decoder)]
        if sizes[0] != sizes[1]:
            raise ValueError(f"encoder and decoder must have states of the same sizes; they have {sizes[0]} and {sizes[1]}")
        if any(decoder.directions):
            what = "bidirectional" if decoder.bidirectional else "reverse"
            raise ValueError(f"the decoder cannot be {what}, because it reads its own predictions")
        if not 0 <= start < decoder.input_size:
            raise ValueError(f"start is {start}; it must be a class index from 0 to {decoder.input_size - 1}")
        if isinstance(readout, Linear) and readout.weight.shape[0] > decoder.input_size:
            raise ValueError(
                f"the readout predicts {readout.weight.shape[0]} symbols, "
                f"and the decoder can read only {decoder.input_size}; give it a larger input_size"
            )
        super().__init__(teacher_forcing, rng)
        self.encoder = time_first(encoder)
        self.decoder = time_first(decoder)
        self.readout = fitting(readout, decoder.output_size, 0 if attention is None else encoder.output_size)
        self.start = start
        self.attention = None if attention is None else attending(attention, encoder, decoder)

    def forward(self, source: Any, targets: Any, lengths: ArrayLike | None = None) -> Tensor:
        numbers = class_indices(targets)
        keys, state = self._encoded(source, lengths)
        forced = self.forced(len(numbers), numbers.shape[1], numbers)
        with mg.scope("decoder"):
            if forced is None:
                output, _ = self.decoder.run(self.one_hot(self._shifted(numbers)), state)
                return each_step(lambda h: self._answer(h, keys), output, "readout")
            return self._decoded(numbers, forced, keys, state)

    def _decoded(self, numbers: Any, forced: Any, keys: Keys | None, state: State) -> Tensor:
        """Return the logits (T, batch, O) of a decoder that reads the targets where they are `forced`, otherwise its own
        predictions."""
        decoder = self.decoder.with_dropped_weights()
        symbols, outputs = np.full(numbers.shape[1], self.start), []
        for t in range(len(numbers)):
            state = decoder.step(self.one_hot(symbols), state, t)
            with mg.scope("readout"), mg.scope("t", t):
                outputs.append(self._answer(decoder.output_of(state), keys))
            if t < len(forced):
                symbols = np.where(forced[t], numbers[t], values(outputs[-1]).argmax(axis=-1))
        logits: Tensor = mg.stack(outputs)
        return logits

    def generate(self, source: Any, steps: int, lengths: ArrayLike | None = None) -> np.ndarray:
        """Return the most likely symbol at each step, each fed back as the next input: class indices (steps, batch).
        It runs in evaluation mode and records no graph."""
        if steps < 0:
            raise ValueError(f"steps is {steps}; it cannot be negative")
        predicted = []
        with mg.no_grad(), mode(self, training=False):
            keys, state = self._encoded(source, lengths)
            symbols = np.full(state[0].shape[0], self.start)
            for t in range(steps):
                state = self.decoder.step(self.one_hot(symbols), state, t)
                symbols = self._answer(self.decoder.output_of(state), keys).data.argmax(axis=-1)
                predicted.append(symbols)
        return np.array(predicted, dtype=np.intp).reshape(steps, state[0].shape[0])

    def attention_weights(self, source: Any, targets: Any, lengths: ArrayLike | None = None) -> np.ndarray:
        """Return the weights (batch, T, S) of attention: entry [b, t, s] is the weight of the source's step s for symbol t.

        `targets` are the symbols that the decoder reads, such as the result of `generate`. It runs in evaluation mode and
        records no graph.

        >>> import numpy as np, minigrad_rnn as rnn
        >>> parts = rnn.GRU(3, 8, rng=0), rnn.GRU(5, 8, rng=1), rnn.Linear(16, 5, rng=2)
        >>> model = rnn.EncoderDecoder(*parts, start=4, attention=rnn.Attention(8, 8, "additive", rng=3))
        >>> source = np.ones((7, 2, 3))
        >>> model.attention_weights(source, model.generate(source, steps=4)).shape
        (2, 4, 7)
        """
        if self.attention is None:
            raise ValueError("this model has no attention; make it with EncoderDecoder(..., attention=rnn.Attention(...))")
        with mg.no_grad(), mode(self, training=False):
            keys, state = self._encoded(source, lengths)
            numbers = class_indices(targets)
            if (numbers >= self.decoder.input_size).any():
                raise ValueError(
                    f"targets must be below {self.decoder.input_size}, as many as the decoder reads, not {numbers.max()}"
                )
            output, _ = self.decoder.run(self.one_hot(self._shifted(numbers)), state)
            assert keys is not None
            weights: np.ndarray = self.attention.read(output, keys)[1].numpy()
            return weights

    def _encoded(self, source: Any, lengths: ArrayLike | None) -> tuple[Keys | None, State]:
        """Return what attention reads, None without attention, and the final state of the encoder."""
        with mg.scope("encoder"):
            states, state = self.encoder.run(source, None, lengths)
            if self.attention is None:
                return None, state
            states.name = "states"
            return self.attention.keys(states, lengths), state

    def _answer(self, h: Tensor, keys: Keys | None) -> Tensor:
        """Return the logits for the decoder's outputs, of one step or of all."""
        if self.attention is not None and keys is not None:
            h = mg.concatenate([h, self.attention.read(h, keys)[0]], -1)
        logits: Tensor = self.readout(h)
        return logits

    def _shifted(self, numbers: np.ndarray) -> np.ndarray:
        """Return the symbols that the decoder reads before these."""
        return np.concatenate([np.full((1, numbers.shape[1]), self.start), numbers[:-1]])

    def one_hot(self, numbers: np.ndarray) -> np.ndarray:
        """Return one-hot vectors for the decoder; zeros for targets that do not count (-100)."""
        size = self.decoder.input_size
        vectors: np.ndarray = (numbers[..., None] == np.arange(size)).astype(self.decoder.cell.weight_ih.dtype)
        return vectors

    def predict_batch(self, batch: Batch, state: State | None = None) -> tuple[Tensor, State | None]:
        return self(batch.inputs, batch.targets, batch.lengths), None

    def output_lengths(self, batch: Batch) -> ArrayLike | None:
        """Return None: the lengths of a batch are of the source, and targets that do not count are -100."""
        return None


def class_indices(targets: Any) -> np.ndarray:
    """Return targets as an array; ValueError unless they are class indices (T, batch)."""
    numbers: np.ndarray = values(targets)
    if numbers.ndim != 2 or numbers.dtype.kind not in "iu" or not len(numbers):
        raise ValueError(
            f"targets must be class indices of shape (T, batch), T at least 1, not {numbers.dtype} of shape {numbers.shape}"
        )
    return numbers


def embedded(x: Any, embedding: Module | None, lengths: ArrayLike | None = None) -> Any:
    """Return the vectors of the symbols, or x without an embedding. The padding need not be class indices."""
    if embedding is None:
        return x
    return each_step(embedding, x if lengths is None else cleared(values(x), lengths), "embedding")


def time_first(recurrent: Recurrent) -> Recurrent:
    if recurrent.batch_first:
        raise ValueError("a model's recurrent layer cannot have batch_first=True; its inputs have shape (T, batch, ...)")
    return recurrent


def fitting(readout: Any, features: int, context: int = 0) -> Any:
    """Return the readout with names for its parameters. ValueError if it reads another number of features, those of the
    recurrent layer and of the context."""
    if isinstance(readout, Linear) and readout.weight.shape[1] != features + context:
        more = f", and the context of the attention {context}: give it {features + context}" if context else ""
        raise ValueError(f"the readout reads {readout.weight.shape[1]} features, but the recurrent layer has {features}{more}")
    for name, p in readout.named_parameters():
        p.name = f"readout.{name}"
    return readout


def attending(attention: Attention, encoder: Recurrent, decoder: Recurrent) -> Attention:
    """Return the attention with names for its parameters. ValueError if its sizes do not fit."""
    if not isinstance(attention, Attention):
        raise TypeError(f"attention must be an Attention(query_size, key_size, kind), not {type(attention).__name__}")
    sizes = decoder.output_size, encoder.output_size
    if (attention.query_size, attention.key_size) != sizes:
        raise ValueError(
            f"the query is the decoder's output, of {sizes[0]} features, and the keys are the encoder's, of {sizes[1]}; the "
            f"attention has query_size={attention.query_size} and key_size={attention.key_size}"
        )
    for name, p in attention.named_parameters():
        p.name = f"attention.{name}"
    return attention
