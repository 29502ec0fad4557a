"""Messages for traced values used as Python values, leaks, and wrong uses of transformations."""

from __future__ import annotations

import numpy as onp
import pytest

import weft
import weft.numpy as np
from weft.core import ConcretizationError, LeakedTracerError, MissingRuleError
from weft.errors import NonlinearError


def test_truth_value_names_function_argument_and_line():
    def step(params, rate):
        y = params["w"] * 2
        if y > 0:
            return y
        return rate

    with pytest.raises(ConcretizationError) as error:
        weft.jit(step)({"w": 1.0}, 0.1)
    text = str(error.value)
    assert text.startswith(
        "the truth value of a traced value of type bool[] while 'step' (under jit) is traced: its "
        "value is not known yet. It depends on the argument params['w']. It was computed at "
    )
    assert "weft.lax.cond" in text and "static_argnums" in text
    assert text.endswith(
        "(test_truth_value_names_function_argument_and_line.<locals>.step): if y > 0:"
    )


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (int, "int()"),
        (float, "float()"),
        (complex, "complex()"),
        (lambda x: [1, 2][x.astype("int32")], "use as a Python index"),
        (lambda x: range(x.astype("int32")), "use as a Python index"),
        (onp.asarray, "conversion to a NumPy array"),
        (lambda x: onp.isnat(x), "numpy.isnat"),
        (hash, "a traced value is not hashable, here f32[] of '<lambda>'"),
        (lambda x: x.item(), "item()"),
        (lambda x: x.tolist(), "tolist()"),
        (
            lambda x: f"{x:.2f}",
            'known yet. It is the argument value. weft.debug.print("{:.2f}", x)',
        ),
    ],
)
def test_uses_of_the_value(use, words):
    with pytest.raises(TypeError) as error:
        weft.jit(lambda value: use(value))(1.0)
    assert words in str(error.value) and "value" in str(error.value)


def test_scalars_have_no_length_and_vectors_iterate():
    with pytest.raises(TypeError, match=r"len\(\) of a traced scalar of type f32\[\]"):
        weft.make_jaxpr(lambda x: len(x))(1.0)
    with pytest.raises(TypeError, match=r"iteration over a traced scalar"):
        weft.make_jaxpr(lambda x: list(x))(1.0)
    a, b = weft.eval_shape(lambda x: tuple(x), onp.zeros((2, 3), onp.float32))
    assert a.shape == b.shape == (3,)


def test_values_are_known_under_grad():
    def f(x):
        return x * x if x > 0 else -x

    assert float(weft.grad(f)(3.0)) == 6.0
    assert float(weft.grad(f)(-3.0)) == -1.0
    with pytest.raises(ConcretizationError, match="under vmap"):
        weft.vmap(f)(np.arange(3.0))


@pytest.mark.parametrize("use", [float, onp.asarray, lambda x: x.item()])
def test_derivatives_do_not_get_lost_silently(use):
    with pytest.raises(ConcretizationError) as error:
        weft.grad(lambda x: x * use(x))(3.0)
    assert "that is being differentiated in '<lambda>' (under grad)" in str(error.value)
    assert float(weft.grad(lambda x: x * use(weft.stop_gradient(x)))(3.0)) == 3.0
    assert int(weft.grad(lambda x: x * int(x))(3.5)) == 3


def test_results_are_arrays():
    x = onp.ones(2, onp.float32)
    results = [
        weft.grad(lambda x: x)(1.0),
        weft.jvp(lambda x: x, (x,), (x,)),
        weft.vjp(lambda x: x, x)[1](x),
        weft.linearize(lambda x: x, x)[1](x),
        weft.vmap(lambda x: x)(x),
        weft.vmap(lambda x: 1.0)(x),
    ]
    assert {type(leaf) for leaf in weft.tree.leaves(results)} == {np.ndarray}


def test_leaks_are_named():
    kept = []

    def f(x):
        kept.append(x * 2)
        return x

    weft.make_jaxpr(f)(1.0)
    with pytest.raises(LeakedTracerError) as error:
        kept[0] + 1.0
    text = str(error.value)
    assert (
        "a traced value of type f32[] outlived the transformation of 'f' (under make_jaxpr)" in text
    )
    assert "It depends on the argument x." in text and "kept[0] + 1.0" in text
    kept.clear()
    weft.grad(f)(1.0)
    with pytest.raises(LeakedTracerError, match=r"'f' \(under grad\)"):
        weft.jit(lambda y: y + kept[0])(1.0)
    with pytest.raises(LeakedTracerError, match=r"outlived"):
        bool(weft.vmap(f)(np.ones(2)) is None) or bool(kept[-1])


