"""Small numerical tools: differences, integrals, interpolation, comparisons of whole arrays."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from weft import lax
from weft.array import from_numpy, immediate
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    as_result,
    canonical_axis,
    check_arraylike,
    check_ordered,
    convert,
    dtype_of,
    promote,
    promote_inexact,
    shape_of,
)
from weft.numpy.classify import conjugate, isclose, isnan, real
from weft.numpy.division import remainder
from weft.numpy.joining import concatenate
from weft.numpy.reductions import all as all_of
from weft.numpy.reductions import mean
from weft.numpy.reductions import sum as sum_of
from weft.numpy.select import clip, where
from weft.numpy.taking import take
from weft.numpy.ufuncs import absolute, equal, not_equal, sqrt, subtract


@at_once
def diff(
    a: ArrayLike,
    n: int = 1,
    axis: int = -1,
    prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Value:
    """Differences of neighbours along `axis`, taken `n` times.

    >>> np.diff(np.array([1, 4, 9]))
    Array([3, 5], dtype=int32)
    """
    check_arraylike("diff", a)
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"weft.numpy.diff: n={n} cannot be negative")
    number = canonical_axis("diff", axis, len(shape_of(a)))
    x = _with_ends(a, prepend, append, number)
    for _ in range(n):
        size = shape_of(x)[number]
        if size < 1:
            break
        later = lax.slice_in_dim(x, 1, size, axis=number)
        earlier = lax.slice_in_dim(x, 0, size - 1, axis=number)
        x = not_equal(later, earlier) if dtype_of(x) == np.bool_ else subtract(later, earlier)
    return as_result(x) if x is a else x


def _with_ends(a: ArrayLike, prepend: Any, append: Any, number: int) -> Value:
    shape = tuple(1 if d == number else n for d, n in enumerate(shape_of(a)))
    parts = []
    for end in (prepend, a, append):
        if end is None:
            continue
        scalar = not shape_of(end)
        parts.append(lax.broadcast_in_dim(_asarray(end), shape, ()) if scalar else end)
    return concatenate(parts, number) if len(parts) > 1 else a


def _asarray(x: ArrayLike) -> Value:
    from weft.numpy.creation import asarray

    return asarray(x)


@at_once
def unwrap(
    p: ArrayLike, discont: ArrayLike | None = None, axis: int = -1, period: ArrayLike = 2 * np.pi
) -> Value:
    """Phases along `axis` without jumps: multiples of `period` are added where neighbours differ by
    more than `discont` (half a period at least, and by default).

    >>> unwrap(np.array([0.0, 3.0, -3.0])).round(3)
    Array([0.   , 3.   , 3.283], dtype=float32)

    Raises
    ------
    TypeError: for complex numbers.
    """
    p, period = promote("unwrap", p, period)
    x = _asarray(p)
    if dtypes.is_complex(dtype_of(x)):
        raise TypeError("weft.numpy.unwrap: complex numbers have no order; take the angle")
    number = canonical_axis("unwrap", axis, len(shape_of(x)))
    size = shape_of(x)[number]
    if not size:
        return x
    half = period // 2 if dtypes.is_integer(dtype_of(x)) else period / 2
    steps = diff(x, axis=number)
    short = remainder(steps + half, period) - half
    short = where((short == -half) & (steps > 0), half, short)
    bound = half if discont is None else discont
    correction = where(absolute(steps) < bound, 0, short - steps).astype(dtype_of(x))
    first = lax.slice_in_dim(x, 0, 1, axis=number)
    rest = lax.slice_in_dim(x, 1, size, axis=number)
    return concatenate([first, rest + lax.cumsum(correction, axis=number)], number)


@at_once
def ediff1d(
    ary: ArrayLike, to_end: ArrayLike | None = None, to_begin: ArrayLike | None = None
) -> Value:
    """Differences of neighbours in the flat array.

    >>> np.ediff1d(np.array([1, 4, 9]), to_end=np.array([0]))
    Array([3, 5, 0], dtype=int32)
    """
    from weft.numpy.shaping import ravel

    parts = [diff(ravel(ary))]
    parts = ([ravel(to_begin)] if to_begin is not None else []) + parts
    parts = parts + ([ravel(to_end)] if to_end is not None else [])
    return concatenate(parts)


@at_once
def gradient(
    f: ArrayLike, *varargs: ArrayLike, axis: Any = None, edge_order: int | None = None
) -> Any:
    """Central differences along each axis, one-sided at the ends (`edge_order` None or 1).

    A spacing is a number, or the coordinates along its axis: then differences are weighted so that
    they stay exact for parabolas, as NumPy does.

    >>> np.gradient(np.array([1.0, 4.0, 9.0]))
    Array([3., 4., 5.], dtype=float32)
    """
    from weft.numpy._common import canonical_axes

    if edge_order not in (None, 1):
        raise ValueError(
            f"weft.numpy.gradient: edge_order={edge_order} is not supported; ends have order 1"
        )
    (x,) = promote_inexact("gradient", f)
    axes = canonical_axes("gradient", axis, len(shape_of(x)))
    spacings = list(varargs) * (len(axes) if len(varargs) == 1 else 1) or [1.0] * len(axes)
    if len(spacings) != len(axes):
        raise ValueError(f"weft.numpy.gradient: {len(varargs)} spacings for {len(axes)} axes")
    results = [_central(x, d, h) for d, h in zip(axes, spacings, strict=True)]
    return results[0] if len(results) == 1 else results


def _central(x: Value, number: int, spacing: ArrayLike) -> Value:
    size = shape_of(x)[number]
    if size < 2:
        raise ValueError(f"weft.numpy.gradient: axis {number} of length {size} has no differences")
    if shape_of(spacing) not in ((), (size,)):
        raise ValueError(
            f"weft.numpy.gradient: a spacing is a number or the {size} coordinates along axis "
            f"{number}, got shape {shape_of(spacing)}"
        )

    def part(start: int, stop: int) -> Value:
        return lax.slice_in_dim(x, start, stop, axis=number)

    if not shape_of(spacing):
        before = after = spacing
        inside = (part(2, size) - part(0, size - 2)) / (2 * spacing)
    else:
        steps = _along(diff(_asarray(spacing)), number, len(shape_of(x)))
        before = lax.slice_in_dim(steps, 0, size - 2, axis=number)
        after = lax.slice_in_dim(steps, 1, size - 1, axis=number)
        left = (part(1, size - 1) - part(0, size - 2)) / before
        right = (part(2, size) - part(1, size - 1)) / after
        inside = (left * after + right * before) / (before + after)
        before = lax.slice_in_dim(steps, 0, 1, axis=number)
        after = lax.slice_in_dim(steps, size - 2, size - 1, axis=number)
    first = (part(1, 2) - part(0, 1)) / before
    last = (part(size - 1, size) - part(size - 2, size - 1)) / after
    return concatenate([first, inside, last], number)


@at_once
def trapezoid(
    y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1
) -> Value:
    """The integral of `y` along `axis` by the trapezoidal rule, at points `x` or `dx` apart.

    >>> np.trapezoid(np.array([0.0, 1.0, 2.0]))
    Array(2., dtype=float32)
    """
    (y,) = promote_inexact("trapezoid", y)
    number = canonical_axis("trapezoid", axis, len(shape_of(y)))
    size = shape_of(y)[number]
    later = lax.slice_in_dim(y, min(1, size), size, axis=number)
    earlier = lax.slice_in_dim(y, 0, max(size - 1, 0), axis=number)
    if x is None:
        width = dx
    elif len(shape_of(x)) == 1:
        width = _along(diff(_asarray(x)), number, len(shape_of(y)))
    else:
        width = diff(_asarray(x), axis=number)
    return sum_of((later + earlier) * width, number) * 0.5


def _along(vector: Value, number: int, ndim: int) -> Value:
    """A vector laid along one of `ndim` axes."""
    shape = tuple(shape_of(vector)[0] if d == number else 1 for d in range(ndim))
    return lax.reshape(vector, shape)


@at_once
def interp(
    x: ArrayLike,
    xp: ArrayLike,
    fp: ArrayLike,
    left: Any = None,
    right: Any = None,
    period: ArrayLike | None = None,
) -> Value:
    """The piecewise linear function through the points (xp, fp), increasing in xp, at `x`.

    Outside of the points it is constant, or `left` and `right`; those may be "extrapolate", which
    goes on with the line through the last two points. With a `period` it repeats, and the points
    may come in any order.

    >>> points = np.array([0.0, 1.0]), np.array([1.0, 2.0])
    >>> interp(np.array([0.5, 3.0]), *points, right="extrapolate")
    Array([1.5, 4. ], dtype=float32)
    """
    for side, value in (("left", left), ("right", right)):
        if isinstance(value, str) and value != "extrapolate":
            raise ValueError(
                f"weft.numpy.interp: {side} is a number or 'extrapolate', got {value!r}"
            )
    check_ordered("interp", x, xp)
    x, xp, fp = promote_inexact("interp", x, xp, fp)
    x, xp, fp = _asarray(x), _asarray(xp), _asarray(fp)
    if len(shape_of(xp)) != 1 or shape_of(xp) != shape_of(fp) or shape_of(xp)[0] == 0:
        raise ValueError(
            f"weft.numpy.interp: xp and fp must be vectors of one length, got {shape_of(xp)} and "
            f"{shape_of(fp)}"
        )
    if period is not None:
        x, xp, fp = _periodic(x, xp, fp, absolute(period))
    x0, x1, f0, f1 = _neighbours(x, xp, fp)
    width = x1 - x0
    flat = equal(width, 0)
    slope = (f1 - f0) / where(flat, 1, width)
    inside = where(flat, f0, f0 + slope * (x - x0))
    if period is None and left != "extrapolate":
        inside = where(x < xp[0], fp[0] if left is None else left, inside)
    if period is None and right != "extrapolate":
        inside = where(x > xp[-1], fp[-1] if right is None else right, inside)
    return where(isnan(x), x, inside)


def _neighbours(x: Value, xp: Value, fp: Value) -> list[Value]:
    """The coordinates below and above each of `x`, and the values there."""
    last = shape_of(xp)[0] - 1
    index = searchsorted(xp, x, side="right")
    known = immediate.small_views(index, xp, fp)
    if known is not None:
        after = np.clip(known[0], 1, max(last, 1))
        places = after - 1, np.minimum(after, last)
        return [
            from_numpy(np.asarray(of[place]), like.weak_type, owned=True)
            for of, like in ((known[1], xp), (known[2], fp))
            for place in places
        ]
    index = clip(index, 1, max(last, 1))
    places = index - 1, clip(index, 0, last)
    return [take(of, place, mode="clip") for of in (xp, fp) for place in places]


def _periodic(x: Value, xp: Value, fp: Value, period: Value) -> tuple[Value, Value, Value]:
    """`x` within a period, and the points in order, with a neighbour on each side of it."""
    x, xp = remainder(x, period), remainder(xp, period)
    xp, fp = lax.sort_key_val(xp, fp, 0)
    xp = concatenate([xp[-1:] - period, xp, xp[:1] + period])
    return x, xp, concatenate([fp[-1:], fp, fp[:1]])


@at_once
def searchsorted(
    a: ArrayLike,
    v: ArrayLike,
    side: str = "left",
    sorter: ArrayLike | None = None,
    *,
    method: str = "scan",
) -> Value:
    """Where to insert each of `v` into the increasing vector `a` so that it stays increasing.

    `sorter` are indices that sort `a`, if it is not increasing itself. NaN counts as the greatest
    number. By bisection, log2(n) + 1 gathers, or by comparing with each of a few; methods of JAX's
    ("scan", "scan_unrolled", "sort", "compare_all") all give the same.

    >>> searchsorted(np.array([1, 3, 5]), np.array([3, 4]))
    Array([1, 2], dtype=int32)
    """
    _check_method("searchsorted", method)
    if side not in ("left", "right"):
        raise ValueError(f"weft.numpy.searchsorted: side is 'left' or 'right', got {side!r}")
    check_ordered("searchsorted", a, v)
    a, v = (_asarray(x) for x in promote("searchsorted", a, v))
    if len(shape_of(a)) != 1:
        raise ValueError(f"weft.numpy.searchsorted: needs a vector, got shape {shape_of(a)}")
    if sorter is not None:
        a = take(a, sorter, mode="clip")
    return _insertion(a, v, side == "right")


def _check_method(name: str, method: str | None) -> None:
    if method not in ("scan", "scan_unrolled", "sort", "compare_all"):
        raise ValueError(
            f"weft.numpy.{name}: method is 'scan', 'scan_unrolled', 'sort' or 'compare_all', "
            f"got {method!r}"
        )


#: Up to so many edges, comparing with all is cheaper than bisection.
_FEW_EDGES = 64


def _insertion(a: Value, v: Value, after: bool) -> Value:
    """The number of elements of an increasing vector that go before `v`: with `after`, equal ones.

    Bisection without branches: each step halves what is left, whatever the comparison says.
    """
    ordered = dtype_of(a).kind in "biufc"  # no random keys, nor bfloat16, which NumPy does slowly
    known = immediate.small_views(a, v) if ordered else None
    if known is not None:
        table, values = known
        found = np.searchsorted(table, values, "right" if after else "left")
        return from_numpy(np.asarray(found, np.int32), owned=True)
    left = shape_of(a)[0]
    inexact = dtypes.is_inexact(dtype_of(a))
    precedes = operator.le if after else operator.lt
    if left <= _FEW_EDGES:
        edges = lax.expand_dims(a, range(1, 1 + len(shape_of(v))))
        count = sum_of(precedes(edges, v), 0, np.int32)
        if not inexact:
            return count
        return where(isnan(v), left if after else sum_of(~isnan(a), 0, np.int32), count)

    def goes_before(x: Value) -> Value:
        found = precedes(x, v)
        return found | (isnan(v) & (True if after else ~isnan(x))) if inexact else found

    low: Value = lax.broadcast_in_dim(np.asarray(0, np.int32), shape_of(v), ())
    while left > 1:
        half = left // 2
        found = _elements(a, low + (half - 1))
        low = where(goes_before(found), low + half, low)
        left -= half
    found = _elements(a, low)
    return low + goes_before(found).astype(np.int32)


def _elements(a: Value, index: Value) -> Value:
    """Elements of a vector at indices that are known to be in it."""
    numbers = lax.GatherDimensionNumbers((), (0,), (0,))
    index = lax.expand_dims(index, (len(shape_of(index)),))
    return lax.gather(a, index, numbers, (1,), mode="promise_in_bounds")


@at_once
def digitize(
    x: ArrayLike, bins: ArrayLike, right: bool = False, *, method: str | None = None
) -> Value:
    """The number of the bin of each element; `bins` are edges that only increase, or decrease.

    Edges belong to the bin above them, with `right` to the one below. `method` as in
    `searchsorted`.

    >>> digitize(np.array([0.5, 2.0]), np.array([0.0, 1.0, 2.0]))
    Array([1, 3], dtype=int32)
    """
    _check_method("digitize", method or "scan")
    check_ordered("digitize", x, bins)
    edges = _asarray(bins)
    if len(shape_of(edges)) != 1:
        raise ValueError(
            f"weft.numpy.digitize: bins must be a vector of edges, got shape {shape_of(edges)}"
        )
    edges, x = (_asarray(value) for value in promote("digitize", edges, x))
    size = shape_of(edges)[0]
    if size < 2:
        return _insertion(edges, x, not right)
    first, last = edges[0], edges[-1]
    rising = lax.bitwise_or(first <= last, last != last)  # NaN is the greatest
    index = _insertion(where(rising, edges, edges[::-1]), x, after=not right)
    return where(rising, index, size - index)


@at_once
def cov(
    m: ArrayLike,
    y: ArrayLike | None = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: ArrayLike | None = None,
    aweights: ArrayLike | None = None,
    dtype: DType = None,
) -> Value:
    """The covariance matrix of variables in rows (columns without `rowvar`).

    Parameters
    ----------
    m, y: observations; `y` has further variables.
    bias, ddof: the divisor is the number of observations less `ddof`, which is 1, or 0 with `bias`.
    fweights: how often each observation counts (integers).
    aweights: how much each observation counts.
    dtype: the floating-point or complex dtype of the result.

    >>> cov(np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    Array([[ 1., -1.],
           [-1.,  1.]], dtype=float32)

    Raises
    ------
    ValueError: for more than two axes, and weights that are no vectors of one for each observation.
    """
    from weft.numpy.shaping import squeeze

    x = _variables(m, rowvar)
    if y is not None:
        x = concatenate(promote("cov", x, _variables(y, rowvar)))
    (x,) = promote_inexact("cov", x)
    x = x if dtype is None else convert("cov", x, dtypes.canonical_dtype(dtype))
    count = shape_of(x)[1]
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = [_weights(name, w, count) for name, w in (("f", fweights), ("a", aweights))]
    if weights[0] is None and weights[1] is None:
        centred = x - mean(x, 1, keepdims=True)
        return squeeze(centred @ conjugate(centred).T / max(count - ddof, 0))
    w: Any = 1
    for part in weights:
        w = w if part is None else w * part
    w = convert("cov", w, dtypes.real_dtype(dtype_of(x)))
    total = sum_of(w)
    centred = x - (sum_of(x * w, 1) / total)[:, None]
    if ddof == 0:
        divisor = total
    elif weights[1] is None:
        divisor = total - ddof
    else:
        divisor = total - ddof * sum_of(w * weights[1]) / total
    return squeeze((centred * w) @ conjugate(centred).T / divisor)


def _variables(m: ArrayLike, rowvar: bool) -> Value:
    """Observations with a variable in each row."""
    x = _asarray(m)
    if len(shape_of(x)) > 2:
        raise ValueError(
            f"weft.numpy.cov: observations have one or two axes, got shape {shape_of(x)}"
        )
    if len(shape_of(x)) < 2:
        return x.reshape((1, -1))
    return x if rowvar else x.T


def _weights(name: str, w: ArrayLike | None, count: int) -> Value | None:
    if w is None:
        return None
    if shape_of(w) != (count,):
        raise ValueError(
            f"weft.numpy.cov: {name}weights must be a vector of {count} weights, got shape "
            f"{shape_of(w)}"
        )
    if name == "f" and not dtypes.is_integer(dtype_of(w)):
        raise TypeError(f"weft.numpy.cov: fweights must be integers, got dtype {dtype_of(w)}")
    return absolute(w)


@at_once
def corrcoef(
    x: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True, dtype: DType = None
) -> Value:
    """The matrix of correlation coefficients; arguments as in `cov`.

    >>> corrcoef(np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])).round(3)
    Array([[ 1., -1.],
           [-1.,  1.]], dtype=float32)
    """
    covariance = cov(x, y, rowvar, dtype=dtype)
    if not shape_of(covariance):
        return covariance / covariance
    from weft.numpy.shaping import diagonal

    deviations = sqrt(real(diagonal(covariance)))
    scaled = covariance / deviations[:, None] / deviations[None, :]
    if not dtypes.is_complex(dtype_of(scaled)):
        return clip(scaled, -1, 1)
    return lax.complex(clip(lax.real(scaled), -1, 1), clip(lax.imag(scaled), -1, 1))


# ---------------------------------------------------------------- whole arrays


@at_once
def allclose(
    a: ArrayLike, b: ArrayLike, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Value:
    """Whether every pair of elements is close (see `isclose`).

    >>> np.allclose(np.array([1.0, 2.0]), np.array([1.0, 2.0 + 1e-7]))
    Array(True, dtype=bool)
    """
    return all_of(isclose(a, b, rtol, atol, equal_nan))


@at_once
def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Value:
    """Whether two arrays have one shape and equal elements.

    >>> np.array_equal(np.arange(3), np.array([0, 1, 2]))
    Array(True, dtype=bool)
    """
    first, second = _asarray(a1), _asarray(a2)
    if shape_of(first) != shape_of(second):
        return _asarray(False)
    same = equal(first, second)
    if equal_nan:
        same = same | (isnan(first) & isnan(second))
    return all_of(same)


@at_once
def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Value:
    """Whether two arrays broadcast to equal arrays.

    >>> np.array_equiv(np.ones((2, 3)), np.ones(3))
    Array(True, dtype=bool)
    """
    first, second = _asarray(a1), _asarray(a2)
    try:
        np.broadcast_shapes(shape_of(first), shape_of(second))
    except ValueError:
        return _asarray(False)
    return all_of(equal(first, second))
