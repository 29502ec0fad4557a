"""`explain`: compile a function and tell what was made of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from weft.compile import PlannedRegion, Record, compile_jaxpr, host_machine
from weft.config import config
from weft.core.source import Source
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine
from weft.kernels.open_extents import is_open
from weft.kernels.price.price import Price, price
from weft.kernels.print import print_kernel
from weft.report.report import EGraph, KernelReport, Report
from weft.saturate.derivation import Step, derivation
from weft.terms.liveness import loaded
from weft.terms.region import Region
from weft.terms.term import Value
from weft.transforms.abstract import make_jaxpr
from weft.transforms.functions import check_callable


def explain(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Report:
    """What becomes of ``fun`` when it is compiled for ``args``: kernels, bytes, rules, time.

    ``fun`` is a function of arrays (or trees of them), jitted or not; nothing is run.

    >>> report = explain(lambda a, b: (a @ b)[3], np.ones((200, 300)), np.ones((300, 200)))
    >>> report.flops  # two for each element of b
    120000
    """
    check_callable("explain", fun)
    start = time.perf_counter()
    closed = make_jaxpr(fun)(*args, **kwargs)
    record = Record()
    record.seconds["trace"] = time.perf_counter() - start
    executable = compile_jaxpr(closed, record=record)
    passes = {k: v for k, v in executable.stats.passes.items() if k != "plan"}
    machine = host_machine(config.threads)
    kernels = [k for region in record.regions for k in _kernels(region, machine)]
    return Report(
        name=getattr(fun, "__name__", type(fun).__name__),
        kernels=tuple(kernels),
        peak_intermediate_bytes=executable.stats.arena_bytes,
        derivation=tuple(_derivations(record.regions, machine)),
        egraph=_egraph(record),
        compile_time={**record.seconds, **passes},
        fallbacks=tuple(_fallbacks(record.regions)),
        levels={"jaxpr": str(closed)},
    )


def _kernels(region: PlannedRegion, machine: Machine) -> list[KernelReport]:
    found: list[KernelReport] = []
    stored = {v for kernel, values, _ in region.kernels for v in _written(kernel, values)}
    for kernel, values, _ in region.kernels:
        written = _written(kernel, values)
        read = [v for v in values if v not in written]
        warm, cold = _prices(kernel, machine)
        found.append(
            KernelReport(
                name=kernel.name,
                inputs=tuple(v.name for v in read),
                outputs=tuple(v.name for v in written),
                bytes_moved=_by_server(cold, machine),
                flops=0 if cold is None else cold.flops,
                schedule=print_kernel(kernel),
                predicted_time=0.0 if warm is None else warm.seconds,
                source_lines=_lines(region.chosen, written, stored),
            )
        )
    return found


def _written(kernel: Kernel, values: Iterable[Value]) -> list[Value]:
    pairs = zip(kernel.params, values, strict=True)
    return [v for buffer, v in pairs if buffer.role != "input"]


def _prices(kernel: Kernel, machine: Machine) -> tuple[Price | None, Price | None]:
    """With and without what earlier runs left in the caches; there are none for open extents."""
    if is_open(kernel):
        return None, None
    return price(kernel, machine), price(kernel, machine, warm=False)


def _by_server(cold: Price | None, machine: Machine) -> dict[str, float]:
    """Bytes by the level that serves them, rather than the one that they go to."""
    if cold is None:
        return {}
    names = [level.name for level in machine.levels]
    servers = dict(zip(names, [*names[1:], "DRAM"], strict=True))
    return {servers[name]: count for name, count in cold.bytes.items()}


def _lines(region: Region, written: Iterable[Value], stored: set[Value]) -> tuple[Source, ...]:
    """The lines of what a kernel computes: definitions up to those that others store."""
    steps = {s.value: s for s in region.steps}
    found: dict[Source, None] = {}
    seen: set[Value] = set()
    stack = list(written)
    while stack:
        value = stack.pop()
        step = steps.get(value)
        if step is None or value in seen:
            continue
        seen.add(value)
        if step.source is not None:
            found[step.source] = None
        stack += [v for v in loaded(*step.terms) if v not in stored]
    return tuple(sorted(found, key=lambda s: (s.file, s.line)))


def _derivations(regions: Iterable[PlannedRegion], machine: Machine) -> list[Step]:
    found: list[Step] = []
    for region in regions:
        for piece in region.pieces:
            if piece.changed and piece.search is not None:
                found += derivation(piece.search, piece.before, machine, config.numerics)
    return found


def _egraph(record: Record) -> EGraph:
    found = EGraph(seconds=record.seconds.get("saturate", 0.0))
    for region in record.regions:
        for piece in region.pieces:
            if piece.search is None:
                found.skipped[piece.skipped] = found.skipped.get(piece.skipped, 0) + 1
                continue
            run = piece.search.found.run
            found.searched += 1
            found.nodes += piece.search.found.graph.nodes
            found.classes += len(piece.search.found.graph.classes)
            found.iterations += run.iterations
    return found


def _fallbacks(regions: Iterable[PlannedRegion]) -> list[str]:
    found: list[str] = []
    for region in regions:
        for kernel, _, _ in region.kernels:
            found += [f"{kernel.name}: {why}" for why in kernel.notes.get("refused", ())]
        cuts = len(region.pieces) - 1
        if cuts:
            found.append(
                f"rules saw a region of {len(region.source.steps)} steps in {cuts + 1} pieces"
            )
        found += [
            f"rules did not see {len(p.region.steps)} steps: {p.skipped}"
            for p in region.pieces
            if p.skipped == "too many axes"
        ]
    return found
