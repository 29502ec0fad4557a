"""How CPython lays out objects, as far as native code reads them; every fact is looked up or tried.

Supported are CPython 3.11 to 3.14 with the GIL. Elsewhere (another interpreter, a free-threaded
build) `known_interpreter` is false, and callers do the same in Python.
"""

from __future__ import annotations

import ctypes
import functools
import sys
import sysconfig
import types
from typing import Any

#: Offset of an object's type, after its reference count.
OB_TYPE = 8


def python_path_reason() -> str | None:
    """Why native code cannot read this interpreter's objects; None if it can."""
    if sys.implementation.name != "cpython":
        return f"the interpreter is {sys.implementation.name}, not CPython"
    if not (3, 11) <= sys.version_info[:2] < (3, 15):
        version = ".".join(map(str, sys.version_info[:2]))
        return f"objects of CPython {version} are not known, only those of 3.11 to 3.14"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this CPython is free-threaded: its objects have other heads, and no lock"
    if object.__basicsize__ != 16:
        return f"objects have heads of {object.__basicsize__} bytes, not 16 (a debug build?)"
    if ctypes.c_void_p.from_address(id(_Probe) + OB_TYPE).value != id(type(_Probe)):
        return "objects do not have their type where it is expected"
    if not known_class(_Probe, ("value",)):
        return "slots are not where their descriptors say"
    return None


@functools.cache
def known_interpreter() -> bool:
    """Whether objects are laid out as native code expects; see `python_path_reason`."""
    return python_path_reason() is None


class _Probe:
    __slots__ = ("__weakref__", "value")


@functools.cache
def known_class(cls: type, names: tuple[str, ...]) -> bool:
    """Whether instances have no ``__dict__``, and each slot is where its descriptor says."""
    if cls.__dictoffset__ != 0 or not all(
        isinstance(getattr(cls, name, None), types.MemberDescriptorType) for name in names
    ):
        return False
    probe: Any = object.__new__(cls)
    for name in names:
        value = object()
        setattr(probe, name, value)
        stored = ctypes.c_void_p.from_address(id(probe) + slot_offset(cls, name)).value
        if stored != id(value):
            return False
    return True


def slot_offset(cls: type, name: str) -> int:
    """Where instances keep a slot: ``PyMemberDescrObject.d_member->offset``."""
    member = ctypes.c_int64.from_address(id(getattr(cls, name)) + 40).value
    return ctypes.c_int64.from_address(member + 16).value


def function_address(function: Any) -> int:
    """The address of a foreign function that `ctypes` has loaded."""
    address = ctypes.cast(function, ctypes.c_void_p).value
    assert address is not None
    return address
