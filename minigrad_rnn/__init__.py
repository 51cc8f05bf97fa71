"""minigrad_rnn: recurrent networks on minigrad, toy sequence tasks, and pictures of what flows through time."""

from . import interrupt  # noqa: F401  first: the rest takes a second to import, and Ctrl-C may come

# isort: split
from . import building, clip, draw, flow, init, optim, schedule
from .cells import Cell, GRUCell, LSTMCell, RNNCell
from .clip import clip_grad_norm, clip_grad_value
from .data import IGNORED, Alphabet, Batch, Examples, Fixed, Generated, Source, Streams, Windows, grammars, series, tasks, text
from .flow import GradientFlow, GradientRecorder, gradient_flow
from .generate import greedy, predict, sample
from .layers import Dropout, Embedding, LayerNorm, Linear, Sequential
from .losses import SequenceLoss, binary_cross_entropy_with_logits, mse_loss, sequence_cross_entropy, sequence_loss
from .models import EncoderDecoder, ManyToOne, Model, OneToMany, Sequence
from .module import Module, Parameter
from .optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RAdam, RMSprop, Rprop
from .recurrent import GRU, LSTM, RNN, Recurrent, last_output
from .saving import WeightsError, load_checkpoint, load_weights, save_checkpoint, save_weights
from .train import Evaluation, History, Trainer, evaluate

__all__ = [
    "GRU",
    "IGNORED",
    "LSTM",
    "RNN",
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Alphabet",
    "Batch",
    "Cell",
    "Dropout",
    "Embedding",
    "EncoderDecoder",
    "Evaluation",
    "Examples",
    "Fixed",
    "GRUCell",
    "Generated",
    "GradientFlow",
    "GradientRecorder",
    "History",
    "LSTMCell",
    "LayerNorm",
    "Linear",
    "ManyToOne",
    "Model",
    "Module",
    "NAdam",
    "OneToMany",
    "Optimizer",
    "Parameter",
    "RAdam",
    "RMSprop",
    "RNNCell",
    "Recurrent",
    "Rprop",
    "Sequence",
    "SequenceLoss",
    "Sequential",
    "Source",
    "Streams",
    "Trainer",
    "WeightsError",
    "Windows",
    "binary_cross_entropy_with_logits",
    "building",
    "clip",
    "clip_grad_norm",
    "clip_grad_value",
    "draw",
    "evaluate",
    "flow",
    "gradient_flow",
    "grammars",
    "greedy",
    "init",
    "last_output",
    "load_checkpoint",
    "load_weights",
    "mse_loss",
    "optim",
    "predict",
    "sample",
    "save_checkpoint",
    "save_weights",
    "schedule",
    "sequence_cross_entropy",
    "sequence_loss",
    "series",
    "tasks",
    "text",
]
