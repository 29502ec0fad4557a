"""What a rule is: a left side, a right side, when it holds, and what it may change.

Rules are data in egglog's notation, over the operators of `weft.saturate.language`. Names stand
for any class, ``(fv a)`` for the free axes of a term ``a``, ``(fw f)`` for those of a factor.
"""

from __future__ import annotations

import re

from weft.saturate.language import OPERATORS
from weft.structs import struct

#: Numerical classes, each with what the ones before allow.
#: ``exact``: the same bits. ``real``: equal over the reals, within the error bound of the sums
#: concerned. ``cancel``: may introduce cancellation. ``domain``: may change NaN, inf and overflow.
CLASSES = ("exact", "real", "cancel", "domain")


@struct(frozen=True)
class Rule:
    """``left`` may be replaced by ``right`` where all of ``when`` holds.

    ``numerics`` is its class for floats; with ``ring`` it is exact for integers, which wrap.
    ``when`` are egglog facts; those of the form ``(= x (fv a))`` also bind names. ``phase`` is the
    set of rules that it runs in. ``dtype`` is the name in the left side that stands for the dtype.
    """

    name: str
    left: str
    right: str
    when: tuple[str, ...] = ()
    numerics: str = "real"
    ring: bool = True
    phase: str = "algebra"
    dtype: str = "d"

    def __post_init__(self) -> None:
        if self.numerics not in CLASSES:
            raise ValueError(f"rule {self.name!r}: no numerical class {self.numerics!r}")

    @property
    def operators(self) -> tuple[str, ...]:
        """The operators on the left side, side conditions excluded.

        ``Of`` is none: it only says that a term stands in a sum.
        """
        words = re.findall(r"\((\w+)", self.left)
        return tuple(w for w in words if w in OPERATORS and w != "Of")

    def allowed(self, numerics: str) -> bool:
        """Whether the rule may be used on floats at the level ``numerics``."""
        return CLASSES.index(self.numerics) <= CLASSES.index(numerics)

    def rulesets(self, numerics: str) -> tuple[str, ...]:
        """The egglog rule sets that the level ``numerics`` runs of those the rule is in."""
        if self.allowed(numerics):
            return (f"{self.phase}-{self.numerics}",)
        return (f"{self.phase}-ring",) if self.ring else ()

    def text(self, ruleset: str) -> str:
        """The rule in egglog, as it is in one of its `rulesets`: in that of rings for integers."""
        name, when = f'"{self.name}"', self.when
        if ruleset == f"{self.phase}-ring":
            name, when = f'"{self.name} (integers)"', (*when, f"(>= {self.dtype} {FIRST_INTEGER})")
        facts = " ".join([f"(= whole {self.left})", *when])
        return f"(rule ({facts}) ((union whole {self.right})) :ruleset {ruleset} :name {name})"


#: Dtype codes from this one on are integers, whose sums and products wrap: a ring.
FIRST_INTEGER = 100
