"""`on_unit`: let a machine's matrix unit run a loop."""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.ir import Kernel
from weft.kernels.matrix import contracted
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.tree import find_loop, replace_loop
from weft.terms.affine import Axis
from weft.terms.dots import MatrixUnit


def on_unit(kernel: Kernel, axis: Axis, unit: MatrixUnit) -> Kernel:
    """Run the loop over ``axis`` on ``unit``; it means the same::

        for k fold add: a = load x[i, k]; b = load y[k, j]; next dot_bf16(a, b, s)
        →
        for k fold add on amx: …

    Refuses loops that `weft.kernels.matrix.contracted` does not recognise.
    """
    loop = find_loop(kernel, axis)
    if contracted(loop, unit, kernel.lanes) is None:
        raise ScheduleError(f"the loop over {axis} is no fold of outer products for {unit.name}")
    return replace_loop(kernel, axis, lambda found: [replace(found, unit=unit)])
