"""Several parameters of a kernel in one buffer: the kernel computes the same."""

from __future__ import annotations

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Kernel
from weft.kernels.machine import gpu_machine
from weft.kernels.packing import pack
from weft.kernels.program import Launch
from weft.planning import plan_program

GPU = gpu_machine("gpu", 8, 32, 16384, 100.0)


def many() -> Kernel:
    xs = [weft.ShapeDtypeStruct((n, 6), "float32") for n in (5, 1, 5, 5, 1)]
    rows = [weft.ShapeDtypeStruct((6,), "int32")] * 3

    def f(xs: list, rows: list) -> tuple:
        total = sum(xs) * sum(rows)
        return total, total + 1, wnp.sin(total), rows[0] + total

    program = plan_program(weft.make_jaxpr(f)(xs, rows), machine=GPU)
    kernels = [s.kernel for s in program.steps if isinstance(s, Launch)]
    return max(kernels, key=lambda kernel: len(kernel.params))


@pytest.mark.parametrize("most", [12, 9, 6, 4, 3])
def test_it_computes_the_same(most: int) -> None:
    kernel = many()
    packed = pack(kernel, most)
    assert len(packed.kernel.params) <= most
    assert sorted(p for parts in packed.parts for p, _ in parts) == list(range(len(kernel.params)))
    assert packed.kernel is kernel or len(packed.kernel.params) == most
    check_kernel(packed.kernel)
    given = {
        b: (np.arange(b.size) % 7).reshape(b.shape).astype(b.dtype)
        for b in kernel.params
        if b.role == "input"
    }
    expected = run_kernel(kernel, given)
    arguments = {}
    for whole, parts in zip(packed.kernel.params, packed.parts, strict=True):
        if whole.role == "input":
            data = np.concatenate([given[kernel.params[p]].ravel() for p, _ in parts])
            arguments[whole] = data.reshape(whole.shape)
    found = run_kernel(packed.kernel, arguments)
    for whole, parts in zip(packed.kernel.params, packed.parts, strict=True):
        for p, at in parts:
            buffer = kernel.params[p]
            if buffer.role != "input":
                part = found[whole].ravel()[at : at + buffer.size].reshape(buffer.shape)
                np.testing.assert_array_equal(part, expected[buffer])


def test_there_is_an_end_to_packing() -> None:
    kernel = many()
    kinds = {(b.dtype, b.role) for b in kernel.params}
    assert len(pack(kernel, 1).kernel.params) == len(kinds) >= 2
