"""Which results of a program may lie in the memory of a donated input.

That is so when the input has been read for the last time before the result is first touched, or
when the step that does both is a copy of one to the other (which then does nothing) or an
elementwise launch that reads each element before it writes it.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.kernels.in_place import may_share
from weft.kernels.program import Copy, Launch, Program, Slot, Step, reads_of, walk_steps, writes_of


def reuse(program: Program, donated: Sequence[int]) -> dict[int, int]:
    """Outputs, each with the donated input whose memory it may take; no input is taken twice."""
    first: dict[Slot, int] = {}
    last: dict[Slot, int] = {}
    for n, top in enumerate(program.steps):
        for step in walk_steps([top]):
            for slot in (*reads_of(step), *writes_of(step)):
                first.setdefault(slot, n)
                last[slot] = n
    chosen: dict[int, int] = {}
    # Updates in place first: they save traffic, the others only memory.
    for in_place in (True, False):
        for o, output in enumerate(program.outputs):
            if o in chosen or output not in first or output.nbytes == 0:
                continue
            for i in donated:
                source = program.inputs[i]
                if i in chosen.values() or source.nbytes != output.nbytes:
                    continue
                begin, end = first[output], last.get(source, -1)
                if (
                    begin == end and _in_place(program.steps[begin], output, source)
                    if in_place
                    else end < begin
                ):
                    chosen[o] = i
                    break
    return chosen


def _in_place(step: Step, output: Slot, source: Slot) -> bool:
    """Whether ``step``, which reads ``source`` and writes ``output``, allows both in one place."""
    if isinstance(step, Copy):
        return step.target is output and step.source is source
    if not isinstance(step, Launch) or step.slots.count(output) != 1:
        return False
    if step.slots.count(source) != 1:
        return False
    params = step.kernel.params
    return may_share(
        step.kernel, params[step.slots.index(output)], params[step.slots.index(source)]
    )
