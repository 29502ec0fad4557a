"""Measures how accurate the elementwise functions are, and writes docs/accuracy.md.

    python tools/ulp_tables.py --results results.json

Functions are measured as users call them: compiled, by `weft.jit`. What has been measured is kept
in the results file, so that the work can be interrupted; the page is written from that file.

- float32, one argument: all 2^32 inputs, against the same function in float64, whose own error is
  below 2^-27 units of a float32 (that is what the float64 column says).
- float64, and all functions of two arguments: a million inputs or pairs, over all exponents and
  where a function is hard, against libm's long double called from generated code.
- float16 and bfloat16, one argument: all 65536 inputs; two arguments: a million pairs.

Errors are in units in the last place of the exact result. NaN where a number is due (or the
reverse) and a wrong sign count as infinite.
"""

from __future__ import annotations

import argparse
import ctypes
import functools
import itertools
import json
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

import weft
from weft import lax
from weft import numpy as wnp
from weft.codegen.llvm_text import Module
from weft.runtime.linker import link
from weft.runtime.native import compile_module, host_cpu

Array = np.ndarray
F16, BF16 = np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
DTYPES = (F32, F64, F16, BF16)
PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy.md"

# ---------------------------------------------------------------- references

#: libm's long double: 64 bits of mantissa on x86-64, 113 on AArch64.
_LONG = "x86_fp80" if platform.machine() in ("x86_64", "AMD64") else "fp128"
_PI = np.longdouble("3.14159265358979323846264338327950288")
_LN2 = np.longdouble("0.693147180559945309417232121458176568")


@functools.cache
def _libm(name: str, arity: int) -> Any:
    """Calls ``name`` of libm over arrays of long doubles."""
    module = Module()
    module.declare(f"declare {_LONG} @{name}l({', '.join([_LONG] * arity)})")
    f = module.function("apply", ["ptr %y", "ptr %x", "ptr %z", "i64 %n"])
    with f.loop(0, "%n") as loop:
        at = [f.i(f"getelementptr {_LONG}, ptr {p}, i64 {loop.index}") for p in ("%x", "%z", "%y")]
        operands = [(_LONG, f.i(f"load {_LONG}, ptr {p}, align 16")) for p in at[:arity]]
        result = f.call(_LONG, f"{name}l", *operands)
        f.do(f"store {_LONG} {result}, ptr {at[2]}, align 16")
    f.ret()
    library = link(compile_module(module.text()), ["apply"])
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64)
    return library, prototype(library.address("apply"))


def libm(name: str, *args: Array) -> Array:
    """The long double function ``name`` of libm."""
    args = tuple(np.ascontiguousarray(a, np.longdouble) for a in args)
    y = np.empty_like(args[0])
    _, call = _libm(name, len(args))
    call(y.ctypes.data, args[0].ctypes.data, args[-1].ctypes.data, y.size)
    return y


def _of_libm(name: str) -> Callable[..., Array]:
    return functools.partial(libm, name)


def _logistic(x: Array) -> Array:
    return 1 / (1 + libm("exp", -x))


def _sinc(x: Array) -> Array:
    x = np.abs(x)
    whole = np.rint(x)
    rest = x - whole  # exact, so that sin(πx) keeps its digits near its zeros
    sine = libm("sin", _PI * rest) * np.where(np.fmod(whole, 2) == 0, 1, -1)
    y = np.where(x == 0, 1, np.where(rest == 0, 0, sine / (_PI * x)))
    return np.where(np.isinf(x), np.longdouble(np.nan), y)


def _erf_inv(x: Array) -> Array:
    """Newton's method on erf or, beyond 1/2, erfc, from SciPy's double."""
    from scipy.special import erfinv

    a = np.abs(x)
    y = erfinv(a.astype(np.float64)).astype(np.longdouble)
    for _ in range(2):
        left = np.where(a < 0.5, libm("erf", y) - a, (1 - a) - libm("erfc", y))
        step = left * libm("exp", y * y) * np.sqrt(_PI) / 2
        y = np.where(np.isfinite(y) & (y > 0), y - step, y)
    return np.copysign(np.where(a < 1e-300, a * np.sqrt(_PI) / 2, y), x)


def _logaddexp(x: Array, z: Array, log1p: Any, exp: Any) -> Array:
    top, gap = np.maximum(x, z), np.abs(x - z)
    return np.where(np.isnan(gap), x + z, top + log1p(exp(-gap)))  # equal infinities, or NaN


def _logaddexp_e(x: Array, z: Array) -> Array:
    return _logaddexp(x, z, _of_libm("log1p"), _of_libm("exp"))


def _logaddexp_2(x: Array, z: Array) -> Array:
    return _logaddexp(x, z, lambda t: libm("log1p", t) / _LN2, _of_libm("exp2"))


