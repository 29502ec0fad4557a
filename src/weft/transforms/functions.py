"""What every transformation needs of the function it is given: names, and a flat form."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.array.value import from_numpy
from weft.core.avals import aval_of, is_array_like
from weft.core.dtypes import canonical_dtype, float0
from weft.core.source import Source, describe, user_source
from weft.core.staging import FunctionInfo
from weft.core.trace import captured, current_trace, eval_trace


def function_name(fun: Callable[..., Any]) -> str:
    """The name of a function, method, partial or callable object, for messages."""
    while isinstance(fun, functools.partial):
        fun = fun.func
    return getattr(fun, "__name__", None) or type(fun).__name__


def where_defined(fun: Callable[..., Any]) -> str:
    """``'name' (file:line)`` of a function: what tells lambdas apart."""
    inner: Any = fun
    while True:
        inner, outer = getattr(inner, "__wrapped__", getattr(inner, "func", None)), inner
        if inner is None:
            break
    code = getattr(outer, "__code__", None)
    name = f"'{function_name(fun)}'"
    return name if code is None else f"{name} ({code.co_filename}:{code.co_firstlineno})"


def described(value: Any) -> str:
    """What a function returned in place of a pair, for messages."""
    return f"one array, {aval_of(value)}" if is_array_like(value) else type(value).__name__


def at_user_line(source: Source | None = None) -> str:
    """The line of the user's program that an error ends with; by default the current one."""
    shown = describe(source or user_source())
    return f"\nAt {shown}" if shown else ""


def shown(value: Any) -> str:
    """A value that is no array, with its type, for messages."""
    text = repr(value)
    if len(text) > 120:
        text = text[:80] + " … " + text[-30:]
    return f"{text} of type {type(value).__name__}"


def parts_advice(value: Any) -> str:
    """How an object becomes leaves, for messages; empty for text and functions."""
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        return f". weft.tree_util.register_dataclass({cls.__name__}) makes its fields leaves"
    if not isinstance(value, type) and hasattr(value, "__array__"):
        made = "x.to_numpy()" if hasattr(value, "to_numpy") else "weft.numpy.asarray(x)"
        return f". {made} is an array of its values"
    if callable(value) or not hasattr(value, "__dict__") or isinstance(value, str):
        return ""
    return (
        f". weft.tree_util.register_pytree_node({cls.__name__}, flatten, unflatten) makes its "
        "parts leaves"
    )


def check_callable(transform: str, fun: Any) -> None:
    """Raises TypeError unless ``fun`` can be called."""
    if not callable(fun):
        raise TypeError(f"{transform} takes a function, got {fun!r} of type {type(fun).__name__}")


#: Not kept alive: functions close over arrays, and over traced values.
_signatures: weakref.WeakKeyDictionary[Any, inspect.Signature | None] = weakref.WeakKeyDictionary()


def signature_of(fun: Callable[..., Any]) -> inspect.Signature | None:
    """The signature, or None for callables that have none (some built-ins)."""
    try:
        return _signatures[fun]
    except KeyError:
        found = _signatures[fun] = _signature(fun)
        return found
    except TypeError:  # a callable without a hash or weak references
        return _signature(fun)


