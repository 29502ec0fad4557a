"""What is not searched would not have been found: the estimate held to saturation itself."""

from __future__ import annotations

from math import inf
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.saturate.test_saturate import CASES, lowered
from weft import numpy as wnp
from weft.core.bounded import BoundedCache
from weft.machines import host_machine
from weft.saturate import search as module
from weft.saturate.cost import Costs
from weft.saturate.encode import Encoded
from weft.saturate.saturate import saturate
from weft.saturate.search import CLEARLY
from weft.terms.region import Region

N = 48

OPERATIONS = {
    "matmul": lambda a, b: a @ b if a.ndim and b.ndim else a * b,
    "times": lambda a, b: a.T * b if a.ndim == 2 and b.ndim == 1 else a * b,
    "over": lambda a, b: a / b,
    "plus": lambda a, b: a + b,
    "minus": lambda a, b: a - b,
    "sum": lambda a, b: a.sum(),
    "rows": lambda a, b: a.sum(-1) if a.ndim else a,
    "columns": lambda a, b: a.sum(0) if a.ndim else a,
    "turn": lambda a, b: a.T,
    "trace": lambda a, b: wnp.trace(a) if a.ndim == 2 else a,
    "row": lambda a, b: a[3] if a.ndim else a,
    "exp": lambda a, b: wnp.exp(-a * a),
    "positive": lambda a, b: wnp.where(a > 0, a, 0),
    "others": lambda a, b: wnp.where(a > 0, 0, a),
    "max": lambda a, b: a.max(-1) if a.ndim else a,
}
OFTEN = ["matmul"] * 5 + ["sum", "rows", "columns", "trace", "row", "over", "times", "times"]

#: An operation, how far back its first operand is, and the second one.
steps = st.lists(
    st.tuples(
        st.sampled_from(sorted(OPERATIONS) + OFTEN),
        st.sampled_from([0, 0, 1, 2]),
        st.integers(0, 30),
    ),
    min_size=3,
    max_size=7,
)


def _everything(encoded: Encoded, costs: Costs) -> dict[int, float]:
    return dict.fromkeys(range(encoded.source), inf)


def check(function: Any, *args: np.ndarray) -> None:
    """What is found where something is promised, and what is found where all is searched."""
    terms = lowered(function, *args)
    region = Region(terms.inputs, tuple(terms.block.steps), terms.outputs)  # type: ignore[arg-type]
    _, promised = saturate(region, host_machine(2), "real", worth=0.0)
    with (
        mock.patch.object(module, "promises", _everything),
        mock.patch.object(module, "_found", BoundedCache(1)),
    ):
        _, searched = saturate(region, host_machine(2), "real", worth=0.0)
    for a, b in zip(promised, searched, strict=True):
        if a.skipped != "no folds":
            assert a.after <= b.after + (1 - CLEARLY) * a.before


@settings(max_examples=120)
@given(steps)
def test_nothing_is_skipped_that_would_gain(steps: list[tuple[str, int, int]]) -> None:
    def program(*arrays: Any) -> Any:
        values = list(arrays)
        for name, back, other in steps:
            operands = values[-1 - back % len(values)], values[-1 - other % len(values)]
            values.append(OPERATIONS[name](*operands))
        return values[-1]

    check(program, np.ones((N, N)), np.ones((N, N)), np.ones(N))


@pytest.mark.parametrize("name", CASES)
def test_nothing_is_skipped_of_what_is_known_to_gain(name: str) -> None:
    function, args, _ = CASES[name]
    check(function, *args)
