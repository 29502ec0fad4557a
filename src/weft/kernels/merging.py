"""Which stored definitions share a kernel: those over the same loops that feed one another.

What a group of definitions is like is kept at hand and put together when two groups become one, so
that each possible merger is judged by what the groups are, not by their terms.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from weft.core.extents import rank
from weft.kernels.fusion import Choice
from weft.kernels.groups import Groups, Member
from weft.kernels.uses import MAX_NODES, is_contraction, own_folds, share_loops
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.liveness import loaded
from weft.terms.region import Def, Scatter
from weft.terms.term import FOLDS, FUSES, SCANS, Load, Term, Value, postorder

#: For each dimension read the place of the loop that walks it, or -1: how a definition reads.
Order = tuple[int, ...]


@struct
class _Facts:
    """A group of definitions: what decides whether it can join another.

    ``size`` are the operators to compute for each element. ``loops`` are the extents of the loops
    of all members, ``extents`` the same whatever their order; None where members differ. ``reads``
    says in which orders stored values are read, ``by_rows`` what the rows read that it reads.
    ``contraction`` says that it is one and nothing else.
    """

    size: int
    folds: bool
    scatters: bool
    fuses: bool
    contraction: bool
    loops: tuple[int, ...] | None
    extents: tuple[int, ...] | None
    reads: dict[Value, dict[Order, None]]
    by_rows: dict[Value, None]

    @property
    def elementwise(self) -> bool:
        """Whether it computes each element on its own, in a pass over memory."""
        return not self.folds and not self.scatters


def merge(choice: Choice, inlined: Mapping[Value, Def], wanted: Container[Value]) -> Groups:
    """Group stored definitions that share their loops and feed one another element by element."""
    return _Merger(choice, inlined, wanted).run()


def reads_of(step: Member, inlined: Mapping[Value, Def]) -> set[Value]:
    """The values that a stored step or a row reads."""
    if isinstance(step, Scatter):
        return loaded(*step.terms) | {step.operand}
    return loaded(inlined[step.value].term)


def loops_of(step: Member, choice: Choice) -> list[tuple[int, int]]:
    """The loops of a definition: places of its axes, and their extents."""
    return [(step.axes.index(a), a.extent) for a in choice.order.get(step.value, step.axes)]


class _Merger:
    def __init__(
        self, choice: Choice, inlined: Mapping[Value, Def], wanted: Container[Value]
    ) -> None:
        self.choice = choice
        self.inlined = inlined
        self.wanted = wanted
        #: The values that each step reads element by element, in some order of its loops.
        self.streams: dict[Value, list[Value]] = {}
        #: What each step is by itself, and what each group is.
        self.own = {s.value: self.facts_of(s) for s in choice.stored}
        reads = {v: {**f.reads, **f.by_rows} for v, f in self.own.items()}
        self.groups = Groups(choice.stored, reads)
        self.facts = {self.groups.of[v]: f for v, f in self.own.items()}

    def facts_of(self, step: Member) -> _Facts:
        """A step alone; also notes what it streams."""
        loops = tuple(a.extent for a in step.axes)
        extents = tuple(sorted(loops, key=rank))
        if isinstance(step, Scatter):
            reads: dict[Value, dict[Order, None]] = {v: {} for v in reads_of(step, self.inlined)}
            self.streams[step.value] = []
            size = len(postorder(step.update))
            by_rows = self.read_by_rows(reads)
            return _Facts(size, False, True, False, False, loops, extents, reads, by_rows)
        term = self.inlined[step.value].term
        order = postorder(term)
        loads = [t for t in order if isinstance(t, Load)]
        places: dict[Affine, int] = {Affine.of(a): n for n, a in enumerate(step.axes)}
        everywhere = sorted(places.values())
        reads = {}
        streamed: dict[Value, None] = {}
        for t in loads:
            found = tuple(places.get(i, -1) for i in t.index)
            reads.setdefault(t.value, {})[found] = None
            if sorted(found) == everywhere:
                streamed[t.value] = None
        self.streams[step.value] = [v for v in streamed if v in self.inlined]
        return _Facts(
            len(order),
            bool(term.holds & (FOLDS | SCANS)),
            False,
            bool(term.holds & FUSES),
            is_one_contraction(term),
            loops,
            extents,
            reads,
            self.read_by_rows(reads),
        )

    def read_by_rows(self, reads: Iterable[Value]) -> dict[Value, None]:
        """What the rows among ``reads`` read, and the rows those read: it is stored before."""
        found: set[Value] = set()
        stack = [v for v in reads if v in self.choice.rows]
        while stack:
            new = reads_of(self.inlined[stack.pop()], self.inlined) - found
            found |= new
            stack.extend(v for v in new if v in self.choice.rows)
        return dict.fromkeys(sorted(found, key=lambda v: v.name))

    def run(self) -> Groups:
        steps = [s.value for s in self.choice.stored if isinstance(s, Def)]
        # Elementwise groups first: a contraction then gets all of its consumers as one epilogue.
        for value in steps:
            self.join_sources(value, contractions=False)
        for value in steps:
            if self.own[value].contraction:
                self.join_consumers(value)
            self.join_sources(value, contractions=True)
        for x, y in self.choice.joined:
            self.join_wished(x, y)
        return self.groups

    # -- along what is read element by element -----------------------------------------------------

    def join_sources(self, value: Value, contractions: bool) -> None:
        """Let the group of ``value`` take in those of what it reads element by element."""
        groups = self.groups
        for source in self.streams[value]:
            a, b = groups.of.get(source), groups.of[value]
            if a is None or a == b or self.own[source].folds != contractions:
                continue
            if self.fits(a, b) and self.joins(a, b, source) and not groups.path_around(a, b):
                self.merge(a, b)

    def fits(self, a: int, b: int) -> bool:
        """Whether groups are small enough for one kernel, and ``b`` reads no row made of ``a``.

        A row is filled from memory, before anything of its kernel is there.
        """
        if self.facts[a].size + self.facts[b].size > MAX_NODES:
            return False
        return not any(self.groups.of.get(v) == a for v in self.facts[b].by_rows)

    def joins(self, a: int, b: int, source: Value) -> bool:
        """Whether ``a``, whose ``source`` is read by ``b``, can share its loops."""
        first, second = self.facts[a], self.facts[b]
        if not second.elementwise or first.extents is None or first.extents != second.extents:
            return False
        orders = second.reads[source]
        straight = tuple(range(len(first.extents)))
        if first.contraction:
            # The consumers become the contraction's epilogue; in another order only if it has no
            # reader besides them, for it is then not stored at all.
            if len(orders) > 1 or second.fuses:
                return False
            kept = source in self.wanted or self.groups.is_read_outside(source, (a, b))
            return straight in orders or not kept
        return first.elementwise and all(o.keys() == {straight} for o in self.orders(b, a))

    def orders(self, b: int, a: int) -> Iterator[dict[Order, None]]:
        """In which orders ``b`` reads each of the values of ``a`` that it reads."""
        reads, members = self.facts[b].reads, self.groups.members[a]
        if len(members) < len(reads):
            yield from (reads[s.value] for s in members if s.value in reads)
        else:
            yield from (orders for v, orders in reads.items() if self.groups.of.get(v) == a)

    def merge(self, a: int, b: int) -> int:
        """Make two groups one; returns its number."""
        first, second = self.facts.pop(a), self.facts.pop(b)
        few, many = sorted((first.reads, second.reads), key=len)
        for value, orders in few.items():
            many[value] = {**many.get(value, {}), **orders}
        group = self.groups.merge(a, b)
        self.facts[group] = _Facts(
            first.size + second.size,
            first.folds or second.folds,
            first.scatters or second.scatters,
            first.fuses or second.fuses,
            False,
            first.loops if first.loops == second.loops else None,
            first.extents if first.extents == second.extents else None,
            many,
            {**first.by_rows, **second.by_rows},
        )
        return group

    def join_consumers(self, contraction: Value) -> None:
        """Let elementwise consumers of a contraction share a kernel, even if none reads another."""
        groups = self.groups
        first: int | None = None
        for reader in list(groups.readers_of(contraction)):
            group = groups.of[reader]
            if contraction in self.own[reader].by_rows or not self.facts[group].elementwise:
                continue
            if first is None or first == group:
                first = group
                continue
            one, other = self.facts[first], self.facts[group]
            if one.loops is None or one.loops != other.loops or one.size + other.size > MAX_NODES:
                continue
            if not groups.path_around(first, group) and not groups.path_around(group, first):
                first = self.merge(first, group)

    # -- as wished ---------------------------------------------------------------------------------

    def join_wished(self, x: Value, y: Value) -> None:
        """Put the groups of two values into one kernel if that is possible."""
        groups = self.groups
        a, b = groups.of[x], groups.of[y]
        if a == b:
            return
        # What lies between them has to come along.
        chain = [a, *groups.between(a, b), *groups.between(b, a), b]
        if self.side_by_side([s for g in chain for s in groups.members[g]]):
            # The last two first: then nothing is between those that become one.
            *rest, last = groups.placed(chain)
            for group in reversed(rest):
                last = self.merge(group, last)

    def side_by_side(self, members: Sequence[Member]) -> bool:
        """Whether definitions can be one kernel over shared outer loops, whatever they read.

        The loops of each must be the outermost ones of the longest.  What one reads of another is
        computed on the way, so it must belong to the same iteration of the loops that they share.
        """
        choice, own = self.choice, [self.own[s.value] for s in members]
        if any(f.scatters for f in own):
            return False
        contractions = [s for s in members if self.own[s.value].contraction]
        if contractions and not self.share_a_nest(members):
            return False
        if any(self.inlined[s.value].term.holds & SCANS for s in members):
            return False
        if sum(f.size for f in own) > MAX_NODES:
            return False
        longest = max(members, key=lambda s: len(s.axes))
        ordered = [s for s in members if s.value in choice.order]
        if ordered and any(len(s.axes) < len(longest.axes) for s in members):
            return False
        loops = {s.value: loops_of(s, choice) for s in members}
        if any(of_one != loops[longest.value][: len(of_one)] for of_one in loops.values()):
            return False
        if any(loops.keys() & reads_of(self.inlined[v], self.inlined) for v in choice.rows):
            return False  # a row is filled from memory, before anything of this kernel is there
        return all(
            self.in_step(s, t)
            for s in members
            for t in postorder(self.inlined[s.value].term)
            if isinstance(t, Load) and t.value in loops
        )

    def share_a_nest(self, members: Sequence[Member]) -> bool:
        """Whether members are contractions that read an operand once for all."""
        first, *rest = (self.inlined[s.value].term for s in members)
        same = all(s.axes and self.own[s.value].contraction for s in members)
        shapes = {self.own[s.value].loops for s in members}
        return same and len(shapes) == 1 and all(share_loops(first, t) for t in rest)

    @staticmethod
    def in_step(step: Member, load: Load) -> bool:
        """Whether ``step`` reads what the same iteration of its loops computes."""
        pairs: Iterable[tuple[Affine, Axis]] = zip(load.index, step.axes, strict=False)
        return all(i == Affine.of(a) or a.extent <= 1 for i, a in pairs)


def is_one_contraction(term: Term) -> bool:
    """Whether a term is a contraction and what is done to its elements, and nothing else."""
    if term.holds & SCANS:
        return False
    return is_contraction(term) and len(own_folds(term)) == 1
