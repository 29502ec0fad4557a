"""Elements of a mapped axis one after the other, for what has effects."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from weft.core.jaxpr import Jaxpr, all_equations
from weft.primitives.shaping import move_axis
from weft.transforms.functions import at_user_line

#: The effect of calls that vmap must not repeat.
ORDERED = "ordered io"


def one_by_one(
    fun: Callable[..., list[Any]], args: Sequence[Any], dims: Sequence[int | None]
) -> tuple[list[Any], list[int]]:
    """``fun`` for each element of the mapped axes ``dims``, and its results, stacked in front."""
    from weft.transforms.control_flow import map as map_over

    moved = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims, strict=True)]

    def once(parts: list[Any]) -> list[Any]:
        rest = iter(parts)
        return fun(*(x if d is None else next(rest) for x, d in zip(moved, dims, strict=True)))

    outs = map_over(once, [x for x, d in zip(moved, dims, strict=True) if d is not None])
    return outs, [0] * len(outs)


def refuse_ordered(*jaxprs: Jaxpr) -> None:
    """Raises ValueError, with its line, for an ordered call in a program to map."""
    for jaxpr in jaxprs:
        if ORDERED in jaxpr.effects:
            for eqn in all_equations(jaxpr):
                if ORDERED in eqn.effects and "callback" in eqn.params:
                    raise ordered_call(eqn.params["callback"], at_user_line(eqn.source))


def ordered_call(callback: Any, line: str) -> ValueError:
    """The error for an ordered call under vmap."""
    return ValueError(
        f"io_callback {callback} with ordered=True under vmap: the elements of a mapped "
        f"axis are in no order. With ordered=False, the default, there is one call for each{line}"
    )


def both_ways(what: str, chooser: str, bodies: str, name: Hashable) -> NotImplementedError:
    """The error for elements that would have to go one by one and all together."""
    return NotImplementedError(
        f"{what} under vmap with a {chooser} that differs between elements, which both calls back "
        f"to Python and combines elements along {name!r}: move one of the two out of the "
        f"{bodies}{at_user_line()}"
    )
