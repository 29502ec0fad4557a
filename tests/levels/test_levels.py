"""All levels mean the same: NumPy, jaxpr, terms, kernels and machine code on random programs."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings

from tests.levels import programs as random_programs
from weft.compile import Executable, compile_jaxpr
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.jaxpr import ClosedJaxpr
from weft.core.staging import trace_to_jaxpr
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.program import Copy, Launch, Program, Slot
from weft.terms.check import check_program
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.tensor import with_parts


def trace(function: Any, arrays: list[np.ndarray]) -> ClosedJaxpr:
    """The jaxpr of ``function`` at the types of ``arrays``."""
    return trace_to_jaxpr(function, [ShapedArray(x.shape, x.dtype) for x in arrays])


def run_launches(program: Program, arrays: list[np.ndarray]) -> list[np.ndarray]:
    """A program without control flow, by the kernels' interpreter."""
    parts = map(with_parts, arrays)
    memory: dict[Slot, np.ndarray] = dict(zip(program.inputs, parts, strict=True))
    memory.update((s, np.asarray(s.data)) for s in program.constants)
    for step in program.steps:
        if isinstance(step, Copy):
            memory[step.target] = memory[step.source]
            continue
        assert isinstance(step, Launch)
        bound = dict(zip(step.kernel.params, step.slots, strict=True))
        given_ = {b: memory[s] for b, s in bound.items() if b.role != "output"}
        for buffer, result in run_kernel(step.kernel, given_).items():
            memory[bound[buffer]] = result
    return [memory[s] for s in program.outputs]


def agree(actual: list[Any], expected: list[np.ndarray], level: str) -> None:
    """Equal up to the rounding of a re-associated sum; complex numbers may be given by parts."""
    assert len(actual) == len(expected)
    for a, e in zip(actual, expected, strict=True):
        a = np.asarray(a)
        if a.dtype != e.dtype:
            e = with_parts(e)
        assert a.shape == e.shape and a.dtype == e.dtype, level
        scale = 1 + np.max(np.abs(e), initial=0.0, where=np.isfinite(e))
        np.testing.assert_allclose(a, e, rtol=2e-5, atol=2e-5 * scale, err_msg=level)


def check_levels(program: random_programs.Program) -> None:
    """The interpreter of every level and the machine code agree."""
    arrays = random_programs.inputs_of(program)
    closed = trace(program, arrays)
    expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    lowered = lower_jaxpr(closed)
    check_program(lowered)
    agree(interpret(lowered, *map(with_parts, arrays)), expected, "terms")
    executable: Executable = compile_jaxpr(closed)
    for step in executable.program.steps:
        if isinstance(step, Launch):
            check_kernel(step.kernel)
    with np.errstate(all="ignore"):
        agree(run_launches(executable.program, arrays), expected, "kernels")
    agree(executable(*arrays), expected, "machine code")


@settings(max_examples=150)
@given(random_programs.programs)
def test_every_level_agrees_on_random_programs(program: random_programs.Program) -> None:
    check_levels(program)


@settings(max_examples=30)
@given(random_programs.complex_programs)
def test_every_level_agrees_on_complex_programs(program: random_programs.Program) -> None:
    check_levels(program)
