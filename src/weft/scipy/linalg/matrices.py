"""Matrices of a given structure, made of vectors or of nothing but their size."""

from __future__ import annotations

import math
import operator

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    broadcast_shape,
    broadcast_to_shape,
    check_arraylike,
    dtype_of,
    promote,
    promote_inexact,
    shape_of,
)


def _size(name: str, n: int, least: int = 0) -> int:
    try:
        size = operator.index(n)
    except TypeError:
        raise TypeError(f"weft.scipy.linalg.{name}: n is an int, got {n!r}") from None
    if size < least:
        raise ValueError(f"weft.scipy.linalg.{name}: n is at least {least}, got {size}")
    return size


def _vector(name: str, x: ArrayLike, least: int = 0) -> Value:
    """At least one axis, the last of at least so many elements."""
    check_arraylike(f"scipy.linalg.{name}", x)
    v = wnp.atleast_1d(x)
    if shape_of(v)[-1] < least:
        raise ValueError(
            f"weft.scipy.linalg.{name}: a last axis of at least {least} elements is needed, got "
            f"shape {shape_of(v)}"
        )
    return v


def _default(values: np.ndarray) -> Value:
    """Numbers computed once, in the default dtype."""
    return wnp.asarray(np.asarray(values, np.float32))


def block_diag(*arrs: ArrayLike) -> Value:
    """Matrices (a vector is a row, a number one element) along a diagonal, zero elsewhere.

    >>> weft.scipy.linalg.block_diag(np.array([[1, 2]]), 3)
    Array([[1, 2, 0],
           [0, 0, 3]], dtype=int32)
    """
    if not arrs:
        return wnp.zeros((1, 0))
    blocks = [wnp.atleast_2d(x) for x in promote("scipy.linalg.block_diag", *arrs)]
    for position, block in enumerate(blocks):
        if len(shape_of(block)) > 2:
            raise ValueError(
                f"weft.scipy.linalg.block_diag: argument {position} has at most two axes, got "
                f"shape {shape_of(block)}"
            )
    columns = sum(shape_of(block)[1] for block in blocks)
    rows, before = [], 0
    for block in blocks:
        width = shape_of(block)[1]
        rows.append(wnp.pad(block, ((0, 0), (before, columns - before - width))))
        before += width
    return wnp.concatenate(rows, 0)


def _gathered(v: Value, index: np.ndarray) -> Value:
    """``v[..., index]`` of an index matrix."""
    flat = wnp.take(v, index.reshape(-1).astype(np.int32), axis=-1)
    return wnp.reshape(flat, (*shape_of(v)[:-1], *index.shape))


def toeplitz(c: ArrayLike, r: ArrayLike | None = None) -> Value:
    """Constant along diagonals, with the first column `c` and the first row `r`.

    The first element of `r` is not read; without `r` it is the conjugate of `c`. Both may have
    batch axes.

    >>> weft.scipy.linalg.toeplitz(np.array([1, 2, 3]), np.array([1, 4]))
    Array([[1, 4],
           [2, 1],
           [3, 2]], dtype=int32)
    """
    column = _vector("toeplitz", c)
    row = wnp.conj(column) if r is None else _vector("toeplitz", r)
    joined, m, n = _joined("toeplitz", wnp.flip(column, -1), row)
    return _gathered(joined, (m - 1) - np.arange(m)[:, None] + np.arange(n))


def hankel(c: ArrayLike, r: ArrayLike | None = None) -> Value:
    """Constant along antidiagonals, with the first column `c` and the last row `r`.

    The first element of `r` is not read; without `r` it is zero. Both may have batch axes.

    >>> weft.scipy.linalg.hankel(np.array([1, 2, 3]), np.array([3, 4]))
    Array([[1, 2],
           [2, 3],
           [3, 4]], dtype=int32)
    """
    column = _vector("hankel", c)
    row = wnp.zeros_like(column) if r is None else _vector("hankel", r)
    joined, m, n = _joined("hankel", column, row)
    return _gathered(joined, np.arange(m)[:, None] + np.arange(n))


def _joined(name: str, first: Value, second: Value) -> tuple[Value, int, int]:
    """Vectors joined, the second without its first element, and how long they were."""
    first, second = promote(f"scipy.linalg.{name}", first, second)
    m, n = shape_of(first)[-1], shape_of(second)[-1]
    batch = broadcast_shape(f"scipy.linalg.{name}", shape_of(first)[:-1], shape_of(second)[:-1])
    first = broadcast_to_shape(first, (*batch, m))
    second = broadcast_to_shape(second, (*batch, n))
    return wnp.concatenate([first, second[..., 1:]], -1), m, n


def circulant(c: ArrayLike) -> Value:
    """Every column is the one before it moved down by one place, around the end; `c` is the first.

    >>> weft.scipy.linalg.circulant(np.array([1, 2, 3]))
    Array([[1, 3, 2],
           [2, 1, 3],
           [3, 2, 1]], dtype=int32)
    """
    v = _vector("circulant", c)
    index = np.arange(shape_of(v)[-1])
    return _gathered(v, (index[:, None] - index) % max(len(index), 1))


