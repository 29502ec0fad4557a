"""Code for narrower processors than this one: shorter vectors, no FMA, no native half types."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import weft
from tests.compiled.agreement import EVERY, FLOATS, HALF, assert_close, operands
from weft import lax
from weft import numpy as wnp
from weft.codegen.program_llvm import uses_pool
from weft.compile import emit_llvm
from weft.config import config
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.staging import trace_to_jaxpr
from weft.planning import plan_program
from weft.runtime.buffer import Buffer
from weft.runtime.executable import NativeProgram
from weft.runtime.native import CPU, compile_module, host_cpu
from weft.runtime.processors import WIDTHS, narrowed, target_cpu


def able(name: str) -> bool:
    """Whether this machine can run code of that width."""
    try:
        narrowed(host_cpu(), name)
    except ValueError:
        return False
    return True


@pytest.fixture(params=[name for name in WIDTHS if able(name)])
def cpu(request: pytest.FixtureRequest) -> CPU:
    """This processor, with the instructions of a narrower one."""
    return narrowed(host_cpu(), request.param)


def agree(cpu: CPU, function: Any, arrays: list[np.ndarray], units: float) -> None:
    """Compile ``function`` as for ``cpu``, run it here and compare it with its meaning."""
    closed = trace_to_jaxpr(function, [ShapedArray(x.shape, x.dtype) for x in arrays])
    program = plan_program(closed, cpu)
    native = NativeProgram(
        compile_module(emit_llvm(program, cpu), cpu, verify=True),
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
def test_conversions(cpu: CPU, dtype: np.dtype) -> None:
    [x] = operands([dtype], 3_001)
    agree(cpu, lambda x: [x.astype(d) for d in EVERY], [x], 0)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_floating_point(cpu: CPU, dtype: np.dtype) -> None:
    def program(x: Any, y: Any) -> list[Any]:
        exact = [x + y, x * y, x / y, wnp.floor(x), wnp.round(y), lax.nextafter(x, y), wnp.sqrt(x)]
        return [*exact, lax.lt(x, y), lax.max(x, y), lax.rem(x, y), lax.is_finite(x)]

    agree(cpu, program, operands([dtype, dtype], 3_001), 0)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_every_value_of_a_half_type_survives(cpu: CPU, dtype: np.dtype) -> None:
    x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
    agree(cpu, lambda x: [x.astype(np.float32), x.astype(np.float32).astype(dtype)], [x], 0)


def test_reductions_and_products(cpu: CPU) -> None:
    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal(s).astype(np.float32) for s in ((37, 53), (53, 29)))

    def program(x: Any, y: Any) -> list[Any]:
        shifted = lax.exp(lax.sub(x, lax.broadcast_in_dim(lax.reduce_max(x, (1,)), x.shape, (0,))))
        return [shifted, lax.dot(x, y), lax.reduce_sum(x, (0,)), lax.argmax(x, 1), lax.cumsum(x)]

    agree(cpu, program, [x, y], 8)


@pytest.mark.parametrize("dtype", HALF, ids=str)
def test_half_types_are_chosen_and_moved(cpu: CPU, dtype: np.dtype) -> None:
    """Without conversions: those would be calls, of functions that nobody has."""

    def program(x: Any, y: Any) -> list[Any]:
        chosen = wnp.where(lax.lt(x, y), x, y)
        return [chosen, x.T, wnp.flip(x), x[::3], x[:, 1:].sum(1), x[np.array([3, 1])], x.max(0)]

    rng = np.random.default_rng(0)
    agree(cpu, program, [rng.standard_normal((37, 70)).astype(dtype) for _ in range(2)], 2)


def test_a_processor_is_not_widened() -> None:
    host = replace(host_cpu(), features="+sse,+sse2,+cx8,+cmov,+fxsr", name="old")
    if host.architecture == "x86_64":
        with pytest.raises(ValueError, match=r"\(old\) has no 'avx2'; weft.* 'native' or 'sse2'$"):
            narrowed(host, "avx2")
    with pytest.raises(ValueError, match="has no"):
        narrowed(host_cpu(), "avx2" if host.architecture == "aarch64" else "neon")


def test_the_setting_holds_for_what_is_compiled_afterwards() -> None:
    name = next(filter(able, WIDTHS))
    before = config.cpu
    f = weft.jit(lambda x: wnp.exp(x).sum())
    x = np.ones(100, np.float32)
    wide = f(x)
    try:
        config.cpu = name
        assert target_cpu() == narrowed(host_cpu(), name)
        np.testing.assert_allclose(f(x), wide, rtol=1e-6)
        with pytest.raises(ValueError, match=r"config\.cpu is one of 'native', 'sse2'"):
            config.cpu = "z80"
    finally:
        config.cpu = before
