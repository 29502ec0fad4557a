"""Choosing between arrays element by element, and the identities ``copy`` and ``stop_gradient``."""

from __future__ import annotations

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.elementwise import elementwise
from weft.primitives.rules import (
    ANY,
    Apply,
    Batched,
    Cotangents,
    Dims,
    Dual,
    Value,
    Values,
    all_weak,
    check_same_dtype,
    check_same_shape,
    remembered,
    shape_of,
    zero_tangent,
)
from weft.primitives.shaping import batch_first, broadcast_in_dim, full_like, instantiate
from weft.terms import build
from weft.terms.lower import Indices, Lowering, Tensor, by_parts
from weft.terms.term import Term

# ---------------------------------------------------------------- select_n

select_n_p = Primitive("select_n")
select_n_p.pointwise = True
select_n = select_n_p.bind  # select_n(which, *cases): element-wise ``cases[which]``


@select_n_p.def_type
@remembered
def _(which: ShapedArray, *cases: ShapedArray) -> ShapedArray:
    if not cases:
        raise TypeError("select_n needs at least one case after `which`.")
    check_same_dtype("select_n", *cases)
    check_same_shape("select_n", *cases)
    if which.dtype == np.bool_:
        if len(cases) > 2:
            raise TypeError(
                f"select_n with {len(cases)} cases needs an int32 `which`, got {which}."
            )
    elif which.dtype != np.int32:
        raise TypeError(
            f"select_n needs a boolean or int32 `which`, got {which}. Convert it first, for "
            "example with lax.ne(which, 0)."
        )
    if which.shape not in ((), cases[0].shape):
        raise ValueError(
            f"select_n needs `which` to be a scalar or of the shape of the cases, got {which} for "
            f"cases {cases[0]}."
        )
    return ShapedArray(cases[0].shape, cases[0].dtype, all_weak(*cases))


@select_n_p.def_numpy
def _(which: np.ndarray, *cases: np.ndarray) -> np.ndarray:
    index = np.clip(which.astype(np.int32), 0, len(cases) - 1)
    if index.ndim == 0:
        return cases[int(index)]
    if len(cases) == 1:
        return cases[0]
    if len(cases) == 2:
        return np.where(index == 1, cases[1], cases[0])
    return np.asarray(np.take_along_axis(np.stack(cases), index[None], 0)[0])


@select_n_p.def_jvp
def _(primals: Values, tangents: Values) -> Dual:
    which, *cases = primals
    ans = select_n(which, *cases)
    case_tangents = tangents[1:]
    if all(is_zero(t) for t in case_tangents):
        return ans, zero_tangent(ans)
    return ans, select_n(which, *map(instantiate, case_tangents))


@select_n_p.def_transpose
def _(ct: Value, which: Value, *cases: Value) -> Cotangents:
    if is_zero(ct):
        return [None] * (1 + len(cases))
    zeros = full_like(ct, 0)

    def chosen(k: Value) -> Value:
        return select_n(which, *(ct if j == k else zeros for j in range(len(cases))))

    return [None, *(chosen(k) if is_undef(case) else None for k, case in enumerate(cases))]


@select_n_p.def_batch
def _(axis_size: int, args: Values, dims: Dims) -> Batched:
    which, *cases = args
    if dims[0] is None and shape_of(which) == ():
        return select_n(which, *batch_first(axis_size, cases, dims[1:])), 0
    cases = batch_first(axis_size, cases, dims[1:])
    if dims[0] is not None and len(shape_of(which)) == 1:
        return select_n(broadcast_in_dim(which, shape_of(cases[0]), (0,)), *cases), 0
    (which,) = batch_first(axis_size, [which], dims[:1])
    return select_n(which, *cases), 0


select_n_p.def_sizes(keep_params)


@select_n_p.def_lower
def _(ctx: Lowering, which: Tensor, *cases: Tensor) -> Tensor:
    def element(index: Indices) -> Term:
        selector = which.at(index if which.ndim else ())
        chosen = cases[-1].at(index)
        for k in reversed(range(len(cases) - 1)):
            case = cases[k].at(index)
            if which.dtype == np.bool_:
                chosen = build.select(selector, chosen, case)
            else:  # numbers beyond the last case choose it, negative ones the first
                above = build.op("gt", selector, build.const(k, which.dtype))
                chosen = build.select(above, chosen, case)
        return chosen

    return ctx.define(ctx.out.shape, ctx.out.dtype, element)


by_parts(select_n_p)

# ---------------------------------------------------------------- copy


def _same(ctx: Value, x: Value) -> Value:
    return x  # values never change, so a copy is the value itself


copy_p = elementwise(
    "copy",
    ANY,
    1,
    numpy=np.copy,
    jvp=(lambda t, ans, x: copy(t),),
    transpose=(lambda ct, x: copy(ct),),
    lowered=_same,
)
by_parts(copy_p)
copy: Apply = copy_p.bind

# ---------------------------------------------------------------- stop_gradient

stop_gradient_p = elementwise("stop_gradient", ANY, 1, numpy=np.copy, lowered=_same)
by_parts(stop_gradient_p)
stop_gradient = stop_gradient_p.bind
