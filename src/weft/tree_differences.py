"""Where two trees differ, for messages."""

from __future__ import annotations

import functools
import operator
from typing import Any

import optree
from optree import PyTreeSpec

from weft.tree_keys import KeyPath, keystr, path_of

_NAMESPACE = "weft"
#: One kind of node for optree.
_MAPPINGS = ("dict", "OrderedDict", "defaultdict")


def difference(wanted: PyTreeSpec, tree: Any) -> tuple[str, str, str] | None:
    """The first place where ``tree`` is no extension of a structure, and what either has there.

    None if it is one: every leaf of ``wanted`` stands for any subtree.
    """
    pending: list[tuple[KeyPath, PyTreeSpec, Any]] = [((), wanted, tree)]
    while pending:
        path, spec, node = pending.pop()
        if spec.is_leaf():
            continue
        below = functools.partial(operator.is_not, node)
        children, found = optree.tree_flatten(node, below, namespace=_NAMESPACE)
        one = spec.one_level()
        assert one is not None  # leaves have none
        if one != found and not _same_mapping(one, found):
            return keystr(path), _described(one, found), _described(found, one)
        keys = map(path_of, optree.treespec_accessors(one))
        level = [
            ((*path, *key), s, c) for key, s, c in zip(keys, spec.children(), children, strict=True)
        ]
        pending += level[::-1]
    return None


def _same_mapping(a: PyTreeSpec, b: PyTreeSpec) -> bool:
    return _kind(a) in _MAPPINGS and _kind(b) in _MAPPINGS and set(a.entries()) == set(b.entries())


def _kind(spec: PyTreeSpec) -> str:
    return "" if spec.type is None else spec.type.__name__


def _described(spec: PyTreeSpec, other: PyTreeSpec) -> str:
    """A node in a few words; for two of one kind, what tells them apart."""
    if spec.is_leaf():
        return "a leaf"
    kind = _kind(spec)
    if kind == "NoneType":
        return "None"
    if kind in _MAPPINGS:
        entries = spec.entries()
        if _kind(other) in _MAPPINGS:
            entries = [key for key in entries if key not in other.entries()]
            return f"the key {entries[0]!r}" if entries else "no such key"
        return f"a {kind} with keys {', '.join(map(repr, entries))}"
    if kind in ("list", "tuple"):
        return f"a {kind} of {spec.num_children}"
    return (
        f"{kind} ({spec})"
        if kind == _kind(other)
        else f"{'an' if kind[0] in 'AEIOU' else 'a'} {kind}"
    )
