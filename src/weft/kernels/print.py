"""Kernels as text that a person can read.

::

    kernel matmul(a: f32[6,8], b: f32[8,6] -> c: f32[6,6])  lanes j
      parallel i in 0:6
        t0 = const 0.0                                        f32 j:6
        t1 = serial k in 0:8 fold add carrying acc = t0       f32 j:6
          t2 = load a[i, k]                                   f32
          t3 = load b[k, j]                                   f32 j:6
          t4 = mul t2, t3                                     f32 j:6
          t5 = add acc, t4                                    f32 j:6
          next t5
        store c[i, j] = t1

A statement's right margin shows what it defines: dtype and tile axes.  Unnamed variables are
numbered in the order of their definition, and different axes or variables of one name are told
apart by a suffix, so that the text depends on the kernel alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from weft.core import dtypes
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Const,
    Fold,
    For,
    Guard,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    outputs_of,
    walk,
)
from weft.terms.affine import Affine, Atom, Axis, FloorDiv

#: Column of the margin that says what a statement defines.
_MARGIN = 64
_UNNAMED = re.compile(r"t\d+")


def print_kernel(kernel: Kernel) -> str:
    """The whole kernel as text; see the module docstring."""
    printer = Printer(kernel)
    lines = [printer.header()]
    for buffer in kernel.scratch:
        lines.append(f"  scratch {_declare(buffer)} {buffer.level}")
    lines.extend(f"  refused to {note}" for note in kernel.notes.get("refused", ()))
    lines.extend(printer.body(kernel.body, 1))
    return "\n".join(lines)


class Printer:
    """Names for everything in one kernel, and the text of its parts."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._names: dict[Var | Axis, str] = {}
        self._taken: dict[str, int] = {}
        self._unnamed = 0
        self._name_all(kernel.body)

    # -- names -------------------------------------------------------------------------------------

    def _name_all(self, body: list[Stmt]) -> None:
        for stmt in walk(body):
            if isinstance(stmt, For):
                self.axis(stmt.axis)
                for c in stmt.carries:
                    self.var(c.result)
                    self.var(c.var)
                continue
            for out in outputs_of(stmt):
                self.var(out)

    def var(self, var: Var) -> str:
        """The printed name of a variable."""
        if var not in self._names:
            if _UNNAMED.fullmatch(var.name):
                self._names[var] = f"t{self._unnamed}"
                self._unnamed += 1
            else:
                self._names[var] = self._fresh(var.name)
        return self._names[var]

    def axis(self, axis: Axis) -> str:
        """The printed name of an axis."""
        if axis not in self._names:
            self._names[axis] = self._fresh(axis.name)
        return self._names[axis]

    def _fresh(self, name: str) -> str:
        count = self._taken.get(name, 0)
        self._taken[name] = count + 1
        return f"{name}_{count}" if count else name

    # -- expressions -------------------------------------------------------------------------------

    def affine(self, expr: Affine) -> str:
        """An index expression, in the printed names."""
        parts: list[str] = []
        for atom, k in expr.terms:
            name = self._atom(atom)
            if abs(k) != 1:
                name = f"{abs(k)}*({name})" if isinstance(atom, FloorDiv) else f"{abs(k)}*{name}"
            parts.append(("-" if k < 0 else "+" if parts else "") + name)
        if expr.const != 0 or not parts:
            parts.append(f"{expr.const:+d}" if parts else str(expr.const))
        return "".join(parts)

    def _atom(self, atom: Atom) -> str:
        if isinstance(atom, Axis):
            return self.axis(atom)
        if isinstance(atom, FloorDiv):
            inner = self.affine(atom.numerator)
            return f"{inner if inner.isidentifier() else f'({inner})'}//{atom.divisor}"
        return f"clamp({self.var(atom.source)}, {atom.lo}, {atom.hi})"

    def place(self, buffer: Buffer, index: Sequence[Affine]) -> str:
        """``buffer[index]``."""
        return f"{buffer.name}[{', '.join(self.affine(i) for i in index)}]"

    def _guards(self, guards: Iterable[Guard], predicate: Var | None = None) -> str:
        parts = [f"{g.lo} <= {self.affine(g.expr)} < {g.hi}" for g in guards]
        if predicate is not None:
            parts.append(self.var(predicate))
        return f" where {' and '.join(parts)}" if parts else ""

    # -- statements --------------------------------------------------------------------------------

    def header(self) -> str:
        """The line that names the kernel, its parameters and its lane axes."""
        inputs = [_declare(b) for b in self.kernel.params if b.role == "input"]
        outputs = [
            ("inout " if b.role == "inout" else "") + _declare(b)
            for b in self.kernel.params
            if b.role != "input"
        ]
        lanes = sorted(self.kernel.lanes, key=lambda a: a.serial)
        used = [self._names[a] for a in lanes if a in self._names]
        used += [self.axis(a) for a in lanes if a not in self._names]
        tail = f"  lanes {', '.join(dict.fromkeys(used))}" if lanes else ""
        arrow = f"{', '.join(inputs)} -> " if inputs else "-> "
        return f"kernel {self.kernel.name}({arrow}{', '.join(outputs)}){tail}"

    def body(self, body: list[Stmt], depth: int) -> list[str]:
        """The lines of a body."""
        lines: list[str] = []
        for stmt in body:
            lines.append(self._lay_out(stmt, depth))
            if isinstance(stmt, For):
                lines.extend(self.body(stmt.body, depth + 1))
                if stmt.carries:
                    updates = ", ".join(self.var(c.update) for c in stmt.carries)
                    lines.append("  " * (depth + 1) + f"next {updates}")
        return lines

    def _lay_out(self, stmt: Stmt, depth: int) -> str:
        text = "  " * depth + self.statement(stmt)
        outs = outputs_of(stmt)
        if not outs:
            return text
        return f"{text:<{_MARGIN - 2}}  {', '.join(dict.fromkeys(self._type(v) for v in outs))}"

    def _type(self, var: Var) -> str:
        return " ".join(
            [dtypes.short_name(var.dtype), *(f"{self.axis(a)}:{a.extent}" for a in var.axes)]
        )

    def statement(self, stmt: Stmt) -> str:
        """One statement (of a loop, its first line), without what it defines."""
        if isinstance(stmt, Store):
            stream = "stream " if stmt.streaming else ""
            where = self._guards(stmt.guards, stmt.predicate)
            place = self.place(stmt.buffer, stmt.index)
            return f"{stream}store {place} = {self.var(stmt.value)}{where}"
        if isinstance(stmt, Barrier):
            return "barrier"
        outs = ", ".join(self.var(v) for v in outputs_of(stmt))
        return (f"{outs} = " if outs else "") + self._right(stmt)

    def _right(self, stmt: Stmt) -> str:
        if isinstance(stmt, Const):
            return f"const {stmt.value}"
        if isinstance(stmt, Iota):
            return f"index {self.affine(stmt.expr)}"
        if isinstance(stmt, Load):
            stream = "stream " if stmt.streaming else ""
            return f"{stream}load {self.place(stmt.buffer, stmt.index)}{self._guards(stmt.guards)}"
        if isinstance(stmt, Map):
            return f"{stmt.op} {', '.join(self.var(a) for a in stmt.args)}"
        if isinstance(stmt, Fold):
            args = ", ".join(self.var(a) for a in stmt.args)
            return f"fold {stmt.monoid} {args} over {', '.join(self.axis(a) for a in stmt.over)}"
        if isinstance(stmt, For):
            return self._loop(stmt)
        raise TypeError(f"unknown statement {type(stmt).__name__}")

    def _loop(self, stmt: For) -> str:
        step = f":{stmt.step}" if stmt.step != 1 else ""
        text = f"{stmt.kind} {self.axis(stmt.axis)} in {stmt.lo}:{stmt.hi}{step}"
        text += self._guards(stmt.where)
        if stmt.unless:
            text += f" unless{self._guards(stmt.unless).removeprefix(' where')}"
        if stmt.fold is not None:
            text += f" fold {stmt.fold}"
        if stmt.unit is not None:
            text += f" on {stmt.unit.name}"
        if stmt.carries:
            pairs = ", ".join(f"{self.var(c.var)} = {self.var(c.init)}" for c in stmt.carries)
            text += f" carrying {pairs}"
        return text


def _declare(buffer: Buffer) -> str:
    dims = ",".join(map(str, buffer.shape))
    text = f"{buffer.name}: {dtypes.short_name(buffer.dtype)}[{dims}]"
    if buffer.strides is not None:
        text += f" strides [{','.join(map(str, buffer.strides))}]"
    return text
