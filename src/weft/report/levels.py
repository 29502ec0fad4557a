"""The levels that a function passes on its way to machine code, as text that knows its origin.

Each level is a list of `Item`s: a piece of text, the lines of the user's program that it belongs
to, and the kernels (numbered in the order in which they run) that compute it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

from weft.codegen.kernel_llvm import emit_kernel
from weft.codegen.llvm_text import Module
from weft.compile import Profiled, target_of
from weft.core.jaxpr import Eqn
from weft.core.print import Names, format_eqn
from weft.core.source import Source
from weft.kernels.ir import Kernel
from weft.kernels.print import print_kernel
from weft.kernels.program_print import print_program
from weft.report.origins import computed, launches_of, lines_of
from weft.runtime.native import emit_assembly
from weft.runtime.processors import target_cpu
from weft.structs import struct
from weft.terms.print import format_step
from weft.terms.region import Step

#: Levels, and what each shows.
TITLES = {
    "jaxpr": "operations, as traced",
    "terms": "arrays as functions on index spaces",
    "rewritten": "what rules made of the terms",
    "kernels": "loop nests",
    "program": "launches and memory",
    "llvm": "kernels as LLVM IR",
    "assembly": "instructions",
}


@struct(frozen=True)
class Item:
    """A piece of a level: its text, the lines it comes from, and its kernels."""

    text: str
    lines: tuple[Source, ...] = ()
    kernels: tuple[int, ...] = ()


class Levels(Mapping[str, str]):
    """The levels of a program by name, each made when it is asked for; `items_of` has the parts."""

    def __init__(self, subject: Profiled) -> None:
        self._subject = subject
        self._known: dict[str, tuple[Item, ...]] = {}

    def __getitem__(self, name: str) -> str:
        return "\n".join(item.text for item in self.items_of(name))

    def __iter__(self) -> Iterator[str]:
        return iter(TITLES)

    def __len__(self) -> int:
        return len(TITLES)

    def items_of(self, name: str) -> tuple[Item, ...]:
        """The parts of a level; KeyError for a name that is none."""
        if name not in self._known:
            if name not in TITLES:
                raise KeyError(name)
            self._known[name] = tuple(getattr(self, f"_{name}")())
        return self._known[name]

    @cached_property
    def kernels(self) -> list[Kernel]:
        """The kernel of each launch."""
        return [launch.kernel for launch in launches_of(self._subject.program)]

    @cached_property
    def _lines(self) -> list[tuple[Source, ...]]:
        return [lines_of(inside) for inside in computed(self._subject.record.regions)]

    def _jaxpr(self) -> Iterator[Item]:
        jaxpr, names = self._subject.closed.jaxpr, Names()
        for word, variables in (("constants", jaxpr.constvars), ("arguments", jaxpr.invars)):
            if variables:
                yield Item(f"{word} {' '.join(f'{names[v]}:{v.aval}' for v in variables)}")
        for eqn in jaxpr.eqns:
            yield Item(format_eqn(eqn, names), _line_of(eqn))

    def _terms(self) -> Iterator[Item]:
        lowered = self._subject.record.lowered
        steps = () if lowered is None else lowered.block.steps
        yield from map(_step_item, steps)

    def _rewritten(self) -> Iterator[Item]:
        regions = self._subject.record.regions
        owners: dict[Step, list[int]] = {}
        for number, inside in enumerate(computed(regions)):
            for step in inside:
                owners.setdefault(step, []).append(number)
        for region in regions:
            for step in region.chosen.steps:
                yield _step_item(step, tuple(owners.get(step, ())))

    def _kernels(self) -> Iterator[Item]:
        return self._each(print_kernel)

    def _program(self) -> Iterator[Item]:
        yield Item(print_program(self._subject.program, kernels=False))

    def _llvm(self) -> Iterator[Item]:
        return self._each(self._ir)

    def _assembly(self) -> Iterator[Item]:
        cpu = target_cpu()
        return self._each(lambda kernel: _instructions(emit_assembly(self._ir(kernel), cpu)))

    def _ir(self, kernel: Kernel) -> str:
        module, program = Module(), self._subject.program
        emit_kernel(module, kernel, target_of(target_cpu()), program.threads, program.sizes)
        return module.text()

    def _each(self, text: Callable[[Kernel], str]) -> Iterator[Item]:
        """An item for each kernel, with all of its launches."""
        launches: dict[Kernel, list[int]] = {}
        for number, kernel in enumerate(self.kernels):
            launches.setdefault(kernel, []).append(number)
        for kernel, numbers in launches.items():
            lines = dict.fromkeys(line for n in numbers for line in self._lines[n])
            yield Item(text(kernel), tuple(lines), tuple(numbers))


def _line_of(eqn: Eqn) -> tuple[Source, ...]:
    return () if eqn.source is None else (eqn.source,)


def _step_item(step: Step, kernels: tuple[int, ...] = ()) -> Item:
    source = step.source
    return Item(format_step(step), () if source is None else (source,), kernels)


def _instructions(assembly: str) -> str:
    """Instructions and labels; directives for the linker and debuggers are left out."""
    kept = []
    for line in assembly.splitlines():
        text = line.strip()
        if (text and not text.startswith((".", "#"))) or text.startswith(".LBB"):
            kept.append(line.replace("\t", "  "))
    return "\n".join(kept)


def all_lines(levels: Levels, names: Sequence[str]) -> list[Source]:
    """Every line that some item of these levels comes from, in the order of files and lines."""
    found: dict[Source, None] = {}
    for name in names:
        found.update(dict.fromkeys(line for item in levels.items_of(name) for line in item.lines))
    return sorted(found, key=lambda source: (source.file, source.line))
