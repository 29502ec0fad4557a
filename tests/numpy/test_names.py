"""Functions of the namespace that have no test file of their own: equal to NumPy's on random
arguments, their errors, what they give under `jit` with a fixed size, and in place.
"""

from __future__ import annotations

import io

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import weft
import weft.numpy as wnp
from weft.core import ConcretizationError

SIZES = st.integers(0, 6)
SMALL = st.integers(-3, 3)
HALVES = st.integers(-6, 6).map(lambda n: n / 2)
BITS = st.sampled_from(["big", "little"])


def of(dtype, shape, elements=SMALL):
    return arrays.arrays(np.dtype(dtype), shape, elements=elements)


def vector(dtype="float64", least=0, most=7, elements=HALVES, unique=False):
    shape = st.integers(least, most)
    return arrays.arrays(np.dtype(dtype), shape, elements=elements, unique=unique)


def integers(least=0, most=8, low=-3, high=5):
    return vector("int32", least, most, st.integers(low, high))


def matrix(least=1, most=4):
    shape = st.tuples(st.integers(least, most), st.integers(least, most))
    return of("float64", shape, HALVES)


@st.composite
def array_and_axis(draw, dtype="float64", least=1, elements=HALVES, none=True):
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, min_side=least, max_side=4))
    axes = st.sampled_from([*([None] if none else []), *range(-len(shape), len(shape))])
    return draw(of(dtype, shape, elements)), draw(axes)


@st.composite
def deletion(draw):
    x, axis = draw(array_and_axis(least=2))
    size = x.size if axis is None else x.shape[axis]
    integer = st.integers(-size, size - 1)
    mask = arrays.arrays(bool, size)
    several = st.lists(integer, min_size=1, max_size=3).map(np.array)
    cut = st.slices(size)
    return x, draw(st.one_of(integer, several, mask, cut)), axis


@st.composite
def insertion(draw):
    x, axis = draw(array_and_axis(least=2))
    size = x.size if axis is None else x.shape[axis]
    index = draw(st.one_of(st.integers(-size, size), of("int64", 2, st.integers(0, size))))
    return x, index, draw(HALVES), axis


@st.composite
def flat_indices(draw):
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
    count = int(np.prod(shape))
    return draw(of("int32", (3,), st.integers(-count, count - 1))) % count, shape


@st.composite
def grid_indices(draw):
    shape = draw(arrays.array_shapes(min_dims=1, max_dims=3, max_side=4))
    index = tuple(draw(of("int32", (3,), st.integers(0, n - 1))) for n in shape)
    return index, shape, "raise", draw(st.sampled_from("CF"))


@st.composite
def fit(draw):
    x = draw(vector(least=5, elements=st.integers(-20, 20).map(float), unique=True))
    y = draw(of("float64", x.shape, HALVES))
    return x, y, draw(st.integers(0, 2))


@st.composite
def sample(draw):
    x = draw(of("float64", (6,), HALVES))
    edges = np.array([-2.0, -0.5, 0.0, 2.5])
    bins = draw(st.sampled_from([1, 4, edges]))
    limits = draw(st.sampled_from([None, (-1.0, 2.0)]))
    weights = draw(st.sampled_from([None, np.arange(6.0)]))
    return x, bins, limits, weights


@st.composite
def phases(draw):
    x, axis = draw(array_and_axis(none=False))
    return x * 3, draw(st.sampled_from([None, 4.0])), axis


def matrix_and_vector(draw, turned=False):
    m, n = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    lead = draw(st.sampled_from([(), (2,)]))
    a = draw(of("complex128", (2, m, n), HALVES)) * (1 + 1j)
    b = draw(of("complex128", (*lead, m if turned else n), HALVES)) * (1 - 2j)
    return (b, a) if turned else (a, b)


PAIRS = st.tuples(integers(), integers())
LENGTH = st.tuples(SIZES)
SQUARE = st.integers(1, 4).flatmap(lambda n: of("float64", (n, n), HALVES))

