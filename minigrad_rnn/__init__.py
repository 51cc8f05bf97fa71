"""minigrad_rnn: recurrent networks on minigrad, toy sequence tasks, and pictures of what flows through time."""

from . import draw, optim
from .cells import Cell, LSTMCell, RNNCell
from .data import Alphabet, tasks
from .generate import greedy, predict
from .layers import Linear, Sequence
from .losses import SequenceLoss, sequence_cross_entropy
from .module import Module, Parameter
from .optim import SGD, Adam, Optimizer
from .recurrent import LSTM, RNN, Recurrent
from .train import History, Trainer

__all__ = [
    "LSTM",
    "RNN",
    "SGD",
    "Adam",
    "Alphabet",
    "Cell",
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
    "optim",
    "predict",
    "sequence_cross_entropy",
    "tasks",
]  # fmt: skip
