"""Programs on the first OpenCL device."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import weft
from tests.codegen.gpu_programs import (
    attention_inputs,
    causal_attention,
    kernel_cases,
)
from tests.levels import programs as random_programs
from weft import lax
from weft import numpy as wnp
from weft.backends.device import Device
from weft.codegen import opencl as text
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.staging import trace_to_jaxpr
from weft.errors import DeviceError
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Kernel

KINDS = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)


def run_kernel_on(device: Device, kernel: Kernel, given_: dict[Buffer, Any]) -> dict[Buffer, Any]:
    """What `run_kernel` computes, on a device."""
    ((run, scratch),) = device.kernels([kernel])
    memory = {b: device.alloc(b.extent * b.dtype.itemsize) for b in kernel.params}
    for b, data in given_.items():
        device.write(memory[b], np.ascontiguousarray(data))
    run([*(memory[b] for b in kernel.params), *map(device.alloc, scratch)])
    out = {b: np.empty(b.shape, b.dtype) for b in kernel.params if b.role != "input"}
    for b, data in out.items():
        device.read(memory[b], data)
    return out


@pytest.mark.parametrize("case", range(len(kernel_cases())))
def test_corners_of_the_kernel_language(opencl: Device, case: int) -> None:
    kernel, arrays = kernel_cases()[case]
    found = run_kernel_on(opencl, kernel, arrays)
    for buffer, expected in run_kernel(kernel, arrays).items():
        np.testing.assert_array_equal(found[buffer], expected, buffer.name)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(program=random_programs.programs)
def test_random_programs(opencl: Device, program: random_programs.Program) -> None:
    arrays = random_programs.inputs_of(program)
    closed = trace_to_jaxpr(program, [ShapedArray(x.shape, x.dtype) for x in arrays])
    expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    found = weft.jit(program)(*weft.device_put(arrays, opencl))
    for a, e in zip(found, expected, strict=True):
        scale = 1 + np.max(np.abs(e), initial=0.0, where=np.isfinite(e))
        np.testing.assert_allclose(a, e, rtol=2e-5, atol=2e-5 * scale)


def test_attention_and_its_gradient(opencl: Device) -> None:
    q, k, v = attention_inputs(40, 8)
    both = weft.jit(weft.value_and_grad(lambda *a: (causal_attention(*a) ** 2).sum(), (0, 1, 2)))
    value, slopes = both(q, k, v)
    there, found = both(*weft.device_put((q, k, v), opencl))
    assert there.device == opencl.name
    np.testing.assert_allclose(there, value, rtol=1e-5)
    for a, e in zip(found, slopes, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_integers(opencl: Device, kind: Any) -> None:
    info = np.iinfo(kind)
    x = np.array([0, 1, 7, info.max, info.min, info.max // 3, 100], kind)
    y = np.array([0, 3, 2, info.max, info.max, 5, info.min], kind)

    def f(x: Any, y: Any) -> Any:
        counts = lax.population_count(x), lax.clz(x)
        shifts = lax.shift_left(x, y & 7), lax.shift_right_arithmetic(x, y & 7)
        rest = x + y, x * y, lax.div(x, y), lax.rem(x, y), abs(x), x < y, wnp.sum(x), x ^ y
        return *counts, *shifts, *rest, x.astype(np.float32), (x > 3) & (y < 50)

    for a, e in zip(weft.jit(f)(*weft.device_put((x, y), opencl)), weft.jit(f)(x, y), strict=True):
        assert a.dtype == e.dtype
        np.testing.assert_array_equal(a, e)


def test_sums_scans_gathers_and_sorting(opencl: Device) -> None:
    rng = np.random.default_rng(0)
    x, i = rng.standard_normal((33, 70)).astype(np.float32), rng.integers(0, 33, 50)

    def f(x: Any, i: Any) -> Any:
        y = wnp.cumsum(x, axis=0)
        z = wnp.zeros(33).at[i].add(x[i, 3])
        ranks = wnp.argsort(x[:, 0]), wnp.sort(x, axis=1), x.argmax(1)
        return y, z, *ranks, wnp.linalg.inv(x[:4, :4] + 3 * wnp.eye(4)), wnp.fft.fft(x[0])

    for a, e in zip(weft.jit(f)(*weft.device_put((x, i), opencl)), weft.jit(f)(x, i), strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)


def test_double_precision_where_there_is_some(opencl: Device) -> None:
    x = np.linspace(0, 1, 50)
    if not opencl.supports(x.dtype):
        with pytest.raises(TypeError, match="does not compute with float64"):
            weft.device_put(x, opencl)
        return
    found = wnp.exp(weft.device_put(x, opencl)) / 3
    assert found.device == opencl.name
    np.testing.assert_allclose(found, np.exp(x) / 3, rtol=1e-14)


def test_more_memory_than_there_is(opencl: Device) -> None:
    with pytest.raises(MemoryError, match=rf"{opencl.name} .* has no 1,125,899,906,842,624 bytes"):
        opencl.alloc(1 << 50)


def test_a_kernel_that_the_driver_refuses(opencl: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "PREAMBLE", "no such thing;\n")
    with pytest.raises(DeviceError, match=rf"{opencl.name} refuses one of the kernels 0_"):
        weft.jit(lambda x: x * 1.25 - 7)(weft.device_put(np.ones(3, np.float32), opencl))
    monkeypatch.undo()
    assert (weft.device_put(np.ones(3, np.float32), opencl) + 1).tolist() == [2, 2, 2]
