"""What a program of terms means: a plain NumPy evaluator.

A term is evaluated for all points of its free axes at once: its value is an ndarray with one
dimension per free axis, in the order of the axes' serial numbers. Subterms are evaluated once,
children first. Loops and branches run in Python.

Pieces of a `Fuse` are evaluated on the whole index range, where their loads may be out of bounds.
Such elements are clamped and *marked*; marks travel with the values, a `Fuse` drops those of the
pieces it does not choose, and a mark that reaches a result is an error. So the interpreter checks
exactly, for the data at hand, what `weft.terms.check` proves for all data.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from weft.core.deep import deep
from weft.terms import ops
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import Monoid
from weft.terms.print import format_term
from weft.terms.region import Block, Call, Carry, Def, For, If, Program, Scatter, Step, While
from weft.terms.tensor import with_parts
from weft.terms.term import (
    Const,
    Fold,
    Fuse,
    Index,
    Load,
    Map,
    Proj,
    Scan,
    Term,
    Value,
    postorder,
)

Memory = dict[Value, np.ndarray]


class Points(NamedTuple):
    """Values at every point of ``axes``; ``bad`` marks those read out of bounds, if any."""

    array: np.ndarray
    axes: tuple[Axis, ...]
    bad: np.ndarray | None = None

    def over(self, axes: Sequence[Axis]) -> np.ndarray:
        """The array with a dimension (of size 1 where it is constant) for each of ``axes``."""
        return _spread(self.array, self.axes, axes)

    def bad_over(self, axes: Sequence[Axis]) -> np.ndarray | None:
        """The marks likewise."""
        return None if self.bad is None else _spread(self.bad, self.axes, axes)


def _spread(array: np.ndarray, own: Sequence[Axis], axes: Sequence[Axis]) -> np.ndarray:
    order = [own.index(a) for a in axes if a in own]
    shape = [a.extent if a in own else 1 for a in axes]
    return array.transpose(order).reshape(shape)


def _sorted(axes: Any) -> tuple[Axis, ...]:
    return tuple(sorted(axes, key=lambda a: a.serial))


def interpret(program: Program, *args: Any) -> list[np.ndarray]:
    """Runs a program on arrays for its inputs; the results as NumPy arrays.

    Complex arrays are taken (and returned) as arrays of parts, see `weft.terms.tensor`.
    Raises IndexError, with the term, where a load that is used is out of bounds.
    """
    if len(args) != len(program.inputs):
        raise TypeError(f"the program takes {len(program.inputs)} arguments, got {len(args)}")
    memory: Memory = dict(program.constants)
    for value, arg in zip(program.inputs, args, strict=True):
        array = np.asarray(with_parts(np.asarray(arg)), value.dtype)
        if array.shape != value.shape:
            raise ValueError(f"input {value} has shape {value.shape}, got {array.shape}")
        memory[value] = array
    run_block(program.block, memory)
    return [memory[v] for v in program.outputs]


@deep
def run_block(block: Block, memory: Memory) -> None:
    """Executes the steps of a block, adding what they define to ``memory``."""
    for step in block.steps:
        _run_step(step, memory)


def _run_step(step: Step, memory: Memory) -> None:
    if isinstance(step, Def):
        memory[step.value] = evaluate_over(step.term, step.axes, memory)
    elif isinstance(step, Scatter):
        memory[step.value] = _scatter(step, memory)
    elif isinstance(step, For):
        _enter(step.carries, memory)
        for i in range(step.length):
            memory[step.counter] = np.asarray(i, step.counter.dtype)
            run_block(step.body, memory)
            _advance(step.carries, memory)
        _leave(step.carries, memory)
    elif isinstance(step, While):
        _enter(step.carries, memory)
        run_block(step.condition, memory)
        while memory[step.predicate]:
            run_block(step.body, memory)
            _advance(step.carries, memory)
            run_block(step.condition, memory)
        _leave(step.carries, memory)
    elif isinstance(step, If):
        chosen = min(max(int(memory[step.index]), 0), len(step.branches) - 1)
        run_block(step.branches[chosen], memory)
        for result, value in zip(step.results, step.outputs[chosen], strict=True):
            memory[result] = memory[value]
    elif isinstance(step, Call):
        results = step.routine(*(memory[v] for v in step.inputs), **step.params)
        for value, array in zip(step.outputs, results, strict=True):
            memory[value] = np.asarray(array, value.dtype).reshape(value.shape)
    else:
        raise TypeError(f"unknown step {type(step).__name__}")


def _enter(carries: Sequence[Carry], memory: Memory) -> None:
    memory.update({c.entry: memory[c.init] for c in carries})


def _advance(carries: Sequence[Carry], memory: Memory) -> None:
    memory.update({c.entry: memory[c.exit] for c in carries})


def _leave(carries: Sequence[Carry], memory: Memory) -> None:
    memory.update({c.result: memory[c.entry] for c in carries})


# -- terms -----------------------------------------------------------------------------------------


def evaluate_over(term: Term, axes: Sequence[Axis], memory: Mapping[Value, np.ndarray]) -> Any:
    """The array over ``axes`` (in that order) that a term defines; IndexError if out of bounds."""
    return _finish(evaluate_all((term,), memory)[term], axes, term)


def _finish(points: Points, axes: Sequence[Axis], term: Term) -> np.ndarray:
    if points.bad is not None and points.bad.any():
        raise IndexError(f"a load is out of bounds in {format_term(term)}")
    shape = tuple(a.extent for a in axes)
    return np.ascontiguousarray(np.broadcast_to(points.over(axes), shape)).reshape(shape)


def evaluate_all(roots: Sequence[Term], memory: Mapping[Value, np.ndarray]) -> dict[Term, Any]:
    """Every subterm of ``roots`` with its `Points` (tuple-valued folds: a list of them)."""
    done: dict[Term, Any] = {}
    for term in postorder(*roots):
        done[term] = _evaluate(term, done, memory)
    return done


def _evaluate(term: Term, done: Mapping[Term, Any], memory: Mapping[Value, np.ndarray]) -> Any:
    if isinstance(term, Const):
        return Points(np.asarray(term.value, term.dtype), ())
    if isinstance(term, Index):
        points = _index_values(term.expr, done)
        return points._replace(array=points.array.astype(term.dtype))
    if isinstance(term, Load):
        return _load(term, done, memory)
    if isinstance(term, Map):
        return _map(term, done)
    if isinstance(term, Fold | Scan):
        components = _fold(term, done) if isinstance(term, Fold) else _scan(term, done)
        return components if term.monoid.arity > 1 else components[0]
    if isinstance(term, Proj):
        return done[term.fold][term.position]
    if isinstance(term, Fuse):
        return _fuse(term, done)
    raise TypeError(f"unknown term {type(term).__name__}")


def _union_bad(parts: Sequence[Points], axes: Sequence[Axis]) -> np.ndarray | None:
    marks = [m for m in (p.bad_over(axes) for p in parts) if m is not None]
    if not marks:
        return None
    bad = np.zeros(tuple(a.extent for a in axes), bool)
    for m in marks:
        bad |= m
    return bad


def _full(array: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    return np.broadcast_to(array, tuple(a.extent for a in axes))


def _index_values(expr: Affine, done: Mapping[Term, Any]) -> Points:
    """An index expression over its own axes, as int64."""
    axes = _sorted(expr.axes())
    values = {
        axis: np.arange(axis.extent).reshape([-1 if a is axis else 1 for a in axes])
        for axis in axes
    }

    def dynamic(source: Term) -> np.ndarray:
        return _as_index(done[source].over(axes))

    array = np.asarray(expr.evaluate(values, dynamic), np.int64)
    bad = _union_bad([done[d.source] for d in expr.dynamics()], axes)
    return Points(np.array(_full(array, axes)), axes, bad)


def _as_index(array: np.ndarray) -> np.ndarray:
    if array.dtype == np.uint64:
        array = np.minimum(array, np.uint64(np.iinfo(np.int64).max))
    return array.astype(np.int64)


def _load(term: Load, done: Mapping[Term, Any], memory: Mapping[Value, np.ndarray]) -> Points:
    if term.value not in memory:
        raise KeyError(f"{format_term(term)} reads {term.value} before it is defined")
    data = memory[term.value]
    axes = _sorted(term.axes)
    shape = tuple(a.extent for a in axes)
    parts = [_index_values(e, done) for e in term.index]
    bad = _union_bad(parts, axes)
    where = []
    for part, extent in zip(parts, term.value.shape, strict=True):
        i = part.over(axes)
        outside = (i < 0) | (i >= extent)
        if outside.any():
            bad = np.broadcast_to(outside, shape) | (False if bad is None else bad)
            i = np.clip(i, 0, max(extent - 1, 0))
        where.append(i)
    if data.size == 0 and 0 not in shape:
        return Points(np.zeros(shape, term.dtype), axes, np.ones(shape, bool))
    if data.size == 0:
        return Points(np.zeros(shape, term.dtype), axes)
    array = np.asarray(data[tuple(where)]) if where else data
    return Points(np.array(_full(array, axes)), axes, bad)


def _map(term: Map, done: Mapping[Term, Any]) -> Points:
    axes = _sorted(term.axes)
    parts = [done[a] for a in term.args]
    arrays = np.broadcast_arrays(*(p.over(axes) for p in parts))
    array = ops.evaluate(term.op, tuple(arrays), term.dtype)
    return Points(array, axes, _union_bad(parts, axes))


def _fuse(term: Fuse, done: Mapping[Term, Any]) -> Points:
    axes = _sorted(term.axes)
    shape = tuple(a.extent for a in axes)
    index = _index_values(term.index, done)
    i = index.over(axes)
    array = np.zeros(shape, term.dtype)
    covered = np.zeros(shape, bool)
    bad = np.zeros(shape, bool)
    for lo, hi, piece in term.pieces:
        here = np.broadcast_to((lo <= i) & (i < hi), shape)
        covered |= here
        points: Points = done[piece]
        array = np.where(here, points.over(axes), array).astype(term.dtype)
        marks = points.bad_over(axes)
        if marks is not None:
            bad |= here & marks
    bad |= ~covered
    own = index.bad_over(axes)
    if own is not None:
        bad |= own
    return Points(array, axes, bad if bad.any() else None)


# -- folds -----------------------------------------------------------------------------------------

_UFUNC: dict[str, Any] = {
    "add": np.add,
    "mul": np.multiply,
    "max": np.maximum,
    "min": np.minimum,
    "and": np.bitwise_and,
    "or": np.bitwise_or,
    "xor": np.bitwise_xor,
}


def _bodies(term: Fold | Scan, done: Mapping[Term, Any], axes: Sequence[Axis]) -> list[np.ndarray]:
    return [np.array(_full(done[b].over(axes), axes)) for b in term.bodies]


def _fold(term: Fold, done: Mapping[Term, Any]) -> list[Points]:
    kept = _sorted(term.axes)
    axes = (*term.over, *kept)
    count = 1
    for axis in term.over:
        count *= axis.extent
    rest = tuple(a.extent for a in kept)
    columns = [b.reshape(count, *rest) for b in _bodies(term, done, axes)]
    dtypes = [b.dtype for b in term.bodies]
    marks = _union_bad([done[b] for b in term.bodies], axes)
    bad = None if marks is None else np.asarray(marks.reshape(count, *rest).any(axis=0))
    ufunc = _UFUNC.get(term.monoid.name)
    if ufunc is not None:
        (identity,) = term.monoid.identity(dtypes)
        (column,) = columns
        with np.errstate(all="ignore"):
            total = ufunc.reduce(column, axis=0, dtype=dtypes[0], initial=identity)
        return [Points(np.asarray(total, dtypes[0]), kept, bad)]
    results = _combine_all(term.monoid, columns, dtypes, rest)
    return [Points(r, kept, bad) for r in results]


def _combine_all(
    monoid: Monoid,
    columns: list[np.ndarray],
    dtypes: Sequence[np.dtype],
    rest: tuple[int, ...],
) -> list[np.ndarray]:
    """Combination along the first axis, halving it: neighbours stay in order."""
    if columns[0].shape[0] == 0:
        neutral = monoid.identity(dtypes)
        return [np.full(rest, v, t) for v, t in zip(neutral, dtypes, strict=True)]
    emit = _emit(dtypes)
    while columns[0].shape[0] > 1:
        even = columns[0].shape[0] // 2 * 2
        paired = monoid.combine(
            emit, [c[0:even:2] for c in columns], [c[1:even:2] for c in columns]
        )
        columns = [np.concatenate([p, c[even:]]) for p, c in zip(paired, columns, strict=True)]
    return [c[0] for c in columns]


def _emit(dtypes: Sequence[np.dtype]) -> Callable[..., np.ndarray]:
    def emit(op: str, *args: np.ndarray) -> np.ndarray:
        types = tuple(a.dtype for a in args)
        return ops.evaluate(op, args, ops.result_dtype(op, types))

    return emit


def _scan(term: Scan, done: Mapping[Term, Any]) -> list[Points]:
    """Running combination along the axis, then read at the end of each prefix."""
    inner = _sorted(frozenset().union(*(b.axes for b in term.bodies)) - {term.over})
    axes = (term.over, *inner)
    columns = _bodies(term, done, axes)
    emit = _emit([b.dtype for b in term.bodies])
    running = [np.array(c) for c in columns]
    for i in range(1, term.over.extent):
        combined = term.monoid.combine(emit, [r[i - 1] for r in running], [c[i] for c in columns])
        for r, c in zip(running, combined, strict=True):
            r[i] = c
    marks = _union_bad([done[b] for b in term.bodies], axes)
    prefix = None if marks is None else np.logical_or.accumulate(marks, axis=0)
    return [_read_prefix(term, r, prefix, inner, done) for r in running]


def _read_prefix(
    term: Scan,
    running: np.ndarray,
    prefix: np.ndarray | None,
    inner: Sequence[Axis],
    done: Mapping[Term, Any],
) -> Points:
    out = _sorted(term.axes)
    shape = tuple(a.extent for a in out)
    if 0 in shape or running.size == 0:
        return Points(np.zeros(shape, running.dtype), out, np.ones(shape, bool))
    end = _index_values(term.upto, done)
    i = end.over(out)
    outside = np.broadcast_to((i < 0) | (i >= term.over.extent), shape)
    own = end.bad_over(out)
    bad: np.ndarray = outside if own is None else outside | own
    where = [np.clip(i, 0, term.over.extent - 1)]
    for axis in inner:
        where.append(np.arange(axis.extent).reshape([-1 if a is axis else 1 for a in out]))
    array = np.array(_full(running[tuple(where)], out))
    if prefix is not None:
        bad = bad | prefix[tuple(where)]
    return Points(array, out, bad if bad.any() else None)


# -- scatter ---------------------------------------------------------------------------------------


def _scatter(step: Scatter, memory: Memory) -> np.ndarray:
    """Updates in row-major order of the axes; the last one to an element wins."""
    done = evaluate_all(step.terms, memory)
    result = np.array(memory[step.operand])
    shape = tuple(a.extent for a in step.axes)
    keep = np.ones(shape, bool)
    if step.guard is not None:
        keep = _finish(done[step.guard], step.axes, step.guard)
    keep = keep.reshape(-1)
    where = []
    for e, extent in zip(step.index, step.value.shape, strict=True):
        i = np.broadcast_to(_index_values(e, done).over(step.axes), shape).reshape(-1)[keep]
        if ((i < 0) | (i >= extent)).any():
            raise IndexError(f"scatter to {step.value} is out of bounds at index {e}")
        where.append(i)
    update = _finish(done[step.update], step.axes, step.update).reshape(-1)[keep]
    if step.combine == "set":
        flat = np.ravel_multi_index(where, result.shape) if where else np.zeros(update.shape, int)
        result.reshape(-1)[flat] = update
    else:
        with np.errstate(all="ignore"):
            _UFUNC[step.combine].at(result, tuple(where), update)
    return result
