"""block_fold, split_fold, fold_through_memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop, matmul, softmax
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Barrier, Buffer, Carry, Const, Kernel, Load, Map, Store, Var, walk
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.folds import block_fold, split_fold
from weft.kernels.schedule.memory import fold_through_memory
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import vectorize
from weft.kernels.schedule.tree import find_loop, has_loop, without_dead_code
from weft.terms.affine import Axis
from weft.terms.monoids import ADD, MAX

sizes = st.integers(1, 9)


def total(n: int, start: float = 0.0) -> Sample:
    k = Axis("k", n)
    x, y = Buffer("x", (n,), F32), Buffer("y", (), F32, "output")
    first, v, acc, new, last = (Var(F32) for _ in range(5))
    fold = loop(
        k,
        [Load(v, x, at(k)), Map(new, "add", (acc, v))],
        carries=(Carry(acc, first, new, last),),
        fold=ADD,
    )
    kernel = Kernel("sum", (x, y), (), [Const(first, start), fold, Store(y, (), last)])
    return Sample(kernel, {"k": k}, {"x": x, "y": y})


@few
@given(st.integers(1, 40), st.integers(1, 7), st.integers(1, 4), st.sampled_from([0.0, 3.0]))
def test_blocks_of_blocks(n: int, block: int, width: int, start: float) -> None:
    s = total(n, start)
    k = vectorize(s.kernel, s.axes["k"], width)
    for _ in range(2):
        if has_loop(k, s.axes["k"]):
            k = block_fold(k, s.axes["k"], block)
    assert_same(s, k)


def test_blocks_are_more_accurate() -> None:
    s = total(1 << 14)
    x = np.full(1 << 14, 0.1, np.float32)
    exact = 0.1 * (1 << 14)
    plain = run_kernel(s.kernel, {s.buffers["x"]: x})[s.buffers["y"]]
    blocked = run_kernel(block_fold(s.kernel, s.axes["k"], 128), {s.buffers["x"]: x})
    assert abs(blocked[s.buffers["y"]] - exact) < abs(plain - exact) / 10


@few
@given(st.integers(2, 40), st.integers(1, 7), st.sampled_from([0.0, 3.0]))
def test_two_stages(n: int, share: int, start: float) -> None:
    s = total(n, start)
    k = split(s.kernel, s.axes["k"], min(share, n))
    k = split_fold(k, s.axes["k"])
    assert_same(s, k)


def test_two_stages_inside_a_loop() -> None:
    s = matmul(3, 4, 12)
    k = split(s.kernel, s.axes["k"], 3)
    k = vectorize(k, s.axes["j"], 4)
    k = split_fold(k, s.axes["k"])
    assert find_loop(k, s.axes["k"]).kind == "parallel"
    assert sum(isinstance(x, Barrier) for x in walk(k.body)) == 2
    assert k.scratch[0].strides == (16, 1)  # partial results a cache line apart
    assert_same(s, k)


def test_fold_refusals() -> None:
    s = softmax(3, 4)
    with pytest.raises(ScheduleError, match="the loop over i:3 is not a fold"):
        block_fold(s.kernel, s.axes["i"], 2)
    with pytest.raises(ScheduleError, match="is not a fold"):
        split_fold(s.kernel, s.axes["j2"])
    k = parallelize(s.kernel, s.axes["i"])
    with pytest.raises(ScheduleError, match="its threads are taken already"):
        split_fold(k, s.axes["j0"])


@few
@given(sizes, sizes, st.integers(1, 20), st.integers(1, 7), st.sampled_from("ij"))
def test_blocks_through_memory(m: int, n: int, k: int, block: int, at_: str) -> None:
    s = matmul(m, n, k, epilogue=True)
    kernel = fold_through_memory(s.kernel, s.axes[at_], s.axes["k"], block)
    assert_same(s, without_dead_code(kernel))


def test_partial_results_need_scratch_when_the_output_does_not_hold_them() -> None:
    i, k = Axis("i", 3), Axis("k", 8)
    x = Buffer("x", (3, 8), F32)
    y = Buffer("y", (3,), np.dtype(np.int32), "output")
    zero, v, acc, new, last = (Var(F32) for _ in range(5))
    whole = Var(np.dtype(np.int32))
    fold = loop(
        k,
        [Load(v, x, at(i, k)), Map(new, "max", (acc, v))],
        carries=(Carry(acc, zero, new, last),),
        fold=MAX,
    )
    rows = loop(i, [fold, Map(whole, "cast", (last,)), Store(y, at(i), whole)])
    body = [Const(zero, -np.inf), rows]
    s = Sample(Kernel("k", (x, y), (), body), {"i": i, "k": k}, {"x": x, "y": y})
    kernel = fold_through_memory(s.kernel, i, k, 3)
    assert [b.name for b in kernel.scratch] == ["sums"]
    assert_same(s, kernel)


def test_through_memory_refusals() -> None:
    s = matmul(3, 4, 8)
    with pytest.raises(ScheduleError, match="is not around the fold"):
        fold_through_memory(s.kernel, s.axes["k"], s.axes["k"], 2)
    with pytest.raises(ScheduleError, match="cannot block the fold over k:8 by 0"):
        fold_through_memory(s.kernel, s.axes["i"], s.axes["k"], 0)
    inner = Axis("ki", 4)
    k = split(s.kernel, s.axes["k"], inner)
    with pytest.raises(ScheduleError, match="block the outermost loop of the fold"):
        fold_through_memory(k, s.axes["i"], inner, 2)
    assert fold_through_memory(s.kernel, s.axes["i"], s.axes["k"], 8) is s.kernel
