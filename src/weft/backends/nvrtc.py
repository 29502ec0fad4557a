"""CUDA's run-time compiler, which needs no GPU: text to machine code, and what it takes.

The library comes with the package ``nvidia-cuda-nvrtc-cu12`` (the extra ``cuda``). Nothing is run
here.
"""

from __future__ import annotations

import ctypes
import hashlib
import re
import sysconfig
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from weft.codegen.cuda import COMPILE_OPTIONS
from weft.errors import DeviceError
from weft.runtime.cache import object_cache
from weft.structs import struct

_USED = re.compile(r"Used (\d+) registers")
_SHARED = re.compile(r"(\d+) bytes smem")
_SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")


@struct(frozen=True)
class Cubin:
    """Machine code of a kernel, and what a thread or block of it takes, in bytes but for registers.

    ``spilled`` is what did not fit into registers, ``stack`` includes arrays that a thread indexes.
    """

    code: bytes
    registers: int
    shared: int
    stack: int
    spilled: int


@cache
def library() -> Any:
    """The compiler; `DeviceError` that says what to install where there is none."""
    folders = [Path(sysconfig.get_paths()[key]) for key in ("purelib", "platlib")]
    found = [p for f in folders for p in f.glob("nvidia/*/lib/libnvrtc.so.*")]
    # Drivers load machine code of an older compiler, but not always that of a newer one.
    for path in sorted(found, key=lambda path: path.name):
        with suppress(OSError):
            # It opens these by name, in folders that need not include its own.
            for builtins in path.parent.glob("libnvrtc-builtins.so.*"):
                ctypes.CDLL(str(builtins))
            return ctypes.CDLL(str(path))
    with suppress(OSError):
        return ctypes.CDLL("libnvrtc.so")
    raise DeviceError(
        "compiling for CUDA needs NVRTC, which was not found: pip install 'weft[cuda]'"
    )


def compile_cubin(text: str, architecture: str = "sm_90") -> Cubin:
    """CUDA C++ of one kernel as machine code for ``architecture``.

    Raises `DeviceError` with the compiler's words for text that it refuses, and where there is no
    compiler.
    """
    nvrtc = library()
    program = ctypes.c_void_p()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text.encode(), b"k.cu", 0, None, None))
    try:
        options = (f"-arch={architecture}", *COMPILE_OPTIONS, "--ptxas-options=-v")
        words = (ctypes.c_char_p * len(options))(*(o.encode() for o in options))
        status = nvrtc.nvrtcCompileProgram(program, len(options), words)
        log = _text(nvrtc, program, "ProgramLog")
        if status:
            raise DeviceError(f"NVRTC refuses a kernel for {architecture}:\n{log}")
        code = _text(nvrtc, program, "CUBIN", raw=True)
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    stack, stores, loads = (int(n) for n in _found(_SPILLS, log, (0, 0, 0)))
    (registers,), (shared,) = _found(_USED, log, (0,)), _found(_SHARED, log, (0,))
    return Cubin(code, int(registers), int(shared), stack, stores + loads)


def cached_code(text: str, architecture: str) -> bytes:
    """The machine code of `compile_cubin`, looked up on disk first and stored there afterwards."""
    cache = object_cache()
    if cache is None:
        return compile_cubin(text, architecture).code
    what = ("cubin", _version(), architecture, COMPILE_OPTIONS, text)
    key = hashlib.sha256(repr(what).encode()).hexdigest()
    code = cache.get(key)
    if code is None:
        code = compile_cubin(text, architecture).code
        cache.keep(key, code)
    return code


@cache
def _version() -> tuple[int, int]:
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return major.value, minor.value


def _found(pattern: re.Pattern[str], log: str, otherwise: tuple[int, ...]) -> Any:
    match = pattern.search(log)
    return otherwise if match is None else match.groups()


def _text(nvrtc: Any, program: ctypes.c_void_p, what: str, raw: bool = False) -> Any:
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{what}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{what}")(program, buffer))
    return buffer.raw if raw else buffer.value.decode()


def _check(status: int) -> None:
    if status:
        raise DeviceError(f"NVRTC failed with status {status}")