def convolution_matrix(a: ArrayLike, n: int, mode: str = "full") -> Value:
    """The matrix that convolves vectors of `n` elements with `a`: ``m @ v = convolve(a, v, mode)``.

    >>> weft.scipy.linalg.convolution_matrix(np.array([1, 2]), 2)
    Array([[1, 0],
           [2, 1],
           [0, 2]], dtype=int32)
    """
    size = _size("convolution_matrix", n, 1)
    v = _vector("convolution_matrix", a, 1)
    if mode not in ("full", "same", "valid"):
        raise ValueError(
            f"weft.scipy.linalg.convolution_matrix: mode is 'full', 'same' or 'valid', got {mode!r}"
        )
    m = shape_of(v)[-1]
    cut = {"full": 0, "same": min(n, m) - 1, "valid": 2 * (min(n, m) - 1)}[mode]
    first = (cut // 2) if mode != "full" else 0
    rows = np.arange(m + size - 1)[first : m + size - 1 - (cut - first)]
    index = rows[:, None] - np.arange(size)
    inside = (index >= 0) & (index < m)
    return wnp.where(inside, _gathered(v, np.where(inside, index, 0)), np.zeros((), dtype_of(v)))


def leslie(f: ArrayLike, s: ArrayLike) -> Value:
    """The matrix that ages a population: fertilities `f` in the first row, the chances `s` of
    surviving below the diagonal.

    >>> weft.scipy.linalg.leslie(np.array([1., 2.]), np.array([.5]))
    Array([[1. , 2. ],
           [0.5, 0. ]], dtype=float32)
    """
    top, low = promote("scipy.linalg.leslie", _vector("leslie", f, 2), _vector("leslie", s))
    n = shape_of(top)[-1]
    if shape_of(low)[-1] != n - 1:
        raise ValueError(
            f"weft.scipy.linalg.leslie: s has one element less than f, got shapes {shape_of(f)} "
            f"and {shape_of(s)}"
        )
    batch = broadcast_shape("scipy.linalg.leslie", shape_of(top)[:-1], shape_of(low)[:-1])
    top, low = broadcast_to_shape(top, (*batch, n)), broadcast_to_shape(low, (*batch, n - 1))
    return wnp.concatenate([top[..., None, :], _rows_of_diagonal(low, n)], -2)


def _rows_of_diagonal(v: Value, columns: int) -> Value:
    """Element i of vectors in row i and column i, of so many columns."""
    rows = shape_of(v)[-1]
    return wnp.where(np.eye(rows, columns, dtype=bool), v[..., :, None], np.zeros((), dtype_of(v)))


def companion(a: ArrayLike) -> Value:
    """The matrix whose eigenvalues are the roots of the polynomial `a`, highest power first.

    >>> weft.scipy.linalg.companion(np.array([1., -3., 2.]))
    Array([[ 3., -2.],
           [ 1.,  0.]], dtype=float32)
    """
    (v,) = promote_inexact("scipy.linalg.companion", _vector("companion", a, 2))
    top = -v[..., 1:] / v[..., :1]
    n = shape_of(top)[-1]
    low = wnp.broadcast_to(wnp.eye(n - 1, n, dtype=dtype_of(v)), (*shape_of(v)[:-1], n - 1, n))
    return wnp.concatenate([top[..., None, :], low], -2)


def fiedler(a: ArrayLike) -> Value:
    """``|a[i] - a[j]|``.

    >>> weft.scipy.linalg.fiedler(np.array([1, 4]))
    Array([[0, 3],
           [3, 0]], dtype=int32)
    """
    v = _vector("fiedler", a)
    return wnp.abs(v[..., :, None] - v[..., None, :])


def fiedler_companion(a: ArrayLike) -> Value:
    """As `companion`, but with five diagonals (Fiedler 2003).

    >>> weft.scipy.linalg.fiedler_companion(np.array([1.0, -3.0, 2.0]))
    Array([[ 3., -2.],
           [ 1.,  0.]], dtype=float32)
    """
    (v,) = promote_inexact("scipy.linalg.fiedler_companion", _vector("fiedler_companion", a, 1))
    n = shape_of(v)[-1] - 1
    v = -v / v[..., :1]
    if n < 2:
        return wnp.reshape(v[..., 1:], (*shape_of(v)[:-1], n, n))
    i, j = np.indices((n, n))
    even = i % 2 == 0
    # Which coefficient is where; 0 stands for none.
    index = np.where((j == i + 1) & even, i + 2, 0)
    index = np.where((j == i - 1) & even & (i >= 2), i + 1, index)
    index = np.where((i == 0) & (j == 0), 1, index)
    one = ((j == i + 2) & even) | ((j == i - 2) & ~even) | ((i == 1) & (j == 0))
    ones = np.where(one, 1, 0).astype(dtype_of(v))
    return wnp.where(index > 0, _gathered(v, np.minimum(index, n)), ones)


# ---------------------------------------------------------------- of nothing but their size


def hilbert(n: int) -> Value:
    """``1 / (i + j + 1)``.

    >>> weft.scipy.linalg.hilbert(2)
    Array([[1.        , 0.5       ],
           [0.5       , 0.33333334]], dtype=float32)
    """
    index = np.arange(_size("hilbert", n))
    return _default(1 / (index[:, None] + index + 1))


def invhilbert(n: int) -> Value:
    """The inverse of `hilbert`, whose elements are integers.

    >>> weft.scipy.linalg.invhilbert(2)
    Array([[ 4., -6.],
           [-6., 12.]], dtype=float32)
    """
    size = _size("invhilbert", n)

    def element(i: int, j: int) -> int:
        product = math.comb(size + i, size - j - 1) * math.comb(size + j, size - i - 1)
        return (-1) ** (i + j) * (i + j + 1) * product * math.comb(i + j, i) ** 2

    rows = [[float(element(i, j)) for j in range(size)] for i in range(size)]
    return _default(np.array(rows).reshape(size, size))


def _pascal(name: str, n: int, kind: str | None, signs: bool) -> Value:
    size = _size(name, n)
    if kind not in (None, "symmetric", "lower", "upper"):
        raise ValueError(
            f"weft.scipy.linalg.{name}: kind is 'symmetric', 'lower' or 'upper', got {kind!r}"
        )
    lower = [
        [(-1) ** (i + j) * math.comb(i, j) if signs else math.comb(i, j) for j in range(size)]
        for i in range(size)
    ]
    table = np.array(lower, object).reshape(size, size)
    if kind == "upper":
        table = table.T
    elif kind != "lower":  # exact, in Python's integers
        table = table.T @ table if signs else table @ table.T
    return _default(table.astype(np.float64))


def pascal(n: int, kind: str | None = None) -> Value:
    """Binomial coefficients: ``(i + j) choose i``, or those of Pascal's triangle for
    ``kind="lower"`` and ``"upper"``.

    >>> weft.scipy.linalg.pascal(3)
    Array([[1., 1., 1.],
           [1., 2., 3.],
           [1., 3., 6.]], dtype=float32)
    """
    return _pascal("pascal", n, kind, signs=False)


def invpascal(n: int, kind: str | None = None) -> Value:
    """The inverse of `pascal`.

    >>> weft.scipy.linalg.invpascal(3, "lower")
    Array([[ 1.,  0.,  0.],
           [-1.,  1.,  0.],
           [ 1., -2.,  1.]], dtype=float32)
    """
    return _pascal("invpascal", n, kind, signs=True)


def helmert(n: int, full: bool = False) -> Value:
    """Orthonormal contrasts of `n` numbers, in rows; with `full` their mean, scaled, comes first.

    >>> weft.scipy.linalg.helmert(2)
    Array([[ 0.70710677, -0.70710677]], dtype=float32)
    """
    size = _size("helmert", n, 1)
    k = np.arange(1, size)[:, None]
    j = np.arange(size)
    rows = np.where(j < k, 1.0, np.where(j == k, -k.astype(float), 0)) / np.sqrt(k * (k + 1))
    if full:
        rows = np.concatenate([np.full((1, size), 1 / math.sqrt(size)), rows])
    return _default(rows)


def hadamard(n: int, dtype: DType = int) -> Value:
    """±1 with orthogonal rows (Sylvester's construction); `n` is a power of two.

    >>> weft.scipy.linalg.hadamard(2)
    Array([[ 1,  1],
           [ 1, -1]], dtype=int32)
    """
    size = _size("hadamard", n, 1)
    if size & (size - 1):
        raise ValueError(f"weft.scipy.linalg.hadamard: n is a power of two, got {size}")
    h = np.ones((1, 1))
    while len(h) < size:
        h = np.block([[h, h], [h, -h]])
    return wnp.asarray(h.astype(np.int8)).astype(dtypes.canonical_dtype(dtype))


def dft(n: int, scale: str | None = None, *, dtype: DType | None = None) -> Value:
    """The matrix of the discrete Fourier transform, over √n for ``scale="sqrtn"``, or n for "n".

    >>> weft.scipy.linalg.dft(2).real
    Array([[ 1.,  1.],
           [ 1., -1.]], dtype=float32)
    """
    size = _size("dft", n)
    wanted = np.dtype(np.complex64) if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_complex(wanted):
        raise ValueError(f"weft.scipy.linalg.dft: dtype is complex, got {wanted}")
    if scale not in (None, "sqrtn", "n"):
        raise ValueError(f"weft.scipy.linalg.dft: scale is None, 'sqrtn' or 'n', got {scale!r}")
    index = np.arange(size)
    turns = np.exp(-2j * np.pi / max(size, 1) * (np.outer(index, index) % max(size, 1)))
    divisor = {None: 1.0, "sqrtn": math.sqrt(size), "n": float(size)}[scale]
    return wnp.asarray((turns / divisor).astype(wanted))
