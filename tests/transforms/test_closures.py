"""closure_convert, custom_gradient, custom_vmap, ensure_compile_time_eval, options of Jacobians."""

from __future__ import annotations

import numpy as onp
import pytest

import weft
import weft.numpy as np
from tests.transforms.programs import meaning
from weft.core import ConcretizationError, LeakedTracerError
from weft.custom_batching import custom_vmap, sequential_vmap


def test_closure_convert_makes_values_arguments():
    def f(x):
        converted, values = weft.closure_convert(lambda y: y * x * 2.0, 1.0)
        assert len(values) == 1
        return converted(5.0, *values)

    assert meaning(weft.grad(f), 3.0) == 10.0
    converted, values = weft.closure_convert(lambda y: y * 3.0, 1.0)
    assert values == [] and float(converted(2.0)) == 6.0
    with pytest.raises(TypeError, match=r"called with arguments of the structure \(\(\*, \*\)"):
        converted(1.0, 2.0)


def test_custom_gradient_is_the_functions_own():
    @weft.custom_gradient
    def f(x):
        return x**2, lambda ct: ct * 100.0 * x

    @weft.custom_gradient
    def g(x, y):
        return x * y, lambda ct: (ct * y * 10.0, ct * x)

    assert meaning(f, 3.0) == 9.0
    for gradient in (weft.grad(f), weft.grad(weft.jit(f)), weft.jit(weft.grad(f))):
        assert meaning(gradient, 3.0) == 300.0
    onp.testing.assert_allclose(meaning(weft.vmap(weft.grad(f)), onp.arange(3.0)), [0, 100, 200])
    assert [float(x) for x in meaning(weft.grad(g, (0, 1)), 3.0, 2.0)] == [20.0, 3.0]
    # Calls of different shapes in one function keep their own gradients.
    both = meaning(weft.grad(lambda x, v: f(x) + f(v).sum(), (0, 1)), 3.0, onp.ones(2))
    assert both[0] == 300.0 and both[1].tolist() == [100.0, 100.0]
    with pytest.raises(TypeError, match=r"custom_gradient '<lambda>' must return a pair"):
        weft.custom_gradient(lambda x: x)(1.0)


def test_custom_vmap_uses_the_rule():
    calls = []

    @custom_vmap
    def divide(a, b):
        return {"out": b / a}

    @divide.def_vmap
    def _(axis_size, in_batched, a, b):
        calls.append((axis_size, in_batched))
        return {"out": b / a + 100.0}, True

    a = onp.array([1.0, 2.0, 4.0])
    assert float(divide(2.0, 3.0)["out"]) == 1.5
    for f in (weft.vmap(divide, (0, None)), weft.vmap(weft.jit(divide), (0, None))):
        onp.testing.assert_allclose(meaning(f, a, 8.0)["out"], [108.0, 104.0, 102.0])
    assert all(call == (3, [True, False]) for call in calls)
    slope = weft.grad(lambda x, y: divide(x, y)["out"])
    assert meaning(slope, 2.0, 3.0) == -0.75
    nested = weft.vmap(weft.vmap(divide, (0, None)), (None, 0))
    assert meaning(nested, a, onp.array([8.0, 16.0]))["out"].shape == (2, 3)


def test_custom_vmap_checks_the_rule():
    @custom_vmap
    def f(x):
        return x

    with pytest.raises(TypeError, match="custom_vmap 'f' has no rule yet: give one with def_vmap"):
        f(1.0)
    f.def_vmap(lambda n, batched, x: x)
    with pytest.raises(TypeError, match=r"must return a pair \(result, out_batched\)"):
        weft.vmap(f)(onp.ones(3))
    f.def_vmap(lambda n, batched, x: (np.sum(x), True))
    with pytest.raises(TypeError, match=r"returned f64\[\] as result, expected f64\[3\] \(mapped"):
        weft.vmap(f)(onp.ones(3))
    f.def_vmap(lambda n, batched, x: ((x, x), True))
    with pytest.raises(TypeError, match=r"has the structure \(\*, \*\), expected \*"):
        weft.vmap(f)(onp.ones(3))

    def closes_over(y):
        g = custom_vmap(lambda x: x * y)
        g.def_vmap(lambda n, batched, x: (x, True))
        return g(1.0)

    with pytest.raises(TypeError, match="closes over a value that is mapped"):
        weft.vmap(closes_over)(onp.ones(3))


def test_sequential_vmap_is_a_loop():
    f = sequential_vmap(lambda x, y: (x * y, y["a"] if isinstance(y, dict) else y))
    mapped = weft.vmap(f, (0, None))
    closed = weft.make_jaxpr(mapped)(onp.arange(3.0), 2.0)
    assert [eqn.primitive.name for eqn in closed.eqns] == ["scan"]
    product, same = meaning(mapped, onp.arange(3.0), 2.0)
    assert product.tolist() == [0.0, 2.0, 4.0] and same.tolist() == [2.0] * 3


def test_ensure_compile_time_eval():
    def f(x):
        with weft.ensure_compile_time_eval():
            size = int(np.ceil(np.asarray(2.5)))
        return x * size

    assert float(weft.jit(f)(2.0)) == 6.0
    assert meaning(weft.grad(f), 2.0) == 3.0

    def wrong(x):
        with weft.ensure_compile_time_eval():
            return x * 2

    with pytest.raises((LeakedTracerError, ConcretizationError), match="'wrong'"):
        weft.jit(wrong)(1.0)


def test_holomorphic_jacobians():
    z = onp.array([1 + 2j, 0.5 - 1j])
    for jacobian in (weft.jacfwd, weft.jacrev):
        found = meaning(jacobian(lambda v: v * v, holomorphic=True), z)
        onp.testing.assert_allclose(found, onp.diag(2 * z))
        with pytest.raises(TypeError, match=r"v has dtype complex128: for a holomorphic function"):
            jacobian(lambda v: v * v)(z)
        with pytest.raises(TypeError, match=r"v has dtype float64: holomorphic=True is for"):
            jacobian(lambda v: v * v, holomorphic=True)(z.real)
    found = meaning(weft.hessian(lambda v: (v**3).sum(), holomorphic=True), z)
    onp.testing.assert_allclose(found, onp.diag(6 * z))


def test_hessians_with_auxiliary_data():
    def f(x):
        return (x**3).sum(), x.shape

    found, aux = weft.hessian(f, has_aux=True)(onp.ones(2))
    onp.testing.assert_allclose(onp.asarray(found), 6 * onp.eye(2))
    assert aux == (2,)
