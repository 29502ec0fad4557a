"""Splitting loops: strips, remainders, pieces."""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.ir import Carry, For, Kernel, Stmt, loops
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.tree import (
    clone,
    divides,
    find_loop,
    has_loop,
    like,
    replace_loop,
    substitute,
)
from weft.terms.affine import Affine, Axis


def split(kernel: Kernel, axis: Axis, factor: int | Axis) -> Kernel:
    """Strip-mine a loop; ``factor`` is a number of iterations, or the new inner axis itself::

        for j in 0:10: s(j)
        →
        for j in 0:8:4:
          for ji in 0:4: s(j + ji)
        for j' in 8:10: s(j')

    The outer loop keeps ``axis`` and its kind, the inner one is serial; the remainder is a loop
    of its own over a new axis.  Carries pass through both, so the order of evaluation does not
    change. Refuses factors below 1 and factors larger than the loop's trip count.
    """
    count = _iterations(factor)
    loop = find_loop(kernel, axis)
    if not 1 <= count <= max(loop.trip, 1):
        raise ScheduleError(
            f"cannot split the {loop.trip} iterations of {axis} by {count}: "
            "the factor must lie between 1 and the trip count"
        )
    kernel = peel(kernel, axis, loop.trip // count * count)
    inner = factor if isinstance(factor, Axis) else Axis(f"{axis.name}i", count * loop.step)
    return replace_loop(kernel, axis, lambda main: [_strip(main, inner, count)])


def _iterations(factor: int | Axis) -> int:
    return factor.extent if isinstance(factor, Axis) else factor


def _strip(loop: For, inner: Axis, count: int) -> For:
    outer, at = widened(loop, count)
    # The outer loop takes over `init` and `result`; the inner one keeps the body's own variables.
    entries = [like(c.var) for c in loop.carries]
    finals = [like(c.result) for c in loop.carries]
    through = tuple(
        Carry(c.var, entry, c.update, final)
        for c, entry, final in zip(loop.carries, entries, finals, strict=True)
    )
    strip = For(
        inner,
        0,
        count * loop.step,
        loop.step,
        substitute(loop.body, {loop.axis: at + inner}),
        "unroll" if loop.kind == "unroll" else "serial",
        through,
        loop.fold,
    )
    around = tuple(
        Carry(entry, c.init, final, c.result)
        for c, entry, final in zip(loop.carries, entries, finals, strict=True)
    )
    return replace(outer, body=[strip], carries=around)


def widened(loop: For, count: int) -> tuple[For, Affine]:
    """A loop that makes ``count`` steps of ``loop`` at a time, and the old axis at its start.

    The new loop steps by ``count·step``, except when the body divides by the axis: then it counts
    blocks, so that ``(count·j + t) // count`` simplifies to ``j``.  The trip count must be a
    multiple of ``count``.
    """
    axis = Affine.of(loop.axis)
    if divides(loop.body, loop.axis):
        blocks = replace(loop, lo=0, hi=loop.trip // count, step=1)
        return blocks, axis * (count * loop.step) + loop.lo
    return replace(loop, step=loop.step * count), axis


def peel(kernel: Kernel, axis: Axis, count: int, rest: Axis | None = None) -> Kernel:
    """Cut a loop in two after ``count`` iterations::

        for j in 0:10: s(j)
        →
        for j in 0:8: s(j)
        for j' in 8:10: s(j')

    The first piece keeps ``axis``, the second runs over ``rest`` (or a new axis) and has loops and
    variables of its own.  An empty piece is left out; when the first is, the second keeps ``axis``.
    Refuses counts outside the loop's range.
    """
    loop = find_loop(kernel, axis)
    if not 0 <= count <= loop.trip:
        raise ScheduleError(f"cannot cut {count} iterations off the {loop.trip} of {axis}")
    if count in (0, loop.trip):
        return kernel
    return replace_loop(kernel, axis, lambda x: list(_cut(x, count, rest)))


def _cut(loop: For, count: int, rest: Axis | None) -> tuple[Stmt, Stmt]:
    edge = loop.lo + count * loop.step
    second = rest if rest is not None else Axis(loop.axis.name, loop.axis.extent)
    middle = [like(c.result) for c in loop.carries]
    first = replace(
        loop,
        hi=edge,
        carries=tuple(
            Carry(c.var, c.init, c.update, m) for c, m in zip(loop.carries, middle, strict=True)
        ),
    )
    entries = [like(c.var) for c in loop.carries]
    body, names = clone(
        loop.body,
        {loop.axis: Affine.of(second)},
        dict(zip((c.var for c in loop.carries), entries, strict=True)),
    )
    carries = tuple(
        Carry(entry, m, names.var(c.update), c.result)
        for c, entry, m in zip(loop.carries, entries, middle, strict=True)
    )
    return first, replace(loop, axis=second, lo=edge, body=body, carries=carries)


def unroll(kernel: Kernel, axis: Axis) -> Kernel:
    """Ask the code generator to repeat the body instead of looping::

        serial k in 0:4: s(k)
        →
        unroll k in 0:4: s(k)

    Refuses parallel loops.
    """
    loop = find_loop(kernel, axis)
    if loop.kind == "parallel":
        raise ScheduleError(f"the loop over {axis} is parallel: its iterations belong to threads")
    return replace_loop(kernel, axis, lambda x: [replace(x, kind="unroll")])


def inline_loop(kernel: Kernel, axis: Axis) -> Kernel:
    """Replace a loop of one iteration by its body, or drop one of none::

        for j in 4:8:4: s(j)
        →
        s(4)

    Parallel loops stay: outside of one, every thread would run the body.  Refuses longer loops.
    """
    loop = find_loop(kernel, axis)
    if loop.trip > 1:
        raise ScheduleError(f"the loop over {axis} has {loop.trip} iterations, not one")
    if loop.kind == "parallel":
        return kernel
    starts = {c.var: c.init for c in loop.carries}
    body: list[Stmt] = []
    if loop.trip:
        body = substitute(loop.body, {axis: Affine.of(loop.lo)}, starts)
    kernel = replace_loop(kernel, axis, lambda _: body)
    ends = {c.result: starts.get(c.update, c.update) if loop.trip else c.init for c in loop.carries}
    return kernel.evolve(body=substitute(kernel.body, {}, ends)) if ends else kernel


def inline_single(kernel: Kernel) -> Kernel:
    """`inline_loop` wherever it applies."""
    for loop in list(loops(kernel.body)):
        if loop.trip <= 1 and has_loop(kernel, loop.axis):
            kernel = inline_loop(kernel, loop.axis)
    return kernel
