"""Default schedules for a GPU: what becomes threads and what the grid; the meaning stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from tests.codegen.gpu_programs import (
    F32,
    GPU,
    launches,
    plan_for_gpu,
    run_program,
)
from tests.levels import programs as random_programs
from weft import lax
from weft.codegen import cuda
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.staging import trace_to_jaxpr
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, For, Kernel, Load, Stmt, Store, Var, loops
from weft.kernels.print import print_kernel
from weft.kernels.strategy_gpu import schedule
from weft.terms.affine import Axis


def planned(function: Any, *shapes: tuple[int, ...]) -> Any:
    """The only kernel of a function of float32 arrays."""
    (step,) = launches(plan_for_gpu(function, [np.zeros(s, F32) for s in shapes]))
    return step.kernel


def parallel(kernel: Any) -> list[tuple[int, int, int]]:
    return [(x.lo, x.hi, x.step) for x in loops(kernel.body) if x.kind == "parallel"]


def test_a_long_array_is_cut_into_blocks_and_a_remainder() -> None:
    kernel = planned(lambda x: [lax.exp(x)], (100,))
    assert parallel(kernel) == [(0, 96, 32), (96, 100, 4)]
    text = cuda.emit_kernel(kernel)
    assert (text.grid, text.block) == ((3, 1, 1), 32)


def test_rows_are_blocks_and_columns_threads() -> None:
    kernel = planned(lambda x: [lax.transpose(x, (1, 0, 2))], (6, 5, 20))
    assert parallel(kernel) == [(0, 5, 1), (0, 6, 1)]
    assert cuda.emit_kernel(kernel).grid == (5, 6, 1)


def test_threads_follow_the_contiguous_axis() -> None:
    kernel = planned(lambda x: [lax.reduce_sum(x, axes=(0,))], (9, 20))
    assert [a.extent for a in kernel.lanes] == [20]
    assert "fold add carrying" in print_kernel(kernel)  # one thread per column, no reduction
    kernel = planned(lambda x: [lax.reduce_sum(x, axes=(1,))], (9, 20))
    assert "over" in print_kernel(kernel) and parallel(kernel) == [(0, 9, 1)]


def test_one_block_reduces_what_has_no_outer_loop() -> None:
    kernel = planned(lambda x: [lax.reduce_max(x, axes=(0,))], (100,))
    assert parallel(kernel) == []
    assert cuda.emit_kernel(kernel).grid == (1, 1, 1)


def test_a_nest_that_another_one_needs_is_not_spread_over_blocks() -> None:
    i, j = Axis("i", 64), Axis("j", 64)
    x, y = Buffer("x", (64,), F32), Buffer("y", (64,), F32, "output")
    z = Buffer("z", (64,), F32, "output")
    a, b = Var(F32), Var(F32)
    body: list[Stmt] = [
        For(i, 0, 64, 1, [Load(a, x, (i.expr,)), Store(y, (i.expr,), a)]),
        For(j, 0, 64, 1, [Load(b, y, (63 - j.expr,)), Store(z, (j.expr,), b)]),
    ]
    kernel = schedule(Kernel("reverse", (x, y, z), (), body), GPU)
    check_kernel(kernel)
    first, second = kernel.body
    assert isinstance(first, For) and first.kind == "serial"
    assert isinstance(second, For) and second.kind == "parallel"
    assert cuda.emit_kernel(kernel).text.count("__syncthreads();") == 1


def test_a_product_shares_what_threads_load_among_rows() -> None:
    kernel = planned(lambda x, w: [x @ w], (64, 70), (70, 32))
    widest = max((v for s in loops(kernel.body) for v in tiles(s)), key=lambda v: len(v.axes))
    assert sorted(a.extent for a in widest.axes) == [4, 32]


def tiles(loop: For) -> list[Any]:
    return [c.var for x in loops([loop]) for c in x.carries]


@settings(max_examples=40)
@given(random_programs.programs)
def test_schedules_keep_the_meaning(program: random_programs.Program) -> None:
    arrays = random_programs.inputs_of(program)
    closed = trace_to_jaxpr(program, [ShapedArray(x.shape, x.dtype) for x in arrays])
    expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    actual = run_program(plan_for_gpu(program, arrays), arrays, run_kernel)
    for a, e in zip(actual, expected, strict=True):
        scale = 1 + np.max(np.abs(e), initial=0.0, where=np.isfinite(e))
        np.testing.assert_allclose(a, e, rtol=2e-5, atol=2e-5 * scale)


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33])
def test_edges(n: int) -> None:
    program = plan_for_gpu(lambda x: [lax.neg(x)], [np.zeros(n, F32)])
    (result,) = run_program(program, [np.arange(n, dtype=F32)], run_kernel)
    np.testing.assert_array_equal(result, -np.arange(n, dtype=F32))
    assert all(cuda.emit_kernel(s.kernel).block <= GPU.block for s in launches(program))
