"""The kernel language: loop nests over named axes whose statements work on tiles.

A kernel reads and writes buffers.  Its body is structured SSA: every variable is a *tile*, a small
block of scalars with named tile axes (a scalar has none), assigned once; loops carry tiles::

    kernel ::= params, scratch, lanes, body
    stmt   ::= For(axis, lo, hi, step, kind, carries, body, yields, results, where, unless)
             | Const(out, value) | Iota(out, affine)
             | Load(out, buffer, index, guards)  | Store(buffer, index, value, guards)
             | Map(out, op, args)        elementwise, broadcast by axis name
             | Fold(outs, monoid, over, args)    reduction of tile axes
             | Barrier                   all threads of the launch meet

Index expressions are `Affine` over loop axes (the loop's current value) and tile axes (the position
inside the tile).  A loop that is split has the outer loop's axis step by the tile: element ``j``
of an array is ``j0 + t`` with loop axis ``j0`` and tile axis ``t``.  `Dynamic` atoms hold a `Var`
and are clamped, so every access is provably inside its buffer; `Guard`s restrict an access to a
range of an affine expression (elements outside are not touched; loads give zero there).

Where a tile lives is decided by `Kernel.lanes`: a tile axis in ``lanes`` lies across vector lanes
(threads of a block on a GPU), every other tile axis is unrolled over registers.  A variable has
at most one lane axis.  The same kernel is printed, checked, interpreted in NumPy, and turned into
code for every target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import field, replace
from typing import Any

import numpy as np

from weft.core.extents import larger
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.dots import MatrixUnit
from weft.terms.monoids import Monoid

_var_ids = itertools.count()


@struct(eq=False)
class Buffer:
    """Memory a kernel sees.

    ``role`` is ``input`` (read only), ``output`` (written; may be read back after its write),
    ``inout`` (read and written in place) or ``scratch``.  A scratch buffer has a ``level``:
    ``thread`` (one private copy per thread: a staged row or panel) or ``shared`` (one for the
    launch). Elements lie in row-major order of ``shape`` unless ``strides`` (in elements) says
    otherwise.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    role: str = "input"
    level: str = "thread"
    strides: tuple[int, ...] | None = None

    @property
    def element_strides(self) -> tuple[int, ...]:
        from weft.terms.affine import row_major

        return self.strides if self.strides is not None else row_major(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def extent(self) -> int:
        """Elements spanned in memory."""
        if 0 in self.shape:
            return 0
        return 1 + sum((d - 1) * s for d, s in zip(self.shape, self.element_strides, strict=True))

    def __repr__(self) -> str:
        return self.name


class Var:
    """A tile: ``dtype`` and named tile axes (none for a scalar); assigned exactly once."""

    __slots__ = ("axes", "dtype", "name")

    def __init__(self, dtype: np.dtype, axes: tuple[Axis, ...] = (), name: str = "") -> None:
        self.dtype = dtype
        self.axes = axes
        self.name = name or f"t{next(_var_ids)}"

    def __repr__(self) -> str:
        return self.name


@struct(frozen=True)
class Guard:
    """The access happens only where ``lo <= expr < hi``."""

    expr: Affine
    lo: int
    hi: int


@struct(eq=False)
class Const:
    """``out = value``: the same scalar in every element of the tile."""

    out: Var
    value: Any


@struct(eq=False)
class Iota:
    """``out = expr``, element by element; the same along tile axes that ``expr`` does not have."""

    out: Var
    expr: Affine


@struct(eq=False)
class Load:
    """``out = buffer[index…]``, the same along tile axes that the index does not have; zero where a
    guard fails.

    ``streaming`` marks data that will not be read again soon.
    """

    out: Var
    buffer: Buffer
    index: tuple[Affine, ...]
    guards: tuple[Guard, ...] = ()
    streaming: bool = False


@struct(eq=False)
class Store:
    """``buffer[index…] = value``; the value is broadcast over tile axes that only the index has.

    ``predicate`` (a bool tile) and the guards restrict which elements are written.  ``streaming``
    asks for non-temporal stores.
    """

    buffer: Buffer
    index: tuple[Affine, ...]
    value: Var
    guards: tuple[Guard, ...] = ()
    predicate: Var | None = None
    streaming: bool = False


@struct(eq=False)
class Map:
    """``out = op(args…)`` elementwise; the tile axes of ``out`` are the union of the arguments'.

    Besides the operations of `weft.terms.ops`: ``splat`` broadcasts its argument to the axes of
    ``out``.
    """

    out: Var
    op: str
    args: tuple[Var, ...]


@struct(eq=False)
class Fold:
    """Reduce tile axes ``over``: ``outs`` are tuples' components over the remaining axes."""

    outs: tuple[Var, ...]
    monoid: Monoid
    over: tuple[Axis, ...]
    args: tuple[Var, ...]


@struct(eq=False)
class Carry:
    """A loop-carried tile: ``var`` in the body starts as ``init``, becomes ``update`` for the next
    iteration, and is ``result`` after the loop."""

    var: Var
    init: Var
    update: Var
    result: Var


@struct(eq=False)
class For:
    """``for axis in range(lo, hi, step)``; ``kind`` is ``serial``, ``parallel`` (iterations are
    independent and spread over threads or workgroups; carries nothing) or ``unroll``.

    A serial loop may leave iterations out: it goes through those in which all guards of ``where``
    hold, and not all of ``unless`` (if there are any), expressions of its axis and of those around.

    ``hi - lo`` is a multiple of ``step``: remainders are loops of their own.  ``fold`` names the
    monoid when the loop is a reduction of its carries (so that a schedule may split it): one or
    more folds side by side, each with ``fold.arity`` consecutive carries.  ``unit`` is the matrix
    unit that runs it, instead of vector instructions; it means the same (`weft.kernels.matrix` says
    which loops can).
    """

    axis: Axis
    lo: int
    hi: int
    step: int
    body: list[Stmt]
    kind: str = "serial"
    carries: tuple[Carry, ...] = ()
    fold: Monoid | None = None
    where: tuple[Guard, ...] = ()
    unless: tuple[Guard, ...] = ()
    unit: MatrixUnit | None = None

    @property
    def trip(self) -> int:
        trip = (self.hi - self.lo) // self.step
        return trip if type(trip) is int and trip >= 0 else larger(0, trip)


@struct(eq=False)
class Barrier:
    """Every thread of the launch waits for the others; only outside parallel loops."""


Stmt = Const | Iota | Load | Store | Map | Fold | For | Barrier


@struct(eq=False)
class Kernel:
    """One launch: buffers in call order (inputs before outputs), private scratch, and the body.

    Statements outside parallel loops are executed by every thread of the launch with the same
    result. With ``vectors``, blocks of a grid have one thread each, and lanes are those of its
    vectors.
    """

    name: str
    params: tuple[Buffer, ...]
    scratch: tuple[Buffer, ...]
    body: list[Stmt]
    lanes: frozenset[Axis] = frozenset()
    notes: dict[str, Any] = field(default_factory=dict)
    vectors: bool = False

    def evolve(self, **changes: Any) -> Kernel:
        """A copy with some fields replaced (bodies are shared; operations never mutate)."""
        return replace(self, **changes)


# Made once: a union takes longer to make than to look something up in.
_OF_ONE = Const | Iota | Load | Map
_OF_ARGUMENTS = Map | Fold


def outputs_of(stmt: Stmt) -> tuple[Var, ...]:
    """Variables that ``stmt`` defines for the statements after it."""
    if isinstance(stmt, _OF_ONE):
        return (stmt.out,)
    if isinstance(stmt, Fold):
        return stmt.outs
    if isinstance(stmt, For):
        return tuple(c.result for c in stmt.carries)
    return ()


def index_vars(index: tuple[Affine, ...]) -> tuple[Var, ...]:
    """Variables read by the dynamic atoms of an index."""
    return tuple(d.source for i in index for d in i.dynamics())


def inputs_of(stmt: Stmt) -> tuple[Var, ...]:
    """Variables that ``stmt`` itself reads (for loops: their initial values only)."""
    if isinstance(stmt, _OF_ARGUMENTS):
        return stmt.args
    if isinstance(stmt, Load):
        return index_vars((*stmt.index, *(g.expr for g in stmt.guards)))
    if isinstance(stmt, Store):
        extra = () if stmt.predicate is None else (stmt.predicate,)
        return (stmt.value, *extra, *index_vars((*stmt.index, *(g.expr for g in stmt.guards))))
    if isinstance(stmt, Iota):
        return index_vars((stmt.expr,))
    if isinstance(stmt, For):
        return tuple(c.init for c in stmt.carries)
    return ()


def walk(body: list[Stmt]) -> Iterator[Stmt]:
    """Every statement, outer before inner, in order."""
    stack: list[Iterator[Stmt]] = [iter(body)]
    while stack:
        for stmt in stack[-1]:
            yield stmt
            if isinstance(stmt, For):
                stack.append(iter(stmt.body))
                break
        else:
            stack.pop()


def loops(body: list[Stmt]) -> Iterator[For]:
    """Every loop, outer before inner."""
    return (s for s in walk(body) if isinstance(s, For))
