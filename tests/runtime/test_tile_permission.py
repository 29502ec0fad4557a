"""Tile registers count as present where this process may use them only."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from weft.machines import machine_of
from weft.report import devices
from weft.runtime import identity, native
from weft.runtime.tile_permission import tiles_allowed


@pytest.fixture
def looked_up_anew() -> Iterator[None]:
    for found in (native.host_cpu, identity.processor_identity):
        found.cache_clear()
    yield
    for found in (native.host_cpu, identity.processor_identity):
        found.cache_clear()


def test_features_say_what_this_process_may_use() -> None:
    assert tiles_allowed() or not native.host_cpu().has("amx-tile")


@pytest.mark.usefixtures("looked_up_anew")
@pytest.mark.parametrize("allowed", [True, False])
def test_a_refusal_is_a_processor_without_tiles(
    monkeypatch: pytest.MonkeyPatch, allowed: bool
) -> None:
    host = ("x86_64-unknown-linux-gnu", "sapphirerapids", "+amx-bf16,+amx-tile,+avx512f")
    monkeypatch.setattr(native.llvm, "host", lambda: host)
    for module in (native, identity):
        monkeypatch.setattr(module, "tiles_allowed", lambda: allowed)
    cpu = native.host_cpu()
    assert cpu.has("avx512f")
    assert cpu.has("amx-tile") is cpu.has("amx-bf16") is allowed
    assert bool(machine_of(cpu, 1).units) is allowed


@pytest.mark.usefixtures("looked_up_anew")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("allowed", [True, False])
def test_the_devices_say_that_tiles_were_refused(
    monkeypatch: pytest.MonkeyPatch, there: bool, allowed: bool
) -> None:
    triple, name, features = native.llvm.host()
    kept = [f for f in features.split(",") if "amx-" not in f]
    host = (triple, name, ",".join([*kept, f"{'+' if there else '-'}amx-tile"]))
    monkeypatch.setattr(native.llvm, "host", lambda: host)
    monkeypatch.setattr(native, "tiles_allowed", lambda: allowed)
    shown = io.StringIO()
    devices.show(Console(file=shown))
    assert ("tile registers (AMX) are there, but" in shown.getvalue()) is (there and not allowed)


@pytest.mark.usefixtures("looked_up_anew")
def test_programs_with_tiles_are_not_found_without_permission(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = set()
    for allowed in (True, False):
        identity.processor_identity.cache_clear()
        monkeypatch.setattr(identity, "tiles_allowed", lambda allowed=allowed: allowed)
        known.add(identity.processor_identity())
    assert len(known) == 2
