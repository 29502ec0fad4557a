"""CUDA's runtime on a driver that the host plays: order, graphs, memory, errors, the end."""

from __future__ import annotations

import ctypes
import gc
import re
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import weft
from tests.backends.fake_cuda import ATTRIBUTES, FakeCuda, FakeLibrary
from weft import lax
from weft import numpy as wnp
from weft.backends import registry
from weft.backends.cuda import driver as cu
from weft.backends.cuda import session as sessions
from weft.errors import DeviceError

MIB = 1 << 20


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLibrary]:
    """The driver of the only CUDA device, which keeps every rule and gets all memory back."""
    library = FakeLibrary(room=64 * MIB)
    monkeypatch.setitem(registry._found, "cuda", [FakeCuda(library)])
    yield library
    assert library.mistakes == []


def put(data: Any) -> Any:
    return weft.device_put(np.asarray(data, np.float32), "cuda")


def kernels(library: FakeLibrary) -> list[str]:
    return [what for what in library.pending if what.startswith("the kernel")]


# -- order -----------------------------------------------------------------------------------------


def test_a_race_between_streams_is_seen() -> None:
    """Without the event between them, an upload and a kernel's stream meet at the same bytes."""
    library = FakeLibrary()
    session = FakeCuda(library).session
    with session:
        block = session.alloc(64, session.up)
    session.send(block, np.arange(16, dtype=np.int32))
    block.uploaded = None
    with pytest.raises(cu.Fault):
        session.write(block, np.int32(3))
    (mistake,) = library.mistakes
    assert re.search("a fill and an (allocation|upload) touch the same memory at once", mistake)


def test_memory_that_is_gone_is_seen() -> None:
    library = FakeLibrary()
    device = FakeCuda(library)
    memory = device.alloc(64)
    address = memory.handle.address
    del memory
    gc.collect()
    with pytest.raises(cu.Fault), device.session as session:
        session.driver("cuMemsetD8Async", address, 0, 64, session.compute)
    (mistake,) = library.mistakes
    assert re.search(r"a fill touches 64 bytes at 0x\w+ that are not there", mistake)


def test_what_is_uploaded_does_not_wait_for_kernels(library: FakeLibrary) -> None:
    f = weft.jit(lambda x: wnp.tanh(x) + wnp.cumsum(x))
    a = f(put(np.arange(5)))
    b = put(np.arange(7))
    assert kernels(library)
    assert b.tolist() == [*range(7)]
    assert kernels(library), "reading an upload waits for a kernel that has nothing to do with it"
    c = f(b)
    before = len(kernels(library))
    a.tolist()
    assert 0 < len(kernels(library)) < before, "reading a result waits for what was asked later"
    np.testing.assert_allclose(c, np.tanh(np.arange(7)) + np.cumsum(np.arange(7)), rtol=1e-6)


def test_an_array_may_change_once_it_is_on_its_way(
    library: FakeLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "SMALL", (256, 2))
    monkeypatch.setattr(sessions, "LARGE", (1024, 2))
    registry._found["cuda"] = [FakeCuda(library)]
    source = np.arange(5000, dtype=np.float32)
    arrays = []
    for n in range(10):
        source[:] = np.arange(5000) + n
        arrays.append(weft.device_put(source, "cuda"))
        arrays.append(weft.device_put(source[:3], "cuda"))
    for n in range(10):
        np.testing.assert_array_equal(arrays[2 * n], np.arange(5000) + n)
        assert arrays[2 * n + 1].tolist() == [n, n + 1, n + 2]
    assert library.calls["cuMemHostAlloc"] <= 4


def _turn(x: Any, y: Any) -> Any:
    return wnp.cumsum(x * 0.5) + y[::-1], (x * y).sum()


