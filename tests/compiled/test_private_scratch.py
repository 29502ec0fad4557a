"""Private scratch that no thread's stack has room for lies in the arena, a part per thread."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

import weft
from weft.compile import compile_jaxpr
from weft.core.bounded import BoundedCache
from weft.kernels import candidates, plan, strategy
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.program import STACK_SCRATCH, placed_scratch, walk_steps
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.numbers import default_params
from weft.kernels.strategy import apply_choice


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = weft.config.threads
    yield
    weft.config.threads = before


def operands(*lead: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices whose packed block (ten megabytes) is larger than a stack."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((*lead, 96, 600), dtype=np.float32)
    return a, rng.standard_normal((*lead, 600, 8192), dtype=np.float32)


@pytest.mark.parametrize(("threads", "lead"), [(1, ()), (2, (4,))])
def test_large_packed_blocks(threads: int, lead: tuple[int, ...]) -> None:
    weft.config.threads = threads
    a, b = operands(*lead)
    got = weft.jit(lambda a, b: a @ b)(a, b)
    np.testing.assert_allclose(np.asarray(got), a @ b, atol=1e-3)


def packed_by_each_thread(kernel: Kernel, machine: Machine) -> Kernel:
    """The schedule in which a thread takes whole matrices and packs the right operand for itself.

    Whether it is the cheapest depends on the caches of the host, so no price is asked.
    """
    (found,) = find_contractions(kernel)
    params = default_params(found, machine.threads, machine.vector_bytes, machine.registers)
    params = replace(params, pack_right=True, parallel="batch")
    return apply_choice(kernel, machine, candidates.Choice(contraction=params))


def test_a_pool_that_has_grown_since_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def contest(kernel: Kernel, machine: Machine, floor: float) -> candidates.Contest:
        alone = [lambda: packed_by_each_thread(kernel, machine)]
        return candidates.Contest(kernel, machine, alone)

    monkeypatch.setattr(strategy, "contest", contest)
    monkeypatch.setattr(plan, "_entries", BoundedCache(16))
    weft.config.threads = 2
    a, b = operands(8)
    executable = compile_jaxpr(weft.make_jaxpr(lambda a, b: a @ b)(a, b))
    kernels = [s.kernel for s in walk_steps(executable.program.steps)]
    assert any(x.level == "thread" for k in kernels for x in placed_scratch(k))
    weft.config.threads = 4
    (got,) = executable(a, b)
    np.testing.assert_allclose(np.asarray(got), a @ b, atol=1e-3)


def test_small_scratch_stays_on_the_stack() -> None:
    x = np.ones((64, 256), np.float32)
    executable = compile_jaxpr(weft.make_jaxpr(lambda x: weft.nn.softmax(x, -1))(x))
    for step in walk_steps(executable.program.steps):
        total = sum(b.extent * b.dtype.itemsize for b in step.kernel.scratch)
        assert total <= STACK_SCRATCH
        assert all(b.level == "shared" for b in placed_scratch(step.kernel))
