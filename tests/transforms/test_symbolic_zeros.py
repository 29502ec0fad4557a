"""Rules with symbolic zeros, and what enters rules: arrays of Weft, whatever was passed."""

from __future__ import annotations

import numpy as onp
import pytest

import weft
import weft.numpy as np
from tests.transforms.programs import meaning
from weft import lax
from weft.custom_derivatives import CustomVJPPrimal, SymbolicZero

XS = onp.linspace(-1, 1, 5).astype(onp.float32)


def forward_mode():
    seen = []

    @weft.custom_jvp
    def f(x, y):
        return x * y, x + y

    def rule(primals, tangents):
        (x, y), zeros = primals, [type(t) is SymbolicZero for t in tangents]
        seen.append(zeros)
        assert all(
            t.shape == p.shape and t.dtype == p.dtype
            for p, t in zip(primals, tangents, strict=True)
        )
        tx, ty = (0.0 if zero else t for t, zero in zip(tangents, zeros, strict=True))
        second = tangents[0] if zeros[1] else tx + ty
        return f(x, y), (np.asarray(tx * y + 10 * ty * x, np.float32), second)

    f.defjvp(rule, symbolic_zeros=True)
    return f, seen


@pytest.mark.parametrize("wrap", [lambda f: f, weft.jit, weft.checkpoint])
def test_forward_rules_see_zeros(wrap):
    f, seen = forward_mode()
    y = onp.float32(3.0)

    def first(x):
        return wrap(lambda x: f(x, y))(x)[0]

    assert meaning(lambda x: weft.jvp(first, (x,), (1.0,)), 2.0) == (6.0, 3.0)
    assert meaning(weft.grad(first), 2.0) == 3.0
    onp.testing.assert_array_equal(meaning(weft.vmap(weft.grad(first)), XS), [3.0] * 5)
    onp.testing.assert_array_equal(meaning(weft.jacfwd(weft.vmap(first)), XS), 3 * onp.eye(5))
    assert set(map(tuple, seen)) == {(False, True)}
    seen.clear()
    assert meaning(weft.grad(lambda x, y: wrap(f)(x, y)[0], (0, 1)), 2.0, 5.0) == (5.0, 20.0)
    chained = weft.grad(lambda x: lax.scan(lambda c, a: (f(c, a)[0], None), x, XS + 2)[0])
    assert abs(meaning(chained, 1.0) - (XS + 2).prod()) < 1e-4


def test_backward_rules_see_zeros():
    perturbed, zeros = [], []

    @weft.custom_vjp
    def f(x, y):
        return x * y, x + y

    def fwd(x, y):
        assert type(x) is type(y) is CustomVJPPrimal
        perturbed.append((x.perturbed, y.perturbed))
        return (x.value * y.value, x.value + y.value), (x.value, y.value)

    def bwd(residuals, cts):
        zeros.append([type(ct) is SymbolicZero for ct in cts])
        (x, y), (a, b) = residuals, cts
        if type(a) is SymbolicZero:
            return (a, a) if type(b) is SymbolicZero else (b, b)
        return 100 * a * y, a * x

    f.defvjp(fwd, bwd, symbolic_zeros=True)
    y = onp.float32(3.0)
    assert meaning(f, 2.0, 3.0) == (6.0, 5.0)
    for wrap in (lambda g: g, weft.jit, weft.checkpoint):
        g = weft.grad(wrap(lambda x: f(x, y)[0]))
        assert meaning(g, 2.0) == 300.0
        onp.testing.assert_array_equal(meaning(weft.vmap(g), XS), [300.0] * 5)
    assert set(perturbed) == {(True, False)}
    assert all(flags == [False, True] for flags in zeros)
    perturbed.clear(), zeros.clear()
    assert meaning(weft.grad(lambda x, y: f(x, y)[1], (0, 1)), 2.0, 3.0) == (1.0, 1.0)
    assert perturbed == [(True, True)] * len(perturbed)
    assert zeros == [[True, False]] * len(zeros)


def test_what_only_residuals_need_is_not_computed_inside_checkpoint():
    calls = []

    def costly(x):
        calls.append(1)
        return onp.cos(x)

    @weft.custom_vjp
    def f(x):
        return np.sin(x)

    def fwd(x):
        out = weft.ShapeDtypeStruct(x.shape, x.dtype)
        return np.sin(x), weft.pure_callback(costly, out, x, vmap_method="sequential")

    f.defvjp(fwd, lambda slope, ct: (3 * slope * ct,), optimize_remat=True)
    slope = weft.jit(weft.grad(weft.checkpoint(lambda x: np.sum(f(x) * 2))))(XS)
    onp.testing.assert_allclose(onp.asarray(slope), 6 * onp.cos(XS), rtol=1e-6)
    assert len(calls) == 1


def test_tangents_of_integers_have_dtype_float0():
    seen = []

    @weft.custom_jvp
    def f(x, n):
        return x * n

    @f.defjvp
    def _(primals, tangents):
        (x, n), (tx, tn) = primals, tangents
        seen.append((tn.dtype, tn.shape))
        return f(x, n), tx * n

    assert float(weft.grad(f)(2.0, np.asarray([3, 4])[0])) == 3.0
    assert seen == [(weft.float0, ())]


def square(x):
    assert type(x) is not onp.ndarray
    return (x * x).sum()  # of an ndarray without axes this is a number of NumPy, weakly typed


marked = weft.custom_jvp(square)
marked.defjvp(lambda p, t: (square(*p), (2 * p[0] * t[0]).sum()))
pulled = weft.custom_vjp(square)
pulled.defvjp(lambda x: (square(x), x), lambda x, ct: (2 * x * ct,))


@pytest.mark.parametrize("dtype", [onp.float64, onp.float32, onp.float16])
@pytest.mark.parametrize("f", [square, marked, pulled])
def test_numpy_arrays_keep_their_dtype(f, dtype):
    x = onp.asarray(3.0, dtype)
    results = [
        weft.grad(f)(x),
        *weft.vjp(f, x)[1](onp.asarray(1.0, dtype)),
        weft.vmap(weft.grad(f))(onp.asarray([3.0], dtype)),
    ]
    if f is not pulled:
        results += weft.jvp(f, (x,), (x,))
    if f is not square:
        results.append(f(x))
    assert [r.dtype for r in results] == [onp.dtype(dtype)] * len(results)
