"""custom_jvp, custom_vjp, checkpoint, stop_gradient, auxiliary data, Jacobians of trees."""

from __future__ import annotations

import functools

import numpy as onp
import pytest

import weft
import weft.numpy as np
from tests.transforms.programs import meaning
from weft import lax
from weft.core import LeakedTracerError

XS = onp.arange(1.0, 5.0).astype(onp.float32)


@weft.custom_jvp
def marked(x, y):
    return np.sin(x) * y


@marked.defjvp
def _(primals, tangents):
    (x, y), (tx, ty) = primals, tangents
    return marked(x, y), 10 * (tx * y + ty)


@weft.custom_vjp
def clipped(x, y):
    return {"v": x * y}


def _clipped_fwd(x, y):
    return {"v": x * y}, (x, y)


def _clipped_bwd(residuals, ct):
    x, y = residuals
    return 100 * y * ct["v"], x * ct["v"]


clipped.defvjp(_clipped_fwd, _clipped_bwd)


@pytest.mark.parametrize("wrap", [lambda f: f, weft.jit, weft.checkpoint])
def test_custom_jvp_in_every_transformation(wrap):
    f = wrap(marked)
    onp.testing.assert_allclose(meaning(f, 1.0, 2.0), 2 * onp.sin(1), rtol=1e-6)
    assert meaning(lambda x, y: weft.jvp(f, (x, y), (1.0, 1.0))[1], 1.0, 2.0) == 30.0
    assert meaning(weft.grad(f, (0, 1)), 1.0, 2.0) == (20.0, 10.0)
    found = meaning(weft.vmap(weft.grad(f, (0, 1)), (0, None)), XS, 2.0)
    onp.testing.assert_array_equal(found, [[20] * 4, [10] * 4])
    outer = meaning(weft.grad(lambda y: weft.vmap(f, (0, None))(XS, y).sum()), 2.0)
    assert outer == 40.0
    assert meaning(weft.grad(weft.grad(f), 1), 1.0, 2.0) == 10.0


@pytest.mark.parametrize("wrap", [lambda f: f, weft.jit, weft.checkpoint])
def test_custom_vjp_in_every_transformation(wrap):
    def f(x, y):
        return wrap(clipped)(x, y)["v"]

    assert meaning(f, 2.0, 3.0) == 6.0
    assert meaning(weft.grad(f, (0, 1)), 2.0, 3.0) == (300.0, 2.0)
    found = meaning(weft.vmap(weft.grad(f, (0, 1)), (0, None)), XS, 3.0)
    onp.testing.assert_array_equal(found, [[300] * 4, XS])
    outer = meaning(weft.grad(lambda y: weft.vmap(f, (0, None))(XS, y).sum()), 3.0)
    assert outer == 10.0
    looped = meaning(
        weft.grad(lambda y: lax.scan(lambda c, x: (c + f(x, y), None), 0.0, XS)[0]), 3.0
    )
    assert looped == 10.0
    branched = meaning(weft.grad(lambda x: lax.cond(x > 0, f, lambda a, b: a, x, 3.0)), 2.0)
    assert branched == 300.0


def test_forward_mode_of_custom_vjp_is_refused():
    with pytest.raises(
        TypeError, match=r"'clipped', which has a custom_vjp rule only: .* Use grad"
    ):
        weft.jvp(clipped, (1.0, 1.0), (1.0, 1.0))
    with pytest.raises(TypeError, match="custom_vjp rule only"):
        weft.jacfwd(lambda x: clipped(x, x)["v"])(XS)


def test_nondiff_arguments_and_none_cotangents():
    def scaled(mode, x, n):
        return x * n if mode == "mul" else x

    f = weft.custom_vjp(scaled, nondiff_argnums=(0,))
    f.defvjp(lambda mode, x, n: (scaled(mode, x, n), n), lambda mode, n, ct: (7 * ct, None))
    assert meaning(weft.grad(lambda x, n: f("mul", x, n)), 2.0, 3) == 7.0
    assert meaning(weft.grad(lambda x, n: f("mul", x, n=n), 1), 2.0, 3.0) == 0.0

    g = weft.custom_jvp(scaled, nondiff_argnums=0)
    g.defjvp(lambda mode, p, t: (scaled(mode, *p), 5 * t[0]))
    assert meaning(weft.grad(lambda x: g("mul", x, 3.0)), 2.0) == 5.0


def test_defjvps_and_methods():
    @weft.custom_jvp
    def f(x, y):
        return x * y

    f.defjvps(lambda t, ans, x, y: 2 * t * y, None)
    assert meaning(weft.grad(f, (0, 1)), 3.0, 4.0) == (8.0, 0.0)

    class Model:
        @weft.custom_jvp
        def apply(self, x):
            return x

    Model.apply.nondiff_argnums = (0,)
    Model.apply.defjvp(lambda self, p, t: (p[0], 3 * t[0]))
    assert float(weft.grad(Model().apply)(1.0)) == 3.0


