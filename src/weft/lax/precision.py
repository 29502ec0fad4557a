"""Settings of JAX's products that Weft accepts, checks, and has no use for.

Products are never computed in less than their operands' precision, so that a precision can only ask
for what is done anyway.
"""

from __future__ import annotations

import enum
from typing import Any, NamedTuple

DotDimensionNumbers = tuple[
    tuple[tuple[int, ...], tuple[int, ...]], tuple[tuple[int, ...], tuple[int, ...]]
]
"""``((contracted of lhs, of rhs), (batch of lhs, of rhs))``: axes of `dot_general`'s operands."""


class Precision(enum.Enum):
    """How precise products are to be; all are computed in full.

    >>> lax.dot(np.ones(2), np.ones(2), precision=lax.Precision.HIGHEST)
    Array(2., dtype=float32)
    """

    DEFAULT = 0
    HIGH = 1
    HIGHEST = 2

    def __repr__(self) -> str:
        return f"Precision.{self.name}"

    def __str__(self) -> str:
        return self.name


class DotAlgorithm(NamedTuple):
    """An algorithm for products: types of operands and sums, and how many parts are multiplied."""

    lhs_precision_type: Any
    rhs_precision_type: Any
    accumulation_type: Any
    lhs_component_count: int = 1
    rhs_component_count: int = 1
    num_primitive_operations: int = 1
    allow_imprecise_accumulation: bool = False


class DotAlgorithmPreset(enum.Enum):
    """Names of algorithms for products."""

    DEFAULT = enum.auto()
    ANY_F8_ANY_F8_F32 = enum.auto()
    ANY_F8_ANY_F8_F32_FAST_ACCUM = enum.auto()
    ANY_F8_ANY_F8_ANY = enum.auto()
    ANY_F8_ANY_F8_ANY_FAST_ACCUM = enum.auto()
    F16_F16_F16 = enum.auto()
    F16_F16_F32 = enum.auto()
    BF16_BF16_BF16 = enum.auto()
    BF16_BF16_F32 = enum.auto()
    BF16_BF16_F32_X3 = enum.auto()
    BF16_BF16_F32_X6 = enum.auto()
    BF16_BF16_F32_X9 = enum.auto()
    TF32_TF32_F32 = enum.auto()
    TF32_TF32_F32_X3 = enum.auto()
    F32_F32_F32 = enum.auto()
    F64_F64_F64 = enum.auto()


class AccuracyMode(enum.Enum):
    """How accurate elementary functions are to be; see ``docs/accuracy.md`` for what they are."""

    HIGHEST = 1
    DEFAULT = 2


class Tolerance(NamedTuple):
    """Errors that functions may have: absolute, relative, and in units of the last place.

    Those of ``docs/accuracy.md`` are at most 2 units.
    """

    atol: float = 0.0
    rtol: float = 0.0
    ulps: int = 0


PrecisionLike = (
    str
    | Precision
    | tuple[str, str]
    | tuple[Precision, Precision]
    | DotAlgorithm
    | DotAlgorithmPreset
    | None
)

_NAMES = frozenset(
    ["default", "fastest", "high", "highest", "float32", "bfloat16", "bfloat16_3x", "tensorfloat32"]
)


def check_precision(name: str, precision: Any) -> None:
    """Raises ValueError for what is no precision of the function `name`, of `lax` or another."""
    where = name if "." in name else f"lax.{name}"
    both = precision if isinstance(precision, tuple) and len(precision) == 2 else (precision,)
    for one in both:
        known = one is None or isinstance(one, Precision | DotAlgorithm | DotAlgorithmPreset)
        if not (known or (isinstance(one, str) and _is_name(one))):
            raise ValueError(
                f"{where}: precision is None, a lax.Precision, one of {sorted(_NAMES)}, or a "
                f"pair of those, got {precision!r}"
            )


def _is_name(text: str) -> bool:
    return text in _NAMES or text in DotAlgorithmPreset.__members__