#: For each function its positional arguments.
CASES = {
    "bartlett": LENGTH,
    "bincount": st.tuples(integers(low=0), st.none(), st.integers(0, 4)),
    "blackman": LENGTH,
    "copy": st.tuples(matrix()),
    "delete": deletion(),
    "diag_indices": st.tuples(SIZES, st.integers(1, 3)),
    "diag_indices_from": st.tuples(of("float64", (3, 3))),
    "diagflat": st.tuples(matrix(), st.integers(-2, 2)),
    "gcd": st.tuples(of("int32", (4, 1), st.integers(-60, 60)), of("int64", (3,))),
    "hamming": LENGTH,
    "hanning": LENGTH,
    "histogram": sample().map(lambda case: case[:3]),
    "histogram_bin_edges": sample().map(lambda case: case[:3]),
    "i0": st.tuples(vector(least=1)),
    "insert": insertion(),
    "intersect1d": PAIRS,
    "iscomplex": st.tuples(of("complex64", (3,), st.sampled_from([1, 1j, 2 + 1j]))),
    "isin": st.tuples(matrix(), vector(most=14)),
    "isreal": st.tuples(of("complex64", (3,), st.sampled_from([1, 1j, 2 + 1j]))),
    "ix_": st.tuples(integers(), arrays.arrays(bool, 4)),
    "kaiser": st.tuples(SIZES, st.sampled_from([0.0, 3.0, 8.6])),
    "lcm": st.tuples(of("int32", (4, 1), st.integers(-60, 60)), of("int64", (3,))),
    "matvec": st.composite(matrix_and_vector)(),
    "packbits": st.tuples(array_and_axis("int8", elements=SMALL), BITS).map(
        lambda case: (*case[0], case[1])
    ),
    "poly": st.tuples(vector(least=1)),
    "polyadd": st.tuples(vector(least=1), vector(least=1)),
    "polyder": st.tuples(vector(least=3), st.integers(0, 2)),
    "polyfit": fit(),
    "polyint": st.tuples(vector(least=1), st.integers(0, 2), st.sampled_from([None, 2.0])),
    "polysub": st.tuples(vector(least=1), vector(least=1)),
    "ravel_multi_index": grid_indices(),
    "rollaxis": st.tuples(of("float64", (2, 3, 4)), st.integers(-3, 2), st.integers(-3, 3)),
    "setdiff1d": PAIRS,
    "setxor1d": PAIRS,
    "sort_complex": st.tuples(of("int32", (2, 4))),
    "spacing": st.tuples(of("float32", (4,), st.floats(width=32))),
    "tril_indices_from": st.tuples(matrix(), SMALL),
    "trim_zeros": st.tuples(integers(low=0, high=1), st.sampled_from(["f", "b", "fb"])),
    "triu_indices_from": st.tuples(matrix(), SMALL),
    "union1d": PAIRS,
    "unique": st.tuples(array_and_axis(elements=st.sampled_from([0.0, 1, 2, np.nan]))).map(
        lambda case: (case[0][0], True, True, True, case[0][1])
    ),
    "unique_all": st.tuples(integers()),
    "unique_counts": st.tuples(integers()),
    "unique_inverse": st.tuples(integers()),
    "unpackbits": st.tuples(
        array_and_axis("uint8", elements=st.integers(0, 255)), st.sampled_from([None, 3, -2]), BITS
    ).map(lambda case: (*case[0], case[1], case[2])),
    "unravel_index": flat_indices(),
    "unwrap": phases(),
    "vander": st.tuples(vector(least=1), SIZES, st.booleans()),
    "vecmat": st.composite(lambda draw: matrix_and_vector(draw, True))(),
}


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


@pytest.mark.parametrize("name", CASES)
def test_as_numpy(name):
    @settings(max_examples=6)
    @given(CASES[name])
    def check(args):
        with weft.disable_jit(), np.errstate(all="ignore"):
            assert_same(getattr(wnp, name)(*args), getattr(np, name)(*args))

    check()


