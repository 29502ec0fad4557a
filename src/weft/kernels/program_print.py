"""Programs as text::

    program(x: f32[8] -> y: f32[8])  arena 128 bytes
      temporary n: i32[] at 0
      temporary t: f32[8] at 64
      copy t = x
      for 10 counting n
        launch step(t -> u)
        swap t, u
      copy y = t

The kernels' own text follows, each kernel once.
"""

from __future__ import annotations

from weft.core import dtypes
from weft.core.deep import deep
from weft.kernels.ir import Kernel
from weft.kernels.print import print_kernel
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
    walk_steps,
)


def print_program(program: Program, kernels: bool = True) -> str:
    """The program as text; with ``kernels``, followed by the text of each."""
    ins = ", ".join(_declare(s) for s in program.inputs)
    outs = ", ".join(_declare(s) for s in program.outputs)
    arrow = f"{ins} -> " if ins else "-> "
    arena = f"  arena {program.arena_bytes} bytes" if program.arena_bytes else ""
    lines = [f"program({arrow}{outs}){arena}"]
    lines += [f"  constant {_declare(s)}" for s in program.constants]
    for slot in program.temporaries:
        place = "" if slot.offset is None else f" at {slot.offset}"
        lines.append(f"  temporary {_declare(slot)}{place}")
    names = _kernel_names(program)
    _steps(program.steps, 1, lines, names)
    if kernels:
        for kernel, name in names.items():
            lines += ["", print_kernel(kernel.evolve(name=name))]
    return "\n".join(lines)


def print_step(step: Step) -> str:
    """The first line of a step."""
    return _line(step, {})


def _declare(slot: Slot) -> str:
    dims = ",".join(map(str, slot.shape))
    return f"{slot.name}: {dtypes.short_name(slot.dtype)}[{dims}]"


def _kernel_names(program: Program) -> dict[Kernel, str]:
    """A name of its own for every kernel."""
    names: dict[Kernel, str] = {}
    taken: dict[str, int] = {}
    for step in walk_steps(program.steps):
        if isinstance(step, Launch) and step.kernel not in names:
            count = taken.get(step.kernel.name, 0)
            taken[step.kernel.name] = count + 1
            names[step.kernel] = f"{step.kernel.name}_{count}" if count else step.kernel.name
    return names


@deep
def _steps(steps: list[Step], depth: int, lines: list[str], names: dict[Kernel, str]) -> None:
    pad = "  " * depth
    for step in steps:
        lines.append(pad + _line(step, names))
        if isinstance(step, For):
            _steps(step.body, depth + 1, lines, names)
        elif isinstance(step, While):
            _steps(step.condition, depth + 1, lines, names)
            lines.append(pad + "do")
            _steps(step.body, depth + 1, lines, names)
        elif isinstance(step, If):
            for n, block in enumerate(step.branches):
                lines.append(f"{pad}case {n}")
                _steps(block, depth + 1, lines, names)


def _line(step: Step, names: dict[Kernel, str]) -> str:
    if isinstance(step, Launch):
        return f"launch {names.get(step.kernel, step.kernel.name)}({_arguments(step)})"
    if isinstance(step, Copy):
        return f"copy {step.target} = {step.source}"
    if isinstance(step, Swap):
        return f"swap {step.a}, {step.b}"
    if isinstance(step, For):
        return f"for {step.length} counting {step.counter}"
    if isinstance(step, While):
        return f"while {step.predicate}, computed by"
    if isinstance(step, If):
        return f"if {step.index}"
    if isinstance(step, Routine):
        ins, outs = (", ".join(map(str, x)) for x in (step.inputs, step.outputs))
        return f"routine {step.name}({ins} -> {outs})"
    raise TypeError(f"unknown step {type(step).__name__}")


def _arguments(step: Launch) -> str:
    pairs = list(zip(step.kernel.params, step.slots, strict=True))
    ins = ", ".join(s.name for b, s in pairs if b.role == "input")
    outs = ", ".join(
        ("inout " if b.role == "inout" else "") + s.name for b, s in pairs if b.role != "input"
    )
    text = f"{ins} -> {outs}" if ins else f"-> {outs}"
    return text + (f"; {', '.join(s.name for s in step.scratch)}" if step.scratch else "")
