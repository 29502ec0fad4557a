"""The NumPy namespace of Weft, and its Array API namespace: composed from primitives only.

Names and behaviour are NumPy's, with JAX's where NumPy's cannot be traced: arrays are values
(`x.at[i].set(v)`), shapes and axes are static, Python numbers take the dtype of what they meet, and
defaults are float32 and int32.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any

import ml_dtypes as _ml_dtypes
import numpy as _np

from weft.array import Array as ndarray
from weft.core.dtypes import KeyDtype as _KeyDtype
from weft.core.dtypes import canonical_dtype as _canonical_dtype
from weft.core.dtypes import extended as _extended
from weft.core.dtypes import prng_key as _prng_key
from weft.core.dtypes import promote_types
from weft.core.dtypes import result_type as _result_type
from weft.numpy.calculus import (
    allclose,
    array_equal,
    array_equiv,
    corrcoef,
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
from weft.numpy.classify import (
    angle,
    conj,
    conjugate,
    imag,
    isclose,
    isfinite,
    isinf,
    isnan,
    isneginf,
    isposinf,
    real,
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
from weft.numpy.convolution import (
    convolve,
    correlate,
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
from weft.numpy.exponents import frexp, ldexp, modf
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
from weft.numpy.methods import install as _install
from weft.numpy.quantiles import (
    median,
    nanmedian,
    nanpercentile,
    nanquantile,
    percentile,
    quantile,
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
from weft.numpy.sorting import (
    argpartition,
    argsort,
    argwhere,
    flatnonzero,
    lexsort,
    partition,
    sort,
    unique,
)
from weft.numpy.special import (
    copysign,
    deg2rad,
    degrees,
    fmax,
    fmin,
    heaviside,
    hypot,
    logaddexp,
    logaddexp2,
    rad2deg,
    radians,
    signbit,
    sinc,
)
from weft.numpy.taking import (
    choose,
    compress,
    extract,
    take,
    take_along_axis,
)
from weft.numpy.ufuncs import (
    abs,
    absolute,
    acos,
    acosh,
    add,
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
    cos,
    cosh,
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
    fmod,
    greater,
    greater_equal,
    invert,
    left_shift,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
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
    reciprocal,
    remainder,
    right_shift,
    rint,
    round,
    sign,
    sin,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    true_divide,
    trunc,
)

# Arrays and traced values get their operators and methods.
_install()

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


def can_cast(from_: Any, to: Any) -> Any:
    """Whether promotion takes one dtype to the other."""
    source = _canonical_dtype(getattr(from_, "dtype", from_))
    return promote_types(source, to) == _canonical_dtype(to)


def issubdtype(arg1: Any, arg2: Any) -> Any:
    """Whether a dtype belongs to a class of dtypes; bfloat16 is floating.

    The dtype of random keys belongs to ``weft.dtypes.prng_key``, and to ``generic``.
    """
    if isinstance(arg1, _KeyDtype) or arg2 in (_prng_key, _extended):
        return isinstance(arg1, _KeyDtype) and arg2 in (_prng_key, _extended, generic)
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


#: Modules that load when first used.
_SUBMODULES = frozenset(["fft", "linalg"])


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"weft.numpy.{name}")
    raise AttributeError(f"module 'weft.numpy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


# fmt: off
__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "all", "allclose", "amax", "amin", "angle",
    "any", "append", "arange", "arccos", "arccosh", "arcsin", "arcsinh", "arctan", "arctan2",
    "arctanh", "argmax", "argmin", "argpartition", "argsort", "argwhere", "around", "array",
    "array_equal", "array_equiv", "array_repr", "array_split", "asarray", "asin", "asinh",
    "astype", "atan", "atan2", "atanh", "atleast_1d", "atleast_2d", "atleast_3d", "average",
    "bfloat16", "bitwise_and", "bitwise_count", "bitwise_invert", "bitwise_left_shift",
    "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor", "block", "bool", "bool_",
    "broadcast_arrays", "broadcast_shapes", "broadcast_to", "can_cast", "cbrt", "ceil",
    "choose", "clip", "column_stack", "complex128", "complex64", "complexfloating", "compress",
    "concat", "concatenate", "conj", "conjugate", "convolve", "copysign", "corrcoef",
    "correlate", "cos", "cosh", "count_nonzero", "cov", "cross", "cumprod", "cumsum",
    "cumulative_prod", "cumulative_sum", "deg2rad", "degrees", "diag", "diagonal", "diff",
    "digitize", "divide", "divmod", "dot", "dsplit", "dstack", "dtype", "e", "ediff1d",
    "einsum", "empty", "empty_like", "equal", "euler_gamma", "exp", "exp2", "expand_dims",
    "expm1", "extract", "eye", "fabs", "fft", "finfo", "fix", "flatnonzero", "flip", "fliplr",
    "flipud", "float16", "float32", "float64", "float_power", "floating", "floor",
    "floor_divide", "fmax", "fmin", "fmod", "frexp", "from_dlpack", "full", "full_like", "generic",
    "geomspace", "get_printoptions", "gradient", "greater", "greater_equal", "heaviside",
    "hsplit", "hstack", "hypot", "identity", "iinfo", "imag", "indices", "inexact", "inf",
    "inner", "int16", "int32", "int64", "int8", "integer", "interp", "invert", "isclose",
    "iscomplexobj", "isdtype", "isfinite", "isinf", "isnan", "isneginf", "isposinf",
    "isrealobj", "isscalar", "issubdtype", "kron", "ldexp", "left_shift", "less", "less_equal",
    "lexsort", "linalg", "linspace", "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logspace", "matmul",
    "matrix_transpose", "max", "maximum", "mean", "median", "meshgrid", "min", "minimum", "mod",
    "modf",
    "moveaxis", "multiply", "nan", "nan_to_num", "nanargmax", "nanargmin", "nancumprod",
    "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "ndarray", "ndim", "negative", "newaxis",
    "nextafter", "nonzero", "not_equal", "number", "ones", "ones_like", "outer", "pad",
    "partition", "percentile", "permute_dims", "pi", "polyadd", "polyder", "polyval",
    "positive", "pow", "power", "printoptions", "prod", "promote_types", "ptp", "quantile",
    "rad2deg", "radians", "ravel", "real", "reciprocal", "remainder", "repeat", "reshape",
    "resize", "result_type", "right_shift", "rint", "roll", "rot90", "round", "row_stack",
    "searchsorted", "select", "set_printoptions", "shape", "sign", "signbit", "signedinteger",
    "sin", "sinc", "sinh", "size", "sort", "split", "sqrt", "square", "squeeze", "stack", "std",
    "subtract", "sum", "swapaxes", "take", "take_along_axis", "tan", "tanh", "tensordot",
    "tile", "trace", "transpose", "trapezoid", "tri", "tril", "tril_indices", "triu",
    "triu_indices", "true_divide", "trunc", "uint16", "uint32", "uint64", "uint8", "unique",
    "unsignedinteger", "unstack", "vander", "var", "vdot", "vecdot", "vsplit", "vstack",
    "where", "zeros", "zeros_like",
]
# fmt: on
