"""Schur forms and eigenvalues of general matrices in Weft's own operations: QR iterations.

A matrix is reduced to Hessenberg form, from which shifted QR steps chase a bulge down until the
diagonal below the main one is zero to rounding (Golub and Van Loan, "Matrix Computations", section
7.5): single shifts for complex matrices, Francis's double shifts for real ones, whose complex pairs
of eigenvalues are left as 2×2 blocks. Steps work on the last block that has not split yet. The
matrices of a batch each take their own steps.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft import lax
from weft.lax.portable.condensed import _hessenberg
from weft.lax.portable.factors import counted
from weft.primitives.linalg_eig import complex_of_dtype, eig_p, schur_p
from weft.primitives.linalg_qr import householder_product
from weft.transforms.control_flow import fori_loop, while_loop
from weft.transforms.vmap import vmap

Value = Any

#: Steps that a matrix may take for each of its rows.
MOST_STEPS = 30
#: So many steps without a block splitting off call for an exceptional shift.
PATIENCE = 10


@schur_p.def_portable
def _(a: Value, *, compute_vectors: bool) -> list[Value]:
    t, z = _schur(a)
    return [t, z] if compute_vectors else [t]


def _schur(a: Value) -> tuple[Value, Value]:
    n = a.shape[-1]
    z = wnp.broadcast_to(wnp.eye(n, dtype=a.dtype), a.shape)
    if n < 2:
        return a, z
    compact, taus = _hessenberg(a)
    z = _product_of_reflectors(compact, taus)
    iterate = _complex_iteration if np.dtype(a.dtype).kind == "c" else _real_iteration
    t, z, converged = _batched(iterate, a.ndim)(wnp.triu(compact, -1), z)
    # What is not finite never converges.
    nan = wnp.full_like(t, np.nan)
    return tuple(wnp.where(converged[..., None, None], x, nan) for x in (t, z))


def _product_of_reflectors(compact: Value, taus: Value) -> Value:
    """Q of ``a = Q h Q^H``: the first row and column are those of the identity."""
    inner = householder_product(compact[..., 1:, :-1], taus)
    widths = [(0, 0)] * (compact.ndim - 2) + [(1, 0), (1, 0)]
    corner = np.zeros(compact.shape[-2:], compact.dtype)
    corner[0, 0] = 1
    return wnp.pad(inner, widths) + corner


def _below(h: Value) -> Value:
    """The diagonal below the main one."""
    return wnp.diagonal(h, -1, axis1=-2, axis2=-1)


def _split(h: Value) -> Value:
    """With zeros below the diagonal where the neighbours outweigh what is there."""
    n = h.shape[-1]
    line = wnp.diagonal(h)
    eps = float(np.finfo(h.dtype).eps)
    weight = abs(line[1:]) + abs(line[:-1])
    weight = wnp.where(weight == 0, wnp.max(abs(h)), weight)
    small = abs(_below(h)) <= eps * weight
    row, column = counted(n)[:, None], counted(n)
    here = wnp.pad(small, (1, 0))[:, None] & (row == column + 1)
    return wnp.where(here, wnp.zeros_like(h), h)


def _last(where: Value) -> Value:
    """The greatest index at which a vector is true, or -1."""
    return wnp.max(wnp.where(where, counted(where.shape[0]), -1), initial=-1)


def _iterated(
    h: Value, z: Value, last_of: Callable[[Value], Value], step: Callable[..., Any]
) -> tuple[Value, Value, Value]:
    """Steps until ``last_of`` finds no block any more: ``(t, z, converged)``."""
    n = h.shape[-1]

    def unfinished(state: Any) -> Any:
        h, _, steps, _, _ = state
        return (last_of(h) > 0) & (steps < MOST_STEPS * n)

    def one(state: Any) -> Any:
        h, z, steps, since, before = state
        last = last_of(h)
        since = wnp.where(last == before, since + 1, 0)
        # The block goes up to the nearest zero above.
        index = counted(n)
        starts = wnp.pad(_below(h) == 0, (1, 0), constant_values=True) & (index < last)
        h, z = step(h, z, _last(starts), last, (since + 1) % PATIENCE == 0)
        return _split(h), z, steps + 1, since, last

    zero = np.int32(0)
    start = _split(h), z, zero, zero, np.int32(-1)
    h, z, _, _, _ = while_loop(unfinished, one, start)
    return h, z, (last_of(h) <= 0) & wnp.all(wnp.isfinite(abs(h)))


def _rows_and_columns(x: Value, k: Value, turn: Value) -> Value:
    """``turn`` from the left on rows from k on, and its inverse from the right on columns."""
    rows = lax.dynamic_slice(x, (k, 0), (turn.shape[0], x.shape[1]))
    x = lax.dynamic_update_slice(x, turn @ rows, (k, 0))
    return _columns(x, k, turn)


def _columns(x: Value, k: Value, turn: Value) -> Value:
    columns = lax.dynamic_slice(x, (0, k), (x.shape[0], turn.shape[0]))
    return lax.dynamic_update_slice(x, columns @ wnp.conj(turn).T, (0, k))


def _element(x: Value, i: Value, j: Value) -> Value:
    return lax.dynamic_slice(x, (i, j), (1, 1))[0, 0]


# ---------------------------------------------------------------- complex matrices


def _complex_iteration(h: Value, z: Value) -> tuple[Value, Value, Value]:
    return _iterated(h, z, lambda h: _last(wnp.pad(_below(h) != 0, (1, 0))), _single_step)


def _single_step(h: Value, z: Value, first: Value, last: Value, exceptional: Value) -> Any:
    """A QR step with Wilkinson's shift on rows ``first`` to ``last``."""
    block = lax.dynamic_slice(h, (last - 1, last - 1), (2, 2))
    a, b, c, d = block[0, 0], block[0, 1], block[1, 0], block[1, 1]
    half = (a - d) / 2
    root = wnp.sqrt(half * half + b * c)
    root = wnp.where(wnp.real(wnp.conj(half) * root) < 0, -root, root)
    divisor = half + root
    nothing = divisor == 0
    shift = d - wnp.where(nothing, 0 * d, b * c / wnp.where(nothing, divisor + 1, divisor))
    shift = wnp.where(exceptional, d + abs(c), shift)
    start = _element(h, first, first) - shift

    def chase(k: Value, state: Any) -> Any:
        h, z = state
        # The bulge is two below the diagonal, in the column before.
        begins = k == first
        before = wnp.maximum(k - 1, 0)
        x = wnp.where(begins, start, _element(h, k, before))
        y = _element(h, k + 1, wnp.where(begins, k, before))
        turn = _rotation(x, y)
        return _rows_and_columns(h, k, turn), _columns(z, k, turn)

    h, z = fori_loop(first, last, chase, (h, z))
    return wnp.triu(h, -1), z


