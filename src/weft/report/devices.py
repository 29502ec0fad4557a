"""``weft devices``: what programs run on, and the machine models that they are planned with."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from weft.config import config
from weft.kernels.machine import Level, Machine, h100
from weft.machines import host_machine
from weft.runtime import figures
from weft.runtime.measure import measure as measure_figures
from weft.runtime.measure import steps
from weft.runtime.native import host_cpu, tiles_refused


def show(console: Console) -> None:
    """The devices, and how fast their models say that they are."""
    cpu, threads = host_cpu(), config.threads
    machine = host_machine(threads)
    known = figures.measured() is not None
    source = f"measured, {figures.path()}" if known else "built in (weft devices --measure)"
    console.print(
        f"cpu: {cpu.name}, {cpu.architecture}, {threads} thread{'s' * (threads != 1)}, "
        f"vectors of {cpu.vector_bits} bits",
        highlight=False,
    )
    if tiles_refused():
        console.print(
            "  tile registers (AMX) are there, but the system does not let this process use them: "
            "products of bfloat16 and bytes run on vectors",
            highlight=False,
            soft_wrap=True,
        )
    console.print(f"  model: {source}", highlight=False, soft_wrap=True)
    console.print(
        f"  {machine.core.ghz:.3g} GHz, {2 * machine.products(4):.4g} GFLOP/s of float32",
        highlight=False,
    )
    console.print(_table(machine))
    other = h100()
    console.print(
        f"{other.name}: planned for, not run on; {other.threads} multiprocessors, "
        f"{2 * other.products(4):.5g} GFLOP/s of float32",
        highlight=False,
    )
    console.print(_table(other))


def _table(machine: Machine) -> Table:
    """A row for each level of memory."""
    cpu = machine.kind == "cpu"
    table = Table(box=None, pad_edge=True)
    names = ("level", "size", "GB/s of a core" if cpu else "GB/s", "ns per line", "latency, ns")
    for name in names[: 5 if cpu else 3]:
        table.add_column(name, justify="left" if name == "level" else "right")
    for level in machine.levels:
        table.add_row(*_row(level, cpu))
    memory = [f"{machine.memory.read[0]:.3g}", f"{machine.memory.latency:.3g}"] if cpu else []
    table.add_row("DRAM", "", f"{machine.memory_bandwidth:.4g}", *memory)
    return table


def _row(level: Level, cpu: bool) -> list[str]:
    row = [level.name, f"{level.capacity >> 10} KiB", f"{level.bandwidth:.4g}"]
    costs = (level.cost.read[0], level.cost.latency)
    return row + [f"{x:.3g}" if x else "" for x in costs] * cpu


def measure(console: Console) -> None:
    """Measure this machine and keep its figures.

    Shows how far it is on a terminal. Raises `ValueError` without a cache folder, `OSError` where
    it cannot be written.
    """
    if figures.path() is None:
        raise ValueError(
            "there is no folder for the figures of this machine: set weft.config.cache_dir"
        )
    cpu, threads = host_cpu(), config.threads
    columns = (TextColumn("measuring {task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=steps(cpu, threads))
        found = measure_figures(
            cpu, threads, lambda name: bar.update(task, description=name, advance=1)
        )
    where = figures.save(found)
    console.print(f"wrote {where}", highlight=False, soft_wrap=True)
    show(console)


def forget(console: Console) -> None:
    """Go back to the built-in model."""
    gone = figures.forget()
    console.print("forgotten" if gone else "this machine was not measured")
