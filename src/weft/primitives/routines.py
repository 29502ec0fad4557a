"""Choosing between the forms of a numerical routine.

A routine (a factorization, an FFT) has a *portable* form in Weft's own operations, the primitive's
``portable`` rule, and on the CPU a *library* form. Lowering takes the one with the lower price,
unless ``weft.config.routines`` says which; the program of terms lists what was chosen
(``weft.config.dump = {"terms"}`` prints it). Prices depend on shapes, dtypes and settings only, so
the same program is compiled the same way every time.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from weft.config import config
from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.structs import struct
from weft.terms.lower import Lowering
from weft.terms.tensor import AnyTensor


@struct(frozen=True)
class Cost:
    """Nanoseconds for a matrix of n rows: ``call + row n + square n² + cube n³``.

    The figures were measured on one core (AVX-512, OpenBLAS) for n from 2 to 128 and fitted by eye;
    within a factor of two they hold elsewhere, and only their order decides.
    """

    call: float = 0.0
    row: float = 0.0
    square: float = 0.0
    cube: float = 0.0

    def seconds(self, rows: int, columns: int | None = None) -> float:
        """The time for one matrix; one that is not square counts as one of as many elements."""
        n = math.sqrt(rows * (rows if columns is None else columns))
        return 1e-9 * (self.call + n * (self.row + n * (self.square + n * self.cube)))


@struct(frozen=True)
class Price:
    """Expected seconds of either form, for the whole batch."""

    library: float
    portable: float


def price_of(x: AnyTensor, library: Cost, start: Cost, portable: Cost) -> Price:
    """The price for a stack of matrices: a portable form has a cost to `start` for all together."""
    rows, columns = x.shape[-2:]
    batch = math.prod(x.shape[:-2])
    return Price(
        batch * library.seconds(rows, columns),
        start.seconds(rows, columns) + batch * portable.seconds(rows, columns),
    )


#: Matrices of at most so many rows and columns are unrolled: code grows with the cube.
UNROLLED = 4

#: Seconds of a call that the portable form, which takes tens of milliseconds to compile, must save
#: if the program is to run a few times: about what calling such a program costs anyway.
WORTH_COMPILING = 20e-6

PriceRule = Callable[..., Price]
LibraryRule = Callable[..., Sequence[AnyTensor]]
EmptyRule = Callable[..., list[Any]]


def def_routine(
    primitive: Primitive, price: PriceRule, library: LibraryRule, empty: EmptyRule
) -> None:
    """Register the lowering of a routine.

    ``price(*tensors, **params)`` is what the forms cost; ``library(ctx, *tensors, **params)`` emits
    the calls of a library and returns all results as a list. ``empty(*values, **params)`` gives the
    results, in primitives, when an operand has no elements.
    """

    @primitive.def_lower_complex
    @primitive.def_lower
    def _(ctx: Lowering, *args: AnyTensor, **params: Any) -> Any:
        outs = _lowered(ctx, *args, **params)
        return outs if primitive.multiple_results else outs[0]

    def _lowered(ctx: Lowering, *args: AnyTensor, **params: Any) -> Sequence[AnyTensor]:
        if any(x.size == 0 for x in args):
            return apply(ctx, lambda *xs: empty(*xs, **params), *args, name=primitive.name)
        costs = price(*args, **params)
        form = config.routines
        reason = "by weft.config.routines"
        if form == "price":
            saved = costs.library - costs.portable
            form = "portable" if saved > (WORTH_COMPILING if ctx.hasty else 0.0) else "library"
            reason = f"library {_time(costs.library)}, portable {_time(costs.portable)}"
        operands = ", ".join(_typed(x) for x in args)
        ctx.choices.append(f"{form} {primitive.name} of {operands} ({reason})")
        if form == "library":
            return library(ctx, *args, **params)
        return inline_portable(ctx, primitive, *args, **params)


def inline_portable(
    ctx: Lowering, primitive: Primitive, *args: AnyTensor, **params: Any
) -> list[AnyTensor]:
    """The primitive's portable form, lowered in its place: all results as a list."""
    rule = primitive.rule("portable")

    def flat(*xs: Any) -> list[Any]:
        outs = rule(*xs, **params)
        return list(outs) if primitive.multiple_results else [outs]

    return apply(ctx, flat, *args, name=primitive.name)


def apply(
    ctx: Lowering, function: Callable[..., list[Any]], *args: AnyTensor, name: str = "routine"
) -> list[AnyTensor]:
    """A function written in primitives, lowered on tensors: what comes before and after a call."""
    avals = [ShapedArray(x.shape, x.dtype) for x in args]
    return ctx.inline(trace_to_jaxpr(function, avals, FunctionInfo(name)), args)


def _typed(x: AnyTensor) -> str:
    return f"{dtypes.short_name(x.dtype)}[{','.join(map(str, x.shape))}]"


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.3g} µs"
