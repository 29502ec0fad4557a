"""Pytrees: nested containers of arrays, with JAX's names, on :mod:`optree`.

Tuples, lists, dicts (in the order of their sorted keys), named tuples, ``OrderedDict``,
``defaultdict`` and ``deque`` are nodes; None is a node without children; everything else is a
leaf until its class is registered. ``is_leaf`` stops the descent early.
"""

from __future__ import annotations

import builtins
import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import optree
from optree import PyTreeSpec

from weft.tree_differences import difference
from weft.tree_keys import GetAttrKey, KeyPath, OwnKey, keystr, path_of

_NAMESPACE = "weft"
IsLeaf = Callable[[Any], bool] | None
ClassT = TypeVar("ClassT", bound=type)

__all__ = [
    "PyTreeSpec",
    "all",
    "broadcast",
    "describe",
    "flatten",
    "flatten_up_to",
    "flatten_with_path",
    "leaves",
    "leaves_with_path",
    "map",
    "map_with_path",
    "path_names",
    "reduce",
    "reduce_associative",
    "register_dataclass",
    "register_node",
    "register_node_class",
    "register_node_with_keys",
    "static",
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
    """The tree of that structure with those leaves.

    >>> weft.tree.unflatten(weft.tree.structure({"a": 0, "b": [0]}), [1, 2])
    {'a': 1, 'b': [2]}
    """
    return optree.tree_unflatten(treedef, leaves)


# `map`, `all` are this module's; those of the language:
map_, any_ = builtins.map, builtins.any


def leaves(tree: Any, is_leaf: IsLeaf = None) -> list[Any]:
    """The leaves of a tree, from left to right.

    >>> weft.tree.leaves({"a": 1, "b": [2, 3]})
    [1, 2, 3]
    """
    return optree.tree_leaves(tree, is_leaf, namespace=_NAMESPACE)


def structure(tree: Any, is_leaf: IsLeaf = None) -> PyTreeSpec:
    """The structure of a tree.

    >>> weft.tree.structure({"a": 1, "b": [2, 3]}).num_leaves
    3
    """
    return optree.tree_structure(tree, is_leaf, namespace=_NAMESPACE)


def map(f: Callable[..., Any], tree: Any, *rest: Any, is_leaf: IsLeaf = None) -> Any:
    """Applies ``f`` to the leaves of a tree, and of others that have its structure.

    Raises ValueError, with the path, where one of them has another structure.

    >>> weft.tree.map(lambda x, y: x + y, {"a": 1, "b": [2]}, {"a": 10, "b": [20]})
    {'a': 11, 'b': [22]}
    """
    found, treedef = flatten(tree, is_leaf)
    others = _alike("map", treedef, rest)
    return unflatten(treedef, map_(f, found, *others))


def _alike(what: str, treedef: PyTreeSpec, rest: Sequence[Any]) -> list[list[Any]]:
    """The subtrees of each of ``rest`` at the leaves of the first tree."""
    return [_matched(what, treedef, x, "tree", f"rest[{i}]") for i, x in enumerate(rest)]


def _matched(what: str, treedef: PyTreeSpec, tree: Any, first: str, second: str) -> list[Any]:
    """``treedef.flatten_up_to``, with an error that says where the two differ."""
    try:
        return treedef.flatten_up_to(tree)
    except ValueError:
        found = difference(treedef, tree)
        if found is None:
            raise
        path, wanted, got = found
        raise ValueError(
            f"weft.tree.{what}: {first} and {second} differ in structure at {path or 'the top'}: "
            f"{first} has {wanted}, {second} {got}"
        ) from None


#: Stands for a value that was not given: None is one.
_NOT_GIVEN: Any = object()


def reduce(
    function: Callable[[Any, Any], Any],
    tree: Any,
    initializer: Any = _NOT_GIVEN,
    is_leaf: IsLeaf = None,
) -> Any:
    """Folds ``function`` over the leaves of a tree, from left to right, after ``initializer``.

    >>> weft.tree.reduce(lambda x, y: x + y, {"a": 1, "b": [2, 3]})
    6
    """
    start = () if initializer is _NOT_GIVEN else (initializer,)
    return functools.reduce(function, leaves(tree, is_leaf), *start)


def all(tree: Any, *, is_leaf: IsLeaf = None) -> bool:
    """Are all leaves true?

    >>> weft.tree.all({"a": True, "b": [True, False]})
    False
    """
    return optree.tree_all(tree, is_leaf=is_leaf, namespace=_NAMESPACE)


def transpose(
    outer_treedef: PyTreeSpec, inner_treedef: PyTreeSpec | None, pytree_to_transpose: Any
) -> Any:
    """Turns a tree of structure outer(inner) into inner(outer).

    Without the inner structure it is that of what stands first in the outer one.

    >>> weft.tree.transpose(
    ...     weft.tree.structure([0, 0]), weft.tree.structure({"a": 0}), [{"a": 1}, {"a": 2}]
    ... )
    {'a': [1, 2]}
    """
    if inner_treedef is None:
        inner_treedef = structure(flatten_up_to(outer_treedef, pytree_to_transpose)[0])
    parts = _matched("transpose", outer_treedef, pytree_to_transpose, "outer_treedef", "the tree")
    rows = [_matched("transpose", inner_treedef, x, "inner_treedef", "a part") for x in parts]
    return unflatten(
        inner_treedef, [unflatten(outer_treedef, column) for column in zip(*rows, strict=True)]
    )


def flatten_up_to(treedef: PyTreeSpec, tree: Any) -> list[Any]:
    """The subtrees of ``tree`` at the leaves of ``treedef``; ValueError when they do not match.

    >>> weft.tree.flatten_up_to(weft.tree.structure([0, 0]), [{"a": 1}, 2])
    [{'a': 1}, 2]
    """
    return _matched("flatten_up_to", treedef, tree, "treedef", "tree")


def flatten_with_path(
    tree: Any, is_leaf: IsLeaf = None, is_leaf_takes_path: bool = False
) -> tuple[list[tuple[KeyPath, Any]], PyTreeSpec]:
    """(path, leaf) pairs and the structure; a path is a tuple of keys, as JAX has them.

    With ``is_leaf_takes_path``, ``is_leaf`` gets the path and the node.

    >>> flatten_with_path({"w": [1.0]})[0]
    [((DictKey(key='w'), SequenceKey(idx=0)), 1.0)]
    """
    if is_leaf is not None and is_leaf_takes_path:
        is_leaf = _at_paths(tree, is_leaf)
    found, treedef = flatten(tree, is_leaf)
    paths = map_(path_of, optree.treespec_accessors(treedef))
    return list(zip(paths, found, strict=True)), treedef


def _at_paths(tree: Any, is_leaf: Callable[..., bool]) -> Callable[[Any], bool]:
    """The nodes at whose paths ``is_leaf`` holds, as a predicate on nodes (by identity)."""
    chosen: list[Any] = []
    pending: list[tuple[KeyPath, Any]] = [((), tree)]
    while pending:
        path, node = pending.pop()
        if is_leaf(path, node):
            chosen.append(node)
            continue
        children, treedef = flatten(node, functools.partial(operator.is_not, node))
        if treedef.num_nodes > 1:
            keys = map_(path_of, optree.treespec_accessors(treedef))
            pending += [((*path, *key), child) for key, child in zip(keys, children, strict=True)]
    return lambda node: any_(node is found for found in chosen)


def leaves_with_path(
    tree: Any, is_leaf: IsLeaf = None, is_leaf_takes_path: bool = False
) -> list[tuple[KeyPath, Any]]:
    """The (path, leaf) pairs of :func:`flatten_with_path`.

    >>> [leaf for path, leaf in weft.tree.leaves_with_path({"a": 1, "b": [2]})]
    [1, 2]
    """
    return flatten_with_path(tree, is_leaf, is_leaf_takes_path)[0]


def map_with_path(
    f: Callable[..., Any],
    tree: Any,
    *rest: Any,
    is_leaf: IsLeaf = None,
    is_leaf_takes_path: bool = False,
) -> Any:
    """As :func:`map`, with the path of each leaf as first argument.

    >>> weft.tree.map_with_path(lambda path, x: (len(path), x), {"a": 1, "b": [2]})
    {'a': (1, 1), 'b': [(2, 2)]}
    """
    pairs, treedef = flatten_with_path(tree, is_leaf, is_leaf_takes_path)
    others = _alike("map_with_path", treedef, rest)
    return unflatten(treedef, [f(*pair, *more) for pair, *more in zip(pairs, *others, strict=True)])


def path_names(treedef: PyTreeSpec, root: str = "") -> list[str]:
    """How each leaf is reached from ``root``, as one would write it: ``params['w'][0]``.

    >>> path_names(structure({"w": [1, 2]}), "params")
    ["params['w'][0]", "params['w'][1]"]
    """
    return [root + keystr(path_of(a)) for a in optree.treespec_accessors(treedef)]


def broadcast(prefix_tree: Any, full_tree: Any, is_leaf: IsLeaf = None) -> Any:
    """A tree like ``full_tree``: each leaf of ``prefix_tree`` wherever it stands for a part.

    >>> broadcast({"a": 1, "b": 2}, {"a": (0, 0), "b": 0})
    {'a': (1, 1), 'b': 2}
    """
    _matched("broadcast", structure(prefix_tree, is_leaf), full_tree, "prefix_tree", "full_tree")
    return optree.tree_broadcast_prefix(prefix_tree, full_tree, is_leaf, namespace=_NAMESPACE)


def reduce_associative(
    operation: Callable[[Any, Any], Any],
    tree: Any,
    *,
    identity: Any = _NOT_GIVEN,
    is_leaf: IsLeaf = None,
) -> Any:
    """Folds an associative operation over the leaves, as a balanced tree of operations.

    ``identity`` is the result for a tree without leaves; without it that is a TypeError.

    >>> weft.tree.reduce_associative(lambda x, y: x + y, {"a": 1, "b": [2, 3]})
    6
    """
    level = leaves(tree, is_leaf)
    if not level:
        if identity is _NOT_GIVEN:
            raise TypeError("reduce_associative of a tree without leaves; give identity")
        return identity
    while len(level) > 1:
        rest = level[len(level) & ~1 :]
        level = [operation(a, b) for a, b in zip(level[::2], level[1::2], strict=False)] + rest
    return level[0]


class _Leaf:
    def __repr__(self) -> str:
        return "*"


def describe(treedef: PyTreeSpec) -> str:
    """A structure as text for messages, with ``*`` for leaves: ``{'w': *, 'b': (*, *)}``.

    >>> weft.tree.describe(weft.tree.structure({"w": 1.0, "b": (2, 3)}))
    "{'w': *, 'b': (*, *)}"
    """
    return repr(unflatten(treedef, [_Leaf()] * treedef.num_leaves))


def register_node(
    cls: type,
    flatten_node: Callable[[Any], tuple[Iterable[Any], Any]],
    unflatten_node: Callable[[Any, Sequence[Any]], Any],
) -> None:
    """Makes instances of ``cls`` nodes of trees.

    ``flatten_node(x) -> (children, data)`` with hashable ``data``; ``unflatten_node(data,
    children)``.

    >>> class Pair:
    ...     def __init__(self, a, b):
    ...         self.a, self.b = a, b
    ...
    >>> weft.tree.register_node(Pair, lambda p: ((p.a, p.b), None), lambda _, ab: Pair(*ab))
    >>> weft.tree.map(lambda x: 2 * x, Pair(1, 2)).b
    4
    """
    optree.register_pytree_node(
        cls,
        flatten_node,
        lambda data, children: unflatten_node(data, tuple(children)),
        namespace=_NAMESPACE,
    )


def register_node_with_keys(
    cls: type,
    flatten_with_keys: Callable[[Any], tuple[Iterable[tuple[Any, Any]], Any]],
    unflatten_node: Callable[[Any, Sequence[Any]], Any],
) -> None:
    """As :func:`register_node`, where children come with keys for paths: (key, child) pairs.

    >>> class Named:
    ...     def __init__(self, value):
    ...         self.value = value
    ...
    >>> key = weft.tree_util.GetAttrKey("value")
    >>> weft.tree.register_node_with_keys(
    ...     Named, lambda n: (((key, n.value),), None), lambda _, children: Named(*children)
    ... )
    >>> weft.tree_util.keystr(weft.tree_util.tree_flatten_with_path(Named(1))[0][0][0])
    '.value'
    """

    def flatten_node(x: Any) -> tuple[list[Any], Any, list[Any]]:
        pairs, data = flatten_with_keys(x)
        pairs = list(pairs)
        return [child for _, child in pairs], data, [key for key, _ in pairs]

    optree.register_pytree_node(
        cls,
        flatten_node,
        lambda data, children: unflatten_node(data, tuple(children)),
        path_entry_type=OwnKey,
        namespace=_NAMESPACE,
    )


def register_node_class(cls: ClassT) -> ClassT:
    """Class decorator; needs ``tree_flatten(self)`` and ``tree_unflatten(cls, data, children)``.

    >>> @weft.tree.register_node_class
    ... class Box:
    ...     def __init__(self, value):
    ...         self.value = value
    ...
    ...     def tree_flatten(self):
    ...         return (self.value,), None
    ...
    ...     @classmethod
    ...     def tree_unflatten(cls, _, children):
    ...         return cls(*children)
    ...
    >>> weft.tree.leaves(Box(3))
    [3]
    """
    register_node(cls, lambda x: x.tree_flatten(), cls.tree_unflatten)  # type: ignore[attr-defined]
    return cls


def static(**kwargs: Any) -> Any:
    """A field of a registered dataclass that is structure, not a child; as `dataclasses.field`.

    >>> from dataclasses import dataclass
    >>> @weft.tree.register_dataclass
    ... @dataclass
    ... class Power:
    ...     base: float
    ...     exponent: int = weft.tree.static(default=2)
    ...
    >>> weft.jit(lambda p: p.base**p.exponent)(Power(3.0))
    Array(9., dtype=float32, weak_type=True)
    """
    return dataclasses.field(metadata={**kwargs.pop("metadata", {}), "static": True}, **kwargs)


def register_dataclass(
    nodetype: ClassT,
    data_fields: Sequence[str] | None = None,
    meta_fields: Sequence[str] | None = None,
    drop_fields: Sequence[str] = (),
) -> ClassT:
    """Makes a dataclass a node: ``data_fields`` are children, ``meta_fields`` structure.

    Without field names, fields declared with ``metadata={"static": True}`` (see :func:`static`)
    are static and the others are children. ``drop_fields`` get their defaults back. Usable as a
    decorator; another class may be registered too, if all of its fields are named.

    Raises
    ------
    TypeError: for a class that is not a dataclass without field names. ValueError: if the names
        are not those of its fields.

    >>> from dataclasses import dataclass
    >>> @weft.tree.register_dataclass
    ... @dataclass
    ... class Line:
    ...     slope: float
    ...     offset: float
    ...
    >>> weft.tree.leaves(Line(2.0, 1.0))
    [2.0, 1.0]
    """
    if (data_fields is None) != (meta_fields is None):
        raise TypeError("register_dataclass: give data_fields and meta_fields, or neither")
    if data_fields is None or meta_fields is None:
        if not dataclasses.is_dataclass(nodetype):
            raise TypeError(
                f"{nodetype.__name__} is not a dataclass; give data_fields and meta_fields"
            )
        fields = [f for f in dataclasses.fields(nodetype) if f.init and f.name not in drop_fields]
        data_fields = [f.name for f in fields if not f.metadata.get("static", False)]
        meta_fields = [f.name for f in fields if f.metadata.get("static", False)]
    elif dataclasses.is_dataclass(nodetype):
        _check_fields(nodetype, {*data_fields, *meta_fields, *drop_fields})
    children_names, static_names = tuple(data_fields), tuple(meta_fields)
    keys = tuple(map_(GetAttrKey, children_names))

    def flatten_node(x: Any) -> tuple[tuple[Any, ...], tuple[Any, ...], tuple[Any, ...]]:
        children = tuple(getattr(x, name) for name in children_names)
        return children, tuple(getattr(x, name) for name in static_names), keys

    def unflatten_node(static: tuple[Any, ...], children: Sequence[Any]) -> Any:
        values = dict(zip(children_names, children, strict=True))
        values.update(zip(static_names, static, strict=True))
        return nodetype(**values)

    optree.register_pytree_node(
        nodetype,
        flatten_node,
        unflatten_node,  # type: ignore[arg-type]
        path_entry_type=OwnKey,
        namespace=_NAMESPACE,
    )
    _dataclasses[nodetype] = children_names, static_names
    return nodetype


def _check_fields(cls: Any, named: set[str]) -> None:
    fields = {f.name for f in dataclasses.fields(cls) if f.init}
    if missing := sorted(fields - named):
        raise ValueError(
            f"register_dataclass of {cls.__name__}: the fields {', '.join(missing)} are neither "
            "data_fields, meta_fields nor drop_fields"
        )
    if unknown := sorted(named - fields):
        raise ValueError(
            f"register_dataclass of {cls.__name__}: it has no fields {', '.join(unknown)}"
        )


#: Registered dataclasses: the fields that are children, and those that are structure.
_dataclasses: dict[type, tuple[tuple[str, ...], tuple[str, ...]]] = {}


def dataclass_fields(cls: type) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """The fields of a registered dataclass that are children, and those that are structure."""
    return _dataclasses.get(cls)
