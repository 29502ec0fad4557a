"""Contractions whose blocks share tiles of their operands: any size, and what a warp asks for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop, matmul
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Barrier, Buffer, Kernel, Load, Store, Var, loops
from weft.kernels.machine import h100
from weft.kernels.price.gpu import GpuPrice
from weft.kernels.price.price import price
from weft.kernels.price.warps import is_divided, offsets, sectors, turns
from weft.kernels.schedule.collapse import collapse
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.tree import find_loop
from weft.kernels.strategy_gpu import schedule, staged
from weft.kernels.strategy_staged import Tile, stage_contraction, tiles
from weft.terms.affine import Axis

H100 = h100()
SMALL = Tile(2, 2, 3, 4, 4)  # 4×12 results from 4 steps of the fold at a time, by 8 threads

sizes = st.integers(1, 15)


@few
@given(sizes, sizes, st.sampled_from([(0, 1), (3, 2), (-4, 3)]))
def test_two_loops_become_one(m: int, n: int, start: tuple[int, int]) -> None:
    lo, step = start
    i, j = Axis("i", 3 * m), Axis("j", n)
    x = Buffer("x", (4 * m + 8, n), F32)
    y = Buffer("y", (4 * m + 8, n), F32, "output")
    v = Var(F32)
    body = [Load(v, x, at(i.expr + 4, j)), Store(y, at(i.expr + 4, j), v)]
    outer = replace(loop(i, [loop(j, body)]), lo=lo, hi=lo + m * step, step=step)
    naive = Kernel("copy", (x, y), (), [outer])
    p = Axis("p", m * n)
    one = collapse(naive, i, j, p)
    check_kernel(one)
    assert find_loop(one, p).trip == m * n
    given_ = {x: np.arange(x.size, dtype=F32).reshape(x.shape)}
    np.testing.assert_array_equal(run_kernel(one, given_)[y], run_kernel(naive, given_)[y])


def test_what_does_not_become_one() -> None:
    s = matmul(3, 4, 2)
    with pytest.raises(ScheduleError, match="i:3 and k:2 are not perfectly nested"):
        collapse(s.kernel, s.axes["i"], s.axes["k"])
    i, j = Axis("i", 2), Axis("j", 2)
    y = Buffer("y", (2, 2), F32, "output")
    body = [loop(i, [loop(j, [Store(y, at(i, j), Var(F32))], kind="parallel")])]
    with pytest.raises(ScheduleError, match="of different kinds"):
        collapse(Kernel("k", (y,), (), body), i, j)


@few
@given(st.integers(4, 11), st.integers(12, 30), st.integers(4, 11), st.sampled_from([0, 0, 2]))
def test_any_size(m: int, n: int, k: int, batch: int) -> None:
    s = matmul(m, n, k, epilogue=True, batch=batch)
    assert_same(s, stage_contraction(s.kernel, SMALL))
    assert_same(s, staged(s.kernel, replace(H100, block=32), SMALL))


def test_the_order_of_a_sum_stays() -> None:
    s = matmul(8, 24, 9)
    arguments = s.arguments(3)
    (plain,) = run_kernel(schedule(s.kernel, H100), arguments).values()
    (shared,) = run_kernel(staged(s.kernel, H100, SMALL), arguments).values()
    np.testing.assert_array_equal(shared, plain)


def test_both_operands_lie_in_shared_memory() -> None:
    s = matmul(8, 24, 8)
    kernel = staged(s.kernel, H100, SMALL)
    assert sorted(b.shape for b in kernel.scratch) == [(4, 4), (4, 12)]
    assert all(b.level == "thread" for b in kernel.scratch)  # of the one who runs it: a block
    inner = [x for x in loops(kernel.body) if x.kind == "unroll"]
    read = {x.buffer for x in inner[0].body if isinstance(x, Load)}
    assert read == set(kernel.scratch)


def test_small_contractions_are_not_staged() -> None:
    assert not list(tiles(matmul(64, 64, 4).kernel, H100))
    assert not list(tiles(matmul(1, 4096, 4096).kernel, H100))
    assert list(tiles(matmul(128, 128, 64).kernel, H100))
    with pytest.raises(ScheduleError, match="is not one contraction of rows and columns"):
        stage_contraction(Kernel("none", (), (), [Barrier()]), SMALL)


def test_a_processor_that_runs_blocks_has_no_shared_memory() -> None:
    machine = replace(H100, processor=H100)
    assert not list(tiles(matmul(512, 512, 512).kernel, machine))


# -- prices ----------------------------------------------------------------------------------------


def priced(sample: Sample, tile: Tile | None = None) -> GpuPrice:
    kernel = sample.kernel
    found = price(staged(kernel, H100, tile) if tile else schedule(kernel, H100), H100, warm=False)
    assert isinstance(found, GpuPrice)
    return found


def test_tiles_are_read_once_by_each_block() -> None:
    n = 2048
    tile = Tile(16, 8, 8, 16)
    found = priced(matmul(n, n, n), tile)
    assert found.flops == 2 * n**3
    blocks = (n // tile.height) * (n // tile.width)
    assert found.grid == blocks
    moved = 4 * blocks * (tile.height + tile.width) * n + 4 * n * n
    assert found.bytes["shared"] == pytest.approx(moved, rel=0.05)
    assert found.coalescing > 0.95
    assert found.seconds < priced(matmul(n, n, n)).seconds / 2


def test_the_best_tile_is_near_the_roof() -> None:
    n = 4096
    (c,) = find_contractions(matmul(n, n, n).kernel)
    assert c.sums == 1
    best = min(priced(matmul(n, n, n), t).seconds for t in tiles(matmul(n, n, n).kernel, H100))
    roof = 2 * n**3 / (2 * H100.products(4) * 1e9)
    assert roof < best < 1.4 * roof


@pytest.mark.parametrize(("pad", "most"), [(0, 16), (1, 2), (2, 1)])
def test_threads_meet_in_a_bank_unless_rows_are_apart(pad: int, most: int) -> None:
    t = Axis("t", 256)
    kept = Buffer("kept", (16, 128), F32, "scratch", strides=(128 + pad, 1))
    store = Store(kept, at(t.expr.mod(16), t.expr.floordiv(16)), Var(F32, (t,)))
    assert is_divided(store, t)
    assert turns(store, t, 32) == most


def test_rows_of_threads_touch_their_sectors() -> None:
    t = Axis("t", 64)
    x = Buffer("x", (8, 1024), F32)
    load = Load(Var(F32, (t,)), x, at(t.expr.floordiv(16), t.expr.mod(16)))
    assert offsets(load, t, 32) == [*range(16), *range(1024, 1040)]
    assert sectors(load, t, 32, 32) == (4.0, 4)
    apart = Load(Var(F32, (t,)), x, at(t.expr.floordiv(8), t.expr.mod(8) * 8))
    assert sectors(apart, t, 32, 32) == (4.0, 32)
    assert not is_divided(Load(Var(F32, (t,)), x, at(0, t)), t)
