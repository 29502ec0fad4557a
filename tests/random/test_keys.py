"""Typed random keys: elements of arrays that are moved around and carried, but are no numbers."""

from __future__ import annotations

import pickle

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import weft
import weft.numpy as wnp
from weft import lax, random

KEY = random.key(5)
KEYS = random.split(KEY, 4)


def numbered(ids):
    """Keys that say which numbers they were made of."""
    flat = np.asarray(ids, np.uint32).reshape(-1)
    words = np.stack([flat, flat + 7], -1).reshape(*np.shape(ids), 2)
    return random.wrap_key_data(words)


#: Whatever moves elements, with what tells the parameters from a random integer.
MOVES = {
    "transpose": lambda x, n: wnp.transpose(x),
    "ravel": lambda x, n: wnp.ravel(x),
    "reverse": lambda x, n: wnp.flip(x, n % x.ndim),
    "roll": lambda x, n: wnp.roll(x, n, n % x.ndim),
    "repeat": lambda x, n: wnp.repeat(x, 2, n % x.ndim),
    "stack": lambda x, n: wnp.stack([x, wnp.flip(x, 0)], n % x.ndim),
    "concatenate": lambda x, n: wnp.concatenate([x, x], n % x.ndim),
    "gather": lambda x, n: wnp.take(x, np.array([n, 0]), 0, mode="clip"),
    "slice": lambda x, n: x[n % x.shape[0] :, ...],
    "where": lambda x, n: wnp.where(np.arange(x.shape[-1]) % 2 == n % 2, x, wnp.flip(x, -1)),
    "dynamic slice": lambda x, n: lax.dynamic_slice_in_dim(x, n % x.shape[0], 1, 0),
    "update": lambda x, n: x.at[n % x.shape[0]].set(x[0]),
    "scatter": lambda x, n: x.at[np.array([n % x.shape[0], 0])].set(x[0]),
}


@given(
    st.lists(st.sampled_from(sorted(MOVES)), min_size=1, max_size=3),
    st.integers(0, 5),
    st.sampled_from(["jit", "delayed", "numpy"]),
)
@settings(max_examples=15, deadline=None)
def test_what_moves_elements_moves_keys(names, n, how):
    def moved(x):
        for name in names:
            x = MOVES[name](x, n)
        return x

    ids = np.arange(12, dtype=np.int32).reshape(4, 3)
    keys = numbered(ids)
    with weft.disable_jit(how == "numpy"):
        result = random.key_data((weft.jit(moved) if how == "jit" else moved)(keys))
        expected = random.key_data(numbered(moved(wnp.asarray(ids))))
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def test_what_a_key_is():
    assert (KEY.shape, KEY.ndim, KEY.size, KEY.dtype.itemsize) == ((), 0, 1, 8)
    assert repr(KEY.dtype) == str(weft.eval_shape(random.split, KEY).dtype) == "key<fry>"
    assert KEY.dtype == random.key_dtype() == random.key_dtype("threefry2x32") == KEYS.dtype
    assert repr(random.key(3)) == "Array((), dtype=key<fry>) overlaying:\n[0 3]"
    assert str(weft.make_jaxpr(lambda k: k)(KEYS)).startswith("{ lambda ; a:key<fry>[4].")
    assert wnp.issubdtype(KEY.dtype, weft.dtypes.prng_key)
    assert not wnp.issubdtype(KEY.dtype, np.floating)
    assert not wnp.issubdtype(random.PRNGKey(0).dtype, weft.dtypes.prng_key)
    assert [bool(k == KEYS[1]) for k in KEYS] == [False, True, False, False]
    assert (KEYS[0] != KEYS).tolist() == [False, True, True, True]
    copied = pickle.loads(pickle.dumps(KEYS))
    assert copied.aval is KEYS.aval
    assert (copied == KEYS).all()


def test_typed_and_raw_keys_give_the_same():
    raw = random.PRNGKey(5)
    assert random.key_data(KEY).tolist() == random.key_data(raw).tolist() == [0, 5]
    assert (random.wrap_key_data(raw) == KEY).all()
    assert random.key_data(KEYS).tolist() == random.split(raw, 4).tolist()
    assert random.key_data(random.fold_in(KEY, 3)).tolist() == random.fold_in(raw, 3).tolist()
    assert random.normal(KEY, (3,)).tolist() == random.normal(raw, (3,)).tolist()
    assert random.key_impl(KEYS) == random.key_impl(raw) == "threefry2x32"
    assert (random.clone(KEYS) == KEYS).all()


