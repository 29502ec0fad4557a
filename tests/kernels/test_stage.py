"""stage: packed copies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import few, matmul, softmax
from weft.kernels.ir import Barrier, For, walk
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.memory import fold_through_memory
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.split import split
from weft.kernels.schedule.stage import Layout, stage, stage_writes
from weft.kernels.schedule.tile import vectorize
from weft.terms.affine import Axis

sizes = st.integers(1, 9)


@few
@given(sizes, sizes, sizes, st.integers(1, 5), st.sampled_from(["thread", "shared"]))
def test_panels(m: int, n: int, k: int, width: int, level: str) -> None:
    s = matmul(m, n, k)
    kernel = stage(s.kernel, s.buffers["w"], s.axes["i"], level, Layout(panel=(1, width)), vector=4)
    assert_same(s, kernel)
    if level == "thread":
        kernel = parallelize(stage(s.kernel, s.buffers["w"], s.axes["j"]), s.axes["i"])
        assert_same(s, kernel)


@few
@given(sizes, sizes, st.integers(1, 5))
def test_panels_of_rows_transpose(n: int, k: int, width: int) -> None:
    s = matmul(4, n, k)
    kernel = stage(s.kernel, s.buffers["a"], s.axes["i"], "shared", Layout(panel=(0, width)))
    assert_same(s, kernel)


def test_vectors_read_panels_without_division() -> None:
    s = matmul(3, 12, 5)
    k = stage(s.kernel, s.buffers["w"], s.axes["i"], "shared", Layout(panel=(1, 4)))
    k = vectorize(k, s.axes["j"], 4)
    assert "load w_packed[j, k, jv]" in print_kernel(k)
    assert k.scratch[0].shape == (3, 5, 4)
    assert_same(s, k)


def test_private_rows_with_padding() -> None:
    s = matmul(6, 5, 8)
    inside = Axis("ii", 2)
    k = split(s.kernel, s.axes["i"], inside)
    k = parallelize(k, s.axes["i"])
    k = stage(k, s.buffers["a"], inside, "thread", Layout(pad=16))
    assert k.scratch[0].shape == (2, 8) and k.scratch[0].strides == (24, 1)
    assert "load a[i+w0, w1v]" in print_kernel(k)
    assert_same(s, k)


def test_order_of_dimensions() -> None:
    s = matmul(4, 5, 6)
    k = stage(s.kernel, s.buffers["w"], s.axes["i"], "thread", Layout(order=(1, 0)))
    assert k.scratch[0].shape == (5, 6)
    assert_same(s, k)


def test_scratch_is_used_again_after_a_barrier() -> None:
    s = matmul(4, 6, 8)
    k = fold_through_memory(s.kernel, s.axes["i"], s.axes["k"], 4)
    first, second = (x for x in k.body if isinstance(x, For))
    k = parallelize(parallelize(k, first.axis), second.axis)
    k = stage(k, s.buffers["w"], first.axis, "shared")
    k = stage(k, s.buffers["w"], second.axis, "shared", scratch=k.scratch[0])
    assert len(k.scratch) == 1
    assert sum(isinstance(x, Barrier) for x in walk(k.body)) == 4
    assert_same(s, k)


def test_refusals() -> None:
    s = matmul(4, 6, 8)
    with pytest.raises(ScheduleError, match="c is written in the kernel"):
        stage(s.kernel, s.buffers["c"], s.axes["i"])
    with pytest.raises(ScheduleError, match="does not read v"):
        stage(s.kernel, s.buffers["v"], s.axes["i"])
    with pytest.raises(ScheduleError, match=r"\(0, 0\) is not an order of the window's 2 dim"):
        stage(s.kernel, s.buffers["w"], s.axes["i"], layout=Layout(order=(0, 0)))
    with pytest.raises(ScheduleError, match="no panels of 4 in dimension 2"):
        stage(s.kernel, s.buffers["w"], s.axes["i"], layout=Layout(panel=(2, 4)))
    k = parallelize(s.kernel, s.axes["i"])
    with pytest.raises(ScheduleError, match="cannot copy w cooperatively inside a parallel loop"):
        stage(k, s.buffers["w"], s.axes["j"], "shared")
    small = stage(s.kernel, s.buffers["w"], s.axes["k"]).scratch[0]
    with pytest.raises(ScheduleError, match=r"scratch w_packed\[8, 1\] \(thread\) does not hold"):
        stage(s.kernel, s.buffers["w"], s.axes["i"], scratch=small)


def test_one_window_for_all_reads() -> None:
    s = softmax(3, 8)
    k = stage(s.kernel, s.buffers["x"], s.axes["i"])
    assert_same(s, k)


@few
@given(sizes, sizes, st.sampled_from("ij"), st.integers(1, 5))
def test_writes_wait_in_scratch(m: int, n: int, at: str, vector: int) -> None:
    s = matmul(m, n, 3)
    layout = Layout(order=(1, 0))
    kernel = stage_writes(s.kernel, s.buffers["c"], s.axes[at], layout, vector=vector)
    assert_same(s, kernel)


def test_writes_are_copied_after_the_loop() -> None:
    s = matmul(4, 6, 3)
    text = print_kernel(stage_writes(s.kernel, s.buffers["c"], s.axes["j"]))
    assert text.index("store c_packed") < text.index("load c_packed") < text.index("store c[")


def test_writes_that_leave_gaps_stay() -> None:
    s = softmax(4, 6)
    with pytest.raises(ScheduleError, match="reads y or does not store to it exactly once"):
        stage_writes(s.kernel, s.buffers["y"], s.axes["j0"])
