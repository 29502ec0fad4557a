"""LLVM, called in llvmlite's library directly: a thin layer of `ctypes`.

llvmlite's Python package takes as long to import as LLVM takes for a small program, and lets one
thread at a time into LLVM. LLVM itself takes as many as there are contexts and target machines:
here every module has a context of its own, and one thread at a time uses a target machine.

Calls that take long release the GIL. The others keep it: getting it back from a thread that
computes would take longer than they do.

The library is loaded by the first call that needs it, never by importing this module.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import POINTER, byref, c_bool, c_char_p, c_int, c_size_t, c_void_p
from importlib.machinery import PathFinder
from typing import Any

from weft.runtime.once import once

# Strings that LLVM returns are to be given back, so they are pointers for us.
_TEXT = POINTER(c_void_p)

#: Results and arguments of the library's functions, without their prefix ``LLVMPY_``.
_SHORT: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "InitializeNativeTarget": (None, ()),
    "InitializeNativeAsmPrinter": (None, ()),
    "InitializeAllTargetInfos": (None, ()),
    "InitializeAllTargets": (None, ()),
    "InitializeAllTargetMCs": (None, ()),
    "InitializeAllAsmPrinters": (None, ()),
    "GetProcessTriple": (None, (_TEXT,)),
    "GetHostCPUName": (None, (_TEXT,)),
    "GetHostCPUFeatures": (c_int, (_TEXT,)),
    "DisposeString": (None, (c_void_p,)),
    "GetTargetFromTriple": (c_void_p, (c_char_p, _TEXT)),
    "CreateTargetMachine": (
        c_void_p,
        (
            # target, triple, processor, features, level of optimisation
            *(c_void_p, c_char_p, c_char_p, c_char_p, c_int),
            # relocation, code model, print machine code, just in time, ABI
            *(c_char_p, c_char_p, c_int, c_int, c_char_p),
        ),
    ),
    "DisposeTargetMachine": (None, (c_void_p,)),
    "CreateTargetMachineData": (c_void_p, (c_void_p,)),
    "CopyStringRepOfTargetData": (None, (c_void_p, _TEXT)),
    "DisposeTargetData": (None, (c_void_p,)),
    "ContextCreate": (c_void_p, ()),
    "ContextDispose": (None, (c_void_p,)),
    "DisposeModule": (None, (c_void_p,)),
    "GetBufferStart": (c_void_p, (c_void_p,)),
    "GetBufferSize": (c_size_t, (c_void_p,)),
    "DisposeMemoryBuffer": (None, (c_void_p,)),
}
_LONG: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "ParseAssembly": (c_void_p, (c_void_p, c_char_p, _TEXT)),
    "VerifyModule": (c_bool, (c_void_p, _TEXT)),
    "TargetMachineEmitToMemory": (c_void_p, (c_void_p, c_void_p, c_int, _TEXT)),
}

#: Bytes of text beyond which parsing is a long call.
_LONG_TEXT = 1 << 16


class LLVMError(RuntimeError):
    """What LLVM says when it refuses something."""


# ---- threads and forks --------------------------------------------------------------------


class _Inside:
    """The threads that are in LLVM: `os.fork` waits until there is none.

    A child would inherit their locks, which nobody would ever release.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.RLock())
        self._threads: list[int] = []
        self._forking = False

    @contextmanager
    def __call__(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._changed:
            while self._forking and me not in self._threads:  # or the fork might wait for ever
                self._changed.wait()
            self._threads.append(me)
        try:
            yield
        finally:
            with self._changed:
                self._threads.remove(me)
                self._changed.notify_all()

    def before_fork(self) -> None:
        me = threading.get_ident()  # a handler of signals may fork
        self._changed.acquire()
        self._forking = True
        while any(thread != me for thread in self._threads):
            self._changed.wait()

    def after_fork(self) -> None:
        self._forking = False
        self._changed.notify_all()
        self._changed.release()


_inside = _Inside()
os.register_at_fork(
    before=_inside.before_fork,
    after_in_parent=_inside.after_fork,
    after_in_child=_inside.after_fork,
)


# ---- the library --------------------------------------------------------------------------


class Library:
    """Its functions as attributes, without their prefix."""

    def __init__(self, path: str) -> None:
        functions = ((ctypes.PyDLL(path), _SHORT), (ctypes.CDLL(path), _LONG))
        for library, types in functions:
            for name, (result, arguments) in types.items():
                function = library[f"LLVMPY_{name}"]
                function.restype, function.argtypes = result, arguments
                setattr(self, name, function)
        parse = ctypes.PyDLL(path).LLVMPY_ParseAssembly
        parse.restype, parse.argtypes = _LONG["ParseAssembly"]
        self.ParseShortAssembly = parse

    def __getattr__(self, name: str) -> Any:  # for type checkers: `__init__` sets all there are
        raise AttributeError(name)

    def text(self, fill: Any) -> str:
        """What ``fill`` writes where it is told to."""
        out = c_void_p()
        fill(byref(out))
        return self.taken(out)

    def taken(self, text: c_void_p) -> str:
        """A string of LLVM's, which is given back."""
        if not text.value:
            return ""
        try:
            return ctypes.string_at(text.value).decode()
        finally:
            self.DisposeString(text)


def library_path() -> str | None:
    """Where llvmlite's library is; None if llvmlite is not installed."""
    spec = PathFinder.find_spec("llvmlite")
    if spec is None or spec.origin is None:
        return None
    name = "libllvmlite.dylib" if sys.platform == "darwin" else "libllvmlite.so"
    return os.path.join(os.path.dirname(spec.origin), "binding", name)


@once
def library() -> Library:
    """LLVM, loaded and initialised for the host."""
    path = library_path()
    if path is None:
        raise ModuleNotFoundError(
            "Weft generates code with LLVM, which llvmlite brings along: pip install llvmlite"
        )
    with _inside():
        llvm = Library(path)
        llvm.InitializeNativeTarget()
        llvm.InitializeNativeAsmPrinter()
    return llvm


@once
def _all_targets() -> None:
    llvm = library()
    for name in ("TargetInfos", "Targets", "TargetMCs", "AsmPrinters"):
        getattr(llvm, f"InitializeAll{name}")()


def host() -> tuple[str, str, str]:
    """The host as LLVM sees it: triple, name of the processor, features (``"+avx2,-sse4a"``)."""
    llvm = library()
    with _inside():
        triple = llvm.text(llvm.GetProcessTriple)
        name = llvm.text(llvm.GetHostCPUName)
        features = llvm.text(llvm.GetHostCPUFeatures)
    return triple, name, ",".join(sorted(features.split(","), key=lambda f: f[1:]))


# ---- target machines ----------------------------------------------------------------------


class TargetMachine:
    """Generates code for a processor; one thread at a time may use it.

    ``level`` is how much LLVM optimises (0 to 3), ``jit`` whether the code is for this process.
    """

    def __init__(
        self, triple: str, cpu: str, features: str, *, level: int, reloc: str, model: str, jit: bool
    ) -> None:
        llvm = library()
        with _inside():
            if not jit:
                _all_targets()
            error = c_void_p()
            target = llvm.GetTargetFromTriple(triple.encode(), byref(error))
            if not target:
                raise LLVMError(llvm.taken(error))
            self._machine = llvm.CreateTargetMachine(
                *(target, triple.encode(), cpu.encode(), features.encode(), level),
                *(reloc.encode(), model.encode(), 0, int(jit), b""),
            )
            if not self._machine:
                raise LLVMError(f"LLVM has no target machine for {triple}, {cpu}")
            data = llvm.CreateTargetMachineData(self._machine)
            layout = llvm.text(lambda out: llvm.CopyStringRepOfTargetData(data, out))
            llvm.DisposeTargetData(data)
        self._header = f'target datalayout = "{layout}"\ntarget triple = "{triple}"\n'

    def dispose(self) -> None:
        """Gives its memory back; it cannot be used afterwards."""
        with _inside():
            library().DisposeTargetMachine(self._machine)

    def compile(self, ir_text: str, *, assembly: bool = False, verify: bool = False) -> bytes:
        """Object code, or assembly text, of a module that states neither data layout nor triple.

        Raises `LLVMError` for text that is not LLVM IR; with ``verify`` also for IR that breaks
        LLVM's rules, which would be undefined behaviour.
        """
        llvm = library()
        with _inside():
            context = llvm.ContextCreate()
            try:
                return self._compile(llvm, context, ir_text, assembly, verify)
            finally:
                llvm.ContextDispose(context)

    def _compile(
        self, llvm: Library, context: int, ir_text: str, assembly: bool, verify: bool
    ) -> bytes:
        text = (self._header + ir_text).encode()
        parse = llvm.ParseAssembly if len(text) > _LONG_TEXT else llvm.ParseShortAssembly
        error = c_void_p()
        module = parse(context, text, byref(error))
        if error.value or not module:
            raise LLVMError(f"LLVM IR parsing error\n{llvm.taken(error)}")
        try:
            if verify and llvm.VerifyModule(module, byref(error)):
                raise LLVMError(llvm.taken(error))
            llvm.taken(error)  # warnings
            error = c_void_p()
            buffer = llvm.TargetMachineEmitToMemory(
                self._machine, module, int(not assembly), byref(error)
            )
            if not buffer:
                raise LLVMError(llvm.taken(error))
            code = ctypes.string_at(llvm.GetBufferStart(buffer), llvm.GetBufferSize(buffer))
            llvm.DisposeMemoryBuffer(buffer)
            return code
        finally:
            llvm.DisposeModule(module)
