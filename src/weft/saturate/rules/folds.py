"""Folds of any monoid."""

from __future__ import annotations

from weft.saturate.rule import Rule

RULES = (
    # A running sum, read where it ends, is the sum.
    Rule("end of a running sum", "(Last d m f)", "(Sum d m f)"),
    # Products are rounded in another order.
    Rule(
        "fold of a fold",
        "(Red o m (Red o n a))",
        "(Red o (| m n) a)",
        when=("(= 0 (& m n))",),
        ring=False,
    ),
)
