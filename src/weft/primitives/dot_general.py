"""``dot_general``: products summed over contracted axes, for each index of the batch axes.

``dimension_numbers = ((lhs_contract, rhs_contract), (lhs_batch, rhs_batch))`` pairs axes of the two
operands. The result has the batch axes, then the free axes of the left operand, then those of the
right one. It is linear in each operand; its transposes are ``dot_general`` again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import Naming, NoClassError
from weft.primitives.arithmetic import add
from weft.primitives.convert import convert_element_type
from weft.primitives.rules import (
    KEY_REMEDY,
    Batched,
    Cotangents,
    Dims,
    Dual,
    Shape,
    Value,
    Values,
    all_weak,
    check_axes,
    check_same_dtype,
    dtype_of,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import move_axis, transpose
from weft.terms import build, monoids
from weft.terms.dots import LEAST, Dot, dot_for
from weft.terms.lower import Indices, Lowering, Tensor, bilinear, reduction_axes
from weft.terms.monoids import Monoid
from weft.terms.term import Map, Term
from weft.terms.words import packed

DimensionNumbers = tuple[
    tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]
]

dot_general_p = Primitive("dot_general")


def dot_general(
    lhs: Value,
    rhs: Value,
    dimension_numbers: Any,
    preferred_element_type: Any = None,
) -> Value:
    """Contract and batch axes as `dimension_numbers` says.

    With `preferred_element_type`, products are accumulated and returned in that dtype.
    """
    (lhs_contract, rhs_contract), (lhs_batch, rhs_batch) = dimension_numbers
    if preferred_element_type is not None:
        preferred_element_type = dtypes.canonical_dtype(preferred_element_type)
        if preferred_element_type == dtype_of(lhs):
            preferred_element_type = None
    return dot_general_p.bind(
        lhs,
        rhs,
        dimension_numbers=(
            (_ints(lhs_contract), _ints(rhs_contract)),
            (_ints(lhs_batch), _ints(rhs_batch)),
        ),
        preferred_element_type=preferred_element_type,
    )


def _ints(axes: Sequence[int]) -> tuple[int, ...]:
    return tuple(int(d) for d in axes)


def _free(ndim: int, *taken: Sequence[int]) -> list[int]:
    used = {d for axes in taken for d in axes}
    return [d for d in range(ndim) if d not in used]


@dot_general_p.def_type
@remembered
def _(
    lhs: ShapedArray,
    rhs: ShapedArray,
    *,
    dimension_numbers: Any,
    preferred_element_type: np.dtype | None,
) -> ShapedArray:
    (lc, rc), (lb, rb) = dimension_numbers
    check_same_dtype("dot_general", lhs, rhs)
    if dtypes.is_key(lhs.dtype):
        raise TypeError(f"dot_general of {lhs} and {rhs}. {KEY_REMEDY}")
    check_axes("dot_general", lhs, (*lc, *lb), "lhs contracting and batch axes")
    check_axes("dot_general", rhs, (*rc, *rb), "rhs contracting and batch axes")
    for kind, left, right in (("contracting", lc, rc), ("batch", lb, rb)):
        sizes = [lhs.shape[d] for d in left], [rhs.shape[d] for d in right]
        if sizes[0] != sizes[1]:
            raise ValueError(
                f"dot_general of {lhs} and {rhs}: {kind} axes {left} of the first operand, of "
                f"sizes {sizes[0]}, do not match axes {right} of the second, of sizes {sizes[1]}."
            )
    if preferred_element_type is not None and (
        dtypes.kind_name(preferred_element_type) != dtypes.kind_name(lhs.dtype)
    ):
        raise TypeError(
            f"dot_general of {lhs} and {rhs} cannot have preferred_element_type="
            f"{preferred_element_type}, a different kind of number. Convert the operands first."
        )
    shape = (
        *(lhs.shape[d] for d in lb),
        *(lhs.shape[d] for d in _free(lhs.ndim, lc, lb)),
        *(rhs.shape[d] for d in _free(rhs.ndim, rc, rb)),
    )
    if preferred_element_type is not None:
        return ShapedArray(shape, preferred_element_type)
    return ShapedArray(shape, lhs.dtype, all_weak(lhs, rhs))


@dot_general_p.def_numpy
def _(
    lhs: np.ndarray,
    rhs: np.ndarray,
    *,
    dimension_numbers: Any,
    preferred_element_type: np.dtype | None,
) -> np.ndarray:
    (lc, rc), (lb, rb) = dimension_numbers
    out = preferred_element_type or lhs.dtype
    # 16-bit floats are accumulated in 32 bits, whatever the dtype of the result.
    wide = np.dtype(np.float32) if dtypes.is_floating(out) and out.itemsize < 4 else out
    l_free, r_free = _free(lhs.ndim, lc, lb), _free(rhs.ndim, rc, rb)
    batch, inner = [lhs.shape[d] for d in lb], math.prod(lhs.shape[d] for d in lc)
    rows, columns = [lhs.shape[d] for d in l_free], [rhs.shape[d] for d in r_free]
    left = lhs.transpose(*lb, *l_free, *lc).astype(wide)
    right = rhs.transpose(*rb, *rc, *r_free).astype(wide)
    with np.errstate(all="ignore"):
        product = np.matmul(
            left.reshape(*batch, math.prod(rows), inner),
            right.reshape(*batch, inner, math.prod(columns)),
        )
    return np.asarray(product.reshape((*batch, *rows, *columns)), out)


@dot_general_p.def_lower
def _(
    ctx: Lowering,
    lhs: Tensor,
    rhs: Tensor,
    *,
    dimension_numbers: Any,
    preferred_element_type: np.dtype | None,
) -> Tensor:
    out = ctx.out.dtype
    logical = dtypes.is_bool(out)
    dot = dot_for(lhs.dtype, out, ctx.dots)
    if dot is not None and _is_worthwhile(lhs.shape, rhs.shape, dimension_numbers):
        return _by_words(ctx, dot, lhs, rhs, dimension_numbers)
    wide = build.accumulator_dtype(out)

    op, monoid = ("and", monoids.OR) if logical else ("mul", monoids.ADD)

    def product(left: Term, right: Term) -> Term:
        return build.op(op, build.cast(left, wide), build.cast(right, wide))

    element = _contracted(lhs, rhs, dimension_numbers, product, monoid)
    return ctx.define(ctx.out.shape, out, lambda index: build.cast(element(index), out))


def _contracted(
    lhs: Tensor,
    rhs: Tensor,
    dimension_numbers: DimensionNumbers,
    product: Callable[[Term, Term], Term],
    monoid: Monoid,
) -> Callable[[Indices], Term]:
    """The element of the result at an index: a fold of products of elements."""
    (lc, rc), (lb, rb) = dimension_numbers
    over = reduction_axes(lhs.shape, lc)
    l_free, r_free = _free(lhs.ndim, lc, lb), _free(rhs.ndim, rc, rb)

    def element(index: Indices) -> Term:
        batch, rest = index[: len(lb)], index[len(lb) :]
        at_lhs: dict[int, Any] = dict(
            zip((*lb, *l_free, *lc), (*batch, *rest[: len(l_free)], *over), strict=True)
        )
        at_rhs: dict[int, Any] = dict(
            zip((*rb, *r_free, *rc), (*batch, *rest[len(l_free) :], *over), strict=True)
        )
        left = lhs.at([at_lhs[d] for d in range(lhs.ndim)])
        right = rhs.at([at_rhs[d] for d in range(rhs.ndim)])
        return build.fold(monoid, over, product(left, right)) if over else product(left, right)

    return element


def _is_worthwhile(left: Shape, right: Shape, dimension_numbers: DimensionNumbers) -> bool:
    """Whether rows, columns and terms are known numbers, and many enough to pay for packing."""
    (lc, rc), (lb, rb) = dimension_numbers
    if not all(isinstance(n, int) for n in (*left, *right)):
        return False
    rows = math.prod(left[d] for d in _free(len(left), lc, lb))
    columns = math.prod(right[d] for d in _free(len(right), rc, rb))
    return min(rows, columns, max((left[d] for d in lc), default=0)) >= LEAST


def _by_words(
    ctx: Lowering, dot: Dot, lhs: Tensor, rhs: Tensor, dimension_numbers: DimensionNumbers
) -> Tensor:
    """A contraction of narrow numbers, by words along its longest axis."""
    (lc, rc), _ = dimension_numbers
    axis = max(range(len(lc)), key=lambda n: lhs.shape[lc[n]])
    flips_left, flips_right = dot.left != lhs.dtype, dot.right != rhs.dtype
    left = packed(ctx, lhs, lc[axis], dot, flips_left)
    right = packed(ctx, rhs, rc[axis], dot, flips_right)
    element = _contracted(
        left,
        right,
        dimension_numbers,
        lambda a, b: Map(dot.name, (a, b, build.const(0, dot.total)), dot.total),
        monoids.ADD,
    )
    out = ctx.out
    if not flips_left and not flips_right:
        return ctx.define(out.shape, out.dtype, lambda i: build.cast(element(i), out.dtype))
    # (a + 128) b, or a (b - 128), is a b and 128 b, or less 128 a: take those off again.
    kept, factor = (rhs, -128) if flips_left else (lhs, 128)
    sums = _sums(ctx, kept, kept is lhs, dimension_numbers, dot.total)

    def settled(index: Indices) -> Term:
        rest = build.op("mul", sums(index), build.const(factor, dot.total))
        return build.cast(build.op("add", element(index), rest), out.dtype)

    return ctx.define(out.shape, out.dtype, settled)


def _sums(
    ctx: Lowering, x: Tensor, is_left: bool, dimension_numbers: DimensionNumbers, total: np.dtype
) -> Callable[[Indices], Term]:
    """Sums of an operand over its contracted axes, read at an index of the result."""
    contracted, batch = (numbers[0 if is_left else 1] for numbers in dimension_numbers)
    free = _free(x.ndim, contracted, batch)
    over = reduction_axes(x.shape, contracted)

    def element(index: Indices) -> Term:
        at: dict[int, Any] = dict(zip((*batch, *free, *contracted), (*index, *over), strict=True))
        number = build.cast(x.at([at[d] for d in range(x.ndim)]), total)
        return build.fold(monoids.ADD, over, number)

    sums = ctx.define(tuple(x.shape[d] for d in (*batch, *free)), total, element)
    first = len(batch)
    own = slice(first, first + len(free)) if is_left else slice(-len(free), None)
    return lambda index: sums.at((*index[:first], *index[own]))


bilinear(dot_general_p)


#: Multiply-adds up to which one program serves a class of shapes: with numbers for extents, larger
#: products get schedules that are up to twice as fast.
FEW_PRODUCTS = 1 << 19


@dot_general_p.def_sizes
def _(
    naming: Naming, inputs: Sequence[Shape], outputs: Sequence[Shape], **params: Any
) -> dict[str, Any]:
    (over, _), _ = params["dimension_numbers"]
    if math.prod(outputs[0]) * math.prod(inputs[0][d] for d in over) > FEW_PRODUCTS:
        raise NoClassError("a product is large")
    return params


@dot_general_p.def_jvp
def _(primals: Values, tangents: Values, **params: Any) -> Dual:
    ans = dot_general_p.bind(*primals, **params)
    (x, y), (dx, dy) = primals, tangents
    terms = []
    if not is_zero(dx):
        terms.append(dot_general_p.bind(dx, y, **params))
    if not is_zero(dy):
        terms.append(dot_general_p.bind(x, dy, **params))
    if not terms:
        return ans, zero_tangent(ans)
    return ans, terms[0] if len(terms) == 1 else add(*terms)


@dot_general_p.def_transpose
def _(
    ct: Value,
    lhs: Value,
    rhs: Value,
    *,
    dimension_numbers: Any,
    preferred_element_type: np.dtype | None,
) -> Cotangents:
    if is_zero(ct):
        return [None, None]
    (lc, rc), (lb, rb) = dimension_numbers
    if is_undef(lhs):
        free = len(lhs.aval.shape) - len(lb) - len(lc)
        return [_transpose(ct, lhs, lc, lb, rhs, rc, rb, len(lb) + free), None]
    return [None, _transpose(ct, rhs, rc, rb, lhs, lc, lb, len(rb))]


def _transpose(
    ct: Value, x: Value, xc: Value, xb: Value, y: Value, yc: Value, yb: Value, y_free_at: Value
) -> Value:
    """The cotangent of `x`: contract `ct` with `y` over the free axes of `y`.

    `y_free_at` is where the free axes of `y` begin among the axes of `ct`.
    """
    y_free = _free(len(shape_of(y)), yc, yb)
    ct_free = range(y_free_at, y_free_at + len(y_free))
    batch = range(len(xb))
    # The product has the batch axes, the free axes of x in order, and the contracted axes in the
    # order in which y stores them; put each back where it is in x.
    product = dot_general(
        ct,
        convert_element_type(y, dtype_of(ct)),
        ((ct_free, y_free), (batch, yb)),
        preferred_element_type=dtype_of(x),
    )
    contracted = [xc[k] for k in sorted(range(len(yc)), key=yc.__getitem__)]
    axes = [*xb, *_free(len(shape_of(x)), xc, xb), *contracted]
    return transpose(product, np.argsort(axes).tolist())


@dot_general_p.def_batch
def _(
    axis_size: int,
    args: Values,
    dims: Dims,
    *,
    dimension_numbers: Any,
    preferred_element_type: np.dtype | None,
) -> Batched:
    (lhs, rhs), (l_dim, r_dim) = args, dims
    (lc, rc), (lb, rb) = dimension_numbers
    if l_dim is not None and r_dim is not None:
        lhs, rhs = move_axis(lhs, l_dim, 0), move_axis(rhs, r_dim, 0)
        numbers = (
            (_shift(lc, 0), _shift(rc, 0)),
            ((0, *_shift(lb, 0)), (0, *_shift(rb, 0))),
        )
        return dot_general(lhs, rhs, numbers, preferred_element_type), 0
    # A mapped axis of one operand alone is one more free axis of it: nothing needs to move.
    if l_dim is not None:
        lc, lb = _shift(lc, l_dim), _shift(lb, l_dim)
        position = len(lb) + _free(len(shape_of(lhs)), lc, lb).index(l_dim)
    else:
        rc, rb = _shift(rc, r_dim), _shift(rb, r_dim)
        l_free = len(shape_of(lhs)) - len(lc) - len(lb)
        position = len(lb) + l_free + _free(len(shape_of(rhs)), rc, rb).index(r_dim)
    return dot_general(lhs, rhs, ((lc, rc), (lb, rb)), preferred_element_type), position


def _shift(axes: Sequence[int], inserted: int) -> tuple[int, ...]:
    """Axis numbers after an axis was inserted."""
    return tuple(d + 1 if d >= inserted else d for d in axes)
