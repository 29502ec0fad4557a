"""Random calls of the standard's functions give what NumPy gives; `tests/ecosystem` compares the
compiled functions with array-api-strict."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

import weft
import weft.numpy as wnp
from tests.numpy.standard import assert_agree, calls


@settings(max_examples=400)
@given(calls())
def test_every_function_agrees_with_numpy(call):
    _, function, operands = call
    with np.errstate(all="ignore"), weft.disable_jit():
        assert_agree(function(wnp, *map(wnp.asarray, operands)), function(np, *operands))
