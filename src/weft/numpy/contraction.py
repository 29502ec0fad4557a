"""Products that sum: `matmul`, `dot`, `tensordot` and their kin, each one `dot_general`."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array import Array
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    broadcast_shape,
    canonical_axis,
    convert,
    dtype_of,
    no_out,
    promote,
    shape_of,
)
from weft.numpy.shaping import moveaxis

Axes = Sequence[int]


def contract(
    x: Value,
    y: Value,
    over: tuple[Axes, Axes],
    batch: tuple[Axes, Axes] = ((), ()),
    preferred: DType = None,
) -> Value:
    """Products of `x` and `y` summed over pairs of axes, with pairs of batch axes in front.

    `preferred` is the dtype to accumulate in and return. Booleans are combined by "and" and "or",
    as in NumPy.
    """
    boolean = dtype_of(x) == np.bool_
    if boolean:
        x, y = (lax.convert_element_type(v, dtypes.int32) for v in (x, y))
        preferred = None
    numbers = ((tuple(over[0]), tuple(over[1])), (tuple(batch[0]), tuple(batch[1])))
    result = lax.dot_general(x, y, numbers, preferred_element_type=preferred)
    return result != 0 if boolean else result


def _operands(name: str, a: ArrayLike, b: ArrayLike, preferred: DType) -> list[Value]:
    """Operands of one dtype: of the kind of `preferred`, so that products can be of that dtype."""
    operands = promote(name, a, b)
    if preferred is not None:
        target = dtypes.canonical_dtype(preferred)
        if dtypes.kind_name(dtype_of(operands[0])) != dtypes.kind_name(target):
            operands = [convert(name, x, target) for x in operands]
    from weft.numpy.creation import asarray

    return [x if type(x) is Array else asarray(x) for x in operands]


@at_once
def matmul(
    a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType = None
) -> Value:
    """The matrix product over the last axis of `a` and the second to last of `b`.

    Vectors are rows on the left and columns on the right, and lose that axis again; axes before the
    last two are batches, and broadcast.

    >>> np.matmul(np.array([[1, 2], [3, 4]]), np.array([1, 1]))
    Array([3, 7], dtype=int32)

    Raises
    ------
    ValueError: for scalars, and for lengths that do not match.
    """
    a, b = _operands("matmul", a, b, preferred_element_type)
    left, right = shape_of(a), shape_of(b)
    if not left or not right:
        raise ValueError(
            f"weft.numpy.matmul: operands need at least one axis, got shapes {left} and {right}; "
            "use * for products with a number"
        )
    inner_right = right[0] if len(right) == 1 else right[-2]
    if left[-1] != inner_right:
        raise ValueError(
            f"weft.numpy.matmul: shapes {left} and {right} do not match: the last axis of the "
            "first "
            f"has length {left[-1]}, "
            f"{'the axis' if len(right) == 1 else 'the second to last axis'} of the second "
            f"{inner_right}"
        )
    return _batched_product(a, b, preferred_element_type)


def _batched_product(a: Value, b: Value, preferred: DType) -> Value:
    left, right = shape_of(a), shape_of(b)
    if len(right) <= 2:  # no batch on the right: fold the left batch into the rows
        over = ((len(left) - 1,), (max(len(right) - 2, 0),))
        return contract(a, b, over, preferred=preferred)
    if len(left) == 1:
        return contract(a, b, ((0,), (len(right) - 2,)), preferred=preferred)
    lead = broadcast_shape("matmul", left[:-2], right[:-2])
    # Axes of length 1 that only broadcast are dropped from their operand, not repeated.
    shared, a_axes, b_axes = [], [], []
    for k in range(len(lead)):
        a_axis, b_axis = k - (len(lead) - len(left) + 2), k - (len(lead) - len(right) + 2)
        if a_axis >= 0 and b_axis >= 0 and left[a_axis] == right[b_axis]:
            shared.append(k)
            a_axes.append(a_axis)
            b_axes.append(b_axis)
    if len(shared) < len(lead):
        return _broadcast_product(a, b, lead, preferred)
    product = ((len(left) - 1,), (len(right) - 2,))
    return contract(a, b, product, (a_axes, b_axes), preferred)


def _broadcast_product(a: Value, b: Value, lead: tuple[int, ...], preferred: DType) -> Value:
    """Batches of different shapes: axes that one operand lacks stay free axes of the other."""
    squeezed, letters = [], []
    for x, core in ((a, "ij"), (b, "jk")):
        shape = shape_of(x)
        own = (1,) * (len(lead) - len(shape) + 2) + shape[:-2]
        kept = [k for k, n in enumerate(own) if n != 1]
        squeezed.append(lax.reshape(x, (*(own[k] for k in kept), *shape[-2:])))
        letters.append("".join(_BATCH_LETTERS[k] for k in kept) + core)
    present = [k for k, n in enumerate(lead) if n != 1]
    result = "".join(_BATCH_LETTERS[k] for k in present) + "ik"
    from weft.numpy.einsum import einsum

    names = f"{letters[0]},{letters[1]}->{result}"
    product = einsum(names, *squeezed, preferred_element_type=preferred)
    return lax.reshape(product, (*lead, shape_of(a)[-2], shape_of(b)[-1]))


_BATCH_LETTERS = "ABCDEFGHLMNOPQRSTUVWXYZ"


@at_once
def dot(
    a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType = None
) -> Value:
    """The product over the last axis of `a` and the second to last (or only) axis of `b`.

    >>> np.dot(np.array([1, 2]), np.array([3, 4]))
    Array(11, dtype=int32)
    """
    a, b = _operands("dot", a, b, preferred_element_type)
    left, right = shape_of(a), shape_of(b)
    if not left or not right:
        target = dtype_of(a) if preferred_element_type is None else preferred_element_type
        return convert("dot", a, target) * convert("dot", b, target)
    axis = 0 if len(right) == 1 else len(right) - 2
    if left[-1] != right[axis]:
        raise ValueError(
            f"weft.numpy.dot: shapes {left} and {right} do not match: {left[-1]} and {right[axis]} "
            "elements are to be multiplied"
        )
    return contract(a, b, ((len(left) - 1,), (axis,)), preferred=preferred_element_type)


@at_once
def vdot(
    a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType = None
) -> Value:
    """The product of two flattened arrays, the first conjugated.

    >>> np.vdot(np.array([1j]), np.array([1j]))
    Array(1.+0.j, dtype=complex64)
    """
    from weft.numpy.classify import conjugate
    from weft.numpy.shaping import ravel

    rows = ravel(conjugate(a))
    return dot(rows, ravel(b), preferred_element_type=preferred_element_type)


@at_once
def vecdot(
    x1: ArrayLike,
    x2: ArrayLike,
    /,
    *,
    axis: int = -1,
    precision: Any = None,
    preferred_element_type: DType = None,
) -> Value:
    """Products summed over `axis`, the first conjugated; other axes broadcast.

    >>> np.vecdot(np.ones((2, 3)), np.arange(3.0))
    Array([3., 3.], dtype=float32)
    """
    from weft.numpy.classify import conjugate

    x1, x2 = _operands("vecdot", conjugate(x1), x2, preferred_element_type)
    x1, x2 = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    if shape_of(x1)[-1] != shape_of(x2)[-1]:
        raise ValueError(
            f"weft.numpy.vecdot: {shape_of(x1)[-1]} and {shape_of(x2)[-1]} elements along axis "
            f"{axis}"
        )
    from weft.numpy.einsum import einsum

    preferred = preferred_element_type
    return einsum("...i,...i->...", x1, x2, preferred_element_type=preferred)


def matvec(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """Matrices times vectors: (…, m, n) and (…, n) give (…, m); other axes broadcast.

    >>> matvec(np.ones((2, 3)), np.arange(3.0))
    Array([3., 3.], dtype=float32)

    Raises
    ------
    ValueError: for shapes that do not match.
    """
    x1, x2 = _operands("matvec", x1, x2, None)
    left, right = shape_of(x1), shape_of(x2)
    if len(left) < 2 or not right or left[-1] != right[-1]:
        raise ValueError(
            f"weft.numpy.matvec: shapes {left} and {right} are not (…, m, n) and (…, n)"
        )
    return matmul(x1, x2) if len(right) == 1 else matmul(x1, x2[..., None])[..., 0]


def vecmat(x1: ArrayLike, x2: ArrayLike, /) -> Value:
    """Vectors, conjugated, times matrices: (…, n) and (…, n, m) give (…, m); other axes broadcast.

    >>> vecmat(np.arange(3.0), np.ones((3, 2)))
    Array([3., 3.], dtype=float32)

    Raises
    ------
    ValueError: for shapes that do not match.
    """
    from weft.numpy.classify import conjugate

    x1, x2 = _operands("vecmat", x1, x2, None)
    left, right = shape_of(x1), shape_of(x2)
    if not left or len(right) < 2 or left[-1] != right[-2]:
        raise ValueError(
            f"weft.numpy.vecmat: shapes {left} and {right} are not (…, n) and (…, n, m)"
        )
    rows = conjugate(x1)
    return matmul(rows, x2) if len(left) == 1 else matmul(rows[..., None, :], x2)[..., 0, :]


@at_once
def inner(
    a: ArrayLike, b: ArrayLike, *, precision: Any = None, preferred_element_type: DType = None
) -> Value:
    """Products summed over the last axes of both.

    >>> np.inner(np.array([1, 2]), np.array([3, 4]))
    Array(11, dtype=int32)
    """
    a, b = _operands("inner", a, b, preferred_element_type)
    if not shape_of(a) or not shape_of(b):
        return dot(a, b, preferred_element_type=preferred_element_type)
    return tensordot(a, b, (-1, -1), preferred_element_type=preferred_element_type)


@at_once
def outer(a: ArrayLike, b: ArrayLike, out: None = None) -> Value:
    """The products of every element of `a` with every element of `b`, as a matrix.

    `out` must be None.

    >>> np.outer(np.array([1, 2]), np.array([3, 4]))
    Array([[3, 4],
           [6, 8]], dtype=int32)
    """
    no_out("outer", out)
    from weft.numpy.shaping import ravel

    return ravel(a)[:, None] * ravel(b)[None, :]


@at_once
def tensordot(
    a: ArrayLike,
    b: ArrayLike,
    axes: Any = 2,
    *,
    precision: Any = None,
    preferred_element_type: DType = None,
) -> Value:
    """Products summed over pairs of axes.

    `axes` is how many last axes of `a` meet the first axes of `b`, or two sequences of axes.

    >>> np.tensordot(np.ones((2, 3)), np.ones((3, 2)), axes=1)
    Array([[3., 3.],
           [3., 3.]], dtype=float32)
    """
    a, b = _operands("tensordot", a, b, preferred_element_type)
    left, right = shape_of(a), shape_of(b)
    if isinstance(axes, int | np.integer):
        count = operator.index(axes)
        if count > min(len(left), len(right)) or count < 0:
            raise ValueError(
                f"weft.numpy.tensordot: axes={count} for arrays of shapes {left} and {right}"
            )
        over = list(range(len(left) - count, len(left))), list(range(count))
    else:
        over = tuple(  # type: ignore[assignment]
            [canonical_axis("tensordot", d, len(shape)) for d in _listed(given)]
            for given, shape in zip(axes, (left, right), strict=True)
        )
    if len(over[0]) != len(over[1]):
        raise ValueError(f"weft.numpy.tensordot: axes={axes!r} names different numbers of axes")
    for p, q in zip(*over, strict=True):
        if left[p] != right[q]:
            raise ValueError(
                f"weft.numpy.tensordot: axis {p} of shape {left} and axis {q} of shape {right} "
                "differ "
                "in length"
            )
    return contract(a, b, over, preferred=preferred_element_type)


def _listed(axes: Any) -> list[int]:
    return list(axes) if isinstance(axes, list | tuple) else [axes]


@at_once
def kron(a: ArrayLike, b: ArrayLike) -> Value:
    """The Kronecker product: `b` scaled by each element of `a`, laid out as `a` is.

    >>> np.kron(np.array([1, 10]), np.array([1, 2]))
    Array([ 1,  2, 10, 20], dtype=int32)
    """
    a, b = _operands("kron", a, b, None)
    ndim = max(len(shape_of(a)), len(shape_of(b)))
    left = (1,) * (ndim - len(shape_of(a))) + shape_of(a)
    right = (1,) * (ndim - len(shape_of(b))) + shape_of(b)
    spread_left, spread_right = [], []
    for n, m in zip(left, right, strict=True):
        spread_left += [n, 1]
        spread_right += [1, m]
    product = a.reshape(spread_left) * b.reshape(spread_right)
    return lax.reshape(product, tuple(n * m for n, m in zip(left, right, strict=True)))


@at_once
def cross(
    a: ArrayLike,
    b: ArrayLike,
    axisa: int = -1,
    axisb: int = -1,
    axisc: int = -1,
    axis: int | None = None,
) -> Value:
    """The cross product of vectors of length 3 (or 2: the third component alone).

    >>> np.cross(np.array([1, 0, 0]), np.array([0, 1, 0]))
    Array([0, 0, 1], dtype=int32)
    """
    from weft.numpy.joining import stack

    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = _operands("cross", a, b, None)
    a, b = moveaxis(a, axisa, -1), moveaxis(b, axisb, -1)
    lengths = shape_of(a)[-1], shape_of(b)[-1]
    if lengths not in ((3, 3), (2, 2), (2, 3), (3, 2)):
        raise ValueError(f"weft.numpy.cross: vectors of length 2 or 3 are needed, got {lengths}")
    (a0, a1), (b0, b1) = (a[..., 0], a[..., 1]), (b[..., 0], b[..., 1])
    third = a0 * b1 - a1 * b0
    if lengths == (2, 2):
        return third
    a2 = a[..., 2] if lengths[0] == 3 else None
    b2 = b[..., 2] if lengths[1] == 3 else None
    first = _difference(a1, b2, a2, b1)
    second = _difference(a2, b0, a0, b2)
    return stack([first, second, third], axisc)


def _difference(p: Value, q: Value, r: Value, s: Value) -> Value:
    """p·q − r·s, where a component that a vector lacks is 0."""
    if p is None or q is None:
        return -(r * s)
    return p * q if r is None or s is None else p * q - r * s
