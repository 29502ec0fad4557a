"""Random numbers: equal to `jax.random`, and distributed as they say."""

from __future__ import annotations

import math

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import random

# Written down from jax 0.10.2 with its default settings, for PRNGKey(42).
EQUAL = {
    "key": [0, 42],
    "key of -1": [0, 4294967295],
    "split": [[1832780943, 270669613], [64467757, 2916123636]],
    "split in a shape": [
        [[1832780943, 270669613], [64467757, 2916123636], [2465931498, 255383827]]
    ],
    "fold_in": [793847391, 18989694],
    "bits": [2098992034, 2919706841, 2646866425, 2409546199],
    "bits of 8": [162, 217, 249, 215],
    "bits of 16": [[5026, 12505], [63993, 49623]],
    "uniform": [0.48870956897735596, 0.6797971725463867, 0.6162714958190918, 0.5610160827636719],
    "uniform half": [0.076171875, 0.1904296875, 0.9755859375],
    "uniform bfloat16": [0.6328125, 0.84375, 0.96875],
    "randint": [424, 784, 561, 579, 269, 629],
    "randint of 8": [14, 104, 125, 51, 85, 101],
    "bernoulli": [False, False, False, False, False, False, True, False],
    "rademacher": [1, -1, -1, -1, 1, -1],
    "categorical": [3, 3, 3],
    "permutation": [7, 4, 2, 5, 3, 6, 8, 9, 0, 1],
    "permutation in two rounds": [1474, 815, 539, 874, 1693, 84, 995, 1191],
    "permutation of rows": [[8, 9, 10, 11], [0, 1, 2, 3], [4, 5, 6, 7]],
    "permutation of columns": [[2, 3, 0, 1], [6, 7, 4, 5], [10, 11, 8, 9]],
    "shuffle": [[2, 3, 0, 1], [7, 4, 5, 6], [10, 11, 8, 9]],
    "choice": [4, 4, 1, 9, 9, 9],
    "choice of one": 4,
    "choice of columns": [[0, 2], [4, 6], [8, 10]],
    "choice without replacement": [[7, 4, 2], [5, 3, 6]],
    "choice of rows without replacement": [[8, 9, 10, 11], [0, 1, 2, 3]],
    "choice by probability": [2, 2, 2, 2, 2, 2, 3, 1],
    "choice by probability without replacement": [3, 2, 1],
}
# These go through transcendental functions, which may differ in the last bits.
CLOSE = {
    "normal": [-0.02830461598932743, 0.4671318531036377, 0.2957029640674591, 0.15354591608047485],
    "gumbel": [0.3340933918952942, 0.952019453048706, 0.7255305647850037],
    "exponential": [0.670817494392395, 1.1388006210327148, 0.9578199982643127],
    "laplace": [0.022839652374386787, -0.4456535577774048, -0.2646729052066803],
    "logistic": [-0.0451694130897522, 0.7528398036956787, 0.47375231981277466],
    "cauchy": [-0.03548463061451912, 0.6337261199951172, 0.38244056701660156],
    "truncated_normal": [0.14770005643367767, 0.5684449076652527, 0.42102551460266113],
}
KEY = np.array([0, 42], np.uint32)
LOGITS = np.log(np.arange(1, 13, dtype=np.float32)).reshape(3, 4)
GRID = np.arange(12, dtype=np.int32).reshape(3, 4)
CHANCES = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
CALLS = {
    "key": lambda: random.key_data(random.key(42)),
    "key of -1": lambda: random.PRNGKey(-1),
    "split": lambda: random.split(KEY),
    "split in a shape": lambda: random.split(KEY, (1, 3)),
    "fold_in": lambda: random.fold_in(KEY, 123456),
    "bits": lambda: random.bits(KEY, (4,)),
    "bits of 8": lambda: random.bits(KEY, (4,), np.uint8),
    "bits of 16": lambda: random.bits(KEY, (2, 2), np.uint16),
    "uniform": lambda: random.uniform(KEY, (4,)),
    "uniform half": lambda: random.uniform(KEY, (3,), np.float16),
    "uniform bfloat16": lambda: random.uniform(KEY, (3,), "bfloat16"),
    "normal": lambda: random.normal(KEY, (4,)),
    "randint": lambda: random.randint(KEY, (6,), -10, 1000),
    "randint of 8": lambda: random.randint(KEY, (6,), -10, 128, np.int8),
    "bernoulli": lambda: random.bernoulli(KEY, 0.3, (8,)),
    "gumbel": lambda: random.gumbel(KEY, (3,)),
    "exponential": lambda: random.exponential(KEY, (3,)),
    "laplace": lambda: random.laplace(KEY, (3,)),
    "logistic": lambda: random.logistic(KEY, (3,)),
    "cauchy": lambda: random.cauchy(KEY, (3,)),
    "truncated_normal": lambda: random.truncated_normal(KEY, -1.0, 2.0, (3,)),
    "rademacher": lambda: random.rademacher(KEY, (6,)),
    "categorical": lambda: random.categorical(KEY, LOGITS),
    "permutation": lambda: random.permutation(KEY, 10),
    "permutation in two rounds": lambda: random.permutation(KEY, 2000)[:8],
    "permutation of rows": lambda: random.permutation(KEY, GRID),
    "permutation of columns": lambda: random.permutation(KEY, GRID, -1),
    "shuffle": lambda: random.shuffle(KEY, GRID, 1),
    "choice": lambda: random.choice(KEY, 10, (6,)),
    "choice of one": lambda: random.choice(KEY, 10),
    "choice of columns": lambda: random.choice(KEY, GRID, (2,), axis=1),
    "choice without replacement": lambda: random.choice(KEY, 10, (2, 3), replace=False),
    "choice of rows without replacement": lambda: random.choice(KEY, GRID, (2,), replace=False),
    "choice by probability": lambda: random.choice(KEY, 4, (8,), p=CHANCES),
    "choice by probability without replacement": lambda: random.choice(
        KEY, 4, (3,), replace=False, p=CHANCES
    ),
}


