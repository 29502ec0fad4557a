"""Programs of terms as text."""

from __future__ import annotations

import textwrap

import numpy as np

from tests.terms.programs import trace
from weft import lax, tree
from weft.primitives import (
    argreduce,
    arithmetic,
    cumulative,
    indexing,
    joining,
    reduction,
    select,
    shaping,
    slicing,
)
from weft.primitives.dot_general import dot_general
from weft.primitives.transcendental import exp, integer_pow
from weft.terms.lower import lower_jaxpr
from weft.terms.print import format_program

X = np.zeros((5, 7), np.float32)
W = np.zeros((7, 6), np.float32)


def shown(fun, *args) -> str:
    return format_program(lower_jaxpr(trace(lambda *xs: tree.leaves(fun(*xs)), *args)))


def golden(text: str) -> str:
    return textwrap.dedent(text).strip()


def test_softmax():
    def softmax(x, w):
        s = dot_general(x, w, (((1,), (0,)), ((), ())))
        top = shaping.broadcast_in_dim(reduction.reduce_max(s, (1,)), (5, 6), (0,))
        e = exp(arithmetic.sub(s, top))
        total = shaping.broadcast_in_dim(reduction.reduce_sum(e, (1,)), (5, 6), (0,))
        return [arithmetic.div(e, total)]

    assert shown(softmax, X, W) == golden(
        """
        program(v1:f32[5,7], v2:f32[7,6])
          f32 v3[i:5, j:6] = sum[r:7] v1[i,r] * v2[r,j]
          f32 v4[i:5] = max[r:6] v3[i,r]
          f32 v5[i:5, j:6] = v3[i,j] - v4[i]
          f32 v6[i:5, j:6] = exp(v5[i,j])
          f32 v7[i:5] = sum[r:6] v6[i,r]
          f32 v8[i:5, j:6] = v6[i,j] / v7[i]
          return v8
        """
    )


def test_pieces_scans_tuples_and_shared_terms():
    def fun(x):
        padded = slicing.pad(x, np.float32(1), [(1, 0, 0), (0, 2, 1)])
        joined = joining.concatenate([x, x], 0)
        below = cumulative.cumsum(x, 0, reverse=True)
        return [padded, joined, below, argreduce.argmax(x, 1), integer_pow(x, 6)]

    assert shown(fun, X) == golden(
        """
        program(v1:f32[5,7])
          f32 v2[i:6, j:15] = {i in 0:1 -> 1.0; 1:6 -> {j in 0:13 -> {j-2*(j//2) in 0:1 -> \
v1[i-1,(j//2)]; 1:2 -> 1.0}; 13:15 -> 1.0}}
          f32 v3[i:10, j:7] = {i in 0:5 -> v1[i,j]; 5:10 -> v1[i-5,j]}
          f32 v4[i:5, j:7] = scan add[r:5 <= -i+4] v1[-r+4,j]
          i32 v5[i:5] = (argmax[r:7] (v1[i,r], i32(r))).1
          f32 v6[i:5, j:7] = t0 * (t0 * t0)
            where t0 = v1[i,j] * v1[i,j]
          return v2, v3, v4, v5, v6
        """
    )


def test_dynamic_indices():
    numbers = indexing.GatherDimensionNumbers((1,), (0,), (0,))
    put = indexing.ScatterDimensionNumbers((1,), (0,), (0,))

    def fun(x, rows):
        taken = indexing.gather(x, rows, numbers, (1, 7), mode="fill", fill_value=0)
        return [taken, indexing.scatter_add(x, rows, taken, put, mode="clip")]

    assert shown(fun, X, np.zeros((3, 1), np.int32)) == golden(
        """
        program(v1:f32[5,7], v2:i32[3,1])
          f32 v3[i:3, j:7] = where(v2[i,0] >= 0 & v2[i,0] <= 4, v1[clip(v2[i,0], 0, 4),j], 0.0)
          f32 v4 = v1 with v4[clip(v2[i,0], 0, 4),j] add= v3[i,j] for i:3, j:7
          return v3, v4
        """
    )


def test_control_flow():
    def fun(p, n, x):
        def double(s):
            i, y = s
            return arithmetic.add(i, lax.full_like(i, 1)), arithmetic.add(y, y)

        _, y = lax.while_loop(lambda s: lax.lt(s[0], n), double, (np.int32(0), x))
        y = lax.cond(p, lambda y: y, arithmetic.neg, y)
        return lax.scan(lambda c, x: (arithmetic.add(c, x), c), x_row(y), y)

    def x_row(y):
        return shaping.reshape(slicing.slice(y, (0, 0), (1, 7)), (7,))

    assert shown(fun, np.True_, np.int32(3), X) == golden(
        """
        program(v1:bool[], v2:i32[], v3:f32[5,7])
          i32 v4 = 0
          while carrying v10 = v5:i32[] from v4, v11 = v6:f32[5,7] from v3:
            bool v7 = v5 < v2
          does v7:
            i32 v8 = v5 + 1
            f32 v9[i:5, j:7] = v6[i,j] + v6[i,j]
            next v5 <- v8, v6 <- v9
          i32 v12 = i32(v1)
          v15:f32[5,7] = switch v12:
          case 0:
            f32 v13[i:5, j:7] = -v11[i,j]
            give v13
          case 1:
            f32 v14[i:5, j:7] = v11[i,j]
            give v14
          f32 v16[i:7] = v15[0,i]
          f32 v17[i:5, j:7] = 0.0
          for v20 in 5 carrying v23 = v18:f32[7] from v16, v24 = v19:f32[5,7] from v17:
            f32 v21[i:7] = v18[i] + v15[clip(v20, 0, 4),i]
            f32 v22 = v19 with unique v22[clip(v20, 0, 4),i] = v18[i] for i:7
            next v18 <- v21, v19 <- v22
          return v23, v24
        """
    )


def test_constants_and_types():
    table = np.arange(7, dtype=np.float32)

    def fun(x, p):
        half = lax.convert_element_type(x, np.float16)
        bits = lax.bitcast_convert_type(table, np.int32)
        return [half, bits, lax.bitwise_not(p), select.select_n(p, table, arithmetic.neg(table))]

    assert shown(fun, np.zeros(7, np.float32), np.zeros(7, bool)) == golden(
        """
        program(v1:f32[7], v2:bool[7])
          constant v3:f32[7]
          f16 v4[i:7] = f16(v1[i])
          i32 v5[i:7] = bits_i32(v3[i])
          bool v6[i:7] = ~v2[i]
          f32 v7[i:7] = -v3[i]
          f32 v8[i:7] = where(v2[i], v7[i], v3[i])
          return v4, v5, v6, v8
        """
    )