def _signature(fun: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(fun)
    except (ValueError, TypeError):
        return None


def positional_names(fun: Callable[..., Any], count: int) -> list[str]:
    """Names of the first ``count`` positional parameters: ``x``, ``rest[0]``, …"""
    signature = signature_of(fun)
    names: list[str] = []
    variadic = "args"
    if signature is not None:
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                names.append(parameter.name)
            elif parameter.kind is parameter.VAR_POSITIONAL:
                variadic = parameter.name
    known = len(names)
    names += [f"{variadic}[{i}]" for i in range(count - known)]
    return names[:count]


def argument_names(
    fun: Callable[..., Any],
    treedef: tree.PyTreeSpec,
    args: Sequence[Any],
    kwargs: dict[str, Any],
    positions: Sequence[int] | None = None,
) -> Callable[[], list[str]]:
    """Names of the leaves of ``(args, kwargs)``, found when an error needs them.

    ``positions`` gives the place of each of ``args`` in the call when some were taken out.
    """
    places = list(positions) if positions is not None else list(range(len(args)))
    arg_specs = treedef.children()

    def names() -> list[str]:
        roots = positional_names(fun, max(places, default=-1) + 1)
        found: list[str] = []
        for place, spec in zip(places, arg_specs[0].children(), strict=True):
            found += tree.path_names(spec, roots[place])
        for key, spec in zip(arg_specs[1].entries(), arg_specs[1].children(), strict=True):
            found += tree.path_names(spec, str(key))
        return found

    return functools.cache(names)


def check_leaves(
    transform: str, name: str, leaves: Sequence[Any], names: Callable[[], Sequence[str]]
) -> None:
    """Raises TypeError, naming the argument, unless all leaves are arrays or numbers."""
    for i, leaf in enumerate(leaves):
        if not is_array_like(leaf):
            raise TypeError(
                f"{transform} of '{name}': {names()[i]} is {shown(leaf)}, not an array or a number"
                f"{parts_advice(leaf)}{at_user_line()}"
            )
        if isinstance(leaf, np.ndarray | np.generic) and leaf.dtype != float0:
            try:
                canonical_dtype(leaf.dtype)
            except TypeError as error:
                raise TypeError(
                    f"{transform} of '{name}': {names()[i]}: {error}{at_user_line()}"
                ) from None


def as_array(x: Any) -> Any:
    """A number or NumPy array as the array that a function gets when it is traced instead of run.

    Anything else comes back as it is.
    """
    if not isinstance(x, bool | int | float | complex | np.generic | np.ndarray):
        return x
    aval = aval_of(x)
    return from_numpy(np.asarray(x, aval.dtype), aval.weak_type)


def as_arrays(leaves: Sequence[Any]) -> list[Any]:
    """The leaves, with NumPy arrays as arrays: what Python code does with them is then Weft's.

    NumPy would make a number of NumPy of its results without axes, and those are weakly typed.
    """
    return [captured(x) if isinstance(x, np.ndarray) and x.dtype != float0 else x for x in leaves]


def delivered(values: Sequence[Any]) -> list[Any]:
    """Results as users get them: outside transformations, arrays rather than NumPy's or scalars."""
    if current_trace() is not eval_trace:
        return list(values)
    return [captured(np.asarray(x, aval_of(x).dtype)) if _is_foreign(x) else x for x in values]


def _is_foreign(x: Any) -> bool:
    if isinstance(x, np.ndarray):
        return x.dtype != float0
    return isinstance(x, np.generic | bool | int | float | complex)


class _Float0:
    """An array of dtype float0 as a container without leaves: it has a shape and no values."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape


tree.register_node(
    _Float0, lambda zeros: ((), zeros.shape), lambda shape, _: np.zeros(shape, float0)
)


def _as_structure(leaf: Any) -> Any:
    is_float0 = isinstance(leaf, np.ndarray) and leaf.dtype == float0
    return _Float0(leaf.shape) if is_float0 else leaf


class FlatFunction:
    """A function of flat lists made from one of trees; ``out_tree`` is known after a call."""

    def __init__(self, fun: Callable[..., Any], treedef: tree.PyTreeSpec, info: FunctionInfo):
        self.fun = fun
        self.treedef = treedef
        self.info = info
        self.out_tree: tree.PyTreeSpec | None = None
        self.__name__ = info.name

    def __call__(self, *leaves: Any) -> list[Any]:
        args, kwargs = tree.unflatten(self.treedef, leaves)
        result = self.fun(*args, **kwargs)
        outs, self.out_tree = tree.flatten(result)
        if any(isinstance(x, np.ndarray) and x.dtype == float0 for x in outs):
            outs, self.out_tree = tree.flatten(tree.map(_as_structure, result))
        self.check_outputs(outs)
        return outs

    def check_outputs(self, outs: Sequence[Any]) -> None:
        """Raises TypeError unless all results are arrays or numbers."""
        for i, out in enumerate(outs):
            if not is_array_like(out):
                assert self.out_tree is not None
                where = tree.path_names(self.out_tree, "result")[i]
                raise TypeError(
                    f"{self.info} returned {shown(out)} as {where}; results are arrays, numbers, "
                    f"and containers of them{parts_advice(out)}{at_user_line()}"
                )

    def describe_result(self) -> str:
        """The structure of the result, for messages."""
        return "nothing yet" if self.out_tree is None else tree.describe(self.out_tree)

    def unflatten(self, outs: Sequence[Any]) -> Any:
        """The results as the function's own containers."""
        return tree.unflatten(self.out_tree, delivered(outs))  # type: ignore[arg-type]


def flat_function(
    transform: str,
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: dict[str, Any] | None = None,
) -> tuple[FlatFunction, list[Any]]:
    """The flat form of ``fun`` for these arguments, and their leaves, checked."""
    kwargs = kwargs or {}
    name = function_name(fun)
    leaves, treedef = tree.flatten((tuple(args), kwargs))
    names = argument_names(fun, treedef, args, kwargs)
    check_leaves(transform, name, leaves, names)
    return FlatFunction(fun, treedef, FunctionInfo(name, names, transform)), as_arrays(leaves)
