"""Results of transformations that are functions, names or types: all of them compose."""

from __future__ import annotations

import gc
import weakref

import numpy as onp
import pytest

import weft
import weft.numpy as np
from weft import lax
from weft.core import LeakedTracerError
from weft.core.jaxpr import all_equations

XS = onp.linspace(-1, 1, 5).astype(onp.float32)


def test_pullbacks_and_linear_functions_are_trees():
    y, pullback = weft.jit(lambda x: weft.vjp(np.sin, x))(XS)
    (slope,) = weft.jit(lambda f, ct: f(ct))(pullback, XS)
    onp.testing.assert_allclose(onp.asarray(slope), onp.cos(XS) * XS, rtol=1e-6)
    onp.testing.assert_allclose(onp.asarray(y), onp.sin(XS), rtol=1e-6)
    each = weft.vmap(lambda x: weft.linearize(np.exp, x)[1])(XS)
    moved = weft.vmap(lambda f, t: f(t))(each, XS)
    onp.testing.assert_allclose(onp.asarray(moved), onp.exp(XS) * XS, rtol=1e-6)
    chosen = lax.cond(True, lambda: weft.vjp(np.sin, XS)[1](XS)[0], lambda: np.asarray(XS))
    onp.testing.assert_allclose(onp.asarray(chosen), onp.cos(XS) * XS, rtol=1e-6)


@pytest.mark.parametrize("jitted", [True, False])
def test_fwd_and_bwd(jitted):
    def f(x, y):
        return {"z": np.sin(x) * y}, x

    fwd, bwd = weft.fwd_and_bwd(f, argnums=(1, 0), has_aux=True, jitted=jitted)
    out, residuals, aux = fwd(XS, 2.0)
    gradients = bwd(residuals, {"z": np.ones(5)})
    onp.testing.assert_allclose(onp.asarray(out["z"]), 2 * onp.sin(XS), rtol=1e-6)
    onp.testing.assert_array_equal(onp.asarray(aux), XS)
    onp.testing.assert_allclose(onp.asarray(gradients[0]), onp.sin(XS).sum(), atol=1e-6)
    onp.testing.assert_allclose(onp.asarray(gradients[1]), 2 * onp.cos(XS), rtol=1e-6)
    with pytest.raises(ValueError, match=r"fwd_and_bwd of 'f': argnums has 2, but it was called"):
        weft.fwd_and_bwd(f, 2, jitted=False)[0](1.0, 2.0)


def test_float0_through_jit_and_vmap():
    g = weft.grad(lambda n, x: np.sum(x * n), (0, 1), allow_int=True)
    for wrapped in (weft.jit(g), weft.jit(weft.jit(g))):
        zero, slope = wrapped(3, XS)
        assert zero.dtype == weft.float0 and zero.shape == ()
        assert slope.tolist() == [3.0] * 5
    zeros, _ = weft.jit(weft.vmap(g, (0, None)))(onp.arange(2), XS)
    assert zeros.dtype == weft.float0 and zeros.shape == (2,)
    both = weft.jacrev(lambda n, x: x * n, (0, 1), allow_int=True)(3, XS)
    assert both[0].dtype == weft.float0 and both[0].shape == (5,)


def test_make_jaxpr_of_static_arguments_shapes_and_axes():
    jaxpr, shape = weft.make_jaxpr(
        lambda x, n, p: {"y": lax.psum(x, "i") * n + p},
        static_argnums=1,
        return_shape=True,
        axis_env=[("i", 4)],
    )(XS, 3, 1.0)
    assert shape == {"y": weft.ShapeDtypeStruct((5,), onp.float32)}
    assert "psum" in str(jaxpr) and len(jaxpr.in_avals) == 2
    assert weft.typeof(XS) is weft.typeof(np.asarray(XS))


