"""A profile as a notebook shows it: the kernels, and memory over time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files as resources

from weft.report.memory import Memory
from weft.report.page.figures import open_svg
from weft.report.profile import KernelTime, Profile
from weft.report.terminal import ROWS, calls_text, lines_text
from weft.report.units import bytes_text, seconds_text

#: Points of the memory's curve at most; the highest of each stretch stays.
POINTS = 600


def notebook(profile: Profile) -> str:
    """A table and a drawing, which need no script."""
    style = resources("weft.report.page").joinpath("notebook.css").read_text(encoding="utf-8")
    rows = "".join(map(_row, profile.kernels[:ROWS]))
    names = ("kernel", "time", "calls", "each", "GB/s", "GFLOP/s", "of roof", "pred/meas", "lines")
    head = "".join(f"<th>{name}</th>" for name in names)
    largest = "".join(f"<li>{escape(str(h))}</li>" for h in profile.memory.largest(5))
    return (
        f'<div class="weft-report"><style>{style}</style>'
        f"<h3>{calls_text(len(profile.runs))}, {seconds_text(profile.seconds)}</h3>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{curve(profile.memory)}<ol>{largest}</ol></div>"
    )


def _row(row: KernelTime) -> str:
    known = row.predicted > 0
    cells = [
        seconds_text(row.seconds),
        str(row.calls),
        seconds_text(row.each),
        f"{row.gbytes:.3g}" if row.bytes else "",
        f"{row.gflops:.3g}" if row.flops else "",
        f"{100 * row.of_roof:.0f}%" if known else "",
        f"{row.predicted_to_measured:.2f}" if known else "",
    ]
    values = "".join(f"<td>{cell}</td>" for cell in cells)
    where = escape(lines_text(row.lines))
    return f'<tr><th>{escape(row.name)}</th>{values}<td class="lines">{where}</td></tr>'


def curve(memory: Memory) -> str:
    """Bytes in use over seconds, as a stair."""
    points = _thinned(memory.timeline)
    if not points:
        return ""
    width, height, left = 640.0, 150.0, 8.0
    (begin, _), (end, _), peak = points[0], points[-1], memory.peak[1] or 1
    across = (width - 2 * left) / ((end - begin) or 1.0)
    path, before = [f"M{left} {height - 20}"], height - 20
    for seconds, nbytes in points:
        x, y = left + (seconds - begin) * across, height - 20 - (height - 40) * nbytes / peak
        path.append(f"L{x:.1f} {before:.1f}L{x:.1f} {y:.1f}")
        before = y
    path.append(f"L{left + (end - begin) * across:.1f} {height - 20}Z")
    return (
        f'{open_svg(width, height, "memory", fixed=True)}<path d="{"".join(path)}"/>'
        f'<text x="{left}" y="14">at most {bytes_text(peak)} in use</text>'
        f'<text x="{left}" y="{height - 4}">{seconds_text(begin)}</text>'
        f'<text x="{width - left}" y="{height - 4}" text-anchor="end">{seconds_text(end)}</text>'
        "</svg>"
    )


def _thinned(points: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """At most `POINTS` of them: the highest of each stretch."""
    step = -(-len(points) // POINTS) or 1
    stretches = (points[n : n + step] for n in range(0, len(points), step))
    return [max(stretch, key=lambda point: point[1]) for stretch in stretches]
