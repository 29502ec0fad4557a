"""Who reads what, how often, and under which folds: facts about terms that fusion rests on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from math import prod

from weft.core.extents import typical
from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.dots import DOTS
from weft.terms.region import Def, Region, Scatter
from weft.terms.term import (
    FOLDS,
    SCANS,
    Fold,
    Fuse,
    Load,
    Map,
    Proj,
    Scan,
    Term,
    Value,
    known_index,
    postorder,
    substitute,
)

MAX_NODES = 600  # operators in one kernel's term; keeps compile time linear in the program

# Nanoseconds per element and vectorised operation, one core; only the ratio to memory matters here.
OPERATION_NS = {
    **dict.fromkeys(("exp", "exp2", "log", "sin", "cos", "logistic", "rsqrt", "log1p"), 0.25),
    **dict.fromkeys(("tanh", "expm1", "erf", "erfc", "tan", "sqrt", "div", "cbrt", "log2"), 0.35),
    **dict.fromkeys(("pow", "asin", "acos", "atan", "atan2", "sinh", "cosh", "erf_inv"), 1.0),
    **dict.fromkeys(("asinh", "acosh", "atanh", "rem", "log10"), 1.0),
}
CHEAP_NS = 0.03


@struct(frozen=True)
class Use:
    """A definition read at ``index`` in the kernel of ``root``, under folds over ``over``.

    ``in_product`` says that it is an operand of a contraction, ``in_fuse`` that it is in a piece.
    """

    root: Def | Scatter
    index: tuple[Affine, ...]
    over: tuple[Axis, ...] = ()
    in_fuse: bool = False
    in_product: bool = False

    @property
    def axes(self) -> frozenset[Axis]:
        """Axes that the index depends on."""
        return frozenset().union(*(i.axes() for i in self.index)) if self.index else frozenset()


@struct(frozen=True)
class Reading:
    """A load inside a term: the axes of the folds around it, and what kinds of terms are."""

    load: Load
    over: tuple[Axis, ...]
    in_fuse: bool
    in_product: bool


def readings(term: Term) -> list[Reading]:
    """Every load of a term, once for each surrounding that it has."""
    found: list[Reading] = []
    seen: set[tuple[Term, tuple[Axis, ...], bool, bool]] = set()
    stack: list[tuple[Term, tuple[Axis, ...], bool, bool]] = [(term, (), False, False)]
    while stack:
        item = stack.pop()
        if item in seen:
            continue
        seen.add(item)
        t, over, fused, product = item
        if isinstance(t, Load):
            found.append(Reading(t, over, fused, product))
        if isinstance(t, Fold):
            over = (*over, *t.over)
            product = product or _sums_products(t)
        elif isinstance(t, Scan):
            over = (*over, t.over)
        fused = fused or isinstance(t, Fuse)
        stack.extend((c, over, fused, product) for c in t.children)
    return found


def through(use: Use, step: Def, reading: Reading) -> Use:
    """The use of what ``step`` reads, seen from the root that uses ``step``."""
    mapping = dict(zip(step.axes, use.index, strict=True))
    index = tuple(
        i.substitute(mapping, lambda t: known_index(substitute(t, mapping)))
        for i in reading.load.index
    )
    return Use(
        use.root,
        index,
        (*use.over, *reading.over),
        use.in_fuse or reading.in_fuse,
        use.in_product or reading.in_product,
    )


def points(use: Use, order: tuple[Axis, ...]) -> float:
    """How often the use evaluates the definition: the root's loops, in this ``order``, down to the
    innermost it depends on, times the loops of the folds around it likewise."""
    axes = use.axes
    count = 1.0
    for loops in (order, use.over):
        depth = max((n + 1 for n, a in enumerate(loops) if a in axes), default=0)
        count *= prod(typical(a.extent) for a in loops[:depth])
    return count


def operation_ns(term: Term, axes: Sequence[Axis]) -> float:
    """Estimated time per point of ``axes`` of the operations of ``term``, those in folds excluded.

    What depends on some of the axes only is computed once for the others.
    """
    total = 0.0
    stack, seen = [term], set()
    while stack:
        t = stack.pop()
        if t in seen or isinstance(t, Fold | Scan | Proj):
            continue
        seen.add(t)
        if isinstance(t, Map):
            spread = prod(typical(a.extent) for a in axes if a not in t.axes)
            total += OPERATION_NS.get(t.op, CHEAP_NS) / max(1, spread)
        stack.extend(t.children)
    return total


def own_folds(term: Term) -> list[Fold]:
    """Folds in a term, outermost first."""
    if not term.holds & FOLDS:
        return []
    return [t for t in reversed(postorder(term)) if isinstance(t, Fold)]


def has_scan(term: Term) -> bool:
    """Whether a term holds a running reduction."""
    return bool(term.holds & SCANS)


def is_contraction(term: Term) -> bool:
    """Whether a fold sums a product of two factors that do not have the same free axes.

    Such a fold reuses each loaded element many times, so its operands should be plain memory.
    """
    return any(_sums_products(fold) for fold in own_folds(term))


def share_loops(a: Term, b: Term) -> bool:
    """Whether two contractions can be one loop nest that reads an operand once for both."""
    one, other = own_folds(a), own_folds(b)
    if len(one) != 1 or len(other) != 1:
        return False
    if [x.extent for x in one[0].over] != [x.extent for x in other[0].over]:
        return False
    return bool(_loads_of(one[0]) & _loads_of(other[0]))


def _loads_of(fold: Fold) -> set[Value]:
    return {t.value for t in postorder(*fold.bodies) if isinstance(t, Load)}


_PRODUCTS = frozenset(["mul", *DOTS])


def _sums_products(fold: Fold) -> bool:
    body = fold.bodies[0]
    if fold.monoid.name != "add" or not isinstance(body, Map) or body.op not in _PRODUCTS:
        return False
    a, b = (x.axes for x in body.args[:2])
    return bool((a - b) - set(fold.over)) and bool((b - a) - set(fold.over))


@struct(frozen=True)
class Weight:
    """What computing one element of a definition takes, with everything elementwise before it.

    ``behind`` are the definitions that would be inlined; shared ones count once, and those of
    smaller arrays as often as they are computed: once for the elements they are spread over.
    ``pieces`` are those of all fuses.
    """

    ns: float
    nodes: int
    pieces: int
    behind: dict[Value, None]


def weights(region: Region) -> dict[Value, Weight]:
    """The weight of every definition of ``region``.

    What is behind a definition is mostly behind the largest that it reads: only the rest is added.
    """
    own: dict[Value, tuple[float, int, int]] = {}
    found: dict[Value, Weight] = {}
    for step in region.steps:
        if not isinstance(step, Def):
            continue
        value, terms = step.value, postorder(step.term)
        pieces = sum(len(t.pieces) for t in terms if isinstance(t, Fuse))
        own[value] = (operation_ns(step.term, step.axes), len(terms), pieces)
        read = [] if own_folds(step.term) else [t.value for t in terms if isinstance(t, Load)]
        sources = [v for v in dict.fromkeys(read) if v in found and found[v].nodes <= MAX_NODES]
        size = max(1, typical(value.size))
        base = max(sources, key=lambda v: len(found[v].behind), default=None)
        if base is not None and max(1, typical(base.size)) != size:
            base = None  # the shares of what is behind are others here
        start = Weight(0.0, 0, 0, {}) if base is None else found[base]
        behind = dict(start.behind)
        for source in sources:
            if source is not base:
                behind.update(found[source].behind)
        behind[value] = None
        more = list(islice(behind, len(start.behind), None))
        found[value] = Weight(
            start.ns + sum(own[v][0] * min(1.0, typical(v.size) / size) for v in more),
            start.nodes + sum(own[v][1] for v in more),
            start.pieces + sum(own[v][2] for v in more),
            behind,
        )
    return found


def only_axis(index: Affine) -> Axis | None:
    """The axis that an index is, if it is just that."""
    if len(index.terms) == 1 and index.const == 0:
        atom, k = index.terms[0]
        if isinstance(atom, Axis) and k == 1:
            return atom
    return None
