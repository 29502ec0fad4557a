"""Functions that change an argument in NumPy: the handle stands for the result here."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.numpy.samples import MASK, X, assert_same

#: Calls that change their first argument in NumPy.
CHANGES = [
    lambda xp, x, **o: xp.put(x, np.array([0, -1, 4]), np.array([7.0, 8]), **o),
    lambda xp, x, **o: xp.put(x, np.array([0, 99]), 7.0, "clip", **o),
    lambda xp, x, **o: xp.put(x, np.array([1, 13]), 7.0, "wrap", **o),
    lambda xp, x, **o: xp.place(x, np.arange(12).reshape(3, 4) % 3 == 1, np.array([7.0, 8]), **o),
    lambda xp, x, **o: xp.put_along_axis(x, np.array([[1], [0], [3]]), 9.0, 1, **o),
    lambda xp, x, **o: xp.put_along_axis(x, np.array([5, 6]), np.array([1.0, 2]), None, **o),
    lambda xp, x, **o: xp.fill_diagonal(x, np.array([5.0, 6]), **o),
    lambda xp, x, **o: xp.add.at(x, (np.array([0, 1, 0]), np.array([1, 1, 1])), 2.0, **o),
    lambda xp, x, **o: xp.power.at(x, np.array([1, 1]), 2.0, **o),
]


@pytest.mark.parametrize("case", range(len(CHANGES)))
def test_changes_in_place(case):
    start = np.arange(12.0).reshape(3, 4)
    wanted = start.copy()
    CHANGES[case](np, wanted)
    with weft.disable_jit():
        x = wnp.asarray(start)
        result = CHANGES[case](wnp, x, inplace=False)
        np.testing.assert_array_equal(result, wanted)
        np.testing.assert_array_equal(x, start)
        assert CHANGES[case](wnp, x) is x
        np.testing.assert_array_equal(x, wanted)
    with pytest.raises(TypeError, match=r"a ndarray cannot be changed in place.*inplace=False"):
        CHANGES[case](wnp, start)


def test_wrapped_diagonals_and_cubes():
    for shape, wrap in (((7, 3), True), ((7, 3), False), ((2, 5), False), ((3, 3, 3), False)):
        wanted = np.zeros(shape)
        np.fill_diagonal(wanted, 4, wrap)
        found = wnp.fill_diagonal(np.zeros(shape), 4, wrap, inplace=False)
        np.testing.assert_array_equal(found, wanted)


def test_traced_indices():
    @weft.jit
    def run(x, index, mask):
        deleted = wnp.delete(x, index, assume_unique_indices=True)
        inserted = wnp.insert(x, index, 9)
        return deleted, inserted, wnp.place(x, mask, X, inplace=False)

    x, index = np.arange(5), np.array([-1, 1])
    deleted, inserted, placed = run(x, index, MASK)
    np.testing.assert_array_equal(deleted, np.delete(x, index))
    np.testing.assert_array_equal(inserted, np.insert(x, index, 9))
    wanted = x.copy()
    np.place(wanted, MASK, X)
    np.testing.assert_array_equal(placed, wanted)


def test_piecewise():
    x = np.linspace(-2.5, 2.5, 6)
    for conditions, functions in (
        ([x < 0, x >= 0], [-1, 1]),
        ([x < 0, x > 1], [lambda v: -v, lambda v, k=1: v * v, 7.0]),
        (np.stack([x < 0, x > -1]), [1.0, 2.0]),
    ):
        assert_same(wnp.piecewise(x, conditions, functions), np.piecewise(x, conditions, functions))
