"""Functions that take functions: `vectorize`, `apply_along_axis`, `apply_over_axes`.

They are compositions of `vmap`, so the function is called once, with traced values: it is written
for one example, and may be differentiated and compiled like any other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

from weft.numpy._common import (
    ArrayLike,
    Value,
    broadcast_shape,
    canonical_axis,
    check_arraylike,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.numpy.shaping import expand_dims, squeeze
from weft.transforms.vmap import vmap

_NAMES = r"\((?:\w+(?:,\w+)*)?\)"
_LIST = f"{_NAMES}(?:,{_NAMES})*"
_SIGNATURE = re.compile(f"^{_LIST}->{_LIST}$")

Core = tuple[str, ...]


def vectorize(
    pyfunc: Callable[..., Any],
    *,
    excluded: Collection[int | str] = frozenset(),
    signature: str | None = None,
) -> Callable[..., Any]:
    """`pyfunc`, written for numbers, on arrays: mapped over all their axes, which are broadcast.

    Parameters
    ----------
    pyfunc: takes and returns arrays; called once, with traced values.
    excluded: positions and names of arguments that are passed on as they are.
    signature: the axes that `pyfunc` sees, as in "(m,n),(n)->(m)": arrays are mapped over the
        others. Without it `pyfunc` sees numbers.

    >>> power = vectorize(lambda x, n: x ** n)
    >>> power(np.array([1, 2, 3]), np.array([[1], [2]]))
    Array([[1, 2, 3],
           [1, 4, 9]], dtype=int32)
    >>> vectorize(np.dot, signature="(m,n),(n)->(m)")(np.ones((5, 2, 3)), np.ones(3)).shape
    (5, 2)

    Raises
    ------
    ValueError: for a signature that is not one, negative positions, and arrays that do not fit
        either. TypeError: for another number of arguments than the signature has.
    """
    for entry in excluded:
        if not isinstance(entry, int | str) or (isinstance(entry, int) and entry < 0):
            raise ValueError(
                f"weft.numpy.vectorize: excluded has names and positions from 0 on, got {entry!r}"
            )
    axes = None if signature is None else _parsed(signature)

    @functools.wraps(pyfunc)
    def vectorized(*args: Any, **kwargs: Any) -> Any:
        skipped = {k for k, arg in enumerate(args) if arg is None or k in excluded}
        fixed = {key: value for key, value in kwargs.items() if key in excluded}
        named = [key for key in kwargs if key not in excluded]
        mapped = [arg for k, arg in enumerate(args) if k not in skipped]
        mapped += [kwargs[key] for key in named]

        def call(*values: Any) -> Any:
            rest = iter(values)
            full = [arg if k in skipped else next(rest) for k, arg in enumerate(args)]
            return pyfunc(*full, **dict(zip(named, rest, strict=True)), **fixed)

        inputs: list[Core] = [()] * len(mapped) if axes is None else axes[0]
        outputs = None if axes is None else axes[1]
        if len(inputs) != len(mapped):
            raise TypeError(
                f"weft.numpy.vectorize: the signature {signature!r} has {len(inputs)} arguments, "
                f"got {len(mapped)}"
            )
        return _mapped(call, [asarray(x) for x in mapped], inputs, outputs)

    return vectorized


def _parsed(signature: str) -> tuple[list[Core], list[Core]]:
    """The names of the axes of arguments and results."""
    compact = signature.replace(" ", "")
    if not _SIGNATURE.match(compact):
        raise ValueError(
            f"weft.numpy.vectorize: {signature!r} is no signature; one looks like '(m,n),(n)->(m)'"
        )
    before, after = (
        [tuple(re.findall(r"\w+", part)) for part in re.findall(_NAMES, side)]
        for side in compact.split("->")
    )
    return before, after


def _mapped(
    call: Callable[..., Any], args: list[Value], inputs: list[Core], outputs: list[Core] | None
) -> Any:
    """`call` mapped over the axes of arguments that are not its own.

    Axes of length 1 that only broadcast are not mapped: the function sees its arguments without
    them, and its results get them back.
    """
    sizes: dict[str, int] = {}
    leads = []
    for place, (arg, core) in enumerate(zip(args, inputs, strict=True)):
        shape = shape_of(arg)
        if len(shape) < len(core):
            raise ValueError(
                f"weft.numpy.vectorize: argument {place} of shape {shape} does not have the axes "
                f"{core}"
            )
        _note_sizes(sizes, f"argument {place}", shape[len(shape) - len(core) :], core)
        leads.append(shape[: len(shape) - len(core)])
    lead = broadcast_shape("vectorize", *leads) if leads else ()
    function = call if outputs is None else _checked(call, sizes, outputs)
    padded = [(1,) * (len(lead) - len(own)) + own for own in leads]
    added = []
    for axis in reversed(range(len(lead))):
        in_axes = tuple(None if own[axis] == 1 else 0 for own in padded)
        if all(a is None for a in in_axes):
            added.append(axis)
        else:
            function = vmap(function, in_axes=in_axes)
    squeezed = [
        squeeze(arg, tuple(d for d, n in enumerate(own) if n == 1))
        for arg, own in zip(args, leads, strict=True)
    ]
    result = function(*squeezed)
    if not added:
        return result
    if isinstance(result, tuple):
        return tuple(expand_dims(asarray(r), tuple(added)) for r in result)
    return expand_dims(asarray(result), tuple(added))


def _note_sizes(sizes: dict[str, int], what: str, shape: tuple[int, ...], core: Core) -> None:
    """Notes the lengths of named axes; ValueError where a name has two."""
    for name, size in zip(core, shape, strict=True):
        if sizes.setdefault(name, size) != size:
            raise ValueError(
                f"weft.numpy.vectorize: the axis {name!r} of {what} has length {size}, and length "
                f"{sizes[name]} before"
            )


def _checked(
    call: Callable[..., Any], sizes: dict[str, int], outputs: list[Core]
) -> Callable[..., Any]:
    """`call` with results held to the signature."""

    def function(*args: Any) -> Any:
        results = call(*args)
        found = results if isinstance(results, tuple) else (results,)
        if len(found) != len(outputs):
            raise ValueError(
                f"weft.numpy.vectorize: the signature has {len(outputs)} results, the function "
                f"gave {len(found)}"
            )
        known = dict(sizes)
        for place, (value, core) in enumerate(zip(found, outputs, strict=True)):
            shape = shape_of(value)
            if len(shape) != len(core):
                raise ValueError(
                    f"weft.numpy.vectorize: result {place} of shape {shape} does not have the axes "
                    f"{core}"
                )
            _note_sizes(known, f"result {place}", shape, core)
        return results

    return function


def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: ArrayLike, *args: Any, **kwargs: Any
) -> Any:
    """What `func1d` gives for each vector along `axis`; its own axes take the place of that axis.

    `func1d` is called once, with a traced vector, and `args` and `kwargs` behind it.

    >>> apply_along_axis(np.cumsum, 1, np.array([[1, 2], [3, 4]]))
    Array([[1, 3],
           [3, 7]], dtype=int32)
    """
    check_arraylike("apply_along_axis", arr)
    x = asarray(arr)
    ndim = len(shape_of(x))
    number = canonical_axis("apply_along_axis", axis, ndim)

    def function(vector: Value) -> Any:
        return func1d(vector, *args, **kwargs)

    for k in range(1, ndim - number):
        function = vmap(function, in_axes=k, out_axes=-1)
    for _ in range(number):
        function = vmap(function)
    return function(x)


def apply_over_axes(
    func: Callable[[Value, int], Value], a: ArrayLike, axes: int | Sequence[int]
) -> Value:
    """`func(a, axis)` for one axis after the other; an axis that it drops gets length 1.

    >>> apply_over_axes(np.sum, np.ones((2, 3)), (0, 1))
    Array([[6.]], dtype=float32)

    Raises
    ------
    ValueError: if `func` gives neither as many axes as there were nor one less.
    """
    check_arraylike("apply_over_axes", a)
    x = asarray(a)
    ndim = len(shape_of(x))
    for axis in (axes,) if isinstance(axes, int) else axes:
        result = func(x, canonical_axis("apply_over_axes", axis, ndim))
        if len(shape_of(result)) == ndim - 1:
            result = expand_dims(result, axis)
        if len(shape_of(result)) != ndim:
            raise ValueError(
                f"weft.numpy.apply_over_axes: the function gave shape {shape_of(result)} for an "
                f"array of shape {shape_of(x)}; it must keep the axes, or drop the one it is given"
            )
        x = result
    return x
