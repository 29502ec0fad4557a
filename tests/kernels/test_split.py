"""split, peel, unroll, inline."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop, matmul, softmax
from weft.kernels.ir import Buffer, Kernel, Load, Store, Var, loops
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.split import inline_single, peel, split, unroll
from weft.kernels.schedule.tree import find_loop, has_loop
from weft.terms.affine import Affine, Axis

sizes = st.integers(1, 9)


@few
@given(sizes, sizes, sizes, st.sampled_from("ijk"), st.integers(1, 5))
def test_split_changes_nothing(m: int, n: int, k: int, name: str, factor: int) -> None:
    s = matmul(m, n, k, epilogue=True)
    axis = s.axes[name]
    assert_same(s, split(s.kernel, axis, min(factor, axis.extent)))


def test_split_keeps_the_outer_axis_and_steps_by_the_factor() -> None:
    s = matmul(4, 10, 3)
    inner = Axis("jj", 4)
    k = split(s.kernel, s.axes["j"], inner)
    outer = find_loop(k, s.axes["j"])
    assert (outer.lo, outer.hi, outer.step) == (0, 8, 4)
    assert find_loop(k, inner).trip == 4
    assert [x.trip for x in loops(k.body) if x.axis.name == "j"] == [2, 2]
    assert find_loop(s.kernel, s.axes["j"]).step == 1  # the original is untouched


def test_split_of_a_divided_axis_counts_blocks() -> None:
    j = Axis("j", 8)
    x, y = Buffer("x", (2, 4), F32), Buffer("y", (8,), F32, "output")
    v = Var(F32)
    index = (Affine.of(j).floordiv(4), Affine.of(j).mod(4))
    naive = Kernel("k", (x, y), (), [loop(j, [Load(v, x, index), Store(y, at(j), v)])])
    s = Sample(naive, {"j": j}, {"x": x, "y": y})
    k = split(naive, j, 4)
    assert_same(s, k)
    assert "load x[j, ji]" in print_kernel(k)


@few
@given(sizes, sizes, sizes, st.sampled_from("ijk"), st.integers(0, 9))
def test_peel_changes_nothing(m: int, n: int, k: int, name: str, count: int) -> None:
    s = matmul(m, n, k)
    axis = s.axes[name]
    assert_same(s, peel(s.kernel, axis, min(count, axis.extent)))


def test_refusals() -> None:
    s = matmul(4, 10, 3)
    with pytest.raises(ScheduleError, match="cannot split the 10 iterations of j:10 by 11"):
        split(s.kernel, s.axes["j"], 11)
    with pytest.raises(ScheduleError, match="cannot cut 12 iterations off the 10 of j:10"):
        peel(s.kernel, s.axes["j"], 12)
    with pytest.raises(ScheduleError, match=r"has no loop over axis q:3; its loops are over i:4"):
        split(s.kernel, Axis("q", 3), 1)
    k = parallelize(s.kernel, s.axes["i"])
    with pytest.raises(ScheduleError, match="its iterations belong to threads"):
        unroll(k, s.axes["i"])


def test_unroll_is_a_kind() -> None:
    s = matmul(2, 3, 4)
    k = unroll(s.kernel, s.axes["k"])
    assert find_loop(k, s.axes["k"]).kind == "unroll"
    assert_same(s, k)


def test_single_iterations_are_inlined() -> None:
    s = matmul(1, 3, 1, epilogue=True)
    k = inline_single(s.kernel)
    assert not has_loop(k, s.axes["i"]) and not has_loop(k, s.axes["k"])
    assert has_loop(k, s.axes["j"])
    assert_same(s, k)
    s = softmax(1, 4)
    assert_same(s, inline_single(s.kernel))
