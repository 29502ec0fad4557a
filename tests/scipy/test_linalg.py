"""`weft.scipy.linalg` against SciPy and against what factors promise; derivatives; errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.scipy import linalg as la

few = settings(max_examples=4, deadline=None)
DTYPES = st.sampled_from([np.float64, np.complex128])
SIZES = st.integers(1, 5)


def draw(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    return (x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x).astype(dtype)


def positive(*shape: int, dtype: Any = np.float64, seed: int = 0) -> np.ndarray:
    x = draw(*shape, dtype=dtype, seed=seed)
    return x @ adjoint(x) + np.eye(shape[-1])


def arrays(xs: Any) -> Any:
    """NumPy's arrays, with which tests compute further."""
    return weft.tree.map(np.asarray, xs)


def adjoint(x: Any) -> np.ndarray:
    return np.conj(np.swapaxes(np.asarray(x), -1, -2))


def close(actual: Any, wanted: Any) -> None:
    np.testing.assert_allclose(np.asarray(actual), wanted, rtol=1e-8, atol=1e-9)


# ---------------------------------------------------------------- factors


@few
@given(SIZES, DTYPES, st.booleans())
def test_cholesky_factors(n: int, dtype: Any, lower: bool) -> None:
    a, b = positive(n, n, dtype=dtype), draw(n, 2, dtype=dtype)
    half = np.tril(a) if lower else np.triu(a)
    close(la.cholesky(half, lower), scipy.linalg.cholesky(a, lower))
    factor = la.cho_factor(half, lower)
    assert factor[1] is lower
    close(la.cho_solve(factor, b), scipy.linalg.cho_solve(scipy.linalg.cho_factor(a), b))
    close(la.cho_solve(factor, b[:, 0]), np.linalg.solve(a, b[:, 0]))
    close(la.solve(half, b, lower=lower, assume_a="pos"), np.linalg.solve(a, b))


SHAPES = pytest.mark.parametrize(
    ("m", "n", "dtype"), [(4, 2, np.float64), (2, 3, np.complex128), (3, 3, np.complex128)]
)


@SHAPES
def test_lu_factors(m: int, n: int, dtype: Any) -> None:
    a = draw(2, m, n, dtype=dtype)
    p, lower, upper = arrays(la.lu(a))
    close(np.asarray(p) @ lower @ upper, a)
    moved, upper = arrays(la.lu(a, permute_l=True))
    close(moved @ upper, a)
    if m == n:
        b = draw(2, n, 2, dtype=dtype, seed=1)
        factors = la.lu_factor(a)
        for trans in (0, 1, 2):
            op = (a, np.swapaxes(a, -1, -2), adjoint(a))[trans]
            close(la.lu_solve(factors, b, trans), np.linalg.solve(op, b))


@SHAPES
def test_qr_factors(m: int, n: int, dtype: Any) -> None:
    a = draw(2, m, n, dtype=dtype)
    for pivoting in (False, True):
        full = arrays(la.qr(a, pivoting=pivoting))
        small = arrays(la.qr(a, mode="economic", pivoting=pivoting))
        (r, *order) = arrays(la.qr(a, mode="r", pivoting=pivoting))
        close(r, full[1])
        columns = np.take_along_axis(a, np.asarray(order[0])[:, None, :], -1) if order else a
        for q, r, *_ in (full, small):
            close(q @ r, columns)
            close(adjoint(q) @ q, np.broadcast_to(np.eye(q.shape[-1]), (2, *[q.shape[-1]] * 2)))
        for conjugate in (False, True):
            q = np.conj(np.asarray(small[0])) if conjugate else np.asarray(small[0])
            right, left = draw(2, 3, m, dtype=dtype), draw(2, q.shape[-1], 3, dtype=dtype)
            options: dict[str, Any] = {"pivoting": pivoting, "conjugate": conjugate}
            close(la.qr_multiply(a, right, **options)[0], right @ q)
            close(la.qr_multiply(a, left, mode="left", **options)[0], q @ left)
    one = la.qr_multiply(a[0], draw(m, dtype=dtype))[0]
    close(one, draw(m, dtype=dtype) @ np.asarray(la.qr(a[0], mode="economic")[0]))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_eigenvalue_problems(dtype: Any) -> None:
    a, b = draw(4, 4, dtype=dtype), positive(4, 4, dtype=dtype, seed=1)
    a = a + adjoint(a)
    close(la.eigh(a, eigvals_only=True), scipy.linalg.eigvalsh(a))
    close(la.eigh(a, eigvals=(1, 2))[0], scipy.linalg.eigvalsh(a, subset_by_index=(1, 2)))
    for kind in (1, 2, 3):
        w, v = arrays(la.eigh(a, b, type=kind))
        close(w, scipy.linalg.eigvalsh(a, b, type=kind))
        sides = {1: (a @ v, b @ v * w), 2: (a @ b @ v, v * w), 3: (b @ a @ v, v * w)}[kind]
        close(sides[0], np.asarray(sides[1]))


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_tridiagonal_eigenvalues(dtype: Any) -> None:
    d, e = draw(5), draw(4, dtype=dtype, seed=1)
    band = np.diag(d) + np.diag(e, 1) + np.diag(np.conj(e), -1)
    wanted = np.linalg.eigvalsh(band)
    w, v = arrays(la.eigh_tridiagonal(d.astype(dtype), e))
    close(w, wanted)
    close(band @ v, np.asarray(v * w))
    select = {"eigvals_only": True, "select": "i", "select_range": (1, 3)}
    close(la.eigh_tridiagonal(d.astype(dtype), e, **select), wanted[1:4])
    middle = float((wanted[0] + wanted[1]) / 2), 1e9
    select = {"eigvals_only": True, "select": "v", "select_range": middle}
    close(la.eigh_tridiagonal(d.astype(dtype), e, **select), wanted[1:])
    close(la.eigh_tridiagonal(np.ones(1), np.ones(0), eigvals_only=True), [1.0])


