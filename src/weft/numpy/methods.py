"""Operators, methods and indexing of arrays and traced values: one table for both.

`Array` and every tracer get the same attributes, so that a function does not see whether it is
traced. Binary operators answer `NotImplemented` for foreign operands, which lets those take over.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np

from weft.array import Array, View, alias, is_array, mark_view, rebind
from weft.core import dtypes
from weft.core.avals import aval_of, is_array_like
from weft.core.trace import (
    ARGUMENT,
    Tracer,
    current_trace,
    eval_trace,
    register_array_methods,
)
from weft.numpy import (
    classify,
    contraction,
    creation,
    dispatch,
    division,
    indexing,
    joining,
    parts,
    reductions,
    select,
    shaping,
    sorting,
    taking,
    ufuncs,
    views,
)
from weft.numpy._common import ArrayLike, DType, Value
from weft.primitives.windows import GatherScatterMode

# ---------------------------------------------------------------- operators


_OPERANDS = frozenset([Array, bool, int, float, complex])


def _forward(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operator(self: Value, other: Any) -> Any:
        known = type(other) in _OPERANDS or is_array_like(other)
        return function(self, other) if known else _refuse(other)

    return operator


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def operator(self: Value, other: Any) -> Any:
        known = type(other) in _OPERANDS or is_array_like(other)
        return function(other, self) if known else _refuse(other)

    return operator


def _refuse(other: Any) -> Any:
    if isinstance(other, list | tuple):
        raise TypeError(
            f"an operand is a {type(other).__name__}; make an array of it with "
            "weft.numpy.asarray(...)"
        )
    return NotImplemented


_BINARY = {
    "add": ufuncs.add,
    "sub": ufuncs.subtract,
    "mul": ufuncs.multiply,
    "truediv": ufuncs.true_divide,
    "floordiv": division.floor_divide,
    "mod": division.remainder,
    "divmod": division.divmod,
    "pow": division.power,
    "matmul": contraction.matmul,
    "and": ufuncs.bitwise_and,
    "or": ufuncs.bitwise_or,
    "xor": ufuncs.bitwise_xor,
    "lshift": ufuncs.left_shift,
    "rshift": ufuncs.right_shift,
}
_COMPARISONS = {
    "eq": ufuncs.equal,
    "ne": ufuncs.not_equal,
    "lt": ufuncs.less,
    "le": ufuncs.less_equal,
    "gt": ufuncs.greater,
    "ge": ufuncs.greater_equal,
}
_UNARY = {
    "neg": ufuncs.negative,
    "pos": ufuncs.positive,
    "abs": ufuncs.absolute,
    "invert": ufuncs.bitwise_not,
}


def _round_method(self: Value, ndigits: int | None = None) -> Value:
    return ufuncs.round(self, ndigits or 0)


# ---------------------------------------------------------------- indexing


def _getitem(self: Value, index: Any) -> Value:
    result = parts.read_at_once(self, index)
    if result is None:
        result = indexing.read(self, index)
        if not indexing.is_basic(index):
            return result
        result = alias(result) if result is self else result
    mark_view(result, self, "", strided=True, index=index)
    return result


def _setitem(self: Value, index: Any, value: Any) -> None:
    """`x[i] = v`: the handle stands for a new value from here on (see `weft.array.value`)."""
    _check_rebinds(self)
    result = indexing.write(self, index, _as_update(value))
    if type(result) is not type(self):
        raise _outside_error(self)
    rebind(self, result)


def _as_update(value: Any) -> Any:
    return creation.asarray(value) if isinstance(value, list | tuple) else value


def _check_rebinds(x: Value) -> None:
    """Refuses to change what NumPy would change for somebody else as well."""
    note = x._note if is_array(x) else x.note
    if isinstance(note, View):
        _check_view(note)
    if note is ARGUMENT:
        raise TypeError(
            f"an argument of {x._trace.name} cannot be changed in place: the caller would not see "
            "it, as "
            "it does with NumPy. Write x = x.at[...].set(v), and return x if the caller needs it."
        )
    trace = x._trace if isinstance(x, Tracer) else eval_trace
    if trace is not current_trace():
        raise _outside_error(x)


def _check_view(note: View) -> None:
    """Refuses to write to what NumPy would write through to an array that is still in use."""
    if not note.is_seen():
        return
    if note.index is None:
        raise TypeError(
            f"this array is the result of {note.what}, a value of its own: assigning to it would "
            f"not change x as it does in NumPy. Assign to x itself (x[...] = v), or copy it first "
            f"(y = {note.what}.copy())."
        )
    text = _index_text(note.index)
    raise TypeError(
        f"this array is the result of x[{text}], a value of its own: assigning to it would "
        "not change "
        f"x as it does in NumPy. Write x[{text}, ...] = v as one index of x, or copy it first "
        f"(y = x[{text}].copy())."
    )


def _outside_error(x: Value) -> TypeError:
    return TypeError(
        f"an array {aval_of(x)} that does not depend on the traced arguments of "
        f"{current_trace().name} "
        "cannot be changed in place while that is traced. Write x = x.at[...].set(v)."
    )


def _index_text(index: Any) -> str:
    entries = index if isinstance(index, tuple) else (index,)
    return ", ".join(_entry_text(entry) for entry in entries)


def _entry_text(entry: Any) -> str:
    if entry is Ellipsis:
        return "..."
    if isinstance(entry, slice):
        bounds = [entry.start, entry.stop] + ([entry.step] if entry.step is not None else [])
        return ":".join("" if bound is None else str(bound) for bound in bounds)
    return str(entry)


class IndexUpdater:
    """`x.at`: index it to say where, then call what to do; `x` itself does not change.

    >>> np.ones(4).at[1:3].set(0.0)
    Array([1., 0., 0., 1.], dtype=float32)
    >>> np.zeros(3).at[np.array([0, 2, 2])].add(1)
    Array([1., 0., 2.], dtype=float32)
    """

    __slots__ = ("array",)

    def __init__(self, array: Value):
        self.array = array

    def __getitem__(self, index: Any) -> IndexedUpdate:
        return IndexedUpdate(self.array, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "x.at[index] = value changes nothing, since arrays are values: write "
            "x = x.at[index].set(value), or x[index] = value on an array of your own"
        )

    def __call__(self, *_: Any) -> NoReturn:
        raise TypeError("x.at takes its index in brackets: x.at[index].set(value)")

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"x.at has no {name!r}: index it first, x.at[index].{name}(...)")

    def __repr__(self) -> str:
        return (
            f"<x.at of {aval_of(self.array)}: index it, then call set, add, multiply, min, max, …>"
        )


class IndexedUpdate:
    """`x.at[index]`: the updates that can be made there, each giving a new array.

    `mode` treats indices out of bounds: "drop" (the default for updates), "clip" and
    "promise_in_bounds"; `get` clips by default, and has "fill" with `fill_value`. Static indices
    out of bounds are errors unless a mode is given. Where indices repeat, `add`, `multiply`, `min`,
    `max`, `divide`, `power` and `apply` combine all updates; `set` keeps the last one.
    """

    __slots__ = ("array", "index")

    def __init__(self, array: Value, index: Any):
        self.array = array
        self.index = index

    def __repr__(self) -> str:
        return f"<x.at[{_index_text(self.index)}] of {aval_of(self.array)}: {_UPDATES}>"

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"x.at[...] has no {name!r}; it has {_UPDATES}")

    def __iadd__(self, value: Any) -> NoReturn:
        raise _in_place("+=", "add")

    def __isub__(self, value: Any) -> NoReturn:
        raise _in_place("-=", "subtract")

    def __imul__(self, value: Any) -> NoReturn:
        raise _in_place("*=", "multiply")

    def __itruediv__(self, value: Any) -> NoReturn:
        raise _in_place("/=", "divide")

    def _write(self, kind: str, values: ArrayLike, options: dict[str, Any]) -> Value:
        unknown = set(options) - {"mode", "unique_indices", "indices_are_sorted"}
        if unknown:
            raise TypeError(f"x.at[...].{kind}: unknown arguments {sorted(unknown)}")
        GatherScatterMode.from_any(options.get("mode"))  # refuses others, whatever the index
        return indexing.write(
            self.array, self.index, values, kind, checked=options.get("mode") is None, **options
        )

    def set(self, values: ArrayLike, **options: Any) -> Value:
        """The array with `values` at the index."""
        return self._write("set", values, options)

    def add(self, values: ArrayLike, **options: Any) -> Value:
        """The array with `values` added at the index."""
        return self._write("add", values, options)

    def subtract(self, values: ArrayLike, **options: Any) -> Value:
        """The array with `values` subtracted at the index."""
        return self._write("add", ufuncs.negative(values), options)

    def multiply(self, values: ArrayLike, **options: Any) -> Value:
        """The array multiplied by `values` at the index."""
        return self._write("multiply", values, options)

    mul = multiply

    def divide(self, values: ArrayLike, **options: Any) -> Value:
        """The array divided by `values` at the index."""
        return ufuncs.divide(self.array, self._factors("divide", values, options))

    def power(self, values: ArrayLike, **options: Any) -> Value:
        """The array to the power of `values` at the index."""
        return division.power(self.array, self._factors("power", values, options))

    def _factors(self, kind: str, values: ArrayLike, options: dict[str, Any]) -> Value:
        """Ones, multiplied by `values` at the index."""
        dtype, _ = dtypes.result_type(self.array, values)
        ones = ufuncs.constant_like(creation.astype(self.array, dtype), 1)
        return IndexedUpdate(ones, self.index)._write("multiply", values, options)

    def min(self, values: ArrayLike, **options: Any) -> Value:
        """The smaller of the array and `values` at the index."""
        return self._write("min", values, options)

    def max(self, values: ArrayLike, **options: Any) -> Value:
        """The larger of the array and `values` at the index."""
        return self._write("max", values, options)

    def apply(self, function: Callable[[Value], Value], **options: Any) -> Value:
        """The array with `function` applied to the elements at the index.

        It takes and returns arrays, works element by element, and is applied again where indices
        repeat (with `unique_indices` it is not).
        """
        GatherScatterMode.from_any(options.get("mode"))
        return indexing.write_applied(
            self.array, self.index, function, checked=options.get("mode") is None, **options
        )

    def get(self, *, mode: str | None = None, fill_value: Any = None, **hints: bool) -> Value:
        """The elements at the index."""
        GatherScatterMode.from_any(mode)
        return indexing.read(self.array, self.index, mode, fill_value, checked=mode is None)


def _in_place(operator: str, method: str) -> TypeError:
    return TypeError(
        f"x.at[index] {operator} value changes nothing, since arrays are values: write "
        f"x = x.at[index].{method}(value), or x[index] {operator} value on an array of your own"
    )


_UPDATES = "set, add, subtract, multiply, divide, power, min, max, apply and get"


# ---------------------------------------------------------------- methods


def _reshape(self: Value, *shape: Any, order: str = "C") -> Value:
    """The elements in another shape, given as a tuple or as numbers; one may be -1."""
    return shaping.reshape(self, _variadic(shape), order)


def _transpose(self: Value, *axes: Any) -> Value:
    """The array with its axes in another order, reversed if none is given."""
    if not axes or axes == (None,):
        return shaping.transpose(self)
    return shaping.transpose(self, _variadic(axes))


def _viewing(
    what: str, function: Callable[..., Any], *, strided: bool, reshapes: bool = False
) -> Callable[..., Any]:
    """``function`` as a method whose result NumPy would make a view: writing to it is an error as
    long as somebody holds the array (see `weft.array.value.View`).

    A result is ``strided`` if it need not lie in memory in order; what ``reshapes`` such a one is a
    copy, but for rare cases, in which nothing is said.
    """

    @functools.wraps(function)
    def method(self: Value, *args: Any, **options: Any) -> Any:
        result = function(self, *args, **options)
        note = self._note if is_array(self) else self.note
        inherited = isinstance(note, View) and note.strided
        if inherited and reshapes:
            return result
        if is_array(self) or isinstance(note, View) or note is ARGUMENT:
            result = alias(result) if result is self else result
            mark_view(result, self, what, strided or inherited)
        return result

    return method


def _variadic(args: tuple[Any, ...]) -> Any:
    return args[0] if len(args) == 1 and not isinstance(args[0], int | np.integer) else args


def _astype(
    self: Value, dtype: DType, order: str = "K", casting: str = "unsafe", copy: bool = True
) -> Value:
    """The array converted to `dtype`; `casting` as in NumPy ("safe" refuses to lose anything)."""
    if casting != "unsafe":
        own, new = aval_of(self).dtype, dtypes.canonical_dtype(dtype)
        if not np.can_cast(own, new, casting):  # type: ignore[arg-type]
            raise TypeError(f"astype: {own} does not become {new} with casting={casting!r}")
    return creation.astype(self, dtype)


def _compress(
    self: Value, condition: ArrayLike, axis: int | None = None, out: None = None
) -> Value:
    """The elements (slices along `axis`) where `condition` holds."""
    return taking.compress(condition, self, axis, out=out)


def _flatten(self: Value, order: str = "C") -> Value:
    """The elements along one axis."""
    return shaping.ravel(self, order)


def _copy(self: Value, order: str | None = None) -> Value:
    """An array of the same value, which `x[i] = v` does not change."""
    return alias(self)


def _round(self: Value, decimals: int = 0) -> Value:
    """The elements rounded to that many decimals, ties to even."""
    return ufuncs.round(self, decimals)


def _dot(self: Value, b: ArrayLike) -> Value:
    """The product with `b` (see `weft.numpy.dot`)."""
    return contraction.dot(self, b)


def _searchsorted(self: Value, v: ArrayLike, side: str = "left") -> Value:
    """Where to insert each of `v` into this increasing vector (see `weft.numpy.searchsorted`)."""
    from weft.numpy.calculus import searchsorted

    return searchsorted(self, v, side)


def _to_device(self: Value, device: Any, /, *, stream: Any = None) -> Value:
    """The array in the memory of a device; itself if it is there. See `weft.device_put`."""
    if stream is not None:
        raise ValueError(f"to_device: devices do things in order; stream is None, got {stream!r}")
    if device in (None, "cpu") and type(self) is Array:
        return self
    from weft.backends import device_put

    return device_put(self, device)


def _to(self: Value, device: Any, /) -> Value:
    """The array in the memory of a device: ``x.to("opencl")``, and back ``x.to("cpu")``."""
    return _to_device(self, device)


#: Versions of the Array API standard whose namespace `weft.numpy` is.
API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")


def _array_namespace(self: Value, *, api_version: str | None = None) -> Any:
    """`weft.numpy`, which is a namespace of the Array API standard."""
    if api_version is not None and api_version not in API_VERSIONS:
        raise ValueError(
            f"weft.numpy is no namespace of version {api_version!r} of the Array API standard; "
            f"it is one of {', '.join(API_VERSIONS)}"
        )
    return importlib.import_module("weft.numpy")


def _itemsize(self: Value) -> int:
    return aval_of(self).dtype.itemsize


def _block_until_ready(self: Value) -> Value:
    return self


_METHODS: dict[str, Any] = {
    "all": reductions.all,
    "any": reductions.any,
    "argmax": reductions.argmax,
    "argmin": reductions.argmin,
    "argpartition": sorting.argpartition,
    "argsort": sorting.argsort,
    "astype": _astype,
    "choose": taking.choose,
    "clip": select.clip,
    "compress": _compress,
    "conj": classify.conjugate,
    "conjugate": classify.conjugate,
    "copy": _copy,
    "cumprod": reductions.cumprod,
    "cumsum": reductions.cumsum,
    "diagonal": shaping.diagonal,
    "dot": _dot,
    "flatten": _flatten,
    "max": reductions.max,
    "mean": reductions.mean,
    "min": reductions.min,
    "nonzero": select.nonzero,
    "prod": reductions.prod,
    "ptp": reductions.ptp,
    "ravel": _viewing("x.ravel(...)", shaping.ravel, strided=False, reshapes=True),
    "repeat": joining.repeat,
    "reshape": _viewing("x.reshape(...)", _reshape, strided=False, reshapes=True),
    "round": _round,
    "searchsorted": _searchsorted,
    "sort": sorting.sort,
    "squeeze": _viewing("x.squeeze(...)", shaping.squeeze, strided=False),
    "std": reductions.std,
    "sum": reductions.sum,
    "swapaxes": _viewing("x.swapaxes(...)", shaping.swapaxes, strided=True),
    "take": taking.take,
    "to": _to,
    "to_device": _to_device,
    "trace": shaping.trace,
    "transpose": _viewing("x.transpose(...)", _transpose, strided=True),
    "var": reductions.var,
    "view": _viewing("x.view(...)", views.view, strided=False),
    "__array_function__": dispatch.array_function,
    "__array_namespace__": _array_namespace,
    "__array_ufunc__": dispatch.array_ufunc,
    "__getitem__": _getitem,
    "__setitem__": _setitem,
    "__round__": _round_method,
    "T": property(
        _viewing("x.T", shaping.transpose, strided=True), doc="The array with its axes reversed."
    ),
    "mT": property(
        _viewing("x.mT", shaping.matrix_transpose, strided=True),
        doc="The array with its last two axes exchanged.",
    ),
    "at": property(IndexUpdater, doc="Updates of parts: `x.at[index].set(values)` and its kin."),
    "real": property(_viewing("x.real", classify.real, strided=True), doc="The real part."),
    "imag": property(_viewing("x.imag", classify.imag, strided=True), doc="The imaginary part."),
}


#: Methods that NumPy's functions of the same name call, with ``out=None`` among the arguments.
_CALLED_BY_NUMPY = ("clip", "round")


def _with_out(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` as a method that takes NumPy's ``out``, which must be None."""

    @functools.wraps(function)
    def method(self: Value, *args: Any, out: None = None, **options: Any) -> Any:
        if out is not None:
            raise TypeError(
                f"{function.__name__.strip('_')}: out must be None: results are new arrays, "
                "which replace what a name stands for (x = ...)"
            )
        return function(self, *args, **options)

    return method


def _table() -> dict[str, Any]:
    table = dict(_METHODS)
    table.update((name, _with_out(table[name])) for name in _CALLED_BY_NUMPY)
    for name, function in _BINARY.items():
        table[f"__{name}__"] = _forward(function)
        table[f"__r{name}__"] = _reflected(function)
    for name, function in _COMPARISONS.items():
        table[f"__{name}__"] = _forward(function)
    for name, unary in _UNARY.items():
        table[f"__{name}__"] = unary
    return table


def install() -> None:
    """Gives arrays and tracers their operators and methods; importing `weft.numpy` does it."""
    table = _table()
    own_hash = Array.__hash__
    for name, method in table.items():
        setattr(Array, name, method)
    Array.__hash__ = own_hash  # type: ignore[method-assign]
    register_array_methods(
        {
            **table,
            "itemsize": property(_itemsize, doc="Bytes of one element."),
            "block_until_ready": _block_until_ready,
        }
    )
