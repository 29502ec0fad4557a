"""Complex numbers in machine code: special values, loops, derivatives, memory, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from tests.compiled.agreement import COMPLEX, assert_close, run_compiled
from weft import lax
from weft import numpy as wnp
from weft.core.primitive import primitive_named
from weft.primitives import arithmetic, transcendental

# fmt: off
FUNCTIONS = (
    "exp", "log", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "asin", "acos", "atan",
    "asinh", "acosh", "atanh", "expm1", "log1p", "exp2", "abs", "sign",
)
# fmt: on
#: NumPy gives NaN, or loses all digits, where there is an answer.
NUMPY_IS_WORSE = {"expm1", "log1p", "exp2", "sign"}


def function(name: str) -> Any:
    return getattr(arithmetic if name in ("abs", "sign") else transcendental, name)


def grid(dtype: np.dtype) -> np.ndarray:
    """Every combination of special parts (Annex G of C99 says what functions give)."""
    parts = [0.0, -0.0, 1.0, -1.0, 0.5, -2.0, np.inf, -np.inf, np.nan]
    out = np.empty((len(parts), len(parts)), dtype)
    out.real, out.imag = np.meshgrid(parts, parts)
    return out.reshape(-1)


@pytest.mark.parametrize("dtype", COMPLEX)
def test_functions_of_ordinary_numbers(dtype: np.dtype) -> None:
    """Near the unit circle too, where the real part of a logarithm cancels."""
    rng = np.random.default_rng(1)
    spread = np.exp(2 * rng.normal(size=(2, 400)))
    z = spread[0] * rng.normal(size=400) + 1j * spread[1] * rng.normal(size=400)
    circle = np.exp(1j * rng.uniform(0, 2 * np.pi, 200))
    z = np.concatenate([z[np.abs(z) < 40], circle, circle * 1.001]).astype(dtype)
    wide = z.astype(np.clongdouble if dtype == np.complex128 else np.complex128)
    results = run_compiled(lambda x: [function(n)(x) for n in FUNCTIONS], [z])
    for name, actual in zip(FUNCTIONS, results, strict=True):
        if name == "sign":
            expected = wide / np.abs(wide)
        else:
            numpys = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}
            numpys |= {"asinh": "arcsinh", "acosh": "arccosh", "atanh": "arctanh"}
            expected = getattr(np, numpys.get(name, name))(wide)
        with np.errstate(all="ignore"):
            error = np.abs(actual - expected) / (np.abs(expected) * np.finfo(dtype).eps)
        assert np.max(error) < (12 if name == "exp2" else 4), name


@pytest.mark.parametrize("dtype", COMPLEX)
def test_functions_of_special_values(dtype: np.dtype) -> None:
    z = grid(dtype)
    names = [n for n in FUNCTIONS if n not in NUMPY_IS_WORSE]
    results = run_compiled(lambda x: [function(n)(x) for n in names], [z])
    for name, actual in zip(names, results, strict=True):
        with np.errstate(all="ignore"):
            expected = primitive_named(name).rule("numpy")(z)
        for a, e in ((actual.real, expected.real), (actual.imag, expected.imag)):
            settled = np.isfinite(z.real) | np.isfinite(z.imag)  # else signs are left open
            assert_close(np.where(settled, a, np.abs(a)), np.where(settled, e, np.abs(e)), 4)
            number = ~np.isnan(e) & np.isfinite(z)  # C99 leaves others open
            where = np.flatnonzero(number & (np.signbit(a) != np.signbit(e)))
            assert where.size == 0, f"{name}: sign of a zero at {z[where]}"


@pytest.mark.parametrize("dtype", COMPLEX)
def test_division_by_every_special_value(dtype: np.dtype) -> None:
    x, y = (v.reshape(-1) for v in np.meshgrid(grid(dtype), grid(dtype)))
    with np.errstate(all="ignore"):
        expected = x / y
    (actual,) = run_compiled(lambda x, y: [lax.div(x, y)], [x, y])
    for a, e in ((actual.real, expected.real), (actual.imag, expected.imag)):
        assert_close(a, e, 2)


def test_magnitudes_neither_overflow_nor_underflow() -> None:
    z = np.array([3e38 + 1e38j, 3e-42 + 4e-42j, 1e30 + 1j, 1e-30j], np.complex64)
    size, root = run_compiled(lambda z: [lax.abs(z), lax.sqrt(z)], [z])
    assert_close(size, np.abs(z), 2)
    assert_close(root, np.sqrt(z.astype(np.complex128)).astype(np.complex64), 4)


def test_loops_and_branches_carry_complex_numbers() -> None:
    def steps(c: Any) -> Any:
        z, path = lax.scan(lambda z, x: (z * z + x, z), c * 0, wnp.stack([c, c * 1j, c]))
        z = lax.fori_loop(0, 3, lambda k, z: z * (1 + 1j) + k, z)
        last = lax.while_loop(lambda s: wnp.abs(s[0]) < 50, lambda s: (s[0] * 2j, s[1] + 1), (z, 0))
        turned = lax.cond(last[1] > 2, lambda z: z.conj(), lambda z: z * 1j, last[0])
        return path, last, turned

    c = wnp.asarray(np.complex64(0.5 - 0.75j))
    with weft.disable_jit():
        expected = weft.tree.leaves(steps(c))
    for a, e in zip(weft.tree.leaves(weft.jit(steps)(c)), expected, strict=True):
        assert_close(np.asarray(a), np.asarray(e), 4)


def test_arrays_share_their_memory_with_numpy() -> None:
    z = np.arange(6).reshape(2, 3) * (1 - 2j)
    out = weft.jit(lambda z: (z.T, z[:, ::-1].real))(z)
    np.testing.assert_array_equal(out[0], z.T)
    np.testing.assert_array_equal(out[1], z[:, ::-1].real)
    assert np.asarray(out[0]).dtype == np.complex128


def test_captured_arrays_routines_and_updates() -> None:
    table = wnp.asarray(np.array([1 + 1j, 2j, -1, 2j - 1]))
    z = np.array([3j, 1, 1 + 1j])

    def program(z: Any) -> Any:
        order = wnp.sort(z)
        seen = weft.pure_callback(lambda v: v * 2, z, z)
        moved = table.at[np.array([0, 2, 2])].add(z)
        return order, seen, moved, table[np.array([3, 0, 1])] * z

    order, seen, moved, product = weft.jit(program)(z)
    np.testing.assert_array_equal(order, np.sort(z))
    np.testing.assert_array_equal(seen, z * 2)
    expected = np.asarray(table).copy()
    np.add.at(expected, [0, 2, 2], z)
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(product, np.asarray(table)[[3, 0, 1]] * z)


def test_gradients_are_those_of_jax() -> None:
    """Of real functions the conjugate of the direction of steepest ascent; holomorphic ones f'."""
    z = wnp.asarray(np.array([1 + 2j, -0.5 + 0.25j]))
    size = weft.jit(weft.grad(lambda z: wnp.sum(wnp.abs(z))))(z)
    np.testing.assert_allclose(size, np.conj(np.asarray(z)) / np.abs(z), rtol=1e-12)
    energy = weft.jit(weft.grad(lambda z: wnp.sum((z * z.conj()).real)))(z)
    np.testing.assert_allclose(energy, 2 * np.conj(np.asarray(z)), rtol=1e-12)
    derivative = weft.jit(weft.grad(lambda z: wnp.sum(wnp.exp(z) / z), holomorphic=True))(z)
    y = np.asarray(z)
    np.testing.assert_allclose(derivative, np.exp(y) / y - np.exp(y) / y**2, rtol=1e-12)


