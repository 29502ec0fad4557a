"""The methods of ufuncs: `reduce`, `accumulate`, `reduceat`, `at`, `outer`."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.numpy.samples import B, V, assert_same


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "fmin", "logaddexp"])
def test_methods_of_ufuncs(name):
    mine, theirs = getattr(wnp, name), getattr(np, name)
    with weft.disable_jit():
        for axis in (0, -1):
            assert_same(mine.reduce(V, axis), theirs.reduce(V, axis))
            assert_same(mine.accumulate(V, axis), theirs.accumulate(V, axis))
        assert_same(
            mine.reduce(V, 1, keepdims=True, initial=2.0),
            theirs.reduce(V, 1, None, None, True, 2.0),
        )
        assert_same(mine.outer(V, V[0]), theirs.outer(V, V[0]))
        index = np.array([0, 2, 1])
        assert_same(mine.reduceat(V, index, 1), theirs.reduceat(V, index, 1))


def test_reductions_of_bits_and_truth():
    with weft.disable_jit():
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "logical_xor", "logical_and"):
            assert_same(getattr(wnp, name).reduce(B, 1), getattr(np, name).reduce(B, 1))
        assert_same(wnp.add.reduce(V, (0, 1), where=V > 1), np.add.reduce(V, (0, 1), where=V > 1))
        wanted = np.bitwise_or.reduce(B, None, where=B > 6)
        assert_same(wnp.bitwise_or.reduce(B, None, where=B > 6), wanted)
        assert wnp.bitwise_xor.reduce(np.zeros((0, 2), int)).tolist() == [0, 0]
        with pytest.raises(ValueError, match=r"power\.reduce: there are no elements along axis 0"):
            wnp.power.reduce(np.zeros(0))
        with pytest.raises(ValueError, match=r"power\.reduce: where= needs an initial value"):
            wnp.power.reduce(V, where=V > 1)


def test_ufuncs_of_python_functions():
    digits = wnp.frompyfunc(lambda x, y: x * 10 + y, 2, 1)
    assert repr(digits) == "<weft.numpy.ufunc '<lambda>'>" and digits.nargs == 2
    assert int(digits.reduce(np.array([1, 2, 3]))) == 123
    assert digits.accumulate(np.array([[1], [2]])).tolist() == [[1], [12]]
    two = wnp.frompyfunc(lambda x: (x + 1, x - 1), 1, 2)
    assert_same(two(V), (V + 1, V - 1))
    slope = weft.grad(lambda x: digits.reduce(x))(np.ones(3))
    np.testing.assert_allclose(slope, [100, 10, 1])
    for call, text in (
        (lambda: digits(V), "takes 2 arguments, got 1"),
        (lambda: digits(V, V, where=V > 1), "where= would leave elements undefined"),
        (lambda: digits(V, V, out=V), "out must be None"),
        (lambda: two.reduce(V), "is for functions of two arguments with one result"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            call()
