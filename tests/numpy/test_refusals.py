"""What functions of the namespace refuse, and what they say then."""

from __future__ import annotations

import numpy as np
import pytest

import weft.numpy as wnp
from tests.numpy.samples import B, V, X, Y

REFUSED = [
    (lambda: wnp.nonzero(1.0), "weft.numpy.nonzero: an array without axes has no indices"),
    (lambda: wnp.sum(V, 0, None, True), r"weft\.numpy\.sum: out must be None: results are new"),
    (lambda: wnp.median(V, overwrite_input=True), "weft.numpy.median: overwrite_input=True is not"),
    (lambda: wnp.zeros(3, device="gpu"), r"weft.numpy.zeros makes arrays on the CPU.*device_put"),
    (lambda: wnp.cov(V, fweights=X), "fweights must be a vector of 3 weights, got shape"),
    (lambda: wnp.cov(V, fweights=V[0]), "fweights must be integers, got dtype float64"),
    (lambda: wnp.cov(V[None]), "observations have one or two axes"),
    (lambda: wnp.interp(1.0, X, X, left="up"), "left is a number or 'extrapolate', got 'up'"),
    (lambda: wnp.searchsorted(X, 1, method="guess"), "weft.numpy.searchsorted: method is 'scan'"),
    (lambda: wnp.digitize(X, V), "weft.numpy.digitize: bins must be a vector of edges"),
    (lambda: wnp.gradient(V, edge_order=2), "edge_order=2 is not supported"),
    (lambda: wnp.linalg.cross(X, X), "linalg.cross: x1 must have three elements along axis -1"),
    (lambda: wnp.linalg.outer(V, X), "linalg.outer: x1 and x2 must be vectors"),
    (lambda: wnp.__array_namespace_info__().dtypes(kind="odd"), "'odd' is no kind of dtypes"),
    (
        lambda: wnp.__array_namespace_info__().dtypes(device="x"),
        "there is no device 'x'; use 'cpu'",
    ),
    (lambda: wnp.bartlett(2.5), "weft.numpy.bartlett: the length M must be an integer, got float"),
    (lambda: wnp.kaiser(3, V), r"weft.numpy.kaiser: beta must be a number, got shape \(2, 3\)"),
    (lambda: wnp.i0(1j), "weft.numpy.i0: complex numbers are not supported"),
    (lambda: wnp.gcd(1.0, 2), r"weft.numpy.gcd: x1 must be integers, got f32\[\]"),
    (lambda: wnp.lcm(2, V), r"weft.numpy.lcm: x2 must be integers, got f64\[2,3\]"),
    (lambda: wnp.packbits(V), "weft.numpy.packbits: a must be booleans or integers"),
    (lambda: wnp.packbits(B, bitorder="up"), "bitorder is 'big' or 'little', got 'up'"),
    (lambda: wnp.unpackbits(B), "weft.numpy.unpackbits: a must be uint8"),
    (lambda: wnp.bincount(V), "weft.numpy.bincount: x must be integers"),
    (lambda: wnp.bincount(B), r"weft.numpy.bincount: x must be a vector, got shape \(2, 3\)"),
    (lambda: wnp.bincount(np.array([1, -2])), "x has a negative element, -2"),
    (lambda: wnp.bincount(X, minlength=-1), "minlength must not be negative, got -1"),
    (lambda: wnp.bincount(X, length=-1), "bincount: length must not be negative, got -1"),
    (lambda: wnp.bincount(X, V), "x and weights must have one shape"),
    (lambda: wnp.histogram(V, 0), "there must be at least one bin, got bins=0"),
    (lambda: wnp.histogram(V, V), "bins must be a number or a vector of edges"),
    (lambda: wnp.histogram(V, 3, (1,)), r"range must be \(least, greatest\), got \(1,\)"),
    (lambda: wnp.histogram(V, "auto", weights=V), "cannot be chosen for weighted data"),
    (lambda: wnp.histogram(V, 3, weights=X), "weights must have the shape of the data"),
    (lambda: wnp.histogram2d(X, V), "x and y must be vectors of one length"),
    (lambda: wnp.histogramdd(V, [1, 2]), "3 axes need as many bins and ranges, got 2 and 3"),
    (lambda: wnp.histogramdd(X), "the sample must be n × d, got shape"),
    (lambda: wnp.isin(X, Y, method="guess"), "weft.numpy.isin: method is 'auto'"),
    (lambda: wnp.unique(X[:0], size=2), "an empty array has no values to fill size=2 with"),
    (lambda: wnp.unique(X, size=-1), "weft.numpy.unique: size=-1 cannot be negative"),
    (lambda: wnp.nonzero(X, size=2, fill_value=(1, 2)), "one for each of 1 axes"),
    (lambda: wnp.where(X, 1, 2, size=3), "are for the condition alone"),
    (lambda: wnp.compress(B > 1, B), "the condition must be a vector"),
    (lambda: wnp.choose(X, [V]), "indices from 0 to 5 are out of bounds for 1 choices"),
    (
        lambda: wnp.delete(X, 9),
        "weft.numpy.delete: index 9 is out of bounds for an axis of length 5",
    ),
    (lambda: wnp.delete(X, np.array([True])), r"a mask must be a vector of length 5, got shape"),
    (lambda: wnp.delete(X, 0.5), "obj must be integers, a mask or a slice"),
    (lambda: wnp.insert(X, 9, 1), "weft.numpy.insert: index 9 is out of bounds"),
    (lambda: wnp.insert(X, V, 1), "obj must be an integer, a slice or a vector of integers"),
    (lambda: wnp.put(X, 1, 2, "raise"), "weft.numpy.put: mode is None, 'clip' or 'wrap'"),
    (lambda: wnp.place(X, B, 2), "the array and the mask must have one size"),
    (lambda: wnp.place(X, X, X[:0]), "there are no values to place"),
    (lambda: wnp.put_along_axis(B, X, 1, 0), "need as many axes as the array of shape"),
    (lambda: wnp.fill_diagonal(X, 1), "the array must have two axes, or more of one length"),
    (lambda: wnp.rollaxis(B, 0, 5), "start=5 is out of bounds for an array with 2 axes"),
    (lambda: wnp.trim_zeros(X, "x"), "trim is made of 'f' and 'b', got 'x'"),
    (lambda: wnp.piecewise(X, [X > 1], []), "1 conditions need as many functions, or one more"),
    (lambda: wnp.diag_indices(-1), "n and ndim cannot be negative, got -1 and 2"),
    (lambda: wnp.diag_indices_from(B), "at least two axes, all of one length, got shape"),
    (
        lambda: wnp.tril_indices_from(X),
        "weft.numpy.tril_indices_from: the array must have two axes",
    ),
    (lambda: wnp.ix_(B), r"argument 0 must be a vector, got shape \(2, 3\)"),
    (lambda: wnp.mgrid[3], "weft.numpy.mgrid: an entry is a slice like 0:5 or 0:1:5j, got 3"),
    (lambda: wnp.ogrid[3:], "has no end"),
    (lambda: wnp.r_["x", X], "'x' is none of 'r', 'c' and up to three integers"),
    (lambda: wnp.r_[X, "r"], "only the first entry can be a string"),
    (lambda: wnp.ravel_multi_index((X,), (4,)), "from 0 to 5 are out of bounds for axis 0"),
    (lambda: wnp.ravel_multi_index((X,), (4, 4)), "1 indices for 2 axes"),
    (
        lambda: wnp.ravel_multi_index((X,), (4,), "up"),
        "mode is 'raise', 'wrap', 'clip' or 'ignore'",
    ),
    (lambda: wnp.ravel_multi_index((X,), (9,), order="K"), "order is 'C' or 'F', got 'K'"),
    (lambda: wnp.ravel_multi_index((X,), (999,), dtype=np.int8), "up to 998 do not fit int8"),
    (lambda: wnp.unravel_index(V, (3,)), "indices must be integers, got dtype float64"),
    (lambda: wnp.matvec(X, X), r"are not \(…, m, n\) and \(…, n\)"),
    (lambda: wnp.vecmat(X, X), r"are not \(…, n\) and \(…, n, m\)"),
    (lambda: wnp.polyder(X, -1), "weft.numpy.polyder: the order m=-1 cannot be negative"),
    (lambda: wnp.polyadd(B, X), r"a1 must be a vector of coefficients, got shape \(2, 3\)"),
    (lambda: wnp.polyint(X, 2, k=X), "k must be a number or 2 constants"),
    (lambda: wnp.poly(V), "zeros are a vector, or the eigenvalues of a square matrix"),
    (lambda: wnp.polyfit(X, V, 1), "x must be a vector that is not empty, and y"),
    (lambda: wnp.polyfit(X, X, 4, cov=True), 'use cov="unscaled"'),
    (lambda: wnp.polyfit(X, X, 1, w=B), "w must be a vector of 5 weights"),
    (lambda: wnp.polyfit(X, X, -1), "the degree deg=-1 cannot be negative"),
    (lambda: wnp.unwrap(1j * X), "weft.numpy.unwrap: complex numbers have no order"),
    (lambda: wnp.spacing(1j), "weft.numpy.spacing: complex numbers have no neighbours"),
    (lambda: wnp.sort_complex(1.0), "an array without axes has no order"),
    (lambda: wnp.vander(B), "weft.numpy.vander: x must be a vector"),
]


@pytest.mark.parametrize("case", range(len(REFUSED)))
def test_what_is_refused(case):
    call, text = REFUSED[case]
    with pytest.raises((TypeError, ValueError, IndexError), match=text):
        call()
