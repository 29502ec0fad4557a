"""Writes src/weft/codegen/vecmath/coefficients.py: the polynomials of the elementary functions.

    python tools/gen_coefficients.py        # needs mpmath

Each polynomial interpolates its function at Chebyshev nodes, which is within a few percent of the
best possible one (Trefethen, Approximation Theory and Approximation Practice, ch. 16), computed
with 300 bits. Functions are arranged so that leading coefficients are exact (sin r = r + r³·P(r²)),
and the rounding of the others to float or double matters little.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import mpmath as mp

mp.mp.prec = 300
TARGET = Path(__file__).parents[1] / "src/weft/codegen/vecmath/coefficients.py"
TINY = mp.mpf(10) ** -20
LN2 = mp.log(2)
ERFC_CENTRE = 0.375  # as in vecmath/error_function.py

Real = mp.mpf
RealFunction = Callable[[Real], Real]


def interpolate(f: RealFunction, lo: Real, hi: Real, count: int) -> list[Real]:
    """Monomial coefficients of the polynomial through `count` Chebyshev nodes of [lo, hi]."""
    lo, hi = mp.mpf(lo), mp.mpf(hi)
    nodes = [
        (lo + hi) / 2 + (hi - lo) / 2 * mp.cos(mp.pi * (2 * i + 1) / (2 * count))
        for i in range(count)
    ]
    matrix = mp.matrix(count, count)
    values = mp.matrix(count, 1)
    for i, x in enumerate(nodes):
        for j in range(count):
            matrix[i, j] = x**j
        values[i] = f(x if abs(x) > TINY else TINY)  # most f are 0/0 at 0
    return list(mp.lu_solve(matrix, values))


def odd(f: RealFunction) -> RealFunction:
    """(f(√z)/√z - 1)/z: f(x) = x + x³·P(x²) for an odd f with f'(0) = 1."""
    return lambda z: (f(mp.sqrt(z)) / mp.sqrt(z) - 1) / z


def erfcx(x: Real) -> Real:
    return mp.exp(x * x) * mp.erfc(x)


def mapped_erfcx(centre: float) -> RealFunction:
    """(x + c)·erfcx(x) in u = (x - c)/(x + c) - ERFC_CENTRE, almost constant for large x."""

    def f(u: Real) -> Real:
        t = u + ERFC_CENTRE
        x = centre * (1 + t) / (1 - t)
        return (x + centre) * erfcx(x)

    return f


def mapped(centre: float, x: float) -> Real:
    return (mp.mpf(x) - centre) / (mp.mpf(x) + centre) - ERFC_CENTRE


def erf_inv_tail(w: Real) -> Real:
    """erf_inv(1 - e^(-w²)) / w - 7/8."""
    tail = mp.exp(-w * w)
    x = w  # Newton on log erfc from a point to the right of the root
    for _ in range(60):
        step = (mp.log(mp.erfc(x)) + w * w) * mp.erfc(x) * mp.sqrt(mp.pi) / 2 * mp.exp(x * x)
        x += step
        if abs(step) < mp.mpf(10) ** -60:
            break
    assert abs(mp.erfc(x) / tail - 1) < mp.mpf(10) ** -50
    return x / w - mp.mpf(7) / 8


HALF_LN2 = LN2 / 2 * mp.mpf("1.0001")
QUARTER_PI_SQUARED = (mp.pi / 4) ** 2 * mp.mpf("1.0001")
EIGHTH_TAN_SQUARED = mp.tan(mp.pi / 8) ** 2 * mp.mpf("1.0001")
LOG_S_SQUARED = ((mp.sqrt(2) - 1) / (mp.sqrt(2) + 1)) ** 2 * mp.mpf("1.001")

