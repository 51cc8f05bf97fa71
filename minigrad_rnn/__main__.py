"""``python -m minigrad_rnn`` is the same as ``minigrad-rnn``."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
