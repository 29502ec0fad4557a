"""How the functions of linalg, fft and scipy are called to check their derivatives.

As in `differentiable`: functions of ``x``, ``y`` and ``m``; what has no derivative is listed apart.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

import numpy as onp

import weft.numpy as np
from tests.transforms.differentiable import names
from weft import ops
from weft.lax import linalg as lax_linalg
from weft.numpy import fft, linalg
from weft.scipy import fft as sp_fft
from weft.scipy import integrate, ndimage, signal, stats
from weft.scipy import linalg as sp_linalg
from weft.scipy import special as sp_special

Calls = dict[str, Callable[..., Any]]
EYE = onp.eye(3)


def regular(m: Any) -> Any:
    return m + 3 * EYE


def symmetric(m: Any) -> Any:
    """With eigenvalues apart from each other."""
    return m + np.matrix_transpose(m) + onp.diag([1.0, 4.0, 9.0])


def positive(m: Any) -> Any:
    return np.matmul(m, np.matrix_transpose(m)) + onp.diag([1.0, 2.0, 4.0])


def unary(module: Any, text: str, change: Callable[[Any], Any]) -> Calls:
    """Functions of one matrix, which ``change`` makes fit for them."""
    return {n: lambda m, n=n: getattr(module, n)(change(m)) for n in text.split()}


def linalg_calls() -> Calls:
    return {
        **unary(linalg, "cond det inv norm pinv qr svdvals matrix_norm", regular),
        **unary(linalg, "diagonal matrix_transpose trace vector_norm", regular),
        **unary(linalg, "cholesky", positive),
        **unary(linalg, "eigvalsh", symmetric),
        "cross": lambda x, y: linalg.cross(x, y),
        "eig": lambda m: linalg.eig(symmetric(m)).eigenvalues,
        "eigh": lambda m: linalg.eigh(symmetric(m)),
        "eigvals": lambda m: linalg.eigvals(symmetric(m)),
        "lstsq": lambda m, x: linalg.lstsq(regular(m), x)[0],
        "matmul": lambda m, x: linalg.matmul(m, x),
        "matrix_power": lambda m: linalg.matrix_power(regular(m), -2),
        "multi_dot": lambda m, x: linalg.multi_dot([x, m, m]),
        "outer": lambda x, y: linalg.outer(x, y),
        # Of a stack: operators on NumPy's scalars would give weak types.
        "slogdet": lambda m: linalg.slogdet(regular(m)[None]),
        "solve": lambda m, x: linalg.solve(regular(m), x),
        "svd": lambda m: linalg.svd(m * m + onp.diag([1.0, 4.0, 9.0])),
        "tensordot": lambda m, x: linalg.tensordot(m, x, 1),
        "tensorinv": lambda m: linalg.tensorinv(regular(m), 1),
        "tensorsolve": lambda m, x: linalg.tensorsolve(regular(m), x),
        "vecdot": lambda x, y: linalg.vecdot(x, y),
    }


def lax_linalg_calls() -> Calls:
    return {
        **unary(lax_linalg, "cholesky", positive),
        "cholesky_update": lambda m, x: lax_linalg.cholesky_update(np.triu(m) + EYE, x),
        "qdwh": lambda m: lax_linalg.qdwh(regular(m))[0],
        "eigh": lambda m: lax_linalg.eigh(symmetric(m)),
        "eig": lambda m: lax_linalg.eig(symmetric(m), compute_left_eigenvectors=False)[0],
        "lu": lambda m: lax_linalg.lu(regular(m))[0],
        "qr": lambda m: lax_linalg.qr(regular(m), full_matrices=False),
        "svd": lambda m: lax_linalg.svd(symmetric(m), full_matrices=False),
        "symmetric_product": lambda m: lax_linalg.symmetric_product(m, m, symmetrize_output=True),
        "triangular_solve": lambda m: lax_linalg.triangular_solve(regular(m), m, left_side=True),
        "tridiagonal_solve": lambda x, y, m: lax_linalg.tridiagonal_solve(
            x.at[0].set(0.0) if hasattr(x, "at") else x, y + 3, x, m
        ),
    }


def fft_calls() -> Calls:
    text = "fft ifft rfft irfft hfft ihfft fft2 ifft2 rfft2 irfft2 fftn ifftn rfftn irfftn"
    return unary(fft, f"{text} fftshift ifftshift", lambda m: m * m)


def scipy_linalg_calls() -> Calls:
    calls = unary(sp_linalg, "det expm inv lu polar qr sqrtm", regular)
    calls.update(unary(sp_linalg, "cholesky", positive))
    calls.update(unary(sp_linalg, "svd eigh", symmetric))
    calls.update(
        block_diag=lambda m, x: sp_linalg.block_diag(m, x),
        cho_factor=lambda m: np.triu(sp_linalg.cho_factor(positive(m))[0]),
        cho_solve=lambda m, x: sp_linalg.cho_solve(sp_linalg.cho_factor(positive(m)), x),
        circulant=lambda x: sp_linalg.circulant(x),
        companion=lambda x: sp_linalg.companion(x),
        convolution_matrix=lambda x: sp_linalg.convolution_matrix(x, 4),
        eigh_tridiagonal=lambda x, y: sp_linalg.eigh_tridiagonal(
            x + onp.array([1.0, 4.0, 9.0]), y[:2], eigvals_only=True
        ),
        qr_multiply=lambda m: sp_linalg.qr_multiply(m, m)[0],
        expm_frechet=lambda m: sp_linalg.expm_frechet(m, m),
        fiedler=lambda x: sp_linalg.fiedler(x),
        fiedler_companion=lambda x: sp_linalg.fiedler_companion(x),
        hankel=lambda x, y: sp_linalg.hankel(x, y),
        leslie=lambda x, y: sp_linalg.leslie(x, y[:2]),
        lu_factor=lambda m: sp_linalg.lu_factor(regular(m))[0],
        lu_solve=lambda m, x: sp_linalg.lu_solve(sp_linalg.lu_factor(regular(m)), x),
        solve=lambda m, x: sp_linalg.solve(regular(m), x),
        solve_sylvester=lambda m: sp_linalg.solve_sylvester(regular(m), regular(m), m),
        solve_triangular=lambda m, x: sp_linalg.solve_triangular(regular(m), x),
        toeplitz=lambda x, y: sp_linalg.toeplitz(x, y),
    )
    return calls


def scipy_special_calls() -> Calls:
    one = """dawsn digamma entr erf erfc erfcx erfinv exp1 expi expit fresnel gamma gammaln i0 i0e
    i1 i1e log_ndtr log_softmax loggamma logit logsumexp ndtr ndtri sici softmax spence"""
    two = "beta betaln boxcox boxcox1p kl_div owens_t rel_entr xlog1py xlogy"
    calls: Calls = {n: lambda x, n=n: getattr(sp_special, n)(x) for n in one.split()}
    for n in two.split():
        calls[n] = lambda x, y, n=n: getattr(sp_special, n)(x, y)
    calls.update(
        bessel_jn=lambda x: sp_special.bessel_jn(x, v=2),
        comb=lambda x, y: sp_special.comb(x + 4, y),
        wofz=lambda x: sp_special.wofz(x),
        betainc=lambda x: sp_special.betainc(2.0, 3.0, x),
        expn=lambda x: sp_special.expn(2, x),
        factorial=lambda x: sp_special.factorial(x),
        gammainc=lambda x: sp_special.gammainc(1.5, x),
        gammaincc=lambda x: sp_special.gammaincc(1.5, x),
        hyp1f1=lambda x: sp_special.hyp1f1(0.7, 1.9, x),
        hyp2f1=lambda x: sp_special.hyp2f1(0.7, 1.2, 1.9, x),
        multigammaln=lambda x: sp_special.multigammaln(3 + x, 2),
        poch=lambda x: sp_special.poch(x, 2.0),
        polygamma=lambda x: sp_special.polygamma(1, x),
        zeta=lambda y: sp_special.zeta(3.0, y),
    )
    return calls


def signal_calls() -> Calls:
    calls: Calls = {
        n: lambda x, y, n=n: getattr(signal, n)(x, y)
        for n in ("convolve", "correlate", "fftconvolve")
    }
    for n in ("convolve2d", "correlate2d"):
        calls[n] = lambda m, n=n: getattr(signal, n)(m, m)
    calls.update(
        csd=lambda m: signal.csd(m[0], m[1], nperseg=3)[1],
        detrend=lambda x: signal.detrend(x * x),
        stft=lambda x: signal.stft(x * x, nperseg=2)[2],
        istft=lambda m: signal.istft(m[:2] * m[:2], nperseg=2)[1],
        welch=lambda x: signal.welch(x, nperseg=3)[1],
    )
    return calls


def small_calls() -> tuple[Calls, Calls, Calls, Calls]:
    ids = onp.array([0, 1, 0])
    segments = "segment_max segment_min segment_sum"
    of_segments = {n: lambda x, n=n: getattr(ops, n)(x * x, ids, 2) for n in segments.split()}
    # Products of repeated segments would need the product of the others, as in JAX.
    of_segments["segment_prod"] = lambda x: ops.segment_prod(
        x, onp.array([0, 2, 1]), 3, unique_indices=True
    )
    return (
        unary(sp_fft, "dct dctn idct idctn", lambda m: m * m),
        {"trapezoid": lambda x, y: integrate.trapezoid(x, y)},
        {
            "map_coordinates": lambda m, x: ndimage.map_coordinates(
                m, [x, x * x + 0.2], 1, mode="nearest"
            )
        },
        of_segments,
    )


#: Each names what to differentiate instead.
REFUSED: Calls = {
    "geqp3": lambda m: lax_linalg.geqp3(m)[0],
    "geqrf": lambda m: lax_linalg.geqrf(m)[0],
    "hessenberg": lambda m: lax_linalg.hessenberg(m)[0],
    "householder_product": lambda m: lax_linalg.householder_product(m, m[0]),
    "ormqr": lambda m: lax_linalg.ormqr(m, m[0], m),
    "schur": lambda m: lax_linalg.schur(m)[0],
    "tridiagonal": lambda m: lax_linalg.tridiagonal(symmetric(m))[1],
}


def stats_functions() -> types.SimpleNamespace:
    """The functions of `scipy.stats` and the methods of its distributions, by dotted names."""
    found = types.SimpleNamespace()
    for name in dir(stats):
        value = getattr(stats, name)
        if inspect.isfunction(value):
            setattr(found, name, value)
            continue
        if not type(value).__module__.startswith("weft.") or inspect.isclass(value):
            continue
        for method in dir(value):
            if not method.startswith("_") and callable(getattr(value, method)):
                setattr(found, f"{name}.{method}", getattr(value, method))
    return found


CONTINUOUS: dict[str, tuple[float, ...]] = {
    **dict.fromkeys(names("norm uniform expon laplace logistic cauchy gumbel_r gumbel_l"), ()),
    "gamma": (2.5,),
    "chi2": (3.0,),
    "beta": (2.0, 0.5),
    "t": (3.5,),
    "pareto": (2.5,),
    "gennorm": (1.5,),
    "vonmises": (2.0,),
    "wrapcauchy": (0.5,),
    "truncnorm": (-1.0, 2.0),
}
COUNTS = onp.array([1.0, 2.0, 4.0])
#: The parameters of discrete distributions, some of which vary.
DISCRETE: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "bernoulli": lambda x: (x,),
    "binom": lambda x: (7.0, x),
    "poisson": lambda x: (x,),
    "geom": lambda x: (x,),
    "nbinom": lambda x: (2.5, x),
    "betabinom": lambda x: (7.0, x, 2.0),
}


def stats_calls(listed: types.SimpleNamespace) -> Calls:
    calls: Calls = {
        "sem": lambda x: stats.sem(x),
        "dirichlet.logpdf": lambda x, y: stats.dirichlet.logpdf(x / np.sum(x), y),
        "dirichlet.pdf": lambda x, y: stats.dirichlet.pdf(x / np.sum(x), y),
        "multinomial.logpmf": lambda x: stats.multinomial.logpmf(COUNTS, 7.0, x / np.sum(x)),
        "multinomial.pmf": lambda x: stats.multinomial.pmf(COUNTS, 7.0, x / np.sum(x)),
        "multivariate_normal.logpdf": lambda x, y, m: stats.multivariate_normal.logpdf(
            x, y, positive(m)
        ),
        "multivariate_normal.pdf": lambda x, y, m: stats.multivariate_normal.pdf(x, y, positive(m)),
    }
    for name in vars(listed):
        distribution, _, method = name.partition(".")
        if name in calls or name in STATS_CONSTANT | STATS_MISSING:
            continue
        if distribution in CONTINUOUS:
            shapes = CONTINUOUS[distribution]
            shift = 1.0 if distribution == "pareto" and method not in ("ppf", "isf") else 0.0
            calls[name] = lambda x, name=name, shapes=shapes, shift=shift: getattr(listed, name)(
                x + shift, *shapes
            )
        elif distribution in DISCRETE:
            at = onp.array([0.0, 1.0, 1.0]) if distribution == "bernoulli" else COUNTS
            given = DISCRETE[distribution]
            calls[name] = (
                (lambda x, name=name, given=given: getattr(listed, name)(*given(x)))
                if method == "entropy"
                else lambda x, name=name, given=given, at=at: getattr(listed, name)(at, *given(x))
            )
    return calls


#: Ranks and counts; quantiles of integers.
STATS_CONSTANT = names("mode rankdata bernoulli.ppf poisson.ppf")
#: They say that there is no formula for them.
STATS_MISSING = {
    *names("bernoulli.entropy betabinom.entropy binom.entropy geom.entropy nbinom.entropy"),
    *names("betabinom.cdf betabinom.sf betabinom.ppf binom.ppf geom.ppf nbinom.ppf"),
    *(
        f"{name}.{m}"
        for name in names("beta chi2 gamma gennorm t truncnorm")
        for m in ("ppf", "isf")
    ),
    *(
        f"{name}.{m}"
        for name in ("vonmises", "wrapcauchy")
        for m in ("cdf", "sf", "logcdf", "logsf", "ppf", "isf")
    ),
}
STATS = stats_functions()

DCT, INTEGRATE, NDIMAGE, OPS = small_calls()
NAMESPACES: dict[str, tuple[Any, Calls, set[str]]] = {
    # A rank is an integer.
    "linalg": (linalg, linalg_calls(), {"matrix_rank"}),
    # Integers; and what says itself that it has no derivative.
    "lax.linalg": (
        lax_linalg,
        lax_linalg_calls(),
        {"lu_pivots_to_permutation", *REFUSED},
    ),
    "scipy.stats": (STATS, stats_calls(STATS), STATS_CONSTANT | STATS_MISSING),
    # Frequencies are constants.
    "fft": (fft, fft_calls(), {"fftfreq", "rfftfreq"}),
    "scipy.fft": (sp_fft, DCT, set()),
    "scipy.integrate": (integrate, INTEGRATE, set()),
    "scipy.ndimage": (ndimage, NDIMAGE, set()),
    "ops": (ops, OPS, set()),
    # Constant matrices; Schur and Hessenberg forms, and what is computed by them.
    "scipy.linalg": (
        sp_linalg,
        scipy_linalg_calls(),
        names(
            """dft hadamard helmert hilbert invhilbert invpascal pascal
            funm hessenberg rsf2csf schur"""
        ),
    ),
    "scipy.signal": (signal, signal_calls(), set()),
    # Numbers of integers, and signs; the angles of harmonics have tests of their own.
    "scipy.special": (
        sp_special,
        scipy_special_calls(),
        names("bernoulli gammasgn sph_harm_y"),
    ),
}
