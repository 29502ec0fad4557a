"""Dtypes: the set Weft knows, their short names, and promotion.

Promotion is JAX's lattice with 64-bit types always on. Scalars of Python, and NumPy scalars of
NumPy's own default types (``float64``, ``int64``, ``complex128``), are *weak*: they take the
dtype of what they meet. Alone, a weak value has the default dtype of its kind (int32, float32,
complex64); an integer that does not fit int32 becomes int64.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

bool_ = np.dtype(np.bool_)
int8, int16 = np.dtype(np.int8), np.dtype(np.int16)
int32, int64 = np.dtype(np.int32), np.dtype(np.int64)
uint8, uint16 = np.dtype(np.uint8), np.dtype(np.uint16)
uint32, uint64 = np.dtype(np.uint32), np.dtype(np.uint64)
float16, bfloat16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
float32, float64 = np.dtype(np.float32), np.dtype(np.float64)
complex64, complex128 = np.dtype(np.complex64), np.dtype(np.complex128)

#: The dtype of tangents of integer and boolean values: a type with no information.
float0 = np.dtype([("float0", np.void, 0)])


class extended(np.generic):
    """The class of dtypes that NumPy does not have, for `weft.numpy.issubdtype`."""


class prng_key(extended):
    """The class of dtypes of random keys, for `weft.numpy.issubdtype`."""


class KeyDtype:
    """The dtype of random keys, each two words of 32 bits for Threefry; there is one.

    Keys are moved around as other elements are, but are no numbers. ``dtype`` is how NumPy sees
    them, ``words`` how compiled code does.
    """

    name = "key<fry>"
    itemsize = 8
    kind = "V"
    dtype = np.dtype([("key<fry>", np.uint64)])
    words = uint64

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str:
        return "key_fry"


#: The dtype of keys for Threefry, as `weft.random.key` makes them.
key_fry: Any = KeyDtype()

SHORT_NAMES: dict[np.dtype, str] = {
    bool_: "bool",
    int8: "i8",
    int16: "i16",
    int32: "i32",
    int64: "i64",
    uint8: "u8",
    uint16: "u16",
    uint32: "u32",
    uint64: "u64",
    float16: "f16",
    bfloat16: "bf16",
    float32: "f32",
    float64: "f64",
    complex64: "c64",
    complex128: "c128",
}

_CANONICAL: dict[Any, np.dtype] = {dtype: dtype for dtype in SHORT_NAMES}
_CANONICAL.update({dtype.type: dtype for dtype in SHORT_NAMES})
_CANONICAL.update({dtype.name: dtype for dtype in SHORT_NAMES})
_CANONICAL.update({bool: bool_, int: int32, float: float32, complex: complex64})
_CANONICAL.update(dict.fromkeys([key_fry, key_fry.dtype, key_fry.name], key_fry))


def _suggestion(dtype: Any) -> str:
    """The name that somebody may have meant."""
    import difflib  # which nobody needs who knows how dtypes are called

    names = [d.name for d in SHORT_NAMES]
    close = difflib.get_close_matches(dtype, names, n=1) if isinstance(dtype, str) else []
    return f"; did you mean '{close[0]}'?" if close else ""


def canonical_dtype(dtype: Any) -> np.dtype:
    """The one ``np.dtype`` object for ``dtype``; Python's ``int``, ``float``, … mean the defaults.

    Raises TypeError for dtypes that Weft does not have (strings, objects, structured types, …).

    >>> weft.dtypes.canonicalize_dtype(float), weft.dtypes.canonicalize_dtype("f8")
    (dtype('float32'), dtype('float64'))
    """
    try:
        return _CANONICAL[dtype]
    except (KeyError, TypeError):
        pass
    try:
        found = np.dtype(dtype).newbyteorder("=")
    except TypeError:
        raise TypeError(f"{dtype!r} is not a dtype{_suggestion(dtype)}") from None
    if found not in _CANONICAL:
        names = ", ".join(d.name for d in SHORT_NAMES)
        raise TypeError(f"dtype {found} is not supported; Weft has {names}")
    return _CANONICAL[found]


def short_name(dtype: np.dtype) -> str:
    """``f32``, ``i64``, ``bool``, … as the jaxpr printer writes dtypes."""
    return SHORT_NAMES.get(dtype) or str(dtype)


_BOOLEAN = frozenset([bool_])
_SIGNED = frozenset([int8, int16, int32, int64])
_UNSIGNED = frozenset([uint8, uint16, uint32, uint64])
_FLOATING = frozenset([float16, bfloat16, float32, float64])
_COMPLEX = frozenset([complex64, complex128])


def is_bool(dtype: np.dtype) -> bool:
    """Is it the boolean dtype?"""
    return dtype in _BOOLEAN


def is_signed(dtype: np.dtype) -> bool:
    """Is it a signed integer dtype?"""
    return dtype in _SIGNED


def is_unsigned(dtype: np.dtype) -> bool:
    """Is it an unsigned integer dtype?"""
    return dtype in _UNSIGNED


def is_integer(dtype: np.dtype) -> bool:
    """Is it an integer dtype (not bool)?"""
    return dtype in _SIGNED or dtype in _UNSIGNED


def is_floating(dtype: np.dtype) -> bool:
    """Is it a real floating dtype (bfloat16 included)?"""
    return dtype in _FLOATING


def is_complex(dtype: np.dtype) -> bool:
    """Is it a complex dtype?"""
    return dtype in _COMPLEX


def is_inexact(dtype: np.dtype) -> bool:
    """Is it floating or complex, that is, can it be differentiated?"""
    return dtype in _FLOATING or dtype in _COMPLEX


def is_key(dtype: np.dtype) -> bool:
    """Is it the dtype of random keys?"""
    return dtype is key_fry


def stored_dtype(dtype: np.dtype) -> np.dtype:
    """How compiled code sees elements of ``dtype``: keys are words of 64 bits."""
    return KeyDtype.words if dtype is key_fry else dtype


def stored(data: np.ndarray) -> np.ndarray:
    """An array as compiled code sees it."""
    return data.view(KeyDtype.words) if data.dtype == KeyDtype.dtype else data


def real_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of the real part: float32 for complex64, itself for everything real."""
    if dtype == complex64:
        return float32
    return float64 if dtype == complex128 else dtype


