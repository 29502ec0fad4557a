"""The current trace, and the values it hands out.

A transformation installs a :class:`Trace`, runs the user's function on :class:`Tracer` arguments,
and every primitive bound meanwhile goes to that trace alone ("stackless": the current trace
decides, not the operands). A trace that does not care hands the operation to its parent. The
bottom is :class:`EvalTrace`, which computes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from weft.core import dtypes
from weft.core.avals import ShapedArray, register_array_type
from weft.core.source import describe, user_source
from weft.errors import (
    ConcretizationError,
    LeakedTracerError,
    TracerArrayConversionError,
    TracerBoolConversionError,
    TracerIntegerConversionError,
)

if TYPE_CHECKING:
    from weft.core.primitive import Primitive


class Trace:
    """What to do with primitives while a transformation runs.

    ``name`` says which function is transformed, for messages; ``finished`` is set when the
    transformation ends, after which its tracers are leaks; ``suspended`` while it runs code that
    must not see its tracers (a derivative rule written by the user).
    """

    finished: bool = False
    suspended: bool = False
    name: str = "a function"

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        """Applies ``primitive`` to ``args``; a list of results with ``multiple_results``."""
        raise NotImplementedError

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        """Applies a function that has its own forward-mode rule (``CustomJvpCall``)."""
        raise NotImplementedError

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        """Applies a function that has its own reverse-mode rule (``CustomVjpCall``)."""
        raise NotImplementedError

    def describe_tracer(self, tracer: Tracer) -> str:
        """A sentence on where ``tracer`` came from; empty when nothing is known."""
        return ""

    def advice(self, error: type[ConcretizationError], usual: str) -> str:
        """What to write instead where ``error`` says that a value is not known."""
        return usual


Evaluator = Callable[["Primitive", tuple[Any, ...], dict[str, Any]], Any]


def numpy_evaluator(primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Runs the NumPy meaning of a primitive: what computes until an array type registers."""
    out = primitive.rule("numpy")(*map(_as_numpy, args), **params)
    # As arrays: NumPy scalars would count as weakly typed.
    return list(map(np.asarray, out)) if primitive.multiple_results else np.asarray(out)


def _as_numpy(value: Any) -> np.ndarray:
    scalar = dtypes.scalar_type(value)
    return np.asarray(value, scalar[0]) if scalar is not None else np.asarray(value)


class EvalTrace(Trace):
    """The bottom trace: operations are computed, by the evaluator that the array type registers."""

    evaluator: Evaluator = staticmethod(numpy_evaluator)

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        for arg in args:
            if isinstance(arg, Tracer):
                raise leaked_tracer_error(arg)
        rule = primitive.rules.get("eval")
        if rule is not None:
            return rule(*args, **params)
        return self.evaluator(primitive, args, params)

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        return call.fun(*args)

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        return call.fun(*args)


eval_trace = EvalTrace()


def set_evaluator(evaluator: Evaluator) -> None:
    """Sets what computes primitives outside every transformation."""
    eval_trace.evaluator = evaluator


def _keep(value: Any) -> Any:
    return value


_capture: Callable[[Any], Any] = _keep


def set_capture(capture: Callable[[Any], Any]) -> None:
    """Sets how a trace keeps a value that a function closes over.

    The array type registers a function that gives a handle (of an array) or copy (of a NumPy array)
    which later assignments ``x[i] = v`` do not reach.
    """
    global _capture
    _capture = capture


def captured(value: Any) -> Any:
    """``value`` in the form a trace may keep."""
    return value.another_handle() if isinstance(value, Tracer) else _capture(value)


@functools.cache
def _slots_of(cls: Any) -> tuple[str, ...]:
    names = [name for base in cls.__mro__ for name in getattr(base, "__slots__", ())]
    return tuple(name for name in names if name not in ("__weakref__", "note"))


#: The current trace. Native calls look at it too: see `weft.runtime.fast_call`.
trace_variable: ContextVar[Trace] = ContextVar("weft.trace", default=eval_trace)

#: The trace that primitives bound now go to.
current_trace = trace_variable.get


