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

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.canonical import params_key
from weft.core.deep import deep
from weft.core.dtypes import is_complex, is_key, real_dtype, stored, stored_dtype
from weft.core.jaxpr import ClosedJaxpr, Eqn, Literal
from weft.core.primitive import Primitive
from weft.core.source import describe
from weft.errors import MissingRuleError
from weft.terms import build
from weft.terms.affine import Affine, Axis
from weft.terms.complex_math import Complex, complex_op
from weft.terms.liveness import prune
from weft.terms.region import Block, Call, Def, Program, Scatter, Step
from weft.terms.tensor import (
    AnyTensor,
    ComplexTensor,
    Indices,
    OnPairs,
    Tensor,
    constant_tensor,
    new_axes,
    points,
    tensor_of,
    with_parts,
)
from weft.terms.term import Const, Map, Term, Value, folded


class Lowering:
    """The state of lowering one program: the block being written, names, captured constants.

    ``dots`` are the operations on words of narrow numbers that the machine has. What will run only
    a few times is lowered in haste: by what is compiled sooner, where either would do.
    """

    def __init__(self, dots: frozenset[str] = frozenset(), hasty: bool = False) -> None:
        self.dots = dots
        self.hasty = hasty
        self.block = Block()
        self.constants: dict[Value, np.ndarray] = {}
        self.out_avals: list[ShapedArray] = []
        self.source: Any = None
        self.choices: list[str] = []
        self._captured: dict[int, tuple[Any, AnyTensor]] = {}
        self._computed: dict[Hashable, tuple[Sequence[AnyTensor], Sequence[AnyTensor]]] = {}
        self._new: list[Hashable] = []  # keys of what this block has added
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

    def define_complex(
        self, shape: tuple[int, ...], dtype: np.dtype, body: Callable[[Indices], Complex]
    ) -> ComplexTensor:
        """A new array of complex numbers; ``body`` gives the parts of the element at an index."""
        part = real_dtype(dtype)
        re, im = self.define_all(shape, [part, part], body)
        return ComplexTensor(re, im)

    def call(
        self, routine: Any, operands: Sequence[AnyTensor], results: Sequence[ShapedArray]
    ) -> list[AnyTensor]:
        """The results of a library routine or callback on whole arrays, complex ones included."""
        inputs = tuple(map(self.value, operands))
        outputs = tuple(self.memory_of(a) for a in results)
        complex_inputs = tuple(is_complex(x.dtype) for x in operands)
        complex_outputs = tuple(is_complex(a.dtype) for a in results)
        if any(complex_inputs + complex_outputs):
            routine = OnPairs(routine, complex_inputs, complex_outputs)
        self.emit(Call(routine, inputs, outputs, {}, self.source))
        return [tensor_of(v, a) for v, a in zip(outputs, results, strict=True)]

    def memory_of(self, aval: ShapedArray) -> Value:
        """A new value for an array of that type: complex numbers have an axis of parts."""
        if is_complex(aval.dtype):
            return self.new_value((*aval.shape, 2), real_dtype(aval.dtype))
        return self.new_value(aval.shape, stored_dtype(aval.dtype))

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

    def value(self, tensor: AnyTensor) -> Value:
        """The tensor as a value in memory: itself, or a copy when it is a view or a constant."""
        if isinstance(tensor, ComplexTensor):
            return tensor.memory or self._interleaved(tensor)
        if isinstance(tensor.source, Value) and tensor.is_whole:
            return tensor.source
        return self.copy(tensor)

    def copy(self, tensor: Tensor) -> Value:
        """The tensor in a new value."""
        axes = new_axes(tensor.shape)
        value = self.new_value(tensor.shape, tensor.dtype)
        self.emit(Def(value, axes, tensor.at(points(axes)), self.source))
        return value

    def _interleaved(self, tensor: ComplexTensor) -> Value:
        """The parts in turn, along one more axis."""

        def element(index: Indices) -> Term:
            re, im = tensor.at(index[:-1])
            return build.fuse(index[-1], ((0, 1, re), (1, 2, im)))

        shape = (*tensor.shape, 2)
        axes = new_axes(shape)
        value = self.new_value(shape, tensor.re.dtype)
        self.emit(Def(value, axes, element(points(axes)), self.source))
        return value

    @deep
    def inline(self, closed: ClosedJaxpr, args: Sequence[AnyTensor]) -> list[AnyTensor]:
        """The equations of ``closed`` in the current block: its results for ``args``."""
        outer = self.out_avals, self.source
        results = _lower_equations(self, closed, args)
        self.out_avals, self.source = outer
        return results

    @contextmanager
    def new_block(self) -> Iterator[Block]:
        """What is lowered inside goes to a block of its own."""
        outer, self.block = self.block, Block()
        known, self._new = self._new, []
        try:
            yield self.block
        finally:
            self.block = outer
            for key in self._new:  # computed in this block only
                del self._computed[key]
            self._new = known

    @contextmanager
    def computed_anew(self) -> Iterator[None]:
        """What is lowered inside is computed again, even where it has been computed before."""
        outer = self._computed, self._new
        self._computed, self._new = {}, []
        try:
            yield
        finally:
            self._computed, self._new = outer

    def numbered(
        self, eqn: Eqn, operands: Sequence[AnyTensor], lower: Callable[[], Sequence[AnyTensor]]
    ) -> Sequence[AnyTensor]:
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
            self._new.append(key)
        return results

    def emit(self, step: Step) -> None:
        """Appends a step to the current block."""
        self.block.steps.append(step)

    def new_value(self, shape: tuple[int, ...], dtype: np.dtype) -> Value:
        """A value with a new name."""
        self._names += 1
        return Value(f"v{self._names}", tuple(shape), dtype)

    def capture(self, data: Any, aval: ShapedArray) -> AnyTensor:
        """An array that the program closes over: a scalar constant, or a value with known data."""
        found = self._captured.get(id(data))
        if found is not None:
            return found[1]
        array = stored(np.asarray(data, aval.dtype))
        if array.shape == ():
            tensor = constant_tensor(array[()], array.dtype)
        else:
            value = self.memory_of(aval)
            self.constants[value] = with_parts(array)
            tensor = tensor_of(value, aval)
        # Holding `data` keeps its id from being reused.
        self._captured[id(data)] = (data, tensor)
        return tensor


