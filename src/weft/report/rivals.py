"""What was not done, and what it would have cost: other schedules, and other partitions."""

from __future__ import annotations

from math import inf

from weft.compile import Profiled
from weft.kernels.ir import Kernel
from weft.kernels.open_extents import is_open
from weft.kernels.price.price import price
from weft.kernels.print import print_kernel
from weft.structs import struct

#: Kernels whose other schedules are made, those that take longest.
KERNELS = 6
#: Schedules of a kernel that are shown.
SCHEDULES = 5

_LOOPS = ("parallel ", "serial ", "vector ", "unroll ", "workgroup ", "thread ")


@struct(frozen=True)
class Rival:
    """Something that was priced and left: ``seconds`` instead of ``chosen``.

    ``kernel`` is the number of the launch that it would have been, None for another partition into
    kernels; ``seconds`` is infinite where bytes and operations alone ruled it out.
    """

    kernel: int | None
    what: str
    seconds: float
    chosen: float

    @property
    def times(self) -> float:
        """How many times as long."""
        return self.seconds / self.chosen if self.chosen else inf


def rivals(subject: Profiled) -> list[Rival]:
    """Schedules of the kernels that take longest, then partitions; the cheapest of each first."""
    return [*_schedules(subject), *_partitions(subject)]


def _schedules(subject: Profiled) -> list[Rival]:
    machine, found = subject.machine, []
    known: dict[Kernel, int] = {}
    launches = [(k, r.weighed) for r in subject.record.regions for k, _, _ in r.kernels]
    for number, (kernel, _) in enumerate(launches):
        known.setdefault(kernel, number)
    seconds = {k: price(k, machine).seconds for k in known if not is_open(k)}
    for kernel in sorted(seconds, key=lambda k: -seconds[k])[:KERNELS]:
        number = known[kernel]
        schedules = launches[number][1].schedules
        if kernel not in schedules:  # made in one way: passes over stencils, the user's kernels
            continue
        ranked = schedules[kernel](SCHEDULES + 1)
        for other in ranked[1:]:
            took = price(other, machine).seconds
            found.append(Rival(number, loops_text(other), took, seconds[kernel]))
    return found


def _partitions(subject: Profiled) -> list[Rival]:
    trials = [t for region in subject.record.regions for t in region.weighed.trials if not t.taken]
    found = [Rival(None, ", ".join(t.turned), t.seconds, t.before) for t in trials]
    return sorted(found, key=lambda r: r.seconds - r.chosen)


def loops_text(kernel: Kernel) -> str:
    """The loops of a kernel, without what is in them."""
    lines = []
    for line in print_kernel(kernel).splitlines():
        text = line.strip()
        _, _, right = text.partition(" = ")
        head = next((t for t in (text, right) if t.startswith(_LOOPS)), None)
        if head is not None:
            head = head.partition(" carrying ")[0].partition("      ")[0]
            lines.append(line[: len(line) - len(line.lstrip())] + head)
    return "\n".join(lines)