def _largest(exact: Array, *args: Array) -> Array:
    """The scale of the error where cancellation between operands and result is inherent."""
    return np.maximum(np.abs(exact), np.maximum(*map(np.abs, args)))


# ---------------------------------------------------------------- the functions


@dataclass(frozen=True)
class Function:
    """What is measured.

    ``call`` is Weft's function and ``reference`` the exact one, on long doubles. ``bound`` is what
    the float32 and float64 columns may reach. ``scale`` gives what errors are relative to, by
    default the exact result.
    """

    name: str
    call: Callable[..., Any]
    reference: Callable[..., Array]
    arity: int = 1
    bound: float = 2.0
    scale: Callable[..., Array] | None = None


def _libm_functions(*names: str, **others: str) -> list[Function]:
    """Functions of `weft.numpy` by their names, with libm's where that differs."""
    pairs = {**{n: n for n in names}, **others}
    return [Function(n, getattr(wnp, n), _of_libm(c)) for n, c in pairs.items()]


FUNCTIONS = {
    f.name: f
    for f in [
        *_libm_functions("exp", "exp2", "expm1", "log", "log2", "log10", "log1p"),
        *_libm_functions("sin", "cos", "tan", "sinh", "cosh", "tanh", "cbrt"),
        *_libm_functions(arcsin="asin", arccos="acos", arctan="atan"),
        *_libm_functions(arcsinh="asinh", arccosh="acosh", arctanh="atanh"),
        Function("lax.erf", lax.erf, _of_libm("erf")),
        Function("lax.erfc", lax.erfc, _of_libm("erfc")),
        Function("lax.erf_inv", lax.erf_inv, _erf_inv),
        Function("lax.logistic", lax.logistic, _logistic),
        Function("lax.rsqrt", lax.rsqrt, lambda x: 1 / np.sqrt(x)),
        Function("sqrt", wnp.sqrt, np.sqrt, bound=0.5),
        Function("square", wnp.square, np.square, bound=0.5),
        Function("reciprocal", wnp.reciprocal, np.reciprocal, bound=0.5),
        Function("sinc", wnp.sinc, _sinc, bound=3),
        Function("deg2rad", wnp.deg2rad, lambda x: x * (_PI / 180)),
        Function("rad2deg", wnp.rad2deg, lambda x: x * (180 / _PI)),
        *[
            Function(name, getattr(wnp, name), getattr(np, name), bound=0)
            for name in ("floor", "ceil", "trunc", "rint", "absolute", "negative")
        ],
        Function("sign", wnp.sign, np.sign, bound=0),
        Function("add", wnp.add, np.add, 2, 0.5),
        Function("subtract", wnp.subtract, np.subtract, 2, 0.5),
        Function("multiply", wnp.multiply, np.multiply, 2, 0.5),
        Function("divide", wnp.divide, np.divide, 2, 0.5),
        Function("power", wnp.power, _of_libm("pow"), 2),
        Function("arctan2", wnp.arctan2, _of_libm("atan2"), 2),
        Function("hypot", wnp.hypot, _of_libm("hypot"), 2),
        Function("logaddexp", wnp.logaddexp, _logaddexp_e, 2, 2.5, _largest),
        Function("logaddexp2", wnp.logaddexp2, _logaddexp_2, 2, 2.5, _largest),
        Function("fmod", wnp.fmod, _of_libm("fmod"), 2, 0),
        Function("remainder", wnp.remainder, np.remainder, 2, 0.5),
        Function("copysign", wnp.copysign, np.copysign, 2, 0),
    ]
}

# ---------------------------------------------------------------- inputs

SPECIAL = [
    0, 1, 0.5, 2, 3, np.inf, 1e-310, 5e-324, 1e-45, 1e-40, 1.17549435e-38, 2.2250738585072014e-308,
    1.7976931348623157e308, 3.4028234e38, 65504, 6e-8, 88.72, 88.73, 103.9, 104.1, 709.78, 709.79,
    745.1, 745.2, 710.4, 89.4, 1 - 2**-24, 1 - 2**-53, 1 + 2**-23, 1 + 2**-52, np.pi, np.pi / 2,
    np.pi / 4, 1e22, 1e30, 2.5, 1.5, 0.75, 4, 10, 100, 1000, 27.2, 0.49999997, 0.49999999999999994,
    8388609.0, 4503599627370497.0, 6, 1024, 1074, 149, 1022, 128, 45, 90, 180, 360,
    # closest to a multiple of π/2 among doubles and floats
    6381956970095103 * 2.0**797, 16367173 * 2.0**72, 5.319372648326541e255,
]  # fmt: skip


def special(dtype: np.dtype) -> Array:
    """Numbers where functions change their ways, of both signs, and NaN."""
    with np.errstate(all="ignore"):
        return np.array([*SPECIAL, *(-x for x in SPECIAL), np.nan]).astype(dtype)


