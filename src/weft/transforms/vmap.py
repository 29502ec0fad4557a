"""Batching: run a function written for one example on a whole axis of them.

A :class:`BatchTracer` is an array with one more axis than it shows. The rule of each primitive
computes on that axis all at once and says where it is in the result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core.avals import ShapedArray, aval_of, is_array_like
from weft.core.axis_names import MappedSize, name_of, named_axis, uses_axis
from weft.core.dtypes import float0
from weft.core.jaxpr import subjaxprs
from weft.core.primitive import Primitive
from weft.core.staging import FunctionInfo
from weft.core.trace import Trace, Tracer, as_arguments, current_trace, set_trace
from weft.primitives.shaping import broadcast_in_dim, move_axis
from weft.transforms.functions import (
    argument_names,
    at_user_line,
    check_callable,
    delivered,
    function_name,
    parts_advice,
    shown,
)


class BatchTracer(Tracer):
    """An array ``value`` with a hidden axis ``dim``."""

    __slots__ = ("_dim", "_value")

    def __init__(self, trace: BatchTrace, value: Any, dim: int):
        aval = aval_of(value)
        shape = aval.shape[:dim] + aval.shape[dim + 1 :]
        super().__init__(trace, ShapedArray(shape, aval.dtype, aval.weak_type))
        self._value = value
        self._dim = dim


class BatchTrace(Trace):
    """Applies batching rules over an axis of ``axis_size``; their operations go to ``parent``.

    Traces with one ``tag`` share their tracers: a custom rule runs under a second trace of the same
    transformation, and may close over values of the first.
    """

    def __init__(self, parent: Trace, axis_size: int, info: FunctionInfo, tag: object = None):
        self.parent = parent
        self.tag = tag or self
        self.axis_size = axis_size
        self.axis_name = name_of(axis_size)
        self.info = info
        self.name = str(info)

    def split(self, value: Any) -> tuple[Any, int | None]:
        """The array and its hidden axis; None when it has none."""
        if isinstance(value, BatchTracer) and value._trace.tag is self.tag:  # type: ignore[attr-defined]
            return value._value, value._dim
        return value, None

    def join(self, value: Any, dim: int | None) -> Any:
        """A tracer for the array, or the array itself when it is not mapped."""
        return value if dim is None else BatchTracer(self, value, dim)

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        pairs = [self.split(arg) for arg in args]
        values, dims = [x for x, _ in pairs], [d for _, d in pairs]
        with set_trace(self.parent):
            if self._is_over_this_axis(primitive, params):
                rule = primitive.rule("collective")
            elif all(dim is None for dim in dims) and not self._holds_collectives(params):
                return primitive.bind(*values, **params)
            else:
                rule = primitive.rule("batch")
            outs, out_dims = rule(self.axis_size, values, dims, **params)
        if primitive.multiple_results:
            return [self.join(o, d) for o, d in zip(outs, out_dims, strict=True)]
        return self.join(outs, out_dims)

    def _is_over_this_axis(self, primitive: Primitive, params: dict[str, Any]) -> bool:
        named = self.axis_name is not None and "collective" in primitive.rules
        return named and params["axis_name"] == self.axis_name

    def _holds_collectives(self, params: dict[str, Any]) -> bool:
        """Whether a program in ``params`` depends on this axis by name."""
        if self.axis_name is None:
            return False
        return any(uses_axis(closed.jaxpr, self.axis_name) for _, closed in subjaxprs(params))

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        return self._process_custom(call, args, "process_custom_jvp")

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        return self._process_custom(call, args, "process_custom_vjp")

    def _process_custom(self, call: Any, args: list[Any], method: str) -> list[Any]:
        pairs = [self.split(arg) for arg in args]
        values, dims = [x for x, _ in pairs], [d for _, d in pairs]
        with set_trace(self.parent):
            # A function with a rule of its own may hold collectives: it is not looked into.
            if self.axis_name is None and all(dim is None for dim in dims):
                self.suspended = True
                try:
                    return getattr(self.parent, method)(call, values)
                finally:
                    self.suspended = False
            batched = call.batched(self.axis_size, dims, self.tag)
            outs = getattr(self.parent, method)(batched, values)
        # The batched function puts the mapped axis of every result first.
        return [self.join(out, 0) for out in outs]

    def describe_tracer(self, tracer: Tracer) -> str:
        value = tracer._value  # type: ignore[attr-defined]
        return value._trace.describe_tracer(value) if isinstance(value, Tracer) else ""


def batch_flat(
    fun: Callable[..., Sequence[Any]],
    axis_size: int,
    args: Sequence[Any],
    dims: Sequence[int | None],
    info: FunctionInfo | None = None,
    tag: object = None,
) -> tuple[list[Any], list[int | None]]:
    """Results of a flat function over the mapped axes ``dims``, and where their axes are."""
    trace = BatchTrace(current_trace(), axis_size, info or FunctionInfo(transform="vmap"), tag)
    try:
        with set_trace(trace), named_axis(axis_size):
            outs = fun(*as_arguments(trace, map(trace.join, args, dims)))
            pairs = [trace.split(out) for out in outs]
    finally:
        trace.finished = True
    return [value for value, _ in pairs], [dim for _, dim in pairs]


def place_axis(value: Any, axis_size: int, dim: int | None, wanted: int | None) -> Any:
    """Moves the mapped axis from ``dim`` to ``wanted``; an unmapped value is repeated there."""
    if dim is None and wanted is None:
        return value
    shape = aval_of(value).shape
    if dim is None:
        assert wanted is not None
        axis = wanted + len(shape) + 1 if wanted < 0 else wanted
        rest = tuple(i if i < axis else i + 1 for i in range(len(shape)))
        return broadcast_in_dim(value, (*shape[:axis], int(axis_size), *shape[axis:]), rest)
    if wanted is None:
        raise ValueError("a mapped value has no unmapped form")
    return move_axis(value, dim, wanted + len(shape) if wanted < 0 else wanted)


def vmap(
    fun: Callable[..., Any],
    in_axes: Any = 0,
    out_axes: Any = 0,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """The function applied along an axis of its arguments, all at once.

    ``in_axes`` says which axis of each argument is mapped: an int, None (not mapped), or a tuple
    with one entry for each positional argument, which may itself be a tree that is a prefix of
    the argument. Keyword arguments are mapped over axis 0. ``out_axes`` says where the axis goes
    in the results. ``axis_size`` is needed only when nothing is mapped. ``axis_name`` names the
    axis for collectives in the function, such as ``weft.lax.psum(x, axis_name)``.

    >>> matrix, vector = np.arange(6.0).reshape(2, 3), np.ones(3)
    >>> weft.vmap(np.dot, in_axes=(0, None))(matrix, vector)  # one dot product for each row
    Array([ 3., 12.], dtype=float32)

    Raises ValueError when mapped axes differ in size, or ``in_axes`` does not match the arguments.
    """
    check_callable("vmap", fun)
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)
    name = function_name(fun)

    @functools.wraps(fun)
    def batched(*args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        names = argument_names(fun, treedef, args, kwargs)
        for i, leaf in enumerate(leaves):
            if not is_array_like(leaf):
                raise TypeError(
                    f"vmap of '{name}': {names()[i]} is {shown(leaf)}, not an array"
                    f"{parts_advice(leaf) or '. Bind it beforehand with functools.partial'}"
                    f"{at_user_line()}"
                )
        dims = _in_dims(in_axes, args, kwargs, leaves, name, names)
        size = _mapped_size(leaves, dims, axis_size, name, names)
        out_def: list[Any] = []

        def flat(*flat_args: Any) -> list[Any]:
            call_args, call_kwargs = tree.unflatten(treedef, flat_args)
            outs, out_tree = tree.flatten(fun(*call_args, **call_kwargs))
            out_def.append(out_tree)
            return outs

        info = FunctionInfo(name, names, "vmap")
        mapped = size if axis_name is None else MappedSize(size, axis_name)
        outs, out_dims = batch_flat(flat, mapped, leaves, dims, info)
        placed = _placed_results(out_axes, out_def[0], outs, out_dims, size, name)
        return tree.unflatten(out_def[0], delivered(placed))

    return batched


def _is_none(x: Any) -> bool:
    return x is None


def _broadcast_prefix(prefix: Any, full: Any, what: str) -> list[Any]:
    """One entry of ``prefix`` for each leaf of ``full``; None counts as an entry."""
    entries: list[Any] = []
    prefix_leaves, prefix_def = tree.flatten(prefix, is_leaf=_is_none)
    try:
        subtrees = _subtrees(prefix, prefix_def, full)
    except (ValueError, TypeError):
        raise ValueError(
            f"{what} has the structure {tree.describe(_with_marks(prefix_def))}, which is no "
            f"prefix of {tree.describe(tree.structure(full))}{at_user_line()}"
        ) from None
    for entry, subtree in zip(prefix_leaves, subtrees, strict=True):
        entries.extend([entry] * len(tree.leaves(subtree)))
    return entries


def _subtrees(prefix: Any, prefix_def: Any, full: Any) -> list[Any]:
    return tree.flatten_up_to(_with_marks(prefix_def), full)


def _with_marks(prefix_def: Any) -> tree.PyTreeSpec:
    """None is a leaf of a prefix: a mark takes its place so that structures can be matched."""
    return tree.structure(tree.unflatten(prefix_def, [0] * prefix_def.num_leaves))


def _in_dims(
    in_axes: Any, args: Any, kwargs: Any, leaves: list[Any], name: str, names: Any
) -> list[int | None]:
    if isinstance(in_axes, tuple) and len(in_axes) != len(args):
        raise ValueError(
            f"vmap of '{name}': in_axes has {len(in_axes)} entries for {len(args)} positional "
            f"arguments{at_user_line()}"
        )
    if in_axes is not None and not isinstance(in_axes, int | tuple):
        raise TypeError(
            f"vmap of '{name}': in_axes is an int, None or a tuple with one entry for each "
            f"argument, got {in_axes!r}{at_user_line()}"
        )
    dims = _broadcast_prefix(in_axes, args, f"vmap of '{name}': in_axes")
    dims += [0] * len(tree.leaves(kwargs))
    checked: list[int | None] = []
    for i, (leaf, dim) in enumerate(zip(leaves, dims, strict=True)):
        if dim is None:
            checked.append(None)
            continue
        if not isinstance(dim, int) or isinstance(dim, bool):
            raise TypeError(
                f"vmap of '{name}': in_axes has {dim!r} for {names()[i]}; axes are ints or None"
                f"{at_user_line()}"
            )
        aval = aval_of(leaf)
        if not -aval.ndim <= dim < aval.ndim:
            raise ValueError(
                f"vmap of '{name}': in_axes maps axis {dim} of {names()[i]}, which has type {aval} "
                f"and {aval.ndim} axes{at_user_line()}"
            )
        checked.append(dim % aval.ndim)
    return checked


def _mapped_size(
    leaves: list[Any], dims: list[int | None], axis_size: int | None, name: str, names: Any
) -> int:
    sizes = {
        i: aval_of(x).shape[d]
        for i, (x, d) in enumerate(zip(leaves, dims, strict=True))
        if d is not None
    }
    found = set(sizes.values())
    if axis_size is not None:
        found.add(axis_size)
    if not found:
        raise ValueError(
            f"vmap of '{name}': nothing is mapped; give axis_size, or an axis of an argument in "
            f"in_axes{at_user_line()}"
        )
    if len(found) > 1:
        shown = ", ".join(
            f"{names()[i]} {aval_of(leaves[i])} has {size} at axis {dims[i]}"
            for i, size in sizes.items()
        )
        extra = f"; axis_size is {axis_size}" if axis_size is not None else ""
        raise ValueError(
            f"vmap of '{name}': mapped axes differ in size: {shown}{extra}{at_user_line()}"
        )
    return found.pop()


def _placed_results(
    out_axes: Any,
    out_tree: tree.PyTreeSpec,
    outs: Sequence[Any],
    dims: Sequence[int | None],
    size: int,
    name: str,
) -> list[Any]:
    """Results with the mapped axis where ``out_axes`` wants it."""
    full = tree.unflatten(out_tree, [0] * out_tree.num_leaves)
    wanted = _broadcast_prefix(out_axes, full, f"vmap of '{name}': out_axes")
    placed = []
    names = functools.cache(lambda: tree.path_names(out_tree, "result"))
    for i, (out, dim, axis) in enumerate(zip(outs, dims, wanted, strict=True)):
        if getattr(out, "dtype", None) == float0:  # of gradients of integers: it has no values
            placed.append(_with_axis(out, size, axis))
            continue
        if axis is None and dim is not None:
            raise ValueError(
                f"vmap of '{name}': out_axes is None for {names()[i]}, which depends on a mapped "
                "argument; give an axis, or return a value that is the same for all of them"
                f"{at_user_line()}"
            )
        if axis is not None and (not isinstance(axis, int) or isinstance(axis, bool)):
            raise TypeError(
                f"vmap of '{name}': out_axes has {axis!r} for {names()[i]}; axes are ints or None"
                f"{at_user_line()}"
            )
        rank = aval_of(out).ndim - (dim is not None)
        if axis is not None and not -rank - 1 <= axis <= rank:
            raise ValueError(
                f"vmap of '{name}': out_axes is {axis} for {names()[i]}, which has {rank} axes of "
                f"its own{at_user_line()}"
            )
        placed.append(place_axis(out, size, dim, axis))
    return placed


def _with_axis(zeros: Any, size: int, axis: int | None) -> np.ndarray:
    """An array of dtype float0 with one more axis."""
    if axis is None:
        return zeros
    shape = list(zeros.shape)
    shape.insert(axis + len(shape) + 1 if axis < 0 else axis, size)
    return np.zeros(shape, float0)
