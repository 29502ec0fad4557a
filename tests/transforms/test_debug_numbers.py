"""`debug_nans` and `debug_infs` name the operation and the user's line, wherever it is."""

from __future__ import annotations

import numpy as onp
import pytest

import weft
import weft.numpy as np
from weft import lax


def bad(x):
    return np.log(x) * 2.0


def in_scan(x):
    return lax.scan(lambda c, e: (c + bad(e), c), 0.0, np.stack([x, -x]))[0]


@pytest.mark.parametrize(
    "run",
    [
        lambda: bad(np.asarray(-1.0)),
        lambda: weft.jit(bad)(-1.0),
        lambda: weft.jit(in_scan)(1.0),
        lambda: weft.grad(in_scan)(1.0),
        lambda: weft.vmap(bad)(onp.array([1.0, -1.0])),
    ],
)
def test_the_operation_and_its_line(run):
    with weft.debug_nans(), pytest.raises(FloatingPointError) as error:
        run()
    text = str(error.value)
    assert text.startswith("'log' of f") and "gives NaN." in text
    assert text.endswith("(bad): return np.log(x) * 2.0")


def test_infinities_and_counts():
    with weft.debug_infs(), pytest.raises(FloatingPointError, match="1 of 2 elements"):
        weft.jit(lambda x: np.divide(1, x))(onp.array([0.0, 1.0]))
    with weft.debug_infs(False), weft.debug_nans():
        assert onp.isinf(weft.jit(lambda x: np.divide(1, x))(0.0))


def test_nothing_is_raised_without_them():
    with weft.debug_nans():
        assert float(weft.jit(lambda x: lax.fori_loop(0, 3, lambda i, v: v + i, x))(1.0)) == 4.0
    assert onp.isnan(float(bad(np.asarray(-1.0))))


@pytest.mark.parametrize("context", [weft.debug_nans, weft.debug_infs, weft.disable_jit])
@pytest.mark.parametrize("number", [True, 2, 2.5, 2j, onp.float32(2), onp.float64(2)])
def test_numbers_are_arrays_in_the_body(context, number):
    """As under jit: with their methods, their dtype and their weakness."""

    def types(x, *, static=None):
        return [x.dtype, x.weak_type, x.astype(np.complex64).dtype, (x**2).dtype, static]

    def gives(found):
        def f(x, static=None):
            found.append(types(x, static=static))
            return lax.cond(True, lambda x: x.astype(np.complex64), lambda x: x * 0j, x)

        return weft.jit(f, static_argnames="static")

    traced, run = [], []
    expected = gives(traced)(number, static="s")
    with context():
        assert gives(run)(number, "s") == expected
    assert run == traced
    with context(), pytest.raises(TypeError, match=r"jit of 'f': x .* not an array or a number"):
        gives([])(object())
