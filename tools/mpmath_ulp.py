"""Measures special and elementary functions against mpmath, and writes docs/accuracy-special.md.

    python tools/mpmath_ulp.py

Functions are measured as users call them: compiled, by `weft.jit`. Arguments of special functions
are spread over the exponents of the range in which results are numbers of normal size, and evenly
where a function changes its ways; those of elementary functions over all exponents of the domain
(`tools/ulp_tables.py` measures these with all or a million inputs, against libm). Errors are in
units in the last place of the exact result, of 1 for functions with zeros that the table marks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mpmath
import numpy as np

import weft
from weft import lax
from weft import numpy as wnp
from weft.scipy import special

PAGE = Path(__file__).resolve().parent.parent / "docs" / "accuracy-special.md"
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


@dataclass(frozen=True)
class Special:
    """What is measured: Weft's function, mpmath's, and the range of arguments (its lower end, where
    it is negative, for both signs). ``near`` counts errors in units of 1 where results are smaller.
    """

    name: str
    exact: Callable[[Any], Any]
    low: float
    high: float
    call: Callable[..., Any] | None = None
    near: bool = False

    def __call__(self, x: Any) -> Any:
        return (self.call or getattr(special, self.name))(x)


def _ndtr(x: Any) -> Any:
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


FUNCTIONS = (
    Special("erf", mpmath.erf, -5, 5),
    Special("erfc", mpmath.erfc, -5, 8),
    Special("erfcx", lambda x: mpmath.exp(x * x) * mpmath.erfc(x), -4, 50),
    Special("ndtr", _ndtr, -8, 8),
    Special("log_ndtr", lambda x: mpmath.log(_ndtr(x)), -10, 4),
    Special("expit", lambda x: 1 / (1 + mpmath.exp(-x)), -30, 30),
    Special("logit", lambda x: mpmath.log(x / (1 - x)), 1e-6, 0.99, near=True),
    Special("entr", lambda x: -x * mpmath.log(x), 1e-3, 50, near=True),
    Special("gamma", mpmath.gamma, 1e-3, 30),
    Special("gammaln", mpmath.loggamma, 1e-3, 1e6, near=True),
    Special("digamma", mpmath.digamma, 1e-3, 1e6, near=True),
    Special(
        "polygamma 1",
        lambda x: mpmath.polygamma(1, x),
        1e-2,
        1e3,
        lambda x: special.polygamma(1, x),
    ),
    Special("zeta", lambda x: mpmath.zeta(x), 1.1, 30, lambda x: special.zeta(x, 1)),
    Special(
        "gammainc 2.5",
        lambda x: mpmath.gammainc(2.5, 0, x, True),
        1e-2,
        30,
        lambda x: special.gammainc(2.5, x),
    ),
    Special(
        "gammaincc 2.5",
        lambda x: mpmath.gammainc(2.5, x, mpmath.inf, True),
        1e-2,
        30,
        lambda x: special.gammaincc(2.5, x),
    ),
    Special(
        "betainc 2.5 1.5",
        lambda x: mpmath.betainc(2.5, 1.5, 0, x, True),
        1e-3,
        0.99,
        lambda x: special.betainc(2.5, 1.5, x),
    ),
    Special("i0", lambda x: mpmath.besseli(0, x), -30, 30),
    Special("i1", lambda x: mpmath.besseli(1, x), -30, 30),
    Special("i0e", lambda x: mpmath.besseli(0, x) * mpmath.exp(-abs(x)), -100, 100),
    Special("i1e", lambda x: mpmath.besseli(1, x) * mpmath.exp(-abs(x)), -100, 100),
    Special("exp1", mpmath.e1, 1e-3, 30),
    Special("expi", mpmath.ei, 1e-3, 30, near=True),
    Special("expn 2", lambda x: mpmath.expint(2, x), 1e-3, 30, lambda x: special.expn(2, x)),
    Special(
        "dawsn", lambda x: mpmath.sqrt(mpmath.pi) / 2 * mpmath.exp(-x * x) * mpmath.erfi(x), -10, 10
    ),
    Special("fresnel S", mpmath.fresnels, -5, 5, lambda x: special.fresnel(x)[0]),
    Special("fresnel C", mpmath.fresnelc, -5, 5, lambda x: special.fresnel(x)[1]),
    Special("sici Si", mpmath.si, -30, 30, lambda x: special.sici(x)[0]),
    Special("sici Ci", mpmath.ci, 1e-3, 30, lambda x: special.sici(x)[1], near=True),
    Special("spence", lambda x: mpmath.polylog(2, 1 - x), 1e-3, 50, near=True),
)


def arguments(function: Special, dtype: np.dtype, count: int) -> np.ndarray:
    """Half evenly over the range, half evenly over its exponents, of both signs if it has them."""
    low, high = function.low, function.high
    even = np.linspace(low, high, count // 2)
    sizes = np.geomspace(max(low, 1e-3), high, count - count // 2)
    signs = np.where(np.arange(sizes.size) % 2 & (sizes < -low), -1, 1)
    return np.unique(np.concatenate([even, signs * sizes]).astype(dtype))


def errors(function: Special, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|y - exact| in units in the last place; infinite where y is no number."""
    found = np.empty(x.size)
    with mpmath.workdps(40):
        for k, (a, b) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
            exact = mpmath.re(function.exact(mpmath.mpf(a)))
            scale = abs(float(exact))
            scale = max(scale, 1.0) if function.near else scale
            unit = float(np.spacing(np.asarray(scale, x.dtype)))
            wrong = not np.isfinite(b)
            found[k] = np.inf if wrong else float(abs(mpmath.mpf(b) - exact) / unit)
    return found


