"""What the rules of many primitives share: checks of operands, and symbolic zeros.

The checks raise errors written for the person who called the operation: they name the operation,
show the operands as ``f32[3,4]`` and say what to write instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.linear import Zero, is_undef, is_zero
from weft.core.primitive import Primitive

Value = Any  # an Array, a tracer or a NumPy array: whatever the current trace computes with
Values = Sequence[Value]
Apply = Callable[..., Value]  # the function that applies a primitive
Dims = Sequence[Any]  # for each operand of a batch rule its mapped axis, or None
Axes = tuple[int, ...]
Shape = tuple[int, ...]
Dual = tuple[Value, Value]  # a result and its tangent
Cotangents = list[Value | None]  # one for each operand, None for those that are not linear
Batched = tuple[Value, int | None]  # a result and where its mapped axis is


class Accepts(NamedTuple):
    """A set of dtypes an operation is defined on, with words for error messages."""

    words: str
    contains: Callable[[np.dtype], bool]
    remedy: str


ANY = Accepts("any", lambda dtype: True, "")
NUMBER = Accepts(
    "numeric",
    lambda dtype: dtype != np.bool_ and not dtypes.is_key(dtype),
    "Convert it first, for example with lax.convert_element_type(x, 'int32').",
)
REAL = Accepts(
    "integer or real floating-point",
    lambda dtype: dtypes.is_integer(dtype) or dtypes.is_floating(dtype),
    "Convert it first, for example with lax.convert_element_type(x, 'float32').",
)
ORDERED = Accepts(
    "boolean, integer or real floating-point",
    lambda dtype: not (dtypes.is_complex(dtype) or dtypes.is_key(dtype)),
    "Complex numbers have no order; compare their parts or magnitudes.",
)
FLOAT = Accepts(
    "real floating-point",
    dtypes.is_floating,
    "Convert it first, for example with lax.convert_element_type(x, 'float32'); "
    "the function of this name in weft.numpy converts by itself.",
)
INEXACT = Accepts(
    "floating-point",
    dtypes.is_inexact,
    FLOAT.remedy,
)
INTEGER = Accepts(
    "integer",
    dtypes.is_integer,
    "Convert it first, for example with lax.convert_element_type(x, 'int32').",
)
BITS = Accepts(
    "boolean or integer",
    lambda dtype: dtype == np.bool_ or dtypes.is_integer(dtype),
    "Convert it first, for example with lax.convert_element_type(x, 'int32').",
)

KEY_REMEDY = (
    "A random key is no number: draw from it with the functions of weft.random, or take its words "
    "with weft.random.key_data(key)."
)

_ORDINALS = ("first", "second", "third", "fourth")


def which_operand(position: int, count: int) -> str:
    """``its operand`` or ``its second operand``, for error messages."""
    if count == 1:
        return "its operand"
    if position < len(_ORDINALS):
        return f"its {_ORDINALS[position]} operand"
    return f"operand {position}"


def remembered(rule: Callable[..., ShapedArray]) -> Callable[..., ShapedArray]:
    """A typing rule that answers what it was asked before from memory.

    The layers of a network, and the passes of its derivatives, ask the same again and again. The
    rule must depend on nothing but its arguments.
    """
    cached = functools.lru_cache(4096, typed=True)(rule)

    def ask(*avals: ShapedArray, **params: Any) -> ShapedArray:
        try:
            return cached(*avals, **params)
        except TypeError:  # a parameter that cannot be looked up, or the rule's own
            return rule(*avals, **params)

    return ask


def check_accepts(name: str, accepts: Accepts, *avals: ShapedArray) -> None:
    """Raise ``TypeError`` unless every operand has a dtype the operation is defined on."""
    for position, aval in enumerate(avals):
        if position and aval.dtype is avals[0].dtype:
            continue
        if not accepts.contains(aval.dtype):
            remedy = KEY_REMEDY if dtypes.is_key(aval.dtype) else accepts.remedy
            raise TypeError(
                f"{name} needs {accepts.words} operands, but {which_operand(position, len(avals))}"
                f" is {aval}. {remedy}"
            )


def check_same_dtype(name: str, *avals: ShapedArray) -> None:
    """Raise ``TypeError`` unless all operands have one dtype."""
    if any([aval.dtype != avals[0].dtype for aval in avals[1:]]):
        raise TypeError(
            f"{name} needs operands of one dtype, got {listing(avals)}. Convert them with "
            f"lax.convert_element_type, or use weft.numpy, which promotes."
        )


def check_same_shape(name: str, *avals: ShapedArray) -> None:
    """Raise ``ValueError`` unless all operands have one shape."""
    if any([aval.shape != avals[0].shape for aval in avals[1:]]):
        raise ValueError(
            f"{name} needs operands of one shape, got {listing(avals)}. Broadcast them with "
            f"lax.broadcast_in_dim, or use weft.numpy, which broadcasts."
        )


def check_axes(name: str, aval: ShapedArray, axes: Sequence[int], what: str = "axes") -> None:
    """Raise ``ValueError`` unless `axes` are distinct axes of `aval`, counted from 0."""
    for axis in axes:
        if not 0 <= axis < aval.ndim:
            raise ValueError(
                f"{name} got {what}={tuple(axes)}, but {axis} is not an axis of {aval}, "
                f"which has {count_of(aval.ndim, 'axis', 'axes')} (counted from 0)."
            )
    if len(set(axes)) != len(axes):
        raise ValueError(f"{name} got {what}={tuple(axes)}, where an axis is repeated.")


def listing(avals: Sequence[ShapedArray]) -> str:
    """``f32[3], f32[4] and i32[]``, for error messages."""
    words = [str(aval) for aval in avals]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def count_of(number: int, singular: str, plural: str) -> str:
    """``1 axis`` or ``2 axes``, for error messages."""
    return f"{number} {singular if number == 1 else plural}"


def all_weak(*avals: ShapedArray) -> bool:
    """Whether a result computed from these operands alone is weakly typed."""
    return all([aval.weak_type for aval in avals])


def shape_of(x: Value) -> tuple[int, ...]:
    """The shape of a value of any trace, or of an operand of a transpose rule."""
    return x.aval.shape if is_undef(x) else aval_of(x).shape


def dtype_of(x: Value) -> np.dtype:
    """The dtype of a value of any trace, or of an operand of a transpose rule."""
    return x.aval.dtype if is_undef(x) else aval_of(x).dtype


def zero_tangent(ans: Value) -> Zero:
    """The tangent of a result that does not depend differentiably on anything."""
    return Zero(aval_of(ans))


def def_linear(
    primitive: Primitive,
    transpose: Callable[..., Value],
) -> None:
    """Register the rules of a primitive that is linear in its only operand.

    The tangent is the primitive itself applied to the tangent. `transpose` takes the cotangent,
    the operand's aval and the parameters, and returns the operand's cotangent.
    """

    def jvp(primals: Sequence[Value], tangents: Sequence[Value], **params: Any) -> tuple:
        (x,), (t,) = primals, tangents
        ans = primitive.bind(x, **params)
        if is_zero(t):
            return ans, zero_tangent(ans)
        return ans, primitive.bind(t, **params)

    def transpose_rule(ct: Value, x: Value, **params: Any) -> list:
        if is_zero(ct):
            return [None]
        return [transpose(ct, x.aval, **params)]

    primitive.def_jvp(jvp)
    primitive.def_transpose(transpose_rule)


def def_no_derivative(primitive: Primitive) -> None:
    """Register a tangent that is always zero: the result is discrete or piecewise constant."""

    def jvp(primals: Sequence[Value], tangents: Sequence[Value], **params: Any) -> tuple:
        ans = primitive.bind(*primals, **params)
        return ans, zero_tangent(ans)

    primitive.def_jvp(jvp)
