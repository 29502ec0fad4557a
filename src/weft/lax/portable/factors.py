"""Cholesky, LU and QR factors and triangular systems in Weft's own operations.

Tiny matrices are unrolled (`entries`), others are loops over rows or columns whose steps work on
whole matrices of the batch: a step is a matrix–vector product or a rank-one update (Golub and Van
Loan, "Matrix Computations", sections 3.1, 3.4, 4.2 and 5.2).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.lax.indexing import dynamic_index_in_dim, dynamic_update_index_in_dim
from weft.lax.portable import entries
from weft.primitives.linalg_cholesky import cholesky_p
from weft.primitives.linalg_lu import lu_p, lu_pivots_to_permutation_p
from weft.primitives.linalg_qr import geqrf_p, householder_product_p
from weft.primitives.linalg_solve import triangular_solve_p
from weft.transforms.control_flow import fori_loop

Value = Any


def column(a: Value, k: Value) -> Value:
    """Column k of each matrix, as a vector."""
    return dynamic_index_in_dim(a, k, -1, keepdims=False)


def row(a: Value, k: Value) -> Value:
    """Row k of each matrix, as a vector."""
    return dynamic_index_in_dim(a, k, -2, keepdims=False)


def times(a: Value, x: Value) -> Value:
    """Matrices times vectors."""
    return (a @ x[..., None])[..., 0]


def counted(n: int) -> Value:
    """0, 1, … as int32."""
    return wnp.arange(n, dtype=np.int32)


# ---------------------------------------------------------------- triangular systems


@triangular_solve_p.def_portable
def _(
    a: Value,
    b: Value,
    *,
    left_side: bool,
    lower: bool,
    transpose_a: bool,
    conjugate_a: bool,
    unit_diagonal: bool,
) -> Value:
    a = wnp.conj(a) if conjugate_a else a
    if transpose_a:
        a, lower = wnp.matrix_transpose(a), not lower
    if not left_side:  # x a = b is a^T x^T = b^T
        a, b, lower = wnp.matrix_transpose(a), wnp.matrix_transpose(b), not lower
    if not lower:  # backwards it is lower
        a, b = wnp.flip(a, (-2, -1)), wnp.flip(b, -2)
    x = (entries.triangular if entries.is_tiny(a.shape) else _forward)(a, b, unit_diagonal)
    x = x if lower else wnp.flip(x, -2)
    return x if left_side else wnp.matrix_transpose(x)


def _forward(a: Value, b: Value, unit_diagonal: bool) -> Value:
    """Forward substitution, row after row."""
    n = a.shape[-1]
    index = counted(n)

    def step(i: Value, x: Value) -> Value:
        factors = row(a, i)
        known = wnp.where(index < i, factors, wnp.zeros_like(factors))
        value = row(b, i) - (known[..., None, :] @ x)[..., 0, :]
        if not unit_diagonal:
            value = value / dynamic_index_in_dim(factors, i, -1)
        return dynamic_update_index_in_dim(x, value, i, -2)

    return fori_loop(0, n, step, wnp.zeros_like(b))


# ---------------------------------------------------------------- Cholesky


@cholesky_p.def_portable
def _(a: Value) -> Value:
    if entries.is_tiny(a.shape):
        return entries.cholesky(a)
    n = a.shape[-1]
    index = counted(n)

    def step(j: Value, factor: Value) -> Value:
        # Columns before j are known: they hold all there is of row j so far.
        value = column(a, j) - times(factor, wnp.conj(row(factor, j)))
        square = wnp.real(dynamic_index_in_dim(value, j, -1))
        pivot = wnp.sqrt(wnp.where(square > 0, square, wnp.full_like(square, np.nan)))
        below = wnp.where(index > j, value / pivot, wnp.zeros_like(value))
        new = wnp.where(index == j, pivot.astype(a.dtype), below)
        return dynamic_update_index_in_dim(factor, new, j, -1)

    factor = fori_loop(0, n, step, wnp.zeros_like(a))
    # A pivot that is not positive spoils all that follow.
    last = wnp.real(factor[..., -1, -1])
    return wnp.where(wnp.isnan(last)[..., None, None], wnp.full_like(factor, np.nan), factor)


# ---------------------------------------------------------------- LU


@lu_p.def_portable
def _(a: Value) -> list[Value]:
    if entries.is_tiny(a.shape):
        return entries.lu(a)
    *batch, rows, columns = a.shape
    down, across = counted(rows), counted(columns)
    least = min(rows, columns)

    def step(k: Value, state: Any) -> Any:
        a, pivots, order = state
        sizes = wnp.where(down >= k, entries.magnitude(column(a, k)), -1)
        pivot = wnp.argmax(sizes, -1).astype(np.int32)
        pivots = dynamic_update_index_in_dim(pivots, pivot, k, -1)
        here, there = down == k, down == pivot[..., None]
        first, second = row(a, k), _row_of_each(a, pivot)
        a = wnp.where(there[..., None], first[..., None, :], a)
        a = wnp.where(here[..., None], second[..., None, :], a)
        first_order = dynamic_index_in_dim(order, k, -1)
        second_order = wnp.take_along_axis(order, pivot[..., None], -1)
        order = wnp.where(here, second_order, wnp.where(there, first_order, order))
        top = row(a, k)
        divisor = dynamic_index_in_dim(top, k, -1)
        divisor = wnp.where(divisor == 0, wnp.ones_like(divisor), divisor)
        values = column(a, k)
        factors = wnp.where(down > k, values / divisor, wnp.zeros_like(values))
        rest = wnp.where(across > k, top, wnp.zeros_like(top))
        a = a - factors[..., :, None] * rest[..., None, :]
        a = dynamic_update_index_in_dim(a, wnp.where(down > k, factors, column(a, k)), k, -1)
        return a, pivots, order

    pivots = wnp.zeros((*batch, least), np.int32)
    order = wnp.broadcast_to(down, (*batch, rows))
    return list(fori_loop(0, least, step, (a, pivots, order)))


def _row_of_each(a: Value, which: Value) -> Value:
    """Row ``which[b]`` of matrix b."""
    return wnp.take_along_axis(a, which[..., None, None], -2)[..., 0, :]


@lu_pivots_to_permutation_p.def_portable
def _(pivots: Value, *, permutation_size: int) -> Value:
    *batch, count = pivots.shape
    index = counted(permutation_size)

    def step(i: Value, order: Value) -> Value:
        other = dynamic_index_in_dim(pivots, i, -1)
        here, there = dynamic_index_in_dim(order, i, -1), wnp.take_along_axis(order, other, -1)
        return wnp.where(index == i, there, wnp.where(index == other, here, order))

    return fori_loop(0, count, step, wnp.broadcast_to(index, (*batch, permutation_size)))


# ---------------------------------------------------------------- QR


@geqrf_p.def_portable
def _(a: Value) -> list[Value]:
    *batch, rows, columns = a.shape
    down = counted(rows)
    least = min(rows, columns)
    right = counted(columns)

    def step(k: Value, state: Any) -> Any:
        a, taus = state
        values = column(a, k)
        head = dynamic_index_in_dim(values, k, -1)
        v, tau, beta = reflector(values, head, down > k, down == k)
        # The reflection of what is to the right, by the conjugate of tau as LAPACK does.
        inner = (wnp.conj(v)[..., None, :] @ a)[..., 0, :]
        inner = wnp.where(right > k, inner, wnp.zeros_like(inner))
        a = a - (wnp.conj(tau) * v)[..., :, None] * inner[..., None, :]
        kept = wnp.where(down > k, v, wnp.where(down == k, beta, values))
        a = dynamic_update_index_in_dim(a, kept, k, -1)
        return a, dynamic_update_index_in_dim(taus, tau[..., 0], k, -1)

    return list(fori_loop(0, least, step, (a, wnp.zeros((*batch, least), a.dtype))))


def reflector(values: Value, head: Value, below: Value, here: Value) -> tuple[Value, Value, Value]:
    """``(v, tau, beta)`` of LAPACK's larfg: ``(1 - tau v v^H)^H`` takes the vector to beta e_k."""
    rest = wnp.where(below, values, wnp.zeros_like(values))
    scale = wnp.max(abs(rest), -1, keepdims=True)
    scale = wnp.maximum(scale, abs(head))
    scale = wnp.where(scale == 0, wnp.ones_like(scale), scale)
    size = scale * wnp.sqrt(
        wnp.sum(wnp.square(abs(rest / scale)), -1, keepdims=True) + wnp.square(abs(head / scale))
    )
    nothing = wnp.all(rest == 0, -1, keepdims=True) & (wnp.imag(head) == 0)
    beta = wnp.where(wnp.real(head) >= 0, -size, size).astype(values.dtype)
    beta = wnp.where(nothing, head, beta)
    safe = wnp.where(beta == 0, wnp.ones_like(beta), beta)
    tau = wnp.where(nothing, wnp.zeros_like(head), (beta - head) / safe)
    divisor = wnp.where(nothing, wnp.ones_like(head), head - beta)
    v = wnp.where(here, wnp.ones_like(values), rest / divisor)
    return v, tau, beta


@householder_product_p.def_portable
def _(a: Value, taus: Value) -> Value:
    rows, columns = a.shape[-2:]
    count = taus.shape[-1]
    down = counted(rows)

    def step(n: Value, q: Value) -> Value:
        k = count - 1 - n
        values = column(a, k)
        one, zero = wnp.ones_like(values), wnp.zeros_like(values)
        v = wnp.where(down > k, values, wnp.where(down == k, one, zero))
        tau = dynamic_index_in_dim(taus, k, -1)
        inner = (wnp.conj(v)[..., None, :] @ q)[..., 0, :]
        return q - (tau * v)[..., :, None] * inner[..., None, :]

    identity = wnp.broadcast_to(wnp.eye(rows, columns, dtype=a.dtype), a.shape)
    return fori_loop(0, count, step, identity)
