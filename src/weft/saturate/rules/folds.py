"""Folds of any monoid."""

from __future__ import annotations

from weft.saturate.rule import Rule

RULES = (
    Rule(
        "fold of a fold",
        "(Red o m (Red o n a))",
        "(Red o (| m n) a)",
        when=("(= 0 (& m n))",),
        numerics="exact",
        ring=False,
    ),
)
