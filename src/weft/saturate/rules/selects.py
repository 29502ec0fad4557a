"""Choices: masks that complement one another, and masks that choose nothing."""

from __future__ import annotations

from weft.saturate.rule import Rule

RULES = (
    Rule("not", "(Select o (Not c) a b)", "(Select o c b a)", numerics="exact", ring=False),
    Rule("no choice", "(Select o c a a)", "a", numerics="exact", ring=False),
    # Both add up to one that takes each where it is not zero; a sum does not tell 0 from -0.
    Rule(
        "complementary masks",
        "(Of (Add d (Select o c a (Const d 0.0)) (Select o c (Const d 0.0) b)))",
        "(Of (Select o c a b))",
    ),
)