@pytest.mark.parametrize("dtype", [np.float64, np.complex128])
def test_schur_and_hessenberg_forms(dtype: Any) -> None:
    a = draw(2, 4, 4, dtype=dtype)
    t, z = arrays(la.schur(a))
    close(z @ t @ adjoint(z), a)
    for upper, unitary in arrays((la.schur(a, output="complex"), la.rsf2csf(t, z))):
        close(unitary @ upper @ adjoint(unitary), a)
        np.testing.assert_array_equal(upper, np.triu(upper))
        assert upper.dtype == np.complex128
    h, q = arrays(la.hessenberg(a, calc_q=True))
    close(q @ h @ adjoint(q), a)
    close(la.hessenberg(a), np.asarray(h))
    np.testing.assert_array_equal(h, np.triu(h, -1))
    assert la.hessenberg(np.zeros((0, 0)), calc_q=True)[1].shape == (0, 0)
    close(la.hessenberg(np.full((1, 1), 3.0), calc_q=True)[1], [[1.0]])


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("method", ["qdwh", "svd"])
def test_polar_factors(side: str, method: str) -> None:
    for shape in ((4, 2), (3, 3), (2, 4)):
        for dtype in (np.float64, np.complex128):
            a = draw(*shape, dtype=dtype)
            u, p = la.polar(a, side, method=method)
            wanted = scipy.linalg.polar(a, side)
            close(u, wanted[0])
            close(p, wanted[1])


# ---------------------------------------------------------------- systems


@few
@given(SIZES, DTYPES, st.sampled_from([0, 1, 2, "N", "T", "C"]), st.booleans(), st.booleans())
def test_triangular_systems(n: int, dtype: Any, trans: Any, lower: bool, unit: bool) -> None:
    a, b = draw(n, n, dtype=dtype) + 3 * np.eye(n), draw(n, 2, dtype=dtype, seed=1)
    options: dict[str, Any] = {"trans": trans, "lower": lower, "unit_diagonal": unit}
    close(la.solve_triangular(a, b, **options), scipy.linalg.solve_triangular(a, b, **options))
    batched = la.solve_triangular(np.stack([a, 2 * a]), b[:, 0], lower=lower)
    wanted = scipy.linalg.solve_triangular(2 * a, b[:, 0], lower=lower)
    close(batched[1, :], wanted)


@pytest.mark.parametrize(
    ("structure", "made"),
    [
        ("gen", lambda x: x),
        ("sym", lambda x: x + x.T),
        ("her", lambda x: x + x.T),
        ("diagonal", lambda x: np.diag(np.diag(x))),
        ("tridiagonal", lambda x: np.triu(np.tril(x, 1), -1)),
        ("banded", lambda x: np.triu(np.tril(x, 1), -2)),
        ("upper triangular", np.triu),
        ("lower triangular", np.tril),
    ],
)
def test_known_structure(structure: str, made: Callable[[np.ndarray], np.ndarray]) -> None:
    a, b = made(draw(4, 4) + 3 * np.eye(4)), draw(4, 2, seed=1)
    close(la.solve(a, b, assume_a=structure), np.linalg.solve(a, b))
    close(la.solve(a, b[:, 0], assume_a=structure), np.linalg.solve(a, b[:, 0]))


