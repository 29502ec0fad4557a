"""What there is to know of a program's steps before they run: lines, bytes, flops, prices."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from weft.codegen.stamps_llvm import stamped_steps
from weft.compile import Profiled
from weft.core.dtypes import short_name
from weft.core.source import Source
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.open_extents import is_open
from weft.kernels.price.price import Price, estimate_of
from weft.kernels.program import Copy, Launch, Routine, Slot, Step, reads_of, writes_of
from weft.report.origins import computed, launches_of, lines_of
from weft.report.roof import float_size, roof
from weft.structs import struct


@struct(frozen=True)
class StepInfo:
    """One step: a ``kernel``, a ``routine`` or a ``copy``, or a whole ``program``.

    ``bytes_moved`` are those that each level of memory serves when nothing is in a cache before;
    ``predicted`` the seconds of a run that follows others of its kind, ``least`` what the machine
    would take for its operations and bytes at the roof.
    """

    kind: str
    name: str
    shapes: str
    lines: tuple[Source, ...] = ()
    flops: int = 0
    bytes_moved: Mapping[str, float] = field(default_factory=dict)
    predicted: float = 0.0
    least: float = 0.0

    @property
    def memory_bytes(self) -> float:
        """Bytes of main memory."""
        return self.bytes_moved.get("DRAM", 0.0)


def step_infos(subject: Profiled) -> list[StepInfo]:
    """What each stamped step of a program is; one for all where it is timed as a whole."""
    found = _each(subject)
    return [_whole(found)] if subject.whole else found


def _whole(steps: list[StepInfo]) -> StepInfo:
    """All of a program's steps as one; those in loops count once."""
    lines = dict.fromkeys(line for step in steps for line in step.lines)
    moved: dict[str, float] = {}
    for step in steps:
        for level, nbytes in step.bytes_moved.items():
            moved[level] = moved.get(level, 0.0) + nbytes
    return StepInfo(
        "program",
        f"{len(steps)} steps",
        "",
        tuple(lines),
        sum(step.flops for step in steps),
        moved,
        sum(step.predicted for step in steps),
        sum(step.least for step in steps),
    )


def _each(subject: Profiled) -> list[StepInfo]:
    inside = computed(subject.record.regions)
    lines = dict(zip(launches_of(subject.program), map(lines_of, inside), strict=True))
    known: dict[Kernel, tuple[int, dict[str, float], float, float]] = {}
    found = []
    for step in stamped_steps(subject.program):
        if isinstance(step, Launch):
            if step.kernel not in known:
                known[step.kernel] = cost_of(step.kernel, subject.machine)
            name = step.kernel.name
            found.append(StepInfo("kernel", name, _shapes(step), lines[step], *known[step.kernel]))
        elif isinstance(step, Routine):
            found.append(StepInfo("routine", step.name, _shapes(step)))
        elif isinstance(step, Copy):
            moved = {"DRAM": 2.0 * step.source.nbytes}
            least = roof(subject.machine).seconds(0, moved)
            found.append(StepInfo("copy", "copy", _shapes(step), (), 0, moved, 0.0, least))
    return found


def cost_of(kernel: Kernel, machine: Machine) -> tuple[int, dict[str, float], float, float]:
    """Flops, bytes by the level that serves them, predicted seconds, seconds at the roof.

    There are none for open extents.
    """
    if is_open(kernel):
        return 0, {}, 0.0, 0.0
    estimate = estimate_of(kernel, machine)
    cold, warm = estimate.price(None), estimate.price({})
    at_best = roof(machine, float_size(kernel)).seconds(warm.flops, by_server(warm, machine))
    return cold.flops, by_server(cold, machine), warm.seconds, at_best


def by_server(priced: Price, machine: Machine) -> dict[str, float]:
    """Bytes by the level that serves them, rather than the one that they go to."""
    names = [level.name for level in machine.levels]
    servers = dict(zip(names, [*names[1:], "DRAM"], strict=True))
    return {servers[name]: count for name, count in priced.bytes.items()}


def _shapes(step: Step) -> str:
    reads = [s for s in reads_of(step) if s not in writes_of(step)]
    scratch = step.scratch if isinstance(step, Launch) else ()
    writes = [s for s in writes_of(step) if s not in scratch]
    return f"{', '.join(map(_shape, reads))} → {', '.join(map(_shape, writes))}"


def _shape(slot: Slot) -> str:
    return f"{short_name(slot.dtype)}[{','.join(map(str, slot.shape))}]"
