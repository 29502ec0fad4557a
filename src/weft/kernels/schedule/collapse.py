"""Two loops as one, so that both are spread over the threads of a block."""

from __future__ import annotations

from weft.kernels.ir import For, Kernel
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.tree import path_to, replace_loop, substitute
from weft.terms.affine import Affine, Axis


def collapse(kernel: Kernel, outer: Axis, inner: Axis, both: Axis | None = None) -> Kernel:
    """Make one loop of two perfectly nested ones, over ``both`` (or a new axis)::

        for i in 0:4: for j in 0:16:2: s(i, j)
        →
        for p in 0:32: s(p//8, 2·(p%8))

    The order of iterations stays.  Refuses loops with statements between them, carries, iterations
    that are left out, and loops of different kinds.
    """
    path = path_to(kernel, inner)
    if len(path) < 2 or path[-2].axis is not outer or len(path[-2].body) != 1:
        raise ScheduleError(f"the loops over {outer} and {inner} are not perfectly nested")
    a, b = path[-2], path[-1]
    if a.kind != b.kind or any(x.carries or x.where or x.unless for x in (a, b)):
        raise ScheduleError(
            f"the loops over {outer} and {inner} are of different kinds, carry values or leave "
            "iterations out"
        )
    p = both if both is not None else Axis(f"{outer.name}{inner.name}", a.trip * b.trip)
    at = {
        outer: Affine.of(p).floordiv(b.trip) * a.step + a.lo,
        inner: Affine.of(p).mod(b.trip) * b.step + b.lo,
    }
    one = For(p, 0, a.trip * b.trip, 1, substitute(b.body, at), a.kind)
    return replace_loop(kernel, outer, lambda _: [one])
