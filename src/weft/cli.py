"""The ``weft`` command: ``weft demo``, ``weft explain``, ``weft devices`` and ``weft bench``."""

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
        if options.command == "explain":
            return explain(options.place, options.arguments, options.save, options.level)
        if options.command == "devices":
            return devices(options.measure, options.forget)
        if options.pages is not None:
            return pages(options.pages)
        return demo(options.names, options.picture, options.list)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """Return the parser of everything except ``weft bench``, which has its own."""
    top = argparse.ArgumentParser(prog="weft", description="NumPy programs as native kernels.")
    top.add_argument("--version", action="version", version=f"weft {weft.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    show = commands.add_parser(
        "demo", help="train a classifier and simulate a fluid, each beside NumPy; more by name"
    )
    show.add_argument(
        "names", nargs="*", metavar="NAME", help="what to show (default: digits fluid)"
    )
    show.add_argument("--list", action="store_true", help="say which demos there are")
    show.add_argument(
        "--picture",
        type=Path,
        metavar="FILE",
        help="where the picture goes, if it is one (default: weft-NAME.png, or .svg)",
    )
    show.add_argument(
        "--pages",
        type=Path,
        metavar="FOLDER",
        help="write live pages for a browser there instead: draw a digit, stir the fluid",
    )
    what = commands.add_parser(
        "explain", help="what becomes of a function: kernels, bytes, rules, times, instructions"
    )
    what.add_argument("place", metavar="script.py:function", help="runs until its first call")
    what.add_argument(
        "arguments",
        nargs="*",
        metavar="ARGUMENT",
        help="arguments instead of those: types such as f32[64,784], or expressions over the "
        "names of the script",
    )
    what.add_argument("--save", type=Path, metavar="FILE", help="write a page for a browser there")
    what.add_argument("--level", metavar="NAME", help="print a level, such as kernels or assembly")
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


def demo(names: Sequence[str], picture: Path | None = None, only_list: bool = False) -> int:
    """Run the named demos, or the first two, or say which there are."""
    from weft.demo import DEMOS, NAMES

    chosen = list(names or NAMES)
    unknown = [name for name in chosen if name not in DEMOS]
    if unknown:
        print(
            f"weft demo: no demo {', '.join(unknown)}; there are {', '.join(DEMOS)}",
            file=sys.stderr,
        )
        return 2
    # Without names there is one picture, the fluid's.
    painting = list(dict.fromkeys(names)) or ["fluid"]
    if picture is not None and len(painting) != 1:
        print(
            f"weft demo: --picture {picture} is for one picture, but "
            f"{' and '.join(painting)} make {len(painting)}",
            file=sys.stderr,
        )
        return 2
    if picture is not None and not picture.parent.is_dir():
        print(
            f"weft demo: --picture {picture}: there is no folder {picture.parent}", file=sys.stderr
        )
        return 2
    from rich.console import Console

    from weft.demo.show import overview, show

    console = Console()
    if only_list:
        overview(console)
        return 0
    pictures = {name: picture or Path(f"weft-{name}{DEMOS[name].suffix}") for name in painting}
    show(console, chosen, pictures)
    if not names:
        console.print("\nMore demos: [bold]weft demo --list[/bold]")
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


def explain(place: str, arguments: Sequence[str], save: Path | None, level: str | None) -> int:
    """Explain a function of a script, measured if there is something to run it on."""
    from rich.console import Console

    from weft.report.script import ScriptError, explain_script
    from weft.report.terminal import UNCUT, plain

    console = Console(highlight=False)
    try:
        report = explain_script(place, arguments)
        if level is not None:
            if level not in report.levels:
                raise ScriptError(f"--level is one of {', '.join(report.levels)}, not {level!r}")
            print(report.levels[level])
            return 0
        if report.measurable:
            report.measure()
        if console.is_terminal:
            console.print(report)
        else:
            print(plain(report, UNCUT))
        if save is not None:
            report.save(save)
            print(f"wrote {save}")
    except (ScriptError, OSError) as why:
        print(f"weft explain: {why}", file=sys.stderr)
        return 2
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
