"""Devices to test with: two that the host plays, and OpenCL's if there is a driver."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.reference import ReferenceDevice
from weft.backends import registry
from weft.backends.device import Device
from weft.errors import DeviceError


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[ReferenceDevice, ReferenceDevice]]:
    """Two devices of a platform of their own, ``reference``."""
    both = ReferenceDevice("reference:0"), ReferenceDevice("reference:1")
    monkeypatch.setitem(registry._PLATFORMS, "reference", lambda: list(both))
    yield both
    registry._found.pop("reference", None)


@pytest.fixture(scope="session")
def opencl() -> Device:
    """The first OpenCL device; tests of it are skipped where there is none."""
    try:
        return registry.platform_devices("opencl")[0]
    except DeviceError as why:
        pytest.skip(str(why))
