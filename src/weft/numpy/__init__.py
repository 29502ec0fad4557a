"""The NumPy namespace of Weft, and its Array API namespace: composed from primitives only.

Names and behaviour are NumPy's, with JAX's where NumPy's cannot be traced: arrays are values
(`x.at[i].set(v)`), shapes and axes are static, Python numbers take the dtype of what they meet, and
defaults are float32 and int32.
"""

from __future__ import annotations

import importlib as _importlib
from typing import Any

import numpy as _np

from weft import preload as _preload
from weft.array import Array as ndarray
from weft.core.dtypes import promote_types
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
    searchsorted,
    trapezoid,
    unwrap,
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
    matvec,
    outer,
    tensordot,
    vdot,
    vecdot,
    vecmat,
)
from weft.numpy.convolution import convolve, correlate
from weft.numpy.creation import (
    array,
    asarray,
    astype,
    copy,
    empty,
    empty_like,
    eye,
    from_dlpack,
    full,
    full_like,
    identity,
    ones,
    ones_like,
    tri,
    tril,
    triu,
    zeros,
    zeros_like,
)
from weft.numpy.division import divmod, float_power, floor_divide, fmod, mod, pow, power, remainder
from weft.numpy.editing import (
    delete,
    diagflat,
    fill_diagonal,
    insert,
    piecewise,
    place,
    put,
    put_along_axis,
    rollaxis,
    trim_zeros,
)
from weft.numpy.einsum import einsum, einsum_path
from weft.numpy.exponents import frexp, ldexp, modf
from weft.numpy.files import (
    frombuffer,
    fromfile,
    fromiter,
    fromstring,
    load,
    loadtxt,
    save,
    savetxt,
    savez,
    savez_compressed,
)
from weft.numpy.functional import apply_along_axis, apply_over_axes, vectorize
from weft.numpy.grids import (
    c_,
    diag_indices,
    diag_indices_from,
    fromfunction,
    index_exp,
    ix_,
    mask_indices,
    mgrid,
    ogrid,
    r_,
    ravel_multi_index,
    s_,
    tril_indices_from,
    triu_indices_from,
    unravel_index,
)
from weft.numpy.histograms import bincount, histogram, histogram2d, histogram_bin_edges, histogramdd
from weft.numpy.inspection import __array_namespace_info__
from weft.numpy.integers import gcd, lcm, packbits, unpackbits
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
from weft.numpy.methods import install as _install_methods
from weft.numpy.nan_reductions import (
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
)
from weft.numpy.padding import pad
from weft.numpy.polynomials import (
    poly,
    polyadd,
    polyder,
    polydiv,
    polyfit,
    polyint,
    polymul,
    polysub,
    polyval,
    roots,
    vander,
)
from weft.numpy.printing import (
    array_repr,
    array_str,
    get_printoptions,
    printoptions,
    set_printoptions,
)
from weft.numpy.quantiles import median, nanmedian, nanpercentile, nanquantile, percentile, quantile
from weft.numpy.ranges import arange, geomspace, indices, linspace, logspace, meshgrid
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
    prod,
    ptp,
    std,
    sum,
    var,
)
from weft.numpy.scalars import (
    bfloat16,
    bool_,
    cdouble,
    complex64,
    complex128,
    complex_,
    csingle,
    double,
    float16,
    float32,
    float64,
    float_,
    int8,
    int16,
    int32,
    int64,
    int_,
    single,
    uint,
    uint8,
    uint16,
    uint32,
    uint64,
)
from weft.numpy.select import clip, nan_to_num, nonzero, select, where
from weft.numpy.sets import (
    intersect1d,
    isin,
    setdiff1d,
    setxor1d,
    union1d,
    unique,
    unique_all,
    unique_counts,
    unique_inverse,
    unique_values,
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
    sort_complex,
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
    spacing,
)
from weft.numpy.taking import choose, compress, extract, take, take_along_axis
from weft.numpy.types import (
    can_cast,
    finfo,
    iinfo,
    iscomplex,
    iscomplexobj,
    isdtype,
    isreal,
    isrealobj,
    isscalar,
    issubdtype,
    iterable,
    result_type,
)
from weft.numpy.ufunc_objects import frompyfunc, ufunc
from weft.numpy.ufunc_table import install as _install_ufuncs
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
    equal,
    exp,
    exp2,
    expm1,
    fabs,
    fix,
    floor,
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
    multiply,
    negative,
    nextafter,
    not_equal,
    positive,
    reciprocal,
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
from weft.numpy.windows import bartlett, blackman, hamming, hanning, i0, kaiser

# Arrays and traced values get their operators and methods, functions those of ufuncs.
_install_methods()
_install_ufuncs()

bool = bool_
dtype = _np.dtype
generic, number = _np.generic, _np.number
integer, signedinteger, unsignedinteger = _np.integer, _np.signedinteger, _np.unsignedinteger
inexact, floating, complexfloating = _np.inexact, _np.floating, _np.complexfloating
flexible, character, object_ = _np.flexible, _np.character, _np.object_
ComplexWarning = _np.exceptions.ComplexWarning

pi, e, euler_gamma = _np.pi, _np.e, _np.euler_gamma
inf, nan, newaxis = _np.inf, _np.nan, None

#: The version of the Array API standard that the namespace follows.
__array_api_version__ = "2025.12"


_preload.begin()

