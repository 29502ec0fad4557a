"""The ``weft`` command: ``weft demo``, ``weft devices`` and ``weft bench``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import weft

BENCH = Path(__file__).parents[2] / "bench" / "run.py"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status (130 after Ctrl-C, as shells do)."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if arguments[:1] == ["bench"]:
            return bench(arguments[1:])
        options = parser().parse_args(arguments)
        if options.command == "devices":
            return devices(options.measure, options.forget)
        if options.pages is not None:
            return pages(options.pages)
        return demo(options.names, options.picture)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of everything except ``weft bench``, which has its own."""
    top = argparse.ArgumentParser(prog="weft", description="NumPy programs as native kernels.")
    top.add_argument("--version", action="version", version=f"weft {weft.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = commands.add_parser(
        "demo", help="train a classifier and simulate a fluid, each beside NumPy"
    )
    show.add_argument(
        "names", nargs="*", metavar="digits|fluid", help="what to show (default: both)"
    )
    show.add_argument(
        "--picture",
        type=Path,
        default=Path("weft-fluid.png"),
        metavar="FILE",
        help="where the fluid's picture goes (default: %(default)s)",
    )
    show.add_argument(
        "--pages",
        type=Path,
        metavar="FOLDER",
        help="write live pages for a browser there instead: draw a digit, stir the fluid",
    )
    model = commands.add_parser(
        "devices", help="what programs run on, and the model that they are planned with"
    )
    either = model.add_mutually_exclusive_group()
    either.add_argument(
        "--measure", action="store_true", help="measure this machine, for programs to come"
    )
    either.add_argument(
        "--forget", action="store_true", help="go back to the built-in model of this machine"
    )
    commands.add_parser(
        "bench", add_help=False, help="compare with other frameworks (weft bench --help)"
    )
    return top


def demo(names: Sequence[str], picture: Path) -> int:
    """Run the named demos, or all of them."""
    from weft.demo import NAMES

    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(
            f"weft demo: no demo {', '.join(unknown)}; there are {', '.join(NAMES)}",
            file=sys.stderr,
        )
        return 2
    if not picture.parent.is_dir():
        print(
            f"weft demo: --picture {picture}: there is no folder {picture.parent}", file=sys.stderr
        )
        return 2
    from rich.console import Console

    from weft.demo.show import show

    show(Console(), names or NAMES, picture)
    return 0


def pages(folder: Path) -> int:
    """Write the live pages, and say how to look at them."""
    from weft.demo.pages import write_pages

    try:
        written = write_pages(folder)
    except OSError as why:
        print(f"weft demo: --pages {folder}: {why}", file=sys.stderr)
        return 2
    print(f"Wrote {' and '.join(map(str, written))}. To see them:")
    print(f"  {sys.executable} -m http.server --bind 127.0.0.1 --directory {folder}")
    print("and open http://127.0.0.1:8000 in a browser.")
    return 0


def devices(measure: bool, forget: bool) -> int:
    """List the devices and their models, or measure this machine."""
    from rich.console import Console

    from weft.report import devices as report

    try:
        if measure:
            report.measure(Console())
        elif forget:
            report.forget(Console())
        else:
            report.show(Console())
    except (ValueError, OSError) as why:
        print(f"weft devices: {why}", file=sys.stderr)
        return 2
    return 0


def bench(arguments: Sequence[str]) -> int:
    """Run the benchmark kit, which lives beside the package in a clone."""
    if not BENCH.exists():
        print(
            "weft bench needs the benchmark kit of Weft's repository: clone it and install it "
            "there with: pip install -e '.[bench]'",
            file=sys.stderr,
        )
        return 2
    return subprocess.run([sys.executable, str(BENCH), *arguments]).returncode


if __name__ == "__main__":
    sys.exit(main())
