"""Extents known only when a program is called: polynomials in named sizes.

A program for a *class* of shapes is written with `Extent`s where one for exact shapes has integers.
An extent adds, multiplies and divides like an integer.  Equality is by structure: two extents are
equal if they are for every value of their sizes.  A comparison of order is answered when it has
one answer for every value that the class allows, and refused with `OpenExtentError` when it has
not; so is every use as a plain number.  Whoever asks more than the class can answer finds out.

The class says of each `Size` its range, and may know more: *facts*, extents that are never
negative, such as ``n - s - m`` for a slice of ``m`` elements from ``s`` of an axis of ``n``.

>>> sizes = Sizes()
>>> n, m = sizes.new("n", 17, 99, 40), sizes.new("m", 17, 99, 50)
>>> n * m - m, (n * m) // m == n, 1 < n, (n * 6 + 8) // 3
(m*n - m, True, True, 2*n + 2)
>>> n < m
Traceback (most recent call last):
...
weft.core.extents.OpenExtentError: (m - n - 1) may be negative or not
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations_with_replacement
from math import prod
from typing import Any

Interval = tuple[int, int]


class OpenExtentError(TypeError):
    """The answer depends on sizes that the class of shapes leaves open."""


class Sizes:
    """The sizes of one class of shapes, and the facts about them."""

    def __init__(self) -> None:
        self.sizes: list[Size] = []
        self.facts: list[Extent] = []
        self.ceilings: dict[Monomial, int] = {}
        self._proven: dict[Extent, bool] = {}
        self._sums: list[tuple[Extent, frozenset[Size]]] | None = None

    def new(self, name: str, lo: int, hi: int, hint: int) -> Extent:
        """A size in ``lo..hi``; ``hint`` is a typical value, for decisions about speed."""
        size = Size(name, lo, hi, hint, self)
        self.sizes.append(size)
        return Extent({(size,): 1}, 0)

    def know(self, extent: Extent | int) -> None:
        """States that ``extent`` is never negative."""
        if isinstance(extent, Extent):
            if extent not in self.facts:
                self.facts.append(extent)
                self._sums = None
                self._proven.clear()
        elif extent < 0:
            raise ValueError(f"{extent} was stated not to be negative")

    def sums(self) -> list[tuple[Extent, frozenset[Size]]]:
        """The facts and the sums of two of them, with the sizes that each depends on."""
        if self._sums is None:
            pairs = (a + b for a, b in combinations_with_replacement(self.facts, 2))
            sums = [f for f in (*self.facts, *pairs) if isinstance(f, Extent)]
            self._sums = [(f, _mentioned(f)) for f in dict.fromkeys(sums)]
        return self._sums

    def limit(self, extent: Extent | int, most: int) -> None:
        """States that a product of sizes (and a number) is at most ``most``."""
        if isinstance(extent, Extent) and len(extent.terms) == 1 and not extent.const:
            ((monomial, k),) = extent.terms.items()
            self.ceilings[monomial] = min(most // k, self.ceilings.get(monomial, most))

    def __repr__(self) -> str:
        ranges = [f"{s.name} in {s.lo}..{s.hi}" for s in self.sizes]
        return ", ".join([*ranges, *(f"{f} >= 0" for f in self.facts)])


class Size:
    """A named number in ``lo..hi`` that each call of a program brings along."""

    __slots__ = ("hi", "hint", "lo", "name", "order", "sizes")

    def __init__(self, name: str, lo: int, hi: int, hint: int, sizes: Sizes) -> None:
        self.name, self.lo, self.hi, self.hint, self.sizes = name, lo, hi, hint, sizes
        self.order = (0, name)

    def __repr__(self) -> str:
        return self.name


class Quotient:
    """``numerator // divisor`` where that is no polynomial; the divisor is a positive number."""

    __slots__ = ("divisor", "numerator", "order", "sizes")

    def __init__(self, numerator: Extent, divisor: int) -> None:
        self.numerator, self.divisor = numerator, divisor
        self.sizes = numerator.sizes
        self.order = (1, repr(numerator), divisor)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Quotient) and (self.divisor, self.numerator) == (
            other.divisor,
            other.numerator,
        )

    def __hash__(self) -> int:
        return hash((self.divisor, self.numerator))

    def __repr__(self) -> str:
        return f"({self.numerator}//{self.divisor})"


class _Rest:
    """What a division leaves over: a number in ``0..divisor-1`` (only inside proofs)."""

    __slots__ = ("hi", "lo", "order")

    def __init__(self, quotient: Quotient) -> None:
        self.lo, self.hi = 0, quotient.divisor - 1
        self.order = (2, *quotient.order[1:])


