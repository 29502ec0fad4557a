"""Exact affine index maps over named axes.

An index is an integer expression ``c + Σ k·atom``. Atoms are loop or array axes, floor divisions
of smaller expressions by a constant, and *dynamic* atoms whose value is only known at run time but
whose bounds are known now. There is no remainder atom: ``e % c`` is written ``e - c·(e // c)``, so
that a split followed by the merge that undoes it cancels by ordinary addition and a chain of views
becomes one map.

Expressions are immutable, canonical (terms sorted, no zero coefficient) and compare by structure.
Bounds are inclusive intervals, proven by interval arithmetic with one refinement: the pattern
``m·r - m·c·(r // c)`` is recognised as ``m·(r % c)`` and bounded by ``m·[0, c-1]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from math import gcd
from typing import Any

from weft.core.extents import (
    Extent,
    OpenExtentError,
    exact_quotient,
    is_nonnegative,
    larger,
    lower,
    quotient_at_most,
    rank,
    smaller,
)

_serials = itertools.count()

Interval = tuple[int, int]


class Axis:
    """A named axis of static extent; two axes are the same only if they are the same object."""

    __slots__ = ("expr", "extent", "name", "serial")

    def __init__(self, name: str, extent: int) -> None:
        if extent < 0:
            raise ValueError(f"axis {name!r} has negative extent {extent}")
        self.name = name
        self.extent = extent
        self.serial = next(_serials)
        self.expr = Affine(((self, 1),))  # the axis as an index expression

    def __repr__(self) -> str:
        return f"{self.name}:{self.extent}"

    @property
    def bounds(self) -> Interval:
        """Inclusive range of the axis taken alone."""
        return (0, self.extent - 1)


class FloorDiv:
    """The atom ``numerator // divisor`` with a constant positive divisor."""

    __slots__ = ("_hash", "divisor", "numerator", "order", "serial")

    def __init__(self, numerator: Affine, divisor: int) -> None:
        self.numerator = numerator
        self.divisor = divisor
        self.serial: int = max((a.serial for a, _ in numerator.terms), default=-1)
        inner = tuple((_order(item), rank(item[1])) for item in numerator.terms)
        self.order = (1, self.serial, rank(divisor), rank(numerator.const), inner)
        self._hash = hash((numerator, divisor))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, FloorDiv)
            and self._hash == other._hash
            and self.divisor == other.divisor
            and self.numerator == other.numerator
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"({self.numerator})//{self.divisor}"


class Dynamic:
    """An integer known only at run time, clamped to ``[lo, hi]`` (inclusive) wherever it is used.

    ``source`` is a term in the term language and a variable in the kernel language; clamping is
    part of the atom's meaning, so that bounds proofs hold whatever the data are.
    """

    __slots__ = ("_hash", "hi", "lo", "serial", "source")

    def __init__(self, source: Any, lo: int, hi: int) -> None:
        self.source = source
        self.lo = lo
        self.hi = hi
        self.serial = -1
        self._hash = hash((source, lo, hi))

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Dynamic)
            and (self.lo, self.hi) == (other.lo, other.hi)
            and self.source == other.source
        )

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return f"clamp({self.source}, {self.lo}, {self.hi})"


Atom = Axis | FloorDiv | Dynamic
_NUMBERS = int | Extent


def _order(item: tuple[Atom, int]) -> tuple[Any, ...]:
    """A total order of atoms by structure (dynamic atoms of one range stay as they come)."""
    atom = item[0]
    if isinstance(atom, Axis):
        return (0, atom.serial)
    if isinstance(atom, FloorDiv):
        return atom.order
    return (2, atom.lo, atom.hi)