# (name, what it is, function, lo, hi, terms for float, terms for double); 0 terms: not made
POLYNOMIALS: list[tuple[str, str, RealFunction, Real, Real, int, int]] = [
    (
        "exp",
        "(e^r - 1 - r)/r², |r| ≤ ln2/2",
        lambda r: (mp.exp(r) - 1 - r) / r**2, -HALF_LN2, HALF_LN2, 5, 11,
    ),
    (
        "exp2",
        "(2^f - 1)/f, |f| ≤ 1/2",
        lambda f: (mp.mpf(2) ** f - 1) / f, -0.5001, 0.5001, 7, 13,
    ),
    (
        "log",
        "(log(1+t) - t + t²/2)/t³, t in [-1/4, 1/2]",
        lambda t: (mp.log(1 + t) - t + t**2 / 2) / t**3, -0.2501, 0.5001, 9, 19,
    ),
    ("sin", "(sin r - r)/r³ in r², |r| ≤ π/4", odd(mp.sin), TINY, QUARTER_PI_SQUARED, 4, 7),
    (
        "cos",
        "(cos r - 1 + r²/2)/r⁴ in r², |r| ≤ π/4",
        lambda z: (mp.cos(mp.sqrt(z)) - 1 + z / 2) / z**2, TINY, QUARTER_PI_SQUARED, 3, 6,
    ),
    ("asin", "(asin x - x)/x³ in x², |x| ≤ 1/2", odd(mp.asin), TINY, 0.2501, 6, 13),
    (
        "atan",
        "(atan x - x)/x³ in x², |x| ≤ tan(π/8)",
        odd(mp.atan), TINY, EIGHTH_TAN_SQUARED, 5, 11,
    ),
    ("sinh", "(sinh x - x)/x³ in x², |x| ≤ 1", odd(mp.sinh), TINY, 1.001, 4, 8),
    ("tanh", "(tanh x - x)/x³ in x², |x| ≤ 0.625", odd(mp.tanh), TINY, 0.392, 6, 13),
    (
        "erf",
        "erf(x)/x - 1 in x², |x| ≤ 1",
        lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1, TINY, 1.001, 7, 14,
    ),
    (
        "log_erfc",
        "log(erfc(1 + u)), u in [0, 3]",
        lambda u: mp.log(mp.erfc(u + 1)), -0.001, 3.001, 9, 0,
    ),
    (
        "erfc",
        "(x + 2)·e^(x²)·erfc(x) in (x - 2)/(x + 2) - 0.375, x in [0.8, 10.2]",
        mapped_erfcx(2.0), mapped(2.0, 0.79), mapped(2.0, 10.3), 10, 0,
    ),
    (
        "erfc",
        "(x + 2)·e^(x²)·erfc(x) in (x - 2)/(x + 2) - 0.375, x in [0.8, 27.4]",
        mapped_erfcx(2.0), mapped(2.0, 0.79), mapped(2.0, 27.5), 0, 22,
    ),
    (
        "erf_inv",
        "erf_inv(x)/x in x², |x| ≤ 3/4",
        lambda z: mp.erfinv(mp.sqrt(z)) / mp.sqrt(z), TINY, 0.5626, 11, 25,
    ),
    (
        "erf_inv_tail",
        "erf_inv(1 - e^(-w²))/w - 7/8 in w - 2.6, w in [1.17, 4.1]",
        lambda u: erf_inv_tail(u + 2.6), 1.17 - 2.6, 4.1 - 2.6, 16, 0,
    ),
    (
        "erf_inv_tail",
        "erf_inv(1 - e^(-w²))/w - 7/8 in w - 3.6, w in [1.17, 6.2]",
        lambda u: erf_inv_tail(u + 3.6), 1.17 - 3.6, 6.2 - 3.6, 0, 24,
    ),
    (
        "inverse_cbrt",
        "m^(-1/3), m in [3/4, 3/2]: a starting value",
        lambda m: m ** (-mp.mpf(1) / 3), 0.75, 1.5, 4, 5,
    ),
    (
        "log2_single",
        "log2((1+s)/(1-s))/s in s², evaluated in double for pow in float",
        lambda z: 2 * mp.atanh(mp.sqrt(z)) / mp.sqrt(z) / LN2, TINY, LOG_S_SQUARED, 0, 6,
    ),
    (
        "exp2_single",
        "2^f, |f| ≤ 1/2, evaluated in double for pow in float",
        lambda f: mp.mpf(2) ** f, -0.5001, 0.5001, 0, 8,
    ),
    (
        "log_tail",
        "(log((1+s)/(1-s)) - 2s - 2s³/3)/s⁵ in s², for pow in double",
        lambda z: (2 * mp.atanh(mp.sqrt(z)) - 2 * mp.sqrt(z) - 2 * mp.sqrt(z) ** 3 / 3)
        / mp.sqrt(z) ** 5, mp.mpf(10) ** -12, LOG_S_SQUARED, 0, 8,
    ),
]  # fmt: skip


