"""Arrays that the tests of this folder share, and how results are compared."""

from __future__ import annotations

import numpy as np

V = np.array([[3.0, 1, 2], [0, 5, 4]])
B = np.array([[6, 3, 1], [12, 10, 7]])
X, Y = np.array([3, 1, 3, 0, 5]), np.array([5, 4, 0, 4])
MASK = np.array([False, True, True, False, True])


def assert_same(actual, wanted, dtype=None):
    """Trees of arrays with equal shapes and, up to rounding, elements."""
    if isinstance(wanted, tuple | list):
        assert len(actual) == len(wanted)
        for a, w in zip(actual, wanted, strict=True):
            assert_same(a, w)
        return
    assert np.shape(actual) == np.shape(wanted)
    kinds = np.asarray(actual).dtype.kind, np.asarray(wanted).dtype.kind
    assert kinds[0] == kinds[1] or set(kinds) <= set("iu")
    exact = np.asarray(actual).dtype.itemsize >= np.asarray(wanted).dtype.itemsize
    np.testing.assert_allclose(actual, wanted, rtol=1e-9 if exact else 1e-5, atol=1e-6)