def lower_jaxpr(
    closed: ClosedJaxpr, dots: frozenset[str] = frozenset(), hasty: bool = False
) -> Program:
    """The program of terms that a jaxpr means.

    Calls (``jit``, custom derivative rules) are inlined; ``while``, ``cond`` and ``scan`` become
    loops and branches with blocks of their own. ``dots`` are the operations on words of narrow
    numbers (`weft.terms.dots`) that contractions may use; a ``hasty`` program is for few runs. What
    no result depends on is left out.
    Raises ``MissingRuleError`` with the user's line for a primitive that has no lowering.
    """
    ctx = Lowering(dots, hasty)
    inputs = []
    for var in closed.jaxpr.invars:
        inputs.append(ctx.memory_of(var.aval))
    arguments = [tensor_of(v, a) for v, a in zip(inputs, closed.in_avals, strict=True)]
    results = ctx.inline(closed, arguments)
    ctx.source = None
    outputs = tuple(ctx.value(t) for t in results)
    program = Program(tuple(inputs), outputs, ctx.block, ctx.constants, tuple(ctx.choices))
    return prune(program)


def _lower_equations(
    ctx: Lowering, closed: ClosedJaxpr, args: Sequence[AnyTensor]
) -> list[AnyTensor]:
    jaxpr = closed.jaxpr
    env: dict[int, AnyTensor] = {}

    def read(atom: Any) -> AnyTensor:
        if isinstance(atom, Literal):
            dtype = stored_dtype(atom.aval.dtype)
            return constant_tensor(stored(np.asarray(atom.value))[()], dtype)
        return env[id(atom)]

    for var, data in zip(jaxpr.constvars, closed.consts, strict=True):
        env[id(var)] = ctx.capture(data, var.aval)
    for var, tensor in zip(jaxpr.invars, args, strict=True):
        env[id(var)] = tensor
    for eqn in jaxpr.eqns:
        for var, tensor in zip(eqn.outvars, lower_equation(ctx, eqn, read), strict=True):
            env[id(var)] = tensor
    return [read(atom) for atom in jaxpr.outvars]


