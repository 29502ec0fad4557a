"""The call path: from a Python call to native code in a fifth of a microsecond.

`CallPath.call` is the specification, in Python: if every argument is a materialised array of
exactly the expected aval, allocate the outputs, run the program, wrap the results. Anything else
(another type, shape or dtype, a delayed or deleted array, another number of arguments) goes to
``slow``.

`CallPath.native` does the same as a ``METH_FASTCALL`` builtin. One native function serves every
program: it reads a `Descriptor`, a table of what to check and what to make, so a new program
costs no compilation. It reads slots of the array and buffer classes at the offsets their member
descriptors state, which is how CPython 3.11 to 3.14 lay out objects; elsewhere (another
interpreter, a free-threaded build, a class laid out otherwise) ``native`` is ``call``.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from weft.runtime import interrupt, linker
from weft.runtime.allocator import allocator
from weft.runtime.buffer import Buffer
from weft.runtime.cache import compile_cached
from weft.runtime.call_path_ir import Descriptor, call_path_ir
from weft.runtime.executable import NativeProgram, raise_status
from weft.runtime.fast_call import install_finalizer
from weft.runtime.layout import function_address, known_class, known_interpreter, slot_offset
from weft.runtime.once import once
from weft.runtime.pool import pool
from weft.runtime.pool_ir import WANTED_OFFSET


class ArrayLayout(NamedTuple):
    """How the array class stores what the call path needs.

    - ``cls``: the class, with ``__slots__`` and without ``__dict__``.
    - ``aval``, ``buffer``: the slots of its type (compared by identity) and of its `Buffer`
      (anything else there means: not materialised).
    - ``initial``: every other slot of a new array and its value.

    For instance ``ArrayLayout(Array, aval="aval", buffer="_buffer", initial={"_pending": None})``.
    """

    cls: type
    aval: str
    buffer: str
    initial: Mapping[str, Any] = MappingProxyType({})


class CallPath:
    """Calls of `program` with arrays of ``in_avals``, giving arrays of ``out_avals``.

    ``single`` says that the result is one array rather than a tuple of them. ``slow`` takes the
    calls that do not fit. An aval is any object; its sizes are those the program states.
    """

    __slots__ = ("_in_avals", "_layout", "_out_avals", "_program", "_single", "_slow", "native")

    def __init__(
        self,
        program: NativeProgram,
        in_avals: Sequence[Any],
        out_avals: Sequence[Any],
        layout: ArrayLayout,
        slow: Callable[..., Any],
        *,
        single: bool = False,
    ):
        if len(in_avals) != len(program.input_nbytes) or len(out_avals) != len(
            program.output_nbytes
        ):
            raise ValueError(
                f"the program has {len(program.input_nbytes)} inputs and "
                f"{len(program.output_nbytes)} outputs, the call path {len(in_avals)} and "
                f"{len(out_avals)}"
            )
        if single and len(out_avals) != 1:
            raise ValueError(f"a single result means one output, not {len(out_avals)}")
        self._program = program
        self._in_avals = tuple(in_avals)
        self._out_avals = tuple(out_avals)
        self._layout = layout
        self._slow = slow
        self._single = single
        #: The builtin, or `call` where there is none, as for programs with time stamps. It keeps
        #: alive what it needs.
        self.native: Callable[..., Any] = self.call
        if type(program) is NativeProgram and supports_native(layout):
            self.native = self._build_native()

    def call(self, *arrays: Any) -> Any:
        """What `native` does, in Python."""
        inputs = self._match(arrays)
        if inputs is None:
            return self._slow(*arrays)
        buffers = self._program(inputs)
        results = tuple(map(self._wrap, self._out_avals, buffers))
        return results[0] if self._single else results

    def _match(self, arrays: tuple[Any, ...]) -> list[Buffer] | None:
        layout = self._layout
        if len(arrays) != len(self._in_avals):
            return None
        buffers: list[Buffer] = []
        for array, aval in zip(arrays, self._in_avals, strict=True):
            if type(array) is not layout.cls or getattr(array, layout.aval, None) is not aval:
                return None
            buffer: Any = getattr(array, layout.buffer, None)
            if type(buffer) is not Buffer:
                return None
            buffers.append(buffer)
        return buffers

    def _wrap(self, aval: Any, buffer: Buffer) -> Any:
        layout = self._layout
        array: Any = object.__new__(layout.cls)
        setattr(array, layout.aval, aval)
        setattr(array, layout.buffer, buffer)
        for name, value in layout.initial.items():
            setattr(array, name, value)
        return array

    def _build_native(self) -> Callable[..., Any]:
        program, layout = self._program, self._layout
        keep: list[Any] = [program, layout, self._slow]

        def address_of(thing: Any) -> int:
            keep.append(thing)
            return id(thing)

        def block(values: Sequence[int]) -> int:
            array = (ctypes.c_int64 * max(1, len(values)))(*values)
            keep.append(array)
            return ctypes.addressof(array)

        def output(aval: Any, nbytes: int) -> tuple[int, int, int]:
            free_list = allocator.free_list(nbytes)
            home = 0 if free_list is None else address_of(free_list)
            return 0 if aval is None else address_of(aval), address_of(nbytes), home

        def outputs(items: Sequence[tuple[Any, int]]) -> int:
            return block([word for aval, nbytes in items for word in output(aval, nbytes)])

        initial = [
            word
            for name, value in layout.initial.items()
            for word in (slot_offset(layout.cls, name), address_of(value))
        ]
        block_address = pool.address
        descriptor = Descriptor(
            inputs=len(self._in_avals),
            outputs=len(self._out_avals),
            constants=len(program.constants),
            initials=len(layout.initial),
            array_type=address_of(layout.cls),
            aval_offset=slot_offset(layout.cls, layout.aval),
            buffer_offset=slot_offset(layout.cls, layout.buffer),
            in_avals=block([address_of(aval) for aval in self._in_avals]),
            constant_pointers=block([buffer.ptr for buffer in program.constants]),
            output_specs=outputs(list(zip(self._out_avals, program.output_nbytes, strict=True))),
            arena_spec=outputs([(None, program.arena_nbytes)]) if program.arena_nbytes else 0,
            initial_slots=block(initial),
            main=program.entry_address,
            pool=block_address,
            threads=_configured_threads(block_address),
            long=int(program.long),
            single=int(self._single),
            slow=address_of(self._slow),
        )
        keep.append(descriptor)
        return _builtin((ctypes.addressof(descriptor), tuple(keep)))


# ---- the builtin --------------------------------------------------------------------------


class _MethodDef(ctypes.Structure):
    """CPython's PyMethodDef."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("function", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_METH_FASTCALL = 0x80


