"""Code specialised to one signature of containers: take arguments apart, call, build the result.

For trees of plain dicts, lists, tuples and None, a short Python function is written that checks the
containers, picks the leaves out, passes them to the native call path and puts the results into
fresh containers.  It does what ``tree.flatten`` and ``tree.unflatten`` do, several times faster.
For ``f(params, x)`` with ``params = {'w': …, 'b': …}`` it reads::

    def call(args, kwargs):
        try:
            if type(args) is not tuple or len(args) != 2: return other(args, kwargs)
            x0, x1, = args
            if type(x0) is not dict or len(x0) != 2: return other(args, kwargs)
            x2 = x0[key0]
            x3 = x0[key1]
        except KeyError:
            return other(args, kwargs)
        r = native(x2, x3, x1)
        …
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from weft import tree

#: Leaves beyond which the function is not written: compiling it would cost more than it saves.
MAX_LEAVES = 1000

#: What the native path gives for arguments that do not match it.
NO_MATCH = object()


def tree_call(
    in_tree: tree.PyTreeSpec,
    out_tree: tree.PyTreeSpec,
    native: Callable[..., Any],
    other: Callable[[tuple[Any, ...], dict[str, Any]], Any],
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any] | None:
    """A function of ``(args, kwargs)`` for containers as in ``in_tree``.

    ``native`` takes the leaves and returns a tuple of results, or `NO_MATCH`.  Everything that
    does not fit goes to ``other``.  None if there are containers of other classes.
    """
    if in_tree.num_leaves + out_tree.num_leaves > MAX_LEAVES:
        return None
    writer = _Writer(in_tree.num_leaves)
    args, kwargs = tree.unflatten(in_tree, map(_Leaf, range(in_tree.num_leaves)))
    result = tree.unflatten(out_tree, map(_Leaf, range(out_tree.num_leaves)))
    if not (writer.take(args, "args") and writer.take(kwargs, "kwargs")):
        return None
    built = writer.build(result)
    if built is None:
        return None
    leaves = ", ".join(writer.leaves)
    source = "\n".join(
        [
            "def call(args, kwargs):",
            "    try:",
            *(f"        {line}" for line in writer.lines),
            "    except KeyError:",
            "        return other(args, kwargs)",
            f"    r = native({leaves})",
            "    if r is no_match:",
            "        return other(args, kwargs)",
            f"    return {built}",
        ]
    )
    names = {"native": native, "other": other, "no_match": NO_MATCH, **writer.keys}
    exec(compile(source, "<weft call>", "exec"), names)
    return names["call"]


_MISS = "return other(args, kwargs)"


class _Leaf:
    """A place for a leaf in an example of a tree; trees order leaves by the keys of dicts."""

    def __init__(self, number: int) -> None:
        self.number = number


class _Text:
    """A piece of the source, among the objects still to be written."""

    def __init__(self, text: str) -> None:
        self.text = text


class _Writer:
    def __init__(self, leaves: int) -> None:
        self.lines: list[str] = []
        self.leaves = [""] * leaves
        self.keys: dict[str, Any] = {}
        self._numbers = itertools.count()

    def take(self, item: Any, name: str) -> bool:
        """Lines that take ``name``, a container like ``item``, apart; False if they cannot."""
        stack = [(item, name)]
        while stack:
            item, name = stack.pop()
            if isinstance(item, _Leaf):
                self.leaves[item.number] = name
                continue
            if item is None:
                self.lines.append(f"if {name} is not None: {_MISS}")
                continue
            if type(item) not in (dict, list, tuple):
                return False
            kind = type(item).__name__
            self.lines.append(
                f"if type({name}) is not {kind} or len({name}) != {len(item)}: {_MISS}"
            )
            parts = [(x, f"x{next(self._numbers)}") for x in _values(item)]
            if type(item) is dict:
                for key, (_, part) in zip(item, parts, strict=True):
                    self.lines.append(f"{part} = {name}[{self._key(key)}]")
            elif parts:
                self.lines.append(f"{', '.join(part for _, part in parts)}, = {name}")
            stack.extend(reversed(parts))
        return True

    def build(self, item: Any) -> str | None:
        """An expression that makes a container like ``item`` of the results ``r[0]``, …"""
        pieces: list[str] = []
        stack: list[Any] = [item]
        while stack:
            part = stack.pop()
            if isinstance(part, _Text):
                pieces.append(part.text)
            elif isinstance(part, _Leaf):
                pieces.append(f"r[{part.number}]")
            elif part is None:
                pieces.append("None")
            elif type(part) in (list, tuple):
                opening, closing = "[]" if type(part) is list else ("(", ")")
                inner = [x for p in part for x in (p, _Text(", "))]
                stack.extend(reversed([_Text(opening), *inner, _Text(closing)]))
            elif type(part) is dict:
                inner = [
                    x
                    for key, p in part.items()
                    for x in (_Text(f"{self._key(key)}: "), p, _Text(", "))
                ]
                stack.extend(reversed([_Text("{"), *inner, _Text("}")]))
            else:
                return None
        return "".join(pieces)

    def _key(self, key: Any) -> str:
        name = f"key{len(self.keys)}"
        self.keys[name] = key
        return name


def _values(container: Any) -> list[Any]:
    return list(container.values()) if type(container) is dict else list(container)
