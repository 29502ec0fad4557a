"""Calls back to Python from traced and compiled code.

``pure_callback`` runs a NumPy function inside a compiled program; the function must not have side
effects, for the call may be dropped, repeated or moved.  ``io_callback`` may have them: calls
happen once each, in program order; under ``vmap`` once for each element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from weft import tree
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.primitives.shaping import move_axis
from weft.transforms.functions import at_user_line
from weft.transforms.one_by_one import ORDERED, one_by_one, ordered_call
from weft.transforms.vmap import place_axis

pure_callback_p = Primitive("pure_callback", multiple_results=True)

_EFFECTS = {None: frozenset[str](), False: frozenset(["io"]), True: frozenset([ORDERED])}
_METHODS = (None, "sequential", "expand_dims", "broadcast_all")


class FlatCallback:
    """A user's function on flat lists of NumPy arrays."""

    def __init__(self, function: Callable[..., Any], in_tree: Any, out_tree: Any) -> None:
        self.function = function
        self.in_tree = in_tree
        self.out_tree = out_tree

    def __call__(self, *arrays: np.ndarray) -> list[Any]:
        args, kwargs = tree.unflatten(self.in_tree, arrays)
        leaves, found = tree.flatten(self.function(*args, **kwargs))
        if found != self.out_tree:
            raise TypeError(
                f"{self} returned {found}, but result_shape_dtypes promised {self.out_tree}"
            )
        return leaves

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def pure_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    vmap_method: str | None = None,
    **kwargs: Any,
) -> Any:
    """Call a NumPy function from traced code; it must be free of side effects.

    Parameters
    ----------
    callback: gets NumPy arrays in the structure of ``args`` and ``kwargs``.
    result_shape_dtypes: a pytree of things with ``shape`` and ``dtype`` (`weft.ShapeDtypeStruct`,
        arrays): what ``callback`` returns.
    vmap_method: under `vmap`, ``"sequential"`` calls once per element; ``"expand_dims"`` and
        ``"broadcast_all"`` call once, with a leading axis (of length 1 for unmapped arguments with
        ``"expand_dims"``).  None makes `vmap` an error.

    Raises ``ValueError`` when what ``callback`` returns is not what was promised.  There is no
    derivative: wrap the call in `custom_jvp` or `custom_vjp`.

    >>> shape = weft.ShapeDtypeStruct((), np.float32)
    >>> weft.jit(lambda x: weft.pure_callback(np.linalg.norm, shape, x))(np.ones(4, np.float32))
    Array(2., dtype=float32)
    """
    return _call(callback, result_shape_dtypes, args, kwargs, vmap_method, ordered=None)


def io_callback(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    *args: Any,
    ordered: bool = False,
    **kwargs: Any,
) -> Any:
    """`pure_callback` for functions with side effects: each call happens once, in program order.

    Under `vmap` there is one call for each element, one after the other. With ``ordered`` that is
    a ValueError: for functions that count on being called once where they are written.

    >>> seen = []
    >>> def note(x):
    ...     seen.append(float(x))
    >>> _ = weft.jit(lambda x: weft.io_callback(note, None, x))(np.float32(3))
    >>> seen
    [3.0]
    """
    return _call(callback, result_shape_dtypes, args, kwargs, "sequential", ordered=bool(ordered))


def _call(
    callback: Callable[..., Any],
    result_shape_dtypes: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    vmap_method: str | None,
    ordered: bool | None,
) -> Any:
    """``ordered`` is None for a function without effects."""
    if not callable(callback):
        raise TypeError(f"callback: a function is needed, got {callback!r}")
    if vmap_method not in _METHODS:
        raise ValueError(f"vmap_method is one of {_METHODS}, got {vmap_method!r}")
    promised, out_tree = tree.flatten(result_shape_dtypes)
    avals = tuple(ShapedArray(tuple(s.shape), np.dtype(s.dtype)) for s in promised)
    leaves, in_tree = tree.flatten((args, kwargs))
    outs = pure_callback_p.bind(
        *leaves,
        callback=FlatCallback(callback, in_tree, out_tree),
        avals=avals,
        vmap_method=vmap_method,
        ordered=ordered,
    )
    return tree.unflatten(out_tree, outs)


@pure_callback_p.def_type
def _(*args: ShapedArray, avals: tuple[ShapedArray, ...], **_: Any) -> list[ShapedArray]:
    return list(avals)


@pure_callback_p.def_effects
def _(*, ordered: bool | None, **_: Any) -> frozenset[str]:
    return _EFFECTS[ordered]


@pure_callback_p.def_numpy
def _(*args: np.ndarray, callback: FlatCallback, avals: Sequence[ShapedArray], **_: Any) -> Any:
    return [
        np.asarray(x, a.dtype).reshape(a.shape) for x, a in zip(callback(*args), avals, strict=True)
    ]


@pure_callback_p.def_jvp
def _(primals: Any, tangents: Any, *, callback: FlatCallback, **_: Any) -> Any:
    raise TypeError(
        f"callback {callback} has no derivative: give the function that calls it one by "
        "weft.custom_jvp or weft.custom_vjp, or wrap its arguments in weft.stop_gradient"
    )


@pure_callback_p.def_batch
def _(
    axis_size: int,
    args: Sequence[Any],
    dims: Sequence[int | None],
    *,
    callback: FlatCallback,
    avals: tuple[ShapedArray, ...],
    vmap_method: str | None,
    ordered: bool | None,
) -> Any:
    if ordered:
        raise ordered_call(callback, at_user_line())
    if vmap_method is None:
        raise ValueError(
            f"callback {callback} under vmap: say how by vmap_method='sequential', 'expand_dims' "
            f"or 'broadcast_all'{at_user_line()}"
        )
    params = {"callback": callback, "vmap_method": vmap_method, "ordered": ordered}
    if vmap_method == "sequential":
        return one_by_one(partial(pure_callback_p.bind, avals=avals, **params), args, dims)
    count = 1 if vmap_method == "expand_dims" else axis_size
    full = [
        place_axis(x, count, None, 0) if d is None else move_axis(x, d, 0)
        for x, d in zip(args, dims, strict=True)
    ]
    wide = tuple(ShapedArray((axis_size, *a.shape), a.dtype) for a in avals)
    return pure_callback_p.bind(*full, avals=wide, **params), [0] * len(wide)


@pure_callback_p.def_lower_complex
@pure_callback_p.def_lower
def _(ctx: Any, *args: Any, callback: FlatCallback, avals: Sequence[ShapedArray], **_: Any) -> Any:
    return ctx.call(callback, args, avals)
