"""Proposals for names: arrays that fit together as a recurrent cell by their shapes."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

__all__ = ["TRANSPOSE", "advice"]

KINDS = {4: "lstm", 3: "gru", 1: "rnn"}  # by the number of gates
TRANSPOSE = "transpose the matrices, {name: a.T for name, a in state.items()}"  # of vectors it is the vector
STATE = re.compile(r"hh|h2h|hid|rec|state|(?:^|[._])(?:[wu]_?)?h(?:$|[._\d])|(?:^|[._])[ur](?:$|[._\d])", re.IGNORECASE)


def advice(arrays: Mapping[str, np.ndarray]) -> str:
    """Return the end of an error message: a proposal of names, or the names that were found and the names expected."""
    proposal, turn = propose(arrays), ""
    if not proposal:
        proposal, turn = propose({name: a.T for name, a in arrays.items()}), f"{TRANSPOSE}, and "
    if proposal:
        path = next(iter(proposal.values())).partition(".")[0].rstrip("0123456789")
        gates = {"lstm": ", its gates in the order ifgo", "gru": ", its gates in the order rzn"}.get(path, "")
        return f"by their shapes the arrays may be of an {path.upper()}{gates}; if they are, {turn}pass rename={proposal}"
    names = ", ".join(f"{name[:60]!r} {a.shape}" for name, a in list(arrays.items())[:8])
    more = f" and {len(arrays) - 8} more" if len(arrays) > 8 else ""
    return (
        "it needs a pair of matrices with names such as lstm.weight_ih_l0 and lstm.weight_hh_l0, of shapes (4 hidden, input) "
        f"and (4 hidden, hidden), with 3 in place of 4 for a GRU and 1 for an RNN. The arrays are {names or 'none'}{more}. "
        "rnn.load_weights reads the arrays of any safetensors file"
    )


def propose(arrays: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return new names for arrays that may be recurrent cells, an embedding and a readout; {} if no cell is found."""
    free = {name: a for name, a in arrays.items() if a.dtype.kind == "f" and a.size}
    names: dict[str, str] = {}
    ends: list[tuple[int, int]] = []  # the features that each cell reads and returns
    for gates, kind in KINDS.items():
        for state in [name for name, a in free.items() if a.ndim == 2 and len(a) == gates * a.shape[1]]:
            free = {name: a for name, a in free.items() if name not in names}
            cell = cell_around(state, free, needs_hint=gates == 1) if state in free else {}
            if cell:
                names |= {name: f"{kind}{len(ends) or ''}.{part}_l0" for part, name in cell.items()}
                ends.append((free[cell["weight_ih"]].shape[1], free[state].shape[1]))
    if not ends:
        return {}
    rest = {name: a for name, a in free.items() if name not in names and not name.endswith((".weight", ".bias"))}
    return names | around(rest, ends[0][0], ends[-1][1])


def cell_around(state: str, free: Mapping[str, np.ndarray], needs_hint: bool) -> dict[str, str]:
    """Return the names of the parts of a cell, given its matrix of the state; {} if no matrix of the inputs belongs to it."""
    rows, hint = len(free[state]), bool(STATE.search(state))
    if needs_hint and not hint:
        return {}
    matrices = [name for name, a in free.items() if name != state and a.ndim == 2 and len(a) == rows]
    plain = [name for name in matrices if not STATE.search(name)]
    wide = [name for name in matrices if name not in plain and not square(free[name])]
    inputs = nearest(state, (plain or wide) if hint else plain + wide)
    if not inputs:
        return {}
    biases = nearest(state, [name for name, a in free.items() if a.shape == (rows,)])[:2]
    biases.sort(key=lambda name: bool(STATE.search(name)))
    cell = {"weight_ih": inputs[0], "weight_hh": state}
    return cell | dict(zip(("bias_ih", "bias_hh"), biases, strict=False))


def square(a: np.ndarray) -> bool:
    """Return True for a matrix that can be of a state: its rows are 1, 3 or 4 times its columns."""
    return len(a) in [gates * a.shape[1] for gates in KINDS]


def around(free: Mapping[str, np.ndarray], reads: int, returns: int) -> dict[str, str]:
    """Return names for a readout, the last matrix that fits, and an embedding."""
    names: dict[str, str] = {}
    matrices = [name for name, a in free.items() if a.ndim == 2]
    biases = {len(a): name for name, a in free.items() if a.ndim == 1}
    readouts = sorted((n for n in matrices if free[n].shape[1] == returns), key=lambda n: len(free[n]) in biases)
    if readouts:
        names[readouts[-1]] = "readout.weight"
        if len(free[readouts[-1]]) in biases:
            names[biases[len(free[readouts[-1]])]] = "readout.bias"
    tables = [name for name in matrices if name not in names and free[name].shape[1] == reads]
    return names | dict.fromkeys(tables[:1], "embedding.weight")


def nearest(name: str, others: list[str]) -> list[str]:
    """Return the other names, the most similar first: those with the longest common beginning."""
    return sorted(others, key=lambda other: next((-i for i in range(len(name), 0, -1) if other.startswith(name[:i])), 0))
