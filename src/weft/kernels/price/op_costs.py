"""What one register of a scalar operation costs: instructions by the kind of unit, and latency.

The counts are those of the code that `weft.codegen` generates for float32 (a test compares them);
selects, comparisons and integer arithmetic run on any unit for vectors.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from weft.terms.dots import DOTS
from weft.terms.monoids import Monoid
from weft.terms.ops import OPS, result_dtype


class OpCost(NamedTuple):
    """Instructions for a multiplier, an adder, any unit, the divider; and cycles of latency."""

    product: float
    sum: float
    other: float
    divide: float
    latency: float

    @property
    def instructions(self) -> float:
        """Instructions to issue."""
        return self.product + self.sum + self.other + self.divide


_ADD = OpCost(0, 1, 0, 0, 3)
_LOGIC = OpCost(0, 0, 1, 0, 1)

# fmt: off
_FLOAT: dict[str, OpCost] = {
    "add": _ADD, "sub": _ADD, "mul": OpCost(1, 0, 0, 0, 3), "fma": OpCost(1, 0, 0, 0, 4),
    **{name: OpCost(1, 0, 0, 0, 6) for name in DOTS},
    "div": OpCost(0, 0, 0, 1, 16), "sqrt": OpCost(0, 0, 0, 1.3, 20),
    "rsqrt": OpCost(0, 0, 0, 2.3, 36),
    "max": OpCost(0, 2, 2, 0, 8), "min": OpCost(0, 2, 2, 0, 8), "sign": OpCost(0, 2, 2, 0, 6),
    "neg": _LOGIC, "abs": _LOGIC, "splat": OpCost(0, 0, 0, 0, 0), "bitcast": OpCost(0, 0, 0, 0, 0),
    "select": _LOGIC, "not": _LOGIC, "and": _LOGIC, "or": _LOGIC, "xor": _LOGIC,
    "eq": OpCost(0, 1, 0, 0, 4), "ne": OpCost(0, 1, 0, 0, 4), "lt": OpCost(0, 1, 0, 0, 4),
    "le": OpCost(0, 1, 0, 0, 4), "gt": OpCost(0, 1, 0, 0, 4), "ge": OpCost(0, 1, 0, 0, 4),
    "is_finite": OpCost(0, 1, 1, 0, 5), "cast": OpCost(0, 1, 0, 0, 4),
    "floor": OpCost(0, 1, 0, 0, 4), "ceil": OpCost(0, 1, 0, 0, 4),
    "round_even": OpCost(0, 1, 0, 0, 4),
    "round_away": OpCost(0, 2, 2, 0, 9),
    "shift_left": OpCost(0, 0, 4, 0, 3), "shift_right_logical": OpCost(0, 0, 4, 0, 3),
    "shift_right_arithmetic": OpCost(0, 0, 3, 0, 3),
    "population_count": _LOGIC, "clz": _LOGIC,
    "exp": OpCost(10, 5, 3, 0, 48), "exp2": OpCost(8, 6, 3, 0, 44),
    "expm1": OpCost(12, 9, 7, 0, 60),
    "log": OpCost(16, 4, 1, 0, 60), "log1p": OpCost(17, 18, 7, 0, 84),
    "log2": OpCost(18, 12, 5, 0, 76), "log10": OpCost(20, 8, 24, 2, 110),
    "logistic": OpCost(10, 9, 8, 1, 76), "tanh": OpCost(18, 9, 4, 1, 84),
    "sinh": OpCost(16, 7, 5, 1, 80), "cosh": OpCost(10, 6, 3, 1, 70),
    "erf": OpCost(26, 8, 4, 0, 100), "erfc": OpCost(44, 35, 15, 1, 160),
    "erf_inv": OpCost(48, 16, 8, 2.3, 170),
    "sin": OpCost(15, 6, 22, 0, 70), "cos": OpCost(15, 6, 22, 0, 70),
    "tan": OpCost(23, 28, 32, 1, 120),
    "asin": OpCost(14, 12, 8, 2.3, 100), "acos": OpCost(14, 14, 15, 2.3, 100),
    "atan": OpCost(13, 21, 20, 1, 100), "atan2": OpCost(17, 34, 36, 1, 120),
    "asinh": OpCost(18, 26, 8, 2.3, 130), "acosh": OpCost(18, 26, 7, 1.3, 120),
    "atanh": OpCost(23, 26, 9, 1, 120), "cbrt": OpCost(26, 12, 19, 0, 130),
    "pow": OpCost(32, 30, 38, 2, 160), "rem": OpCost(1, 6, 12, 1, 60),
    "nextafter": OpCost(0, 6, 8, 0, 20),
}
# fmt: on

#: Cycles of one scalar integer division: vectors of integers have none and go element by element.
INTEGER_DIVISION = 8.0


@cache
def op_cost(op: str, kind: str, itemsize: int) -> OpCost:
    """The cost of ``op`` on one register of elements of a dtype's ``kind`` and size.

    Operations unknown here (there are none among `weft.terms.ops.OPS` for real numbers) cost what
    an addition does.
    """
    if kind == "b":
        return _LOGIC
    if kind in "iu" and op in ("add", "sub", "neg", "abs", "max", "min", "eq", "ne", "lt", "le"):
        return _LOGIC
    if kind in "iu" and op == "mul":
        return OpCost(2 if itemsize == 4 else 3, 0, 0, 0, 10)
    cost = _FLOAT.get(op, _ADD)
    if itemsize == 8 and kind == "f" and cost.instructions > 3:
        # Twice the digits take half as many terms again, and a longer division.
        product, divide = cost.product * 1.5, cost.divide * 1.6
        return OpCost(product, cost.sum, cost.other, divide, cost.latency * 1.4)
    return cost


@cache
def combine_cost(monoid: Monoid, dtypes: tuple[np.dtype, ...]) -> tuple[OpCost, int]:
    """The cost of combining two registers of each component, and the operations it takes."""
    total = [0.0] * 5
    count = 0

    def emit(op: str, *args: Any) -> Any:
        nonlocal count
        kinds = tuple(args)
        operand = kinds[1] if op == "select" else kinds[0]
        cost = op_cost(op, operand.kind, operand.itemsize)
        for n, part in enumerate(cost):
            total[n] += part
        count += 1
        return result_dtype(op, kinds) if op in OPS else operand

    monoid.combine(emit, dtypes, dtypes)
    return OpCost(*total), count
