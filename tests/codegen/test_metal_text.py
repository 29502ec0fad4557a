"""Metal's language: golden text, and the functions that it lacks; `test_cuda_text` runs kernels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import special

from tests.codegen.gpu_programs import launches, plan_for_gpu, softmax_inputs, softmax_program
from tests.codegen.simulate import HostLibrary, needs_gxx
from weft.codegen import metal
from weft.kernels.ir import Buffer, Const, For, Kernel, Load, Map, Store, Var
from weft.terms.affine import Affine, Axis

F32 = np.dtype(np.float32)
#: What an operation is to compute, over which numbers, and how far it may be off, in units.
FUNCTIONS = {
    "log1p": (np.log1p, np.linspace(-0.99, 6, 999), 3),
    "expm1": (np.expm1, np.linspace(-30, 20, 999), 3),
    "erf": (special.erf, np.linspace(-5, 5, 999), 3),
    "erfc": (special.erfc, np.linspace(-4, 4, 999), 60),
    "erf_inv": (special.erfinv, np.linspace(-0.999, 0.999, 999), 8),
    "cbrt": (np.cbrt, np.linspace(-100, 100, 999), 2),
    "nextafter": (lambda x: np.nextafter(x, F32.type(1)), np.linspace(-2, 2, 999), 0),
    "rsqrt": (lambda x: 1 / np.sqrt(x), np.linspace(0.01, 100, 999), 2),
}


def test_golden_text(golden: Callable[[str, str], None]) -> None:
    program = plan_for_gpu(softmax_program, softmax_inputs(37))
    golden("softmax.metal", metal.source([metal.emit_kernel(s.kernel) for s in launches(program)]))


def mapped(op: str, count: int) -> Kernel:
    x, y = Buffer("x", (count,), F32), Buffer("y", (count,), F32, "output")
    i = Axis("i", count)
    a, b, one = Var(F32), Var(F32), Var(F32)
    operands = (a, one) if op == "nextafter" else (a,)
    at = (Affine.of(i),)
    body = [Const(one, 1.0), Load(a, x, at), Map(b, op, operands), Store(y, at, b)]
    return Kernel(f"apply_{op}", (x, y), (), [For(i, 0, count, 1, body)])


@needs_gxx
def test_functions_that_it_lacks(tmp_path: Path) -> None:
    kernels = {op: mapped(op, len(xs)) for op, (_, xs, _) in FUNCTIONS.items()}
    texts = {op: metal.emit_kernel(kernel) for op, kernel in kernels.items()}
    library = HostLibrary(list(texts.values()), tmp_path, "metal")
    for op, (exact, xs, units) in FUNCTIONS.items():
        x = xs.astype(F32)
        (found,) = library.run(texts[op], {kernels[op].params[0]: x}).values()
        expected = exact(x.astype(np.float64 if op != "nextafter" else F32)).astype(F32)
        error = np.abs(found.astype(np.float64) - expected) / np.spacing(np.abs(expected))
        assert error.max() <= units, (op, x[error.argmax()], error.max())


def test_scalars_it_has_no_code_for() -> None:
    for dtype in (np.float64, np.float16):
        x, y = Buffer("x", (), np.dtype(dtype)), Buffer("y", (), np.dtype(dtype), "output")
        a = Var(np.dtype(dtype))
        with pytest.raises(TypeError, match=r"Metal code generator has no scalars of dtype float"):
            metal.emit_kernel(Kernel("wide", (x, y), (), [Load(a, x, ()), Store(y, (), a)]))
