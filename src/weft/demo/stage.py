"""Where demos happen: a terminal, a folder for pictures, a clock, and the tables they print."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

if TYPE_CHECKING:
    from weft.executable import Stats

SAMPLES = 30  # calls that a time is the median of


@dataclass(frozen=True)
class Stage:
    """A console that a demo prints on, and the file that its picture goes to, if it paints one."""

    console: Console
    picture: Path
    paints: bool = True

    def say(self, text: str) -> None:
        """Print a line, which may have rich's markup."""
        self.console.print(text)

    def show_picture(self, what: str) -> None:
        """Say where the picture is."""
        self.say(f"{what}: [bold]{self.picture}[/bold]")

    def table(self, *columns: str) -> Table:
        """Return an empty table: names on the left, numbers on the right."""
        table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
        for place, column in enumerate(columns):
            table.add_column(column, justify="right" if place else "left")
        return table

    @contextmanager
    def progress(self, name: str, total: int) -> Iterator[Callable[[int, str], None]]:
        """Show a bar in a terminal; the function it gives advances it and sets a note beside it."""
        columns = (
            TextColumn(f"  {name:6}"),
            BarColumn(bar_width=40),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
        )
        disable = not self.console.is_terminal
        with Progress(*columns, console=self.console, disable=disable) as bar:
            task = bar.add_task(name, total=total, note="")

            def advance(steps: int, note: str) -> None:
                bar.update(task, advance=steps, note=note)

            yield advance


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Return what a call returns and its seconds; jitted calls return when they are done."""
    begin = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begin


def median_seconds(function: Callable[..., Any], *arguments: Any, samples: int = SAMPLES) -> float:
    """Return the median time of several calls."""
    return statistics.median(timed(function, *arguments)[1] for _ in range(samples))


def speed(own: float, reference: float) -> tuple[str, str]:
    """Return a time, and how many times faster it is than `reference`."""
    ratio = "" if own == reference else f"{reference / own:.1f}× NumPy's speed"
    return f"{own * 1e3:.3g} ms", ratio


def compiled(name: str, stats: Stats, total: float) -> str:
    """Describe what was compiled; `total` is the time of a first call in excess of a later one."""
    passes = {"trace": max(0.0, total - stats.seconds), **stats.passes}
    detail = ", ".join(f"{name} {duration:.2f}" for name, duration in passes.items())
    seconds = max(total, stats.seconds)
    kernels = f"{stats.kernels} kernel{'s' * (stats.kernels != 1)}"
    return f"Compiled {name}: {kernels} in {seconds:.2f} s ({detail})"