def test_names_of_parts_are_shown():
    @weft.jit
    def f(x):
        with weft.named_scope("outer"):
            return weft.named_call(lambda y: np.sin(y), name="inner")(x)

    shown = str(f.trace(1.0).jaxpr.eqns[0].source)
    assert "(outer/inner/test_names_of_parts" in shown
    derived = weft.make_jaxpr(weft.grad(f))(1.0)
    assert any("outer/inner" in str(e.source) for e in all_equations(derived.jaxpr))
    with pytest.raises(TypeError, match="named_scope: a name is text, got 3"):
        weft.named_scope(3)


@pytest.fixture
def few_objects():
    """Leaks are looked for among all objects: those of other tests are set aside."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


def test_leaks_are_found_before_they_are_used(few_objects):
    kept = {}

    def f(x):
        kept["twice"] = x * 2
        return x

    with weft.checking_leaks():
        weft.jit(weft.grad(lambda x: lax.scan(lambda c, _: (c * x, c), x, None, length=2)[0]))(1.0)
    for transform in (weft.jit, weft.grad, weft.vmap):
        with pytest.raises(LeakedTracerError) as error, weft.checking_leaks():
            transform(f)(np.ones(3) if transform is weft.vmap else 1.0)
        text = str(error.value)
        assert f"of 'f' (under {transform.__name__})" in text
        assert "It is held by a dict, as 'twice'." in text
    kept.clear()


def test_options_of_jit_checkpoint_and_control_flow():
    x = np.ones(1000)
    assert weft.jit(lambda a, *, b: a + b, donate_argnames="b")(1.0, b=x).shape == (1000,)
    assert x.is_deleted()
    y = np.ones(1000)
    weft.jit(lambda a, b: a + b, donate_argnames=("b",), keep_unused=True)(1.0, y)
    assert y.is_deleted()
    with pytest.raises(ValueError, match=r"donate_argnames has 'z', but the function takes a"):
        weft.jit(lambda a: a, donate_argnames="z")
    f = weft.checkpoint(lambda x, power: x**power, static_argnames="power")
    assert float(weft.grad(lambda x: f(x, power=3))(2.0)) == 12.0
    assert lax.cond(True, lambda x: x, lambda x: -x, operand=3) == 3
    assert lax.switch(1, [lambda x: x, lambda x: -x], operand=3) == -3
    assert lax.cond(True, lambda x: x, lambda x: x, operand=None) is None
    with pytest.raises(TypeError, match="give operands by position or as operand=, not both"):
        lax.cond(True, lambda x: x, lambda x: x, 1, operand=2)
    unrolled = lax.scan(lambda c, x: (c + x, c), 0.0, XS, unroll=True)
    onp.testing.assert_allclose(onp.asarray(unrolled[1]), onp.cumsum(XS) - XS, atol=1e-6)
    for size in (1, 2, 5, 9):
        mapped = lax.map(lambda p: (p[0] * p[1], p[0]), (XS, XS), batch_size=size)
        onp.testing.assert_array_equal(onp.asarray(mapped[0]), XS * XS)
    for size in (0, 2.0):
        with pytest.raises(ValueError, match=f"map: batch_size is a positive integer, got {size}"):
            lax.map(np.sin, XS, batch_size=size)
    with pytest.raises(ValueError, match="leading axes differ"):
        lax.map(lambda p: p[0], (np.arange(5), np.arange(7)), batch_size=2)


def test_mapped_loops_without_operations() -> None:
    flags = np.array([True, False, True])
    done = weft.vmap(lambda c: lax.while_loop(lambda c: c, lambda c: np.asarray(False), c))(flags)
    assert not done.any()


@pytest.mark.parametrize("transform", [weft.jit, weft.vmap, weft.jacrev, weft.checkpoint])
def test_functions_are_not_kept_alive(transform):
    def call():
        held = np.arange(3.0)  # a large array, in practice

        def f(x):
            return x * held.sum()

        transform(f)(XS)
        return weakref.ref(f)

    reference = call()
    gc.collect()
    assert reference() is None