def complex_dtype(dtype: np.dtype) -> np.dtype:
    """The complex dtype with real parts of ``dtype``, float32 or float64."""
    return complex64 if dtype == float32 else complex128


def kind_name(dtype: np.dtype) -> str:
    """``"bool"``, ``"int"``, ``"float"`` or ``"complex"``, for messages."""
    if is_bool(dtype):
        return "bool"
    if is_integer(dtype):
        return "int"
    if is_key(dtype):
        return "key"
    return "float" if is_floating(dtype) else "complex"


# The promotion lattice: each type with the types directly above it. "i*", "f*" and "c*" are the
# weak types of Python scalars. The join of two types is the least type above both.
_Node = Any
_ABOVE: dict[_Node, list[_Node]] = {
    bool_: ["i*"],
    "i*": [uint8, int8],
    uint8: [int16, uint16],
    uint16: [int32, uint32],
    uint32: [int64, uint64],
    uint64: ["f*"],
    int8: [int16],
    int16: [int32],
    int32: [int64],
    int64: ["f*"],
    "f*": [bfloat16, float16, "c*"],
    bfloat16: [float32],
    float16: [float32],
    float32: [float64, complex64],
    float64: [complex128],
    "c*": [complex64],
    complex64: [complex128],
    complex128: [],
}
_WEAK_DEFAULT: dict[_Node, np.dtype] = {"i*": int32, "f*": float32, "c*": complex64}


def _upper_bounds() -> dict[_Node, frozenset[_Node]]:
    bounds: dict[_Node, frozenset[_Node]] = {}
    pending = list(_ABOVE)
    while pending:
        node = pending.pop(0)
        if all(above in bounds for above in _ABOVE[node]):
            bounds[node] = frozenset([node]).union(*(bounds[above] for above in _ABOVE[node]))
        else:
            pending.append(node)
    return bounds


_BOUNDS = _upper_bounds()


