"""OpenCL C as text; `tests/backends/test_opencl.py` runs it where there is a driver."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.codegen.gpu_programs import launches, plan_for_gpu, softmax_inputs, softmax_program
from weft.codegen import opencl as text
from weft.kernels.ir import Buffer, Kernel, Load, Map, Store, Var


def test_golden_text(golden: Callable[[str, str], None]) -> None:
    program = plan_for_gpu(softmax_program, softmax_inputs(37))
    golden("softmax.cl", "\n".join(text.emit_kernel(s.kernel).text for s in launches(program)))


def test_scalars_it_has_no_code_for() -> None:
    pair = np.dtype(np.complex64)
    x, y, a = Buffer("x", (), pair), Buffer("y", (), pair, "output"), Var(pair)
    with pytest.raises(TypeError, match="OpenCL code generator has no scalars of dtype complex64"):
        text.emit_kernel(Kernel("pair", (x, y), (), [Load(a, x, ()), Store(y, (), a)]))
    u = np.dtype(np.uint8)
    x, y, a, b = Buffer("x", (), u), Buffer("y", (), u, "output"), Var(u), Var(u)
    body = [Load(a, x, ()), Map(b, "exp", (a,)), Store(y, (), b)]
    with pytest.raises(TypeError, match="OpenCL code generator has no 'exp' for dtype uint8"):
        text.emit_kernel(Kernel("exp", (x, y), (), body))
