"""`weft.numpy.fft` and `lax.fft` against NumPy, their derivatives, forms, and errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax
from weft.kernels.program import Routine, walk_steps
from weft.planning import plan_program
from weft.primitives.fft import convolved_length, radices

few = settings(max_examples=12, deadline=None)
NORMS = st.sampled_from([None, "backward", "ortho", "forward"])
FORMS = st.sampled_from(["library", "portable"])
LENGTHS = st.sampled_from([1, 2, 3, 4, 5, 6, 8, 9, 12, 16, 17, 30, 60, 64, 67, 100, 101, 134])
DTYPES = [np.float32, np.float64, np.complex64, np.complex128]


@pytest.fixture(autouse=True)
def _settings() -> Iterator[None]:
    yield
    weft.config.routines = "price"


def draw(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=shape)
    if np.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return x.astype(dtype)


def close(actual: Any, wanted: Any, dtype: Any = None) -> None:
    actual = np.asarray(actual)
    dtype = actual.dtype if dtype is None else dtype
    assert actual.shape == wanted.shape
    step = 30 * float(np.finfo(dtype).eps)
    scale = max(1.0, float(np.max(np.abs(wanted), initial=0)))
    np.testing.assert_allclose(actual, wanted, rtol=0, atol=step * scale)


# ---------------------------------------------------------------- values


@few
@given(
    st.sampled_from(["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"]),
    LENGTHS,
    st.none() | LENGTHS,
    st.sampled_from(DTYPES),
    NORMS,
    FORMS,
    st.integers(0, 1),
)
def test_one_axis(
    name: str, size: int, n: int | None, dtype: Any, norm: str | None, form: str, axis: int
) -> None:
    if name in ("rfft", "ihfft"):
        dtype = np.empty(0, dtype).real.dtype
    if n is None and name in ("irfft", "hfft") and size == 1:
        n = 1
    x = draw((3, size) if axis else (size, 3), dtype)
    weft.config.routines = form
    out = weft.jit(lambda x: getattr(wnp.fft, name)(x, n, axis, norm))(x)
    wanted = getattr(np.fft, name)(x, n, axis, norm)
    close(out, wanted)
    assert out.dtype == wanted.dtype


@few
@given(
    st.sampled_from(["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"]),
    st.permutations([0, 1, 2]),
    st.integers(1, 3),
    st.none() | st.lists(st.integers(1, 7), min_size=3, max_size=3),
    NORMS,
    FORMS,
)
def test_several_axes(
    name: str, order: list[int], count: int, s: list[int] | None, norm: str | None, form: str
) -> None:
    axes = order[: 2 if name.endswith("2") else count]
    s = None if s is None else s[: len(axes)]
    x = draw((4, 3, 5), np.float64 if name[0] == "r" else np.complex128)
    weft.config.routines = form
    out = weft.jit(lambda x: getattr(wnp.fft, name)(x, s, axes, norm))(x)
    close(out, getattr(np.fft, name)(x, s, axes, norm))


def test_axes_by_default_and_sizes_of_the_array() -> None:
    x = draw((2, 3, 4), np.complex128)
    close(wnp.fft.fftn(x), np.fft.fftn(x))
    close(wnp.fft.fftn(x, (5, 3)), np.fft.fftn(x, (5, 3), axes=(1, 2)))
    close(wnp.fft.fftn(x, (-1, 6), (0, 1)), np.fft.fftn(x, (2, 6), (0, 1)))
    close(wnp.fft.fft2(x), np.fft.fft2(x))
    close(wnp.fft.ifftn(x, axes=()), x)


@pytest.mark.parametrize("dtype", [np.int8, np.uint64, np.bool_, np.float16, "bfloat16"])
def test_other_dtypes_are_taken_in_single_precision(dtype: Any) -> None:
    x = np.asarray(wnp.asarray(np.array([1, 0, 1, 1, 0])).astype(dtype))
    for name in ("fft", "rfft"):
        out = getattr(wnp.fft, name)(x)
        assert out.dtype == np.complex64
        close(out, getattr(np.fft, name)(x.astype(np.float64)), np.float32)
    assert wnp.fft.irfft(x).dtype == np.float32


@pytest.mark.parametrize("form", ["library", "portable"])
def test_batches_without_elements_and_special_values(form: str) -> None:
    weft.config.routines = form
    for name, size in (("fft", 4), ("rfft", 3), ("irfft", 6)):
        out = weft.jit(getattr(wnp.fft, name))(np.zeros((0, 4), np.float32))
        assert out.shape == (0, size)
    out = np.asarray(weft.jit(wnp.fft.fft)(np.array([[1.0, np.inf], [1.0, 2.0]])))
    assert not np.isfinite(out[0]).all()
    close(out[1], np.array([3.0, -1.0]))


@few
@given(st.integers(1, 9), st.sampled_from([1.0, 0.25, 3]), st.sampled_from([None, "float64"]))
def test_frequencies(n: int, d: float, dtype: str | None) -> None:
    for name in ("fftfreq", "rfftfreq"):
        out = getattr(wnp.fft, name)(n, d, dtype=dtype)
        assert out.dtype == np.dtype(dtype or "float32")
        np.testing.assert_allclose(out, getattr(np.fft, name)(n, d), rtol=1e-6)
    traced = weft.jit(lambda d: wnp.fft.fftfreq(n, d))(np.float32(d))
    np.testing.assert_allclose(traced, np.fft.fftfreq(n, d), rtol=1e-6)


@few
@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from([None, 0, -1, (0, 1)]))
def test_shifts(m: int, n: int, axes: Any) -> None:
    x = draw((m, n), np.float32)
    for name in ("fftshift", "ifftshift"):
        out = getattr(wnp.fft, name)(x, axes)
        np.testing.assert_array_equal(out, getattr(np.fft, name)(x, axes))


def test_lax_takes_the_last_axes() -> None:
    x = draw((2, 3, 4), np.float32)
    close(lax.fft(x, lax.FftType.FFT, (4,)), np.fft.fft(x))
    close(lax.fft(x, "RFFT", (3, 4)), np.fft.rfftn(x, axes=(1, 2)))
    y = draw((2, 3, 3), np.complex64)
    close(lax.fft(y, "irfft", (2, 3, 5)), np.fft.irfftn(y, (2, 3, 5), (0, 1, 2)))
    close(lax.fft(y, "IFFT", 3), np.fft.ifft(y))


@pytest.mark.parametrize("n", [2**15, 3**9, 5 * 7 * 11 * 13, 4099])
def test_long_transforms_keep_their_accuracy(n: int) -> None:
    x = draw((n,), np.complex64)
    weft.config.routines = "portable"
    out = np.asarray(weft.jit(wnp.fft.fft)(x))
    wanted = np.fft.fft(x.astype(np.complex128))
    error = np.sqrt(np.mean(np.abs(out - wanted) ** 2) / np.mean(np.abs(wanted) ** 2))
    assert error < 1.5 * np.log2(n) * np.finfo(np.float32).eps / 2


@given(st.integers(1, 5000))
def test_lengths_are_products_of_radices(n: int) -> None:
    factors = radices(n)
    if factors is None:
        m = convolved_length(n)
        assert m >= 2 * n - 1 and m & (m - 1) == 0
        assert any(n % p == 0 for p in range(65, n + 1))
    else:
        assert int(np.prod(factors)) == n
        assert all(1 < r <= 64 for r in factors)


# ---------------------------------------------------------------- transformations


CALLS: dict[str, tuple[Callable[[Any], Any], np.ndarray]] = {
    "fft": (wnp.fft.fft, draw((2, 6), np.complex128)),
    "ifft": (lambda x: wnp.fft.ifft(x, 4, 0), draw((5, 2), np.complex128)),
    "rfft even": (wnp.fft.rfft, draw((2, 6), np.float64)),
    "rfft odd": (lambda x: wnp.fft.rfft(x, norm="ortho"), draw((2, 5), np.float64)),
    "irfft even": (wnp.fft.irfft, draw((2, 4), np.complex128)),
    "irfft odd": (lambda x: wnp.fft.irfft(x, 7), draw((2, 4), np.complex128)),
    "rfftn": (lambda x: wnp.fft.rfftn(x, axes=(2, 0)), draw((4, 2, 3), np.float64)),
    "irfftn": (lambda x: wnp.fft.irfftn(x, (3, 5)), draw((3, 3), np.complex128)),
    "hfft": (wnp.fft.hfft, draw((4,), np.complex128)),
}


@pytest.mark.parametrize("name", CALLS)
def test_transposes_and_gradients(name: str) -> None:
    f, x = CALLS[name]
    y = np.asarray(f(x))
    ct = draw(y.shape, y.dtype, 1)
    with weft.disable_jit():
        (back,) = weft.linear_transpose(f, x)(ct)
        # Cotangents pair without conjugation; what is not read of a spectrum gets nothing.
        np.testing.assert_allclose(np.sum(y * ct).real, np.sum(x * np.asarray(back)).real)
        d, h = draw(x.shape, x.dtype, 2), 1e-6

        def loss(x: Any) -> Any:
            return wnp.sum(wnp.abs(f(x)) ** 4)

        gradient = np.asarray(weft.grad(loss)(x))
        slope = (float(loss(x + h * d)) - float(loss(x - h * d))) / (2 * h)
        np.testing.assert_allclose(np.sum(gradient * d).real, slope, rtol=1e-6)
        _, tangent = weft.jvp(f, (x,), (d,))
        np.testing.assert_allclose(tangent, f(d))
        second = weft.jvp(weft.grad(loss), (x,), (d,))[1]
        wanted = (weft.grad(loss)(x + h * d) - weft.grad(loss)(x - h * d)) / (2 * h)
        np.testing.assert_allclose(second, wanted, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(weft.jit(weft.grad(loss))(x), gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("in_axis", [0, 1, -1])
def test_vmap_moves_no_axes(name: str, in_axis: int) -> None:
    f, x = CALLS[name]
    xs = np.stack([x, 2 * x, x - 1], in_axis)
    out = weft.jit(weft.vmap(f, in_axes=in_axis, out_axes=1))(xs)
    wanted = np.stack([f(x), f(2 * x), f(x - 1)], 1)
    np.testing.assert_allclose(out, wanted, rtol=1e-9, atol=1e-9)
    text = str(weft.make_jaxpr(weft.vmap(wnp.fft.fft, in_axes=in_axis, out_axes=in_axis))(xs))
    assert "transpose" not in text


def test_the_form_is_chosen_by_price() -> None:
    def routines(shape: tuple[int, ...]) -> list[str]:
        closed = weft.make_jaxpr(wnp.fft.fft)(np.zeros(shape, np.complex64))
        steps = walk_steps(plan_program(closed).steps)
        return [str(s.function) for s in steps if isinstance(s, Routine)]

    assert routines((64,)) == []
    assert routines((5000, 256)) == ["fft"]


def test_equal_transforms_are_one_program_on_disk_and_in_memory() -> None:
    from weft.core.canonical import jaxpr_key, key_digest

    keys = [jaxpr_key(weft.make_jaxpr(wnp.fft.fft)(np.zeros(4))) for _ in range(2)]
    digests = set(map(key_digest, keys))
    assert len(digests) == 1 and None not in digests


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: wnp.fft.fft(1.0), ValueError, r"fft\.fft: argument 0 needs an axis"),
        (lambda: wnp.fft.fft(np.ones(3), 0), ValueError, r"fft\.fft: .* at least one element"),
        (lambda: wnp.fft.irfft(np.ones(1)), ValueError, r"irfft: .* got 0; say how many with n="),
        (lambda: wnp.fft.fft(np.ones(3), axis=1), ValueError, r"weft\.numpy\.fft\.fft"),
        (lambda: wnp.fft.fft(np.ones(3), norm="no"), ValueError, "norm is 'backward', 'ortho' or"),
        (lambda: wnp.fft.fft([1.0, 2.0]), TypeError, r"fft\.fft: argument 0 must be an array"),
        (
            lambda: wnp.fft.rfft(np.ones(3) * 1j),
            TypeError,
            r"must be real, got complex128; use fft",
        ),
        (lambda: wnp.fft.fftn(np.ones((2, 2)), axes=(0, 0)), ValueError, "has an axis twice"),
        (lambda: wnp.fft.fftn(np.ones(2), (2, 2)), ValueError, "sizes for 2 axes, the array has 1"),
        (lambda: wnp.fft.fftn(np.ones((2, 2)), (2,), (0, 1)), ValueError, "as many elements"),
        (lambda: wnp.fft.fft2(np.ones((2, 2)), axes=(0,)), ValueError, r"axes are two, got \(0,\)"),
        (lambda: wnp.fft.fftfreq(0), ValueError, "n is at least 1, got 0"),
        (lambda: wnp.fft.fftfreq(1.5), TypeError, "n is an int, got 1.5"),
        (lambda: lax.fft(np.ones(3), "dct", (3,)), ValueError, "one of FFT, IFFT, RFFT, IRFFT"),
        (lambda: lax.fft(np.ones(3), "fft", (4,)), ValueError, r"needs axes of sizes \(4,\), got"),
        (lambda: lax.fft(np.ones(3), "fft", (1, 3)), ValueError, "names 2 axes of an operand"),
        (lambda: lax.fft(np.ones(3) * 1j, "rfft", (3,)), ValueError, "RFFT takes real numbers"),
        (lambda: lax.fft(np.ones(3), "fft", 1.5), TypeError, "fft_lengths is a sequence of ints"),
    ],
)
def test_errors_say_what_to_do(call: Callable[[], Any], error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        call()
