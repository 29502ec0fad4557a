"""cond, switch, while_loop, fori_loop, scan and their kin: meaning, derivatives, errors."""

from __future__ import annotations

import numpy as onp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as np
from tests.transforms.programs import meaning
from weft import lax

XS = onp.arange(1.0, 5.0).astype(onp.float32)


def close(found, expected, **tolerance):
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-6}
    weft.tree.map(lambda a, b: onp.testing.assert_allclose(a, b, **tolerance), found, expected)


# ---------------------------------------------------------------- cond and switch


def test_cond_runs_one_branch():
    def f(x, y):
        return lax.cond(x > y, lambda a, b: a - b, lambda a, b: (a + b) * 10, x, y)

    assert meaning(f, 3.0, 1.0) == 2.0
    assert meaning(f, 1.0, 3.0) == 40.0
    assert meaning(weft.grad(f), 1.0, 3.0) == 10.0
    assert meaning(weft.grad(f, 1), 3.0, 1.0) == -1.0


def test_cond_takes_numbers_and_closes_over_values():
    def f(x, n):
        return lax.cond(n, lambda: x * x, lambda: x)

    assert meaning(f, 3.0, 2) == 9.0
    assert meaning(weft.grad(f), 3.0, 0) == 1.0
    close(meaning(weft.vmap(f, (None, 0)), 3.0, onp.array([0, 5])), [3.0, 9.0])


def test_cond_over_a_mapped_predicate_selects():
    def f(p, x):
        return lax.cond(p, lambda x: {"y": x * 2}, lambda x: {"y": -x}, x)

    found = meaning(weft.vmap(f), onp.array([True, False]), onp.float32([1, 2]))
    close(found, {"y": onp.float32([2, -2])})
    text = str(weft.make_jaxpr(weft.vmap(f))(onp.array([True, False]), onp.float32([1, 2])))
    assert "select_n" in text and "cond" not in text
    unmapped = str(weft.make_jaxpr(weft.vmap(f, (None, 0)))(True, onp.float32([1, 2])))
    assert "cond" in unmapped and "select_n" not in unmapped


def test_branches_with_different_residuals():
    def f(x):
        return lax.cond(x > 0, lambda x: np.sin(x) * np.exp(x) * np.cos(x), lambda x: np.tanh(x), x)

    for x in (0.7, -0.7):
        slope = meaning(weft.grad(f), x)
        h = 1e-3
        close(slope, (meaning(f, x + h) - meaning(f, x - h)) / (2 * h), rtol=1e-2)
    close(
        meaning(weft.vmap(weft.grad(f)), onp.float32([0.7, -0.7])),
        [meaning(weft.grad(f), 0.7), meaning(weft.grad(f), -0.7)],
    )


def test_weak_results_take_the_dtype_of_the_other_branch():
    wide = weft.eval_shape(
        lambda x: lax.cond(True, lambda: x, lambda: 0.0), onp.zeros((), onp.float64)
    )
    assert wide.dtype == onp.float64


@given(st.integers(-5, 7))
def test_switch_clamps(index):
    branches = [lambda x: x, lambda x: x * 10, lambda x: x * 100]
    expected = 2.0 * 10 ** min(max(index, 0), 2)
    assert meaning(lambda i, x: lax.switch(i, branches, x), index, 2.0) == expected
    assert meaning(lambda i, x: lax.switch(i, branches[:1], x), index, 2.0) == 2.0


# ---------------------------------------------------------------- while


def test_while_counts_and_maps():
    def f(x):
        return lax.while_loop(lambda s: s[0] < 100, lambda s: (s[0] * s[1], s[1]), (x, x))[0]

    assert meaning(f, 3.0) == 243.0
    close(meaning(weft.vmap(f), onp.float32([2, 3, 5])), [128.0, 243.0, 125.0])
    value, slope = meaning(lambda x: weft.jvp(f, (x,), (1.0,)), 3.0)
    assert (value, slope) == (243.0, 405.0)
    close(meaning(weft.vmap(weft.jacfwd(f)), onp.float32([2, 3])), [448.0, 405.0])
    assert meaning(lambda x: weft.linearize(f, x)[1](1.0), 3.0) == 405.0