def _rotation(x: Value, y: Value) -> Value:
    """The unitary 2×2 matrix that takes ``(x, y)`` to ``(r, 0)``."""
    scale = wnp.maximum(abs(x), abs(y))
    scale = wnp.where(scale == 0, wnp.ones_like(scale), scale)
    x, y = x / scale, y / scale
    r = wnp.sqrt(wnp.square(abs(x)) + wnp.square(abs(y)))
    nothing = r == 0
    r = wnp.where(nothing, wnp.ones_like(r), r)
    c, s = wnp.where(nothing, wnp.ones_like(x), x / r), y / r
    return wnp.stack([wnp.stack([wnp.conj(c), wnp.conj(s)]), wnp.stack([-s, c])])


# ---------------------------------------------------------------- real matrices


def _real_iteration(h: Value, z: Value) -> tuple[Value, Value, Value]:
    n = h.shape[-1]

    def last_of_three(h: Value) -> Value:
        """The last row of the last block of three rows or more."""
        below = _below(h) != 0
        return _last(wnp.pad(below[1:] & below[:-1], (2, 0)))

    # One more row of zeros, for reflections of three rows that end with the matrix.
    h, z = wnp.pad(h, ((0, 1), (0, 1))), wnp.pad(z, ((0, 0), (0, 1)))
    h, z, converged = _iterated(h, z, last_of_three, _double_step)
    h, z = _standardized(h[:n, :n], z[:, :n])
    return h, z, converged


def _double_step(h: Value, z: Value, first: Value, last: Value, exceptional: Value) -> Any:
    """A QR step with both eigenvalues of the last two rows for shifts, in real numbers."""
    block = lax.dynamic_slice(h, (last - 1, last - 1), (2, 2))
    total = block[0, 0] + block[1, 1]
    product = block[0, 0] * block[1, 1] - block[0, 1] * block[1, 0]
    weight = abs(block[1, 0]) + abs(_element(h, last - 1, last - 2))
    total = wnp.where(exceptional, 1.5 * weight, total)
    product = wnp.where(exceptional, weight * weight, product)
    top = lax.dynamic_slice(h, (first, first), (3, 2))
    a, b, c, d = top[0, 0], top[0, 1], top[1, 0], top[1, 1]
    start = wnp.stack([a * a + b * c - total * a + product, c * (a + d - total), c * top[2, 1]])

    def chase(k: Value, state: Any) -> Any:
        h, z = state
        bulge = lax.dynamic_slice(h, (k, wnp.maximum(k - 1, 0)), (3, 1))[:, 0]
        vector = wnp.where(k == first, start, bulge)
        vector = wnp.where((k == last - 1) & (counted(3) == 2), 0 * vector, vector)
        turn = _reflection(vector)
        return _rows_and_columns(h, k, turn), _columns(z, k, turn)

    h, z = fori_loop(first, last, chase, (h, z))
    return wnp.triu(h, -1), z


