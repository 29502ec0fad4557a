"""The whole pipeline, as one list of passes::

    ClosedJaxpr ─lower→ terms ─saturate→ terms ─plan→ kernels ─place→ program
        ─emit→ LLVM IR ─compile→ object ─link→ Executable

`compile_jaxpr` runs it; each pass is one function of the level it produces.  ``weft.config.dump``
prints any level on the way.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.config import DUMP_LEVELS, config
from weft.core.collector import collector_paused
from weft.core.extents import OpenExtentError, Size, extent_at, typical
from weft.core.jaxpr import ClosedJaxpr
from weft.core.shape_classes import WORKING_SETS, Family, NoClassError, ShapeClass, sizes_at
from weft.dumps import dump, printed_kernels, printed_program, printed_steps, printed_terms
from weft.executable import Executable, Stats
from weft.kernels.machine import Machine
from weft.kernels.program import Program, Routine
from weft.machines import machine_of, target_machine
from weft.planning import Record, Stopwatch, launches, plan_program
from weft.runtime.buffer import Buffer
from weft.runtime.callback import HostRoutine
from weft.runtime.executable import NativeProgram
from weft.runtime.record import ProgramRecord
from weft.runtime.stamps import StampedProgram
from weft.structs import struct

if TYPE_CHECKING:
    from weft.codegen.scalar_llvm import Target
    from weft.runtime.native import CPU
    from weft.tuning import Tuner


@struct
class Compilations:
    """How many programs have been compiled since Weft was imported."""

    count: int = 0


compiled = Compilations()


@struct(frozen=True, eq=False)
class Profiled:
    """What a program with time stamps was made of: its steps, how they came about, and for what
    machine.

    In a program for a class of shapes, ``closed`` and ``program`` are those of the shapes it runs.
    Of one that is timed as a ``whole``, it has one step.
    """

    closed: ClosedJaxpr
    program: Program
    record: Record
    machine: Machine
    whole: bool = False


class OpenProgram:
    """A compiled program for a class of shapes (`weft.core.shape_classes`).

    `at` makes the executable for one shape of the class: nothing is compiled. If it is a draft,
    `finish` makes the code again to run faster, of the same ``modules``.
    """

    def __init__(
        self,
        family: Family,
        program: Program,
        native: NativeProgram,
        stats: Stats,
        modules: Sequence[str] = (),
        record: Record | None = None,
    ) -> None:
        self.record = record
        self.family = family
        self.program = program
        self.native = native
        self.stats = stats
        self._modules = tuple(modules)

    def finish(self) -> None:
        """Turns a draft into what it would be otherwise, for executables made from now on."""
        modules = self._modules
        if not self.stats.draft or not modules:
            return
        from weft.runtime.compilation import Compilation
        from weft.runtime.processors import target_cpu

        compilation = Compilation(target_cpu())
        for text in modules[:-1]:
            compilation.add(text)
        stats = replace(self.stats, passes=dict(self.stats.passes), draft=False)
        objects = _timed(stats, "finish", lambda: compilation.finish(modules[-1]))
        self.native = native_record(self.program, objects).link()
        self.stats, self._modules = stats, ()

    def at(self, instance: ShapeClass) -> Executable:
        """The executable of a program whose class has the key of this one's family."""
        from weft.codegen.stamps_llvm import stamped_steps
        from weft.kernels.instantiate import instantiate_program
        from weft.kernels.program_check import check_program

        values = self.family.values_of(instance)
        sizes = sizes_at(self.family.sizes, values)
        if config.check:
            check_program(instantiate_program(self.program, sizes))
        table = Buffer.adopt(np.array(values, np.int64))
        closed = instance.closed
        native = self.native.resized(
            input_nbytes=[a.nbytes for a in closed.in_avals],
            output_nbytes=[a.nbytes for a in closed.out_avals],
            constants=[table, *self.native.constants],
            arena_nbytes=extent_at(self.program.arena_bytes, sizes),
        )
        if self.record is not None:
            program = instantiate_program(self.program, sizes)
            subject = Profiled(closed, program, self.record, target_machine())
            native = StampedProgram.of(native, len(stamped_steps(program)), subject)
        return Executable(closed, native, self.stats, program=self.program)


