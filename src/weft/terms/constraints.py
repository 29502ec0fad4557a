"""Whether linear constraints on bounded integers can hold together.

Proofs about accesses all have one form: *this cannot happen*.  An index cannot leave its array, two
iterations cannot meet in one element.  What would have to hold is stated as equations and
inequalities over index expressions, and shown to have no solution::

    c = Constraints()
    at = c.point()                    # axes at some point within their extents
    c.within(at(i.expr), 8, 10)       # what would have to hold, for an axis i:8
    c.impossible()                    # True

A floor division ``n // d`` is a variable ``q`` with ``n = d·q + r`` and ``0 <= r < d``, so that
everything is linear.  Then, until nothing changes:

- ranges of variables are narrowed by every constraint;
- an equation whose coefficients have a divisor its constant has not is impossible;
- an equation whose terms fall into digits, ``g·high + low`` with ``low`` narrower than ``g``, is
  two equations (V. Maslov, "Delinearization", PLDI 1992);
- an equation with a coefficient ±1 gives that variable away.

If that leaves something open, ranges are halved, a bounded number of times; small spaces are thus
decided exactly.  The answer "impossible" is always right; "possible" may mean "not shown".  Nothing
is shown of constraints with an extent that is left open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import gcd
from typing import Any

from weft.core.extents import Extent
from weft.terms.affine import Affine, Atom, Axis, FloorDiv, Interval

#: Halvings before a proof is given up.
SPLITS = 400

#: Rounds of narrowing before it is taken to have converged.
_ROUNDS = 12


class Linear:
    """``const + Σ coefficient·variable``, variables being numbers."""

    __slots__ = ("const", "terms")

    def __init__(self, terms: dict[int, int], const: int = 0) -> None:
        self.terms = terms
        self.const = const

    def plus(self, other: Linear, k: int = 1) -> Linear:
        """``self + k·other``."""
        terms = dict(self.terms)
        for v, c in other.terms.items():
            total = terms.get(v, 0) + k * c
            if total:
                terms[v] = total
            else:
                terms.pop(v, None)
        return Linear(terms, self.const + k * other.const)

    def bounds(self, ranges: list[Interval]) -> Interval:
        """Interval of the values, each variable within its range."""
        lo = hi = self.const
        for v, c in self.terms.items():
            a, b = ranges[v]
            if c > 0:
                lo, hi = lo + c * a, hi + c * b
            else:
                lo, hi = lo + c * b, hi + c * a
        return lo, hi


Point = Callable[[Affine], Linear]


class _Impossible(Exception):
    """The constraints under consideration contradict one another."""


class Constraints:
    """A conjunction of linear constraints; see the module docstring."""

    def __init__(self) -> None:
        self.ranges: list[Interval] = []
        self.zero: list[Linear] = []
        self.positive: list[Linear] = []  # each at least 0
        self.is_open = False  # an extent was stated that is no number

    def copy(self) -> Constraints:
        """The same constraints, to add others to."""
        other = Constraints()
        other.ranges, other.zero = list(self.ranges), list(self.zero)
        other.positive, other.is_open = list(self.positive), self.is_open
        return other

    # -- stating -----------------------------------------------------------------------------------

    def variable(self, lo: int, hi: int) -> Linear:
        """A new integer within ``lo..hi``, both inclusive."""
        self.ranges.append((self._known(lo), self._known(hi)))
        return Linear({len(self.ranges) - 1: 1})

    def number(self, value: int) -> Linear:
        """A number."""
        return Linear({}, self._known(value))

    def _known(self, value: Any) -> int:
        """``value``; if it is left open to each call, nothing is shown in the end."""
        if isinstance(value, Extent):
            self.is_open = True
            return 0
        return int(value)

    def equal(self, a: Linear, b: Linear) -> None:
        """States ``a == b``."""
        self.zero.append(a.plus(b, -1))

    def less(self, a: Linear, b: Linear) -> None:
        """States ``a < b``."""
        self.positive.append(b.plus(a, -1).plus(Linear({}, -1)))

    def within(self, a: Linear, lo: int, hi: int) -> None:
        """States ``lo <= a < hi``."""
        self.less(self.number(lo - 1), a)
        self.less(a, self.number(hi))

    def point(self, known: Mapping[Axis, Linear] | None = None) -> Point:
        """A new point of the space of axes, as a function that states expressions at it.

        Axes are as ``known``, the others somewhere within their extents.  Dynamic atoms are unknown
        within their limits.
        """
        atoms: dict[Atom, Linear] = {axis: value for axis, value in (known or {}).items()}

        def state(expr: Affine) -> Linear:
            total = self.number(expr.const)
            for atom, k in expr.terms:
                if atom not in atoms:
                    atoms[atom] = self._atom(atom, state)
                total = total.plus(atoms[atom], self._known(k))
            return total

        return state

    def _atom(self, atom: Atom, state: Point) -> Linear:
        if isinstance(atom, Axis):
            return self.variable(*atom.bounds)
        if not isinstance(atom, FloorDiv):
            return self.variable(atom.lo, atom.hi)
        numerator, d = state(atom.numerator), self._known(atom.divisor) or 1
        lo, hi = numerator.bounds(self.ranges)
        quotient = self.variable(lo // d, hi // d)
        remainder = self.variable(0, d - 1)
        self.equal(numerator, Linear({}).plus(quotient, d).plus(remainder))
        return quotient

    # -- solving -----------------------------------------------------------------------------------

    def impossible(self, splits: int = SPLITS) -> bool:
        """Whether no integers satisfy all that was stated, as far as ``splits`` halvings show."""
        if self.is_open:
            return False
        if any(lo > hi for lo, hi in self.ranges):
            return True
        cases = [_Case(list(self.ranges), self.zero, self.positive)]
        while cases:
            case = cases.pop()
            try:
                case.simplify()
            except _Impossible:
                continue
            halves = case.halves() if splits > 0 else None
            if halves is None:
                return False
            splits -= 1
            cases.extend(halves)
        return True


class _Case:
    """The constraints with the variables in some part of their ranges."""

    def __init__(
        self, ranges: list[Interval], zero: Iterable[Linear], positive: Iterable[Linear]
    ) -> None:
        self.ranges = ranges
        self.zero = list(zero)
        self.positive = list(positive)

    def simplify(self) -> None:
        """Applies every rule until none applies; raises `_Impossible` on a contradiction."""
        while True:
            self._narrow_all()
            self._fix()
            self.zero = [part for e in self.zero for part in self._digits(_reduced(e))]
            self._join_inequalities()
            if not self._eliminate():
                return

    def halves(self) -> tuple[_Case, _Case] | None:
        """Two cases that cover this one; None if it plainly has a solution, or none is smaller."""
        if not self.zero and all(p.bounds(self.ranges)[0] >= 0 for p in self.positive):
            return None
        used = {v for e in (*self.zero, *self.positive) for v in e.terms}
        sizes = [(hi - lo, v) for v in used for lo, hi in [self.ranges[v]] if hi > lo]
        if not sizes:
            return None
        v = min(sizes)[1]
        lo, hi = self.ranges[v]
        middle = (lo + hi) // 2
        below, above = list(self.ranges), list(self.ranges)
        below[v], above[v] = (lo, middle), (middle + 1, hi)
        return _Case(below, self.zero, self.positive), _Case(above, self.zero, self.positive)

    # -- rules -------------------------------------------------------------------------------------

    def _narrow_all(self) -> None:
        for _ in range(_ROUNDS):
            before = list(self.ranges)
            for e in self.positive:
                self._narrow(e, 1)
            for e in self.zero:
                self._narrow(e, 1)
                self._narrow(e, -1)
            if self.ranges == before:
                return

    def _narrow(self, e: Linear, sign: int) -> None:
        """Narrows ranges by ``sign·e >= 0``."""
        ranges = self.ranges
        lo, hi = e.bounds(ranges)
        top = hi if sign > 0 else -lo
        if top < 0:
            raise _Impossible
        for v, c in e.terms.items():
            c *= sign
            a, b = ranges[v]
            # c·v >= -(top - what v itself adds to it at most)
            if c > 0:
                a = max(a, b - top // c)
            else:
                b = min(b, a + top // -c)
            if a > b:
                raise _Impossible
            ranges[v] = (a, b)

    def _fix(self) -> None:
        """Variables of which one value is left become constants."""
        for group in (self.zero, self.positive):
            for n, e in enumerate(group):
                if any(self.ranges[v][0] == self.ranges[v][1] for v in e.terms):
                    fixed = {v: self.ranges[v][0] for v in e.terms if _single(self.ranges[v])}
                    const = e.const + sum(e.terms[v] * x for v, x in fixed.items())
                    rest = {v: c for v, c in e.terms.items() if v not in fixed}
                    group[n] = Linear(rest, const)

    def _digits(self, e: Linear) -> list[Linear]:
        """The equation ``e == 0`` as equations of its digits; none if it says nothing."""
        parts: list[Linear] = []
        stack = [e]
        while stack:
            e = stack.pop()
            found = self._split(e)
            if found is not None:
                stack.extend(map(_reduced, found))
            elif e.terms:
                parts.append(e)
            elif e.const:
                raise _Impossible
        return parts

    def _split(self, e: Linear) -> tuple[Linear, Linear] | None:
        for g in _radices(e):
            low = Linear({v: c for v, c in e.terms.items() if c % g}, e.const)
            if len(low.terms) == len(e.terms):
                continue
            lo, hi = low.bounds(self.ranges)
            first = -(-lo // g) * g  # the multiples of g that low can be
            if first > hi:
                raise _Impossible
            if first + g > hi and low.terms:
                low = Linear(low.terms, low.const - first)
                return low, Linear({v: c for v, c in e.terms.items() if c % g == 0}, first)
        return None

    def _join_inequalities(self) -> None:
        """The tightest of the inequalities with the same terms; opposite ones may be equations."""
        tightest: dict[tuple[tuple[int, int], ...], int] = {}
        for e in self.positive:
            lo, hi = e.bounds(self.ranges)
            if hi < 0:
                raise _Impossible
            if lo >= 0:
                continue
            common = gcd(*e.terms.values())
            key = tuple(sorted((v, c // common) for v, c in e.terms.items()))
            const = e.const // common
            tightest[key] = min(tightest.get(key, const), const)
        self.positive = []
        for key, const in tightest.items():
            opposite = tightest.get(tuple((v, -c) for v, c in key))
            if opposite is not None and const + opposite < 0:
                raise _Impossible
            if opposite is not None and const + opposite == 0:
                self.zero.append(Linear(dict(key), const))
            else:
                self.positive.append(Linear(dict(key), const))

    def _eliminate(self) -> bool:
        """Uses up one equation that gives a variable in terms of others; False if none does."""
        best: tuple[int, int, int] | None = None
        for n, e in enumerate(self.zero):
            units = [v for v, c in e.terms.items() if c in (1, -1)]
            if units and (best is None or len(e.terms) < best[0]):
                best = len(e.terms), n, units[0]
        if best is None:
            return False
        _, n, v = best
        e = self.zero.pop(n)
        k = e.terms[v]
        value = Linear({w: -c * k for w, c in e.terms.items() if w != v}, -e.const * k)
        lo, hi = self.ranges[v]
        self.zero = [_replaced(x, v, value) for x in self.zero]
        self.positive = [_replaced(x, v, value) for x in self.positive]
        self.positive += [value.plus(Linear({}, -lo)), Linear({}, hi).plus(value, -1)]
        return True


def _single(interval: Interval) -> bool:
    return interval[0] == interval[1]


def _replaced(e: Linear, v: int, value: Linear) -> Linear:
    """``e`` with ``value`` for the variable ``v``."""
    c = e.terms.get(v)
    if c is None:
        return e
    rest = Linear({w: k for w, k in e.terms.items() if w != v}, e.const)
    return rest.plus(value, c)


def _reduced(e: Linear) -> Linear:
    """The equation ``e == 0`` divided by what its coefficients share."""
    if not e.terms:
        return e
    common = gcd(*e.terms.values())
    if common == 1:
        return e
    if e.const % common:
        raise _Impossible
    return Linear({v: c // common for v, c in e.terms.items()}, e.const // common)


def _radices(e: Linear) -> list[int]:
    """Candidates for the weight of the higher digits, largest first."""
    sizes = sorted({abs(c) for c in e.terms.values()}, reverse=True)
    found = set(sizes)
    common = 0
    for size in sizes:
        common = gcd(common, size)
        found.add(common)
    return sorted(found - {1}, reverse=True)
