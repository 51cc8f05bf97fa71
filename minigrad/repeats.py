"""What repeats in a record of ops: its iterations, as rows of numbers. `loops.py` makes tables of them.

1. Each op becomes a number, its word: op, shape, dtype, options (but not the integers of an index), scope (but not t).
   Each operand becomes the number of the op, or the leaf, that made it.
2. A period is a distance at which a word reads the same operand, or follows the same words, three times in a row.
3. A stretch is a part of the record that stays the same when it is moved by a period: the words are equal, and each
   operand is the same node (a weight) or the node one period later (a state).
4. A stretch is cut into iterations: at a new t, else where fewest values go from one iteration to the next.
5. It grows at both ends, one iteration at a time: further ops are matched with the ops of the body. An iteration may lack
   some ops, and may have ops that the body did not have yet.

Scopes help where they exist, and no step depends on them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .graph import Node, Scope

LEAST = 3  # iterations in a row that make a loop
FEWEST = 7  # ops that a loop spares
PERIODS = 48  # how many periods are tried
STARTS = 4  # how many beginnings of a first iteration are tried
WIDTH, WIDE = 8, 200  # of the search for the best reading of an iteration; bodies of more ops get none
LEAP = 128  # iterations taken at once
INSIDE, CARRIED, INVARIANT, PER_STEP, ANY = "inside", "carried", "invariant", "per step", "any"
Place = tuple[int, int]  # operand k of op i of the body
Sources = dict[Place, tuple[Any, ...]]  # a table for each operand, in numbers of ops


class Record:
    """Ops as numbers: `words[i]` tells the kind of op i, and `reads[starts[i]:starts[i + 1]]` who made its operands:
    the number of an op, or below zero that of a leaf or a Python number."""

    def __init__(self, ops: list[Node], shapes: bool = True) -> None:
        self.ops, self.n = ops, len(ops)
        at = {node: i for i, node in enumerate(ops)}
        known: dict[Any, int] = {}
        places: dict[Scope | None, Any] = {}
        words, reads, firm, counts = [], [], [], []
        for node in ops:
            place = node.scope
            if place not in places:
                places[place] = timeless(place)
            operands, options = node.operands, node.options
            size = (node.shape, node.dtype, len(operands)) if shapes else None
            word = (node.op, size, places[place], signature(options) if options and shapes else None)
            words.append(known.setdefault(word, len(known)))
            counts.append(len(operands))
            for x in operands:
                if isinstance(x, Node):
                    made = at.get(x)
                    reads.append(~known.setdefault(x, len(known)) if made is None else made)
                    firm.append(x.requires_grad)  # a change of it is no chance
                else:
                    reads.append(~known.setdefault((type(x), repr(x)), len(known)))
                    firm.append(False)
        self.trainable = {~number for x, number in known.items() if isinstance(x, Node) and x.requires_grad}
        self.words, self.reads, self.firm = np.array(words, int), np.array(reads, int), np.array(firm, bool)
        self.starts = np.concatenate([[0], np.cumsum(counts)]).astype(int)
        self.owner = np.repeat(np.arange(self.n), np.array(counts, int))
        self.taken = np.zeros(self.n, np.int8)  # 1 by a map, 2 by a loop

    # -- periods and stretches ---------------------------------------------------------------------------------

    def periods(self) -> list[int]:
        """Distances at which a word reads the same operand, or reads the same words, three times in a row."""
        if self.n < 2 * LEAST - 1:
            return [1] if self.n >= LEAST else []
        k = np.arange(len(self.reads)) - self.starts[self.owner]
        made = np.where(self.reads >= 0, self.words[np.maximum(self.reads, 0)], -1)
        mixed = (made + 2) * (2 * k + 3) * 0x9E3779B97F4A7C1  # wraps: a hash
        below = np.zeros(self.n, int)
        np.add.at(below, self.owner, mixed * (mixed >> 7))
        low = self.reads.min(initial=0)
        same = (self.words[self.owner] * (k.max(initial=0) + 1) + k) * (self.n - low) + self.reads - low
        counts = distances(same, self.owner) + distances(below * 31 + self.words, np.arange(self.n))
        best = np.argsort(-counts * np.arange(len(counts)), kind="stable")[:PERIODS]
        return [int(p) for p in best if counts[p]]

    def stretches(self, p: int) -> Iterator[tuple[int, int]]:
        """Stretches of at least three periods that begin after whatever they read again and again."""
        for start, end in self.repeats(p):
            lo, hi = self.starts[start], self.starts[max(end - p, start)]
            move = self.starts[min(start + p, self.n)] - lo
            old, new = self.reads[lo:hi], self.reads[lo + move : hi + move]
            start = max(start, 1 + int(old[old == new].max(initial=-1)))
            if end - start >= LEAST * p:
                yield start, end

    def repeats(self, p: int) -> Iterator[tuple[int, int]]:
        """Where every op does what the op p before it did, with operands as before (1), moved on by p (2), or others (0)."""
        for start, end in runs(self.words[p:] == self.words[:-p]):
            end += p
            if end - start < LEAST * p:
                continue
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
                    continue  # all from outside, or constants and numbers, which may come twice by chance
                if before:
                    yield begin, op + 2 * p
                begin = max(begin, op + 1 - p * ((before, after) == (0, 2)))  # the first iteration reads an initial value
            yield begin, end

    # -- the search --------------------------------------------------------------------------------------------

    def loops(self) -> list[tuple[np.ndarray, bool]]:
        """The rows of loops that do not overlap, and whether they carry something. A map gives way where a loop grows."""
        heap = [(p - (end - start) // p * p, p, start, end) for p in self.periods() for start, end in self.stretches(p)]
        heapq.heapify(heap)
        found: list[tuple[np.ndarray, bool]] = []
        while heap:
            _, p, start, end = heapq.heappop(heap)
            if self.taken[start:end].any():  # what is left of it, if it is enough
                for a, b in runs(self.taken[start:end] == 0):
                    if b - a >= LEAST * p:
                        heapq.heappush(heap, (p - (b - a) // p * p, p, start + a, start + b))
                continue
            rows, sources = self.cut(start, end, p)
            if sources is None:
                continue
            carries = any(kind == CARRIED for kind, *_ in sources.values())
            if carries and (len(rows) - 1) * p < FEWEST:
                continue
            if carries:
                rows = self.flat(rows, sources)
            self.taken[rows[rows >= 0]] = 1 + carries
            found.append((rows, carries))
        kept = [(rows if carries else longest(rows, (self.taken[rows] == 1).all(1)), carries) for rows, carries in found]
        return sorted((x for x in kept if len(x[0]) >= LEAST), key=lambda x: int(x[0].max()))

    def few(self) -> Iterator[np.ndarray]:
        """The rows of one time step or two, too few to be found: as their scopes say. They may be no loop."""
        places: dict[Any, dict[Scope, list[int]]] = {}
        for op in np.flatnonzero(self.taken == 0).tolist():
            t = step_of(self.ops[op])
            if t is not None:
                places.setdefault(timeless(self.ops[op].scope), {}).setdefault(t, []).append(op)
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

    def cut(self, start: int, end: int, p: int) -> tuple[np.ndarray, Sources | None]:
        """A stretch as iterations: begun at a new t, else where fewest values go from one iteration to the next."""
        first, times = self.aligned(start, end, p)
        rows = iterations(first, p, times)
        sources = self.sources(rows) if times >= LEAST else None
        while sources is None and first < start + p and (end - first - 1) // p >= LEAST:
            first, times = first + 1, (end - first - 1) // p  # the stretch may begin with an op of what was before
            rows = iterations(first, p, times)
            sources = self.sources(rows)
        if sources is not None and step_of(self.ops[first]) is None:
            live = alive(sources, p)
            move = int(np.argmin(live))
            if live[move] < live[0] and (fewer := (end - first - move) // p) >= LEAST:
                moved = iterations(first + move, p, fewer)
                better = self.sources(moved)
                if better is not None:
                    return moved, better
        return rows, sources

    def aligned(self, start: int, end: int, p: int) -> tuple[int, int]:
        """Where the first iteration begins, and how many there are: at a new t, or after a first one that lacks some ops."""
        t = [step_of(node) for node in self.ops[start + p - 1 : start + 2 * p]]  # of the second period: the first may lack ops
        turns = [start + i for i in range(p) if t[i + 1] is not t[i]]
        if t[-1] is not None and len(turns) == 1:
            times = (end - turns[0]) // p
            last = turns[0] + times * p
            return turns[0], times - (last < self.n and step_of(self.ops[last]) is step_of(self.ops[last - 1]))
        j = min(self.before(start, start, p), default=0)
        j *= (end - start) % p > 0 and (end - start - j) // p >= (end - start) // p - 1
        return start + j, (end - start - j) // p

    def before(self, stop: int, first: int, p: int) -> dict[int, int]:
        """Ops right before `stop` that are ops of the body (the p from `first` on) in its order: position -> number."""
        found: dict[int, int] = {}
        place = p
        for i in range(stop - 1, max(stop - p, -1), -1):
            for j in range(place - 1, -1, -1) if self.taken[i] < 2 else ():
                a, b = first + j, first + j + p
                if self.words[i] == self.words[a]:
                    x, y, z = (self.reads[self.starts[c] : self.starts[c + 1]] for c in (i, a, b))
                    if (x[y == z] == y[y == z]).all():  # the same weights
                        found[j], place = i, j
                        break
            else:
                break
        return found

    # -- what the operands of a body read ----------------------------------------------------------------------

    def sources(self, rows: np.ndarray, strict: bool = True) -> Sources | None:
        """Where each operand of the body comes from; None if rows are no loop: if an operand fits no table, or if each
        iteration has weights of its own. `strict` allows no iteration that begins anew."""
        lo, hi = int(rows[rows >= 0].min()), int(rows.max()) + 1
        slot, turn = np.full(hi - lo, -1), np.full(hi - lo, -1)
        turns, slots = np.nonzero(rows >= 0)
        slot[rows[turns, slots] - lo], turn[rows[turns, slots] - lo] = slots, turns
        found: Sources = {}
        own = shared = False
        for i in range(rows.shape[1]):
            there = np.flatnonzero(rows[:, i] >= 0)
            first = self.starts[rows[there, i]]
            for k in range(len(self.ops[rows[there[0], i]].operands)):
                x = self.reads[first + k]
                weight = bool(x[0] < 0 and self.firm[first[0] + k])
                within = (x >= lo) & (x < hi)
                if within.any():
                    source = self.newest(rows, (i, there), (x, within), (slot[x[within] - lo], turn[x[within] - lo]), strict)
                    if source is None:
                        return None
                    found[i, k] = source
                elif (x == x[0]).all():
                    found[i, k] = INVARIANT, int(x[0])
                    shared |= weight
                else:
                    found[i, k] = (PER_STEP,)
                    own |= weight
        carried = [source[3] for source in found.values() if source[0] == CARRIED]
        once = bool(carried) and len(rows) >= LEAST and all(len(others) >= len(rows) - 1 for others in carried)  # by chance
        return None if once or (own and not shared) else found

    def newest(self, rows: np.ndarray, reader: Any, read: Any, made: Any, strict: bool) -> tuple[Any, ...] | None:
        """An operand made within the loop as INSIDE or CARRIED: by which ops, how late, and where iterations read others."""
        (i, there), (x, within), (slots, turns) = reader, read, made
        back = there[within] - turns
        lag = int(back[0])
        if (slots == slots[0]).all() and (back == lag).all() and there[~within].max(initial=-1) < lag:  # as in most loops
            return (CARRIED if lag else INSIDE), (int(slots[0]),), lag, there[~within].tolist()
        ops = np.unique(slots)
        results = np.maximum.accumulate(rows[:, ops].max(1))
        best: tuple[Any, ...] | None = None
        for lag in np.unique(back)[:4].tolist():
            earlier = max(lag, 1)
            expected = np.concatenate([np.full(min(earlier, len(rows)), -1), results[:-earlier]])
            if lag == 0 and (ops < i).any():
                expected = np.maximum(expected, rows[:, ops[ops < i]].max(1))
            expected = expected[there]
            wrong = int((expected[within] != x[within]).sum() + (expected[~within] >= 0).sum())
            if best is None or wrong < best[0]:
                best = wrong, lag, there[~within | (expected != x)].tolist()
        assert best is not None
        wrong, lag, others = best
        if wrong and strict:
            return None
        return (CARRIED if back.any() else INSIDE), tuple(ops.tolist()), lag, others

    def within(self, rows: np.ndarray) -> tuple[Record, np.ndarray]:
        """The fullest iteration as a record of its own, and the numbers of its ops in this one."""
        fullest = rows[int((rows >= 0).sum(1).argmax())]
        ops = fullest[fullest >= 0]
        return Record([self.ops[i] for i in ops]), ops

    # -- growing -----------------------------------------------------------------------------------------------

    def flat(self, rows: np.ndarray, sources: Sources) -> np.ndarray:
        """A loop grown at both ends; or, where its body is little more than one inner loop that goes on from one iteration
        to the next, that loop: a layer's backward pass, in which gradients are gathered every 64 steps."""
        p = rows.shape[1]
        record, ops = self.within(rows[len(rows) // 2 :][:1])
        for at, carries in record.loops() if p >= 2 * LEAST else ():
            inner = np.where(at >= 0, ops[at], -1)
            usual = inner[len(inner) // 2] >= 0
            core = longest(inner[:, usual], ((inner >= 0) == usual).all(1))
            if not carries or len(core) < LEAST or (p - core.size) * 8 > p:
                continue
            inside = self.sources(core)
            if inside is not None:
                grown = Growth(self, core, inside).rows()
                if grown[grown >= 0].min() <= rows.min() and grown.max() >= rows.max():
                    return grown
        return Growth(self, rows, sources).rows()


class Trial(NamedTuple):
    """Ops tried as one iteration. `found` tells of each op its slot, None for a further op."""

    score: int = 0  # 2 for each op that fits, -1 for each further op, and in the end for each op of the core that lacks
    rank: int = -1  # of the last slot
    found: tuple[tuple[int, int | None], ...] = ()
    step: dict[int, int] = {}  # slot -> op
    slots: dict[int, int] = {}  # op -> slot
    core: int = 0  # how many of them are of the core


class Growth:
    """A loop that grows at both ends, iteration by iteration. Slots are the ops of its body: those of the core, and more."""

    def __init__(self, record: Record, core: np.ndarray, sources: Sources) -> None:
        self.record, self.core = record, core
        self.times, self.p = map(int, core.shape)
        self.start, self.end = int(core[0, 0]), int(core[-1, -1]) + 1  # of all iterations so far
        self.low, self.high = 0, self.times
        self.steps: dict[int, dict[int, int]] = {}  # iteration -> slot -> op, for all that is not in the core
        self.home: dict[int, tuple[int, int]] = {}  # op -> iteration, slot
        self.order = list(range(self.p))  # the slots as they follow each other in the body
        self.expects: list[list[tuple[Any, ...]]] = [[] for _ in self.order]  # of each operand of a slot
        for (i, _), (kind, *what) in sources.items():
            inside = kind in (INSIDE, CARRIED)
            self.expects[i].append((CARRIED, what[0][0], what[1] if kind == CARRIED else 0) if inside else (kind, *what))
        self.like = core[self.times // 2].tolist()
        self.words = Counter(record.words[core[0]].tolist())
        self.shared = {what[0] for kind, *what in sources.values() if kind == INVARIANT} & record.trainable
        self.trial: dict[int, int] = {}  # op -> slot, in an iteration that is tried
        self.most = 2 * self.p + 16 if self.p > 2 else 0  # further slots
        self.lag = max(what[1] for each in self.expects for kind, *what in each if kind == CARRIED)
        self.sort()

    def sort(self) -> None:
        """Bring ranks, and the slots of each word, up to date with `order`."""
        self.rank = {slot: rank for rank, slot in enumerate(self.order)}
        self.alike: dict[int, list[int]] = {}
        for slot in self.order:
            self.alike.setdefault(int(self.record.words[self.like[slot]]), []).append(slot)

    def op(self, n: int, slot: int) -> int | None:
        """The op of a slot in an iteration."""
        if 0 <= n < self.times and slot < self.p:
            return int(self.core[n, slot])
        return self.steps.get(n, {}).get(slot)

    def step(self, n: int) -> dict[int, int]:
        """All ops of an iteration, by their slots."""
        core = dict(enumerate(self.core[n].tolist())) if 0 <= n < self.times else {}
        return core | self.steps.get(n, {})

    def further(self, x: int) -> bool:
        """Whether an op is none of the core's body: it is in a slot that was added, or will be."""
        if 0 <= x - int(self.core[0, 0]) < self.core.size:
            return False
        return self.trial.get(x, self.home.get(x, (0, self.p))[1]) >= self.p

    def fits(self, op: int, slot: int, n: int) -> bool:
        """Whether an op reads what its slot reads, as far as that exists in iteration n and those before."""
        record = self.record
        first, like = record.starts[op], record.starts[self.like[slot]]
        for k, (kind, *what) in enumerate(self.expects[slot]):
            x = int(record.reads[first + k])
            if kind == INVARIANT:
                if x != what[0] and (x >= 0 or what[0] >= 0 or record.firm[first + k] or record.firm[like + k]):
                    return False
            elif x in self.shared:
                return False
            elif kind == ANY:
                continue
            elif kind == PER_STEP:
                if x >= self.start:
                    return False
            elif (made := self.op(n - what[1], what[0])) is None:  # an initial value, or what stands in for it
                initial, shape = record.ops[op].operands[k], record.ops[self.like[slot]].operands[k].shape
                old = x < self.start or x < min(self.step(max(n - what[1] - 1, self.low)).values(), default=0)
                if (old and n - what[1] >= self.low < n) or getattr(initial, "shape", ()) != shape:
                    return False
            elif x != made and not (x > made and self.further(x)):
                return False
        return True

    def matches(self, op: int, n: int, rank: int) -> list[int]:
        """The slots after a rank that an op fits in; first those whose reading from outside moves on evenly."""
        slots = [s for s in self.alike.get(int(self.record.words[op]), ()) if self.rank[s] > rank and self.fits(op, s, n)]
        return sorted(slots, key=lambda slot: not self.even(op, slot, n)) if len(slots) > 1 else slots

    def even(self, op: int, slot: int, n: int) -> bool:
        """Whether what an op reads from outside is as far from that of the iteration before as that was from the one before."""
        on = -1 if n < 0 else 1
        one, two = self.op(n - on, slot), self.op(n - 2 * on, slot)
        starts, reads = self.record.starts, self.record.reads
        return (
            one is not None
            and two is not None
            and all(
                bool(reads[starts[op] + k] - reads[starts[one] + k] == reads[starts[one] + k] - reads[starts[two] + k])
                for k, (kind, *_) in enumerate(self.expects[slot])
                if kind == PER_STEP
            )
        )

    def possible(self, start: int, stop: int | None) -> bool:
        """Whether the words of the ops from `start` on are enough for an iteration."""
        words = Counter(self.record.words[start : start + self.p + self.most if stop is None else stop].tolist())
        return 3 * sum(min(count, words[word]) for word, count in self.words.items()) >= self.p

    def read(self, n: int, start: int, stop: int | None, width: int) -> Trial:
        """The best reading of the ops from `start` on (up to `stop` if there is one) as iteration n: a beam search."""
        trials, best = [Trial()], Trial(-self.record.n)
        for op in range(start, self.record.n if stop is None else stop):
            if self.record.taken[op] > 1 or not trials:
                break
            new = [each for trial in trials for each in self.branches(trial, op, n, stop, width)]
            one_a_rank = {trial.rank: trial for trial in sorted(new, key=lambda t: t.score)}  # the best
            trials = sorted(one_a_rank.values(), key=lambda t: (-t.score, t.rank))[:width]
            for trial in trials:
                if trial.found[-1][1] is not None if stop is None else op + 1 == stop:
                    best = max(best, trial._replace(score=trial.score - self.p + trial.core), key=lambda t: t.score)
        self.steps.pop(n, None)
        return best

    def branches(self, trial: Trial, op: int, n: int, stop: int | None, width: int) -> Iterator[Trial]:
        """A trial with one op more: in a slot, or as a further op, if the next iteration does not begin here."""
        self.steps[n], self.trial = trial.step, trial.slots
        slots = self.matches(op, n, trial.rank)
        for slot in slots[:width]:
            found = (*trial.found, (op, slot))
            core = trial.core + (slot < self.p)
            yield Trial(trial.score + 2, self.rank[slot], found, trial.step | {slot: op}, trial.slots | {op: slot}, core)
        if not slots and stop is None and trial.step and self.matches(op, n + 1, -1):
            return
        if (not slots or width > 1) and len(trial.found) - len(trial.step) < self.most + self.p - len(self.order):
            yield trial._replace(score=trial.score - 1, found=(*trial.found, (op, None)))

    def take(self, n: int, starts: list[int], stop: int | None) -> bool:
        """Make the ops from one of `starts` on iteration n, if they fit."""
        before = self.low, self.start
        starts = [start for start in starts if self.possible(start, stop)]
        for width in (1, WIDTH) if self.p <= WIDE else (1,):  # a wide search where the narrow one finds too little
            trials = []
            for start in starts:
                self.low, self.start = min(n, before[0]), min(start, before[1])
                trials.append((self.read(n, start, stop, width), start))
                if trials[-1][0].core == len(trials[-1][0].found) == self.p:
                    break
            trials.sort(key=lambda each: -each[0].score)
            starts = [start for _, start in trials[:STARTS]]
            for trial, start in trials[:STARTS]:
                self.low, self.start = min(n, before[0]), min(start, before[1])
                self.steps[n], self.trial = dict(trial.step), trial.slots
                if 4 * trial.core >= 3 * self.p * (width == 1) and self.holds(n, trial):
                    self.put(n, trial, behind=stop is None)
                    return True
                del self.steps[n]
        self.low, self.start = before
        self.trial = {}
        return False

    def holds(self, n: int, trial: Trial) -> bool:
        """Whether iteration n has enough of the body and is linked with its neighbour, and the later of both fits."""
        known = trial.core
        further = len(trial.found) - len(trial.step)
        most_of_it = 3 * known >= self.p and 3 * further <= known
        if not most_of_it and (5 * known < 4 * self.p or further > 3 * known):
            return False
        if any(slot is None and self.other_weights(op, trial) for op, slot in trial.found):
            return False
        reader = n + (n == self.low)
        ops = self.step(reader)
        earliest = min(self.step(max(reader - 1 - self.lag, self.low)).values())
        reads, starts, begin = self.record.reads, self.record.starts, min(ops.values())
        linked = False
        for op in (*ops.values(), *(op for op, _ in trial.found)):
            read = [x for x in reads[starts[op] : starts[op + 1]].tolist() if x >= self.start]
            linked = linked or any(x < begin for x in read)
            if read and max(read) < earliest:
                return False  # of an iteration long ago, such as the output of one layer in another
        return linked and all(self.fits(op, slot, reader) for slot, op in ops.items())

    def other_weights(self, op: int, trial: Trial) -> bool:
        """Whether an op does with a weight what a slot without an op does with another: this is another layer."""
        record = self.record
        reads = record.reads[record.starts[op] : record.starts[op + 1]].tolist()
        for slot in self.alike.get(int(record.words[op]), ()):
            for x, (kind, *what) in zip(reads, self.expects[slot], strict=True) if slot not in trial.step else ():
                if kind == INVARIANT and x != what[0] and x in record.trainable and what[0] in record.trainable:
                    return True
        return False

    def put(self, n: int, trial: Trial, behind: bool) -> None:
        """Keep a trial as iteration n. Further ops at its beginning belong to the iteration before, unless t is that of n."""
        self.trial = {}
        self.home |= {op: (n, slot) for slot, op in trial.step.items()}
        t = step_of(self.record.ops[min(trial.step.values())])
        last: int | None = None
        for op, slot in trial.found:
            if slot is not None:
                last = slot
            elif last is None and behind and (t is None or step_of(self.record.ops[op]) is not t):
                self.add(op, n - 1, self.order[-1])
            else:
                last = self.add(op, n, last)
        self.end = max(self.end, trial.found[-1][0] + 1)

    def add(self, op: int, n: int, after: int | None) -> int:
        """Put an op into iteration n, in a new slot that follows slot `after`."""
        record, slot = self.record, len(self.like)
        self.steps.setdefault(n, {})[slot] = op
        self.home[op] = n, slot
        self.like.append(op)
        self.order.insert(0 if after is None else self.rank[after] + 1, slot)
        expects: list[tuple[Any, ...]] = []
        for k in range(record.starts[op], record.starts[op + 1]):
            x = int(record.reads[k])
            inside = x - int(self.core[0, 0])
            at = divmod(inside, self.p) if 0 <= inside < self.core.size else self.home.get(x)
            initial = (INVARIANT, x) if x in record.trainable else (PER_STEP,) if x < 0 else (ANY,)
            expects.append((CARRIED, at[1], n - at[0]) if at else initial)
        self.expects.append(expects)
        self.sort()
        return slot

    def leap(self, n: int) -> int:
        """Take at once the iterations after n (before it, if it is below zero) that do as n did, which did as its neighbour."""
        step, on = self.step(n), -1 if n < 0 else 1
        q, first = len(step), min(step.values())
        if step.keys() != self.step(n - on).keys() or max(step.values()) - first + 1 != q:
            return 0
        moves = np.array(
            [kind != INVARIANT for _, slot in sorted((op, s) for s, op in step.items()) for kind, *_ in self.expects[slot]]
        )
        count = more = self.repeated(first + on * q, q, on, moves)
        while more == LEAP:
            more = self.repeated(first + on * q * (count + 1), q, on, moves)
            count += more
        for m in range(1, count + 1):
            self.steps[n + on * m] = {slot: op + on * q * m for slot, op in step.items()}
            self.home |= {op + on * q * m: (n + on * m, slot) for slot, op in step.items()}
        self.start, self.end = min(self.start, first + on * q * count), max(self.end, first + q + on * q * count)
        return count

    def repeated(self, start: int, q: int, on: int, moves: np.ndarray) -> int:
        """How many iterations of q ops, the first one at `start`, do as their neighbours: LEAP at most."""
        record = self.record
        lo, hi = (start, min(start + LEAP * q, record.n)) if on > 0 else (max(start + q - LEAP * q, 0), max(start + q, 0))
        if lo >= hi:
            return 0
        same = (record.words[lo:hi] == record.words[lo - on * q : hi - on * q]) & (record.taken[lo:hi] < 2)
        wrong = np.flatnonzero(~same)
        if len(wrong):
            lo, hi = (lo, lo + int(wrong[0])) if on > 0 else (lo + int(wrong[-1]) + 1, hi)
        if lo >= hi:
            return 0
        first, last = record.starts[lo], record.starts[hi]
        before = record.starts[lo - on * q]
        new, old = record.reads[first:last], record.reads[before : before + last - first]
        moves = np.tile(moves, LEAP + 1)[: len(new)] if on > 0 else np.tile(moves, LEAP + 1)[-len(new) :]
        outside = (new < self.start) & (old < self.start)
        fits = (new - old == on * q) & ~outside | outside & ((new == old) | moves & ((new >= 0) | ~record.firm[first:last]))
        wrong = record.owner[first:last][~fits]
        if len(wrong):
            lo, hi = (lo, int(wrong[0])) if on > 0 else (int(wrong[-1]) + 1, hi)
        return max(hi - lo, 0) // q

    def finish(self, n: int) -> None:
        """Give the last iteration the ops that follow it and that others have there."""
        rank = max(self.rank[slot] for slot in self.step(n))
        while self.end < self.record.n and self.record.taken[self.end] < 2:
            self.steps.setdefault(n, {})
            slots = self.matches(self.end, n, rank)
            if not slots:
                return
            self.steps[n][slots[0]] = self.end
            self.home[self.end] = n, slots[0]
            rank, self.end = self.rank[slots[0]], self.end + 1

    def starts(self) -> list[int]:
        """Where an iteration before the first one may begin: at its t; else at an op that begins others, first where the
        iteration would be as long as the next one."""
        record, stop = self.record, self.start
        earliest = max(stop - self.p - self.most, 0)
        t = step_of(record.ops[stop - 1]) if stop else None
        if t is not None:
            return [next((i + 1 for i in range(stop - 1, earliest - 1, -1) if step_of(record.ops[i]) is not t), earliest)]
        words = {int(record.words[self.like[slot]]) for slot in self.order[: max(3, self.p // 4)]}
        likely = max(stop - len(self.step(self.low)), 0)
        return [i for i in (likely, *range(earliest, stop)) if int(record.words[i]) in words] if stop else []

    def rows(self) -> np.ndarray:
        """The rows of the loop when it has grown as far as it can."""
        while self.take(self.low - 1, self.starts(), self.start):
            self.low -= self.leap(self.low)
        self.finish(self.high - 1)
        while self.end < self.record.n and self.take(self.high, [self.end], None):
            self.finish(self.high)
            self.high += 1 + self.leap(self.high)
            self.finish(self.high - 1)
        rows = np.full((self.high - self.low, len(self.order)), -1)
        rows[-self.low : self.times - self.low, [self.rank[slot] for slot in range(self.p)]] = self.core
        for n, step in self.steps.items():
            for slot, op in step.items():
                rows[n - self.low, self.rank[slot]] = op
        return rows if self.record.sources(rows, strict=False) is not None else self.core


# -- small parts -----------------------------------------------------------------------------------------------


def iterations(first: int, p: int, times: int) -> np.ndarray:
    return first + np.arange(p * times).reshape(times, p)


def runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """Where a mask is true, as (start, end)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def longest(rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The longest run of rows that a mask allows."""
    a, b = max(runs(mask), key=lambda run: run[1] - run[0], default=(0, 0))
    return rows[a:b]


def distances(key: np.ndarray, position: np.ndarray) -> np.ndarray:
    """How often equal keys are so far apart, and so far again."""
    order = np.argsort(key, kind="stable")
    key, position = key[order], position[order]
    gap = np.diff(position, prepend=0)
    gap[1:][key[1:] != key[:-1]] = 0
    gap[:1] = 0
    again = (gap[1:] == gap[:-1]) & (gap[1:] > 0)
    return np.bincount(gap[1:][again], minlength=int(position.max(initial=0)) + 2)


def alive(sources: Sources, p: int) -> np.ndarray:
    """How many values are still to be read where iterations would begin at op i of the body."""
    until: dict[int, int] = {}
    for (i, _), (kind, *what) in sources.items():
        if kind in (INSIDE, CARRIED):
            j, lag = what[0][0], 0 if kind == INSIDE else what[1]
            until[j] = max(until.get(j, 0), i + p * lag)
    count = np.zeros(p, int)
    for j, i in until.items():
        count[np.arange(j + 1, i + 1) % p] += 1
    return count


def step_of(node: Node) -> Scope | None:
    """The scope of the time step that a node was made in."""
    place = node.scope
    while place is not None and place.name != "t":
        place = place.parent
    return place


def timeless(place: Scope | None) -> Any:
    """A scope without its time step."""
    return tuple((s.name, None if s.name == "t" else str(s.value)) for s in place) if place else None


def signature(x: Any, moves: bool = False) -> Any:
    """The part of options that belongs to a word: not the integers of an index, nor the numbers in an array."""
    if isinstance(x, dict):
        return tuple((key, signature(y, key in ("index", "indices"))) for key, y in x.items())
    if isinstance(x, list):  # of indices or bounds
        return len(x)
    if isinstance(x, tuple):
        return tuple(signature(y, moves) for y in x)
    if isinstance(x, slice):
        return "slice", signature((x.start, x.stop, x.step), moves)
    if isinstance(x, np.ndarray):
        return x.shape, x.dtype
    return type(x) if (moves and isinstance(x, int | np.integer)) or x.__hash__ is None else (type(x), x)
