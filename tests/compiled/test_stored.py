"""Programs kept on disk: found by structure in another process, and run without being planned."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import stored
from weft.core.canonical import jaxpr_key, key_digest
from weft.runtime.cache import object_cache
from weft.runtime.callback import HostRoutine
from weft.runtime.record import ProgramRecord

SOURCE = Path(__file__).resolve().parents[2] / "src"

numbers = st.integers(0, 2**40)
blobs = st.lists(st.binary(max_size=50), max_size=3)


@pytest.fixture
def cache_dir(tmp_path: Path) -> Iterator[Path]:
    before = weft.config.cache_dir
    weft.config.cache_dir = tmp_path / "cache"
    yield tmp_path / "cache"
    weft.config.cache_dir = before


records = st.builds(
    ProgramRecord,
    objects=blobs,
    input_nbytes=st.lists(numbers),
    output_nbytes=st.lists(numbers),
    constants=blobs,
    arena_nbytes=numbers,
    uses_pool=st.booleans(),
    seconds=st.floats(0),
    libraries=st.lists(st.text(max_size=9), max_size=3).map(tuple),
    routines=st.dictionaries(
        st.text(max_size=9),
        st.builds(
            HostRoutine,
            name=st.text(max_size=9),
            function=st.sampled_from([np.sort, len]),
            params=st.dictionaries(st.text(max_size=9), numbers, max_size=2),
            inputs=st.just((((2, 3), np.dtype(np.float32)),)),
            outputs=st.just(()),
        ),
        max_size=2,
    ),
    reuse=st.dictionaries(numbers, numbers),
    kernels=numbers,
    refused=numbers,
)


@given(records)
def test_records_come_back(record: ProgramRecord):
    assert ProgramRecord.unpack(record.pack()) == record


# ---- digests ------------------------------------------------------------------------------

PROGRAM = """
import weft, weft.numpy as wnp
from weft.core.canonical import jaxpr_key, key_digest
def f(x, y):
    z = weft.lax.scan(lambda c, v: (c + v, c * 2), x[0], x)[1]
    return weft.nn.softmax(z @ y, -1) + wnp.where(y > 0.5, y, -0.0)[:2, :2].sum()
def digest(f, *args):
    return key_digest(jaxpr_key(weft.make_jaxpr(f)(*args)))
"""


def run_python(script: str, cache: Path | str | None = None, **env: str) -> Any:
    return subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(SOURCE), "XDG_CACHE_HOME": str(cache or "/nonexistent"), **env},
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_digests_are_the_same_in_every_process():
    script = PROGRAM + "print(digest(f, wnp.ones((3, 2)), wnp.ones((2, 2))))"
    found = {run_python(script, PYTHONHASHSEED=seed).stdout for seed in ("0", "1")}
    assert len(found) == 1 and len(found.pop().strip()) == 64


def digest(f: Any, *args: Any) -> str | None:
    return key_digest(jaxpr_key(weft.make_jaxpr(f)(*args)))


def test_digests_tell_programs_apart():
    x, y = wnp.ones(3), wnp.ones(4)
    programs = [
        (lambda x: x + 1, x),
        (lambda x: x + 2, x),
        (lambda x: x + 1, y),
        (lambda x: x - 1, x),
        (lambda x: x + wnp.float32(1), x),
        (lambda x: x * 0.0, x),
        (lambda x: x * -0.0, x),
        (lambda x: x + wnp.array([1.0, 2.0, 3.0]), x),
        (lambda x: x + wnp.array([1.0, 2.0, 4.0]), x),
        (lambda x: x.sum(), x),
        (lambda x: x.max(), x),
    ]
    found = [digest(f, a) for f, a in programs]
    assert len(set(found)) == len(programs) and None not in found
    assert digest(lambda v: v + 1, x) == found[0]


def test_code_and_large_constants_have_no_digest():
    x = wnp.ones(3)
    shape = weft.ShapeDtypeStruct((3,), np.float32)
    assert digest(lambda x: weft.pure_callback(np.sin, shape, x), x) is None
    large = wnp.ones(100_000)
    assert digest(lambda x: x[0] + large, x) is None


# ---- another process ----------------------------------------------------------------------

RUN = (
    PROGRAM
    + """
