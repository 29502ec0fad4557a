"""SciPy's functions on arrays of Weft, as `SCIPY_ARRAY_API=1` lets them."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import scipy

import weft
import weft.numpy as wnp
from tests.ecosystem.agreement import assert_same, samples

X = samples(20, 3)
V, W = samples(50, seed=1), samples(50, seed=2) + 0.2
POSITIVE, SHARE = abs(V) + 0.5, abs(np.sin(V)) * 0.98 + 0.01
COUNTS = np.array([16.0, 18, 16, 14, 12, 12])
SPD = X.T @ X

#: Names in SciPy, and arguments: text names those above.
CALLS: dict[str, list[Any]] = {
    "fft.fft fft.ifft fft.rfft fft.hfft fft.dct fft.idct fft.dst fft.fftshift": [V],
    "fft.fft2 fft.rfftn fft.dctn fft.idstn": [X],
    "special.erf special.erfc special.i0e special.i1 special.j0 special.y1 special.expit": [V],
    "special.log_ndtr special.ndtr special.erfinv special.exprel special.sinc": [V / 4],
    "special.gammaln special.digamma special.k0 special.entr": [POSITIVE],
    "special.gammainc special.gammaincc special.betaln special.poch": [
        POSITIVE,
        POSITIVE[::-1].copy(),
    ],
    "special.xlogy special.xlog1py special.rel_entr special.kl_div special.chdtr": [
        POSITIVE,
        POSITIVE[::-1].copy(),
    ],
    "special.logit special.ndtri": [SHARE],
    "special.betainc special.fdtr": [POSITIVE, POSITIVE + 1, SHARE],
    "special.stdtr": [POSITIVE, SHARE],
    "special.logsumexp special.softmax special.log_softmax": [X],
    "stats.zscore stats.gzscore stats.describe stats.moment stats.sem": [X + 9],
    "stats.skew stats.kurtosis stats.skewtest stats.kurtosistest stats.normaltest": [V],
    "stats.jarque_bera stats.circmean stats.circvar stats.circstd": [V],
    "stats.iqr stats.kstat stats.kstatvar stats.lmoment stats.median_abs_deviation": [V],
    "stats.gmean stats.hmean stats.entropy stats.variation stats.differential_entropy": [POSITIVE],
    "stats.ttest_ind stats.ttest_rel stats.pearsonr stats.bartlett stats.levene": [V, W],
    "stats.kruskal stats.f_oneway stats.mannwhitneyu stats.wilcoxon stats.zmap": [V, W],
    "stats.chisquare stats.power_divergence": [COUNTS],
    "stats.combine_pvalues stats.false_discovery_control": [SHARE],
    "signal.convolve signal.correlate signal.fftconvolve signal.oaconvolve": [V, W],
    "signal.hilbert signal.detrend signal.medfilt signal.wiener": [V],
    "signal.convolve2d signal.correlate2d": [X, X[:3]],
    "ndimage.sobel ndimage.laplace ndimage.distance_transform_edt": [X],
    "cluster.vq.whiten cluster.hierarchy.linkage": [X],
    "cluster.vq.vq": [X, X[:3]],
    "integrate.trapezoid integrate.simpson integrate.cumulative_trapezoid": [V],
    "optimize.rosen optimize.rosen_der optimize.rosen_hess": [V],
    "constants.lambda2nu constants.nu2lambda": [POSITIVE],
}
#: Results that SciPy makes in NumPy, whatever it was given.
IN_NUMPY = {
    "linalg.inv linalg.expm linalg.logm linalg.sqrtm linalg.det linalg.eigvalsh linalg.lu": [SPD],
    "linalg.cholesky linalg.pinv linalg.norm linalg.svdvals": [SPD],
    "linalg.solve linalg.lstsq": [SPD, X[0]],
    "spatial.distance.cdist": [X, X],
    "signal.find_peaks signal.welch signal.periodogram signal.stft": [V],
    "special.lambertw special.log1p special.exp10": [POSITIVE],
    "special.beta": [POSITIVE, POSITIVE],
    "stats.norm.pdf stats.gamma.mean": [POSITIVE],
}
#: Not in every release of SciPy that Weft works with for arrays of other libraries.
RECENT = pytest.mark.skipif(
    tuple(map(int, scipy.__version__.split(".")[:2])) < (1, 16), reason="needs SciPy 1.16"
)


def function(path: str) -> Any:
    """`scipy.` and the path, modules included."""
    found: Any = scipy
    for depth, part in enumerate(path.split(".")):
        if not hasattr(found, part):
            importlib.import_module(".".join(["scipy", *path.split(".")[: depth + 1]]))
        found = getattr(found, part)
    return found


def cases(table: dict[str, list[Any]]) -> list[tuple[str, list[Any]]]:
    return [(name, operands) for names, operands in table.items() for name in names.split()]


@RECENT
@pytest.mark.parametrize(("name", "operands"), cases(CALLS), ids=[n for n, _ in cases(CALLS)])
def test_functions(name: str, operands: list[np.ndarray]) -> None:
    assert_same(function(name), *operands)


@RECENT
@pytest.mark.parametrize(("name", "operands"), cases(IN_NUMPY), ids=[n for n, _ in cases(IN_NUMPY)])
def test_functions_that_compute_in_numpy(name: str, operands: list[np.ndarray]) -> None:
    assert_same(function(name), *operands, kept=False)


def _namespace(x: Any) -> Any:
    return wnp if isinstance(x, weft.Array) else np


#: Calls with arguments of their own.
PROGRAMS = {
    "fht": lambda x: function("fft.fht")(x, 0.1, 0.5),
    "lfilter": lambda x: function("signal.lfilter")(x[:3], abs(x[:2]) + 1, x),
    "filtfilt": lambda x: function("signal.filtfilt")(x[:3], abs(x[:2]) + 1, x),
    "resample": lambda x: function("signal.resample")(x, 30),
    "resample_poly": lambda x: function("signal.resample_poly")(x, 3, 2),
    "savgol": lambda x: function("signal.savgol_filter")(x, 5, 2),
    "gaussian": lambda x: function("ndimage.gaussian_filter")(x, 1.0),
    "median": lambda x: function("ndimage.median_filter")(x, 3),
    "zoom": lambda x: function("ndimage.zoom")(x, 2.0),
    "ttest_1samp": lambda x: function("stats.ttest_1samp")(x, 0.1),
    "trim_mean": lambda x: function("stats.trim_mean")(x, 0.1),
    "boxcox": lambda x: function("stats.boxcox_llf")(0.3, abs(x) + 0.5),
    "quantile": lambda x: function("stats.quantile")(x, 0.3),
    "kmeans": lambda x: function("cluster.vq.kmeans2")(
        x.reshape(25, 2), x.reshape(25, 2)[:3, :], minit="matrix"
    ),
    "ward": lambda x: function("cluster.hierarchy.linkage")(x.reshape(25, 2), "ward"),
    "tanhsinh": lambda x: (
        function("integrate.tanhsinh")(lambda t: t**2, x[:4] * 0, abs(x[:4])).integral
    ),
    "cubature": lambda x: (
        function("integrate.cubature")(lambda t: t[:, 0] ** 2, x[:1] * 0, x[:1] * 0 + 1).estimate
    ),
    "root": lambda x: (
        function("optimize.elementwise.find_root")(
            lambda t, c: t**3 - c, (x * 0 - 9, x * 0 + 9), args=(x,)
        ).x
    ),
    "minimum": lambda x: (
        function("optimize.elementwise.find_minimum")(
            lambda t, c: (t - c) ** 2, (x - 2, x + 0.5, x + 3), args=(x,)
        ).x
    ),
    "derivative": lambda x: function("differentiate.derivative")(_namespace(x).exp, x[:4]).df,
    "jacobian": lambda x: function("differentiate.jacobian")(function("optimize.rosen"), x[:3]).df,
    "spline": lambda x: function("interpolate.make_interp_spline")(
        _namespace(x).arange(50.0, dtype=x.dtype), x
    )(abs(x[:5]) * 3),
    "grid": lambda x: function("interpolate.RegularGridInterpolator")(
        (_namespace(x).arange(25.0, dtype=x.dtype), _namespace(x).arange(2.0, dtype=x.dtype)),
        x.reshape(25, 2),
    )(abs(x[:6].reshape(3, 2)) / 4),
    "rotation": lambda x: (
        function("spatial.transform.Rotation").from_euler("xyz", x[:3]).as_matrix()
    ),
    "rotated": lambda x: (
        function("spatial.transform.Rotation").from_rotvec(x[:3]).apply(x[:9].reshape(3, 3))
    ),
}


@RECENT
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    assert_same(PROGRAMS[name], V, rtol=1e-7)


def test_minimizers_take_gradients_of_weft() -> None:
    def loss(x: Any) -> Any:
        return wnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    gradient = weft.jit(weft.grad(loss))
    found = function("optimize.minimize")(
        weft.jit(loss), np.array([1.3, 0.7, 0.8]), jac=gradient, method="BFGS"
    )
    assert found.success
    np.testing.assert_allclose(found.x, 1, atol=1e-4)


def test_solvers_of_differential_equations_take_jitted_functions() -> None:
    step = weft.jit(lambda t, y: wnp.stack([y[1], -y[0]]))
    found = function("integrate.solve_ivp")(step, (0, np.pi), np.array([0.0, 1.0]), rtol=1e-8)
    np.testing.assert_allclose(found.y[:, -1], [0, -1], atol=1e-6)
