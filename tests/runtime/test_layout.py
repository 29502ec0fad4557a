"""Which interpreters native code understands, and why not the others."""

from __future__ import annotations

import re
import sys
import sysconfig
from types import SimpleNamespace

import pytest

from weft.runtime import layout
from weft.runtime.layout import known_class, python_path_reason, slot_offset


def test_this_interpreter():
    free = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
    assert (python_path_reason() is None) == (sys.implementation.name == "cpython" and not free)


@pytest.mark.parametrize(
    ("replaced", "reason"),
    [
        ({"implementation": SimpleNamespace(name="pypy")}, "the interpreter is pypy, not CPython"),
        ({"version_info": (3, 15, 0)}, r"objects of CPython 3\.15 are not known"),
        ({"version_info": (3, 10, 9)}, r"objects of CPython 3\.10 are not known"),
    ],
)
def test_other_interpreters(monkeypatch: pytest.MonkeyPatch, replaced: dict, reason: str):
    values = {"implementation": sys.implementation, "version_info": sys.version_info, **replaced}
    monkeypatch.setattr(layout, "sys", SimpleNamespace(**values))
    assert re.search(reason, str(python_path_reason()))


def test_builds_without_the_lock(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(layout.sysconfig, "get_config_var", lambda name: name == "Py_GIL_DISABLED")
    assert "free-threaded" in str(python_path_reason())


def test_slots_are_where_descriptors_say():
    class Slots:
        __slots__ = ("a", "b")

    assert known_class(Slots, ("a", "b"))
    assert slot_offset(Slots, "b") - slot_offset(Slots, "a") == 8

    class Dict:
        pass

    assert not known_class(Dict, ("a",))
