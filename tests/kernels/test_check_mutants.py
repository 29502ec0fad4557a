"""The checker accepts what the planner makes, and nothing broken: compared with exact enumeration.

Kernels of small programs, scheduled for two threads and for a GPU, are broken in one place each.
Whatever `exact.fault` finds wrong with a mutant, the checker must refuse.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

import weft
from tests.codegen.gpu_programs import GPU
from tests.kernels.exact import fault
from tests.kernels.mutants import mutant
from weft import numpy as wnp
from weft.kernels import strategy, strategy_gpu
from weft.kernels.assemble import assemble
from weft.kernels.check import KernelError, check_kernel
from weft.kernels.ir import Kernel
from weft.kernels.plan import plan
from weft.kernels.print import print_kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.machines import host_machine
from weft.terms.lower import lower_jaxpr

CPU = host_machine(2)

#: How often something is broken: in all kernels of a program, and at least in each.
MUTANTS, FEWEST = 300, 20

F32, I32 = np.dtype(np.float32), np.dtype(np.int32)


def matmul(x: Any, y: Any) -> Any:
    return wnp.tanh(x @ y) + 1


def softmax(x: Any) -> Any:
    e = wnp.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def turned(x: Any) -> Any:
    """Reshapes that no split of the axes makes affine."""
    y = x.T.reshape(9, 8).T.reshape(6, 12) * 2
    return y.reshape(8, 9).T, y.sum(0)


def windows(x: Any) -> Any:
    return x[1:-1, :-2] + x[1:-1, 1:-1] * 2 + x[1:-1, 2:], wnp.pad(x, 2)[::2].reshape(-1, 3)


def joined(x: Any) -> Any:
    y = wnp.concatenate([x, wnp.cos(x), x[:, ::-1]], 1)
    return wnp.roll(y, 5, 1).reshape(-1), wnp.stack([x, x + 1], 1).reshape(9, -1)


def running(x: Any) -> Any:
    return wnp.cumsum(x, 1), wnp.cumsum(x, 0), wnp.argmax(x, 1)


def sums(x: Any) -> Any:
    return x.sum(), x.max(0), (x * x).sum(1)


def gathered(x: Any, at: Any) -> Any:
    return x[at] * 2, x.at[at].add(1.0), x.at[2:4].set(0.0), wnp.take_along_axis(x, at[:, None], 1)


def update(x: Any, at: Any) -> Any:
    return weft.lax.dynamic_update_slice(x, x[:2, :3] * 2, (at[0], at[1]))


PROGRAMS: dict[str, tuple[Callable[..., Any], tuple[tuple[tuple[int, ...], np.dtype], ...]]] = {
    "matmul": (matmul, (((13, 9), F32), ((9, 17), F32))),
    "matmul wide": (matmul, (((3, 20), F32), ((20, 40), F32))),
    "softmax": (softmax, (((6, 19), F32),)),
    "turned": (turned, (((12, 6), F32),)),
    "windows": (windows, (((8, 11), F32),)),
    "joined": (joined, (((9, 4), F32),)),
    "running": (running, (((5, 18), F32),)),
    "sums": (sums, (((7, 33), F32),)),
    "gathered": (gathered, (((6, 5), F32), ((6,), I32))),
    "update": (update, (((6, 5), F32), ((2,), I32))),
}


@pytest.fixture(autouse=True)
def everything_in_parallel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads and packing for the smallest kernels too."""
    monkeypatch.setattr(strategy, "PARALLEL_WORK", 1)
    monkeypatch.setattr(strategy, "SMALL_CONTRACTION", 1)


def naive_kernels(name: str) -> list[Kernel]:
    """The kernels of a program before they are scheduled."""
    function, inputs = PROGRAMS[name]
    arrays = [np.zeros(shape, dtype) for shape, dtype in inputs]
    lowered = lower_jaxpr(weft.make_jaxpr(function)(*arrays))
    found: list[Kernel] = []
    assemble(lowered, lambda region: plan(region, CPU, found.append))
    return found


def schedules(kernel: Kernel, kind: str) -> list[Kernel]:
    """Every schedule that is tried for a naive kernel."""
    if kind == "gpu":
        return [strategy_gpu.schedule(kernel, GPU)]
    found: list[Kernel] = []
    for choice in strategy.open_choices(kernel, CPU):
        with suppress(ScheduleError):
            found.append(strategy.apply_choice(kernel, CPU, choice))
    return found


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_what_is_wrong_is_refused(name: str, kind: str) -> None:
    kernels = [made for naive in naive_kernels(name) for made in schedules(naive, kind)]
    mutants = max(FEWEST, MUTANTS // len(kernels))
    broken = 0
    for number, kernel in enumerate(kernels):
        check_kernel(kernel)
        assert fault(kernel) is None, print_kernel(kernel)
        for seed in range(mutants):
            found = mutant(kernel, mutants * number + seed)
            if found is None:
                continue
            how, wrong = found
            why = fault(wrong)
            if why is not None:
                broken += 1
                with pytest.raises(KernelError):
                    check_kernel(wrong)
                    pytest.fail(f"accepted ({how}) in spite of: {why}\n{print_kernel(wrong)}")
    assert broken >= 10
