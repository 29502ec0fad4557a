"""The report as a page: what is on it, and that it needs nothing else."""

from __future__ import annotations

import base64
import gzip
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import lax
from weft import numpy as wnp
from weft.machines import target_machine
from weft.report.levels import TITLES
from weft.report.page.render import SHOWN
from weft.report.roof import roof
from weft.report.terminal import plain
from weft.runtime.native import host_cpu

F32 = np.float32


def layer(x: Any, w: Any, v: Any) -> Any:
    h = wnp.tanh(x @ w)
    weights = weft.nn.softmax(h @ v, -1)
    return weights.sum(0)


@pytest.fixture(scope="module")
def report() -> weft.report.Report:
    return weft.explain(layer, np.ones((300, 64), F32), np.ones((64, 128), F32), np.ones((128, 90)))


@pytest.fixture(scope="module")
def text(report: weft.report.Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    report.save(path)
    return path.read_text(encoding="utf-8")


class Checker(HTMLParser):
    """Whether tags are closed in order, and what is loaded from elsewhere."""

    VOID = ("meta", "link", "br", "img", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.kernels: set[int] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        given = dict(attrs)
        self.loaded += [str(given[n]) for n in ("src", "href", "xlink:href") if n in given]
        if given.get("data-k"):
            self.kernels |= {int(n) for n in str(given["data-k"]).split()}

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_and_loads_nothing(text: str, report: weft.report.Report) -> None:
    checker = Checker()
    checker.feed(text)
    assert not checker.open and checker.loaded == ["data:,"]
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert checker.kernels == set(range(len(report.kernels)))
    assert not re.search(r"<!--[A-Z]+-->", text), "every section is filled"
    assert len(text) < 500_000


def test_the_levels_are_in_it_with_their_lines(text: str, report: weft.report.Report) -> None:
    found = re.search(r'id="data">([^<]*)<', text)
    assert found is not None
    levels = json.loads(gzip.decompress(base64.b64decode(found[1])))
    assert tuple(levels) == SHOWN
    count = len(report.kernels)
    for name in ("kernels", "llvm", "assembly"):
        assert sorted(k for _, _, ks in levels[name]["items"] for k in ks) == list(range(count))
    shown = set(
        map(int, " ".join(re.findall(r'<li value="\d+" data-lines="([^"]*)"', text)).split())
    )
    used = {line for level in levels.values() for _, lines, _ in level["items"] for line in lines}
    assert used == shown and used
    product = next(item for item in levels["jaxpr"]["items"] if "dot_general" in item[0])
    rewritten = [item for item in levels["rewritten"]["items"] if item[1] == product[1]]
    assert rewritten and all(kernels for _, _, kernels in rewritten)
    assert "<li value" in text and "wnp.tanh(x @ w)" in text


def test_levels_as_text(report: weft.report.Report) -> None:
    assert list(report.levels) == list(TITLES)
    assert "tanh" in report.levels["jaxpr"] and "sum[" in report.levels["terms"]
    assert report.levels["program"].startswith("program(")
    assert "define void" in report.levels["llvm"]
    assert "ret" in report.levels["assembly"] and ".section" not in report.levels["assembly"]
    with pytest.raises(KeyError):
        report.levels["wasm"]


def test_measuring_gives_every_launch_a_time(report: weft.report.Report) -> None:
    assert report.measure() is report and report.measured is not None
    assert all(k.measured_time and k.measured_time > 0 for k in report.kernels)
    assert sum(k.measured_time for k in report.kernels) <= 2 * report.measured.seconds  # type: ignore[misc]
    for kernel in report.kernels:
        assert 0 < kernel.roof_time <= kernel.predicted_time * 1.5


def test_launches_in_loops_are_counted_when_measured() -> None:
    x = np.ones((30, 30), F32)
    report = weft.explain(lambda x: lax.fori_loop(0, 20, lambda i, c: wnp.tanh(c @ x), x), x)
    before = [(k.flops, k.predicted_time, k.bytes_moved["DRAM"]) for k in report.kernels]
    assert report.flops == sum(flops for flops, _, _ in before)
    launches = [k.launches for k in report.measure().kernels]
    assert 20 in launches
    flops, seconds, moved = (
        sum(n * x for n, x in zip(launches, row, strict=True)) for row in zip(*before, strict=True)
    )
    assert report.flops == flops and report.predicted_time == pytest.approx(seconds)
    assert report.bytes_moved["DRAM"] == pytest.approx(moved)


def test_rivals_cost_no_less_but_for_a_margin(report: weft.report.Report) -> None:
    assert report.rivals and any(r.kernel is not None for r in report.rivals)
    for rival in report.rivals:
        assert rival.what and rival.times > 0.9
        if rival.kernel is not None:
            assert rival.chosen == report.kernels[rival.kernel].predicted_time


def test_the_roof_is_of_the_processor_that_is_compiled_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        weft.config, "cpu", "sse2" if host_cpu().architecture == "x86_64" else "neon"
    )
    x = np.ones((300, 300), F32)
    (kernel,) = weft.explain(lambda x: x @ x, x).kernels
    assert kernel.roof_time >= 0.99 * kernel.flops / roof(target_machine()).flops


def test_types_can_be_explained_but_not_measured(tmp_path: Path) -> None:
    x = weft.ShapeDtypeStruct((100, 100), F32)
    report = weft.explain(lambda x: wnp.sort(x @ x.T, None).sum(), x)
    with pytest.raises(ValueError, match=r"some arguments are types only.*explain it for arrays"):
        report.measure()
    report.save(tmp_path / "report.html")
    assert "Not measured" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_programs_without_kernels_have_a_page(tmp_path: Path) -> None:
    weft.explain(lambda x: x, np.ones(3)).save(tmp_path / "report.html")
    checker = Checker()
    checker.feed((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert not checker.open and not checker.kernels


def test_terminals_and_notebooks(report: weft.report.Report) -> None:
    shown = plain(report)
    assert shown.startswith("layer: ") and all(k.name in shown for k in report.kernels)
    assert "weft.nn.softmax" in shown
    html = report._repr_html_()
    assert html.count("<tr") == len(report.kernels) + 1 and "<script" not in html
