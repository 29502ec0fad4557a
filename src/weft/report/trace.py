"""A profile in the trace event format, which Perfetto and Chrome show."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from os import PathLike
from typing import TYPE_CHECKING, Any

from weft.report.steps import StepInfo

if TYPE_CHECKING:
    from weft.report.profile import Profile


def write(profile: Profile, path: str | PathLike[str]) -> None:
    """Writes the trace of a profile to a file."""
    with open(path, "w") as file:
        json.dump({"traceEvents": list(events(profile)), "displayTimeUnit": "ns"}, file)


def events(profile: Profile) -> Iterator[dict[str, Any]]:
    """The events; times are in microseconds since the profile began."""
    from weft.report.profile import program_name

    process, origin = os.getpid(), profile.memory.origin
    threads: dict[int, int] = {}
    for run in profile.runs:
        thread = threads.setdefault(run.thread, len(threads))
        common = {"ph": "X", "pid": process, "tid": thread}
        yield common | {
            "name": program_name(run.subject),
            "cat": "program",
            "ts": (run.begin - origin) / 1e3,
            "dur": (run.end - run.begin) / 1e3,
            "args": {"events left out": run.dropped} if run.dropped else {},
        }
        infos = profile.steps(run.subject)
        for number, begin, end in run.events.tolist():
            info = infos[number]
            yield common | {
                "name": info.name,
                "cat": info.kind,
                "ts": (begin - origin) / 1e3,
                "dur": (end - begin) / 1e3,
                "args": _arguments(info),
            }
    for seconds, nbytes in profile.memory.timeline:
        yield {
            "name": "memory",
            "ph": "C",
            "pid": process,
            "ts": seconds * 1e6,
            "args": {"bytes": nbytes},
        }
    yield {"name": "process_name", "ph": "M", "pid": process, "args": {"name": "weft"}}
    for identifier, thread in threads.items():
        name = {"name": f"thread {identifier}"}
        yield {"name": "thread_name", "ph": "M", "pid": process, "tid": thread, "args": name}


def _arguments(info: StepInfo) -> dict[str, Any]:
    return {
        "lines": [f"{s.file}:{s.line}: {s.text()}" for s in info.lines],
        "arrays": info.shapes,
        "flops": info.flops,
        "bytes of DRAM": round(info.memory_bytes),
        "predicted, µs": round(info.predicted * 1e6, 3),
    }
