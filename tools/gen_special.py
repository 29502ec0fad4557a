"""Writes src/weft/lax/special/coefficients.py and src/weft/scipy/special/coefficients.py:
polynomials for the special functions.

    python tools/gen_special.py        # needs mpmath

As in gen_coefficients.py: interpolation at Chebyshev nodes, computed with 300 bits.
"""

from __future__ import annotations

from pathlib import Path

import mpmath as mp
from gen_coefficients import Real, RealFunction, interpolate, numbers, parts, to_single

SOURCES = Path(__file__).parents[1] / "src/weft"
LAX = SOURCES / "lax/special/coefficients.py"
SCIPY = SOURCES / "scipy/special/coefficients.py"
DIGAMMA_ROOT = mp.findroot(mp.digamma, mp.mpf("1.4616321449683623"))


def scaled_bessel(order: int, x: Real) -> Real:
    return mp.besseli(order, x) * mp.exp(-x)


# (name, what it is, function, lo, hi, terms for float, terms for double)
POLYNOMIALS: list[tuple[str, str, RealFunction, float, float, int, int]] = [
    (
        "lgamma_one",
        "log Γ(1 + t) / t, |t| ≤ 1/2",
        lambda t: mp.loggamma(1 + t) / t, -0.501, 0.501, 14, 28,
    ),
    (
        "lgamma_two",
        "log Γ(2 + t) / t, t in [-1/2, 1]",
        lambda t: mp.loggamma(2 + t) / t, -0.501, 1.001, 10, 22,
    ),
    (
        "digamma",
        "ψ(3/2 + t) / (3/2 + t - root), |t| ≤ 1/2",
        lambda t: mp.digamma(mp.mpf(3) / 2 + t) / (mp.mpf(3) / 2 + t - DIGAMMA_ROOT),
        -0.501, 0.501, 10, 22,
    ),
    (
        "i0e",
        "exp(-x) I₀(x), x = 4 + 4t, |t| ≤ 1",
        lambda t: scaled_bessel(0, 4 + 4 * t), -1, 1, 17, 30,
    ),
    (
        "i0e_tail",
        "√x exp(-x) I₀(x), x = 16/(1 + t), |t| ≤ 1",
        lambda t: mp.sqrt(16 / (1 + t)) * scaled_bessel(0, 16 / (1 + t)), -1 + 1e-9, 1, 7, 24,
    ),
    (
        "i1e",
        "exp(-x) I₁(x) / x, x = 4 + 4t, |t| ≤ 1",
        lambda t: scaled_bessel(1, 4 + 4 * t) / (4 + 4 * t), -1 + 1e-12, 1, 17, 30,
    ),
    (
        "i1e_tail",
        "√x exp(-x) I₁(x), x = 16/(1 + t), |t| ≤ 1",
        lambda t: mp.sqrt(16 / (1 + t)) * scaled_bessel(1, 16 / (1 + t)), -1 + 1e-9, 1, 7, 24,
    ),
]  # fmt: skip


EI_ROOT = mp.findroot(mp.ei, mp.mpf("0.3725"))


def within(lo: float, hi: float, f: RealFunction) -> RealFunction:
    """f on [lo, hi] as a function of t, |t| ≤ 1."""
    middle, half = mp.mpf(lo + hi) / 2, mp.mpf(hi - lo) / 2
    return lambda t: f(middle + half * t)


def scaled_ei(x: Real) -> Real:
    return x * mp.exp(-x) * mp.ei(x)


def scaled_e1(x: Real) -> Real:
    return x * mp.exp(x) * mp.e1(x)


def auxiliary(x: Real) -> tuple[Real, Real]:
    """f and g: Si(x) = π/2 - f cos x - g sin x, Ci(x) = f sin x - g cos x."""
    sine, cosine = mp.si(x) - mp.pi / 2, mp.ci(x)
    return (
        cosine * mp.sin(x) - sine * mp.cos(x),
        -cosine * mp.cos(x) - sine * mp.sin(x),
    )


def mapped_erfcx_at_2(t: Real) -> Real:
    x = 2 * (1 + t) / (1 - t)
    return (1 + 2 * x) * mp.exp(x * x) * mp.erfc(x)


NEAR_ZERO = 1e-12  # instead of the ends at which a function is 0/0

