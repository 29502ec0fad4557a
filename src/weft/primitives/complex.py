"""Parts of complex numbers, and complex numbers from parts.

Cotangents pair with values as ``Re(ct * z)``, without conjugation; hence the signs below.
"""

from __future__ import annotations

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.linear import is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.shape_classes import keep_params
from weft.primitives.arithmetic import neg
from weft.primitives.elementwise import batch_rule, elementwise
from weft.primitives.rules import (
    Accepts,
    Apply,
    Cotangents,
    Dual,
    Value,
    Values,
    check_accepts,
    check_same_dtype,
    check_same_shape,
    def_linear,
    zero_tangent,
)
from weft.primitives.shaping import full_like, instantiate
from weft.terms.tensor import ComplexTensor

COMPLEX = Accepts(
    "complex",
    dtypes.is_complex,
    "A real number is its own real part; convert it with "
    "lax.convert_element_type(x, 'complex64') where a complex one is needed.",
)
PART = Accepts(
    "float32 or float64",
    lambda dtype: dtype in (np.float32, np.float64),
    "Convert it first, for example with lax.convert_element_type(x, 'float32').",
)


def _part(name: str) -> Primitive:
    primitive = Primitive(name)

    @primitive.def_type
    def _(x: ShapedArray) -> ShapedArray:
        check_accepts(name, COMPLEX, x)
        return x.update(dtype=dtypes.real_dtype(x.dtype))

    primitive.def_batch(batch_rule(primitive))
    primitive.def_sizes(keep_params)
    return primitive


# ---------------------------------------------------------------- real, imag

real_p = _part("real")
real = real_p.bind
real_p.def_lower_complex(lambda ctx, x: x.re)
real_p.def_numpy(lambda x: np.asarray(x.real))
def_linear(real_p, lambda ct, x: complex(ct, full_like(ct, 0)))

imag_p = _part("imag")
imag = imag_p.bind
imag_p.def_lower_complex(lambda ctx, x: x.im)
imag_p.def_numpy(lambda x: np.asarray(x.imag))
def_linear(imag_p, lambda ct, x: complex(full_like(ct, 0), neg(ct)))

# ---------------------------------------------------------------- complex

complex_p = Primitive("complex")
complex: Apply = complex_p.bind  # complex(re, im)


@complex_p.def_type
def _(re: ShapedArray, im: ShapedArray) -> ShapedArray:
    check_same_dtype("complex", re, im)
    check_accepts("complex", PART, re, im)
    check_same_shape("complex", re, im)
    wide = re.dtype == np.float64
    return ShapedArray(re.shape, dtypes.complex128 if wide else dtypes.complex64)


@complex_p.def_numpy
def _(re: np.ndarray, im: np.ndarray) -> np.ndarray:
    out = np.empty(re.shape, np.complex128 if re.dtype == np.float64 else np.complex64)
    out.real, out.imag = re, im  # not re + 1j * im: that makes NaN of infinite parts
    return out


@complex_p.def_jvp
def _(primals: Values, tangents: Values) -> Dual:
    ans = complex(*primals)
    if all(is_zero(t) for t in tangents):
        return ans, zero_tangent(ans)
    return ans, complex(*map(instantiate, tangents))


@complex_p.def_transpose
def _(ct: Value, re: Value, im: Value) -> Cotangents:
    if is_zero(ct):
        return [None, None]
    return [real(ct) if is_undef(re) else None, neg(imag(ct)) if is_undef(im) else None]


complex_p.def_batch(batch_rule(complex_p))
complex_p.def_lower_complex(lambda ctx, re, im: ComplexTensor(re, im))
complex_p.def_sizes(keep_params)

# ---------------------------------------------------------------- conj

conj_p = elementwise(
    "conj",
    COMPLEX,
    1,
    numpy=np.conj,
    jvp=(lambda t, ans, x: conj(t),),
    transpose=(lambda ct, x: conj(ct),),
)
conj: Apply = conj_p.bind
