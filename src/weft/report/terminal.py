"""Profiles and reports as text: what a terminal shows."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from weft.core.source import Source
from weft.report.units import bytes_text, seconds_text

if TYPE_CHECKING:
    from weft.report.profile import KernelTime, Profile
    from weft.report.report import Report

#: Rows of a table; what is left is counted.
ROWS = 30
#: Columns of what no terminal shows: no line of a program is cut.
UNCUT = 1000


def plain(view: Any, width: int = 120) -> str:
    """What a terminal of ``width`` columns would show, without colours."""
    file = io.StringIO()
    Console(file=file, width=width, no_color=True, highlight=False).print(view)
    return "\n".join(line.rstrip() for line in file.getvalue().rstrip().splitlines())


def lines_text(lines: Iterable[Source]) -> str:
    """Lines of the user's program, by file: ``model.py:3,7``."""
    by_file: dict[str, dict[int, None]] = {}
    for source in lines:
        by_file.setdefault(os.path.basename(source.file), {})[source.line] = None
    return " ".join(f"{name}:{','.join(map(str, found))}" for name, found in by_file.items())


def calls_text(count: int) -> str:
    """How many calls of programs there were."""
    return f"{count} call{'s' * (count != 1)} of programs"


def lines_cell(lines: Sequence[Source]) -> Text:
    """Lines and, of the last, what is written there."""
    cell = Text(lines_text(lines), style="cyan", no_wrap=True, overflow="ellipsis")
    return cell.append(f"  {lines[-1].text()}", style="dim") if lines else cell


def share_style(share: float) -> str:
    """Green near the roof, red far from it."""
    return "green" if share >= 0.6 else "yellow" if share >= 0.3 else "red"


def profile_text(profile: Profile) -> str:
    """A profile without colours."""
    return plain(profile_view(profile))


def profile_view(profile: Profile) -> Any:
    """A profile for `rich`."""
    rows = profile.kernels
    if not rows:
        return Text("nothing ran that has kernels")
    total = sum(row.seconds for row in rows)
    table = grid(
        ("time", "", "calls", "each", "GB/s", "GFLOP/s", "of roof", "pred/meas", "kernel", "lines"),
        [_row(row, total) for row in rows[:ROWS]],
        left=2,
    )
    head = (
        f"{calls_text(len(profile.runs))}, {seconds_text(profile.seconds)} of "
        f"{seconds_text(profile.wall)}"
    )
    parts: list[Any] = [Text(head, style="bold"), table]
    if len(rows) > ROWS:
        rest = sum(row.seconds for row in rows[ROWS:])
        parts.append(Text(f"and {len(rows) - ROWS} more, {seconds_text(rest)}", style="dim"))
    instant, nbytes = profile.memory.peak
    if nbytes:
        parts.append(
            Text(f"at most {bytes_text(nbytes)} in use, at {seconds_text(instant)}", style="bold")
        )
        largest = [f"  {holding}" for holding in profile.memory.largest(5)]
        parts += [Text(text, no_wrap=True, overflow="ellipsis") for text in largest]
    return Group(*parts)


def _row(row: KernelTime, total: float) -> list[Any]:
    share = Text(f"{100 * row.seconds / total:.0f}%", style="dim")
    cells: list[Any] = [seconds_text(row.seconds), share, str(row.calls), seconds_text(row.each)]
    if row.predicted:
        roof = Text(f"{100 * row.of_roof:.0f}%", style=share_style(row.of_roof))
        cells += [f"{row.gbytes:.3g}", f"{row.gflops:.3g}" if row.flops else "", roof]
        cells.append(f"{row.predicted_to_measured:.2f}")
    else:
        cells += [f"{row.gbytes:.3g}" if row.bytes else "", "", "", ""]
    name = row.name if row.kind != "routine" else f"{row.name} (routine)"
    return [*cells, name, lines_cell(row.lines)]


def grid(heads: Sequence[str], rows: Sequence[Sequence[Any]], left: int) -> Table:
    """A table whose last column is cut where the terminal ends; the last ``left`` are words."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for n, name in enumerate(heads):
        justify: Any = "left" if n >= len(heads) - left else "right"
        last = n == len(heads) - 1
        width = max(len(name), *(len(str(row[n])) for row in rows))
        least = None if last else width
        # The last column gives way first; its cells are cut rather than wrapped.
        table.add_column(
            name, justify=justify, no_wrap=not last, overflow="ellipsis", min_width=least
        )
    for row in rows:
        table.add_row(*row)
    return table


def report_view(report: Report) -> Any:
    """A report for `rich`."""
    measured = report.measured
    facts = [
        f"{len(report.kernels)} kernel{'s' * (len(report.kernels) != 1)}",
        f"{seconds_text(report.predicted_time)} predicted",
        *([f"{seconds_text(measured.seconds)} measured"] if measured else ()),
        f"{bytes_text(report.bytes_moved.get('DRAM', 0.0))} of DRAM",
        f"{bytes_text(report.peak_intermediate_bytes)} between kernels",
        f"compiled in {seconds_text(sum(report.compile_time.values()))}",
    ]
    parts: list[Any] = [Text(f"{report.name}: ", style="bold").append(", ".join(facts), "not bold")]
    if report.kernels:
        heads = ("time", "", "predicted", "of roof", "GFLOP/s", "DRAM", "kernel", "lines")
        parts.append(grid(heads, _kernel_rows(report), left=2))
    if report.derivation:
        first, last = report.derivation[0].before, report.derivation[-1].after
        rules = dict.fromkeys(rule for step in report.derivation for rule in step.rules)
        gain = f"{seconds_text(first * 1e-9)} → {seconds_text(last * 1e-9)}: "
        parts.append(
            Text("found by rules: ", style="bold").append(gain + ", ".join(rules), "not bold")
        )
    if report.egraph.searched:
        graph = report.egraph
        rounds = f"{graph.iterations} iteration{'s' * (graph.iterations != 1)}"
        text = f"{graph.nodes} nodes, {graph.classes} classes, {rounds}"
        parts.append(Text("e-graph: ", style="bold").append(text, "not bold"))
    parts += [Text(f"note: {text}", style="yellow") for text in report.fallbacks]
    return Group(*parts)


def _kernel_rows(report: Report) -> list[list[Any]]:
    took = {n: k.measured_time or k.predicted_time for n, k in enumerate(report.kernels)}
    total = sum(k.launches * took[n] for n, k in enumerate(report.kernels)) or 1.0
    rows = []
    for number, kernel in enumerate(report.kernels):
        seconds = took[number]
        share = kernel.roof_time / seconds if seconds else 0.0
        rows.append(
            [
                seconds_text(seconds),
                Text(f"{100 * kernel.launches * seconds / total:.0f}%", style="dim"),
                seconds_text(kernel.predicted_time),
                Text(f"{100 * share:.0f}%", style=share_style(share)),
                f"{kernel.flops / seconds / 1e9:.3g}" if kernel.flops and seconds else "",
                bytes_text(kernel.bytes_moved.get("DRAM", 0.0)),
                kernel.name,
                lines_cell(kernel.source_lines),
            ]
        )
    return rows