def _reflection(x: Value) -> Value:
    """The symmetric orthogonal matrix that takes a vector to a multiple of ``(1, 0, …)``."""
    scale = wnp.max(abs(x))
    x = x / wnp.where(scale == 0, wnp.ones_like(scale), scale)
    size = wnp.sqrt(wnp.sum(x * x))
    v = x + wnp.where(counted(x.shape[0]) == 0, wnp.where(x[0] < 0, -size, size), 0 * size)
    square = wnp.sum(v * v)
    nothing = square == 0
    factor = wnp.where(nothing, 0 * square, 2 / wnp.where(nothing, square + 1, square))
    return wnp.eye(x.shape[0], dtype=x.dtype) - factor * v[:, None] * v


def _standardized(h: Value, z: Value) -> tuple[Value, Value]:
    """2×2 blocks with real eigenvalues split; the others get equal elements on the diagonal."""
    n = h.shape[-1]
    identity = np.eye(2, dtype=h.dtype)

    def one(k: Value, state: Any) -> Any:
        h, z = state
        block = lax.dynamic_slice(h, (k, k), (2, 2))
        whole = block[1, 0] == 0
        turn, is_pair = _standardizing(block)
        turn = wnp.where(whole, identity, turn)
        h, z = _rows_and_columns(h, k, turn), _columns(z, k, turn)
        made = lax.dynamic_slice(h, (k, k), (2, 2))
        # The values that rounding missed.
        mean = (made[0, 0] + made[1, 1]) / 2
        equal = wnp.stack([wnp.stack([mean, made[0, 1]]), wnp.stack([made[1, 0], mean])])
        made = wnp.where(is_pair & ~whole, equal, wnp.triu(made))
        return lax.dynamic_update_slice(h, made, (k, k)), z

    return fori_loop(0, n - 1, one, (h, z))


def _standardizing(block: Value) -> tuple[Value, Value]:
    """The rotation that makes a real 2×2 block upper triangular, or else its diagonal constant;
    and whether it does the latter, for a pair of complex eigenvalues."""
    a, b, c, d = block[0, 0], block[0, 1], block[1, 0], block[1, 1]
    half = (a - d) / 2
    square = half * half + b * c
    scale = wnp.maximum(half * half, abs(b * c))
    is_real = square >= 4 * float(np.finfo(block.dtype).eps) * scale
    root = wnp.sqrt(wnp.where(is_real, square, 0 * square))
    # The larger eigenvalue, less d, and c: an eigenvector.
    larger = half + wnp.where(half < 0, -root, root)
    split = _rotation(larger, c)
    # Otherwise by half the angle of (b + c, a - d).
    sigma = b + c
    angle = wnp.arctan2(-(a - d), sigma) / 2
    c1, s1 = wnp.cos(angle), wnp.sin(angle)
    equal = wnp.stack([wnp.stack([c1, s1]), wnp.stack([-s1, c1])])
    turned = equal @ block @ equal.T
    # Eigenvalues that are real after all, to rounding, but were too close to tell.
    b, c = turned[0, 1], turned[1, 0]
    root = wnp.sqrt(abs(c))
    also = _rotation(wnp.sqrt(abs(b)), wnp.where(c < 0, -root, root))
    close = wnp.where(b * c >= 0, also @ equal, equal)
    return wnp.where(is_real, split, close), ~is_real & (b * c < 0)


# ---------------------------------------------------------------- triangular forms, eigenvectors


def complex_form(t: Value, z: Value) -> tuple[Value, Value]:
    """The complex, upper triangular Schur form of a real one; of one matrix."""
    dtype = complex_of_dtype(np.dtype(t.dtype))
    t, z = t.astype(dtype), z.astype(dtype)
    if t.shape[-1] < 2:
        return t, z
    identity = np.eye(2, dtype=dtype)

    def one(k: Value, state: Any) -> Any:
        t, z = state
        block = lax.dynamic_slice(t, (k, k), (2, 2))
        a, b, c, d = block[0, 0], block[0, 1], block[1, 0], block[1, 1]
        half = (a - d) / 2
        # (value - d, c) is an eigenvector.
        turn = wnp.where(c == 0, identity, _rotation(half + wnp.sqrt(half * half + b * c), c))
        t, z = _rows_and_columns(t, k, turn), _columns(z, k, turn)
        return lax.dynamic_update_slice(
            t, wnp.triu(lax.dynamic_slice(t, (k, k), (2, 2))), (k, k)
        ), z

    return fori_loop(0, t.shape[-1] - 1, one, (t, z))


