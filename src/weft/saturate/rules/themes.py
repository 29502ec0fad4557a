"""All rules, by theme."""

from __future__ import annotations

from weft.saturate.rule import Rule
from weft.saturate.rules import folds, products, selects, sums

#: All rules, theme by theme.
THEMES: dict[str, tuple[Rule, ...]] = {
    "products": products.RULES,
    "sums": sums.RULES,
    "folds": folds.RULES,
    "selects": selects.RULES,
}

RULES: tuple[Rule, ...] = tuple(rule for rules in THEMES.values() for rule in rules)
