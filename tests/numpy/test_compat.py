"""`docs/compat.md`, which `tools/compat.py` writes, says nothing that Weft does not have."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[2] / "docs" / "compat.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## jax\.(\S+)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))


def promised(text: str) -> list[str]:
    """Names that are implemented, or differ."""
    listed = re.findall(r"\*\*Implemented\.\*\*\n(.*?)\n\n", text + "\n\n", re.S)
    names = re.findall(r"`(\w+)`", "".join(listed))
    return names + re.findall(r"^\| `(\w+)` \|", text, re.M)


@pytest.mark.parametrize("namespace", SECTIONS)
def test_promised_names_exist(namespace: str) -> None:
    names = promised(SECTIONS[namespace])
    if names:
        module = importlib.import_module(f"weft.{namespace}")
        assert [name for name in names if not hasattr(module, name)] == []


def test_everything_of_numpy_is_there() -> None:
    for namespace in ("numpy", "numpy.linalg", "numpy.fft"):
        assert "Not there yet" not in SECTIONS[namespace]
        assert len(promised(SECTIONS[namespace])) > 15


def test_nearly_all_names_take_the_calls_of_jax() -> None:
    rows = re.findall(r"^\| `([\w.]+)` \| (\d+) \| (\d+) \| \d+ \| (\d+) \|$", PAGE, re.M)
    assert {namespace for namespace, *_ in rows} == set(SECTIONS)
    same, differ, missing = (sum(int(row[k]) for row in rows) for k in (1, 2, 3))
    assert missing == 0
    assert same / (same + differ) >= 0.96
