"""Products in the bodies of sums: what is a factor, and how factors are regrouped.

Only products of at most `LONGEST` factors are regrouped here; orders of longer ones are found
directly (`weft.saturate.orders`).
"""

from __future__ import annotations

from weft.saturate.rule import Rule

#: Factors of a product that rules regroup: every grouping of five is hundreds of nodes.
LONGEST = 3

RULES = (
    Rule("product", "(Of (Mul d a b))", "(Times d (Of a) (Of b))"),
    Rule("quotient", "(Of (Div d a b))", "(Times d (Of a) (Over d b))", ring=False),
    Rule("negation", "(Of (Neg d a))", "(Times d (Of (Const d -1.0)) (Of a))"),
    Rule(
        "commute",
        "(Times d f g)",
        "(Times d g f)",
        phase="regroup",
    ),
    Rule(
        "associate",
        "(Times d (Times d f g) h)",
        "(Times d f (Times d g h))",
        when=(f"(<= (+ (size f) (+ (size g) (size h))) {LONGEST})",),
        phase="regroup",
    ),
)
