"""The two forms of each routine against one another, against what they promise, and LAPACK calls
against their meaning."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.kernels.program import Routine, walk_steps
from weft.kernels.program_interpret import run_program
from weft.lax import linalg
from weft.planning import plan_program
from weft.primitives.library_call import LibraryCall
from weft.terms.lower import lower_jaxpr
from weft.terms.print import format_program

few = settings(max_examples=5, deadline=None)
SHAPES = st.sampled_from([(3, 3), (1, 1), (2, 4, 4), (3, 7, 7), (0, 3, 3), (2, 0, 0), (40, 2, 2)])
ANY_SHAPE = st.sampled_from([(3, 5), (5, 3), (2, 2, 3), (4, 1), (6, 6), (3, 0), (2, 9, 4)])
DTYPES = st.sampled_from([np.float32, np.float64])


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    yield
    weft.config.routines = "price"


def in_form(form: str, function: Callable[..., Any], *args: np.ndarray) -> list[np.ndarray]:
    weft.config.routines = form
    return [np.asarray(x) for x in weft.tree.leaves(weft.jit(function)(*args))]


def tolerance(dtype: Any) -> dict[str, float]:
    step = float(np.finfo(dtype).eps)
    return {"rtol": 2000 * step, "atol": 2000 * step}


def draw(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def positive(shape: tuple[int, ...], dtype: Any, seed: int) -> np.ndarray:
    x = draw(shape, dtype, seed)
    return (x @ np.swapaxes(x, -1, -2) + np.eye(shape[-1], dtype=dtype)).astype(dtype)


def same(function: Callable[..., Any], *args: np.ndarray) -> list[np.ndarray]:
    """The results, the same of both forms."""
    library, portable = (in_form(form, function, *args) for form in ("library", "portable"))
    for a, b in zip(library, portable, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, **tolerance(args[0].dtype))
    return library


@few
@given(SHAPES, DTYPES, st.integers(0, 99))
def test_cholesky(shape: tuple[int, ...], dtype: Any, seed: int) -> None:
    a = positive(shape, dtype, seed)
    (factor,) = same(linalg.cholesky, a)
    np.testing.assert_allclose(factor, np.linalg.cholesky(a), **tolerance(dtype))


@pytest.mark.parametrize("form", ["library", "portable"])
@pytest.mark.parametrize("n", [3, 6])
def test_cholesky_of_what_is_not_positive_definite_is_nan(form: str, n: int) -> None:
    (factors,) = in_form(form, linalg.cholesky, np.stack([np.eye(n), -np.eye(n)]))
    np.testing.assert_array_equal(factors[0], np.eye(n))
    assert np.isnan(factors[1]).all()


@few
@given(ANY_SHAPE | SHAPES, DTYPES, st.integers(0, 99))
def test_lu(shape: tuple[int, ...], dtype: Any, seed: int) -> None:
    a = draw(shape, dtype, seed)
    factors, _, order = same(linalg.lu, a)
    least = min(shape[-2:])
    lower = np.tril(factors, -1)[..., :least] + np.eye(shape[-2], least)
    product = lower @ np.triu(factors)[..., :least, :]
    np.testing.assert_allclose(
        product, np.take_along_axis(a, order[..., None], -2), **tolerance(dtype)
    )


@few
@given(ANY_SHAPE | SHAPES, DTYPES, st.booleans(), st.integers(0, 99))
def test_qr(shape: tuple[int, ...], dtype: Any, full: bool, seed: int) -> None:
    a = draw(shape, dtype, seed)
    q, r = same(lambda a: linalg.qr(a, full_matrices=full), a)
    np.testing.assert_allclose(q @ r, a, **tolerance(dtype))
    np.testing.assert_array_equal(r, np.triu(r))
    assert_orthonormal(q, dtype)


def assert_orthonormal(q: np.ndarray, dtype: Any) -> None:
    gram = np.swapaxes(q, -1, -2) @ q
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(q.shape[-1]), gram.shape), atol=1e-4)


@few
@given(SHAPES, DTYPES, st.booleans(), st.integers(0, 99), st.sampled_from(["library", "portable"]))
def test_eigh(shape: tuple[int, ...], dtype: Any, lower: bool, seed: int, form: str) -> None:
    a = draw(shape, dtype, seed)
    a = a + np.swapaxes(a, -1, -2)
    half = np.tril(a) if lower else np.triu(a)
    v, w = in_form(form, lambda a: linalg.eigh(a, lower=lower, symmetrize_input=False), half)
    np.testing.assert_allclose(a @ v, v * w[..., None, :], **tolerance(dtype))
    np.testing.assert_allclose(w, np.linalg.eigvalsh(a), **tolerance(dtype))
    assert_orthonormal(v, dtype)


@few
@given(ANY_SHAPE | SHAPES, DTYPES, st.booleans(), st.booleans(), st.integers(0, 99))
def test_svd(shape: tuple[int, ...], dtype: Any, full: bool, singular: bool, seed: int) -> None:
    a = draw(shape, dtype, seed)
    if singular and a.size:
        a = a[..., :1] * a[..., :1, :]
    for form in ("library", "portable"):
        u, s, vh = in_form(form, lambda a: linalg.svd(a, full_matrices=full), a)
        (alone,) = in_form(form, lambda a: linalg.svd(a, compute_uv=False), a)
        k = s.shape[-1]
        product = (u[..., :k] * s[..., None, :]) @ vh[..., :k, :]
        np.testing.assert_allclose(product, a, **tolerance(dtype))
        np.testing.assert_allclose(s, np.linalg.svd(a, compute_uv=False), **tolerance(dtype))
        np.testing.assert_allclose(s, alone, **tolerance(dtype))
        assert_orthonormal(u, dtype)
        assert_orthonormal(np.swapaxes(vh, -1, -2), dtype)


@few
@given(
    st.sampled_from([(3, 3), (2, 6, 6), (0, 2, 2)]),
    DTYPES,
    *[st.booleans()] * 4,
    st.integers(0, 99),
)
def test_triangular_solve(
    shape: tuple[int, ...],
    dtype: Any,
    left: bool,
    lower: bool,
    transposed: bool,
    unit: bool,
    seed: int,
) -> None:
    n = shape[-1]
    a = draw(shape, dtype, seed) / 4 + np.eye(n, dtype=dtype)
    b = draw((*shape[:-2], *((n, 3) if left else (3, n))), dtype, seed + 1)
    (x,) = same(
        lambda a, b: linalg.triangular_solve(
            a, b, left_side=left, lower=lower, transpose_a=transposed, unit_diagonal=unit
        ),
        a,
        b,
    )
    whole = np.tril(a) if lower else np.triu(a)
    if unit:
        whole = whole * (1 - np.eye(n)) + np.eye(n)
    whole = np.swapaxes(whole, -1, -2) if transposed else whole
    np.testing.assert_allclose(whole @ x if left else x @ whole, b, **tolerance(dtype))


def test_pivots_amount_to_a_permutation() -> None:
    pivots = np.array([[2, 2, 4], [0, 1, 2]], np.int32)
    for form in ("library", "portable"):
        (order,) = in_form(form, lambda p: linalg.lu_pivots_to_permutation(p, 5), pivots)
        assert order.tolist() == [[2, 0, 4, 3, 1], [0, 1, 2, 3, 4]]


# ---------------------------------------------------------------- calls and choices


def traced(function: Callable[..., Any], *args: np.ndarray) -> Any:
    return weft.make_jaxpr(function)(*args)


def calls(closed: Any) -> list[LibraryCall]:
    steps = walk_steps(plan_program(closed).steps)
    found = [s.function for s in steps if isinstance(s, Routine)]
    return [f for f in found if isinstance(f, LibraryCall)]


def test_native_calls_do_what_the_interpreter_does() -> None:
    weft.config.routines = "library"
    a = positive((3, 5, 5), np.float64, 0)

    def function(a: Any) -> Any:
        return linalg.cholesky(a), *linalg.lu(a), *linalg.svd(2 * a), *linalg.eigh(a)

    closed = traced(function, a)
    meant = run_program(plan_program(closed), [a])
    for x, y in zip(weft.jit(function)(a), meant, strict=True):
        np.testing.assert_array_equal(np.asarray(x), y)


def test_threads_share_large_batches() -> None:
    weft.config.routines = "library"
    a = positive((2000, 6, 6), np.float32, 0)
    threads, weft.config.threads = weft.config.threads, 2
    try:
        (call,) = calls(traced(lambda a: linalg.cholesky(a, symmetrize_input=False), a))
        assert call.threads == 2
        np.testing.assert_allclose(
            in_form("library", linalg.cholesky, a)[0], np.linalg.cholesky(a), rtol=1e-4, atol=1e-4
        )
        (call,) = calls(traced(lambda a: linalg.cholesky(a, symmetrize_input=False), a[:10]))
        assert call.threads == 1
    finally:
        weft.config.threads = threads


def test_tiny_matrices_are_factored_by_kernels_and_large_ones_by_lapack() -> None:
    tiny, large = np.zeros((1000, 3, 3), np.float32), np.zeros((200, 200), np.float32)
    for function in (linalg.cholesky, linalg.lu, linalg.eigh, linalg.svd):
        assert not calls(traced(function, tiny))
        assert calls(traced(function, large))


def test_the_program_of_terms_says_what_was_chosen() -> None:
    text = format_program(lower_jaxpr(traced(linalg.cholesky, np.zeros((1000, 3, 3), np.float32))))
    assert "chose portable cholesky of f32[1000,3,3] (library " in text
    weft.config.routines = "library"
    text = format_program(lower_jaxpr(traced(linalg.cholesky, np.zeros((3, 3), np.float32))))
    assert "chose library cholesky of f32[3,3] (by weft.config.routines)" in text
    assert "call spotrf" in text


def test_the_setting_is_checked() -> None:
    with pytest.raises(ValueError, match=r"config\.routines is one of 'price', 'library'"):
        weft.config.routines = "fast"


def test_scipy_loads_when_a_library_is_called() -> None:
    code = (
        "import sys, numpy as np, weft, weft.numpy as wnp\n"
        "np.asarray(weft.jit(lambda x: x @ x)(np.eye(3)))\n"
        "assert 'scipy' not in sys.modules and 'weft.lax.linalg' not in sys.modules\n"
        "np.asarray(wnp.linalg.inv(np.eye(40)))\n"
        "assert 'scipy' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_columns_of_zeros_are_no_trouble() -> None:
    for form in ("library", "portable"):
        for n in (3, 6):
            q, r = in_form(form, linalg.qr, np.zeros((n, n)))
            np.testing.assert_array_equal(r, 0)
            assert_orthonormal(q, np.float64)
            assert np.isfinite(in_form(form, wnp.linalg.eigh, np.zeros((n, n)))[0]).all()
