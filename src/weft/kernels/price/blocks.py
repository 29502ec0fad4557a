"""Cycles of one execution of a block: its busiest unit, its dependences and its spills.

A block takes as long as its most loaded unit (multiplier, adder, their shared issue ports, loads,
stores, shuffles, the front end), unless a chain of dependent operations is longer: the chain
around the loop always counts, one inside the block as far as the next iteration cannot overlap
with it.
"""

from __future__ import annotations

from weft.kernels.machine import Machine
from weft.kernels.price.outline import Block, Nest


def cycles(block: Block, nest: Nest, machine: Machine) -> float:
    """Cycles of ``block``, a child of the loop ``nest``, with all data in the first level."""
    core = machine.core
    if not block.issued:
        return 0.0
    issued = block.issued + 2  # the loop's own counter and branch
    product = block.product + block.divide
    ports = (product + block.sum + block.other + block.shuffle) / core.together
    busiest = max(
        product,
        block.sum,
        ports,
        block.load,
        block.store,
        block.shuffle,
        issued / core.issue,
        1.0 if nest.trip > 1 else 0.0,
    )
    if nest.innermost and nest.trip > 1:
        # A few iterations hide their chain behind what follows; unrolled ones never stand alone.
        alone = 1.0 if nest.unrolled else min(1.0, nest.trip * issued / core.window)
        busiest = max(busiest, nest.recurrence * alone)
    repeats = nest.carries > 0 and (nest.trip >= 8 or nest.unrolled)
    if not nest.innermost or not repeats:
        busiest = max(busiest, block.depth * min(1.0, block.issued / core.window))
    return busiest + spilled(block, machine) * core.store


def spilled(block: Block, machine: Machine) -> float:
    """Pairs of stores and reloads for the registers that the machine lacks."""
    excess = block.live - machine.registers
    if excess <= 0 or not block.arithmetic:
        return 0.0
    often = max(1.0, block.arithmetic / block.live)
    return machine.core.spills * min(block.arithmetic, 4 * excess * often)
