"""Where in the user's program an operation came from: the nearest frame outside Weft."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple

import optree

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# Libraries that call back into user code on our behalf; their frames are not the user's.
_LIBRARY = os.path.dirname(os.__file__) + os.sep
_TREES = os.path.dirname(optree.__file__) + os.sep
_SKIPPED = (
    *(_PACKAGE, _TREES, _LIBRARY + "functools", _LIBRARY + "threading"),
    "<weft ",  # made by Weft
)
#: By name of the file: its hash is kept, that of a code object is computed anew each time.
_is_internal: dict[str, bool] = {}


class Source(NamedTuple):
    """A line of the user's program."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} ({self.function})"

    def text(self) -> str:
        """The line itself, stripped; empty when the file cannot be read."""
        import linecache

        return linecache.getline(self.file, self.line).strip()


def user_frame() -> FrameType | None:
    """The innermost frame of code outside Weft in the current call stack."""
    return _nearest(sys._getframe(1)) or _nearest(_state.caller)


def _nearest(frame: FrameType | None) -> FrameType | None:
    """``frame`` or the innermost of its callers that is outside Weft."""
    while frame is not None:
        file = frame.f_code.co_filename
        internal = _is_internal.get(file)
        if internal is None:
            if len(_is_internal) > 10_000:
                _is_internal.clear()
            internal = _is_internal[file] = file.startswith(_SKIPPED)
        if not internal:
            return frame
        frame = frame.f_back
    return None


class _State(threading.local):
    source: Source | None = None
    caller: FrameType | None = None  # in another thread, which waits for this one
    scope: str = ""


_state = _State()


Place = tuple[Source | None, FrameType | None, str]


def caller() -> Place:
    """Where operations of this thread come from, for `called_from` in another."""
    return _state.source, user_frame(), _state.scope


@contextmanager
def called_from(place: Place) -> Iterator[None]:
    """Makes this thread go on for another one that waits for it, from the `caller` there."""
    _state.source, _state.caller, _state.scope = place
    try:
        yield
    finally:
        _state.source, _state.caller, _state.scope = None, None, ""


@contextmanager
def in_scope(name: str) -> Iterator[None]:
    """Puts ``name`` in front of the functions that :func:`user_source` names."""
    outer = _state.scope
    _state.scope = f"{outer}{name}/"
    try:
        yield
    finally:
        _state.scope = outer


@contextmanager
def at_source(source: Source | None) -> Iterator[None]:
    """Makes :func:`user_source` answer ``source``: for operations derived from an older one."""
    previous = _state.source
    _state.source = source
    try:
        yield
    finally:
        _state.source = previous


def user_source() -> Source | None:
    """The innermost line of code outside Weft in the current call stack."""
    if _state.source is not None:
        return _state.source
    frame = user_frame()
    if frame is None:
        return None
    function = _state.scope + frame.f_code.co_qualname
    return Source(frame.f_code.co_filename, frame.f_lineno, function)


def describe(source: Source | None) -> str:
    """``file:line (function): text`` for messages; empty when unknown."""
    if source is None:
        return ""
    text = source.text()
    return f"{source}: {text}" if text else str(source)


def warn_user(message: str, category: type[Any]) -> None:
    """Warns at the user's line, and says where the catalogue explains a ``category`` of ours."""
    text = f"{message}. See docs/errors.md#{category.section}"
    source = user_source()
    if source is None:
        warnings.warn(text, category, stacklevel=3)
    else:
        warnings.warn_explicit(text, category, source.file, source.line)
