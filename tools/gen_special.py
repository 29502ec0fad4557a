"""Writes src/weft/lax/special/coefficients.py: polynomials for the special functions.

    python tools/gen_special.py        # needs mpmath

As in gen_coefficients.py: interpolation at Chebyshev nodes, computed with 300 bits.
"""

from __future__ import annotations

from pathlib import Path

import mpmath as mp
from gen_coefficients import Real, RealFunction, interpolate, numbers, parts, to_single

TARGET = Path(__file__).parents[1] / "src/weft/lax/special/coefficients.py"
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


def table(name: str, single: bool) -> str:
    text = f"{name}: dict[str, tuple[float, ...]] = {{\n"
    for key, what, f, lo, hi, few, many in POLYNOMIALS:
        text += entry(key, what, interpolate(f, lo, hi, few if single else many), single)
    root = "the positive root of ψ, as a sum: short parts first, whose subtraction is exact"
    text += entry("digamma_root", root, parts(DIGAMMA_ROOT, [24, 24 if single else 0, 0]), single)
    for key, what, series, few, many in SERIES:
        text += entry(key, what, series(few if single else many), single)
    return text + "}\n"


def main() -> None:
    text = '"""Written by tools/gen_special.py; do not edit.\n\n'
    text += "Polynomials and series by name, lowest power first, for float and for double.\n"
    text += '"""\n\nfrom __future__ import annotations\n\n'
    text += table("SINGLE", True) + "\n" + table("DOUBLE", False)
    TARGET.write_text(text)


if __name__ == "__main__":
    main()
