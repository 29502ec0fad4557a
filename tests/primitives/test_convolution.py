"""Convolutions as the lax functions state them: layouts, padding, groups, transposes, errors."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from weft import lax


def plain(
    x: np.ndarray,
    w: np.ndarray,
    strides: tuple[int, ...],
    pads: list[tuple[int, int]],
    lhs_dilation: tuple[int, ...],
    rhs_dilation: tuple[int, ...],
    features: int,
    batches: int,
) -> np.ndarray:
    """The definition, window by window, for NC… and OI… arrays."""
    count = x.ndim - 2
    grown = [(n - 1) * s + 1 for n, s in zip(x.shape[2:], lhs_dilation, strict=True)]
    spread = np.zeros((*x.shape[:2], *grown), x.dtype)
    spread[(..., *(slice(None, None, s) for s in lhs_dilation))] = x
    padded = np.pad(spread, [(0, 0), (0, 0), *((max(a, 0), max(b, 0)) for a, b in pads)])
    cropped = [slice(max(-a, 0), -max(-b, 0) or None) for a, b in pads]
    padded = padded[(..., *cropped)]
    reach = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], rhs_dilation, strict=True)]
    places = [
        max(0, (n - r) // s + 1) for n, r, s in zip(padded.shape[2:], reach, strides, strict=True)
    ]
    batch, outputs, inputs = x.shape[0] // batches, w.shape[0], w.shape[1]
    out = np.zeros((batch, outputs, *places), x.dtype)
    per = outputs // (features * batches)
    for o, place in itertools.product(range(outputs), itertools.product(*map(range, places))):
        group = o // per
        rows = slice(group * batch, (group + 1) * batch) if batches > 1 else slice(None)
        channels = slice(group * inputs, (group + 1) * inputs) if features > 1 else slice(None)
        window = [
            slice(p * s, p * s + r, d)
            for p, s, r, d in zip(place, strides, reach, rhs_dilation, strict=True)
        ]
        taken = padded[(rows, channels, *window)]
        out[(slice(None), o, *place)] = np.tensordot(taken, w[o], count + 1)
    return out


@st.composite
def calls(draw: st.DrawFn) -> tuple[Any, ...]:
    """Operands, arguments of `conv_general_dilated`, and how the axes of each array are stored."""
    count = draw(st.integers(0, 2))
    features, batches = draw(st.sampled_from([(1, 1), (2, 1), (1, 2)]))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(count))

    window = each(1, 3)
    space = tuple(k + extra for k, extra in zip(window, each(0, 4), strict=True))
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2)) * features * batches
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    x = rng.integers(-4, 5, (draw(st.integers(1, 2)) * batches, inputs * features, *space))
    w = rng.integers(-4, 5, (outputs, inputs, *window))
    low, high = each(-1, 2), each(0, 2)
    arguments = (each(1, 3), list(zip(low, high, strict=True)), each(1, 3), each(1, 2))
    layouts = [draw(st.permutations(range(count + 2))) for _ in range(3)]
    return x.astype(np.int32), w.astype(np.int32), arguments, (features, batches), layouts


def spec(order: list[int], letters: str) -> str:
    return "".join(letters[d] for d in order)


@settings(max_examples=60, deadline=None)
@given(calls())
def test_is_its_definition(call: tuple[Any, ...]) -> None:
    x, w, arguments, groups, (lhs, rhs, out) = call
    expected = plain(x, w, *arguments, *groups)
    layout = (spec(lhs, "NCHW"), spec(rhs, "OIHW"), spec(out, "NCHW"))
    numbers = lax.conv_dimension_numbers(x.shape, w.shape, layout)
    # The spatial axes of all arrays are in the order in which `rhs` stores them.
    order = [d - 2 for d in rhs if d >= 2]
    arguments = [[values[d] for d in order] for values in arguments]
    for given_numbers in (layout, numbers):
        with weft.disable_jit():
            result = lax.conv_general_dilated(
                x.transpose(lhs), w.transpose(rhs), *arguments, given_numbers, *groups
            )
        np.testing.assert_array_equal(result, expected.transpose(out))


def test_named_padding() -> None:
    assert lax.padtype_to_pads((5, 6), (3, 2), (2, 1), "SAME") == [(1, 1), (0, 1)]
    assert lax.padtype_to_pads((5, 6), (3, 2), (2, 1), "same_lower") == [(1, 1), (1, 0)]
    assert lax.padtype_to_pads((5, 6), (3, 2), (2, 1), "VALID") == [(0, 0), (0, 0)]
    x, w = np.ones((1, 1, 7), np.float32), np.ones((1, 1, 3), np.float32)
    with weft.disable_jit():
        assert lax.conv(x, w, (2,), "SAME").shape == (1, 1, 4)
        assert lax.conv(x, w, (2,), "VALID").shape == (1, 1, 3)
        dilated = lax.conv_with_general_padding(x, w, (1,), "SAME", None, (2,))
    np.testing.assert_array_equal(dilated[0, 0], [2, 2, 3, 3, 3, 2, 2])


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_transposed_kernel_gives_the_gradient(padding: str, stride: int) -> None:
    w = np.random.default_rng(0).standard_normal((3, 4, 2))  # width, output and input features
    layout = ("NHC", "HOI", "NHC")
    places = 4
    size = places * stride if padding == "SAME" else (places - 1) * stride + 3

    def forward(x: Any) -> Any:
        return lax.conv_general_dilated(
            x, w, (stride,), padding, dimension_numbers=("NHC", "HOI", "NHC")
        )

    ct = np.random.default_rng(1).standard_normal((1, places, 4))
    with weft.disable_jit():
        out, pull = weft.vjp(forward, np.zeros((1, size, 2)))
        assert out.shape == ct.shape
        (expected,) = pull(ct)
        result = lax.conv_transpose(
            ct, w, (stride,), padding, dimension_numbers=layout[:1] + ("HIO", "NHC")
        )
        transposed = lax.conv_transpose(
            ct, w.transpose(0, 2, 1), (stride,), padding, transpose_kernel=True
        )
    assert result.shape == transposed.shape == (1, max(size, result.shape[1]), 2)
    np.testing.assert_allclose(transposed[:, :size], expected, atol=1e-12)


CASES: list[tuple[Any, type[Exception], str]] = [
    (
        lambda x, w: lax.conv_general_dilated(x, w[0], (1,), "SAME"),
        ValueError,
        "operands with equally many axes, two or more: got shapes (2, 3, 8) and (3, 3)",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w[:, :2], (1,), "SAME"),
        ValueError,
        "lhs has 3 features, but rhs takes 2 in each of 1 feature groups",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w, (1, 1), "SAME"),
        ValueError,
        "needs window_strides as 1 positive integers, one for each axis, got (1, 1)",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w, (1,), "REFLECT"),
        ValueError,
        "padding='REFLECT' is not known: use \"SAME\"",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w, (1,), [1, 1]),
        ValueError,
        "needs padding as 1 (low, high) pairs",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w, (1,), "SAME", (2,)),
        ValueError,
        "give pairs, or use lax.conv_transpose",
    ),
    (
        lambda x, w: lax.conv_general_dilated(
            x, w, (1,), "SAME", None, None, ("NCH", "OIW", "NCH")
        ),
        ValueError,
        "do not have the same spatial axes",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w, (1,), "SAME", None, None, ("NCH", "OI", "NCH")),
        ValueError,
        "'OI' has to name each of 3 axes once",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w, (1,), "SAME", dimension_numbers="NCH"),
        TypeError,
        "three strings",
    ),
    (
        lambda x, w: lax.conv_general_dilated(x, w[:, :1], (1,), "SAME", feature_group_count=3),
        ValueError,
        "cannot cut 4 output features into 3 equal groups",
    ),
    (
        lambda x, w: lax.conv_general_dilated(
            x, w, (1,), "SAME", feature_group_count=2, batch_group_count=2
        ),
        ValueError,
        "one of them 1; got 2 and 2",
    ),
    (
        lambda x, w: lax.conv(x, w.astype(np.float64), (1,), "SAME"),
        TypeError,
        "convolution needs operands of one dtype",
    ),
    (
        lambda x, w: lax.conv_transpose(x, w, (1,), "FULL"),
        ValueError,
        'needs padding "SAME", "VALID" or pairs',
    ),
]


@pytest.mark.parametrize(("call", "error", "text"), CASES)
def test_errors(call: Any, error: type[Exception], text: str) -> None:
    x, w = np.ones((2, 3, 8), np.float32), np.ones((4, 3, 3), np.float32)
    with pytest.raises(error, match=re.escape(text)):
        weft.make_jaxpr(call)(x, w)
