"""Conversions between dtypes: of values, and of the bits that represent them.

From floating point to integers, values are truncated toward zero and saturate at the ends of the
range, and NaN becomes 0, as XLA does on CPUs. Integers wrap. Anything but zero becomes ``True``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.linear import is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.elementwise import batch_rule
from weft.primitives.rules import (
    KEY_REMEDY,
    Batched,
    Cotangents,
    Dims,
    Dual,
    Value,
    Values,
    def_no_derivative,
    remembered,
    zero_tangent,
)
from weft.primitives.shaping import move_axis
from weft.terms import build
from weft.terms.affine import Affine
from weft.terms.lower import Indices, Lowering, Tensor, cast_tensor
from weft.terms.tensor import AnyTensor, ComplexTensor
from weft.terms.term import Term

# ---------------------------------------------------------------- convert_element_type

convert_element_type_p = Primitive("convert_element_type")
convert_element_type_p.pointwise = True


def convert_element_type(x: Value, new_dtype: Any, weak_type: bool = False) -> Value:
    """The values of `x` in another dtype."""
    new_dtype = dtypes.canonical_dtype(new_dtype)
    aval = aval_of(x)
    if aval.dtype == new_dtype and aval.weak_type == weak_type:
        return x
    return convert_element_type_p.bind(x, new_dtype=new_dtype, weak_type=bool(weak_type))


@convert_element_type_p.def_type
@remembered
def _(x: ShapedArray, *, new_dtype: np.dtype, weak_type: bool) -> ShapedArray:
    _refuse_keys("convert_element_type", x, new_dtype)
    return ShapedArray(x.shape, new_dtype, weak_type)


def _refuse_keys(name: str, x: ShapedArray, new_dtype: np.dtype) -> None:
    if dtypes.is_key(x.dtype):
        raise TypeError(f"{name} of {x} to {new_dtype}. {KEY_REMEDY}")
    if dtypes.is_key(new_dtype):
        raise TypeError(
            f"{name} of {x} to {new_dtype}: weft.random.key(seed) makes keys from seeds, "
            "weft.random.wrap_key_data(words) from their words."
        )


@convert_element_type_p.def_numpy
def _(x: np.ndarray, *, new_dtype: np.dtype, weak_type: bool) -> np.ndarray:
    with np.errstate(all="ignore"):
        if new_dtype == np.bool_:
            return np.asarray(x != 0)
        if dtypes.is_complex(x.dtype) and not dtypes.is_complex(new_dtype):
            x = x.real
        if dtypes.is_floating(x.dtype) and dtypes.is_integer(new_dtype):
            return _saturate(x, new_dtype)
        return np.asarray(x.astype(new_dtype))


def _saturate(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    wide = x if x.dtype.itemsize >= 4 else x.astype(np.float32)
    info = np.iinfo(dtype)
    # One past the largest integer is a power of two, so it is exact in every float type.
    below, above = wide < float(info.min), wide >= float(info.max + 1)
    inside = np.where(below | above | np.isnan(wide), 0, wide).astype(dtype)
    return np.where(below, info.min, np.where(above, info.max, inside)).astype(dtype)


@convert_element_type_p.def_jvp
def _(primals: Values, tangents: Values, *, new_dtype: np.dtype, weak_type: bool) -> Dual:
    (x,), (t,) = primals, tangents
    ans = convert_element_type_p.bind(x, new_dtype=new_dtype, weak_type=weak_type)
    if is_zero(t) or not dtypes.is_inexact(new_dtype):
        return ans, zero_tangent(ans)
    return ans, convert_element_type(t, new_dtype, weak_type)


@convert_element_type_p.def_transpose
def _(ct: Value, x: Value, *, new_dtype: np.dtype, weak_type: bool) -> Cotangents:
    return [None if is_zero(ct) else convert_element_type(ct, x.aval.dtype, x.aval.weak_type)]


convert_element_type_p.def_batch(batch_rule(convert_element_type_p))


convert_element_type_p.def_sizes(keep_params)


@convert_element_type_p.def_lower
def _(ctx: Lowering, x: Tensor, *, new_dtype: np.dtype, weak_type: bool) -> Tensor:
    if x.dtype == new_dtype:
        return x
    return ctx.define(x.shape, new_dtype, lambda index: build.cast(x.at(index), new_dtype))


@convert_element_type_p.def_lower_complex
def _(ctx: Lowering, x: AnyTensor, *, new_dtype: np.dtype, weak_type: bool) -> AnyTensor:
    part = dtypes.real_dtype(new_dtype)
    if isinstance(x, Tensor):
        return ComplexTensor(cast_tensor(ctx, x, part), Tensor.constant(0, part, x.shape))
    re, im = cast_tensor(ctx, x.re, part), cast_tensor(ctx, x.im, part)
    if dtypes.is_complex(new_dtype):
        return ComplexTensor(re, im)
    if not dtypes.is_bool(new_dtype):
        return re
    return ctx.define(x.shape, part, lambda index: build.op("or", re.at(index), im.at(index)))


# ---------------------------------------------------------------- bitcast_convert_type

bitcast_convert_type_p = Primitive("bitcast_convert_type")


def bitcast_convert_type(x: Value, new_dtype: Any) -> Value:
    """The bits of `x` read as another dtype.

    A narrower dtype adds a last axis, as long as the ratio of widths; a wider one takes such an
    axis away. The order of elements along it is the machine's byte order (little-endian).
    """
    return bitcast_convert_type_p.bind(x, new_dtype=dtypes.canonical_dtype(new_dtype))


@bitcast_convert_type_p.def_type
@remembered
def _(x: ShapedArray, *, new_dtype: np.dtype) -> ShapedArray:
    _refuse_keys("bitcast_convert_type", x, new_dtype)
    old, new = x.dtype.itemsize, new_dtype.itemsize
    asked = f"bitcast_convert_type of {x} to {dtypes.short_name(new_dtype)}"
    if x.dtype != new_dtype and (
        dtypes.is_bool(x.dtype)
        or dtypes.is_bool(new_dtype)
        or dtypes.is_complex(x.dtype)
        or dtypes.is_complex(new_dtype)
    ):
        raise TypeError(f"{asked}: booleans and complex numbers have no bits to reinterpret.")
    if old == new:
        return ShapedArray(x.shape, new_dtype)
    if old > new:
        return ShapedArray((*x.shape, old // new), new_dtype)
    if not x.shape or x.shape[-1] != new // old:
        raise ValueError(f"{asked} needs a last axis of size {new // old}.")
    return ShapedArray(x.shape[:-1], new_dtype)


@bitcast_convert_type_p.def_numpy
def _(x: np.ndarray, *, new_dtype: np.dtype) -> np.ndarray:
    old, new = x.dtype.itemsize, new_dtype.itemsize
    shape = (*x.shape, old // new) if old > new else x.shape[:-1] if old < new else x.shape
    return np.frombuffer(x.tobytes(), new_dtype).reshape(shape)


def_no_derivative(bitcast_convert_type_p)


bitcast_convert_type_p.def_sizes(keep_params)


@bitcast_convert_type_p.def_lower
def _(ctx: Lowering, x: Tensor, *, new_dtype: np.dtype) -> Tensor:
    if x.dtype == new_dtype:
        return x
    old, new = x.dtype.itemsize, new_dtype.itemsize
    bits = np.dtype(f"u{max(old, new)}")  # of the wider dtype
    part = np.dtype(f"u{min(old, new)}")

    def shift(index: Value) -> Value:
        return build.op("mul", build.position(index, bits), build.const(8 * part.itemsize, bits))

    def element(index: Indices) -> Term:
        if old == new:
            return build.bitcast(x.at(index), new_dtype)
        if old > new:
            wide = build.bitcast(x.at(index[:-1]), bits)
            narrow = build.op("shift_right_logical", wide, shift(index[-1]))
            return build.bitcast(build.cast(narrow, part), new_dtype)
        word: Term = build.const(0, bits)
        for k in range(new // old):
            piece = build.cast(build.bitcast(x.at((*index, Affine.of(k))), part), bits)
            word = build.op("or", word, build.op("shift_left", piece, shift(Affine.of(k))))
        return build.bitcast(word, new_dtype)

    return ctx.define(ctx.out.shape, new_dtype, element)


@bitcast_convert_type_p.def_batch
def _(axis_size: int, args: Values, dims: Dims, *, new_dtype: np.dtype) -> Batched:
    return bitcast_convert_type(move_axis(args[0], dims[0], 0), new_dtype), 0
