"""``jax.tree_util`` by its names: :mod:`weft.tree` and what only class authors need."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

import optree
from optree import PyTreeSpec as PyTreeDef

from weft import tree
from weft.tree import (
    all as tree_all,
)
from weft.tree import (
    broadcast as tree_broadcast,
)
from weft.tree import (
    flatten as tree_flatten,
)
from weft.tree import (
    flatten_with_path as tree_flatten_with_path,
)
from weft.tree import (
    leaves as tree_leaves,
)
from weft.tree import (
    leaves_with_path as tree_leaves_with_path,
)
from weft.tree import (
    map as tree_map,
)
from weft.tree import (
    map_with_path as tree_map_with_path,
)
from weft.tree import (
    reduce as tree_reduce,
)
from weft.tree import (
    reduce_associative as tree_reduce_associative,
)
from weft.tree import (
    register_dataclass,
)
from weft.tree import (
    register_node_class as register_pytree_node_class,
)
from weft.tree import (
    structure as tree_structure,
)
from weft.tree import (
    transpose as tree_transpose,
)
from weft.tree import (
    unflatten as tree_unflatten,
)
from weft.tree_keys import (
    DictKey,
    FlattenedIndexKey,
    GetAttrKey,
    KeyEntry,
    KeyPath,
    SequenceKey,
    keystr,
)

ClassT = TypeVar("ClassT", bound=type)

__all__ = [
    "DictKey",
    "FlattenedIndexKey",
    "GetAttrKey",
    "KeyEntry",
    "KeyPath",
    "Partial",
    "PyTreeDef",
    "SequenceKey",
    "all_leaves",
    "flatten_one_level",
    "flatten_one_level_with_keys",
    "is_tree_node",
    "keystr",
    "register_dataclass",
    "register_pytree_node",
    "register_pytree_node_class",
    "register_pytree_with_keys",
    "register_pytree_with_keys_class",
    "register_static",
    "tree_all",
    "tree_broadcast",
    "tree_flatten",
    "tree_flatten_with_path",
    "tree_leaves",
    "tree_leaves_with_path",
    "tree_map",
    "tree_map_with_path",
    "tree_reduce",
    "tree_reduce_associative",
    "tree_structure",
    "tree_transpose",
    "tree_unflatten",
    "treedef_children",
    "treedef_is_leaf",
    "treedef_tuple",
]


def register_pytree_node(
    nodetype: type,
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_func: Callable[[Any, Sequence[Any]], Any],
    flatten_with_keys_func: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]] | None = None,
) -> None:
    """Makes instances of a class nodes: ``flatten_func(x) -> (children, data)``.

    ``data`` is hashable, and ``unflatten_func(data, children)`` makes an instance of them again.
    With ``flatten_with_keys_func`` the children have keys in paths.

    >>> class Point:
    ...     def __init__(self, x, y):
    ...         self.x, self.y = x, y
    ...
    >>> weft.tree_util.register_pytree_node(
    ...     Point, lambda p: ((p.x, p.y), None), lambda _, xy: Point(*xy)
    ... )
    >>> weft.tree.leaves(Point(1, 2))
    [1, 2]
    """
    if flatten_with_keys_func is None:
        tree.register_node(nodetype, flatten_func, unflatten_func)
    else:
        tree.register_node_with_keys(nodetype, flatten_with_keys_func, unflatten_func)


def register_pytree_with_keys(
    nodetype: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_func: Callable[[Any, Sequence[Any]], Any],
    flatten_func: Callable[[Any], tuple[Iterable[Any], Any]] | None = None,
) -> None:
    """Makes instances of a class nodes whose children have keys in paths.

    ``flatten_with_keys(x) -> ((key, child) pairs, data)``; ``flatten_func`` is accepted for
    compatibility and not needed.

    >>> class Size:
    ...     def __init__(self, width):
    ...         self.width = width
    ...
    >>> key = weft.tree_util.GetAttrKey("width")
    >>> weft.tree_util.register_pytree_with_keys(
    ...     Size, lambda s: (((key, s.width),), None), lambda _, children: Size(*children)
    ... )
    >>> weft.tree_util.tree_leaves_with_path(Size(4))
    [((GetAttrKey(name='width'),), 4)]
    """
    del flatten_func
    tree.register_node_with_keys(nodetype, flatten_with_keys, unflatten_func)


def register_pytree_with_keys_class(cls: ClassT) -> ClassT:
    """Class decorator; needs ``tree_flatten_with_keys(self)`` and ``tree_unflatten(data, xs)``.

    >>> @weft.tree_util.register_pytree_with_keys_class
    ... class Age:
    ...     def __init__(self, years):
    ...         self.years = years
    ...
    ...     def tree_flatten_with_keys(self):
    ...         return ((weft.tree_util.GetAttrKey("years"), self.years),), None
    ...
    ...     @classmethod
    ...     def tree_unflatten(cls, _, children):
    ...         return cls(*children)
    ...
    >>> weft.tree_util.tree_leaves_with_path(Age(5))
    [((GetAttrKey(name='years'),), 5)]
    """
    owner: Any = cls
    tree.register_node_with_keys(cls, owner.tree_flatten_with_keys, owner.tree_unflatten)
    return cls


def register_static(cls: ClassT) -> ClassT:
    """Class decorator: instances are structure, without leaves; they need ``==`` and a hash.

    >>> @weft.tree_util.register_static
    ... class Mode(str):
    ...     pass
    ...
    >>> weft.tree.leaves({"mode": Mode("fast"), "x": 1})
    [1]
    """
    tree.register_node(cls, lambda x: ((), x), lambda x, _: x)
    return cls


class Partial(functools.partial):
    """A `functools.partial` that is a node: its arguments are children, its function structure.

    >>> scale = Partial(np.multiply, np.asarray(2.0))
    >>> float(weft.jit(lambda f, x: f(x))(scale, 3.0))
    6.0
    """


def _flatten_partial(p: Partial) -> tuple[list[tuple[Any, Any]], Callable[..., Any]]:
    return [(GetAttrKey("args"), p.args), (GetAttrKey("keywords"), p.keywords)], p.func


tree.register_node_with_keys(
    Partial, _flatten_partial, lambda func, xs: Partial(func, *xs[0], **xs[1])
)


def all_leaves(iterable: Iterable[Any], is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Is every element a leaf?

    >>> weft.tree_util.all_leaves([1, 2.0])
    True
    >>> weft.tree_util.all_leaves([1, [2.0]])
    False
    """
    return optree.all_leaves(iterable, is_leaf, namespace="weft")