import sys
import numpy as np
step = weft.jit(lambda x, s: (x * s + np.arange(3.0, dtype="float32"), s), donate_argnums=0)
out = weft.jit(f)(wnp.arange(6.0).reshape(3, 2), wnp.ones((2, 2)))
moved, _ = step(wnp.ones(3), wnp.full(3, 2.0))
print(np.asarray(out).tolist(), np.asarray(moved).tolist())
print(sorted(m for m in sys.modules if m.startswith(("weft.kernels.", "weft.codegen."))))
print(weft.jit(f).stats(wnp.ones((3, 2)), wnp.ones((2, 2))).kernels)
"""
)


def test_a_second_process_neither_plans_nor_generates(tmp_path: Path):
    first, second = run_python(RUN, tmp_path), run_python(RUN, tmp_path)
    assert not first.stderr and not second.stderr
    values, modules, kernels = second.stdout.splitlines()
    assert modules == "[]"
    assert first.stdout.splitlines()[0] == values
    assert first.stdout.splitlines()[2] == kernels


def test_the_program_can_be_looked_at_all_the_same(cache_dir: Path):
    closed = weft.make_jaxpr(lambda x: (x * 2).sum())(np.ones(10, np.float32))
    made = stored.executable_for(closed)
    found = stored.executable_for(closed)
    assert "plan" in made.stats.passes and set(found.stats.passes) == {"disk"}
    assert len(found.program.steps) == len(made.program.steps)
    assert found.stats.kernels == made.stats.kernels


def test_settings_are_part_of_the_key(cache_dir: Path):
    closed = weft.make_jaxpr(lambda x: x * 3)(np.ones(10, np.float32))
    stored.executable_for(closed)
    before = weft.config.threads
    try:
        weft.config.threads = before + 1
        assert "plan" in stored.executable_for(closed).stats.passes
    finally:
        weft.config.threads = before
    assert "plan" in stored.executable_for(closed, donated=(0,)).stats.passes
    assert "disk" in stored.executable_for(closed).stats.passes


def test_routines_are_kept_and_functions_of_the_user_are_not(cache_dir: Path):
    x = np.random.default_rng(0).random((2, 1000), np.float32)  # too long to be counted
    closed = weft.make_jaxpr(wnp.sort)(x)
    stored.executable_for(closed)
    found = stored.executable_for(closed)
    assert "disk" in found.stats.passes and found.native.callbacks
    np.testing.assert_array_equal(found(x)[0], np.sort(x))

    shape = weft.ShapeDtypeStruct(x.shape, x.dtype)
    closed = weft.make_jaxpr(lambda x: weft.pure_callback(np.sin, shape, x))(x)
    stored.executable_for(closed)
    assert "plan" in stored.executable_for(closed).stats.passes


def test_functions_with_derivatives_of_their_own_are_kept():
    def with_rule(factor):
        @weft.custom_jvp
        def f(x):
            return x * 2

        f.defjvp(lambda primals, tangents: (f(*primals), factor * tangents[0]))
        return f

    x = np.ones(3, np.float32)
    assert digest(with_rule(2), x) == digest(with_rule(3), x) is not None
    # Their derivatives differ.
    grads = [weft.grad(lambda x: with_rule(2)(x).sum()), weft.grad(lambda x: with_rule(3)(x).sum())]
    assert digest(grads[0], x) != digest(grads[1], x)
    assert digest(lambda x: wnp.logaddexp(x, 1.0), x) is not None


@pytest.mark.parametrize("damage", ["truncated", "flipped", "foreign", "empty"])
def test_damaged_programs_are_compiled_again_and_replaced(cache_dir: Path, damage: str):
    closed = weft.make_jaxpr(lambda x: x * 5)(np.ones(10, np.float32))
    stored.executable_for(closed)
    (entry,) = cache_dir.glob("program-*")
    content = entry.read_bytes()
    entry.write_bytes(
        {
            "truncated": content[: len(content) // 2],
            "flipped": content[:-1] + bytes([content[-1] ^ 1]),
            "foreign": b"\x7fELF" + content,
            "empty": b"",
        }[damage]
    )
    assert "plan" in stored.executable_for(closed).stats.passes
    assert "disk" in stored.executable_for(closed).stats.passes
    (result,) = stored.executable_for(closed)(np.ones(10, np.float32))
    np.testing.assert_array_equal(result, np.full(10, 5.0))


# ---- many processes, full disks, crashes --------------------------------------------------

WORK = """
import numpy as np, weft, weft.numpy as wnp
total = 0.0
for n in range(1, 3):
    total += float(weft.jit(lambda x: (x * n).sum())(wnp.ones(n)))
print(total)
"""


def test_sixteen_processes_share_a_folder(tmp_path: Path):
    results: list[str] = []
    threads = [
        threading.Thread(target=lambda: results.append(run_python(WORK, tmp_path).stdout))
        for _ in range(16)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == ["5.0\n"] * 16
    assert not list((tmp_path / "weft").glob("writing-*"))
    again = run_python(RUN.replace("print(sorted", "#"), tmp_path)
    assert not again.stderr


def test_killed_while_writing(tmp_path: Path):
    """What a killed process leaves is neither read nor counted for ever."""
    script = """
import os, signal
from weft.runtime.cache import ObjectCache
cache = ObjectCache(FOLDER)
cache.put("whole", b"kept")
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
cache.put("half", b"lost" * 1000)
"""
    script = script.replace("FOLDER", repr(str(tmp_path / "cache")))
    assert run_python(script).returncode == -signal.SIGKILL
    from weft.runtime.cache import ObjectCache

    cache = ObjectCache(tmp_path / "cache", limit=2000)
    assert cache.get("whole") == b"kept" and cache.get("half") is None
    (left,) = Path(cache.folder).glob("writing-*")
    os.utime(left, (0, 0))
    cache.put("next", bytes(100))
    assert not list(Path(cache.folder).glob("writing-*"))
    assert cache.get("next") == bytes(100)


def test_a_file_size_limit_costs_nothing_but_the_entry(tmp_path: Path):
    limited = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200, {resource.RLIM_INFINITY}))
{WORK}
"""
    result = run_python(limited, tmp_path)
    assert result.stdout == "5.0\n", result.stderr
    assert not list((tmp_path / "weft").iterdir())


def test_an_unusable_folder_warns_once(tmp_path: Path):
    (tmp_path / "weft").write_text("a file where the folder should be")
    result = run_python(WORK, tmp_path)
    assert result.stdout == "5.0\n"
    assert result.stderr.count("compiled code is not kept between runs") == 1
    assert object_cache() is None or str(tmp_path) not in str(object_cache())
