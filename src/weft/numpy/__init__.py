"""The NumPy namespace of Weft, and its Array API namespace: composed from primitives only.

Names and behaviour are NumPy's, with JAX's where NumPy's cannot be traced: arrays are values
(`x.at[i].set(v)`), shapes and axes are static, Python numbers take the dtype of what they meet, and
defaults are float32 and int32.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes as _ml_dtypes
import numpy as _np

from weft.array import Array as ndarray
from weft.core.dtypes import canonical_dtype as _canonical_dtype
from weft.core.dtypes import promote_types
from weft.core.dtypes import result_type as _result_type
from weft.numpy import linalg, methods
from weft.numpy.calculus import (
    allclose,
    array_equal,
    array_equiv,
    convolve,
    corrcoef,
    correlate,
    cov,
    diff,
    digitize,
    ediff1d,
    gradient,
    interp,
    polyadd,
    polyder,
    polyval,
    searchsorted,
    trapezoid,
    vander,
)
from weft.numpy.contraction import (
    cross,
    dot,
    inner,
    kron,
    matmul,
    outer,
    tensordot,
    vdot,
    vecdot,
)
from weft.numpy.creation import (
    arange,
    array,
    asarray,
    astype,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    geomspace,
    identity,
    indices,
    linspace,
    logspace,
    meshgrid,
    ones,
    ones_like,
    tri,
    tril,
    triu,
    zeros,
    zeros_like,
)
from weft.numpy.einsum import (
    einsum,
)
from weft.numpy.indexing import (
    choose,
    compress,
    extract,
    take,
    take_along_axis,
)
from weft.numpy.joining import (
    append,
    array_split,
    block,
    column_stack,
    concat,
    concatenate,
    dsplit,
    dstack,
    hsplit,
    hstack,
    pad,
    repeat,
    resize,
    row_stack,
    split,
    stack,
    tile,
    unstack,
    vsplit,
    vstack,
)
from weft.numpy.reductions import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    average,
    count_nonzero,
    cumprod,
    cumsum,
    cumulative_prod,
    cumulative_sum,
    max,
    mean,
    min,
    nanargmax,
    nanargmin,
    nancumprod,
    nancumsum,
    nanmax,
    nanmean,
    nanmin,
    nanprod,
    nanstd,
    nansum,
    nanvar,
    prod,
    ptp,
    std,
    sum,
    var,
)

# Dtypes: NumPy's scalar types, which double as constructors of NumPy scalars in weak positions.
from weft.numpy.scalars import (
    bfloat16,
    bool_,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from weft.numpy.select import (
    clip,
    nan_to_num,
    nonzero,
    select,
    where,
)
from weft.numpy.shaping import (
    atleast_1d,
    atleast_2d,
    atleast_3d,
    broadcast_arrays,
    broadcast_shapes,
    broadcast_to,
    diag,
    diagonal,
    expand_dims,
    flip,
    fliplr,
    flipud,
    matrix_transpose,
    moveaxis,
    ndim,
    permute_dims,
    ravel,
    reshape,
    roll,
    rot90,
    shape,
    size,
    squeeze,
    swapaxes,
    trace,
    transpose,
    tril_indices,
    triu_indices,
)
from weft.numpy.ufuncs import (
    abs,
    absolute,
    acos,
    acosh,
    add,
    angle,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    around,
    asin,
    asinh,
    atan,
    atan2,
    atanh,
    bitwise_and,
    bitwise_count,
    bitwise_invert,
    bitwise_left_shift,
    bitwise_not,
    bitwise_or,
    bitwise_right_shift,
    bitwise_xor,
    cbrt,
    ceil,
    conj,
    conjugate,
    copysign,
    cos,
    cosh,
    deg2rad,
    degrees,
    divide,
    divmod,
    equal,
    exp,
    exp2,
    expm1,
    fabs,
    fix,
    float_power,
    floor,
    floor_divide,
    fmax,
    fmin,
    fmod,
    greater,
    greater_equal,
    heaviside,
    hypot,
    imag,
    invert,
    isclose,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    left_shift,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    mod,
    multiply,
    negative,
    nextafter,
    not_equal,
    positive,
    pow,
    power,
    rad2deg,
    radians,
    real,
    reciprocal,
    remainder,
    right_shift,
    rint,
    round,
    sign,
    signbit,
    sin,
    sinc,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    true_divide,
    trunc,
)

bool = bool_
dtype = _np.dtype
generic, number = _np.generic, _np.number
integer, signedinteger, unsignedinteger = _np.integer, _np.signedinteger, _np.unsignedinteger
inexact, floating, complexfloating = _np.inexact, _np.floating, _np.complexfloating

pi, e, euler_gamma = _np.pi, _np.e, _np.euler_gamma
inf, nan, newaxis = _np.inf, _np.nan, None

set_printoptions, get_printoptions = _np.set_printoptions, _np.get_printoptions
printoptions, array_repr = _np.printoptions, repr


def result_type(*args: Any) -> _np.dtype:
    """The dtype of an operation on arrays, numbers and dtypes."""
    return _result_type(*args)[0]


def finfo(type: Any) -> Any:
    """The limits of a floating-point dtype (or that of an array)."""
    return _ml_dtypes.finfo(_canonical_dtype(getattr(type, "dtype", type)))


def iinfo(type: Any) -> Any:
    """The limits of an integer dtype (or that of an array)."""
    return _np.iinfo(_canonical_dtype(getattr(type, "dtype", type)))


def can_cast(from_: Any, to: Any) -> _np.bool:
    """Whether promotion takes one dtype to the other."""
    source = _canonical_dtype(getattr(from_, "dtype", from_))
    return promote_types(source, to) == _canonical_dtype(to)


def issubdtype(arg1: Any, arg2: Any) -> Any:
    """Whether a dtype belongs to a class of dtypes; bfloat16 is floating."""
    if _np.dtype(arg1) == _ml_dtypes.bfloat16 and arg2 in (floating, inexact, number, generic):
        return True
    return _np.issubdtype(arg1, arg2)


def isdtype(dtype: Any, kind: Any) -> Any:
    """Whether a dtype is of a kind of the Array API standard ("real floating", "integral", …)."""
    if _np.dtype(dtype) == _ml_dtypes.bfloat16 and isinstance(kind, str):
        return kind in ("real floating", "numeric")
    return _np.isdtype(_np.dtype(dtype), kind)


def isscalar(element: Any) -> Any:
    """Whether a value is a number or an array without axes."""
    return _np.isscalar(element) or getattr(element, "ndim", None) == 0


def iscomplexobj(x: Any) -> Any:
    """Whether an array has a complex dtype."""
    return _np.issubdtype(_result_type(x)[0], complexfloating)


def isrealobj(x: Any) -> Any:
    """Whether an array has a dtype that is not complex."""
    return not iscomplexobj(x)
