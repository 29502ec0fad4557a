"""The report of a compiled function, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import TYPE_CHECKING, Any

from weft.codegen.stamps_llvm import stamped_steps
from weft.compile import Profiled
from weft.core.source import Source
from weft.report.origins import launches_of
from weft.report.units import bytes_text, count_text, seconds_text
from weft.saturate.derivation import Step

if TYPE_CHECKING:
    from weft.report.measured import Measured
    from weft.report.rivals import Rival
    from weft.runtime.stamps import StampedProgram


@dataclass(frozen=True)
class KernelReport:
    """One launch.

    ``inputs`` and ``outputs`` are names of arrays; ``bytes_moved`` the bytes that each level of
    memory serves or takes back when nothing is in a cache before, by its name (``"DRAM"`` last);
    ``predicted_time`` the seconds of a launch that follows others of its kind. ``schedule`` is the
    kernel as text, ``source_lines`` the lines of the user's program that it computes,
    ``roof_time`` the seconds of its operations and bytes on a machine that does nothing else,
    ``measured_time`` those of a launch, once `Report.measure` was called; ``launches`` says then
    how often a call launches it (before, those in loops and branches count once).
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    bytes_moved: Mapping[str, float]
    flops: int
    schedule: str
    predicted_time: float
    source_lines: tuple[Source, ...]
    roof_time: float = 0.0
    measured_time: float | None = None
    launches: int = 1

    def __str__(self) -> str:
        lines = ", ".join(str(s.line) for s in self.source_lines)
        moved = bytes_text(self.bytes_moved.get("DRAM", 0.0))
        return (
            f"{self.name}({', '.join(self.inputs)} -> {', '.join(self.outputs)})  "
            f"{seconds_text(self.predicted_time)}  {moved} of DRAM  {count_text(self.flops)}FLOP"
            + (f"  line {lines}" if lines else "")
        )


@dataclass
class EGraph:
    """What equality saturation did, over all pieces of the program that it looked at.

    ``skipped`` counts the pieces left alone, by the reason.
    """

    nodes: int = 0
    classes: int = 0
    iterations: int = 0
    seconds: float = 0.0
    searched: int = 0
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Work:
    """What a report is made from: the program, how it came about, and what to run it on.

    ``leaves`` are the arrays among the arguments, None if some are types only.
    """

    subject: Profiled
    native: StampedProgram
    leaves: Sequence[Any] | None


@dataclass
class Report:
    """What became of a function for arguments of some shapes and dtypes.

    ``kernels`` in the order in which they run. ``peak_intermediate_bytes`` is the memory that
    values between kernels, and private scratch too large for a stack, take at most. ``derivation``
    are the rules that made something cheaper, with the estimated price at each step.
    ``compile_time`` are seconds by pass. ``fallbacks`` say in words what was not done as meant,
    ``refused`` which scheduling steps kernels had to do without (pages show them, prints do not).
    ``levels`` are the texts of ``"jaxpr"``, ``"terms"``, ``"rewritten"`` (terms), ``"kernels"``,
    ``"program"``, ``"llvm"`` and ``"assembly"``. ``work`` is what the report was made from.

    ``print`` it, let `rich` or a notebook show it, or `save` it as a page.
    """

    name: str
    kernels: tuple[KernelReport, ...]
    peak_intermediate_bytes: int
    derivation: tuple[Step, ...]
    egraph: EGraph
    compile_time: Mapping[str, float]
    fallbacks: tuple[str, ...]
    refused: tuple[str, ...] = ()
    levels: Mapping[str, str] = field(repr=False, default_factory=dict)
    measured: Measured | None = field(repr=False, default=None)
    work: Work | None = field(repr=False, default=None)
    _rivals: list[Rival] | None = field(repr=False, default=None)

    @property
    def bytes_moved(self) -> dict[str, float]:
        """Bytes that each level serves in all launches (`KernelReport.launches`)."""
        total: dict[str, float] = {}
        for kernel in self.kernels:
            for level, count in kernel.bytes_moved.items():
                total[level] = total.get(level, 0.0) + kernel.launches * count
        return total

    @property
    def flops(self) -> int:
        """Floating-point operations of all launches."""
        return sum(k.launches * k.flops for k in self.kernels)

    @property
    def predicted_time(self) -> float:
        """Seconds of all launches."""
        return sum(k.launches * k.predicted_time for k in self.kernels)

    @property
    def rivals(self) -> list[Rival]:
        """What was priced and left: other schedules of the longest kernels, other partitions."""
        if self.work is None:
            return []
        if self._rivals is None:
            from weft.report.rivals import rivals

            self._rivals = rivals(self.work.subject)
        return self._rivals

    @property
    def measurable(self) -> bool:
        """Whether it was explained for arrays, so that `measure` has something to run on."""
        return self.work is not None and self.work.leaves is not None

    def measure(self) -> Report:
        """Runs the function on the arguments that it was explained for, about a third of a second.

        Returns the report, whose ``measured`` and ``kernels[n].measured_time`` are there then.
        Raises ValueError where arguments are `weft.ShapeDtypeStruct`: there is nothing to run on.
        """
        from weft.report.measured import measure

        if self.work is None or self.work.leaves is None:
            raise ValueError(
                f"explain of '{self.name}': some arguments are types only, so that nothing can be "
                "measured; explain it for arrays"
            )
        self.measured = found = measure(
            self.work.native, self.work.subject.closed.in_avals, self.work.leaves
        )
        steps = stamped_steps(self.work.subject.program)
        counts = dict(zip(steps, found.calls, strict=True))
        each = {
            step: seconds / counts[step]
            for step, seconds in zip(steps, found.steps, strict=True)
            if counts[step]
        }
        launches = launches_of(self.work.subject.program)
        self.kernels = tuple(
            replace(kernel, measured_time=each.get(launch), launches=counts[launch])
            for kernel, launch in zip(self.kernels, launches, strict=True)
        )
        return self

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the report as one page for a browser, which loads nothing else.

        It is measured for that if it was not and there are arguments to run on. Raises OSError
        where the page cannot be written.
        """
        from weft.report.page.render import page

        text = page(self)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def _repr_html_(self) -> str:
        from weft.report.page.render import notebook

        return notebook(self)

    def __rich__(self) -> Any:
        from weft.report.terminal import report_view

        return report_view(self)

    def __str__(self) -> str:
        count = len(self.kernels)
        lines = [
            f"{self.name}: {count} kernel{'s' * (count != 1)}, "
            f"{seconds_text(self.predicted_time)}, "
            f"{bytes_text(self.bytes_moved.get('DRAM', 0.0))} of DRAM, "
            f"{bytes_text(self.peak_intermediate_bytes)} between kernels, "
            f"compiled in {seconds_text(sum(self.compile_time.values()))}"
        ]
        lines += [f"  {kernel}" for kernel in self.kernels]
        if self.derivation:
            lines.append("found by rules:")
            lines += [f"  {step}" for step in self.derivation]
        lines += [f"note: {text}" for text in self.fallbacks]
        return "\n".join(lines)