@pytest.mark.parametrize("method", ["schur", "eigen"])
def test_sylvester_equations(method: str) -> None:
    for da, db in ((np.float64, np.float64), (np.complex128, np.float64)):
        a, b, c = draw(3, 3, dtype=da), draw(2, 2, dtype=db), draw(4, 3, 2, seed=2)
        x = arrays(la.solve_sylvester(a, b, c, method=method))
        close(a @ x + x @ b, np.asarray(c, x.dtype))
        close(x[1], scipy.linalg.solve_sylvester(a, b.astype(da), c[1]))
    singular = la.solve_sylvester(np.eye(2), -np.eye(2), np.ones((2, 2)), method=method)
    assert np.isnan(np.asarray(singular)).all()


# ---------------------------------------------------------------- functions of matrices


@few
@given(SIZES, DTYPES, st.sampled_from([1e-9, 0.1, 1.0, 30.0, 1000.0]))
def test_exponentials(n: int, dtype: Any, scale: float) -> None:
    a = draw(2, n, n, dtype=dtype)
    a = a - adjoint(a) if scale > 1 else a  # rotations: their exponentials stay small
    wanted = scipy.linalg.expm(scale * a)
    np.testing.assert_allclose(la.expm(scale * a), wanted, rtol=1e-8, atol=1e-9 * max(1, scale))
    upper = np.triu(a) * min(scale, 1)
    close(la.expm(upper, upper_triangular=True), scipy.linalg.expm(upper))
    narrow = np.complex64 if np.dtype(dtype).kind == "c" else np.float32
    found = la.expm((scale * a).astype(narrow))
    assert found.dtype == narrow
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * max(1, scale))


def test_exponentials_of_no_elements_and_of_what_is_too_large() -> None:
    assert la.expm(np.zeros((0, 0))).shape == (0, 0)
    assert np.isnan(np.asarray(la.expm(np.eye(2), max_squarings=0) * 0)).sum() == 0
    assert np.isnan(np.asarray(la.expm(100 * np.eye(2), max_squarings=2))).all()
    assert np.isnan(np.asarray(la.expm(np.full((2, 2), np.nan)))).all()
    close(la.expm(np.zeros((2, 2))), np.eye(2))


def test_derivatives_of_exponentials() -> None:
    a, e = draw(4, 4), draw(4, 4, seed=1)
    value, slope = la.expm_frechet(a, e)
    wanted = scipy.linalg.expm_frechet(a, e)
    close(value, wanted[0])
    close(slope, wanted[1])
    close(la.expm_frechet(a, e, compute_expm=False), wanted[1])


@few
@given(SIZES, DTYPES, st.integers(0, 99))
def test_square_roots(n: int, dtype: Any, seed: int) -> None:
    a = draw(2, n, n, dtype=dtype, seed=seed)
    x = np.asarray(la.sqrtm(a))
    assert x.dtype == np.complex128
    np.testing.assert_allclose(x @ x, a, rtol=1e-7, atol=1e-7)
    assert np.linalg.eigvals(x).real.min() > -1e-7


def test_square_roots_of_singular_matrices() -> None:
    for a in (np.zeros((2, 2)), np.diag([1.0, 0, 0])):
        close(la.sqrtm(a), a.astype(complex))
    assert np.isnan(np.asarray(la.sqrtm(np.array([[0.0, 1], [0, 0]])))).any()


def test_functions_of_eigenvalues() -> None:
    for a in (draw(4, 4), draw(2, 3, 3, dtype=np.complex128)):
        close(la.funm(a, wnp.exp), scipy.linalg.expm(a).astype(complex))
    _, error = la.funm(draw(4, 4), wnp.exp, disp=False)
    assert 0 < float(error) < 1e-12
    assert float(la.funm(np.array([[1.0, 1], [0, 1]]), wnp.exp, disp=False)[1]) == 1


