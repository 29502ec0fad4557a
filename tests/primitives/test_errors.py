"""What the person reads when operands or parameters do not fit."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from weft import lax
from weft.primitives import arithmetic, random_bits, shaping

f32 = np.ones((2, 3), np.float32)
i32 = np.ones((2, 3), np.int32)
at = np.zeros((4, 1), np.int32)
numbers = lax.GatherDimensionNumbers((), (0,), (0,))

CASES: list[tuple[str, Any, type[Exception], str]] = [
    (
        "dtypes",
        lambda: lax.add(f32, i32),
        TypeError,
        "add needs operands of one dtype, got f32[2,3] and i32[2,3]. Convert them",
    ),
    (
        "shapes",
        lambda: lax.add(f32, f32[0]),
        ValueError,
        "add needs operands of one shape, got f32[2,3] and f32[3]. Broadcast them",
    ),
    (
        "integer",
        lambda: lax.sin(i32),
        TypeError,
        "sin needs floating-point operands, but its operand is i32[2,3]. Convert it first",
    ),
    (
        "boolean",
        lambda: lax.mul(i32 > 0, i32 > 0),
        TypeError,
        "mul needs numeric operands, but its first operand is bool[2,3]",
    ),
    ("bits", lambda: lax.bitwise_and(f32, f32), TypeError, "and needs boolean or integer operands"),
    (
        "number",
        lambda: lax.add(i32, 1.5),
        TypeError,
        "lax.add does not promote, and got i32[2,3] and 1.5",
    ),
    (
        "list",
        lambda: lax.exp([1.0]),
        TypeError,
        "lax.exp needs arrays or numbers, got a list. Make it an array first",
    ),
    ("none", lambda: lax.exp(None), TypeError, "got a NoneType. Did a function return nothing?"),
    ("arity", lambda: arithmetic.add_p.out_avals(), TypeError, "add needs 2 operands, got 0"),
    (
        "clamp",
        lambda: lax.clamp(f32[0], f32, 1.0),
        ValueError,
        "clamp needs its minimum to be a scalar or of the operand's shape, got f32[3]",
    ),
    (
        "negative power",
        lambda: lax.integer_pow(i32, -1),
        TypeError,
        "integer_pow cannot raise integers to a negative power, got i32[2,3] and y=-1",
    ),
    (
        "which",
        lambda: lax.select(f32, f32, f32),
        TypeError,
        "select_n needs a boolean or int32 `which`, got f32[2,3]",
    ),
    (
        "which shape",
        lambda: lax.select(f32[0] > 0, f32, f32),
        ValueError,
        "select_n needs `which` to be a scalar or of the shape of the cases, got bool[3]",
    ),
    (
        "broadcast",
        lambda: lax.broadcast_in_dim(f32, (2, 4), (0, 1)),
        ValueError,
        "axis 1 has size 3 and cannot be repeated to 4; only an axis of size 1 can",
    ),
    (
        "broadcast order",
        lambda: lax.broadcast_in_dim(f32, (3, 2), (1, 0)),
        ValueError,
        "needs increasing dimensions; transpose the operand first",
    ),
    (
        "reshape",
        lambda: lax.reshape(f32, (4, 2)),
        ValueError,
        "reshape cannot turn f32[2,3], of 6 elements, into shape (4, 2), of 8 elements",
    ),
    (
        "reshape sizes",
        lambda: lax.reshape(f32, (2.0, 3)),
        TypeError,
        "lax.reshape needs a shape made of integers, got (2.0, 3)",
    ),
    ("reshape infer", lambda: lax.reshape(f32, (-1,)), ValueError, "sizes cannot be negative"),
    (
        "transpose",
        lambda: lax.transpose(f32, (0, 0)),
        ValueError,
        "transpose of f32[2,3] needs a permutation of the axes (0, 1), got (0, 0)",
    ),
    (
        "slice",
        lambda: lax.slice(f32, (0, 2), (2, 5)),
        ValueError,
        "axis 1 needs 0 <= start <= limit <= 3, got start 2 and limit 5",
    ),
    (
        "slice stride",
        lambda: lax.slice(f32, (0, 0), (2, 3), (1, -1)),
        ValueError,
        "needs positive strides; use lax.rev to go backwards",
    ),
    (
        "pad",
        lambda: lax.pad(f32, 0, [(0, 0, 0)]),
        ValueError,
        "pad of f32[2,3] needs one (low, high, interior) for each of 2 axes",
    ),
    (
        "pad too little",
        lambda: lax.pad(f32, 0, [(-3, 0, 0), (0, 0, 0)]),
        ValueError,
        "removes more than there is",
    ),
    (
        "concatenate",
        lambda: lax.concatenate([f32, f32.T], 0),
        ValueError,
        "concatenate along axis 0 needs operands that agree on every other axis",
    ),
    ("concatenate nothing", lambda: lax.concatenate([], 0), ValueError, "at least one operand"),
    (
        "axis",
        lambda: lax.reduce_sum(f32, (2,)),
        ValueError,
        "lax.reduce_sum got axis 2, out of bounds for an array with 2 axes",
    ),
    (
        "axis twice",
        lambda: lax.reduce_sum(f32, (0, 0)),
        ValueError,
        "reduce_sum got axes=(0, 0), where an axis is repeated",
    ),
    (
        "argmax",
        lambda: lax.argmax(f32[:, :0], 1),
        ValueError,
        "argmax of f32[2,0] along axis 1, which is empty, is undefined",
    ),
    (
        "squeeze",
        lambda: lax.squeeze(f32, (0,)),
        ValueError,
        "lax.squeeze cannot remove axis 0 of f32[2,3]: its size is not 1",
    ),
    ("split", lambda: lax.split(f32, (1, 3), 1), ValueError, "they must add up to 3"),
    (
        "index",
        lambda: lax.index_in_dim(f32, 5),
        IndexError,
        "index 5 is out of bounds for axis 0 of f32[2,3]",
    ),
    (
        "dot",
        lambda: lax.dot(f32, f32),
        TypeError,
        "lax.dot of f32[2,3] and f32[2,3]: the last axis",
    ),
    (
        "contraction",
        lambda: lax.dot_general(f32, f32, (((0,), (1,)), ((), ()))),
        ValueError,
        "contracting axes (0,) of the first operand, of sizes [2], do not match axes (1,)",
    ),
    (
        "preferred",
        lambda: lax.dot(f32, f32.T, preferred_element_type=np.int32),
        TypeError,
        "cannot have preferred_element_type=int32, a different kind of number",
    ),
    (
        "gather index",
        lambda: lax.gather(f32, at * 1.0, numbers, (1, 3)),
        TypeError,
        "gather needs integer indices, got f64[4,1]",
    ),
    (
        "gather sizes",
        lambda: lax.gather(f32, at, numbers._replace(offset_dims=(1,)), (1, 4)),
        ValueError,
        "gather from f32[2,3] cannot have slice_sizes (1, 4)",
    ),
    (
        "gather coordinates",
        lambda: lax.gather(f32[0], np.zeros((4, 2), int), numbers, (1,)),
        ValueError,
        "the last axis of its indices must have size 1, got i64[4,2]",
    ),
    (
        "gather mode",
        lambda: lax.gather(f32[0], at, numbers, (1,), mode="wrap"),
        ValueError,
        "mode='wrap' is not a way to treat indices out of bounds: use 'fill', 'drop', 'clip'",
    ),
    (
        "scatter",
        lambda: lax.scatter(f32[0], at, f32[0], lax.ScatterDimensionNumbers((), (0,), (0,))),
        ValueError,
        "scatter: updates f32[3] need the batch axes of the indices i32[4,1]",
    ),
    (
        "dynamic_slice",
        lambda: lax.dynamic_slice(f32, (0, 0), (2, 4)),
        ValueError,
        "dynamic_slice of f32[2,3] cannot have slice_sizes (2, 4)",
    ),
    (
        "starts",
        lambda: lax.dynamic_slice(f32, (0,), (2, 3)),
        TypeError,
        "lax.dynamic_slice of f32[2,3] needs 2 start indices, got 1",
    ),
    (
        "start type",
        lambda: lax.dynamic_slice(f32, (0, 1.0), (2, 3)),
        TypeError,
        "lax.dynamic_slice needs scalar integers as start indices, got f32[]",
    ),
    (
        "update",
        lambda: lax.dynamic_update_slice(f32, np.ones((3, 3), np.float32), (0, 0)),
        ValueError,
        "needs an update that fits in the operand",
    ),
    ("iota", lambda: lax.iota(np.bool_, 3), TypeError, "it needs a numeric dtype, got bool"),
    (
        "bitcast",
        lambda: lax.bitcast_convert_type(f32, np.float64),
        ValueError,
        "bitcast_convert_type of f32[2,3] to f64 needs a last axis of size 2",
    ),
    (
        "threefry",
        lambda: random_bits.threefry2x32(*[i32] * 4),
        TypeError,
        "threefry2x32 needs uint32 keys and counters, got i32[2,3], i32[2,3], i32[2,3] and",
    ),
    ("full", lambda: lax.full((2,), f32), TypeError, "lax.full needs a scalar fill_value"),
    (
        "overflow",
        lambda: lax.full((2,), 2**40, np.int32),
        OverflowError,
        "Python integer 1099511627776 out of bounds for int32",
    ),
    (
        "broadcast_shapes",
        lambda: lax.broadcast_shapes((2,), (3,)),
        ValueError,
        "(2,), (3,) do not broadcast together",
    ),
    (
        "sort shapes",
        lambda: lax.sort((f32, f32[0])),
        ValueError,
        "sort needs operands of one shape, got f32[2,3] and f32[3]. Broadcast them",
    ),
    (
        "sort keys",
        lambda: lax.sort((f32, i32), num_keys=3),
        ValueError,
        "1 <= num_keys <= 2, the number of operands; got num_keys=3",
    ),
    ("sort nothing", lambda: lax.sort(()), TypeError, "lax.sort needs at least one array"),
    (
        "top_k",
        lambda: lax.top_k(f32, 4),
        ValueError,
        "lax.top_k of f32[2,3] along axis 1: k is from 0 to 3, got 4",
    ),
    (
        "reduce",
        lambda: lax.reduce((f32, f32), 0.0, lax.add, (0,)),
        ValueError,
        "initial values of the same structure",
    ),
]


@pytest.mark.parametrize(
    ("call", "error", "text"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_error(call: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=re.escape(text)):
        _checked(call)


def _checked(call: Any) -> None:
    """Run a call with types checked first, as every trace but the bottom one does."""
    from weft.core.staging import trace_to_jaxpr

    trace_to_jaxpr(lambda: [call()], [])


def test_a_primitive_checks_its_own_axes() -> None:
    with pytest.raises(ValueError, match=r"rev got dimensions=\(2,\), but 2 is not an axis"):
        shaping.rev_p.out_avals(arithmetic.ShapedArray((2, 3), np.float32), dimensions=(2,))