def test_while_over_a_mapped_body_with_a_common_condition():
    def f(x):
        def body(s):
            i, v = s
            return i + 1, v * 2

        return lax.while_loop(lambda s: s[0] < 3, body, (0, x))[1]

    closed = weft.make_jaxpr(weft.vmap(f))(XS)
    assert "select_n" not in str(closed)
    close(meaning(weft.vmap(f), XS), XS * 8)


def test_reverse_mode_of_while_says_what_to_do():
    def f(x):
        return lax.while_loop(lambda s: s < 100, lambda s: s * x, x)

    for g in (weft.grad(f), weft.grad(weft.jit(f))):
        with pytest.raises(NotImplementedError) as error:
            weft.make_jaxpr(g)(3.0)
        assert "Use fori_loop with trip counts that are Python integers, or scan" in str(
            error.value
        )
        assert "lax.while_loop(lambda s: s < 100" in str(error.value)


def test_gradient_around_a_while_that_it_does_not_pass():
    def f(x):
        n = lax.while_loop(lambda n: n < 10, lambda n: n * 2, 1)
        return x * n

    assert meaning(weft.grad(f), 3.0) == 16.0


# ---------------------------------------------------------------- fori


def test_fori_loop_static_and_dynamic():
    def f(n, x):
        return lax.fori_loop(0, n, lambda i, v: v * x + i, x)

    static = meaning(lambda x: f(4, x), 2.0)
    assert static == meaning(f, 4, 2.0)
    assert "scan" in str(weft.make_jaxpr(lambda x: f(4, x))(2.0))
    assert "while" in str(weft.make_jaxpr(f)(4, 2.0))
    assert meaning(lambda x: lax.fori_loop(3, 1, lambda i, v: v + 1, x), 2.0) == 2.0
    assert meaning(weft.grad(lambda x: lax.fori_loop(0, 3, lambda i, v: v * x, x)), 2.0) == 32.0
    index = weft.eval_shape(
        lambda x: lax.fori_loop(0, 2**40, lambda i, _: i, x), onp.zeros((), "int64")
    )
    assert index.dtype == onp.int64


# ---------------------------------------------------------------- scan


def rnn(w, h, xs, reverse=False):
    def step(carry, x):
        h, count = carry
        h = np.tanh(w["h"] * h + w["x"] * x)
        return (h, count + 1), {"h": h, "twice": [h * 2]}

    return lax.scan(step, (h, 0), xs, reverse=reverse)


def rnn_in_python(w, h, xs, reverse=False):
    ys = [None] * len(xs)
    order = range(len(xs))
    for i in reversed(order) if reverse else order:
        h = np.tanh(w["h"] * h + w["x"] * xs[i])
        ys[i] = h
    ys = np.stack(ys)
    return (h, len(xs)), {"h": ys, "twice": [ys * 2]}


W = {"h": onp.float32(0.7), "x": onp.float32(-0.3)}


@pytest.mark.parametrize("reverse", [False, True])
def test_scan_is_a_loop(reverse):
    args = (W, onp.float32(0.1), XS)
    close(
        meaning(lambda *a: rnn(*a, reverse), *args),
        meaning(lambda *a: rnn_in_python(*a, reverse), *args),
    )


@pytest.mark.parametrize("reverse", [False, True])
def test_gradients_of_scan(reverse):
    def loss(run):
        def of(w, h, xs):
            (h, _), ys = run(w, h, xs, reverse)
            return h + (ys["h"] * ys["twice"][0]).sum()

        return weft.grad(of, (0, 1, 2))

    args = (W, onp.float32(0.1), XS)
    expected = meaning(loss(rnn_in_python), *args)
    close(meaning(loss(rnn), *args), expected)
    close(meaning(weft.jit(loss(rnn)), *args), expected)
    batched = weft.vmap(loss(rnn), (None, 0, None))
    both = meaning(batched, W, onp.float32([0.1, 0.1]), XS)
    close(weft.tree.map(lambda x: x[1], both), expected)


