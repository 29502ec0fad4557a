"""A report as HTML: the page that `Report.save` writes, and what a notebook shows."""

from __future__ import annotations

import base64
import gzip
import json
import linecache
import os
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files as resources
from math import isfinite
from typing import Any

from weft.codegen.stamps_llvm import stamped_steps
from weft.core.source import Source
from weft.kernels.program import Launch, Routine
from weft.report.levels import TITLES, Levels, all_lines
from weft.report.page import figures
from weft.report.page.graph import graph
from weft.report.report import KernelReport, Report, Work
from weft.report.rivals import Rival, loops_text
from weft.report.roof import roof
from weft.report.terminal import lines_text
from weft.report.units import bytes_text, count_text, seconds_text
from weft.saturate.derivation import Step

#: Levels of the page; the program is drawn.
SHOWN = tuple(name for name in TITLES if name != "program")
#: Lines shown around those that something was made of.
AROUND = 2


def page(report: Report) -> str:
    """The whole page, with its style and script."""
    work = _work(report)
    if report.measured is None and report.measurable:
        report.measure()
    levels = report.levels
    assert isinstance(levels, Levels)
    lines = all_lines(levels, SHOWN)
    numbers = {source: n for n, source in enumerate(lines)}
    notes = (*report.fallbacks, *report.refused)
    sections = {
        "NAME": escape(report.name),
        "SUMMARY": _summary(report),
        "TIMELINE": _timeline(report, work),
        "KERNELS": _kernels(report, numbers),
        "ROOFLINE": figures.roofline(report.kernels, roof(work.subject.machine)),
        "GRAPH": graph(
            work.subject.program,
            [_label(kernel) for kernel in report.kernels],
            [_seconds(kernel) for kernel in report.kernels],
        ),
        "SOURCE": _source(lines),
        "TABS": _tabs(),
        "DERIVATION": _derivation(report),
        "EGRAPH": _egraph(report),
        "RIVALS": _rivals(report),
        "PASSES": _passes(report),
        "NOTES": "".join(f"<li>{escape(text)}</li>" for text in notes),
        "DATA": _packed(_data(levels, numbers)),
        "STYLE": _resource("style.css"),
        "SCRIPT": _resource("page.js"),
    }
    text = _resource("page.html")
    for name, section in sections.items():
        text = text.replace(f"<!--{name}-->", section)
    return text


def notebook(report: Report) -> str:
    """A table of the kernels, which needs no script."""
    numbers: dict[Source, int] = {}
    head = f"<h3>{escape(report.name)}</h3><dl>{_summary(report)}</dl>"
    style = f"<style>{_resource('notebook.css')}</style>"
    return f'<div class="weft-report">{style}{head}{_kernels(report, numbers)}</div>'


@cache
def _resource(name: str) -> str:
    return resources("weft.report.page").joinpath(name).read_text(encoding="utf-8")


def _work(report: Report) -> Work:
    if report.work is None:
        raise ValueError(f"the report of '{report.name}' was not made by weft.explain")
    return report.work


def _seconds(kernel: KernelReport) -> float:
    return kernel.measured_time or kernel.predicted_time


def _label(kernel: KernelReport) -> str:
    """The name of a kernel and the lines that it computes."""
    lines = dict.fromkeys(str(source.line) for source in kernel.source_lines)
    return f"{kernel.name} · {','.join(lines)}" if lines else kernel.name


# -- what is written out ---------------------------------------------------------------------------


def _summary(report: Report) -> str:
    count = len(report.kernels)
    cards = [("kernels", str(count)), ("predicted", seconds_text(report.predicted_time))]
    if report.measured is not None:
        cards.append(("measured", seconds_text(report.measured.seconds)))
    at_roof = sum(k.launches * k.roof_time for k in report.kernels)
    took = report.measured.seconds if report.measured else report.predicted_time
    if took:
        cards.append(("of the roof", f"{100 * at_roof / took:.0f}%"))
    cards += [
        ("operations", f"{count_text(report.flops)}FLOP"),
        ("main memory", bytes_text(report.bytes_moved.get("DRAM", 0.0))),
        ("between kernels", bytes_text(report.peak_intermediate_bytes)),
        ("compiled in", seconds_text(sum(report.compile_time.values()))),
    ]
    return "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in cards)


