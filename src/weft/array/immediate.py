"""Small operations that keep recurring outside `jit` run at once, by programs of their own.

Delaying an operation pays when fusing it with others saves traffic to memory or calls. On a few
elements, recording it costs more than running it. So an operation on small arrays, with one result
and without effects, that has been recorded `WORTH_COMPILING` times (about the time it takes to
compile it) gets a native program, and from then on runs when it is asked for. The bits of pointwise
operations are the same either way; those of a sum may depend on what it is fused with, as they do
wherever delayed work is cut into programs.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from weft.array import families
from weft.array.value import Array, from_numpy
from weft.core.avals import ShapedArray
from weft.core.jaxpr import ClosedJaxpr, Eqn, Jaxpr, Var
from weft.core.primitive import Primitive

#: Bytes of an operand or result up to which an operation counts as small.
SMALL = 16384
#: Recordings (about 10 µs each) that cost what compiling does.
WORTH_COMPILING = 400
#: Operations remembered, and numbers.
LIMIT = 4096
FILLS_LIMIT = 512

#: Programs of operations: they take arrays, and return the result or None when it does not fit.
programs: dict[Hashable, Callable[..., Array | None]] = {}
_recorded: dict[Hashable, int] = {}
_fills: dict[tuple[ShapedArray, type, Any], Any] = {}


def note_recorded(
    key: Hashable,
    primitive: Primitive,
    avals: list[ShapedArray],
    out_avals: list[ShapedArray],
    params: dict[str, Any],
) -> None:
    """Counts a recording of an operation with one result, and compiles it when that is worth it."""
    if any(aval.nbytes > SMALL for aval in (*avals, *out_avals)):
        return
    count = _recorded.get(key, 0) + 1
    if count < WORTH_COMPILING:
        if len(_recorded) >= LIMIT:
            _recorded.clear()
        _recorded[key] = count
        return
    _recorded.pop(key, None)
    if len(programs) >= LIMIT:
        programs.clear()
    programs[key] = _compiled(primitive, avals, out_avals, params)


def recurring_fill(aval: ShapedArray, number: Any) -> Array | None:
    """An array like ``aval`` filled with a Python number that operations keep being given.

    Such an operand saves converting and broadcasting the number each time. None until the number
    has been met often enough, and where the result would not have the dtype of ``aval``.
    """
    kind = type(number)
    fits = aval.dtype.kind == "f" and (kind is float or kind is int)
    if not (fits or (aval.dtype.kind == "i" and kind is int)) or aval.nbytes > SMALL:
        return None
    key = (aval, kind, number)
    found = _fills.get(key, 0)
    if type(found) is Array:
        return found
    if number == 0 or number != number or aval.weak_type:  # 0.0 equals -0.0
        return None
    if len(_fills) >= FILLS_LIMIT:
        _fills.clear()
    _fills[key] = found + 1
    if found + 1 >= WORTH_COMPILING:
        info = None if aval.dtype.kind == "f" else np.iinfo(aval.dtype)
        if info is None or info.min <= number <= info.max:
            with np.errstate(over="ignore"):
                data = np.full(aval.shape, number, aval.dtype)
            _fills[key] = from_numpy(data, owned=True)
    return None


def clear() -> None:
    """Forgets programs, counts and filled arrays."""
    programs.clear()
    _recorded.clear()
    _fills.clear()


def _compiled(
    primitive: Primitive,
    avals: list[ShapedArray],
    out_avals: list[ShapedArray],
    params: dict[str, Any],
) -> Callable[..., Array | None]:
    invars, outvars = [Var(a) for a in avals], [Var(a) for a in out_avals]
    eqn = Eqn(primitive, list(invars), outvars, params)
    executable = families.executable(ClosedJaxpr(Jaxpr([], invars, list(outvars), [eqn])))
    return executable.call_path(_no_fit, single=True)


def _no_fit(*arrays: Any) -> None:
    """Operands that are still pending, or deleted."""
