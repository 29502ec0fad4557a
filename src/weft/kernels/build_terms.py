"""Terms as statements of a naive kernel, in loops that are open: for `weft.kernels.build`.

Each term is computed once, in the outermost loop that binds its axes. A `Fuse` whose pieces a loop
was not cut for becomes a selection among them, each read under a guard.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import field

import numpy as np

from weft.core.extents import OpenExtentError
from weft.kernels import ir
from weft.kernels.pieces import Piece, live_pieces
from weft.structs import struct
from weft.terms.affine import Affine, Axis, Interval
from weft.terms.monoids import Monoid
from weft.terms.ops import OPS, result_dtype
from weft.terms.region import Def
from weft.terms.term import Const, Fold, Fuse, Index, Load, Map, Proj, Scan, Term, Value, substitute

#: Terms of which subterms are computed elsewhere or under guards.
_APART = Fuse | Fold | Scan | Proj
_REDUCTIONS = Fold | Scan


@struct(eq=False)
class Scope:
    """An open loop (or the kernel's top): statements so far and values already computed there."""

    axis: Axis | None
    body: list[ir.Stmt] = field(default_factory=list)
    known: dict[object, ir.Var] = field(default_factory=dict)


class TermWriter:
    """Writes terms into the scopes that are open; ``ranges`` are those of their axes.

    ``rows`` are definitions with the number of axes that are outside of their scratch, and that;
    those of ``inline_rows`` are computed where they are read.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: dict[Value, ir.Buffer] = {}
        self.rows: dict[Value, tuple[Def, int, ir.Buffer]] = {}
        self.inline_rows: set[Value] = set()
        self.scopes: list[Scope] = [Scope(None)]
        self.ranges: dict[Axis, Interval] = {}
        self.guard_axes: dict[ir.Guard, frozenset[Axis]] = {}

    def _live(self, fuse: Fuse) -> tuple[Piece, ...]:
        return live_pieces(fuse, fuse.index, self.ranges)

    def _constant(self, value: object, dtype: np.dtype) -> ir.Var:
        term = Const(value, dtype)
        top = self.scopes[0]
        key = (term, ())
        if key not in top.known:
            var = ir.Var(dtype)
            # Constants go first, before any loop already emitted at the top.
            top.body.insert(0, ir.Const(var, term.value))
            top.known[key] = var
        return top.known[key]

    def _combine(
        self, monoid: Monoid, a: Sequence[ir.Var], b: Sequence[ir.Var]
    ) -> tuple[ir.Var, ...]:
        def emit(op: str, *args: ir.Var) -> ir.Var:
            dtypes = tuple(x.dtype for x in args)
            return self._map(op, args, result_dtype(op, dtypes) if op in OPS else dtypes[0])

        return monoid.combine(emit, a, b)

    def _map(self, op: str, args: Sequence[ir.Var], dtype: np.dtype) -> ir.Var:
        out = ir.Var(dtype)
        self.scopes[-1].body.append(ir.Map(out, op, tuple(args)))
        return out

    def _scope_of(self, axes: Iterable[Axis]) -> Scope:
        """The outermost open scope in which all ``axes`` are bound."""
        wanted = set(axes)
        for depth in range(len(self.scopes) - 1, 0, -1):
            if self.scopes[depth].axis in wanted:
                return self.scopes[depth]
        return self.scopes[0]

    def _guard_axes(self, guards: tuple[ir.Guard, ...]) -> set[Axis]:
        """Axes that guards depend on, through variables too: those do not say their loops."""
        return {a for g in guards for a in self.guard_axes[g]}

    def _term(self, root: Term, guards: tuple[ir.Guard, ...]) -> ir.Var:
        """The variable that holds ``root``, computed in the outermost loop possible."""
        stack: list[tuple[Term, bool]] = [(root, False)]
        while stack:
            term, ready = stack.pop()
            if self._lookup(term, guards) is not None:
                continue
            if ready:
                self._emit(term, guards)
                continue
            stack.append((term, True))
            if not isinstance(term, _APART):
                stack.extend((c, False) for c in reversed(term.children))
        found = self._lookup(root, guards)
        assert found is not None
        return found

    def _lookup(self, term: Term, guards: tuple[ir.Guard, ...]) -> ir.Var | None:
        # What was computed under fewer guards holds under more; and an index made of the very
        # variable that a guard bounds is provably in bounds.
        weaker = [guards[:n] for n in range(len(guards), -1, -1)]
        for scope in reversed(self.scopes):
            for some in weaker:
                found = scope.known.get((term, some))
                if found is not None:
                    return found
            if isinstance(term, _REDUCTIONS) and term in scope.known:
                return scope.known[term][0]  # type: ignore[index]
            if isinstance(term, Proj) and term.fold in scope.known:
                return scope.known[term.fold][term.position]  # type: ignore[index]
        return None

    def _emit(self, term: Term, guards: tuple[ir.Guard, ...]) -> None:
        if isinstance(term, Const):
            self._constant(term.value, term.dtype)
            if guards:
                self.scopes[0].known[(term, guards)] = self.scopes[0].known[(term, ())]
            return
        if isinstance(term, Fuse):
            self._emit_fuse(term, guards)
            return
        scope = self._scope_of(term.axes | self._guard_axes(guards))
        if isinstance(term, Load):
            out = self._emit_load(term, guards, scope)
        else:
            out = ir.Var(term.dtype)
            if isinstance(term, Index):
                scope.body.append(ir.Iota(out, self._index(term.expr, guards)))
            elif isinstance(term, Map):
                args = tuple(self._lookup(a, guards) for a in term.args)
                scope.body.append(ir.Map(out, term.op, args))  # type: ignore[arg-type]
            else:
                raise TypeError(
                    f"{type(term).__name__} over {getattr(term, 'over', ())} was not computed "
                    f"before its use in kernel {self.name}"
                )
        scope.known[(term, guards)] = out

    def _emit_load(self, load: Load, guards: tuple[ir.Guard, ...], scope: Scope) -> ir.Var:
        if load.value in self.rows:
            definition, depth, buffer = self.rows[load.value]
            if load.value in self.inline_rows:
                mapping = dict(zip(definition.axes, load.index, strict=True))
                return self._term(substitute(definition.term, mapping), guards)
            index = tuple(self._index(i, guards) for i in load.index[depth:])
        else:
            buffer = self._input(load.value)
            index = tuple(self._index(i, guards) for i in load.index)
        out = ir.Var(load.dtype)
        scope.body.append(ir.Load(out, buffer, index, guards))
        return out

    def _input(self, value: Value) -> ir.Buffer:
        if value not in self.inputs:
            self.inputs[value] = ir.Buffer(value.name, value.shape, value.dtype, "input")
        return self.inputs[value]

    def _index(self, expr: Affine, guards: tuple[ir.Guard, ...]) -> Affine:
        """An index with its dynamic sources computed: terms become variables."""
        if not expr.dynamics():
            return expr
        return expr.substitute({}, lambda source: self._term(source, guards))

    def _emit_fuse(self, term: Fuse, guards: tuple[ir.Guard, ...]) -> None:
        live = self._live(term)
        if not live and guards:  # a piece that this loop never enters, though its guard is tested
            self.scopes[0].known[(term, guards)] = self._constant(0, term.dtype)
            return
        if not live:  # a loop between cuts that are equal for all sizes, but not by structure
            raise OpenExtentError(f"which piece of {term} is read depends on its extents")
        if len(live) == 1:
            scope = self._scope_of(term.axes | self._guard_axes(guards))
            scope.known[(term, guards)] = self._term(live[0][2], guards)
            return
        here = self._index(term.index, guards)
        scope = self._scope_of(term.axes | self._guard_axes(guards))
        position = ir.Var(_dtype_of(here))
        scope.body.append(ir.Iota(position, here))
        value: ir.Var | None = None
        for start, stop, piece in live:
            guard = ir.Guard(here, start, stop)
            self.guard_axes[guard] = term.index.axes()
            inner = self._term(piece, (*guards, guard))
            if value is None:
                value = inner
                continue
            edge = self._constant(start, position.dtype)
            test = ir.Var(np.dtype(np.bool_))
            chosen = ir.Var(term.dtype)
            scope.body.append(ir.Map(test, "ge", (position, edge)))
            scope.body.append(ir.Map(chosen, "select", (test, inner, value)))
            value = chosen
        assert value is not None
        scope.known[(term, guards)] = value


def _dtype_of(index: Affine) -> np.dtype:
    """What holds an index: 64 bits only where they may be needed, as some devices have 32."""
    wide = np.dtype(np.int64)
    if index.dynamics():
        return wide
    try:
        lo, hi = index.bounds()
        return np.dtype(np.int32) if lo >= -(1 << 31) and hi < 1 << 31 else wide
    except OpenExtentError:
        return wide
