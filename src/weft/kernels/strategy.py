"""Schedules for naive kernels."""

from __future__ import annotations

from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine


def schedule(kernel: Kernel, machine: Machine) -> Kernel:
    return kernel
