"""Jitted calls with containers: the shortcut and the general way agree."""

from __future__ import annotations

from collections import OrderedDict, deque, namedtuple
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import tree
from weft.transforms.unpack import MAX_LEAVES, NO_MATCH, tree_call

trees = st.recursive(
    st.just("leaf") | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.sampled_from("zyxab"), inner, max_size=3)
    ),
    max_leaves=8,
)


def numbered(structure, start=0):
    leaves, spec = tree.flatten(structure)
    return tree.unflatten(spec, range(start, start + len(leaves)))


@given(trees, trees)
@settings(max_examples=100)
def test_leaves_and_results_are_in_the_order_of_trees(given_tree, result_tree):
    arguments, result = (numbered(given_tree), 100), numbered(result_tree)
    in_tree = tree.structure((arguments, {}))
    seen = []

    def native(*leaves):
        seen.extend(leaves)
        return tuple(tree.leaves(result))

    call = tree_call(in_tree, tree.structure(result), native, lambda *_: "other")
    assert call(arguments, {}) == result
    assert seen == tree.leaves(arguments)


@pytest.mark.parametrize(
    "args, kwargs",
    [
        (({"w": 1, "b": 2},), {}),
        (({"w": 1}, 3), {}),
        (({"w": 1, "c": 2}, 3), {}),
        (([1, 2], 3), {}),
        ((OrderedDict(w=1, b=2), 3), {}),
        (({"w": 1, "b": 2}, 3), {"k": 4}),
        (({"w": 1, "b": 2, "c": 5}, 3), {}),
    ],
)
def test_other_containers_go_the_general_way(args, kwargs):
    in_tree = tree.structure((({"w": 0, "b": 0}, 0), {}))
    call = tree_call(in_tree, tree.structure(0), lambda *x: x, lambda *x: x)
    assert call(args, kwargs) == (args, kwargs)


def test_leaves_that_do_not_match_go_the_general_way():
    in_tree = tree.structure((([0],), {}))
    call = tree_call(in_tree, tree.structure(0), lambda *x: NO_MATCH, lambda *x: "general")
    assert call(([1],), {}) == "general"


def test_other_classes_and_very_many_leaves_have_no_shortcut():
    for container in (OrderedDict(a=1), deque([1]), Static(1, 2)):
        assert tree_call(tree.structure(((container,), {})), tree.structure(0), len, len) is None
        assert tree_call(tree.structure(((0,), {})), tree.structure(container), len, len) is None
    many = tree.structure((([0] * MAX_LEAVES,), {}))
    assert tree_call(many, tree.structure(0), len, len) is None


Pair = namedtuple("Pair", "a b")


@tree.register_dataclass
@dataclass
class Record:
    x: Any
    y: Any

    def __post_init__(self):
        if isinstance(self.x, str):
            raise TypeError("x is a number")


@tree.register_dataclass
@dataclass
class Static:
    x: Any
    kind: Any = field(metadata={"static": True})


records = st.recursive(
    st.integers(),
    lambda inner: (
        st.builds(Record, inner, inner)
        | st.builds(Pair, inner, inner)
        | st.lists(inner, max_size=2)
    ),
    max_leaves=8,
)


@given(records, records)
@settings(max_examples=50)
def test_named_tuples_and_dataclasses(given_tree, result):
    in_tree = tree.structure(((given_tree, 100), {}))
    seen = []

    def native(*leaves):
        seen.extend(leaves)
        return tuple(tree.leaves(result))

    call = tree_call(in_tree, tree.structure(result), native, lambda *_: "other")
    assert call((given_tree, 100), {}) == result
    assert seen == tree.leaves((given_tree, 100))
    assert call((given_tree,), {}) == "other"


def test_dataclasses_that_lack_a_field_go_the_general_way():
    in_tree = tree.structure(((Record(1, 2),), {}))
    call = tree_call(in_tree, tree.structure(0), lambda *x: x, lambda *x: "other")
    broken = Record(1, 2)
    del broken.y
    assert call((broken,), {}) == "other"


