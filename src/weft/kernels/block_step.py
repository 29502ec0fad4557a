"""One step of a stream: what a block along the streamed axis adds to the states of a stage.

Streamed values are computed where they are read, or stored as a block where several read them or a
contraction does; what has the same loops becomes one nest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from weft.kernels import ir
from weft.kernels.build import Output
from weft.kernels.drivers import changed, guarded, safe
from weft.kernels.masks import Mask
from weft.kernels.streams import fold_of
from weft.kernels.uses import OPERATION_NS, is_contraction
from weft.terms.affine import Affine, Axis, linearize, row_major
from weft.terms.liveness import loaded
from weft.terms.ops import OPS, result_dtype
from weft.terms.region import Def
from weft.terms.term import (
    Fold,
    Load,
    Map,
    Proj,
    Term,
    Value,
    postorder,
    rebind,
    replace_subterms,
    substitute,
)

if TYPE_CHECKING:
    from weft.kernels.blocked import Block, Range


class Step:
    """What one block along the streamed axis adds, for one stage."""

    def __init__(self, block: Block, stage: int, along: Range, open_: Sequence[Mask]) -> None:
        self.block = block
        #: Choices that are the same all over the block.
        self.settled: dict[Term, Term] = {m.choice: m.kept for m in open_}
        self.stream = block.stream
        self.stage = stage
        self.along = along
        #: Streamed values by their terms in this block, until they are stored somewhere.
        self.terms: dict[Value, Term] = {}
        #: What stands for a driver in the bodies of those that follow it.
        self.renamed: dict[Value, Value] = {}
        self.new: dict[Value, Value] = {}
        self.factors: dict[Term, Load] = {}
        self.groups: list[list[Output]] = []
        self.folded: list[set[Value]] = []
        self.contracted: list[bool] = []

    def body(self, states: Sequence[Def]) -> list[ir.Stmt]:
        stream, block = self.stream, self.block
        wanted = self.needed(states)
        for step in stream.steps:
            if stream.kind[step.value] == "streamed" and step.value in wanted:
                self.streamed(step, wanted)
            elif block.is_state(step, self.stage):
                self.state(step)
        body: list[ir.Stmt] = []
        for outputs in self.groups:
            body += block.group([self.with_packed(o) for o in outputs], self.along)
        moved = [
            block.stored(d, block.place[d.value], block.plain(d, self.new[d.value]), None)
            for d in states
            if d.value in self.new
        ]
        return body + (block.group(moved, self.along) if moved else [])

    def needed(self, states: Sequence[Def]) -> dict[Value, list[Def]]:
        """The streamed values that this stage needs, with those that read them."""
        return self.stream.streamed_for(states, self.stage)

    def streamed(self, step: Def, wanted: Mapping[Value, list[Def]]) -> None:
        """A streamed value: computed where it is read, or stored as a block."""
        term = self.term(step.term)
        readers = wanted[step.value]
        if self.stream.stage.get(step.value) == self.stage and step.value in self.stream.outputs:
            self.add(self.block.outputs_of(step, term, self.along), term)
        if not readers:
            return
        if not self.keeps(step, term, readers):
            self.terms[step.value] = term
            return
        value = self.block.block_of(step, self.along, step.value.name, step.value)
        self.add([self.block.stored(step, value, term, self.along)], term)

    def keeps(self, step: Def, term: Term, readers: Sequence[Def]) -> bool:
        """Whether a block of ``step`` is stored."""
        own = {a for a in step.axes if self.block.range_of(a, self.along) is None and a.extent > 1}
        folds = any(isinstance(t, Fold) for t in postorder(term))
        alone = len(readers) == 1
        if alone and not is_contraction(readers[0].term):
            folded = self.stream.folds_along(readers[0].term) or own
            return folds and bool(folded)
        dear = any(isinstance(t, Map) and t.op in OPERATION_NS for t in postorder(term))
        return folds or dear or not alone or any(is_contraction(r.term) for r in readers)

    def term(self, term: Term) -> Term:
        block = self.block
        if self.settled:
            term = replace_subterms(term, self.settled)
        axes, bound = block.positions(self.along)

        def load(t: Load) -> Term:
            step = self.stream.definition.get(t.value)
            if step is None:
                return t
            inlined = self.terms.get(t.value)
            if inlined is not None:
                at = {
                    a: i
                    for a, i in zip(step.axes, t.index, strict=True)
                    if block.range_of(a, self.along) is None and a.extent > 1
                }
                return substitute(inlined, at)
            value = self.renamed.get(t.value) or block.place[t.value]
            return block.read(step, value, t.index, self.along)

        return rebind(term, axes, bound, load)

    # -- states ------------------------------------------------------------------------------------

    def state(self, step: Def) -> None:
        """A state combined with the fold of this block."""
        stream, block = self.stream, self.block
        fold = fold_of(step.term)
        if fold.monoid.arity > 1:
            self.components(step, fold)
            return
        (term,) = self.added([step])
        place = block.place[step.value]
        old: Term = block.plain(step, place)
        if stream.drivers[step.value]:
            old = changed(old, stream.change[step.value], self.factor(step))
        (combined,) = fold.monoid.combine(_emit, (old,), (term,))
        if step.value not in stream.after:
            self.add([block.stored(step, place, combined, None)], term)
            return
        axes = block.inner_axes(step.axes, None)
        new = self.new[step.value] = block.private(f"{place.name}_new", axes, place.dtype)
        outputs = [block.stored(step, new, combined, None)]
        self.renamed[step.value] = new
        if safe(stream, step.value):
            shown = block.private(f"{place.name}_shown", axes, place.dtype)
            outputs.append(block.stored(step, shown, guarded(stream, step, combined), None))
            self.renamed[step.value] = shown
        self.add(outputs, term)

    def factor(self, step: Def) -> Term:
        """What a state changes by when its drivers move with this block, computed once."""
        block = self.block
        term = block.moved(step, self.ends)
        known = self.factors.get(term)
        if known is None:
            axes = tuple(sorted(term.axes - self.outside(), key=lambda a: block.rank(a, None)))
            value = block.private(f"{step.value.name}_moved", axes, term.dtype)
            index = tuple(map(Affine.of, axes))
            self.add([Output(value, tuple(reversed(axes)), index, term)], term)
            known = self.factors[term] = Load(value, index)
        return known

    def outside(self) -> set[Axis]:
        """The axes of the loops over blocks."""
        return {self.along.outer, *(r.outer for r in self.block.loops)}

    def added(self, several: Sequence[Def]) -> list[Term]:
        """What this block adds to the components of a fold, before drivers are looked at."""
        return [self.term(d.term) for d in several]

    def components(self, step: Def, own: Fold) -> None:
        """All components of a fold of several, once."""
        block = self.block
        steps: dict[int, Def] = {}
        for d in self.stream.steps:
            if isinstance(d.term, Proj) and d.term.fold == own:
                steps.setdefault(d.term.position, d)
        if step is not steps[0]:
            return
        several = [steps[n] for n in range(own.monoid.arity)]
        old = [block.plain(d, block.place[d.value]) for d in several]
        terms = self.added(several)
        new = own.monoid.combine(_emit, old, terms)
        outputs = [
            block.stored(d, block.place[d.value], t, None)
            for d, t in zip(several, new, strict=True)
        ]
        self.add(outputs, terms[0])

    def ends(self, driver: Def) -> tuple[Term, Term]:
        """A driver before and after this block."""
        block = self.block
        return (
            block.plain(driver, block.place[driver.value]),
            block.plain(driver, self.new[driver.value]),
        )

    # -- groups ------------------------------------------------------------------------------------

    def add(self, outputs: list[Output], term: Term) -> None:
        """Compute ``outputs`` in the loops of earlier ones if these allow, else after them.

        What folds give is there when the loops over a row are done: for what has no other loops.
        """
        contracted = self.contracts(term)
        reads = set().union(*(loaded(o.term) for o in outputs))
        for n in reversed(range(len(self.groups))):
            stored = {o.value: o for o in self.groups[n]}
            late = reads & self.folded[n] and any(self.moves(o) for o in outputs)
            late = late or (reads & stored.keys() and any(self.repeats(o) for o in outputs))
            if not (contracted or self.contracted[n] or late):
                self.groups[n] += [_forwarded(o, stored) for o in outputs]
                self._note(n, outputs)
                return
            if reads & stored.keys():
                break
        self.groups.append(list(outputs))
        self.folded.append(set())
        self.contracted.append(contracted)
        self._note(-1, outputs)

    def contracts(self, term: Term) -> bool:
        """Whether something is folded along other axes than the stream: a tile of its own."""
        return is_contraction(term) or self.block.sums(term, self.along)

    def moves(self, output: Output) -> bool:
        """Whether an output has loops or folds of its own inside those over the rows."""
        rows = {r.inner for r in self.block.rows}
        folds = any(isinstance(t, Fold) for t in postorder(output.term))
        return folds or any(a not in rows for a in output.axes)

    def repeats(self, output: Output) -> bool:
        """Whether an output has other loops than those of a row along the stream."""
        known = {self.along.inner, *(r.inner for r in self.block.rows)}
        return any(a not in known for a in output.axes)

    def _note(self, place: int, outputs: Iterable[Output]) -> None:
        for o in outputs:
            if any(isinstance(t, Fold) for t in postorder(o.term)):
                self.folded[place].add(o.value)

    # -- packing -----------------------------------------------------------------------------------

    def with_packed(self, output: Output) -> Output:
        """An output whose contraction reads packed blocks of what does not move with the stream."""
        block = self.block
        lane = block.lane
        if lane is None or not self.contracts(output.term):
            return output

        def load(t: Load) -> Term:
            moving = t.axes & {self.along.outer, self.along.inner}
            own = lane in t.axes and not moving and not t.sources
            if not own or t.value in block.place.values() or _contiguous(t, lane):
                return t
            return self.pack(t)

        return replace(output, term=substitute(output.term, {}, load))

    def pack(self, t: Load) -> Load:
        block = self.block
        found = block.packed.get(t)
        if found is not None:
            return found
        assert block.lane is not None
        rest = sorted(t.axes - self.outside() - {block.lane}, key=lambda a: a.serial)
        axes = (*rest, block.lane)
        value = block.private(f"{t.value.name}_packed", axes, t.dtype)
        fresh = tuple(Axis(a.name, a.extent) for a in axes)
        mapping = dict(zip(axes, map(Affine.of, fresh), strict=True))
        loops = (fresh[-1], *fresh[:-1])
        output = Output(value, loops, tuple(map(Affine.of, fresh)), substitute(t, mapping))
        block.before += block.group([output])
        made = block.packed[t] = Load(value, tuple(map(Affine.of, axes)))
        return made


def _contiguous(t: Load, axis: Axis) -> bool:
    return linearize(t.index, row_major(t.value.shape)).coefficient(axis) == 1


def _emit(name: str, *args: Term) -> Term:
    kinds = tuple(a.dtype for a in args)
    return Map(name, args, result_dtype(name, kinds) if name in OPS else kinds[0])


def _forwarded(output: Output, stored: Mapping[Value, Output]) -> Output:
    """``output`` with what the same loops store put in its place."""

    def load(t: Load) -> Term:
        source = stored.get(t.value)
        if source is None or source.index != t.index or source.value in loaded(source.term):
            return t
        return source.term

    return replace(output, term=substitute(output.term, {}, load))