def _timeline(report: Report, work: Work) -> str:
    if report.measured is None:
        return (
            '<p class="quiet">Not measured: some arguments were types only. '
            "Times below are the machine model's.</p>"
        )
    names: list[tuple[int | None, str]] = []
    launches = 0
    for step in stamped_steps(work.subject.program):
        if isinstance(step, Launch):
            names.append((launches, step.kernel.name))
            launches += 1
        else:
            names.append((None, step.name if isinstance(step, Routine) else "copy"))
    runs = f"one call of {report.measured.runs}, that of median length"
    return f'{figures.timeline(report.measured, names)}<p class="quiet">{runs}</p>'


def _kernels(report: Report, numbers: dict[Source, int]) -> str:
    measured = report.measured is not None
    heads = ["kernel", "time", "share", "predicted", "of roof", "GFLOP/s", "DRAM", "lines"]
    total = sum(k.launches * _seconds(k) for k in report.kernels) or 1.0
    rows = []
    order = sorted(
        enumerate(report.kernels), key=lambda pair: -pair[1].launches * _seconds(pair[1])
    )
    for number, kernel in order:
        seconds = _seconds(kernel)
        share = 100 * kernel.launches * seconds / total
        known = kernel.roof_time and seconds
        of_roof = f"{100 * kernel.roof_time / seconds:.0f}%" if known else ""
        rate = f"{kernel.flops / seconds / 1e9:.3g}" if kernel.flops and seconds else ""
        cells = [
            f'<th scope="row">{escape(kernel.name)}</th>',
            f"<td>{seconds_text(seconds)}</td>",
            f'<td class="share"><i style="width:{share:.1f}%"></i><b>{share:.0f}%</b></td>',
            f"<td>{seconds_text(kernel.predicted_time)}</td>",
            f"<td>{of_roof}</td>",
            f"<td>{rate}</td>",
            f"<td>{bytes_text(kernel.bytes_moved.get('DRAM', 0.0))}</td>",
            f'<td class="lines">{escape(lines_text(kernel.source_lines))}</td>',
        ]
        mine = _ids(kernel.source_lines, numbers)
        rows.append(f'<tr data-k="{number}" data-lines="{mine}" tabindex="0">{"".join(cells)}</tr>')
    heads[1] = "measured" if measured else "time"
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _source(lines: Sequence[Source]) -> str:
    """The user's program, as far as something was made of it."""
    by_file: dict[str, dict[int, list[int]]] = {}
    for number, source in enumerate(lines):
        by_file.setdefault(source.file, {}).setdefault(source.line, []).append(number)
    parts = []
    for file, found in by_file.items():
        parts.append(f'<h3 title="{escape(file)}">{escape(os.path.basename(file))}</h3><ol>')
        last = None
        for line in _with_context(found, len(linecache.getlines(file))):
            if last is not None and line != last + 1:
                parts.append('<li class="gap" aria-hidden="true">⋯</li>')
            last = line
            text = escape(linecache.getline(file, line).rstrip("\n")) or " "
            mine = " ".join(map(str, found.get(line, ())))
            mark = f' data-lines="{mine}" tabindex="0" role="button"' if mine else ""
            parts.append(f'<li value="{line}"{mark}><code>{text}</code></li>')
        parts.append("</ol>")
    return "".join(parts)


def _with_context(lines: Iterable[int], count: int) -> list[int]:
    near = {n for line in lines for n in range(line - AROUND, line + AROUND + 1)}
    return sorted(n for n in near if 1 <= n <= max(count, max(lines, default=0)))


def _tabs() -> str:
    return "".join(
        f'<button role="tab" id="tab-{name}" aria-controls="level" data-level="{name}" '
        f'aria-selected="{"true" if name == "kernels" else "false"}" '
        f'title="{TITLES[name]}">{name}</button>'
        for name in SHOWN
    )


