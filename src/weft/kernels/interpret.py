"""The meaning of a kernel: a NumPy interpreter.

A tile is an ndarray with one dimension per tile axis of its variable; operands are broadcast
against each other by axis *name*, never by position.  Loops run in Python, one iteration after
another, whatever their kind; barriers do nothing.  Memory that was never written holds a poison
(NaN, or the largest integer), and what a parallel iteration leaves in thread-private scratch is
forgotten before the next one, so that a kernel that relies on either shows it in its result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Const,
    Fold,
    For,
    Guard,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
)
from weft.terms import ops
from weft.terms.affine import Affine, Axis

Axes = tuple[Axis, ...]


def run_kernel(kernel: Kernel, arrays: Mapping[Buffer, Any]) -> dict[Buffer, np.ndarray]:
    """Runs ``kernel`` and returns the arrays of its ``output`` and ``inout`` buffers.

    ``arrays`` has an array for each ``input`` and ``inout`` parameter (an output may be given its
    initial contents); none of them is changed.  Raises ``KeyError`` for a missing argument,
    ``ValueError`` for a wrong shape or dtype, ``IndexError`` for an access outside a buffer::

        run_kernel(double, {x: np.array([1.0, 2.0], np.float32)})[y]   # array([2., 4.])
    """
    memory = {b: _argument(b, arrays) for b in kernel.params}
    run_in_place(kernel, memory)
    return {b: memory[b] for b in kernel.params if b.role != "input"}


def run_in_place(kernel: Kernel, memory: Mapping[Buffer, np.ndarray]) -> None:
    """Runs ``kernel`` on these very arrays, which may share memory with one another."""
    scratch = {b: poison(b.shape, b.dtype) for b in kernel.scratch}
    with np.errstate(all="ignore"):
        _Run({**memory, **scratch}).body(kernel.body)


def poison(shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """An array that stands for uninitialised memory."""
    if dtypes.is_inexact(dtype):
        return np.full(shape, np.nan, dtype)
    return np.full(shape, True if dtype == np.bool_ else np.iinfo(dtype).max, dtype)


def _argument(buffer: Buffer, arrays: Mapping[Buffer, Any]) -> np.ndarray:
    if buffer not in arrays:
        if buffer.role == "output":
            return poison(buffer.shape, buffer.dtype)
        raise KeyError(f"no array for the {buffer.role} buffer {buffer.name!r} of the kernel")
    array = np.asarray(arrays[buffer])
    if array.shape != buffer.shape or array.dtype != buffer.dtype:
        raise ValueError(
            f"buffer {buffer.name!r} is {dtypes.short_name(buffer.dtype)}{list(buffer.shape)}; "
            f"got {dtypes.short_name(array.dtype)}{list(array.shape)}"
        )
    return array if buffer.role == "input" else np.array(array)


def _align(array: Any, axes: Axes, onto: Axes) -> Any:
    """View a tile over ``axes`` so that it broadcasts against tiles over ``onto`` (a superset)."""
    if axes == onto:
        return array
    order = sorted(range(len(axes)), key=lambda d: onto.index(axes[d]))
    array = np.transpose(array, order)
    present = set(axes)
    return array[tuple(slice(None) if a in present else None for a in onto)]


def _shape(axes: Axes) -> tuple[int, ...]:
    return tuple(a.extent for a in axes)


class _Run:
    """One execution: memory, the values of variables, and the current values of loop axes."""

    def __init__(self, memory: dict[Buffer, np.ndarray]) -> None:
        self.memory = memory
        self.values: dict[Var, np.ndarray] = {}
        self.position: dict[Axis, int] = {}

    # -- statements --------------------------------------------------------------------------------

    def body(self, body: list[Stmt]) -> None:
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        if isinstance(stmt, Const):
            out = stmt.out
            self.values[out] = np.full(_shape(out.axes), stmt.value, out.dtype)
        elif isinstance(stmt, Iota):
            exact = self.index(stmt.expr, stmt.out.axes)
            self.define(stmt.out, np.asarray(exact))
        elif isinstance(stmt, Load):
            self.load(stmt)
        elif isinstance(stmt, Store):
            self.store(stmt)
        elif isinstance(stmt, Map):
            self.map(stmt)
        elif isinstance(stmt, Fold):
            self.fold(stmt)
        elif isinstance(stmt, For):
            self.loop(stmt)
        elif not isinstance(stmt, Barrier):
            raise TypeError(f"unknown statement {type(stmt).__name__}")

    def map(self, stmt: Map) -> None:
        axes = stmt.out.axes
        args = tuple(_align(self.values[a], a.axes, axes) for a in stmt.args)
        value = args[0] if stmt.op == "splat" else ops.evaluate(stmt.op, args, stmt.out.dtype)
        self.define(stmt.out, value)

    def fold(self, stmt: Fold) -> None:
        kept = stmt.outs[0].axes
        inner = stmt.over + kept
        count = len(stmt.over)
        parts = [
            np.broadcast_to(_align(self.values[a], a.axes, inner), _shape(inner)).reshape(
                -1, *_shape(inner)[count:]
            )
            for a in stmt.args
        ]
        dtype_list = [a.dtype for a in stmt.args]
        total = tuple(
            np.full(p.shape[1:], v, p.dtype)
            for p, v in zip(parts, stmt.monoid.identity(dtype_list), strict=True)
        )
        for i in range(parts[0].shape[0]):
            total = stmt.monoid.combine(_emit, total, tuple(p[i] for p in parts))
        for out, value in zip(stmt.outs, total, strict=True):
            self.define(out, value)

    def loop(self, stmt: For) -> None:
        private = [b for b in self.memory if b.role == "scratch" and b.level == "thread"]
        before = {b: self.memory[b].copy() for b in private} if stmt.kind == "parallel" else {}
        current = [self.values[c.init] for c in stmt.carries]
        for position in range(stmt.lo, stmt.hi, stmt.step):
            self.position[stmt.axis] = position
            if not self.takes_part(stmt):
                continue
            for c, value in zip(stmt.carries, current, strict=True):
                self.values[c.var] = value
            self.body(stmt.body)
            current = [self.values[c.update] for c in stmt.carries]
            for b, contents in before.items():
                self.memory[b][...] = contents
        self.position.pop(stmt.axis, None)
        for c, value in zip(stmt.carries, current, strict=True):
            self.values[c.result] = value

    def takes_part(self, stmt: For) -> bool:
        """Whether the loop goes through this iteration."""

        def hold(guards: Sequence[Guard]) -> bool:
            return all(g.lo <= int(self.index(g.expr, ())) < g.hi for g in guards)

        return hold(stmt.where) and not (stmt.unless and hold(stmt.unless))

    # -- accesses ----------------------------------------------------------------------------------

    def load(self, stmt: Load) -> None:
        axes = stmt.out.axes
        mask = self.mask(stmt.guards, None, axes)
        where = self.address(stmt.buffer, stmt.index, mask, axes)
        value = self.memory[stmt.buffer][where]
        if mask is not None:
            value = np.where(mask, value, np.zeros((), stmt.out.dtype))
        self.define(stmt.out, value)

    def store(self, stmt: Store) -> None:
        axes = self.store_axes(stmt)
        mask = self.mask(stmt.guards, stmt.predicate, axes)
        where = self.address(stmt.buffer, stmt.index, mask, axes)
        shape = _shape(axes)
        value = np.broadcast_to(_align(self.values[stmt.value], stmt.value.axes, axes), shape)
        if mask is None:
            self.memory[stmt.buffer][where] = value
            return
        chosen = np.broadcast_to(mask, shape)
        where = tuple(np.broadcast_to(i, shape)[chosen] for i in where)
        self.memory[stmt.buffer][where] = value[chosen]

    def store_axes(self, stmt: Store) -> Axes:
        found = dict.fromkeys(stmt.value.axes)
        exprs = [*stmt.index, *(g.expr for g in stmt.guards)]
        for expr in exprs:
            found.update(dict.fromkeys(a for a in _ordered(expr) if a not in self.position))
        if stmt.predicate is not None:
            found.update(dict.fromkeys(stmt.predicate.axes))
        return tuple(found)

    def index(self, expr: Affine, axes: Axes) -> Any:
        """The value of an index expression as an array that broadcasts over ``axes``."""
        at: dict[Axis, Any] = dict(self.position)
        for d, axis in enumerate(axes):
            at[axis] = np.arange(axis.extent).reshape((-1,) + (1,) * (len(axes) - 1 - d))
        value = expr.evaluate(at, lambda var: self.dynamic(var, axes))
        return np.asarray(value)

    def dynamic(self, var: Var, axes: Axes) -> np.ndarray:
        raw = self.values[var]
        if dtypes.is_unsigned(raw.dtype) and raw.dtype.itemsize == 8:
            raw = np.minimum(raw, np.uint64(np.iinfo(np.int64).max))
        return _align(raw.astype(np.int64), var.axes, axes)

    def mask(self, guards: Sequence[Guard], predicate: Var | None, axes: Axes) -> Any:
        parts = []
        for g in guards:
            value = self.index(g.expr, axes)
            parts.append((value >= g.lo) & (value < g.hi))
        if predicate is not None:
            parts.append(_align(self.values[predicate], predicate.axes, axes))
        if not parts:
            return None
        mask = parts[0]
        for part in parts[1:]:
            mask = mask & part
        return mask

    def address(
        self, buffer: Buffer, index: Sequence[Affine], mask: Any, axes: Axes
    ) -> tuple[Any, ...]:
        """Index arrays, zero where the mask fails; raises if any of the others is out of bounds."""
        where = []
        for d, expr in enumerate(index):
            value = self.index(expr, axes)
            if mask is not None:
                value = np.where(mask, value, 0)
            if (
                value.size
                and buffer.size
                and not (value.min() >= 0 and value.max() < buffer.shape[d])
            ):
                raise IndexError(
                    f"index {expr} of dimension {d} of {buffer.name}{list(buffer.shape)} reaches "
                    f"{value.min()}..{value.max()} at {self.position}"
                )
            where.append(value)
        return tuple(where)

    def define(self, var: Var, value: Any) -> None:
        """Give ``var`` its value as a full tile of its own dtype (kept apart from memory)."""
        value = np.asarray(value).astype(var.dtype, copy=True)
        shape = _shape(var.axes)
        if value.shape != shape:
            value = np.broadcast_to(value, shape)
        self.values[var] = value


def _ordered(expr: Affine) -> list[Axis]:
    """The axes of an expression in a fixed order (sets of axes have none)."""
    return sorted(expr.axes(), key=lambda a: a.serial)


def _emit(op: str, *args: Any) -> Any:
    dtype = ops.result_dtype(op, tuple(a.dtype for a in args))
    return np.asarray(ops.evaluate(op, args, dtype)).astype(dtype, copy=False)