REQUESTS = st.sampled_from(["upload", "call", "call", "read", "drop", "set", "donate"])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=st.lists(st.tuples(REQUESTS, st.integers(0, 7)), max_size=30))
def test_any_order_of_requests(library: FakeLibrary, steps: list[tuple[str, int]]) -> None:
    """Results are NumPy's, no two accesses race, and all memory comes back."""
    call = TURN
    donated = DONATED
    there = [put(np.arange(6)), put(np.ones(6))]
    here = [np.arange(6, dtype=np.float32), np.ones(6, np.float32)]
    for what, n in steps:
        a, b = n % len(here), n // 2 % len(here)
        if what == "upload":
            here.append(np.linspace(0, n, 6, dtype=np.float32))
            there.append(weft.device_put(here[-1], "cuda"))
        elif what == "call":
            there[a], total = call(there[a], there[b])
            expected = (here[a] * here[b]).sum()
            here[a] = np.cumsum(here[a] * np.float32(0.5)) + here[b][::-1]
            if n % 3 == 0:
                np.testing.assert_allclose(total, expected, rtol=1e-4)
        elif what == "read":
            np.testing.assert_allclose(there[a], here[a], rtol=1e-5)
        elif what == "drop" and len(here) > 2:
            del here[a]
            there.pop(a).delete()
        elif what == "set":
            here[a] = here[a].copy()
            here[a][n % 6] = there[a][n % 6] = n
        elif what == "donate":
            there[a], here[a] = donated(there[a]), here[a] * np.float32(2)
        here[a % len(here)] = np.clip(here[a % len(here)], -1e6, 1e6)
        there[a % len(here)] = wnp.clip(there[a % len(here)], -1e6, 1e6)
    for x, y in zip(there, here, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4)
    del there, x
    gc.collect()
    registry.find("cuda").finish()
    registry.find("cuda").alloc(1)
    assert library.mistakes == []


TURN = weft.jit(_turn)
DONATED = weft.jit(lambda x: x * 2, donate_argnums=0)


def test_threads_share_the_device(library: FakeLibrary) -> None:
    programs = [weft.jit(lambda v, n=n: wnp.cumsum(v * n)[-1]) for n in range(3)]
    expected = [float(p(np.ones(50, np.float32))) for p in programs]
    found: list[list[float]] = []

    def work() -> None:
        x = put(np.ones(50))
        found.append([float(p(x)) for _ in range(8) for p in programs])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected * 8] * 4


def test_a_thread_waits_while_another_makes_graphs(library: FakeLibrary) -> None:
    device = registry.find("cuda")
    f = weft.jit(lambda x: wnp.cumsum(wnp.tanh(x) @ x) + 1)
    expected = np.asarray(f(np.eye(4, dtype=np.float32)))
    ended = threading.Event()

    def work() -> None:
        while not ended.is_set():
            device.finish()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(10):
            x = put(np.eye(4))
            found = [f(x) for _ in range(4)]
            np.testing.assert_allclose(found, [expected] * 4, rtol=1e-6)
    finally:
        ended.set()
        thread.join()


# -- graphs ----------------------------------------------------------------------------------------


def test_calls_with_known_addresses_are_one_request(library: FakeLibrary) -> None:
    f = weft.jit(lambda x: wnp.cumsum(wnp.tanh(x @ x), 1) @ x)
    x = put(np.linspace(-1, 1, 64).reshape(8, 8))
    expected = np.asarray(f(np.asarray(x)))
    for _ in range(4):
        np.testing.assert_allclose(f(x), expected, rtol=1e-5)
    launches = library.calls["cuLaunchKernel"]
    for _ in range(6):
        np.testing.assert_allclose(f(x), expected, rtol=1e-5)
    assert library.calls["cuLaunchKernel"] == launches
    assert library.calls["cuGraphLaunch"] >= 6


def test_a_loop_that_hands_a_few_buffers_around_finds_its_graphs(library: FakeLibrary) -> None:
    f = weft.jit(lambda x: wnp.cumsum(x) / 4 + 1)
    x, expected = put(np.arange(6)), np.arange(6, dtype=np.float32)
    for n in range(40):
        x, expected = f(x), np.cumsum(expected) / 4 + 1
        if n == 20:
            launches = library.calls["cuLaunchKernel"]
    np.testing.assert_allclose(x, expected, rtol=1e-5)
    assert library.calls["cuLaunchKernel"] == launches


def test_a_graph_waits_for_what_is_uploaded_for_it(library: FakeLibrary) -> None:
    f = weft.jit(lambda x: wnp.cumsum(wnp.tanh(x) @ x))
    for n in range(30):
        x = np.eye(4, dtype=np.float32) * n
        found = np.asarray(f(put(x)))
        np.testing.assert_allclose(found, np.cumsum(np.tanh(x) @ x), rtol=1e-5)
        if n == 15:
            launches = library.calls["cuLaunchKernel"]
    assert library.calls["cuLaunchKernel"] == launches, "uploads find no graph that was made"


