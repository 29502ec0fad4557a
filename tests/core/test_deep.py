"""Recursion without a limit: what a function sees on a new stack, and what comes back from it."""

from __future__ import annotations

import sys
import threading
from contextvars import ContextVar

import pytest

from weft.core.deep import deep
from weft.core.source import Source, at_source, user_source

level: ContextVar[int] = ContextVar("level")


def nearly_full() -> int:
    """So many calls fill Python's stack."""
    return sys.getrecursionlimit() * 3


@deep
def total(n: int) -> int:
    return n + total(n - 1) if n else 0


def test_deeper_than_the_stack() -> None:
    n = nearly_full()
    assert total(n) == n * (n + 1) // 2


@deep
def failing(n: int) -> int:
    if n == 0:
        raise KeyError("at the bottom")
    return failing(n - 1)


def test_errors_come_back_with_their_tracebacks() -> None:
    with pytest.raises(KeyError, match="at the bottom") as caught:
        failing(nearly_full())
    frames = [entry.name for entry in caught.traceback]
    assert frames.count("failing") == nearly_full() + 1


@deep
def bottom(n: int) -> tuple[int, Source | None, str]:
    if n == 0:
        return level.get(), user_source(), threading.current_thread().name
    return bottom(n - 1)


def test_context_and_place_are_those_of_the_caller() -> None:
    level.set(7)
    found, _, thread = bottom(nearly_full())
    assert found == 7
    assert thread != threading.current_thread().name
    source = Source("elsewhere.py", 3, "f")
    with at_source(source):
        assert bottom(nearly_full())[1] == source
    assert bottom(0)[2] == threading.current_thread().name
