"""The page of `weft.explain` in a browser without a window."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
F32 = np.float32

#: Goes through every tab, then clicks what the placeholder names.
CLICKS = """<script>
const timer = setInterval(() => {
  if (document.documentElement.dataset.ready !== "yes") return;
  clearInterval(timer);
  for (const tab of document.querySelectorAll(".tabs button")) tab.click();
  document.querySelector("#tab-LEVEL").click();
  document.querySelector("QUERY").click();
  document.documentElement.dataset.clicked = "yes";
}, 20);
</script></body>"""


class Lit(HTMLParser):
    """What is highlighted: tags with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if "on" in given.get("class", "").split():
            self.found.append((tag, given))

    def values(self, tag: str, name: str) -> list[str]:
        return [given[name] for found, given in self.found if found == tag and name in given]


def mlp(x: Any, w: Any, v: Any) -> Any:
    h = wnp.tanh(x @ w)
    return weft.nn.softmax(h @ v, -1)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    shapes = ((500, 64), (64, 256), (256, 400))
    weft.explain(mlp, *(np.ones(shape, F32) for shape in shapes)).save(path)
    return path


def visit(page: Path, profile: Path, hash_: str = "", *options: str) -> str:
    assert CHROMIUM is not None
    flags = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    flags += ["--virtual-time-budget=4000", "--dump-dom", f"--user-data-dir={profile}", *options]
    done = subprocess.run(
        [CHROMIUM, *flags, f"file://{page}{hash_}"], capture_output=True, text=True, timeout=120
    )
    assert 'data-ready="yes"' in done.stdout, done.stderr
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def clicked(page: Path, tmp_path: Path, level: str, query: str) -> Lit:
    script = CLICKS.replace("LEVEL", level).replace("QUERY", query)
    copy = tmp_path / "clicked.html"
    copy.write_text(page.read_text(encoding="utf-8").replace("</body>", script), encoding="utf-8")
    text = visit(copy, tmp_path / "profile")
    assert 'data-clicked="yes"' in text
    return Lit(text)


def line_of(page: Path, text: str) -> str:
    found = re.search(rf'data-lines="(\d+)"[^>]*><code>[^<]*{text}', page.read_text("utf-8"))
    assert found is not None
    return found[1]


def test_a_line_lights_its_kernels_terms_and_instructions(saved: Path, tmp_path: Path) -> None:
    line = line_of(saved, r"h = wnp\.tanh")
    lit = clicked(saved, tmp_path, "assembly", f".source li[data-lines~='{line}']")
    assert lit.values("li", "data-lines") == [line]
    rows = lit.values("tr", "data-k")
    assert rows and sorted(set(lit.values("pre", "data-k"))) == sorted(rows)
    assert set(rows) == set(lit.values("g", "data-k")) == set(lit.values("i", "data-k"))
    terms = clicked(saved, tmp_path, "terms", f".source li[data-lines~='{line}']")
    assert set(terms.values("pre", "data-lines")) == {line}


def test_a_kernel_lights_its_lines(saved: Path, tmp_path: Path) -> None:
    lit = clicked(saved, tmp_path, "kernels", "tr[data-k='0']")
    assert lit.values("tr", "data-k") == ["0"] == lit.values("pre", "data-k")
    assert line_of(saved, r"h = wnp\.tanh") in lit.values("li", "data-lines")


@pytest.mark.parametrize("size", ["400,900", "1600,1000"])
def test_links_lead_to_lines_at_any_width(saved: Path, tmp_path: Path, size: str) -> None:
    line = line_of(saved, r"h = wnp\.tanh")
    lit = Lit(visit(saved, tmp_path, f"#line-{line}", f"--window-size={size}"))
    assert lit.values("li", "data-lines") == [line] and lit.values("tr", "data-k")