SCIPY_POLYNOMIALS: list[tuple[str, str, RealFunction, float, float, int, int]] = [
    (
        "erfcx",
        "(1 + 2x) erfcx(x), t = (x - 2)/(x + 2)",
        mapped_erfcx_at_2, -1, 1 - 1e-9, 14, 29,
    ),
    ("gamma", "Γ(x), x = 5/2 + t/2", within(2, 3, mp.gamma), -1.001, 1.001, 9, 18),
    (
        "expi_6",
        "(Ei(x) - log(x/root))/(x - root), x = 3 + 3t",
        within(0, 6, lambda x: (mp.ei(x) - mp.log(x / EI_ROOT)) / (x - EI_ROOT)),
        -1 + NEAR_ZERO, 1, 14, 23,
    ),
    ("expi_12", "x exp(-x) Ei(x), x = 9 + 3t", within(6, 12, scaled_ei), -1, 1, 12, 22),
    ("expi_24", "x exp(-x) Ei(x), x = 18 + 6t", within(12, 24, scaled_ei), -1, 1, 12, 23),
    (
        "expi_tail",
        "x exp(-x) Ei(x), 1/x = (1 + t)/48",
        within(0, 1 / 24, lambda u: scaled_ei(1 / u)), -1 + NEAR_ZERO, 1, 8, 20,
    ),
    (
        "exp1_1",
        "(E₁(x) + log x + γ)/x, x = (1 + t)/2",
        within(0, 1, lambda x: (mp.e1(x) + mp.log(x) + mp.euler) / x), -1 + NEAR_ZERO, 1, 9, 14,
    ),
    (
        "exp1_4",
        "x exp(x) E₁(x), 1/x = 5/8 + 3t/8",
        within(0.25, 1, lambda u: scaled_e1(1 / u)), -1, 1, 12, 23,
    ),
    (
        "exp1_tail",
        "x exp(x) E₁(x), 1/x = (1 + t)/8",
        within(0, 0.25, lambda u: scaled_e1(1 / u)), -1 + NEAR_ZERO, 1, 10, 25,
    ),
    (
        "si_4",
        "Si(x)/x, x² = 8 + 8t",
        within(0, 16, lambda s: mp.si(mp.sqrt(s)) / mp.sqrt(s)), -1 + NEAR_ZERO, 1, 9, 13,
    ),
    (
        "ci_4",
        "(Ci(x) - log x - γ)/x², x² = 8 + 8t",
        within(0, 16, lambda s: (mp.ci(mp.sqrt(s)) - mp.log(s) / 2 - mp.euler) / s),
        -1 + NEAR_ZERO, 1, 9, 13,
    ),
    (
        "si_f_8",
        "x f(x), 1/x² = (5 + 3t)/128",
        within(1 / 64, 1 / 16, lambda u: auxiliary(1 / mp.sqrt(u))[0] / mp.sqrt(u)), -1, 1, 10, 20,
    ),
    (
        "si_g_8",
        "x² g(x), 1/x² = (5 + 3t)/128",
        within(1 / 64, 1 / 16, lambda u: auxiliary(1 / mp.sqrt(u))[1] / u), -1, 1, 10, 21,
    ),
    (
        "si_f_tail",
        "x f(x), 1/x² = (1 + t)/128",
        within(0, 1 / 64, lambda u: auxiliary(1 / mp.sqrt(u))[0] / mp.sqrt(u)),
        -1 + 1e-8, 1, 9, 20,
    ),
    (
        "si_g_tail",
        "x² g(x), 1/x² = (1 + t)/128",
        within(0, 1 / 64, lambda u: auxiliary(1 / mp.sqrt(u))[1] / u), -1 + 1e-8, 1, 9, 22,
    ),
]  # fmt: skip


def stirling(count: int) -> list[Real]:
    """log Γ(x) = (x - 1/2)(log x - 1) + log(2π)/2 - 1/2 + Σ c[k] x^(-1 - 2k)."""
    return [mp.bernoulli(2 * k) / (2 * k * (2 * k - 1)) for k in range(1, count + 1)]


def digamma_tail(count: int) -> list[Real]:
    """ψ(x) = log x - 1/(2x) - Σ c[k] x^(-2 - 2k)."""
    return [mp.bernoulli(2 * k) / (2 * k) for k in range(1, count + 1)]


def euler_maclaurin(count: int) -> list[Real]:
    """B(2k)/(2k)!: what the derivatives of x^(-s) are multiplied by."""
    return [mp.bernoulli(2 * k) / mp.factorial(2 * k) for k in range(1, count + 1)]


SERIES = [
    ("stirling", "Stirling's series of log Γ in 1/x², times x; x ≥ 8", stirling, 4, 8),
    ("digamma_tail", "the asymptotic series of log x - 1/(2x) - ψ(x), x ≥ 10", digamma_tail, 4, 9),
    ("zeta", "B(2k)/(2k)!, for Euler and Maclaurin's formula", euler_maclaurin, 6, 12),
]


def entry(key: str, what: str, values: list[Real], single: bool) -> str:
    rounded = [to_single(c) if single else float(c) for c in values]
    return f'    # {what}\n    "{key}": (\n{numbers(rounded, 8)}    ),\n'


def polynomials(rows: list[tuple[str, str, RealFunction, float, float, int, int]]) -> list[str]:
    """The entries of a table for float, and of one for double."""
    return [
        "".join(
            entry(key, what, interpolate(f, lo, hi, few if single else many), single)
            for key, what, f, lo, hi, few, many in rows
        )
        for single in (True, False)
    ]


def others(single: bool) -> str:
    root = "the positive root of ψ, as a sum: short parts first, whose subtraction is exact"
    text = entry("digamma_root", root, parts(DIGAMMA_ROOT, [24, 24 if single else 0, 0]), single)
    for key, what, series, few, many in SERIES:
        text += entry(key, what, series(few if single else many), single)
    return text


def write(target: Path, single: str, double: str) -> None:
    text = '"""Written by tools/gen_special.py; do not edit.\n\n'
    text += "Polynomials and series by name, lowest power first, for float and for double.\n"
    text += '"""\n\nfrom __future__ import annotations\n\n'
    text += f"SINGLE: dict[str, tuple[float, ...]] = {{\n{single}}}\n\n"
    text += f"DOUBLE: dict[str, tuple[float, ...]] = {{\n{double}}}\n"
    target.write_text(text)


def main() -> None:
    single, double = polynomials(POLYNOMIALS)
    write(LAX, single + others(True), double + others(False))
    write(SCIPY, *polynomials(SCIPY_POLYNOMIALS))


if __name__ == "__main__":
    main()
