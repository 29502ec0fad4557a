"""The ``jit`` primitive: a call of a jaxpr, compiled as one program at the bottom.

Inside a transformation it stays one equation, and its rules transform the jaxpr it calls, once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.array.value import is_on_device
from weft.config import config, detour, jit_is_disabled
from weft.core.avals import ShapedArray
from weft.core.bounded import BoundedCache
from weft.core.canonical import jaxpr_key
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import Zero, is_undef
from weft.core.primitive import Primitive
from weft.transforms.closed import (
    batch_closed,
    jvp_closed,
    mapped_first,
    moved_of,
    present,
    split_closed,
    spread,
    transpose_closed,
)
from weft.transforms.jvp import tangent_aval

jit_p = Primitive("jit", multiple_results=True)


def check_operands(name: str, closed: ClosedJaxpr, avals: tuple[ShapedArray, ...]) -> None:
    """Raises TypeError unless the operands have the types of the jaxpr's arguments."""
    expected = closed.in_avals
    if len(expected) != len(avals):
        raise TypeError(
            f"{name} of a jaxpr with {len(expected)} arguments to {len(avals)} operands"
        )
    for i, (want, got) in enumerate(zip(expected, avals, strict=True)):
        if want.shape != got.shape or want.dtype != got.dtype:
            raise TypeError(f"{name}: operand {i} has type {got} but the jaxpr takes {want}")


@jit_p.def_type
def _(*avals: ShapedArray, jaxpr: ClosedJaxpr, name: str) -> list[ShapedArray]:
    check_operands(f"jit of '{name}'", jaxpr, avals)
    return jaxpr.out_avals


@jit_p.def_effects
def _(*, jaxpr: ClosedJaxpr, name: str) -> frozenset[str]:
    return jaxpr.effects


@jit_p.def_numpy
def _(*args: Any, jaxpr: ClosedJaxpr, name: str) -> list[Any]:
    return numpy_closed(jaxpr, *args)


@jit_p.def_jvp
def _(primals: list[Any], tangents: list[Any], *, jaxpr: ClosedJaxpr, name: str) -> Any:
    derived = jvp_closed(jaxpr, moved_of(tangents))
    operands = [*derived.consts, *primals, *present(tangents)]
    outs = jit_p.bind(*operands, jaxpr=derived.closed, name=name)
    count = len(jaxpr.out_avals)
    return outs[:count], spread(outs[count:], derived.outs, jaxpr.out_avals)


@jit_p.def_partial_eval
def _(
    trace: Any, args: list[Any], unknown: list[bool], *, jaxpr: ClosedJaxpr, name: str
) -> list[Any]:
    split = split_closed(jaxpr, tuple(unknown))
    known_args = [a for a, u in zip(args, unknown, strict=True) if not u]
    unknown_args = [a for a, u in zip(args, unknown, strict=True) if u]
    known_outs = []
    if split.known.out_avals:
        known_outs = jit_p.bind(*split.known_consts, *known_args, jaxpr=split.known, name=name)
    residuals = split.residual_values(known_args, known_outs)
    operands = [*split.unknown_consts, *residuals, *unknown_args]
    unknown_outs = iter(trace.stage(jit_p, operands, {"jaxpr": split.unknown, "name": name}))
    known = iter(known_outs)
    return [next(unknown_outs) if u else next(known) for u in split.out_unknown]


@jit_p.def_transpose
def _(cts: list[Any], *args: Any, jaxpr: ClosedJaxpr, name: str) -> list[Any]:
    linear = tuple(map(is_undef, args))
    derived = transpose_closed(jaxpr, linear, moved_of(cts))
    known = [a for a in args if not is_undef(a)]
    operands = [*derived.consts, *known, *present(cts)]
    outs = iter(jit_p.bind(*operands, jaxpr=derived.closed, name=name))
    given = iter(derived.outs)
    return [
        (next(outs) if next(given) else Zero(tangent_aval(a))) if lin else None
        for a, lin in zip(jaxpr.in_avals, linear, strict=True)
    ]


@jit_p.def_batch
def _(axis_size: int, args: list[Any], dims: list[Any], *, jaxpr: ClosedJaxpr, name: str) -> Any:
    operands, mapped = mapped_first(axis_size, args, dims)
    derived = batch_closed(jaxpr, axis_size, mapped)
    outs = jit_p.bind(*derived.consts, *operands, jaxpr=derived.closed, name=name)
    return outs, [0 if m else None for m in derived.outs]


@jit_p.def_lower_complex
@jit_p.def_lower
def _(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, name: str) -> list[Any]:
    return ctx.inline(jaxpr, args)


@jit_p.def_eval
def _(*args: Any, jaxpr: ClosedJaxpr, name: str) -> list[Any]:
    if jit_is_disabled():
        return eval_closed(jaxpr, *args)
    found = device_results(jaxpr, args)
    return executable_of(jaxpr)(*args) if found is None else found


def device_results(
    closed: ClosedJaxpr, args: Sequence[Any], donated: Sequence[int] = ()
) -> list[Any] | None:
    """What a program gives on the device of its arguments or of this context; None on the CPU."""
    if detour() is None and not any(map(is_on_device, args)):
        return None
    from weft.backends.arrays import call

    results = call(closed, args)
    for n in donated:
        if is_on_device(args[n]):
            args[n].invalidate("donated to a jitted function")
    return results


#: The last compiled programs by structure: jitting an equal function again compiles nothing.
_executables: BoundedCache[Any] = BoundedCache(256)


def executable_of(closed: ClosedJaxpr, donated: tuple[int, ...] = (), tune: bool = False) -> Any:
    """The compiled form of a closed jaxpr under the current settings, compiled at most once.

    Programs of equal structure share it. With ``tune`` its schedules are chosen by timing them.
    """
    from weft.stored import executable_for

    def build() -> Any:
        structure = jaxpr_key(closed)
        if structure is None or config.dump:  # what is to be printed is compiled anew
            return executable_for(closed, donated, structure, tune)
        key = (structure, donated, tune, config.compiled_for)
        return _executables.get(key, lambda: executable_for(closed, donated, structure, tune))

    if closed.consts:  # the jaxpr is shared by closures over different values: do not keep it there
        return build()
    return closed.memo(("executable", donated, tune, config.compiled_for), build)
