"""Runs one program in every way that a person would, and compares each with NumPy's answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import weft
import weft.numpy
from weft import tree
from weft.compile import compile_jaxpr
from weft.kernels.program_check import check_program


def agree(
    function: Callable[..., Any], arguments: tuple[Any, ...], expected: Any, tolerance: float = 1e-5
) -> None:
    """``function(*arguments)`` is ``expected`` when delayed, when jitted and operation by
    operation; the compiled program passes its checker.

    ``tolerance`` is relative to one plus the largest magnitude of each result.
    """
    wanted = [np.asarray(x) for x in tree.leaves(expected)]
    arrays = tree.map(weft.numpy.asarray, arguments)
    _close(function(*arrays), wanted, tolerance, "delayed")
    _close(weft.jit(function)(*arguments), wanted, tolerance, "jitted")
    with weft.disable_jit():
        _close(function(*arrays), wanted, tolerance, "operation by operation")
    closed = weft.make_jaxpr(function)(*arguments)
    check_program(compile_jaxpr(closed).program)


def _close(actual: Any, wanted: list[np.ndarray], tolerance: float, way: str) -> None:
    leaves = [np.asarray(x) for x in tree.leaves(actual)]
    assert len(leaves) == len(wanted), way
    for a, w in zip(leaves, wanted, strict=True):
        assert a.shape == w.shape, f"{way}: shape {a.shape}, not {w.shape}"
        assert a.dtype == w.dtype, f"{way}: dtype {a.dtype}, not {w.dtype}"
        scale = 1 + float(np.max(np.abs(w), initial=0))
        np.testing.assert_allclose(a, w, rtol=0, atol=tolerance * scale, err_msg=way)
