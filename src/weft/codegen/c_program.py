"""Programs to C99: one function that runs the kernels, loops and copies of a program.

``int name(inputs…, outputs…)`` returns 0, or 1 if there is no memory for temporaries, which it
takes for itself. Arrays are contiguous; a complex number is two reals, a boolean one byte.
Everything else is static, and nothing is needed but the standard library.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from weft.codegen import c
from weft.codegen.c_scalar import KEYWORDS, TYPES
from weft.codegen.clike import KernelText
from weft.core.dtypes import stored_dtype
from weft.kernels.ir import Kernel
from weft.kernels.program import (
    Copy,
    For,
    If,
    Launch,
    Program,
    Routine,
    Slot,
    Step,
    Swap,
    While,
    placed_scratch,
)

#: Literals on a line of a table.
PER_LINE = 8


def element_type(dtype: np.dtype) -> str:
    """The C type of what an array of ``dtype`` consists of; ``TypeError`` if C has none."""
    dtype = stored_dtype(dtype)
    real = np.empty(0, dtype).real.dtype
    if real.name not in TYPES:
        raise TypeError(f"the C code generator has no scalars of dtype {dtype.name}")
    return TYPES[real.name]


def signature(program: Program, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """The declaration of the function, without a semicolon."""
    pairs = [*zip(program.inputs, inputs, strict=True), *zip(program.outputs, outputs, strict=True)]
    parameters = [
        f"{'const ' if slot.role == 'input' else ''}{element_type(slot.dtype)} *{parameter}"
        for slot, parameter in pairs
    ]
    return f"int {name}({', '.join(parameters) or 'void'})"


def emit_program(program: Program, name: str, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    """C99 of a program that was planned for one thread; names are of the function's parameters.

    Raises ``TypeError`` for operations and dtypes that C has no code for, and for routines, which
    are code of other libraries or of the host.
    """
    return _Program(program, name, inputs, outputs).text()


class _Program:
    def __init__(
        self, program: Program, name: str, inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        self.program = program
        self.opening = signature(program, name, inputs, outputs)
        self.lines: list[str] = []
        self.kernels: dict[Kernel, KernelText] = {}
        self.used: set[Slot] = set()
        self.names: dict[Slot, str] = dict(zip(program.inputs, inputs, strict=True))
        self.names |= dict(zip(program.outputs, outputs, strict=True))
        for n, slot in enumerate(program.constants):
            self.names[slot] = f"c{n}_"
        for n, slot in enumerate(program.temporaries):
            self.names[slot] = f"t{n}_"

    def text(self) -> str:
        self.steps(self.program.steps, 1)
        parts = [c.HEADER, "#include <stdlib.h>\n"]
        parts += [self.constant(slot) for slot in self.program.constants]
        parts += [f"static {kernel.text}" for kernel in self.kernels.values()]
        parts.append(
            "\n".join([self.opening, "{", *self.memory(), *self.lines, *self.end(), "}\n"])
        )
        return "\n".join(parts)

    def constant(self, slot: Slot) -> str:
        data = np.ascontiguousarray(slot.data)
        data = data.view(np.empty(0, data.dtype).real.dtype).reshape(-1)
        items = [c.literal(x, data.dtype) for x in data] or ["0"]
        rows = [
            "  " + ", ".join(items[n : n + PER_LINE]) + "," for n in range(0, len(items), PER_LINE)
        ]
        kind = element_type(slot.dtype)
        return "\n".join([f"static const {kind} {self.names[slot]}[] = {{", *rows, "};\n"])

    def memory(self) -> list[str]:
        """Pointers to temporaries, which swap their places in loops."""
        if not self.program.arena_bytes:
            return []
        text = [
            f"  char *arena_ = malloc({self.program.arena_bytes});",
            "  if (!arena_) return 1;",
        ]
        for slot in self.program.temporaries:
            if slot in self.used:
                kind, name = element_type(slot.dtype), self.names[slot]
                text.append(f"  {kind} *{name} = ({kind} *)(arena_ + {slot.offset});")
        return text

    def at(self, slot: Slot) -> str:
        """The pointer to a slot."""
        self.used.add(slot)
        return self.names[slot]

    def end(self) -> list[str]:
        return [*(["  free(arena_);"] if self.program.arena_bytes else []), "  return 0;"]

    def steps(self, steps: Sequence[Step], depth: int) -> None:
        for step in steps:
            self.step(step, depth)

    def line(self, depth: int, text: str) -> None:
        self.lines.append("  " * depth + text)

    def step(self, step: Step, depth: int) -> None:
        if isinstance(step, Launch):
            self.line(depth, self.launch(step))
        elif isinstance(step, Copy):
            target, source = self.at(step.target), self.at(step.source)
            self.line(depth, f"memmove({target}, {source}, {step.source.nbytes});")
        elif isinstance(step, Swap):
            a, b = self.at(step.a), self.at(step.b)
            self.line(depth, f"{{ void *s_ = {a}; {a} = {b}; {b} = s_; }}")
        elif isinstance(step, For):
            i = f"i{depth}_"
            self.line(depth, f"for (int {i} = 0; {i} < {step.length}; {i}++) {{")
            self.line(depth + 1, f"*{self.at(step.counter)} = {i};")
            self.steps(step.body, depth + 1)
            self.line(depth, "}")
        elif isinstance(step, While):
            self.line(depth, "for (;;) {")
            self.steps(step.condition, depth + 1)
            self.line(depth + 1, f"if (!*{self.at(step.predicate)}) break;")
            self.steps(step.body, depth + 1)
            self.line(depth, "}")
        elif isinstance(step, If):
            last = len(step.branches) - 1
            for n, branch in enumerate(step.branches):
                test = f"if (*{self.at(step.index)} <= {n}) " if n < last else ""
                self.line(depth, f"{'} else ' if n else ''}{test}{{")
                self.steps(branch, depth + 1)
            self.line(depth, "}")
        else:
            raise self.refused(step)

    def launch(self, step: Launch) -> str:
        kernel = step.kernel
        if kernel not in self.kernels:
            named = kernel.evolve(name=f"{len(self.kernels)}_{kernel.name}")
            self.kernels[kernel] = c.emit_kernel(named)
        text = self.kernels[kernel]
        scratch = dict(zip(placed_scratch(kernel), step.scratch, strict=True))
        shared = [scratch[b] for b in text.arguments[len(kernel.params) :]]
        return f"{text.symbol}({', '.join(map(self.at, (*step.slots, *shared)))});"

    def refused(self, step: Routine) -> TypeError:
        return TypeError(
            f"the program calls {step.name!r}, code of another library or of the host, which C "
            "text cannot hold: export what comes before and after it"
        )


def reserved() -> frozenset[str]:
    """Words that no parameter may be."""
    return KEYWORDS | {"arena_", "s_", "free", "malloc", "memmove", "size_t", "NULL"}