#: Modules that load when first used.
_SUBMODULES = frozenset(["fft", "lib", "linalg"])


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return _importlib.import_module(f"weft.numpy.{name}")
    from weft.missing import missing_name

    raise missing_name("weft.numpy", name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


# fmt: off
__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "all", "allclose", "amax", "amin", "angle",
    "any", "append", "apply_along_axis", "apply_over_axes", "arange", "arccos", "arccosh",
    "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin", "argpartition",
    "argsort", "argwhere", "around", "array", "array_equal", "array_equiv", "array_repr",
    "array_split", "array_str", "asarray", "asin", "asinh", "astype", "atan", "atan2", "atanh",
    "atleast_1d", "atleast_2d", "atleast_3d", "average", "bartlett", "bfloat16", "bincount",
    "bitwise_and", "bitwise_count", "bitwise_invert", "bitwise_left_shift", "bitwise_not",
    "bitwise_or", "bitwise_right_shift", "bitwise_xor", "blackman", "block", "bool", "bool_",
    "broadcast_arrays", "broadcast_shapes", "broadcast_to", "c_", "can_cast", "cbrt", "cdouble",
    "ceil", "character", "choose", "clip", "column_stack", "complex128", "complex64",
    "complex_", "complexfloating", "ComplexWarning", "compress", "concat", "concatenate",
    "conj", "conjugate", "convolve", "copy", "copysign", "corrcoef", "correlate", "cos", "cosh",
    "count_nonzero", "cov", "cross", "csingle", "cumprod", "cumsum", "cumulative_prod",
    "cumulative_sum", "deg2rad", "degrees", "delete", "diag", "diag_indices",
    "diag_indices_from", "diagflat", "diagonal", "diff", "digitize", "divide", "divmod", "dot",
    "double", "dsplit", "dstack", "dtype", "e", "ediff1d", "einsum", "einsum_path", "empty",
    "empty_like", "equal", "euler_gamma", "exp", "exp2", "expand_dims", "expm1", "extract",
    "eye", "fabs", "fft", "fill_diagonal", "finfo", "fix", "flatnonzero", "flexible", "flip",
    "fliplr", "flipud", "float16", "float32", "float64", "float_", "float_power", "floating",
    "floor", "floor_divide", "fmax", "fmin", "fmod", "frexp", "from_dlpack", "frombuffer",
    "fromfile", "fromfunction", "fromiter", "frompyfunc", "fromstring", "full", "full_like",
    "gcd", "generic", "geomspace", "get_printoptions", "gradient", "greater", "greater_equal",
    "hamming", "hanning", "heaviside", "histogram", "histogram2d", "histogram_bin_edges",
    "histogramdd", "hsplit", "hstack", "hypot", "i0", "identity", "iinfo", "imag", "index_exp",
    "indices", "inexact", "inf", "inner", "insert", "int16", "int32", "int64", "int8", "int_",
    "integer", "interp", "intersect1d", "invert", "isclose", "iscomplex", "iscomplexobj",
    "isdtype", "isfinite", "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal",
    "isrealobj", "isscalar", "issubdtype", "iterable", "ix_", "kaiser", "kron", "lcm", "ldexp",
    "left_shift", "less", "less_equal", "lexsort", "lib", "linalg", "linspace", "load", "loadtxt",
    "log", "log10", "log1p", "log2", "logaddexp", "logaddexp2", "logical_and", "logical_not",
    "logical_or", "logical_xor", "logspace", "mask_indices", "matmul", "matrix_transpose",
    "matvec", "max", "maximum", "mean", "median", "meshgrid", "mgrid", "min", "minimum", "mod",
    "modf", "moveaxis", "multiply", "nan", "nan_to_num", "nanargmax", "nanargmin", "nancumprod",
    "nancumsum", "nanmax", "nanmean", "nanmedian", "nanmin", "nanpercentile", "nanprod",
    "nanquantile", "nanstd", "nansum", "nanvar", "ndarray", "ndim", "negative", "newaxis",
    "nextafter", "nonzero", "not_equal", "number", "object_", "ogrid", "ones", "ones_like",
    "outer", "packbits", "pad", "partition", "percentile", "permute_dims", "pi", "piecewise",
    "place", "poly", "polyadd", "polyder", "polydiv", "polyfit", "polyint", "polymul",
    "polysub", "polyval", "positive", "pow", "power", "printoptions", "prod", "promote_types",
    "ptp", "put", "put_along_axis", "quantile", "r_", "rad2deg", "radians", "ravel",
    "ravel_multi_index", "real", "reciprocal", "remainder", "repeat", "reshape", "resize",
    "result_type", "right_shift", "rint", "roll", "rollaxis", "roots", "rot90", "round",
    "row_stack", "s_", "save", "savetxt", "savez", "savez_compressed", "searchsorted", "select",
    "set_printoptions", "setdiff1d", "setxor1d", "shape", "sign", "signbit", "signedinteger",
    "sin", "sinc", "single", "sinh", "size", "sort", "sort_complex", "spacing", "split", "sqrt",
    "square", "squeeze", "stack", "std", "subtract", "sum", "swapaxes", "take",
    "take_along_axis", "tan", "tanh", "tensordot", "tile", "trace", "transpose", "trapezoid",
    "tri", "tril", "tril_indices", "tril_indices_from", "trim_zeros", "triu", "triu_indices",
    "triu_indices_from", "true_divide", "trunc", "ufunc", "uint", "uint16", "uint32", "uint64",
    "uint8", "union1d", "unique", "unique_all", "unique_counts", "unique_inverse",
    "unique_values", "unpackbits", "unravel_index", "unsignedinteger", "unstack", "unwrap",
    "vander", "var", "vdot", "vecdot", "vecmat", "vectorize", "vsplit", "vstack", "where",
    "zeros", "zeros_like",
]
# fmt: on
