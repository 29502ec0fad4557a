"""Code specialised to one signature of containers: take arguments apart, call, build the result.

For trees of dicts, lists, tuples, named tuples, registered dataclasses and None, a short Python
function is written that checks the containers, picks the leaves out, passes them to the native call
path and puts the results into fresh containers.  It does what ``tree.flatten`` and
``tree.unflatten`` do, several times faster.
For ``f(params, x)`` with ``params = {'w': …, 'b': …}`` it reads::

    def call(args, kwargs):
        try:
            if type(args) is not tuple or len(args) != 2: return other(args, kwargs)
            x0, x1, = args
            if type(x0) is not dict or len(x0) != 2: return other(args, kwargs)
            x2 = x0['w']
            x3 = x0['b']
        except (KeyError, AttributeError):
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
    arguments, result = _example(in_tree), _example(out_tree)
    if arguments is _OTHER or result is _OTHER:
        return None
    writer = _Writer(in_tree.num_leaves)
    for item, name in zip(arguments, ("args", "kwargs"), strict=True):
        writer.take(item, name)
    built = writer.build(result)
    leaves = ", ".join(writer.leaves)
    results = ", ".join(f"r{n}" for n in range(out_tree.num_leaves))
    source = "\n".join(
        [
            "def call(args, kwargs):",
            "    try:",
            *(f"        {line}" for line in writer.lines),
            "    except (KeyError, AttributeError):",
            "        return other(args, kwargs)",
            f"    r = native({leaves})",
            "    if r is no_match:",
            "        return other(args, kwargs)",
            *([f"    {results}, = r"] if results else []),
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


class _Record:
    """A registered dataclass whose fields all are children, by name."""

    def __init__(self, cls: type, fields: dict[str, Any]) -> None:
        self.cls = cls
        self.fields = fields


#: The example of a tree that has containers of other classes.
_OTHER = object()


def _example(spec: tree.PyTreeSpec) -> Any:
    """Containers as in ``spec`` with numbered leaves; `_OTHER` if there are some of other classes.

    No object of a user's class is made, except named tuples.
    """
    numbers = itertools.count()
    # Children first: a node takes its examples from the end of `done`.
    stack: list[tuple[tree.PyTreeSpec, bool]] = [(spec, False)]
    done: list[Any] = []
    while stack:
        node, ready = stack.pop()
        cls: Any = node.type
        if node.is_leaf():
            done.append(_Leaf(next(numbers)))
        elif not ready:
            if not (cls in (dict, list, tuple, type(None)) or _is_named(cls)):
                fields = tree.dataclass_fields(cls)
                if fields is None or fields[1]:
                    return _OTHER
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node.children()))
        else:
            start = len(done) - node.num_children
            children, done[start:] = done[start:], []
            fields = tree.dataclass_fields(cls)
            level: Any = node.one_level()
            if fields is None:
                done.append(tree.unflatten(level, children))
            else:
                done.append(_Record(cls, dict(zip(fields[0], children, strict=True))))
    return done[0]


def _is_named(cls: type) -> bool:
    return issubclass(cls, tuple) and isinstance(getattr(cls, "_fields", None), tuple)


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

    def take(self, item: Any, name: str) -> None:
        """Lines that take ``name``, a container like ``item``, apart."""
        stack = [(item, name)]
        while stack:
            item, name = stack.pop()
            if isinstance(item, _Leaf):
                self.leaves[item.number] = name
                continue
            if item is None:
                self.lines.append(f"if {name} is not None: {_MISS}")
                continue
            parts = [(x, f"x{next(self._numbers)}") for x in _values(item)]
            if isinstance(item, _Record):
                self.lines.append(f"if type({name}) is not {self._key(item.cls)}: {_MISS}")
                for field, (_, part) in zip(item.fields, parts, strict=True):
                    self.lines.append(f"{part} = {name}.{field}")
            elif _is_named(type(item)):
                self.lines.append(f"if type({name}) is not {self._key(type(item))}: {_MISS}")
            else:
                kind = type(item).__name__
                self.lines.append(
                    f"if type({name}) is not {kind} or len({name}) != {len(item)}: {_MISS}"
                )
            if type(item) is dict:
                for key, (_, part) in zip(item, parts, strict=True):
                    self.lines.append(f"{part} = {name}[{self._key(key)}]")
            elif parts and not isinstance(item, _Record):
                self.lines.append(f"{', '.join(part for _, part in parts)}, = {name}")
            stack.extend(reversed(parts))

    def build(self, item: Any) -> str:
        """An expression that makes a container like ``item`` of the results ``r0``, …"""
        pieces: list[str] = []
        stack: list[Any] = [item]
        while stack:
            part = stack.pop()
            if isinstance(part, _Text):
                pieces.append(part.text)
            elif isinstance(part, _Leaf):
                pieces.append(f"r{part.number}")
            elif part is None:
                pieces.append("None")
            else:
                opening, labels, closing = self._form(part)
                inner = [
                    x
                    for label, p in zip(labels, _values(part), strict=True)
                    for x in (_Text(label), p, _Text(", "))
                ]
                stack.extend(reversed([_Text(opening), *inner, _Text(closing)]))
        return "".join(pieces)

    def _form(self, item: Any) -> tuple[str, list[str], str]:
        """How a container is written: what opens it, what stands before each item, what closes."""
        if isinstance(item, _Record):
            return f"{self._key(item.cls)}(", [f"{name}=" for name in item.fields], ")"
        if type(item) is dict:
            return "{", [f"{self._key(key)}: " for key in item], "}"
        none = [""] * len(item)
        if type(item) is list:
            return "[", none, "]"
        return "(" if type(item) is tuple else f"{self._key(type(item))}(", none, ")"

    def _key(self, key: Any) -> str:
        """How the source names an object."""
        if type(key) in (str, int):
            return repr(key)
        name = f"key{len(self.keys)}"
        self.keys[name] = key
        return name


def _values(container: Any) -> list[Any]:
    if isinstance(container, _Record):
        return list(container.fields.values())
    return list(container.values()) if type(container) is dict else list(container)