def test_residuals_that_do_not_change_stay_out_of_the_loop():
    matrix = onp.ones((5, 5), onp.float32)

    def loss(w):
        return lax.scan(lambda h, _: (w @ h, None), np.ones(5), None, length=9)[0].sum()

    closed = weft.make_jaxpr(weft.grad(loss))(matrix)
    assert "f32[9,5,5]" not in str(closed)
    assert "f32[9,5]" in str(closed)


def test_scan_without_carry_or_results():
    assert weft.eval_shape(lambda x: lax.scan(lambda c, x: ((), x), (), x), XS)[1].shape == (4,)
    carry, ys = meaning(lambda x: lax.scan(lambda c, x: (c + x, None), 0.0, x), XS)
    assert carry == 10.0 and ys is None
    carry, ys = meaning(lambda x: lax.scan(lambda c, x: (c + x, c), 0.0, x), XS[:0])
    assert carry == 0.0 and ys.shape == (0,)


def test_python_scalars_in_a_carry_take_the_dtype_of_the_body():
    carry = weft.eval_shape(lambda x: lax.scan(lambda c, x: (c + x, None), 0, x)[0], XS)
    assert carry.dtype == onp.float32
    wide = weft.eval_shape(
        lambda x: lax.scan(lambda c, x: (0.0, None), x, None, length=2)[0],
        onp.zeros((), onp.float64),
    )
    assert wide.dtype == onp.float64


def test_loops_run_in_python_without_jit():
    seen = []

    def step(carry, x):
        seen.append(float(carry))
        return carry + x, carry * 2

    with weft.disable_jit():
        carry, ys = lax.scan(step, np.asarray(0.0), np.asarray(XS))
        close(ys, [0.0, 2.0, 6.0, 12.0])
        assert float(lax.while_loop(lambda x: x < 9, lambda x: x * 2, np.asarray(1.0))) == 16.0
        assert float(lax.fori_loop(0, 4, lambda i, x: x + i, np.asarray(0))) == 6
        assert float(lax.cond(np.asarray(True), lambda: 1.0, lambda: 1 / 0)) == 1.0
        assert float(lax.switch(np.asarray(9), [lambda: 1.0, lambda: 2.0])) == 2.0
    assert seen == [0.0, 1.0, 3.0, 6.0] and float(carry) == 10.0


def test_map_and_associative_scan():
    close(meaning(lambda x: lax.map(lambda v: v * v, x), XS), XS**2)

    def affine(f, g):
        return f[0] * g[0], f[1] * g[0] + g[1]

    for n in range(1, 9):
        a = onp.linspace(0.5, 1.5, n).astype(onp.float32)
        b = onp.linspace(-1, 1, n).astype(onp.float32)
        expected = [(a[0], b[0])]
        for i in range(1, n):
            expected.append(affine(expected[-1], (a[i], b[i])))
        found = meaning(lambda a, b: lax.associative_scan(affine, (a, b)), a, b)
        close(list(found), [onp.stack([e[k] for e in expected]) for k in (0, 1)])
        backwards = meaning(lambda a: lax.associative_scan(np.add, a, reverse=True), a)
        close(backwards, onp.cumsum(a[::-1])[::-1])
    rows = onp.arange(6.0).reshape(2, 3).astype(onp.float32)
    close(meaning(lambda x: lax.associative_scan(np.add, x, axis=-1), rows), rows.cumsum(1))


def test_control_flow_compiles():
    def f(x):
        y = lax.fori_loop(0, 3, lambda i, v: v * 0.5 + x, x)
        z = lax.while_loop(lambda v: v.sum() < 100, lambda v: v * 2, y)
        carry, ys = lax.scan(lambda c, v: (c + v, c * v), 0.0, z)
        return lax.cond(carry > 0, lambda: ys, lambda: -ys)

    close(weft.jit(f)(XS), meaning(f, XS))


# ---------------------------------------------------------------- errors


