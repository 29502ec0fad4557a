"""Code for narrower processors than this one: shorter vectors, no FMA, no native half types."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
import pytest

from tests.compiled.agreement import EVERY, FLOATS, HALF, assert_close, operands
from weft import lax
from weft import numpy as wnp
from weft.codegen.program_llvm import emit_program, uses_pool
from weft.codegen.scalar_llvm import Target
from weft.compile import plan_program
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.staging import trace_to_jaxpr
from weft.runtime.buffer import Buffer
from weft.runtime.executable import NativeProgram
from weft.runtime.native import compile_module

X86 = platform.machine() in ("x86_64", "AMD64")
TARGETS = {
    "avx2": Target(32, frozenset(["sse4.1", "avx", "avx2", "fma"])),
    "sse2": Target(16),
    "neon": Target(16, frozenset(["neon", "fp-armv8"]), "aarch64"),
}


@pytest.fixture(params=TARGETS)
def target(request: pytest.FixtureRequest) -> Target:
    """A target whose instructions this machine has."""
    if (request.param == "neon") == X86:
        pytest.skip("this processor cannot run that code")
    return TARGETS[request.param]


def agree(target: Target, function: Any, arrays: list[np.ndarray], units: float) -> None:
    """Compile ``function`` as for ``target``, run it here and compare it with its meaning."""
    closed = trace_to_jaxpr(function, [ShapedArray(x.shape, x.dtype) for x in arrays])
    program = plan_program(closed)
    native = NativeProgram(
        compile_module(emit_program(program, target), verify=True),
        input_nbytes=[s.nbytes for s in program.inputs],
        output_nbytes=[s.nbytes for s in program.outputs],
        constants=[Buffer.from_numpy(np.asarray(s.data)) for s in program.constants],
        arena_nbytes=program.arena_bytes,
        uses_pool=uses_pool(program),
        seconds=0.0,
    )
    results = native([Buffer.from_numpy(x) for x in arrays])
    with np.errstate(all="ignore"):
        expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    for buffer, want in zip(results, expected, strict=True):
        actual = buffer.as_numpy(want.shape, want.dtype)
        assert_close(actual, np.asarray(want), units, scale=8 if units else 0)


@pytest.mark.parametrize("dtype", EVERY, ids=str)
def test_conversions(target: Target, dtype: np.dtype) -> None:
    [x] = operands([dtype], 3_001)
    agree(target, lambda x: [x.astype(d) for d in EVERY], [x], 0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_floating_point(target: Target, dtype: np.dtype) -> None:
    def program(x: Any, y: Any) -> list[Any]:
        exact = [x + y, x * y, x / y, wnp.floor(x), wnp.round(y), lax.nextafter(x, y), wnp.sqrt(x)]
        return [*exact, lax.lt(x, y), lax.max(x, y), lax.rem(x, y), lax.is_finite(x)]

    agree(target, program, operands([dtype, dtype], 3_001), 0)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_every_value_of_a_half_type_survives(target: Target, dtype: np.dtype) -> None:
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    agree(target, lambda x: [x.astype(np.float32), x.astype(np.float32).astype(dtype)], [x], 0)


def test_reductions_and_products(target: Target) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(s).astype(np.float32) for s in ((37, 53), (53, 29)))

    def program(x: Any, y: Any) -> list[Any]:
        shifted = lax.exp(lax.sub(x, lax.broadcast_in_dim(lax.reduce_max(x, (1,)), x.shape, (0,))))
        return [shifted, lax.dot(x, y), lax.reduce_sum(x, (0,)), lax.argmax(x, 1), lax.cumsum(x)]

    agree(target, program, [x, y], 8)
