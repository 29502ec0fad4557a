"""The term language: scalar expressions over named axes.

A term has no shape, only free axes. Values (arrays in memory or yet to be computed) are read
through affine index maps, so that reshape, transpose, slice, flip, stride and broadcast are index
arithmetic::

    term ::= Const(value)                        a scalar
           | Index(affine)                       the value of an index expression (iota)
           | Load(value, affine index map)       an element of an array
           | Map(op, term…)                      one scalar operation
           | Fold(monoid, axes, term…)           reduction over axes; k-ary monoids give tuples
           | Proj(fold, i)                       one component of a k-ary fold or scan
           | Scan(monoid, axis, upto, term…)     the fold over the prefix axis <= upto (cumsum)
           | Fuse(affine, pieces)                different terms on disjoint ranges of an index

Data-dependent reads are loads whose index map contains `Dynamic` atoms (clamped, so always in
bounds).  Terms are immutable, compare by structure and cache their hash and free axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np

from weft.terms.affine import Affine, Axis, Dynamic, FloorDiv
from weft.terms.monoids import Monoid


class Value:
    """An array by name: an input of a region, or the result of one of its definitions."""

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype

    @property
    def size(self) -> int:
        n = 1
        for d in self.shape:
            n *= d
        return n

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return self.name


#: Kinds of terms, as bits of `Term.holds`.
FOLDS, SCANS, FUSES = 1, 2, 4


class Term:
    """Base of all terms: ``dtype``, the set of free ``axes``, structural equality.

    ``holds`` says which kinds of terms are anywhere inside (`FOLDS`, `SCANS`, `FUSES`), so that
    nobody has to look for them.
    """

    __slots__ = ("_hash", "_key", "_loads", "axes", "dtype", "holds")
    dtype: np.dtype
    axes: frozenset[Axis]
    holds: int
    _loads: frozenset[Value] | None

    def _finish(
        self, dtype: np.dtype, axes: frozenset[Axis], key: tuple[Any, ...], holds: int = 0
    ) -> None:
        self.dtype = dtype
        self.axes = axes
        self._key = (type(self), *key)
        self._hash = hash(self._key)
        for child in self.children:
            holds |= child.holds
        self.holds = holds
        self._loads = None

    @property
    def loads(self) -> frozenset[Value]:
        """The values that are read anywhere inside."""
        if self._loads is None:
            self._loads = frozenset(t.value for t in postorder(self) if isinstance(t, Load))
        return self._loads

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Term) and self._hash == other._hash and _same(self, other)

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        from weft.terms.print import format_term

        return format_term(self)

    @property
    def children(self) -> tuple[Term, ...]:
        """Direct subterms, sources of dynamic indices included."""
        return ()

    @property
    def parts(self) -> tuple[Any, ...]:
        """What makes it this term and no other: its class and all that it consists of."""
        return self._key


_STRUCTURES = Term | Affine | FloorDiv | Dynamic


def _same(a: Term, b: Term) -> bool:
    """Structural equality, with a stack of its own and each pair of subterms compared once.

    Terms found equal share their keys afterwards, as do their subterms: the next look is short.
    """
    seen: set[tuple[int, int]] = set()
    pairs: list[tuple[Term, Term]] = []
    stack: list[tuple[Any, Any]] = [(a, b)]
    while stack:
        x, y = stack.pop()
        if x is y or (id(x), id(y)) in seen:
            continue
        if type(x) is not type(y):
            return False
        if isinstance(x, tuple):
            if len(x) != len(y):
                return False
            stack.extend(zip(x, y, strict=True))
        elif isinstance(x, _STRUCTURES):
            if hash(x) != hash(y):
                return False
            seen.add((id(x), id(y)))
            stack.append((_parts(x), _parts(y)))
            if isinstance(x, Term):
                pairs.append((x, y))
        elif x != y:
            return False
    for x, y in pairs:
        x._key = y._key
    return True


def _parts(x: Term | Affine | FloorDiv | Dynamic) -> tuple[Any, ...]:
    if isinstance(x, Term):
        return x._key
    if isinstance(x, Affine):
        return (x.terms, x.const)
    if isinstance(x, FloorDiv):
        return (x.numerator, x.divisor)
    return (x.source, x.lo, x.hi)


_NO_AXES: frozenset[Axis] = frozenset()


class Const(Term):
    """A scalar constant (a NumPy scalar of the term's dtype)."""

    __slots__ = ("value",)

    def __init__(self, value: Any, dtype: np.dtype) -> None:
        self.value = dtype.type(value)
        # The bytes tell -0.0 from 0.0 and make NaN equal to itself.
        self._finish(dtype, _NO_AXES, (np.asarray(self.value).tobytes(), dtype))


class Index(Term):
    """The value of an index expression, as an integer (or float) scalar: the meaning of iota."""

    __slots__ = ("expr",)

    def __init__(self, expr: Affine, dtype: np.dtype) -> None:
        self.expr = expr
        self._finish(dtype, expr.axes(), (expr, dtype))

    @property
    def children(self) -> tuple[Term, ...]:
        return tuple(d.source for d in self.expr.dynamics())


class Load(Term):
    """``value[index…]``, one affine expression per dimension of the value, in bounds."""

    __slots__ = ("index", "sources", "value")

    def __init__(self, value: Value, index: tuple[Affine, ...]) -> None:
        if len(index) != len(value.shape):
            raise ValueError(
                f"load of {value.name} with {len(index)} indices; its shape is {value.shape}"
            )
        self.value = value
        self.index = index
        self.sources: tuple[Term, ...] = tuple(d.source for i in index for d in i.dynamics())
        axes = _NO_AXES.union(*(i.axes() for i in index)) if index else _NO_AXES
        self._finish(value.dtype, axes, (value, index))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.sources


class Map(Term):
    """A scalar operation; ``op`` is the name of an elementwise primitive (see `weft.terms.ops`)."""

    __slots__ = ("args", "op")

    def __init__(self, op: str, args: tuple[Term, ...], dtype: np.dtype) -> None:
        self.op = op
        self.args = args
        axes = args[0].axes if len(args) == 1 else _NO_AXES.union(*(a.axes for a in args))
        self._finish(dtype, axes, (op, args, dtype))

    @property
    def children(self) -> tuple[Term, ...]:
        return self.args


class Fold(Term):
    """Reduction of ``bodies`` over ``over`` axes; a k-ary monoid makes it a tuple, read by `Proj`.

    The dtype of a tuple-valued fold is that of its first component.
    """

    __slots__ = ("bodies", "monoid", "over")

    def __init__(self, monoid: Monoid, over: tuple[Axis, ...], bodies: tuple[Term, ...]) -> None:
        if len(bodies) != monoid.arity:
            raise ValueError(f"fold over {monoid} takes {monoid.arity} bodies, got {len(bodies)}")
        self.monoid = monoid
        self.over = over
        self.bodies = bodies
        axes = _NO_AXES.union(*(b.axes for b in bodies)) - frozenset(over)
        self._finish(bodies[0].dtype, axes, (monoid, over, bodies), FOLDS)

    @property
    def children(self) -> tuple[Term, ...]:
        return self.bodies


class Scan(Term):
    """Inclusive prefix reduction: ``bodies`` combined over ``0 <= over <= upto``, in that order.

    ``upto`` is an index expression within ``over``'s extent and not over ``over`` itself. As a
    term this is a scalar like any other, so it can be re-indexed; evaluated along an axis ``i``
    with ``upto = i`` it is one running pass. A scan from the end reads its bodies at ``n-1-over``
    and has ``upto = n-1-i``. A k-ary monoid makes it a tuple, read by `Proj`, as with `Fold`.
    """

    __slots__ = ("bodies", "monoid", "over", "upto")

    def __init__(self, monoid: Monoid, over: Axis, upto: Affine, bodies: tuple[Term, ...]) -> None:
        if len(bodies) != monoid.arity:
            raise ValueError(f"scan over {monoid} takes {monoid.arity} bodies, got {len(bodies)}")
        if over in upto.axes():
            raise ValueError(f"scan over {over} up to {upto}: the end depends on the axis itself")
        self.monoid = monoid
        self.over = over
        self.upto = upto
        self.bodies = bodies
        axes = _NO_AXES.union(*(b.axes for b in bodies)) - {over} | upto.axes()
        self._finish(bodies[0].dtype, axes, (monoid, over, upto, bodies), SCANS)

    @property
    def children(self) -> tuple[Term, ...]:
        return self.bodies + tuple(d.source for d in self.upto.dynamics())

    @property
    def is_whole(self) -> bool:
        """Whether it ends at each place of its axis once, in order: it is one running pass."""
        if len(self.upto.terms) != 1:
            return False
        ((axis, coefficient),) = self.upto.terms
        last = self.over.extent - 1
        forward = coefficient == 1 and self.upto.const == 0
        backward = coefficient == -1 and self.upto.const == last
        return isinstance(axis, Axis) and axis.extent == last + 1 and (forward or backward)


class Proj(Term):
    """Component ``position`` of a tuple-valued fold or scan."""

    __slots__ = ("fold", "position")

    def __init__(self, fold: Fold | Scan, position: int) -> None:
        self.fold = fold
        self.position = position
        self._finish(fold.bodies[position].dtype, fold.axes, (fold, position))

    @property
    def children(self) -> tuple[Term, ...]:
        return (self.fold,)


class Fuse(Term):
    """Different terms on disjoint ranges of an index (concatenate, pad, overwrite, roll).

    ``index`` may contain floor divisions (padding between elements: pieces by remainder).

    ``pieces`` are ``(lo, hi, term)``: the term stands for ``lo <= index < hi``.  The pieces are
    sorted and cover every value of ``index``.  A piece's loads are only in bounds on its own range.
    """

    __slots__ = ("index", "pieces")

    def __init__(self, index: Affine, pieces: tuple[tuple[int, int, Term], ...]) -> None:
        self.index = index
        self.pieces = pieces
        axes = index.axes().union(*(t.axes for _, _, t in pieces))
        self._finish(pieces[0][2].dtype, axes, (index, pieces), FUSES)

    @property
    def children(self) -> tuple[Term, ...]:
        return tuple(t for _, _, t in self.pieces) + tuple(d.source for d in self.index.dynamics())


def postorder(*roots: Term) -> list[Term]:
    """Every distinct subterm once, children before parents (iterative: programs can be deep)."""
    seen: set[Term] = set()
    out: list[Term] = []
    stack: list[tuple[Term, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        term, ready = stack.pop()
        if ready:
            out.append(term)
        elif term not in seen:
            seen.add(term)
            stack.append((term, True))
            stack.extend((c, False) for c in reversed(term.children) if c not in seen)
    return out


def substitute(
    term: Term,
    axes: Mapping[Axis, Affine],
    load: Callable[[Load], Term] | None = None,
) -> Term:
    """``At(axes, term)``: re-index a term; ``load`` may replace loads (after their re-indexing).

    Bound axes of folds are left alone: the caller keeps them distinct from the axes of the map's
    expressions (fresh axes are cheap), so nothing can be captured.
    """
    return substitute_all((term,), axes, load)[0]


def substitute_all(
    terms: Sequence[Term],
    axes: Mapping[Axis, Affine],
    load: Callable[[Load], Term] | None = None,
) -> tuple[Term, ...]:
    """`substitute` in several terms: what they share is visited once, and is shared afterwards.

    What does not change stays the same object.
    """
    done: dict[Term, Term] = {}

    def moved(index: Affine) -> Affine:
        return index.substitute(axes, lambda source: known_index(done[source]))

    for t in postorder(*terms) if load is not None else _concerned(terms, axes, done):
        done[t] = _rebuild(t, done, moved, load)
    return tuple(done[t] for t in terms)


def _concerned(
    roots: Sequence[Term], axes: Mapping[Axis, Affine], same: dict[Term, Term]
) -> list[Term]:
    """`postorder` without the subterms that mention none of ``axes``: these go into ``same``."""
    moved = axes.keys()
    seen: set[Term] = set()
    out: list[Term] = []
    stack: list[tuple[Term, bool]] = [(r, False) for r in reversed(roots)]
    while stack:
        term, ready = stack.pop()
        if ready:
            out.append(term)
        elif term not in seen:
            seen.add(term)
            # What a fold binds is none of its own axes, and may be meant all the same.
            if moved.isdisjoint(term.axes) and not term.holds & (FOLDS | SCANS):
                same[term] = term
                continue
            stack.append((term, True))
            stack.extend((c, False) for c in reversed(term.children))
    return out


def bound_axes(*roots: Term) -> set[Axis]:
    """Axes that folds and running reductions in the terms range over."""
    found: set[Axis] = set()
    for t in postorder(*(r for r in roots if r.holds & (FOLDS | SCANS))):
        if isinstance(t, Fold):
            found.update(t.over)
        elif isinstance(t, Scan):
            found.add(t.over)
    return found


def rename_bound(term: Term, axes: Iterable[Axis]) -> Term:
    """``term`` with fresh axes for the bound ``axes``, so that it can go inside their folds."""
    fresh = {a: Axis(a.name, a.extent) for a in axes}
    return rebind(term, {a: Affine.of(b) for a, b in fresh.items()}, fresh)


def rebind(
    term: Term,
    axes: Mapping[Axis, Affine],
    bound: Mapping[Axis, Axis | None],
    load: Callable[[Load], Term] | None = None,
) -> Term:
    """`substitute`, with bound axes replaced, too: folds over ``a`` range over ``bound[a]``.

    Folds do not range over ``a`` any more where that is None: ``axes`` says where it is.
    """
    done: dict[Term, Term] = {}

    def moved(index: Affine) -> Affine:
        return index.substitute(axes, lambda source: known_index(done[source]))

    for t in postorder(term):
        new = _rebuild(t, done, moved, load)
        if isinstance(new, Fold):
            over = (bound.get(a, a) for a in new.over)
            new = Fold(new.monoid, tuple(a for a in over if a is not None), new.bodies)
        elif isinstance(new, Scan):
            new = Scan(new.monoid, bound.get(new.over) or new.over, new.upto, new.bodies)
        done[t] = new
    return done[term]


def replace_subterms(term: Term, made: Mapping[Term, Term]) -> Term:
    """``term`` with some of its subterms replaced."""
    done: dict[Term, Term] = {}
    for t in postorder(term):
        new = made.get(t)
        done[t] = rebuild(t, done) if new is None else new
    return done[term]


def rebuild(
    t: Term, done: Mapping[Term, Term], moved: Callable[[Affine], Affine] | None = None
) -> Term:
    """``t`` over what its subterms have become, and with its indices ``moved``."""

    def unmoved(index: Affine) -> Affine:
        return index.substitute({}, lambda source: known_index(done[source]))

    return _rebuild(t, done, moved or unmoved, None)


def shared(*roots: Term) -> tuple[Term, ...]:
    """The same terms, in which equal subterms are one object: comparing them takes no time."""
    done: dict[Term, Term] = {}
    for t in postorder(*roots):
        done[t] = rebuild(t, done)
    return tuple(done[t] for t in roots)


def _rebuild(
    t: Term,
    done: Mapping[Term, Term],
    moved: Callable[[Affine], Affine],
    load: Callable[[Load], Term] | None,
) -> Term:
    if isinstance(t, Const):
        return t
    if isinstance(t, Index):
        expr = moved(t.expr)
        return t if expr == t.expr else Index(expr, t.dtype)
    if isinstance(t, Load):
        index = tuple(moved(i) for i in t.index)
        new = t if index == t.index else Load(t.value, index)
        return load(new) if load is not None else new
    if isinstance(t, Map):
        args = tuple(done[a] for a in t.args)
        return t if _are(args, t.args) else folded(Map(t.op, args, t.dtype))
    if isinstance(t, Fold):
        bodies = tuple(done[b] for b in t.bodies)
        return t if _are(bodies, t.bodies) else Fold(t.monoid, t.over, bodies)
    if isinstance(t, Scan):
        bodies, upto = tuple(done[b] for b in t.bodies), moved(t.upto)
        same = _are(bodies, t.bodies) and upto == t.upto
        return t if same else Scan(t.monoid, t.over, upto, bodies)
    if isinstance(t, Proj):
        fold = done[t.fold]
        if not isinstance(fold, Fold | Scan):
            raise TypeError(f"projection of a {type(fold).__name__}, expected a fold")
        return t if fold is t.fold else Proj(fold, t.position)
    if isinstance(t, Fuse):
        pieces = tuple((lo, hi, done[p]) for lo, hi, p in t.pieces)
        return fuse(moved(t.index), pieces)
    raise TypeError(f"unknown term {type(t).__name__}")


def _are(new: tuple[Term, ...], old: tuple[Term, ...]) -> bool:
    """Whether they are the same objects."""
    return all(map(is_, new, old))


def folded(term: Map) -> Term:
    """An integer or bool operation on constants, done now (index arithmetic leaves many)."""
    if term.dtype.kind not in "biu" or not all(isinstance(a, Const) for a in term.args):
        return term
    if any(a.dtype.kind not in "biu" for a in term.args):
        return term
    from weft.terms.ops import evaluate

    values = tuple(np.asarray(a.value) for a in term.args if isinstance(a, Const))
    with np.errstate(all="ignore"):
        return Const(evaluate(term.op, values, term.dtype)[()], term.dtype)


def known_index(source: Term) -> Term | int:
    """The source of a dynamic index, as an int once it is constant."""
    return int(source.value) if isinstance(source, Const) else source


def fuse(index: Affine, pieces: tuple[tuple[int, int, Term], ...]) -> Term:
    """`Fuse`, without the pieces that the bounds of ``index`` rule out."""
    lo, hi = index.bounds()
    live = tuple(p for p in pieces if p[0] <= hi and lo < p[1])
    if len(live) <= 1:  # none at all on an empty range
        return (live or pieces)[0][2]
    return Fuse(index, live)


def dynamic_index(source: Term, lo: int, hi: int) -> Affine:
    """The index ``clamp(source, lo, hi)``; a constant source becomes a constant index."""
    if isinstance(source, Const):
        return Affine((), min(max(int(source.value), lo), hi))
    if lo == hi:
        return Affine((), lo)
    return Affine(((Dynamic(source, lo, hi), 1),))