def test_carries_that_change_are_named():
    with pytest.raises(TypeError) as error:
        lax.scan(lambda c, x: ({"h": c["h"] > 0}, x), {"h": 1.0}, XS)
    text = str(error.value)
    assert text.startswith(
        "scan: '<lambda>' must keep the type of the carry: carry['h'] has type f32[] and becomes "
        "bool[]. Convert one of them: start from bool, or return .astype('float32')\nAt "
    )
    assert text.endswith('lax.scan(lambda c, x: ({"h": c["h"] > 0}, x), {"h": 1.0}, XS)')
    with pytest.raises(
        TypeError, match=r"carry has type f32\[\] and becomes f32\[4\]\. A loop cannot"
    ):
        lax.while_loop(lambda c: True, lambda c: XS, 1.0)
    with pytest.raises(TypeError, match=r"it takes \* and returns \(\*, \*\)"):
        lax.scan(lambda c, x: ((c, c), x), 1.0, XS)
    with pytest.raises(TypeError, match=r"must return a pair \(carry, y\), it returned one array"):
        lax.scan(lambda c, x: c, 1.0, XS)


def test_branches_that_differ_are_named():
    def yes(x):
        return x

    def no(x):
        return (x,)

    def vector(x):
        return np.asarray(XS)

    def integers(x):
        return np.asarray(XS.astype(onp.int32))

    with pytest.raises(
        TypeError, match=r"same structure: 'no' \(.*\) gives \(\*,\) and 'yes' \(.*\) \*"
    ):
        lax.cond(True, yes, no, 1.0)
    with pytest.raises(TypeError, match=r"result is f32\[\] from 'yes' .* f32\[4\] from 'vector'"):
        lax.switch(1, [vector, yes], 1.0)
    with pytest.raises(TypeError, match=r"is i32\[4\] from 'integers' .* f32\[4\] from 'vector'"):
        lax.switch(1, [integers, vector], 1.0)


def test_wrong_arguments():
    with pytest.raises(TypeError, match=r"cond: pred is a scalar, got f32\[4\]; .*numpy\.where"):
        lax.cond(XS, lambda: 1, lambda: 2)
    with pytest.raises(TypeError, match=r"cond: pred is 'a' of type str, not a scalar"):
        lax.cond("a", lambda: 1, lambda: 2)
    with pytest.raises(ValueError, match="switch needs at least one branch"):
        lax.switch(0, [])
    with pytest.raises(TypeError, match=r"index is a scalar integer, got f32\[\]"):
        lax.switch(1.0, [lambda: 1, lambda: 2])
    with pytest.raises(TypeError, match=r"must give a scalar boolean, it gives f32\[\]"):
        lax.while_loop(lambda c: c, lambda c: c, 1.0)
    with pytest.raises(TypeError, match=r"fori_loop: upper is a scalar integer, got f32\[\]"):
        lax.fori_loop(0, 1.5, lambda i, c: c, 1.0)
    with pytest.raises(ValueError, match=r"leading axes differ: xs\['a'\] f32\[4\] and length=3"):
        lax.scan(lambda c, x: (c, x), 0.0, {"a": XS}, length=3)
    with pytest.raises(
        ValueError, match="there are no arrays in xs: say how many steps with length"
    ):
        lax.scan(lambda c, x: (c, x), 0.0)
    with pytest.raises(ValueError, match=r"map of '<lambda>': xs is a scalar; it has no leading"):
        lax.map(lambda x: x, 3.0)
    with pytest.raises(ValueError, match="xs is a scalar; it has no leading axis"):
        lax.scan(lambda c, x: (c, x), 0.0, 1.0)
    with pytest.raises(ValueError, match="unroll is a positive integer, got 0"):
        lax.scan(lambda c, x: (c, x), 0.0, XS, unroll=0)
    found = lax.associative_scan(lambda a, b: a + b * XS[:2, None], np.ones((2, 5)), axis=1)
    assert found.shape == (2, 5)  # the function sees the axes where they are
    with pytest.raises(ValueError, match=r"elems f32\[4\] has no axis 1"):
        lax.associative_scan(np.add, XS, axis=1)


