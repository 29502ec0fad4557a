"""Compiles a module's text for a chosen set of CPU features and calls it; compares golden text.

``pytest tests/codegen --update-golden`` rewrites the golden files; read their difference before
committing it.
"""

from __future__ import annotations

import ctypes
import itertools
from collections.abc import Callable
from pathlib import Path

import llvmlite.binding as llvm
import pytest

llvm.initialize_native_target()
llvm.initialize_native_asmprinter()

_numbers = itertools.count()


class Native:
    """The functions of `text`, compiled for `cpu` (by default the host with all it has)."""

    _jit = None

    def __init__(self, text: str, cpu: str | None = None):
        features = ""
        if cpu is None:
            cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
        triple = llvm.get_process_triple()
        machine = llvm.Target.from_triple(triple).create_target_machine(
            cpu=cpu, features=features, opt=1, reloc="pic", codemodel="small", jit=True
        )
        header = f'target datalayout = "{machine.target_data}"\ntarget triple = "{triple}"\n'
        module = llvm.parse_assembly(header + text)
        module.verify()
        names = [
            f.name
            for f in module.functions
            if not f.is_declaration and f.linkage == llvm.Linkage.external
        ]
        if Native._jit is None:
            Native._jit = llvm.create_lljit_compiler()
        builder = llvm.JITLibraryBuilder()
        builder.add_object_img(machine.emit_object(module))
        builder.add_current_process()
        for name in names:
            builder.export_symbol(name)
        self._library = builder.link(Native._jit, f"native{next(_numbers)}")

    def call(self, name: str, *arguments) -> None:
        """Calls a void function with pointers (ints) and ctypes values."""
        types = [ctypes.c_void_p if isinstance(a, int) else type(a) for a in arguments]
        ctypes.CFUNCTYPE(None, *types)(self._library[name])(*arguments)


@pytest.fixture(scope="session")
def native() -> type[Native]:
    return Native


GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite golden files instead of comparing"
    )


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """``golden(name, text)``: ``text`` is what the file of that name says (or will say)."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-golden", default=False):
            path.write_text(text)
        assert path.exists(), f"no golden file {name}: run pytest tests/codegen --update-golden"
        assert text == path.read_text(), (
            f"the text differs from golden/{name}; if it should, run "
            "pytest tests/codegen --update-golden"
        )

    return compare