def test_what_is_let_go_while_a_graph_is_made_is_no_part_of_it(library: FakeLibrary) -> None:
    device = registry.find("cuda")
    memory, other = device.alloc(64), device.alloc(64)
    with device.session.capture() as capture:
        device.write(other, np.int32(1))
        del memory
        gc.collect()
    assert [what for what, *_ in library._graphs[capture.graph]] == ["a fill"]
    assert library.used == 2 * 512
    del other
    assert library.used == 0


def test_loops_of_known_length_are_part_of_a_graph(library: FakeLibrary) -> None:
    def f(x: Any) -> Any:
        def step(carry: Any, row: Any) -> Any:
            a, b = carry
            return (b + row.sum(), a * 0.5), wnp.cumsum(row) * a

        return lax.scan(step, (wnp.float32(1), wnp.float32(2)), x)

    jitted = weft.jit(f)
    x = np.arange(15, dtype=np.float32).reshape(5, 3) / 8
    expected = weft.tree.leaves(jitted(x))
    there = put(x)
    for _ in range(5):
        for a, e in zip(weft.tree.leaves(jitted(there)), expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-5)
    assert library.calls["cuGraphLaunch"] >= 3


def test_decisions_of_the_host_are_no_graph(library: FakeLibrary) -> None:
    f = weft.jit(lambda x: lax.while_loop(lambda v: v.sum() < 100, lambda v: wnp.cumsum(v), x))
    for _ in range(4):
        assert np.asarray(f(put([1, 2, 3]))).sum() >= 100
    assert not library.calls["cuGraphLaunch"]


def test_many_addresses_keep_few_graphs(library: FakeLibrary) -> None:
    f = weft.jit(lambda x: wnp.cumsum(x) + 1)
    xs = [put(np.arange(4) + n) for n in range(12)]
    for _ in range(3):
        for n, x in enumerate(xs):
            np.testing.assert_allclose(f(x), np.cumsum(np.arange(4) + n) + 1)
    registry.find("cuda").finish()
    f(xs[0])
    assert len(library._graphs) <= 9


# -- memory ----------------------------------------------------------------------------------------


def test_all_memory_comes_back(library: FakeLibrary) -> None:
    device = registry.find("cuda")
    held = library.used
    x = put(np.ones((64, 64)))
    f = weft.jit(lambda x: wnp.tanh(x @ x).sum() + wnp.cumsum(x))
    for _ in range(6):
        f(x)
    y = x + 1
    x.delete()
    with pytest.raises(RuntimeError, match=r"was deleted by Array\.delete"):
        x + 1
    np.testing.assert_array_equal(y, np.full((64, 64), 2))
    del y
    gc.collect()
    device.finish()
    assert library.used - held <= 1024  # constants of programs that may run again


