"""`docs/errors.md` shows what is really said, about every class of `weft.errors`."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_its_programs_say() -> None:
    spec = importlib.util.spec_from_file_location("errors_page", ROOT / "tools" / "errors.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    written = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert written == tool.page(), "run: python tools/errors.py > docs/errors.md"
