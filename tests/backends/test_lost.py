"""Devices that are lost or belong to another process, and processes that end."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import weft
from tests.backends.fake_cuda import FakeCuda
from weft import numpy as wnp
from weft.backends.webgpu import WebGPU
from weft.errors import DeviceError


def test_a_device_of_webgpu_that_is_lost(webgpu: Any) -> None:
    device = WebGPU(webgpu._wgpu, webgpu._device.adapter, 0)
    f = weft.jit(lambda x: wnp.cumsum(x) * 2)
    x = weft.device_put(np.ones(5, np.float32), device)
    y = f(x)
    device._device.destroy()
    match = r"webgpu:0 \(.*\) was lost when .* was asked for: .*new process; the CPU and other"
    for use in (y.tolist, lambda: f(x), lambda: x + 1, y.block_until_ready, lambda: x.to("cpu")):
        with pytest.raises(DeviceError, match=match):
            use()
    assert y.device == "webgpu:0"
    x.delete()
    again = weft.device_put(np.ones(5, np.float32), webgpu)
    assert f(again).tolist() == f(np.ones(5, np.float32)).tolist() == [2, 4, 6, 8, 10]


ASKED = ["f(x)", "x.tolist()", "weft.device_put(np.int32(2), name)"]


@pytest.mark.parametrize("ask", ASKED)
def test_a_child_process_is_told_that_the_device_is_its_parents(device: Any, ask: str) -> None:
    """Drivers have threads and queues that a fork does not copy: the child would wait for them."""
    platform = device.name.partition(":")[0]
    code = f"""
import os, sys, numpy as np, weft, weft.numpy as wnp
name = "{platform}"
{FAKE if isinstance(device, FakeCuda) else ""}
f = weft.jit(lambda x: wnp.cumsum(x) * 2)
x = weft.device_put(np.ones(5, np.float32), name)
f(x).block_until_ready()
sys.stdout.flush()
child = os.fork()
if not child:
    try:
        {ask}
        print("well", flush=True)
    except weft.errors.DeviceError as why:
        print(why, flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(f(x).tolist())
"""
    told, results = output(code)
    if device.forks:
        assert told == "well"
    else:
        assert told.startswith(f"{platform}:0 (") and "'spawn'" in told
    assert results == "[2.0, 4.0, 6.0, 8.0, 10.0]"


FAKE = """
from weft.backends import registry
from tests.backends.fake_cuda import FakeCuda, FakeLibrary
registry._found["cuda"] = [FakeCuda(FakeLibrary())]
"""


def test_a_process_ends_with_work_that_nobody_waits_for(device: Any) -> None:
    platform = device.name.partition(":")[0]
    code = f"""
import numpy as np, weft, weft.numpy as wnp
{FAKE if isinstance(device, FakeCuda) else ""}
f = weft.jit(lambda x: wnp.tanh(x @ x) / 99)
x = weft.device_put(np.ones((99, 99), np.float32), "{platform}")
for _ in range(20):
    x = f(x)
print("asked")
"""
    assert output(code) == ["asked"]


def output(code: str) -> list[str]:
    """The lines that a program prints, which ends well and soon."""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    assert "Traceback" not in run.stderr
    return run.stdout.splitlines()
