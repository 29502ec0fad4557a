"""Eigenvalues and singular values in Weft's own operations: Jacobi's methods, and QR iterations.

Jacobi rotations of disjoint pairs commute, so that a step rotates all pairs (i, i + n/2) at once
and then moves the rows around for the next pairing, as in a round-robin tournament (Brent and Luk
1985, "The solution of singular-value and symmetric eigenvalue problems on multiprocessor arrays").
After n - 1 steps, a sweep, every pair has met; a few sweeps converge, quadratically at the end.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.lax.portable.factors import counted
from weft.primitives.linalg_eigh import eigh_p
from weft.primitives.linalg_qr import qr
from weft.primitives.linalg_svd import svd_p
from weft.primitives.matrix import magnitude_of
from weft.transforms.control_flow import fori_loop, while_loop

Value = Any

#: Sweeps after which rounding errors are all that is left, with a margin.
MOST_SWEEPS = 20


def _rotations(p: Value, q: Value, cross: Value) -> tuple[Value, Value]:
    """``(c, s)`` of the rotations that make the Hermitian ``[[p, cross], [conj cross, q]]``
    diagonal: columns become ``c x - conj(s) y`` and ``s x + c y`` (Golub and Van Loan, 8.5.2)."""
    size = abs(cross)
    # Dividing by less would overflow.
    nothing = size < float(np.finfo(cross.dtype).tiny)
    safe = wnp.where(nothing, wnp.ones_like(size), size)
    tau = (q - p) / (2 * safe)
    t = wnp.where(tau >= 0, 1.0, -1.0).astype(tau.dtype) / (abs(tau) + wnp.sqrt(1 + tau * tau))
    # A huge tau squared is infinite, and the rotation none, as it should be.
    t = wnp.where(nothing, wnp.zeros_like(t), t)
    c = 1 / wnp.sqrt(1 + t * t)
    return c, (t * c) * (cross / safe)


def _turned(x: Value) -> Value:
    """The columns of the two halves, moved around for the next pairing; the first stays."""
    half = x.shape[-1] // 2
    if half == 1:
        return x
    top, bottom = x[..., :half], x[..., half:]
    new_top = wnp.concatenate([top[..., :1], bottom[..., :1], top[..., 1:-1]], -1)
    return wnp.concatenate([new_top, bottom[..., 1:], top[..., -1:]], -1)


def _rotated(x: Value, c: Value, s: Value) -> Value:
    """Columns i and i + n/2 rotated by the i-th rotation of each matrix, and moved around."""
    half = x.shape[-1] // 2
    first, second = x[..., :half], x[..., half:]
    c, s = c[..., None, :], s[..., None, :]
    return _turned(wnp.concatenate([c * first - wnp.conj(s) * second, s * first + c * second], -1))


def _ascending(values: Value) -> Value:
    """The indices that sort: every element is compared with every other, which needs no routine."""
    n = values.shape[-1]
    index = counted(n)
    mine, other = values[..., :, None], values[..., None, :]
    before = (other < mine) | ((other == mine) & (index < index[:, None]))
    rank = wnp.sum(before.astype(np.int32), -1)
    here = rank[..., None, :] == index[:, None]
    return wnp.sum(wnp.where(here, index, 0), -1)


def _tolerance(dtype: Any) -> float:
    return float(np.finfo(dtype).eps)


# ---------------------------------------------------------------- eigh


@eigh_p.def_portable
def _(a: Value, *, lower: bool) -> list[Value]:
    n = a.shape[-1]
    triangle = wnp.tril(a, -1) if lower else wnp.triu(a, 1)
    line = wnp.real(wnp.diagonal(a, axis1=-2, axis2=-1))
    identity = wnp.eye(n, dtype=a.dtype)
    a = triangle + wnp.conj(wnp.matrix_transpose(triangle)) + line[..., :, None] * identity
    # Squares shall neither overflow nor vanish.
    scale = magnitude_of(a)
    a = a / scale
    vectors = wnp.broadcast_to(identity, a.shape)
    if n > 1:
        a, vectors = _jacobi(a, vectors)
    values = wnp.real(wnp.diagonal(a, axis1=-2, axis2=-1))[..., :n] * scale[..., 0]
    order = _ascending(values)
    values = wnp.take_along_axis(values, order, -1)
    return [wnp.take_along_axis(vectors[..., :n, :n], order[..., None, :], -1), values]


def _jacobi(a: Value, vectors: Value) -> tuple[Value, Value]:
    """The diagonal form, in the order of the rows given, and the product of all rotations."""
    n = a.shape[-1]
    even = n + n % 2
    widths = [(0, 0)] * (a.ndim - 2) + [(0, even - n)] * 2
    # The row that makes the number even takes part in no rotation: its elements are zero.
    a, vectors = wnp.pad(a, widths), wnp.pad(vectors, widths)
    half = even // 2
    tolerance = _tolerance(a.dtype)
    whole = wnp.sqrt(wnp.sum(wnp.square(abs(a)), (-2, -1)))
    upper = counted(even)[:, None] < counted(even)

    def rest(a: Value) -> Value:
        return wnp.sqrt(wnp.sum(wnp.where(upper, wnp.square(abs(a)), 0), (-2, -1)))

    def step(_: Value, state: Any) -> Any:
        a, vectors = state
        line = wnp.real(wnp.diagonal(a, axis1=-2, axis2=-1))
        cross = wnp.diagonal(a[..., :half, half:], axis1=-2, axis2=-1)
        c, s = _rotations(line[..., :half], line[..., half:], cross)
        a = _rotated(a, c, s)
        a = wnp.conj(wnp.matrix_transpose(_rotated(wnp.conj(wnp.matrix_transpose(a)), c, s)))
        return a, _rotated(vectors, c, s)

    def sweep(state: Any) -> Any:
        count, a, vectors = state
        a, vectors = fori_loop(0, even - 1, step, (a, vectors))
        return count + 1, a, vectors

    def unfinished(state: Any) -> Any:
        count, a, _ = state
        return (count < MOST_SWEEPS) & wnp.any(rest(a) > tolerance * whole)

    _, a, vectors = while_loop(unfinished, sweep, (np.int32(0), a, vectors))
    return _without_padding(a, vectors, n)


def _without_padding(a: Value, vectors: Value, n: int) -> tuple[Value, Value]:
    """After whole sweeps every row is where it was, the padding last."""
    return a[..., :n, :n], vectors[..., :n, :n]


# ---------------------------------------------------------------- svd


@svd_p.def_portable
def _(a: Value, *, full_matrices: bool, compute_uv: bool) -> list[Value]:
    rows, columns = a.shape[-2:]
    if rows < columns:
        outs = _tall(wnp.conj(wnp.matrix_transpose(a)), full_matrices, compute_uv)
        if not compute_uv:
            return outs
        v, s, uh = outs
        return [wnp.conj(wnp.matrix_transpose(x)) if x is not s else s for x in (uh, s, v)]
    return _tall(a, full_matrices, compute_uv)


def _tall(a: Value, full_matrices: bool, compute_uv: bool) -> list[Value]:
    """With at least as many rows as columns: ``a = Q R``, and the columns of R are rotated until
    they are orthogonal (Hestenes 1958); what R then is factors into U and the singular values."""
    n = a.shape[-1]
    scale = magnitude_of(a)
    q, r = qr(a / scale, full_matrices)
    square = r[..., :n, :]
    vectors = wnp.broadcast_to(wnp.eye(n, dtype=a.dtype), square.shape)
    if n > 1:
        square, vectors = _one_sided(square, vectors)
    sizes = wnp.sqrt(wnp.sum(wnp.square(abs(square)), -2))
    order = _ascending(-sizes)
    s = wnp.take_along_axis(sizes, order, -1) * scale[..., 0]
    if not compute_uv:
        return [s]
    square = wnp.take_along_axis(square, order[..., None, :], -1)
    vectors = wnp.take_along_axis(vectors, order[..., None, :], -1)
    # Columns that are zero, to rounding, get any direction orthogonal to the others.
    inner, diagonal = qr(square)
    signs = wnp.diagonal(diagonal, axis1=-2, axis2=-1)
    size = abs(signs)
    signs = wnp.where(size == 0, wnp.ones_like(signs), signs / wnp.where(size == 0, 1, size))
    inner = inner * signs[..., None, :]
    u = q[..., :, :n] @ inner
    u = wnp.concatenate([u, q[..., :, n:]], -1) if full_matrices else u
    return [u, s, wnp.conj(wnp.matrix_transpose(vectors))]


def _one_sided(a: Value, vectors: Value) -> tuple[Value, Value]:
    """The columns of `a` made orthogonal by rotations from the right, and their product."""
    n = a.shape[-1]
    even = n + n % 2
    widths = [(0, 0)] * (a.ndim - 1) + [(0, even - n)]
    a, vectors = wnp.pad(a, widths), wnp.pad(vectors, widths)
    half = even // 2
    tolerance = _tolerance(a.dtype)

    def step(_: Value, state: Any) -> Any:
        a, vectors, worst = state
        first, second = a[..., :half], a[..., half:]
        p, q = (wnp.sum(wnp.square(abs(x)), -2) for x in (first, second))
        cross = wnp.sum(wnp.conj(first) * second, -2)
        scale = wnp.sqrt(p) * wnp.sqrt(q)
        angle = abs(cross) / wnp.where(scale == 0, wnp.ones_like(scale), scale)
        worst = wnp.maximum(worst, wnp.max(angle, -1))
        c, s = _rotations(p, q, cross)
        return _rotated(a, c, s), _rotated(vectors, c, s), worst

    def sweep(state: Any) -> Any:
        count, a, vectors, worst = state
        a, vectors, worst = fori_loop(0, even - 1, step, (a, vectors, wnp.zeros_like(worst)))
        return count + 1, a, vectors, worst

    def unfinished(state: Any) -> Any:
        count, _, _, worst = state
        return (count < MOST_SWEEPS) & wnp.any(worst > tolerance * np.sqrt(even))

    worst = wnp.ones(a.shape[:-2], wnp.real(a).dtype)
    _, a, vectors, _ = while_loop(unfinished, sweep, (np.int32(0), a, vectors, worst))
    return a[..., :n], vectors[..., :n]
