"""NumPy's own functions on arrays of Weft: `np.sin(x)`, `np.concatenate([x, y])`, `ndarray + x`.

They give arrays of Weft, computed by the function of the same name in `weft.numpy`, so code written
with NumPy's functions stays delayed, and can be traced. A function that `weft.numpy` does not have,
or operands that are no numbers, run in NumPy on read-only views of the arrays, and give what NumPy
gives; a traced value has no view, which is an error that names the function.

The protocols are NEP 13 (`__array_ufunc__`) and NEP 18 (`__array_function__`).
"""

from __future__ import annotations

import functools
import importlib
import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.array import Array, is_array
from weft.core.avals import is_array_like
from weft.core.trace import Tracer
from weft.numpy import creation
from weft.numpy._common import Value

#: Functions that change their first argument.
_IN_PLACE = frozenset(("copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"))
#: Functions that libraries call to get arrays of NumPy's, which they hand on to C (SciPy's
#: optimizers do with gradients): on concrete arrays they do what `numpy.asarray` does.
_CONVERSIONS = frozenset(("atleast_1d", "atleast_2d", "atleast_3d"))
#: What updates elements in place in NumPy: the method of `x.at[i]`.
_UPDATES = {
    "add": "add",
    "subtract": "subtract",
    "multiply": "multiply",
    "divide": "divide",
    "power": "power",
    "maximum": "max",
    "minimum": "min",
}


# ---------------------------------------------------------------- ufuncs


def array_ufunc(
    self: Value,
    ufunc: np.ufunc,
    method: str,
    *inputs: Any,
    out: tuple[Any, ...] = (),
    where: Any = True,
    **options: Any,
) -> Any:
    """`__array_ufunc__`: a ufunc of NumPy, or one of its methods, on arrays of Weft."""
    if any(map(_takes_over, (*inputs, *out))):
        return NotImplemented
    name = ufunc.__name__ if method == "__call__" else f"{ufunc.__name__}.{method}"
    _check_out(name, out)
    if method == "at" and isinstance(inputs[0], Array | Tracer):
        raise _in_place_error(name, _UPDATES.get(ufunc.__name__, "set"))
    function = None if method == "at" else _function_of(ufunc, method)
    if function is None:
        operands = _as_numpy(name, inputs)
        if out:
            options["out"] = out
        if where is not True:
            options["where"] = _as_numpy(name, where)
        return getattr(ufunc, method)(*operands, **_as_numpy(name, options))
    operands = [creation.asarray(x) if isinstance(x, list | tuple) else x for x in inputs]
    if method in ("reduce", "accumulate", "reduceat"):
        if where is not True:
            options["where"] = where
        return _deliver(name, function(*operands, **options), out)
    casting = options.pop("casting", "same_kind")
    if unknown := sorted(key for key, value in options.items() if value is not None):
        raise TypeError(
            f"numpy.{name} of weft arrays does not take {', '.join(unknown)}; convert operands or "
            "results (x.astype(...))"
        )
    if where is not True and not out:
        raise TypeError(
            f"numpy.{name} of weft arrays: where= leaves elements undefined without out=; use "
            f"weft.numpy.where(mask, weft.numpy.{ufunc.__name__}(...), other)"
        )
    if _is_in_place(inputs, out):
        return function(*operands)
    return _deliver(name, function(*operands), out, where, casting)


def _takes_over(x: Any) -> bool:
    """Whether an operand of another library answers ufuncs itself."""
    kind = type(x)
    known = issubclass(kind, Array | Tracer | np.ndarray | np.generic)
    return not known and hasattr(kind, "__array_ufunc__")


def _is_in_place(inputs: tuple[Any, ...], out: tuple[Any, ...]) -> bool:
    """Is this `ndarray += traced`? The name on the left then stands for the traced result."""
    return len(out) == 1 and out[0] is inputs[0] and any(isinstance(x, Tracer) for x in inputs)


def _function_of(ufunc: np.ufunc, method: str) -> Callable[..., Any] | None:
    """Weft's function for a ufunc or its method; None where NumPy has to do it."""
    function = _counterpart(ufunc)
    return function if method == "__call__" else getattr(function, method, None)


# ---------------------------------------------------------------- functions