@settings(max_examples=6)
@given(st.data())
def test_products_at_indices_that_repeat(data: st.DataObject) -> None:
    draw = data.draw
    random = np.random.default_rng(draw(st.integers(0, 99)))
    rows, count = draw(st.integers(1, 4)), draw(st.integers(0, 5))
    z = random.normal(size=(rows, 3)) + 1j * random.normal(size=(rows, 3))
    mode = draw(st.sampled_from(["drop", "clip"]))
    at = random.integers(0, rows + 2, count)
    v = random.normal(size=(count, 3)) - 1j
    expected = z.copy()
    for k, row in zip(at, v, strict=True):
        if k < rows or mode == "clip":
            expected[min(k, rows - 1)] *= row
    found = wnp.asarray(z).at[wnp.asarray(at)].multiply(v, mode=mode)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_products_at_mapped_indices() -> None:
    z = np.arange(1, 7).reshape(2, 3) * (1 + 0.5j)
    at = np.array([[0, 0, 2], [1, 2, 1]])
    each = weft.vmap(lambda x, i: x.at[i].multiply(1j))(z, at)
    expected = z * np.array([[-1, 1, 1j], [1, -1, 1j]])
    np.testing.assert_allclose(each, expected, rtol=1e-13)
    slope = weft.grad(lambda x: (x.at[wnp.asarray([1, 1])].multiply(2j).real).sum())(z[0])
    np.testing.assert_allclose(slope, [1, -4, 1])


def test_complex_numbers_have_no_order() -> None:
    z = wnp.asarray(np.ones(3, np.complex64))
    with pytest.raises(TypeError, match="no order"):
        lax.max(z, z)
