"""Extents as machine code: sizes come in a table with each call, what follows is computed.

The table holds a 64-bit integer for each size of the program's class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.codegen.llvm_text import Function, Value
from weft.core.extents import Extent, OpenExtentError, Quotient, Size, is_nonnegative

#: Emits code once, under a key, where it dominates all uses.
Hoist = Callable[[object, Callable[[], Value]], Value]


class ExtentValues:
    """The registers of extents in one function; ``hoist`` puts their code at its start."""

    def __init__(self, f: Function, table: str, sizes: Sequence[Size], hoist: Hoist) -> None:
        self.f = f
        self.table = table
        self.place = {size: n for n, size in enumerate(sizes)}
        self.hoist = hoist

    def value(self, extent: Any) -> Value:
        """A number as it is, a register (i64) for an extent."""
        if not isinstance(extent, Extent):
            return extent
        return self.hoist(extent, lambda: self._sum(extent))

    def _sum(self, extent: Extent) -> Value:
        total: Value = extent.const
        for monomial, k in extent.terms.items():
            product: Value = k
            for symbol in monomial:
                product = self.f.mul(self._symbol(symbol), product)
            total = self.f.add(total, product)
        return total

    def _symbol(self, symbol: Size | Quotient) -> Value:
        if isinstance(symbol, Size):
            return self.hoist(symbol, lambda: self._load(symbol))
        if not is_nonnegative(symbol.numerator):
            raise OpenExtentError(f"{symbol} may be a division of a negative number")
        return self.hoist(symbol, lambda: self._quotient(symbol))

    def _load(self, size: Size) -> Value:
        return self.f.load("i64", self.f.gep("i64", self.table, self.place[size]))

    def _quotient(self, symbol: Quotient) -> Value:
        return self.f.i(f"udiv i64 {self.value(symbol.numerator)}, {symbol.divisor}")
