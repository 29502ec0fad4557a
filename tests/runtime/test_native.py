"""The host's description, compiling and linking."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from weft.runtime import linker, native
from weft.runtime.buffer import Buffer

ADD = """
define i64 @add(i64 %a, i64 %b) nounwind {
  %c = add i64 %a, %b
  ret i64 %c
}
"""


def test_host_cpu_is_described():
    cpu = native.host_cpu()
    assert cpu.architecture in ("x86_64", "aarch64")
    assert cpu.name
    assert cpu.vector_bits in (128, 256, 512)
    assert cpu.has("avx512f") == (cpu.vector_bits == 512)
    assert 0 < cpu.l1_bytes <= cpu.l2_bytes <= cpu.l3_bytes
    assert cpu.cores == native.usable_cores() >= 1
    assert native.host_cpu() is cpu


def testcache_sizes_are_read_from_sysfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native.os, "sched_getaffinity", lambda _: {3, 5}, raising=False)
    entries = [("Data", 1, "48K"), ("Instruction", 1, "32K"), ("Unified", 2, "2M")]
    for i, (kind, level, size) in enumerate(entries):
        folder = tmp_path / "cpu3" / "cache" / f"index{i}"
        folder.mkdir(parents=True)
        (folder / "type").write_text(kind + "\n")
        (folder / "level").write_text(f"{level}\n")
        (folder / "size").write_text(size + "\n")
    (tmp_path / "cpu3" / "cache" / "index3").mkdir()  # what is not described is not known
    assert native.cache_sizes(tmp_path) == {1: 48 << 10, 2: 2 << 20}


def test_importing_the_runtime_leaves_llvm_alone(run_python):
    script = """
import sys, weft.runtime.executable, weft.runtime.call_path, weft.runtime.pool
print(sorted({m.split('.')[0] for m in sys.modules} & {'llvmlite', 'scipy', 'egglog'}))
print("libllvmlite" in open("/proc/self/maps").read())
"""
    result = run_python(script)
    assert result.stdout == "[]\nFalse\n", result.stderr


def test_compile_link_call(function):
    add = function(ADD, "add", ctypes.c_int64, [ctypes.c_int64] * 2)
    assert add(40, 2) == 42


def test_imports_are_functions_and_data(function):
    word = ctypes.c_int64(7)
    callback = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: x * 10)
    ir = """
@word = external global i64
declare i64 @callback(i64)
define i64 @f() {
  %x = load i64, ptr @word
  %y = call i64 @callback(i64 %x)
  ret i64 %y
}
"""
    address = ctypes.cast(callback, ctypes.c_void_p).value
    imports = {"word": ctypes.addressof(word), "callback": address}
    assert function(ir, "f", ctypes.c_int64, [], imports)() == 70


def test_the_c_library_resolves_by_itself(function):
    ir = "declare double @cos(double)\ndefine double @f(double %x) {\n"
    ir += "  %y = call double @cos(double %x)\n  ret double %y\n}\n"
    assert function(ir, "f", ctypes.c_double, [ctypes.c_double])(0.0) == 1.0


def test_text_that_does_not_parse_quotes_the_line():
    with pytest.raises(native.CompileError, match=r"(?s)LLVM refuses.*frobnicate"):
        native.compile_module("define void @f() {\n  frobnicate i32 1\n}\n")


def test_the_verifier_names_the_broken_instruction():
    broken = """
define i32 @f(i1 %c) {
entry:
  br i1 %c, label %then, label %join
then:
  %x = add i32 1, 1
  br label %join
join:
  ret i32 %x
}
"""
    with pytest.raises(native.CompileError, match="does not dominate"):
        native.compile_module(broken, verify=True)


def test_assembly_can_be_read():
    assert "add" in native.emit_assembly(ADD)


def test_libraries_are_freed_with_their_owner():
    code = native.compile_module(ADD)

    def resident_pages() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    def link_many() -> None:
        for _ in range(300):
            linker.link(code, ["add"])
        gc.collect()

    link_many()
    before = resident_pages()
    link_many()
    assert resident_pages() - before < 100


def test_several_threads_compile_at_once():
    results: list[int] = []

    def work(i: int) -> None:
        ir = ADD.replace("add i64 %a, %b", f"add i64 %a, {i}")
        library = linker.link(native.compile_module(ir), ["add"])
        add = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)
        results.append(add(library.address("add"))(0, 0))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == list(range(8))


def test_freeing_never_waits():
    """Finalisers run anywhere, also under the locks of this module and of the allocator."""
    code = native.compile_module(ADD)
    stop = threading.Event()

    def make_garbage(make: Callable[[], object]) -> None:
        while not stop.is_set():
            cycle = [make()]
            cycle.append(cycle)

    makers = (
        lambda: linker.link(code, ["add"]),
        lambda: Buffer.alloc(1 << 20),
        lambda: Buffer.alloc(64),
    )
    threads = [threading.Thread(target=make_garbage, args=(make,)) for make in makers]
    threshold = gc.get_threshold()
    gc.set_threshold(3)
    try:
        for thread in threads:
            thread.start()
        for _ in range(30):
            native.compile_module(ADD)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=30)
        gc.set_threshold(*threshold)
    assert not any(thread.is_alive() for thread in threads)


@pytest.mark.skipif(sys.platform != "linux", reason="fork")
def test_a_child_process_can_compile(run_python):
    script = f"""
import os, threading
from weft.runtime import linker, native
from weft.runtime.buffer import Buffer
ADD = {ADD!r}
stop = False
def compile_for_ever():
    while not stop:
        native.compile_module(ADD)
thread = threading.Thread(target=compile_for_ever)
thread.start()
codes = []
for _ in range(5):
    child = os.fork()
    if child == 0:
        linker.link(native.compile_module(ADD), ["add"])
        os._exit(0)
    codes.append(os.waitpid(child, 0)[1])
stop = True
thread.join()
print(codes)
"""
    result = run_python(script)
    assert result.stdout == "[0, 0, 0, 0, 0]\n", result.stderr
