"""Warnings about jitted functions that are traced for one signature after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from weft import tree
from weft.config import config
from weft.core.avals import ShapedArray
from weft.core.source import warn_user
from weft.errors import RecompilationWarning
from weft.structs import struct

#: Changes that a warning lists.
SHOWN = 4


@struct(frozen=True)
class Signature:
    """What a trace was made for: containers and types of arguments, and static values by name.

    ``names`` gives the names of the arguments that are arrays.
    """

    treedef: tree.PyTreeSpec
    avals: tuple[ShapedArray, ...]
    static: tuple[tuple[str, Any], ...]
    names: Callable[[], Sequence[str]]


def note_trace(function: str, count: int, before: Signature | None, now: Signature) -> None:
    """Warns if this is the ``count``-th signature, and so many are worth it.

    ``before`` is the signature of the last trace.
    """
    every = config.warn_recompiles
    if every is None or before is None or count % every:
        return
    found = list(changes(before, now)) or ["the axes that are mapped around it"]
    listed = "; ".join(found[:SHOWN]) + ("; …" if len(found) > SHOWN else "")
    message = (
        f"'{function}' is compiled for signature {count}. Since the last one, {listed}. Arguments "
        "of the same shapes and dtypes share a program: pad to a few sizes, pass numbers that vary "
        "as arrays rather than static, or raise weft.config.warn_recompiles (None: never)"
    )
    warn_user(message, RecompilationWarning)


def changes(before: Signature, now: Signature) -> Iterator[str]:
    """What differs between two signatures, argument by argument."""
    old, new = dict(before.static), dict(now.static)
    for name in [*old, *(n for n in new if n not in old)]:
        was, is_ = (repr(s[name]) if name in s else "missing" for s in (old, new))
        if was != is_ or type(old.get(name)) is not type(new.get(name)):
            yield f"the static argument {name} went from {was} to {is_}"
    if before.treedef != now.treedef:
        was, is_ = tree.describe(before.treedef), tree.describe(now.treedef)
        yield f"the containers of the arguments went from {was} to {is_}"
        return
    for name, was_aval, is_aval in zip(now.names(), before.avals, now.avals, strict=True):
        if was_aval != is_aval:
            yield f"{name} went from {_described(was_aval)} to {_described(is_aval)}"


def _described(aval: ShapedArray) -> str:
    return f"{aval} (weak)" if aval.weak_type else str(aval)
