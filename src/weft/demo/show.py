"""Run demos one after the other, and list them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import weft
from weft.demo import DEMOS
from weft.demo.stage import Stage


def show(console: Console, names: Sequence[str], pictures: Mapping[str, Path]) -> None:
    """Run the named demos; some have files that their pictures go to."""
    threads = weft.config.threads
    console.print(
        f"[bold]Weft {weft.__version__}[/bold] beside NumPy {np.__version__}, "
        f"{threads} thread{'s' if threads != 1 else ''}"
    )
    for name in names:
        console.print()
        import_module(f"weft.demo.{name}").show(
            Stage(console, pictures.get(name, Path()), paints=name in pictures)
        )


def overview(console: Console) -> None:
    """List the demos."""
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 2), show_header=False)
    for name, demo in DEMOS.items():
        table.add_row(f"[bold]{name}[/bold]", demo.text)
    console.print(table)