def test_loops_print_with_their_bodies():
    closed = weft.make_jaxpr(lambda x: lax.scan(lambda c, v: (c + v, c), 0.0, x))(XS)
    assert str(closed) == (
        "{ lambda ; a:f32[4]. let\n"
        "    b:f32[] c:f32[4] = scan[\n"
        "      jaxpr={ lambda ; a:f32[] b:f32[]. let\n"
        "          c:f32[] = add a b\n"
        "        in (c, a) }\n"
        "      length=4\n"
        "      num_carry=1\n"
        "      num_consts=0\n"
        "      reverse=False\n"
        "      unroll=1\n"
        "    ] 0.0:f32[] a\n"
        "  in (b, c) }"
    )


def test_programs_of_many_equations():
    def f(x):
        for _ in range(3000):
            x = np.sin(x)
        return x

    slope = meaning(weft.grad(weft.jit(f)), 1.0)
    assert 0 < slope < 1e-3


@given(
    st.integers(1, 300),
    st.sampled_from([1, 5, 130]),
    st.sampled_from(["values", "bounds", "both"]),
    st.booleans(),
)
@settings(max_examples=12, deadline=None)
def test_mapped_loops_run_each_element_as_often_as_it_needs(lanes, width, what, nested):
    x = onp.linspace(0.1, 2.0, lanes * width).reshape(lanes, width)
    bounds = onp.arange(lanes) * 7 % 11

    def one(x, bound):
        def body(c):
            inner = lax.while_loop(lambda s: s < c[0], lambda s: s + 2, 0) if nested else 1
            return c[0] + 1, c[1] * 1.25 + inner

        return lax.while_loop(lambda c: (c[0] < bound) & (c[1].sum() < 1e3), body, (0, x))

    def expected(x, bound):
        n = 0
        while n < bound and x.sum() < 1e3:
            n, x = n + 1, x * 1.25 + (2 * ((n + 1) // 2) if nested else 1)
        return n, x

    axes = {"values": (0, None), "bounds": (None, 0), "both": (0, 0)}[what]
    args = (np.asarray(x) if axes[0] == 0 else np.asarray(x[0]), bounds if axes[1] == 0 else 6)
    counts, found = weft.vmap(one, axes)(*args)
    each = [
        expected(x[i if axes[0] == 0 else 0], bounds[i] if axes[1] == 0 else 6)
        for i in range(lanes)
    ]
    assert counts.tolist() == [n for n, _ in each]
    onp.testing.assert_allclose(onp.asarray(found), [y for _, y in each], rtol=1e-12)


def test_elements_of_mapped_loops_go_in_blocks():
    def one(n, x):
        return lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 2), (0, x))[1]

    def blocks(lanes, width):
        closed = weft.make_jaxpr(weft.vmap(one))(onp.arange(lanes), onp.ones((lanes, width)))
        return [e.params["length"] for e in closed.eqns if e.primitive.name == "scan"]

    assert blocks(8, 1000) == [8]  # vectors are full with one element
    assert blocks(300, 16) == [37]  # blocks of 8, and the other 4
    assert blocks(12, 16) == []  # one block
    _, slopes = weft.jvp(lambda x: weft.vmap(one)(onp.arange(8), x), *[(onp.ones((8, 200)),)] * 2)
    assert slopes[:, 0].tolist() == [2.0**n for n in range(8)]


def test_mapped_loops_that_see_each_other_stay_together():
    def one(x):
        return lax.while_loop(
            lambda c: (lax.pmax(c.sum(), "i") < 100) & (c.sum() < 50), lambda c: c * 2, x
        )

    x = onp.arange(1.0, 5.0)[:, None] * onp.ones(200) / 200
    found = weft.vmap(one, axis_name="i")(x)
    onp.testing.assert_allclose(found.sum(1), [64.0, 64.0, 96.0, 64.0], rtol=1e-5)


@pytest.mark.parametrize("first", [lambda x: 0.0, lambda x: x])
def test_one_strong_branch_makes_a_strong_result(first):
    x = np.asarray(onp.float32(1))
    other = (lambda x: x) if first(2.0) == 0.0 else (lambda x: 0.0)
    result = weft.jit(lambda p, x: lax.cond(p, first, other, x))(True, x)
    assert not result.weak_type and result.dtype == onp.float32
    assert lax.cond(True, lambda: 0.0, lambda: 1.0).weak_type
