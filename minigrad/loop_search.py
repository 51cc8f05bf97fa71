"""Find the loops in a record of ops. A loop is a matrix of op numbers: a row for each iteration, a column for each op of
the body, -1 where an iteration lacks the op. `loop.py` makes tables from these rows.

1. `numbered`: each op gets a word, a number for its op, shape, dtype, options (without the integers of an index) and scope
   (without t). Two ops with the same word do the same kind of thing.
2. `Record.periods`: the length of a body is a distance at which words repeat. The most frequent distances are tried.
3. `Record.stretches`: compare the record with itself, moved by a period. In a stretch all words are equal, and each operand
   is the same node (a weight), or the node one period later (a state).
4. `Record.cut`: cut a stretch into iterations. These are the core of a loop: all of its rows are alike.
5. `Record.split`: if time steps differ in turns, as with ``if t % 2``, such an iteration is several of them. Cut it at the
   ops that read the state, and give the ops of its steps that are alike one column.
6. `Growth`: extend the core at both ends, where iterations differ: the first has no state yet, some have an extra op.
   `aligned` matches the ops next to the loop with the ops of the body, as a diff matches the lines of two texts.
7. `Record.sources`: for each operand of the body, decide where it comes from. This also rejects what is no loop.

Scopes help where they exist, but no step needs them.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .graph import Node, Scope

LEAST = 3  # equal iterations in a row that make a loop
FEWEST = 7  # a loop with a state must replace at least so many ops
HALF = 4  # or so many, where they are half of the record
PERIODS = 16  # the most frequent distances that are tried
LONG = 32  # search first for loops that replace so many ops: short ones are many, and most lie within long ones
UNLIKE = 8  # time steps after which all repeats, as in ``if t % 3``
SKIP = 2  # the cost of an op without a partner in an alignment; a pair brings 1 to 9
LEAP = 128  # equal iterations that are compared at once
WIDEST = 1000  # an alignment takes memory for the square of the body: longer bodies have equal iterations only
SUMS = ("add", "subtract")
INSIDE, CARRIED, INVARIANT, PER_STEP = "inside", "carried", "invariant", "per step"
Place = tuple[int, int]  # operand k of op i of the body
Sources = dict[Place, tuple[Any, ...]]  # a table for each operand, in numbers of ops


def numbered(ops: list[Node], shapes: bool = True) -> Record:
    """A record of these ops. Without `shapes`, words consist of the op and its scope only."""
    at = {node: i for i, node in enumerate(ops)}
    known: dict[Any, int] = {}
    places: dict[Any, int] = {None: 0}
    words = []
    for node in ops:
        scope, options = node.scope, node.options
        place = places[scope] if scope in places else timeless(scope, places)
        size = (node.shape, node.dtype, len(node.operands), signature(options) if options else None) if shapes else None
        words.append(known.setdefault((node.op, place, size), len(known)))
    operands = [x for node in ops for x in node.operands]
    reads: list[Any] = list(map(at.get, operands))
    trainable = set()
    for k in [k for k, made in enumerate(reads) if made is None]:
        x = operands[k]
        leaf = isinstance(x, Node)
        reads[k] = ~known.setdefault(x if leaf else (type(x), repr(x)), len(known))
        if leaf and x.requires_grad:
            trainable.add(reads[k])
    made_by = np.array(reads, int)
    firm = (made_by >= 0) | np.isin(made_by, list(trainable))
    return Record(ops, np.array(words, int), np.array([len(node.operands) for node in ops], int), made_by, firm)


class Record:
    """Ops as numbers. `words[i]` is the word of op i. Its operands are `reads[starts[i]:starts[i + 1]]`: the number of an
    op, or a number below zero for a leaf or a Python number. `firm` is False for constants and Python numbers, which may
    be equal by chance. `taken` is 1 for the ops of a map that was found, 2 for those of a loop."""

    def __init__(self, ops: list[Node], words: np.ndarray, counts: np.ndarray, reads: np.ndarray, firm: np.ndarray) -> None:
        self.ops, self.n, self.words, self.reads, self.firm = ops, len(ops), words, reads, firm
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        self.owner = np.repeat(np.arange(self.n), counts)
        self.made = np.where(reads >= 0, words[np.maximum(reads, 0)] if self.n else 0, reads)  # the word of the maker
        self.latest = np.full(self.n, -1)  # the newest op that an op reads
        np.maximum.at(self.latest, self.owner, reads)
        self.taken = np.zeros(self.n, np.int8)

    def operands(self, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """For each operand of these ops: the position of its op in `ops`, and which operand it is."""
        counts = self.starts[ops + 1] - self.starts[ops]
        owner = np.repeat(np.arange(len(ops)), counts)
        return owner, np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)

    # -- periods and stretches ---------------------------------------------------------------------------------

    def periods(self) -> list[int]:
        """Distances at which, three times in a row, a word reads the same operand or operands of the same words."""
        if self.n < 2 * LEAST - 1:
            return [1] if self.n >= LEAST else []
        k = np.arange(len(self.reads)) - self.starts[self.owner]
        made = np.where(self.reads >= 0, self.made, -1)
        mixed = (made + 2) * (2 * k + 3) * 0x9E3779B97F4A7C1  # wraps: a hash
        below = np.zeros(self.n, int)
        np.add.at(below, self.owner, mixed * (mixed >> 7))
        low = self.reads.min(initial=0)
        same = (self.words[self.owner] * (k.max(initial=0) + 1) + k) * (self.n - low) + self.reads - low
        counts = distances(same, self.owner, self.n) + distances(below * 31 + self.words, np.arange(self.n), self.n)
        best = np.argsort(-counts * np.arange(len(counts)), kind="stable")[:PERIODS]
        return [int(p) for p in best if counts[p]]

    def stretches(self, p: int, spared: int) -> Iterator[tuple[int, int]]:
        """Find stretches (start, end) of at least three periods that replace `spared` ops or more.

        Each operand is the same as one period earlier (1), or moved by p (2), or another (0). Where this kind changes, the
        stretch ends: the next layer has other weights, and after `detach` the state comes from somewhere else.
        """
        least = (LEAST - 1) * p
        free = self.taken == 0
        for start, end in runs((self.words[p:] == self.words[:-p]) & free[p:] & free[:-p], max(least, spared)):
            end += p
            lo, hi = self.starts[start], self.starts[end]
            move = self.starts[start + p] - lo
            old, new = self.reads[lo : hi - move], self.reads[lo + move : hi]
            kind = np.where(old == new, 1, np.where((old >= 0) & (new - old == p), 2, 0))
            x = np.flatnonzero(kind[move:] != kind[:-move])
            firm = self.firm[lo + x] & self.firm[lo + 2 * move + x]
            newest = np.maximum(self.reads[lo + move + x], self.reads[lo + 2 * move + x])
            begin = start
            changes = (self.owner[lo + x], kind[x], kind[x + move], firm, newest)
            for op, before, after, sure, read in zip(*(y.tolist() for y in changes), strict=True):
                if read < begin if {before, after} == {0, 2} else not sure and 2 not in (before, after):
                    continue  # an initial value from outside, or constants that are equal by chance
                if before and op + p - begin >= least:
                    yield begin, op + 2 * p
                begin = max(begin, op + 1 - p * ((before, after) == (0, 2)))  # with an initial value
            if end - p - begin >= least:
                yield begin, end

    # -- the search --------------------------------------------------------------------------------------------

    def loops(self) -> list[tuple[np.ndarray, Sources]]:
        """The rows of all loops and their sources, in order. They do not overlap: a map loses the ops that a loop takes."""
        periods, found = self.periods(), []
        for spared in (LONG, 0):
            stretches = [(p, start, end) for p in periods for start, end in self.stretches(p, spared)]
            found += list(self.search(stretches))
        if not any(carries(sources) for _, sources in found):
            found += [each for p in periods if 9 * p > self.n for each in self.two_alike(p)]  # most of a short record
        for number, (rows, sources) in enumerate(found):
            if not carries(sources):
                rows = longest(rows, (self.taken[rows] == 1).all(1))
                found[number] = rows, self.sources(rows) or {} if len(rows) >= LEAST else {}
        return sorted(((rows, sources) for rows, sources in found if sources), key=lambda each: int(each[0].max()))

    def search(self, stretches: list[tuple[int, int, int]]) -> Iterator[tuple[np.ndarray, Sources]]:
        """Turn stretches (period, start, end) into loops. The one that replaces most ops comes first."""
        heap = [(p - (end - start) // p * p, p, start, end) for p, start, end in stretches]
        heapq.heapify(heap)
        while heap:
            _, p, start, end = heapq.heappop(heap)
            if self.taken[start:end].any():  # continue with the parts that are left
                for a, b in runs(self.taken[start:end] == 0, LEAST * p):
                    heapq.heappush(heap, (p - (b - a) // p * p, p, start + a, start + b))
                continue
            rows, sources = self.cut(start, end, p)
            if sources is not None and carries(sources):
                if (len(rows) - 1) * p < min(FEWEST, max(HALF, self.n / 2)):
                    continue
                rows, sources = Growth(self, *self.split(rows, sources)).rows()
            if sources is not None:
                self.taken[rows[rows >= 0]] = 1 + carries(sources)
                yield from self.sequences(rows, sources)

    def two_alike(self, p: int) -> Iterator[tuple[np.ndarray, Sources]]:
        """Loops of three iterations whose first lacks ops, such as those of a constant initial state: they are not recorded."""
        for _, end in runs(self.words[p:] == self.words[:-p], p):
            rows = iterations(end - p, p, 2)
            sources = self.sources(rows)
            if sources is None or not carries(sources) or 2 * p < FEWEST or (self.taken[rows] > 1).any():
                continue
            rows, sources = Growth(self, rows, sources, 1).rows()
            if len(rows) == LEAST and (rows[1:] >= 0).all():
                self.taken[rows[rows >= 0]] = 2
                yield rows, sources

    def cut(self, start: int, end: int, p: int) -> tuple[np.ndarray, Sources | None]:
        """Cut a stretch into equal iterations: where t changes, else at its beginning if it ends with a whole iteration, else
        where the fewest values pass from one to the next."""
        sources = None
        first, end = self.turn(start, end, p)
        while sources is None and first < start + p and (end - first) // p >= LEAST:
            rows = iterations(first, p, (end - first) // p)
            sources = self.sources(rows)
            first += 1  # the stretch may begin with an op of the code before the loop
        if sources is not None and step_of(self.ops[first - 1]) is None:
            rest = (end - first + 1) % p
            move = self.later(rows[0], sources, rest) if rest else 0
            if move and (fewer := (end - first + 1 - move) // p) >= LEAST:
                moved = iterations(first - 1 + move, p, fewer)
                better = self.sources(moved)
                if better is not None:
                    return moved, better
        return (rows, sources) if sources is not None else (np.empty((0, p), int), None)

    def later(self, row: np.ndarray, sources: Sources, rest: int) -> int:
        """The number of ops by which iterations begin later, where a stretch has `rest` ops over. After constants, at its
        beginning; or if the rest lacks a state, at its end: ``concatenate([x, h])`` of constants is not recorded."""
        carried = {place: what[0][0] for place, (kind, *what) in sources.items() if kind == CARRIED}
        last = max((j for (i, _), j in carried.items() if i != j), default=0)
        begins = row[0] == 0 or self.words[row[0] - 1] not in self.words[row]
        live = alive(sources, len(row))
        begins = begins and last >= rest and live[rest] <= live[0]
        if begins and all(self.reads[self.starts[row[i]] + k] < 0 for i, k in carried):
            return rest
        move = int(np.argmin(live))
        return move if live[move] < live[0] else 0

    def turn(self, start: int, end: int, p: int) -> tuple[int, int]:
        """If each iteration has one t, move the ends of the stretch to where t changes."""
        t = [step_of(node) for node in self.ops[start + p - 1 : start + 2 * p]]  # of the second period: the first may lack ops
        turns = [start + i for i in range(p) if t[i + 1] is not t[i]]
        if t[-1] is None or len(turns) != 1:
            return start, end
        last = turns[0] + (end - turns[0]) // p * p
        return turns[0], last - p * (last < self.n and step_of(self.ops[last]) is step_of(self.ops[last - 1]))

    def split(self, rows: np.ndarray, sources: Sources) -> tuple[np.ndarray, Sources, int]:
        """If an iteration is k time steps that differ, as in ``if t % 2``: a row for each step, its sources, and k."""
        begins, k = self.beginnings(rows[len(rows) // 2], sources), 1
        if len(begins) > 1:
            order, slots = self.merged(rows[len(rows) // 2], begins)
            rank = {slot: rank for rank, slot in enumerate(order)}
            finer = np.full((len(rows) * len(begins), len(order)), -1)
            for c, slot in enumerate(slots):
                finer[bisect.bisect(begins, c) - 1 :: len(begins), rank[slot]] = rows[:, c]
            few = finer[: LEAST * len(begins)]  # the others are like them
            found = self.sources(few, strict=False)
            if found is not None and carries(found) and not self.anew(few, found):
                rows, sources, k = finer, found, len(begins)
        return rows, sources, k

    def anew(self, rows: np.ndarray, sources: Sources) -> list[int]:
        """The iterations in which another sequence begins: all states come from outside, and not from before a `detach`."""
        if (rows >= 0).all() and all(n < what[1] for kind, *what in sources.values() if kind == CARRIED for n in what[2]):
            return []
        states = flow(sources, [self.ops[op] for op in rows.max(0)])[1]
        there = [set(np.flatnonzero(column >= 0).tolist()) for column in rows.T]
        fresh, kept, present = set[int](), set[int](), {0}
        for (i, k), (kind, *what) in sources.items():
            if kind == CARRIED and not states.isdisjoint(what[0]):
                present |= there[i]
                kept |= there[i].difference(what[2])
                earlier = (n for n in what[2] if (rows[: max(n - what[1] + 1, 0), what[0]] >= 0).any())
                fresh.update(n for n in earlier if not self.detached(rows, i, k, n))
        lacking = set(range(len(rows))) - present  # because an initial state is learnt
        for (i, k), (kind, *_) in sources.items():
            if kind == INVARIANT and there[i] <= lacking | {0} and self.firm[self.starts[rows[:, i].max()] + k]:
                fresh |= lacking & there[i]
        return sorted(fresh - kept)

    def detached(self, rows: np.ndarray, i: int, k: int, n: int) -> bool:
        """True if operand k of op i in iteration n shares memory with a value of the iteration before."""
        before = [x for op in rows[n - 1] if op >= 0 for x in values_saved(self.ops[op]) if x is not None]
        value = [x for x in values_saved(self.ops[rows[n, i]])[1 + k :][:1] if x is not None]
        return any(np.may_share_memory(x, y) for x in value for y in before)

    def sequences(self, rows: np.ndarray, sources: Sources) -> list[tuple[np.ndarray, Sources]]:
        """A loop over time in a loop over sequences: one loop for each sequence."""
        begins = self.anew(rows, sources)
        if not begins or min(np.diff([0, *begins, len(rows)])) < LEAST:
            return [(rows, sources)]
        parts = [part[:, (part >= 0).any(0)] for part in np.split(rows, begins)]
        found = [(part, each) for part in parts if (each := self.sources(part, strict=False)) and carries(each)]
        return found if len(found) == len(parts) else [(rows, sources)]

    def beginnings(self, row: np.ndarray, sources: Sources) -> list[int]:
        """The ops at which the time steps of an iteration begin: before ops with the same weight, each of which needs the one
        before. Or with other weights, or some without the one before, if another weight is read once in each step. What enters
        the state does so in all steps, or in none. Of several ways, take the one with most ops that are once in each step."""
        weights = self.readers_of_weights(row, sources)
        if all(len(readers) < 2 for readers in weights.values()):
            return [0]
        words, body = self.words[row].tolist(), [self.ops[op] for op in row]
        reads, states = flow(sources, body)
        path = needed(states, reads)
        groups = dict(weights)
        late = path & reached((i for (i, _), (kind, *_) in sources.items() if kind == CARRIED), reads)
        for (word, _), readers in weights.items():
            groups[word,] = groups.get((word,), set()) | (late & readers)
        enters = {i: words[i] for (i, _), (kind, *_) in sources.items() if kind == PER_STEP or "index" in body[i].options}
        live = alive(sources, len(row))
        carried = alive({place: source for place, source in sources.items() if place[0] in path}, len(row))
        best, found = (0, 0, 0), [0]
        for key, readers in groups.items():
            group = sorted(readers)
            links = linked(group, reads) if len(group) > 1 else 0
            if links:
                begins = begun(group, live, words)
                once = sum(once_in_each(begins, other) for other in weights.values() if other is not readers)
                staged = links == len(group) and max(carried[begins]) > carried[0]  # as Runge and Kutta have it
                score = once * len(begins), links == len(group) and len(key) > 1, -len(begins)
                if not staged and score > best and evenly_fed(begins, enters, needed(group, reads)):
                    best, found = score, begins
        return found

    def readers_of_weights(self, row: np.ndarray, sources: Sources) -> dict[tuple[int, ...], set[int]]:
        """The ops of an iteration that read a weight, by their word and the weight."""
        found: dict[tuple[int, ...], set[int]] = {}
        for (i, k), (kind, *what) in sources.items():
            if kind == INVARIANT and what[0] < 0 and self.firm[self.starts[row[i]] + k]:
                found.setdefault((int(self.words[row[i]]), what[0]), set()).add(i)
        return found

    def merged(self, row: np.ndarray, begins: list[int]) -> tuple[list[int], list[int]]:
        """The slots of the steps of an iteration in order, and that of each op: the same one for ops that are alike."""
        order: list[int] = []
        slots: list[int] = []
        known: dict[bytes, list[int]] = {}
        weights = self.reads[self.firm & (self.reads < 0)]
        for begin, end in itertools.pairwise([*begins, len(row)]):
            part = row[begin:end]
            read = self.reads[self.starts[part[0]] : self.starts[part[-1] + 1]]
            step = known.setdefault(self.words[part].tobytes() + np.where(np.isin(read, weights), read, 0).tobytes(), [])
            if not step:
                fit, _ = self.likeness(part, row[order].tolist(), weights)
                pairs = {i: order[c] for i, c in aligned(fit, len(order), 1)}
                for i in range(len(part)):
                    if i not in pairs:
                        order.insert(order.index(step[-1]) + 1 if step else 0, begin + i)
                    step.append(pairs.get(i, begin + i))
            slots += step
        return order, slots

    def few(self) -> Iterator[np.ndarray]:
        """Rows of one or two time steps, which are too few to repeat. Only scopes show them, and they may be no loop."""
        places: dict[Any, dict[Scope, list[int]]] = {}
        known: dict[Any, int] = {None: 0}
        for op in np.flatnonzero(self.taken == 0).tolist():
            t = step_of(self.ops[op])
            if t is not None:
                places.setdefault(timeless(self.ops[op].scope, known), {}).setdefault(t, []).append(op)
        for steps in (list(turns.values()) for turns in places.values() if len(turns) < LEAST):
            body = self.words[max(steps, key=len)].tolist()
            rows = np.full((len(steps), len(body)), -1)
            for n, step in enumerate(steps):
                slot = -1
                for op in step:
                    slot = next((i for i in range(slot + 1, len(body)) if body[i] == self.words[op]), len(body))
                    if slot == len(body):
                        break
                    rows[n, slot] = op
            if all((row >= 0).sum() == len(step) for row, step in zip(rows, steps, strict=True)):
                yield rows

    # -- what the operands of a body read ----------------------------------------------------------------------

    def sources(self, rows: np.ndarray, strict: bool = True) -> Sources | None:
        """The source of each operand (i, k) of the body: (INSIDE or CARRIED, ops, lag, iterations that read something else),
        (INVARIANT, node) or (PER_STEP,).

        None if the rows are no loop: each iteration has weights of its own, which makes them layers; or, if `strict`, an
        operand reads different ops in different iterations.
        """
        there: np.ndarray = rows >= 0
        lo, hi = int(rows[there].min()), int(rows.max()) + 1
        slot, turn = np.full(hi - lo, -1), np.full(hi - lo, -1)
        turn[rows[there] - lo], slot[rows[there] - lo] = np.nonzero(there)
        column, k = self.operands(rows.max(0))
        has, n = there[:, column], np.arange(len(rows))[:, None]
        at_operand = np.where(has, self.starts[rows[:, column]] + k, 0)
        read = self.reads[at_operand]  # a row for each iteration, a column for each operand
        at = np.where(has & (read >= lo) & (read < hi), read - lo, 0)
        inside = has & (read >= lo) & (read < hi) & (slot[at] >= 0)
        made, lags = np.where(inside, slot[at], -1), np.where(inside, n - turn[at], -1)
        op, lag = made.max(0), lags.max(0)
        within = np.any(inside, axis=0)
        others = has & ~inside
        plain = (((made == op) & (lags == lag)) | ~inside).all(0) & ~(others & (n >= lag)).any(0)
        first = has.argmax(0), np.arange(len(column))
        read_first = read[first]
        same = ((read == read_first) | ~has).all(0)
        weight = ~within & self.firm[at_operand[first]] & (read_first < 0)
        if (strict and (within & ~plain).any()) or ((weight & ~same).any() and not (weight & same).any()):
            return None

        def newest_of(c: int, ops: np.ndarray) -> tuple[Any, ...]:
            return newest(rows, int(column[c]), ops, read[:, c], has[:, c], inside[:, c], lags[:, c])

        places = list(zip(column.tolist(), k.tolist(), strict=True))
        found: Sources = {}
        columns = [x.tolist() for x in (within, same, read_first, plain, op, lag, np.any(others, axis=0))]
        for c, (place, makes, is_same, node, is_plain, maker, back, begins) in enumerate(zip(places, *columns, strict=True)):
            if not makes:
                found[place] = (INVARIANT, node) if is_same else (PER_STEP,)
            elif is_plain:
                found[place] = (
                    (CARRIED if back else INSIDE),
                    (maker,),
                    back,
                    np.flatnonzero(others[:, c]).tolist() if begins else [],
                )
            else:
                found[place] = newest_of(c, np.unique(made[inside[:, c], c]))
        return found if there.all() else self.with_other_makers(found, rows, places, newest_of)

    def with_other_makers(
        self, found: Sources, rows: np.ndarray, places: list[Place], newest_of: Callable[[int, np.ndarray], tuple[Any, ...]]
    ) -> Sources:
        """The sources, where a state may be made by other ops in other iterations."""
        there = rows >= 0
        makers = {what[0] for kind, *what in found.values() if kind == CARRIED and not there[:, what[0]].all()}
        for c, place in enumerate(places):
            for others in makers if found[place][0] == CARRIED and found[place][1] in makers else ():
                ops = np.unique([*found[place][1], *others])
                alone = there[:, ops].sum(1).max() == 1 and len({self.ops[op].shape for op in rows.max(0)[ops]}) == 1
                if alone and len(ops) > len(found[place][1]):
                    either = newest_of(c, ops)
                    if len(either[3]) <= len(found[place][3]):
                        found[place] = either
        return found

    # -- neighbours of a loop ----------------------------------------------------------------------------------

    def repeated(self, start: int, q: int, on: int, bound: int, shared: np.ndarray) -> int:
        """The number of repeats of the q ops from `start` on directly after (`on` = 1) or before them (-1), at most LEAP."""
        times = min(LEAP, (self.n - start) // q - 1 if on > 0 else start // q)
        for part in ("words", "reads"):
            if times <= 0:
                return 0
            lo = start + q if on > 0 else start - times * q
            hi, before = lo + times * q, lo - on * q
            if part == "words":
                right = (self.words[lo:hi] == self.words[before : before + hi - lo]) & (self.taken[lo:hi] < 2)
            else:
                a, b, c = (int(self.starts[x]) for x in (lo, hi, before))
                new, old = self.reads[a:b], self.reads[c : c + b - a]
                outside = (new < min(lo, bound)) & (old < min(lo, bound)) & ~np.isin(new, shared) & ~np.isin(old, shared)
                right = np.ones(hi - lo, bool)
                right[self.owner[a:b][(new - old != on * q) & (new != old) & ~outside] - lo] = False
            wrong = np.flatnonzero(~right[::on])
            times = int(wrong[0]) // q if len(wrong) else times
        return times

    def likeness(self, ops: np.ndarray, slots: list[int], shared: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """A fit of each op to each slot, which is given by another op in it: 1 to 9 by the number of equal operands, far below
        zero for another word or weight. And True where only the weight is another."""
        (a, made), (b, made_like) = self.four(ops), self.four(np.array(slots, int))
        word = self.words[ops][:, None] == self.words[slots]
        same = a[:, None] == b
        clash = word & (~same & np.isin(b, shared)).any(-1)
        return np.where(word & ~clash, 1 + same.sum(-1) + (made[:, None] == made_like).sum(-1), -self.n * 9), clash

    def four(self, ops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The first four operands of each op, and the words of their makers."""
        place = self.starts[ops][:, None] + np.arange(4)
        there, place = place < self.starts[ops + 1][:, None], np.minimum(place, len(self.reads) - 1)
        return np.where(there, self.reads[place], -self.n * 9), np.where(there, self.made[place], -self.n * 9)


