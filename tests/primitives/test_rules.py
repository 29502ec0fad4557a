"""Every rule of every primitive, on the samples of the table."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from tests.primitives.samples import SAMPLES, Sample, all_primitives, random_array
from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.linear import UndefPrimal, Zero, is_zero
from weft.primitives.rules import remembered
from weft.transforms.jvp import jvp_flat
from weft.transforms.vmap import batch_flat

FLOAT64 = np.dtype(np.float64)


def each(samples: Iterable[Sample]) -> Any:
    """A test for each of these samples."""
    return pytest.mark.parametrize("sample", list(samples), ids=lambda s: s.name)


EACH = each(SAMPLES)
DIFFERENTIABLE = [sample for sample in SAMPLES if FLOAT64 in sample.dtypes]


def outputs(sample: Sample, args: list[np.ndarray]) -> list[np.ndarray]:
    """The meaning, always as a list."""
    out = sample.primitive.bind(*args, **sample.params)
    return list(out) if sample.primitive.multiple_results else [out]


def flat_function(sample: Sample) -> Any:
    return lambda *args: outputs(sample, list(args))


def is_float(x: np.ndarray) -> bool:
    return dtypes.is_inexact(x.dtype)


def close(actual: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    actual, wanted = np.asarray(actual), np.asarray(wanted)
    assert actual.shape == wanted.shape
    assert actual.dtype == wanted.dtype
    if actual.dtype == np.bool_ or not is_float(actual):
        np.testing.assert_array_equal(actual, wanted)
        return
    wide = np.complex128 if dtypes.is_complex(actual.dtype) else np.float64
    np.testing.assert_allclose(
        actual.astype(wide), wanted.astype(wide), rtol=tolerance, atol=tolerance
    )


def test_no_primitive_is_missing_from_the_table() -> None:
    assert all_primitives() == {sample.primitive for sample in SAMPLES}


@pytest.mark.parametrize("primitive", sorted(all_primitives(), key=str), ids=str)
def test_every_primitive_has_its_rules(primitive: Any) -> None:
    wanted = {"type", "numpy", "jvp", "batch"}
    linear = any(s.linear for s in SAMPLES if s.primitive is primitive)
    assert wanted | ({"transpose"} if linear else set()) <= set(primitive.rules)


@EACH
def test_types_tell_what_the_meaning_gives(sample: Sample) -> None:
    for dtype in sample.dtypes:
        args = sample.make(dtype)
        kept = [arg.copy() for arg in args]
        avals = sample.primitive.out_avals(*map(aval_of, args), **sample.params)
        outs = outputs(sample, args)
        assert [(aval.shape, aval.dtype) for aval in avals] == [(o.shape, o.dtype) for o in outs]
        assert all(isinstance(out, np.ndarray) for out in outs)
        for arg, before in zip(args, kept, strict=True):
            np.testing.assert_array_equal(arg, before)


@EACH
def test_results_of_narrow_floats_are_those_of_wide_ones_rounded(sample: Sample) -> None:
    for dtype in sample.dtypes:
        if dtypes.is_floating(dtype) and sample.smooth and dtype != np.float64:
            args = sample.make(dtype)
            wide = [x.astype(np.float64) if x.dtype == dtype else x for x in args]
            for out, exact in zip(outputs(sample, args), outputs(sample, wide), strict=True):
                if out.dtype == dtype:
                    step = 2.0**-7 if dtype == dtypes.bfloat16 else float(np.finfo(dtype).eps)
                    scale = 1 + np.max(np.abs(exact), initial=0, where=np.isfinite(exact))
                    np.testing.assert_allclose(
                        out.astype(np.float64), exact, rtol=8 * step, atol=8 * step * scale
                    )


@each(DIFFERENTIABLE)
def test_jvp_is_the_limit_of_differences(sample: Sample) -> None:
    args = sample.make(FLOAT64)
    rng = np.random.default_rng(1)
    moving = [k for k, x in enumerate(args) if is_float(x)]
    directions = {k: np.asarray(rng.uniform(-1, 1, args[k].shape)) for k in moving}
    tangents = [directions.get(k, Zero(aval_of(x))) for k, x in enumerate(args)]
    outs, out_tangents = jvp_flat(flat_function(sample), args, tangents)
    for out, wanted in zip(outs, outputs(sample, args), strict=True):
        close(out, wanted)
    if not sample.smooth:
        return
    h = 1e-6

    def moved(step: float) -> list[np.ndarray]:
        along = [
            np.asarray(x + step * directions[k]) if k in moving else x for k, x in enumerate(args)
        ]
        return outputs(sample, along)

    ahead, behind = moved(h), moved(-h)
    for t, plus, minus in zip(out_tangents, ahead, behind, strict=True):
        if is_zero(t):
            np.testing.assert_array_equal(plus, minus)
        else:
            assert t.dtype == plus.dtype
            with np.errstate(invalid="ignore"):  # the extremum of nothing is infinite
                slope = (plus - minus) / (2 * h)
            np.testing.assert_allclose(t, slope, rtol=1e-6, atol=1e-7)


@each(sample for sample in DIFFERENTIABLE if len(sample.operands) > 1)
def test_a_zero_tangent_is_as_good_as_zeros(sample: Sample) -> None:
    args = sample.make(FLOAT64)
    for k in (k for k, x in enumerate(args) if is_float(x)):
        t = random_array(np.random.default_rng(k), args[k].shape, FLOAT64)
        sparse = [t if j == k else Zero(aval_of(x)) for j, x in enumerate(args)]
        dense = [
            t if j == k else np.zeros_like(x) if is_float(x) else Zero(aval_of(x))
            for j, x in enumerate(args)
        ]
        pair = [jvp_flat(flat_function(sample), args, ts)[1] for ts in (sparse, dense)]
        for a, b in zip(*pair, strict=True):
            if not (is_zero(a) and is_zero(b)):
                close(np.zeros_like(b) if is_zero(a) else a, np.zeros_like(a) if is_zero(b) else b)


LINEAR = [(sample, group) for sample in SAMPLES for group in sample.linear]


@pytest.mark.parametrize(
    ("sample", "group"), LINEAR, ids=lambda v: v.name if isinstance(v, Sample) else str(v)
)
def test_transpose_is_the_adjoint(sample: Sample, group: tuple[int, ...]) -> None:
    args = sample.make(FLOAT64 if FLOAT64 in sample.dtypes else np.dtype(np.complex128))
    (y,) = outputs(sample, args)
    ct = random_array(np.random.default_rng(2), y.shape, y.dtype)
    operands = [UndefPrimal(aval_of(x)) if k in group else x for k, x in enumerate(args)]
    rule = sample.primitive.rule("transpose")
    cotangents = rule(ct, *operands, **sample.params)
    assert [k for k, c in enumerate(cotangents) if c is not None] == list(group)
    for k in group:
        assert (cotangents[k].shape, cotangents[k].dtype) == (args[k].shape, args[k].dtype)
    # Complex cotangents pair without conjugation.
    backward = sum(np.sum(cotangents[k] * args[k]).real for k in group)
    np.testing.assert_allclose(np.sum(ct * y).real, backward, rtol=1e-9, atol=1e-9)
    nothing = rule(Zero(aval_of(y)), *operands, **sample.params)
    assert all(c is None for c in nothing)


@EACH
def test_batching_is_stacking(sample: Sample) -> None:
    dtype = next((d for d in sample.dtypes if d == np.float64), sample.dtypes[0])
    examples = [sample.make(dtype, seed) for seed in range(3)]
    args = examples[0]
    if not args:
        outs, dims = batch_flat(flat_function(sample), 3, [], [])
        close(outs[0], outputs(sample, [])[0])
        assert dims == [None]
        return
    choices = [(None, 0, x.ndim) for x in args]
    plans = [plan for plan in itertools.product(*choices) if any(d is not None for d in plan)]
    for plan in plans[:: max(1, len(plans) // 12)] + plans[-1:]:
        batched = [
            np.stack([example[k] for example in examples], d) if d is not None else args[k]
            for k, d in enumerate(plan)
        ]
        outs, dims = batch_flat(flat_function(sample), 3, batched, list(plan))
        for k, (out, dim) in enumerate(zip(outs, dims, strict=True)):
            each = [
                outputs(
                    sample, [example[j] if d is not None else args[j] for j, d in enumerate(plan)]
                )
                for example in examples
            ]
            moved = np.stack([out] * 3) if dim is None else np.moveaxis(out, dim, 0)
            close(moved, np.stack([result[k] for result in each]), 1e-7)


@each(sample for sample in SAMPLES if sample.operands)
def test_batching_over_no_examples_keeps_the_types(sample: Sample) -> None:
    args = sample.make(sample.dtypes[0])
    empty = [np.zeros((0, *x.shape), x.dtype) for x in args]
    outs, dims = batch_flat(flat_function(sample), 0, empty, [0] * len(args))
    avals = sample.primitive.out_avals(*map(aval_of, args), **sample.params)
    for out, dim, aval in zip(outs, dims, avals, strict=True):
        assert dim is not None
        shape = list(aval.shape)
        shape.insert(dim, 0)
        assert aval_of(out) is ShapedArray(shape, aval.dtype)


@each(s for s in SAMPLES if s.operands and all(isinstance(spec, tuple) for spec in s.operands))
def test_dtypes_it_is_not_defined_on_are_refused(sample: Sample) -> None:
    rows = [row for row in SAMPLES if row.primitive is sample.primitive]
    kinds = {dtypes.kind_name(dtype) for row in rows for dtype in row.dtypes}
    for dtype in (dtypes.bool_, dtypes.int32, dtypes.float32):
        if dtypes.kind_name(dtype) not in kinds:
            avals = [ShapedArray(spec, dtype) for spec in sample.operands]
            with pytest.raises(TypeError, match=str(sample.primitive)):
                sample.primitive.out_avals(*avals, **sample.params)


def test_typing_rules_remember_answers_but_no_errors() -> None:
    asked = []

    @remembered
    def rule(*avals: ShapedArray, size: Any) -> ShapedArray:
        asked.append(size)
        if size == 0:
            raise TypeError(f"no size {size}")
        return ShapedArray((len(avals),), np.float32)

    x = ShapedArray((3,), np.float32)
    assert rule(x, x, size=1) is rule(x, x, size=1) is ShapedArray((2,), np.float32)
    assert asked == [1]
    rule(x, size=1), rule(x, x, size=1.0), rule(x, x, size=True)  # other questions
    assert len(asked) == 4
    for _ in range(2):
        with pytest.raises(TypeError, match="no size 0"):
            rule(x, size=0)
        rule(x, size=[1])  # cannot be looked up
    assert asked[-2:] == [0, [1]]
