"""The drawings of a report's page, as inline SVG whose colours are the page's.

What belongs to a kernel has its number in ``data-k``; the page's script finds it there.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import atan2, ceil, degrees, floor, log10

from weft.report.measured import Measured
from weft.report.report import KernelReport
from weft.report.roof import Roof
from weft.report.units import seconds_text

#: Bars of the timeline at most; the longest ones stay.
BARS = 400


def timeline(measured: Measured, names: Sequence[tuple[int | None, str]]) -> str:
    """The steps of one call along time; ``names`` are kernel number and title of each step."""
    whole = max(measured.seconds * 1e9, float(measured.events[:, 2].max(initial=1)))
    rows = sorted(measured.events.tolist(), key=lambda row: row[1] - row[2])[:BARS]
    bars = []
    for step, begin, end in sorted(rows, key=lambda row: row[1]):
        number, name = names[step]
        mark = "" if number is None else f' data-k="{number}"'
        share = 100 * (end - begin) / whole
        title = escape(f"{name}: {seconds_text((end - begin) * 1e-9)}")
        bars.append(
            f'<i class="bar"{mark} title="{title}" '
            f'style="left:{100 * begin / whole:.3f}%;width:{share:.3f}%">'
            f"{escape(name) if share > 4 else ''}</i>"
        )
    ticks = (seconds_text(whole * n / 4 * 1e-9) if n else "0" for n in range(5))
    labels = "".join(f"<span>{tick}</span>" for tick in ticks)
    return f'<div class="timeline">{"".join(bars)}</div><div class="ticks">{labels}</div>'


def roofline(kernels: Sequence[KernelReport], roof: Roof) -> str:
    """Operations per second over operations per byte of main memory, and what bounds them."""
    points = []
    for number, kernel in enumerate(kernels):
        seconds = kernel.measured_time or kernel.predicted_time
        nbytes = kernel.bytes_moved.get("DRAM", 0.0)
        if seconds and nbytes and kernel.flops:
            points.append((number, kernel, kernel.flops / nbytes, kernel.flops / seconds))
    if not points:
        return ""
    left, right = floor(log10(min(p[2] for p in points))), ceil(log10(max(p[2] for p in points)))
    ridge = roof.flops / roof.bandwidths["DRAM"]
    left, right = min(left, -1), max(right, ceil(log10(ridge)) + 1)
    high = log10(roof.flops) + 0.3
    low = min(floor(log10(min(p[3] for p in points))), high - 3)
    width, height, x0, y0 = 560.0, 340.0, 58.0, 12.0
    sx = (width - x0 - 14) / (right - left)
    sy = (height - y0 - 44) / (high - low)

    def at(intensity: float, rate: float) -> tuple[float, float]:
        return x0 + (log10(intensity) - left) * sx, y0 + (high - log10(rate)) * sy

    parts = [open_svg(width, height, "roofline")]
    for n in range(left, right + 1):
        x = at(10.0**n, 10**low)[0]
        parts.append(f'<line class="grid" x1="{x:g}" x2="{x:g}" y1="{y0}" y2="{height - 44}"/>')
        label = f"{10.0**n:g}"
        parts.append(f'<text class="tick" x="{x:g}" y="{height - 28}" text-anchor="middle">')
        parts.append(f"{label}</text>")
    for n in range(ceil(low), floor(high) + 1):
        y = at(1, 10.0**n)[1]
        parts.append(f'<line class="grid" x1="{x0}" x2="{width - 14}" y1="{y:g}" y2="{y:g}"/>')
        label = f"{10.0 ** (n - 9):g}"
        parts.append(f'<text class="tick" x="{x0 - 6}" y="{y + 4:g}" text-anchor="end">')
        parts.append(f"{label}</text>")
    parts.append(
        f'<text class="axis" x="{(x0 + width) / 2:g}" y="{height - 8}" text-anchor="middle">'
        "operations per byte of main memory</text>"
        f'<text class="axis" transform="translate(12 {height / 2 - 20:g}) rotate(-90)" '
        'text-anchor="middle">GFLOP/s</text>'
    )
    for name, bandwidth in roof.bandwidths.items():
        start = max(10.0**left, 10**low / bandwidth)
        corner = min(roof.flops / bandwidth, 10.0**right)
        (x1, y1), (x2, y2) = at(start, start * bandwidth), at(corner, corner * bandwidth)
        parts.append(
            f'<line class="roof" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
            f'<text class="tick" transform="translate({x1 + 6:.1f} {y1 - 6:.1f}) '
            f'rotate({-_angle(x2 - x1, y1 - y2):.1f})">{name} {bandwidth / 1e9:.0f} GB/s</text>'
        )
    (x1, y1), (x2, _) = (
        at(roof.flops / max(roof.bandwidths.values()), roof.flops),
        at(10.0**right, roof.flops),
    )
    parts.append(f'<line class="roof" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y1:.1f}"/>')
    parts.append(f'<text class="tick" x="{x2 - 4:.1f}" y="{y1 - 6:.1f}" text-anchor="end">')
    parts.append(f"{roof.flops / 1e9:.0f} GFLOP/s</text>")
    longest = max(k.measured_time or k.predicted_time for _, k, _, _ in points)
    for number, kernel, intensity, rate in points:
        x, y = at(intensity, rate)
        seconds = kernel.measured_time or kernel.predicted_time
        radius = 3 + 7 * (seconds / longest) ** 0.5
        title = f"{kernel.name}: {rate / 1e9:.3g} GFLOP/s, {intensity:.3g} FLOP/B"
        parts.append(
            f'<circle class="dot" data-k="{number}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}">'
            f"<title>{escape(title)}</title></circle>"
        )
    return "".join(parts) + "</svg>"


def _angle(dx: float, dy: float) -> float:
    return degrees(atan2(dy, dx))


def open_svg(width: float, height: float, name: str, fixed: bool = False) -> str:
    """The first tag of a drawing: as wide as its place, or of a ``fixed`` size."""
    size = f' width="{width:g}" height="{height:g}"' if fixed else ""
    return (
        f'<svg class="{name}" viewBox="0 0 {width:g} {height:g}"{size} role="img" '
        f'aria-label="{name}" xmlns="http://www.w3.org/2000/svg">'
    )