@settings(max_examples=6)
@given(vector(least=1), vector(least=1).filter(lambda v: v[0] != 0))
def test_products_and_quotients_of_polynomials(u, v):
    with weft.disable_jit():
        product = np.asarray(wnp.polymul(u, v))
        assert product.shape == (len(u) + len(v) - 1,)
        np.testing.assert_allclose(
            np.trim_zeros(product, "f"), np.trim_zeros(np.convolve(u, v), "f")
        )
        quotient, rest = wnp.polydiv(u, v)
        assert rest.shape == u.shape
        again = wnp.polyadd(wnp.polymul(quotient, v), rest)
        np.testing.assert_allclose(np.asarray(again)[-len(u) :], u, atol=1e-9)


def test_roots():
    for zeros in ([1.0, 2, 3], [0.0, 0, 2], [1 + 1j, 1 - 1j]):
        p = np.poly(zeros)
        found = np.sort_complex(np.asarray(wnp.roots(np.append([0, 0], p))))
        np.testing.assert_allclose(found, np.sort_complex(zeros), atol=1e-9)
    traced = weft.jit(lambda p: wnp.roots(p, strip_zeros=False))(np.array([0.0, 1, -3, 2]))
    np.testing.assert_allclose(np.sort_complex(np.asarray(traced))[:2], [1, 2], rtol=1e-9)
    assert np.isnan(traced[-1])
    assert wnp.roots(np.zeros(3)).shape == wnp.roots(np.ones(1)).shape == (0,)
    np.testing.assert_allclose(np.asarray(wnp.poly(np.diag([1.0, 2]))).real, [1, -3, 2])


@pytest.mark.usefixtures("one_by_one")
def test_fits_report_more():
    x, y = np.arange(6.0), np.array([[1.0, 2], [0, 1], [3, 5], [2, 2], [7, 0], [1, 1]])
    for options in ({"full": True}, {"cov": True}, {"cov": "unscaled"}, {"w": x + 1}):
        mine, theirs = wnp.polyfit(x, y, 2, **options), np.polyfit(x, y, 2, **options)
        for a, w in zip(
            *((v if isinstance(v, tuple) else (v,)) for v in (mine, theirs)), strict=True
        ):
            np.testing.assert_allclose(a, w, rtol=1e-7)


@pytest.fixture
def one_by_one():
    """Operations run one at a time: nothing is compiled."""
    with weft.disable_jit():
        yield


@pytest.mark.usefixtures("one_by_one")
def test_histograms_of_points():
    points = np.random.default_rng(0).normal(size=(40, 3))
    weights = np.arange(40.0)
    for options in (
        {"bins": [2, 3, [-1.0, 0, 2]]},
        {"range": [None, (-1, 1), None]},
        {"weights": weights, "density": True, "bins": 3},
    ):
        mine, theirs = (f(points, **options) for f in (wnp.histogramdd, np.histogramdd))
        np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-9)
        assert_same(mine[1], theirs[1])
    x, y = points[:, 0], points[:, 1]
    for bins in (4, [2, 3], [-1.0, 0, 0.5, 1]):
        assert_same(wnp.histogram2d(x, y, bins)[1:], np.histogram2d(x, y, bins)[1:])
        np.testing.assert_array_equal(wnp.histogram2d(x, y, bins)[0], np.histogram2d(x, y, bins)[0])
    assert_same(wnp.histogram(x, "sturges"), np.histogram(x, "sturges"))
    assert_same(wnp.histogram(x, 4, weights=weights), np.histogram(x, 4, weights=weights))
    slope = weft.grad(lambda w: wnp.histogram(x, 3, weights=w)[0][1])(weights)
    np.testing.assert_array_equal(slope, np.digitize(x, np.histogram(x, 3)[1]) == 2)


# ---------------------------------------------------------------- options of older functions

OBSERVED = np.random.default_rng(1).normal(size=(3, 8))
FREQUENCIES, IMPORTANCE = np.arange(1, 9) % 3 + 1, np.linspace(0.5, 2, 8)


