"""`weft.numpy.lib.stride_tricks`: windows over arrays, which are values here, not views."""

from __future__ import annotations

from weft.numpy._common import ArrayLike, Value, canonical_axis, check_arraylike, shape_of
from weft.numpy.creation import asarray
from weft.numpy.ranges import arange
from weft.numpy.shaping import broadcast_arrays, broadcast_shapes, broadcast_to, moveaxis
from weft.numpy.taking import take

__all__ = ["broadcast_arrays", "broadcast_shapes", "broadcast_to", "sliding_window_view"]


def sliding_window_view(
    x: ArrayLike,
    window_shape: int | tuple[int, ...],
    axis: int | tuple[int, ...] | None = None,
    *,
    subok: bool = False,
    writeable: bool = False,
) -> Value:
    """All windows of a shape: `x` with shortened axes, and the axes of the window at the end.

    An axis of length `n` has `n - w + 1` windows of length `w`. Without `axis` the window has all
    axes of `x`; an axis that is named twice is slid over twice. `subok` has no meaning here.

    >>> np.lib.stride_tricks.sliding_window_view(np.arange(4), 3)
    Array([[0, 1, 2],
           [1, 2, 3]], dtype=int32)
    >>> np.lib.stride_tricks.sliding_window_view(np.ones((5, 4)), (2, 3)).shape
    (4, 2, 2, 3)

    Raises
    ------
    ValueError: for a window that is longer than its axis or negative, one without an axis or an
    axis without a window, and for `writeable=True`.
    """
    name = "lib.stride_tricks.sliding_window_view"
    check_arraylike(name, x)
    if writeable:
        raise ValueError(
            f"weft.numpy.{name}: windows are values, and nobody can write through them; leave "
            "writeable=False"
        )
    lengths = (window_shape,) if isinstance(window_shape, int) else tuple(window_shape)
    ndim = len(shape_of(x))
    if axis is None:
        axes = tuple(range(ndim))
    else:
        wanted = (axis,) if isinstance(axis, int) else tuple(axis)
        axes = tuple(canonical_axis(name, a, ndim) for a in wanted)
    if len(axes) != len(lengths):
        raise ValueError(
            f"weft.numpy.{name}: window_shape {lengths} needs one length for each of the axes "
            f"{axes}"
        )
    result = asarray(x)
    for place, length in zip(axes, lengths, strict=True):
        size = shape_of(result)[place]
        if not 0 <= length <= size:
            raise ValueError(
                f"weft.numpy.{name}: a window of length {length} does not fit axis {place}, which "
                f"has {size} elements"
            )
        index = arange(size - length + 1)[:, None] + arange(length)
        result = moveaxis(take(result, index, axis=place), place + 1, -1)
    return result
