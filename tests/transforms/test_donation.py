"""Donated arguments: results in their memory when that is sound, and errors when they are used."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp


def ready(data):
    x = wnp.asarray(np.asarray(data, np.float32))
    x.materialise()
    return x


def pointer(x):
    return x.materialise().ptr


def test_an_update_happens_in_place():
    step = weft.jit(lambda x, g: x - 0.5 * g, donate_argnums=0)
    x, g = ready(np.ones(1000)), ready(np.ones(1000))
    before = pointer(x)
    y = step(x, g)
    assert pointer(y) == before
    assert y.tolist() == [0.5] * 1000
    assert g.tolist() == [1] * 1000


def test_a_donated_array_says_where_it_went():
    step = weft.jit(lambda x: x + 1, donate_argnums=0)
    x = ready([1, 2])
    step(x)
    assert x.is_deleted()
    with pytest.raises(RuntimeError, match=r"donated to a jitted function, at .*test_donation\.py"):
        x.tolist()
    with pytest.raises(RuntimeError, match="donated"):
        step(x)


def test_writing_one_element_copies_nothing():
    step = weft.jit(lambda cache, row, k: cache.at[k].set(row), donate_argnums=0)
    cache = ready(np.zeros((50, 8)))
    before = pointer(cache)
    for k in range(3):
        cache = step(cache, ready(np.full(8, k + 1)), k)
    assert pointer(cache) == before
    np.testing.assert_array_equal(np.asarray(cache)[:4, 0], [1, 2, 3, 0])


def test_memory_that_others_see_is_left_alone():
    step = weft.jit(lambda x: x * 2, donate_argnums=0)
    x = ready([1, 2, 3])
    view = np.asarray(x)
    assert step(x).tolist() == [2, 4, 6]
    assert view.tolist() == [1, 2, 3]


def test_the_same_array_twice():
    step = weft.jit(lambda x, y: x + wnp.cumsum(y), donate_argnums=0)
    x = ready([1, 2, 3])
    assert step(x, x).tolist() == [2, 5, 9]


def test_pending_work_on_a_donated_array_is_done_first():
    step = weft.jit(lambda x: x * 2, donate_argnums=0)
    x = ready([1, 2, 3])
    later = x + 10
    assert step(x).tolist() == [2, 4, 6]
    assert later.tolist() == [11, 12, 13]


def test_arguments_that_are_not_arrays_can_be_donated():
    step = weft.jit(lambda x: x * 2, donate_argnums=0)
    data = np.ones(3, np.float32)
    assert step(data).tolist() == [2, 2, 2]
    assert data.tolist() == [1, 1, 1]
    assert step(ready([1, 2, 3]) + 1).tolist() == [4, 6, 8]


def test_a_training_loop_keeps_its_memory():
    def update(state, x):
        first, p = state["first"], state["p"]
        gradient = weft.grad(lambda p: ((x @ p) ** 2).mean())(p)
        first = 0.9 * first + 0.1 * gradient
        return {"first": first, "p": p - 0.1 * first}

    donating, plain = weft.jit(update, donate_argnums=0), weft.jit(update)
    x = ready(np.linspace(-1, 1, 200).reshape(20, 10))
    start = np.linspace(0, 1, 10)
    ours = {"first": ready(np.zeros(10)), "p": ready(start)}
    theirs = {"first": ready(np.zeros(10)), "p": ready(start)}
    memory = {pointer(a) for a in ours.values()}
    for _ in range(4):
        ours, theirs = donating(ours, x), plain(theirs, x)
    for name in ours:
        np.testing.assert_array_equal(np.asarray(ours[name]), np.asarray(theirs[name]))
    assert memory & {pointer(a) for a in ours.values()}


OPERATIONS = [
    lambda a, b: a + b,
    lambda a, b: a * b - a,
    lambda a, b: wnp.flip(a, 0) + b,
    lambda a, b: wnp.cumsum(a, 0),
    lambda a, b: a @ b,
    lambda a, b: a.T,
    lambda a, b: a - a.sum(0),
    lambda a, b: a.at[0].set(b[1]),
    lambda a, b: wnp.where(a > b, a, b),
    lambda a, b: weft.lax.fori_loop(0, 3, lambda i, c: c * 0.5 + b, a),
]


@given(
    st.lists(
        st.tuples(st.sampled_from(OPERATIONS), st.integers(0, 9), st.integers(0, 9)),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(0, 9), min_size=1, max_size=3),
    st.sets(st.integers(0, 2)),
    st.sampled_from([6, 40]),
)
@settings(max_examples=40)
def test_random_programs_give_the_same_results(steps, results, donated, n):
    def program(x, y, z):
        values = [x, y, z]
        for operation, i, j in steps:
            values.append(operation(values[i % len(values)], values[j % len(values)]))
        return [values[-1 - r % len(values)] for r in results]

    data = [np.cos(np.arange(n * n) * (k + 1.0)).reshape(n, n) for k in range(3)]
    expected = weft.jit(program)(*map(ready, data))
    arrays = list(map(ready, data))
    found = weft.jit(program, donate_argnums=tuple(donated))(*arrays)
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
    assert [a.is_deleted() for a in arrays] == [k in donated for k in range(3)]


def test_numbers_and_numpy_arrays_beside_donated_arguments():
    step = weft.jit(lambda x, rate, data: x - rate * data, donate_argnums=(0, 1))
    x, data = ready(np.ones(100)), np.ones(100, np.float32)
    before = pointer(x)
    for _ in range(4):
        x = step(x, 0.25, data)
    assert pointer(x) == before
    assert x.tolist() == [0] * 100
    assert data.tolist() == [1] * 100
    assert step(np.ones(100, np.float32), 0.5, data).tolist() == [0.5] * 100
