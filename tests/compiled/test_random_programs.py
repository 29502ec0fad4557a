"""Random programs: at every level of the compiler, jitted, delayed and operation by operation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

import weft
from tests.compiled.random_programs import Program, programs
from weft.compile import compile_jaxpr
from weft.core import check_jaxpr
from weft.core.interpret import eval_jaxpr_numpy
from weft.kernels import strategy
from weft.kernels.program_check import check_program
from weft.kernels.program_interpret import run_program
from weft.terms.check import check_program as check_terms
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr

SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def agree(actual: list[Any], expected: list[np.ndarray], how: str) -> None:
    for a, e in zip(actual, expected, strict=True):
        a = np.asarray(a)
        assert (a.shape, a.dtype) == (e.shape, e.dtype), how
        if e.dtype.kind in "biu":
            np.testing.assert_array_equal(a, e, err_msg=how)
            continue
        tolerance = 2e-2 if e.dtype.itemsize == 2 else 2e-4
        with np.errstate(all="ignore"):
            scale = 1 + np.max(np.abs(e.astype(float)), initial=0.0, where=np.isfinite(e))
            a, e = a.astype(float), e.astype(float)
        np.testing.assert_allclose(a, e, rtol=tolerance, atol=tolerance * scale, err_msg=how)


def check_levels(program: Program) -> None:
    """The interpreter of every level and the machine code; the checker of every level."""
    arrays = program.arrays()
    closed = weft.make_jaxpr(program)(*arrays)
    check_jaxpr(closed)
    lowered = lower_jaxpr(closed)
    check_terms(lowered)
    executable = compile_jaxpr(closed)
    check_program(executable.program)
    with np.errstate(all="ignore"):
        meaning = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
        expected = [np.asarray(y) for y in meaning]
        agree(interpret(lowered, *arrays), expected, "terms")
        agree(run_program(executable.program, arrays), expected, "kernels")
    agree(executable(*arrays), expected, "machine code")


@settings(max_examples=60, suppress_health_check=SLOW)
@given(programs)
def test_every_level_agrees(program: Program) -> None:
    check_levels(program)


@pytest.fixture(scope="module")
def everything_in_parallel() -> Any:
    """Threads for the smallest kernels too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strategy, "PARALLEL_WORK", 1)
        yield


@pytest.mark.usefixtures("everything_in_parallel")
@settings(max_examples=40, suppress_health_check=SLOW)
@given(programs)
def test_every_level_agrees_in_parallel(program: Program) -> None:
    check_levels(program)


@settings(max_examples=40, suppress_health_check=SLOW)
@given(programs)
def test_ways_to_run_agree(program: Program) -> None:
    """`disable_jit` is the meaning of jitted and of delayed programs."""
    arrays = program.arrays()
    with np.errstate(all="ignore"):
        with weft.disable_jit():
            expected = [np.asarray(y) for y in program(*map(weft.numpy.asarray, arrays))]
        agree(weft.jit(program)(*arrays), expected, "jit")
        agree(program(*map(weft.numpy.asarray, arrays)), expected, "delayed")