def test_wrong_rules_are_named():
    f = weft.custom_vjp(lambda x: x)
    with pytest.raises(
        TypeError, match="custom_vjp '<lambda>' has no rule yet: give one with defvjp"
    ):
        f(1.0)
    f.defvjp(lambda x: x, lambda r, ct: (ct,))
    with pytest.raises(TypeError, match=r"fwd must return a pair \(result, residuals\)"):
        weft.grad(f)(1.0)
    f.defvjp(lambda x: (x, None), lambda r, ct: ct)
    with pytest.raises(
        TypeError,
        match=r"bwd must return a tuple of 1 cotangents, one for each argument \(x\), got one "
        r"array, f32\[\] from '<lambda>' \(.*py:\d+\)\nAt .*weft.grad\(f\)\(1.0\)",
    ):
        weft.grad(f)(1.0)
    f.defvjp(lambda x: (x, None), lambda r, ct: (np.ones(3),))
    with pytest.raises(
        TypeError, match=r"the cotangent of x that bwd returns has type f32\[3\], expected"
    ):
        weft.grad(f)(1.0)
    g = weft.custom_jvp(lambda x: x)
    g.defjvp(lambda p, t: (p[0], (t[0], t[0])))
    with pytest.raises(TypeError, match=r"the tangent has the structure \(\*, \*\), expected \*"):
        weft.grad(g)(1.0)


def test_rules_return_the_result_of_their_function():
    def doubled(x, y):
        return x * y * 2

    f, g = weft.custom_vjp(doubled), weft.custom_jvp(doubled)
    wrong = {
        r"result has type f32\[2\], expected f32\[4\]": lambda x: x[:2],
        r"result has type f16\[4\], expected f32\[4\]": lambda x: x.astype("float16"),
        r"it has the structure \(\*, \*\), expected \*": lambda x: (x, x),
    }
    for text, change in wrong.items():

        def forward(x, y, change=change):
            return change(doubled(x, y)), (x, y)

        def rule(primals, tangents, change=change):
            return change(doubled(*primals)), change(tangents[0])

        f.defvjp(forward, lambda residuals, ct: (ct, ct))
        g.defjvp(rule)
        for wrap in (lambda h: h, weft.jit, weft.vmap):
            lifted = onp.stack([XS, XS]) if wrap is weft.vmap else XS
            for h, name in ((f, "forward"), (g, "rule")):
                with pytest.raises(
                    TypeError, match=rf"'doubled': '{name}' \(.*\) must return .* result: {text}"
                ):
                    weft.grad(lambda x, h=h, wrap=wrap: weft.tree.leaves(wrap(h)(x, x))[0].sum())(
                        lifted
                    )


def test_rules_that_close_over_what_is_differentiated():
    def f(z, wrap):
        @weft.custom_vjp
        def inner(x):
            return x * z

        inner.defvjp(lambda x: (x * z, None), lambda r, ct: (ct,))
        return wrap(inner)(1.0)

    with pytest.raises(LeakedTracerError, match="inside a custom derivative rule"):
        weft.grad(lambda z: f(z, lambda g: g) + f(z * 2, lambda g: lambda x: g(x * z)))(2.0)
    with pytest.raises(TypeError, match="closes over a value that is differentiated"):
        weft.grad(lambda z: weft.jit(lambda z: f(z, lambda g: lambda x: g(x * z)))(z))(2.0)
    with pytest.raises(LeakedTracerError, match="inside a custom derivative rule"):
        weft.make_jaxpr(weft.vmap(lambda z: f(z, lambda g: g)))(XS)
    # A mapped value may be closed over where the arguments are mapped too.
    square = weft.vmap(lambda z: f(z, lambda g: lambda x: g(x * z)))
    onp.testing.assert_array_equal(meaning(square, XS), XS**2)


def test_checkpoint_keeps_only_arguments():
    def f(x):
        for _ in range(5):
            x = np.sin(x)
        return x

    plain = weft.make_jaxpr(lambda x: weft.vjp(f, x)[1](x))(XS)
    saved = weft.make_jaxpr(lambda x: weft.vjp(weft.checkpoint(f), x)[1](x))(XS)
    backward = saved.eqns[-1]
    assert backward.primitive.name == "checkpoint" and len(backward.invars) == 2
    assert str(plain).count("cos") == 5
    onp.testing.assert_allclose(
        meaning(weft.grad(lambda x: weft.checkpoint(f)(x).sum()), XS),
        meaning(weft.grad(lambda x: f(x).sum()), XS),
        rtol=1e-6,
    )