@pytest.mark.usefixtures("one_by_one")
@pytest.mark.parametrize(
    "options",
    [
        {"y": OBSERVED[:2]},
        {"bias": True},
        {"fweights": FREQUENCIES},
        {"aweights": IMPORTANCE},
        {"fweights": FREQUENCIES, "aweights": IMPORTANCE, "ddof": 0},
        {"rowvar": False},
    ],
)
def test_covariances(options):
    for m in (OBSERVED, OBSERVED * 1j + OBSERVED[::-1]):
        assert_same(wnp.cov(m, **options), np.cov(m, **options))
        if options.keys() <= {"y", "rowvar"}:
            assert_same(wnp.corrcoef(m, **options), np.corrcoef(m, **options))


@pytest.mark.usefixtures("one_by_one")
def test_search_among_anything():
    a, v = OBSERVED[0], np.append(OBSERVED[1], np.nan)
    gaps = np.array([1, 2, np.nan, np.nan])
    for side in ("left", "right"):
        order = np.argsort(a)
        assert_same(wnp.searchsorted(a, v, side, order), np.searchsorted(a, v, side, order))
        assert_same(wnp.searchsorted(gaps, v, side), np.searchsorted(gaps, v, side))
        for edges in (np.sort(a), np.sort(a)[::-1]):
            assert_same(
                wnp.digitize(v, edges, side == "left"), np.digitize(v, edges, side == "left")
            )
    points, values = np.array([0.0, 2, 4, 1]), np.array([1.0, 5, 2, 3])
    x = np.linspace(-9, 9, 23)
    assert_same(wnp.interp(x, points, values, period=6), np.interp(x, points, values, period=6))
    line = wnp.interp(x, points[:2], values[:2], "extrapolate", "extrapolate")
    np.testing.assert_allclose(line, 1 + 2 * x)


@pytest.mark.usefixtures("one_by_one")
def test_reductions_with_more_arguments():
    x = np.where(OBSERVED > 1, np.nan, OBSERVED)
    mask = OBSERVED < 0.5
    for name in ("nanmax", "nanmin", "nansum", "nanprod"):
        mine, theirs = getattr(wnp, name), getattr(np, name)
        assert_same(mine(x, 1, initial=0.25, where=mask), theirs(x, 1, initial=0.25, where=mask))
    for name in ("nanmean", "nanstd", "nanvar"):
        assert_same(getattr(wnp, name)(x, 1, where=mask), getattr(np, name)(x, 1, where=mask))
    assert_same(wnp.sum(x, 1, None, None, True), np.sum(x, 1, None, None, True))
    assert wnp.sum(np.ones(3, np.int8), promote_integers=False).dtype == np.int8
    assert_same(wnp.angle(1j * x, True), np.angle(1j * x, True))
    assert wnp.linspace(0, 1e300, 3, dtype=np.float64)[1] == 5e299
    assert not wnp.eye(2, k=2**40).any() and wnp.tri(2, k=2**40).all()
    assert wnp.broadcast_shapes() == wnp.broadcast_arrays() == wnp.meshgrid() == ()
    assert (
        type(wnp.broadcast_arrays(V, 1))
        is type(wnp.meshgrid(X))
        is type(wnp.ogrid[:2, :2])
        is tuple
    )
    start, stop = np.array([1.0, -2]), np.array([8.0, -16])
    assert_same(wnp.geomspace(start, stop, 4, axis=1), np.geomspace(start, stop, 4, axis=1))
    index = np.array([[-1, 9]])
    found = wnp.take_along_axis(X[None], index, 1, fill_value=7, wrap_negative_indices=False)
    assert found.tolist() == [[7, 7]]
    assert wnp.argsort(X, dtype=np.int64).dtype == np.int64


@pytest.mark.usefixtures("one_by_one")
def test_linear_algebra_of_the_standard():
    stacks = np.arange(24.0).reshape(2, 3, 4)
    for name in ("diagonal", "trace"):
        mine, theirs = getattr(wnp.linalg, name), getattr(np.linalg, name)
        assert_same(mine(stacks, offset=1), theirs(stacks, offset=1))
    assert_same(wnp.linalg.outer(X, Y), np.outer(X, Y))
    assert_same(
        wnp.linalg.cross(stacks, stacks[:, ::-1], axis=1),
        np.linalg.cross(stacks, stacks[:, ::-1], axis=1),
    )
    singular = np.diag([3.0, 0, -2])
    assert int(wnp.linalg.matrix_rank(singular, hermitian=True)) == 2


