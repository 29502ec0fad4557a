"""The discoveries planned for an H100, which nobody needs to have: what its model says of them.

As on a CPU, nothing here is run. What a GPU shows besides bytes is occupancy and coalescing, and
that it needs other schedules for the same programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from tests.discoveries.catalog import DISCOVERIES, attention
from weft import numpy as wnp
from weft.codegen import cuda
from weft.core.avals import ShapedArray
from weft.core.staging import trace_to_jaxpr
from weft.kernels.ir import For, Kernel, loops
from weft.kernels.machine import Machine, h100
from weft.kernels.price.gpu import GpuPrice
from weft.kernels.price.price import price
from weft.kernels.program import Launch
from weft.machines import host_machine
from weft.planning import plan_program

H100 = h100()
Shapes = tuple[tuple[int, ...], ...]


def kernels_for(machine: Machine, function: Callable[..., Any], shapes: Shapes) -> list[Kernel]:
    """The kernels of a program of float32 arrays, planned for a machine."""
    avals = [ShapedArray(s, np.dtype(np.float32)) for s in shapes]

    def flat(*args: Any) -> list[Any]:
        result = function(wnp, *args)
        return list(result) if isinstance(result, tuple) else [result]

    program = plan_program(trace_to_jaxpr(flat, avals), machine=machine)
    return [s.kernel for s in program.steps if isinstance(s, Launch)]


def planned(function: Callable[..., Any], *shapes: tuple[int, ...]) -> list[GpuPrice]:
    """The prices of the kernels on an H100; each has its text."""
    found = []
    for kernel in kernels_for(H100, function, shapes):
        cuda.emit_kernel(kernel)
        cold = price(kernel, H100, warm=False)
        assert isinstance(cold, GpuPrice)
        found.append(cold)
    return found


def named(name: str) -> Callable[..., Any]:
    return next(d.function for d in DISCOVERIES if d.name == name)


def crossing(prices: list[GpuPrice], level: str) -> float:
    """Bytes that cross the lower boundary of a level."""
    return sum(p.bytes[level] for p in prices)


S, D = 16384, 32
HEAD = ((S, D),) * 3
QKVO = 4 * 4 * S * D  # bytes of the inputs and the output of attention


@pytest.mark.parametrize(
    ("name", "operations"),
    [("attention", 5.0), ("causal attention", 2.8), ("capped attention", 5.0)],
)
def test_attention_is_one_kernel(name: str, operations: float) -> None:
    (found,) = planned(named(name), *HEAD)
    assert crossing([found], "L2") < 1.3 * QKVO  # one pass over memory
    # Every block reads the keys and values once from the L2 cache, and nothing of all pairs.
    assert crossing([found], "shared") < 1.1 * (found.grid * QKVO / 2 + QKVO)
    assert found.flops < operations * S * S * D
    assert found.coalescing > 0.95 and found.occupancy > 0.05
    assert found.shared <= 227 << 10 and found.registers <= 255
    assert found.grid >= 64


def test_a_window_leaves_blocks_out() -> None:
    (found,) = planned(named("attention within a window"), *HEAD)
    assert found.flops < 0.1 * 4 * S * S * D
    assert crossing([found], "shared") < 8 * QKVO


def test_rows_take_one_pass() -> None:
    rows, columns = 4096, 2048

    def softmax(np_: Any, x: Any) -> Any:
        e = np_.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    (found,) = planned(softmax, (rows, columns))
    assert crossing([found], "L2") < 1.05 * 2 * 4 * rows * columns
    assert found.occupancy >= 0.5 and found.coalescing > 0.95
    assert found.seconds < 1.5 * 2 * 4 * rows * columns / (H100.memory_bandwidth * 1e9)


def test_projections_are_one_launch() -> None:
    shapes = ((16384, 512), *((512, 384),) * 3)
    (found,) = planned(named("projections of the same rows"), *shapes)
    assert found.flops == 3 * 2 * 16384 * 512 * 384
    assert found.occupancy > 0.2 and found.coalescing > 0.95


@pytest.mark.parametrize("name", ["sum of a product", "trace of a product"])
def test_only_what_is_used_of_a_product(name: str) -> None:
    n = 4096
    found = planned(named(name), (n, n), (n, n))
    assert sum(p.flops for p in found) < 10 * n * n
    assert crossing(found, "L2") < 1.2 * 2 * 4 * n * n


@pytest.mark.parametrize("name", ["nearest distance", "nearest point", "sum of Gaussians"])
def test_pairs_are_one_kernel(name: str) -> None:
    (found,) = planned(named(name), (16384, 16), (16384, 16))
    assert crossing([found], "L2") < 1.5 * 4 * (2 * 16384 * 16 + 16384)
    assert found.coalescing > 0.9 and found.occupancy >= 0.5


def test_products_of_matrices_and_vectors() -> None:
    n = 2048
    found = planned(named("chain that ends in a vector"), *((n, n),) * 5, (n,))
    assert sum(p.flops for p in found) < 12 * n * n
    assert all(p.coalescing > 0.95 and p.occupancy >= 0.5 for p in found)


def test_masks_that_complement_each_other_read_once() -> None:
    (found,) = planned(named("complementary masks"), (16384, 2048))
    assert crossing([found], "L2") < 1.1 * 4 * 16384 * 2048
    assert found.coalescing > 0.95 and found.occupancy >= 0.5


# -- other choices than a CPU's --------------------------------------------------------------------


def test_a_sum_takes_several_launches_as_blocks_cannot_wait() -> None:
    n = 1 << 24

    def total(np_: Any, x: Any) -> Any:
        return x.sum()

    found = planned(total, (n,))
    assert len(found) in (2, 3) and found[0].grid >= H100.threads
    assert sum(p.seconds for p in found) < 3 * 4 * n / (H100.memory_bandwidth * 1e9)
    assert len(kernels_for(host_machine(2), total, ((n,),))) == 1


def test_blocks_of_attention_have_other_sizes() -> None:
    def sizes(machine: Machine) -> set[tuple[str, int]]:
        (kernel,) = kernels_for(machine, attention(lambda _, s: s), HEAD)
        return {(x.kind, x.step) for x in loops(kernel.body) if is_blocked(x)}

    def is_blocked(loop: For) -> bool:
        return loop.step > 1 and not loop.carries and any(isinstance(s, For) for s in loop.body)

    gpu, cpu = sizes(H100), sizes(host_machine(2))
    rows = {step for kind, step in gpu if kind == "parallel"}
    assert rows and rows <= {64, 128}
    assert rows.isdisjoint(step for kind, step in cpu if kind == "parallel")


def test_few_rows_are_not_computed_in_shares() -> None:
    def decode(np_: Any, q: Any, k: Any, v: Any) -> Any:
        p = np_.exp(k @ q / 8 - (k @ q / 8).max())
        return (p / p.sum()) @ v

    shapes = ((64,), (65536, 64), (65536, 64))
    found = planned(decode, *shapes)
    assert len(found) > 1  # on a CPU: one kernel, in which all threads wait for each other
    assert all(p.grid >= H100.threads for p in found if p.bytes["L2"] > 1 << 20)


def test_a_kernel_that_fits_no_multiprocessor_is_refused() -> None:
    from weft.kernels.price.price import estimate_of
    from weft.kernels.schedule.errors import ScheduleError

    (kernel,) = kernels_for(H100, attention(lambda _, s: s), HEAD)
    small = weft.kernels.machine.gpu_machine("small", 8, 32, 16 << 10, 100.0)
    with pytest.raises(ScheduleError, match="no multiprocessor of small has room for it"):
        estimate_of(kernel, small)