# ---------------------------------------------------------------- matrices of a structure


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("toeplitz", ([1, 2, 3],)),
        ("toeplitz", ([1j, 2, 3], [7, 5])),
        ("hankel", ([1, 2, 3],)),
        ("hankel", ([1, 2, 3], [3, 8, 9, 4])),
        ("circulant", ([1, 2, 3],)),
        ("leslie", ([0.1, 2.0, 1.0], [0.2, 0.8])),
        ("companion", ([1.0, -10, 31, -30],)),
        ("fiedler", ([1, 4, 12, 45],)),
        ("fiedler_companion", ([2.0, -16, 86, -176, 105],)),
        ("fiedler_companion", ([2.0, -16],)),
        ("block_diag", ([[1, 0], [0, 1]], [[3, 4, 5]], [7])),
        ("convolution_matrix", ([-1, 4, -2], 5)),
        ("convolution_matrix", ([-1, 4, -2], 5, "same")),
        ("convolution_matrix", ([-1, 4, -2, 7], 3, "same")),
        ("convolution_matrix", ([-1, 4, -2], 5, "valid")),
        ("hilbert", (4,)),
        ("invhilbert", (5,)),
        ("pascal", (5,)),
        ("pascal", (4, "lower")),
        ("invpascal", (5,)),
        ("invpascal", (4, "upper")),
        ("helmert", (4,)),
        ("helmert", (3, True)),
        ("hadamard", (8,)),
        ("dft", (5,)),
        ("dft", (4, "n")),
    ],
)
def test_matrices_of_a_structure(name: str, args: tuple) -> None:
    given = [np.array(x) if isinstance(x, list) else x for x in args]
    found = getattr(la, name)(*given)
    np.testing.assert_allclose(found, getattr(scipy.linalg, name)(*given), rtol=2e-6, atol=1e-6)


def test_matrices_of_several_vectors() -> None:
    c, r = draw(2, 3), draw(2, 4, seed=1)
    for name, args in (
        ("toeplitz", (c, r)),
        ("hankel", (c, r)),
        ("circulant", (c,)),
        ("companion", (c,)),
        ("fiedler_companion", (r,)),
        ("leslie", (r, c)),
        ("convolution_matrix", (c, 2)),
    ):
        found = np.asarray(getattr(la, name)(*args))
        for k in range(2):
            one = [x[k] if isinstance(x, np.ndarray) else x for x in args]
            np.testing.assert_array_equal(found[k], getattr(la, name)(*one))


# ---------------------------------------------------------------- transformations

RIGHT = draw(4, 2, seed=5)
FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "cholesky": lambda x: la.cholesky(x @ x.T + np.eye(4)),
    "cho_solve": lambda x: la.cho_solve(la.cho_factor(x @ x.T + np.eye(4)), RIGHT),
    "lu": lambda x: la.lu(x, permute_l=True)[0],
    "lu_solve": lambda x: la.lu_solve(la.lu_factor(x), RIGHT, 1),
    "solve": lambda x: la.solve(x, RIGHT),
    "solve_triangular": lambda x: la.solve_triangular(x + 3 * np.eye(4), RIGHT, "T"),
    "tridiagonal": lambda x: la.solve(x + 3 * np.eye(4), RIGHT, assume_a="tridiagonal"),
    "qr": lambda x: la.qr(x[:, :3], mode="economic", pivoting=True)[0],
    "generalized": lambda x: la.eigh(x + x.T, x @ x.T + np.eye(4), eigvals_only=True),
    "eigh_tridiagonal": lambda x: la.eigh_tridiagonal(x[0], x[1, :3], eigvals_only=True),
    "polar": lambda x: la.polar(x)[0],
    "polar of a tall matrix": lambda x: la.polar(x[:, :2])[0],
    "expm": la.expm,
    "expm of a large matrix": lambda x: la.expm(6 * (x - x.T)),
    "sqrtm": lambda x: wnp.real(la.sqrtm(x @ x.T + np.eye(4))),
    "sylvester": lambda x: la.solve_sylvester(x, x.T + 6 * np.eye(4), x * x),
    "toeplitz": lambda x: la.toeplitz(x[0], x[1]),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_limits_of_differences(name: str) -> None:
    def f(x: Any) -> Any:
        return wnp.sin(FUNCTIONS[name](x))

    x, d, h = draw(4, 4, seed=2), draw(4, 4, seed=3), 1e-6
    with weft.disable_jit():
        value, slope = weft.jvp(f, (x,), (d,))
        differences = (np.asarray(f(x + h * d)) - np.asarray(f(x - h * d))) / (2 * h)
        scale = 1 + abs(differences).max()
        np.testing.assert_allclose(np.asarray(slope), differences, rtol=1e-5, atol=1e-6 * scale)
    gradient = weft.jit(weft.grad(lambda x: f(x).sum()))
    np.testing.assert_allclose(np.sum(gradient(x) * d), differences.sum(), rtol=1e-5, atol=1e-5)
    second = weft.jit(lambda x, d: weft.jvp(weft.grad(lambda x: f(x).sum()), (x,), (d,))[1])(x, d)
    differences = (np.asarray(gradient(x + h * d)) - np.asarray(gradient(x - h * d))) / (2 * h)
    scale = 1 + abs(differences).max()
    np.testing.assert_allclose(np.asarray(second), differences, rtol=1e-4, atol=1e-5 * scale)
    batched = weft.vmap(f)(np.stack([x, x + d]))
    np.testing.assert_allclose(np.asarray(batched[0]), np.asarray(value), rtol=1e-8, atol=1e-9)


