"""Every function of the Array API standard, compiled, against array-api-strict."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings

import weft.numpy as wnp
from tests.numpy.standard import assert_agree, calls

strict = pytest.importorskip("array_api_strict", reason="the extra `ecosystem` brings it")


@settings(max_examples=300)
@given(calls())
def test_every_function_agrees_with_strict(call):
    _, function, operands = call
    with np.errstate(all="ignore"):
        wanted = function(strict, *map(strict.asarray, operands))
        assert_agree(function(wnp, *map(wnp.asarray, operands)), wanted)
