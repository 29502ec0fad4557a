"""Iterative solvers, minimisation, interpolation and rotations, against SciPy and NumPy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import scipy.optimize
import scipy.spatial.transform
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.scipy import interpolate, optimize, stats
from weft.scipy.sparse import linalg
from weft.scipy.spatial.transform import Rotation, Slerp
from weft.test_util import check_grads

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


# ---------------------------------------------------------------- linear systems

A = RNG.normal(size=(8, 8)) + 6 * np.eye(8)
S = A @ A.T
B = RNG.normal(size=8)
SOLVERS = {"cg": S, "bicgstab": A, "gmres": A}


@pytest.mark.parametrize("name", SOLVERS)
def test_solutions_and_their_derivatives(name: str) -> None:
    matrix, solve = SOLVERS[name], getattr(linalg, name)
    for operator in (matrix, lambda x: matrix @ x):
        x, _ = solve(operator, B, tol=1e-13)
        np.testing.assert_allclose(x, np.linalg.solve(matrix, B), rtol=1e-9)
    preconditioned, _ = solve(matrix, B, wnp.ones(8), tol=1e-13, M=np.diag(1 / np.diag(matrix)))
    np.testing.assert_allclose(preconditioned, np.linalg.solve(matrix, B), rtol=1e-9)

    def f(m: Any, b: Any) -> Any:
        m = m + m.T if name == "cg" else m
        return solve(lambda x: m @ x, b, tol=1e-13)[0]

    half = matrix / 2 if name == "cg" else matrix
    slope = weft.grad(lambda m, b: f(m, b).sum())(half, B)
    x, y = np.linalg.solve(matrix, B), np.linalg.solve(matrix.T, np.ones(8))
    wanted = -np.outer(y, x)
    wanted = wanted + wanted.T if name == "cg" else wanted
    np.testing.assert_allclose(slope, wanted, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize("name", SOLVERS)
def test_complex_trees(name: str) -> None:
    z = S + 1j * (A - A.T)  # Hermitian

    def operator(x: Any) -> Any:
        y = z @ wnp.concatenate([x["p"], x["q"]])
        return {"p": y[:3], "q": y[3:]}

    b = {"p": B[:3] + 0j, "q": B[3:] + 0j}
    x, _ = getattr(linalg, name)(operator, b, tol=1e-12)
    found = np.concatenate([x["p"], x["q"]])
    np.testing.assert_allclose(found, np.linalg.solve(z, B), rtol=1e-8)


def test_restarts_and_early_ends() -> None:
    found, info = linalg.gmres(A, B, restart=3, tol=1e-10)
    np.testing.assert_allclose(found, np.linalg.solve(A, B), rtol=1e-7)
    assert int(info) == 0
    # One direction is enough for a multiple of the identity.
    found, _ = linalg.gmres(lambda x: 2 * x, B, tol=1e-12)
    np.testing.assert_allclose(found, B / 2, rtol=1e-12)
    assert np.array_equal(linalg.cg(S, np.zeros(8))[0], np.zeros(8))
    rough, _ = linalg.cg(S, B, maxiter=1)
    assert not np.allclose(rough, np.linalg.solve(S, B))


def test_errors_of_solvers() -> None:
    for kind, error, call in (
        (ValueError, r"cg: A is square, got shape \(8, 7\)", lambda: linalg.cg(A[:, :7], B)),
        (TypeError, "M is a function or a square matrix", lambda: linalg.cg(A, B, M=3)),
        (
            ValueError,
            r"bicgstab: x0 is like b, .* shapes \[\(8,\)\]",
            lambda: linalg.bicgstab(A, B, B[:3]),
        ),
        (ValueError, "solve_method is", lambda: linalg.gmres(A, B, solve_method="x")),
    ):
        with pytest.raises(kind, match=error):
            call()


# ---------------------------------------------------------------- minimisation


def valley(x: Any, height: Any = 100.0) -> Any:
    return wnp.sum(height * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def test_minimize() -> None:
    start = np.array([-1.2, 1.0, 0.5])
    compiled = weft.jit(lambda x: optimize.minimize(valley, x, method="BFGS", tol=1e-8))
    with weft.disable_jit(False):
        found = compiled(start)
    assert bool(found.success) and int(found.status) == 0 and int(found.nit) < 100
    np.testing.assert_allclose(found.x, np.ones(3), rtol=1e-6)
    hessian = np.asarray(weft.hessian(valley)(np.ones(3)))
    np.testing.assert_allclose(np.linalg.inv(found.hess_inv), hessian, rtol=0.2, atol=20)
    short = optimize.minimize(
        lambda x, c: wnp.sum((x - c) ** 4), start, (2.0,), method="bfgs", options={"maxiter": 2}
    )
    assert int(short.status) == 1 and not bool(short.success) and int(short.nit) == 2


def test_minimize_agrees_with_scipy() -> None:
    matrix, shift = S, B

    def bowl(x: Any) -> Any:
        return 0.5 * x @ (matrix @ x) - shift @ x

    found = optimize.minimize(bowl, np.zeros(8), method="BFGS", tol=1e-6)
    wanted = scipy.optimize.minimize(bowl, np.zeros(8), method="BFGS", tol=1e-6)
    np.testing.assert_allclose(found.x, wanted.x, atol=1e-5)
    np.testing.assert_allclose(found.fun, wanted.fun, rtol=1e-8)


def test_errors_of_minimize() -> None:
    x = np.zeros(2)
    for kind, error, call in (
        (ValueError, "the method is 'BFGS', got 'Nelder-Mead'", {"method": "Nelder-Mead"}),
        (TypeError, "args is a tuple, got float", {"method": "BFGS", "args": 1.0}),
        (
            ValueError,
            r"options are \[.*\], got \['eps'\]",
            {"method": "BFGS", "options": {"eps": 1}},
        ),
    ):
        with pytest.raises(kind, match=error):
            optimize.minimize(valley, x, **call)
    with pytest.raises(ValueError, match=r"x0 is a vector, got shape \(2, 2\)"):
        optimize.minimize(valley, np.zeros((2, 2)), method="BFGS")


# ---------------------------------------------------------------- interpolation

GRID = (np.array([0.0, 1.0, 3.0]), np.array([-1.0, 0.5, 1.0, 2.0]))
VALUES = RNG.normal(size=(3, 4, 2))


@pytest.mark.parametrize("method", ["linear", "nearest"])
@pytest.mark.parametrize("fill", [None, -7.0])
def test_interpolation(method: str, fill: float | None) -> None:
    points = RNG.uniform(-2, 4, size=(3, 5, 2))
    arguments = (GRID, VALUES, method, False, fill)
    wanted = scipy.interpolate.RegularGridInterpolator(*arguments)(points)
    f = interpolate.RegularGridInterpolator(*arguments)
    np.testing.assert_allclose(f(points), wanted, rtol=1e-12)
    np.testing.assert_allclose(f((points[..., 0], points[..., 1])), wanted, rtol=1e-12)
    again = weft.tree.map(lambda x: x, f)
    np.testing.assert_allclose(again(points[0, 0]), wanted[0, :1], rtol=1e-12)


def test_interpolation_has_derivatives() -> None:
    def f(values: Any, points: Any) -> Any:
        return interpolate.RegularGridInterpolator(GRID, values)(points)

    check_grads(f, (VALUES, np.array([[0.3, 0.7], [2.2, -0.4]])), order=2)


def test_errors_of_interpolation() -> None:
    make = interpolate.RegularGridInterpolator
    for kind, error, call in (
        (
            ValueError,
            "method is 'linear' or 'nearest', got 'cubic'",
            lambda: make(GRID, VALUES, "cubic"),
        ),
        (
            NotImplementedError,
            "bounds_error is False",
            lambda: make(GRID, VALUES, bounds_error=True),
        ),
        (ValueError, "points are a vector for each", lambda: make(GRID[:1] * 2, VALUES)),
        (ValueError, "fill_value is complex", lambda: make(GRID, VALUES, fill_value=1j)),
        (
            ValueError,
            "points have 2 coordinates each, got 3",
            lambda: make(GRID, VALUES)(np.ones((4, 3))),
        ),
    ):
        with pytest.raises(kind, match=error):
            call()


# ---------------------------------------------------------------- rotations

Reference = scipy.spatial.transform.Rotation
SEQUENCES = ["xyz", "zxz", "yzy", "XYZ", "ZYX", "YXY", "zyx"]
QUATERNIONS = RNG.normal(size=(6, 4))


def same(found: Rotation, wanted: Any) -> None:
    np.testing.assert_allclose(found.as_matrix(), wanted.as_matrix(), atol=1e-12)


def test_forms_of_rotations() -> None:
    ours, theirs = Rotation.from_quat(QUATERNIONS), Reference.from_quat(QUATERNIONS)
    same(ours, theirs)
    same(Rotation.from_matrix(theirs.as_matrix()), theirs)
    same(Rotation.from_rotvec(theirs.as_rotvec(degrees=True), degrees=True), theirs)
    same(Rotation.from_mrp(theirs.as_mrp()), theirs)
    np.testing.assert_allclose(ours.as_rotvec(), theirs.as_rotvec(), atol=1e-12)
    np.testing.assert_allclose(ours.as_mrp(), theirs.as_mrp(), atol=1e-12)
    np.testing.assert_allclose(ours.magnitude(), theirs.magnitude(), atol=1e-12)
    canonical = theirs.as_quat(canonical=True, scalar_first=True)
    np.testing.assert_allclose(ours.as_quat(True, True), canonical, atol=1e-12)
    flat = np.array([[0, 0, -1.0, 0], [0, -1.0, 0, 0], [-1.0, 0, 0, 0]])
    np.testing.assert_array_equal(Rotation.from_quat(flat).as_quat(True), abs(flat))


@pytest.mark.parametrize("seq", SEQUENCES)
def test_euler_angles(seq: str) -> None:
    ours, theirs = Rotation.from_quat(QUATERNIONS), Reference.from_quat(QUATERNIONS)
    np.testing.assert_allclose(ours.as_euler(seq), theirs.as_euler(seq), atol=1e-12)
    angles = RNG.normal(size=(4, 3))
    same(Rotation.from_euler(seq, angles), Reference.from_euler(seq, angles))
    same(Rotation.from_euler(seq[:1], 40.0, True), Reference.from_euler(seq[:1], 40.0, True))
    middle = 0.0 if seq[0].lower() == seq[2].lower() else np.pi / 2
    locked = Rotation.from_euler(seq, np.array([0.3, middle, 0.4]))
    angles = np.asarray(locked.as_euler(seq))
    np.testing.assert_allclose(
        Rotation.from_euler(seq, angles).as_matrix(), locked.as_matrix(), atol=1e-7
    )


def test_use_of_rotations() -> None:
    ours, theirs = Rotation.from_quat(QUATERNIONS), Reference.from_quat(QUATERNIONS)
    x = RNG.normal(size=(6, 3))
    np.testing.assert_allclose(ours.apply(x), theirs.apply(x), atol=1e-12)
    np.testing.assert_allclose(ours[2].apply(x, True), theirs[2].apply(x, True), atol=1e-12)
    same(ours * ours.inv()[::-1], theirs * theirs.inv()[::-1])
    weights = np.arange(1.0, 7)
    same(ours.mean(weights), theirs.mean(weights))
    same(Rotation.concatenate([ours[:2], ours[5]]), theirs[[0, 1, 5]])
    assert len(ours) == 6 and ours[0].single and not ours.single
    drawn = Rotation.random(weft.random.key(0), 2000).as_matrix()
    assert np.all(abs(np.asarray(drawn).mean(0)) < 0.05)
    assert np.array_equal(Rotation.identity().as_matrix(), np.eye(3))
    assert Rotation.identity(3, np.float64).quat.shape == (3, 4)


def test_arcs_between_rotations() -> None:
    times = np.array([0.0, 1.0, 3.0, 4.0])
    ends = Reference.from_quat(QUATERNIONS[:4])
    at = np.array([0.0, 0.3, 1.0, 2.5, 4.0])
    found = Slerp.init(times, Rotation.from_quat(QUATERNIONS[:4]))
    same(found(at), scipy.spatial.transform.Slerp(times, ends)(at))
    assert found(0.5).single


def test_rotations_have_derivatives() -> None:
    check_grads(lambda v: Rotation.from_rotvec(v).as_matrix(), (np.array([0.3, -0.2, 0.5]),), 2)
    slope = weft.jacobian(lambda v: Rotation.from_rotvec(v).apply(np.array([1.0, 0, 0])))(
        np.zeros(3)
    )
    np.testing.assert_allclose(slope, [[0, 0, 0], [0, 0, 1], [0, -1, 0]], atol=1e-12)
    back = weft.jacobian(lambda v: Rotation.from_rotvec(v).as_rotvec())(np.zeros(3))
    np.testing.assert_allclose(back, np.eye(3), atol=1e-12)


def test_errors_of_rotations() -> None:
    single = Rotation.identity()
    pair = Rotation.identity(2)
    for kind, error, call in (
        (ValueError, r"sizes \(4,\), got shape \(3,\)", lambda: Rotation.from_quat(np.ones(3))),
        (
            ValueError,
            "seq is one to three of .* got 'xx'",
            lambda: Rotation.from_euler("xx", np.ones(2)),
        ),
        (
            ValueError,
            "seq is one to three of .* got 'xY'",
            lambda: Rotation.from_euler("xY", np.ones(2)),
        ),
        (ValueError, "2 angles in the last axis", lambda: Rotation.from_euler("xy", np.ones(3))),
        (ValueError, "three axes, got 'xy'", lambda: single.as_euler("xy")),
        (TypeError, "has no elements", lambda: single[0]),
        (TypeError, r"has no len\(\)", lambda: len(single)),
        (ValueError, "a weight for each of 2 rotations", lambda: pair.mean(np.ones(3))),
        (ValueError, "two rotations at least", lambda: Slerp.init(np.zeros(1), single)),
        (ValueError, "a time for each of 2 rotations", lambda: Slerp.init(np.zeros(3), pair)),
        (TypeError, "rotations are a Rotation, got int", lambda: Slerp.init(np.zeros(3), 3)),
    ):
        with pytest.raises(kind, match=error):
            call()


# ---------------------------------------------------------------- densities of samples


@given(st.integers(1, 3), st.integers(0, 1000))
@settings(max_examples=5, deadline=None)
def test_gaussian_kde(d: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    samples, points = rng.normal(size=(d, 7)), rng.normal(size=(d, 4))
    weights = rng.uniform(0.5, 1, 7)
    with weft.disable_jit():
        for method in (None, "silverman", 0.7, lambda kde: 0.4):
            ours = stats.gaussian_kde(samples, method, weights)
            theirs = scipy.stats.gaussian_kde(samples, method, weights)
            np.testing.assert_allclose(ours.covariance, theirs.covariance, rtol=1e-9)
            np.testing.assert_allclose(ours(points), theirs(points), rtol=1e-8)
            np.testing.assert_allclose(ours.logpdf(points), theirs.logpdf(points), rtol=1e-8)
        mean, cov = rng.normal(size=d), np.eye(d) + 0.1
        np.testing.assert_allclose(
            ours.integrate_gaussian(mean, cov), theirs.integrate_gaussian(mean, cov), rtol=1e-8
        )
        other, same = stats.gaussian_kde(points), scipy.stats.gaussian_kde(points)
        if d < 3:
            np.testing.assert_allclose(
                ours.integrate_kde(other), theirs.integrate_kde(same), rtol=1e-8
            )
        if d == 1:
            np.testing.assert_allclose(
                ours.integrate_box_1d(-0.3, 2.0), theirs.integrate_box_1d(-0.3, 2.0), rtol=1e-8
            )
        again = weft.tree.map(lambda x: x, ours)
        assert again.resample(weft.random.key(0), (5,)).shape == (d, 5)
