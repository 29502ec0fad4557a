"""The compiler is loaded beside the user's program, where it will surely be needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import weft
from weft.config import available_cpus

SOURCE = Path(weft.__file__).parents[1]

pytestmark = pytest.mark.skipif(available_cpus() < 2, reason="needs a second processor")

BEGIN = """
import os, sys, threading
import numpy as np
import weft
import weft.numpy as wnp
from weft import preload

def loaded():
    for thread in threading.enumerate():
        if thread.name.startswith("weft-"):
            thread.join()
    return "weft.codegen.program_llvm" in sys.modules, "weft.runtime.record" in sys.modules
"""


def run_python(script: str, cache: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(cache)},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_an_empty_cache_has_the_compiler_loaded(tmp_path: Path):
    result = run_python(BEGIN + "print(loaded())", tmp_path)
    assert result.stdout == "(True, True)\n", result.stderr


def test_a_cache_with_programs_has_only_loaded_what_runs_them(tmp_path: Path):
    first = BEGIN + "print((wnp.arange(3.0) * 2).tolist())"
    assert run_python(first, tmp_path).stdout == "[0.0, 2.0, 4.0]\n"
    result = run_python(BEGIN + "print(loaded())", tmp_path)
    assert result.stdout == "(False, True)\n", result.stderr


def test_a_cache_without_programs_counts_as_empty(tmp_path: Path):
    (tmp_path / "weft").mkdir(mode=0o700)
    (tmp_path / "weft" / "runtime-part.o").write_bytes(b"")
    result = run_python(BEGIN + "print(loaded())", tmp_path)
    assert result.stdout == "(True, True)\n", result.stderr


def test_nothing_is_loaded_that_nobody_wants_any_more(tmp_path: Path):
    script = """
from weft.runtime import ahead
with ahead.importing:  # the thread gets no further than this
    import weft.numpy
    from weft import preload
    preload.enough()
"""
    result = run_python(script + BEGIN + "print(loaded())", tmp_path)
    assert result.stdout == "(False, False)\n", result.stderr


def test_a_child_forked_while_modules_are_imported_compiles(tmp_path: Path):
    script = """
child = os.fork()
f = weft.jit(lambda x: wnp.exp(x).sum())
value = float(f(np.zeros(3, np.float32)))
if child == 0:
    os._exit(int(value))
print(value, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    result = run_python(BEGIN + script, tmp_path)
    assert result.stdout == "3.0 3\n", result.stderr


def test_packages_that_two_threads_may_import_at_once_import_nothing(tmp_path: Path):
    # A thread that imports a module of a package holds that module's lock while it waits for the
    # package; one that imports the package, and in it the module, waits the other way round.
    script = """
import ast, sys
from weft import preload
preload.enough()
import weft.numpy
loaded = set(sys.modules)
for step in preload._PROGRAMS + preload._COMPILER:
    step()
for name in sorted(set(sys.modules) - loaded):
    module = sys.modules[name]
    if name.startswith("weft.") and hasattr(module, "__path__"):
        for node in ast.walk(ast.parse(open(module.__file__).read())):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("weft"):
                print(name, "imports", node.module)
"""
    result = run_python(script, tmp_path)
    assert result.stdout == "", result.stderr
    assert result.returncode == 0, result.stderr
