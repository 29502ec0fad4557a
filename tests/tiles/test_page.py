"""The code of docs/kernels.md runs, and its errors are those it shows."""

from __future__ import annotations

import linecache
import re
from pathlib import Path
from typing import Any

import pytest

from weft import tiles

PAGE = Path(__file__).parents[2] / "docs" / "kernels.md"
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)


def test_the_page_runs() -> None:
    names: dict[str, Any] = {}
    following = [*BLOCKS[1:], ("python", "")]
    for (language, text), (after, message) in zip(BLOCKS, following, strict=True):
        if language != "python":
            continue
        linecache.cache["kernels.py"] = (len(text), None, text.splitlines(True), "kernels.py")
        code = compile(text, "kernels.py", "exec")
        if after == "python":
            exec(code, names)
            continue
        with pytest.raises(tiles.TileError) as found:
            exec(code, names)
        assert str(found.value) == message.strip()
