"""Running sums of which a part is read: with the checker off, others would write out of bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft import lax

SCANS: dict[str, tuple[Any, Any]] = {
    "cumsum": (wnp.cumsum, np.cumsum),
    "cumprod": (
        lambda x, axis: wnp.cumprod(1 + x / 64, axis),
        lambda x, a: np.cumprod(1 + x / 64, a),
    ),
    "cummax": (lax.cummax, np.maximum.accumulate),
    "reversed": (
        lambda x, axis: lax.cumsum(x, axis, reverse=True),
        lambda x, a: np.flip(np.cumsum(np.flip(x, a), a), a),
    ),
}

SLICES = st.sampled_from(
    [slice(k, None) for k in (1, 7, -1)]
    + [slice(None, -k) for k in (1, 5)]
    + [slice(None, None, 2), slice(None, None, -1), slice(3, 9), slice(4, 5)]
)


@settings(max_examples=25)
@given(
    name=st.sampled_from(sorted(SCANS)),
    shape=st.sampled_from([(40, 30), (34, 17, 33), (8, 70, 16), (3, 20)]),
    axis=st.integers(0, 1),
    part=SLICES,
    factor=st.booleans(),
)
def test_a_part_of_a_scan_is_that_part(
    name: str, shape: tuple[int, ...], axis: int, part: slice, factor: bool
) -> None:
    x = np.random.default_rng(1).integers(-4, 5, shape).astype(np.float32)
    index = (slice(None),) * axis + (part,)
    ours, theirs = SCANS[name]
    f = weft.jit(lambda x: ours(x, axis)[index] * (2 if factor else 1))
    expected = theirs(x.astype(np.float64), axis)[index] * (2 if factor else 1)
    np.testing.assert_allclose(f(x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("part", [slice(20, None), slice(None, None, 2), slice(None, -20)], ids=str)
def test_scans_along_long_rows_are_read_in_part(part: slice) -> None:
    x = np.random.default_rng(2).integers(-4, 5, (500, 300)).astype(np.float32)
    np.testing.assert_array_equal(
        weft.jit(lambda x: wnp.cumsum(x * x, axis=1)[:, part])(x), np.cumsum(x * x, 1)[:, part]
    )