def test_modules_load_when_used() -> None:
    code = (
        "import sys, weft, weft.scipy\n"
        "assert 'weft.scipy.linalg' not in sys.modules\n"
        "weft.scipy.linalg.hilbert(2)\n"
        "assert 'linalg' in dir(weft.scipy)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (
            lambda: la.expm(draw(2, 3)),
            ValueError,
            r"scipy\.linalg\.expm: argument 0 must be square",
        ),
        (lambda: la.lu(draw(3)), ValueError, r"lu: argument 0 must have matrices in its last two"),
        (lambda: la.lu(np.ones((2, 2), np.float16)), TypeError, r"float16.*astype\('float32'\)"),
        (lambda: la.solve(np.eye(3), draw(4)), ValueError, r"need right-hand sides with 3 rows"),
        (
            lambda: la.solve(np.eye(2), draw(2), assume_a="x"),
            ValueError,
            "assume_a is one of 'gen'",
        ),
        (lambda: la.solve_triangular(np.eye(2), draw(2), 3), ValueError, "trans is 0 or 'N'"),
        (lambda: la.qr(np.eye(2), mode="x"), ValueError, "mode is one of 'full', 'economic', 'r'"),
        (
            lambda: la.qr_multiply(draw(3, 2), draw(2)),
            ValueError,
            "has 3 rows and 2 columns, which",
        ),
        (lambda: la.schur(np.eye(2), "x"), ValueError, "output is 'real' or 'complex'"),
        (lambda: la.polar(np.eye(2), "up"), ValueError, "side is 'right' or 'left', got 'up'"),
        (lambda: la.polar(np.eye(2), method="up"), ValueError, "method is 'qdwh' or 'svd'"),
        (lambda: la.eigh(np.eye(2), eigvals=(0, 2)), ValueError, "selects from 2 eigenvalues"),
        (lambda: la.eigh(np.eye(2), type=4), ValueError, "type is 1, 2 or 3, got 4"),
        (
            lambda: la.eigh_tridiagonal(draw(3), draw(3)),
            ValueError,
            "e has one element less than d",
        ),
        (
            lambda: la.eigh_tridiagonal(draw(3), draw(2), select="i"),
            ValueError,
            "select='i' needs select_range",
        ),
        (lambda: la.rsf2csf(np.eye(2), np.eye(3)), ValueError, "T and Z have one size"),
        (
            lambda: la.solve_sylvester(np.eye(2), np.eye(3), np.eye(2)),
            ValueError,
            "need C of 2 rows and 3 columns",
        ),
        (lambda: la.sqrtm(np.eye(2), 2), NotImplementedError, "blocksize=1"),
        (lambda: la.expm_frechet(np.eye(2), np.eye(3)), ValueError, "A and E have one shape"),
        (lambda: la.hadamard(6), ValueError, "n is a power of two, got 6"),
        (lambda: la.helmert(0), ValueError, "n is at least 1, got 0"),
        (lambda: la.hilbert(1.5), TypeError, r"hilbert: n is an int, got 1\.5"),
        (lambda: la.pascal(2, "x"), ValueError, "kind is 'symmetric', 'lower' or 'upper'"),
        (lambda: la.dft(2, dtype=np.float32), ValueError, "dtype is complex"),
        (lambda: la.leslie(draw(3), draw(3)), ValueError, "s has one element less than f"),
        (lambda: la.companion(draw(1)), ValueError, "a last axis of at least 2 elements"),
        (lambda: la.block_diag(draw(1, 1, 1)), ValueError, "argument 0 has at most two axes"),
        (lambda: la.convolution_matrix(draw(2), 2, "x"), ValueError, "mode is 'full', 'same' or"),
        (lambda: la.toeplitz([1, 2]), TypeError, r"scipy\.linalg\.toeplitz: argument 0 must be an"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