# ---------------------------------------------------------------- elementary functions


def _log_of_sum(x: Any, y: Any) -> Any:
    return max(x, y) + mpmath.log1p(mpmath.exp(-abs(x - y)))


def _sinc(x: Any) -> Any:
    return mpmath.sincpi(x)


INF = math.inf
#: Over the whole domain: name, exact function, bounds of each argument.
ELEMENTARY: tuple[tuple[str, Callable[..., Any], tuple[tuple[float, float], ...]], ...] = (
    ("exp", mpmath.exp, ((-INF, INF),)),
    ("exp2", lambda x: mpmath.power(2, x), ((-INF, INF),)),
    ("expm1", mpmath.expm1, ((-INF, INF),)),
    ("log", mpmath.log, ((0, INF),)),
    ("log2", lambda x: mpmath.log(x) / mpmath.ln2, ((0, INF),)),
    ("log10", mpmath.log10, ((0, INF),)),
    ("log1p", mpmath.log1p, ((-1, INF),)),
    ("sin", mpmath.sin, ((-INF, INF),)),
    ("cos", mpmath.cos, ((-INF, INF),)),
    ("tan", mpmath.tan, ((-INF, INF),)),
    ("sinh", mpmath.sinh, ((-INF, INF),)),
    ("cosh", mpmath.cosh, ((-INF, INF),)),
    ("tanh", mpmath.tanh, ((-INF, INF),)),
    ("arcsin", mpmath.asin, ((-1, 1),)),
    ("arccos", mpmath.acos, ((-1, 1),)),
    ("arctan", mpmath.atan, ((-INF, INF),)),
    ("arcsinh", mpmath.asinh, ((-INF, INF),)),
    ("arccosh", mpmath.acosh, ((1, INF),)),
    ("arctanh", mpmath.atanh, ((-1, 1),)),
    ("cbrt", lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), ((-INF, INF),)),
    ("sqrt", mpmath.sqrt, ((0, INF),)),
    ("reciprocal", lambda x: 1 / x, ((-INF, INF),)),
    ("square", lambda x: x * x, ((-INF, INF),)),
    ("sinc", _sinc, ((-INF, INF),)),
    ("deg2rad", mpmath.radians, ((-INF, INF),)),
    ("rad2deg", mpmath.degrees, ((-INF, INF),)),
    ("lax.erf", mpmath.erf, ((-INF, INF),)),
    ("lax.erfc", lambda x: mpmath.erfc(min(x, 100)), ((-INF, INF),)),
    ("lax.erf_inv", mpmath.erfinv, ((-1, 1),)),
    ("lax.logistic", lambda x: 1 / (1 + mpmath.exp(-x)), ((-INF, INF),)),
    ("lax.rsqrt", lambda x: 1 / mpmath.sqrt(x), ((0, INF),)),
    ("power", mpmath.power, ((0, INF), (-100, 100))),
    ("arctan2", mpmath.atan2, ((-INF, INF), (-INF, INF))),
    ("hypot", mpmath.hypot, ((-INF, INF), (-INF, INF))),
    ("divide", lambda x, y: x / y, ((-INF, INF), (-INF, INF))),
    ("fmod", mpmath.fmod, ((0, INF), (0, INF))),
    ("logaddexp", _log_of_sum, ((0, INF), (0, INF))),
)


