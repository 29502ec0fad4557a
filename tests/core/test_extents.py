"""Extents: arithmetic and proofs against all values of their sizes."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.core.extents import (
    Extent,
    OpenExtentError,
    Sizes,
    extent_at,
    is_nonnegative,
    larger,
    lower,
    rank,
    smaller,
    typical,
    upper,
)

SIZES = Sizes()
N = SIZES.new("n", 3, 9, 5)
M = SIZES.new("m", 2, 7, 4)
POINTS = [
    dict(zip(SIZES.sizes, values, strict=True))
    for values in itertools.product(range(3, 10), range(2, 8))
]


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    numbers = st.integers(-4, 4)
    return st.one_of(
        st.builds(lambda a, b: a + b, inner, st.one_of(inner, numbers)),
        st.builds(lambda a, b: a - b, inner, st.one_of(inner, numbers)),
        st.builds(lambda a, b: a * b, inner, st.one_of(st.sampled_from([N, M]), numbers)),
        st.builds(lambda a, b: a // b, inner, st.integers(1, 5)),
        st.builds(lambda a, b: a % b, inner, st.integers(1, 5)),
    )


#: An expression with the same one on numbers.
extents = st.recursive(st.sampled_from([N, M]), grown, max_leaves=6)


@given(extents, extents, st.integers(1, 6))
def test_arithmetic_is_that_of_numbers(a: Any, b: Any, k: int) -> None:
    for at in POINTS[::5]:
        x, y = extent_at(a, at), extent_at(b, at)
        assert extent_at(a + b, at) == x + y
        assert extent_at(a - b, at) == x - y
        assert extent_at(a * b, at) == x * y
        assert extent_at(a // k, at) == x // k
        assert extent_at(a % k, at) == x % k
        assert extent_at(upper(a), at) >= x >= extent_at(lower(a), at)


@settings(max_examples=300)
@given(extents, extents)
def test_what_is_proven_holds_everywhere(a: Any, b: Any) -> None:
    if is_nonnegative(a - b):
        assert all(extent_at(a, at) >= extent_at(b, at) for at in POINTS)
    if isinstance(a, Extent) or isinstance(b, Extent):
        for better, of in ((larger, max), (smaller, min)):
            try:
                found = better(a, b)
            except OpenExtentError:
                continue
            for at in POINTS:
                assert extent_at(found, at) == of(extent_at(a, at), extent_at(b, at))


@given(extents, st.sampled_from([N, M, N * M]))
def test_quotients_by_extents_are_exact_or_refused(a: Any, b: Extent) -> None:
    try:
        quotient = a // b
    except OpenExtentError:
        return
    assert all(extent_at(quotient, at) == extent_at(a, at) // b.at(at) for at in POINTS)


def test_strips_and_remainders_of_a_loop_are_in_order() -> None:
    sizes = Sizes()
    n = sizes.new("n", 1, 1 << 20, 100)
    strips, blocks = n // 64 * 64, n // 1024 * 1024
    assert blocks <= strips <= n
    assert strips <= (n + 15) // 16 * 16 < n + 16
    assert n - strips < 64
    assert (n // 64) // 16 == n // 1024
    assert strips // 64 == n // 64


def test_facts_and_limits_are_used() -> None:
    sizes = Sizes()
    n, m, s = (sizes.new(name, 1, 1000, 10) for name in "nms")
    with pytest.raises(OpenExtentError, match="may be negative or not"):
        _ = s + m <= n
    sizes.know(n - s - m)
    assert s + m <= n
    sizes.limit(n * m, 4000)
    assert n * m // 64 <= 62


def test_an_extent_is_no_number() -> None:
    for use in (int, float, range, [1, 2].__getitem__):
        with pytest.raises(OpenExtentError, match="is no number that could be used here"):
            use(N)
    with pytest.raises(OpenExtentError, match="may be zero or not"):
        bool(N - 4)
    with pytest.raises(OpenExtentError, match="is no polynomial in the sizes"):
        _ = N // M


def test_printing_and_order_say_nothing_of_values() -> None:
    assert str(N * M * 2 - M + 1) == "2*m*n - m + 1"
    assert f"{N + 1}*i" == "(n + 1)*i" and f"{-N:+d}" == "-n"
    assert str((N + 3) // 4 * 4) == "4*((n + 3)//4)"
    assert sorted([N, 3, M, 1], key=rank) == [1, 3, M, N]
    assert typical(N * M + 1) == 21 and typical(7) == 7
