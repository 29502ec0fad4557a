"""Constructors of terms that infer dtypes and refuse nonsense: the words of lowering rules.

>>> i = Axis("i", 3)
>>> op("add", position(i, np.int32), const(1, np.int32)).dtype
dtype('int32')
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import Monoid
from weft.terms.ops import OPS, result_dtype
from weft.terms.term import Const, Fold, Index, Map, Proj, Scan, Term, dynamic_index, fuse

#: Operations whose operands need not have one dtype.
_MIXED = frozenset(["select", "cast", "bitcast"])


def op(name: str, *args: Term) -> Map:
    """A scalar operation on terms of one dtype (``cast`` and ``bitcast`` have functions here)."""
    if name not in OPS or name in _MIXED:
        raise ValueError(f"there is no scalar operation {name!r} of operands of one dtype")
    if len(args) != OPS[name].arity:
        raise TypeError(f"{name} takes {OPS[name].arity} operands, got {len(args)}")
    types = tuple(a.dtype for a in args)
    if any(t != types[0] for t in types):
        raise TypeError(f"{name} needs operands of one dtype, got {', '.join(map(str, types))}")
    return Map(name, args, result_dtype(name, types))


def const(value: Any, dtype: Any) -> Const:
    """A scalar constant."""
    return Const(value, np.dtype(dtype))


def cast(term: Term, dtype: np.dtype) -> Term:
    """``term`` converted to ``dtype``; itself when it is of that dtype, folded when constant."""
    if term.dtype == dtype:
        return term
    return Map("cast", (term,), dtype)


def bitcast(term: Term, dtype: np.dtype) -> Term:
    """The bits of ``term`` as another dtype of the same width."""
    if term.dtype.itemsize != dtype.itemsize:
        raise TypeError(f"bitcast of {term.dtype} to {dtype}, which has another width")
    return term if term.dtype == dtype else Map("bitcast", (term,), dtype)


def select(predicate: Term, then: Term, otherwise: Term) -> Term:
    """``then`` where ``predicate`` is true, ``otherwise`` elsewhere; both are evaluated."""
    if predicate.dtype != np.bool_:
        raise TypeError(f"select needs a bool predicate, got {predicate.dtype}")
    if then.dtype != otherwise.dtype:
        raise TypeError(f"select between {then.dtype} and {otherwise.dtype}")
    return Map("select", (predicate, then, otherwise), then.dtype)


def all_of(predicates: Sequence[Term]) -> Term | None:
    """The conjunction of bool terms; None (always true) for none of them."""
    result: Term | None = None
    for p in predicates:
        result = p if result is None else op("and", result, p)
    return result


def position(index: Affine | Axis | int, dtype: Any) -> Index:
    """The value of an index expression as a number of ``dtype``."""
    return Index(Affine.of(index), np.dtype(dtype))


def fold(monoid: Monoid, over: Sequence[Axis], *bodies: Term) -> Fold:
    """Reduction of ``bodies`` over the axes; components of tuples are read with `component`."""
    return Fold(monoid, tuple(over), bodies)


def component(fold: Fold | Scan, position: int) -> Term:
    """One component of a fold (which is the fold itself when it has only one)."""
    return fold if fold.monoid.arity == 1 else Proj(fold, position)


def accumulator_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype that sums and products of ``dtype`` are accumulated in: 16-bit floats widen."""
    if dtypes.is_floating(dtype) and dtype.itemsize < 4:
        return dtypes.float32
    return dtype


def within(index: Affine, lo: int, hi: int, inside: Term, outside: Term) -> Term:
    """``inside`` where ``lo <= index < hi``, ``outside`` elsewhere, as pieces of a `Fuse`."""
    first, last = index.bounds()
    lo, hi = max(lo, first), min(hi, last + 1)
    if lo >= hi:
        return outside
    pieces = [(lo, hi, inside)]
    if first < lo:
        pieces.insert(0, (first, lo, outside))
    if hi <= last:
        pieces.append((hi, last + 1, outside))
    return fuse(index, tuple(pieces))


def in_range(term: Term, lo: int, hi: int) -> Term | None:
    """Whether ``lo <= term <= hi``, for an integer term; None when its dtype says so already."""
    info = np.iinfo(term.dtype)
    tests = []
    if lo > info.min:
        tests.append(op("ge", term, const(lo, term.dtype)))
    if hi < info.max:
        tests.append(op("le", term, const(hi, term.dtype)))
    return all_of(tests)


def clamped_index(term: Term, lo: int, hi: int) -> Affine:
    """The index ``clamp(term, lo, hi)`` for an integer term of any dtype."""
    if term.dtype == np.uint64:  # indices are signed: halve the range first
        term = op("min", term, const(hi, term.dtype))
    return dynamic_index(term, lo, hi)
