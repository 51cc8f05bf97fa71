"""The commands of the command line, a module each; see `minigrad_rnn.cli`.

They and the private modules that they share import only the standard library and `minigrad_rnn`, whose names are imported
when they are used: the help does not wait for NumPy.
"""

__all__ = ["UsageError"]


class UsageError(ValueError):
    """Raised for arguments that do not fit together."""