Symbol = Any  # Size | Quotient | _Rest
Monomial = tuple[Symbol, ...]


class Extent:
    """A polynomial in sizes and quotients, with integer coefficients; never a constant."""

    __slots__ = ("_hash", "const", "sizes", "terms")

    def __init__(self, terms: Mapping[Monomial, int], const: int) -> None:
        self.terms = dict(terms)
        self.const = const
        self._hash = hash((frozenset(self.terms.items()), const))
        symbol = next(iter(self.terms))[0]
        self.sizes: Sizes = symbol.sizes if isinstance(symbol, Size | Quotient) else Sizes()

    # -- arithmetic --------------------------------------------------------------------------------

    def __add__(self, other: Any) -> Any:
        if isinstance(other, int):
            return Extent(self.terms, self.const + other)
        if not isinstance(other, Extent):
            return NotImplemented
        terms = dict(self.terms)
        for monomial, k in other.terms.items():
            terms[monomial] = terms.get(monomial, 0) + k
        return _extent(terms, self.const + other.const)

    __radd__ = __add__

    def __neg__(self) -> Extent:
        return Extent({m: -k for m, k in self.terms.items()}, -self.const)

    def __sub__(self, other: Any) -> Any:
        return self + -other if isinstance(other, int | Extent) else NotImplemented

    def __rsub__(self, other: Any) -> Any:
        return -self + other if isinstance(other, int | Extent) else NotImplemented

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, int):
            return _extent({m: k * other for m, k in self.terms.items()}, self.const * other)
        if not isinstance(other, Extent):
            return NotImplemented
        terms: dict[Monomial, int] = {}
        for a, j in (*self.terms.items(), ((), self.const)):
            for b, k in (*other.terms.items(), ((), other.const)):
                monomial = tuple(sorted((*a, *b), key=_order))
                terms[monomial] = terms.get(monomial, 0) + j * k
        const = terms.pop((), 0)
        return _extent(terms, const)

    __rmul__ = __mul__

    def __floordiv__(self, divisor: Any) -> Any:
        if isinstance(divisor, Extent):
            return self._over(divisor)
        if not isinstance(divisor, int):
            return NotImplemented
        if divisor < 0:
            return -self // -divisor
        whole = {m: k // divisor for m, k in self.terms.items() if k % divisor == 0}
        rest = {m: k for m, k in self.terms.items() if k % divisor}
        quotient = _extent(whole, 0 if rest else self.const // divisor)
        if not rest:
            return quotient
        return quotient + Extent({(_quotient(Extent(rest, self.const), divisor),): 1}, 0)

    def _over(self, divisor: Extent) -> Any:
        """The quotient by another extent, where it is a polynomial and the rest less than it."""
        whole, rest = exact_quotient(self, divisor)
        if is_nonnegative(rest) and is_nonnegative(divisor - rest - 1):
            return whole
        if is_nonnegative(-rest - 1) and is_nonnegative(divisor + rest):
            return whole - 1
        raise OpenExtentError(f"({self})//({divisor}) is no polynomial in the sizes")

    def __rfloordiv__(self, other: int) -> int:
        if 0 <= other < self:
            return 0
        raise OpenExtentError(f"{other}//({self}) depends on the sizes")

    def __mod__(self, divisor: Any) -> Any:
        return self - self // divisor * divisor

    def __rmod__(self, other: int) -> int:
        return other - other // self * self

    def __divmod__(self, divisor: Any) -> tuple[Any, Any]:
        quotient = self // divisor
        return quotient, self - quotient * divisor

    def __rdivmod__(self, other: int) -> tuple[int, int]:
        return other // self, other % self

    def __abs__(self) -> Extent:
        return self if self >= 0 else -self

    # -- comparison --------------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Extent)
            and self._hash == other._hash
            and self.const == other.const
            and self.terms == other.terms
        )

    def __hash__(self) -> int:
        return self._hash

    def __ge__(self, other: Any) -> bool:
        return _decide(self - other)

    def __gt__(self, other: Any) -> bool:
        return _decide(self - other - 1)

    def __le__(self, other: Any) -> bool:
        return _decide(other - self)

    def __lt__(self, other: Any) -> bool:
        return _decide(other - self - 1)

    def __bool__(self) -> bool:
        if is_nonnegative(self - 1) or is_nonnegative(-self - 1):
            return True
        raise OpenExtentError(f"{self} may be zero or not")

    def __index__(self) -> int:
        raise OpenExtentError(f"{self} is no number that could be used here")

    __int__ = __index__
    __float__ = __index__

    # -- values ------------------------------------------------------------------------------------

    def at(self, values: Mapping[Size, int]) -> int:
        """The number that the extent is for these sizes."""
        total = self.const
        for monomial, k in self.terms.items():
            total += k * prod(_symbol_at(s, values) for s in monomial)
        return total

    @property
    def bounds(self) -> Interval:
        """Numbers between which the extent lies, by the ranges of its sizes alone."""
        lo = hi = self.const
        for monomial, k in self.terms.items():
            a, b = _monomial_bounds(monomial)
            lo, hi = lo + min(k * a, k * b), hi + max(k * a, k * b)
        return lo, hi

    def __repr__(self) -> str:
        parts: list[str] = []
        for monomial, k in sorted(self.terms.items(), key=lambda t: _rank(t[0])):
            name = "*".join(map(repr, monomial))
            body = name if abs(k) == 1 else f"{abs(k)}*{name}"
            sign = ("-" if k < 0 else "") if not parts else (" - " if k < 0 else " + ")
            parts.append(sign + body)
        if self.const:
            parts.append(f" {'-' if self.const < 0 else '+'} {abs(self.const)}")
        return "".join(parts)

    def __format__(self, spec: str) -> str:
        """As a factor or, with ``+d``, as a summand."""
        text = repr(self)
        if spec.startswith("+"):
            return text if text.startswith("-") else f"+{text}"
        return f"({text})" if len(self.terms) + bool(self.const) > 1 else text


def _extent(terms: Mapping[Monomial, int], const: int) -> Any:
    """The polynomial, as an int when it is constant."""
    live = {m: k for m, k in terms.items() if k}
    return Extent(live, const) if live else const


def _quotient(numerator: Extent, divisor: int) -> Quotient:
    """``numerator // divisor``; a quotient of a quotient is one of the product."""
    ((monomial, k), *more) = numerator.terms.items()
    if not more and k == 1 and len(monomial) == 1 and isinstance(monomial[0], Quotient):
        inner = monomial[0]
        return Quotient(inner.numerator + numerator.const * inner.divisor, inner.divisor * divisor)
    return Quotient(numerator, divisor)


def _order(symbol: Symbol) -> tuple[Any, ...]:
    return symbol.order


def _rank(monomial: Monomial) -> tuple[Any, ...]:
    return (-len(monomial), [s.order for s in monomial])


def _symbol_at(symbol: Symbol, values: Mapping[Size, int]) -> int:
    if isinstance(symbol, Size):
        return values[symbol]
    return symbol.numerator.at(values) // symbol.divisor


def _symbol_bounds(symbol: Symbol) -> Interval:
    if isinstance(symbol, Quotient):
        lo, hi = symbol.numerator.bounds
        return lo // symbol.divisor, hi // symbol.divisor
    return symbol.lo, symbol.hi


def _monomial_bounds(monomial: Monomial) -> Interval:
    lo = hi = 1
    for symbol in monomial:
        a, b = _symbol_bounds(symbol)
        ends = (lo * a, lo * b, hi * a, hi * b)
        lo, hi = min(ends), max(ends)
    if _is_size(monomial[0]):
        hi = min(hi, monomial[0].sizes.ceilings.get(monomial, hi))
    return lo, hi


def _is_size(symbol: Symbol) -> bool:
    return isinstance(symbol, Size)


def exact_quotient(number: Any, divisor: Extent) -> tuple[Any, Any]:
    """``number == whole·divisor + rest`` with as much in ``whole`` as leading terms allow."""
    lead, k = min(divisor.terms.items(), key=lambda t: _rank(t[0]))
    whole: Any = 0
    rest = number
    while isinstance(rest, Extent):
        found = _divisible(rest, lead, k)
        if found is None:
            break
        whole = whole + found
        rest = rest - found * divisor
    return whole, rest


def _divisible(number: Extent, lead: Monomial, k: int) -> Any:
    for monomial, j in sorted(number.terms.items(), key=lambda t: _rank(t[0])):
        left = _without(monomial, lead)
        if j % k == 0 and left is not None:
            return _extent({tuple(left): j // k}, 0) if left else j // k
    return None


def _without(symbols: Iterable[Symbol], factors: Iterable[Symbol]) -> list[Symbol] | None:
    """The symbols that are left of a product without some factors; None if it lacks one."""
    left = list(symbols)
    for factor in factors:
        if factor not in left:
            return None
        left.remove(factor)
    return left


# -- proofs ----------------------------------------------------------------------------------------


def _decide(difference: Any) -> bool:
    """Whether ``difference >= 0``."""
    if isinstance(difference, int):
        return difference >= 0
    if is_nonnegative(difference):
        return True
    if is_nonnegative(-difference - 1):
        return False
    raise OpenExtentError(f"{difference} may be negative or not")


def is_nonnegative(extent: Extent | int) -> bool:
    """Whether ``extent >= 0`` can be shown for every value of its sizes."""
    if isinstance(extent, int):
        return extent >= 0
    known = extent.sizes._proven
    if extent not in known:
        known[extent] = _prove(extent)
    return known[extent]


def _prove(extent: Extent) -> bool:
    if _by_ranges(extent):
        return True
    mentioned = _mentioned(extent)
    return any(
        about <= mentioned and _by_ranges(extent - fact) for fact, about in extent.sizes.sums()
    )


def _mentioned(extent: Extent) -> frozenset[Size]:
    """The sizes that an extent depends on."""
    found: set[Size] = set()
    for monomial in extent.terms:
        for symbol in monomial:
            if isinstance(symbol, Quotient):
                found |= _mentioned(symbol.numerator)
            else:
                found.add(symbol)
    return frozenset(found)


def _by_ranges(extent: Any) -> bool:
    """Whether the extent is not negative, from what is known of each symbol and quotient."""
    if isinstance(extent, int) or not any(
        isinstance(symbol, Quotient) for monomial in extent.terms for symbol in monomial
    ):
        return _least(extent) >= 0
    return _by_quotients(extent) or _by_numerators(extent)


def _by_numerators(extent: Any) -> bool:
    """``divisor·quotient`` written as the numerator less the rest, on a multiple of the extent."""
    scale = 1
    while isinstance(extent, Extent):
        found = next((s for m in extent.terms for s in m if isinstance(s, Quotient)), None)
        if found is None:
            break
        extent, scale = extent * found.divisor, scale * found.divisor
        instead = found.numerator - Extent({(_Rest(found),): 1}, 0)
        kept: Any = extent.const
        for monomial, k in extent.terms.items():
            left = _without(monomial, (found,))
            if left is None:
                kept = kept + Extent({monomial: k}, 0)
            else:
                others = Extent({tuple(left): 1}, 0) if left else 1
                kept = kept + instead * others * (k // found.divisor)
        extent = kept
    return _least(extent) > -scale


def _by_quotients(extent: Any) -> bool:
    """Numerators of quotients written as ``divisor·quotient + rest``."""
    if isinstance(extent, int):
        return extent >= 0
    coarsest: dict[Extent, Quotient] = {}
    for quotient in _quotients(extent):
        finer = coarsest.get(quotient.numerator)
        extent = _without_numerator(extent, quotient, finer)
        if isinstance(extent, int):
            return extent >= 0
        coarsest[quotient.numerator] = quotient
    return _least(extent) >= 0


def _least(extent: Any) -> int:
    """A number the extent is not less than: each symbol is its least value and what is beyond."""
    if isinstance(extent, int):
        return extent
    shifted: dict[Monomial, int] = {}
    least = extent.const
    for monomial, k in extent.terms.items():
        for part, j in _beyond(monomial).items():
            if part:
                shifted[part] = shifted.get(part, 0) + j * k
            else:
                least += j * k
    for monomial, k in shifted.items():
        if k < 0:
            least += k * _span(monomial)
    return least


def _span(monomial: Monomial) -> int:
    """The most that a product can be of symbols counted from their least values."""
    span = prod(hi - lo for lo, hi in map(_symbol_bounds, monomial))
    symbol = monomial[0]
    return min(span, symbol.sizes.ceilings.get(monomial, span)) if _is_size(symbol) else span


def _beyond(monomial: Monomial) -> dict[Monomial, int]:
    """The monomial in terms of what its symbols are beyond their least values."""
    parts: dict[Monomial, int] = {(): 1}
    for symbol in monomial:
        lo = _symbol_bounds(symbol)[0]
        grown: dict[Monomial, int] = {}
        for part, k in parts.items():
            more = tuple(sorted((*part, symbol), key=_order))
            grown[more] = grown.get(more, 0) + k
            grown[part] = grown.get(part, 0) + k * lo
        parts = grown
    return {part: k for part, k in parts.items() if k}


def _quotients(extent: Extent) -> list[Quotient]:
    """Quotients in an extent, those inside others first, then by their divisors."""
    found: dict[Quotient, None] = {}
    stack: list[tuple[Extent, Quotient | None]] = [(extent, None)]
    order: list[Quotient] = []
    while stack:
        part, of = stack.pop()
        if of is not None:
            order.append(of)
        for monomial in part.terms:
            stack.extend((s.numerator, s) for s in monomial if isinstance(s, Quotient))
    for quotient in reversed(order):
        found.setdefault(quotient)
    depth = {q: n for n, q in enumerate(dict.fromkeys(q.numerator for q in found))}
    return sorted(found, key=lambda q: (depth[q.numerator], q.divisor))


def _without_numerator(extent: Extent, quotient: Quotient, finer: Quotient | None) -> Any:
    """``extent`` with the leading term of the numerator written as ``divisor·quotient + rest``.

    Where a ``finer`` quotient of the same numerator has taken its place, that is written so.
    """
    if finer is not None and quotient.divisor % finer.divisor == 0:
        inner = Quotient(Extent({(finer,): 1}, 0), quotient.divisor // finer.divisor)
        instead = Extent({(quotient,): inner.divisor, (_Rest(inner),): 1}, 0)
        return _replaced(extent, (finer,), instead)
    numerator = quotient.numerator
    leading = [m for m, k in numerator.terms.items() if k == 1]
    if not leading:
        return extent
    lead = min(leading, key=_rank)
    instead = (
        Extent({(quotient,): quotient.divisor, (_Rest(quotient),): 1}, 0)
        - numerator
        + Extent({lead: 1}, 0)
    )
    return _replaced(extent, lead, instead)


def _replaced(extent: Extent, lead: Monomial, instead: Any) -> Any:
    """``extent`` with ``instead`` in place of the product ``lead``."""
    result: Any = extent.const
    for monomial, k in extent.terms.items():
        rest, times = list(monomial), k
        while (left := _without(rest, lead)) is not None:
            rest, times = left, instead * times
        result = result + (times * Extent({tuple(rest): 1}, 0) if rest else times)
    return result


# -- bounds without quotients ----------------------------------------------------------------------


def upper(extent: Any) -> Any:
    """An extent without quotients that is at least ``extent``."""
    return _relaxed(extent, 1)


def lower(extent: Any) -> Any:
    """An extent without quotients that is at most ``extent``."""
    return _relaxed(extent, -1)


def _relaxed(extent: Any, sign: int) -> Any:
    if isinstance(extent, int):
        return extent
    total: Any = extent.const
    for monomial, k in extent.terms.items():
        symbol = monomial[0]
        if len(monomial) > 1 or not isinstance(symbol, Quotient) or k % symbol.divisor:
            total = total + Extent({monomial: k}, 0)
            continue
        slack = 0 if k * sign > 0 else symbol.divisor - 1
        side = sign if k > 0 else -sign
        total = total + (_relaxed(symbol.numerator, side) - slack) * (k // symbol.divisor)
    return total


def quotient_at_most(extent: Any, divisor: Any) -> Any:
    """An extent that ``extent // divisor`` does not exceed, found with the facts about both."""
    loose = upper(extent)
    for more in (0, *divisor.sizes.facts):
        try:
            return (loose + more) // divisor
        except OpenExtentError:
            continue
    raise OpenExtentError(f"({extent})//({divisor}) has no bound that is an extent")


# -- order without comparing -----------------------------------------------------------------------


def rank(extent: Any) -> tuple[int, int, str]:
    """A key to sort numbers and extents by, in an order that says nothing of their values."""
    return (1, 0, repr(extent)) if isinstance(extent, Extent) else (0, extent, "")


def surely_less(a: Any, b: Any) -> bool:
    """Whether ``a < b`` can be shown."""
    return is_nonnegative(b - a - 1)


def larger(a: Any, b: Any) -> Any:
    """The larger of two; they may turn out to be equal."""
    if isinstance(a, int) and isinstance(b, int):
        return max(a, b)
    return a if is_nonnegative(a - b) or not _decide(b - a) else b


def smaller(a: Any, b: Any) -> Any:
    """The smaller of two; they may turn out to be equal."""
    if isinstance(a, int) and isinstance(b, int):
        return min(a, b)
    return b if larger(a, b) is a else a


# -- for decisions about speed ---------------------------------------------------------------------


def typical(extent: Any) -> int:
    """A number as it is; an extent for the typical values of its sizes."""
    return extent.at(_Hints()) if isinstance(extent, Extent) else extent


def extent_at(extent: Any, values: Mapping[Size, int]) -> int:
    """A number as it is; an extent for these sizes."""
    return extent.at(values) if isinstance(extent, Extent) else extent


class _Hints(dict[Size, int]):
    def __missing__(self, size: Size) -> int:
        return size.hint
