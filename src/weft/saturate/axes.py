"""Canonical axes: which axes of a region's definitions are one and the same.

Every definition has axes of its own. Where one reads another element by element, their axes are
*unified*, so that equal terms are written alike wherever they stand: in softmax, the axis of the
maximum, that of the exponentials and that of their sum become one. Two axes of one scope (those of
a definition, of its folds, and of the folds that could be pulled into its own) stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from weft.kernels.uses import only_axis
from weft.terms.affine import Affine, Axis
from weft.terms.region import Def
from weft.terms.term import Fold, Load, Map, Term, Value, bound_axes, postorder

#: Axes of a region: their sets are bits of a signed 64-bit integer.
MOST = 62

#: Operations through which the sums of their first operands can be pulled into a sum around them.
_FACTORS = {"mul": 2, "div": 1, "neg": 1}

#: Axes of folds that are kept apart for it, at most.
_PULLED = 12


class TooManyAxesError(Exception):
    """A region has more canonical axes than a mask has bits."""


class CanonicalAxes:
    """The canonical axis of each axis of a region's definitions."""

    def __init__(self, defs: Sequence[Def]) -> None:
        self.parent: dict[Axis, Axis] = {}
        self.scopes: dict[Axis, set[int]] = {}
        self.defs = {d.value: d for d in defs}
        self.bits: dict[Axis, int] = {}
        self.order: list[Axis] = []
        pulled: dict[Value, frozenset[Axis]] = {}
        for number, definition in enumerate(defs):
            own = _scope(definition)
            pulled[definition.value] = inside = _pulled(definition, pulled)
            for axis in (*own, *inside):
                self.parent.setdefault(axis, axis)
                self.scopes.setdefault(axis, set()).add(number)
        loads = [(d, t) for d in defs for t in postorder(d.term) if isinstance(t, Load)]
        for _, load in loads:
            if load.value in self.defs:
                self._unify_all(load.index, self.defs[load.value].axes)
        self._unify_inputs(load for _, load in loads if load.value not in self.defs)

    # -- union–find --------------------------------------------------------------------------------

    def find(self, axis: Axis) -> Axis:
        """The canonical axis of ``axis``."""
        root = axis
        while self.parent[root] is not root:
            root = self.parent[root]
        while self.parent[axis] is not root:
            self.parent[axis], axis = root, self.parent[axis]
        return root

    def _may_unify(self, a: Axis, b: Axis) -> bool:
        a, b = self.find(a), self.find(b)
        return a is b or (a.extent == b.extent and not self.scopes[a] & self.scopes[b])

    def _unify(self, a: Axis, b: Axis) -> None:
        a, b = self.find(a), self.find(b)
        if a is not b:
            self.parent[b] = a
            self.scopes[a] |= self.scopes.pop(b)

    def _unify_all(self, index: Sequence[Affine], axes: Sequence[Axis]) -> None:
        """Unify an index with the axes of what it reads: all of them, or none."""
        pairs: list[tuple[Axis, Axis]] = []
        for expr, axis in zip(index, axes, strict=True):
            if axis.extent == 1:
                continue
            own = only_axis(expr)
            if own is None or own not in self.parent or not self._may_unify(own, axis):
                return
            pairs.append((own, axis))
        roots = {(self.find(a), self.find(b)) for a, b in pairs}
        if len({a for a, _ in roots}) != len(pairs) or len({b for _, b in roots}) != len(pairs):
            return
        for a, b in pairs:
            # What came first may keep apart what comes now.
            if not self._may_unify(a, b):
                return
            self._unify(b, a)

    def _unify_inputs(self, loads: Iterable[Load]) -> None:
        """Unify the axes over which an array from outside is read, where that is possible."""
        first: dict[Value, list[Axis | None]] = {}
        for load in loads:
            axes = [only_axis(i) for i in load.index]
            axes = [a if a in self.parent else None for a in axes]
            known = first.setdefault(load.value, axes)
            for n, (a, b) in enumerate(zip(axes, known, strict=True)):
                if b is None:
                    known[n] = a
                elif a is not None and self._may_unify(a, b):
                    self._unify(b, a)

    # -- masks -------------------------------------------------------------------------------------

    def bit(self, axis: Axis) -> int:
        """The mask of an axis; that of a single iteration has none."""
        if axis.extent == 1:
            return 0
        root = self.find(axis)
        found = self.bits.get(root)
        if found is None:
            if len(self.order) == MOST:
                raise TooManyAxesError
            found = self.bits[root] = 1 << len(self.order)
            self.order.append(root)
        return found

    def mask(self, axes: Iterable[Axis]) -> int:
        """The mask of a set of axes; the order in which bits are given is that of their making."""
        found = 0
        for axis in sorted(axes, key=lambda a: a.serial):
            found |= self.bit(axis)
        return found

    def reads_as_defined(self, load: Load) -> bool:
        """Whether ``load`` reads a definition of the region at its own canonical axes."""
        definition = self.defs.get(load.value)
        if definition is None:
            return False
        for expr, axis in zip(load.index, definition.axes, strict=True):
            if axis.extent == 1:
                continue
            own = only_axis(expr)
            if own is None or own not in self.parent or self.find(own) is not self.find(axis):
                return False
        return True


def axes_of(mask: int, order: Sequence[Axis]) -> list[Axis]:
    """The axes of a mask, in canonical order."""
    return [axis for n, axis in enumerate(order) if mask >> n & 1]


def _scope(definition: Def) -> list[Axis]:
    return [*definition.axes, *sorted(bound_axes(definition.term), key=lambda a: a.serial)]


def _pulled(definition: Def, known: dict[Value, frozenset[Axis]]) -> frozenset[Axis]:
    """The axes of sums that could be pulled into a sum of which ``definition`` is a factor."""
    found: set[Axis] = set()
    stack: list[Term] = [definition.term]
    while stack:
        t = stack.pop()
        if isinstance(t, Fold) and t.monoid.name == "add":
            found.update(t.over)
            stack += t.bodies
        elif isinstance(t, Map) and t.op in _FACTORS:
            stack += t.args[: _FACTORS[t.op]]
        elif isinstance(t, Load):
            found |= known.get(t.value, frozenset())
    return frozenset(found) if len(found) <= _PULLED else frozenset()