def samples(dtype: np.dtype, size: int, seed: int = 0) -> Array:
    """About ``size`` numbers: special ones, random bits, and ranges where functions are hard."""
    rng = np.random.default_rng(seed)
    n = max(1, (size - 2 * len(SPECIAL)) // 12)
    unit = rng.uniform(-1, 1, n)
    bits = np.dtype(f"u{dtype.itemsize}")
    with np.errstate(all="ignore"):
        parts = [
            special(dtype),
            rng.integers(0, np.iinfo(bits).max, 2 * n, bits, endpoint=True).view(dtype),
            *(unit * scale for scale in (1, 12, 120, 750)),
            1 + unit * 2.0 ** -rng.integers(0, 50, n),
            unit * 2.0 ** rng.integers(-30, 40, n),
            1 - 2.0 ** rng.uniform(-53, 0, n),
            np.round(unit * 1e5) * (np.pi / 4),
            2.0 ** rng.uniform(-1080, 1024, n),
            np.round(unit * 1000),
        ]
        return np.concatenate([np.asarray(p).astype(dtype) for p in parts])


def arguments(function: Function, dtype: np.dtype, size: int) -> tuple[Array, ...]:
    """Inputs, or pairs: special numbers with each other, then shuffled and close partners."""
    x = samples(dtype, size)
    if function.arity == 1:
        if dtype.itemsize == 2:
            return (np.arange(1 << 16, dtype=np.uint16).view(dtype),)
        return (x,)
    grid = np.meshgrid(special(dtype), special(dtype))
    z = np.random.default_rng(7).permutation(x)
    factor = np.random.default_rng(8).uniform(-2, 2, x.size)
    with np.errstate(all="ignore"):
        close = (x.astype(np.float64) * factor).astype(dtype)
    first = np.concatenate([grid[0].ravel(), x, x[::4]])
    return first, np.concatenate([grid[1].ravel(), z, close[::4]])


# ---------------------------------------------------------------- errors


def ulps(y: Array, exact: Array, scale: Array | None = None) -> Array:
    """|y - exact| in units in the last place of ``scale``; infinite for a wrong NaN or sign."""
    info = ml_dtypes.finfo(y.dtype)
    wide = y.astype(np.float64).astype(np.longdouble)  # exact: no dtype is wider
    overflow = np.longdouble(2) ** info.maxexp
    bounded = np.clip(exact, -overflow, overflow)
    size = np.abs(bounded if scale is None else np.minimum(scale, overflow))
    _, exponent = np.frexp(size)
    exponent = np.where(size == 0, info.minexp, np.maximum(exponent - 1, info.minexp))
    unit = np.ldexp(np.longdouble(1), exponent - info.nmant)
    error = np.abs(np.clip(wide, -overflow, overflow) - bounded) / unit
    both_nan = np.isnan(wide) & np.isnan(exact)
    wrong = np.isnan(wide) != np.isnan(exact)
    if scale is None:
        wrong |= np.signbit(wide) != np.signbit(exact)
    return np.where(both_nan, 0, np.where(wrong, np.inf, error)).astype(np.float64)


@dataclass(frozen=True)
class Measured:
    """The largest error and arguments that have it; ``inputs`` counts what was tried."""

    error: float
    at: tuple[float, ...]
    inputs: int
    #: Of half types: results that differ from those of float32, rounded.
    unlike_float32: int = 0


def sampled(function: Function, dtype: np.dtype, size: int) -> Measured:
    """Against the long double reference."""
    args = arguments(function, dtype, size)
    with np.errstate(all="ignore"):
        y = np.asarray(weft.jit(function.call)(*args))
        exact = function.reference(*(a.astype(np.float64).astype(np.longdouble) for a in args))
        wide = [a.astype(np.float64).astype(np.longdouble) for a in args]
        scale = None if function.scale is None else function.scale(exact, *wide)
        error = ulps(y, exact, scale)
    worst = int(np.argmax(error))
    unlike = 0
    if dtype.itemsize == 2:
        single = weft.jit(lambda *a: function.call(*(x.astype(F32) for x in a)).astype(dtype))
        other = np.asarray(single(*args))
        with np.errstate(invalid="ignore"):  # signalling NaN
            same = (y == other) | (np.isnan(y) & np.isnan(other))
        unlike = int(np.count_nonzero(~same))
    return Measured(float(error[worst]), tuple(float(a[worst]) for a in args), y.size, unlike)


CHUNK = 1 << 22


def exhaustive(function: Function) -> Measured:
    """All float32 numbers, against the function in float64."""
    step = weft.jit(lambda base: _worst(function.call, base))
    worst, place = -1.0, 0
    for start in range(0, 1 << 32, CHUNK):
        error, at = step(np.uint32(start))
        if float(error) > worst:
            worst, place = float(error), start + int(at)
    return Measured(worst, (float(np.uint32(place).view(F32)),), 1 << 32)


def _worst(call: Callable[..., Any], base: Any) -> tuple[Any, Any]:
    """The largest error among `CHUNK` floats whose bits begin at ``base``, and which has it."""
    bits = base + wnp.arange(CHUNK, dtype=np.uint32)
    x = lax.bitcast_convert_type(bits, F32)
    y, exact = call(x).astype(F64), call(x.astype(F64))
    overflow = np.float64(2.0**128)
    bounded = wnp.clip(exact, -overflow, overflow)
    exponent = lax.bitcast_convert_type(wnp.abs(bounded), np.int64) & np.int64(0x7FF << 52)
    exponent = wnp.maximum(exponent, np.int64((1023 - 126) << 52))
    unit = lax.bitcast_convert_type(exponent - np.int64(23 << 52), F64)
    error = wnp.abs(wnp.clip(y, -overflow, overflow) - bounded) / unit
    wrong = (wnp.isnan(y) != wnp.isnan(exact)) | (wnp.signbit(y) != wnp.signbit(exact))
    error = wnp.where(wrong, np.inf, error)
    error = wnp.where(wnp.isnan(y) & wnp.isnan(exact), 0.0, error)
    at = wnp.argmax(error)
    return wnp.max(error), at


# ---------------------------------------------------------------- the page

_HEADER = """\
# Accuracy

The largest error of every elementwise function of real numbers, in units in the last place (ulp)
of the exact result, and an input that has it. Written by `tools/ulp_tables.py`, which measures
functions as they are compiled ({cpu}).

- float32 functions of one argument: **all 2³² inputs**, against the float64 function. Where the
  figure has a *, it is from a million of them; [vector-math.md](vector-math.md) has what elementary
  functions reach on all inputs, measured as generated code.
- float64 functions, and float32 ones of two arguments: a million inputs or pairs over all
  exponents, special values and the ranges where a function is hard, against libm's long double.
- float16 and bfloat16: all inputs of one argument, a million pairs of two. They are computed in
  float32 and rounded once, so 0.5 ulp and the share of float32's error that can tip a tie.

A wrong NaN, infinity or sign of zero would count as an infinite error. Errors of `logaddexp` and
`logaddexp2` are in units of the largest of result and operands: where operands nearly cancel, no
digits of the result are known. `sign` of −0 is 0. `nextafter`, `maximum` and its kin, comparisons
and `heaviside` are exact by construction. [vector-math.md](vector-math.md) says how the functions
are computed, and what they reach on processors without FMA; special functions, and what mpmath says
of elementary ones, have [a page of their own](accuracy-special.md).

| function | float32 | at | float64 | at | float16 | bfloat16 |
|---|---|---|---|---|---|---|
"""


def _cells(dtype: np.dtype, arity: int, row: dict[str, Any]) -> list[str]:
    """The error, and where it is for the wider dtypes; ``*`` for a sample where all could be."""
    mark = "*" if dtype == F32 and arity == 1 and row["inputs"] < 1 << 32 else ""
    at = ", ".join(f"{x:.9g}" for x in row["at"]) if row["error"] > 0 else ""
    return [f"{row['error']:.2f}{mark}", *([at] if dtype.itemsize > 2 else [])]


def page(results: dict[str, Any], cpu: str) -> str:
    """The text of docs/accuracy.md."""
    lines = [_HEADER.format(cpu=cpu)]
    for name, function in FUNCTIONS.items():
        cells = [_cells(d, function.arity, results[f"{name} {d.name}"]) for d in DTYPES]
        lines.append(f"| {name} | " + " | ".join(itertools.chain(*cells)) + " |\n")
    return "".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, required=True, help="what has been measured")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after that long")
    options = parser.parse_args()
    results = json.loads(options.results.read_text()) if options.results.exists() else {}
    until = time.monotonic() + options.seconds

    def note(key: str, measure: Callable[[], Measured]) -> None:
        start = time.monotonic()
        found = measure()
        results[key] = vars(found)
        options.results.write_text(json.dumps(results, indent=1))
        seconds = time.monotonic() - start
        print(f"{key:24} {found.error:8.3f} at {found.at} ({seconds:.1f} s)", flush=True)

    for name, function in FUNCTIONS.items():
        for dtype in DTYPES:
            key = f"{name} {dtype.name}"
            if key not in results:
                note(key, lambda f=function, d=dtype: sampled(f, d, 1_000_000))
    for name, function in FUNCTIONS.items():
        key = f"{name} float32"
        if function.arity == 1 and results[key]["inputs"] < 1 << 32 and time.monotonic() < until:
            note(key, lambda f=function: exhaustive(f))
    PAGE.write_text(page(results, host_cpu().name))


if __name__ == "__main__":
    main()
