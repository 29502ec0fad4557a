"""parallelize, reorder, fuse_loops."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop, matmul, softmax
from weft.kernels.check import KernelError, check_kernel
from weft.kernels.ir import Barrier, Buffer, Kernel, Load, Map, Store, Var, walk
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.order import fuse_loops, parallelize, reorder, scratch_between
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import interleave, vectorize
from weft.kernels.schedule.tree import find_loop
from weft.terms.affine import Affine, Axis

sizes = st.integers(1, 9)


def test_parallel_rows() -> None:
    s = softmax(3, 5)
    k = parallelize(s.kernel, s.axes["i"])
    assert find_loop(k, s.axes["i"]).kind == "parallel"
    assert_same(s, k)
    assert parallelize(k, s.axes["i"]) is k


def test_parallel_grid() -> None:
    s = matmul(3, 4, 2)
    k = parallelize(parallelize(s.kernel, s.axes["i"]), s.axes["j"])
    assert_same(s, k)
    assert find_loop(k, s.axes["i"]).kind == find_loop(k, s.axes["j"]).kind == "parallel"
    s = matmul(3, 4, 2, batch=2)
    k = parallelize(s.kernel, s.axes["j"])
    k = parallelize(k, s.axes["i"])
    assert find_loop(k, s.axes["j"]).kind == "parallel"


def test_one_thread_needs_no_barriers() -> None:
    r, i, j = Axis("r", 3), Axis("i", 4), Axis("j", 4)
    x, y = Buffer("x", (3, 4), F32), Buffer("y", (3, 4), F32, "output")
    t = Buffer("t", (4,), F32, "scratch", "shared")
    v, w = Var(F32), Var(F32)
    back = Affine.of(j) * -1 + 3
    body = [
        loop(i, [Load(v, x, at(r, i)), Store(t, at(i), v)], kind="parallel"),
        Barrier(),
        loop(j, [Load(w, t, (back,)), Store(y, at(r, j), w)], kind="parallel"),
        Barrier(),
    ]
    s = Sample(Kernel("flip", (x, y), (t,), [loop(r, body)]), {"r": r}, {"x": x, "y": y})
    k = parallelize(s.kernel, r)
    assert not any(isinstance(x, Barrier) for x in walk(k.body))
    assert k.scratch[0].level == "thread"
    assert_same(s, k)


def test_parallelize_refusals() -> None:
    s = matmul(3, 4, 2)
    with pytest.raises(ScheduleError, match="split the fold first"):
        parallelize(s.kernel, s.axes["k"])
    i = Axis("i", 4)
    y, v, w = Buffer("y", (5,), F32, "inout"), Var(F32), Var(F32)
    body = [Load(v, y, at(i)), Map(w, "neg", (v,)), Store(y, at(Affine.of(i) + 1), w)]
    with pytest.raises(ScheduleError, match="cannot run in parallel"):
        parallelize(Kernel("k", (y,), (), [loop(i, body)]), i)
    s = softmax(3, 5)
    k = parallelize(s.kernel, s.axes["i"])
    with pytest.raises(ScheduleError, match="is inside the parallel loop over i:3 and not its"):
        parallelize(k, s.axes["j2"])


def test_parallelize_refuses_to_pass_thread_scratch_on() -> None:
    i, j = Axis("i", 4), Axis("j", 4)
    x, y = Buffer("x", (4,), F32), Buffer("y", (4,), F32, "output")
    t = Buffer("t", (4,), F32, "scratch", "thread")
    v, w = Var(F32), Var(F32)
    fill = loop(i, [Load(v, x, at(i)), Store(t, at(i), v)])
    read = loop(j, [Load(w, t, (Affine.of(j) * -1 + 3,)), Store(y, at(j), w)])
    kernel = Kernel("flip", (x, y), (t,), [fill, read])
    with pytest.raises(ScheduleError, match="over i:4 fills t for others"):
        parallelize(kernel, i)
    assert scratch_between(kernel, read) == ([], [t])
    check_kernel(parallelize(kernel, j))  # all threads see what is filled outside of parallel loops
    with pytest.raises(KernelError, match="t is filled by another parallel loop only"):
        check_kernel(kernel.evolve(body=[replace(fill, kind="parallel"), read]))


@few
@given(sizes, sizes, sizes)
def test_reorder_of_rows_and_columns(m: int, n: int, k: int) -> None:
    s = matmul(m, n, k)
    kernel = reorder(s.kernel, s.axes["i"], s.axes["j"])
    assert find_loop(kernel, s.axes["j"]).body[0].axis is s.axes["i"]
    assert_same(s, kernel)


def test_reorder_of_one_fold() -> None:
    s = matmul(2, 3, 12)
    inner = Axis("ki", 4)
    kernel = split(s.kernel, s.axes["k"], inner)
    kernel = reorder(kernel, s.axes["k"], inner)
    assert find_loop(kernel, inner).body[0].axis is s.axes["k"]
    assert_same(s, kernel)


def test_blocked_rows() -> None:
    s = matmul(13, 11, 5, epilogue=True)
    ii = Axis("ii", 6)
    k = split(s.kernel, s.axes["i"], ii)
    k = reorder(k, ii, s.axes["j"])
    k = parallelize(k, s.axes["i"])
    k = vectorize(k, s.axes["j"], 4)
    k = interleave(k, ii, 4)
    assert_same(s, k)


def test_reorder_refusals() -> None:
    s = matmul(3, 4, 2, epilogue=True)
    with pytest.raises(ScheduleError, match="not perfectly nested: 4 statements"):
        reorder(s.kernel, s.axes["j"], s.axes["k"])
    with pytest.raises(ScheduleError, match="is not directly inside the loop over i:3"):
        reorder(s.kernel, s.axes["i"], s.axes["k"])
    i, j = Axis("i", 4), Axis("j", 4)
    y, v = Buffer("y", (5, 5), F32, "inout"), Var(F32)
    body = [Load(v, y, at(i, Affine.of(j) + 1)), Store(y, at(Affine.of(i) + 1, j), v)]
    kernel = Kernel("k", (y,), (), [loop(i, [loop(j, body)])])
    with pytest.raises(ScheduleError, match="cannot exchange i:4 and j:4"):
        reorder(kernel, i, j)


def test_fuse_loops() -> None:
    i, j = Axis("i", 4), Axis("j", 4)
    x, y = Buffer("x", (4,), F32), Buffer("y", (4,), F32, "output")
    z = Buffer("z", (4,), F32, "output")
    v, w, u = Var(F32), Var(F32), Var(F32)
    first = loop(i, [Load(v, x, at(i)), Store(y, at(i), v)])
    second = loop(j, [Load(w, y, at(j)), Map(u, "neg", (w,)), Store(z, at(j), u)])
    s = Sample(Kernel("k", (x, y, z), (), [first, second]), {}, {})
    k = fuse_loops(s.kernel, i, j)
    assert len(k.body) == 1
    assert_same(s, k)
    back = (Affine.of(j) * -1 + 3,)
    second = loop(j, [Load(w, y, back), Map(u, "neg", (w,)), Store(z, at(j), u)])
    with pytest.raises(ScheduleError, match="both touch y"):
        fuse_loops(Kernel("k", (x, y, z), (), [first, second]), i, j)


def test_fuse_refuses_a_needed_result() -> None:
    s = softmax(2, 4)
    with pytest.raises(ScheduleError, match="needs the result of the loop over j:4"):
        fuse_loops(s.kernel, s.axes["j0"], s.axes["j1"])
    with pytest.raises(ScheduleError, match="does not directly follow"):
        fuse_loops(s.kernel, s.axes["j0"], s.axes["j2"])
