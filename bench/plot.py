"""Figures of benchmarks as SVG: ratios of times by workload, and times over sizes."""

import math
from collections.abc import Sequence
from html import escape

#: One colour for each framework, the subject's first; they differ in lightness, too.
COLOURS = ("#b3472d", "#2f6571", "#c79a2b", "#6b5b95", "#4f7f3c", "#7a7a7a", "#a0527a")

STYLE = """
svg { font: 12px "Inter", "Segoe UI", system-ui, sans-serif; background: #fffdf9; }
text { fill: #23211d; } .soft { fill: #6d675c; } .line { stroke: #ddd7ca; }
.even { stroke: #23211d; } .name { text-anchor: end; }
.title { font: 600 17px "Iowan Old Style", Charter, Georgia, serif; }
@media (prefers-color-scheme: dark) {
  svg { background: #1f2124; } text { fill: #e6e2d9; } .soft { fill: #9a9587; }
  .line { stroke: #34363a; } .even { stroke: #e6e2d9; }
}
"""


def ratios(summaries: Sequence[dict], frameworks: Sequence[str]) -> str:
    """Each framework's value over the subject's, a row for each workload: right of 1 needs more."""
    subject, *others = frameworks
    rows = [s for s in summaries if s["values"].get(subject, 0) > 0]
    found = [
        s["values"][f] / s["values"][subject]
        for s in rows
        for f in others
        if s["values"].get(f, 0) > 0
    ]
    low = math.floor(math.log2(min([0.5, *found])))
    high = math.ceil(math.log2(max([2.0, *found])))
    left, top, step, width = 190, 74, 22, 940
    scale = (width - left - 30) / (high - low)

    def x(ratio: float) -> float:
        return left + (math.log2(ratio) - low) * scale

    height = top + step * len(rows) + 40
    quantity = rows[0]["quantity"] if rows else "median"
    parts = [_head(width, height), _legend(others, width, 48, COLOURS[1:])]
    what = {"median": "time of a call"}.get(quantity, quantity.replace("_", " "))
    title = f"{what}, relative to {subject}"
    parts.append(f'<text class="title" x="16" y="28">{escape(title)}</text>')
    for power in range(low, high + 1):
        kind = "even" if power == 0 else "line"
        at = f"{x(2.0**power):.1f}"
        parts.append(
            f'<line class="{kind}" x1="{at}" x2="{at}" y1="{top - 8}" y2="{height - 30}"/>'
        )
        label = f"{2**power}×" if power >= 0 else f"1/{2**-power}×"
        parts.append(f'<text class="soft" x="{at}" y="{height - 12}" text-anchor="middle">')
        parts.append(f"{label}</text>")
    for n, summary in enumerate(rows):
        y = top + step * n + step / 2
        parts.append(f'<text class="name" x="{left - 12}" y="{y + 4:g}">')
        parts.append(f"{escape(summary['workload'])}</text>")
        parts.append(f'<line class="line" x1="{left}" x2="{width - 30}" y1="{y:g}" y2="{y:g}"/>')
        for framework, colour in zip(others, _cycle(COLOURS[1:], len(others)), strict=True):
            value = summary["values"].get(framework, 0)
            if value > 0:
                ratio = value / summary["values"][subject]
                tip = f"{summary['workload']}, {framework}: {ratio:.2f}×"
                parts.append(
                    f'<circle cx="{x(ratio):.1f}" cy="{y:g}" r="5" fill="{colour}" '
                    f'fill-opacity="0.85"><title>{escape(tip)}</title></circle>'
                )
    return "".join(parts) + "</svg>\n"


def scaling(panels: dict[str, dict[str, dict[int, float]]]) -> str:
    """Seconds over sizes: a panel for each computation, a line for each framework."""
    names = list(dict.fromkeys(f for lines in panels.values() for f in lines))
    side, gap = 320, 70
    width = gap + (side + gap) * min(2, max(1, len(panels)))
    rows = math.ceil(len(panels) / 2)
    parts = [_head(width, 60 + rows * (side + gap)), _legend(names, width, 30, COLOURS)]
    for n, (title, lines) in enumerate(panels.items()):
        left, top = gap + (n % 2) * (side + gap), 70 + (n // 2) * (side + gap)
        parts.append(_panel(title, lines, names, left, top, side))
    return "".join(parts) + "</svg>\n"


def _panel(
    title: str,
    lines: dict[str, dict[int, float]],
    names: Sequence[str],
    left: float,
    top: float,
    side: float,
) -> str:
    sizes = sorted({size for points in lines.values() for size in points})
    seconds = [s for points in lines.values() for s in points.values()]
    low, high = math.floor(math.log10(min(seconds))), math.ceil(math.log10(max(seconds)))
    wide = math.log2(sizes[-1] / sizes[0]) or 1.0

    def at(size: int, value: float) -> tuple[float, float]:
        across = math.log2(size / sizes[0]) / wide
        return left + across * side, top + side * (high - math.log10(value)) / max(1, high - low)

    parts = [f'<text class="title" x="{left}" y="{top - 12}">{escape(title)}</text>']
    for power in range(low, high + 1):
        y = at(sizes[0], 10.0**power)[1]
        parts.append(f'<line class="line" x1="{left}" x2="{left + side}" y1="{y:g}" y2="{y:g}"/>')
        label = _seconds(10.0**power)
        parts.append(f'<text class="soft name" x="{left - 6}" y="{y + 4:g}">{label}</text>')
    for size in sizes:
        x = at(size, 10.0**low)[0]
        parts.append(f'<text class="soft" x="{x:.1f}" y="{top + side + 18}" text-anchor="middle">')
        parts.append(f"{size}</text>")
    for name, colour in zip(names, _cycle(COLOURS, len(names)), strict=True):
        points = [at(size, value) for size, value in sorted(lines.get(name, {}).items())]
        path = "".join(f"{'L' if n else 'M'}{x:.1f} {y:.1f}" for n, (x, y) in enumerate(points))
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in points]
    return "".join(parts)


def _head(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}"><style>{STYLE}</style>'
    )


def _legend(names: Sequence[str], width: float, y: float, colours: Sequence[str]) -> str:
    parts, x = [], width - 30
    for name, colour in reversed(list(zip(names, _cycle(colours, len(names)), strict=True))):
        x -= 7 * len(name)
        parts.append(f'<text x="{x:g}" y="{y:g}">{escape(name)}</text>')
        parts.append(f'<circle cx="{x - 10:g}" cy="{y - 4:g}" r="5" fill="{colour}"/>')
        x -= 34
    return "".join(parts)


def _cycle(colours: Sequence[str], count: int) -> list[str]:
    return [colours[n % len(colours)] for n in range(count)]


def _seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if value >= 0.999 * scale:
            return f"{value / scale:g} {unit}"
    return f"{value * 1e9:g} ns"
