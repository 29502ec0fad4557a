"""Which outputs go past the caches, on fixed models of processors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.samples import F32, at, loop
from weft.kernels.ir import Buffer, Const, Kernel, Load, Stmt, Store, Var, walk
from weft.kernels.machine import Machine, cpu_machine
from weft.kernels.past_caches import OUTGROWN, is_cheaper_past, store_past_caches
from weft.kernels.price.price import price
from weft.kernels.strategy import schedule
from weft.terms.affine import Axis

MESH = cpu_machine(2, 64, (48 << 10, 2 << 20, 32 << 20), "emeraldrapids")
NEAR = cpu_machine(2, 64, (32 << 10, 1 << 20, 32 << 20), "znver4")

sizes = st.integers(0, 1 << 28)


def transposed(n: int) -> Kernel:
    i, j = Axis("i", n), Axis("j", n)
    x, y, a = Buffer("x", (n, n), F32), Buffer("y", (n, n), F32, "output"), Var(F32)
    inner: list[Stmt] = [Load(a, x, at(j, i)), Store(y, at(i, j), a)]
    return Kernel("transposed", (x, y), (), [loop(i, [loop(j, inner)])])


def filled(n: int) -> Kernel:
    i, y, a = Axis("i", n), Buffer("y", (n,), F32, "output"), Var(F32)
    return Kernel("filled", (y,), (), [Const(a, 1.0), loop(i, [Store(y, at(i), a)])])


def streams(kernel: Kernel) -> bool:
    found = {s.streaming for s in walk(kernel.body) if isinstance(s, Store)}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(
    ("machine", "n", "expected"),
    [
        (MESH, 1024, False),  # 4 MiB: much of it stays in the cores' own caches
        (MESH, 2048, True),
        (MESH, 4096, True),
        (NEAR, 2048, False),
        (NEAR, 4096, True),  # no cache holds it
        (replace(MESH, threads=1), 2048, False),  # one core alone does not fill the mesh
    ],
)
def test_results_go_past_a_cache_that_is_far_away(machine: Machine, n: int, expected: bool) -> None:
    assert streams(store_past_caches(transposed(n), machine)) is expected


@pytest.mark.parametrize(("machine", "expected"), [(MESH, True), (NEAR, False)])
def test_schedules_store_past_a_cache_that_is_far_away(machine: Machine, expected: bool) -> None:
    assert streams(schedule(transposed(2048), machine)) is expected


@given(sizes)
def test_kernels_that_only_write_keep_plain_stores(n: int) -> None:
    for machine in (MESH, NEAR):
        assert not streams(store_past_caches(filled(n), machine))


@given(sizes, sizes)
def test_what_goes_past_the_caches_does_at_any_larger_size(a: int, b: int) -> None:
    small, large = sorted((a, b))
    assert is_cheaper_past(large, MESH) >= is_cheaper_past(small, MESH)


@given(sizes)
def test_a_cache_that_reads_faster_than_memory_is_kept(nbytes: int) -> None:
    assert not is_cheaper_past(nbytes, NEAR)


@given(st.floats(0.1, 10.0), st.floats(0.1, 10.0), st.floats(0.1, 10.0))
def test_costs_of_lines_decide(near: float, passing: float, far: float) -> None:
    last = replace(
        MESH.levels[-1], cost=replace(MESH.levels[-1].cost, read=(near, near), write_back=(0, 0))
    )
    memory = replace(MESH.memory, streaming=(passing, passing), read=(far, far))
    machine = replace(MESH, levels=(*MESH.levels[:-1], last), memory=memory)
    enough = OUTGROWN * MESH.levels[1].capacity * MESH.threads
    assert is_cheaper_past(enough, machine) == bool(np.add(passing, far) < near + near)
    assert not is_cheaper_past(enough - 1, machine)


def test_the_price_agrees_that_a_far_cache_is_better_passed_by() -> None:
    kernel = schedule(transposed(2048), MESH)
    plain = schedule(transposed(2048), replace(MESH, memory=replace(MESH.memory, streaming=(9, 9))))
    assert streams(kernel)
    assert not streams(plain)
    assert price(kernel, MESH).seconds < price(plain, MESH).seconds
