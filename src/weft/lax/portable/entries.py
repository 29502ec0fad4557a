"""Tiny matrices entry by entry: an array along the batch for each of their elements.

Loops over rows and columns are unrolled, so that everything becomes one kernel whose vectors run
along the batch. Code grows with the cube of the size, hence `UNROLLED`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.primitives.routines import UNROLLED

Value = Any
Entries = list[list[Value]]


def is_tiny(*shapes: Sequence[int]) -> bool:
    """Whether matrices of these shapes are to be unrolled."""
    return all(n <= UNROLLED for shape in shapes for n in shape[-2:])


def entries(a: Value) -> Entries:
    """``a[..., i, j]`` for all rows i and columns j."""
    rows, columns = a.shape[-2:]
    return [[a[..., i, j] for j in range(columns)] for i in range(rows)]


def assembled(values: Entries) -> Value:
    """The matrices of these entries."""
    return wnp.stack([wnp.stack(row, -1) for row in values], -2)


def triangular(a: Value, b: Value, unit_diagonal: bool) -> Value:
    """x with ``a x = b`` for lower triangles; `b` keeps its rows whole."""
    e = entries(a)
    rows: list[Value] = []
    for i, line in enumerate(e):
        value = b[..., i, :]
        for known, factor in zip(rows, line, strict=False):
            value = value - factor[..., None] * known
        rows.append(value if unit_diagonal else value / line[i][..., None])
    return wnp.stack(rows, -2)


def cholesky(a: Value) -> Value:
    """The lower factors, zero above the diagonal; NaN throughout where there are none."""
    e = entries(a)
    n = len(e)
    zero = wnp.zeros_like(e[0][0])
    factor = [[zero] * n for _ in range(n)]
    positive = None
    for j in range(n):
        square = wnp.real(e[j][j])
        for k in range(j):
            square = square - wnp.real(factor[j][k] * wnp.conj(factor[j][k]))
        positive = square > 0 if positive is None else positive & (square > 0)
        pivot = wnp.sqrt(square)
        factor[j][j] = pivot.astype(a.dtype)
        for i in range(j + 1, n):
            value = e[i][j]
            for k in range(j):
                value = value - factor[i][k] * wnp.conj(factor[j][k])
            factor[i][j] = value / pivot
    nan = wnp.full_like(zero, np.nan)
    return assembled([[wnp.where(positive, x, nan) for x in row] for row in factor])


def lu(a: Value) -> list[Value]:
    """Factors, pivots and permutation."""
    e = entries(a)
    rows, columns = len(e), len(e[0])
    order: list[Value] = [wnp.full(e[0][0].shape, i, np.int32) for i in range(rows)]
    pivots = []
    for k in range(min(rows, columns)):
        best, chosen = magnitude(e[k][k]), wnp.full(order[0].shape, k, np.int32)
        for i in range(k + 1, rows):
            size = magnitude(e[i][k])
            better = size > best
            best, chosen = wnp.where(better, size, best), wnp.where(better, np.int32(i), chosen)
        pivots.append(chosen)
        for i in range(k + 1, rows):
            here = chosen == i
            e[k], e[i] = _exchanged(here, e[k], e[i])
            (order[k],), (order[i],) = _exchanged(here, [order[k]], [order[i]])
        pivot = wnp.where(e[k][k] == 0, wnp.ones_like(e[k][k]), e[k][k])
        for i in range(k + 1, rows):
            factor = e[i][k] / pivot
            e[i][k] = factor
            for j in range(k + 1, columns):
                e[i][j] = e[i][j] - factor * e[k][j]
    return [assembled(e), wnp.stack(pivots, -1), wnp.stack(order, -1)]


def magnitude(x: Value) -> Value:
    """What LAPACK compares: complex numbers by the sum of their parts' magnitudes."""
    if np.dtype(x.dtype).kind != "c":
        return abs(x)
    return abs(wnp.real(x)) + abs(wnp.imag(x))


def _exchanged(
    here: Value, a: Sequence[Value], b: Sequence[Value]
) -> tuple[list[Value], list[Value]]:
    first = [wnp.where(here, y, x) for x, y in zip(a, b, strict=True)]
    return first, [wnp.where(here, x, y) for x, y in zip(a, b, strict=True)]
