"""Kernels and programs on the devices that there are drivers of, beside what they mean."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import weft
from tests.backends.fake_cuda import FakeCuda
from tests.codegen.gpu_programs import (
    attention_inputs,
    causal_attention,
    kernel_cases,
)
from tests.levels import programs as random_programs
from tests.tiles import test_kernels as tile_kernels
from weft import lax
from weft import numpy as wnp
from weft.backends.device import Device
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.staging import trace_to_jaxpr
from weft.errors import DeviceError
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Kernel

KINDS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)


def run_kernel_on(device: Any, kernel: Kernel, given_: dict[Buffer, Any]) -> dict[Buffer, Any]:
    """What `run_kernel` computes, on a device."""
    ((run, scratch),) = device.kernels([kernel])
    memory = {b: device.alloc(device.nbytes(b.shape, b.dtype)) for b in kernel.params}
    for b, data in given_.items():
        device.write(memory[b], np.ascontiguousarray(data))
    run([*(memory[b] for b in kernel.params), *map(device.alloc, scratch)])
    out = {b: np.empty(b.shape, b.dtype) for b in kernel.params if b.role != "input"}
    for b, data in out.items():
        device.read(memory[b], data)
    return out


@pytest.mark.parametrize("case", range(len(kernel_cases())))
def test_corners_of_the_kernel_language(kernel_device: Device, case: int) -> None:
    kernel, arrays = kernel_cases()[case]
    found = run_kernel_on(kernel_device, kernel, arrays)
    for buffer, expected in run_kernel(kernel, arrays).items():
        np.testing.assert_array_equal(found[buffer], expected, buffer.name)


@pytest.mark.parametrize("case", range(len(kernel_cases())))
def test_corners_with_vectors_for_threads(opencl: Device, case: int) -> None:
    kernel, arrays = kernel_cases()[case]
    found = run_kernel_on(opencl, kernel.evolve(vectors=True), arrays)
    for buffer, expected in run_kernel(kernel, arrays).items():
        np.testing.assert_array_equal(found[buffer], expected, buffer.name)


@pytest.mark.parametrize("shape", [(40, 64, 33), (9, 17, 48), (1, 100, 32), (64, 8, 7)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_contractions(wide: Device, shape: tuple[int, int, int], dtype: Any) -> None:
    m, k, n = shape
    a = (np.arange(m * k) % 7 - 3).reshape(m, k).astype(dtype)
    b = (np.arange(n * k) % 5 - 2).reshape(n, k).astype(dtype)
    x, y = weft.device_put((a, b), wide)
    np.testing.assert_array_equal(np.asarray(weft.jit(lambda x, y: x @ y.T + 1)(x, y)), a @ b.T + 1)
    columns = weft.jit(lambda x, y: wnp.maximum(x @ y, 0))(x, weft.device_put(b.T.copy(), wide))
    np.testing.assert_array_equal(np.asarray(columns), np.maximum(a @ b.T, 0))


def test_a_contraction_with_more_after_it(wide: Device) -> None:
    """What follows in the same kernel sees all of the product, not one block's part of it."""
    x = (np.arange(800) % 11 - 5).reshape(100, 8).astype(np.float32) / 8
    y, q = x[:, 0].copy(), x[3].copy()

    def potential(x: Any, y: Any, q: Any) -> Any:
        z = x @ q
        return (wnp.logaddexp(0, z) - y * z).sum() + 0.5 * (q * q).sum()

    slope = weft.jit(weft.grad(potential, argnums=2))
    found = slope(*weft.device_put((x, y, q), wide))
    np.testing.assert_allclose(np.asarray(found), np.asarray(slope(x, y, q)), rtol=1e-5, atol=1e-5)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=random_programs.programs)
def test_random_programs(device: Device, program: random_programs.Program) -> None:
    arrays = random_programs.inputs_of(program)
    closed = trace_to_jaxpr(program, [ShapedArray(x.shape, x.dtype) for x in arrays])
    expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    found = weft.jit(program)(*weft.device_put(arrays, device))
    for a, e in zip(found, expected, strict=True):
        scale = 1 + np.max(np.abs(e), initial=0.0, where=np.isfinite(e))
        np.testing.assert_allclose(a, e, rtol=2e-5, atol=2e-5 * scale)