@pytest.mark.parametrize("name", EQUAL)
def test_equal_to_jax(name):
    with weft.disable_jit():
        assert CALLS[name]().tolist() == EQUAL[name]


@pytest.mark.parametrize("name", CLOSE)
def test_close_to_jax(name):
    with weft.disable_jit():
        np.testing.assert_allclose(np.asarray(CALLS[name]()), CLOSE[name], rtol=1e-6, atol=1e-8)


COMPILED = ("split", "uniform", "normal", "randint", "bernoulli", "gumbel")


@pytest.mark.parametrize("name", [*COMPILED, *(n for n in CALLS if "permut" in n or "choice" in n)])
def test_compiled(name):
    expected = np.asarray((EQUAL | CLOSE)[name])
    for result in (weft.jit(CALLS[name])(), CALLS[name]()):
        np.testing.assert_allclose(np.asarray(result), expected, rtol=2e-6)


def test_traced_keys_seeds_and_data():
    assert weft.jit(random.PRNGKey)(42).tolist() == EQUAL["key"]
    assert weft.jit(random.fold_in)(KEY, 123456).tolist() == EQUAL["fold_in"]
    keys = weft.jit(random.split)(KEY)
    assert weft.vmap(random.uniform)(keys).shape == (2,)


def test_a_part_does_not_depend_on_the_whole():
    with weft.disable_jit():
        whole, part = random.bits(KEY, (100,)), random.bits(KEY, (10,))
    assert whole[:10].tolist() == part.tolist()


def moments(x, mean, deviation, count):
    x = np.asarray(x, np.float64)
    assert abs(x.mean() - mean) < 5 * deviation / math.sqrt(count)
    assert abs(x.std() - deviation) < 10 * deviation / math.sqrt(count)


def test_distributions():
    n = 20_000
    with weft.disable_jit():
        moments(random.uniform(KEY, (n,), minval=-1, maxval=3), 1, 4 / math.sqrt(12), n)
        moments(random.uniform(KEY, (n,), np.float64), 0.5, 1 / math.sqrt(12), n)
        moments(random.normal(KEY, (n,)), 0, 1, n)
        moments(random.normal(KEY, (n,), np.float64), 0, 1, n)
        moments(random.exponential(KEY, (n,)), 1, 1, n)
        moments(random.gumbel(KEY, (n,)), 0.5772, math.pi / math.sqrt(6), n)
        moments(random.randint(KEY, (n,), 0, 10), 4.5, math.sqrt(99 / 12), n)
        moments(random.bernoulli(KEY, 0.25, (n,)), 0.25, math.sqrt(3 / 16), n)
        truncated = np.asarray(random.truncated_normal(KEY, -1.0, 0.5, (n,)))
        assert truncated.min() >= -1 and truncated.max() <= 0.5
        counts = np.bincount(
            np.asarray(random.categorical(KEY, LOGITS[0], shape=(n,))), minlength=4
        )
        np.testing.assert_allclose(counts / n, np.arange(1, 5) / 10, atol=0.02)