def test_loops_branches_and_vmap():
    def step(key, _):
        key, sub = random.split(key)
        return key, sub

    @weft.jit
    def loops(key):
        last, subs = lax.scan(step, key, None, length=3)
        folded = lax.fori_loop(0, 3, lambda i, k: random.fold_in(k, i), key)
        return last, subs, folded, lax.cond(True, lambda k: random.split(k)[1], lambda k: k, key)

    last, subs, folded, chosen = loops(KEY)
    key, expected = KEY, []
    for _ in range(3):
        key, sub = random.split(key)
        expected.append(sub)
    assert last == key
    assert (subs == wnp.stack(expected)).all()
    assert folded == random.fold_in(random.fold_in(random.fold_in(KEY, 0), 1), 2)
    assert chosen == random.split(KEY)[1]

    def turned(n, key):  # a loop of another length for each key
        return lax.while_loop(
            lambda c: c[0] < n, lambda c: (c[0] + 1, random.split(c[1])[0]), (0, key)
        )[1]

    many = weft.vmap(turned)(np.array([0, 2, 1, 3]), KEYS)
    assert all(many[i] == turned(n, KEYS[i]) for i, n in enumerate([0, 2, 1, 3]))
    table = weft.vmap(lambda k: random.split(k, 3), out_axes=1)(KEYS)
    assert table.shape == (3, 4)
    drawn = weft.vmap(random.uniform, in_axes=-1)(KEYS[None][0])
    assert drawn.tolist() == [float(random.uniform(k)) for k in KEYS]


def test_derivatives_beside_keys():
    def drawn(x, key):
        return x * random.normal(key)

    slope = float(random.normal(KEY))
    assert float(weft.grad(drawn)(2.0, KEY)) == slope
    gradients = weft.grad(drawn, (0, 1), allow_int=True)(2.0, KEY)
    assert gradients[1].dtype == weft.float0
    zero = np.zeros((), weft.float0)
    assert float(weft.jvp(drawn, (2.0, KEY), (1.0, zero))[1]) == slope

    @weft.checkpoint
    def step(x, key):
        return lax.cond(x > 0, lambda k: wnp.sin(x * random.normal(k)), lambda k: x, key), None

    def chained(x):
        return lax.scan(step, x, KEYS)[0]

    weft.test_util.check_grads(chained, (0.7,), order=1, rtol=0.05, atol=0.05)


NUMBER = "A random key is no number: draw from it with the functions of weft.random"


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: KEY + 1, TypeError, "random keys have no common dtype with numbers"),
        (lambda: KEY + KEY, TypeError, f"its first operand is key<fry>[]. {NUMBER}"),
        (lambda: KEY < KEY, TypeError, NUMBER),
        (lambda: wnp.sin(KEY), TypeError, NUMBER),
        (lambda: wnp.sum(KEYS), TypeError, f"its operand is key<fry>[4]. {NUMBER}"),
        (lambda: wnp.sort(KEYS), TypeError, "random keys have no order"),
        (lambda: wnp.dot(KEYS, KEYS), TypeError, NUMBER),
        (lambda: KEY.astype("uint32"), TypeError, NUMBER),
        (lambda: lax.bitcast_convert_type(KEY, np.uint32), TypeError, NUMBER),
        (lambda: wnp.arange(3, dtype=KEY.dtype), TypeError, "needs a numeric dtype"),
        (lambda: np.asarray(KEY), TypeError, "weft.random.key_data(keys)"),
        (lambda: float(KEY), TypeError, "a random key does not convert to a Python float"),
        (lambda: bool(KEY), TypeError, "a random key does not convert to a Python bool"),
        (lambda: wnp.where(True, KEY, 1), TypeError, "no common dtype with numbers"),
        (
            lambda: random.normal(KEYS),
            ValueError,
            "weft.random.normal: takes one key, got key<fry>[4]; take one of them, keys[0], or "
            "draw with each: weft.vmap(f)(keys)",
        ),
        (
            lambda: random.wrap_key_data(np.zeros(3, np.uint32)),
            TypeError,
            "weft.random.wrap_key_data: the words of keys are uint32 with a last axis of length 2, "
            "got u32[3]",
        ),
        (lambda: random.key_dtype("rbg"), ValueError, "the generator is 'threefry2x32'"),
        (
            lambda: lax.scan(lambda k, _: (random.key_data(k), None), KEY, None, length=2),
            TypeError,
            "has type key<fry>[] and becomes u32[2]",
        ),
        (lambda: weft.grad(lambda k: 1.0)(KEY), TypeError, "has dtype key<fry>"),
    ],
)
def test_errors(call, kind, message):
    with pytest.raises(kind) as caught:
        call()
    assert message in str(caught.value)
