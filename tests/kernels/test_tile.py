"""tile, vectorize, interleave."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, I32, Sample, at, few, loop, matmul, softmax
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Carry, Const, Guard, Iota, Kernel, Load, Map, Store, Var
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import interleave, tile, vectorize
from weft.kernels.schedule.tree import has_loop
from weft.terms.affine import Affine, Axis, Dynamic
from weft.terms.monoids import ADD, ARGMAX

sizes = st.integers(1, 9)
widths = st.integers(1, 5)


@few
@given(sizes, sizes, sizes, st.sampled_from("ijk"), widths, st.sampled_from("ijk"), widths)
def test_any_two_tiles(m: int, n: int, k: int, a: str, wa: int, b: str, wb: int) -> None:
    s = matmul(m, n, k, epilogue=True)
    kernel = vectorize(s.kernel, s.axes[a], wa)
    if has_loop(kernel, s.axes[b]):
        kernel = interleave(kernel, s.axes[b], wb)
    assert_same(s, kernel)


@few
@given(sizes, sizes, widths, widths)
def test_softmax_rows_and_columns(rows: int, columns: int, r: int, c: int) -> None:
    s = softmax(rows, columns)
    kernel = s.kernel
    for name in ("j0", "j1", "j2"):
        kernel = vectorize(kernel, s.axes[name], c)
        if name != "j2" and has_loop(kernel, s.axes[name]):
            kernel = interleave(kernel, s.axes[name], 2)
    assert_same(s, kernel)
    kernel = interleave(s.kernel, s.axes["i"], r)
    assert_same(s, kernel)


def test_register_tile_text() -> None:
    s = matmul(4, 8, 3)
    k = interleave(vectorize(s.kernel, s.axes["j"], 4), s.axes["i"], 2)
    text = "\n".join(line.rstrip() for line in print_kernel(k).splitlines())
    assert text == (
        "kernel matmul(a: f32[4,3], w: f32[3,8] -> c: f32[4,8])  lanes jv\n"
        "  t0 = const 0.0                                                f32\n"
        "  serial i in 0:4:2\n"
        "    serial j in 0:8:4\n"
        "      t1 = splat t0                                             f32 jv:4\n"
        "      t2 = splat t1                                             f32 jv:4 it:2\n"
        "      t3 = serial k in 0:3 fold add carrying t4 = t2            f32 jv:4 it:2\n"
        "        t5 = load a[i+it, k]                                    f32 it:2\n"
        "        t6 = load w[k, j+jv]                                    f32 jv:4\n"
        "        t7 = fma t5, t6, t4                                     f32 jv:4 it:2\n"
        "        next t7\n"
        "      store c[i+it, j+jv] = t3"
    )


def test_a_fold_of_two_loops_keeps_one_accumulator_tile() -> None:
    s = matmul(2, 2, 12)
    inner = Axis("ki", 4)
    k = tile(split(s.kernel, s.axes["k"], inner), inner)
    text = print_kernel(k)
    assert text.count("fold add t") == 1
    lines = [line.strip() for line in text.splitlines()]
    loop_at = next(i for i, line in enumerate(lines) if "serial k" in line)
    fold_at = next(i for i, line in enumerate(lines) if "fold add t" in line)
    assert fold_at > loop_at + 4  # after the outer loop, not inside it
    assert_same(s, k)


def test_fold_from_a_start_that_is_no_identity() -> None:
    k = Axis("k", 7)
    x, y = Buffer("x", (7,), F32), Buffer("y", (), F32, "output")
    start, v, acc, new, total = (Var(F32) for _ in range(5))
    body = [
        Const(start, 5.0),
        loop(
            k,
            [Load(v, x, at(k)), Map(new, "add", (acc, v))],
            carries=(Carry(acc, start, new, total),),
            fold=ADD,
        ),
        Store(y, (), total),
    ]
    s = Sample(Kernel("sum", (x, y), (), body), {"k": k}, {"x": x, "y": y})
    assert_same(s, vectorize(s.kernel, k, 3))


@few
@given(st.integers(1, 12), widths)
def test_argmax_keeps_the_first(n: int, width: int) -> None:
    k = Axis("k", n)
    x, y = Buffer("x", (n,), F32), Buffer("y", (), I32, "output")
    v, w = Var(F32), Var(F32)
    i, j, best, where = Var(I32), Var(I32), Var(F32), Var(I32)
    low, last = Var(F32), Var(I32)
    identity = ARGMAX.identity([np.dtype(np.float32), np.dtype(np.int32)])
    inner = [Load(v, x, at(k)), Iota(i, Affine.of(k))]

    def emit(op: str, *args: Var) -> Var:
        logical = op in ("ne", "eq", "lt", "gt", "and", "or", "not")
        out = Var(np.dtype(np.bool_) if logical else args[1].dtype)
        inner.append(Map(out, op, args))
        return out

    new = ARGMAX.combine(emit, (w, j), (v, i))
    carries = (Carry(w, low, new[0], best), Carry(j, last, new[1], where))
    body = [
        Const(low, identity[0]),
        Const(last, identity[1]),
        loop(k, inner, carries=carries, fold=ARGMAX),
        Store(y, (), where),
    ]
    kernel = Kernel("argmax", (x, y), (), body)
    check_kernel(kernel)
    tiled = vectorize(kernel, k, width)
    check_kernel(tiled)
    values = np.array([i % 3 for i in range(n)], np.float32)
    assert run_kernel(tiled, {x: values})[y] == values.argmax()


def test_refusals() -> None:
    s = matmul(4, 8, 3)
    k = vectorize(s.kernel, s.axes["j"], 4)
    with pytest.raises(ScheduleError, match=r"cannot put i:4 across lanes: .* those of jv:4"):
        vectorize(k, s.axes["i"], 2)
    with pytest.raises(ScheduleError, match="the width must be positive"):
        tile(s.kernel, s.axes["i"], 0)


def test_refuses_recurrences() -> None:
    i = Axis("i", 4)
    x, y = Buffer("x", (4,), F32), Buffer("y", (4,), F32, "output")
    zero, v, acc, new, total = (Var(F32) for _ in range(5))
    scan = loop(
        i,
        [Load(v, x, at(i)), Map(new, "add", (acc, v)), Store(y, at(i), new)],
        carries=(Carry(acc, zero, new, total),),
    )
    kernel = Kernel("cumsum", (x, y), (), [Const(zero, 0.0), scan])
    with pytest.raises(ScheduleError, match="is not a fold: its iterations cannot run side by"):
        tile(kernel, i, 2)


def test_refuses_dependence_through_memory() -> None:
    i = Axis("i", 4)
    y = Buffer("y", (5,), F32, "inout")
    v = Var(F32)
    shift = loop(i, [Load(v, y, at(i)), Store(y, at(Affine.of(i) + 1), v)])
    kernel = Kernel("shift", (y,), (), [shift])
    with pytest.raises(ScheduleError, match="may touch the same element of y"):
        tile(kernel, i, 2)


@few
@given(sizes, widths)
def test_gather_and_guarded_reads(n: int, width: int) -> None:
    i = Axis("i", n)
    where, x = Buffer("where", (n,), I32), Buffer("x", (3,), F32)
    y = Buffer("y", (n,), F32, "output")
    p, v, w, out = Var(I32), Var(F32), Var(F32), Var(F32)
    before = Affine.of(i) - 1
    body = [
        Load(p, where, at(i)),
        Load(v, x, (Affine(((Dynamic(p, 0, 2), 1),)),)),
        Load(w, x, (before,), (Guard(before, 0, 3),)),
        Map(out, "add", (v, w)),
        Store(y, at(i), out),
    ]
    kernel = Kernel("gather", (where, x, y), (), [loop(i, body)])
    s = Sample(kernel, {"i": i}, {"where": where, "x": x, "y": y})
    assert_same(s, vectorize(kernel, i, width))


def test_scatter_is_refused() -> None:
    i = Axis("i", 4)
    where, y = Buffer("where", (4,), I32), Buffer("y", (3,), F32, "inout")
    p, v, one, new = Var(I32), Var(F32), Var(F32), Var(F32)
    place = (Affine(((Dynamic(p, 0, 2), 1),)),)
    body = [Load(p, where, at(i)), Load(v, y, place), Map(new, "add", (v, one))]
    adds = loop(i, [*body, Store(y, place, new)])
    kernel = Kernel("scatter", (where, y), (), [Const(one, 1.0), adds])
    check_kernel(kernel)
    with pytest.raises(ScheduleError, match="may touch the same element of y"):
        vectorize(kernel, i, 2)
