"""Rules are tested on the NumPy meaning of every primitive, without arrays and compilation."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from weft.core.trace import eval_trace, numpy_evaluator, set_evaluator


@pytest.fixture(autouse=True)
def _numpy_evaluator() -> Iterator[None]:
    previous = eval_trace.evaluator
    set_evaluator(numpy_evaluator)
    yield
    set_evaluator(previous)
