"""Small operations that keep recurring outside `jit` run at once, by programs of their own.

Delaying an operation pays when fusing it with others saves traffic to memory or calls. On a few
elements, recording it costs more than running it. So an operation on small arrays, with one result
and without effects, gets a native program, and from then on runs when it is asked for, once

- a program that is nothing else runs once more, which then serves as its own; or
- it has been recorded as often as it takes to load a program (`WORTH_LOADING`), and its own lies on
  disk or belongs to a class of shapes that is known; or
- it has been recorded as often as it takes to compile one (`WORTH_COMPILING`).

Calls of library functions (`weft.array.calls`) are treated alike. The bits of pointwise operations
are the same either way; those of a sum may depend on what it is fused with, as they do wherever
delayed work is cut into programs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.array import families
from weft.array.value import Array
from weft.config import config, detour
from weft.core.avals import ShapedArray
from weft.core.jaxpr import ClosedJaxpr, Eqn, Jaxpr, Var
from weft.core.primitive import Primitive
from weft.core.trace import current_trace, eval_trace

if TYPE_CHECKING:
    from weft.executable import Executable

#: Bytes of an operand or result up to which an operation counts as small: on so many it takes
#: about as long as recording it.
SMALL = 1 << 18
#: Recordings (about 10 µs each) that cost what loading a program does.
WORTH_LOADING = 40
#: Recordings that cost what compiling one does.
WORTH_COMPILING = 400
#: Recordings that cost more than ending a segment, so that pending operands are ready.
WORTH_ENDING = 20
#: Programs and counts that are kept.
LIMIT = 4096

Program = Callable[..., Any]

#: Programs of operations: they take arrays, and return the result or None when it does not fit.
programs: dict[Hashable, Program] = {}
#: The same for calls of library functions.
calls: dict[Hashable, Program] = {}
#: Those of them that record more than `WORTH_ENDING` operations when they do not run at once.
long_calls: set[Hashable] = set()
#: The settings that all of them were compiled for: with others, they are not to be used.
settings: object = None
#: How many operations have been recorded since Weft was imported.
recorded = 0

_NEVER = float("-inf")
#: Counts by key; of calls apart, as those with numbers that never come back fill theirs.
_recorded: dict[Hashable, float] = {}
_called: dict[Hashable, float] = {}


def is_small(aval: ShapedArray) -> bool:
    """Whether recording an operation on an array of this type costs more than running it."""
    return aval.nbytes <= SMALL


def is_outside() -> bool:
    """Whether values may be computed and read here: nothing is traced or placed elsewhere."""
    return current_trace() is eval_trace and detour() is None


def small_views(*arrays: Any) -> list[np.ndarray] | None:
    """The values of small arrays, computed now, for a library that is quick on them.

    None for anything else, inside of transformations, and where another device is to be used.
    """
    if not is_outside():
        return None
    for x in arrays:
        if type(x) is not Array or not is_small(x.aval):
            return None
    return [x.numpy_view() for x in arrays]


def note_recorded(
    key: Hashable,
    primitive: Primitive,
    avals: list[ShapedArray],
    out_avals: list[ShapedArray],
    params: dict[str, Any],
) -> None:
    """Counts a recording of an operation with one result; makes its program when that is worth it.

    ``key`` is what `programs` will know it by.
    """
    if all(map(is_small, avals)) and is_small(out_avals[0]):
        find = _worth(_recorded, key, 1)
        if find is not None:
            made_for = config.compiled_for
            executable = find(_closed(primitive, avals, out_avals, params))
            if executable is not None:
                _keep(programs, key, executable, made_for)


def note_call(
    key: Hashable,
    work: int,
    closed: Callable[[], ClosedJaxpr | None],
    made: Callable[[tuple[Array, ...]], Any] | None = None,
) -> None:
    """Counts a call of a library function that recorded about ``work`` operations.

    ``closed`` gives the call as a program, or None where it can have none; ``key`` is what `calls`
    will know it by. ``made`` makes the result of several arrays, None says that it is one.
    """
    find = _worth(_called, key, work)
    if find is not None:
        program = closed()
        if program is None:
            _called[key] = _NEVER
            return
        made_for = config.compiled_for
        executable = find(program)
        if executable is not None:
            if work >= WORTH_ENDING:
                long_calls.add(key)
            _keep(calls, key, executable, made_for, made)


def note_again(key: Hashable, executable: Executable, made_for: object) -> None:
    """Takes the program of one operation that runs once more for its own.

    ``made_for`` are the settings that it was compiled for.
    """
    if all(map(is_small, (*executable.in_avals, *executable.out_avals))):
        _renew()
        _keep(programs, key, executable, made_for)


def clear() -> None:
    """Forgets programs and counts."""
    programs.clear()
    calls.clear()
    long_calls.clear()
    _recorded.clear()
    _called.clear()


def _renew() -> None:
    """Forgets everything when the settings have changed."""
    global settings
    if settings is not config.compiled_for:
        clear()
        settings = config.compiled_for


def _worth(
    counts: dict[Hashable, float], key: Hashable, work: int
) -> Callable[[ClosedJaxpr], Executable | None] | None:
    """Counts ``work`` for ``key``: how to find its program, if that is enough to look for one."""
    if settings is not config.compiled_for:
        _renew()
    before = counts.get(key, 0)
    count = before + work
    if len(counts) >= LIMIT:
        counts.clear()
    counts[key] = count
    if count >= WORTH_COMPILING:
        counts.pop(key, None)
        return families.executable
    return families.at_hand if before < WORTH_LOADING <= count else None


def _keep(
    table: dict[Hashable, Program],
    key: Hashable,
    executable: Executable,
    made_for: object,
    made: Callable[[tuple[Array, ...]], Any] | None = None,
) -> None:
    """Stores a program, unless settings have changed while it was made."""
    if len(table) >= LIMIT:
        table.clear()
        long_calls.clear()
    path = executable.call_path(_no_fit, single=made is None)
    table[key] = path if made is None else partial(_several, path, made)
    if config.compiled_for is not made_for:
        table.pop(key, None)


def _closed(
    primitive: Primitive,
    avals: Sequence[ShapedArray],
    out_avals: Sequence[ShapedArray],
    params: dict[str, Any],
) -> ClosedJaxpr:
    invars, outvars = [Var(a) for a in avals], [Var(a) for a in out_avals]
    eqn = Eqn(primitive, list(invars), outvars, params)
    return ClosedJaxpr(Jaxpr([], invars, list(outvars), [eqn]), [])


def _several(path: Program, made: Callable[[tuple[Array, ...]], Any], *arrays: Array) -> Any:
    """The result of a call that gives several arrays."""
    results = path(*arrays)
    return None if results is None else made(results)


def _no_fit(*arrays: Any) -> None:
    """Operands that are still pending, or deleted."""
