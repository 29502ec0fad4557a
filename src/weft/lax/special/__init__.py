"""Special functions: gamma, its relatives and integrals, Bessel functions.

Their public names are in :mod:`weft.lax`.
"""

from __future__ import annotations

from weft.lax.special.bessel import bessel_i0e, bessel_i1e
from weft.lax.special.gamma import digamma, lgamma, polygamma, zeta
from weft.lax.special.incomplete_beta import betainc
from weft.lax.special.incomplete_gamma import igamma, igamma_grad_a, igammac, random_gamma_grad

__all__ = [
    "bessel_i0e",
    "bessel_i1e",
    "betainc",
    "digamma",
    "igamma",
    "igamma_grad_a",
    "igammac",
    "lgamma",
    "polygamma",
    "random_gamma_grad",
    "zeta",
]
