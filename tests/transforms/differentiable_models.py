"""How losses, images, iterative solvers, interpolation, rotations and samplers are called to check
their derivatives: what models are made of.

As in `differentiable`: functions of ``x``, ``y`` and ``m``; what has no derivative is listed apart.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import numpy as onp

import weft.numpy as np
from tests.transforms.differentiable import names
from weft import image, nn, random
from weft.nn import losses
from weft.scipy import interpolate
from weft.scipy.cluster import vq
from weft.scipy.sparse import linalg as sparse_linalg
from weft.scipy.spatial.transform import Rotation, Slerp

Calls = dict[str, Callable[..., Any]]
LABELS = onp.array([1.0, 0.0, 1.0])
SHARES = onp.array([0.2, 0.5, 0.3])
MATRIX = onp.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.2], [0.5, 0.2, 5.0]])


def losses_calls() -> Calls:
    two = """squared_error l2_loss huber_loss log_cosh cosine_distance cosine_similarity
    hinge_loss"""
    calls: Calls = {n: lambda x, y, n=n: getattr(losses, n)(x, y) for n in two.split()}
    calls.update(
        kl_divergence=lambda x, y: losses.kl_divergence(nn.log_softmax(x), nn.softmax(y)),
        poly_loss_cross_entropy=lambda x: losses.poly_loss_cross_entropy(x, SHARES),
        sigmoid_binary_cross_entropy=lambda x, y: losses.sigmoid_binary_cross_entropy(x, y),
        sigmoid_focal_loss=lambda x: losses.sigmoid_focal_loss(x, LABELS, 0.3),
        smooth_labels=lambda x: losses.smooth_labels(x * x, 0.1),
        softmax_cross_entropy=lambda x, y: losses.softmax_cross_entropy(x, y * y),
        softmax_cross_entropy_with_integer_labels=lambda m: (
            losses.softmax_cross_entropy_with_integer_labels(m, onp.array([2, 0, 1]))
        ),
    )
    return calls


def image_calls() -> Calls:
    return {
        "resize": lambda m: image.resize(m * m, (4, 2), "cubic"),
        "scale_and_translate": lambda m, x, y: image.scale_and_translate(
            m, (4, 3), (0, 1), x[:2] + 1, y[:2], "cubic", antialias=False
        ),
    }


def solver_calls() -> Calls:
    """Solved to rounding, so that differences of solutions mean something."""
    return {
        "bicgstab": lambda m, x: sparse_linalg.bicgstab(m + 3 * MATRIX, x, tol=1e-13)[0],
        "cg": lambda m, x: sparse_linalg.cg(m @ np.matrix_transpose(m) + MATRIX, x, tol=1e-13)[0],
        "gmres": lambda m, x: sparse_linalg.gmres(m + 3 * MATRIX, x, tol=1e-13)[0],
    }


def interpolated(m: Any, x: Any, y: Any) -> Any:
    axis = onp.array([0.0, 0.4, 1.0])
    return interpolate.RegularGridInterpolator((axis, axis), m)(np.stack([x, y], -1))


def turned(x: Any) -> Rotation:
    return Rotation.from_rotvec(np.asarray(x))


def rotations() -> tuple[types.SimpleNamespace, Calls]:
    """The methods of rotations, called as functions."""
    turns = lambda x, y: Rotation.from_rotvec(np.stack([x, y]))  # noqa: E731
    calls: Calls = {
        "apply": lambda x, y: turned(x).apply(y),
        "as_euler": lambda x: turned(x).as_euler("xyz"),
        "as_matrix": lambda x: turned(x).as_matrix(),
        "as_mrp": lambda x: turned(x).as_mrp(),
        "as_quat": lambda x: turned(x).as_quat(),
        "as_rotvec": lambda x, y: (turned(x) * turned(y)).as_rotvec(),
        "concatenate": lambda x, y: Rotation.concatenate([turned(x), turned(y)]).as_quat(),
        "from_euler": lambda x: Rotation.from_euler("zxy", np.asarray(x)).as_quat(),
        "from_matrix": lambda x: Rotation.from_matrix(turned(x).as_matrix()).as_quat(),
        "from_mrp": lambda x: Rotation.from_mrp(x).as_quat(),
        "from_quat": lambda m: Rotation.from_quat(np.concatenate([m, m[:, :1] + 1], 1)).as_matrix(),
        "from_rotvec": lambda x: turned(x).as_quat(),
        "inv": lambda x: turned(x).inv().as_quat(),
        "magnitude": lambda x: turned(x).magnitude(),
        "mean": lambda x, y: turns(x, y).mean().as_matrix(),
        "slerp": lambda x, y: Slerp.init(onp.array([0.0, 1.0]), turns(x, y))(y[:1]).as_matrix(),
    }
    listed = {n for n in vars(Rotation) if not n.startswith("_")} | {"slerp"}
    return types.SimpleNamespace(**dict.fromkeys(listed, Rotation.apply)), calls


def random_calls() -> Calls:
    """Samplers whose parameters a sample depends on smoothly."""
    key = onp.array([3, 7], onp.uint32)
    f64 = onp.float64
    return {
        "double_sided_maxwell": lambda x, y: random.double_sided_maxwell(key, x, y, (3,), f64),
        "lognormal": lambda x: random.lognormal(key, x, (3,), f64),
        "multivariate_normal": lambda x, m: random.multivariate_normal(
            key, x, np.matmul(m, np.matrix_transpose(m)) + MATRIX, dtype=f64
        ),
        "multivariate_normal_from_factor": lambda x, m: random.multivariate_normal_from_factor(
            key, x, np.tril(m), dtype=f64
        ),
        "pareto": lambda x: random.pareto(key, x + 1, (3,), f64),
        "rayleigh": lambda x: random.rayleigh(key, x, (3,), f64),
        "triangular": lambda x, y: random.triangular(key, x - 2, y, x + 2, (3,), f64),
        "truncated_normal": lambda x, y: random.truncated_normal(key, -x, y + 1, (3,), f64),
        "uniform": lambda x, y: random.uniform(key, (3,), f64, x, y + 1),
        "wald": lambda x: random.wald(key, x, (3,), f64),
        "weibull_min": lambda x, y: random.weibull_min(key, x, y + 1, (3,), f64),
    }


#: Keys, integers, and samples of distributions without parameters; `key` is a seed.
RANDOM_CONSTANT = names(
    """PRNGKey bernoulli binomial bits categorical cauchy choice clone exponential fold_in geometric
    gumbel key key_data key_dtype key_impl laplace logistic maxwell multinomial normal orthogonal
    permutation poisson rademacher randint shuffle split wrap_key_data"""
)
#: Samples by rejection: their derivative holds the quantile fixed, not the bits, so that a
#: difference of samples shows nothing. `tests/random` compares them with the distribution.
RANDOM_IMPLICIT = names("ball beta chisquare dirichlet f gamma generalized_normal loggamma t")

ROTATION, ROTATION_CALLS = rotations()
NAMESPACES: dict[str, tuple[Any, Calls, set[str]]] = {
    "nn.losses": (losses, losses_calls(), set()),
    "image": (image, image_calls(), set()),
    # The code of a vector is an integer; its distance has a derivative.
    "scipy.cluster.vq": (vq, {"vq": lambda m, x: vq.vq(m, np.stack([x, -x]))[1]}, set()),
    "scipy.sparse.linalg": (sparse_linalg, solver_calls(), set()),
    "scipy.interpolate": (
        types.SimpleNamespace(RegularGridInterpolator=interpolated),
        {"RegularGridInterpolator": interpolated},
        set(),
    ),
    # Constants; the fields of the tree.
    "Rotation": (ROTATION, ROTATION_CALLS, names("identity random quat single")),
    "random": (random, random_calls(), RANDOM_CONSTANT | RANDOM_IMPLICIT),
}
