"""Library functions on small arrays that keep being called alike run at once, by one program.

A function of the library is Python that composes primitives; outside transformations a call costs a
few microseconds for each, and for checking its arguments. When a function marked `at_once` has been
called often enough with the same types and static arguments, it is traced and compiled as `jit`
does it, and from then on such a call is a look-up and one native call (`weft.array.immediate` does
the same for single primitives). Calls with large arrays are left alone, so that they fuse.

Numbers of Python are static here, with their values: what a function makes of them may depend on
the value. So a call with a number that is another one each time stays as it is.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np

from weft.array import immediate
from weft.array.value import Array
from weft.config import config, detour
from weft.core.jaxpr import ClosedJaxpr
from weft.core.staging import trace_to_jaxpr
from weft.core.trace import current_trace, eval_trace
from weft.errors import ConcretizationError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

#: Static arguments that are what their type and value say.
_PLAIN = frozenset([int, str, bool, type(None), type(Ellipsis)])
#: What describes an argument of another kind, such as a NumPy array.
_OTHER = object()


def at_once(function: FunctionT) -> FunctionT:
    """Lets calls of ``function`` on small arrays that recur run by a program of their own.

    It must be a function of its arguments alone and return an array, or a tuple or list of arrays;
    where its work depends on the values of arrays, such calls are left alone. What it checks only
    where values are known (that indices are within bounds) a program would not check again: that
    belongs into a caller.
    """
    programs = immediate.calls

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if current_trace() is not eval_trace:
            return function(*args, **kwargs)
        arrays: list[Array] = []
        described: list[Hashable] = [function]
        for x in args:
            if type(x) is Array:
                arrays.append(x)
                described.append(x.aval)
            else:
                described.append(_described(x, arrays))
        if kwargs:
            for name, x in kwargs.items():
                described.append(name)
                described.append(_described(x, arrays))
        if _OTHER in described:
            return function(*args, **kwargs)
        key = tuple(described)
        program = programs.get(key)
        if program is not None and _may_run():
            result = program(*arrays)
            if result is None and key in immediate.long_calls and _end_segments(arrays):
                result = program(*arrays)
            if result is not None:
                return result
        before = immediate.recorded
        result = function(*args, **kwargs)
        found = _results(result)
        if found and all(immediate.is_small(x.aval) for x in (*found, *arrays)):
            work = immediate.recorded - before or 1
            made = None if type(result) is Array else _maker(type(result))
            immediate.note_call(key, work, lambda: _traced(function, args, kwargs), made)
        return result

    return call  # type: ignore[return-value]


def _described(x: Any, arrays: list[Array]) -> Hashable:
    """An argument's part of the key; arrays in it are appended to ``arrays``."""
    kind: Any = type(x)
    if kind in _PLAIN:
        return kind, x
    if kind is Array:
        arrays.append(x)
        return x.aval
    if kind is float:  # 0.0 equals -0.0
        return repr(x)
    if kind is tuple or kind is list or kind is slice:
        items = (x.start, x.stop, x.step) if kind is slice else x
        parts = [_described(item, arrays) for item in items]
        return _OTHER if _OTHER in parts else (kind, *parts)
    return x if isinstance(x, np.dtype | type) else _OTHER


def _results(result: Any) -> Sequence[Array]:
    """The arrays of a result; nothing if it is of another kind."""
    if type(result) is Array:
        return (result,)
    if isinstance(result, tuple | list) and all(type(x) is Array for x in result):
        return result
    return ()


def _maker(kind: Any) -> Callable[[tuple[Array, ...]], Any]:
    """What makes a tuple or list of type ``kind`` of its arrays."""
    return getattr(kind, "_make", kind)


def _end_segments(arrays: Sequence[Array]) -> bool:
    """Ends the segments of pending arrays, which costs less than a long recording.

    Whether all have values then: what fails is left pending, and with it this call.
    """
    pending = [x._pending for x in arrays]
    return all(p is None or p[0].segment.flush() for p in pending)


def _may_run() -> bool:
    """Whether programs of calls hold in this context."""
    return immediate.settings is config.compiled_for and detour() is None


def _traced(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ClosedJaxpr | None:
    """The call as a program over the arrays among its arguments; None if their values matter."""
    arrays: list[Array] = []
    for x in (*args, *kwargs.values()):
        _described(x, arrays)

    def flat(*tracers: Any) -> list[Any]:
        given = iter(tracers)
        positional = [_replaced(x, given) for x in args]
        named = {name: _replaced(x, given) for name, x in kwargs.items()}
        result = function(*positional, **named)
        return list(result) if isinstance(result, tuple | list) else [result]

    try:
        closed = trace_to_jaxpr(flat, [array.aval for array in arrays])
    except ConcretizationError:
        return None
    return None if closed.jaxpr.effects else closed


def _replaced(x: Any, given: Iterator[Any]) -> Any:
    """An argument with the next of ``given`` for each of its arrays, in `_described`'s order."""
    kind = type(x)
    if kind is Array:
        return next(given)
    if kind is tuple or kind is list:
        return kind(_replaced(item, given) for item in x)
    if kind is slice:
        return slice(*[_replaced(item, given) for item in (x.start, x.stop, x.step)])
    return x
