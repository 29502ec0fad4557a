"""Contractions that share an operand: one kernel, one pass over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.report import Report


def normals(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [(rng.standard_normal(s) / np.sqrt(s[0])).astype(np.float32) for s in shapes]


def discovered(function: Callable[..., Any], *args: np.ndarray) -> Report:
    """The report of a function in one kernel, whose results are those of double precision."""
    found = weft.tree.leaves(weft.jit(lambda *a: function(wnp, *a))(*args))
    exact = function(np, *(a.astype(np.float64) for a in args))
    exact = exact if isinstance(exact, tuple) else (exact,)
    for f, e in zip(found, exact, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-5, atol=2e-6 * np.abs(e).max())
    report = weft.explain(lambda *a: function(wnp, *a), *args)
    assert len(report.kernels) == 1
    return report


def silu(np_: Any, x: Any) -> Any:
    return x / (1 + np_.exp(-x))


def relu(np_: Any, x: Any) -> Any:
    return np_.maximum(x, 0)


@pytest.mark.parametrize("inner", [256, 1100])
@pytest.mark.parametrize("activation", [silu, relu])
def test_a_gated_layer_is_one_kernel(activation: Callable[..., Any], inner: int) -> None:
    def gated(np_: Any, x: Any, gate: Any, up: Any) -> Any:
        return activation(np_, x @ gate) * (x @ up)

    x, gate, up = normals((700, inner), (inner, 300), (inner, 300))
    report = discovered(gated, x, gate, up)
    # Nothing but the weights, packed.
    assert report.peak_intermediate_bytes < 1.2 * (gate.nbytes + up.nbytes)
    assert f"{gate.shape[1]}" in report.kernels[0].schedule
    assert report.flops < 1.1 * 4 * 700 * inner * 300


def test_projections_of_the_same_rows_are_one_kernel() -> None:
    def projections(np_: Any, x: Any, q: Any, k: Any, v: Any) -> Any:
        return x @ q, x @ k, x @ v

    x, *weights = normals((1024, 512), (512, 384), (512, 384), (512, 384))
    report = discovered(projections, x, *weights)
    assert report.kernels[0].inputs.count("v1") == 1
    # Each once; packed weights, too. What is stored is read first.
    moved = x.nbytes + 2 * (3 * 1024 * 384 * 4) + 3 * sum(w.nbytes for w in weights)
    assert report.bytes_moved["DRAM"] < 1.05 * moved


def test_two_bilinear_forms_share_a_pass() -> None:
    def forms(np_: Any, x: Any, a: Any, b: Any) -> Any:
        return np_.tanh(x @ a) + np_.tanh(x @ b)

    discovered(forms, *normals((512, 256), (256, 256), (256, 256)))
