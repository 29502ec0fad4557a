"""`weft.numpy.linalg` against NumPy, its derivatives against differences, and its errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

la = wnp.linalg
few = settings(max_examples=5, deadline=None)
BATCHES = st.sampled_from([(), (3,), (2, 2), (0,)])


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def close(actual: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=1e-7, atol=1e-8)


@few
@given(BATCHES, st.integers(0, 6), st.integers(0, 99))
def test_square_matrices(batch: tuple[int, ...], n: int, seed: int) -> None:
    a = draw(*batch, n, n, seed=seed)
    close(la.det(a), np.linalg.det(a))
    sign, size = la.slogdet(a)
    close(sign, np.linalg.slogdet(a)[0])
    close(size, np.linalg.slogdet(a)[1])
    close(la.inv(a) @ a, np.broadcast_to(np.eye(n), a.shape))
    b = draw(*batch, n, 2, seed=seed + 1)
    close(la.solve(a, b), np.linalg.solve(a, b))
    h = a + np.swapaxes(a, -1, -2)
    close(la.eigvalsh(h), np.linalg.eigvalsh(h))
    if n:
        u, s, vh = la.svd(h, hermitian=True)
        close((u * s[..., None, :]) @ vh, h)
        close(s, np.linalg.svd(h, compute_uv=False))


@few
@given(BATCHES, st.integers(1, 6), st.integers(1, 6), st.integers(0, 99))
def test_matrices_of_any_shape(batch: tuple[int, ...], m: int, n: int, seed: int) -> None:
    a = draw(*batch, m, n, seed=seed)
    close(la.pinv(a), np.linalg.pinv(a))
    close(la.svdvals(a), np.linalg.svd(a, compute_uv=False))
    assert np.asarray(la.matrix_rank(a)).tolist() == np.linalg.matrix_rank(a).tolist()
    for mode in ("reduced", "complete"):
        q, r = la.qr(a, mode)
        close(q @ r, a)
    close(abs(la.qr(a, "r")), abs(np.linalg.qr(a, "r")))
    for order in (2, -2, "nuc", "fro", 1):
        close(la.norm(a, order, axis=(-2, -1)), np.linalg.norm(a, order, axis=(-2, -1)))


@pytest.mark.parametrize("p", [None, 2, -2, 1, -1, np.inf, -np.inf, "fro"])
def test_condition_numbers(p: Any) -> None:
    a = draw(3, 4, 4)
    close(la.cond(a, p), np.linalg.cond(a, p))
    assert np.asarray(la.cond(np.zeros((2, 2)), p)) == np.inf


def test_vectors_on_the_right_and_batches_that_broadcast() -> None:
    a, b = draw(4, 4), draw(7, 4, 2)
    close(la.solve(a, b), np.linalg.solve(a, b))
    close(la.solve(a, b[0, :, 0]), np.linalg.solve(a, b[0, :, 0]))
    close(la.solve(draw(5, 1, 4, 4), b), np.linalg.solve(draw(5, 1, 4, 4), b))


@pytest.mark.parametrize("rank", [2, 3])
def test_least_squares(rank: int) -> None:
    a, b = draw(6, rank) @ draw(rank, 3, seed=1), draw(6, 2, seed=2)
    x, residuals, found, s = la.lstsq(a, b, rcond=1e-10)
    wanted = np.linalg.lstsq(a, b, rcond=1e-10)
    close(x, wanted[0])
    close(residuals, np.sum((b - a @ wanted[0]) ** 2, 0))
    assert int(found) == rank
    close(s, wanted[3])
    assert la.lstsq(a, b, 1e-10, numpy_resid=True)[1].shape == wanted[1].shape


def test_least_squares_of_a_nearly_singular_matrix_leave_no_residual() -> None:
    # Products with the pseudo-inverse left 1e7 times as much.
    near = np.vander(np.linspace(0.9, 1.0, 3)).astype(np.float32)
    b = near @ np.array([300.0, -200.0, 100.0], np.float32)
    x, residuals, *_ = la.lstsq(near, b)
    assert residuals[0] < 1e-6
    assert np.linalg.norm(near @ np.asarray(x) - b) < 1e-3


def test_tensors_and_powers() -> None:
    a, b = draw(2, 3, 6), draw(2, 3)
    close(la.tensorsolve(a, b), np.linalg.tensorsolve(a, b))
    swapped = np.moveaxis(a, -1, 0)
    close(la.tensorsolve(swapped, b, axes=(0,)), np.linalg.tensorsolve(swapped, b, axes=(0,)))
    close(la.tensorinv(draw(4, 6, 8, 3)), np.linalg.tensorinv(draw(4, 6, 8, 3)))
    for n in (-3, 0, 5):
        close(la.matrix_power(draw(3, 3), n), np.linalg.matrix_power(draw(3, 3), n))


def test_eigenvalues_of_general_matrices() -> None:
    for a in (draw(40, 1, 1), draw(2, 4, 4), draw(3, 3) + 1j * draw(3, 3, seed=1)):
        values, vectors = map(np.asarray, la.eig(a))
        close(a @ vectors, vectors * values[..., None, :])
        close(la.eigvals(a), values)


def test_integers_become_float32_and_narrow_floats_are_refused() -> None:
    assert la.inv(np.array([[2, 0], [0, 4]])).dtype == np.float32
    with pytest.raises(TypeError, match=r"linalg\.svd: argument 0 is float16.*astype\('float32'\)"):
        la.svd(np.ones((2, 2), np.float16))


# ---------------------------------------------------------------- derivatives

RIGHT = draw(4, 2, seed=5)


def adjoint(x: Any) -> Any:
    return wnp.conj(wnp.matrix_transpose(x))


def onto_first(v: Any) -> Any:
    """The projection onto the first column, which does not depend on its phase."""
    return v[:, :1] @ adjoint(v[:, :1])


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "solve": lambda x: la.solve(x, RIGHT),
    "inv": la.inv,
    "det": lambda x: la.det(x)[None],
    "det3": lambda x: la.det(x[:3, :3])[None],
    "slogdet": lambda x: wnp.stack([*la.slogdet(x)]),
    "cholesky": lambda x: la.cholesky(x @ adjoint(x) + np.eye(4)),
    "pinv": lambda x: la.pinv(x[:, :2]),
    "q": lambda x: la.qr(x[:, :3]).Q,
    "r": lambda x: la.qr(x[:3]).R,
    "lu": lambda x: weft.lax.linalg.lu(x[:3])[0],
    "svdvals": la.svdvals,
    "u": lambda x: abs(la.svd(x[:, :3], full_matrices=False).U),
    "singular vectors": lambda x: onto_first(adjoint(la.svd(x).Vh)),
    "eigvalsh": lambda x: la.eigvalsh(x + adjoint(x)),
    "eigenvectors": lambda x: onto_first(la.eigh(x + adjoint(x)).eigenvectors),
    "eigvals": la.eigvals,
    "general eigenvectors": lambda x: la.eig(x).eigenvectors,
    "spectral norm": lambda x: la.norm(x, 2)[None],
    "nuclear norm": lambda x: la.norm(x, "nuc")[None],
    "cond": lambda x: la.cond(x)[None],
    "lstsq": lambda x: la.lstsq(x[:, :3], RIGHT)[0],
    "matrix_power": lambda x: la.matrix_power(x, -2),
    "multi_dot": lambda x: la.multi_dot([x, x[:, :2], x[:2]]),
}


@pytest.mark.parametrize("is_complex", [False, True], ids=["real", "complex"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_limits_of_differences(name: str, is_complex: bool) -> None:
    def f(x: Any) -> Any:
        y = FUNCTIONS[name](x).astype(np.complex128)
        return wnp.sin(wnp.real(y)) + wnp.square(wnp.imag(y))

    x, d, h = draw(4, 4, seed=2), draw(4, 4, seed=3), 1e-6
    if is_complex:
        x, d = x + 1j * draw(4, 4, seed=6), d + 1j * draw(4, 4, seed=7)
    with weft.disable_jit():
        value, slope = weft.jvp(f, (x,), (d,))
        differences = (np.asarray(f(x + h * d)) - np.asarray(f(x - h * d))) / (2 * h)
        np.testing.assert_allclose(np.asarray(slope), differences, rtol=1e-5, atol=1e-6)
        gradient = weft.grad(lambda x: f(x).sum())
        along = np.sum(np.asarray(gradient(x)) * d).real
        np.testing.assert_allclose(along, differences.sum(), rtol=1e-5, atol=1e-6)
        second = weft.jvp(gradient, (x,), (d,))[1]
        differences = (np.asarray(gradient(x + h * d)) - np.asarray(gradient(x - h * d))) / (2 * h)
        scale = 1 + abs(differences).max()
        np.testing.assert_allclose(np.asarray(second), differences, rtol=1e-4, atol=1e-5 * scale)
        batched = weft.vmap(f)(np.stack([x, x + d]))
        np.testing.assert_allclose(np.asarray(batched[0]), np.asarray(value), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("name", ["solve", "cholesky", "eigvalsh"])
def test_derivatives_compile(name: str) -> None:
    gradient = weft.grad(lambda x: FUNCTIONS[name](x).sum())
    x = draw(4, 4, seed=2)
    with weft.disable_jit():
        wanted = np.asarray(gradient(x))
    close(weft.jit(gradient)(x), wanted)


def test_the_determinant_of_a_singular_matrix_has_a_derivative() -> None:
    x, d, h = draw(4, 4), draw(4, 4, seed=1), 1e-5
    x[3] = x[0] + x[1]
    with weft.disable_jit():
        slope = weft.jvp(la.det, (x,), (d,))[1]
    wanted = (np.linalg.det(x + h * d) - np.linalg.det(x - h * d)) / (2 * h)
    np.testing.assert_allclose(np.asarray(slope), wanted, rtol=1e-6)


def test_solving_again_for_a_tangent_factors_once() -> None:
    weft.config.routines = "library"
    try:
        text = str(weft.make_jaxpr(weft.grad(lambda x: la.solve(x, RIGHT).sum()))(draw(4, 4)))
    finally:
        weft.config.routines = "price"
    assert text.count("= lu ") == 1


def test_repeated_eigenvalues_have_derivatives_and_their_vectors_have_none() -> None:
    a = np.eye(3)
    slope = np.asarray(weft.grad(lambda x: la.eigvalsh(x).sum())(a))
    close(slope, np.eye(3))  # of the trace
    slope = np.asarray(weft.grad(lambda x: la.eigh(x).eigenvectors.sum())(a))
    assert not np.isfinite(slope).all()
    slope = np.asarray(weft.grad(lambda x: la.svdvals(x).sum())(a))
    close(slope, np.eye(3))


# ---------------------------------------------------------------- accuracy, extreme operands


def hilbert(n: int) -> np.ndarray:
    index = np.arange(n)
    return 1 / (index[:, None] + index + 1.0)


@pytest.mark.parametrize("form", ["library", "portable"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
def test_residuals_stay_small_whatever_the_condition(form: str, dtype: Any) -> None:
    """What backward stability promises, for matrices whose condition is beyond the precision."""
    weft.config.routines = form
    try:
        eps = float(np.finfo(dtype).eps)
        graded = draw(8, 8) * np.logspace(0, -6, 8)
        for a in (hilbert(8), graded, 1e12 * draw(5, 5), 1e-12 * draw(5, 5)):
            a = (a * (1 + 0.5j) if np.dtype(dtype).kind == "c" else a).astype(dtype)
            n, size = len(a), np.linalg.norm(a)
            bound = 20 * n * eps
            b = draw(n, 1).astype(dtype)
            x = np.asarray(la.solve(a, b))
            assert np.linalg.norm(a @ x - b) <= bound * size * np.linalg.norm(x)
            q, r = map(np.asarray, la.qr(a))
            assert np.linalg.norm(q @ r - a) <= bound * size
            u, s, vh = map(np.asarray, la.svd(a))
            assert np.linalg.norm((u * s) @ vh - a) <= bound * size
            h = a + np.conj(a.T)
            w, v = map(np.asarray, la.eigh(h))
            assert np.linalg.norm(h @ v - v * w) <= bound * np.linalg.norm(h)
            for basis in (q, u, vh, v):
                assert np.linalg.norm(np.conj(basis.T) @ basis - np.eye(n)) <= bound
            w, v = map(np.asarray, la.eig(a))
            assert np.linalg.norm(a @ v - v * w) <= bound * size
    finally:
        weft.config.routines = "price"


@pytest.mark.parametrize("n", [0, 1])
def test_matrices_of_no_element_and_of_one(n: int) -> None:
    for a in (np.full((n, n), 2.0), np.full((2, n, n), 2.0 + 0j), np.full((0, n, n), 2.0)):
        for name in ("inv", "det", "cholesky", "eigvals", "eigvalsh", "svdvals"):
            found = np.asarray(getattr(la, name)(a))
            wanted = getattr(np.linalg, name)(a)
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, rtol=1e-12)
        for name in ("qr", "svd", "eig", "eigh", "slogdet"):
            shapes = [x.shape for x in getattr(la, name)(a)]
            assert shapes == [x.shape for x in getattr(np.linalg, name)(a)]
        close(la.solve(a, a), np.linalg.solve(a, a))
        close(la.matrix_power(a, 3), np.linalg.matrix_power(a, 3))


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: la.inv(draw(2, 3)), ValueError, r"linalg\.inv: argument 0 must be square"),
        (lambda: la.qr(draw(3)), ValueError, r"qr: argument 0 must have matrices in its last two"),
        (lambda: la.solve(np.eye(3), draw(4)), ValueError, r"solve: a of shape \(3, 3\) needs b"),
        (lambda: la.qr(np.eye(2), "x"), ValueError, "mode is 'reduced', 'complete', 'r' or 'raw'"),
        (lambda: la.eigh(np.eye(2), "X"), ValueError, "UPLO is 'L' or 'U', got 'X'"),
        (lambda: la.norm(np.eye(2), 3), ValueError, "ord=3 is not a norm of matrices; use 'fro'"),
        (lambda: la.lstsq(np.eye(3), draw(2)), ValueError, "a has 3 rows and b has 2"),
        (lambda: la.lstsq(draw(2, 3, 3), draw(3)), ValueError, r"use weft\.vmap"),
        (lambda: la.tensorinv(draw(2, 3), 1), ValueError, "must have as many"),
        (lambda: la.solve(None, draw(3)), TypeError, r"solve: argument 0 must be an array"),
        (
            lambda: weft.lax.linalg.cholesky(np.eye(2, dtype=np.int32)),
            TypeError,
            r"cholesky needs float32.*lax\.convert_element_type",
        ),
        (
            lambda: weft.lax.linalg.triangular_solve(np.eye(3), draw(2, 2), left_side=True),
            ValueError,
            "b must have 3 rows, as many as a; it has 2",
        ),
        (
            lambda: weft.grad(lambda x: weft.lax.linalg.qr(x)[0].sum())(draw(4, 2)),
            TypeError,
            "use the reduced form",
        ),
        (
            lambda: weft.grad(lambda x: weft.lax.linalg.svd(x)[0].sum())(draw(4, 2)),
            TypeError,
            "use full_matrices=False",
        ),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()


def test_the_gradient_of_least_squares_outside_jit():
    # Products with columns: sums over axes of length 1 that rules drop.
    a = np.array([[2.0, 0.3, 0.1], [0.3, 1.5, 0.2], [0.1, 0.2, 1.1]], np.float32)
    b = np.array([0.3, -0.7, 1.2], np.float32)

    def f(x):
        return wnp.sum(wnp.sin(wnp.linalg.lstsq(x[:, :2], b)[0]))

    found = np.asarray(weft.grad(f)(a))
    np.testing.assert_allclose(found, np.asarray(weft.jit(weft.grad(f))(a)), rtol=1e-4)
