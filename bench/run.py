#!/usr/bin/env python3
"""Compare frameworks on a set of CPU workloads.

    weft bench versus weft jax,torch_compile 'mm*' softmax_4096 --rounds 5
    weft bench times jax
    weft bench check numpy,jax
    weft bench list
    weft bench scaling scaling.svg

Every measurement runs in a process of its own; with several rounds, the frameworks take turns.
A result counts only if it agrees with the float64 reference. See README.md.
"""

import argparse
import contextlib
import fnmatch
import importlib.util
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path

import conditions
import intervals
import plot
import record
import roofs
from peers import COMPILING, ENVIRONMENT, FRAMEWORKS, PACKAGES
from workloads import WORKLOADS

MARKER = "RESULT "

# What a table can show: key in a result -> (unit, value of one unit)
QUANTITIES = {
    "median": ("ms", 1e-3),
    "first_call": ("ms", 1e-3),
    "start": ("ms", 1e-3),
    "memory": ("MiB", 2.0**20),
    "own_memory": ("MiB", 2.0**20),
}


# Measuring


@contextlib.contextmanager
def locked(path: str | None):
    """Hold an exclusive lock on ``path``, so that benchmarks on one machine take turns."""
    if path is None:
        yield
        return
    import fcntl

    with open(path, "a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def environment(framework: str, cache: str) -> dict[str, str]:
    """Environment variables for a process that measures ``framework`` and caches in ``cache``."""
    variables = dict(os.environ, XDG_CACHE_HOME=cache)
    variables |= conditions.environment(framework, roofs.thread_count())
    # Compilers installed next to the interpreter (in a virtual environment) come first.
    variables["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), variables["PATH"]])
    return variables | ENVIRONMENT.get(conditions.base(framework), {})


def run_child(framework: str, workload: str, options: argparse.Namespace) -> dict:
    """Measure one workload in a new process and return its result."""
    result = {"framework": framework, "workload": workload, "status": "failed"}
    command = [sys.executable, __file__, "_measure", framework, workload]
    if options.command == "check":
        command.append("--check-only")
    with (
        locked(options.lock),
        tempfile.TemporaryFile("w+") as stdout,
        tempfile.TemporaryFile("w+") as stderr,
        tempfile.TemporaryDirectory() as cache,  # empty: nothing compiled by earlier processes
    ):
        process = subprocess.Popen(
            command,
            env=environment(framework, cache),
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        try:
            process.wait(options.timeout)
        except subprocess.TimeoutExpired:
            return result | {"message": f"no result after {options.timeout:g} s"}
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # with its compiler processes
            process.wait()
        stdout.seek(0)
        stderr.seek(0)
        lines, log = stdout.read().splitlines(), stderr.read()
    for line in reversed(lines):
        if line.startswith(MARKER):
            result |= json.loads(line.removeprefix(MARKER))
            break
    else:
        result["message"] = f"process ended with status {process.returncode}"
    if result["status"] == "failed":
        result["log"] = log[-4000:]
    return result | {"framework": framework}


def measure_in_this_process(options: argparse.Namespace):
    """Entry point of the child processes."""
    conditions.restrict_cpus(options.framework)
    from measure import measure

    try:
        result = measure(options.framework, options.workload, options.check_only)
    except Exception as error:
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}".splitlines()[0]
        result = {"status": "failed", "message": message[:300]}
    print(f"\n{MARKER}{json.dumps(result)}", flush=True)


def measure_rounds(workload: str, frameworks: list[str], options: argparse.Namespace) -> dict:
    """Measure one workload in all frameworks, which take turns in each round."""
    results: dict[str, list[dict]] = {framework: [] for framework in frameworks}
    for _ in range(options.rounds):
        for framework, rounds in results.items():
            if not rounds or rounds[-1]["status"] == "ok":
                rounds.append(run_child(framework, workload, options))
    return results


# Reporting


def geometric_mean(values: Iterable[float]) -> float | None:
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def summarise(
    workload: str, results: dict[str, list[dict]], peaks: dict | None, quantity: str
) -> dict:
    """Combine the rounds of one workload; the first framework is compared with the others."""
    values, failures = {}, {}
    for framework, rounds in results.items():
        if rounds[-1]["status"] == "failed":
            failures[framework] = rounds[-1]["message"]
        elif rounds[-1]["status"] == "ok":
            values[framework] = statistics.median(x[quantity] for x in rounds)
    subject = next(iter(results))
    own = conditions.base(subject)
    others = {x: value for x, value in values.items() if conditions.base(x) != own and value > 0}
    best_other = min(others, key=others.get, default=None)
    ratio = interval = None
    if subject in values and others:
        ratio = values[subject] / others[best_other]
        interval = intervals.of_ratio(results[subject], results[best_other], quantity)
    bounded = WORKLOADS[workload].bounded and quantity == "median"
    roof = roofs.roof_seconds(WORKLOADS[workload], peaks) if bounded else None
    return {
        "workload": workload,
        "quantity": quantity,
        "values": values,
        "failures": failures,
        "best_other": best_other,
        "ratio": ratio,
        "interval": interval,
        "roof_seconds": roof,
        "roof_fraction": roof / values[subject] if roof and subject in values else None,
        "disturbed": any(x.get("others", 0) > 0.1 for rounds in results.values() for x in rounds),
        "rounds": results,
    }


def format_value(value: float, quantity: str) -> str:
    scaled = value / QUANTITIES[quantity][1]
    return f"{scaled:.4f}" if scaled < 0.1 else f"{scaled:.4g}"


def table_row(summary: dict, frameworks: list[str], compare: bool) -> list[str]:
    cells = [summary["workload"] + (" ~" if summary["disturbed"] else "")]
    for framework in frameworks:
        if framework in summary["values"]:
            cells.append(format_value(summary["values"][framework], summary["quantity"]))
        else:
            cells.append("failed" if framework in summary["failures"] else "")
    if compare:
        cells.append(f"{summary['ratio']:.2f}" if summary["ratio"] else "")
        cells.append("{:.2f} to {:.2f}".format(*summary["interval"]) if summary["interval"] else "")
        cells.append(summary["best_other"] or "")
    fraction = summary["roof_fraction"]
    cells.append(f"{100 * fraction:.0f}%" if fraction else "")
    return cells


def table_header(frameworks: list[str], compare: bool, quantity: str) -> list[str]:
    unit = QUANTITIES[quantity][0]
    header = ["workload", *(f"{framework} ({unit})" for framework in frameworks)]
    if compare:
        header += [f"{frameworks[0]} / best other", "95% of it", "best other"]
    return [*header, "% of roof"]


def markdown_row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def comparison(summaries: list[dict], frameworks: list[str]) -> dict:
    """Overall figures of the first framework against the others."""
    subject, *others = frameworks
    rows = [summary["values"] for summary in summaries]
    means = {
        other: geometric_mean(
            row[subject] / row[other]
            for row in rows
            if row.get(subject, 0) > 0 and row.get(other, 0) > 0
        )
        for other in others
    }
    ratios = {x["workload"]: x["ratio"] for x in summaries if x["ratio"] is not None}
    late = (name for name in ratios if ratios[name] > intervals.EVEN)
    behind = sorted(late, key=ratios.get, reverse=True)
    return {
        "geometric_means": means | {"best other": geometric_mean(filter(None, ratios.values()))},
        "compared": len(ratios),
        "behind": {name: ratios[name] for name in behind},
        "failed": [x["workload"] for x in summaries if subject in x["failures"]],
    }


def footer(summaries: list[dict], frameworks: list[str], overall: dict | None) -> list[str]:
    """Text below the table."""
    subject, lines = frameworks[0], [""]
    if any(summary["disturbed"] for summary in summaries):
        lines += ["~: other processes used over 10% of the machine during a measurement.", ""]
    if overall:
        quantity = summaries[0]["quantity"]
        lines += [f"Geometric mean of {quantity} ratios (below 1: {subject} needs less)", ""]
        for other, mean in overall["geometric_means"].items():
            if mean is not None:
                lines.append(f"- {subject} / {other}: {mean:.3f}")
        behind = overall["behind"]
        lines += [
            "",
            f"{subject} is behind by more than {intervals.EVEN - 1:.0%} on {len(behind)} of "
            f"{overall['compared']} workloads",
            "",
        ]
        lines += [f"- {name}: {ratio:.2f}x" for name, ratio in behind.items()]
        lines.append("")
    failures = [
        f"- {summary['workload']}, {framework}: {message}"
        for summary in summaries
        for framework, message in summary["failures"].items()
    ]
    return [*lines, "Failures", "", *failures] if failures else lines


def whole_table(
    measured: dict[str, dict], frameworks: list[str], peaks: dict | None, quantity: str
) -> list[str]:
    """The table of one quantity over all that was measured, with the text below it."""
    summaries = [summarise(name, results, peaks, quantity) for name, results in measured.items()]
    header = table_header(frameworks, True, quantity)
    rows = [table_row(summary, frameworks, True) for summary in summaries]
    table = [markdown_row(row) for row in (header, ["---"] * len(header), *rows)]
    return [*table, *footer(summaries, frameworks, comparison(summaries, frameworks))]


def write_record(options: argparse.Namespace, measured: dict, frameworks: list[str], peaks):
    """Put every quantity of this run into the file that ``--record`` names."""
    lines = [*record.introduction(frameworks, options.rounds), ""]
    for quantity in QUANTITIES:
        compiled = quantity in ("first_call", "start")
        shown = [x for x in frameworks if not compiled or conditions.base(x) in COMPILING]
        kept = {name: {x: results[x] for x in shown} for name, results in measured.items()}
        lines += record.section(quantity, whole_table(kept, shown, peaks, quantity))
    record.write(options.record, lines)


def write_files(options: argparse.Namespace, lines: list[str], document: dict):
    """Write the reports that were asked for, also while measurements are still running."""
    if options.markdown:
        Path(options.markdown).write_text("\n".join(lines) + "\n")
    if options.json:
        Path(options.json).write_text(json.dumps(document, indent=1) + "\n")
    if options.plot and len(document["frameworks"]) > 1:
        drawing = plot.ratios(document["workloads"], document["frameworks"])
        Path(options.plot).write_text(drawing, encoding="utf-8")


def report_times(options: argparse.Namespace, frameworks: list[str], names: list[str]) -> int:
    """Measure, print a table, and write the requested files. Returns the exit status."""
    compare = options.command == "versus"
    with locked(options.lock):
        peaks = roofs.measure()
    header = table_header(frameworks, compare, options.quantity)
    table = [markdown_row(header), markdown_row(["---"] * len(header))]
    print("\n".join(table), flush=True)
    summaries, ending, measured = [], [], {}
    for name in names:
        results = measured[name] = measure_rounds(name, frameworks, options)
        summary = summarise(name, results, peaks, options.quantity)
        summaries.append(summary)
        table.append(markdown_row(table_row(summary, frameworks, compare)))
        print(table[-1], flush=True)
        overall = comparison(summaries, frameworks) if compare else None
        ending = footer(summaries, frameworks, overall)
        document = {
            "frameworks": frameworks,
            "roofs": peaks,
            "overall": overall,
            "workloads": summaries,
        }
        write_files(options, table + ending, document)
        if compare and options.record:
            write_record(options, measured, frameworks, peaks)
    print("\n".join(ending))
    return int(any(frameworks[0] in summary["failures"] for summary in summaries))


def report_checks(options: argparse.Namespace, frameworks: list[str], names: list[str]) -> int:
    """Compare results with the references, without timing. Returns the exit status."""
    status = 0
    for name in names:
        for framework in frameworks:
            result = run_child(framework, name, options)
            if result["status"] == "ok":
                detail = (
                    f"ok    error {result['error']:.2g}, tolerance {WORKLOADS[name].tolerance:g}"
                )
            elif result["status"] == "failed":
                detail, status = f"FAIL  {result['message']}", 1
            else:
                detail = "-"
            print(f"{name:20} {framework:14} {detail}", flush=True)
    return status


# Command line


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="weft bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--lock", metavar="FILE", help="lock this file during each measurement")
    common.add_argument("--timeout", type=float, default=180, help="seconds for a measurement")

    timing = argparse.ArgumentParser(add_help=False)
    timing.add_argument("--rounds", type=int, default=3, help="processes for each measurement")
    timing.add_argument(
        "--tuned",
        action="store_true",
        help=f"add '{conditions.TUNED}' to every framework except weft",
    )
    timing.add_argument(
        "--quantity",
        choices=QUANTITIES,
        default="median",
        help="what the table shows: time per call, time of the first call with compilation "
        "(start: of the import, too), or memory above idle after import (own_memory: without "
        "mapped files)",
    )
    timing.add_argument("--json", metavar="FILE", help="write all results to this file")
    timing.add_argument("--markdown", metavar="FILE", help="write the table to this file")
    timing.add_argument("--plot", metavar="FILE", help="draw the ratios to this file, as SVG")

    versus = commands.add_parser(
        "versus", parents=[common, timing], help="compare one framework with others"
    )
    versus.add_argument(
        "--record", metavar="FILE", help="put machine, versions and all quantities into this file"
    )
    versus.add_argument("subject", metavar="A")
    versus.add_argument("frameworks", metavar="B[,C..]")
    times = commands.add_parser("times", parents=[common, timing], help="only measure")
    times.add_argument("frameworks", metavar="A[,B..]")
    check = commands.add_parser("check", parents=[common], help="only check results")
    check.add_argument("frameworks", metavar="A[,B..]")
    commands.add_parser("list", help="show the workloads and frameworks")
    sizes = commands.add_parser("scaling", help="draw times over sizes, in Weft and NumPy")
    sizes.add_argument("file", metavar="FILE", help="where the drawing goes, as SVG")
    for command in (versus, times, check):  # after the other positional arguments
        command.add_argument(
            "patterns", nargs="*", metavar="PATTERN", help="names or globs of workloads"
        )
    child = commands.add_parser("_measure")
    child.add_argument("framework")
    child.add_argument("workload")
    child.add_argument("--check-only", action="store_true")
    return parser.parse_args()


def selected_workloads(patterns: list[str]) -> list[str]:
    patterns = [part for pattern in patterns for part in pattern.split(",")] or ["*"]
    names = [n for n in WORKLOADS if any(fnmatch.fnmatch(n, pattern) for pattern in patterns)]
    if not names:
        sys.exit(f"no workload matches {' '.join(patterns)}")
    return names


def selected_frameworks(options: argparse.Namespace) -> list[str]:
    frameworks = options.frameworks.split(",")
    if options.command == "versus":
        frameworks.insert(0, options.subject)
    if getattr(options, "tuned", False):
        tuned = conditions.TUNED
        frameworks = [
            x if conditions.base(x) == "weft" or tuned in x else x + tuned for x in frameworks
        ]
    for framework in frameworks:
        if conditions.base(framework) not in FRAMEWORKS:
            sys.exit(f"unknown framework {framework}; there are {', '.join(FRAMEWORKS)}")
        if problem := conditions.check(framework):
            sys.exit(f"{framework}: {problem}")
    require_installed(frameworks)
    return list(dict.fromkeys(frameworks))


def require_installed(frameworks: list[str]):
    """Exit with the command to run when a package behind ``frameworks`` is missing."""
    packages = {PACKAGES[conditions.base(framework)] for framework in frameworks}
    missing = sorted(name for name in packages if importlib.util.find_spec(name) is None)
    if missing:
        sys.exit(
            f"{', '.join(missing)} not installed for {sys.executable}; "
            f"install what you want to compare with, or everything: pip install -e '.[bench]'"
        )


def main() -> int:
    options = parse_arguments()
    if options.command == "_measure":
        measure_in_this_process(options)
        return 0
    if options.command == "list":
        print("frameworks:", ", ".join(FRAMEWORKS))
        for workload in WORKLOADS.values():
            print(f"{workload.name:20} {workload.note}".rstrip())
        return 0
    if options.command == "scaling":
        import scaling

        Path(options.file).write_text(plot.scaling(scaling.measure()), encoding="utf-8")
        return 0
    frameworks, names = selected_frameworks(options), selected_workloads(options.patterns)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the child process as well
    report = report_checks if options.command == "check" else report_times
    return report(options, frameworks, names)


if __name__ == "__main__":
    sys.exit(main())