def test_the_namespace_describes_itself():
    info = wnp.asarray(1).__array_namespace__().__array_namespace_info__()
    assert info.default_device() == "cpu" and info.devices() == ("cpu",)
    assert info.capabilities()["data-dependent shapes"]
    assert info.default_dtypes()["real floating"] == wnp.asarray(1.0).dtype
    assert info.dtypes(kind=("bool", "complex floating")).keys() == {
        "bool",
        "complex64",
        "complex128",
    }
    assert len(info.dtypes()) == 13
    for dtype in (np.float32, np.complex64, wnp.asarray(1.0), ml_dtypes.bfloat16, np.float16):
        limits = wnp.finfo(dtype)
        assert {type(getattr(limits, k)) for k in ("eps", "max", "min", "tiny")} == {float}
    assert wnp.finfo(np.complex128).dtype == np.float64 and limits.bits == 16


# ---------------------------------------------------------------- sizes that depend on values

X, Y = np.array([3, 1, 3, 0, 5]), np.array([5, 4, 0, 4])
MASK = np.array([False, True, True, False, True])

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


# ---------------------------------------------------------------- grids


@pytest.mark.parametrize("sparse", [False, True])
def test_grids_of_slices(sparse):
    mine, theirs = (wnp.ogrid, np.ogrid) if sparse else (wnp.mgrid, np.mgrid)
    for key in (np.s_[1:4], np.s_[0:2, 1:7:2], np.s_[0:1:5j, 0:3], np.s_[3:0:-1, :2]):
        assert_same(mine[key], theirs[key])


def test_concatenation_between_brackets():
    a, b, m = np.arange(3), np.array([5.0, 6, 7]), np.ones((2, 3))
    for key in (
        np.s_[1:4, 0, a],
        np.s_[0:1:3j, b],
        np.s_["1", m, m],
        np.s_["0,2", a, b],
        np.s_["0,2,0", a, b],
        np.s_["1,2,0", a, b],
    ):
        assert_same(wnp.r_[key], np.r_[key])
    for key in (np.s_[a, b], np.s_[m, m], np.s_[1:3, 4:6]):
        assert_same(wnp.c_[key], np.c_[key])
    assert wnp.r_["r", a].shape == (1, 3) and wnp.r_["c", a].shape == (3, 1)
    assert wnp.s_[2::2] == slice(2, None, 2) and wnp.index_exp[1] == (1,)
    assert_same(wnp.mask_indices(3, wnp.triu, 1), np.mask_indices(3, np.triu, 1))
    assert_same(wnp.fromfunction(lambda i, j: i - j, (2, 3)), np.fromfunction(np.subtract, (2, 3)))
    wide = (np.array([0, 5, -1]), np.array([2, -4, 9]))
    for mode in ("clip", "wrap"):
        assert_same(
            wnp.ravel_multi_index(wide, (3, 4), mode), np.ravel_multi_index(wide, (3, 4), mode)
        )


@pytest.mark.usefixtures("one_by_one")
def test_one_truth_value_is_an_index():
    for start in (np.arange(6.0).reshape(2, 3), np.array(3.0)):
        for truth in (True, False, np.array(True), wnp.asarray(False)):
            x, flag = wnp.asarray(start), bool(truth)
            np.testing.assert_array_equal(x[truth], start[flag])
            x[truth] = 9.0
            np.testing.assert_array_equal(x, np.where(flag, 9.0, start))
            applied = wnp.asarray(start).at[truth].apply(lambda v: v + 1)
            np.testing.assert_array_equal(applied, start + flag)
    assert wnp.asarray(V)[np.zeros((0, 3), bool)].shape == (0,)
    with pytest.raises(IndexError, match="a single True or False beside other indices"):
        wnp.asarray(V)[True, 0]


# ---------------------------------------------------------------- in place

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


# ---------------------------------------------------------------- functions of functions