def compile_jaxpr(
    closed: ClosedJaxpr,
    donated: Sequence[int] = (),
    store: Callable[[ProgramRecord], None] | None = None,
    record: Record | None = None,
    tune: bool = False,
    hasty: bool = False,
    draft: bool = False,
    stamped: bool = False,
) -> Executable:
    """Compile ``closed`` for this CPU, or what ``weft.config.cpu`` leaves of it.

    ``donated`` are the positions of arguments whose memory the results may take over. ``store``
    is given what another process needs to run the same program; ``record`` is told what is done.
    With ``tune`` the likeliest schedules are timed. A ``hasty`` program is for few runs, and its
    ``draft`` is made even sooner and runs slower, with the same results. A ``stamped`` one takes
    the time of its steps, as all do under ``weft.config.profiled``, where no drafts are made.
    """
    stamped = stamped or config.profiled
    if stamped:
        record, draft = record or Record(), False
    program, stored, native, stats, _ = _compiled(
        closed, record=record, tune=tune, hasty=hasty, draft=draft, stamped=stamped
    )
    if stamped:
        from weft.codegen.stamps_llvm import stamped_steps

        assert record is not None
        subject = Profiled(closed, program, record, target_machine())
        native = StampedProgram.of(native, len(stamped_steps(program)), subject)
    if donated:
        from weft.kernels.donation import reuse

        stored.reuse = reuse(program, donated)
    if store is not None:
        store(stored)
    return Executable(closed, native, stats, donated, stored.reuse, program, hasty=hasty)


def compile_family(family: Family, *, draft: bool = False) -> OpenProgram:
    """Compile a program for all shapes of a class: as a ``draft`` where all of them are small.

    Raises `NoClassError` where the compiler needs to know more than the class says.
    """
    sizes = tuple(family.sizes.sizes)
    record = Record() if config.profiled else None
    draft = draft and record is None and not _some_are_large(sizes)
    try:
        program, _, native, stats, modules = _compiled(
            family.closed, sizes, record, hasty=True, draft=draft, stamped=record is not None
        )
    except OpenExtentError as why:
        raise NoClassError("the compiler needs to know an extent") from why
    return OpenProgram(family, program, native, stats, modules if draft else (), record)


def _compiled(
    closed: ClosedJaxpr,
    sizes: tuple[Size, ...] = (),
    record: Record | None = None,
    tune: bool = False,
    hasty: bool = False,
    draft: bool = False,
    stamped: bool = False,
) -> tuple[Program, ProgramRecord, NativeProgram, Stats, list[str]]:
    # Imported while LLVM, which knows the processor, is being loaded (`weft.runtime.ahead`).
    import weft.kernels.plan
    import weft.saturate.saturate  # noqa: F401
    from weft.codegen import program_llvm
    from weft.runtime.compilation import Compilation
    from weft.runtime.processors import target_cpu

    stats = Stats(draft=draft)
    cpu = target_cpu()
    compilation = Compilation(cpu, draft=draft)
    emitter = program_llvm.Emitter(target_of(cpu), config.threads, sizes, compilation.add, stamped)
    early = Stopwatch()
    # What is printed is one module, without stamps.
    shown = not stamped and ("llvm" in config.dump or "assembly" in config.dump)
    # Nothing else is compiled while schedules are timed.
    emit = None if shown or tune else early.timing(emitter.kernel)
    with collector_paused(), _picker(cpu, tune) as picker:
        program = _timed(
            stats, "plan", lambda: plan_program(closed, cpu, record, emit, picker, hasty=hasty)
        )
        program.sizes = sizes
        finish = (lambda: emit_llvm(program, cpu)) if shown else (lambda: emitter.finish(program))
        text = _timed(stats, "codegen", finish)
    stats.passes["plan"] -= early.seconds
    stats.passes["codegen"] += early.seconds
    objects = _timed(stats, "llvm", lambda: compilation.finish(text))
    stored = native_record(program, objects)
    stored.stamped = stamped
    native = _timed(stats, "link", stored.link)
    compiled.count += 1
    kernels = {s.kernel for s in launches(program)}
    stats.kernels = stored.kernels = len(kernels)
    stats.refused = stored.refused = sum(len(k.notes.get("refused", ())) for k in kernels)
    stats.arena_bytes = program.arena_bytes
    return program, stored, native, stats, compilation.texts


