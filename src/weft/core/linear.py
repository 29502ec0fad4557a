"""Symbolic values of differentiation: zeros that are not computed, operands that are not known."""

from __future__ import annotations

from typing import Any

from weft.core.avals import ShapedArray


class Zero:
    """A tangent or cotangent known to be zero; nothing is computed with it."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Zero({self.aval})"


class UndefPrimal:
    """A linear operand in a transpose rule: only its type is known."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    def __repr__(self) -> str:
        return f"UndefPrimal({self.aval})"


def is_undef(value: Any) -> bool:
    """Is it an operand to be transposed with respect to?"""
    return type(value) is UndefPrimal


def is_zero(value: Any) -> bool:
    """Is it a symbolic zero?"""
    return type(value) is Zero
