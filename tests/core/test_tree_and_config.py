"""Pytrees and settings."""

from __future__ import annotations

import dataclasses
import threading
from typing import NamedTuple

import pytest

import weft
from weft import tree
from weft.config import Config, jit_is_disabled


class Point(NamedTuple):
    x: int
    y: int


def test_none_is_an_empty_subtree_and_dict_keys_are_sorted():
    leaves, treedef = tree.flatten({"b": 2, "a": (1, None), "p": Point(3, 4)})
    assert leaves == [1, 2, 3, 4]
    assert tree.unflatten(treedef, leaves) == {"b": 2, "a": (1, None), "p": Point(3, 4)}
    assert tree.map(lambda x, y: x + y, [1, (2,)], [10, (20,)]) == [11, (22,)]
    assert tree.reduce(lambda a, b: a + b, [1, (2, 3)], 10) == 16
    assert tree.all({"a": True}) and not tree.all([True, False])


def test_paths_are_written_as_code():
    treedef = tree.structure({"w": [1, Point(1, 2)]})
    assert tree.path_names(treedef, "p") == ["p['w'][0]", "p['w'][1].x", "p['w'][1].y"]
    assert tree.describe(treedef) == "{'w': [*, Point(x=*, y=*)]}"


def test_dataclasses_and_classes_can_be_nodes():
    @tree.register_dataclass
    @dataclasses.dataclass
    class Layer:
        w: float
        name: str = dataclasses.field(default="", metadata={"static": True})

    assert tree.leaves(Layer(1.0, "a")) == [1.0]
    assert tree.map(lambda x: x + 1, Layer(1.0, "a")) == Layer(2.0, "a")
    assert tree.structure(Layer(1.0, "a")) != tree.structure(Layer(1.0, "b"))

    @tree.register_node_class
    class Pair:
        def __init__(self, a, b):
            self.a, self.b = a, b

        def tree_flatten(self):
            return (self.a, self.b), None

        @classmethod
        def tree_unflatten(cls, data, children):
            return cls(*children)

    assert tree.leaves(Pair(1, [2, 3])) == [1, 2, 3]
    with pytest.raises(TypeError, match="int is not a dataclass"):
        tree.register_dataclass(int)


def test_settings_are_checked_when_set():
    config = Config()
    config.threads = 1
    config.numerics = "exact"
    config.dump = {"jaxpr", "terms"}
    assert repr(config).startswith("Config(threads=1, numerics='exact'")
    with pytest.raises(TypeError, match=r"config\.threads is an int, got 'many'"):
        config.threads = "many"
    with pytest.raises(ValueError, match=r"config\.threads is between 1 and 1024, got 0"):
        config.threads = 0
    with pytest.raises(ValueError, match=r"config\.numerics is one of 'exact', 'real'"):
        config.numerics = "fast"
    with pytest.raises(ValueError, match=r"config\.dump has no level 'jaxprs'; the levels are"):
        config.dump = {"jaxprs"}
    with pytest.raises(TypeError, match=r"config\.dump is a set of names"):
        config.dump = "jaxpr"
    with pytest.raises(TypeError, match=r"config\.check is True or False, got 1"):
        config.check = 1
    with pytest.raises(AttributeError, match="config has no setting 'thread'; it has 'threads'"):
        config.thread = 1


def test_config_is_an_object_of_the_package():
    import weft.config  # binds nothing new: the name is the object, the module is in sys.modules

    assert isinstance(weft.config, Config)


def test_disable_jit_is_a_matter_of_one_thread():
    seen = []
    with weft.disable_jit():
        assert jit_is_disabled()
        thread = threading.Thread(target=lambda: seen.append(jit_is_disabled()))
        thread.start()
        thread.join()
        with weft.disable_jit(False):
            assert not jit_is_disabled()
        assert jit_is_disabled()
    assert seen == [False] and not jit_is_disabled()


def test_settings_that_there_are_not_say_which_there_are():
    with pytest.raises(AttributeError, match=r"config has no setting 'speed'; it has 'threads', "):
        _ = weft.config.speed
    with pytest.raises(AttributeError, match="64-bit dtypes are always there"):
        weft.config.update("jax_enable_x64", True)
    assert not hasattr(weft.config, "jax_enable_x64")
