"""Scalars of C, CUDA C++ and OpenCL C: types, literals and operations, as `jax.lax` defines them.

Signed arithmetic wraps (it is done unsigned), division by zero, over-long shifts and conversion of
floats to integers are defined, and NaN wins in max and min. Every operand is a name or a literal,
so a template may repeat it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np

from weft.codegen import c_halves
from weft.structs import struct

TYPES = {
    "bool": "bool",
    "int8": "signed char",
    "int16": "short",
    "int32": "int",
    "int64": "long long",
    "uint8": "unsigned char",
    "uint16": "unsigned short",
    "uint32": "unsigned int",
    "uint64": "unsigned long long",
    "float32": "float",
    "float64": "double",
}

#: Words of C and C++, and names from the headers and of CUDA that a local must not hide.
KEYWORDS = frozenset(
    """
    alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl
    const constexpr const_cast continue decltype default delete do double dynamic_cast else enum
    explicit export extern false float for friend goto if inline int long mutable namespace new
    noexcept not not_eq nullptr operator or or_eq private protected public register
    reinterpret_cast restrict return short signed sizeof static static_assert static_cast struct
    switch template this thread_local throw true try typedef typeid typename union unsigned
    using virtual void volatile wchar_t while xor xor_eq main int8_t int16_t int32_t int64_t
    uint8_t uint16_t uint32_t uint64_t INFINITY NAN memcpy threadIdx blockIdx blockDim gridDim
    warpSize acos acosh asin asinh atan atanh atan2 cbrt ceil cos cosh erf erfc erfinv exp exp2
    expm1 fabs floor fma fmod log log1p log2 log10 nextafter pow rint round rsqrt sin sinh sqrt tan
    tanh j0 j1 jn y0 y1 yn
    """.split()  # noqa: SIM905
)

_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_BITS = {"and": "&", "or": "|", "xor": "^"}
#: Functions of the C library and of CUDA under the same names; an ``f`` is appended for float32.
_FUNCTIONS = {
    "abs": "fabs",
    "round_even": "rint",
    "round_away": "round",
    "rem": "fmod",
    **{
        n: n
        for n in (
            "floor", "ceil", "exp", "exp2", "log", "log1p", "log2", "log10", "expm1", "sqrt",
            "cbrt", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh",
            "acosh", "atanh", "erf", "erfc", "pow", "atan2", "nextafter", "fma",
        )
    },
}  # fmt: skip
_FLOAT = {
    "neg": "-{0}",
    "sign": "{0} > 0 ? {one} : {0} < 0 ? -{one} : {0}",
    "max": "{0} > {1} || {0} != {0} ? {0} : {1}",
    "min": "{0} < {1} || {0} != {0} ? {0} : {1}",
    "is_finite": "{0} - {0} == 0",
    "rsqrt": "{one} / sqrt{f}({0})",
    "logistic": "{one} / ({one} + exp{f}(-{0}))",
}
_BOOL = {
    "not": "!{0}",
    "max": "{0} || {1}",
    "min": "{0} && {1}",
    "and": "{0} && {1}",
    "or": "{0} || {1}",
    "xor": "{0} != {1}",
}
_INTEGER = {
    "not": "({T})~{0}",
    "max": "{0} > {1} ? {0} : {1}",
    "min": "{0} < {1} ? {0} : {1}",
    "floor": "{0}",
    "ceil": "{0}",
    "round_even": "{0}",
    "round_away": "{0}",
    "is_finite": "true",
    "fma": "({T})(({U}){0} * ({U}){1} + ({U}){2})",
    "shift_left": "({u}){1} < {bits} ? ({T})(({U}){0} << {1}) : ({T})0",
    "shift_right_logical": "({u}){1} < {bits} ? ({T})(({u}){0} >> {1}) : ({T})0",
    "shift_right_arithmetic": "({s}){0} >> (({u}){1} < {bits} ? {1} : {top})",
}
_SIGNED = {
    "neg": "({T})(({U})0 - ({U}){0})",
    "abs": "{0} < 0 ? ({T})(({U})0 - ({U}){0}) : {0}",
    "sign": "({T})(({0} > 0) - ({0} < 0))",
    "div": "{1} == 0 ? ({T})-1 : {1} == -1 ? ({T})(({U})0 - ({U}){0}) : ({T})({0} / {1})",
    "rem": "{1} == 0 ? {0} : {1} == -1 ? ({T})0 : ({T})({0} % {1})",
}
_UNSIGNED = {
    "neg": "({T})(({U})0 - ({U}){0})",
    "abs": "{0}",
    "sign": "({T})({0} > 0)",
    "div": "{1} == 0 ? ({T})-1 : ({T})({0} / {1})",
    "rem": "{1} == 0 ? {0} : ({T})({0} % {1})",
}


@struct(frozen=True)
class Words:
    """What a language of the family calls things.

    ``own`` are templates by operation and dtype where it differs from C; functions of float32 end
    in ``suffix``, as their literals do.
    """

    language: str
    types: Mapping[str, str] = field(default_factory=lambda: TYPES)
    own: Mapping[str, str] = field(default_factory=dict)
    suffix: str = "f"


def type_of(words: Words, dtype: np.dtype) -> str:
    """The type of a scalar; `TypeError` for half and complex types."""
    if dtype.name not in words.types:
        raise TypeError(f"the {words.language} code generator has no scalars of dtype {dtype.name}")
    return words.types[dtype.name]


def literal(value: Any, dtype: np.dtype) -> str:
    """A finite constant; a negative one in brackets, so that a sign may stand before it."""
    if dtype == np.bool_:
        return "true" if value else "false"
    if c_halves.is_half(dtype):
        return c_halves.literal(value, dtype)
    if dtype.kind == "f":
        exact = dtype.type(value)
        text = f"{exact!s}f" if dtype == np.float32 else repr(float(exact))
    else:
        number = int(dtype.type(value))
        wide = "LL" if dtype.itemsize == 8 else ""
        if dtype.kind == "i" and number == np.iinfo(dtype).min and dtype.itemsize >= 4:
            return f"({number + 1}{wide} - 1)"  # there are no negative literals in C
        text = f"{number}{'u' if dtype.kind == 'u' else ''}{wide}"
    return f"({text})" if text.startswith("-") else text


def operation(
    words: Words, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype
) -> str:
    """``op`` as an expression."""
    if op == "select":
        return f"{args[0]} ? {args[1]} : {args[2]}"
    if op == "cast":
        return convert(words, args[0], operand, result)
    if c_halves.is_half(operand):
        if op == "nextafter":
            raise TypeError(f"the {words.language} code generator has no {op!r} for {operand.name}")
        single = np.dtype(np.float32)
        kind = single if result == operand else result
        wide = [f"({c_halves.widened(a, operand)})" for a in args]
        text = operation(words, op, wide, single, kind)
        return c_halves.narrowed(text, result) if kind is single else text
    if op in _COMPARE:
        return f"{args[0]} {_COMPARE[op]} {args[1]}"
    template = words.own.get(f"{op}.{operand.name}", _template(op, operand))
    if template is None:
        raise TypeError(
            f"the {words.language} code generator has no {op!r} for dtype {operand.name}"
        )
    return template.format(*args, **_types(words, operand))


def _template(op: str, operand: np.dtype) -> str | None:
    if operand == np.bool_:
        return _BOOL.get(op)
    if operand.kind == "f":
        if op in _FUNCTIONS:
            count = {"fma": 3, "pow": 2, "atan2": 2, "nextafter": 2, "rem": 2}.get(op, 1)
            return f"{_FUNCTIONS[op]}{{f}}({', '.join(f'{{{n}}}' for n in range(count))})"
        return f"{{0}} {_ARITHMETIC[op]} {{1}}" if op in _ARITHMETIC else _FLOAT.get(op)
    if op in _BITS:
        return f"({{T}})({{0}} {_BITS[op]} {{1}})"
    special = (_UNSIGNED if operand.kind == "u" else _SIGNED).get(op, _INTEGER.get(op))
    if special is None and op in _ARITHMETIC:
        return f"({{T}})(({{U}}){{0}} {_ARITHMETIC[op]} ({{U}}){{1}})"
    return special


def _types(words: Words, dtype: np.dtype) -> dict[str, str]:
    """What templates may name: the type, its signed, unsigned and unsigned wide forms."""
    types = words.types
    if dtype.kind == "f":
        narrow = dtype == np.float32
        return {"f": words.suffix if narrow else "", "one": "1.0f" if narrow else "1.0"}
    bits = 8 * dtype.itemsize
    return {
        "T": types[dtype.name],
        "s": types.get(f"int{bits}", ""),
        "u": types.get(f"uint{bits}", ""),
        "U": types.get(f"uint{max(32, bits)}", ""),
        "bits": str(bits),
        "top": str(bits - 1),
    }


def convert(words: Words, value: str, source: np.dtype, target: np.dtype) -> str:
    """``lax.convert_element_type``: saturating from float to integer, NaN to 0."""
    kind = type_of(words, target)
    if source == target:
        return value
    if c_halves.is_half(source):
        single = np.dtype(np.float32)
        return convert(words, f"({c_halves.widened(value, source)})", single, target)
    if c_halves.is_half(target):
        rounded = convert(words, value, source, np.dtype(np.float32))
        odd = source == np.float64
        return c_halves.narrowed(f"weft_odd_f32({value})" if odd else rounded, target)
    if target == np.bool_:
        return f"{value} != 0"
    if source.kind != "f" or target.kind == "f":
        return f"({kind}){value}"
    info = np.iinfo(target)
    suffix = "f" if source == np.float32 else ""
    low, high = literal(info.min, target), literal(info.max, target)
    return (
        f"{value} != {value} ? ({kind})0 : {value} <= {float(info.min)}{suffix} ? ({kind}){low} : "
        f"{value} >= {float(info.max)}{suffix} ? ({kind}){high} : ({kind}){value}"
    )


def clamp(value: str, dtype: np.dtype, lo: int, hi: int, index: str) -> str:
    """``value`` clamped to ``[lo, hi]`` as an index of C type ``index``."""
    if dtype == np.bool_:
        value, dtype = f"(int){value}", np.dtype(np.int32)
    if dtype.kind == "i":
        return f"(({index})({value} < {lo} ? {lo} : {value} > {hi} ? {hi} : {value}))"
    if hi < 0:
        return f"({hi})"
    wide = "ULL" if dtype.itemsize == 8 else "u"
    low = f"{value} < {lo}{wide} ? {lo}{wide} : " if lo > 0 else ""
    return f"(({index})({low}{value} > {hi}{wide} ? {hi}{wide} : {value}))"
