"""Kernels as machine code compute what the kernel interpreter says."""

from __future__ import annotations

import re
from collections.abc import Callable

import llvmlite.binding as llvm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.samples import F32, Sample, at, few, loop, matmul
from weft.codegen.kernel_llvm import emit_kernel
from weft.codegen.llvm_text import Module
from weft.codegen.scalar_llvm import Target
from weft.codegen.strided import MAX_STRIDE, thinning
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Kernel, Load, Map, Stmt, Store, Var
from weft.kernels.schedule.split import unroll
from weft.kernels.schedule.tile import interleave, vectorize
from weft.terms.affine import Affine, Axis

DTYPES = [np.dtype(t) for t in (np.float32, np.float64, np.int8, np.int16, np.bool_)]
sizes = st.integers(1, 40)


def aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Zeros on a 64-byte boundary, as outputs are."""
    count = int(np.prod(shape)) * dtype.itemsize
    memory = np.zeros(count + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + count].view(dtype).reshape(shape)


def text_of(kernel: Kernel, vector_bytes: int = 64) -> str:
    """A module with the kernel and ``void run(ptr args)``, one thread's whole launch."""
    module = Module()
    features = frozenset(n for n, on in llvm.get_host_cpu_features().items() if on)
    symbol = emit_kernel(module, kernel, Target(vector_bytes, features))
    f = module.function("run", ["ptr %args"])
    f.do(f"call void {symbol}(ptr %args)")
    f.ret()
    return module.text()


@pytest.fixture(scope="module")
def agree(native: type) -> Callable[..., str]:
    """``agree(sample, kernel)``: the kernel's machine code equals the interpreted sample."""

    def check(sample: Sample, kernel: Kernel, vector_bytes: int = 64) -> str:
        check_kernel(kernel)
        text = text_of(kernel, vector_bytes)
        given = sample.arguments()
        expected = run_kernel(sample.kernel, given)
        arrays = [given[b] if b in given else aligned(b.shape, b.dtype) for b in kernel.params]
        table = np.array([0, *(a.ctypes.data for a in arrays)], np.int64)
        native(text).call("run", table.ctypes.data)
        for buffer, array in zip(kernel.params, arrays, strict=True):
            if buffer in expected:
                np.testing.assert_array_equal(array, expected[buffer])
        return text

    return check


def copying(
    shape: tuple[int, ...],
    source: tuple[int, ...],
    index: Callable[..., tuple[Affine, ...]],
    dtype: np.dtype = F32,
    streaming: bool = False,
) -> Sample:
    """``y[axes] = x[index(axes)] + x[index(axes)]`` (``or`` for bool)."""
    axes = [Axis("ijk"[n], d) for n, d in enumerate(shape)]
    x, y = Buffer("x", source, dtype), Buffer("y", shape, dtype, "output")
    value, double = Var(dtype), Var(dtype)
    body: list[Stmt] = [
        Load(value, x, index(*axes)),
        Map(double, "or" if dtype == np.bool_ else "add", (value, value)),
        Store(y, at(*axes), double, streaming=streaming),
    ]
    for axis in reversed(axes):
        body = [loop(axis, body)]
    return Sample(Kernel("copying", (x, y), (), body), {a.name: a for a in axes}, {"x": x, "y": y})


def transposed(m: int, n: int, dtype: np.dtype, streaming: bool = False) -> Sample:
    return copying((m, n), (n, m), lambda i, j: at(j, i), dtype, streaming)


# -- transposition ---------------------------------------------------------------------------------


@few
@given(sizes, sizes, st.sampled_from(DTYPES), st.sampled_from("ij"), st.sampled_from((16, 32, 64)))
def test_transposes_any_size(
    agree: Callable[..., str], m: int, n: int, dtype: np.dtype, lane: str, vector_bytes: int
) -> None:
    s = transposed(m, n, dtype)
    other = "j" if lane == "i" else "i"
    kernel = vectorize(s.kernel, s.axes[lane], min(16, s.axes[lane].extent))
    kernel = interleave(kernel, s.axes[other], min(16, s.axes[other].extent))
    agree(s, kernel, vector_bytes)


@pytest.mark.parametrize("lane", "ij")
def test_whole_squares_need_no_gather(agree: Callable[..., str], lane: str) -> None:
    s = transposed(32, 48, F32)
    kernel = vectorize(s.kernel, s.axes[lane], 16)
    kernel = interleave(kernel, s.axes["j" if lane == "i" else "i"], 16)
    text = agree(s, kernel)
    assert "gather" not in text and "scatter" not in text
    assert text.count("shufflevector") == 16 * 4
    assert len(re.findall(r"load <16 x float>", text)) == 16


