"""`plan`: a region's terms become scheduled kernels.

What is stored and what is fused is chosen by bytes and operations (`weft.kernels.fusion`), each cone
becomes a naive loop nest (`weft.kernels.build`), and the nest is scheduled for the machine
(`weft.kernels.strategy`).
"""

from __future__ import annotations

from weft.kernels.assemble import Planned
from weft.kernels.build import build_kernel
from weft.kernels.cones import make_cones
from weft.kernels.fusion import choose
from weft.kernels.machine import Machine
from weft.kernels.strategy import schedule
from weft.terms.region import Region


def plan(region: Region, machine: Machine) -> list[Planned]:
    """Kernels for ``region`` in execution order, with the values of their parameters."""
    planned: list[Planned] = []
    for cone, scatter in make_cones(choose(region, machine)):
        kernel, values = build_kernel(cone)
        planned.append((schedule(kernel, machine), values, scatter))
    return planned
