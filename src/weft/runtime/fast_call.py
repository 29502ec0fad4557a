"""Objects that are called natively: `FastCallable`, and the finaliser of buffers.

An instance of a `FastCallable` can have one native way (`set_fast`): a builtin of
`weft.runtime.call_path`, taken while certain conditions hold. They are checked in native code, by
the vectorcall function of CPython's calling convention, so that such a call never enters the
interpreter; every other call goes to the class's ``__call__``, which decides the same in Python and
is the specification.

The conditions are the same for all instances of a class (`conditions`): a slot of some object still
has the value it had when the way was set, and context variables have given values.

Buffers come and go with every call. Their ``__del__`` in Python costs as much as the rest of a
small call; `install_finalizer` puts a native one in its place that does the common case, a small
block that goes back to its list, and calls the old one for everything else.
"""

from __future__ import annotations

import ctypes
import functools
import types
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from weft.runtime.allocator import FreeList
from weft.runtime.buffer import Buffer
from weft.runtime.fast_call_ir import FAST_BYTES, fast_call_ir, finalizer_ir
from weft.runtime.layout import function_address, known_interpreter, slot_offset
from weft.runtime.once import once

# Offsets in PyTypeObject, the same in CPython 3.8 to 3.14; `_vectorcall_works` and
# `_finalizers_are_known` look before anything is written.
_TP_FLAGS = 168
_TP_FINALIZE = 392
_HAVE_VECTORCALL = 1 << 11


# ---- a type with room for native words ----------------------------------------------------


class _Spec(ctypes.Structure):
    """CPython's PyType_Spec."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("basicsize", ctypes.c_int),
        ("itemsize", ctypes.c_int),
        ("flags", ctypes.c_uint),
        ("slots", ctypes.c_void_p),
    ]


class _Member(ctypes.Structure):
    """CPython's PyMemberDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("type", ctypes.c_int),
        ("offset", ctypes.c_ssize_t),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_BASETYPE, _T_PYSSIZET, _READONLY, _PY_TP_MEMBERS = 1 << 10, 19, 1, 72
#: Where an instance keeps its vectorcall function; its way comes after it.
_VECTORCALL_OFFSET = 16
_members = (_Member * 2)(
    _Member(b"__vectorcalloffset__", _T_PYSSIZET, _VECTORCALL_OFFSET, _READONLY, None)
)


def _native_base() -> type:
    """A base class whose instances have room for the words that native code reads."""
    slots = (ctypes.c_void_p * 4)(_PY_TP_MEMBERS, ctypes.addressof(_members), None, None)
    name = b"weft.runtime.fast_call.NativeWords"
    spec = _Spec(name, 16 + FAST_BYTES, 0, _BASETYPE, ctypes.addressof(slots))
    make = ctypes.pythonapi.PyType_FromSpec
    make.restype, make.argtypes = ctypes.py_object, [ctypes.POINTER(_Spec)]
    return make(ctypes.byref(spec))


class _NoWords:
    """The base class where there is no native way."""


_Base: Any = _native_base() if known_interpreter() else _NoWords


class Conditions(NamedTuple):
    """When instances of a class may be called natively.

    ``slot``: the current value of this slot of ``settings`` is the one given to `set_fast`.
    ``variables``: context variables and the objects they must have, which are their defaults.
    """

    settings: Any
    slot: str
    variables: Sequence[tuple[ContextVar[Any], Any]]


class FastCallable(_Base):
    """See the module's text. A subclass defines ``__call__`` and `conditions`."""

    conditions: Conditions

    def set_fast(self, fast: Callable[..., Any] | None, setting: Any = None) -> None:
        """From now on, a call that has positional arguments only goes to ``fast``, while the
        conditions hold and the slot's value is ``setting``; the caller keeps both alive.

        Nothing happens unless ``fast`` is a builtin of the call path.
        """
        if _Base is _NoWords:
            return
        words = (ctypes.c_int64 * (FAST_BYTES // 8)).from_address(id(self) + _VECTORCALL_OFFSET)
        words[0] = 0
        if type(fast) is types.BuiltinFunctionType and type(fast.__self__) is tuple:
            cls: Any = type(self)
            entry = _entry(cls)
            if entry:
                words[1], words[2] = id(fast.__self__), id(setting)
                words[0] = entry


@once
def entry_code() -> bytes:
    """Object code of the vectorcall function, which all classes share."""
    from weft.runtime.cache import compile_cached

    return compile_cached(fast_call_ir())


@functools.cache
def _entry(cls: Any) -> int:
    """The vectorcall function of a `FastCallable` class, or 0 if there can be none."""
    from weft.runtime import linker
    from weft.runtime.call_path import call_address

    conditions = cls.conditions
    if not _vectorcall_works(cls) or len(conditions.variables) != 2:
        return 0
    slot = id(conditions.settings) + slot_offset(type(conditions.settings), conditions.slot)
    python_call = cls.__call__
    imports = {
        "weft_call": call_address(),
        "settings_slot": slot,
        "python_call": id(python_call),
        **{name: function_address(getattr(ctypes.pythonapi, name)) for name in _PYTHON_API},
    }
    for n, (variable, value) in enumerate(conditions.variables):
        imports[f"variable{n}"] = id(variable)
        imports[f"value{n}"] = id(value)
    library = linker.link(entry_code(), ["weft_fast_call"], imports)
    linker.keep_forever(library)
    _kept.append((conditions, python_call))
    _set_vectorcall_flag(cls)
    return library.address("weft_fast_call")


_PYTHON_API = (
    *("PyContextVar_Get", "PyObject_Vectorcall", "PyTuple_Size", "Py_DecRef", "Py_IncRef"),
)

#: What native code has the addresses of.
_kept: list[Any] = []


def _flags(cls: type) -> Any:
    return ctypes.c_ulong.from_address(id(cls) + _TP_FLAGS)


def _vectorcall_works(cls: type) -> bool:
    return known_interpreter() and _flags(cls).value == cls.__flags__


def _set_vectorcall_flag(cls: type) -> None:
    _flags(cls).value |= _HAVE_VECTORCALL


# ---- buffers ------------------------------------------------------------------------------


@once
def install_finalizer() -> bool:
    """Lets native code give small blocks back; whether it could be done."""
    from weft.runtime import linker  # these modules take long to import
    from weft.runtime.cache import compile_cached

    if not known_interpreter() or not _finalizers_are_known():
        return False
    slot = ctypes.c_void_p.from_address(id(Buffer) + _TP_FINALIZE)
    offsets = {
        "ptr": slot_offset(Buffer, "ptr"),
        "home": slot_offset(Buffer, "home"),
        "capacity": slot_offset(FreeList, "capacity"),
    }
    imports = {
        "free_list_type": id(FreeList),
        "python_finalizer": slot.value or 0,
        **{
            name: function_address(getattr(ctypes.pythonapi, name))
            for name in ("PyErr_Clear", "PyList_Append", "PyList_Size", "PyLong_AsSsize_t")
        },
    }
    library = linker.link(compile_cached(finalizer_ir(offsets)), ["weft_finalize"], imports)
    linker.keep_forever(library)
    slot.value = library.address("weft_finalize")
    return True


def _finalizers_are_known() -> bool:
    """Whether the slot is where we think: classes with ``__del__`` have the same there."""

    class With:
        def __del__(self) -> None:
            pass

    class Without:
        pass

    def at(cls: type) -> int | None:
        return ctypes.c_void_p.from_address(id(cls) + _TP_FINALIZE).value

    return at(With) is not None and at(With) == at(Buffer) and at(Without) is None
