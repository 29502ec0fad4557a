"""Programs of Petalisp's kind, made again from their mathematics: `docs/lazy.md` explains them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as np_
from weft.demo.multigrid import around, relax, residual, v_cycle
from weft.lazy import (
    LazyArray,
    Space,
    compute,
    lazy,
    lazy_indices,
    lazy_overwrite,
    lazy_reduce,
    lazy_reshape,
    lazy_stack,
    lazy_windows,
)


@pytest.fixture
def at_once() -> Iterator[None]:
    with weft.disable_jit():
        yield


def jacobi(u: LazyArray) -> LazyArray:
    return lazy_overwrite(u, around(u, u.space.interior()) / 4)


@pytest.mark.usefixtures("at_once")
def test_jacobi() -> None:
    wanted = np.zeros((6, 7))
    wanted[0] = 1
    u = LazyArray(wanted.copy())
    for _ in range(5):
        u = jacobi(u)
        inner = wanted[:-2, 1:-1] + wanted[2:, 1:-1] + wanted[1:-1, :-2] + wanted[1:-1, 2:]
        wanted[1:-1, 1:-1] = inner / 4
    np.testing.assert_allclose(compute(u), wanted, rtol=1e-14)


@pytest.mark.usefixtures("at_once")
def test_red_black_gauss_seidel() -> None:
    rng = np.random.default_rng(0)
    wanted, f, h = rng.normal(size=(6, 7)), rng.normal(size=(6, 7)), 0.3
    u = relax(LazyArray(wanted), LazyArray(f), h)
    for colour in (0, 1):
        for i in range(1, 5):
            for j in range(1, 6):
                if (i + j) % 2 == colour:
                    near = wanted[i - 1, j] + wanted[i + 1, j] + wanted[i, j - 1] + wanted[i, j + 1]
                    wanted[i, j] = (near + h * h * f[i, j]) / 4
    np.testing.assert_allclose(compute(u), wanted, rtol=1e-13)


@pytest.mark.usefixtures("at_once")
def test_multigrid() -> None:
    n = 17
    h, f = 1 / (n - 1), np.random.default_rng(1).normal(size=(n, n))
    u = LazyArray(np.zeros((n, n)))
    sizes = []
    for _ in range(4):
        u = v_cycle(u, LazyArray(f), h)
        sizes.append(float(np.max(abs(np.asarray(residual(u, LazyArray(f), h))))))
    assert all(after < 0.12 * before for before, after in pairwise(sizes))


def test_a_compiled_sweep_differentiates() -> None:
    h = 0.5
    f = np.random.default_rng(2).normal(size=(5, 5)).astype(np.float32)
    u = np.zeros((5, 5), np.float32)
    sweep = weft.jit(lambda u, f: relax(u, f, h))
    slope = weft.jit(weft.grad(lambda f: np_.sum(relax(LazyArray(u), f, h).values)))
    with weft.disable_jit():
        wanted = compute(relax(LazyArray(u), LazyArray(f), h))
        ones = weft.grad(lambda f: np_.sum(relax(LazyArray(u), f, h).values))(LazyArray(f))
    np.testing.assert_allclose(compute(sweep(LazyArray(u), LazyArray(f))), wanted, rtol=1e-6)
    np.testing.assert_allclose(compute(slope(LazyArray(f))), compute(ones), rtol=1e-6)


@pytest.mark.usefixtures("at_once")
def test_wave_equation() -> None:
    n, steps, c = 41, 60, 0.5  # c: the share of a cell that a wave passes in a step
    x = lazy_indices(Space(n)) * (np.pi / (n - 1))
    now = lazy(np_.sin, x * 1.0)
    before = now * np.cos(c * np.pi / (n - 1))  # so that it begins at rest
    inner = now.space.interior()

    def at(u: LazyArray, d: int) -> LazyArray:
        return lazy_reshape(u, lambda i: i - d, inner)

    for _ in range(steps):
        bend = at(now, -1) - 2 * at(now, 0) + at(now, 1)
        following = 2 * at(now, 0) - at(before, 0) + c * c * bend
        before, now = now, lazy_overwrite(now, following)
    wanted = np.asarray(lazy(np_.sin, x * 1.0)) * np.cos(steps * c * np.pi / (n - 1))
    np.testing.assert_allclose(compute(now), wanted, atol=2e-3)


@pytest.mark.usefixtures("at_once")
def test_statistics() -> None:
    x = np.random.default_rng(3).normal(size=(9, 4)) + 100

    def moments(n: Any, m: Any, s: Any, k: Any, o: Any, t: Any) -> Any:
        """Chan's rule for numbers, means and sums of squared deviations of two parts."""
        count, apart = n + k, o - m
        return count, m + apart * (k / count), s + t + apart * apart * (n * k / count)

    count, mean, square = lazy_reduce(moments, np.ones_like(x), x, np.zeros_like(x))
    np.testing.assert_allclose(compute(mean), x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(compute(square / count), x.var(0), rtol=1e-10)
    a = lazy_reshape(x - x.mean(0), "n i -> n i 1")
    b = lazy_reshape(x - x.mean(0), "n j -> n 1 j")
    covariance = lazy_reduce(np_.add, a * b) / (len(x) - 1)
    np.testing.assert_allclose(compute(covariance), np.cov(x.T), rtol=1e-10)


@pytest.mark.usefixtures("at_once")
def test_apl_in_a_line() -> None:
    v, m = np.array([3.0, 1.0, 4.0, 1.0]), np.arange(6.0).reshape(2, 3)
    # (+/v)÷≢v
    assert float(compute(lazy_reduce(np_.add, v) / len(v))) == 2.25
    # v∘.×v
    outer = lazy(np_.multiply, lazy_reshape(v, "i -> i 1"), v)
    np.testing.assert_array_equal(compute(outer), np.outer(v, v))
    # m+.×⍉m
    left, right = lazy_reshape(m, "i k -> k i 1"), lazy_reshape(m, "j k -> k 1 j")
    np.testing.assert_array_equal(compute(lazy_reduce(np_.add, left * right)), m @ m.T)
    # +\v
    i, j = lazy_indices(Space(4, 4), 0), lazy_indices(Space(4, 4), 1)
    kept = lazy(lambda i, j, x: np_.where(i <= j, x, 0), i, j, lazy_reshape(v, "i -> i 1"))
    np.testing.assert_array_equal(compute(lazy_reduce(np_.add, kept)), np.cumsum(v))
    # ⌽v and v,v
    np.testing.assert_array_equal(compute(lazy_reshape(v, "i -> -i")), v[::-1])
    np.testing.assert_array_equal(compute(lazy_stack(v, v)), np.tile(v, 2))
    # (~R∊R∘.×R)/R←1↓⍳R
    r = lazy_reshape(lazy_indices(Space(range(2, 30))), "i -> i 1 1")
    s, t = lazy_reshape(r, "i 1 1 -> 1 i 1"), lazy_reshape(r, "i 1 1 -> 1 1 i")
    products = lazy(lambda a, b, c: a * b == c, r, s, t)
    composite = lazy_reduce(np_.logical_or, lazy_reduce(np_.logical_or, products))
    primes = np.arange(2, 30)[~np.asarray(compute(composite))]
    assert primes.tolist() == [2, 3, 5, 7, 11, 13, 17, 19, 23, 29]


@pytest.mark.usefixtures("at_once")
def test_game_of_life() -> None:
    glider = np.zeros((8, 8), np.int32)
    glider[[1, 2, 3, 3, 3], [2, 3, 1, 2, 3]] = 1

    def life(w: LazyArray) -> LazyArray:
        """{⊃1 ⍵∨.∧3 4=+/,¯1 0 1∘.⊖¯1 0 1∘.⌽⊂⍵}, with dead borders."""
        near = lazy_windows(w, range(-1, 2), range(-1, 2))
        near = lazy_reshape(near, "i j k m -> k m i j")
        count = lazy_reduce(np_.add, lazy_reduce(np_.add, near))
        alive = lazy_reshape(w, count.space)
        return lazy_overwrite(
            0 * w, lazy(lambda c, a: ((c == 3) | (a & (c == 4))) * 1, count, alive)
        )

    w, start = LazyArray(glider), glider
    for _ in range(4):
        w = life(w)
    moved = np.zeros_like(start)
    moved[1:, 1:] = start[:-1, :-1]
    np.testing.assert_array_equal(compute(w), moved)
