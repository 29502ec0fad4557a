"""Contractions: found by axis roles, and the composed schedule on odd sizes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, F64, Sample, at, few, loop, matmul, softmax
from weft.kernels.check import check_kernel
from weft.kernels.ir import (
    Buffer,
    Carry,
    Const,
    For,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    walk,
)
from weft.kernels.print import print_kernel
from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.numbers import default_params
from weft.kernels.schedule.split import inline_loop
from weft.kernels.schedule.tree import find_loop, replace_loop
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import ADD

sizes = st.integers(1, 13)
small = Params(rows=2, columns=4, block=6, row_block=4, unroll=2)


@few
@given(
    sizes,
    sizes,
    sizes,
    st.sampled_from([0, 0, 3]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["rows", "columns", "none"]),
)
def test_any_size(
    m: int, n: int, k: int, batch: int, left: bool, right: bool, parallel: str
) -> None:
    s = matmul(m, n, k, epilogue=True, batch=batch)
    params = Params(2, 4, 6, 4, 2, left, right, parallel)
    assert_same(s, schedule_contraction(s.kernel, params))


@few
@given(sizes, sizes, sizes)
def test_lanes_along_the_fold(m: int, n: int, k: int) -> None:
    s = transposed(m, n, k)
    params = Params(2, 3, 6, lanes="fold", width=4, parallel="columns")
    assert_same(s, schedule_contraction(s.kernel, params))


@few
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_few_rows_in_several_chains(m: int, n: int, k: int, chains: int, epilogue: bool) -> None:
    s = matmul(m, n, k, epilogue=epilogue)
    params = Params(2, 4, 6, parallel="columns", chains=chains)
    assert_same(s, schedule_contraction(s.kernel, params))


def test_batches_belong_to_threads() -> None:
    s = matmul(9, 10, 13, epilogue=True, batch=3)
    params = Params(2, 4, 6, 4, 2, True, True, "batch")
    k = schedule_contraction(s.kernel, params)
    assert_same(s, k)
    assert all(b.level == "thread" for b in k.scratch) and "barrier" not in print_kernel(k)


def transposed(m: int, n: int, k: int, dtype: np.dtype = F32) -> Sample:
    """``c[i, j] = sum_k a[i, k]·w[j, k]``."""
    i, j, kk = Axis("i", m), Axis("j", n), Axis("k", k)
    a, w = Buffer("a", (m, k), dtype), Buffer("w", (n, k), dtype)
    c = Buffer("c", (m, n), dtype, "output")
    zero, x, y, acc, new, total = (Var(dtype) for _ in range(6))
    fold = loop(
        kk,
        [Load(x, a, at(i, kk)), Load(y, w, at(j, kk)), Map(new, "fma", (x, y, acc))],
        carries=(Carry(acc, zero, new, total),),
        fold=ADD,
    )
    nest = loop(i, [loop(j, [fold, Store(c, at(i, j), total)])])
    kernel = Kernel("matmul_t", (a, w, c), (), [Const(zero, 0.0), nest])
    return Sample(kernel, {"i": i, "j": j, "k": kk}, {"a": a, "w": w, "c": c})


@few
@given(sizes, sizes, sizes)
def test_transposed_operand_is_packed(m: int, n: int, k: int) -> None:
    s = transposed(m, n, k)
    assert_same(s, schedule_contraction(s.kernel, small))


def gated(m: int, n: int, k: int, sums: int, both: bool) -> Sample:
    """``c[i, j] = product over q of sum_k x[i, k]·w_q[k, j]``; with ``both``, all sums stored."""
    i, j, kk = Axis("i", m), Axis("j", n), Axis("k", k)
    x = Buffer("x", (m, k), F32)
    ws = [Buffer(f"w{q}", (k, n), F32) for q in range(sums)]
    outs = [Buffer(f"c{q}", (m, n), F32, "output") for q in range(sums if both else 1)]
    zero, left = Var(F32), Var(F32)
    body: list[Stmt] = [Load(left, x, at(i, kk))]
    carries = []
    for w in ws:
        right, acc, new, total = (Var(F32) for _ in range(4))
        body += [Load(right, w, at(kk, j)), Map(new, "fma", (left, right, acc))]
        carries.append(Carry(acc, zero, new, total))
    after: list[Stmt] = []
    result = carries[0].result
    for c in carries[1:]:
        following = Var(F32)
        after.append(Map(following, "mul", (result, c.result)))
        result = following
    results = [result, *(c.result for c in carries[1:])]
    after += [Store(c, at(i, j), r) for c, r in zip(outs, results, strict=False)]
    fold = loop(kk, body, carries=tuple(carries), fold=ADD)
    nest = loop(i, [loop(j, [fold, *after])])
    kernel = Kernel("gated", (x, *ws, *outs), (), [Const(zero, 0.0), nest])
    buffers = {b.name: b for b in kernel.params}
    return Sample(kernel, {"i": i, "j": j, "k": kk}, buffers)


@few
@given(
    sizes,
    sizes,
    sizes,
    st.integers(2, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["rows", "columns", "none"]),
)
def test_several_sums_share_a_tile(
    m: int, n: int, k: int, sums: int, both: bool, packed: bool, parallel: str
) -> None:
    s = gated(m, n, k, sums, both)
    (contraction,) = find_contractions(s.kernel)
    assert contraction.sums == sums
    params = Params(2, 4, 6, 4, 2, packed, packed, parallel)
    assert_same(s, schedule_contraction(s.kernel, params))


def test_tiles_of_several_sums_fit_into_the_registers() -> None:
    for sums in (1, 2, 3, 4):
        (contraction,) = find_contractions(gated(64, 64, 64, sums, False).kernel)
        for registers in (16, 32):
            params = default_params(contraction, 1, 32, registers)
            shared = params.rows if sums > 1 else 0
            assert params.rows * params.columns // 8 * sums + shared + 1 < registers


def gram(m: int, k: int) -> Sample:
    """``c[i, j] = sum_k x[i, k]·x[j, k]·s[i]``, the scale loaded once per row."""
    i, j, kk = Axis("i", m), Axis("j", m), Axis("k", k)
    x = Buffer("x", (m, k), F32)
    scale = Buffer("s", (m,), F32)
    c = Buffer("c", (m, m), F32, "output")
    zero, a, b, acc, new, total, r, out = (Var(F32) for _ in range(8))
    fold = loop(
        kk,
        [Load(a, x, at(i, kk)), Load(b, x, at(j, kk)), Map(new, "fma", (a, b, acc))],
        carries=(Carry(acc, zero, new, total),),
        fold=ADD,
    )
    inner = loop(j, [fold, Map(out, "mul", (total, r)), Store(c, at(i, j), out)])
    nest = loop(i, [Load(r, scale, at(i)), inner])
    kernel = Kernel("gram", (x, scale, c), (), [Const(zero, 0.0), nest])
    return Sample(kernel, {"i": i, "j": j, "k": kk}, {"x": x, "s": scale, "c": c})


@few
@given(sizes, sizes)
def test_one_buffer_as_both_operands(m: int, k: int) -> None:
    s = gram(m, k)
    assert_same(s, schedule_contraction(s.kernel, small))


def convolution(c: int, o: int, h: int, w: int, r: int) -> Sample:
    """``y[p, q, o] = sum_{c, u, v} x[p+u, q+v, c]·f[c, u, v, o]``: three loops of one fold."""
    p, q, oo = Axis("p", h), Axis("q", w), Axis("o", o)
    cc, u, v = Axis("c", c), Axis("u", r), Axis("v", r)
    x = Buffer("x", (h + r - 1, w + r - 1, c), F32)
    f = Buffer("f", (c, r, r, o), F32)
    y = Buffer("y", (h, w, o), F32, "output")
    zero, a, b, new = (Var(F32) for _ in range(4))
    entries = [Var(F32) for _ in range(3)]
    results = [Var(F32) for _ in range(3)]
    inner = loop(
        v,
        [
            Load(a, x, at(Affine.of(p) + u, Affine.of(q) + v, cc)),
            Load(b, f, at(cc, u, v, oo)),
            Map(new, "fma", (a, b, entries[2])),
        ],
        carries=(Carry(entries[2], entries[1], new, results[2]),),
        fold=ADD,
    )
    middle = loop(
        u, [inner], carries=(Carry(entries[1], entries[0], results[2], results[1]),), fold=ADD
    )
    outer = loop(cc, [middle], carries=(Carry(entries[0], zero, results[1], results[0]),), fold=ADD)
    nest = loop(p, [loop(q, [loop(oo, [outer, Store(y, at(p, q, oo), results[0])])])])
    kernel = Kernel("conv", (x, f, y), (), [Const(zero, 0.0), nest])
    return Sample(kernel, {"p": p, "q": q, "o": oo, "c": cc}, {"x": x, "f": f, "y": y})


@pytest.mark.parametrize("parallel", ["rows", "columns", "none"])
def test_convolution_is_a_contraction(parallel: str) -> None:
    s = convolution(5, 6, 4, 5, 3)
    (found,) = find_contractions(s.kernel)
    assert [x.axis.name for x in found.m] == ["p", "q"]
    assert [x.axis.name for x in found.n] == ["o"]
    assert [x.axis.name for x in found.k] == ["c", "u", "v"]
    k = schedule_contraction(s.kernel, Params(2, 4, 18, 4, 2, True, True, parallel))
    assert_same(s, k)


@few
@given(
    st.integers(1, 4),
    st.integers(1, 5),
    st.tuples(st.integers(1, 3), st.integers(1, 7)),
    st.integers(1, 2),
    st.booleans(),
    st.booleans(),
    st.sampled_from([("batch", 0), ("batch", 1), ("none", 0)]),
)
def test_sweeps(
    c: int,
    o: int,
    place: tuple[int, int],
    r: int,
    turned: bool,
    left: bool,
    parallel: tuple[str, int],
) -> None:
    """Both ways round: results wait in scratch and are turned, folds may take several blocks."""
    s = convolution(c, o, *place, r)
    kind, share = parallel
    numbers = Params(3, 4, 2 * r * r, place[1], 2, left, True, kind)
    params = replace(numbers, sweep=True, turned=turned, share=share)
    assert_same(s, schedule_contraction(s.kernel, params))


def test_a_sweep_packs_once_and_turns_rows() -> None:
    s = channels_first(16, 32, 20, 24, 3)
    (found,) = find_contractions(s.kernel)
    params = default_params(found, threads=2)
    assert params.sweep and params.turned and params.columns == 32 and 24 % params.rows == 0
    k = schedule_contraction(s.kernel, params, found)
    check_kernel(k)
    text = print_kernel(k)
    assert "scratch f_packed: f32[1,3,3,16,32] shared" in text
    assert "scratch y_packed: f32[1,24,32] thread" in text
    assert "scratch x_packed: f32[3,26,16]" in text and text.count("barrier") == 1


def test_a_sweep_needs_rows_to_pack_for() -> None:
    few_rows = convolution(64, 64, 2, 4, 3)
    (found,) = find_contractions(few_rows.kernel)
    assert not default_params(found, threads=2).sweep


def channels_first(c: int, o: int, h: int, w: int, r: int) -> Sample:
    """``y[o, p, q] = sum_{c, u, v} x[c, p+u, q+v]·f[o, c, u, v]``."""
    s = convolution(c, o, h, w, r)
    p, q, oo = (s.axes[name] for name in "pqo")
    buffers = {
        "x": Buffer("x", (c, h + r - 1, w + r - 1), F32),
        "f": Buffer("f", (o, c, r, r), F32),
        "y": Buffer("y", (o, h, w), F32, "output"),
    }

    def moved(stmt: Stmt) -> Stmt:
        if isinstance(stmt, For):
            return replace(stmt, body=[moved(x) for x in stmt.body])
        if isinstance(stmt, Load | Store):
            i, order = stmt.index, {"x": (2, 0, 1), "f": (3, 0, 1, 2), "y": (2, 0, 1)}
            index = tuple(i[d] for d in order[stmt.buffer.name])
            return replace(stmt, buffer=buffers[stmt.buffer.name], index=index)
        return stmt

    inner = moved(find_loop(s.kernel, oo))
    assert isinstance(inner, For)
    nest = loop(oo, [loop(p, [loop(q, inner.body)])])
    kernel = Kernel("conv", tuple(buffers.values()), (), [s.kernel.body[0], nest])
    return Sample(kernel, s.axes, buffers)


def test_roles() -> None:
    s = matmul(4, 5, 6, batch=2, epilogue=True)
    (found,) = find_contractions(s.kernel)
    assert [x.axis.name for x in found.m] == ["b", "i"]
    assert found.column is s.axes["j"] and found.row is s.axes["i"]
    assert find_contractions(softmax(3, 4).kernel) == []


def test_result_contiguous_in_the_left_operand_swaps_sides() -> None:
    s = matmul(4, 5, 6)
    c = Buffer("c", (5, 4), F32, "output")
    nest = s.kernel.body[-1]
    fold, store = nest.body[0].body  # type: ignore[union-attr]
    new = Store(c, at(s.axes["j"], s.axes["i"]), store.value)
    swapped = replace_loop(s.kernel, s.axes["j"], lambda x: [replace(x, body=[fold, new])])
    kernel = swapped.evolve(params=(*s.kernel.params[:2], c))
    t = Sample(kernel, s.axes, {**s.buffers, "c": c})
    (found,) = find_contractions(kernel)
    assert found.column is s.axes["i"] and found.row is s.axes["j"]
    assert_same(t, schedule_contraction(kernel, small))


def test_what_a_cache_holds_is_read_in_place() -> None:
    (found,) = find_contractions(matmul(256, 512, 512).kernel)
    params = default_params(found, threads=2)
    assert not (params.pack_left or params.pack_right)
    (found,) = find_contractions(matmul(256, 1024, 512).kernel)
    assert default_params(found, threads=2).pack_right


def test_operands_without_a_contiguous_axis_are_packed() -> None:
    s = transposed(256, 256, 256)
    (found,) = find_contractions(s.kernel)
    assert default_params(found, threads=2).pack_right  # columns lie apart
    (load,) = found.left
    apart = replace(load.buffer, strides=(512 * 256, 512))
    left = (replace(load, buffer=apart),)
    assert default_params(replace(found, left=left), threads=2).pack_left


def test_the_schedule_of_a_large_product() -> None:
    s = matmul(1024, 1024, 2048)
    (found,) = find_contractions(s.kernel)
    params = default_params(found, threads=2)
    assert (params.rows, params.columns, params.block) == (8, 32, 1024)
    k = schedule_contraction(s.kernel, params, found)
    check_kernel(k)
    text = print_kernel(k)
    assert "fma" in text and text.count("serial k") == 2  # two blocks of 1024
    assert "scratch w_packed: f32[32,1024,32] shared" in text
    assert "load w_packed[j, k+ku, jv]" in text and "load a[i+ii+iit, k+ku]" in text


@pytest.mark.parametrize(
    ("m", "n", "k", "dtype", "parallel"),
    [(1, 300, 40, F32, "columns"), (8, 70, 20, F64, "columns"), (40, 36, 30, F64, "rows")],
)
def test_default_numbers_fit_the_shape(
    m: int, n: int, k: int, dtype: np.dtype, parallel: str
) -> None:
    s = matmul(m, n, k, dtype, epilogue=True)
    (found,) = find_contractions(s.kernel)
    params = default_params(found, threads=2)
    assert params.parallel == parallel
    vectors = params.columns * dtype.itemsize // 64
    assert params.rows * vectors <= 26
    assert_same(s, schedule_contraction(s.kernel, params))


def test_matrix_times_vector_shares_columns() -> None:
    s = matmul(1, 9, 7)
    i = s.axes["i"]
    kernel = inline_loop(s.kernel, i)
    t = Sample(kernel, s.axes, s.buffers)
    (found,) = find_contractions(kernel)
    assert found.row is None
    k = schedule_contraction(kernel, small)
    assert find_loop(k, s.axes["j"]).kind == "parallel"
    assert_same(t, k)


def test_divided_axes_are_read_in_place() -> None:
    s = matmul(5, 6, 12)
    k = s.axes["k"]
    a = Buffer("a", (5, 3, 4), F32)
    load = next(x for x in walk(s.kernel.body) if isinstance(x, Load) and x.buffer.name == "a")
    split_k = (Affine.of(s.axes["i"]), Affine.of(k).floordiv(4), Affine.of(k).mod(4))
    fold = find_loop(s.kernel, k)
    body = [replace(x, buffer=a, index=split_k) if x is load else x for x in fold.body]
    kernel = replace_loop(s.kernel, k, lambda x: [replace(x, body=body)])
    kernel = kernel.evolve(params=(a, *s.kernel.params[1:]))
    t = Sample(kernel, s.axes, {**s.buffers, "a": a})
    (found,) = find_contractions(kernel)
    assert_same(t, schedule_contraction(kernel, default_params(found, threads=2)))
    assert_same(t, schedule_contraction(kernel, replace(small, block=8, pack_left=False)))


@pytest.mark.parametrize(("m", "n", "share"), [(3, 37, 16), (1, 40, 20), (5, 8, 8), (2, 9, 100)])
def test_long_rows_are_streamed(m: int, n: int, share: int) -> None:
    s = matmul(m, n, 15, epilogue=True)
    params = Params(2, 4, 6, unroll=2, parallel="columns", column_block=share)
    k = schedule_contraction(s.kernel, params)
    assert not k.scratch  # sums wait in the output
    assert_same(s, k)


def test_refusals() -> None:
    with pytest.raises(ScheduleError, match="kernel softmax has no contraction"):
        schedule_contraction(softmax(3, 4).kernel, small)
    s = matmul(3, 4, 5)
    with pytest.raises(ScheduleError, match="has no loop but its rows and columns"):
        schedule_contraction(s.kernel, Params(parallel="batch"))


def test_long_rows_are_not_shared_where_there_is_one_thread() -> None:
    s = matmul(1, 40, 15)
    params = Params(2, 4, 6, unroll=2, parallel="none", column_block=20)
    k = schedule_contraction(s.kernel, params)
    assert not any(isinstance(x, For) and x.kind == "parallel" for x in walk(k.body))
    assert_same(s, k)