def array_function(
    self: Value,
    function: Callable[..., Any],
    types: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Any:
    """`__array_function__`: a function of NumPy on arrays of Weft."""
    if not all(issubclass(kind, Array | Tracer | np.ndarray) for kind in types):
        return NotImplemented
    if any(issubclass(kind, np.ma.MaskedArray) for kind in types):
        return NotImplemented  # Weft would lose the mask
    name = _dotted_name(function)
    if name in _IN_PLACE and args and isinstance(args[0], Array | Tracer):
        raise _in_place_error(name, "set")
    converts = name in _CONVERSIONS and not any(issubclass(kind, Tracer) for kind in types)
    ours = None if name in _IN_PLACE or converts else _counterpart(function)
    if ours is None or (_any_number(ours) and any(map(_is_no_number, args))):
        return function(*_as_numpy(name, args), **_as_numpy(name, kwargs))
    args, kwargs, out = _arguments_for(name, function, ours, args, kwargs)
    out = () if out is None else (out,)
    _check_out(name, out)
    return _deliver(name, ours(*args, **kwargs), out)


def _arguments_for(
    name: str,
    function: Callable[..., Any],
    ours: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """The arguments of NumPy's function as Weft's takes them, and ``out``.

    The two agree on names, but NumPy has more parameters, so positions may differ. What Weft does
    not have must have NumPy's default value. Sequences become arrays where Weft wants arrays.
    """
    theirs, mine = _parameters(function), _parameters(ours)
    if theirs is None or mine is None:  # operands of any number, or a function without signature
        kwargs = dict(kwargs)
        rest = _any_number(ours)
        operands = args if rest is None else tuple(_as_taken(rest, value) for value in args)
        return operands, kwargs, kwargs.pop("out", None)
    their_names, my_names = list(theirs), list(mine)
    given = {**dict(zip(their_names, args, strict=False)), **kwargs}
    out = given.pop("out", None)
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for key, value in given.items():
        place = their_names.index(key) if key in theirs else -1
        here = my_names[place] if 0 <= place < len(my_names) else None
        renamed = here is not None and here not in theirs and place == len(positional)
        if key in mine and mine[key].kind is not inspect.Parameter.POSITIONAL_ONLY:
            keywords[key] = _as_taken(mine[key], value)
        elif renamed or (key in mine and place == len(positional)):
            positional.append(_as_taken(mine[here or key], value))
        elif key not in theirs and _takes_any_keyword(ours):
            keywords[key] = value
        elif key not in theirs or value is not theirs[key].default:
            raise TypeError(
                f"numpy.{name} of weft arrays is weft.numpy.{name}, which has no argument {key!r}"
            )
    return tuple(positional), keywords, out


@functools.cache
def _any_number(function: Callable[..., Any]) -> inspect.Parameter | None:
    """The parameter that stands for any number of operands, where they are all there is."""
    first = next(iter(inspect.signature(function).parameters.values()), None)
    return first if first is not None and first.kind is first.VAR_POSITIONAL else None


@functools.cache
def _takes_any_keyword(function: Callable[..., Any]) -> bool:
    parameters = inspect.signature(function).parameters.values()
    return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)


def _is_no_number(x: Any) -> bool:
    """Whether it is an operand that only arrays of NumPy can hold among their elements."""
    return x is None or isinstance(x, str | bytes)


def _as_taken(parameter: inspect.Parameter, value: Any) -> Any:
    """Sequences, and arrays of other libraries, as an array where that is what is taken."""
    if not str(parameter.annotation).startswith("ArrayLike") or is_array_like(value):
        return value
    foreign = hasattr(type(value), "__array__")
    return creation.asarray(value) if foreign or isinstance(value, list | tuple) else value


@functools.cache
def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter] | None:
    """The parameters by name; None if they are not known or take any number of operands."""
    try:
        parameters = dict(inspect.signature(function).parameters)
    except ValueError:  # some functions written in C
        return None
    if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters.values()):
        return None
    return {k: p for k, p in parameters.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}


# ---------------------------------------------------------------- both


@functools.cache
def _namespace() -> Any:
    return importlib.import_module("weft.numpy")


def _dotted_name(function: Callable[..., Any]) -> str:
    """`linalg.norm` for `numpy.linalg.norm`."""
    module = getattr(function, "__module__", None) or "numpy"
    prefix = module.removeprefix("numpy").removeprefix(".")
    return f"{prefix}.{function.__name__}" if prefix else function.__name__


@functools.cache
def _counterpart(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function of `weft.numpy` under the name that `function` has in NumPy."""
    theirs: Any = np
    ours = _namespace()
    for part in _dotted_name(function).split("."):
        theirs, ours = getattr(theirs, part, None), getattr(ours, part, None)
    # SciPy and others have ufuncs with names of NumPy's; those do not stand for them.
    return ours if theirs is function else None


def _as_numpy(name: str, x: Any) -> Any:
    """Arguments with NumPy views in place of Weft's arrays; an error for traced values."""
    if is_array(x):
        return x.numpy_view()
    if isinstance(x, Tracer):
        return x.numpy_value(f"numpy.{name}")
    if type(x) is list or type(x) is tuple:
        return type(x)(_as_numpy(name, item) for item in x)
    if type(x) is dict:
        return {key: _as_numpy(name, value) for key, value in x.items()}
    return x


def _check_out(name: str, out: tuple[Any, ...]) -> None:
    """`out` may be an array of NumPy's; those of Weft are values."""
    for target in out:
        if isinstance(target, Array | Tracer):
            raise TypeError(
                f"numpy.{name}: out cannot be a weft array, which is a value: write "
                f"x = weft.numpy.{name}(...)"
            )


def _in_place_error(name: str, update: str) -> TypeError:
    return TypeError(
        f"numpy.{name} cannot change a weft array, which is a value: write "
        f"x = x.at[index].{update}(values)"
    )


def _deliver(
    name: str, result: Any, out: tuple[Any, ...], where: Any = True, casting: Any = "same_kind"
) -> Any:
    """`result`, written to the NumPy arrays of `out` if there are any."""
    if not out:
        return result
    results = result if isinstance(result, tuple) else (result,)
    mask = _as_numpy(name, where)
    for target, value in zip(out, results, strict=True):
        if target is not None:
            np.copyto(target, _as_numpy(f"{name} with out=", value), casting=casting, where=mask)
    delivered = tuple(
        value if target is None else target for target, value in zip(out, results, strict=True)
    )
    return delivered if isinstance(result, tuple) else delivered[0]
