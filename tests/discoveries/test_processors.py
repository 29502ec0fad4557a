"""The discoveries planned for processors of other kinds, wherever this runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.discoveries.catalog import DISCOVERIES, measure
from weft.kernels.machine import Machine, cpu_machine
from weft.machines import SHARE, machine_of
from weft.runtime.native import host_cpu

MESH = cpu_machine(2, 64, (48 << 10, 2 << 20, 32 << 20), "emeraldrapids")
NARROW = cpu_machine(8, 32, (32 << 10, 256 << 10, 8 << 20), "haswell")

#: What the price finds no cheaper there: one tile for all sums is a smaller tile for each.
DEAR = {
    MESH: {"projections of the same rows"},
    NARROW: {"projections of the same rows", "chain of matrices"},
}


@pytest.mark.parametrize("machine", [MESH, NARROW], ids=["mesh", "narrow"])
def test_discoveries_are_made_for_processors_of_all_kinds(machine: Machine) -> None:
    lost = {d.name for d in DISCOVERIES if not d.holds(measure(d, machine))}
    assert lost <= DEAR[machine]


def test_a_virtual_machine_counts_on_its_share_of_the_last_cache() -> None:
    """One that shows all of a large processor's cache planned as if it had it for itself."""
    few = replace(host_cpu(), cores=2, l3_bytes=300 << 20)
    many = replace(host_cpu(), cores=64, l3_bytes=300 << 20)
    assert machine_of(few, 2).levels[-1].capacity == 2 * SHARE
    assert machine_of(many, 2).levels[-1].capacity == 300 << 20