def complex_forms(t: Value, z: Value) -> tuple[Value, Value]:
    """`complex_form` of every matrix of a batch."""
    return _batched(complex_form, t.ndim)(t, z)


def _batched(function: Callable[..., Any], ndim: int) -> Callable[..., Any]:
    for _ in range(ndim - 2):
        function = vmap(function)
    return function


@eig_p.def_portable
def _(a: Value, *, compute_left: bool, compute_right: bool) -> list[Value]:
    t, z = _schur(a)
    values, pairs = _values(t)
    if np.dtype(a.dtype).kind != "c":
        t, z = complex_forms(t, z)
    vectors = []
    if compute_left:
        # Those of t^H, which is upper triangular with rows and columns reversed.
        turned = wnp.flip(wnp.conj(wnp.matrix_transpose(t)), (-2, -1))
        vectors.append(z @ wnp.flip(_triangular_vectors(turned), (-2, -1)))
    if compute_right:
        vectors.append(z @ _triangular_vectors(t))
    return [values, *(_normalized(v, pairs) for v in vectors)]


def _values(t: Value) -> tuple[Value, Value]:
    """Eigenvalues, and the sign of the imaginary part of those of real matrices (else None)."""
    line = wnp.diagonal(t, axis1=-2, axis2=-1)
    if np.dtype(t.dtype).kind == "c":
        return line, None
    above, below = (wnp.diagonal(t, k, axis1=-2, axis2=-1) for k in (1, -1))
    # Blocks have equal elements on the diagonal and others of unlike signs beside it.
    size = wnp.where(below == 0, 0 * below, wnp.sqrt(abs(above)) * wnp.sqrt(abs(below)))
    widths = [(0, 0)] * (size.ndim - 1)
    imaginary = wnp.pad(size, [*widths, (0, 1)]) - wnp.pad(size, [*widths, (1, 0)])
    return lax.complex(line, imaginary), wnp.sign(imaginary)


def _triangular_vectors(t: Value) -> Value:
    """Eigenvectors of upper triangular matrices, in columns, of any length."""
    n = t.shape[-1]
    index = counted(n)
    line = wnp.diagonal(t, axis1=-2, axis2=-1)
    limits = np.finfo(t.dtype)
    size = abs(line)[..., None, :]
    least = wnp.maximum(float(limits.eps) * size, float(limits.tiny) / float(limits.eps))
    huge = float(limits.max) ** 0.25

    def step(count: Value, x: Value) -> Value:
        i = n - 1 - count
        known = (lax.dynamic_slice_in_dim(t, i, 1, axis=-2) @ x)[..., 0, :]
        gap = lax.dynamic_slice_in_dim(line, i, 1, axis=-1) - line
        gap = wnp.where(abs(gap) < least[..., 0, :], least[..., 0, :].astype(gap.dtype), gap)
        values = wnp.where(index > i, -known / gap, wnp.where(index == i, 1, 0).astype(t.dtype))
        x = lax.dynamic_update_slice_in_dim(x, values[..., None, :], i, axis=-2)
        # Vectors of matrices that are all but defective grow and grow.
        most = wnp.max(abs(x), -2, keepdims=True)
        return x / wnp.where(most > huge, most, wnp.ones_like(most))

    return fori_loop(0, n, step, wnp.zeros_like(t))


def _normalized(v: Value, pairs: Value) -> Value:
    """Vectors of norm 1 with a real largest component; those of real matrices are exactly real, or
    conjugate to one another."""
    size = abs(v)
    scale = wnp.max(size, -2, keepdims=True)
    v = v / wnp.where(scale == 0, wnp.ones_like(scale), scale)
    v = v / wnp.sqrt(wnp.sum(wnp.square(abs(v)), -2, keepdims=True))
    largest = wnp.take_along_axis(v, wnp.argmax(size, -2)[..., None, :], -2)
    v = v * (wnp.conj(largest) / abs(largest))
    if pairs is None:
        return v
    alike = wnp.conj(wnp.concatenate([v[..., :1], v[..., :-1]], -1))
    real = lax.complex(wnp.real(v), wnp.zeros_like(wnp.real(v)))
    signs = pairs[..., None, :]
    return wnp.where(signs == 0, real, wnp.where(signs < 0, alike, v))
