"""Modules compiled in several threads."""

from __future__ import annotations

import ctypes
import threading

import pytest

from weft.config import config
from weft.runtime import compilation
from weft.runtime.compilation import Compilation
from weft.runtime.linker import link
from weft.runtime.native import CompileError, host_cpu


def module(n: int) -> str:
    return f"define i32 @f{n}() {{ ret i32 {n} }}\n"


@pytest.fixture(params=[1, 2, 5])
def threads(request, monkeypatch):
    monkeypatch.setattr(config, "threads", request.param)
    monkeypatch.setattr(compilation, "usable_cores", lambda: 3)
    return request.param


@pytest.mark.usefixtures("threads")
def test_object_code_comes_in_order():
    work = Compilation(host_cpu())
    for n in range(6):
        work.add(module(n))
    for n, code in enumerate(work.finish(module(6))):
        function = ctypes.CFUNCTYPE(ctypes.c_int32)
        library = link(code, [f"f{n}"])
        assert function(library.address(f"f{n}"))() == n


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("broken", [0, 2, 3])
def test_what_llvm_refuses_is_told(broken):
    texts = [module(n) for n in range(4)]
    texts[broken] = "define void @f() { frobnicate }"
    work = Compilation(host_cpu())
    for text in texts[:-1]:
        work.add(text)
    with pytest.raises(CompileError, match="frobnicate"):
        work.finish(texts[-1])


def helpers() -> int:
    return sum(thread.name == "weft-compile" for thread in threading.enumerate())


def test_no_more_threads_than_are_to_be_used(threads):
    work = Compilation(host_cpu())
    for n in range(8):
        work.add(module(n))
        assert helpers() <= min(threads, 3) - 1
    work.finish(module(8))
    assert helpers() == 0