def test_orders_and_choices_are_fair():
    n = 3000
    keys = random.split(KEY, n)
    orders = np.asarray(weft.vmap(lambda key: random.permutation(key, 5))(keys))
    np.testing.assert_array_equal(np.sort(orders), np.tile(np.arange(5), (n, 1)))
    for place in orders.T:
        np.testing.assert_allclose(np.bincount(place) / n, 0.2, atol=0.04)
    drawn = np.asarray(random.choice(KEY, 4, (n,), p=CHANCES))
    np.testing.assert_allclose(np.bincount(drawn) / n, CHANCES, atol=0.04)
    rows = np.asarray(random.choice(KEY, np.arange(10.0), (0, 2)))
    assert rows.shape == (0, 2)


def test_ranges():
    with weft.disable_jit():
        assert set(random.randint(KEY, (200,), -2, 2).tolist()) == {-2, -1, 0, 1}
        full = np.asarray(random.randint(KEY, (2000,), 0, 256, np.uint8))
        assert full.min() < 5 and full.max() > 250
        assert random.randint(KEY, (3,), 5, 5).tolist() == [5, 5, 5]
        wide = np.asarray(random.randint(KEY, (50,), 0, 2**40, np.int64))
        assert wide.dtype == np.int64 and wide.max() > 2**32
        u = np.asarray(random.uniform(KEY, (5000,), np.float16))
        assert u.min() >= 0 and u.max() < 1
        limits = random.uniform(
            KEY, (3,), minval=np.array([0.0, 10, 20]), maxval=np.array([1.0, 11, 21])
        )
        assert np.floor(np.asarray(limits)).tolist() == [0, 10, 20]


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: random.key(1.5), TypeError, "a seed is one integer, got f32[]"),
        (
            lambda: random.key(1, impl="rbg"),
            ValueError,
            "the generator is 'threefry2x32', with keys of dtype key<fry>, got 'rbg'",
        ),
        (
            lambda: random.uniform(42),
            TypeError,
            "weft.random.uniform: a key is key<fry>[], as weft.random.key(seed) makes it, or "
            "u32[2], got i32[]",
        ),
        (
            lambda: random.normal(np.zeros((2, 2), np.uint32)),
            TypeError,
            "take one: key, subkey = split(key)",
        ),
        (
            lambda: random.uniform(None),
            TypeError,
            "weft.random.uniform: argument 0 must be an array",
        ),
        (
            lambda: random.uniform(KEY, (2,), np.int32),
            TypeError,
            "dtype must be floating-point, got int32",
        ),
        (
            lambda: random.uniform(KEY, (2,), minval=np.zeros(3)),
            ValueError,
            "a parameter of shape (3,) does not broadcast to shape=(2,)",
        ),
        (
            lambda: random.uniform(KEY, (-1,)),
            ValueError,
            "weft.random.uniform: sizes cannot be negative",
        ),
        (lambda: random.bits(KEY, dtype=np.int32), TypeError, "must be an unsigned integer"),
        (
            lambda: random.randint(KEY, (2,), 0.5, 3),
            TypeError,
            "minval must be an integer, got f32[]",
        ),
        (
            lambda: random.randint(KEY, (2,), 0, 3, np.float32),
            TypeError,
            "dtype must be an integer",
        ),
        (
            lambda: random.categorical(KEY, LOGITS, shape=(2,)),
            ValueError,
            "does not end with the batch shape (3,)",
        ),
        (lambda: random.fold_in(KEY, 1.0), TypeError, "data is one integer, got f32[]"),
        (
            lambda: random.permutation(KEY, 2.5),
            TypeError,
            "weft.random.permutation: needs an array with an axis or a number of elements, got",
        ),
        (
            lambda: random.choice(KEY, 3, (4,), replace=False),
            ValueError,
            "cannot draw 4 of 3 elements without replacement (replace=False)",
        ),
        (lambda: random.choice(KEY, 0, (4,)), ValueError, "cannot draw 4 of 0 elements"),
        (
            lambda: random.choice(KEY, 3, p=CHANCES),
            ValueError,
            "p must have one probability for each of 3 elements, got shape (4,)",
        ),
        (lambda: random.shuffle(KEY, GRID, 2), ValueError, "weft.random.permutation: axis 2 is"),
    ],
)
def test_errors(call, error, text):
    with pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)


def test_parameters_may_be_differentiated():
    def mean_of_scaled(scale):
        return (random.normal(KEY, (4,)) * scale).sum() + random.uniform(KEY, (), maxval=scale)

    with weft.disable_jit():
        gradient = weft.grad(mean_of_scaled)(2.0)
        expected = wnp.sum(random.normal(KEY, (4,))) + random.uniform(KEY)
    assert float(gradient) == pytest.approx(float(expected), rel=1e-5)
