"""The price on a GPU: exact counts on small kernels, and what limits the blocks at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.samples import F32, at, loop
from tests.kernels.test_price import elementwise, transpose
from weft.kernels.ir import Buffer, Kernel, Load, Store, Var
from weft.kernels.machine import gpu_machine, h100
from weft.kernels.price.gpu import GpuPrice
from weft.kernels.price.price import Estimate, estimate_of, price
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import vectorize
from weft.kernels.strategy_gpu import Choice, choices, contest, schedule
from weft.terms.affine import Axis

H100 = h100()


def cold(kernel: Kernel) -> GpuPrice:
    found = price(kernel, H100, warm=False)
    assert isinstance(found, GpuPrice)
    return found


@given(st.integers(1, 1 << 16), st.sampled_from((64, 128, 256)))
def test_every_byte_moves_once(sectors: int, block: int) -> None:
    n = 8 * sectors
    found = cold(schedule(elementwise(n), H100, Choice(block)))
    assert found.flops == n
    assert found.bytes["L2"] == pytest.approx(8 * n)
    assert found.bytes["shared"] == pytest.approx(8 * n, rel=0.01, abs=512)
    assert found.coalescing == 1.0
    assert found.seconds >= H100.fork_ns * 1e-9 + 8 * n / (H100.memory_bandwidth * 1e9) / 2


def test_a_price_grows_with_the_array() -> None:
    sizes = [1 << k for k in range(17, 27)]
    seconds = [cold(schedule(elementwise(n), H100)).seconds for n in sizes]
    assert seconds == sorted(seconds)


def test_threads_along_columns_are_not_coalesced() -> None:
    n = 1024
    kernel, i, j = transpose(n, n)
    along_rows = cold(parallelize(vectorize(kernel, j, 128), i))
    along_columns = cold(parallelize(vectorize(kernel, i, 128), j))
    assert along_rows.coalescing < 0.3 and along_columns.coalescing < 0.3  # one side each
    plain = elementwise(n, n)
    first, second = (x.axis for x in (plain.body[0], plain.body[0].body[0]))
    assert cold(parallelize(vectorize(plain, second, 128), first)).coalescing == 1.0


@pytest.mark.parametrize(("rows", "most"), [(16, 1.0), (256, 0.25), (440, 0.0625)])
def test_shared_memory_limits_the_blocks_at_a_time(rows: int, most: float) -> None:
    found = cold(staged(rows, 128))
    assert found.shared == 4 * rows * 128
    blocks = min(16, (228 << 10) // found.shared)
    assert found.occupancy == blocks * 128 / 2048 <= most


def staged(rows: int, lanes: int) -> Kernel:
    """A copy of some rows through memory shared by a block."""
    i, j, t, u = Axis("i", rows), Axis("j", rows), Axis("t", lanes), Axis("u", lanes)
    x, y = Buffer("x", (rows, lanes), F32), Buffer("y", (rows, lanes), F32, "output")
    kept = Buffer("kept", (rows, lanes), F32, "scratch")
    a, b = Var(F32, (t,)), Var(F32, (u,))
    body = [
        loop(i, [Load(a, x, at(i, t)), Store(kept, at(i, t), a)]),
        loop(j, [Load(b, kept, at(j, lanes - 1 - u.expr)), Store(y, at(j, u), b)]),
    ]
    return Kernel("staged", (x, y), (kept,), body, frozenset({t, u}))


def test_what_no_multiprocessor_has_room_for_is_refused() -> None:
    with pytest.raises(ScheduleError, match="262144 bytes of shared memory: no multiprocessor of"):
        estimate_of(staged(512, 128), H100)


def test_few_blocks_leave_multiprocessors_idle() -> None:
    def sums(blocks: int) -> float:
        kernel = elementwise(1 << 20)
        axis = kernel.body[0].axis
        inner = Axis("inner", (1 << 20) // blocks)
        return cold(parallelize(vectorize(split(kernel, axis, inner), inner, 128), axis)).seconds

    assert sums(4) > 3 * sums(64) > 3 * sums(1024)


def test_a_contest_takes_the_cheapest() -> None:
    kernel = elementwise(1 << 22)
    taken = contest(kernel, H100).winner()
    for choice in list(choices(H100.block))[:2]:
        assert taken.seconds <= price(schedule(kernel, H100, choice), H100).seconds / 0.93


def test_the_price_of_a_cpu_is_not_for_a_gpu() -> None:
    gpu = gpu_machine("other", 8, 32, 16 << 10, 100.0)
    with pytest.raises(ValueError, match="as for a CPU: use estimate_of for machines of kind"):
        Estimate(elementwise(64), gpu)


def test_an_empty_grid_moves_nothing() -> None:
    for shape in ((0,), (0, 4), (4, 0)):
        found = cold(schedule(elementwise(*shape), H100))
        assert found.flops == 0 and not any(found.bytes.values())
        assert found.seconds == pytest.approx(H100.fork_ns * 1e-9)
