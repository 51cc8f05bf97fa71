# Written by tests/minigrad_rnn/stubs.py.

from minigrad_rnn.cell import Cell as Cell
from minigrad_rnn.cells.gru import GRU as GRU
from minigrad_rnn.cells.gru import GRUCell as GRUCell
from minigrad_rnn.cells.lstm import LSTM as LSTM
from minigrad_rnn.cells.lstm import LSTMCell as LSTMCell
from minigrad_rnn.cells.rnn import RNN as RNN
from minigrad_rnn.cells.rnn import RNNCell as RNNCell
