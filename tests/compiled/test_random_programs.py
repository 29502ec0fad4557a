"""Random programs: jitted, delayed and operation by operation, they give the same arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings

import weft
from tests.compiled.random_programs import Program, programs


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


def check(program: Program) -> None:
    arrays = program.arrays()
    with np.errstate(all="ignore"):
        with weft.disable_jit():
            expected = [np.asarray(y) for y in program(*map(weft.numpy.asarray, arrays))]
        agree(weft.jit(program)(*arrays), expected, "jit")
        agree(program(*map(weft.numpy.asarray, arrays)), expected, "delayed")


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(programs)
def test_programs_mean_the_same_compiled(program: Program) -> None:
    check(program)
