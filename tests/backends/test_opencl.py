"""What is particular to OpenCL: copies beside kernels, buffers that are used again, errors."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.backends.opencl import OpenCL
from weft.errors import DeviceError


@pytest.fixture
def device(opencl: Any) -> OpenCL:
    """A device of its own on the hardware of the first."""
    return OpenCL(opencl._cl, opencl._device, 0)


@contextmanager
def busy(device: OpenCL) -> Iterator[None]:
    """The queue of kernels does nothing until this ends."""
    cl = device._cl
    gate = cl.UserEvent(device._context)
    cl.enqueue_barrier(device._buffers.queue, wait_for=[gate])
    device._buffers.queue.flush()
    try:
        yield
    finally:
        gate.set_status(cl.command_execution_status.COMPLETE)


def soon(function: Callable[[], Any]) -> Any:
    """The result of something that does not wait for kernels."""
    found: list[Any] = []
    thread = Thread(target=lambda: found.append(function()), daemon=True)
    thread.start()
    thread.join(timeout=60)
    assert found, "it waits for kernels"
    return found[0]


def test_copies_do_not_wait_for_kernels(device: OpenCL) -> None:
    f = weft.jit(lambda x: wnp.cumsum(x) * 2)
    x = weft.device_put(np.ones(1000, np.float32), device)
    y = f(x)
    expected = np.asarray(y)
    y = f(x)
    device.finish()
    with busy(device):
        z = f(y)
        np.testing.assert_array_equal(soon(lambda: np.asarray(y)), expected)
        for n in range(5):
            data = np.full(1000, n, np.float32)
            there = soon(lambda data=data: weft.device_put(data, device))
            np.testing.assert_array_equal(soon(lambda there=there: np.asarray(there)), data)
            w = f(there)
            del there
    np.testing.assert_allclose(z, np.cumsum(expected) * 2, rtol=1e-5)
    np.testing.assert_allclose(w, np.cumsum(np.full(1000, 4)) * 2, rtol=1e-5)


def test_buffers_that_kernels_still_use_are_not_uploaded_to(device: OpenCL) -> None:
    f = weft.jit(lambda x: wnp.cumsum(x))
    results = []
    with busy(device):
        for n in range(6):
            x = weft.device_put(np.full(500, n, np.float32), device)
            results.append(f(x))
            del x
    for n, y in enumerate(results):
        np.testing.assert_allclose(y, np.cumsum(np.full(500, n)), rtol=1e-6)


def test_buffers_are_used_again(device: OpenCL, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    buffer = device._cl.Buffer
    monkeypatch.setattr(device._cl, "Buffer", lambda *a: made.append(a[-1]) or buffer(*a))
    f = weft.jit(lambda x: wnp.cumsum(wnp.tanh(x)).sum())
    for n in range(20):
        float(f(weft.device_put(np.full(500, n, np.float32), device)))
        if n == 5:
            before = len(made)
    assert len(made) == before


def test_a_launch_that_the_driver_refuses(device: OpenCL, monkeypatch: pytest.MonkeyPatch) -> None:
    x = weft.device_put(np.ones(5, np.float32), device)
    launch = device._cl.enqueue_nd_range_kernel
    with monkeypatch.context() as broken:
        name = "enqueue_nd_range_kernel"
        broken.setattr(device._cl, name, lambda q, k, n, g: launch(q, k, (1 << 20,), (1 << 20,)))
        with pytest.raises(DeviceError, match=rf"{device.name} .* refuses the kernel k_.*INVALID"):
            weft.jit(lambda x: wnp.cumsum(x) - 2.75)(x)
    assert (x + 1).tolist() == [2] * 5


def test_a_device_that_is_lost(device: OpenCL, monkeypatch: pytest.MonkeyPatch) -> None:
    x = weft.device_put(np.ones(5, np.float32), device)
    with pytest.raises(device._cl.Error) as caught:
        device._cl.Buffer(device._context, device._cl.mem_flags.READ_WRITE, 0)
    error = device._error(caught.value, "a result")
    assert isinstance(error, DeviceError) and not device.lost  # one request, not the device
    codes = {"DEVICE_NOT_AVAILABLE": caught.value.code, "INVALID_COMMAND_QUEUE": 0}
    monkeypatch.setattr(device._cl, "status_code", SimpleNamespace(**codes))
    error = device._error(caught.value, "a result")
    monkeypatch.undo()
    match = rf"{device.name} .* was lost when a result was asked for: .*other devices go on"
    assert str(error) == device.lost
    for use in (x.tolist, lambda: x + 1, lambda: weft.device_put(x, "cpu")):
        with pytest.raises(DeviceError, match=match):
            use()
    x.delete()


def test_the_process_ends_while_kernels_wait(opencl: OpenCL) -> None:
    code = """
import numpy as np, weft, weft.numpy as wnp
from weft.backends import registry
device = registry.find("opencl")
f = weft.jit(lambda x: wnp.cumsum(x) * 2)
x = weft.device_put(np.ones(100, np.float32), device)
f(x).block_until_ready()
gate = device._cl.UserEvent(device._context)
device._cl.enqueue_barrier(device._buffers.queue, wait_for=[gate])
results = [f(x) for _ in range(3)]
print("asked")
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stdout) == (0, "asked\n"), run.stderr


@pytest.mark.parametrize("dtype", ["bool", "int8", "float16", "float32", "int64", "complex128"])
def test_one_element_of_every_size_is_written(device: OpenCL, dtype: str) -> None:
    data = np.array([3], dtype)
    memory, found = device.alloc(data.nbytes), np.zeros(1, dtype)
    device.write(memory, data)
    device.read(memory, found)
    np.testing.assert_array_equal(found, data)
