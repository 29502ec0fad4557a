"""``weft.config.dump``: every level prints what it is."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.compile import compile_jaxpr
from weft.config import DUMP_LEVELS

SHOWS = {
    "jaxpr": "reduce_sum[axes=(0,)]",
    "terms": "sum[r:100] ",
    "saturated": "sum[r:100] ",
    "kernels": "serial r in 0:100 fold add",
    "schedule": "fold add ",
    "program": "program(v1: f32[100] -> ",
    "llvm": "define i32 @main(",
    "assembly": "main:",
}


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    weft.config.dump = ()


@pytest.mark.parametrize("level", DUMP_LEVELS)
def test_levels_print_what_they_are(level: str, capsys: pytest.CaptureFixture[str]) -> None:
    # The last row of a product: there is something to find for the rules.
    row = weft.make_jaxpr(lambda x: wnp.exp(x @ x)[99].sum())(np.ones((100, 100), np.float32))
    closed = weft.make_jaxpr(lambda x: wnp.exp(x).sum())(np.ones(100, np.float32))
    closed = row if level == "saturated" else closed
    for _ in range(2):  # kernels made before are shown as well
        weft.config.dump = {level}
        compile_jaxpr(closed)
        text = capsys.readouterr().err
        assert text.startswith(f"== {level} ==\n") and text.count("==\n") == 1
        assert SHOWS[level] in text
    assert ("lanes" in text) == (level == "schedule")


def test_refused_scheduling_steps_are_counted_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """A long running sum cannot be vectorised: each step needs the one before."""
    closed = weft.make_jaxpr(lambda x: wnp.cumsum(x))(np.ones(1000, np.int32))
    weft.config.dump = {"schedule"}
    stats = compile_jaxpr(closed).stats
    assert stats.refused == capsys.readouterr().err.count("refused to ")
    closed = weft.make_jaxpr(lambda x: wnp.exp(x))(np.ones(1000, np.float32))
    assert compile_jaxpr(closed).stats.refused == 0
