"""Devices to test with: two that the host plays, and those that there are drivers of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backends.fake_cuda import FakeCuda, FakeLibrary
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


def first(platform: str) -> Device:
    """The first device of a platform; skips the test where there is none."""
    try:
        return registry.platform_devices(platform)[0]
    except DeviceError as why:
        pytest.skip(str(why))


@pytest.fixture(scope="session", autouse=True)
def _a_driver_for_cuda() -> Iterator[None]:
    """The driver that the host plays, where there is no GPU for CUDA."""
    try:
        registry.platform_devices("cuda")
        yield
    except DeviceError:
        fake = registry._found["cuda"] = [FakeCuda(FakeLibrary())]
        yield
        del registry._found["cuda"]
        assert fake[0].library.mistakes == []


@pytest.fixture(scope="session", params=["opencl", "webgpu", "wasm", "cuda"])
def device(request: pytest.FixtureRequest) -> Device:
    """The first device of each platform."""
    return first(request.param)


@pytest.fixture(scope="session")
def opencl() -> Device:
    """The first OpenCL device."""
    return first("opencl")


@pytest.fixture(scope="session", params=["opencl", "webgpu", "cuda"])
def kernel_device(request: pytest.FixtureRequest) -> Device:
    """The first device of each platform that is asked for one kernel after the other."""
    return first(request.param)


@pytest.fixture(scope="session", params=["opencl", "cuda"])
def wide(request: pytest.FixtureRequest) -> Device:
    """The first device of each platform whose kernels have numbers of 8 to 64 bits."""
    return first(request.param)


@pytest.fixture(scope="session")
def wasm() -> Device:
    """The WebAssembly engine."""
    return first("wasm")


@pytest.fixture(scope="session")
def webgpu() -> Device:
    """The first device of WebGPU."""
    return first("webgpu")
