"""Compile a function of arrays, and say how close to its meaning the machine code is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np

from weft.compile import compile_jaxpr
from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.core.staging import trace_to_jaxpr

BOOL = np.dtype(np.bool_)
INTEGERS = tuple(map(np.dtype, ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")))
HALF = (np.dtype(np.float16), dtypes.bfloat16)
FLOATS = (*HALF, np.dtype(np.float32), np.dtype(np.float64))
COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))
EVERY = (BOOL, *INTEGERS, *FLOATS)


def run_compiled(function: Callable[..., Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Results of the machine code of ``function``, which returns a list."""
    closed = trace_to_jaxpr(function, [ShapedArray(x.shape, x.dtype) for x in arrays])
    return [np.asarray(y, y.dtype) for y in compile_jaxpr(closed)(*arrays)]


def ulps(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Distance of floats in units in the last place of what is expected; 0 for NaN and NaN."""
    info = ml_dtypes.finfo(expected.dtype)
    with np.errstate(all="ignore"):
        a, e = actual.astype(np.float64), expected.astype(np.float64)
        unit = np.maximum(np.abs(e) * float(info.eps), float(info.smallest_subnormal))
        distance = np.abs(a - e) / unit
    same = (a == e) | (np.isnan(a) & np.isnan(e))
    distance = np.where(same, 0.0, distance)
    return np.where(np.isnan(distance), np.inf, distance)


def assert_close(
    actual: np.ndarray, expected: np.ndarray, units: float, scale: float = 0.0
) -> None:
    """Same shape, dtype and elements: integers exactly; floats to ``units`` of their last place, or
    of the last place of ``scale`` times the largest element."""
    assert (actual.shape, actual.dtype) == (expected.shape, expected.dtype)
    if expected.dtype.kind in "biu" or expected.dtype.names:  # random keys are records
        np.testing.assert_array_equal(actual, expected)
        return
    if expected.dtype.kind == "c":  # both parts to units of the larger one
        size = np.abs(expected)
        most = scale * np.max(size, initial=0.0, where=np.isfinite(size))
        with np.errstate(invalid="ignore"):
            slack = units * np.finfo(expected.dtype).eps * np.maximum(size, most)
            near = np.abs(actual - expected) <= slack
        for a, e in ((actual.real, expected.real), (actual.imag, expected.imag)):
            assert_close(np.where(near, 0, a), np.where(near, 0, e), units)
        return
    with np.errstate(invalid="ignore"):  # a signalling NaN of a half type
        e = expected.astype(np.float64)
    slack = scale * np.max(np.abs(e), initial=0.0, where=np.isfinite(e))
    far = ulps(actual, expected) > units
    if slack:
        with np.errstate(invalid="ignore"):
            near = np.abs(actual.astype(np.float64) - e)
        far &= ~(near <= units * slack * float(ml_dtypes.finfo(expected.dtype).eps))
    where = np.flatnonzero(far)
    if where.size:
        k = where[0]
        raise AssertionError(
            f"{where.size} of {expected.size} elements differ, the first at {k}: "
            f"{actual.flat[k]!r} instead of {expected.flat[k]!r}"
        )


def bit_patterns(dtype: np.dtype, size: int, seed: int) -> np.ndarray:
    """Random bits of ``dtype`` (every exponent, NaN, inf, subnormals) and everyday numbers."""
    rng = np.random.default_rng(seed)
    if dtype == BOOL:
        return rng.integers(0, 2, size).astype(np.bool_)
    out = rng.integers(0, 256, size * dtype.itemsize, np.uint8).view(dtype).copy()
    if dtypes.is_integer(dtype):
        lowest = max(-5, int(np.iinfo(dtype).min))
        out[::3] = rng.integers(lowest, 6, out[::3].size).astype(dtype)
    else:
        out[::3] = (5 * rng.standard_normal(out[::3].size)).astype(dtype)
    return out


def special_values(dtype: np.dtype) -> np.ndarray:
    """Zeros, extremes, ties, and for floats subnormals, infinities and NaN."""
    if dtype == BOOL:
        return np.array([False, True])
    if dtypes.is_integer(dtype):
        info = np.iinfo(dtype)
        few = {0, 1, 2, 3, 7, 31, 32, 64, info.max, info.max - 1, info.min, info.min + 1}
        return np.array(sorted(few), dtype)
    f = ml_dtypes.finfo(dtype)
    tiny, least, top = map(float, (f.smallest_normal, f.smallest_subnormal, f.max))
    few = [0, 0.5, 1, 1.5, 2, 2.5, 3, 10, 100, 1e4, np.pi, tiny, least, 3 * least, top, np.inf]
    signed = [s * x for x in few for s in (1.0, -1.0)]
    return np.array([*signed, np.nan]).astype(dtype)


def operands(dtypes_: Sequence[np.dtype], size: int) -> list[np.ndarray]:
    """For each dtype an array: every combination of special values, then ``size`` random bits."""
    grids = np.meshgrid(*map(special_values, dtypes_), indexing="ij")
    return [
        np.concatenate([grid.reshape(-1), bit_patterns(dtype, size, n)])
        for n, (grid, dtype) in enumerate(zip(grids, dtypes_, strict=True))
    ]
