"""`convolve` and `correlate` against NumPy."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp

FUNCTIONS = (("convolve", "full"), ("convolve", "same"), ("convolve", "valid"))
FUNCTIONS += (("correlate", "full"), ("correlate", "same"), ("correlate", "valid"))


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(FUNCTIONS), st.integers(1, 9), st.integers(1, 9), st.integers(0, 99))
def test_same_as_numpy(which: tuple[str, str], n: int, m: int, seed: int) -> None:
    name, mode = which
    rng = np.random.default_rng(seed)
    a, v = rng.integers(-9, 9, n).astype(np.int32), rng.integers(-9, 9, m).astype(np.int32)
    with weft.disable_jit():
        out = getattr(wnp, name)(a, v, mode)
    np.testing.assert_array_equal(out, getattr(np, name)(a, v, mode))
    assert out.dtype == np.int32


def test_dtypes() -> None:
    a, v = np.array([True, False, True]), np.array([True, True])
    z = np.array([1 + 2j, 3 - 1j], np.complex64)
    with weft.disable_jit():
        np.testing.assert_array_equal(wnp.convolve(a, v), np.convolve(a, v))
        np.testing.assert_array_equal(wnp.correlate(z, z, "full"), np.correlate(z, z, "full"))
        assert wnp.convolve(np.ones(2, np.float16), np.ones(3, np.float32)).dtype == np.float32
        wide = wnp.convolve(np.ones(2, np.int8), np.ones(3, np.int8), preferred_element_type="i4")
        assert wide.dtype == np.int32


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: wnp.convolve(np.ones((2, 2)), np.ones(2)), "two vectors that are not empty"),
        (lambda: wnp.correlate(np.ones(0), np.ones(2)), "got shapes (0,) and (2,)"),
        (lambda: wnp.convolve(np.ones(2), np.ones(2), "all"), "'full', 'same' or 'valid'"),
    ],
)
def test_errors(call: Any, text: str) -> None:
    with pytest.raises(ValueError, match=re.escape(text)):
        call()
