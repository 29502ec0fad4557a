"""Running sums, products, extrema and log-sums of exponentials along an axis.

They run forwards or, with ``reverse=True``, backwards.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.arithmetic import add, div, max, min, mul, neg, sign, sub
from weft.primitives.comparison import eq
from weft.primitives.joining import concatenate
from weft.primitives.rules import (
    FLOAT,
    NUMBER,
    ORDERED,
    Accepts,
    Batched,
    Dims,
    Dual,
    Value,
    Values,
    check_accepts,
    check_axes,
    def_linear,
    shape_of,
    zero_tangent,
)
from weft.primitives.select import select_n
from weft.primitives.shaping import full_like, move_axis, rev
from weft.primitives.slicing import slice_along
from weft.primitives.transcendental import log, logistic
from weft.terms import build, monoids
from weft.terms.affine import Affine
from weft.terms.complex_math import Complex
from weft.terms.lower import Indices, Lowering, Tensor, by_parts, reduction_axes
from weft.terms.monoids import Monoid
from weft.terms.tensor import ComplexTensor
from weft.terms.term import Scan, Term

State = tuple[Value, ...]  # what a scan carries beside each value, the value first


def _cumulative(name: str, accepts: Accepts, monoid: Monoid, numpy: np.ufunc) -> Primitive:
    primitive = Primitive(name)

    @primitive.def_type
    def _(x: ShapedArray, *, axis: int, reverse: bool) -> ShapedArray:
        check_accepts(name, accepts, x)
        check_axes(name, x, (axis,), "axis")
        return x

    @primitive.def_numpy
    def _(x: np.ndarray, *, axis: int, reverse: bool) -> np.ndarray:
        narrow = dtypes.is_floating(x.dtype) and x.dtype.itemsize < 4  # accumulate in 32 bits
        wide = x.astype(np.float32) if narrow else x
        wide = np.flip(wide, axis) if reverse else wide
        with np.errstate(all="ignore"):
            out = numpy.accumulate(wide, axis=axis, dtype=wide.dtype)
        return np.asarray(np.flip(out, axis) if reverse else out, x.dtype)

    @primitive.def_batch
    def _(axis_size: int, args: Values, dims: Dims, *, axis: int, reverse: bool) -> Batched:
        x = move_axis(args[0], dims[0], 0)
        return primitive.bind(x, axis=axis + 1, reverse=reverse), 0

    @primitive.def_lower
    def _(ctx: Lowering, x: Tensor, *, axis: int, reverse: bool) -> Tensor:
        last = x.shape[axis] - 1
        if last < 1:
            return x
        wide = build.accumulator_dtype(x.dtype)
        (over,) = reduction_axes(x.shape, (axis,))

        def element(index: Indices) -> Term:
            at = last - Affine.of(over) if reverse else Affine.of(over)
            upto = last - index[axis] if reverse else index[axis]
            body = build.cast(x.at((*index[:axis], at, *index[axis + 1 :])), wide)
            return build.cast(Scan(monoid, over, upto, (body,)), x.dtype)

        return ctx.define(x.shape, x.dtype, element)

    primitive.def_sizes(keep_params)
    return primitive


def _function(primitive: Primitive) -> Callable[..., Value]:
    def cumulative(x: Value, axis: int, reverse: bool = False) -> Value:
        return primitive.bind(x, axis=int(axis), reverse=bool(reverse))

    cumulative.__name__ = primitive.name
    return cumulative


def _scan(combine: Callable[[State, State], State], state: State, axis: int) -> State:
    """Inclusive scan by doubling (Hillis and Steele): each step combines with a shifted copy."""
    size, shift = shape_of(state[0])[axis], 1
    while shift < size:
        earlier = tuple(slice_along(v, 0, size - shift, axis) for v in state)
        later = tuple(slice_along(v, shift, size, axis) for v in state)
        state = tuple(
            concatenate([slice_along(v, 0, shift, axis), combined], axis)
            for v, combined in zip(state, combine(earlier, later), strict=True)
        )
        shift *= 2
    return state


def _scan_towards(
    combine: Callable[[State, State], State], state: State, axis: int, reverse: bool
) -> State:
    """The scan from the front, or from the end."""
    if not reverse:
        return _scan(combine, state, axis)
    flipped = _scan(combine, tuple(rev(v, (axis,)) for v in state), axis)
    return tuple(rev(v, (axis,)) for v in flipped)


# ---------------------------------------------------------------- cumsum

cumsum_p = _cumulative("cumsum", NUMBER, monoids.ADD, np.add)
by_parts(cumsum_p)
cumsum = _function(cumsum_p)
def_linear(cumsum_p, lambda ct, x, *, axis, reverse: cumsum(ct, axis, not reverse))

# ---------------------------------------------------------------- cumprod

cumprod_p = _cumulative("cumprod", NUMBER, monoids.MUL, np.multiply)
cumprod = _function(cumprod_p)


@cumprod_p.def_lower_complex
def _(ctx: Lowering, x: ComplexTensor, *, axis: int, reverse: bool) -> ComplexTensor:
    last = x.shape[axis] - 1
    if last < 1:
        return x
    (over,) = reduction_axes(x.shape, (axis,))

    def element(index: Indices) -> Complex:
        at = last - Affine.of(over) if reverse else Affine.of(over)
        upto = last - index[axis] if reverse else index[axis]
        body = x.at((*index[:axis], at, *index[axis + 1 :]))
        product = Scan(monoids.COMPLEX_MUL, over, upto, body)
        return build.component(product, 0), build.component(product, 1)

    return ctx.define_complex(x.shape, x.dtype, element)


def _product_rule(earlier: State, later: State) -> State:
    (x, dx), (y, dy) = earlier, later
    return mul(x, y), add(mul(dx, y), mul(x, dy))


@cumprod_p.def_jvp
def _(primals: Values, tangents: Values, *, axis: int, reverse: bool) -> Dual:
    (x,), (t,) = primals, tangents
    ans = cumprod(x, axis, reverse)
    if is_zero(t):
        return ans, zero_tangent(ans)
    _, tangent = _scan_towards(_product_rule, (x, t), axis, reverse)
    return ans, tangent


# ---------------------------------------------------------------- cummax, cummin

cummax_p = _cumulative("cummax", ORDERED, monoids.MAX, np.maximum)
cummax = _function(cummax_p)

cummin_p = _cumulative("cummin", ORDERED, monoids.MIN, np.minimum)
cummin = _function(cummin_p)


def _def_extremum_jvp(primitive: Primitive, extremum: Callable[[Value, Value], Value]) -> None:
    """The tangent is the mean of the tangents of the elements that attain the extremum so far."""

    def rule(earlier: State, later: State) -> State:
        (x, dx, nx), (y, dy, ny) = earlier, later
        z = extremum(x, y)
        from_x, from_y = eq(x, z), eq(y, z)

        def among(a: Value, b: Value) -> Value:
            zero = full_like(a, 0)
            return add(select_n(from_x, zero, a), select_n(from_y, zero, b))

        return z, among(dx, dy), among(nx, ny)

    @primitive.def_jvp
    def _(primals: Values, tangents: Values, *, axis: int, reverse: bool) -> Dual:
        (x,), (t,) = primals, tangents
        ans = primitive.bind(x, axis=axis, reverse=reverse)
        if is_zero(t):
            return ans, zero_tangent(ans)
        _, total, count = _scan_towards(rule, (x, t, full_like(t, 1)), axis, reverse)
        return ans, div(total, count)


_def_extremum_jvp(cummax_p, max)
_def_extremum_jvp(cummin_p, min)

# ---------------------------------------------------------------- cumlogsumexp

cumlogsumexp_p = _cumulative("cumlogsumexp", FLOAT, monoids.LOGADDEXP, np.logaddexp)
cumlogsumexp = _function(cumlogsumexp_p)


def _logsumexp_rule(earlier: State, later: State) -> State:
    """Tangents are means of tangents, weighted by exponentials: rescaled as the total grows."""
    (x, dx), (y, dy) = earlier, later
    # Zeros and infinities of one sign have no difference: they count the same.
    same = eq(x, y)
    apart = select_n(same, sub(x, y), sub(sign(x), sign(y)))
    from_x = logistic(apart)
    total = add(max(x, y), neg(log(max(from_x, sub(full_like(from_x, 1), from_x)))))
    return total, add(mul(from_x, dx), mul(sub(full_like(from_x, 1), from_x), dy))


@cumlogsumexp_p.def_jvp
def _(primals: Values, tangents: Values, *, axis: int, reverse: bool) -> Dual:
    (x,), (t,) = primals, tangents
    ans = cumlogsumexp(x, axis, reverse)
    if is_zero(t):
        return ans, zero_tangent(ans)
    _, tangent = _scan_towards(_logsumexp_rule, (x, t), axis, reverse)
    return ans, tangent
