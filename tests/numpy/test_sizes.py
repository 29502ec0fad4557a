"""Functions whose results have sizes that depend on values: with `size`, under `jit`."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.numpy.samples import MASK, X, Y, assert_same
from weft.core import ConcretizationError

#: Functions, what they give without a size, and what fills up to seven elements.
SIZED = [
    (lambda s: wnp.nonzero(X, **s), np.nonzero(X), -1),
    (lambda s: wnp.where(X > 1, **s), np.where(X > 1), -1),
    (lambda s: wnp.flatnonzero(X, **s), np.flatnonzero(X), -1),
    (lambda s: wnp.argwhere(X, **s), np.argwhere(X), -1),
    (lambda s: wnp.unique(X, **s), np.unique(X), -1),
    (lambda s: wnp.union1d(X, Y, **s), np.union1d(X, Y), -1),
    (lambda s: wnp.intersect1d(X, Y, **s), np.intersect1d(X, Y), -1),
    (lambda s: wnp.setdiff1d(X, Y, **s), np.setdiff1d(X, Y), -1),
    (lambda s: wnp.setdiff1d(X, Y, True, **s), np.setdiff1d(X, Y, True), -1),
    (lambda s: wnp.setxor1d(X, Y, **s), np.setxor1d(X, Y), -1),
    (lambda s: wnp.compress(MASK, X, **s), np.compress(MASK, X), -1),
    (lambda s: wnp.extract(MASK, X, **s), np.extract(MASK, X), -1),
]


def filled(x, size, value):
    x = np.asarray(x)
    widths = [(0, max(size - len(x), 0))] + [(0, 0)] * (x.ndim - 1)
    return np.pad(x[:size], widths, constant_values=value)


@pytest.mark.parametrize("case", range(len(SIZED)))
def test_sizes_under_jit(case):
    call, wanted, fill = SIZED[case]
    with weft.disable_jit():
        assert_same(call({}), wanted)
        for size in (7, 2):
            found = call({"size": size, "fill_value": fill})
            parts = wanted if isinstance(wanted, tuple) else (wanted,)
            got = found if isinstance(found, tuple) else (found,)
            for a, w in zip(got, parts, strict=True):
                np.testing.assert_array_equal(a, filled(w, size, fill))


def test_sizes_are_compiled():
    @weft.jit
    def run(x, y, m):
        options = {"size": 4, "fill_value": -1}
        indices = wnp.intersect1d(x, y, return_indices=True, **options)
        unique = wnp.unique(m, True, True, True, 1, size=3)
        return wnp.nonzero(m, size=3), indices, unique, wnp.bincount(x, length=4)

    m = np.array([[1.0, 0, 1, np.nan], [2, 0, 2, 1]])
    found, indices, unique, counts = run(X, Y, m)
    assert_same(found, tuple(i[:3] for i in np.nonzero(m)))
    np.testing.assert_array_equal(indices[0], [0, 5, -1, -1])
    np.testing.assert_array_equal(indices[1], [3, 4, 5, 5])
    np.testing.assert_array_equal(indices[2], [2, 0, 4, 4])
    assert_same(unique, np.unique(m, True, True, True, 1))
    np.testing.assert_array_equal(counts, [1, 1, 0, 2])


def test_without_a_size_values_are_needed():
    for call in (
        lambda x: wnp.unique(x),
        lambda x: wnp.union1d(x, x),
        lambda x: wnp.nonzero(x),
        lambda x: wnp.bincount(x),
        lambda x: wnp.delete(x, x),
        lambda x: wnp.trim_zeros(x),
        lambda x: wnp.ravel_multi_index((x,), (9,)),
        lambda x: wnp.roots(x),
        lambda x: wnp.histogram(x, "auto"),
        lambda x: wnp.polymul(x, x, trim_leading_zeros=True),
    ):
        with pytest.raises(ConcretizationError):
            weft.jit(call)(X)
