"""``checking_leaks``: find traced values that outlive their transformation, before their use."""

from __future__ import annotations

import gc
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from weft.core.trace import Tracer
from weft.errors import LeakedTracerError


@contextmanager
def checking_leaks() -> Iterator[None]:
    """Raises an error when a ``with`` block leaves traced values behind.

    Traced values kept in a global, an attribute or a list fail where they are used later, far
    from the place that kept them. At the end of the block each one that is still alive although
    its transformation has ended is named, with what holds it. It looks at every object there is,
    so it takes a while.

    Raises LeakedTracerError.

    >>> with weft.checking_leaks():
    ...     y = weft.jit(lambda x: x * 2)(3.0)
    """
    before = {id(tracer) for tracer in _left_over()}
    yield
    found = [tracer for tracer in _left_over() if id(tracer) not in before]
    if not found:
        return
    lines = [f"- {_described(found, k)}" for k in range(min(5, len(found)))]
    if len(found) > 5:
        lines.append(f"and {len(found) - 5} more")
    raise LeakedTracerError(
        "traced values outlived the transformations that made them: return them from the "
        "function instead of keeping them.\n" + "\n".join(lines)
    )


def _left_over() -> list[Tracer]:
    gc.collect()
    tracers = [x for x in gc.get_objects() if isinstance(x, Tracer)]
    return [tracer for tracer in tracers if tracer._trace.finished]


# No closures from here on: their cells would be among what holds a tracer.


def _described(found: list[Tracer], k: int) -> str:
    tracer = found[k]
    origin = tracer._trace.describe_tracer(tracer)
    held: list[str] = []
    for holder in gc.get_referrers(tracer):
        if holder is found or isinstance(holder, types.FrameType | Tracer):
            continue
        text = _holder(holder, tracer)
        if text not in held:
            held.append(text)
    where = f" It is held by {', '.join(held[:3])}." if held else ""
    return f"{tracer.aval} of {tracer._trace.name}. {origin}{where}"


def _holder(holder: Any, tracer: Tracer) -> str:
    """What holds the tracer, as a person would find it."""
    if isinstance(holder, types.CellType):
        return "a closure"
    if not isinstance(holder, dict):
        return f"a {type(holder).__name__}"
    name: Any = None
    for key, value in holder.items():
        if value is tracer:
            name = key
    if "__builtins__" in holder:
        return f"the global {name} of {holder.get('__name__')}"
    for owner in gc.get_referrers(holder):
        if _dict_of(owner) is holder:
            return f"a {type(owner).__name__}, as its {name}"
    return f"a dict, as {name!r}"


def _dict_of(x: Any) -> Any:
    return getattr(x, "__dict__", None) if not isinstance(x, type) else None