def test_vectorize():
    power = wnp.vectorize(lambda x, n: x**n, excluded={1})
    np.testing.assert_array_equal(power(np.arange(3), 2), [0, 1, 4])
    shifted = wnp.vectorize(lambda x, by=0: x + by)
    np.testing.assert_array_equal(shifted(np.arange(2), by=np.array([[1], [2]])), [[1, 2], [2, 3]])
    both = wnp.vectorize(lambda a, v: (a @ v, v.sum()), signature="(m,n),(n)->(m),()")
    a, v = np.ones((4, 1, 2, 3)), np.arange(15.0).reshape(5, 3)
    product, total = both(a, v)
    np.testing.assert_allclose(product, (a @ v[..., None])[..., 0])
    np.testing.assert_allclose(total, np.broadcast_to(v.sum(-1), (4, 5)))
    single = wnp.vectorize(lambda x: x * 2)(np.ones((1, 1)))
    assert single.shape == (1, 1)
    for call, text in (
        (lambda: wnp.vectorize(abs, excluded={-1}), "positions from 0 on, got -1"),
        (lambda: wnp.vectorize(abs, signature="n->n"), "'n->n' is no signature"),
        (lambda: both(a), "has 2 arguments, got 1"),
        (lambda: both(np.ones(2), v), r"argument 0 of shape \(2,\) does not have the axes"),
        (lambda: both(a, np.ones(2)), "axis 'n' of argument 1 has length 2, and length 3 before"),
        (
            lambda: wnp.vectorize(lambda x: x[:1], signature="(n)->(n)")(v),
            "axis 'n' of result 0 has length 1, and length 3",
        ),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            call()


def test_functions_over_axes():
    x = np.arange(24.0).reshape(2, 3, 4)
    for axis in range(3):
        for function in (
            lambda xp, v: xp.sum(v),
            lambda xp, v: v[:2],
            lambda xp, v: v[:, None] * v,
        ):
            with weft.disable_jit():
                mine = wnp.apply_along_axis(lambda v, f=function: f(wnp, v), axis, x)
            assert_same(mine, np.apply_along_axis(lambda v, f=function: f(np, v), axis, x))
    assert_same(wnp.apply_over_axes(wnp.sum, x, (0, -1)), np.apply_over_axes(np.sum, x, (0, -1)))
    with pytest.raises(ValueError, match="must keep the axes, or drop the one it is given"):
        wnp.apply_over_axes(lambda v, axis: v[0, 0], x, 0)


# ---------------------------------------------------------------- ufuncs

V = np.array([[3.0, 1, 2], [0, 5, 4]])
B = np.array([[6, 3, 1], [12, 10, 7]])


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "fmin", "logaddexp"])
def test_methods_of_ufuncs(name):
    mine, theirs = getattr(wnp, name), getattr(np, name)
    with weft.disable_jit():
        for axis in (0, -1):
            assert_same(mine.reduce(V, axis), theirs.reduce(V, axis))
            assert_same(mine.accumulate(V, axis), theirs.accumulate(V, axis))
        assert_same(
            mine.reduce(V, 1, keepdims=True, initial=2.0),
            theirs.reduce(V, 1, None, None, True, 2.0),
        )
        assert_same(mine.outer(V, V[0]), theirs.outer(V, V[0]))
        index = np.array([0, 2, 1])
        assert_same(mine.reduceat(V, index, 1), theirs.reduceat(V, index, 1))


def test_reductions_of_bits_and_truth():
    with weft.disable_jit():
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor", "logical_xor", "logical_and"):
            assert_same(getattr(wnp, name).reduce(B, 1), getattr(np, name).reduce(B, 1))
        assert_same(wnp.add.reduce(V, (0, 1), where=V > 1), np.add.reduce(V, (0, 1), where=V > 1))
        wanted = np.bitwise_or.reduce(B, None, where=B > 6)
        assert_same(wnp.bitwise_or.reduce(B, None, where=B > 6), wanted)
        assert wnp.bitwise_xor.reduce(np.zeros((0, 2), int)).tolist() == [0, 0]
        with pytest.raises(ValueError, match=r"power\.reduce: there are no elements along axis 0"):
            wnp.power.reduce(np.zeros(0))
        with pytest.raises(ValueError, match=r"power\.reduce: where= needs an initial value"):
            wnp.power.reduce(V, where=V > 1)


