"""Write what was measured into a Markdown file: machine, versions, and a table for each quantity.

Only the part between two marker lines is replaced, so that explanations written by hand stay.
"""

import datetime
import importlib
import importlib.metadata
import platform
from pathlib import Path

import conditions
import roofs
from peers import PACKAGES

BEGIN = "<!-- measured: begin (not written by hand) -->"
END = "<!-- measured: end -->"
TITLES = {
    "median": "Time per call",
    "first_call": "First call, everything compiled from nothing",
    "start": "Importing the library and the first call",
    "memory": "Peak of memory up to the first call, above idle after import",
    "own_memory": "The same without mapped files: what a process does not share with others",
}


def processor() -> str:
    """Name of the processor as the operating system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def version(package: str) -> str:
    """Version of a package, installed or only on the path (a work tree)."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return importlib.import_module(package).__version__


def versions(frameworks: list[str]) -> str:
    """The installed versions behind `frameworks`, each named once."""
    packages = dict.fromkeys(PACKAGES[conditions.base(name)] for name in frameworks)
    return ", ".join(f"{name} {version(name)}" for name in packages)


def introduction(frameworks: list[str], rounds: int) -> list[str]:
    """What was measured, where, and when."""
    return [
        f"{processor()}, {roofs.thread_count()} threads; Python {platform.python_version()}; "
        f"{versions(frameworks)}; {datetime.date.today():%d %B %Y}; rounds: {rounds}.",
        "Every process started with an empty cache of compiled code. Medians over rounds of the "
        "median over calls; every result was checked against a float64 reference before and after. "
        "Ratios have 95% intervals by bootstrap over processes and calls.",
    ]


def section(quantity: str, table: list[str]) -> list[str]:
    """One titled table with the text below it."""
    return [f"## {TITLES[quantity]}", "", *"\n".join(table).strip().splitlines(), ""]


def write(path: str, lines: list[str]) -> None:
    """Put `lines` between the markers of the file at `path`, or at its end when it has none."""
    file = Path(path)
    text = file.read_text() if file.exists() else ""
    measured = "\n".join([BEGIN, "", *lines, END])
    before, found, rest = text.partition(BEGIN)
    after = rest.partition(END)[2] if found else "\n"
    file.write_text(f"{before}{measured}{after}")