@functools.lru_cache(maxsize=1024)
def _join(nodes: frozenset[_Node]) -> _Node:
    common = frozenset.intersection(*(_BOUNDS[node] for node in nodes))
    least = [node for node in common if common <= _BOUNDS[node]]
    (join,) = least
    return join


def _weak_node(dtype: np.dtype) -> _Node:
    if is_integer(dtype):
        return "i*"
    if is_floating(dtype):
        return "f*"
    return "c*" if is_complex(dtype) else dtype


def promote_types(a: Any, b: Any) -> np.dtype:
    """The dtype of a result of two strongly typed operands.

    >>> promote_types("int32", "float16")
    dtype('float16')
    """
    join = _join(frozenset([canonical_dtype(a), canonical_dtype(b)]))
    return _WEAK_DEFAULT.get(join, join)


def promote_weak(typed: Iterable[tuple[np.dtype, bool]]) -> tuple[np.dtype, bool]:
    """Promotion of (dtype, weak) pairs; the result is weak when no strong type decided it.

    A weak 64-bit integer stands for a number that does not fit int32, so an integer result with it
    has 64 bits.
    """
    pairs = list(typed)
    if any(d is key_fry for d, _ in pairs):
        return _promoted_keys(pairs), False
    join = _join(frozenset(_weak_node(d) if is_weak else d for d, is_weak in pairs))
    dtype = _WEAK_DEFAULT.get(join, join)
    for operand, is_weak in pairs:
        if is_weak and kind_name(operand) == kind_name(dtype):
            wide = is_integer(dtype) or join in _WEAK_DEFAULT
            if wide and operand.itemsize > max(4, dtype.itemsize):
                dtype = operand
    return dtype, join in _WEAK_DEFAULT


def _promoted_keys(pairs: list[tuple[np.dtype, bool]]) -> np.dtype:
    other = next((d for d, _ in pairs if d is not key_fry), None)
    if other is not None:
        raise TypeError(
            f"random keys have no common dtype with numbers, here {key_fry} and {other}: use "
            "weft.random.bits(key) for random integers, or weft.random.key_data(key) for its words"
        )
    return key_fry


_BOOLEANS = bool, np.bool_


def scalar_type(value: Any) -> tuple[np.dtype, bool] | None:
    """(dtype, weak) of a Python or NumPy scalar, or None when ``value`` is not one."""
    if isinstance(value, _BOOLEANS):
        return bool_, False
    if isinstance(value, np.generic):
        dtype = value.dtype
        if dtype == float64:
            return float32, True
        if dtype == complex128:
            return complex64, True
        if dtype == int64:
            return _int_dtype(int(value)), True
        return canonical_dtype(dtype), False
    if isinstance(value, int):
        return _int_dtype(value), True
    if isinstance(value, float):
        return float32, True
    if isinstance(value, complex):
        return complex64, True
    return None


def _int_dtype(value: int) -> np.dtype:
    if -(2**31) <= value < 2**31:
        return int32
    if -(2**63) <= value < 2**63:
        return int64
    if 0 <= value < 2**64:
        return uint64
    raise OverflowError(f"the integer {value} does not fit in 64 bits")


def result_type(*args: Any) -> tuple[np.dtype, bool]:
    """The (dtype, weak) of an operation on ``args``: arrays, traced values, scalars or dtypes.

    >>> result_type(np.float16(1), 2.0)
    (dtype('float16'), False)
    >>> result_type(1, 2.5)
    (dtype('float32'), True)
    """
    if not args:
        raise ValueError("result_type needs at least one argument")
    return promote_weak([_typed(arg) for arg in args]) if len(args) > 1 else _typed(args[0])


def _typed(arg: Any) -> tuple[np.dtype, bool]:
    scalar = scalar_type(arg)
    if scalar is not None:
        return scalar
    if isinstance(arg, np.ndarray):
        return canonical_dtype(arg.dtype), False
    aval = getattr(arg, "aval", arg)
    if hasattr(aval, "weak_type"):
        return aval.dtype, aval.weak_type
    # By identity: NumPy's dtype float64 is equal to Python's float.
    return canonical_dtype(arg), arg is int or arg is float or arg is complex
