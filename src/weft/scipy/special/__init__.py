"""`weft.scipy.special`: special functions, element by element, of floating-point arrays.

Integers are taken as float32. Derivatives are formulas of special functions again, not those of
approximations; where there is none for a parameter, an error says so.
"""

from __future__ import annotations

from weft.scipy.special.elementary import (
    boxcox,
    boxcox1p,
    entr,
    expit,
    kl_div,
    log_softmax,
    logit,
    logsumexp,
    rel_entr,
    softmax,
    xlog1py,
    xlogy,
)
from weft.scipy.special.gamma import (
    bernoulli,
    beta,
    betainc,
    betaln,
    comb,
    digamma,
    factorial,
    gamma,
    gammainc,
    gammaincc,
    gammaln,
    gammasgn,
    loggamma,
    multigammaln,
    poch,
    polygamma,
    zeta,
)
from weft.scipy.special.harmonics import sph_harm_y
from weft.scipy.special.hypergeometric import hyp1f1, hyp2f1
from weft.scipy.special.integrals import (
    bessel_jn,
    dawsn,
    erf,
    erfc,
    erfcx,
    erfinv,
    exp1,
    expi,
    expn,
    fresnel,
    i0,
    i0e,
    i1,
    i1e,
    log_ndtr,
    ndtr,
    ndtri,
    owens_t,
    sici,
    spence,
    wofz,
)

__all__ = [
    "bernoulli", "bessel_jn", "beta", "betainc", "betaln", "boxcox", "boxcox1p", "comb", "dawsn",
    "digamma", "entr", "erf", "erfc", "erfcx", "erfinv", "exp1", "expi", "expit", "expn",
    "factorial", "fresnel", "gamma", "gammainc", "gammaincc", "gammaln", "gammasgn", "hyp1f1",
    "hyp2f1", "i0", "i0e",
    "i1", "i1e", "kl_div", "log_ndtr", "log_softmax", "loggamma", "logit", "logsumexp",
    "multigammaln", "ndtr", "ndtri", "owens_t", "poch", "polygamma", "rel_entr", "sici", "softmax",
    "sph_harm_y", "spence", "wofz", "xlog1py", "xlogy", "zeta",
]  # fmt: skip
