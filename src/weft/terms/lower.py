"""From jaxprs to terms: every equation becomes a view of its operands or a definition.

An array is a function on its index space. A :class:`Tensor` is such a function: a value (or a
constant) read through an affine index map. Equations that only move elements around (transpose,
reshape, slice, reverse, broadcast) give a tensor with a composed map and no code at all; every
other equation gives a `Def` for each result, whose term reads the operands wherever it needs them.
Equal equations are lowered once. Nothing else is simplified here, and nothing fused: which
definitions are worth memory is decided by the planner.

The rules themselves stand beside their primitives (``def_lower``) and are called as
``rule(ctx, *operands, **params)`` with tensors for operands; they return a tensor, or a list of
them for primitives with several results. ``ctx`` is the :class:`Lowering`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.canonical import params_key
from weft.core.errors import MissingRuleError
from weft.core.jaxpr import ClosedJaxpr, Eqn, Literal
from weft.core.source import describe
from weft.terms import build
from weft.terms.affine import Affine, Axis
from weft.terms.liveness import prune
from weft.terms.region import Block, Def, Program, Scatter, Step
from weft.terms.term import Const, Load, Map, Term, Value, folded

Indices = tuple[Affine, ...]

#: Names of the axes of definitions, by dimension.
_AXIS_NAMES = "ijklmnop"


def axis_name(dimension: int) -> str:
    """``i``, ``j``, … for the dimensions of a definition."""
    return _AXIS_NAMES[dimension] if dimension < len(_AXIS_NAMES) else f"i{dimension}"


def new_axes(shape: Sequence[int]) -> tuple[Axis, ...]:
    """A fresh axis for each dimension."""
    return tuple(Axis(axis_name(d), n) for d, n in enumerate(shape))


def points(axes: Sequence[Axis]) -> Indices:
    """The axes as index expressions; an axis of extent 1 is the constant 0."""
    return tuple(Affine() if a.extent == 1 else Affine.of(a) for a in axes)


class Tensor:
    """An array as a function on its index space: ``source`` read through an affine map.

    ``source`` is a `Const` that every index reads, or a `Value` that is read at ``index``:
    expressions over ``axes``, one axis for each dimension of the tensor. ``index`` is None where
    the value is read as it is.
    """

    __slots__ = ("axes", "dtype", "index", "shape", "source")

    def __init__(
        self,
        source: Value | Const,
        shape: tuple[int, ...],
        axes: tuple[Axis, ...] = (),
        index: Indices | None = None,
    ) -> None:
        self.source = source
        self.shape = shape
        self.dtype = source.dtype
        self.axes = axes
        self.index = index

    @staticmethod
    def whole(value: Value) -> Tensor:
        """A value read as it is."""
        return Tensor(value, value.shape)

    @staticmethod
    def constant(value: Any, dtype: np.dtype, shape: tuple[int, ...] = ()) -> Tensor:
        """The same scalar everywhere."""
        return Tensor(Const(value, dtype), shape)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def is_whole(self) -> bool:
        """Whether this is a value in its own layout."""
        return self.index is None and isinstance(self.source, Value)

    def at(self, index: Sequence[Affine | Axis | int]) -> Term:
        """The element at ``index``, one expression for each dimension."""
        if isinstance(self.source, Const):
            return self.source
        return Load(self.source, self._mapped(index))

    def view(self, shape: tuple[int, ...], move: Callable[[Indices], Sequence[Affine]]) -> Tensor:
        """The tensor of ``shape`` whose element at ``index`` is this one's at ``move(index)``."""
        if isinstance(self.source, Const):
            return Tensor(self.source, shape)
        axes = new_axes(shape)
        start = points(axes)
        index = self._mapped(move(start))
        if shape == self.source.shape and index == start:
            return Tensor(self.source, shape)
        return Tensor(self.source, shape, axes, index)

    def _mapped(self, index: Sequence[Affine | Axis | int]) -> Indices:
        exprs = tuple(map(Affine.of, index))
        if self.index is None:
            return exprs
        mapping = dict(zip(self.axes, exprs, strict=True))
        return tuple(e.substitute(mapping) for e in self.index)

    def __repr__(self) -> str:
        return f"Tensor({self.source!r}, {self.shape})"