def to_single(x: Real) -> float:
    return struct.unpack("<f", struct.pack("<f", float(x)))[0]


def parts(x: Real, bits: list[int]) -> list[float]:
    """x = sum of parts, part k with at most bits[k] significant bits (0: all of a double)."""
    result = []
    for count in bits:
        if count == 0:
            part = mp.mpf(float(x))
        else:
            unit = mp.mpf(2) ** (mp.floor(mp.log(abs(x), 2)) + 1 - count)
            part = mp.floor(x / unit) * unit
        result.append(float(part))
        x -= part
    return result


def splittings() -> list[tuple[str, list[float], list[float]]]:
    """Constants as unevaluated sums: (name, for float, for double).

    Short parts make n·part exact without FMA; they are rounded down so that all have one sign.
    """
    half_pi = mp.pi / 2
    return [
        ("LN2", parts(LN2, [15, 24]), parts(LN2, [40, 0])),
        ("LOG2_E", parts(1 / LN2, [24, 24]), parts(1 / LN2, [0, 0])),
        ("LOG10_2", parts(mp.log10(2), [24, 24]), parts(mp.log10(2), [0, 0])),
        ("PI_2", parts(half_pi, [24, 24, 24]), parts(half_pi, [0, 0, 0])),
        ("PI_2_SHORT", parts(half_pi, [11, 11, 11, 24]), parts(half_pi, [33, 33, 33, 0])),
    ]


def numbers(values: list[float], indent: int) -> str:
    return "".join(f"{' ' * indent}{value!r},\n" for value in values)


def table(name: str, column: int) -> str:
    text = f"{name}: dict[str, tuple[float, ...]] = {{\n"
    for key, what, f, lo, hi, *terms in POLYNOMIALS:
        if not terms[column]:
            continue
        values = interpolate(f, lo, hi, terms[column])
        rounded = [float(c) if column else to_single(c) for c in values]
        text += f'    # {what}\n    "{key}": (\n{numbers(rounded, 8)}    ),\n'
    return text + "}\n"


def two_over_pi(bits: int) -> str:
    with mp.workprec(bits + 64):
        value = int(mp.floor(2 / mp.pi * mp.mpf(2) ** bits))
    lines = [value >> shift & (1 << 64) - 1 for shift in range(0, bits, 64)]
    return "".join(f"    0x{word:016X},\n" for word in lines)


def main() -> None:
    text = '"""Written by tools/gen_coefficients.py; do not edit.\n\n'
    text += "Polynomials by name (lowest power first), for float and for double arithmetic, and\n"
    text += 'constants as sums of parts.\n"""\n\nfrom __future__ import annotations\n\n'
    text += table("SINGLE", 0) + "\n" + table("DOUBLE", 1) + "\n"
    for name, single, double in splittings():
        text += f"{name}_SINGLE = (\n{numbers(single, 4)})\n"
        text += f"{name}_DOUBLE = (\n{numbers(double, 4)})\n"
    text += "\n# floor(2/π · 2^1216) in 64-bit words, lowest first\n"
    text += f"TWO_OVER_PI = (\n{two_over_pi(1216)})\n"
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
