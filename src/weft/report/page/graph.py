"""The kernels of a program as a drawing: each below what it reads of, values as threads between.

A value that is read further below has a thread of its own past what lies between, so that no line
crosses a box.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from weft.codegen.stamps_llvm import stamped_steps
from weft.kernels.program import Launch, Program, Routine, Slot, reads_of, writes_of
from weft.report.page.figures import open_svg
from weft.report.units import seconds_text

#: The sizes of a box, the width of a thread, and the distance of rows.
BOX, HEIGHT, THREAD, ROW = 100.0, 26.0, 14.0, 50.0

#: A box by its number and None, or the thread of a box and the row that it passes.
Node = tuple[int, int | None]
Point = tuple[float, float]


def graph(program: Program, labels: Sequence[str], seconds: Sequence[float]) -> str:
    """The launches, with a label and the seconds of each, and the routines between them."""
    steps = [s for s in stamped_steps(program) if isinstance(s, Launch | Routine)]
    if not steps:
        return ""
    launches = iter(range(len(labels)))
    numbers = [next(launches) if isinstance(s, Launch) else None for s in steps]
    edges = _edges(steps)
    layer = _layers(len(steps), edges)
    places = _placed(layer, edges)
    width = max(x for x, _ in places.values()) + BOX / 2 + 6
    parts = [open_svg(width, ROW * (max(layer) + 1), "graph", fixed=True)]
    for a, readers in _readers(layer, edges).items():
        start = layer[a]  # what several read has one thread, which goes on from the row above each
        for n, b in enumerate(readers):
            between = [(a, row) for row in range(start + 1, layer[b])]
            begin: Node = (a, None if start == layer[a] else start)
            points = [places[node] for node in [begin, *between, (b, None)]]
            parts.append(_thread(points, numbers[a], [numbers[r] for r in readers[n:]]))
            start = max(layer[a], layer[b] - 1)
    longest = max(seconds, default=0.0) or 1.0
    for n, (step, number) in enumerate(zip(steps, numbers, strict=True)):
        if number is None:
            assert isinstance(step, Routine)
            parts.append(_box(places[n, None], "", step.name, step.name, 0.0))
            continue
        title = f"{labels[number]}: {seconds_text(seconds[number])}"
        share = seconds[number] / longest
        parts.append(_box(places[n, None], f' data-k="{number}"', labels[number], title, share))
    return "".join(parts) + "</svg>"


def _edges(steps: Sequence[Launch | Routine]) -> list[tuple[int, int]]:
    """Who reads of whom, in the order of readers."""
    writer: dict[Slot, int] = {}
    edges: list[tuple[int, int]] = []
    for n, step in enumerate(steps):
        edges += [(a, n) for a in dict.fromkeys(writer[s] for s in reads_of(step) if s in writer)]
        writer.update(dict.fromkeys(writes_of(step), n))
    return edges


def _readers(layer: Sequence[int], edges: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """Who reads of each box, from above to below."""
    found: dict[int, list[int]] = {}
    for a, b in edges:
        found.setdefault(a, []).append(b)
    return {a: sorted(readers, key=lambda b: layer[b]) for a, readers in found.items()}


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The row of each box; those that read nothing stand just above their first reader."""
    layer = [0] * count
    for a, b in edges:
        layer[b] = max(layer[b], layer[a] + 1)
    first: dict[int, int] = {}
    for a, b in edges:
        first[a] = min(first.get(a, layer[b]), layer[b])
    reads = {b for _, b in edges}
    for n, row in first.items():
        if n not in reads:
            layer[n] = row - 1
    return layer


def _placed(layer: Sequence[int], edges: Sequence[tuple[int, int]]) -> dict[Node, Point]:
    """Where boxes and threads are: in each row near what they come from."""
    last, above = list(layer), dict[Node, list[Node]]()
    for a, b in edges:
        last[a] = max(last[a], layer[b])
        start: Node = (a, None if layer[b] == layer[a] + 1 else layer[b] - 1)
        above.setdefault((b, None), []).append(start)
    rows: list[list[Node]] = [[] for _ in range(max(layer) + 1)]
    for n, row in enumerate(layer):
        rows[row].append((n, None))
        for passed in range(row + 1, last[n]):
            rows[passed].append((n, passed))
            above[n, passed] = [(n, None if passed == row + 1 else passed - 1)]
    places: dict[Node, Point] = {}
    for depth, nodes in enumerate(rows):
        wish = {}
        for node in nodes:
            before = [places[p][0] for p in above.get(node, ()) if p in places]
            wish[node] = sum(before) / len(before) if before else 0.0
        _spread(sorted(nodes, key=lambda node: wish[node]), wish, depth, places)
    left = min(x - _half(node) for node, (x, _) in places.items())
    return {node: (x - left + 6, y) for node, (x, y) in places.items()}


def _half(node: Node) -> float:
    return BOX / 2 + 5 if node[1] is None else THREAD / 2


def _spread(
    nodes: Sequence[Node], wish: dict[Node, float], depth: int, places: dict[Node, Point]
) -> None:
    """Puts a row where its nodes wish to be on average, side by side."""
    at, edge = [], 0.0
    for node in nodes:
        at.append(edge + _half(node))
        edge += 2 * _half(node)
    shift = sum(wish[node] - x for node, x in zip(nodes, at, strict=True)) / len(nodes)
    for node, x in zip(nodes, at, strict=True):
        places[node] = x + shift, depth * ROW + 4


def _thread(points: Sequence[Point], a: int | None, readers: Sequence[int | None]) -> str:
    """A line from the lower side of a box through the rows between to the next box."""
    (x, y), rest = points[0], points[1:]
    drawn = [f"M{x:.0f} {y + HEIGHT:.0f}"]
    at = (x, y + HEIGHT)
    for n, (x, y) in enumerate(rest):
        through = n < len(rest) - 1
        bend = (y - at[1]) / 2
        drawn.append(f"C{at[0]:.0f} {at[1] + bend:.0f} {x:.0f} {y - bend:.0f} {x:.0f} {y:.0f}")
        at = (x, y + HEIGHT if through else y)
        if through:
            drawn.append(f"V{y + HEIGHT:.0f}")
    source = "" if a is None else str(a)
    ends = " ".join(str(b) for b in readers if b is not None)
    return f'<path class="edge" data-a="{source}" data-b="{ends}" d="{"".join(drawn)}"/>'


def _box(place: Point, mark: str, label: str, title: str, share: float) -> str:
    x, y = place
    left, short = x - BOX / 2, label if len(label) < 16 else label[:14] + "…"
    return (
        f'<g class="node"{mark}><title>{escape(title)}</title>'
        f'<rect x="{left:.0f}" y="{y:.0f}" width="{BOX:.0f}" height="{HEIGHT:.0f}" rx="4"/>'
        f'<rect class="heat" x="{left:.0f}" y="{y + HEIGHT - 3:.0f}" '
        f'width="{BOX * share:.1f}" height="3"/>'
        f'<text x="{x:.0f}" y="{y + 16:.0f}" text-anchor="middle">{escape(short)}</text></g>'
    )
