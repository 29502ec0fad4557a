"""The price: exact counts on small kernels, monotone in size, and what a schedule changes."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.samples import F32, F64, I32, at, few, loop, matmul, softmax
from weft.codegen.llvm_text import Module
from weft.codegen.scalar_llvm import Target, emit_op
from weft.kernels.ir import Buffer, Carry, Const, For, Kernel, Load, Map, Stmt, Store, Var
from weft.kernels.machine import cpu_machine
from weft.kernels.price.footprint import line_count, merge, usable_sets
from weft.kernels.price.op_costs import op_cost
from weft.kernels.price.price import price
from weft.kernels.schedule.order import parallelize, reorder
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import interleave, vectorize
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import ADD

machine = cpu_machine(1, 64, (32 << 10, 1 << 20, 32 << 20))
pair = cpu_machine(2, 64, (32 << 10, 1 << 20, 32 << 20))


def elementwise(*extents: int, op: str = "mul", streaming: bool = False) -> Kernel:
    """``y = op(x, x)`` over a row-major array, one loop per dimension."""
    axes = [Axis(f"i{n}", e) for n, e in enumerate(extents)]
    x, y = Buffer("x", extents, F32), Buffer("y", extents, F32, "output")
    a, b = Var(F32), Var(F32)
    body: list[Stmt] = [
        Load(a, x, at(*axes)),
        Map(b, op, (a, a)),
        Store(y, at(*axes), b, streaming=streaming),
    ]
    for axis in reversed(axes):
        body = [loop(axis, body)]
    return Kernel("elementwise", (x, y), (), body)


def column_sums(rows: int, columns: int) -> tuple[Kernel, Axis, Axis]:
    i, j = Axis("i", rows), Axis("j", columns)
    x, y = Buffer("x", (rows, columns), F32), Buffer("y", (columns,), F32, "output")
    zero, a, s, t, total = (Var(F32) for _ in range(5))
    fold = loop(
        i,
        [Load(a, x, at(i, j)), Map(t, "add", (s, a))],
        carries=(Carry(s, zero, t, total),),
        fold=ADD,
    )
    body: list[Stmt] = [Const(zero, 0.0), loop(j, [fold, Store(y, at(j), total)])]
    return Kernel("sums", (x, y), (), body), i, j


def transpose(n: int, m: int) -> tuple[Kernel, Axis, Axis]:
    i, j = Axis("i", m), Axis("j", n)
    x, y = Buffer("x", (n, m), F32), Buffer("y", (m, n), F32, "output")
    a = Var(F32)
    body: list[Stmt] = [loop(i, [loop(j, [Load(a, x, at(j, i)), Store(y, at(i, j), a)])])]
    return Kernel("transpose", (x, y), (), body), i, j


# -- footprints ------------------------------------------------------------------------------------


def test_footprints_of_nested_boxes() -> None:
    assert merge(4, [(4, 16), (400, 8)], 64) == (64, [(400, 8)])
    assert merge(4, [(64, 8), (4, 16)], 64) == (512, [])  # rows follow each other
    assert merge(4, [(4, 16), (4, 3)], 64) == (72, [])  # a sliding window: halos overlap
    assert line_count(64, [(400, 8)], 64) == 8
    assert line_count(65, [], 64) == 2


@few
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 300))
def test_lines_are_counted_as_they_fall(rows: int, columns: int, pitch: int) -> None:
    pitch = max(pitch, columns)
    touched = {(64 * r * pitch + 64 * c) // 64 for r in range(rows) for c in range(columns)}
    run, segments = merge(64, [(64 * pitch, rows), (64, columns)], 64)
    assert line_count(run, segments, 64) >= len(touched)
    if pitch != columns + 1:  # a gap of one line is bridged: the prefetchers fetch it too
        assert line_count(run, segments, 64) == len(touched)


def test_power_of_two_strides_use_few_sets() -> None:
    assert usable_sets(64, [(4096, 8)], 64, 64) == 1
    assert usable_sets(64, [(4096 + 64, 8)], 64, 64) == 8
    assert usable_sets(64, [(2048, 8)], 64, 64) == 2
    assert usable_sets(1 << 20, [], 64, 64) == 64


# -- exact counts ----------------------------------------------------------------------------------


def test_every_line_moves_once_from_memory() -> None:
    n = 1 << 20
    kernel = elementwise(n)
    axis = kernel.body[0].axis  # type: ignore[union-attr]
    found = price(vectorize(kernel, axis, 64), machine, warm=False)
    assert found.flops == n
    # Read, fill before writing, write back.
    assert found.bytes == {"L1": 12.0 * n, "L2": 12.0 * n, "L3": 12.0 * n}


def test_streaming_stores_fill_nothing() -> None:
    n = 1 << 20
    found = price(elementwise(n, streaming=True), machine, warm=False)
    assert found.bytes["L3"] == 8.0 * n


def test_what_fits_stays() -> None:
    found = price(elementwise(1024), machine)
    assert found.bytes == {"L1": 0.0, "L2": 0.0, "L3": 0.0}
    found = price(elementwise(1 << 15), machine)  # 256 KB in all
    assert found.bytes["L1"] == 12.0 * (1 << 15)
    assert found.bytes["L2"] == 0.0


def test_contractions_count_two_flops_per_product() -> None:
    s = matmul(8, 16, 32, epilogue=True)
    assert price(s.kernel, machine).flops == 2 * 8 * 16 * 32 + 2 * 8 * 16
    tiled = interleave(vectorize(s.kernel, s.axes["j"], 16), s.axes["i"], 4)
    assert price(tiled, machine).flops == 2 * 8 * 16 * 32 + 2 * 8 * 16


def test_register_tile_runs_at_the_rate_of_the_multiplier() -> None:
    s = matmul(8, 32, 256)
    tiled = interleave(vectorize(s.kernel, s.axes["j"], 32), s.axes["i"], 8)
    hot = max(price(tiled, machine).blocks, key=lambda b: b.compute)
    assert hot.times == 256
    assert hot.cycles == 16.0  # 8 × 2 registers, one product each per cycle
    assert hot.spills == 0


def test_too_many_accumulators_spill() -> None:
    s = matmul(16, 64, 256)
    tiled = interleave(vectorize(s.kernel, s.axes["j"], 64), s.axes["i"], 16)
    assert max(b.spills for b in price(tiled, machine).blocks) > 30


def test_one_accumulator_waits_for_itself() -> None:
    kernel, _, j = column_sums(4096, 64)
    one = max(price(vectorize(kernel, j, 16), machine).blocks, key=lambda b: b.compute)
    assert one.cycles == 3.0  # the latency of an addition
    four = max(price(vectorize(kernel, j, 64), machine).blocks, key=lambda b: b.compute)
    assert four.cycles == 4.0  # four additions side by side


def test_guarded_and_dynamic_accesses_are_priced() -> None:
    i = Axis("i", 4096)
    where, x = Buffer("where", (4096,), I32), Buffer("x", (1 << 22,), F32)
    y = Buffer("y", (4096,), F32, "output")
    from weft.terms.affine import Dynamic

    k, a = Var(I32), Var(F32)
    index = (Affine.of(Dynamic(k, 0, (1 << 22) - 1)),)
    body: list[Stmt] = [loop(i, [Load(k, where, at(i)), Load(a, x, index), Store(y, at(i), a)])]
    kernel = Kernel("gather", (where, x, y), (), body)
    found = price(kernel, machine, warm=False)
    assert found.bytes["L3"] == pytest.approx(64 * 4096 + 3 * 4 * 4096, rel=0.1)  # a line each
    wide = price(vectorize(kernel, i, 16), machine, warm=False)
    assert wide.bytes["L3"] == pytest.approx(found.bytes["L3"], rel=0.1)


def test_empty_loops_cost_nothing() -> None:
    found = price(elementwise(0, 16), machine)
    assert found.flops == 0
    assert found.seconds < 1e-8


def test_divisions_move_now_and_then() -> None:
    i = Axis("i", 4096)
    x, y = Buffer("x", (64, 64), F32), Buffer("y", (4096,), F32, "output")
    a = Var(F32)
    row = i.expr.floordiv(64)
    repeat = loop(i, [Load(a, x, (row, Affine())), Store(y, at(i), a)])
    found = price(Kernel("repeat", (x, y), (), [repeat]), machine, warm=False)
    assert found.bytes["L3"] == 64 * 64 + 2 * 4 * 4096  # one line of each row of x
    a = Var(F32)
    wrapped = loop(i, [Load(a, x, (Affine(), i.expr.mod(64))), Store(y, at(i), a)])
    found = price(Kernel("wrap", (x, y), (), [wrapped]), machine, warm=False)
    assert found.bytes["L3"] == 256 + 2 * 4 * 4096  # the first row again and again


def test_siblings_share_only_what_both_touch() -> None:
    x, n = Buffer("x", (1 << 16,), F32), 1 << 15
    y = Buffer("y", (n,), F32, "output")

    def copy(lo: int) -> Stmt:
        i, a = Axis("i", n), Var(F32)
        return loop(i, [Load(a, x, (i.expr + lo,)), Store(y, at(i), a)])

    again = price(Kernel("again", (x, y), (), [copy(0), copy(0)]), machine, warm=False)
    apart = price(Kernel("apart", (x, y), (), [copy(0), copy(n)]), machine, warm=False)
    assert again.bytes["L3"] == 12 * n
    assert apart.bytes["L3"] == 16 * n


# -- comparisons -----------------------------------------------------------------------------------


@few
@given(st.integers(2, 2000), st.integers(2, 64))
def test_more_work_takes_longer(rows: int, columns: int) -> None:
    columns *= 16

    def seconds(r: int, c: int) -> float:
        kernel = elementwise(r, c)
        axis = kernel.body[0].body[0].axis  # type: ignore[union-attr]
        return price(vectorize(kernel, axis, 16), machine).seconds

    assert seconds(rows, columns) <= seconds(2 * rows, columns)
    assert seconds(rows, columns) <= seconds(rows, 2 * columns)


def test_a_tile_beyond_the_cache_misses_more() -> None:
    def misses(block: int) -> float:
        kernel, i, j = transpose(1024 + 16, 1024 + 16)
        kernel = split(kernel, j, Axis("jt", block))
        kernel = reorder(kernel, i, j)
        return price(kernel, machine).bytes["L1"]

    assert misses(16) < misses(520)


def test_columns_of_power_of_two_rows_conflict() -> None:
    def misses(pitch: int) -> float:
        kernel, _, _ = transpose(128, pitch)  # 128 lines at a time, which would fit
        return price(kernel, machine).bytes["L1"] / (128 * pitch)

    assert misses(1024) > 4 * misses(1024 + 16 * 3)


def test_vectors_pay() -> None:
    s = softmax(64, 512)
    wide = s.kernel
    for name in ("j0", "j1", "j2"):
        wide = vectorize(wide, s.axes[name], 32)
    assert price(wide, machine).seconds < 0.3 * price(s.kernel, machine).seconds


def test_threads_pay_where_there_is_work() -> None:
    small, large = matmul(8, 16, 16), matmul(256, 256, 256)
    for sample, pays in ((small, False), (large, True)):
        tiled = vectorize(sample.kernel, sample.axes["j"], 16)
        shared = parallelize(tiled, sample.axes["i"])
        assert (price(shared, pair).seconds < price(tiled, pair).seconds) is pays
        assert price(shared, pair).flops == price(tiled, pair).flops


def test_nested_parallel_loops_share_the_threads_once() -> None:
    kernel = elementwise(8, 64, 4096)
    (outer,) = kernel.body
    (inner,) = outer.body
    once = replace(outer, kind="parallel")
    twice = replace(once, body=[replace(inner, kind="parallel")])
    alone, nested = (price(kernel.evolve(body=[x]), pair).seconds for x in (once, twice))
    assert nested == pytest.approx(alone, rel=0.01)


def test_threads_write_whole_rows() -> None:
    kernel, i, j = transpose(512, 512)
    rows = price(parallelize(kernel, i), pair)
    columns = price(parallelize(reorder(kernel, i, j), j), pair)
    assert rows.ownership == 0
    assert columns.ownership > 0


# -- determinism and speed -------------------------------------------------------------------------


def test_names_do_not_matter() -> None:
    def seconds(dtype: np.dtype) -> float:
        s = matmul(37, 65, 129, dtype, epilogue=True)
        kernel = vectorize(s.kernel, s.axes["j"], 16)
        return price(parallelize(kernel, s.axes["i"]), pair).seconds

    assert seconds(F32) == seconds(F32)
    assert seconds(F64) > seconds(F32)


def test_registers_that_do_not_need_each_other_do_not_spill() -> None:
    kernel = elementwise(1 << 14, op="tanh")
    axis = next(s.axis for s in kernel.body if isinstance(s, For))
    for registers in (1, 8, 64):
        wide = vectorize(kernel, axis, 16 * registers)
        assert all(b.spills == 0 for b in price(wide, machine).blocks)
    s = matmul(64, 64, 64)  # sums are alive all the time
    crowded = vectorize(interleave(s.kernel, s.axes["i"], 16), s.axes["j"], 64)
    assert any(b.spills > 0 for b in price(crowded, machine).blocks)


def test_prices_read_well() -> None:
    s = matmul(64, 64, 64)
    kernel = parallelize(vectorize(s.kernel, s.axes["j"], 16), s.axes["i"])
    lines = str(price(kernel, pair)).splitlines()
    assert lines[0].endswith("on 2 threads")
    assert any("i > j > k" in x and "cycles" in x for x in lines)
    assert any(x.endswith("fork") for x in lines)


@pytest.mark.parametrize("op", ["exp", "log", "tanh", "logistic", "erf", "sin", "pow", "expm1"])
def test_operation_costs_are_those_of_the_generated_code(op: str) -> None:
    module = Module()
    f = module.function("k", ["ptr noalias %args"], linkage="internal")
    target = Target(64, frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"}), "x86_64")
    args = tuple(f.load("<16 x float>", "%args") for _ in range(2 if op == "pow" else 1))
    before = len(f._lines)
    emit_op(f, target, op, args, F32, F32, 16)
    computed = [x for x in f._lines[before:] if re.search(r"= ", x) and "bitcast" not in x]
    cost = op_cost(op, "f", 4)
    assert 0.6 * len(computed) <= cost.instructions <= 1.4 * len(computed)
