"""Products with groups of rows of different sizes, each with a matrix of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.lax.elementwise import bitwise_and, convert_element_type, ge, lt, select, sub
from weft.lax.operands import ArrayLike, Value, canonical_axes, canonical_axis, operand
from weft.lax.precision import DotDimensionNumbers, check_precision
from weft.lax.reduction import cumsum, dot_general, reduce_or
from weft.lax.shaping import broadcast_in_dim, broadcasted_iota, full_like
from weft.primitives.shaping import transpose


class RaggedDotDimensionNumbers(NamedTuple):
    """Which axes :func:`ragged_dot_general` contracts, and which are ragged.

    dot_dimension_numbers: as for :func:`dot_general`.
    lhs_ragged_dimensions: the one axis of lhs that is cut into groups.
    rhs_group_dimensions: the axis of rhs that counts groups; none where lhs's ragged axis is
        contracted or a batch axis.
    """

    dot_dimension_numbers: DotDimensionNumbers
    lhs_ragged_dimensions: Sequence[int]
    rhs_group_dimensions: Sequence[int]


def ragged_dot(
    lhs: ArrayLike,
    rhs: ArrayLike,
    group_sizes: ArrayLike,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: ArrayLike | None = None,
) -> Value:
    """Rows of `lhs`, in groups one after the other, each group times its matrix of `rhs`.

    Parameters
    ----------
    lhs: of shape (m, k). rhs: of shape (g, k, n). group_sizes: g integers, the numbers of rows of
        the groups; rows beyond their sum give 0.
    precision: accepted for compatibility. preferred_element_type: the dtype of sums and result.
    group_offset: not supported, None.

    Returns
    -------
    An array of shape (m, n).

    >>> x, sizes = np.ones((3, 2)), np.asarray([1, 2])
    >>> lax.ragged_dot(x, np.asarray([[[1.0], [1.0]], [[5.0], [5.0]]]), sizes)
    Array([[ 2.],
           [10.],
           [10.]], dtype=float32)
    """
    numbers = RaggedDotDimensionNumbers((((1,), (1,)), ((), ())), (0,), (0,))
    return ragged_dot_general(
        lhs, rhs, group_sizes, numbers, precision, preferred_element_type, group_offset
    )


def ragged_dot_general(
    lhs: ArrayLike,
    rhs: ArrayLike,
    group_sizes: ArrayLike,
    ragged_dot_dimension_numbers: RaggedDotDimensionNumbers,
    precision: Any = None,
    preferred_element_type: Any = None,
    group_offset: ArrayLike | None = None,
) -> Value:
    """:func:`dot_general` with an axis of `lhs` that is cut into groups.

    Parameters
    ----------
    group_sizes: how many elements of that axis belong to each group, one after the other: g
        integers, or an array whose leading axes are the batch axes (those before the ragged one, if
        it is a batch axis) and then g.
    ragged_dot_dimension_numbers: the ragged axis may be

        - of the result: `rhs` has an axis that counts groups, each of which has its own;
        - contracted: the result has a first axis of groups, each a sum over its elements;
        - a batch axis: groups do not matter, what belongs to none gives 0.
    precision: accepted for compatibility. preferred_element_type: the dtype of sums and result.
    group_offset: not supported, None.

    >>> numbers = lax.RaggedDotDimensionNumbers((((0,), (0,)), ((), ())), (0,), ())
    >>> x = np.arange(3.0)[:, None]
    >>> lax.ragged_dot_general(x, np.ones((3, 1)), np.asarray([1, 2]), numbers).ravel()
    Array([0., 3.], dtype=float32)
    """
    name = "ragged_dot_general"
    check_precision(name, precision)
    if group_offset is not None:
        raise NotImplementedError(
            f"lax.{name} has no group_offset; take the groups of rhs and group_sizes instead."
        )
    left, right = aval_of(operand(name, lhs)), aval_of(operand(name, rhs))
    sizes = aval_of(operand(name, group_sizes))
    numbers, ragged, grouped = ragged_dot_dimension_numbers
    (lc, rc), (lb, rb) = numbers
    lc, lb = canonical_axes(name, lc, left.ndim), canonical_axes(name, lb, left.ndim)
    rc, rb = canonical_axes(name, rc, right.ndim), canonical_axes(name, rb, right.ndim)
    if len(ragged) != 1 or len(grouped) > 1:
        raise TypeError(f"lax.{name} needs one ragged axis and one group axis at most.")
    if not dtypes.is_integer(sizes.dtype) or sizes.ndim < 1:
        raise TypeError(f"lax.{name}: group_sizes are integers along an axis, got {sizes}.")
    axis = canonical_axis(name, ragged[0], left.ndim)
    free = axis not in lc and axis not in lb
    if free != bool(grouped):
        raise TypeError(
            f"lax.{name}: rhs has a group axis if the ragged axis is one of the result, and only "
            f"then; got ragged axis {axis} of {left}, contracted {lc} and batch {lb}, and group "
            f"axes {tuple(grouped)}."
        )
    # Batch axes of group_sizes: all of them, or those before a ragged batch axis.
    batch = lb[: lb.index(axis)] if axis in lb else lb
    if sizes.ndim == 1:
        batch = ()
    if sizes.shape[:-1] != tuple(left.shape[d] for d in batch):
        raise TypeError(
            f"lax.{name}: group_sizes {sizes} have one axis, or the batch axes before it "
            f"{tuple(left.shape[d] for d in batch)}."
        )
    belongs = _membership(group_sizes, left.shape, axis, batch)  # groups first, then lhs's axes
    groups = sizes.shape[-1]
    if axis in lb:
        inside = reduce_or(belongs, (0,))
        return dot_general(
            select(inside, lhs, full_like(lhs, 0)), rhs, numbers, None, preferred_element_type
        )
    each = broadcast_in_dim(lhs, (groups, *left.shape), tuple(range(1, left.ndim + 1)))
    each = select(belongs, each, full_like(each, 0))
    shifted = tuple(d + 1 for d in lc), tuple(d + 1 for d in lb)
    if free:
        group = canonical_axis(name, grouped[0], right.ndim)
        return dot_general(
            each,
            rhs,
            (((0, *shifted[0]), (group, *rc)), (shifted[1], rb)),
            None,
            preferred_element_type,
        )
    out = dot_general(each, rhs, ((shifted[0], rc), (shifted[1], rb)), None, preferred_element_type)
    # Batch axes come before the groups, which are to be first.
    ndim = aval_of(out).ndim
    place = len(lb)
    return transpose(out, (place, *(d for d in range(ndim) if d != place)))


def _membership(
    group_sizes: ArrayLike, shape: tuple[int, ...], axis: int, batch: Sequence[int]
) -> Value:
    """Whether an element along `axis` is of a group: axes are groups, then `shape`'s."""
    sizes = aval_of(group_sizes)
    groups, last = sizes.shape[-1], sizes.ndim - 1
    counts = convert_element_type(group_sizes, np.int32)
    ends = cumsum(counts, last)
    whole = (groups, *shape)
    places = (*(d + 1 for d in batch), 0)
    order = sorted(range(len(places)), key=lambda i: places[i])
    starts = sub(ends, counts)

    def spread(x: Value) -> Value:
        return broadcast_in_dim(transpose(x, order), whole, tuple(sorted(places)))

    position = broadcasted_iota(np.int32, whole, axis + 1)
    return bitwise_and(ge(position, spread(starts)), lt(position, spread(ends)))
