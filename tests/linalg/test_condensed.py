"""Schur forms, eigenvalues of general matrices, condensed forms, pivoted QR and tridiagonal
systems: both forms of each routine against what they promise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from weft.lax import linalg

few = settings(max_examples=3, deadline=None)
FORMS = ["library", "portable"]
EACH_FORM = pytest.mark.parametrize("form", FORMS)
DTYPES = st.sampled_from([np.float32, np.float64, np.complex64, np.complex128])
SQUARE = st.sampled_from([(2, 3, 3), (5, 5), (1, 1), (0, 3, 3), (0, 0)])


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    yield
    weft.config.routines = "price"


def draw(shape: tuple[int, ...], dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def in_form(form: str, function: Callable[..., Any], *args: np.ndarray) -> list[np.ndarray]:
    weft.config.routines = form
    return [np.asarray(x) for x in weft.tree.leaves(weft.jit(function)(*args))]


def close(actual: Any, wanted: Any, dtype: Any) -> None:
    scale = max(1.0, float(np.max(abs(np.asarray(wanted)), initial=0)))
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=400 * np.finfo(dtype).eps * scale)


def adjoint(x: np.ndarray) -> np.ndarray:
    return np.conj(np.swapaxes(x, -1, -2))


def unitary(q: np.ndarray) -> None:
    close(adjoint(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), q.shape), q.dtype)


# ---------------------------------------------------------------- Schur forms, eigenvalues


def check_schur(a: np.ndarray, t: np.ndarray, z: np.ndarray) -> None:
    close(z @ t @ adjoint(z), a, a.dtype)
    unitary(z)
    if np.iscomplexobj(a):
        np.testing.assert_array_equal(t, np.triu(t))
        return
    np.testing.assert_array_equal(t, np.triu(t, -1))
    below = np.diagonal(t, -1, -2, -1)
    above = np.diagonal(t, 1, -2, -1)
    line = np.diagonal(t, 0, -2, -1)
    pairs = below != 0
    assert not np.any(pairs[..., 1:] & pairs[..., :-1])
    assert np.all(line[..., 1:][pairs] == line[..., :-1][pairs])
    assert np.all((below * above)[pairs] < 0)


def check_eig(a: np.ndarray, w: np.ndarray, left: np.ndarray, right: np.ndarray) -> None:
    close(a @ right, right * w[..., None, :], a.dtype)
    close(adjoint(left) @ a, w[..., :, None] * adjoint(left), a.dtype)
    for v in (left, right):
        close(np.linalg.norm(v, axis=-2), np.ones(w.shape), a.dtype)
        size = abs(v)
        ties = size >= (1 - 1e-4) * np.max(size, -2, keepdims=True, initial=0)
        least = np.min(np.where(ties, abs(v.imag), 1), -2, initial=1)
        close(least if v.size else 0 * least, np.zeros(least.shape), a.dtype)
    if not np.iscomplexobj(a):  # eigenvalues are real or in pairs, exactly
        for values in w.reshape(-1, w.shape[-1]) if w.size else ():
            upper = np.nonzero(values.imag > 0)[0]
            np.testing.assert_array_equal(values[upper].conj(), values[upper + 1])


@EACH_FORM
@few
@given(SQUARE, DTYPES, st.integers(0, 99))
def test_schur_forms_and_eigenvalues(form: str, shape: Any, dtype: Any, seed: int) -> None:
    a = draw(shape, dtype, seed)
    t, z, alone, w, left, right = in_form(
        form,
        lambda a: (
            linalg.schur(a),
            linalg.schur(a, compute_schur_vectors=False),
            linalg.eig(a),
        ),
        a,
    )
    check_schur(a, t, z)
    close(alone, t, dtype)
    check_eig(a, w, left, right)


RNG = np.random.default_rng(0)
HARD = {
    "a Jordan block": np.eye(8, k=1),
    "a Jordan block beside 1": np.eye(8) + np.eye(8, k=1),
    "a cyclic permutation": np.roll(np.eye(8), 1, 0),
    "zeros": np.zeros((5, 5)),
    "ones": np.ones((6, 6)),
    "the identity": np.eye(6),
    "a symmetric matrix": RNG.normal(size=(7, 7)) + np.arange(7)[:, None] * np.arange(7),
    "a skew matrix": np.tril(RNG.normal(size=(8, 8)), -1),
    "a rotation": np.linalg.qr(RNG.normal(size=(9, 9)))[0],
    "a companion": np.eye(8, k=-1) + np.eye(8)[:, :1] * RNG.normal(size=8),
    "rows of all sizes": RNG.normal(size=(7, 7)) * np.logspace(0, -12, 7)[:, None],
    "a large matrix": RNG.normal(size=(20, 20)),
    "great numbers": 1e18 * RNG.normal(size=(5, 5)),
    "small numbers": 1e-18 * RNG.normal(size=(5, 5)),
}
HARD["a skew matrix"] = HARD["a skew matrix"] - HARD["a skew matrix"].T


@EACH_FORM
def test_hard_cases(form: str) -> None:
    function = weft.jit(lambda a: (*linalg.schur(a), *linalg.eig(a)))
    weft.config.routines = form
    for a in HARD.values():
        size = max(float(np.linalg.norm(a)), np.finfo(float).tiny)
        t, z, w, left, right = (np.asarray(x) for x in function(a))
        check_schur(a / size, t / size, z)
        if np.linalg.matrix_rank(right) == len(a):
            check_eig(a / size, w / size, left, right)
        else:  # vectors of a defective matrix coincide, to the root of the rounding errors
            close(a @ right, right * w, a.dtype)


@EACH_FORM
def test_what_is_not_finite_has_no_eigenvalues(form: str) -> None:
    a = np.stack([np.eye(4), np.full((4, 4), np.nan)])
    t, z, w = in_form(
        form,
        lambda a: (*linalg.schur(a), linalg.eig(a, compute_left_eigenvectors=False)[0]),
        a,
    )
    for x in (t, z, w):
        assert np.isfinite(x[0]).all()
        assert np.isnan(x[1]).all()


# ---------------------------------------------------------------- condensed forms


def test_hessenberg_and_tridiagonal_forms() -> None:
    for dtype in (np.float64, np.complex128):
        for n in (1, 2, 5):
            a = draw((2, n, n), dtype)
            results = [in_form(form, linalg.hessenberg, a) for form in FORMS]
            for x, y in zip(*results, strict=True):
                close(x, y, dtype)
            h = a + adjoint(a)
            for lower in (True, False):
                half = np.tril(h) if lower else np.triu(h)
                results = [
                    in_form(form, lambda a, u=lower: linalg.tridiagonal(a, lower=u), half)
                    for form in FORMS
                ]
                for x, y in zip(*results, strict=True):
                    close(x, y, dtype)
                _, d, e, _ = results[0]
                for k in range(2):
                    band = np.diag(d[k]) + np.diag(e[k], 1) + np.diag(e[k], -1)
                    close(np.linalg.eigvalsh(band), np.linalg.eigvalsh(h[k]), dtype)


@few
@given(st.sampled_from([(4, 4), (2, 5, 3), (3, 5), (0, 2), (3, 0)]), DTYPES, st.booleans())
def test_qr_with_pivoting(shape: tuple[int, ...], dtype: Any, full: bool) -> None:
    a = draw(shape, dtype)
    results = [
        in_form(form, lambda a: linalg.qr(a, pivoting=True, full_matrices=full), a)
        for form in FORMS
    ]
    for x, y in zip(*results, strict=True):
        close(x, y, dtype)
    q, r, order = results[0]
    close(q @ r, np.take_along_axis(a, order[..., None, :], -1), dtype)
    size = abs(np.diagonal(r, 0, -2, -1))
    assert np.all(size[..., 1:] <= size[..., :-1] * (1 + 1e-3))


def test_the_derivative_of_a_pivoted_factorization() -> None:
    a, d, h = draw((4, 3)), draw((4, 3), seed=1), 1e-6

    def f(a: Any) -> Any:
        return linalg.qr(a, pivoting=True, full_matrices=False)[1]

    with weft.disable_jit():
        slope = np.asarray(weft.jvp(f, (a,), (d,))[1])
        differences = (np.asarray(f(a + h * d)) - np.asarray(f(a - h * d))) / (2 * h)
    np.testing.assert_allclose(slope, differences, rtol=1e-6, atol=1e-7)


@EACH_FORM
@few
@given(
    st.sampled_from([((), 1, 2), ((), 2, 1), ((2,), 5, 3), ((2, 2), 7, 1), ((0,), 3, 1)]),
    DTYPES,
    st.integers(0, 99),
)
def test_tridiagonal_systems(form: str, sizes: Any, dtype: Any, seed: int) -> None:
    batch, n, columns = sizes
    dl, d, du = (draw((*batch, n), dtype, seed + k) for k in range(3))
    x = draw((*batch, n, columns), dtype, seed + 3)
    a = np.zeros((*batch, n, n), dtype)
    for i in range(n):
        a[..., i, i] = d[..., i]
        if i:
            a[..., i, i - 1], a[..., i - 1, i] = dl[..., i], du[..., i - 1]
    (found,) = in_form(form, linalg.tridiagonal_solve, dl, d, du, a @ x)
    condition = np.max(np.linalg.cond(a.astype(complex)), initial=1) if a.size else 1
    np.testing.assert_allclose(found, x, atol=100 * np.finfo(dtype).eps * condition)


@EACH_FORM
def test_singular_tridiagonal_systems(form: str) -> None:
    dl, d, du = np.array([0.0, 1, 1]), np.array([1.0, 1, 0]), np.array([1.0, 0, 0])
    b = np.array([[1.0], [2], [3]])
    (x,) = in_form(form, linalg.tridiagonal_solve, dl, d, du, b)
    assert np.isnan(x).all()
    solve = linalg.tridiagonal_solve
    (x,) = in_form(form, lambda *a: solve(*a, perturb_singular=True), dl, d, du, b)
    assert np.isfinite(x).all() and abs(x).max() > 1e12


# ---------------------------------------------------------------- composed


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_multiplying_by_reflectors(dtype: Any) -> None:
    for shape in ((4, 2), (2, 4), (3, 3)):
        compact, taus = linalg.geqrf(draw(shape, dtype))
        q = np.asarray(linalg.qr(draw(shape, dtype))[0])
        c = draw((shape[0], shape[0]), dtype, 1)
        close(linalg.ormqr(compact, taus, c), q @ c, dtype)
        close(linalg.ormqr(compact, taus, c, transpose=True), adjoint(q) @ c, dtype)
        close(linalg.ormqr(compact, taus, c, left=False), c @ q, dtype)


def test_updating_a_cholesky_factor() -> None:
    r, w = np.triu(draw((2, 4, 4))), draw((2, 4), seed=1)
    new = np.asarray(weft.jit(linalg.cholesky_update)(r, w))
    wanted = np.swapaxes(r, -1, -2) @ r + w[..., :, None] * w[..., None, :]
    close(np.swapaxes(new, -1, -2) @ new, wanted, np.float64)
    np.testing.assert_array_equal(new, np.triu(new))
    nothing = np.zeros((2, 2))
    np.testing.assert_array_equal(linalg.cholesky_update(nothing, nothing[0]), nothing)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.complex64, np.complex128])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e6])
def test_polar_factors(dtype: Any, condition: float) -> None:
    u, _, vh = np.linalg.svd(draw((2, 5, 3), dtype), full_matrices=False)
    s = np.geomspace(1, 1 / condition, 3)
    a = ((u * s) @ vh).astype(dtype)
    unitary_factor, h, count, converged = map(np.asarray, weft.jit(linalg.qdwh)(a))
    gram = adjoint(unitary_factor) @ unitary_factor
    close(gram, np.broadcast_to(np.eye(3), gram.shape), dtype)
    close(unitary_factor @ h, a, dtype)
    assert np.linalg.eigvalsh(h).min() > -1e-5
    assert converged and count <= 6


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: linalg.qdwh(draw((2, 3))), ValueError, "at least as many rows as columns"),
        (lambda: linalg.qdwh(draw((3, 3)), dynamic_shape=(2, 2)), NotImplementedError, "dynamic"),
        (lambda: linalg.hessenberg(draw((2, 3))), ValueError, "hessenberg needs square matrices"),
        (
            lambda: linalg.tridiagonal_solve(*[draw((3,))] * 3, draw((2, 1))),
            ValueError,
            r"dl\[0\] and du\[-1\] are not read",
        ),
        (
            lambda: linalg.ormqr(*linalg.geqrf(draw((3, 2))), draw((2, 2))),
            ValueError,
            "does not fit .* which has 2 rows",
        ),
        (
            lambda: linalg.cholesky_update(draw((2, 2)), draw((3,))),
            ValueError,
            "a vector of 2 elements of the same dtype",
        ),
        (
            lambda: linalg.cholesky_update(draw((2, 2), complex), draw((2,), complex)),
            TypeError,
            "r_matrix must be real",
        ),
        (
            lambda: weft.grad(lambda a: linalg.hessenberg(a)[0].sum())(draw((3, 3))),
            TypeError,
            "hessenberg has no derivative: .* differentiate eigvals",
        ),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
