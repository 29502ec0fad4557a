"""The report of a compiled function, as data and as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from weft.core.source import Source
from weft.report.units import bytes_text, count_text, seconds_text
from weft.saturate.derivation import Step


@dataclass(frozen=True)
class KernelReport:
    """One launch.

    ``inputs`` and ``outputs`` are names of arrays; ``bytes_moved`` the bytes that each level of
    memory serves or takes back when nothing is in a cache before, by its name (``"DRAM"`` last);
    ``predicted_time`` the seconds of a launch that follows others of its kind. ``schedule`` is the
    kernel as text, ``source_lines`` the lines of the user's program that it computes,
    ``roof_time`` the seconds of its operations and bytes on a machine that does nothing else.
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


@dataclass
class Report:
    """What became of a function for arguments of some shapes and dtypes.

    ``kernels`` in the order in which they run. ``peak_intermediate_bytes`` is the memory that
    values between kernels, and private scratch too large for a stack, take at most. ``derivation``
    are the rules that made something cheaper, with the estimated price at each step.
    ``compile_time`` are seconds by pass. ``fallbacks`` say in words what was not done as meant.
    """

    name: str
    kernels: tuple[KernelReport, ...]
    peak_intermediate_bytes: int
    derivation: tuple[Step, ...]
    egraph: EGraph
    compile_time: Mapping[str, float]
    fallbacks: tuple[str, ...]
    levels: Mapping[str, str] = field(repr=False, default_factory=dict)

    @property
    def bytes_moved(self) -> dict[str, float]:
        """Bytes that each level serves in all kernels."""
        total: dict[str, float] = {}
        for kernel in self.kernels:
            for level, count in kernel.bytes_moved.items():
                total[level] = total.get(level, 0.0) + count
        return total

    @property
    def flops(self) -> int:
        """Floating-point operations of all kernels."""
        return sum(k.flops for k in self.kernels)

    @property
    def predicted_time(self) -> float:
        """Seconds of all kernels."""
        return sum(k.predicted_time for k in self.kernels)

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
