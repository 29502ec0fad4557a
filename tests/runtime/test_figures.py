"""Measured figures of a machine: kept, read again, refused where they cannot be right, and used."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weft import config
from weft.kernels.machine import cpu_machine, measured
from weft.kernels.price.price import price
from weft.machines import host_machine
from weft.runtime import figures, measure
from weft.runtime.figures import Figures, LevelFigures, dumps, loads
from weft.runtime.native import host_cpu

NAMES = ("L1", "L2", "L3", "DRAM")
numbers = st.floats(0.001, 9e4)
pairs = st.tuples(numbers, numbers)
some = st.builds(
    Figures,
    numbers,
    numbers,
    st.tuples(
        *(st.builds(LevelFigures, st.just(n), numbers, *[pairs] * 4, numbers) for n in NAMES)
    ),
)
FIGURES = Figures(
    2.5,
    2.0,
    tuple(
        LevelFigures(n, 100.0 / k, (k, k), (k, k), (2 * k, 2 * k), (k, k), 3 * k)
        for k, n in enumerate(NAMES, 1)
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = config.cache_dir
    config.cache_dir = tmp_path / "cache"
    yield tmp_path / "cache"
    config.cache_dir = before


@given(some)
def test_what_is_written_is_read(found: Figures) -> None:
    assert loads(dumps(found)) == found


def test_kept_used_and_forgotten(folder: Path) -> None:
    built_in = host_machine(2)
    assert figures.measured() is None and figures.identity() == "" and not figures.forget()
    where = Path(figures.save(FIGURES))
    assert where.parent == folder and where.stat().st_mode & 0o077 == 0
    assert figures.measured() == FIGURES and figures.identity()
    machine = host_machine(2)
    assert (machine.core.ghz, machine.core.vectors) == (2.5, 2.0)
    assert [x.bandwidth for x in machine.levels] == [100.0, 50.0, pytest.approx(100 / 3)]
    assert machine.levels[1].cost.read == (2, 2) and machine.memory.latency == 12
    assert machine.memory_bandwidth == 25.0
    assert figures.forget() and host_machine(2) == built_in
    assert os.listdir(folder) == []


def test_without_a_folder_there_is_nothing_to_keep(folder: Path) -> None:
    config.cache_dir = None
    assert figures.path() is None and figures.measured() is None and not figures.forget()
    with pytest.raises(ValueError, match=r"set weft\.config\.cache_dir"):
        figures.save(FIGURES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "Expecting property name"),
        ("[]", "it is not of version 1"),
        ('{"version": 0}', "it is not of version 1"),
        ('{"version": 1, "levels": {"L1": {}}}', "its levels do not end with DRAM"),
        (dumps(FIGURES).replace('"ghz": 2.5', '"ghz": -1'), "its ghz is -1"),
        (dumps(FIGURES).replace('"ghz": 2.5', '"ghz": NaN'), "its ghz is nan"),
        (dumps(FIGURES).replace('"latency": 9', '"latency": "long"'), "L3 latency is 'long'"),
        (dumps(FIGURES).replace('"latency": 9', '"later": 9'), "L3 latency is None"),
    ],
)
def test_damaged_figures_are_a_warning(folder: Path, text: str, why: str) -> None:
    where = Path(figures.save(FIGURES))
    where.write_text(text)
    with pytest.warns(RuntimeWarning, match=f"are not used: {why}.*weft devices --measure"):
        assert figures.measured() is None


def test_a_file_that_others_may_write_is_not_read(folder: Path) -> None:
    where = Path(figures.save(FIGURES))
    where.chmod(0o666)
    assert figures.measured() is None
    where.chmod(0o600)
    where.rename(folder / "elsewhere")
    where.symlink_to(folder / "elsewhere")
    assert figures.measured() is None
    assert figures.forget() and (folder / "elsewhere").exists()


def test_many_may_write_at_once(folder: Path) -> None:
    threads = [threading.Thread(target=figures.save, args=(FIGURES,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert figures.measured() == FIGURES and len(os.listdir(folder)) == 1


def test_prices_follow_the_figures() -> None:
    from tests.kernels.test_price import elementwise

    machine = cpu_machine(2, 64, (32 << 10, 1 << 20, 32 << 20))
    slow = measured(machine, FIGURES)
    kernel = elementwise(1 << 16)
    assert price(kernel, slow).seconds > 1.2 * price(kernel, machine).seconds
    assert slow.levels[0].cost == machine.levels[0].cost  # part of the cycles of a block


def test_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "RUN", 1e-5)
    monkeypatch.setattr(measure, "RUNS", 1)
    monkeypatch.setattr(measure, "_sizes", lambda cpu, threads: {"L1": 1 << 14, "DRAM": 1 << 18})
    told: list[str] = []
    found = measure.measure(host_cpu(), 2, told.append)
    assert told == ["clock", "arithmetic", "L1", "DRAM"]
    assert len(told) == measure.steps(host_cpu(), 2)
    assert loads(dumps(found)) == found


def test_sizes_lie_between_the_caches() -> None:
    cpu = host_cpu()
    sizes = measure._sizes(cpu, 2)
    assert list(sizes) == list(NAMES)
    assert sizes["L1"] < cpu.l1_bytes < sizes["L2"] < cpu.l2_bytes < sizes["L3"]
    assert 2 * sizes["L3"] <= max(cpu.l3_bytes, 4 * cpu.l2_bytes) <= 2 * sizes["DRAM"]


def test_lines_of_a_chase_are_one_cycle() -> None:
    lines = measure._cycle(64 * 100)
    seen, at = set(), lines.ctypes.data
    for _ in range(100):
        seen.add(at)
        at = int(lines[(at - lines.ctypes.data) // 64, 0])
    assert at == lines.ctypes.data and len(seen) == 100