class Lowering:
    """The state of lowering one program: the block being written, names, captured constants."""

    def __init__(self) -> None:
        self.block = Block()
        self.constants: dict[Value, np.ndarray] = {}
        self.out_avals: list[ShapedArray] = []
        self.source: Any = None
        self._captured: dict[int, tuple[Any, Tensor]] = {}
        self._computed: dict[Hashable, tuple[Sequence[Tensor], Sequence[Tensor]]] = {}
        self._names = 0

    # -- what rules use ----------------------------------------------------------------------------

    @property
    def out(self) -> ShapedArray:
        """Type of the (first) result of the equation being lowered."""
        return self.out_avals[0]

    def define(
        self, shape: tuple[int, ...], dtype: np.dtype, body: Callable[[Indices], Term]
    ) -> Tensor:
        """A new value; ``body`` gives the element at an index, an expression for each dimension."""
        return self.define_all(shape, [dtype], lambda index: [body(index)])[0]

    def define_all(
        self,
        shape: tuple[int, ...],
        dtypes: Sequence[np.dtype],
        body: Callable[[Indices], Sequence[Term]],
    ) -> list[Tensor]:
        """Several values of one shape; their definitions share axes, and so can share subterms."""
        axes = new_axes(shape)
        results = []
        for dtype, term in zip(dtypes, body(points(axes)), strict=True):
            if term.dtype != dtype:
                raise TypeError(f"a definition of dtype {dtype} by a term of dtype {term.dtype}")
            if isinstance(term, Map):
                term = folded(term)
            if isinstance(term, Const):
                results.append(Tensor(term, shape, (), ()))
                continue
            value = self.new_value(shape, dtype)
            self.emit(Def(value, axes, term, self.source))
            results.append(Tensor.whole(value))
        return results

    def scatter(
        self,
        operand: Tensor,
        shape: tuple[int, ...],
        index: Callable[[Indices], Sequence[Affine]],
        update: Callable[[Indices], Term],
        combine: str = "set",
        guard: Callable[[Indices], Term | None] | None = None,
        unique: bool = False,
    ) -> Tensor:
        """``operand`` with ``update`` put (or combined) in at ``index``, for each point."""
        axes = new_axes(shape)
        point = points(axes)
        value = self.new_value(operand.shape, operand.dtype)
        self.emit(
            Scatter(
                value,
                self.value(operand),
                axes,
                tuple(index(point)),
                update(point),
                combine,
                None if guard is None else guard(point),
                unique,
                self.source,
            )
        )
        return Tensor.whole(value)

    def value(self, tensor: Tensor) -> Value:
        """The tensor as a value in memory: itself, or a copy when it is a view or a constant."""
        if isinstance(tensor.source, Value) and tensor.is_whole:
            return tensor.source
        return self.copy(tensor)

    def copy(self, tensor: Tensor) -> Value:
        """The tensor in a new value."""
        axes = new_axes(tensor.shape)
        value = self.new_value(tensor.shape, tensor.dtype)
        self.emit(Def(value, axes, tensor.at(points(axes)), self.source))
        return value

    def inline(self, closed: ClosedJaxpr, args: Sequence[Tensor]) -> list[Tensor]:
        """The equations of ``closed`` in the current block: its results for ``args``."""
        outer = self.out_avals, self.source
        results = _lower_equations(self, closed, args)
        self.out_avals, self.source = outer
        return results

    @contextmanager
    def new_block(self) -> Iterator[Block]:
        """What is lowered inside goes to a block of its own."""
        outer, self.block = self.block, Block()
        computed, self._computed = self._computed, dict(self._computed)
        try:
            yield self.block
        finally:
            self.block = outer
            self._computed = computed

    @contextmanager
    def computed_anew(self) -> Iterator[None]:
        """What is lowered inside is computed again, even where it has been computed before."""
        computed, self._computed = self._computed, {}
        try:
            yield
        finally:
            self._computed = computed

    def numbered(
        self, eqn: Eqn, operands: Sequence[Tensor], lower: Callable[[], Sequence[Tensor]]
    ) -> Sequence[Tensor]:
        """The results of ``eqn``: those of an equal equation before it, or else of ``lower``.

        Equations are equal if their primitives, parameters and operands are (value numbering);
        what has effects, or programs for parameters, is no candidate.
        """
        try:
            key = (eqn.primitive, params_key(eqn.params), tuple(map(_operand_key, operands)))
            found = None if eqn.effects else self._computed.get(key)
        except TypeError:  # parameters that have no key
            return lower()
        if found is not None:
            return found[1]
        results = lower()
        if not eqn.effects:
            # Holding the operands keeps their ids from being reused.
            self._computed[key] = (operands, results)
        return results

    def emit(self, step: Step) -> None:
        """Appends a step to the current block."""
        self.block.steps.append(step)

    def new_value(self, shape: tuple[int, ...], dtype: np.dtype) -> Value:
        """A value with a new name."""
        self._names += 1
        return Value(f"v{self._names}", tuple(shape), dtype)

    def capture(self, data: Any, aval: ShapedArray) -> Tensor:
        """An array that the program closes over: a scalar constant, or a value with known data."""
        found = self._captured.get(id(data))
        if found is not None:
            return found[1]
        array = np.asarray(data, aval.dtype)
        if array.shape == ():
            tensor = Tensor.constant(array[()], aval.dtype)
        else:
            value = self.new_value(array.shape, aval.dtype)
            self.constants[value] = array
            tensor = Tensor.whole(value)
        # Holding `data` keeps its id from being reused.
        self._captured[id(data)] = (data, tensor)
        return tensor


