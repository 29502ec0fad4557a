"""Lanes as vectors of one thread, in OpenCL C."""

from __future__ import annotations

from dataclasses import replace

import pytest

import weft
from weft.codegen import opencl
from weft.kernels.ir import Kernel
from weft.kernels.machine import cpu_machine, gpu_machine
from weft.kernels.program import Launch
from weft.planning import plan_program

GRID = gpu_machine("grid", 2, 64, 1 << 20, 100.0)
ON_A_CPU = replace(GRID, processor=cpu_machine(1, 64, (32 << 10, 1 << 20, 32 << 20)))


def product_kernel(dtype: str) -> Kernel:
    x = weft.ShapeDtypeStruct((64, 64), dtype)
    program = plan_program(weft.make_jaxpr(lambda a, b: a @ b)(x, x), machine=ON_A_CPU)
    (launch,) = program.steps
    assert isinstance(launch, Launch)
    return launch.kernel


@pytest.mark.parametrize(("dtype", "vector"), [("float32", "float16"), ("float64", "double16")])
def test_a_product_is_register_tiles_of_vectors(dtype: str, vector: str) -> None:
    kernel = product_kernel(dtype)
    text = opencl.emit_kernel(kernel)
    assert (text.block, kernel.vectors) == (1, True)
    assert text.grid[0] * text.grid[1] * text.grid[2] >= 8
    assert "vload16(0, &" in text.text
    assert "vstore16(" in text.text
    assert f"const {vector} " in text.text
    assert "fma((" in text.text
    assert ".s" not in text.text  # nothing goes through single elements
    assert "barrier" not in text.text


def test_devices_with_threads_of_their_own_have_none() -> None:
    x = weft.ShapeDtypeStruct((64, 64), "float32")
    program = plan_program(weft.make_jaxpr(lambda a, b: a @ b)(x, x), machine=GRID)
    assert not any(s.kernel.vectors for s in program.steps if isinstance(s, Launch))
