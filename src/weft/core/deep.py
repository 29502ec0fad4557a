"""Recursion into nested programs, however deep they are.

A jaxpr holds others in the parameters of its equations, a loop has a block for a body.  What goes
into them calls itself, and Python's stack is bounded.  So such functions go on with a stack of
their own when they find theirs nearly half full: in another thread, for which they wait.

    @deep
    def count(block):
        return 1 + sum(count(b) for step in block.steps for b in step.blocks)
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import ParamSpec, TypeVar

from weft.core.source import called_from, caller

P = ParamSpec("P")
R = TypeVar("R")


def deep(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which may call itself as often as it likes.

    What is local to a thread is not there on a new stack; context variables are.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if _is_filling():
            return _on_new_stack(functools.partial(function, *args, **kwargs))
        return function(*args, **kwargs)

    return call


def _is_filling() -> bool:
    """Whether much of Python's stack is in use.

    Calls by way of C count for its limit, too, but are no frames.
    """
    try:
        sys._getframe(sys.getrecursionlimit() * 2 // 5)
    except ValueError:
        return False
    return True


def _on_new_stack(function: Callable[[], R]) -> R:
    result: list[R] = []
    errors: list[BaseException] = []
    here = caller()

    def run() -> None:
        try:
            with called_from(here):
                result.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="weft", daemon=True)
    thread.start()
    thread.join()
    if errors:
        try:
            raise errors[0]
        finally:
            errors.clear()  # no cycle through this frame
    return result[0]