def test_ufuncs_of_python_functions():
    digits = wnp.frompyfunc(lambda x, y: x * 10 + y, 2, 1)
    assert repr(digits) == "<weft.numpy.ufunc '<lambda>'>" and digits.nargs == 2
    assert int(digits.reduce(np.array([1, 2, 3]))) == 123
    assert digits.accumulate(np.array([[1], [2]])).tolist() == [[1], [12]]
    two = wnp.frompyfunc(lambda x: (x + 1, x - 1), 1, 2)
    assert_same(two(V), (V + 1, V - 1))
    slope = weft.grad(lambda x: digits.reduce(x))(np.ones(3))
    np.testing.assert_allclose(slope, [100, 10, 1])
    for call, text in (
        (lambda: digits(V), "takes 2 arguments, got 1"),
        (lambda: digits(V, V, where=V > 1), "where= would leave elements undefined"),
        (lambda: digits(V, V, out=V), "out must be None"),
        (lambda: two.reduce(V), "is for functions of two arguments with one result"),
    ):
        with pytest.raises((TypeError, ValueError), match=text):
            call()


# ---------------------------------------------------------------- files and text


def test_files(tmp_path):
    half = wnp.asarray(np.array([1.5, -2], ml_dtypes.bfloat16))
    for x in (wnp.asarray(V), wnp.asarray(B), half):
        wnp.save(tmp_path / "x.npy", x)
        again = wnp.load(tmp_path / "x.npy")
        assert again.dtype == x.dtype and again.tolist() == x.tolist()
    for save in (wnp.savez, wnp.savez_compressed):
        save(tmp_path / "x.npz", V, b=half)
        with wnp.load(tmp_path / "x.npz") as archive:
            assert sorted(archive) == ["arr_0", "b"] and len(archive) == 2
            assert type(archive["arr_0"]) is weft.Array and archive["b"].dtype == half.dtype
    text = io.StringIO()
    wnp.savetxt(text, V)
    text.seek(0)
    np.testing.assert_array_equal(wnp.loadtxt(text, np.float64), V)
    B.astype(np.int16).tofile(tmp_path / "x")
    assert wnp.fromfile(tmp_path / "x", np.int16).tolist() == B.ravel().tolist()
    assert wnp.frombuffer(B.tobytes(), np.int64, 2, 8).tolist() == [3, 1]
    assert wnp.fromiter(iter([1, 2]), float).dtype == np.float32
    with pytest.raises(TypeError, match=r"weft\.numpy\.save of a traced value"):
        weft.jit(lambda x: wnp.save(tmp_path / "y", x))(V)


def test_text_and_types():
    x = wnp.asarray(np.array([1.23456, 1e-9]))
    assert wnp.array_str(x, precision=2, suppress_small=True) == "[1.23 0.  ]"
    assert wnp.array_repr(x, precision=1) == "Array([1.2e+00, 1.0e-09], dtype=float64)"
    assert wnp.single == np.float32 and wnp.double == np.float64 and wnp.int_ == np.int32
    assert wnp.float64 != {"a": 1} and wnp.float64 != None  # noqa: E711
    assert wnp.float64 == "float64"
    assert wnp.zeros(1, wnp.cdouble).dtype == np.complex128
    assert wnp.unique_values(X).tolist() == [0, 1, 3, 5]
    assert wnp.iterable([1]) and not wnp.iterable(wnp.asarray(1))
    assert wnp.result_type(wnp.float64, np.dtype(np.float32)) == np.float64
    assert wnp.result_type(np.dtype(np.int64), np.dtype(np.complex64)) == np.complex64
    assert wnp.can_cast(np.float64, np.float32, "same_kind")
    a, v = np.ones((2, 9)), np.ones(9)
    path, report = wnp.einsum_path("ij,jk,k->i", a, np.ones((9, 9)), v)
    assert path == [(1, 2), (0, 1)] and "Optimized" in report
    np.testing.assert_array_equal(wnp.interp(1.5, np.arange(3), np.arange(3)), 1.5)


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