def test_stop_gradient_and_auxiliary_data():
    f = weft.grad(lambda x: x * weft.stop_gradient({"y": x})["y"])
    assert meaning(f, 3.0) == 3.0
    g = weft.value_and_grad(lambda x: (x * x, {"twice": x * 2}), has_aux=True)
    (value, aux), slope = meaning(g, 3.0)
    assert (value, aux["twice"], slope) == (9.0, 6.0, 6.0)
    (value, aux), slope = g(3.0)
    assert float(aux["twice"]) == 6.0
    y, pullback, aux = weft.vjp(lambda x: (x * x, x + 1), 3.0, has_aux=True)
    assert float(pullback(1.0)[0]) == 6.0 and float(aux) == 4.0
    y, t, aux = weft.jvp(lambda x: (x * x, x + 1), (3.0,), (1.0,), has_aux=True)
    assert (float(y), float(t), float(aux)) == (9.0, 6.0, 4.0)
    y, linear, aux = weft.linearize(lambda x: (x * x, x + 1), 3.0, has_aux=True)
    assert (float(linear(2.0)), float(aux)) == (12.0, 4.0)


def test_jacobians_of_trees_and_hessians():
    def f(p, s):
        return {"y": p["a"] * s, "z": (p["a"] ** 2).sum()}

    p, s = {"a": XS[:2]}, onp.float32(3)
    for jacobian in (weft.jacfwd, weft.jacrev):
        found = meaning(jacobian(f, (0, 1)), p, s)
        onp.testing.assert_allclose(found["y"][0]["a"], 3 * onp.eye(2))
        onp.testing.assert_allclose(found["y"][1], XS[:2])
        onp.testing.assert_allclose(found["z"][0]["a"], 2 * XS[:2])
        assert found["z"][1] == 0.0
    found = meaning(weft.hessian(lambda x: (x**3).sum()), XS)
    onp.testing.assert_allclose(found, onp.diag(6 * XS), rtol=1e-6)
    with pytest.raises(TypeError, match=r"jacfwd of '<lambda>': x has dtype int32"):
        weft.jacfwd(lambda x: x)(onp.arange(3, dtype=onp.int32))


def test_holomorphic_gradients():
    found = meaning(weft.grad(lambda z: z * z * z, holomorphic=True), onp.complex64(1 + 2j))
    onp.testing.assert_allclose(complex(found), 3 * (1 + 2j) ** 2, rtol=1e-6)


def test_custom_functions_without_array_arguments():
    @weft.custom_jvp
    def constant():
        return 2.0

    constant.defjvp(lambda p, t: (2.0, 0.0))
    assert float(weft.grad(lambda x: x * constant())(3.0)) == 2.0
    onp.testing.assert_array_equal(weft.vmap(lambda x: x * constant())(XS), 2 * XS)


def test_arguments_that_are_not_differentiated_by_name():
    @functools.partial(weft.custom_vjp, nondiff_argnames=("power",))
    def f(x, power):
        return x**power

    f.defvjp(lambda x, power: (f(x, power), x), lambda power, x, ct: (ct * power * 100.0,))
    assert meaning(weft.grad(lambda x: f(x, power=3)), 2.0) == 300.0

    @functools.partial(weft.custom_jvp, nondiff_argnames="power")
    def g(x, power):
        return x**power

    g.defjvp(lambda power, primals, tangents: (g(*primals, power), tangents[0] * power * 10.0))
    assert meaning(weft.grad(lambda x: g(x, 3)), 2.0) == 30.0
    with pytest.raises(ValueError, match="nondiff_argnames has 'n', but the function has the argu"):
        weft.custom_jvp(lambda x, power: x, nondiff_argnames="n")


def test_none_is_the_zero_cotangent_of_any_part_of_an_argument():
    @weft.custom_vjp
    def f(d, y):
        return d["a"] * d["b"][0].sum() * y

    f.defvjp(
        lambda d, y: (f(d, y), d),
        lambda d, ct: ({"a": 2 * ct, "b": None, "c": (None, 3 * ct)}, None),
    )
    d = {"a": np.float32(2), "b": [np.ones(3, np.float32)] * 2, "c": (np.float32(1),) * 2}
    found = weft.grad(f)(d, np.float32(5))
    assert weft.tree.map(lambda x: x.tolist(), found) == {
        "a": 2,
        "b": [[0, 0, 0]] * 2,
        "c": (0, 3),
    }
    f.defvjp(lambda d, y: (f(d, y), d), lambda d, ct: ({"a": 2 * ct, "b": ct, "c": None}, ct))
    with pytest.raises(TypeError, match=r"bwd returned \{'a': \*, 'b': \*, 'c': None\} as the"):
        weft.grad(f)(d, np.float32(5))
