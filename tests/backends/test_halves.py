"""float16 and bfloat16 on OpenCL and CUDA: the bits that the CPU gives, for all numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import weft
from tests.backends.fake_cuda import FakeCuda
from weft import numpy as wnp
from weft.backends.device import Device

HALVES = [np.float16, ml_dtypes.bfloat16]
OTHER = {np.float16: "bfloat16", ml_dtypes.bfloat16: "float16"}


def same(fun: Callable[[Any], Any], x: np.ndarray, device: Device) -> None:
    here = weft.jit(fun)(wnp.asarray(x))
    there = weft.jit(fun)(weft.device_put(wnp.asarray(x), device))
    for a, b in zip(weft.tree.leaves(here), weft.tree.leaves(there), strict=True):
        x, y = np.asarray(a), np.asarray(b)
        assert x.dtype == y.dtype
        wide = np.int64 if x.dtype.kind in "biu" else np.float64  # NumPy knows a NaN of these
        with np.errstate(invalid="ignore"):
            np.testing.assert_array_equal(x.astype(wide), y.astype(wide))


@pytest.mark.parametrize("half", HALVES)
def test_every_number(half: Any, wide: Device) -> None:
    def arithmetic(x: Any) -> Any:
        one = wnp.asarray(1, x.dtype)
        return -x, x * 3 + one, wnp.maximum(x, one), wnp.sqrt(abs(x)), wnp.where(x > one, x, -one)

    def conversions(x: Any) -> Any:
        to = [x.astype(t) for t in ("float32", "float64", "int32", "bool", OTHER[half])]
        return *to, wnp.isfinite(x), x.view("uint16")

    x = np.arange(1 << 16, dtype=np.uint16).view(half)
    same(arithmetic, x, wide)
    same(conversions, x, wide)


@pytest.mark.parametrize("half", HALVES)
def test_rounding(half: Any, wide: Device) -> None:
    """Numbers of either type, those half way between, and the neighbours of all of them."""
    if isinstance(wide, FakeCuda):
        pytest.skip("the interpreter rounds float64 to float32 on the way, and runs no text")
    with np.errstate(all="ignore"):
        known = np.arange(1 << 16, dtype=np.uint16).view(half).astype(np.float64)
        known = known[np.isfinite(known)]
        middle = np.concatenate([known, (known[1:] + known[:-1]) / 2])
        near = np.concatenate([np.nextafter(middle, to) for to in (-np.inf, np.inf)])
        x = np.concatenate([middle, near, [np.inf, -np.inf, np.nan, 1e300, -1e-300]])
        same(lambda x: x.astype(half), x, wide)
        same(lambda x: x.astype(half), x.astype(np.float32), wide)


@pytest.mark.parametrize("half", HALVES)
def test_programs(half: Any, wide: Device) -> None:
    x = (np.arange(40 * 33) % 17 - 8).reshape(40, 33).astype(half)
    same(lambda x: (x @ x.T, x.sum(axis=0), wnp.argmax(x, axis=1), wnp.sort(x, axis=1)), x, wide)