def lower_equation(
    ctx: Lowering, eqn: Eqn, read: Callable[[Any], AnyTensor]
) -> Sequence[AnyTensor]:
    """The results of one equation, whose operands ``read`` gives; emits steps."""
    ctx.source = eqn.source
    ctx.out_avals = [_stored_aval(v.aval) for v in eqn.outvars]
    on_complex = any(is_complex(x.aval.dtype) for x in (*eqn.invars, *eqn.outvars))
    try:
        rule = eqn.primitive.rule("lower_complex" if on_complex else "lower")
    except MissingRuleError as error:
        where = describe(eqn.source)
        raise MissingRuleError(f"{error}\nAt {where}" if where else str(error)) from None
    operands = [read(atom) for atom in eqn.invars]

    def lower() -> Sequence[AnyTensor]:
        results = rule(ctx, *operands, **eqn.params)
        return results if eqn.primitive.multiple_results else [results]

    results = ctx.numbered(eqn, operands, lower)
    for var, tensor in zip(eqn.outvars, results, strict=True):
        if tensor.shape != var.aval.shape or tensor.dtype != stored_dtype(var.aval.dtype):
            raise TypeError(
                f"lowering of '{eqn.primitive.name}' gave {tensor.dtype}{list(tensor.shape)}, "
                f"but the equation's result is {var.aval}"
            )
    return results


def _stored_aval(aval: ShapedArray) -> ShapedArray:
    """The type as rules see it: random keys are words."""
    return aval.update(dtype=stored_dtype(aval.dtype)) if is_key(aval.dtype) else aval


def _operand_key(tensor: AnyTensor) -> Hashable:
    """Equal for equal constants; tensors of values are told apart by identity."""
    if isinstance(tensor, ComplexTensor):
        return _operand_key(tensor.re), _operand_key(tensor.im)
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


def elementwise_complex(op: str) -> Callable[..., AnyTensor]:
    """The rule of a primitive that is one operation on complex numbers of one shape."""

    def rule(ctx: Lowering, *args: ComplexTensor, **params: Any) -> AnyTensor:
        def element(index: Indices) -> Any:
            return complex_op(op, *(a.at(index) for a in args))

        define = ctx.define_complex if is_complex(ctx.out.dtype) else ctx.define
        return define(ctx.out.shape, ctx.out.dtype, element)

    return rule


def _part(tensor: AnyTensor, which: int) -> Tensor:
    if isinstance(tensor, ComplexTensor):
        return tensor.im if which else tensor.re
    return tensor


@contextmanager
def real_results(ctx: Lowering) -> Iterator[None]:
    """Rules called inside see the real dtypes of the equation's results."""
    outer = ctx.out_avals
    ctx.out_avals = [ShapedArray(a.shape, real_dtype(a.dtype)) for a in outer]
    try:
        yield
    finally:
        ctx.out_avals = outer


def by_parts(primitive: Primitive) -> None:
    """On complex numbers the primitive acts on real and imaginary parts alone.

    So does whatever moves elements around, and sums. Operands that are not complex (indices,
    predicates) are the same for both parts.
    """

    def rule(ctx: Lowering, *args: AnyTensor, **params: Any) -> Any:
        real = primitive.rule("lower")
        with real_results(ctx):
            re, im = (real(ctx, *(_part(a, k) for a in args), **params) for k in (0, 1))
        if primitive.multiple_results:
            return [ComplexTensor(*pair) for pair in zip(re, im, strict=True)]
        return ComplexTensor(re, im)

    primitive.def_lower_complex(rule)


def bilinear(primitive: Primitive) -> None:
    """On complex numbers the primitive is a product of its two operands: four real ones of it."""

    def rule(ctx: Lowering, x: ComplexTensor, y: ComplexTensor, **params: Any) -> ComplexTensor:
        out = ctx.out
        part = params.get("preferred_element_type")
        if part is not None:
            params = {**params, "preferred_element_type": real_dtype(part)}
        with real_results(ctx):
            real = primitive.rule("lower")
            products = [real(ctx, a, b, **params) for a in (x.re, x.im) for b in (y.re, y.im)]
        rr, ri, ir, ii = products
        return ctx.define_complex(
            out.shape,
            out.dtype,
            lambda index: (
                build.op("sub", rr.at(index), ii.at(index)),
                build.op("add", ri.at(index), ir.at(index)),
            ),
        )

    primitive.def_lower_complex(rule)


def cast_tensor(ctx: Lowering, tensor: Tensor, dtype: np.dtype) -> Tensor:
    """``tensor`` converted to ``dtype``; itself when it is of that dtype."""
    if tensor.dtype == dtype:
        return tensor
    return ctx.define(tensor.shape, dtype, lambda index: build.cast(tensor.at(index), dtype))