def test_repeated_calls_with_containers():
    @weft.jit
    def step(state, *, rate):
        return {"w": state["w"] - rate * state["w"], "b": [state["b"][0] + 1, None]}

    state = {"w": wnp.ones(3), "b": [wnp.zeros(2), None]}
    rate = wnp.asarray(np.float32(0.5))
    for _ in range(4):
        state = step(state, rate=rate)
    assert state["w"].tolist() == [0.0625] * 3
    assert state["b"][0].tolist() == [4, 4]
    assert state["b"][1] is None
    # Other types, scalars and NumPy arrays take the general way, then and later.
    assert step({"w": 1.0, "b": [2, None]}, rate=1)["w"].tolist() == 0
    assert (
        step({"w": np.ones(3, np.float32), "b": [state["b"][0], None]}, rate=rate)["w"].tolist()
        == [0.5] * 3
    )


def test_a_missing_argument_is_the_functions_own_error():
    step = weft.jit(lambda p, x: p["w"] + x)
    for _ in range(3):
        step({"w": wnp.ones(2)}, wnp.ones(2))
    with pytest.raises(TypeError, match="missing"):
        step({"w": wnp.ones(2)})
    with pytest.raises(KeyError, match="w"):
        step({"v": wnp.ones(2)}, wnp.ones(2))


@pytest.mark.parametrize("values", [(0.0, -0.0), (1, True, 1.0), (2**40, 2), (float("nan"), 1.5)])
def test_numbers_keep_their_types_and_signs(values):
    f = weft.jit(lambda x, c: (x * c, c))
    x = wnp.ones(2)
    for value in values * 3:
        scaled, back = f(x, value)
        expected = wnp.asarray(value)
        assert back.dtype == expected.dtype
        np.testing.assert_array_equal(np.signbit(back), np.signbit(expected))
        np.testing.assert_array_equal(back, expected)
        assert scaled.dtype == (x * value).dtype


def test_a_number_that_does_not_fit_is_the_usual_error():
    f = weft.jit(lambda x: x + 1)
    for _ in range(3):
        f(2)
    with pytest.raises(OverflowError):
        f(2**70)


def test_numpy_arguments_are_read_during_the_call():
    f = weft.jit(lambda p, x: (p["w"] + x, x))
    p, x = {"w": wnp.zeros(3)}, np.arange(3, dtype=np.float32)
    for _ in range(3):
        total, same = f(p, x)
        x += 1
    np.testing.assert_array_equal(total, [2, 3, 4])
    np.testing.assert_array_equal(same, [2, 3, 4])
    for strange in (x[::-1], x.astype(">f4"), np.asfortranarray(np.ones((3, 3), np.float32))):
        np.testing.assert_array_equal(f(p, strange)[1], strange)
        np.testing.assert_array_equal(f(p, strange)[1], strange)


def test_arguments_that_cannot_be_arrays_are_named():
    f = weft.jit(lambda p, x: p["w"] + x)
    for _ in range(3):
        f({"w": wnp.zeros(3)}, np.ones(3, np.float32))
    with pytest.raises(TypeError, match="x"):
        f({"w": wnp.zeros(3)}, np.array([None, 1, 2]))
    with pytest.raises(TypeError, match=r"p\['w'\]"):
        f({"w": "text"}, np.ones(3, np.float32))


def test_signatures_in_turn_keep_their_shortcuts(monkeypatch):
    from weft.transforms import jit

    made = []
    monkeypatch.setattr(jit, "tree_call", lambda *a: made.append(a) or tree_call(*a))
    f = weft.jit(lambda p, x: p["w"] * x)
    for n in (2, 3, 2, 3, 2, 3):
        assert f({"w": wnp.ones(n)}, wnp.ones(n)).tolist() == [1] * n
    assert len(made) == 2
