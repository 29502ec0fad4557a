"""Warnings about large arrays that jitted functions close over: they become part of programs."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from weft import tree
from weft.array.value import Array
from weft.config import config
from weft.core.jaxpr import ClosedJaxpr, Eqn, Var
from weft.core.source import describe, warn_user
from weft.errors import LargeConstantWarning

#: Functions within functions that names are looked for in.
DEPTH = 4


def note_constants(function: str, fun: Callable[..., Any], closed: ClosedJaxpr) -> None:
    """Warns of constants of more than ``weft.config.warn_constants`` bytes, with their names."""
    least = config.warn_constants
    if least is None:
        return
    for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        if var.aval.nbytes < least:
            continue
        name = name_of(fun, value)
        use = _first_use(closed.jaxpr.eqns, var)
        where = f", used at {describe(use.source)}" if use is not None and use.source else ""
        message = (
            f"'{function}' captured {name or 'an array'} ({var.aval}, {var.aval.nbytes:,} bytes) "
            f"as a constant{where}. It is copied into the program, and another one means compiling "
            "again: pass it as an argument (weft.config.warn_constants says from how many bytes on "
            "this is told; None: never)"
        )
        warn_user(message, LargeConstantWarning)


def _first_use(eqns: list[Eqn], var: Var) -> Eqn | None:
    return next((eqn for eqn in eqns if any(v is var for v in eqn.invars)), None)


def name_of(fun: Callable[..., Any], value: Any) -> str | None:
    """What a function calls an array that it closes over; None if that is not found."""
    for name, outer in _names(fun, DEPTH):
        if not isinstance(outer, Array | np.ndarray | dict | list | tuple):
            continue
        leaves, treedef = tree.flatten(outer)
        for path, leaf in zip(tree.path_names(treedef, name), leaves, strict=True):
            if _is_same(leaf, value):
                return path
    return None


def _names(fun: Any, depth: int) -> Iterator[tuple[str, Any]]:
    """Variables of a function that are not its own, and those of functions among them."""
    fun = getattr(fun, "__wrapped__", fun)
    if isinstance(fun, types.MethodType):
        yield from ((f"self.{k}", v) for k, v in getattr(fun.__self__, "__dict__", {}).items())
        fun = fun.__func__
    if not isinstance(fun, types.FunctionType):
        return
    cells = zip(fun.__code__.co_freevars, fun.__closure__ or (), strict=True)
    found = [(name, cell.cell_contents) for name, cell in cells if _is_filled(cell)]
    found += [(n, fun.__globals__[n]) for n in fun.__code__.co_names if n in fun.__globals__]
    for name, outer in found:
        yield name, outer
        if depth and callable(outer) and not isinstance(outer, type):
            yield from _names(outer, depth - 1)


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True


def _is_same(leaf: Any, value: Any) -> bool:
    if getattr(leaf, "shape", None) != value.shape or leaf.dtype != value.dtype:
        return False
    return leaf is value or np.array_equal(np.asarray(leaf), np.asarray(value))