def test_guarded_lanes_are_not_transposed(agree: Callable[..., str]) -> None:
    s = copying((20, 20), (20, 20), lambda i, j: at(j, i))
    kernel = interleave(vectorize(s.kernel, s.axes["j"], 20), s.axes["i"], 20)
    agree(s, kernel)  # a partial second vector of lanes, and a partial second square


# -- small strides ---------------------------------------------------------------------------------


@few
@given(st.integers(1, 70), st.integers(-10, 10), st.sampled_from(DTYPES[:3]))
def test_strided_reads(agree: Callable[..., str], n: int, stride: int, dtype: np.dtype) -> None:
    start = (n - 1) * abs(stride) if stride < 0 else 0
    s = copying(
        (n,), ((n - 1) * abs(stride) + 1,), lambda i: at(Affine.of(i) * stride + start), dtype
    )
    text = agree(s, vectorize(s.kernel, s.axes["i"], min(16, n)))
    if n == 16 and 1 < abs(stride) <= MAX_STRIDE:
        assert "gather" not in text


@given(st.sampled_from((2, 4, 8, 16)), st.integers(-9, 9).filter(lambda s: abs(s) > 0))
def test_thinning_covers_every_lane_once(width: int, stride: int) -> None:
    reach = sorted((0, (width - 1) * stride))
    provided: dict[int, int] = {}
    for offset, lanes in thinning(width, stride):
        assert reach[0] <= offset
        for place, lane in enumerate(lanes):
            if lane >= 0:
                assert place not in provided and offset + lane <= reach[1]
                provided[place] = offset + lane
    assert provided == {n: n * stride for n in range(width)}


@few
@given(st.integers(1, 40), st.integers(1, 3))
def test_reversed_writes(agree: Callable[..., str], n: int, stride: int) -> None:
    x, y = Buffer("x", (n,), F32), Buffer("y", (n * stride,), F32, "inout")
    axis, value = Axis("i", n), Var(F32)
    there = Affine.of(axis) * -stride + (n - 1) * stride
    body: list[Stmt] = [loop(axis, [Load(value, x, at(axis)), Store(y, at(there), value)])]
    s = Sample(Kernel("backwards", (x, y), (), body), {"i": axis}, {"x": x, "y": y})
    agree(s, vectorize(s.kernel, axis, min(16, n)))


@few
@given(st.integers(1, 50), st.integers(1, 10), st.sampled_from(DTYPES), st.sampled_from((16, 64)))
def test_short_rows_are_written_whole(
    agree: Callable[..., str], m: int, n: int, dtype: np.dtype, vector_bytes: int
) -> None:
    s = transposed(m, n, dtype)
    kernel = vectorize(s.kernel, s.axes["i"], min(16, m))
    text = agree(s, interleave(kernel, s.axes["j"], n), vector_bytes)
    if m == 16 and 1 < n <= MAX_STRIDE:
        assert "masked" not in text


# -- non-temporal stores ---------------------------------------------------------------------------


@pytest.mark.parametrize(("m", "n", "streams"), [(4, 64, True), (3, 41, False), (2, 16, True)])
def test_streaming_needs_aligned_rows(
    agree: Callable[..., str], m: int, n: int, streams: bool
) -> None:
    s = copying((m, n), (m, n), lambda i, j: at(i, j), streaming=True)
    text = agree(s, vectorize(s.kernel, s.axes["j"], 16))
    assert ("!nontemporal" in text) == streams
    assert ("sfence" in text) == streams


def test_a_transposition_streams(agree: Callable[..., str]) -> None:
    s = transposed(64, 32, F32, streaming=True)
    for lane, other in ("ij", "ji"):
        kernel = vectorize(s.kernel, s.axes[lane], 16)
        text = agree(s, interleave(kernel, s.axes[other], 16))
        assert text.count("!nontemporal") == 16


def test_inputs_and_scratch_do_not_stream(agree: Callable[..., str]) -> None:
    x, y = Buffer("x", (64,), F32), Buffer("y", (64,), F32, "inout")
    axis, value = Axis("i", 64), Var(F32)
    body: list[Stmt] = [Load(value, x, at(axis)), Store(y, at(axis), value, streaming=True)]
    s = Sample(Kernel("over", (x, y), (), [loop(axis, body)]), {"i": axis}, {})
    assert "!nontemporal" not in agree(s, vectorize(s.kernel, axis, 16))


@few
@given(m=sizes, n=sizes, k=st.integers(1, 9), lanes=st.booleans())
def test_unrolled_loops_have_no_counter(
    agree: Callable[..., str], m: int, n: int, k: int, lanes: bool
) -> None:
    s = matmul(m, n, k, np.dtype(np.int32))
    tiled = vectorize(s.kernel, s.axes["j"], min(n, 8)) if lanes else s.kernel
    looped, written = agree(s, tiled), agree(s, unroll(tiled, s.axes["k"]))
    assert written.count(" phi ") < looped.count(" phi ")
