"""Run the demo programs in Weft and in NumPy, and print what happened."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import weft
from weft.demo import digits, fluid
from weft.demo.marbling import picture
from weft.demo.png import write_png

if TYPE_CHECKING:
    from weft.executable import Stats

FLUID_STEPS = 300
NUMPY_FLUID_STEPS = 30  # enough to time them and to compare the results
SAMPLES = 30  # calls that a time is the median of


def show(console: Console, names: Iterable[str], path: Path) -> None:
    """Run the named demos; the fluid's picture goes to `path`."""
    threads = weft.config.threads
    console.print(
        f"[bold]Weft {weft.__version__}[/bold] beside NumPy {np.__version__}, "
        f"{threads} thread{'s' if threads != 1 else ''}"
    )
    for name in names:
        console.print()
        if name == "digits":
            show_digits(console)
        else:
            show_fluid(console, path)


def show_digits(console: Console) -> None:
    """Train the classifier twice and compare accuracy and speed."""
    train, test = digits.load()
    widths = "-".join(map(str, digits.WIDTHS))
    console.print(
        f"[bold]Handwritten digits[/bold]: a {widths} perceptron, Adam, batches of "
        f"{digits.BATCH}; {len(train.labels):,} images to learn from, {len(test.labels)} to test"
    )
    state = digits.initial_state()
    numpy_state = digits.numpy_state(state)
    batch = next(digits.batches(train))
    _, first_call = timed(digits.train_step, state, *batch)

    with progress(console, "Weft", digits.steps(train)) as advance:
        for images, targets in digits.batches(train):
            state, loss = digits.train_step(state, images, targets)
            advance(1, f"loss {float(loss):.3f}")
    # Before NumPy's turn: the threads of its BLAS keep a core busy for a while after each product.
    per_step = median_seconds(digits.train_step, state, *batch)
    with progress(console, "NumPy", digits.steps(train)) as advance:
        for images, targets in digits.batches(train):
            numpy_state, loss = digits.numpy_train_step(numpy_state, images, targets)
            advance(1, f"loss {loss:.3f}")

    numpy_per_step = median_seconds(digits.numpy_train_step, numpy_state, *batch)

    def accuracy(state: digits.State | digits.NumpyState) -> str:
        return f"{float(digits.accuracy(state.layers, *test)):.1%}"

    table = comparison("test accuracy")
    table.add_row("Weft", accuracy(state), *speed(per_step, numpy_per_step))
    table.add_row("NumPy", accuracy(numpy_state), *speed(numpy_per_step, numpy_per_step))
    console.print(table)
    stats = digits.train_step.trace(state, *batch).executable.stats
    console.print(compiled("train_step", stats, first_call - per_step))


def show_fluid(console: Console, path: Path) -> None:
    """Simulate the fluid, compare its first steps with NumPy's, and write its picture to `path`."""
    console.print(
        f"[bold]Stable fluids[/bold]: {fluid.SIZE} × {fluid.SIZE} cells, "
        f"{fluid.SWEEPS} pressure sweeps a step"
    )
    start = fluid.initial_state()
    _, first_call = timed(fluid.simulate, start)

    state, checkpoint, times = start, start, []
    with progress(console, "Weft", FLUID_STEPS) as advance:
        for done in range(fluid.CHUNK, FLUID_STEPS + 1, fluid.CHUNK):
            state, duration = timed(fluid.simulate, state)
            times.append(duration / fluid.CHUNK)
            checkpoint = state if done == NUMPY_FLUID_STEPS else checkpoint
            advance(fluid.CHUNK, "")

    numpy_state, numpy_times = start, []
    with progress(console, "NumPy", NUMPY_FLUID_STEPS) as advance:
        for _ in range(0, NUMPY_FLUID_STEPS, fluid.CHUNK):
            numpy_state, duration = timed(fluid.numpy_simulate, numpy_state)
            numpy_times.append(duration / fluid.CHUNK)
            advance(fluid.CHUNK, "")

    apart = max(
        float(np.abs(np.asarray(ours) - theirs).max())
        for ours, theirs in zip(checkpoint, numpy_state, strict=True)
    )
    per_step, numpy_per_step = statistics.median(times), statistics.median(numpy_times)
    table = comparison("steps")
    table.add_row("Weft", str(FLUID_STEPS), *speed(per_step, numpy_per_step))
    table.add_row("NumPy", str(NUMPY_FLUID_STEPS), *speed(numpy_per_step, numpy_per_step))
    console.print(table)
    stats = fluid.simulate.trace(start).executable.stats
    console.print(compiled("simulate", stats, first_call - per_step * fluid.CHUNK))
    same = "agree to the last bit" if apart == 0 else f"differ by at most {apart:.1g}"
    console.print(f"After {NUMPY_FLUID_STEPS} steps the two {same}.")
    write_png(path, picture(np.asarray(state.map_x), np.asarray(state.map_y)))
    console.print(f"The fluid's picture: [bold]{path}[/bold]")


# Measuring and printing


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Return what a call returns and its seconds; jitted calls return when they are done."""
    begin = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - begin


def median_seconds(function: Callable[..., Any], *arguments: Any) -> float:
    """Return the median time of several calls."""
    return statistics.median(timed(function, *arguments)[1] for _ in range(SAMPLES))


@contextmanager
def progress(console: Console, name: str, total: int) -> Iterator[Callable[[int, str], None]]:
    """Show a bar; the function it gives advances it by some steps and sets the note beside it."""
    columns = (
        TextColumn(f"  {name:6}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(name, total=total, note="")
        yield lambda steps, note: bar.update(task, advance=steps, note=note)


def comparison(column: str) -> Table:
    """Return an empty table that compares Weft with NumPy."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2))
    table.add_column("")
    table.add_column(column, justify="right")
    table.add_column("time per step", justify="right")
    table.add_column("", justify="right")
    return table


def speed(own: float, reference: float) -> tuple[str, str]:
    """Return a time, and how many times faster it is than `reference`."""
    ratio = "" if own == reference else f"{reference / own:.1f}× NumPy's speed"
    return f"{own * 1e3:.3g} ms", ratio


def compiled(name: str, stats: Stats, total: float) -> str:
    """Describe what was compiled; `total` is the time of a first call in excess of a later one."""
    passes = {"trace": max(0.0, total - stats.seconds), **stats.passes}
    detail = ", ".join(f"{name} {duration:.2f}" for name, duration in passes.items())
    seconds = max(total, stats.seconds)
    return f"Compiled {name}: {stats.kernels} kernels in {seconds:.2f} s ({detail})"
