"""Figures of the benchmark kit are well-formed and in proportion."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(autouse=True)
def kit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2] / "bench"))


def summary(workload: str, **values: float) -> dict[str, Any]:
    return {"workload": workload, "quantity": "median", "values": values}


def test_ratios_are_where_they_belong() -> None:
    import plot

    rows = [
        summary("mm512", weft=1e-3, jax=2e-3, numpy=5e-4),
        summary("a<b", weft=2.0, jax=2.0),
        summary("failed", jax=1.0),
    ]
    root = ElementTree.fromstring(plot.ratios(rows, ["weft", "jax", "numpy"]))
    dots = [c for c in root.iter(f"{SVG}circle") if c.find(f"{SVG}title") is not None]
    found = {c.findtext(f"{SVG}title"): float(c.get("cx", "0")) for c in dots}
    assert set(found) == {"mm512, jax: 2.00×", "mm512, numpy: 0.50×", "a<b, jax: 1.00×"}
    even = found["a<b, jax: 1.00×"]
    assert found["mm512, jax: 2.00×"] - even == pytest.approx(even - found["mm512, numpy: 0.50×"])
    assert float(root.get("width", "0")) > max(found.values())


def test_times_over_sizes() -> None:
    import plot

    lines = {"weft": {64: 1e-5, 128: 1e-4}, "numpy": {64: 1e-4, 128: 1e-3}}
    root = ElementTree.fromstring(plot.scaling({"matmul": lines, "softmax": {"weft": {64: 1e-5}}}))
    paths = [p.get("d", "") for p in root.iter(f"{SVG}path")]
    assert sum(p.count("L") for p in paths) == 2 and len(paths) == 4
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert {"matmul", "softmax", "64", "128", "10 µs", "1 ms", "weft", "numpy"} <= set(texts)


def test_the_computations_are_the_same_in_both() -> None:
    import numpy as np

    import scaling
    from weft import numpy as wnp

    x = np.random.default_rng(0).normal(size=(12, 12)).astype(np.float32)
    ours, theirs = (
        scaling.programs(wnp, scaling.weft_loop),
        scaling.programs(np, scaling.numpy_loop),
    )
    assert list(ours) == list(theirs) == list(scaling.SIZES)
    for name in ours:
        np.testing.assert_allclose(ours[name](12, x), theirs[name](12, x), rtol=2e-5, atol=1e-6)
