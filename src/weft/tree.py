"""Pytrees: nested containers of arrays, with JAX's names, on :mod:`optree`.

Tuples, lists, dicts (in the order of their sorted keys), named tuples, ``OrderedDict``,
``defaultdict`` and ``deque`` are nodes; None is a node without children; everything else is a
leaf until its class is registered. ``is_leaf`` stops the descent early.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import optree
from optree import PyTreeSpec

_NAMESPACE = "weft"
IsLeaf = Callable[[Any], bool] | None
ClassT = TypeVar("ClassT", bound=type)

__all__ = [
    "PyTreeSpec",
    "all",
    "describe",
    "flatten",
    "flatten_up_to",
    "flatten_with_path",
    "leaves",
    "map",
    "map_with_path",
    "path_names",
    "reduce",
    "register_dataclass",
    "register_node",
    "register_node_class",
    "structure",
    "transpose",
    "unflatten",
]


def flatten(tree: Any, is_leaf: IsLeaf = None) -> tuple[list[Any], PyTreeSpec]:
    """The leaves of a tree and its structure.

    >>> flatten({"b": 2, "a": (1, None)})[0]
    [1, 2]
    """
    return optree.tree_flatten(tree, is_leaf, namespace=_NAMESPACE)


def unflatten(treedef: PyTreeSpec, leaves: Iterable[Any]) -> Any:
    """The tree of that structure with those leaves."""
    return optree.tree_unflatten(treedef, leaves)


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a tree, from left to right."""
    return optree.tree_leaves(tree, is_leaf, namespace=_NAMESPACE)


def structure(tree: Any, is_leaf: IsLeaf = None) -> PyTreeSpec:
    """The structure of a tree."""
    return optree.tree_structure(tree, is_leaf, namespace=_NAMESPACE)


def map(function: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Applies ``function`` to the leaves of a tree, and of others that have its structure."""
    return optree.tree_map(function, tree, *rest, is_leaf=is_leaf, namespace=_NAMESPACE)


def reduce(
    function: Callable[[Any, Any], Any], tree: Any, *initial: Any, is_leaf: IsLeaf = None
) -> Any:
    """Folds ``function`` over the leaves of a tree, from left to right."""
    return functools.reduce(function, leaves(tree, is_leaf), *initial)


def all(tree: Any, is_leaf: IsLeaf = None) -> bool:
    """Are all leaves true?"""
    return optree.tree_all(tree, is_leaf=is_leaf, namespace=_NAMESPACE)


def transpose(outer: PyTreeSpec, inner: PyTreeSpec, tree: Any) -> Any:
    """Turns a tree of structure outer(inner) into inner(outer)."""
    return optree.tree_transpose(outer, inner, tree)


def flatten_up_to(treedef: PyTreeSpec, tree: Any) -> list[Any]:
    """The subtrees of ``tree`` at the leaves of ``treedef``; ValueError when they do not match."""
    return treedef.flatten_up_to(tree)


def flatten_with_path(
    tree: Any, is_leaf: IsLeaf = None
) -> tuple[list[tuple[tuple[Any, ...], Any]], PyTreeSpec]:
    """(path, leaf) pairs and the structure; a path is a tuple of keys, indices and field names."""
    paths, found, treedef = optree.tree_flatten_with_path(tree, is_leaf, namespace=_NAMESPACE)
    return list(zip(paths, found, strict=True)), treedef


def map_with_path(
    function: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None
) -> Any:
    """As :func:`map`, with the path of each leaf as first argument."""
    return optree.tree_map_with_path(function, tree, *rest, is_leaf=is_leaf, namespace=_NAMESPACE)


def path_names(treedef: PyTreeSpec, root: str = "") -> list[str]:
    """How each leaf is reached from ``root``, as one would write it: ``params['w'][0]``.

    >>> path_names(structure({"w": [1, 2]}), "params")
    ["params['w'][0]", "params['w'][1]"]
    """
    return [accessor.codify(root) for accessor in optree.treespec_accessors(treedef)]


class _Leaf:
    def __repr__(self) -> str:
        return "*"


def describe(treedef: PyTreeSpec) -> str:
    """A structure as text for messages, with ``*`` for leaves: ``{'w': *, 'b': (*, *)}``."""
    return repr(unflatten(treedef, [_Leaf()] * treedef.num_leaves))


def register_node(
    cls: type,
    flatten_node: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_node: Callable[[Any, Sequence[Any]], Any],
) -> None:
    """Makes instances of ``cls`` nodes of trees.

    ``flatten_node(x) -> (children, data)`` with hashable ``data``; ``unflatten_node(data,
    children)``.
    """
    optree.register_pytree_node(
        cls,
        flatten_node,
        lambda data, children: unflatten_node(data, tuple(children)),
        namespace=_NAMESPACE,
    )


def register_node_class(cls: ClassT) -> ClassT:
    """Class decorator; needs ``tree_flatten(self)`` and ``tree_unflatten(cls, data, children)``."""
    register_node(cls, lambda x: x.tree_flatten(), cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


def register_dataclass(
    cls: ClassT,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
) -> ClassT:
    """Makes a dataclass a node: ``data_fields`` are children, ``meta_fields`` structure.

    Without field names, fields declared with ``metadata={"static": True}`` are static and the
    others are children. Usable as a decorator.
    """
    if not dataclasses.is_dataclass(cls):
        raise TypeError(f"{cls.__name__} is not a dataclass")
    if data_fields is None or meta_fields is None:
        fields = [f for f in dataclasses.fields(cls) if f.init]
        data_fields = [f.name for f in fields if not f.metadata.get("static", False)]
        meta_fields = [f.name for f in fields if f.metadata.get("static", False)]
    children_names, static_names = tuple(data_fields), tuple(meta_fields)

    def flatten_node(x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[str, ...]]:
        children = tuple(getattr(x, name) for name in children_names)
        return children, tuple(getattr(x, name) for name in static_names), children_names

    def unflatten_node(static: tuple[Any, ...], children: Sequence[Any]) -> Any:
        values = dict(zip(children_names, children, strict=True))
        values.update(zip(static_names, static, strict=True))
        return cls(**values)

    optree.register_pytree_node(cls, flatten_node, unflatten_node, namespace=_NAMESPACE)  # type: ignore[arg-type]
    _dataclasses[cls] = children_names, static_names
    return cls


#: Registered dataclasses: the fields that are children, and those that are structure.
_dataclasses: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {}


def dataclass_fields(cls: type) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The fields of a registered dataclass that are children, and those that are structure."""
    return _dataclasses.get(cls)