def is_tree_node(typ: type) -> bool:
    """Are instances of the class nodes rather than leaves?

    >>> weft.tree_util.is_tree_node(list), weft.tree_util.is_tree_node(int)
    (True, False)
    """
    if typ is type(None) or optree.is_namedtuple_class(typ):
        return True
    return optree.register_pytree_node.get(typ, namespace="weft") is not None


def flatten_one_level_with_keys(node: Any) -> tuple[list[tuple[KeyPath, Any]], Hashable]:
    """The children of a node with their paths (of one key), and what else is needed to rebuild it.

    Raises ValueError for a leaf.

    >>> weft.tree_util.flatten_one_level_with_keys([7, 8])[0]
    [((SequenceKey(idx=0),), 7), ((SequenceKey(idx=1),), 8)]
    """
    children, data = flatten_one_level(node)
    pairs, _ = tree.flatten_with_path(node, lambda x: x is not node)
    return [(path, child) for (path, _), child in zip(pairs, children, strict=True)], data


def flatten_one_level(node: Any) -> tuple[list[Any], Hashable]:
    """The children of a node, and what else is needed to rebuild it; ValueError for a leaf.

    >>> weft.tree_util.flatten_one_level([1, (2, 3)])[0]
    [1, (2, 3)]
    """
    if node is None:
        return [], None
    children, data, *_ = optree.tree_flatten_one_level(node, namespace="weft")
    return list(children), data


def treedef_tuple(treedefs: Iterable[PyTreeDef]) -> PyTreeDef:
    """The structure of a tuple whose elements have those structures.

    >>> weft.tree_util.treedef_tuple(
    ...     [weft.tree.structure(0), weft.tree.structure([0, 0])]
    ... ).num_leaves
    3
    """
    return optree.treespec_tuple(treedefs, namespace="weft")


def treedef_children(treedef: PyTreeDef) -> list[PyTreeDef]:
    """The structures of the children of the root.

    >>> len(weft.tree_util.treedef_children(weft.tree.structure([0, (0, 0)])))
    2
    """
    return treedef.children()


def treedef_is_leaf(treedef: PyTreeDef) -> bool:
    """Is it the structure of a single leaf?

    >>> weft.tree_util.treedef_is_leaf(weft.tree.structure(0))
    True
    """
    return treedef.num_nodes == 1 and treedef.num_leaves == 1
