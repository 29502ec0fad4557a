"""Jacobians and Hessians: derivatives along a whole basis, by vmap."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.primitives.shaping import reshape
from weft.primitives.slicing import slice_along
from weft.transforms.api import jvp, vjp
from weft.transforms.functions import at_user_line, check_callable, function_name, positional_names
from weft.transforms.jvp import is_differentiable
from weft.transforms.vmap import vmap


def _basis(leaves: Sequence[Any]) -> list[np.ndarray]:
    """Unit vectors of the space of all leaves: an array for each leaf, vectors along its axis 0."""
    avals = [aval_of(x) for x in leaves]
    total = sum(a.size for a in avals)
    basis, start = [], 0
    for aval in avals:
        part = np.zeros((total, aval.size), aval.dtype)
        part[np.arange(start, start + aval.size), np.arange(aval.size)] = 1
        basis.append(part.reshape(total, *aval.shape))
        start += aval.size
    return basis


def _chosen(
    what: str,
    fun: Callable[..., Any],
    argnums: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    holomorphic: bool,
    allow_int: bool = False,
) -> tuple[Callable[..., Any], list[Any]]:
    """The function of the differentiated arguments alone, and those arguments, checked."""
    name = function_name(fun)
    places = []
    for number in (argnums,) if isinstance(argnums, int) else argnums:
        if not -len(args) <= number < len(args):
            raise ValueError(
                f"{what} of '{name}': argnums has {number}, but it was called with {len(args)} "
                f"positional arguments{at_user_line()}"
            )
        places.append(number % len(args))
    for place in places:
        root = positional_names(fun, len(args))[place]
        leaves, treedef = tree.flatten(args[place])
        for leaf, where in zip(leaves, tree.path_names(treedef, root), strict=True):
            aval = aval_of(leaf)
            if not is_differentiable(aval):
                if allow_int:
                    continue
                raise TypeError(
                    f"{what} of '{name}': {where} has dtype {aval.dtype}, which has no derivative; "
                    f"pass it as floating point{at_user_line()}"
                )
            if np.issubdtype(aval.dtype, np.complexfloating) != holomorphic:
                raise TypeError(
                    f"{what} of '{name}': {where} has dtype {aval.dtype}: "
                    + (
                        "holomorphic=True is for functions of complex arguments"
                        if holomorphic
                        else "for a holomorphic function give holomorphic=True; otherwise "
                        "differentiate with respect to the real and the imaginary part"
                    )
                    + at_user_line()
                )

    @functools.wraps(fun)
    def of_chosen(*values: Any) -> Any:
        full = list(args)
        for place, value in zip(places, values, strict=True):
            full[place] = value
        return fun(*full, **kwargs)

    return of_chosen, [args[place] for place in places]


def _split_axis(x: Any, axis: int, like: Sequence[Any], treedef: tree.PyTreeSpec) -> Any:
    """The axis over a basis cut into the leaves it is a basis of, each with its own axes there."""
    if x.dtype == dtypes.float0:
        shape = x.shape
        return tree.unflatten(
            treedef,
            [np.zeros((*shape[:axis], *leaf.shape, *shape[axis + 1 :]), x.dtype) for leaf in like],
        )
    parts, start = [], 0
    shape = aval_of(x).shape
    for leaf in like:
        aval = aval_of(leaf)
        part = slice_along(x, start, start + aval.size, axis)
        parts.append(reshape(part, (*shape[:axis], *aval.shape, *shape[axis + 1 :])))
        start += aval.size
    return tree.unflatten(treedef, parts)


def jacfwd(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of ``fun``, column by column in forward mode: best for few inputs.

    For a result of shape r and an argument of shape a, the Jacobian has shape r + a. Trees of
    arguments and results give trees of trees. With ``has_aux`` the function returns (result,
    auxiliary data) and so the Jacobian comes with that data. Complex arguments need
    ``holomorphic=True``.

    >>> jacfwd(lambda x: x ** 2)(np.array([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    check_callable("jacfwd", fun)

    @functools.wraps(fun)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        chosen, values = _chosen("jacfwd", fun, argnums, args, kwargs, holomorphic)
        leaves, treedef = tree.flatten(tuple(values))
        aux: Any = None

        def push(*tangents: Any) -> Any:
            nonlocal aux
            moved = tree.unflatten(treedef, tangents)
            if has_aux:
                _, out, aux = jvp(chosen, tuple(values), moved, has_aux=True)
                return out
            return jvp(chosen, tuple(values), moved)[1]

        columns = vmap(push, out_axes=-1)(*_basis(leaves))

        def rows(x: Any) -> Any:
            blocks = _split_axis(x, aval_of(x).ndim - 1, leaves, treedef)
            return blocks[0] if isinstance(argnums, int) else blocks

        result = tree.map(rows, columns)
        return (result, aux) if has_aux else result

    return jacobian_of


def jacrev(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """The Jacobian of ``fun``, row by row in reverse mode: best for many inputs and few outputs.

    Shapes and options are as for :func:`jacfwd`. With ``allow_int`` arguments may be integers or
    booleans; their Jacobians have the dtype ``float0``.

    >>> weft.jacrev(lambda x: x**2)(np.array([1.0, 2.0]))
    Array([[2., 0.],
           [0., 4.]], dtype=float32)
    """
    check_callable("jacrev", fun)

    @functools.wraps(fun)
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        chosen, values = _chosen("jacrev", fun, argnums, args, kwargs, holomorphic, allow_int)
        out, pullback, *aux = vjp(chosen, *values, has_aux=has_aux)
        leaves, treedef = tree.flatten(out)
        for leaf in leaves:
            if not dtypes.is_inexact(aval_of(leaf).dtype):
                raise TypeError(
                    f"jacrev of '{function_name(fun)}': the result has dtype "
                    f"{aval_of(leaf).dtype}, which has no derivative"
                )
        pulled = vmap(lambda *cts: pullback(tree.unflatten(treedef, cts)))(*_basis(leaves))
        by_argument = [
            tree.map(lambda x: _split_axis(x, 0, leaves, treedef), block) for block in pulled
        ]
        # Containers of arguments are outside here; users want those of results there.
        turned = [
            tree.transpose(tree.structure(value), treedef, block)
            for value, block in zip(values, by_argument, strict=True)
        ]
        result = turned[0] if isinstance(argnums, int) else _tuples_inside(treedef, turned)
        return (result, aux[0]) if has_aux else result

    return jacobian_of


def _tuples_inside(treedef: tree.PyTreeSpec, blocks: Sequence[Any]) -> Any:
    """A tree of results whose leaves are tuples with one entry for each argument."""
    columns = [tree.flatten_up_to(treedef, block) for block in blocks]
    return tree.unflatten(treedef, [tuple(row) for row in zip(*columns, strict=True)])


jacobian = jacrev


def hessian(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Any]:
    """The Hessian of a scalar function: forward mode over reverse mode, one column at a time.

    Options are those of :func:`jacfwd`.

    >>> hessian(lambda x: (x ** 3).sum())(np.array([1.0, 2.0]))
    Array([[ 6.,  0.],
           [ 0., 12.]], dtype=float32)
    """
    gradient = jacrev(fun, argnums, has_aux, holomorphic)
    return jacfwd(gradient, argnums, has_aux, holomorphic)
