"""`weft.config.check`: every level is checked as it is made; benchmarks pass at full size."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft.compile import compile_jaxpr
from weft.core.bounded import BoundedCache
from weft.core.jaxpr import ClosedJaxpr
from weft.kernels import plan as planning
from weft.kernels import strategy
from weft.kernels.assemble import assemble
from weft.kernels.check import KernelError
from weft.kernels.ir import Kernel
from weft.kernels.machine import gpu_machine
from weft.planning import plan_program
from weft.terms import lower
from weft.terms.check import TermError

GPU = gpu_machine("gpu", multiprocessors=108, block=256, shared_bytes=48 << 10, bandwidth=1000.0)


def doubled(n: int) -> ClosedJaxpr:
    return weft.make_jaxpr(lambda x: x * 2)(np.zeros(n, np.float32))


@pytest.fixture
def nothing_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kernels are made, and checked, anew."""
    monkeypatch.setattr(planning, "_entries", BoundedCache(2048))


@pytest.mark.usefixtures("nothing_planned")
def test_a_wrong_schedule_is_refused_before_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def twice(kernel: Kernel, machine: Any, choice: Any) -> Kernel:
        body = [s for s in kernel.body for _ in range(2)]
        return kernel.evolve(body=body)

    monkeypatch.setattr(strategy, "apply_choice", twice)
    with pytest.raises(KernelError, match="t0 is assigned twice"):
        compile_jaxpr(doubled(5))
    monkeypatch.setattr(weft.config, "check", False)
    monkeypatch.setattr(planning, "_entries", BoundedCache(2048))
    plan_program(doubled(5))


def test_wrong_terms_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made = lower.lower_jaxpr

    def twice(closed: ClosedJaxpr, *dots: Any) -> Any:
        program = made(closed, *dots)
        program.block.steps.append(program.block.steps[-1])
        return program

    monkeypatch.setattr(lower, "lower_jaxpr", twice)
    with pytest.raises(TermError, match="is defined a second time"):
        compile_jaxpr(doubled(6))


# -- benchmarks ------------------------------------------------------------------------------------


class Constant:
    """A random number generator that draws nothing: only types matter for planning."""

    def standard_normal(self, size: Any = (), dtype: Any = float) -> np.ndarray:
        return np.zeros(size, dtype)

    def random(self, size: Any = (), dtype: Any = float) -> np.ndarray:
        return np.ones(size, dtype)

    def integers(self, low: int, high: int, size: Any = ()) -> np.ndarray:
        return np.zeros(size, np.int64)


@pytest.fixture
def bench() -> Iterator[tuple[dict[str, Any], Any]]:
    """The workloads, and Weft's way to compute them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))
        import workloads
        from peers import jax_

        jax_.peer.select("weft")
        patch.setattr(np.random, "default_rng", lambda seed: Constant())
        yield workloads.WORKLOADS, jax_.peer
        for name in [m for m in sys.modules if m.split(".")[0] in ("peers", "workloads")]:
            del sys.modules[name]


def traced(workload: Any, peer: Any) -> ClosedJaxpr:
    inputs = [peer.array(x, workload.precision) for x in workload.inputs()]
    function: Callable[..., Any] | None = peer.functions.get(workload.name)
    if function is not None:
        return weft.make_jaxpr(function)(*inputs)
    return weft.make_jaxpr(peer.programs[workload.name](*workload.inputs()))()


@pytest.mark.usefixtures("nothing_planned")
def test_every_kernel_of_every_benchmark_passes(bench: tuple[dict[str, Any], Any]) -> None:
    workloads, peer = bench
    assert weft.config.check
    for workload in workloads.values():
        closed = traced(workload, peer)
        plan_program(closed)
        assemble(lower.lower_jaxpr(closed), lambda region: planning.plan(region, GPU))
