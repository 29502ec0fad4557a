"""Reuse distances: found for all kernels at once as one by one."""

from __future__ import annotations

from math import inf

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from weft.kernels.distances import all_distances, distances_of
from weft.terms.term import Value

VALUES = [Value(f"v{n}", (1 << n,), np.dtype(np.int8)) for n in range(8)]

sequences = st.lists(st.sets(st.sampled_from(VALUES)), min_size=1, max_size=12)


@given(sequences)
def test_all_at_once_are_as_one_by_one(touched: list[set[Value]]) -> None:
    expected = [distances_of(touched, place, inf) for place in range(len(touched))]
    assert all_distances(touched) == expected


def test_what_lies_between_counts_once() -> None:
    a, b, c, d = VALUES[:4]
    touched = [{a, b}, {c, d}, {b, d}, {a, d}]
    # Since the first kernel, what is neither a nor d: c and b. What is touched now is no other.
    assert distances_of(touched, 3, inf) == {a: b.nbytes + c.nbytes, d: 0}
    # Only the last one uses c, all of the others come between.
    assert distances_of(touched, 1, inf)[c] == a.nbytes + b.nbytes


@given(sequences, st.integers(0, 300))
def test_far_ones_are_at_least_enough(touched: list[set[Value]], enough: int) -> None:
    for place in range(len(touched)):
        exact = distances_of(touched, place, inf)
        for value, n in distances_of(touched, place, enough).items():
            assert n == exact[value] or enough < n <= exact[value]