class Affine:
    """``const + Σ coefficient·atom``; see the module docstring."""

    __slots__ = ("_axes", "_hash", "const", "terms")

    def __init__(self, terms: Iterable[tuple[Atom, int]] = (), const: int = 0) -> None:
        self.terms: tuple[tuple[Atom, int], ...] = tuple(terms)
        self.const = const
        self._axes: frozenset[Axis] | None = None
        self._hash = hash((self.terms, const))

    # -- construction ------------------------------------------------------------------------------

    @staticmethod
    def of(value: Affine | Atom | int) -> Affine:
        """The expression that is just ``value``."""
        if isinstance(value, Affine):
            return value
        if isinstance(value, Axis):
            return value.expr
        if isinstance(value, _NUMBERS):
            return Affine((), value)
        return Affine(((value, 1),))

    @staticmethod
    def _collect(pairs: Iterable[tuple[Atom, int]], const: int) -> Affine:
        total: dict[Atom, int] = {}
        for atom, k in pairs:
            total[atom] = total.get(atom, 0) + k
        items = [(a, k) for a, k in total.items() if k != 0]
        if len(items) > 1:
            items.sort(key=_order)
        return Affine(items, const)

    def __add__(self, other: Affine | Atom | int) -> Affine:
        if isinstance(other, _NUMBERS):
            return Affine(self.terms, self.const + other) if other != 0 else self
        other = Affine.of(other)
        if not other.terms:
            return self + other.const
        if not self.terms:
            return other + self.const
        return Affine._collect(self.terms + other.terms, self.const + other.const)

    __radd__ = __add__

    def __neg__(self) -> Affine:
        return self * -1

    def __sub__(self, other: Affine | Atom | int) -> Affine:
        return self + (-other if isinstance(other, _NUMBERS) else Affine.of(other) * -1)

    def __rsub__(self, other: Affine | Atom | int) -> Affine:
        return Affine.of(other) + self * -1

    def __mul__(self, k: int) -> Affine:
        if k == 1:
            return self
        if k == 0:
            return Affine()
        return Affine(((a, c * k) for a, c in self.terms), self.const * k)

    __rmul__ = __mul__

    def floordiv(self, divisor: int, ranges: Mapping[Axis, Interval] | None = None) -> Affine:
        """``self // divisor``, simplified with the bounds of the atoms."""
        if isinstance(divisor, Extent):
            return self._over_open(divisor, ranges)
        if divisor <= 0:
            raise ValueError(
                f"floor division of an index by {divisor}: the divisor must be positive"
            )
        if divisor == 1:
            return self
        # Of a coefficient beyond the divisor only the excess is divided: 9·r // 8 = r + r // 8.
        whole = [(a, k // divisor) for a, k in self.terms if k % divisor == 0 or k > divisor]
        rest = [(a, k % divisor if k > divisor else k) for a, k in self.terms if k % divisor]
        quotient = Affine(whole, self.const // divisor)
        remainder = Affine(rest, self.const % divisor)
        lo, hi = remainder.bounds(ranges)
        if lo // divisor == hi // divisor:
            return quotient + lo // divisor
        common = divisor
        for _, k in rest:
            common = gcd(common, k)
        if common > 1:
            remainder = Affine(((a, k // common) for a, k in rest), remainder.const // common)
            divisor //= common
        for g in sorted({gcd(k, divisor) for _, k in remainder.terms} - {1}, reverse=True):
            # A low part within [0, g) cannot move a sum of multiples of g past one of divisor.
            high = Affine([(a, k) for a, k in remainder.terms if k % g == 0])
            low = remainder - high
            high, low = high + low.const // g * g, low - low.const // g * g
            lo, hi = low.bounds(ranges)
            if lo >= 0 and hi < g:
                quotient_of_high = Affine([(a, k // g) for a, k in high.terms], high.const // g)
                return quotient + quotient_of_high.floordiv(divisor // g, ranges)
        for atom, k in remainder.terms:
            if k == 1 and isinstance(atom, FloorDiv):  # (r + n//d) // D == (r·d + n) // (d·D)
                d = atom.divisor
                merged = (remainder - Affine(((atom, 1),))) * d + atom.numerator
                return quotient + merged.floordiv(d * divisor, ranges)
        return quotient + Affine(((FloorDiv(remainder, divisor), 1),))

    def _over_open(self, divisor: Any, ranges: Mapping[Axis, Interval] | None) -> Affine:
        """`floordiv` by an extent that is left open."""
        whole, low = self._multiples(divisor)
        const, left = exact_quotient(self.const, divisor)
        whole, remainder = whole + const, Affine(low.terms, left)
        lo, hi = remainder.bounds(ranges)
        if is_nonnegative(lo) and is_nonnegative(divisor - 1 - hi):
            return whole
        for (
            _,
            g,
        ) in remainder.terms:  # a low part within [0, g) cannot move multiples of g past a divisor
            fewer, left = exact_quotient(divisor, g) if isinstance(g, Extent) else (0, divisor)
            if left != 0:
                continue
            high, low = remainder._multiples(g)
            lo, hi = low.bounds(ranges)
            if is_nonnegative(lo) and is_nonnegative(g - 1 - hi):
                return whole + high.floordiv(fewer, ranges)
        return whole + Affine(((FloorDiv(remainder, divisor), 1),))

    def _multiples(self, g: Any) -> tuple[Affine, Affine]:
        """The terms that ``g`` divides, divided by it, and the other terms."""
        high: list[tuple[Atom, int]] = []
        low: list[tuple[Atom, int]] = []
        for atom, k in self.terms:
            quotient, left = exact_quotient(k, g)
            (high if left == 0 else low).append((atom, quotient if left == 0 else k))
        return Affine(high), Affine(low, self.const)

    def mod(self, divisor: int, ranges: Mapping[Axis, Interval] | None = None) -> Affine:
        """``self % divisor`` as ``self - divisor·(self // divisor)``."""
        return self - self.floordiv(divisor, ranges) * divisor

    # -- queries -----------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Affine)
            and self._hash == other._hash
            and self.const == other.const
            and self.terms == other.terms
        )

    def __hash__(self) -> int:
        return self._hash

    @property
    def is_constant(self) -> bool:
        return not self.terms

    def axes(self) -> frozenset[Axis]:
        """All axes the value depends on, dynamic atoms' own axes included."""
        if self._axes is None:
            found: set[Axis] = set()
            stack: list[Affine] = [self]
            while stack:
                for atom, _ in stack.pop().terms:
                    if isinstance(atom, Axis):
                        found.add(atom)
                    elif isinstance(atom, FloorDiv):
                        stack.append(atom.numerator)
                    else:
                        found.update(getattr(atom.source, "axes", ()))
            self._axes = frozenset(found)
        return self._axes

    def coefficient(self, axis: Axis) -> int:
        """Coefficient of ``axis`` outside floor divisions (0 when it does not occur)."""
        for atom, k in self.terms:
            if atom is axis:
                return k
        return 0

    def is_affine_in(self, axis: Axis) -> bool:
        """Whether ``axis`` occurs only linearly (not inside a division or a dynamic atom)."""
        return all(
            isinstance(atom, Axis) or axis not in Affine(((atom, 1),)).axes()
            for atom, _ in self.terms
        )

    def dynamics(self) -> list[Dynamic]:
        """Dynamic atoms, those inside divisions included."""
        found: list[Dynamic] = []
        for atom, _ in self.terms:
            if type(atom) is Axis:  # most are
                continue
            if isinstance(atom, Dynamic):
                found.append(atom)
            elif isinstance(atom, FloorDiv):
                found.extend(atom.numerator.dynamics())
        return found

    def divisions(self) -> list[FloorDiv]:
        """Floor divisions at the top level of the expression."""
        return [a for a, _ in self.terms if isinstance(a, FloorDiv)]

    def bounds(self, ranges: Mapping[Axis, Interval] | None = None) -> Interval:
        """Inclusive interval that contains every value (axes default to their own extents)."""
        rest = self
        lo = hi = 0
        for division in self.divisions():
            found = rest._remainder_pattern(division)
            if found is not None:
                pattern, m, c = found
                rest = rest - pattern
                span = m * (c - 1)
                lo, hi = lo + smaller(0, span), hi + larger(0, span)
                continue
            mixed = rest._mixed_pattern(division, ranges)
            if mixed is not None:
                pattern, (a, b) = mixed
                rest = rest - pattern
                lo, hi = lo + a, hi + b
        lo, hi = lo + rest.const, hi + rest.const
        for atom, k in rest.terms:
            a, b = _scaled(_atom_bounds(atom, ranges), k)
            lo, hi = lo + a, hi + b
        return lo, hi

    def _remainder_pattern(self, division: FloorDiv) -> tuple[Affine, int, int] | None:
        """A part ``m·r - m·c·division`` where ``division = r // c``, with its ``m`` and ``c``."""
        k = self.coefficient_of(division)
        if not k:
            return None
        quotient = Affine(((division, 1),))
        if isinstance(division.divisor, Extent) or isinstance(k, Extent):
            return self._open_remainder_pattern(division, k)
        common = gcd(k, division.divisor)
        for c in range(common, 1, -1):
            if common % c:
                continue
            m = -k // c
            r = division.numerator.floordiv(division.divisor // c)
            pattern = r * m + quotient * k
            if self._contains(pattern):
                return pattern, m, c
        # The division may have been simplified since: try each term, and everything, as m·r.
        rest = self - quotient * k
        if not rest.terms:
            return None
        shared = gcd(*(j for _, j in rest.terms), rest.const)
        everything = Affine([(a, j // shared) for a, j in rest.terms], rest.const // shared)
        candidates = [(everything, shared), (everything * -1, -shared)]
        candidates += [(Affine(((atom, 1),)), m) for atom, m in rest.terms]
        for r, m in candidates:
            if k % m == 0 and -k // m > 1 and r.floordiv(-k // m) == quotient:
                return r * m + quotient * k, m, -k // m
        return None

    def _open_remainder_pattern(self, division: FloorDiv, k: int) -> tuple[Affine, int, int] | None:
        """`_remainder_pattern` where extents are left open."""
        if isinstance(division.divisor, Extent):
            m, left = exact_quotient(-k, division.divisor)
        else:
            m, left = divmod(-k, division.divisor)
        pattern = division.numerator * m + Affine(((division, k),))
        return (pattern, m, division.divisor) if left == 0 and self._contains(pattern) else None

    def _mixed_pattern(
        self, division: FloorDiv, ranges: Mapping[Axis, Interval] | None
    ) -> tuple[Affine, Interval] | None:
        """A part ``m·r + k·(r // c)`` and its bounds as ``m·(r % c) + (k + m·c)·(r // c)``.

        A transposed reshape gives it, with an ``r`` that cannot be split. None if there is no such
        part, or the sum of its two terms' bounds is no wider.
        """
        r, c, k = division.numerator, division.divisor, self.coefficient_of(division)
        if not r.terms or not k or isinstance(c, Extent):
            return None
        atom, j = r.terms[0]
        m, remainder = divmod(self.coefficient_of(atom), j)
        if m == 0 or remainder or not self._contains(Affine(r.terms) * m):
            return None
        quotient = _atom_bounds(division, ranges)
        apart = _sum(_scaled(r.bounds(ranges), m), _scaled(quotient, k))
        joint = _sum(_scaled((0, c - 1), m), _scaled(quotient, k + m * c))
        if joint[1] - joint[0] >= apart[1] - apart[0]:
            return None
        return r * m + Affine(((division, k),)), joint

    def coefficient_of(self, atom: Atom) -> int:
        """Coefficient of an atom at the top level of the expression (0 when it does not occur)."""
        for other, k in self.terms:
            if other == atom:
                return k
        return 0

    def _contains(self, pattern: Affine) -> bool:
        """Whether every atom of ``pattern`` occurs here with exactly that coefficient."""
        return all(self.coefficient_of(a) == k for a, k in pattern.terms)

    # -- substitution ------------------------------------------------------------------------------

    def substitute(
        self,
        mapping: Mapping[Axis, Affine],
        dynamic: Callable[[Any], Any] | None = None,
    ) -> Affine:
        """Replace axes by expressions, and the sources of dynamic atoms by ``dynamic(source)``.

        A source that has become a plain int makes the atom a constant.
        """
        if not any(type(atom) is not Axis or atom in mapping for atom, _ in self.terms):
            return self
        pairs: list[tuple[Atom, int]] = []
        const = self.const
        for atom, k in self.terms:
            if isinstance(atom, Axis):
                new = mapping.get(atom)
            elif isinstance(atom, FloorDiv):
                new = atom.numerator.substitute(mapping, dynamic).floordiv(atom.divisor)
            elif dynamic is not None:
                source = dynamic(atom.source)
                if isinstance(source, int):  # known by now: clamp it here
                    const = const + min(max(source, atom.lo), atom.hi) * k
                    continue
                pairs.append((Dynamic(source, atom.lo, atom.hi), k))
                continue
            else:
                new = None
            if new is None:
                pairs.append((atom, k))
            else:
                pairs += [(a, c * k) for a, c in new.terms]
                const = const + new.const * k
        return Affine._collect(pairs, const)

    def evaluate(
        self, values: Mapping[Axis, Any], dynamic: Callable[[Any], Any] | None = None
    ) -> Any:
        """Value for integer (or integer-array) values of the axes; clamps dynamic atoms."""
        total: Any = self.const
        for atom, k in self.terms:
            if isinstance(atom, Axis):
                total = total + k * values[atom]
            elif isinstance(atom, FloorDiv):
                total = total + k * (atom.numerator.evaluate(values, dynamic) // atom.divisor)
            else:
                if dynamic is None:
                    raise ValueError(f"no value for the dynamic index {atom}")
                raw = dynamic(atom.source)
                clamped = raw.clip(atom.lo, atom.hi) if hasattr(raw, "clip") else raw
                if clamped is raw and not hasattr(raw, "clip"):
                    clamped = min(max(raw, atom.lo), atom.hi)
                total = total + k * clamped
        return total

    def __repr__(self) -> str:
        parts: list[str] = []
        for atom, k in self.terms:
            name = atom.name if isinstance(atom, Axis) else repr(atom)
            body = name if abs(k) == 1 else f"{abs(k)}*{name}"
            parts.append(("-" if k < 0 else "+" if parts else "") + body)
        if self.const != 0 or not parts:
            parts.append(f"{self.const:+d}" if parts else str(self.const))
        return "".join(parts)


def _scaled(interval: Interval, k: int) -> Interval:
    lo, hi = interval[0] * k, interval[1] * k
    return (lo, hi) if k >= 0 else (hi, lo)


def _sum(a: Interval, b: Interval) -> Interval:
    return a[0] + b[0], a[1] + b[1]


def _atom_bounds(atom: Atom, ranges: Mapping[Axis, Interval] | None) -> Interval:
    if isinstance(atom, Axis):
        if ranges is not None and atom in ranges:
            return ranges[atom]
        return atom.bounds
    if isinstance(atom, FloorDiv):
        if isinstance(atom.divisor, Extent):
            return _open_quotient_bounds(atom, ranges)
        lo, hi = atom.numerator.bounds(ranges)
        return lo // atom.divisor, hi // atom.divisor
    return atom.lo, atom.hi


def _open_quotient_bounds(atom: FloorDiv, ranges: Mapping[Axis, Interval] | None) -> Interval:
    """Bounds of a division by an extent, loosened until they are extents themselves."""
    lo, hi = atom.numerator.bounds(ranges)
    try:
        lo = lower(lo) // atom.divisor
    except OpenExtentError:
        if not is_nonnegative(lo):
            raise
        lo = 0
    return lo, quotient_at_most(hi, atom.divisor)


def linearize(index: Iterable[Affine], strides: Iterable[int]) -> Affine:
    """The address ``Σ stride·index`` in elements."""
    pairs: list[tuple[Atom, int]] = []
    const = 0
    for i, s in zip(index, strides, strict=True):
        pairs += [(a, k * s) for a, k in i.terms]
        const = const + i.const * s
    return Affine._collect(pairs, const)


def row_major(shape: tuple[int, ...]) -> tuple[int, ...]:
    """C-order strides in elements."""
    strides = [1] * len(shape)
    for d in range(len(shape) - 2, -1, -1):
        strides[d] = strides[d + 1] * shape[d + 1]
    return tuple(strides)


def delinearize(flat: Affine, shape: tuple[int, ...]) -> tuple[Affine, ...]:
    """Row-major multi-index of a flat index: the index map of a reshape."""
    index: list[Affine] = []
    for d, stride in enumerate(row_major(shape)):
        q = flat.floordiv(max(1, stride))
        index.append(q if d == 0 else q.mod(shape[d]) if shape[d] else q)
    return tuple(index)
