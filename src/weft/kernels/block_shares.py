"""Few rows: parts of the streamed axis are computed side by side, and their states combined.

::

    parallel over rows, parts: states of the part; stored in shared scratch
    barrier
    parallel over rows:
      states = identities
      for each part: states combined with those of the part, both rescaled to where drivers are
      rows; outputs
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from weft.kernels import ir
from weft.kernels.block_step import Step
from weft.kernels.build import Output
from weft.kernels.drivers import changed
from weft.kernels.schedule.errors import ScheduleError
from weft.terms.affine import Affine, Axis
from weft.terms.region import Def
from weft.terms.term import Load, Term, Value

if TYPE_CHECKING:
    from weft.kernels.blocked import Block, Builder, Range


class Shares:
    """The two phases of a stream of one stage, for all rows."""

    def __init__(self, builder: Builder, rows: Sequence[tuple[Range, ...]]) -> None:
        self.builder = builder
        self.stream = builder.stream
        self.rows = rows
        stream, blocks = self.stream, builder.blocks
        if stream.stages > 1 or any(stream.kind[v] == "streamed" for v in stream.outputs):
            raise ScheduleError("only states of one stage can be computed in shares")
        extent = stream.along.extent
        blocks_of_share = -(-extent // (blocks.along * blocks.shares))
        #: Iterations of a share; the last one may have fewer.
        self.length = blocks_of_share * blocks.along
        self.whole, self.left = divmod(extent, self.length)
        count = self.whole + (self.left > 0)
        self.states = [d for d in stream.steps if stream.kind[d.value] == "state"]
        #: The states of each share.
        self.parts: dict[Value, Value] = {}
        for step in self.states:
            value = Value(f"{step.value.name}_parts", (count, *step.value.shape), step.value.dtype)
            builder.nests.declare(value, "scratch", "shared")
            self.parts[step.value] = value

    def body(self) -> list[ir.Stmt]:
        from weft.kernels.blocked import Block, Range, in_parallel

        body: list[ir.Stmt] = []
        name = self.stream.along.name
        for rows in self.rows:
            if self.whole:
                own = tuple(r.again() for r in rows)
                share = Range(Axis(f"{name}s", self.whole), None, 0, self.whole, 1)
                block = Block(self.builder, own, share)
                part = self.part(block, share.position, self.length)
                body += in_parallel(block.loops, part)
            if self.left:
                own = tuple(r.again() for r in rows)
                block = Block(self.builder, own)
                body += in_parallel(own, self.part(block, Affine((), self.whole), self.left))
        body.append(ir.Barrier())
        for rows in self.rows:
            own = tuple(r.again() for r in rows)
            body += in_parallel(own, self.together(Block(self.builder, own)))
        return body

    def part(self, block: Block, number: Affine, length: int) -> list[ir.Stmt]:
        """The states of one share, stored."""
        from weft.kernels.blocked import Range

        body = block.group([block.identity(d) for d in self.states])
        start = number * self.length
        for along in Range.over(self.stream.along, block.blocks.along, length, start):
            body += block.trips(self.states, 0, along)
        for step in self.states:
            axes, index = block.element(step)
            term = block.plain(step, block.place[step.value])
            body += block.group([Output(self.parts[step.value], axes, (number, *index), term)])
        return [*block.before, *body]

    def together(self, block: Block) -> list[ir.Stmt]:
        """All shares of a row combined, and what follows."""
        from weft.kernels.blocked import Range

        body = block.group([block.identity(d) for d in self.states])
        count = self.parts[self.states[0].value].shape[0]
        share = Range(Axis(f"{self.stream.along.name}s", count), None, 0, count, 1)
        body.append(share.loop(_Merge(block, share, self.parts).body(self.states), "serial"))
        return [*body, *block.finished(self.states, 0), *block.states_stored()]


class _Merge(Step):
    """What one share adds: states of its own, instead of folds over a block."""

    def __init__(self, block: Block, share: Range, parts: dict[Value, Value]) -> None:
        super().__init__(block, 0, share, ())
        self.parts = parts

    def needed(self, states: Sequence[Def]) -> dict[Value, list[Def]]:
        """No streamed values."""
        return {}

    def added(self, several: Sequence[Def]) -> list[Term]:
        """The states of the share, as they are where the drivers are now."""
        found: list[Term] = []
        for step in several:
            term: Term = self.own(step)
            if self.stream.drivers[step.value]:
                by = self.block.moved(step, self.here)
                term = changed(term, self.stream.change[step.value], by)
            found.append(term)
        return found

    def own(self, step: Def) -> Load:
        """A state of the share."""
        _, index = self.block.element(step)
        return Load(self.parts[step.value], (self.along.position, *index))

    def here(self, driver: Def) -> tuple[Term, Term]:
        """A driver in the share, and where it is after it."""
        return self.own(driver), self.block.plain(driver, self.new[driver.value])
