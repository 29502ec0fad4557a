"""How much there is to do: rough counts, for decisions in which a factor of a few is nothing.

Work is counted in elements: a statement does as many as its tile has. Long calls release the GIL
and can be interrupted; the loops that look out for an interruption are those with so much in each
iteration that looking costs nothing, and, once in a stretch of iterations, long ones with little.
"""

from __future__ import annotations

from math import inf, prod

from weft.core.deep import deep
from weft.core.extents import typical
from weft.kernels.ir import For, Kernel, Stmt, Store, outputs_of
from weft.kernels.program import Copy, If, Launch, Routine, Step, While
from weft.kernels.program import For as Repeat

#: Elements of one statement that a core does in a second, about.
RATE = 4e9
#: Bytes that a core copies in a second, about.
COPIED = 1e10
#: Elements in an iteration beside which a look at the interrupt counter is lost.
HEAVY = 4096
#: Elements of a loop that nobody wants to wait for: tens of milliseconds or more.
LONG = 1 << 26


def kernel_work(body: list[Stmt]) -> int:
    """Elements of all statements of ``body``, as often as they run."""
    total = 0
    for stmt in body:
        if isinstance(stmt, For):
            total += typical(stmt.trip) * kernel_work(stmt.body)
            continue
        tiles = (stmt.value,) if isinstance(stmt, Store) else outputs_of(stmt)
        total += max((prod(a.extent for a in v.axes) for v in tiles), default=0)
    return total


def heavy_loops(kernel: Kernel) -> set[For]:
    """The loops with so much in each iteration that they can look out for an interruption."""
    found: set[For] = set()
    stack = [s for s in kernel.body if isinstance(s, For)]
    while stack:
        loop = stack.pop()
        if kernel_work(loop.body) >= HEAVY:
            found.add(loop)
            stack.extend(s for s in loop.body if isinstance(s, For))
    return found


def long_loops(kernel: Kernel) -> dict[For, int]:
    """Serial loops that are long though little is in an iteration: how many make a heavy one."""
    found: dict[For, int] = {}
    stack = [s for s in kernel.body if isinstance(s, For)]
    while stack:
        loop = stack.pop()
        work = kernel_work(loop.body)
        if work * typical(loop.trip) < LONG:
            continue
        if work >= HEAVY or loop.kind != "serial":
            stack.extend(s for s in loop.body if isinstance(s, For))
        else:
            found[loop] = -(-16 * HEAVY // max(1, work))
    return found


@deep
def seconds(steps: list[Step]) -> float:
    """About how long ``steps`` take on one core; infinity where nobody can tell."""
    total = 0.0
    for step in steps:
        if isinstance(step, Launch):
            total += kernel_work(step.kernel.body) / RATE
        elif isinstance(step, Copy):
            total += typical(step.target.nbytes) / COPIED
        elif isinstance(step, Repeat):
            total += step.length * seconds(step.body) if step.length else 0.0
        elif isinstance(step, While | Routine):
            total = inf
        elif isinstance(step, If):
            total += max(map(seconds, step.branches))
    return total
