"""`jit(f, tune=True)`: what a clock chooses is compiled and remembered; the clock is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from weft import config, tuning
from weft import numpy as wnp
from weft.compile import compile_jaxpr
from weft.kernels.plan import SHORTLIST
from weft.kernels.print import print_kernel
from weft.kernels.program import Launch

rng = np.random.default_rng(0)
X, W = (rng.standard_normal(s).astype(np.float32) for s in ((96, 80), (80, 72)))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = config.cache_dir
    config.cache_dir = tmp_path
    yield tmp_path
    config.cache_dir = before


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Instead of timing, the last candidate wins; how many there were each time."""
    asked: list[int] = []

    def last(calls: list[Callable[[], None]]) -> list[float]:
        for call in calls:
            call()
        asked.append(len(calls))
        return [float(len(calls) - n) for n in range(len(calls))]

    monkeypatch.setattr(tuning, "times", last)
    return asked


def layer(x: Any, w: Any) -> Any:
    return wnp.maximum(x @ w, 0)


def kernels(tune: bool) -> list[str]:
    program = compile_jaxpr(weft.make_jaxpr(layer)(X, W), tune=tune).program
    return [print_kernel(s.kernel) for s in program.steps if isinstance(s, Launch)]


def test_the_fastest_is_compiled(clock: list[int]) -> None:
    (plain,), (tuned,) = kernels(False), kernels(True)
    assert len(clock) == 1 and 2 <= clock[0] <= SHORTLIST
    assert tuned != plain
    assert kernels(False) == [plain]  # nobody else is affected
    found = weft.jit(layer, tune=True)(X, W)
    np.testing.assert_allclose(found, np.maximum(X @ W, 0), rtol=1e-4, atol=1e-4)


def test_it_is_remembered(clock: list[int], folder: Path) -> None:
    first = kernels(True)
    count = len(clock)
    assert count == 1 and any(p.name.startswith("tuned-") for p in folder.iterdir())
    assert kernels(True) == first and len(clock) == count

    def same_kernel(y: Any, v: Any) -> Any:
        return wnp.maximum(y @ v, 0), y + 1

    weft.jit(same_kernel, tune=True)(X, W)
    assert len(clock) == count + 1  # of another program, too: only the sum is new


def test_damaged_memories_do_not_count(clock: list[int], folder: Path) -> None:
    kernels(True)
    (path,) = folder.glob("tuned-*")
    cache = tuning.object_cache()
    assert cache is not None
    for payload in (b"weft-tuned-1 99", b"something else"):
        cache.put(path.stem, payload)
        before = len(clock)
        kernels(True)
        assert len(clock) == before + 1


def test_threads_are_part_of_what_is_remembered(clock: list[int], folder: Path) -> None:
    kernels(True)
    threads = config.threads
    config.threads = threads + 1
    kernels(True)
    config.threads = threads
    assert len(clock) == 2


def test_streams_are_tuned(clock: list[int]) -> None:
    def attention(q: Any, k: Any, v: Any) -> Any:
        s = q @ k.T / 8
        p = wnp.exp(s - s.max(-1, keepdims=True))
        return p / p.sum(-1, keepdims=True) @ v

    arrays = [rng.standard_normal((768, 16)).astype(np.float32) for _ in range(3)]
    found = weft.jit(attention, tune=True)(*arrays)
    assert clock and clock[0] >= 2
    np.testing.assert_allclose(found, weft.jit(attention)(*arrays), rtol=1e-4, atol=1e-5)


def test_what_works_in_place_is_not_tuned(clock: list[int]) -> None:
    def update(x: Any, i: Any) -> Any:
        return x.at[i].add(1.0)

    x, i = np.zeros(50, np.float32), np.array([3, 3, 7], np.int32)
    np.testing.assert_array_equal(weft.jit(update, tune=True)(x, i), weft.jit(update)(x, i))


def test_nothing_is_shown_outside_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    weft.jit(lambda x: wnp.exp(x) + 3, tune=True)(X)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_shows_how_far_it_is(
    clock: list[int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    weft.jit(lambda x: wnp.exp(x) - 3, tune=True)(X)
    assert "tuning" in capsys.readouterr().err


def test_candidates_take_turns() -> None:
    calls: list[int] = []
    found = tuning.times([lambda n=n: calls.append(n) for n in range(3)])
    assert len(found) == 3 and set(calls) == {0, 1, 2}
    assert calls[:6] == [0, 0, 1, 1, 2, 2]
