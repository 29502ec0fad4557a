"""`weft.tree_util`: JAX's names, keys of paths, and registration of classes."""

from __future__ import annotations

import collections
import dataclasses
import functools
from typing import Any

import numpy as onp
import pytest

import weft
import weft.numpy as np
from weft import tree, tree_util
from weft.tree_util import DictKey, FlattenedIndexKey, GetAttrKey, SequenceKey

Pair = collections.namedtuple("Pair", ["left", "right"])


@tree_util.register_dataclass
@dataclasses.dataclass
class Layer:
    weights: Any
    name: str = tree.static(default="layer")


@tree_util.register_pytree_with_keys_class
class Keyed:
    def __init__(self, a, b):
        self.a, self.b = a, b

    def tree_flatten_with_keys(self):
        return ((GetAttrKey("a"), self.a), (GetAttrKey("b"), self.b)), None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


@tree_util.register_pytree_node_class
class Plain:
    def __init__(self, *parts):
        self.parts = parts

    def tree_flatten(self):
        return self.parts, None

    @classmethod
    def tree_unflatten(cls, _, children):
        return cls(*children)


def test_paths_have_keys_of_jax():
    node = {"w": [1, Pair(2, None)], "k": Keyed(3, (4,)), "l": Layer(5), "p": Plain(6)}
    pairs, treedef = tree_util.tree_flatten_with_path(node)
    assert treedef == tree_util.tree_structure(node)
    assert [(path, leaf) for path, leaf in pairs] == [
        ((DictKey("k"), GetAttrKey("a")), 3),
        ((DictKey("k"), GetAttrKey("b"), SequenceKey(0)), 4),
        ((DictKey("l"), GetAttrKey("weights")), 5),
        ((DictKey("p"), FlattenedIndexKey(0)), 6),
        ((DictKey("w"), SequenceKey(0)), 1),
        ((DictKey("w"), SequenceKey(1), GetAttrKey("left")), 2),
    ]
    shown = [tree_util.keystr(path) for path, _ in pairs]
    assert shown[1] == "['k'].b[0]" and shown[2] == "['l'].weights"
    assert shown[3] == "['p'][<flat index 0>]"
    simple = [tree_util.keystr(path, simple=True, separator="/") for path, _ in pairs]
    assert simple[-1] == "w/1/left"
    named = tree_util.tree_map_with_path(lambda path, x, y: len(path) + x + y, node, node)
    assert named["k"].a == 8 and named["w"][0] == 4


def test_leaves_may_be_chosen_by_path():
    node = {"a": (1, [2]), "b": 3}
    pairs = tree_util.tree_leaves_with_path(
        node, lambda path, x: path == (DictKey("a"),), is_leaf_takes_path=True
    )
    assert pairs == [((DictKey("a"),), (1, [2])), ((DictKey("b"),), 3)]


def test_messages_name_the_path():
    with pytest.raises(TypeError, match=r"x\.weights\[1\] .* is 's' of type str"):
        weft.jit(lambda x: x)(Layer([1.0, "s"]))
    with pytest.raises(TypeError, match=r"grad of '<lambda>': k\.b\[0\] has dtype int32"):
        weft.grad(lambda k: k.a)(Keyed(1.0, (2,)))
    with pytest.raises(TypeError, match=r"vmap of '<lambda>': p\[<flat index 0>\] is None|is 's'"):
        weft.vmap(lambda p: p)(Plain("s"))


def test_partial_is_a_tree():
    scale = tree_util.Partial(np.multiply, onp.float32(2.0))
    assert isinstance(scale, functools.partial)
    assert tree_util.tree_leaves(scale) == [2.0]
    assert float(weft.jit(lambda f, x: f(x))(scale, 3.0)) == 6.0
    gradient = weft.grad(lambda f: f(np.asarray(3.0)))(scale)
    assert float(gradient.args[0]) == 3.0


