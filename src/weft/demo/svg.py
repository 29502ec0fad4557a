"""A small writer of charts as SVG: panels with axes, lines, bands, dots, bars and text."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from weft.demo.png import png

INK, FAINT, PAPER = "#2a2f3a", "#d9dce3", "#fbfaf7"
COLOURS = ("#2f6f9f", "#d9773c", "#4c9a6a", "#b0486a")
FONT = "font-family='Helvetica, Arial, sans-serif'"


class Chart:
    """A picture of `width` × `height` points, to which panels and text are added."""

    def __init__(self, width: int, height: int) -> None:
        self.size = width, height
        self.parts: list[str] = []

    def text(
        self, x: float, y: float, text: str, size: float = 13, anchor: str = "start", **how: Any
    ) -> None:
        """Write `text` from, around or up to (x, y): `anchor` is start, middle or end."""
        style = "".join(f" {key.replace('_', '-')}='{value}'" for key, value in how.items())
        fill = "" if "fill" in how else f" fill='{INK}'"
        self.parts.append(
            f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}'{fill}{style}>"
            f"{escape(text)}</text>"
        )

    def rectangle(self, x: float, y: float, width: float, height: float, fill: str) -> None:
        """Fill a rectangle."""
        self.parts.append(
            f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' "
            f"fill='{fill}'/>"
        )

    def image(self, x: float, y: float, side: float, pixels: np.ndarray) -> None:
        """Put a square picture, uint8 of shape (n, n, 3), with its top left corner at (x, y)."""
        data = base64.b64encode(png(pixels)).decode()
        self.parts.append(
            f"<image x='{x:.1f}' y='{y:.1f}' width='{side:.1f}' height='{side:.1f}' "
            f"style='image-rendering: pixelated' href='data:image/png;base64,{data}'/>"
        )

    def save(self, path: Path) -> None:
        """Write the picture."""
        width, height = self.size
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"width='{width}' height='{height}' {FONT}>"
        )
        ground = f"<rect width='{width}' height='{height}' fill='{PAPER}'/>"
        path.write_text("\n".join([head, ground, *self.parts, "</svg>\n"]), encoding="utf-8")


class Panel:
    """Axes in a rectangle of a chart: `box` is (left, top, width, height) in its points."""

    def __init__(
        self,
        chart: Chart,
        box: tuple[float, float, float, float],
        x: tuple[float, float],
        y: tuple[float, float],
        title: str = "",
    ) -> None:
        self.chart, self.box, self.x, self.y = chart, box, x, y
        left, top, width, height = box
        if title:
            chart.text(left, top - 12, title, 14, font_weight="bold")
        low = top + height
        chart.parts.append(
            f"<path d='M{left},{top}V{low}H{left + width}' fill='none' stroke='{INK}'/>"
        )

    def place(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Where data lie on the chart."""
        left, top, width, height = self.box
        across = (np.asarray(x, float) - self.x[0]) / (self.x[1] - self.x[0])
        up = (np.asarray(y, float) - self.y[0]) / (self.y[1] - self.y[0])
        return left + width * across, top + height * (1 - up)

    def ticks(self, x: Sequence[float] = (), y: Sequence[float] = (), unit: str = "") -> None:
        """Label the axes at these values, with faint lines across."""
        left, top, width, height = self.box
        for value in x:
            across = float(self.place(value, self.y[0])[0])
            self.chart.text(across, top + height + 17, f"{value:g}{unit}", 11, "middle")
        for value in y:
            up = float(self.place(self.x[0], value)[1])
            self.chart.text(left - 7, up + 4, f"{value:g}", 11, "end")
            self.chart.parts.append(
                f"<path d='M{left},{up:.1f}h{width}' stroke='{FAINT}' stroke-width='0.7'/>"
            )

    def line(self, x: Any, y: Any, colour: str, width: float = 1.5, opacity: float = 1) -> None:
        """Draw a line through points."""
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(*self.place(x, y), strict=True))
        self.chart.parts.append(
            f"<polyline points='{points}' fill='none' stroke='{colour}' stroke-width='{width}' "
            f"stroke-opacity='{opacity}' stroke-linejoin='round'/>"
        )

    def band(self, x: Any, low: Any, high: Any, colour: str, opacity: float = 0.2) -> None:
        """Fill what lies between two lines."""
        there, back = self.place(x, high), self.place(x, low)
        xs, ys = (np.concatenate([a, b[::-1]]) for a, b in zip(there, back, strict=True))
        points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(xs, ys, strict=True))
        self.chart.parts.append(
            f"<polygon points='{points}' fill='{colour}' fill-opacity='{opacity}'/>"
        )

    def dots(self, x: Any, y: Any, colour: str, radius: float = 4, opacity: float = 0.8) -> None:
        """Draw a dot at each point."""
        for a, b in zip(*self.place(x, y), strict=True):
            self.chart.parts.append(
                f"<circle cx='{a:.1f}' cy='{b:.1f}' r='{radius}' fill='{colour}' "
                f"fill-opacity='{opacity}'/>"
            )

    def bars(self, edges: Any, heights: Any, colour: str) -> None:
        """Draw a histogram."""
        left, low = self.place(edges[:-1], np.full(len(heights), self.y[0]))
        right, high = self.place(edges[1:], heights)
        for a, b, c, d in zip(left, right, high, low, strict=True):
            self.chart.rectangle(a, c, max(b - a - 0.7, 0.3), d - c, colour)
