"""How elementwise primitives are declared: one table entry gives all of their rules.

``elementwise("mul", NUMBER, 2, numpy=np.multiply, jvp=(lhs, rhs))`` is a primitive on two operands
of one shape and dtype. Its tangent is the sum of one term for each operand,
``jvp[k](t, ans, *xs)``, where t is that operand's tangent. ``None`` in place of a function means
that the result does not depend differentiably on that operand; without `jvp` it does on none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.rules import (
    Accepts,
    Cotangents,
    Value,
    all_weak,
    check_accepts,
    check_same_dtype,
    check_same_shape,
    def_no_derivative,
    remembered,
    which_operand,
    zero_tangent,
)
from weft.primitives.shaping import batch_at
from weft.terms import lower
from weft.terms.complex_math import has_complex

Tangent = Callable[..., Value]
Cotangent = Callable[..., Value]


def elementwise(
    name: str,
    accepts: Accepts,
    arity: int,
    *,
    numpy: Callable[..., Any],
    jvp: Sequence[Tangent | None] = (),
    transpose: Sequence[Cotangent | None] = (),
    result: Any = None,
    lowered: Callable[..., Any] | None = None,
) -> Primitive:
    """Declare an elementwise primitive of `arity` operands of one shape and dtype.

    `numpy` is the meaning on arrays (parameters are passed by name), `result` the dtype of the
    result where it is not the operands', or a function that gives it for theirs.
    ``transpose[k](ct, *xs)`` is the cotangent of operand k for a primitive that is linear in it,
    given the others. `lowered` is the lowering of a primitive that is not one scalar operation of
    its own name.
    """
    primitive = Primitive(name)
    primitive.pointwise = True

    def type_rule(*avals: ShapedArray, **params: Any) -> ShapedArray:
        if len(avals) != arity:
            raise TypeError(f"{name} needs {arity} operands, got {len(avals)}.")
        check_same_dtype(name, *avals)
        check_accepts(name, accepts, *avals)
        check_same_shape(name, *avals)
        dtype = _result_dtype(result, avals[0].dtype)
        weak = dtype == avals[0].dtype and all_weak(*avals)  # a truth value is what it is
        return ShapedArray(avals[0].shape, dtype, weak)

    primitive.def_type(remembered(type_rule))
    primitive.def_numpy(numpy_meaning(numpy, result))
    primitive.def_batch(batch_rule(primitive))
    primitive.def_lower(lowered or lower.elementwise(name))
    if has_complex(name):
        primitive.def_lower_complex(lower.elementwise_complex(name))
    primitive.def_sizes(keep_params)
    if jvp:
        primitive.def_jvp(jvp_rule(primitive, jvp))
    else:
        def_no_derivative(primitive)
    if transpose:
        primitive.def_transpose(transpose_rule(primitive, transpose))
    return primitive


def numpy_meaning(function: Callable[..., Any], result: Any = None) -> Callable[..., np.ndarray]:
    """`function` with a result of the right dtype (NumPy widens some) and without warnings."""

    def meaning(*xs: np.ndarray, **params: Any) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(function(*xs, **params), _result_dtype(result, xs[0].dtype))

    return meaning


def _result_dtype(result: Any, operand: np.dtype) -> np.dtype:
    if result is None:
        return operand
    return result(operand) if callable(result) and not isinstance(result, type) else result


def jvp_rule(primitive: Primitive, terms: Sequence[Tangent | None]) -> Callable[..., tuple]:
    """The sum of one linear term for each operand whose tangent is not zero."""

    def rule(primals: Sequence[Value], tangents: Sequence[Value], **params: Any) -> tuple:
        ans = primitive.bind(*primals, **params)
        tangent: Value = None
        for term, t in zip(terms, tangents, strict=True):
            if term is None or is_zero(t):
                continue
            contribution = term(t, ans, *primals, **params)
            tangent = contribution if tangent is None else _add(tangent, contribution)
        return ans, zero_tangent(ans) if tangent is None else tangent

    return rule


def transpose_rule(
    primitive: Primitive, terms: Sequence[Cotangent | None]
) -> Callable[..., list[Value | None]]:
    """One cotangent for each linear operand; an operand without a term cannot be linear."""

    def rule(ct: Value, *xs: Value, **params: Any) -> Cotangents:
        cotangents: list[Value | None] = [None] * len(xs)
        for k, (term, x) in enumerate(zip(terms, xs, strict=True)):
            if not is_undef(x) or is_zero(ct):
                continue
            if term is None:
                raise NotImplementedError(
                    f"{primitive} is not linear in {which_operand(k, len(xs))[4:]}, so it cannot "
                    "be transposed with respect to it."
                )
            cotangents[k] = term(ct, *xs, **params)
        return cotangents

    return rule


def _add(x: Value, y: Value) -> Value:
    from weft.primitives.arithmetic import add  # itself declared by this module

    return add(x, y)


def batch_rule(primitive: Primitive) -> Callable[..., tuple]:
    """Line up the mapped axes, repeat unmapped operands along them, and apply the primitive."""

    def rule(axis_size: int, args: Sequence[Value], dims: Sequence[Any], **params: Any) -> tuple:
        position = next(dim for dim in dims if dim is not None)
        return primitive.bind(*batch_at(position, axis_size, args, dims), **params), position

    return rule