def test_static_classes_are_structure():
    @tree_util.register_static
    @dataclasses.dataclass(frozen=True)
    class Mode:
        name: str

    assert tree_util.tree_leaves((Mode("a"), 1)) == [1]
    assert tree_util.tree_structure(Mode("a")) != tree_util.tree_structure(Mode("b"))
    assert float(weft.jit(lambda mode, x: x * len(mode.name))(Mode("abc"), 2.0)) == 6.0


def test_one_level_and_structures():
    assert tree_util.flatten_one_level(Pair(1, [2]))[0] == [1, [2]]
    pairs, data = tree_util.flatten_one_level_with_keys(Layer([1]))
    assert pairs == [((GetAttrKey("weights"),), [1])] and data == ("layer",)
    with pytest.raises(ValueError, match=r"leaf|node"):
        tree_util.flatten_one_level(3)
    spec = tree_util.tree_structure({"a": (1, 2)})
    assert tree_util.treedef_children(spec) == [tree_util.tree_structure((1, 2))]
    assert tree_util.treedef_tuple([spec, spec]) == tree_util.tree_structure(({"a": (1, 2)},) * 2)
    assert tree_util.treedef_is_leaf(tree_util.tree_structure(1))
    assert not tree_util.treedef_is_leaf(tree_util.tree_structure(()))
    assert tree_util.all_leaves([1, "a"]) and not tree_util.all_leaves([1, (2,)])
    kinds = [dict, tuple, type(None), Pair, Layer, Keyed]
    assert all(map(tree_util.is_tree_node, kinds)) and not tree_util.is_tree_node(int)


def test_reductions_and_broadcasts():
    add = lambda a, b: a + b  # noqa: E731
    assert tree_util.tree_reduce_associative(add, {"a": "x", "b": ["y", "z"]}) == "xyz"
    assert tree_util.tree_reduce_associative(add, (), identity="") == ""
    with pytest.raises(TypeError, match="without leaves; give identity"):
        tree_util.tree_reduce_associative(add, ())
    assert tree_util.tree_broadcast((1, 2), ((0, 0), {"a": 0})) == ((1, 1), {"a": 2})


def test_fields_are_checked():
    @dataclasses.dataclass
    class Point:
        x: Any
        y: Any = 0

    with pytest.raises(ValueError, match="the fields y are neither"):
        tree_util.register_dataclass(Point, ["x"], [])
    with pytest.raises(ValueError, match="has no fields z"):
        tree_util.register_dataclass(Point, ["x", "y", "z"], [])
    with pytest.raises(TypeError, match="give data_fields and meta_fields, or neither"):
        tree_util.register_dataclass(Point, ["x"])
    tree_util.register_dataclass(Point, ["x"], [], drop_fields=["y"])
    assert tree_util.tree_map(lambda v: v + 1, Point(1, 5)) == Point(2, 0)


def test_arguments_have_the_names_of_jax():
    f, where = tree_util.tree_map, tree_util.tree_map_with_path
    assert f(f=lambda x: -x, tree=[1, 2]) == [-1, -2]
    assert where(f=lambda path, x: (tree_util.keystr(path), x), tree=[1]) == [("[0]", 1)]
    total = tree_util.tree_reduce(function=lambda a, b: a + b, tree=[1, 2], initializer=10)
    assert total == 13
    assert tree_util.tree_broadcast(prefix_tree=1, full_tree=[0, 0]) == [1, 1]
    outer = tree_util.tree_structure((0, 0))
    turned = tree_util.tree_transpose(
        outer_treedef=outer, inner_treedef=None, pytree_to_transpose=([1, 2], [3, 4])
    )
    assert turned == [(1, 3), (2, 4)]

    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

    tree_util.register_pytree_node(
        nodetype=Pair,
        flatten_func=lambda p: ((p.a, p.b), None),
        unflatten_func=lambda _, children: Pair(*children),
        flatten_with_keys_func=lambda p: (
            ((tree_util.GetAttrKey("a"), p.a), (tree_util.GetAttrKey("b"), p.b)),
            None,
        ),
    )
    (first, one), _ = tree_util.tree_leaves_with_path(Pair(1, 2))
    assert (tree_util.keystr(first), one) == (".a", 1)
