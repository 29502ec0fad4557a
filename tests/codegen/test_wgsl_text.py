"""WGSL: golden text, validated where wgpu is installed, and what the language has not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.codegen.gpu_programs import (
    GPU,
    arg_of_largest,
    conversions,
    gather,
    kernel_cases,
    launches,
    plan_for_gpu,
    reverse_through_scratch,
    softmax_gradient,
    softmax_inputs,
    softmax_program,
)
from weft.codegen import wgsl
from weft.kernels.ir import Buffer, Kernel, Load, Map, Store, Var
from weft.terms.affine import Affine

PROGRAMS = {
    "softmax": (softmax_program, softmax_inputs(37)),
    "softmax_gradient": (softmax_gradient, softmax_inputs(9, gradient=True)),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden_text(name: str, golden: Callable[[str, str], None]) -> None:
    program = plan_for_gpu(*PROGRAMS[name])
    golden(f"{name}.wgsl", "\n".join(wgsl.emit_kernel(s.kernel).text for s in launches(program)))


def device() -> Any:
    """A WebGPU device; skips the test where there is none."""
    wgpu = pytest.importorskip("wgpu")
    try:
        adapter = wgpu.gpu.request_adapter_sync()
    except RuntimeError as error:
        pytest.skip(f"no WebGPU adapter: {error}")
    return adapter.request_device_sync()


def test_wgpu_accepts_it() -> None:
    gpu = device()
    kernels = [s.kernel for p in PROGRAMS.values() for s in launches(plan_for_gpu(*p))]
    kernels += [kernel for kernel, _ in kernel_cases()]
    for kernel in kernels:
        gpu.create_shader_module(code=wgsl.emit_kernel(kernel).text)


def test_a_workgroup_fits_what_every_device_has() -> None:
    program = plan_for_gpu(*PROGRAMS["softmax_gradient"])
    assert all(wgsl.emit_kernel(s.kernel).block <= GPU.block for s in launches(program))


def test_threads_beyond_a_lane_axis_touch_nothing() -> None:
    text = wgsl.emit_kernel(gather()).text
    assert "@compute @workgroup_size(32)" in text
    assert "  if (lane < 11) {\n    t0 = chosen[lane];\n  }" in text
    assert "table[clamp(t0, 0, 5) * 3 + 1]" in text
    assert "array<u32>" in text and "keep[lane] != 0u" in text


def test_scratch_is_shared_where_lanes_meet_and_private_where_not() -> None:
    text = wgsl.emit_kernel(reverse_through_scratch()).text
    assert "var<workgroup> row: array<f32, 19>;" in text
    assert "var<private> total: array<f32, 3>;" in text
    assert text.count("workgroupBarrier();") == 2


def test_nan_is_told_by_its_bits() -> None:
    text = wgsl.emit_kernel(conversions()).text
    assert "select(t1, t0, t0 > t1 || weft_nan(t0))" in text
    limited = "select(i32(t0), i32(2147483647), t0 >= 2147483648.0f)"
    assert f"select({limited}, i32(0), weft_nan(t0))" in text
    text = wgsl.emit_kernel(arg_of_largest()).text
    assert "fold0[lane] != fold0[lane]" not in text and "weft_nan(fold0[lane])" in text


def double(dtype: np.dtype) -> Kernel:
    """``y = x + x`` on one element."""
    x, y = Buffer("x", (1,), dtype), Buffer("y", (1,), dtype, "output")
    a, b = Var(dtype), Var(dtype)
    at = (Affine((), 0),)
    return Kernel("k", (x, y), (), [Load(a, x, at), Map(b, "add", (a, a)), Store(y, at, b)])


@pytest.mark.parametrize(
    ("dtype", "instead"),
    [("float64", "float32"), ("int64", "int32"), ("uint64", "uint32"), ("int8", "int32")],
)
def test_wgsl_has_no_wide_or_narrow_types(dtype: str, instead: str) -> None:
    message = f"WGSL has no {dtype}: convert to {instead}, or use a device that has it"
    with pytest.raises(TypeError, match=message):
        wgsl.emit_kernel(double(np.dtype(dtype)))


def test_names_are_never_words_of_the_language() -> None:
    kernel = double(np.dtype(np.float32))
    for buffer, name in zip(kernel.params, ("target", "array"), strict=True):
        buffer.name = name
    text = wgsl.emit_kernel(kernel).text
    assert "target_1: array<f32>" in text and "array_1: array<f32>" in text


def test_functions_come_with_those_that_they_call() -> None:
    kernel = double(np.dtype(np.float32))
    load, add, store = kernel.body
    assert isinstance(add, Map)
    inverse = Map(add.out, "erf_inv", add.args[:1])
    text = wgsl.emit_kernel(kernel.evolve(body=[load, inverse, store])).text
    assert text.index("fn weft_bits(") < text.index("fn weft_erf_inv(") < text.index("fn k_k(")
    assert "fn weft_pow(" not in text


def test_operations_without_code_are_named() -> None:
    kernel = double(np.dtype(np.float32))
    load, add, store = kernel.body
    assert isinstance(add, Map)
    wrong = Map(add.out, "nextafter", add.args)
    with pytest.raises(TypeError, match="the WGSL code generator has no 'nextafter' for dtype"):
        wgsl.emit_kernel(kernel.evolve(body=[load, wrong, store]))
