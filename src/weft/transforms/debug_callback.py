"""Callbacks for looking only: they return nothing, and no transformation minds them.

Differentiation leaves them on the primal values, vmap calls them for each element, and compiled
programs call them in program order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from weft import tree
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.terms.region import Call
from weft.transforms.one_by_one import one_by_one

debug_callback_p = Primitive("debug_callback", multiple_results=True)

_EFFECTS = frozenset(["debug"])


class Onlooker:
    """A user's function of NumPy arrays, whose result nobody uses."""

    def __init__(self, function: Callable[..., Any], in_tree: Any) -> None:
        self.function = function
        self.in_tree = in_tree

    def __call__(self, *arrays: np.ndarray) -> list[Any]:
        args, kwargs = tree.unflatten(self.in_tree, arrays)
        self.function(*args, **kwargs)
        return []

    def __repr__(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)


def debug_callback(callback: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
    """Calls ``callback`` with the values of ``args`` and ``kwargs``; see `weft.debug.callback`."""
    leaves, in_tree = tree.flatten((args, kwargs))
    debug_callback_p.bind(*leaves, callback=Onlooker(callback, in_tree))


@debug_callback_p.def_type
def _(*args: ShapedArray, callback: Onlooker) -> list[ShapedArray]:
    return []


@debug_callback_p.def_effects
def _(**_: Any) -> frozenset[str]:
    return _EFFECTS


@debug_callback_p.def_numpy
def _(*args: np.ndarray, callback: Onlooker) -> list[Any]:
    return callback(*args)


@debug_callback_p.def_jvp
def _(primals: Sequence[Any], tangents: Sequence[Any], **params: Any) -> tuple[list, list]:
    return debug_callback_p.bind(*primals, **params), []


@debug_callback_p.def_batch
def _(axis_size: int, args: Sequence[Any], dims: Sequence[int | None], **params: Any) -> Any:
    return one_by_one(partial(debug_callback_p.bind, **params), args, dims)


@debug_callback_p.def_lower
def _(ctx: Any, *args: Any, callback: Onlooker) -> list[Any]:
    ctx.emit(Call(callback, tuple(ctx.value(x) for x in args), (), {}, ctx.source))
    return []
