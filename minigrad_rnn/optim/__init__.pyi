# Written by tests/minigrad_rnn/stubs.py.

from minigrad_rnn.optim._adagrad import Adagrad as Adagrad
from minigrad_rnn.optim._adagrad import AdagradState as AdagradState
from minigrad_rnn.optim._adagrad import adagrad as adagrad
from minigrad_rnn.optim._adam import Adam as Adam
from minigrad_rnn.optim._adam import AdamState as AdamState
from minigrad_rnn.optim._adam import adam as adam
from minigrad_rnn.optim._adamw import AdamW as AdamW
from minigrad_rnn.optim._adamw import adamw as adamw
from minigrad_rnn.optim._nadam import NAdam as NAdam
from minigrad_rnn.optim._nadam import NAdamState as NAdamState
from minigrad_rnn.optim._nadam import nadam as nadam
from minigrad_rnn.optim._radam import RAdam as RAdam
from minigrad_rnn.optim._radam import radam as radam
from minigrad_rnn.optim._rmsprop import RMSprop as RMSprop
from minigrad_rnn.optim._rmsprop import RMSpropState as RMSpropState
from minigrad_rnn.optim._rmsprop import rmsprop as rmsprop
from minigrad_rnn.optim._rprop import Rprop as Rprop
from minigrad_rnn.optim._rprop import RpropState as RpropState
from minigrad_rnn.optim._rprop import rprop as rprop
from minigrad_rnn.optim._sgd import SGD as SGD
from minigrad_rnn.optim._sgd import SGDState as SGDState
from minigrad_rnn.optim._sgd import sgd as sgd
from minigrad_rnn.optim._sgd import sgd_momentum as sgd_momentum
from minigrad_rnn.optimizer import Optimizer as Optimizer