def test_grad_of_what_has_no_gradient():
    def f(x):
        return x * 2

    with pytest.raises(TypeError, match=r"grad of 'f': x has dtype int32, which has no derivative"):
        weft.grad(f)(3)
    with pytest.raises(TypeError, match=r"must return a scalar, it returned f32\[3\]\. Sum it"):
        weft.grad(f)(np.ones(3))
    with pytest.raises(TypeError, match=r"returned \(\*, \*\); for a pair .* has_aux=True"):
        weft.grad(lambda x: (x, x))(1.0)
    with pytest.raises(TypeError, match=r"the result is i32\[\], which has no derivative"):
        weft.grad(lambda x: np.asarray(3))(1.0)
    with pytest.raises(TypeError, match=r"the result is c64\[\]; for a holomorphic function say"):
        weft.grad(lambda x: x["a"])({"a": 1j})
    with pytest.raises(TypeError, match=r"needs complex arguments"):
        weft.grad(f, holomorphic=True)(1.0)
    with pytest.raises(ValueError, match=r"argnums has 1, but it was called with 1 positional"):
        weft.grad(f, argnums=1)(1.0)
    with pytest.raises(TypeError, match=r"x is 'a' of type str, not an array"):
        weft.grad(f)("a")
    with pytest.raises(TypeError, match=r"argnums is an int or a tuple of ints, got 'x'"):
        weft.grad(f, argnums="x")
    with pytest.raises(TypeError, match=r"must return a pair \(result, aux\), got"):
        weft.grad(f, has_aux=True)(1.0)


def test_float0_for_integers():
    g = weft.grad(lambda p: p["x"] * p["n"], allow_int=True)({"x": 2.0, "n": 3})
    assert float(g["x"]) == 3.0
    assert g["n"].dtype == weft.core.float0
    y, t = weft.jvp(lambda n: n + 1, (3,), (onp.zeros((), weft.core.float0),))
    assert int(y) == 4 and t.dtype == weft.core.float0


def test_tangents_must_fit():
    f = np.sin
    with pytest.raises(TypeError, match=r"the tangent of .* has type f32\[2\], expected f32\[\]"):
        weft.jvp(f, (1.0,), (np.ones(2),))
    with pytest.raises(TypeError, match=r"different structures: \(\*,\) and \(\*, \*\)"):
        weft.jvp(f, (1.0,), (1.0, 1.0))
    with pytest.raises(TypeError, match=r"jvp: primals is a tuple or list, got float"):
        weft.jvp(f, 1.0, 1.0)
    with pytest.raises(TypeError, match=r"is discrete: give np.zeros\(\(\), weft.core.float0\)"):
        weft.jvp(lambda n: n, (3,), (1,))
    _, pullback = weft.vjp(lambda x: {"y": x}, 1.0)
    with pytest.raises(
        TypeError, match=r"cotangent has the structure \*, the result has \{'y': \*\}"
    ):
        pullback(1.0)
    with pytest.raises(TypeError, match=r"the cotangent of result\['y'\] has type f32\[2\]"):
        pullback({"y": np.ones(2)})


def test_vmap_names_what_differs():
    def f(x, y):
        return x + y

    with pytest.raises(ValueError) as error:
        weft.vmap(f)(np.ones((2, 3)), np.ones((3, 3)))
    assert str(error.value) == (
        "vmap of 'f': mapped axes differ in size: x f32[2,3] has 2 at axis 0, y f32[3,3] has 3 at "
        f"axis 0\nAt {__file__}:{test_vmap_names_what_differs.__code__.co_firstlineno + 5} "
        "(test_vmap_names_what_differs): weft.vmap(f)(np.ones((2, 3)), np.ones((3, 3)))"
    )
    with pytest.raises(ValueError, match=r"in_axes has 1 entries for 2 positional arguments"):
        weft.vmap(f, in_axes=(0,))(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"maps axis 1 of y, which has type f32\[2\] and 1 axes"):
        weft.vmap(f, in_axes=(0, 1))(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"nothing is mapped; give axis_size"):
        weft.vmap(f, in_axes=None)(np.ones(2), np.ones(2))
    with pytest.raises(ValueError, match=r"out_axes is None for result, which depends on a mapped"):
        weft.vmap(f, out_axes=None)(np.ones(2), np.ones(2))
    with pytest.raises(TypeError, match=r"vmap of 'f': y is 'a' of type str, not an array"):
        weft.vmap(f)(np.ones(2), "a")
    with pytest.raises(TypeError, match=r"in_axes is an int, None or a tuple"):
        weft.vmap(f, in_axes="x")(np.ones(2), np.ones(2))


def test_linear_transpose_refuses_what_is_not_linear():
    transposed = weft.linear_transpose(lambda x: np.sin(x) * 2, 1.0)
    with pytest.raises(MissingRuleError) as error:
        transposed(1.0)
    assert "primitive 'sin' has no transpose rule" in str(error.value)
    assert "np.sin(x) * 2" in str(error.value)
    for f, operation in (
        (lambda x: x * x, "'mul' of f32[3], f32[3]"),
        (lambda x: np.dot(x, x) * np.ones(3), "'dot_general' of f32[3], f32[3]"),
    ):
        with pytest.raises(NonlinearError) as nonlinear:
            weft.linear_transpose(f, np.ones(3))(np.ones(3))
        text = str(nonlinear.value)
        assert text.startswith(
            f"{operation} is not linear: more than one operand depends on the arguments to "
            "transpose\nAt "
        )
        assert "x)" in text or "x * x" in text


