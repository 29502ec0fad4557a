"""Convolutions: windows of weights that slide over arrays, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from weft.core.avals import ShapedArray, aval_of
from weft.lax.operands import ArrayLike, Value, operand
from weft.lax.padding import Pairs, padtype_to_pads, pairs, per_axis
from weft.lax.precision import check_precision
from weft.primitives.convolution import convolution
from weft.primitives.shaping import reshape, rev, transpose
from weft.primitives.slicing import pad


class ConvDimensionNumbers(NamedTuple):
    """Where the axes of a convolution's operands and result are.

    lhs_spec: the axes of the left operand that are batch, feature, then space.
    rhs_spec: the axes of the right operand that are output feature, input feature, then window.
    out_spec: the axes of the result that are batch, feature, then space.
    """

    lhs_spec: tuple[int, ...]
    rhs_spec: tuple[int, ...]
    out_spec: tuple[int, ...]


#: What `dimension_numbers` may be.
ConvGeneralDilatedDimensionNumbers = tuple[str, str, str] | ConvDimensionNumbers | None


def conv_dimension_numbers(
    lhs_shape: Sequence[int], rhs_shape: Sequence[int], dimension_numbers: Any
) -> ConvDimensionNumbers:
    """Dimension numbers from three strings such as ``("NCHW", "OIHW", "NCHW")``.

    ``N`` is the batch, ``C`` the feature axis, ``O`` and ``I`` the output and input feature axes of
    the right operand, and any other letter a spatial axis. None stands for ``NC…``, ``OI…``,
    ``NC…``.

    >>> lax.conv_dimension_numbers((1, 8, 8, 3), (3, 3, 3, 4), ("NHWC", "HWIO", "NHWC"))
    ConvDimensionNumbers(lhs_spec=(0, 3, 1, 2), rhs_spec=(3, 2, 0, 1), out_spec=(0, 3, 1, 2))
    """
    if isinstance(dimension_numbers, ConvDimensionNumbers):
        return dimension_numbers
    ndim = len(lhs_shape)
    if len(rhs_shape) != ndim or ndim < 2:
        raise ValueError(
            "a convolution needs operands with equally many axes, two or more: got shapes "
            f"{tuple(lhs_shape)} and {tuple(rhs_shape)}."
        )
    if dimension_numbers is None:
        return ConvDimensionNumbers(*(tuple(range(ndim)),) * 3)
    specs = dimension_numbers
    if (
        isinstance(specs, str)
        or len(specs) != 3
        or not all(isinstance(spec, str) for spec in specs)
    ):
        raise TypeError(
            "dimension_numbers of a convolution are None, ConvDimensionNumbers or three strings "
            f'such as ("NCHW", "OIHW", "NCHW"), got {dimension_numbers!r}.'
        )
    specs = lhs, rhs, out = tuple(specs)
    for spec, letters in ((lhs, "NC"), (rhs, "OI"), (out, "NC")):
        if len(spec) != ndim or len(set(spec)) != ndim or not set(letters) <= set(spec):
            raise ValueError(
                f"dimension_numbers {specs!r}: {spec!r} has to name each of {ndim} axes once, "
                f"{letters[0]!r} and {letters[1]!r} among them."
            )
    if not set(lhs) - set("NC") == set(rhs) - set("OI") == set(out) - set("NC"):
        raise ValueError(f"dimension_numbers {specs!r} do not have the same spatial axes.")
    order = [letter for letter in rhs if letter not in "OI"]

    def places(spec: str, letters: str) -> tuple[int, ...]:
        return tuple(spec.index(letter) for letter in (*letters, *order))

    return ConvDimensionNumbers(places(lhs, "NC"), places(rhs, "OI"), places(out, "NC"))


def conv_general_dilated(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str | Pairs,
    lhs_dilation: Sequence[int] | None = None,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    feature_group_count: int = 1,
    batch_group_count: int = 1,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Value:
    """Products of `rhs` with windows of `lhs`, summed over window and input features.

    Parameters
    ----------
    lhs: batch, features and spatial axes, in the order that `dimension_numbers` says (by default
        this one).
    rhs: output features, input features and the axes of the window; of `lhs`'s dtype. The window is
        not reversed: this is what statistics calls a correlation.
    window_strides: how far apart windows are along each spatial axis.
    padding: zeros before and after each spatial axis, in pairs (negative ones remove elements), or
        "SAME", "SAME_LOWER", "VALID" as :func:`padtype_to_pads` explains.
    lhs_dilation, rhs_dilation: distances of neighbouring elements of `lhs` (with zeros between: a
        transposed convolution) and of the window.
    dimension_numbers: see :func:`conv_dimension_numbers`.
    feature_group_count: input and output features are cut into that many groups, each with a
        convolution of its own; `rhs` has the input features of one group.
    batch_group_count: the batch and the output features are, instead.
    precision: accepted for compatibility; products are never computed in less than the operands'.
    preferred_element_type: the dtype to accumulate in and return.

    >>> lax.conv_general_dilated(np.ones((1, 1, 4)), np.ones((1, 1, 3)), (1,), "SAME")
    Array([[[2., 3., 3., 2.]]], dtype=float32)
    """
    name = "conv_general_dilated"
    check_precision(name, precision)
    left, right = aval_of(operand(name, lhs)), aval_of(operand(name, rhs))
    numbers = conv_dimension_numbers(left.shape, right.shape, dimension_numbers)
    count = left.ndim - 2
    strides = per_axis(name, "window_strides", window_strides, count)
    left_dilation = per_axis(name, "lhs_dilation", lhs_dilation, count)
    dilation = per_axis(name, "rhs_dilation", rhs_dilation, count)
    space = [left.shape[d] for d in numbers.lhs_spec[2:]]
    window = [right.shape[d] for d in numbers.rhs_spec[2:]]
    if isinstance(padding, str):
        if prod(left_dilation) != 1 and padding.upper() != "VALID":
            raise ValueError(
                f"lax.{name} cannot tell what padding={padding!r} means for a dilated lhs: give "
                "pairs, or use lax.conv_transpose."
            )
        reach = [(k - 1) * d + 1 if k else 0 for k, d in zip(window, dilation, strict=True)]
        pads = padtype_to_pads(space, reach, strides, padding)
    else:
        pads = pairs(name, padding, count)
    _check_groups(left, right, numbers, feature_group_count, batch_group_count)
    x = _padded(lhs, numbers.lhs_spec, pads, left_dilation)
    x, w = transpose(x, numbers.lhs_spec), transpose(rhs, numbers.rhs_spec)
    groups = feature_group_count * batch_group_count
    if groups > 1:
        x = _cut(x, 1 if feature_group_count > 1 else 0, groups)
        w = _cut(w, 0, groups)
    out = convolution(
        x, w, strides, dilation, int(groups > 1), preferred_element_type=preferred_element_type
    )
    if groups > 1:
        shape = aval_of(out).shape
        out = transpose(out, (1, 0, *range(2, len(shape))))
        out = reshape(out, (shape[1], shape[0] * shape[2], *shape[3:]))
    return transpose(out, [int(d) for d in np.argsort(numbers.out_spec)])


def _check_groups(
    left: ShapedArray,
    right: ShapedArray,
    numbers: ConvDimensionNumbers,
    features: int,
    batches: int,
) -> None:
    if features < 1 or batches < 1 or min(features, batches) > 1:
        raise ValueError(
            "lax.conv_general_dilated needs feature_group_count and batch_group_count to be "
            f"positive, and one of them 1; got {features} and {batches}."
        )
    batch, channels = (left.shape[d] for d in numbers.lhs_spec[:2])
    outputs, inputs = (right.shape[d] for d in numbers.rhs_spec[:2])
    if channels != inputs * features:
        raise ValueError(
            f"lax.conv_general_dilated of {left} and {right}: lhs has {channels} features, but rhs "
            f"takes {inputs} in each of {features} feature groups."
        )
    if outputs % (features * batches) or batch % batches:
        what = f"{outputs} output features" + (f" or a batch of {batch}" if batches > 1 else "")
        raise ValueError(
            f"lax.conv_general_dilated of {left} and {right} cannot cut {what} into "
            f"{features * batches} equal groups."
        )


def _padded(x: Value, spec: Sequence[int], pads: Pairs, dilation: Sequence[int]) -> Value:
    config = [(0, 0, 0)] * len(spec)
    for d, (low, high), step in zip(spec[2:], pads, dilation, strict=True):
        config[d] = (low, high, step - 1)
    if not any(any(c) for c in config):
        return x
    return pad(x, np.zeros((), aval_of(x).dtype), config)


def _cut(x: Value, axis: int, groups: int) -> Value:
    """`x` with the groups of an axis as its first axis."""
    shape = aval_of(x).shape
    parts = (*shape[:axis], groups, shape[axis] // groups, *shape[axis + 1 :])
    others = [d for d in range(len(parts)) if d != axis]
    return transpose(reshape(x, parts), (axis, *others))


def conv(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Value:
    """:func:`conv_general_dilated` of ``NC…`` and ``OI…`` arrays, padded by "SAME" or "VALID".

    >>> lax.conv(np.ones((1, 1, 4, 4)), np.ones((1, 1, 3, 3)), (1, 1), "VALID")
    Array([[[[9., 9.],
             [9., 9.]]]], dtype=float32)
    """
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def conv_with_general_padding(
    lhs: ArrayLike,
    rhs: ArrayLike,
    window_strides: Sequence[int],
    padding: str | Pairs,
    lhs_dilation: Sequence[int] | None,
    rhs_dilation: Sequence[int] | None,
    precision: Any = None,
    preferred_element_type: Any = None,
) -> Value:
    """:func:`conv_general_dilated` of ``NC…`` and ``OI…`` arrays.

    >>> lax.conv_with_general_padding(
    ...     np.ones((1, 1, 4)), np.ones((1, 1, 3)), (1,), ((1, 1),), None, None
    ... )
    Array([[[2., 3., 3., 2.]]], dtype=float32)
    """
    return conv_general_dilated(
        lhs,
        rhs,
        window_strides,
        padding,
        lhs_dilation,
        rhs_dilation,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


_TRANSPOSED_LAYOUTS = {
    2: ("NC", "IO", "NC"),
    3: ("NHC", "HIO", "NHC"),
    4: ("NHWC", "HWIO", "NHWC"),
    5: ("NHWDC", "HWDIO", "NHWDC"),
}


def conv_transpose(
    lhs: ArrayLike,
    rhs: ArrayLike,
    strides: Sequence[int],
    padding: str | Pairs,
    rhs_dilation: Sequence[int] | None = None,
    dimension_numbers: Any = None,
    transpose_kernel: bool = False,
    precision: Any = None,
    preferred_element_type: Any = None,
    use_consistent_padding: bool = False,
) -> Value:
    """The convolution of `lhs` dilated by `strides`: the transpose of a strided convolution.

    Parameters
    ----------
    padding: of the dilated `lhs`, in pairs; "SAME" gives ``size · stride`` places, "VALID" what the
        convolution of these strides without padding had come from.
    dimension_numbers: by default features come last: ``("NHWC", "HWIO", "NHWC")`` and the like.
    transpose_kernel: reverse the window and exchange its features, for the gradient of the
        convolution with `rhs`.
    use_consistent_padding: pads in pairs are those of the convolution that this one is the
        transpose of, rather than of the dilated `lhs`.

    >>> lax.conv_transpose(np.ones((1, 2, 1)), np.ones((2, 1, 1)), (2,), "VALID").shape
    (1, 4, 1)
    """
    left, right = (aval_of(operand("conv_transpose", x)) for x in (lhs, rhs))
    if dimension_numbers is None:
        dimension_numbers = _TRANSPOSED_LAYOUTS.get(left.ndim)
        if dimension_numbers is None:
            raise ValueError(
                f"lax.conv_transpose needs dimension_numbers for operands with {left.ndim} axes."
            )
    numbers = conv_dimension_numbers(left.shape, right.shape, dimension_numbers)
    count = left.ndim - 2
    steps = per_axis("conv_transpose", "strides", strides, count)
    dilation = per_axis("conv_transpose", "rhs_dilation", rhs_dilation, count)
    window = [right.shape[d] for d in numbers.rhs_spec[2:]]
    reach = [(k - 1) * d + 1 for k, d in zip(window, dilation, strict=True)]
    if isinstance(padding, str):
        pads = [_transposed_pads(k, s, padding) for k, s in zip(reach, steps, strict=True)]
    else:
        pads = pairs("conv_transpose", padding, count)
        if use_consistent_padding:
            pads = [(k - 1 - low, k - 1 - high) for k, (low, high) in zip(reach, pads, strict=True)]
    if transpose_kernel:
        rhs = rev(rhs, numbers.rhs_spec[2:])
        output, inner, *window_axes = numbers.rhs_spec
        numbers = numbers._replace(rhs_spec=(inner, output, *window_axes))
    return conv_general_dilated(
        lhs,
        rhs,
        (1,) * count,
        pads,
        steps,
        dilation,
        numbers,
        precision=precision,
        preferred_element_type=preferred_element_type,
    )


def _transposed_pads(window: int, stride: int, padding: str) -> tuple[int, int]:
    kind = padding.upper()
    if kind == "SAME":
        total = window + stride - 2
        low = window - 1 if stride > window - 1 else -(-total // 2)
    elif kind == "VALID":
        total = window + stride - 2 + max(window - stride, 0)
        low = window - 1
    else:
        raise ValueError(
            f'lax.conv_transpose needs padding "SAME", "VALID" or pairs, got {padding!r}.'
        )
    return low, total - low
