"""Weft's arrays among NumPy's: functions of NumPy, operators with an ndarray on the left."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft.errors import MissingRuleError
from weft.primitives.arithmetic import nextafter_p

X = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize(
    "function",
    [
        np.sum,
        np.mean,
        np.std,
        np.var,
        np.prod,
        np.max,
        np.min,
        np.ptp,
        np.argmax,
        np.argmin,
        np.any,
        np.all,
        np.cumsum,
        np.cumprod,
        np.trace,
        np.ravel,
        np.transpose,
        np.squeeze,
        lambda x: np.sum(x, axis=1, keepdims=True),
        lambda x: np.mean(x, axis=0),
        lambda x: np.std(x, axis=0, ddof=1),
        lambda x: np.round(x / 3, 1),
        lambda x: np.clip(x, 1, 4),
        lambda x: np.take(x, [2, 0], axis=1),
        lambda x: np.sqrt(np.exp(x)),
        lambda x: np.concatenate([x, x]),
        lambda x: np.linalg.norm(x),
        lambda x: np.allclose(x, x + 1e-9),
    ],
)
def test_functions_of_numpy_take_arrays(function) -> None:
    result, expected = function(wnp.asarray(X)), function(X)
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-6)


def test_out_is_refused() -> None:
    with pytest.raises(TypeError, match="sum: out must be None: results are new arrays"):
        wnp.ones(3).sum(out=np.zeros(()))


@pytest.mark.parametrize(
    "expression",
    [
        lambda a, x: a + x,
        lambda a, x: a - x,
        lambda a, x: a * x,
        lambda a, x: a / (x + 1),
        lambda a, x: a // (x + 1),
        lambda a, x: a % (x + 1),
        lambda a, x: (a + 1) ** x,
        lambda a, x: a @ x.T,
        lambda a, x: a < x,
        lambda a, x: a >= x,
        lambda a, x: a == x,
        lambda a, x: a != x,
        lambda a, x: a[0, 1] * x,
    ],
)
def test_an_ndarray_on_the_left_gives_way(expression) -> None:
    a = X[::-1].copy()
    expected = expression(a, X)
    for way in (wnp.asarray, None):
        if way is not None:
            result = expression(a, way(X))
        else:
            result = weft.jit(lambda x: expression(a, x))(X)
        assert type(result) is weft.Array
        np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-6)


def test_an_ndarray_becomes_a_traced_value_in_place() -> None:
    def total(x):
        start = np.zeros(3, np.float32)
        start += x
        return start

    np.testing.assert_array_equal(np.asarray(weft.jit(total)(X[1])), X[1])


def test_containers_are_computed_together() -> None:
    x = wnp.asarray(X)
    state = {"a": x + 1, "b": [x * 2, 3.0]}
    assert weft.compute(state) is state
    assert weft.block_until_ready(state) is state
    first, second = weft.compute(state, x)
    assert first is state and second is x
    with pytest.raises(TypeError, match=r"weft\.compute: argument 0 is list with str, not a weft"):
        weft.compute([x, "b"])


def test_an_error_while_compiling_follows_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones(3, np.float32)
    monkeypatch.delitem(nextafter_p.rules, "lower")
    with pytest.raises(MissingRuleError, match="nextafter") as e:
        weft.jit(lambda x: wnp.nextafter(x, x + 3))(x)
    chain: list[BaseException] = [e.value]
    while chain[-1].__context__ is not None:
        chain.append(chain[-1].__context__)
    # The same error before it was given the user's line, the missing rule, and nothing before it.
    assert list(map(type, chain)) == [MissingRuleError, MissingRuleError, KeyError]
