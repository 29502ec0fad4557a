"""Names of mapped axes: which ones are in scope, and their sizes.

``vmap(f, axis_name="i")`` binds a name while ``f`` is traced. Collectives (`weft.lax.psum`, …) look
its size up here; the trace of that ``vmap`` recognises them by the name in their parameters.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from weft.core.jaxpr import Jaxpr, all_equations
from weft.core.source import describe, user_source

#: The axes in scope, outermost first.
_axes: ContextVar[tuple[tuple[Hashable, int], ...]] = ContextVar("weft.axis_names", default=())


class MappedSize(int):
    """The size of a mapped axis that has a name: what batching rules hand on to jaxprs within."""

    axis_name: Hashable

    def __new__(cls, size: int, axis_name: Hashable) -> MappedSize:
        self = super().__new__(cls, size)
        self.axis_name = axis_name
        return self


def name_of(axis_size: int) -> Hashable | None:
    """The name of a mapped axis, None if it has none."""
    return axis_size.axis_name if isinstance(axis_size, MappedSize) else None


@contextmanager
def named_axis(axis_size: int) -> Iterator[None]:
    """Puts the name of a mapped axis, if it has one, into scope."""
    name = name_of(axis_size)
    if name is None:
        yield
        return
    token = _axes.set((*_axes.get(), (name, int(axis_size))))
    try:
        yield
    finally:
        _axes.reset(token)


def axes_in_scope() -> tuple[tuple[Hashable, int], ...]:
    """Names and sizes, outermost first: what a trace that uses collectives depends on."""
    return _axes.get()


def size_of(axis_name: Hashable) -> int:
    """The size of a named axis; NameError if there is none of that name."""
    for name, size in reversed(_axes.get()):
        if name == axis_name:
            return size
    raise unbound(axis_name)


def unbound(axis_name: Hashable) -> NameError:
    """The error for a name that no ``vmap`` around binds."""
    known = ", ".join(repr(name) for name, _ in _axes.get())
    return NameError(
        f"unbound axis name: {axis_name!r}. Collectives work inside a function that is mapped by "
        f"weft.vmap(..., axis_name={axis_name!r})"
        + (f"; the names in scope are {known}" if known else "")
        + f"\nAt {describe(user_source())}"
    )


def uses_axis(jaxpr: Jaxpr, axis_name: Hashable) -> bool:
    """Whether a collective over that axis is in a jaxpr or in one within it."""

    def found() -> bool:
        return any(
            "collective" in eqn.primitive.rules and eqn.params["axis_name"] == axis_name
            for eqn in all_equations(jaxpr)
        )

    return jaxpr.memo(("uses axis", axis_name), found)
