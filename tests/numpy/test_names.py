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
from tests.numpy.samples import B, V, X, Y, assert_same

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
