"""Condensed forms, QR factors with pivoting and tridiagonal systems in Weft's own operations.

Loops over columns whose steps work on whole matrices of the batch (Golub and Van Loan, "Matrix
Computations", sections 5.4.2, 7.4.3 and 8.3.1); tridiagonal systems are eliminated row by row.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.lax.indexing import dynamic_index_in_dim, dynamic_update_index_in_dim
from weft.lax.portable.entries import magnitude
from weft.lax.portable.factors import column, counted, reflector
from weft.primitives.linalg_reductions import geqp3_p, hessenberg_p, tridiagonal_p
from weft.primitives.linalg_tridiagonal import tridiagonal_solve_p
from weft.transforms.control_flow import fori_loop, scan

Value = Any


def _from_left(a: Value, v: Value, tau: Value) -> Value:
    """``(1 - tau v v^H) a`` for each matrix."""
    inner = (wnp.conj(v)[..., None, :] @ a)[..., 0, :]
    return a - (tau * v)[..., :, None] * inner[..., None, :]


def _from_right(a: Value, v: Value, tau: Value) -> Value:
    """``a (1 - tau v v^H)`` for each matrix."""
    inner = (a @ v[..., :, None])[..., 0]
    return a - inner[..., :, None] * (tau * wnp.conj(v))[..., None, :]


# ---------------------------------------------------------------- Hessenberg, tridiagonal


@hessenberg_p.def_portable
def _hessenberg(a: Value) -> list[Value]:
    *batch, n, _ = a.shape
    if n < 2:
        return [a, wnp.zeros((*batch, 0), a.dtype)]
    down = counted(n)

    def step(k: Value, state: Any) -> Any:
        a, taus = state
        values = column(a, k)
        head = dynamic_index_in_dim(values, k + 1, -1)
        v, tau, beta = reflector(values, head, down > k + 1, down == k + 1)
        a = _from_right(a, v, tau)
        # Reflectors of the columns before stand where the matrix has zeros.
        a = wnp.where(down > k, _from_left(a, v, wnp.conj(tau)), a)
        kept = wnp.where(down > k + 1, v, wnp.where(down == k + 1, beta, values))
        a = dynamic_update_index_in_dim(a, kept, k, -1)
        return a, dynamic_update_index_in_dim(taus, tau[..., 0], k, -1)

    return list(fori_loop(0, n - 1, step, (a, wnp.zeros((*batch, n - 1), a.dtype))))


@tridiagonal_p.def_portable
def _(a: Value, *, lower: bool) -> list[Value]:
    # LAPACK reduces from the other end where the upper triangle is given.
    given = a if lower else wnp.flip(a, (-2, -1))
    below = wnp.tril(given, -1)
    line = wnp.real(wnp.diagonal(given, axis1=-2, axis2=-1)).astype(a.dtype)
    identity = wnp.eye(a.shape[-1], dtype=a.dtype)
    whole = below + wnp.conj(wnp.matrix_transpose(below)) + line[..., :, None] * identity
    compact, taus = _hessenberg(whole)
    d = wnp.real(wnp.diagonal(compact, axis1=-2, axis2=-1))
    e = wnp.real(wnp.diagonal(compact, -1, axis1=-2, axis2=-1))
    out = wnp.tril(compact, -1) + d[..., :, None] * identity + wnp.triu(given, 1)
    if lower:
        return [out, d, e, taus]
    return [wnp.flip(out, (-2, -1)), *(wnp.flip(x, -1) for x in (d, e, taus))]


# ---------------------------------------------------------------- QR with pivoting


@geqp3_p.def_portable
def _(a: Value) -> list[Value]:
    *batch, rows, columns = a.shape
    down, across = counted(rows), counted(columns)
    least = min(rows, columns)

    def step(k: Value, state: Any) -> Any:
        a, taus, order = state
        rest = wnp.where((down >= k)[:, None], abs(a), 0)
        scale = wnp.max(rest, (-2, -1), keepdims=True)
        rest = rest / wnp.where(scale == 0, wnp.ones_like(scale), scale)
        sizes = wnp.where(across >= k, wnp.sum(rest * rest, -2), -1)
        pivot = wnp.argmax(sizes, -1).astype(np.int32)[..., None]
        # Columns k and pivot change places.
        moved = wnp.where(across == k, pivot, wnp.where(across == pivot, k, across))
        a = wnp.take_along_axis(a, moved[..., None, :], -1)
        order = wnp.take_along_axis(order, moved, -1)
        values = column(a, k)
        head = dynamic_index_in_dim(values, k, -1)
        v, tau, beta = reflector(values, head, down > k, down == k)
        a = wnp.where(across > k, _from_left(a, v, wnp.conj(tau)), a)
        kept = wnp.where(down > k, v, wnp.where(down == k, beta, values))
        a = dynamic_update_index_in_dim(a, kept, k, -1)
        return a, dynamic_update_index_in_dim(taus, tau[..., 0], k, -1), order

    order = wnp.broadcast_to(across, (*batch, columns))
    return list(fori_loop(0, least, step, (a, wnp.zeros((*batch, least), a.dtype), order)))


# ---------------------------------------------------------------- tridiagonal systems


@tridiagonal_solve_p.def_portable
def _(dl: Value, d: Value, du: Value, b: Value, *, perturb_singular: bool) -> Value:
    n = d.shape[-1]
    # Rows first; scalars of a system have an axis for its columns.
    dl, d, du = (wnp.moveaxis(x, -1, 0)[..., None] for x in (dl, d, du))
    b = wnp.moveaxis(b, -2, 0)
    du = wnp.where(wnp.reshape(counted(n), (n, *[1] * (d.ndim - 1))) < n - 1, du, 0 * du)

    def eliminate(current: Any, following: Any) -> Any:
        """Of two rows the one with the larger pivot is final, and taken off the other."""
        pivot, beside, y = current
        below, here, above, z = following
        swap = magnitude(pivot) < magnitude(below)
        nothing = wnp.zeros_like(pivot)
        final = (
            wnp.where(swap, below, pivot),
            wnp.where(swap, here, beside),
            wnp.where(swap, above, nothing),
            wnp.where(swap, z, y),
        )
        divisor = wnp.where(final[0] == 0, wnp.ones_like(pivot), final[0])
        factor = wnp.where(swap, pivot, below) / divisor
        left = (
            wnp.where(swap, beside, here) - factor * final[1],
            wnp.where(swap, nothing, above) - factor * final[2],
            wnp.where(swap, y, z) - factor * final[3],
        )
        return left, final

    last, rows = scan(eliminate, (d[0], du[0], b[0]), (dl[1:], d[1:], du[1:], b[1:]))
    ends = last[0], last[1], wnp.zeros_like(last[0]), last[2]
    pivots, beside, beyond, y = (
        wnp.concatenate([x, end[None]], 0) for x, end in zip(rows, ends, strict=True)
    )
    if perturb_singular:
        size = [wnp.max(abs(x), 0) for x in (pivots, beside, beyond)]
        least = np.finfo(d.dtype).eps * wnp.maximum(wnp.maximum(*size[:2]), size[2])
        pivots = wnp.where(abs(pivots) < least, least.astype(d.dtype), pivots)

    def substitute(known: Any, row: Any) -> Any:
        first, second = known
        pivot, beside, beyond, y = row
        x = (y - beside * first - beyond * second) / pivot
        return (x, first), x

    nothing = wnp.zeros_like(y[0])
    _, x = scan(substitute, (nothing, nothing), (pivots, beside, beyond, y), reverse=True)
    x = wnp.where(wnp.any(pivots == 0, 0), wnp.full_like(x, np.nan), x)
    return wnp.moveaxis(x, 0, -2)
