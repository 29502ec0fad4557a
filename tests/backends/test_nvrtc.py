"""Every kernel of the benchmarks compiles for CUDA's processors, and fits into their registers."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import weft
from weft.backends import nvrtc, registry
from weft.backends.device import Memory
from weft.backends.programs import KernelDevice, Launcher
from weft.codegen import cuda
from weft.codegen.c_halves import is_half
from weft.codegen.clike import KernelText
from weft.errors import DeviceError
from weft.kernels.ir import Kernel
from weft.kernels.machine import h100

# The benchmarks are scripts beside the package, which import one another by these names.
sys.path.append(str(Path(__file__).parents[2] / "bench"))
from peers import jax_
from workloads import WORKLOADS

#: Bytes that a block may share, and registers that its threads have together.
SHARED = {"sm_80": 163 << 10, "sm_90": 227 << 10}
REGISTERS = 1 << 16


class Collecting(KernelDevice):
    """A device that plans for an H100 and runs nothing: its memory is all zeros."""

    def __init__(self) -> None:
        self.name, self.description, self.machine = "collecting:0", "no device", h100()
        self.found: list[KernelText] = []

    def supports(self, dtype: np.dtype) -> bool:
        return dtype.kind in "biuf" or is_half(dtype)

    def alloc(self, nbytes: int) -> Memory:
        return Memory(self, None, nbytes)

    def release(self, handle: object) -> None:
        pass

    def write(self, target: Memory, data: np.ndarray) -> None:
        pass

    def read(self, source: Memory, out: np.ndarray) -> None:
        out[...] = 0

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        pass

    def finish(self) -> None:
        pass

    def kernels(self, kernels: Sequence[Kernel]) -> list[tuple[Launcher, tuple[int, ...]]]:
        made: list[tuple[Launcher, tuple[int, ...]]] = []
        for kernel in kernels:
            text = cuda.emit_kernel(kernel)
            self.found.append(text)
            shared = text.arguments[len(kernel.params) :]
            made.append((lambda _: None, tuple(b.extent * b.dtype.itemsize for b in shared)))
        return made


@pytest.fixture
def collecting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collecting]:
    try:
        nvrtc.library()
    except DeviceError as why:
        pytest.skip(str(why))
    device = Collecting()
    monkeypatch.setitem(registry._PLATFORMS, "collecting", lambda: [device])
    # Every level is checked where programs run.
    monkeypatch.setattr(weft.config, "check", False)
    yield device
    registry._found.pop("collecting", None)


@pytest.mark.parametrize("name", WORKLOADS)
def test_kernels_of_a_workload(name: str, collecting: Collecting) -> None:
    jax_.peer.select("weft")
    with weft.default_device(collecting.name):
        jax_.peer.prepare(WORKLOADS[name])()
    assert collecting.found or name == "sort_1M"  # whose routine is the host's
    for text in collecting.found:
        for architecture, most in SHARED.items():
            code = nvrtc.compile_cubin(text.text, architecture)
            assert code.code[:4] == b"\x7fELF"
            taken = f"{text.symbol} for {architecture}: {code.registers} registers"
            assert 0 < code.registers * text.block <= REGISTERS, taken
            assert code.shared + text.dynamic <= most, taken
            assert (code.spilled, code.stack) == (0, 0), taken


def test_what_the_compiler_refuses(collecting: Collecting) -> None:
    with pytest.raises(DeviceError, match=r"NVRTC refuses a kernel for sm_90:\n.*identifier"):
        nvrtc.compile_cubin('extern "C" __global__ void k() { unknown(); }')


def test_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    nvrtc.library.cache_clear()
    monkeypatch.setattr(nvrtc.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name)))
    with pytest.raises(DeviceError, match=r"needs NVRTC, which was not found: pip install 'weft\["):
        nvrtc.library()
    nvrtc.library.cache_clear()
