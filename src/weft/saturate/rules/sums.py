"""Factors and sums: moving what does not depend on the summed axes across the sum."""

from __future__ import annotations

from weft.saturate.rule import Rule
from weft.saturate.rules.products import LONGEST

_FREE_F = ("(= x (fw f))", "(= 0 (& x m))")
_FREE_A = ("(= x (fv a))", "(= 0 (& x m))")

RULES = (
    # Σ a·g = a·Σ g
    Rule("factor out", "(Sum d m (Times d (Of a) g))", "(Mul d a (Sum d m g))", when=_FREE_A),
    # Σ (1/a)·g = (Σ g) / a
    Rule(
        "divisor out",
        "(Sum d m (Times d (Over d a) g))",
        "(Div d (Sum d m g) a)",
        when=_FREE_A,
        ring=False,
    ),
    Rule(
        "quotient out",
        "(Sum d m (Of (Div d g a)))",
        "(Div d (Sum d m (Of g)) a)",
        when=_FREE_A,
        ring=False,
    ),
    # a·Σ f = Σ a·f
    Rule("factor in", "(Mul d a (Sum d m f))", "(Sum d m (Times d (Of a) f))", when=_FREE_A),
    Rule(
        "factor in, right",
        "(Mul d (Sum d m f) a)",
        "(Sum d m (Times d f (Of a)))",
        when=_FREE_A,
    ),
    # f·Σ g = Σ f·g, inside another sum
    Rule(
        "pull",
        "(Times d f (Of (Sum d m g)))",
        "(Of (Sum d m (Times d f g)))",
        when=(*_FREE_F, f"(<= (+ (size f) (size g)) {LONGEST})"),
    ),
    # ΣₘΣₙ f = Σ f over both
    Rule(
        "merge",
        "(Sum d m (Of (Sum d n f)))",
        "(Sum d (| m n) f)",
        when=("(= 0 (& m n))",),
    ),
    # Σ over axes of which some are not in f: f · Σ over those, and the rest outside
    Rule(
        "push",
        "(Sum d m (Times d f g))",
        "(Sum d (& m x) (Times d f (Of (Sum d (& m (not-i64 x)) g))))",
        when=("(= x (fw f))", "(!= 0 (& m x))", "(!= 0 (& m (not-i64 x)))"),
    ),
    # Σ f + Σ g = Σ (f + g)
    Rule(
        "add sums",
        "(Add d (Sum d m (Of a)) (Sum d m (Of b)))",
        "(Sum d m (Of (Add d a b)))",
    ),
    # Σ f·a + Σ f·b = Σ f·(a + b)
    Rule(
        "add products",
        "(Add d (Sum d m (Times d f (Of a))) (Sum d m (Times d f (Of b))))",
        "(Sum d m (Times d f (Of (Add d a b))))",
    ),
    # Σ -a = -Σ a, but for the sign of 0
    Rule("negation out", "(Sum d m (Of (Neg d a)))", "(Neg d (Sum d m (Of a)))"),
)