def lower_jaxpr(closed: ClosedJaxpr) -> Program:
    """The program of terms that a jaxpr means.

    Calls (``jit``, custom derivative rules) are inlined; ``while``, ``cond`` and ``scan`` become
    loops and branches with blocks of their own. What no result depends on is left out. Raises
    ``MissingRuleError`` with the user's line for a primitive that has no lowering.
    """
    ctx = Lowering()
    inputs = []
    for var in closed.jaxpr.invars:
        inputs.append(ctx.new_value(var.aval.shape, var.aval.dtype))
    results = ctx.inline(closed, [Tensor.whole(v) for v in inputs])
    ctx.source = None
    outputs = tuple(ctx.value(t) for t in results)
    return prune(Program(tuple(inputs), outputs, ctx.block, ctx.constants))


def _lower_equations(ctx: Lowering, closed: ClosedJaxpr, args: Sequence[Tensor]) -> list[Tensor]:
    jaxpr = closed.jaxpr
    env: dict[int, Tensor] = {}

    def read(atom: Any) -> Tensor:
        if isinstance(atom, Literal):
            return Tensor.constant(np.asarray(atom.value)[()], atom.aval.dtype)
        return env[id(atom)]

    for var, data in zip(jaxpr.constvars, closed.consts, strict=True):
        env[id(var)] = ctx.capture(data, var.aval)
    for var, tensor in zip(jaxpr.invars, args, strict=True):
        env[id(var)] = tensor
    for eqn in jaxpr.eqns:
        for var, tensor in zip(eqn.outvars, _lower_equation(ctx, eqn, read), strict=True):
            env[id(var)] = tensor
    return [read(atom) for atom in jaxpr.outvars]


def _lower_equation(ctx: Lowering, eqn: Eqn, read: Callable[[Any], Tensor]) -> Sequence[Tensor]:
    ctx.source = eqn.source
    ctx.out_avals = [v.aval for v in eqn.outvars]
    try:
        rule = eqn.primitive.rule("lower")
    except MissingRuleError as error:
        where = describe(eqn.source)
        raise MissingRuleError(f"{error}\nAt {where}" if where else str(error)) from None
    operands = [read(atom) for atom in eqn.invars]

    def lower() -> Sequence[Tensor]:
        results = rule(ctx, *operands, **eqn.params)
        return results if eqn.primitive.multiple_results else [results]

    results = ctx.numbered(eqn, operands, lower)
    for var, tensor in zip(eqn.outvars, results, strict=True):
        if tensor.shape != var.aval.shape or tensor.dtype != var.aval.dtype:
            raise TypeError(
                f"lowering of '{eqn.primitive.name}' gave {tensor.dtype}{list(tensor.shape)}, "
                f"but the equation's result is {var.aval}"
            )
    return results


def _operand_key(tensor: Tensor) -> Hashable:
    """Equal for equal constants; tensors of values are told apart by identity."""
    if isinstance(tensor.source, Const):
        return tensor.source, tensor.shape
    return id(tensor)


# -- what rules of many primitives need ------------------------------------------------------------


def reduction_axes(shape: tuple[int, ...], dimensions: Sequence[int]) -> tuple[Axis, ...]:
    """A bound axis for each of the ``dimensions`` of an operand of ``shape``."""
    names = [f"r{d}" for d in dimensions] if len(dimensions) > 1 else ["r"]
    return tuple(Axis(name, shape[d]) for name, d in zip(names, dimensions, strict=False))


def insert(index: Indices, dimensions: Sequence[int], axes: Sequence[Axis]) -> Indices:
    """``index`` with ``axes`` put in so that they are at ``dimensions`` of the result."""
    inserted = dict(zip(dimensions, axes, strict=True))
    rest = iter(index)
    count = len(index) + len(inserted)
    return tuple(Affine.of(inserted[d]) if d in inserted else next(rest) for d in range(count))


def elementwise(op: str) -> Callable[..., Tensor]:
    """The rule of a primitive that is one scalar operation on operands of one shape."""

    def rule(ctx: Lowering, *args: Tensor, **params: Any) -> Tensor:
        aval = ctx.out
        return ctx.define(
            aval.shape,
            aval.dtype,
            lambda index: Map(op, tuple(a.at(index) for a in args), aval.dtype),
        )

    return rule


def cast_tensor(ctx: Lowering, tensor: Tensor, dtype: np.dtype) -> Tensor:
    """``tensor`` converted to ``dtype``; itself when it is of that dtype."""
    if tensor.dtype == dtype:
        return tensor
    return ctx.define(tensor.shape, dtype, lambda index: build.cast(tensor.at(index), dtype))