def test_attention_and_its_gradient(device: Device) -> None:
    q, k, v = attention_inputs(40, 8)
    both = weft.jit(weft.value_and_grad(lambda *a: (causal_attention(*a) ** 2).sum(), (0, 1, 2)))
    value, slopes = both(q, k, v)
    there, found = both(*weft.device_put((q, k, v), device))
    assert there.device == device.name
    np.testing.assert_allclose(there, value, rtol=1e-5)
    for a, e in zip(found, slopes, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_integers(wide: Device, kind: Any) -> None:
    info = np.iinfo(kind)
    x = np.array([0, 1, 7, info.max, info.min, info.max // 3, 100], kind)
    y = np.array([0, 3, 2, info.max, info.max, 5, info.min], kind)

    def f(x: Any, y: Any) -> Any:
        counts = lax.population_count(x), lax.clz(x)
        shifts = lax.shift_left(x, y & 7), lax.shift_right_arithmetic(x, y & 7)
        rest = x + y, x * y, lax.div(x, y), lax.rem(x, y), abs(x), x < y, wnp.sum(x), x ^ y
        return *counts, *shifts, *rest, x.astype(np.float32), (x > 3) & (y < 50)

    for a, e in zip(weft.jit(f)(*weft.device_put((x, y), wide)), weft.jit(f)(x, y), strict=True):
        assert a.dtype == e.dtype
        np.testing.assert_array_equal(a, e)


def test_sums_scans_gathers_and_sorting(device: Device) -> None:
    rng = np.random.default_rng(0)
    x, i = rng.standard_normal((33, 70)).astype(np.float32), rng.integers(0, 33, 50, np.int32)

    def f(x: Any, i: Any) -> Any:
        y = wnp.cumsum(x, axis=0)
        z = wnp.zeros(33).at[i].add(x[i, 3])
        ranks = wnp.argsort(x[:, 0]), wnp.sort(x, axis=1), x.argmax(1)
        return y, z, *ranks, wnp.linalg.inv(x[:4, :4] + 3 * wnp.eye(4)), wnp.fft.fft(x[0])

    for a, e in zip(weft.jit(f)(*weft.device_put((x, i), device)), weft.jit(f)(x, i), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


def test_double_precision_where_there_is_some(wide: Device) -> None:
    x = np.linspace(0, 1, 50)
    if not wide.supports(x.dtype):
        with pytest.raises(TypeError, match="does not compute with float64"):
            weft.device_put(x, wide)
        return
    found = wnp.exp(weft.device_put(x, wide)) / 3
    assert found.device == wide.name
    np.testing.assert_allclose(found, np.exp(x) / 3, rtol=1e-14)


def test_normal_numbers(wide: Device) -> None:
    f = weft.jit(lambda: weft.random.normal(weft.random.key(3), (1000,)), device=wide.name)
    expected = weft.random.normal(weft.random.key(3), (1000,))
    np.testing.assert_allclose(f(), expected, rtol=1e-5, atol=1e-6)


def test_random_numbers_have_the_same_bits(wide: Device) -> None:
    def f(key: Any) -> Any:
        a, b = weft.random.split(key)
        return weft.random.bits(a, (50,)), weft.random.uniform(b, (3, 4))

    expected = weft.jit(f)(weft.random.key(3))
    with weft.default_device(wide):
        found = weft.jit(f)(weft.random.key(3))
    assert found[0].device == wide.name
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, e)


def test_raw_keys_where_integers_have_32_bits(webgpu: Device) -> None:
    with pytest.raises(
        TypeError, match=r"with key<fry>.*Convert it first \(weft\.random\.key_data"
    ):
        weft.jit(lambda: weft.random.key(3), device=webgpu.name)()
    expected = weft.random.normal(weft.random.PRNGKey(3), (40,))
    with weft.default_device(webgpu):
        found = weft.random.normal(weft.random.PRNGKey(3), (40,))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_more_memory_than_there_is(device: Device) -> None:
    with pytest.raises(MemoryError, match=rf"{device.name} .* has no 1,125,899,906,842,624 bytes"):
        device.alloc(1 << 50)


BROKEN = {
    "opencl": ("weft.codegen.opencl._OpenCL.loop", "refuses one of the kernels 0_"),
    "webgpu": ("weft.codegen.wgsl._Wgsl.loop", "refuses the kernel 0_"),
    "wasm": ("weft.backends.wasm.WasmObject.module", "refuses a program"),
    "cuda": ("weft.codegen.cuda._Cuda.loop", "refuses the kernel 0_"),
}


def test_a_kernel_that_the_driver_refuses(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    method, message = BROKEN[device.name.partition(":")[0]]
    x = weft.device_put(np.ones((3, 5), np.float32), device)
    with monkeypatch.context() as broken:
        broken.setattr(method, lambda *_, **__: "no such thing")
        if isinstance(device, FakeCuda):
            broken.setattr(device, "compiles", True)
        with pytest.raises(DeviceError, match=f"{device.name} .*{message}"):
            weft.jit(lambda x: x.sum(0) * 1.25 - 7)(x)
    assert (x + 1).sum().tolist() == 30


def test_arrays_on_two_real_devices(opencl: Device, webgpu: Device) -> None:
    a, b = (weft.device_put(np.ones(3, np.float32), d) for d in (opencl, webgpu))
    with pytest.raises(ValueError, match=rf"on {opencl.name} and f32\[3\] on {webgpu.name}"):
        a + b
    assert (a + b.to(opencl.name)).tolist() == [2, 2, 2]


def test_what_webgpu_does_not_have(webgpu: Device) -> None:
    for kind in (np.float64, np.int64, np.int8, np.uint64, np.complex128):
        with pytest.raises(TypeError, match=f"does not compute with {np.dtype(kind)}"):
            weft.device_put(np.ones(3, kind), webgpu)


def test_many_arrays_on_webgpu(webgpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is more than a kernel may have is put together for it."""
    monkeypatch.setitem(webgpu._limits, "max-storage-buffers-per-shader-stage", 4)
    arrays = [np.full(3, n, np.float32) for n in range(20)]
    counts = [np.arange(3, dtype=np.int32) + n for n in range(4)]

    def sums(xs: Any, ns: Any) -> Any:
        total = sum(xs[1:], xs[0]) + sum(ns)
        return total, total + xs[0], total * 2

    found = weft.jit(sums)(*weft.device_put((arrays, counts), webgpu))
    for a, e in zip(found, sums(arrays, counts), strict=True):
        np.testing.assert_array_equal(np.asarray(a), e)
    monkeypatch.setitem(webgpu._limits, "max-storage-buffers-per-shader-stage", 1)
    with pytest.raises(DeviceError, match=r"binds 1 buffers to a kernel, and .* has 2: compute"):
        weft.jit(lambda x: x * 3)(weft.device_put(arrays[1], webgpu))


@pytest.mark.parametrize("name", tile_kernels.CASES)
def test_kernels_of_the_users(device: Device, name: str) -> None:
    kernel, arguments, expected = tile_kernels.CASES[name]
    tile_kernels.close(kernel(*weft.device_put(arguments, device)), expected(*arguments))


def test_profiles_have_a_row_for_each_step_or_for_the_program(device: Device) -> None:
    x = weft.device_put(np.arange(12, dtype=np.float32), device.name)
    f = weft.jit(lambda x: wnp.cumsum(wnp.exp(-x)) * 2)
    expected = np.asarray(f(x))
    with weft.profile() as found:
        result = f(x)
    np.testing.assert_array_equal(np.asarray(result), expected)
    (run,) = found.runs
    assert run.calls.sum() == len(run.events) > 0
    rows = found.kernels
    assert {row.kind for row in rows} <= {"kernel", "copy", "program"}
    assert any(row.lines and row.lines[0].file == __file__ for row in rows)
    assert len(str(found).splitlines()) > len(rows)
