"""Convolutions whose windows are taken out first, and the shapes of convolutions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from weft.core.avals import aval_of
from weft.lax.convolution import (
    _transposed_pads,
    conv_dimension_numbers,
    conv_general_dilated,
)
from weft.lax.operands import ArrayLike, Value, operand
from weft.lax.padding import Pairs, padtype_to_pads
from weft.lax.precision import check_precision
from weft.lax.reduction import dot_general
from weft.primitives.shaping import transpose

# ---------------------------------------------------------------- windows


def conv_general_dilated_patches(
    lhs: ArrayLike,
    filter_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Pairs,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Value:
    """The windows that a convolution would read, as features of the result.

    For features c and a window of ``filter_shape`` the result has ``c · prod(filter_shape)``
    features, those of one input feature side by side. Other arguments are those of
    :func:`conv_general_dilated`.

    >>> lax.conv_general_dilated_patches(np.arange(4.0).reshape(1, 1, 4), (2,), (1,), "VALID")
    Array([[[0., 1., 2.],
            [1., 2., 3.]]], dtype=float32)
    """
    check_precision("conv_general_dilated_patches", precision)
    x = aval_of(operand("conv_general_dilated_patches", lhs))
    window = tuple(filter_shape)
    numbers = conv_dimension_numbers(x.shape, (1, 1, *window), dimension_numbers)
    features, size = x.shape[numbers.lhs_spec[1]], prod(window)
    # Each place of the window is an output feature of its own, for every input feature alike.
    one = np.eye(size, dtype=x.dtype).reshape(size, 1, *window)
    kernel = np.tile(one, (features, 1, *(1 for _ in window)))
    kernel = np.transpose(kernel, np.argsort(numbers.rhs_spec))
    return conv_general_dilated(
        lhs,
        kernel,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        numbers,
        feature_group_count=features,
        preferred_element_type=preferred_element_type,
    )


def conv_general_dilated_local(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str | Pairs,
    filter_shape: Sequence[int],
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    precision: Any = None,
) -> Value:
    """A convolution with weights of their own at each place of the result.

    `rhs` has output features, input features times ``prod(filter_shape)`` (those of one feature
    side by side) and the spatial axes of the result. Other arguments are those of
    :func:`conv_general_dilated`.

    >>> x, weights = np.ones((1, 1, 3)), np.arange(4.0).reshape(1, 2, 2)
    >>> lax.conv_general_dilated_local(x, weights, (1,), "VALID", (2,))
    Array([[[2., 4.]]], dtype=float32)
    """
    check_precision("conv_general_dilated_local", precision)
    patches = conv_general_dilated_patches(
        lhs, filter_shape, window_strides, padding, lhs_dilation, rhs_dilation, dimension_numbers
    )
    shape = aval_of(lhs).shape
    numbers = conv_dimension_numbers(shape, (1, 1, *filter_shape), dimension_numbers)
    outs, weights = numbers.out_spec, numbers.rhs_spec
    contracted = ((outs[1],), (weights[1],))
    out = dot_general(patches, rhs, (contracted, (outs[2:], weights[2:])))
    # The product has spatial axes, then batch and output features.
    count = len(outs) - 2
    order = (count, count + 1, *range(count))
    return transpose(out, [order[place] for place in np.argsort(outs)])


# ---------------------------------------------------------------- shapes


def conv_general_permutations(
    dimension_numbers: Sequence[str],
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """The axes of operands and result in the order ``NC…``, ``OI…``, ``NC…``, from three strings.

    >>> lax.conv_general_permutations(("NHWC", "HWIO", "NHWC"))
    ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
    """
    ones = [(1,) * len(spec) for spec in dimension_numbers]
    numbers = conv_dimension_numbers(ones[0], ones[1], tuple(dimension_numbers))
    return numbers.lhs_spec, numbers.rhs_spec, numbers.out_spec


def conv_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    strides: Sequence[int],
    pads: str | Pairs,
    batch_group_count: int = 1,
) -> tuple[int, ...]:
    """The shape of the convolution of ``NC…`` and ``OI…`` arrays.

    >>> lax.conv_shape_tuple((1, 3, 8, 8), (5, 3, 3, 3), (2, 2), "SAME")
    (1, 5, 4, 4)
    """
    space, window = tuple(lhs_shape[2:]), tuple(rhs_shape[2:])
    if isinstance(pads, str):
        pads = padtype_to_pads(space, window, strides, pads)
    if len(pads) != len(space):
        raise TypeError(
            f"lax.conv_shape_tuple: pads for {len(space)} spatial axes, got {len(pads)} pairs."
        )
    padded = [n + low + high for n, (low, high) in zip(space, pads, strict=True)]
    if min(padded, default=0) < 0:
        raise ValueError(f"lax.conv_shape_tuple: pads {pads} remove more than {space}.")
    out = [
        max((n - k) // s + 1, 0) if n >= k else 0
        for n, k, s in zip(padded, window, strides, strict=True)
    ]
    return (lhs_shape[0] // batch_group_count, rhs_shape[0], *out)


def conv_general_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Pairs,
    dimension_numbers: Sequence[str],
) -> tuple[int, ...]:
    """The shape of a convolution whose axes are named by three strings.

    >>> names = ("NHWC", "HWIO", "NHWC")
    >>> lax.conv_general_shape_tuple((1, 8, 8, 3), (3, 3, 3, 5), (1, 1), "VALID", names)
    (1, 6, 6, 5)
    """
    lhs, rhs, out = conv_general_permutations(dimension_numbers)
    left, right = [lhs_shape[d] for d in lhs], [rhs_shape[d] for d in rhs]
    shape = conv_shape_tuple(left, right, window_strides, padding)
    return tuple(shape[place] for place in np.argsort(out))


def conv_transpose_shape_tuple(
    lhs_shape: Sequence[int],
    rhs_shape: Sequence[int],
    window_strides: Sequence[int],
    padding: str | Pairs,
    dimension_numbers: Sequence[str],
) -> tuple[int, ...]:
    """The shape of :func:`conv_transpose`, whose axes are named by three strings.

    >>> names = ("NHWC", "HWOI", "NHWC")
    >>> lax.conv_transpose_shape_tuple((1, 4, 4, 3), (3, 3, 5, 3), (2, 2), "SAME", names)
    (1, 8, 8, 5)
    """
    lhs, rhs, out = conv_general_permutations(dimension_numbers)
    left, right = [lhs_shape[d] for d in lhs], [rhs_shape[d] for d in rhs]
    window = right[2:]
    if isinstance(padding, str):
        padding = [
            _transposed_pads(k, s, padding) for k, s in zip(window, window_strides, strict=True)
        ]
    space = [
        (n - 1) * s - k + 2 + low + high
        for n, k, s, (low, high) in zip(left[2:], window, window_strides, padding, strict=True)
    ]
    shape = (left[0], right[0], *space)
    return tuple(shape[place] for place in np.argsort(out))
