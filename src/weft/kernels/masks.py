"""Masks of a stream: choices by position, and the blocks in which they need not be made.

A `Mask` is a choice between two terms by a comparison of indices, ``where(i >= j, x, -inf)``.  In a
block in which every test holds, the choice is the term that is kept; in a block in which something
that is needed holds nowhere it is the other one, and if nothing that is folded then adds anything,
the block *hides* and can be left out.  That needs a little evaluation of constants (`settled`):
-inf stays -inf whatever is subtracted from it, its exponential is 0, and so is every product of
that.

The factors of such products are taken to be finite: what a block that is left out would have
multiplied with 0 is not looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.kernels.ir import Guard
from weft.kernels.positions import Position, position
from weft.kernels.streams import Stream, fold_of
from weft.structs import struct
from weft.terms import ops
from weft.terms.affine import Affine, Axis, Interval
from weft.terms.term import Const, Load, Map, Term, Value, postorder


@struct(frozen=True)
class Mask:
    """``choice``, a select, is ``kept`` where all ``tests`` are at least 0.

    It is not where one of those ``needed`` is less than 0; with ``hides``, nothing is added there.
    """

    choice: Map
    kept: Term
    tests: tuple[Affine, ...]
    needed: tuple[Affine, ...]
    hides: bool


def masks_of(stream: Stream, stage: int) -> list[Mask]:
    """The masks of the streamed terms; of a select the one that hides something, if one does."""
    found: dict[Map, Mask] = {}
    for choice, kept, other, tests in _choices(stream):
        hides = isinstance(other, Const) and _hides(stream, stage, choice, other)
        if choice not in found or (hides and not found[choice].hides):
            surely, needed = (tuple(t[n] for t in tests) for n in (0, 1))
            found[choice] = Mask(choice, kept, surely, needed, hides)
    return list(found.values())


def may_hide(stream: Stream) -> bool:
    """Whether a mask could hide blocks, as far as that is known before there are stages."""
    return any(isinstance(other, Const) for _, _, other, _ in _choices(stream))


def _choices(stream: Stream) -> Iterator[tuple[Map, Term, Term, list[_Test]]]:
    """The choices by position, from either side: what is kept, the other term, and the tests."""
    for step in stream.steps:
        if stream.kind[step.value] != "streamed":
            continue
        for term in postorder(step.term):
            if not isinstance(term, Map) or term.op != "select":
                continue
            predicate, then, otherwise = term.args
            for kept, other, holds in ((then, otherwise, True), (otherwise, then, False)):
                tests = _tests(predicate, holds)
                if tests:
                    yield term, kept, other, tests


# -- tests -----------------------------------------------------------------------------------------


#: An expression that is at least 0 only where something holds, and one that is wherever it does.
_Test = tuple[Affine, Affine]


def _tests(predicate: Term, holds: bool) -> list[_Test] | None:
    """Expressions for each part of what makes ``predicate`` as it should be."""
    tests: list[_Test] = []
    stack = [(predicate, holds)]
    while stack:
        term, wanted = stack.pop()
        if isinstance(term, Const) and bool(term.value) == wanted:
            continue
        if not isinstance(term, Map) or term.dtype != np.bool_:
            return None
        if term.op == "select":
            both = _both(term, wanted)
            if both is None:
                return None
            stack += both
        elif term.op == "not":
            stack.append((term.args[0], not wanted))
        elif term.op == ("and" if wanted else "or"):
            stack += [(a, wanted) for a in term.args]
        else:
            found = _comparison(term, wanted)
            if found is None:
                return None
            tests += found
    return tests


def _both(term: Map, wanted: bool) -> list[tuple[Term, bool]] | None:
    """What has to hold, all of it, for a choice between bools to be ``wanted``.

    One branch is a constant: ``where(p, a, false)`` is true where both ``p`` and ``a`` are.
    """
    p, a, b = term.args
    for branch, other, holds in ((b, a, True), (a, b, False)):
        if isinstance(branch, Const):
            if bool(branch.value) != wanted:
                return [(p, holds), (other, wanted)]
            if isinstance(other, Const):
                return [(p, not holds)] if bool(other.value) != wanted else []
    return None


_OPPOSITE = {"ge": "lt", "lt": "ge", "gt": "le", "le": "gt", "eq": "ne", "ne": "eq"}


def _comparison(term: Map, holds: bool) -> list[_Test] | None:
    name = term.op if holds else _OPPOSITE.get(term.op, "")
    if name not in _OPPOSITE or name == "ne":
        return None
    less, more = term.args if name in ("lt", "le", "eq") else term.args[::-1]
    # A distance is less than something where both differences are.
    near = isinstance(less, Map) and less.op == "abs" and name != "eq"
    a, b = position(less.args[0] if isinstance(less, Map) and near else less), position(more)
    if a is None or b is None:
        return None
    other = a + b if near else a - b
    if name == "eq":
        tests = [_at_least(b - a, 0), _at_least(other, 0)]
        # With slack they may be equal, but never surely.
        return (
            tests if other.exact is not None else [(Affine((), -1), needed) for _, needed in tests]
        )
    least = int(name in ("lt", "gt"))
    return [_at_least(b - a, least), *([_at_least(other, least)] if near else [])]


def _at_least(value: Position, least: int) -> _Test:
    """That ``value`` is ``least`` or more."""
    expr = value.expr - least * value.scale
    return expr + value.lo, expr + value.hi


# -- blocks ----------------------------------------------------------------------------------------


def guards_of(
    tests: Sequence[Affine], inner: set[Axis], ranges: Mapping[Axis, Interval], surely: bool
) -> tuple[Guard, ...] | None:
    """Guards on the positions of a block under which ``tests`` hold in all of it, or somewhere.

    None if they never do; those that always hold are left out.
    """
    found: list[Guard] = []
    for test in tests:
        inside = Affine(tuple((a, k) for a, k in test.terms if a in inner))
        outside = test - inside
        lo, hi = inside.bounds()
        expr = outside + (lo if surely else hi)
        least, most = expr.bounds(ranges)
        if most < 0:
            return None
        if least < 0:
            found.append(Guard(expr, 0, most + 1))
    return tuple(found)


# -- what adds nothing -----------------------------------------------------------------------------


def _hides(stream: Stream, stage: int, choice: Map, other: Const) -> bool:
    """Whether nothing moves any state of the stage where ``choice`` is ``other``."""
    known: dict[Value, Any] = {}
    for step in stream.steps:
        kind = stream.kind[step.value]
        if kind == "streamed":
            value = settled(step.term, known, {choice: other.value})
            if value is not None:
                known[step.value] = value
            if step.value in stream.outputs and stream.stage[step.value] == stage:
                return False
        elif kind == "state" and stream.stage[step.value] == stage:
            fold = fold_of(step.term)
            if fold.monoid.arity > 1:
                return False
            value = settled(fold.bodies[0], known, {choice: other.value})
            neutral = fold.monoid.identity([fold.bodies[0].dtype])[0]
            if value is None or value != neutral:
                return False
    return True


def settled(term: Term, values: Mapping[Value, Any], terms: Mapping[Term, Any]) -> Any:
    """The constant that ``term`` is if some values and subterms are; None if it is not one."""
    found: dict[Term, Any] = {}
    for t in postorder(term):
        if t in terms:
            found[t] = terms[t]
        elif isinstance(t, Const):
            found[t] = t.value
        elif isinstance(t, Load):
            found[t] = values.get(t.value)
        elif isinstance(t, Map):
            found[t] = _evaluated(t, [found[a] for a in t.args])
        else:
            found[t] = None
    return found[term]


def _evaluated(term: Map, args: Sequence[Any]) -> Any:
    if term.op == "select" and args[1] is not None and args[2] is not None:
        a, b = (np.asarray(x, term.dtype) for x in args[1:])
        if a.tobytes() == b.tobytes():
            return args[1]  # whichever is chosen
    if all(a is not None for a in args):
        with np.errstate(all="ignore"):
            arrays = tuple(np.asarray(a) for a in args)
            return ops.evaluate(term.op, arrays, term.dtype)[()]
    if not dtypes.is_floating(term.dtype):
        return None
    return _absorbed(term.op, args)


def _absorbed(name: str, args: Sequence[Any]) -> Any:
    """What one constant operand makes of the result, whatever (finite) number the other is."""
    if name == "mul":
        return next((a for a in args if a is not None and a == 0), None)
    if name == "div":
        return args[0] if args[0] is not None and args[0] == 0 else None
    if name in ("add", "sub"):
        infinite = [(n, a) for n, a in enumerate(args) if a is not None and np.isinf(a)]
        if infinite:
            n, a = infinite[0]
            return -a if name == "sub" and n == 1 else a
    return None