class Growth:
    """A loop that is extended at both ends, in direction `on` = 1 (later) or -1 (earlier).

    The ops of the body are slots: slots 0 to p - 1 are those of the core, and an op that only other iterations have gets a
    new slot. `order` has the slots as they follow each other. Each iteration is in `blocks` or in `steps`.
    """

    def __init__(self, record: Record, core: np.ndarray, sources: Sources, k: int) -> None:
        self.record, self.core, self.sources = record, core, sources
        self.order = list(range(core.shape[1]))
        self.p = int((core >= 0).sum()) // len(core)  # ops of an iteration
        self.like = core[len(core) // 2 :][:k].max(0).tolist()  # for each slot an op
        self.always = np.flatnonzero((core >= 0).all(0))  # slots that each iteration of the core has
        leaves = np.where(record.firm, record.reads, 0)
        two = (slice(*record.starts[[at[at >= 0].min(), at.max() + 1]]) for at in (core[:k], core[k : 2 * k]))
        one, other = (leaves[each][leaves[each] < 0] for each in two)
        self.shared = np.intersect1d(one, other)  # weights that both read
        reads, states = flow(sources, [record.ops[op] for op in self.like])
        self.path = needed(states, reads) or {*self.order}  # what leads to a state
        self.lag = max(what[1] for kind, *what in sources.values() if kind == CARRIED)
        self.blocks = [(0, self.order[:], core)]  # of equal iterations: (number of the first, slots, ops)
        self.short = False  # whether the first iteration is only a small part
        self.steps: dict[int, dict[int, int]] = {}  # iteration -> slot -> op
        self.last = {1: len(core) - 1, -1: 0}  # the iteration at each end
        self.edge = {1: int(core.max()) + 1, -1: int(core[0][core[0] >= 0].min())}  # where the loop ends
        ends = {1: core[-1], -1: core[0]}
        self.row = {on: (np.flatnonzero(row >= 0).tolist(), row[row >= 0]) for on, row in ends.items()}  # its slots and ops

    def rows(self) -> tuple[np.ndarray, Sources]:
        """Extend the loop as far as possible; its rows and their sources."""
        for on in (1, -1):
            while self.leap(on) or self.odd(on):
                pass
        rank = {slot: rank for rank, slot in enumerate(self.order)}
        low = self.last[-1]
        rows = np.full((self.last[1] - low + 1, len(self.order)), -1)
        for n, slots, ops in self.blocks:
            rows[n - low : n - low + len(ops), [rank[slot] for slot in slots]] = ops
        for n, step in self.steps.items():
            for slot, op in step.items():
                rows[n - low, rank[slot]] = op
        sources = self.record.sources(rows, strict=False)
        if sources is not None and (joined := self.joined(rows, sources)) is not rows:
            rows = joined[:, (joined >= 0).any(0)]
            sources = self.record.sources(rows, strict=False)
        return (rows, sources) if sources is not None else (self.core, self.record.sources(self.core, False) or self.sources)

    def joined(self, rows: np.ndarray, sources: Sources) -> np.ndarray:
        """If the first row is the end of an iteration and the last row the rest of one, begin each row at a later op."""
        first = int((rows[0] >= 0).argmax())
        if first and step_of(self.record.ops[self.core[0, 0]]) is None:
            live = alive(sources, len(self.order))
            for c in range(first, 0, -1):
                if live[c] <= live[0] and (rows[-1, c:] >= 0).sum() < min(self.p / 3, (rows[0] >= 0).sum()):
                    return np.hstack([rows[:-1, c:], rows[1:, :c]])
        return rows[1:] if self.short else rows

    def leap(self, on: int) -> bool:
        """Take all iterations that exactly repeat the last one."""
        slots, ops = self.row[on]
        q, edge = len(ops), int(ops[-1]) + 1 if on > 0 else int(ops[0])
        if edge != self.edge[on] or ops[-1] - ops[0] + 1 != q:
            return False
        times = self.record.repeated(int(ops[0]), q, on, self.edge[-1], self.shared)
        if times:
            more = ops + on * q * np.arange(1, times + 1)[:, None]
            self.last[on] += on * times
            self.edge[on] += on * times * q
            self.blocks.append((min(self.last[on], self.last[on] - on * (times - 1)), slots, more[::on]))
            self.row[on] = slots, more[-1]
        return times > 0

    def odd(self, on: int) -> bool:
        """Take one iteration with other ops than the last one, if the next ops are similar to the body."""
        n, order, rest = self.last[on], self.order[::on], self.rest(on)
        window, span = self.window(on, 2 * len(order) + 16)
        body = {*self.record.words[self.like].tolist()}
        some = sum(word in body for word in self.record.words[window].tolist())
        if not some or (on > 0 and not rest and 3 * some < self.p) or len(order) > min(3 * self.p + 16, WIDEST):
            return False
        window, clash, old, new = self.matched(window, order, rest)
        begin = self.begin(on, window, old, new)
        span = span or max(new, default=0) + 1
        known = sum(slot < self.core.shape[1] for slot in new.values())
        goes_on = on < 0 or not self.path.isdisjoint(new.values())
        enough = bool(new) and goes_on and self.holds(on, window[begin:span], known, span - len(old) - len(new))
        if not enough or self.other_weights(window, clash, order, new):
            begin = next(i for i in range(len(window) + 1) if i not in old)
            self.take(n, on, window[:begin], old)
            return False
        if begin:  # what belongs to the last iteration gets its slots first
            self.take(n, on, window[:begin], old)
            return True
        self.take(n + on, on, window[:span], new)
        step = self.steps[n + on]
        self.last[on], self.row[on], self.short = n + on, (list(step), np.array([*step.values()])), 3 * known < self.p
        return not self.short

    def matched(self, window: np.ndarray, order: list[int], rest: list[int]) -> tuple[Any, ...]:
        """As many ops of the window as two iterations can have, where only their weight clashes with a slot, and the slots of
        those that belong to the last iteration (`old`) and to the next one (`new`)."""
        fit, clash = self.record.likeness(window, [self.like[slot] for slot in order], self.shared)
        # rest of the last iteration, the next one, and one more, so that none of its ops are taken for those of the next
        if len(self.always):
            both = np.searchsorted((fit[:, np.isin(order, self.always)] > 0).cumsum(0).min(1), 2) + 1
            window, fit, clash = window[:both], fit[:both], clash[:both]
        turn = len(rest) + len(order)
        pairs = aligned(np.hstack([fit[:, len(order) - len(rest) :], fit, fit]), turn, self.p)
        old = {i: rest[c] for i, c in pairs if c < len(rest)}
        return window, clash, old, {i: order[c - len(rest)] for i, c in pairs if len(rest) <= c < turn}

    def rest(self, on: int) -> list[int]:
        """The slots at the end of the body (`on` = 1) or at its beginning (-1) that the last iteration has not."""
        have, order = {*self.row[on][0], *self.steps.get(self.last[on], ())}, self.order[::on]
        return order[1 + max(i for i, slot in enumerate(order) if slot in have) :]

    def window(self, on: int, most: int) -> tuple[np.ndarray, int]:
        """The ops next to the loop, nearest first, as far as they are free. If iterations have a t: up to where the next t
        ends, and the number of ops up to there."""
        edge, record, row = self.edge[on], self.record, self.row[on][1]
        ops = np.arange(edge, min(edge + most, record.n)) if on > 0 else np.arange(edge - 1, max(edge - 1 - most, -1), -1)
        oldest = int(self.row[1][1][0]) - len(self.order) * self.lag  # a layer on top reads older results
        old = (record.latest[ops] >= self.edge[-1]) & (record.latest[ops] < oldest)
        wrong = np.flatnonzero((record.taken[ops] > 1) | old)
        ops = ops[: wrong[0]] if len(wrong) else ops
        t = [step_of(record.ops[op]) for op in (*row[[0, -1]], *ops)]
        if t[0] is None or t[0] is not t[1]:
            return ops, 0
        turns = [i for i in range(len(ops)) if t[i + 2] is not t[i + 1 if i else 0]]
        ops = ops[: turns[1]] if len(turns) > 1 else ops
        return ops, len(ops)

    def begin(self, on: int, window: np.ndarray, old: dict[int, int], new: dict[int, int]) -> int:
        """The place in the window at which the next iteration begins. Ops that match nothing belong to the earlier of the two
        iterations, unless they have the t of the later."""
        begin, first = max(old, default=-1) + 1, min(new, default=0)
        later = step_of(self.record.ops[window[first] if on > 0 else self.row[on][1][0]]) if new else None
        for i in range(begin, first):
            t = step_of(self.record.ops[window[i]])
            if (t is not None and t is later) == (on > 0):
                return i
        return max(begin, first) if on > 0 else begin

    def holds(self, on: int, window: np.ndarray, known: int, more: int) -> bool:
        """True if enough ops are of the core and not too many others, and one iteration reads the other. Few ops without
        others are accepted in front: they may be the end of a first iteration, see `joined`."""
        most_of_it = 3 * known >= self.p and 3 * more <= known
        almost_all = 5 * known >= 4 * self.p and more <= 3 * known and self.p > 2
        if not most_of_it and not almost_all and (on > 0 or more):
            return False
        record, row = self.record, self.row[on][1]
        later, earlier = (window, row) if on > 0 else (row, window)
        reads = np.concatenate([record.reads[record.starts[op] : record.starts[op + 1]] for op in later])
        return bool(((reads >= earlier.min()) & (reads < later.min())).any())

    def other_weights(self, window: np.ndarray, clash: np.ndarray, order: list[int], new: dict[int, int]) -> bool:
        """True if an op among the new ones, or one that they read, would fit a free slot but for its weight. Then this is
        another layer, or the end of another loop."""
        operands = {x for i in new for x in self.record.reads[slice(*self.record.starts[window[i] + np.arange(2)])].tolist()}
        left = [i for i, op in enumerate(window.tolist()) if i not in new and (i < max(new) or op in operands)]
        taken = {*new.values()}
        return bool(clash[left][:, [c for c, slot in enumerate(order) if slot not in taken]].any())

    def take(self, n: int, on: int, window: np.ndarray, slots: dict[int, int]) -> None:
        """Put ops into iteration n. An op without a slot gets a new one."""
        step = self.steps.setdefault(n, {})
        place = len(self.order) - len(self.rest(1)) - 1 if on > 0 and n == self.last[1] else -1
        for i in range(len(window))[::on]:
            if i in slots:
                place = self.order.index(slots[i])
            else:
                slots, place = slots | {i: len(self.like)}, place + 1
                self.order.insert(place, len(self.like))
                self.like.append(int(window[i]))
            step[slots[i]] = int(window[i])
        self.edge[on] += on * len(window)


# -- helpers ---------------------------------------------------------------------------------------------------


def carries(sources: Sources) -> bool:
    return any(kind == CARRIED for kind, *_ in sources.values())


def aligned(fit: np.ndarray, turn: int, cost: int) -> list[tuple[int, int]]:
    """Pairs (op, slot) in rising order with the greatest sum of `fit[op, slot]`; an op that is left out costs SKIP, a slot
    nothing. A dynamic program, as for the longest common subsequence. Slots from `turn` on belong to the iteration after
    the next one; entering it costs `cost`, so that no iteration is split for a slightly better fit."""
    best = np.zeros((fit.shape[0] + 1, fit.shape[1] + 1), int)
    for i, row in enumerate(fit):
        np.maximum(best[i] - SKIP, -SKIP * fit.shape[0], out=best[i + 1])
        np.maximum(best[i + 1, 1:], best[i, :-1] + row, out=best[i + 1, 1:])
        np.maximum.accumulate(best[i + 1], out=best[i + 1])
    j = fit.shape[1] if best[:, -1].max() - cost > best[:, turn].max() else turn
    i = int(best[:, j].argmax())
    pairs = []
    while i and j:
        if best[i, j] == best[i, j - 1]:
            j -= 1
        elif best[i, j] == best[i - 1, j] - SKIP:
            i -= 1
        else:
            i, j = i - 1, j - 1
            pairs.append((i, j))
    return pairs[::-1]


def newest(rows: np.ndarray, i: int, ops: np.ndarray, *made: np.ndarray) -> tuple[Any, ...]:
    """The source of an operand of op i that several ops of the body make: it reads the newest result, up to some lag. Take
    the lag with the fewest exceptions."""
    read, has, inside, lags = made
    results = np.maximum.accumulate(rows[:, ops].max(1))
    trials = []
    for lag in np.unique(lags[inside])[:4].tolist():  # of T lags, only a short one can be meant
        earlier = max(lag, 1)
        expected = np.concatenate([np.full(min(earlier, len(rows)), -1), results[:-earlier]])
        if lag == 0 and (ops < i).any():
            expected = np.maximum(expected, rows[:, ops[ops < i]].max(1))
        wrong = np.where(inside, expected != read, has & (expected >= 0))
        trials.append((int(wrong.sum()), lag, np.flatnonzero(has & (~inside | wrong)).tolist()))
    _, lag, others = min(trials)
    return (CARRIED if lags[inside].any() else INSIDE), tuple(ops.tolist()), lag, others


def iterations(first: int, p: int, times: int) -> np.ndarray:
    return first + np.arange(p * times).reshape(times, p)


def runs(mask: np.ndarray, least: int = 1) -> list[tuple[int, int]]:
    """Runs (start, end) of a mask that are at least so long."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]))).reshape(-1, 2)
    return [(start, end) for start, end in edges[edges[:, 1] - edges[:, 0] >= least].tolist()]


def longest(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The longest run of rows that a mask allows."""
    a, b = max(runs(mask), key=lambda run: run[1] - run[0], default=(0, 0))
    return rows[a:b]


def distances(key: np.ndarray, position: np.ndarray, n: int) -> np.ndarray:
    """A count for each distance below `n`: how often equal keys are so far apart twice in a row. Of a key whose neighbours are
    at several distances, as with an op more at every third step, those of each second, of each third, ..."""
    order = np.argsort(key, kind="stable")
    position, which = position[order], np.cumsum(np.diff(key[order], prepend=key[order[:1]]) != 0)
    count, left = np.zeros(n + 1, int), np.arange(len(key))
    for m in range(1, 1 + UNLIKE):
        left = left[: np.searchsorted(left, len(key) - 2 * m)]
        left = left[which[left] == which[left + 2 * m]]
        gap = position[left + m] - position[left]
        again = (gap > 0) & (gap == position[left + 2 * m] - position[left + m])
        count += np.bincount(gap[again], minlength=len(count))
        share = np.bincount(which[left], again) * UNLIKE < (UNLIKE - 1) * np.bincount(which[left])
        left = left[share[which[left]]]
        if len(left) * UNLIKE < len(key):
            break
    return count


def flow(sources: Sources, body: list[Node]) -> tuple[list[list[int]], set[int]]:
    """For each op of the body those that it reads, below zero of an earlier iteration; and the states, without sums."""
    reads: list[list[int]] = [[] for _ in body]
    adds, states = {i for i, node in enumerate(body) if node.op.name in SUMS}, set()
    for (i, _), (kind, *what) in sources.items():
        if kind in (INSIDE, CARRIED):
            reads[i] += [j - len(body) * (kind == CARRIED) for j in what[0]]
            states |= {j for j in what[0] if kind == CARRIED and not {i, j} <= adds}
    return reads, states


def linked(group: list[int], reads: list[list[int]]) -> int:
    """The number of ops of a group that need the one before, by whatever way; the first one needs the last of the iteration
    before."""
    last, count, rank = [-1] * len(reads), 0, {i: number for number, i in enumerate(group)}
    for turn in range(2):
        count, before, last = 0, last, []
        for i, operands in enumerate(reads):
            last.append(max((last[j] if j >= 0 else before[j] for j in operands), default=-1))
            if i in rank:
                number = turn * len(group) + rank[i]
                count += last[i] == number - 1
                last[i] = number
    return count


def begun(group: list[int], live: np.ndarray, words: list[int]) -> list[int]:
    """The beginnings of steps that have one op of a group each: where the fewest values pass from one to the next."""
    begins = [0]
    for before, at in itertools.pairwise(group):
        places = range(before + 1, at + 1)
        begins.append(min(places, key=lambda c: (live[c], words[c] != words[0], abs(at - c - group[0]))))
    return begins


def evenly_fed(begins: list[int], enters: dict[int, int], group: set[int]) -> bool:
    """True if words that enter at an op of the group do so in all steps, or if none does."""
    words = {enters[i] for i in group if i in enters}
    return len({bisect.bisect(begins, i) for i, word in enters.items() if word in words}) in (0, len(begins))


def once_in_each(begins: list[int], group: set[int]) -> bool:
    """True if each of the steps that begin there has one op of the group."""
    return [bisect.bisect(begins, i) for i in sorted(group)] == [*range(1, 1 + len(begins))]


def needed(ops: Iterable[int], reads: list[list[int]]) -> set[int]:
    """These ops, and those that they read, by whatever way."""
    found, left = set[int](), [*ops]
    while left:
        i = left.pop() % len(reads)
        if i not in found:
            found.add(i)
            left += reads[i]
    return found


def reached(late: Iterable[int], reads: list[list[int]]) -> set[int]:
    """The ops `late`, and all that read them within the iteration."""
    found = set(late)
    for i, operands in enumerate(reads):
        if not found.isdisjoint(operands):
            found.add(i)
    return found


def alive(sources: Sources, p: int) -> np.ndarray:
    """A count for each op of the body: the values that would pass to the next iteration if iterations began there."""
    until: dict[int, int] = {}
    for (i, _), (kind, *what) in sources.items():
        if kind in (INSIDE, CARRIED):
            j, lag = what[0][0], 0 if kind == INSIDE else what[1]
            until[j] = max(until.get(j, 0), i + p * lag)
    turns = 1 + max(until.values(), default=0) // p
    change = np.zeros(turns * p + 1, int)
    np.add.at(change, np.array([*until], int) + 1, 1)
    np.add.at(change, np.array([*until.values()], int) + 1, -1)
    return change[:-1].cumsum().reshape(turns, p).sum(0)  # type: ignore[no-any-return]


def step_of(node: Node) -> Scope | None:
    """The scope of the time step that a node was made in."""
    place = node.scope
    while place is not None and place.name != "t":
        place = place.parent
    return place


def values_saved(node: Node) -> tuple[Any, ...]:
    return node.saved if isinstance(node.saved, tuple) else ()


def timeless(place: Scope | None, places: dict[Any, int]) -> int:
    """The number of a scope without its time step. `places` are the numbers so far."""
    if place not in places:
        assert place is not None
        key = timeless(place.parent, places), place.name, None if place.name == "t" else str(place.value)
        places[place] = places.setdefault(key, len(places))
    return places[place]


def signature(x: Any, moves: bool = False) -> Any:
    """The part of options that belongs to a word: not the integers of an index, nor the numbers in an array."""
    kind = type(x)
    if kind is int or x is None:
        return kind if moves else x
    if kind is slice:
        return signature(x.start, moves), signature(x.stop, moves), signature(x.step, moves)
    if kind is tuple:
        return tuple([signature(y, moves) for y in x])
    if kind is dict:
        return tuple([(key, signature(y, key == "index" or key == "indices")) for key, y in x.items()])
    if kind is list:  # of indices or bounds
        return len(x)
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype
    return kind if (moves and isinstance(x, np.integer)) or kind.__hash__ is None else (kind, x)
