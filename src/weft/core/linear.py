"""Symbolic values of differentiation: zeros that are not computed, operands that are not known."""

from __future__ import annotations

from typing import Any, NoReturn

from weft.core.avals import ShapedArray, register_array_type
from weft.errors import NonlinearError


class Zero:
    """A tangent or cotangent known to be zero; nothing is computed with it."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Zero({self.aval})"


class SymbolicZero:
    """A zero that rules with ``symbolic_zeros`` get in place of an array, and may return.

    It has the ``shape``, ``dtype`` and ``aval`` of what it stands for, and no values.
    """

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape."""
        return self.aval.shape

    @property
    def dtype(self) -> Any:
        """The dtype."""
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.aval.ndim

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval})"


class UndefPrimal:
    """A linear operand in a transpose rule: only its type is known."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    def __repr__(self) -> str:
        return f"UndefPrimal({self.aval})"


def _refuse(operand: UndefPrimal) -> NoReturn:
    raise NonlinearError(f"an operand of type {operand.aval} to transpose has no value")


# Rules transpose with respect to one operand and compute with the others, which have values.
register_array_type(UndefPrimal, _refuse)


def is_undef(value: Any) -> bool:
    """Is it an operand to be transposed with respect to?"""
    return type(value) is UndefPrimal


def is_zero(value: Any) -> bool:
    """Is it a symbolic zero?"""
    return type(value) is Zero
