"""minigrad_rnn: recurrent networks on minigrad, toy sequence tasks, and pictures of what flows through time."""

from . import draw, optim
from .cells import Cell, GRUCell, LSTMCell, RNNCell
from .data import Alphabet, tasks
from .generate import greedy, predict
from .layers import Linear, Sequence
from .losses import SequenceLoss, sequence_cross_entropy
from .module import Module, Parameter
from .optim import SGD, Adam, Optimizer
from .recurrent import GRU, LSTM, RNN, Recurrent, last_output
from .train import History, Trainer

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "SGD",
    "Adam",
    "Alphabet",
    "Cell",
    "GRUCell",
    "History",
    "LSTMCell",
    "Linear",
    "Module",
    "Optimizer",
    "Parameter",
    "RNNCell",
    "Recurrent",
    "Sequence",
    "SequenceLoss",
    "Trainer",
    "draw",
    "greedy",
    "last_output",
    "optim",
    "predict",
    "sequence_cross_entropy",
    "tasks",
]  # fmt: skip
