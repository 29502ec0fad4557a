"""Lanes as vectors of one thread, in languages that have vector types.

Where a device is a processor with vectors, a block of threads is run one after the other, and what
a kernel wants side by side had better be said. A tile of numbers with a lane axis is then a few
variables of vector type, for the operations that the language has for vectors: arithmetic, loads
and stores of neighbours, folds. For everything else its elements are scalars, as without lanes.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from weft.codegen.clike import KernelText, Lowering, Position, Where, positions
from weft.codegen.dialect import Dialect
from weft.kernels import ir
from weft.kernels.ir import Buffer, Kernel, Var
from weft.terms.affine import Affine, Axis, linearize
from weft.terms.ops import result_dtype

#: Elements of the widest vector of any language here, and of narrower ones.
WIDTHS = (16, 8, 4, 2)
#: Operations of floats that are written for vectors as they are for scalars.
_ALIKE = frozenset({"add", "sub", "mul", "div", "neg", "fma", "abs", "sqrt", "floor", "ceil"})


class VectorDialect(Dialect):
    """What a language with vectors spells besides."""

    #: Types that there are vectors of.
    vectors: ClassVar[frozenset[np.dtype]]

    @abstractmethod
    def vector(self, dtype: np.dtype, width: int, parts: Sequence[str]) -> str:
        """A vector of scalars: one for all elements, or one each."""

    @abstractmethod
    def define_vector(
        self, name: str, dtype: np.dtype, width: int, value: str, mutable: bool = False
    ) -> str:
        """A local variable of vector type."""

    @abstractmethod
    def element(self, vector: str, number: int) -> str:
        """One element of a named vector."""

    @abstractmethod
    def half(self, vector: str, upper: bool) -> str:
        """The lower or upper half of a named vector."""

    @abstractmethod
    def load_vector(self, width: int, place: str) -> str:
        """``width`` neighbours in memory, the first of which is ``place``."""

    @abstractmethod
    def store_vector(self, width: int, place: str, value: str) -> str:
        """The statement that stores them."""


def emit_vectors(kernel: Kernel, dialect: VectorDialect) -> KernelText:
    """``kernel`` for one thread, its lanes as vectors."""
    return _Vectors(kernel, dialect).emit()


class _Vectors(Lowering):
    """Tiles are vectors where `wide_values` has them, by position and number of the vector."""

    dialect: VectorDialect

    def __init__(self, kernel: Kernel, dialect: VectorDialect) -> None:
        super().__init__(kernel.evolve(lanes=frozenset()), dialect)
        self.width = {a: next((w for w in WIDTHS if a.extent % w == 0), 1) for a in kernel.lanes}
        self.wide_values: dict[Var, dict[Position, str]] = {}

    def lane(self, var: Var) -> Axis | None:
        """The axis along which ``var`` can be vectors."""
        if var.dtype not in self.dialect.vectors:
            return None
        return next((a for a in var.axes if self.width.get(a, 1) > 1), None)

    # -- values ------------------------------------------------------------------------------------

    def rest(self, axes: Sequence[Axis], lane: Axis) -> tuple[Axis, ...]:
        return tuple(a for a in axes if a is not lane)

    def value(self, var: Var, where: Where) -> str:
        vectors = self.wide_values.get(var)
        if vectors is None:
            return super().value(var, where)
        lane = self.lane(var)
        assert lane is not None
        number, place = divmod(where[lane], self.width[lane])
        key = (*(where[a] for a in self.rest(var.axes, lane)), number)
        return self.dialect.element(vectors[key], place)

    def vector(self, var: Var, where: Where, lane: Axis, number: int) -> str:
        """Elements ``number·width …`` of ``var`` along ``lane``, the same where it has no lane."""
        width = self.width[lane]
        if lane not in var.axes:
            return self.dialect.vector(var.dtype, width, [self.value(var, where)])
        vectors = self.wide_values.get(var)
        if vectors is not None:
            return vectors[(*(where[a] for a in self.rest(var.axes, lane)), number)]
        elements = range(number * width, (number + 1) * width)
        parts = [self.value(var, {**where, lane: n}) for n in elements]
        return self.dialect.vector(var.dtype, width, parts if len(set(parts)) > 1 else parts[:1])

    def vectors_of(
        self, axes: Sequence[Axis], lane: Axis
    ) -> list[tuple[Position, dict[Axis, int], int]]:
        """Positions of a tile, as vectors: with their numbers last."""
        count = lane.extent // self.width[lane]
        found = []
        for position, where in positions(self.rest(axes, lane)):
            found += [((*position, number), where, number) for number in range(count)]
        return found

    def define_vector(self, var: Var, key: Position, text: str, lane: Axis) -> None:
        name = self.name(var, key)
        self.line(self.dialect.define_vector(name, var.dtype, self.width[lane], text))
        self.wide_values.setdefault(var, {})[key] = name

    # -- statements --------------------------------------------------------------------------------

    def map(self, stmt: ir.Map) -> None:
        out = stmt.out
        lane = self.lane(out)
        alike = stmt.op in _ALIKE and all(a.dtype == out.dtype for a in stmt.args)
        if stmt.op == "splat":  # scalars stay scalars until they meet vectors
            alike = lane in stmt.args[0].axes
        if lane is None or out.dtype.kind != "f" or not alike:
            super().map(stmt)
            return
        for key, where, number in self.vectors_of(out.axes, lane):
            args = [self.vector(a, where, lane, number) for a in stmt.args]
            if stmt.op == "splat":
                self.wide_values.setdefault(out, {})[key] = args[0]
                continue
            text = self.dialect.operation(stmt.op, args, out.dtype, out.dtype)
            self.define_vector(out, key, text, lane)

    def open_carry(self, carry: ir.Carry) -> dict[Position, str]:
        lane = self.lane(carry.var)
        if lane is None:
            return super().open_carry(carry)
        names: dict[Position, str] = {}
        for key, where, number in self.vectors_of(carry.var.axes, lane):
            names[key] = self.name(carry.var, key)
            init = self.vector(carry.init, where, lane, number)
            self.line(
                self.dialect.define_vector(
                    names[key], carry.var.dtype, self.width[lane], init, mutable=True
                )
            )
        self.wide_values[carry.var] = names
        return names

    def updates(self, carry: ir.Carry) -> list[tuple[Position, str]]:
        lane = self.lane(carry.var)
        if lane is None:
            return super().updates(carry)
        return [
            (key, self.vector(carry.update, where, lane, number))
            for key, where, number in self.vectors_of(carry.var.axes, lane)
        ]

    def define_moved(self, carry: ir.Carry, name: str, value: str) -> str:
        lane = self.lane(carry.var)
        if lane is None:
            return super().define_moved(carry, name, value)
        return self.dialect.define_vector(name, carry.var.dtype, self.width[lane], value)

    def close_carry(self, carry: ir.Carry, names: dict[Position, str]) -> None:
        if self.lane(carry.var) is None:
            super().close_carry(carry, names)
        else:
            self.wide_values[carry.result] = names

    # -- folds -------------------------------------------------------------------------------------

    def fold(self, stmt: ir.Fold) -> None:
        """Sums along lanes: vectors first, then halves onto halves."""
        (arg, *others), (out, *_) = stmt.args, stmt.outs
        lane = self.lane(arg)
        along = lane in stmt.over
        plain = not others and stmt.monoid.name == "add" and arg.dtype.kind == "f"
        if lane is None or not plain or (not along and lane not in out.axes):
            super().fold(stmt)
            return
        over = tuple(a for a in stmt.over if a is not lane)
        numbers = range(lane.extent // self.width[lane])
        self.values[out] = {}
        for position, where in positions(self.rest(out.axes, lane)):
            found = [
                [self.vector(arg, {**where, **inner}, lane, n) for _, inner in positions(over)]
                for n in numbers
            ]
            if not along:
                for n, parts in zip(numbers, found, strict=True):
                    total = self.added(parts, arg.dtype, self.width[lane])
                    self.wide_values.setdefault(out, {})[(*position, n)] = total
                continue
            width = self.width[lane]
            total = self.added([p for parts in found for p in parts], arg.dtype, width)
            while width > 1:
                width //= 2
                lower, upper = (self.dialect.half(total, up) for up in (False, True))
                total = self.sum_of(lower, upper, arg.dtype, width)
            self.values[out][position] = total

    def added(self, parts: list[str], dtype: np.dtype, width: int) -> str:
        while len(parts) > 1:
            pairs = zip(parts[::2], parts[1::2], strict=False)
            odd = parts[len(parts) - len(parts) % 2 :]
            parts = [self.sum_of(a, b, dtype, width) for a, b in pairs] + odd
        if not parts[0].isidentifier():
            name = self.names.fresh("c0")
            self.line(self.dialect.define_vector(name, dtype, width, parts[0]))
            return name
        return parts[0]

    def sum_of(self, a: str, b: str, dtype: np.dtype, width: int) -> str:
        name = self.names.fresh("c0")
        text = self.dialect.operation("add", (a, b), dtype, result_dtype("add", (dtype, dtype)))
        if width == 1:
            self.line(self.dialect.define(name, dtype, text))
        else:
            self.line(self.dialect.define_vector(name, dtype, width, text))
        return name

    # -- memory ------------------------------------------------------------------------------------

    def neighbours(self, buffer: Buffer, index: Sequence[Affine], lane: Axis) -> bool:
        """Whether elements along ``lane`` lie side by side, at a place that depends on nothing
        that differs from lane to lane."""
        address = linearize(index, buffer.element_strides)
        within = [d.numerator for d in address.divisions()]
        sources = [d.source for d in address.dynamics()]
        return (
            address.is_affine_in(lane)
            and address.coefficient(lane) == 1
            and not any(lane in n.axes() for n in within)
            and not any(lane in s.axes for s in sources)
        )

    def load(self, stmt: ir.Load) -> None:
        lane = self.lane(stmt.out)
        if lane is None or stmt.guards or not self.neighbours(stmt.buffer, stmt.index, lane):
            super().load(stmt)
            return
        varies = self.varying(stmt)
        done: dict[Position, str] = {}
        rest = self.rest(stmt.out.axes, lane)
        for key, where, number in self.vectors_of(stmt.out.axes, lane):
            own = (*(n for a, n in zip(rest, key, strict=False) if a in varies), number)
            if own not in done:
                at = {**where, lane: number * self.width[lane]}
                place, _ = self.place(stmt.buffer, stmt.index, at)
                text = self.dialect.load_vector(self.width[lane], place)
                self.define_vector(stmt.out, key, text, lane)
                done[own] = self.wide_values[stmt.out][key]
            self.wide_values.setdefault(stmt.out, {})[key] = done[own]

    def store(self, stmt: ir.Store) -> None:
        axes = self.store_axes(stmt)
        lane = next((a for a in axes if self.width.get(a, 1) > 1), None)
        plain = not stmt.guards and stmt.predicate is None
        if (
            lane is None
            or not plain
            or stmt.value.dtype not in self.dialect.vectors
            or not self.neighbours(stmt.buffer, stmt.index, lane)
        ):
            super().store(stmt)
            return
        for _, where, number in self.vectors_of(axes, lane):
            at = {**where, lane: number * self.width[lane]}
            place, _ = self.place(stmt.buffer, stmt.index, at)
            value = self.vector(stmt.value, where, lane, number)
            self.line(self.dialect.store_vector(self.width[lane], place, value))
