"""What is said about trees that differ."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft import tree, tree_util

NODES = st.recursive(
    st.just(0),
    lambda inside: st.one_of(
        st.lists(inside, max_size=3),
        st.lists(inside, max_size=3).map(tuple),
        st.dictionaries(st.sampled_from("abc"), inside, max_size=3),
    ),
    max_leaves=8,
)


@settings(max_examples=40, deadline=None)
@given(NODES, st.data())
def test_where_trees_differ(first, data):
    """One leaf of a tree is made a node in the first of two: the path of that leaf is named."""
    paths = tree.path_names(tree.structure(first))
    if not paths:
        return
    chosen = data.draw(st.integers(0, len(paths) - 1))
    node, text = data.draw(
        st.sampled_from(
            [([1, 2], "a list of 2"), ({"k": 1}, "a dict with keys 'k'"), (None, "None")]
        )
    )
    leaves, treedef = tree.flatten(first)
    longer = tree.unflatten(treedef, [*leaves[:chosen], node, *leaves[chosen + 1 :]])
    tree.map(lambda *_: None, first, longer)  # a leaf of the first tree stands for any subtree
    for run in (
        lambda: tree.map(lambda *_: None, longer, longer, first),
        lambda: tree.map_with_path(lambda *_: None, longer, longer, first),
    ):
        with pytest.raises(ValueError) as error:
            run()
        assert str(error.value).endswith(
            f": tree and rest[1] differ in structure at {paths[chosen] or 'the top'}: "
            f"tree has {text}, rest[1] a leaf"
        )


class Pair(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        ({"a": [1, 2]}, {"a": [1, 2, 3]}, "at ['a']: tree has a list of 2, rest[0] a list of 3"),
        ({"a": {"x": 1}}, {"a": {"y": 1}}, "at ['a']: tree has the key 'x', rest[0] the key 'y'"),
        ({"x": 1}, {"x": 1, "y": 2}, "at the top: tree has no such key, rest[0] the key 'y'"),
        ([(Pair(1, 2),)], [((1, 2),)], "at [0][0]: tree has a Pair, rest[0] a tuple of 2"),
        (
            tree_util.Partial(max, 1),
            tree_util.Partial(min, 1),
            "at the top: tree has Partial (PyTreeSpec(CustomTreeNode(Partial[<built-in",
        ),
    ],
)
def test_how_trees_differ(first, second, text):
    with pytest.raises(ValueError) as error:
        tree.map(lambda *_: None, first, second)
    assert f"weft.tree.map: tree and rest[0] differ in structure {text}" in str(error.value)


def test_other_functions_of_two_structures():
    with pytest.raises(
        ValueError, match=r"tree\.broadcast: prefix_tree and full_tree differ .*\[1\]"
    ):
        tree.broadcast([1, [2]], [1, (2,)])
    with pytest.raises(ValueError, match=r"tree\.transpose: inner_treedef and a part differ"):
        tree.transpose(tree.structure([0, 0]), tree.structure({"a": 0}), [{"a": 1}, {"b": 2}])
    with pytest.raises(ValueError, match=r"tree\.flatten_up_to: treedef and tree differ"):
        tree.flatten_up_to(tree.structure([0]), (0,))
    with pytest.raises(ValueError, match=r"^of the function$"):
        tree.map(lambda x: (_ for _ in ()).throw(ValueError("of the function")), [1])