def _picker(cpu: CPU, tune: bool) -> AbstractContextManager[Tuner | None]:
    """Who chooses among schedules, if not prices."""
    if not tune:
        return nullcontext()
    from weft.tuning import Tuner

    return Tuner(cpu)


def _timed(stats: Stats, name: str, run: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    result = run()
    stats.passes[name] = time.perf_counter() - start
    return result


def level_text(closed: ClosedJaxpr, level: str) -> str:
    """A level of ``weft.config.dump`` as text, for this CPU; nothing is compiled.

    Raises ValueError for other names, and for ``"kernels"``, which planning does not keep.
    """
    from weft.runtime.native import emit_assembly
    from weft.runtime.processors import target_cpu
    from weft.terms.lower import lower_jaxpr

    levels = [name for name in DUMP_LEVELS if name != "kernels"]
    if level not in levels:
        raise ValueError(f"as_text: a level is one of {', '.join(levels)}; got {level!r}")
    if level == "jaxpr":
        return str(closed)
    cpu = target_cpu()
    if level == "terms":
        return printed_terms(lower_jaxpr(closed, machine_of(cpu, config.threads).dots))
    record = Record()
    program = plan_program(closed, cpu, record)
    if level == "saturated":
        return "\n".join(printed_steps(region.chosen) for region in record.regions)
    if level == "schedule":
        return printed_kernels(s.kernel for s in launches(program))
    if level == "program":
        return printed_program(program)
    text = emit_llvm(program, cpu)
    return text if level == "llvm" else emit_assembly(text, cpu)


def target_of(cpu: CPU) -> Target:
    """What the code generator needs to know of a processor."""
    from weft.codegen.scalar_llvm import Target

    features = frozenset(f[1:] for f in cpu.features.split(",") if f.startswith("+"))
    return Target(cpu.vector_bits // 8, features, cpu.architecture)


def emit_llvm(program: Program, cpu: CPU) -> str:
    """LLVM IR text of a program, for ``cpu``, in one module."""
    from weft.codegen.program_llvm import emit_program
    from weft.runtime.native import emit_assembly

    text = emit_program(program, target_of(cpu))
    dump("llvm", lambda: text)
    dump("assembly", lambda: emit_assembly(text, cpu))
    return text


def native_record(program: Program, objects: list[bytes]) -> ProgramRecord:
    """What is kept of a compiled program, to link it now and in other processes."""
    from weft.codegen.program_llvm import library_calls, routines_of, uses_pool
    from weft.kernels.work import seconds

    return ProgramRecord(
        objects=objects,
        input_nbytes=[typical(s.nbytes) for s in program.inputs],
        output_nbytes=[typical(s.nbytes) for s in program.outputs],
        constants=[np.asarray(s.data).tobytes() for s in program.constants],
        arena_nbytes=typical(program.arena_bytes),
        uses_pool=uses_pool(program),
        seconds=inf if _some_are_large(program.sizes) else seconds(program.steps),
        libraries=tuple(library_calls(program)),
        routines={symbol: _host_routine(step) for symbol, step in routines_of(program)},
    )


def _some_are_large(sizes: Sequence[Size]) -> bool:
    """Whether a program for a class of shapes is long for some: nobody knows for which it runs."""
    return any(size.hi > WORKING_SETS[0] for size in sizes)


def _host_routine(step: Routine) -> HostRoutine:
    if step.function is None:
        raise TypeError(f"the CPU has no routine named {step.name!r}")
    return HostRoutine(
        step.name,
        step.function,
        step.params,
        tuple((s.shape, s.dtype) for s in step.inputs),
        tuple((s.shape, s.dtype) for s in step.outputs),
    )
