"""Shared by the runtime's tests: a private disk cache and short ways to call native code."""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from weft.config import config
from weft.runtime import linker, native

SOURCE = Path(__file__).resolve().parents[2] / "src"


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keeps these tests away from the user's cache of compiled code."""
    before = config.cache_dir
    config.cache_dir = tmp_path_factory.mktemp("cache")
    yield
    config.cache_dir = before


class Function:
    """A native function that keeps its library alive."""

    def __init__(self, library: linker.Library, name: str, result: Any, arguments: list[Any]):
        self.library = library
        self.address = library.address(name)
        self.call = ctypes.CFUNCTYPE(result, *arguments)(self.address)

    def __call__(self, *arguments: Any) -> Any:
        return self.call(*arguments)


@pytest.fixture
def function() -> Callable[..., Function]:
    """``function(ir, name, result, arguments, imports)``: compile, link, wrap."""

    def make(
        ir: str,
        name: str,
        result: Any = None,
        arguments: list[Any] | None = None,
        imports: Mapping[str, int] | None = None,
    ) -> Function:
        library = linker.link(native.compile_module(ir, verify=True), [name], imports)
        return Function(library, name, result, arguments or [])

    return make


@pytest.fixture
def run_python() -> Callable[[str], subprocess.CompletedProcess[str]]:
    """Runs a script in a new process, for at most a minute, and returns what it printed."""

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(config.cache_dir)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run