def _derivation(report: Report) -> str:
    if not report.derivation:
        return '<p class="quiet">No rule made anything cheaper.</p>'
    rows = []
    for step in report.derivation:
        rules = "".join(f"<li>{escape(rule)}</li>" for rule in step.rules)
        saved = 100 * (1 - step.after / step.before) if step.before else 0.0
        prices = f"{step.before * 1e-3:,.2f} → {step.after * 1e-3:,.2f} µs"
        rows.append(
            f'<li><b>{prices}</b><span class="saved">−{saved:.2f}%</span>'
            f'<ul class="rules">{rules}</ul>{_changes(step)}</li>'
        )
    return f'<ol class="steps">{"".join(rows)}</ol>'


def _changes(step: Step) -> str:
    """The definitions that a step took away, and those that it put in their place."""
    if not step.gone and not step.new:
        return ""
    lines = "".join(f'<li class="gone">{escape(text)}</li>' for text in step.gone)
    lines += "".join(f'<li class="new">{escape(text)}</li>' for text in step.new)
    return (
        f"<details><summary>{len(step.gone)} definitions became {len(step.new)}</summary>"
        f'<ul class="changes">{lines}</ul></details>'
    )


def _egraph(report: Report) -> str:
    found = report.egraph
    skipped = [f"{count} left alone: {why}" for why, count in found.skipped.items()]
    facts = [
        f"{found.nodes:,} nodes in {found.classes:,} classes",
        f"{found.iterations} iterations over {found.searched} pieces",
        seconds_text(found.seconds),
        *skipped,
    ]
    return "".join(f"<li>{escape(fact)}</li>" for fact in facts)


def _rivals(report: Report) -> str:
    groups: dict[int | None, list[Rival]] = {}
    for rival in report.rivals:
        groups.setdefault(rival.kernel, []).append(rival)
    if not groups:
        return '<p class="quiet">There was nothing to choose from.</p>'
    assert isinstance(report.levels, Levels)
    parts = []
    for number, found in groups.items():
        rows = []
        if number is None:
            mark, name = "", "Other cuts into kernels"
        else:
            mark, name = f' data-k="{number}"', _label(report.kernels[number])
            loops = loops_text(report.levels.kernels[number])
            rows.append(_rival("chosen", seconds_text(found[0].chosen), loops))
        for rival in found:
            if isfinite(rival.seconds):
                cost = f"{seconds_text(rival.seconds)}, {rival.times:.3g}×"
            else:
                cost = "no gain possible"
            head = "instead" if number is not None else rival.what
            rows.append(_rival(head, cost, rival.what if number is not None else ""))
        parts.append(
            f"<details{mark} open><summary>{escape(name)}</summary>{''.join(rows)}</details>"
        )
    return f'<div class="rivals">{"".join(parts)}</div>'


def _rival(head: str, cost: str, loops: str) -> str:
    text = f"<pre>{escape(loops)}</pre>" if loops else ""
    chosen = " chosen" if head == "chosen" else ""
    return (
        f'<div class="rival{chosen}"><header><b>{escape(head)}</b><span>{cost}</span></header>'
        f"{text}</div>"
    )


def _passes(report: Report) -> str:
    total = sum(report.compile_time.values()) or 1.0
    return "".join(
        f'<li><span>{escape(name)}</span><i style="width:{100 * seconds / total:.1f}%"></i>'
        f"<b>{seconds_text(seconds)}</b></li>"
        for name, seconds in sorted(report.compile_time.items(), key=lambda p: -p[1])
    )


# -- what the script shows -------------------------------------------------------------------------


def _data(levels: Levels, numbers: dict[Source, int]) -> dict[str, Any]:
    return {
        name: {
            "title": TITLES[name],
            "items": [
                [item.text, [numbers[s] for s in item.lines], list(item.kernels)]
                for item in levels.items_of(name)
            ],
        }
        for name in SHOWN
    }


def _packed(data: Any) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


def _ids(lines: Iterable[Source], numbers: dict[Source, int]) -> str:
    return " ".join(str(numbers[s]) for s in lines if s in numbers)