@contextmanager
def set_trace(trace: Trace) -> Iterator[Trace]:
    """Makes ``trace`` the current trace of this context inside a ``with`` block."""
    previous = trace_variable.get()
    trace_variable.set(trace)
    try:
        yield trace
    finally:
        trace_variable.set(previous)


def leaked_tracer_error(tracer: Tracer) -> LeakedTracerError:
    """The error for a tracer met by a trace that it cannot belong to."""
    trace = tracer._trace
    origin = trace.describe_tracer(tracer)
    where = f"{' ' + origin if origin else ''}\nUsed at {describe(user_source())}"
    if not trace.finished:
        return LeakedTracerError(
            f"a traced value of type {tracer.aval} of {trace.name} was used where that "
            "transformation does not reach: inside a custom derivative rule or callback that "
            f"closes over it. Pass it as an argument instead.{where}"
        )
    return LeakedTracerError(
        f"a traced value of type {tracer.aval} outlived the transformation of {trace.name} that "
        "made it: it was probably kept through a global, an attribute, a list or a generator. "
        f"Return the value from the function instead.{where}"
    )


#: The note of a tracer that stands for an argument of the transformed function.
ARGUMENT = object()


def as_arguments(trace: Trace, values: Iterable[Any]) -> list[Any]:
    """``values``, with the tracers of ``trace`` among them marked as arguments."""
    marked = list(values)
    for value in marked:
        if isinstance(value, Tracer) and value._trace is trace:
            value.note = ARGUMENT
    return marked


