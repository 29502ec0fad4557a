"""Running an explained program with time stamps: what its kernels take."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

import numpy as np

from weft.array.value import is_array
from weft.core.avals import ShapedArray
from weft.runtime.buffer import Buffer
from weft.runtime.stamps import Observation, StampedProgram
from weft.structs import struct

#: Runs at least, and the seconds after which no further one begins.
LEAST, SECONDS = 3, 0.3
MOST = 50


@struct(frozen=True)
class Measured:
    """Several runs of a program: the seconds of a call, and of each of its stamped steps in one.

    Medians over ``runs``; ``events`` are rows of step, begin and end, in nanoseconds since the call
    began, of the run in the middle.
    """

    runs: int
    seconds: float
    steps: tuple[float, ...]
    calls: tuple[int, ...]
    events: Any


def measure(
    native: StampedProgram, avals: Sequence[ShapedArray], leaves: Sequence[Any]
) -> Measured:
    """Runs a program on these arguments, once to warm up and then for a third of a second."""
    inputs = [_buffer(x, aval) for x, aval in zip(leaves, avals, strict=True)]
    outputs = [Buffer.alloc(nbytes) for nbytes in native.output_nbytes]
    native.observe(inputs, outputs)
    end = time.perf_counter() + SECONDS
    seen: list[Observation] = []
    while len(seen) < LEAST or (len(seen) < MOST and time.perf_counter() < end):
        seen.append(native.observe(inputs, outputs))
    middle = sorted(seen, key=lambda s: s.end - s.begin)[len(seen) // 2]
    return Measured(
        len(seen),
        median((s.end - s.begin) * 1e-9 for s in seen),
        tuple(np.median([s.seconds for s in seen], axis=0).tolist()),
        tuple(middle.calls.tolist()),
        middle.events - [0, middle.begin, middle.begin],
    )


def _buffer(x: Any, aval: ShapedArray) -> Buffer:
    if is_array(x) and x.dtype == aval.dtype:
        return x.materialise()
    return Buffer.from_numpy(np.asarray(x, aval.dtype))