def _builtin(self_object: tuple[int, Any]) -> Callable[..., Any]:
    new = ctypes.pythonapi.PyCFunction_NewEx
    new.restype = ctypes.py_object
    new.argtypes = [ctypes.c_void_p, ctypes.py_object, ctypes.c_void_p]
    return new(ctypes.addressof(_method_def()), self_object, None)


@once
def _method_def() -> _MethodDef:
    """The definition all builtins share; CPython keeps a pointer to it, so it lives for ever."""
    slots = {name: slot_offset(Buffer, name) for name in ("ptr", "nbytes", "home")}
    library = linker.link(compile_cached(call_path_ir(slots)), ["weft_call"], _call_imports())
    linker.keep_forever(library)
    install_finalizer()
    return _MethodDef(b"weft_call", library.address("weft_call"), _METH_FASTCALL, None)


def call_address() -> int:
    """The builtin's function: (its ``self`` object, arguments, how many)."""
    return _method_def().function


_PYTHON_API = (
    *("PyEval_RestoreThread", "PyEval_SaveThread", "PyList_GetItem", "PyList_SetSlice"),
    *("PyList_Size", "PyLong_AsVoidPtr", "PyLong_FromLong", "PyObject_CallFunctionObjArgs"),
    *("PyObject_Vectorcall", "PyTuple_GetItem", "PyTuple_New", "PyTuple_SetItem"),
    *("PyType_GenericAlloc", "Py_DecRef", "Py_IncRef"),
)


def _call_imports() -> dict[str, int]:
    """Every address the module needs. Python's objects are addresses too: they differ between
    processes, and the module's text, which is its key on disk, must not."""
    api = {name: function_address(getattr(ctypes.pythonapi, name)) for name in _PYTHON_API}
    return {
        **api,
        "weft_sigint_armed": interrupt.handler().armed_address,
        "buffer_type": id(Buffer),
        "buffer_alloc": id(_alloc),
        "prepare_call": id(_prepare),
        "raise_status": id(raise_status),
    }


#: Kept here, so that its address stays valid.
_alloc = Buffer.alloc


def _prepare(descriptor_address: int) -> None:
    """What the builtin asks for when a long call is due and things have changed: bring the pool to
    its configured size, and see Ctrl-C if that is for us to see."""
    interrupt.arm()
    descriptor = Descriptor.from_address(descriptor_address)
    descriptor.threads = _configured_threads(pool.address)


def _configured_threads(pool_address: int) -> int:
    return ctypes.c_int64.from_address(pool_address + WANTED_OFFSET).value


def supports_native(layout: ArrayLayout) -> bool:
    """Whether the builtin understands this interpreter's objects and this class's."""
    names = (layout.aval, layout.buffer, *layout.initial)
    return (
        known_interpreter()
        and known_class(Buffer, ("ptr", "nbytes", "home"))
        and known_class(layout.cls, names)
    )