class Tracer:
    """A stand-in for an array inside a transformed function.

    It has the type of the array (``shape``, ``dtype``) but, in general, no value. Operators and
    array methods are those that the array type registers with :func:`register_array_methods`.
    """

    # Subclasses begin the names of their slots with an underscore: array methods own the others.
    __slots__ = ("__weakref__", "_trace", "aval", "note")

    __array_priority__ = 1000

    aval: ShapedArray
    _trace: Trace
    note: Any  # what `x[i] = v` must know: ARGUMENT, the basic index that made it, or None

    def __init__(self, trace: Trace, aval: ShapedArray):
        self._trace = trace
        self.aval = aval
        self.note = None

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape, a tuple of integers."""
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype."""
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.aval.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.aval.size

    @property
    def nbytes(self) -> int:
        """Bytes of a dense array of this type."""
        return self.aval.nbytes

    @property
    def weak_type(self) -> bool:
        """Does it take the dtype of what it meets, as Python scalars do?"""
        return self.aval.weak_type

    def concrete(self) -> Any:
        """The value when it is known in spite of tracing (the primal under ``grad``), or None."""
        return None

    def another_handle(self) -> Tracer:
        """A tracer of the same value, which ``x[i] = v`` on this one does not change."""
        cls: Any = type(self)
        other = object.__new__(cls)
        for name in _slots_of(cls):
            setattr(other, name, getattr(self, name))
        other.note = None
        return other

    def is_differentiated(self) -> bool:
        """Does it carry a tangent, which a Python or NumPy value would silently lose?"""
        return False

    def _concrete_or_raise(
        self, use: str, advice: str, error: type[ConcretizationError] = ConcretizationError
    ) -> Any:
        value = self.concrete()
        if value is None:
            raise self._concretization_error(use, advice, error)
        return value

    def _constant_or_raise(
        self, use: str, advice: str, error: type[ConcretizationError] = ConcretizationError
    ) -> Any:
        """The value for uses that keep its digits: an error where its derivative would get lost."""
        if self.is_differentiated() and not self._trace.finished:
            raise error(
                f"{use} of a value of type {self.aval} that is being differentiated in "
                f"{self._trace.name}: the result would have no derivative. If that is meant, use "
                f"weft.stop_gradient(x) first; otherwise use weft.numpy.\n"
                f"At {describe(user_source())}"
            )
        return self._concrete_or_raise(use, advice, error)

    def _concretization_error(
        self, use: str, advice: str, error: type[ConcretizationError] = ConcretizationError
    ) -> ConcretizationError:
        if self._trace.finished:
            raise leaked_tracer_error(self)
        origin = self._trace.describe_tracer(self)
        return error(
            f"{use} of a traced value of type {self.aval} while {self._trace.name} is traced: its "
            f"value is not known yet.{' ' + origin if origin else ''} "
            f"{self._trace.advice(error, advice)}\n"
            f"At {describe(user_source())}"
        )

    def __bool__(self) -> bool:
        return bool(
            self._concrete_or_raise("the truth value", _BOOL_ADVICE, TracerBoolConversionError)
        )

    def __int__(self) -> int:
        return int(self._concrete_or_raise("int()", _NUMBER_ADVICE))

    def __float__(self) -> float:
        return float(self._constant_or_raise("float()", _NUMBER_ADVICE))

    def __complex__(self) -> complex:
        return complex(self._constant_or_raise("complex()", _NUMBER_ADVICE))

    def __index__(self) -> int:
        return self._concrete_or_raise(
            "use as a Python index", _INDEX_ADVICE, TracerIntegerConversionError
        ).__index__()

    def numpy_value(self, use: str) -> np.ndarray:
        """The value for ``use`` outside of tracing: an error where it is not known."""
        return np.asarray(self._constant_or_raise(use, _ARRAY_ADVICE, TracerArrayConversionError))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        value = self.numpy_value("conversion to a NumPy array")
        return np.asarray(value, dtype) if copy is None else np.array(value, dtype, copy=copy)

    def item(self, *args: int) -> Any:
        """The element as a Python scalar: only where the value is known."""
        return self._constant_or_raise("item()", _NUMBER_ADVICE).item(*args)

    def tolist(self) -> Any:
        """The elements as nested lists: only where the value is known."""
        return self._constant_or_raise("tolist()", _ARRAY_ADVICE).tolist()

    def __hash__(self) -> int:
        raise TypeError(
            f"a traced value is not hashable, here {self.aval} of {self._trace.name}: its value is "
            "not known, and == compares element by element. Make the argument static "
            "(static_argnums, static_argnames), or use id(x)."
        )

    def __len__(self) -> int:
        if not self.aval.shape:
            raise TypeError(f"len() of a traced scalar of type {self.aval}")
        return self.aval.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.aval.shape:
            raise TypeError(f"iteration over a traced scalar of type {self.aval}")
        return (self[i] for i in range(self.aval.shape[0]))  # type: ignore[index]

    def __format__(self, spec: str) -> str:
        if not spec:
            return str(self)
        return format(self._constant_or_raise(f"the format {spec!r}", _FORMAT_ADVICE), spec)

    def __repr__(self) -> str:
        return f"{type(self).__name__}<{self.aval}>"

    def __copy__(self) -> Tracer:
        return self

    def __deepcopy__(self, memo: Any) -> Tracer:
        return self

    def __reduce__(self) -> NoReturn:
        raise self._concretization_error("pickling", _ARRAY_ADVICE)


_BOOL_ADVICE = (
    "Use weft.numpy.where, weft.lax.cond or weft.lax.while_loop in place of if, and, or, while; or "
    "make the argument static (static_argnums, static_argnames) if it is not an array."
)
_NUMBER_ADVICE = (
    "Keep it an array (x.astype(...) converts dtypes), or make the argument static "
    "(static_argnums, static_argnames)."
)
_INDEX_ADVICE = (
    "Sizes and Python indices must be known when tracing: make the argument static "
    "(static_argnums, static_argnames), or index a weft array, x[i]."
)
_FORMAT_ADVICE = 'weft.debug.print("{:.2f}", x) prints it when the function runs.'
_ARRAY_ADVICE = (
    "Use weft.numpy in place of numpy inside transformed functions, or move this out of them."
)

register_array_type(Tracer, lambda tracer: tracer.aval)


def register_array_methods(methods: Mapping[str, Any]) -> None:
    """Gives every tracer the operators, methods and properties of arrays.

    ``methods`` maps attribute names (``"__add__"``, ``"sum"``, ``"T"``) to functions whose first
    argument is the array, or to descriptors such as properties.
    """
    for name, method in methods.items():
        setattr(Tracer, name, method)