@pytest.mark.parametrize(
    ("call", "message", "line"),
    [
        (
            lambda: weft.grad(lambda x: x * 2)(np.ones(3)),
            "grad of '<lambda>': the function must return a scalar, it returned f32[3]. Sum it",
            "weft.grad(lambda x: x * 2)",
        ),
        (
            lambda: weft.vmap(lambda d, y: y, in_axes=({"a": 0}, 0))({"b": np.ones(3)}, np.ones(3)),
            "vmap of '<lambda>': in_axes has the structure ({'a': *}, *), which is no prefix of "
            "({'b': *}, *)",
            'in_axes=({"a": 0}, 0)',
        ),
        (
            lambda: weft.vmap(lambda x: (x, x), out_axes=(0,))(np.ones(3)),
            "vmap of '<lambda>': out_axes has the structure (*,), which is no prefix of (*, *)",
            "out_axes=(0,)",
        ),
        (
            lambda: weft.vmap(lambda x: {"r": x}, out_axes=2)(np.ones(3)),
            "out_axes is 2 for result['r'], which has 0 axes of its own",
            "out_axes=2",
        ),
        (
            lambda: weft.vjp(lambda x: {"r": x}, np.ones(3))[1]({"r": np.ones(2)}),
            "vjp of '<lambda>': the cotangent of result['r'] has type f32[2], expected f32[3]",
            '[1]({"r": np.ones(2)})',
        ),
        (
            lambda: weft.vjp(lambda x: x, np.ones(3))[1](onp.ones(3, onp.int32)),
            "vjp of '<lambda>': the cotangent of result has type i32[3], expected f32[3]",
            "onp.int32",
        ),
        (
            lambda: weft.jvp(lambda a, b: a * b, (1.0, np.ones(3)), (1.0, np.ones(2))),
            "jvp: the tangent of b has type f32[2], expected f32[3]",
            "(1.0, np.ones(2))",
        ),
        (
            lambda: weft.jvp(lambda a: a, (np.ones(3),), (onp.ones(3, onp.int32),)),
            "jvp: the tangent of a has type i32[3], expected f32[3]",
            "onp.int32",
        ),
        (
            lambda: weft.jvp(lambda p: p["x"], ({"x": 1.0},), ({"y": 1.0},)),
            "jvp of '<lambda>': primals and tangents have different structures: ({'x': *},) and "
            "({'y': *},)",
            '({"y": 1.0},)',
        ),
        (
            lambda: weft.linear_transpose(lambda x: 2 * x, np.ones(3))(np.ones(2)),
            "linear_transpose of '<lambda>': the cotangent has type f32[2], expected f32[3]",
            "(np.ones(2))",
        ),
        (
            lambda: weft.lax.switch(1.5, [np.sin, np.cos], 1.0),
            "switch: index is a scalar integer, got f32[]; x.astype('int32') converts",
            "weft.lax.switch(1.5",
        ),
        (
            lambda: weft.lax.fori_loop(0, 3, lambda i, p: {"h": p["h"][:2]}, {"h": np.ones(3)}),
            "fori_loop: '<lambda>' must keep the type of the carry: val['h'] has type f32[3] and "
            "becomes f32[2]. A loop cannot change shapes",
            'p["h"][:2]',
        ),
        (
            lambda: weft.jit(lambda n: weft.lax.fori_loop(0, n, lambda i, x: x > 0, 1.0))(3),
            "fori_loop: '<lambda>' must keep the type of the carry: val has type f32[] and becomes "
            "bool[]",
            "lambda i, x: x > 0",
        ),
        (
            lambda: weft.lax.associative_scan(lambda a, b: a[:1] + b[:1], np.ones(8)),
            "must keep the types of its arguments: elems has type f32[4] and becomes f32[1]",
            "a[:1] + b[:1]",
        ),
    ],
)
def test_both_types_and_the_line_are_shown(call, message, line):
    with pytest.raises((TypeError, ValueError)) as error:
        call()
    text = str(error.value)
    assert message in text
    assert f"\nAt {__file__}:" in text and line in text.rsplit("\nAt ", 1)[1]
    (found,) = weft.linear_transpose(lambda x: 3 * x, 1.0)(2.0)
    assert float(found) == 6.0


def test_functions_are_asked_for():
    for transform in (weft.grad, weft.vmap, weft.make_jaxpr, weft.jacfwd, weft.custom_vjp):
        with pytest.raises(TypeError, match=r"takes a function, got 1\.0 of type float"):
            transform(1.0)
