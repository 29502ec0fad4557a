"""`explain`: compile a function and tell what was made of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from weft import tree
from weft.compile import compile_jaxpr
from weft.config import config
from weft.core.avals import ShapedArray
from weft.kernels.machine import Machine
from weft.kernels.print import print_kernel
from weft.planning import PlannedRegion, Record
from weft.report.levels import Levels
from weft.report.origins import computed, lines_of, written
from weft.report.report import EGraph, KernelReport, Report, Work
from weft.report.steps import cost_of
from weft.saturate.derivation import Step, derivation
from weft.saturate.pieces import pieces
from weft.transforms.abstract import ShapeDtypeStruct, make_jaxpr
from weft.transforms.functions import check_callable


def explain(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Report:
    """What becomes of ``fun`` when it is compiled for ``args``: kernels, bytes, rules, time.

    ``fun`` is a function of arrays (or trees of them), jitted or not. Nothing is run, until the
    report is asked to `Report.measure`; so arguments may be `weft.ShapeDtypeStruct` as well.

    >>> report = explain(lambda a, b: (a @ b)[3], np.ones((200, 300)), np.ones((300, 200)))
    >>> report.flops  # two for each element of b
    120000
    """
    check_callable("explain", fun)
    start = time.perf_counter()
    closed = make_jaxpr(fun)(*args, **kwargs)
    record = Record()
    record.seconds["trace"] = time.perf_counter() - start
    executable = compile_jaxpr(closed, record=record, stamped=True)
    subject = executable.native.subject
    leaves = tree.leaves((args, kwargs))
    typed = any(isinstance(x, ShapeDtypeStruct | ShapedArray) for x in leaves)
    passes = {k: v for k, v in executable.stats.passes.items() if k != "plan"}
    machine = subject.machine
    kernels = _kernels(record.regions, machine)
    return Report(
        name=getattr(fun, "__name__", type(fun).__name__),
        kernels=tuple(kernels),
        peak_intermediate_bytes=executable.stats.arena_bytes,
        derivation=tuple(_derivations(record.regions, machine)),
        egraph=_egraph(record),
        compile_time={**record.seconds, **passes},
        fallbacks=tuple(_fallbacks(record.regions, empty=not closed.jaxpr.eqns)),
        refused=tuple(_refused(record.regions)),
        levels=Levels(subject),
        work=Work(subject, executable.native, None if typed else leaves),
    )


def _kernels(regions: list[PlannedRegion], machine: Machine) -> list[KernelReport]:
    found: list[KernelReport] = []
    launches = [planned for region in regions for planned in region.kernels]
    for (kernel, values, _), inside in zip(launches, computed(regions), strict=True):
        outputs = written(kernel, values)
        flops, moved, predicted, at_best = cost_of(kernel, machine)
        found.append(
            KernelReport(
                name=kernel.name,
                inputs=tuple(v.name for v in values if v not in outputs),
                outputs=tuple(v.name for v in outputs),
                bytes_moved=moved,
                flops=flops,
                schedule=print_kernel(kernel),
                predicted_time=predicted,
                source_lines=lines_of(inside),
                roof_time=at_best,
            )
        )
    return found


def _derivations(regions: Iterable[PlannedRegion], machine: Machine) -> list[Step]:
    found: list[Step] = []
    for region in regions:
        sources = pieces(region.source) if len(region.pieces) > 1 else [region.source]
        for source, piece in zip(sources, region.pieces, strict=True):
            if piece.changed and piece.search is not None:
                numerics = config.numerics
                found += derivation(piece.search, piece.before, machine, numerics, source)
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


def _refused(regions: Iterable[PlannedRegion]) -> list[str]:
    found = [
        f"{kernel.name}: {why}"
        for region in regions
        for kernel, _, _ in region.kernels
        for why in kernel.notes.get("refused", ())
    ]
    return list(dict.fromkeys(found))


def _fallbacks(regions: Iterable[PlannedRegion], empty: bool) -> list[str]:
    found: list[str] = []
    if empty:
        found.append(
            "it returns nothing that it computes on arrays, and what nobody gets is not computed: "
            "explain a function that returns arrays"
        )
    for region in regions:
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
