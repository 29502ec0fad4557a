"""What keeps entries of the disk cache apart: the files of compilers, and the processor."""

from __future__ import annotations

import os
from pathlib import Path

from weft.runtime.identity import (
    _fingerprint,
    compiler_identity,
    llvm_identity,
    processor_identity,
)


def test_identities_are_known_without_llvm(run_python):
    script = """
from weft.runtime.identity import compiler_identity, llvm_identity, processor_identity
print(compiler_identity(), processor_identity(), llvm_identity() in compiler_identity())
print("libllvmlite" in open("/proc/self/maps").read())
"""
    result = run_python(script)
    assert result.stdout == (f"{compiler_identity()} {processor_identity()} True\nFalse\n"), (
        result.stderr
    )
    assert len({llvm_identity(), compiler_identity(), processor_identity()}) == 3


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "__pycache__").mkdir()
    files = [tmp_path / "a.py", tmp_path / "inner" / "b.py"]
    for file in files:
        file.write_text("x = 1")
        os.utime(file, (1, 1))
    seen = [_fingerprint(str(tmp_path), ".py")]

    def again() -> bool:
        seen.append(_fingerprint(str(tmp_path), ".py"))
        return seen[-1] != seen[-2]

    (tmp_path / "notes.txt").write_text("other files do not matter")
    (tmp_path / "__pycache__" / "c.py").write_text("nor do compiled ones")
    assert not again()
    os.utime(files[1], (2, 2))
    assert again()
    files[1].write_text("x = 10")
    os.utime(files[1], (2, 2))
    assert again()
    files[1].rename(tmp_path / "inner" / "c.py")
    assert again()
    assert len(set(seen)) == 4
