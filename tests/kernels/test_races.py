"""Proofs that iterations touch different elements."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.kernels.ir import Buffer, For, Load, Stmt, Store, Var
from weft.kernels.races import dependence
from weft.terms.affine import Affine, Axis

F = np.dtype(np.float32)


def nest(extents: list[int], strides: list[int]) -> tuple[list[Axis], For]:
    """Loops that store to one address each, strides the coefficients."""
    axes = [Axis(f"i{d}", n) for d, n in enumerate(extents)]
    address = Affine()
    for axis, stride in zip(axes, strides, strict=True):
        address = address + Affine.of(axis) * stride
    size = 1 + sum((n - 1) * k for n, k in zip(extents, strides, strict=True))
    value = Var(F)
    source = Buffer("x", (1,), F)
    body: list[Stmt] = [Load(value, source, (Affine(),))]
    body.append(Store(Buffer("y", (size,), F, "output"), (address,), value))
    for axis in reversed(axes):
        body = [For(axis, 0, axis.extent, 1, body)]
    loop = body[0]
    assert isinstance(loop, For)
    return axes, loop


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(1, 12)), min_size=1, max_size=3))
def test_what_is_said_to_be_apart_is(shape: list[tuple[int, int]]) -> None:
    extents, strides = [n for n, _ in shape], [k for _, k in shape]
    _, loop = nest(extents, strides)
    if dependence(loop) is not None:
        return
    seen: dict[int, int] = {}
    for point in itertools.product(*map(range, extents)):
        address = sum(p * k for p, k in zip(point, strides, strict=True))
        assert seen.setdefault(address, point[0]) == point[0]


def test_an_inner_loop_may_have_the_longer_stride() -> None:
    """As in a transposed store: whole rows of the inner loop lie between two iterations."""
    assert dependence(nest([8, 5], [1, 8])[1]) is None
    assert dependence(nest([8, 5], [1, 7])[1]) is not None
    assert dependence(nest([4, 3, 5], [2, 8, 24])[1]) is None
