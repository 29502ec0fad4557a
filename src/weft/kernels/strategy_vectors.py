"""Contractions on a grid whose blocks an ordinary processor runs: a register tile for each block.

A block has one thread and its vectors. Operands are read in place, as blocks cannot wait for what
another one has packed; the fold is not cut, so that the loops around a tile all belong to the grid.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import Contraction, find_contractions
from weft.kernels.schedule.numbers import default_params
from weft.kernels.strategy import vectorize_nests


def in_place(contraction: Contraction, machine: Machine) -> Params:
    """Numbers of a register tile that reads its operands where they are, all of the fold long."""
    params = default_params(contraction, 1, machine.vector_bytes, machine.registers)
    return replace(
        params,
        parallel="none",
        pack_left=False,
        pack_right=False,
        column_block=0,
        block=contraction.sizes[3],
        row_block=max(params.rows, contraction.sizes[1]),
        sweep=False,
        turned=False,
    )


def contract(kernel: Kernel, machine: Machine) -> Kernel | None:
    """The schedule of a kernel that is one contraction, for a thread of ``machine.processor``;
    None where it is none, or there are no such threads."""
    processor = machine.processor
    if processor is None:
        return None
    found = find_contractions(kernel)
    if len(found) != 1 or prod(found[0].sizes) == 0:
        return None
    try:
        scheduled = schedule_contraction(kernel, in_place(found[0], processor), found[0])
    except ScheduleError:
        return None  # not perfectly nested: threads of a block do it
    wide = vectorize_nests(scheduled, processor)
    if wide.scratch:  # nests after the contraction read what several blocks would have computed
        return None
    return wide.evolve(vectors=True)
