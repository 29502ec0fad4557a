"""What the pages of `docs` show is so: their Python runs, and sessions print what they say.

Blocks of a page share their names, as if typed one after the other. A comment ``<!-- setup`` holds
what a reader need not see.
"""

from __future__ import annotations

import doctest
import linecache
import re
from pathlib import Path

import pytest

import weft
import weft.numpy as wnp

DOCS = Path(__file__).parents[2] / "docs"
_BLOCK = re.compile(
    r"(?:^```python|<!-- setup)\n(.*?)(?:^```$|-->)", flags=re.DOTALL | re.MULTILINE
)


#: Pages that show errors, and are held to their programs by tests of their own.
ELSEWHERE = {"kernels.md", "errors.md"}


def pages() -> list[str]:
    found = {page.name for page in DOCS.glob("*.md") if "```python" in page.read_text()}
    return sorted(found - ELSEWHERE)


@pytest.mark.parametrize("page", pages())
def test_the_examples_of_a_page_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    names = {"np": wnp, "weft": weft, "lax": weft.lax}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for number, block in enumerate(_BLOCK.findall((DOCS / page).read_text())):
        where = f"<{page} {number}>"
        if ">>>" in block:
            session = doctest.DocTestParser().get_doctest(block, names, where, None, 0)
            failed, _ = runner.run(session, clear_globs=False)
            assert not failed, capsys.readouterr().out
            names = session.globs
        else:
            linecache.cache[where] = len(block), None, block.splitlines(True), where
            exec(compile(block, where, "exec"), names)


def test_links_between_pages_and_files_lead_somewhere() -> None:
    for page in [*DOCS.glob("*.md"), DOCS.parent / "README.md"]:
        for link in re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