def over_the_domain(
    bounds: tuple[tuple[float, float], ...], dtype: np.dtype, count: int
) -> list[np.ndarray]:
    """Numbers of all exponents and signs, many near 1, and a few next to each bound."""
    rng = np.random.default_rng(7)
    info = np.finfo(dtype)
    columns = []
    for low, high in bounds:
        sizes = 2.0 ** rng.uniform(info.minexp, info.maxexp - 0.01, count)
        sizes[::2] = np.abs(rng.standard_cauchy(sizes[::2].size)) * 2.0 ** rng.integers(-2, 6)
        x = (sizes * rng.choice([-1, 1], count)).astype(dtype)
        if np.isfinite(low) and np.isfinite(high):
            x[::3] = rng.uniform(low, high, x[::3].size)
        for bound, inside in ((low, 1), (high, -1)):
            if np.isfinite(bound):
                x[:20] = bound + inside * 2.0 ** -np.arange(1, 21)
        x = np.where((x > low) & (x < high), x, np.abs(x))
        columns.append(np.where((x > low) & (x < high), x, dtype.type(max(low, -1) + 0.5)))
    return columns


def elementary_errors(exact: Callable[..., Any], xs: list[np.ndarray], y: np.ndarray) -> np.ndarray:
    """|y - exact| in units in the last place where the exact result is a normal number."""
    found = np.zeros(y.size)
    info = np.finfo(y.dtype)
    with mpmath.workdps(40):
        for k, (b, *a) in enumerate(zip(y.tolist(), *(x.tolist() for x in xs), strict=True)):
            value = mpmath.re(exact(*map(mpmath.mpf, a)))
            if not info.tiny <= abs(value) <= info.max:
                continue
            unit = float(np.spacing(np.asarray(float(abs(value)), y.dtype)))
            found[k] = float(abs(mpmath.mpf(b) - value) / unit) if np.isfinite(b) else np.inf
    return found


def elementary(count: int) -> Iterator[str]:
    """The lines of the table."""
    for name, exact, bounds in ELEMENTARY:
        call = getattr(lax, name[4:]) if name.startswith("lax.") else getattr(wnp, name)
        cells = []
        for dtype in (F32, F64):
            xs = over_the_domain(bounds, dtype, count)
            error = elementary_errors(exact, xs, np.asarray(weft.jit(call)(*xs)))
            worst = int(np.argmax(error))
            cells += [f"{error[worst]:.2f}", ", ".join(f"{x[worst]:.9g}" for x in xs)]
        yield "| " + " | ".join([name, *cells]) + " |\n"


# ---------------------------------------------------------------- the page

_HEADER = """\
# Accuracy of special functions

The largest error of the functions of `weft.scipy.special`, in units in the last place (ulp) of the
exact result, and an argument that has it, against mpmath at {count} arguments over the range, as
compiled. Written by `tools/mpmath_ulp.py`. Where the function has zeros, which the table marks with
†, errors are in units of the largest of result and 1. A NaN or an infinity where a number is due
would count as an infinite error.

| function | from | to | float32 | at | float64 | at |
|---|---|---|---|---|---|---|
"""


_ELEMENTARY_HEADER = """
## Elementary functions

The same at {count} arguments over the whole domain, all exponents included, where the result is a
normal number. [accuracy.md](accuracy.md) has what all inputs, or a million, showed against libm.

| function | float32 | at | float64 | at |
|---|---|---|---|---|
"""


def main() -> None:
    """Measures, and writes the page."""
    count = 600
    lines = [_HEADER.format(count=count)]
    for function in FUNCTIONS:
        cells = []
        for dtype in (F32, F64):
            x = arguments(function, dtype, count)
            error = errors(function, x, np.asarray(weft.jit(function)(x)))
            worst = int(np.argmax(error))
            cells += [f"{error[worst]:.1f}", f"{x[worst]:.9g}"]
        name = function.name + (" †" if function.near else "")
        row = [name, f"{function.low:g}", f"{function.high:g}", *cells]
        lines.append("| " + " | ".join(row) + " |\n")
        print(lines[-1], end="", flush=True)
    lines.append(_ELEMENTARY_HEADER.format(count=2000))
    for line in elementary(2000):
        lines.append(line)
        print(line, end="", flush=True)
    PAGE.write_text("".join(lines))


if __name__ == "__main__":
    main()