def test_more_memory_than_there_is_and_then_less(library: FakeLibrary) -> None:
    x = put(np.ones(8 * MIB // 4))
    match = r"cuda:0 \(a GPU that the host plays\) has no 62,914,560 bytes for an array: of 67,108"
    with pytest.raises(MemoryError, match=match + r".*x\.delete\(\)"):
        put(np.ones(60 * MIB // 4))
    x.delete()
    assert float(put(np.ones(60 * MIB // 4))[-1]) == 1


# -- errors ----------------------------------------------------------------------------------------


def test_a_kernel_that_the_driver_refuses(library: FakeLibrary) -> None:
    x = put(np.arange(5))
    library.refused.add("0_")
    match = (
        r"cuda:0 \(a GPU.*\) refuses the kernel 0_.*: CUDA_ERROR_INVALID_PTX: words of the drive"
    )
    with pytest.raises(DeviceError, match=match):
        weft.jit(lambda x: wnp.cumsum(x) - 3.25)(x)
    library.refused.clear()
    assert (x + 1).tolist() == [1, 2, 3, 4, 5]


def test_a_device_that_is_lost(library: FakeLibrary) -> None:
    spare = FakeLibrary()
    registry._found["cuda"].append(FakeCuda(spare, 1))
    x, y = put(np.arange(5)), weft.device_put(np.arange(5, dtype=np.float32), "cuda:1")
    f = weft.jit(lambda x: wnp.cumsum(x) - 4.25)
    library.failing.add("0_")
    bad = f(x)
    match = (
        r"cuda:0 \(a GPU.*\) was lost when a result was asked for: CUDA_ERROR_ILLEGAL_ADDRESS.*"
        r"new process.*The last kernels were 0_.*CUDA_LAUNCH_BLOCKING"
    )
    for use in (bad.tolist, lambda: x + 1, lambda: f(x), lambda: put([1]), bad.block_until_ready):
        with pytest.raises(DeviceError, match=match):
            use()
    assert bad.device == "cuda:0"
    bad.delete()
    x.delete()
    np.testing.assert_allclose(f(y), np.cumsum(np.arange(5)) - 4.25)
    assert (wnp.ones(3) + 1).sum() == 6
    assert spare.mistakes == []


FAULTS = [
    ("cuMemAllocAsync", 2),
    ("cuMemHostAlloc", 2),
    ("cuEventCreate", 2),
    ("cuModuleLoadData", 2),
    ("cuModuleGetFunction", 1),
    ("cuMemcpyHtoDAsync_v2", 1),
    ("cuMemcpyDtoHAsync_v2", 1),
    ("cuLaunchKernel", 1),
    ("cuStreamBeginCapture_v2", 1),
    ("cuGraphInstantiateWithFlags", 2),
    ("cuGraphLaunch", 1),
]


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(fault=st.sampled_from(FAULTS), after=st.integers(0, 12), at=st.integers(0, 8))
def test_a_request_that_fails_leaves_the_device_as_it_was(
    library: FakeLibrary, fault: tuple[str, int], after: int, at: int
) -> None:
    """Out of memory or refused, the error says so; later requests and the memory are as before."""
    device = FakeCuda(library)
    registry._found["cuda"] = [device]
    name, status = fault
    x, expected = np.linspace(0, 1, 9, dtype=np.float32), np.linspace(0, 1, 9, dtype=np.float32)
    there = put(x)
    with device.session as session:
        session.finish()
    for n in range(14):
        if n == at:
            library.faults[name] = after, status
        kind = MemoryError if status == 2 else DeviceError
        try:
            there = TURN(put(x), there)[0]
            if n % 2:
                np.testing.assert_allclose(there, np.cumsum(x * 0.5) + expected[::-1], rtol=1e-4)
        except kind as why:
            assert re.search(r"cuda:0 \(a GPU that the host plays\) (has no|refuses)", str(why))
            library.faults.clear()
            there = put(expected)
            continue
        expected = np.cumsum(x * 0.5) + expected[::-1]
    library.faults.clear()
    np.testing.assert_allclose(there, expected, rtol=1e-4)
    del there
    weft.clear_caches()
    gc.collect()
    device.finish()
    device.finish()  # what was let go while kernels used it goes now
    left = library.used, library._graphs, library._modules
    assert left == (0, {}, {}) and library.mistakes == [] and not device.lost


def test_a_driver_that_is_missing_old_or_without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_found", {})
    found: list[Any] = [OSError("none"), object(), FakeLibrary(devices=0)]

    def load(name: str) -> Any:
        assert name == "libcuda.so.1"
        if isinstance(found[0], OSError):
            raise found[0]
        return found[0]

    monkeypatch.setattr(cu.ctypes, "CDLL", load)
    for match in (
        r"needs NVIDIA's driver, whose libcuda\.so\.1 was not found: install",
        r"driver is too old for the device 'cuda', it has no cuInit: install one for CUDA 12",
        r"finds no GPU: CUDA_ERROR_UNKNOWN.*does CUDA_VISIBLE_DEVICES leave one\?",
    ):
        with pytest.raises(DeviceError, match=match):
            wnp.ones(3).to("cuda")
        assert "cuda:0" not in weft.devices()
        del found[0]


def test_the_process_ends_while_work_is_waiting() -> None:
    code = """
import atexit, numpy as np, weft, weft.numpy as wnp
from tests.backends.fake_cuda import FakeCuda, FakeLibrary
from weft.backends import registry
library = FakeLibrary()
registry._found["cuda"] = [FakeCuda(library)]
f = weft.jit(lambda x: wnp.cumsum(x) * 2)
x = weft.device_put(np.ones(5, np.float32), "cuda")
for _ in range(5):
    y = f(x)
atexit.register(lambda: print(len(library.pending) > 5, library.mistakes))
"""
    command = [sys.executable, "-c", code]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (0, "True []\n", "")


# -- the header ------------------------------------------------------------------------------------

_KINDS = {
    "CUdeviceptr": ctypes.c_uint64,
    "CUdevice": ctypes.c_int,
    "size_t": ctypes.c_size_t,
    "int": ctypes.c_int,
    "unsigned int": ctypes.c_uint,
    "unsigned char": ctypes.c_ubyte,
    "unsigned short": ctypes.c_ushort,
    "unsigned long long": ctypes.c_ulonglong,
}


def header() -> str:
    folders = [Path(sysconfig.get_paths()["purelib"]) / "nvidia", Path("/usr/local/cuda/include")]
    found = [path for folder in folders for path in sorted(folder.rglob("cuda.h"))]
    if not found:
        pytest.skip("there is no cuda.h (it comes with the package nvidia-cuda-runtime)")
    return found[-1].read_text()


def test_functions_are_those_of_the_header() -> None:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header(), flags=re.DOTALL)
    for name, kinds in cu.PROTOTYPES.items():
        # Most are declared under the name of a macro for the one that is exported.
        macro = re.search(rf"#\s*define (\w+)\s+(?:__CUDA_API_PT(?:DS|SZ)\()?{name}\b", text)
        base = macro.group(1) if macro else name
        assert macro or not re.search(rf"#\s*define {name}\s+\w", text), name
        declared = re.search(rf"CUresult CUDAAPI {base}\(([^)]*)\);", text)
        assert declared is not None, name
        params = [p.strip() for p in declared.group(1).split(",")]
        assert len(params) == len(kinds), name
        for param, kind in zip(params, kinds, strict=True):
            whole = re.fullmatch(r"(?:const )?(.*?)\s*(\**)\s*\w+", param)
            assert whole is not None, param
            word, stars = whole.groups()
            if stars:
                assert ctypes.sizeof(kind) == 8 and not issubclass(kind, ctypes.c_uint64), param
                target = getattr(kind, "_type_", None)
                if stars == "*" and word in _KINDS and not isinstance(target, str):
                    assert ctypes.sizeof(target) == ctypes.sizeof(_KINDS[word]), param
            elif word in _KINDS:
                assert kind is _KINDS[word], param
            else:  # an enumeration or a handle
                enumeration = re.search(rf"}} {word};", text) is not None
                assert kind is (ctypes.c_int if enumeration else ctypes.c_void_p), param


def test_numbers_are_those_of_the_header() -> None:
    text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header(), flags=re.DOTALL)
    expected = {
        "CUDA_ERROR_OUT_OF_MEMORY": cu.OUT_OF_MEMORY,
        "CUDA_ERROR_NO_DEVICE": cu.NO_DEVICE,
        "CUDA_ERROR_NOT_READY": cu.NOT_READY,
        "CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT": cu.MULTIPROCESSORS,
        "CU_DEVICE_ATTRIBUTE_CLOCK_RATE": cu.CLOCK_KHZ,
        "CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE": cu.MEMORY_CLOCK_KHZ,
        "CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH": cu.MEMORY_BUS_BITS,
        "CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE": cu.L2_BYTES,
        "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR": cu.MAJOR,
        "CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR": cu.MINOR,
        "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR": cu.SHARED_BYTES,
        "CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN": cu.BLOCK_SHARED_BYTES,
        "CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED": cu.HAS_POOLS,
        "CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES": cu.MAX_DYNAMIC_SHARED,
        "CU_STREAM_NON_BLOCKING": cu.STREAM_NON_BLOCKING,
        "CU_EVENT_DISABLE_TIMING": cu.EVENT_DISABLE_TIMING,
        "CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES": cu.POOL_INTERNAL_DEPENDENCIES,
        "CU_MEMPOOL_ATTR_RELEASE_THRESHOLD": cu.POOL_RELEASE_THRESHOLD,
        "CU_STREAM_CAPTURE_MODE_THREAD_LOCAL": cu.CAPTURE_OF_THIS_THREAD,
    }
    known: dict[str, int] = {}
    for body in re.findall(r"typedef enum \w+ {(.*?)}", text, flags=re.DOTALL):
        value = -1
        for name, given_ in re.findall(r"^\s*(CU\w+)(?:\s*=\s*(\w+))?\s*,?\s*$", body, flags=re.M):
            value = int(given_, 0) if given_[:1].isdigit() else known.get(given_, value + 1)
            known[name] = value
    assert {name: known.get(name) for name in expected} == expected
    assert {known[n] for n in known if n.startswith("CUDA_ERROR")} >= cu.LOST
    assert set(ATTRIBUTES) >= {cu.MULTIPROCESSORS, cu.HAS_POOLS, cu.BLOCK_SHARED_BYTES}
