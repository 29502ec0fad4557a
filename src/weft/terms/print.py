"""Programs of terms as text.

One line for each definition, in the notation of index-space algebra::

    f32 v3[i:5, j:6] = sum[r:7] v1[i,r] * v2[r,j]

Subterms that are used several times are named ``t0``, ``t1``, … on lines of their own, so that the
text of a term is never longer than its graph. Axes of one name are told apart by numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from weft.core.deep import deep
from weft.core.dtypes import short_name
from weft.terms.affine import Affine, Axis, Dynamic, FloorDiv
from weft.terms.region import Block, Call, Carry, Def, For, If, Program, Scatter, Step, While
from weft.terms.term import (
    Const,
    Fold,
    Fuse,
    Index,
    Load,
    Map,
    Proj,
    Scan,
    Term,
    Value,
    postorder,
)

#: Operators with their precedences: a higher one binds more tightly.
_INFIX = {
    "or": ("|", 2),
    "xor": ("^", 3),
    "and": ("&", 4),
    "eq": ("==", 5),
    "ne": ("!=", 5),
    "lt": ("<", 5),
    "le": ("<=", 5),
    "gt": (">", 5),
    "ge": (">=", 5),
    "shift_left": ("<<", 6),
    "shift_right_logical": (">>>", 6),
    "shift_right_arithmetic": (">>", 6),
    "add": ("+", 7),
    "sub": ("-", 7),
    "mul": ("*", 8),
    "div": ("/", 8),
    "rem": ("%", 8),
}
_UNARY, _ATOM, _OPEN = 9, 10, 1  # a fold's body reaches as far right as it can
_FOLDS = {"add": "sum", "mul": "prod", "and": "all", "or": "any"}

_Text = tuple[str, int]  # text and the precedence of its outermost operator


class _Printer:
    """Names of axes and of shared subterms within one definition."""

    def __init__(self, axes: Iterable[Axis] = ()) -> None:
        self.names: dict[Axis, str] = {}
        self.texts: dict[Term, _Text] = {}
        self.shared: list[str] = []
        for axis in axes:
            self.axis(axis)

    def axis(self, axis: Axis) -> str:
        """The name of an axis, made different from those of all others."""
        name = self.names.get(axis)
        if name is None:
            taken = set(self.names.values())
            name, count = axis.name, 1
            while name in taken:
                name = f"{axis.name}{count}"
                count += 1
            self.names[axis] = name
        return name

    def extents(self, axes: Sequence[Axis]) -> str:
        return ", ".join(f"{self.axis(a)}:{a.extent}" for a in axes)

    def term(self, root: Term) -> str:
        """The text of a term; names what it uses more than once."""
        order = postorder(root)
        uses: dict[Term, int] = {}
        for t in order:
            for child in t.children:
                uses[child] = uses.get(child, 0) + 1
        for t in order:
            if t in self.texts:
                continue
            text = self._format(t)
            if uses.get(t, 0) > 1 and not isinstance(t, Const | Load | Index):
                name = f"t{len(self.shared)}"
                self.shared.append(f"{name} = {text[0]}")
                text = (name, _ATOM)
            self.texts[t] = text
        return self.texts[root][0]

    def inside(self, t: Term, precedence: int) -> str:
        text, own = self.texts[t]
        return text if own >= precedence else f"({text})"

    def _format(self, t: Term) -> _Text:
        if isinstance(t, Const):
            return _constant(t), _ATOM
        if isinstance(t, Index):
            return f"{short_name(t.dtype)}({self.affine(t.expr)})", _ATOM
        if isinstance(t, Load):
            return self.element(t.value, t.index), _ATOM
        if isinstance(t, Map):
            return self._map(t)
        if isinstance(t, Fold):
            name = _FOLDS.get(t.monoid.name, t.monoid.name)
            return f"{name}[{self.extents(t.over)}] {self._bodies(t.bodies)}", _OPEN
        if isinstance(t, Scan):
            where = f"{self.extents((t.over,))} <= {self.affine(t.upto)}"
            return f"scan {t.monoid.name}[{where}] {self._bodies(t.bodies)}", _OPEN
        if isinstance(t, Proj):
            return f"{self.inside(t.fold, _ATOM)}.{t.position}", _ATOM
        if isinstance(t, Fuse):
            index = self.affine(t.index)
            pieces = (f"{lo}:{hi} -> {self.texts[p][0]}" for lo, hi, p in t.pieces)
            return f"{{{index} in {'; '.join(pieces)}}}", _ATOM
        raise TypeError(f"unknown term {type(t).__name__}")

    def _bodies(self, bodies: Sequence[Term]) -> str:
        if len(bodies) == 1:
            return self.inside(bodies[0], _OPEN)
        return f"({', '.join(self.texts[b][0] for b in bodies)})"

    def _map(self, t: Map) -> _Text:
        if t.op in _INFIX and len(t.args) == 2:
            sign, level = _INFIX[t.op]
            left, right = t.args
            return f"{self.inside(left, level)} {sign} {self.inside(right, level + 1)}", level
        if t.op == "neg":
            return f"-{self.inside(t.args[0], _UNARY)}", _UNARY
        if t.op == "not":
            return f"~{self.inside(t.args[0], _UNARY)}", _UNARY
        args = ", ".join(self.texts[a][0] for a in t.args)
        if t.op == "cast":
            return f"{short_name(t.dtype)}({args})", _ATOM
        if t.op == "bitcast":
            return f"bits_{short_name(t.dtype)}({args})", _ATOM
        return f"{'where' if t.op == 'select' else t.op}({args})", _ATOM

    def element(self, value: Value, index: Sequence[Affine]) -> str:
        return f"{value.name}[{','.join(map(self.affine, index))}]" if index else value.name

    def affine(self, expr: Affine) -> str:
        """An index expression; divisions and dynamic indices are shown in full."""
        parts: list[str] = []
        for atom, k in expr.terms:
            name = self._atom(atom)
            body = name if abs(k) == 1 else f"{abs(k)}*{name}"
            parts.append(("-" if k < 0 else "+" if parts else "") + body)
        if expr.const != 0 or not parts:
            parts.append(f"{expr.const:+d}" if parts else str(expr.const))
        return "".join(parts)

    def _atom(self, atom: Any) -> str:
        if isinstance(atom, Axis):
            return self.axis(atom)
        if isinstance(atom, FloorDiv):
            inner = self.affine(atom.numerator)
            if len(atom.numerator.terms) > 1 or atom.numerator.const != 0:
                inner = f"({inner})"
            return f"({inner}//{atom.divisor})"
        assert isinstance(atom, Dynamic)
        source = atom.source
        text = self.texts[source][0] if isinstance(source, Term) else str(source)
        return f"clip({text}, {atom.lo}, {atom.hi})"


def _constant(t: Const) -> str:
    if t.dtype == np.bool_:
        return "true" if t.value else "false"
    if t.dtype.kind in "iu":
        return str(int(t.value))
    return str(t.value)


def format_term(term: Term) -> str:
    """A term on one line, shared subterms after ``where``."""
    printer = _Printer(sorted(term.axes, key=lambda a: a.serial))
    text = printer.term(term)
    return f"{text} where {', '.join(printer.shared)}" if printer.shared else text


def type_of(value: Value) -> str:
    """``f32[3,4]``, as the jaxpr printer writes types."""
    return f"{short_name(value.dtype)}[{','.join(map(str, value.shape))}]"


def format_program(program: Program) -> str:
    """The whole program: its inputs, constants, steps and outputs."""
    inputs = ", ".join(f"{v.name}:{type_of(v)}" for v in program.inputs)
    lines = [f"program({inputs})"]
    lines += [f"  constant {v.name}:{type_of(v)}" for v in program.constants]
    lines += [f"  chose {choice}" for choice in program.choices]
    lines += _block(program.block, "  ")
    lines.append(f"  return {', '.join(v.name for v in program.outputs)}")
    return "\n".join(lines)


def format_step(step: Step, indent: str = "") -> str:
    """One step; loops and branches with their blocks."""
    return "\n".join(_step(step, indent))


@deep
def _block(block: Block, indent: str) -> list[str]:
    return [line for step in block.steps for line in _step(step, indent)]


def _step(step: Step, indent: str) -> list[str]:
    if isinstance(step, Def):
        return [indent + line for line in _definition(step)]
    if isinstance(step, Scatter):
        return [indent + line for line in _scatter(step)]
    deeper = indent + "  "
    if isinstance(step, For):
        head = f"{indent}for {step.counter.name} in {step.length}{_carries(step.carries)}:"
        return [head, *_block(step.body, deeper), *_next(step.carries, deeper)]
    if isinstance(step, While):
        return [
            f"{indent}while{_carries(step.carries)}:",
            *_block(step.condition, deeper),
            f"{indent}does {step.predicate.name}:",
            *_block(step.body, deeper),
            *_next(step.carries, deeper),
        ]
    if isinstance(step, If):
        results = ", ".join(f"{v.name}:{type_of(v)}" for v in step.results)
        lines = [f"{indent}{results} = switch {step.index.name}:"]
        for k, (block, outputs) in enumerate(zip(step.branches, step.outputs, strict=True)):
            lines += [f"{indent}case {k}:", *_block(block, deeper)]
            lines.append(f"{deeper}give {', '.join(v.name for v in outputs)}")
        return lines
    if isinstance(step, Call):
        written = ", ".join(f"{v.name}:{type_of(v)}" for v in step.outputs)
        read = ", ".join(v.name for v in step.inputs)
        return [f"{indent}{written} = call {step.routine}({read})"]
    raise TypeError(f"unknown step {type(step).__name__}")


def _carries(carries: Sequence[Carry]) -> str:
    if not carries:
        return ""
    return " carrying " + ", ".join(
        f"{c.result.name} = {c.entry.name}:{type_of(c.entry)} from {c.init.name}" for c in carries
    )


def _next(carries: Sequence[Carry], indent: str) -> list[str]:
    changed = [f"{c.entry.name} <- {c.exit.name}" for c in carries if c.exit is not c.entry]
    return [f"{indent}next {', '.join(changed)}"] if changed else []


def _definition(step: Def) -> list[str]:
    printer = _Printer(step.axes)
    text = printer.term(step.term)
    target = f"[{printer.extents(step.axes)}]" if step.axes else ""
    head = f"{short_name(step.value.dtype)} {step.value.name}{target} = {text}"
    return [head, *(f"  where {line}" for line in printer.shared)]


def _scatter(step: Scatter) -> list[str]:
    printer = _Printer(step.axes)
    for e in step.index:
        for d in e.dynamics():
            printer.term(d.source)
    sign = "=" if step.combine == "set" else f"{step.combine}="
    update = printer.term(step.update)
    text = f"{printer.element(step.value, step.index)} {sign} {update}"
    if step.guard is not None:
        text += f" if {printer.term(step.guard)}"
    over = f" for {printer.extents(step.axes)}" if step.axes else ""
    kind = short_name(step.value.dtype)
    unique = " unique" if step.unique else ""
    head = f"{kind} {step.value.name} = {step.operand.name} with{unique} {text}{over}"
    return [head, *(f"  where {line}" for line in printer.shared)]
