"""Contractions that share an operand: one kernel, one pass over it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from tests.discoveries.catalog import MACHINE
from weft import numpy as wnp
from weft.kernels.price.price import price
from weft.planning import Record, plan_program
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


def projections(np_: Any, x: Any, q: Any, k: Any, v: Any) -> Any:
    return x @ q, x @ k, x @ v


def test_projections_of_the_same_rows_are_one_kernel() -> None:
    """Where a core's units are halves; where they are whole, one tile each has fewer loads."""
    x, *weights = normals((1024, 512), (512, 384), (512, 384), (512, 384))
    record = Record()
    jaxpr = weft.make_jaxpr(lambda *a: projections(wnp, *a))(x, *weights)
    plan_program(jaxpr, record=record, machine=MACHINE)
    (kernel,) = (kernel for region in record.regions for kernel, _, _ in region.kernels)
    assert len([b for b in kernel.params if b.role == "input"]) == 4
    # Each once; packed weights, too. What is stored is read first.
    moved = x.nbytes + 2 * (3 * 1024 * 384 * 4) + 3 * sum(w.nbytes for w in weights)
    assert price(kernel, MACHINE, warm=False).bytes["L3"] < 1.05 * moved


def test_projections_are_those_of_double_precision() -> None:
    args = normals((1024, 512), (512, 384), (512, 384), (512, 384))
    found = weft.jit(lambda *a: projections(wnp, *a))(*args)
    exact = projections(np, *(a.astype(np.float64) for a in args))
    for f, e in zip(found, exact, strict=True):
        np.testing.assert_allclose(f, e, rtol=1e-5, atol=2e-6 * np.abs(e).max())


def test_two_bilinear_forms_share_a_pass() -> None:
    def forms(np_: Any, x: Any, a: Any, b: Any) -> Any:
        return np_.tanh(x @ a) + np_.tanh(x @ b)

    discovered(forms, *normals((512, 256), (256, 256), (256, 256)))
