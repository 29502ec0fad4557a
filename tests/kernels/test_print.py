"""Golden text of kernels."""

from __future__ import annotations

import textwrap

from tests.kernels.samples import BOOL, F32, at, loop, matmul
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Const,
    Fold,
    Guard,
    Iota,
    Kernel,
    Load,
    Map,
    Store,
    Var,
)
from weft.kernels.print import print_kernel
from weft.terms.affine import Affine, Axis, Dynamic
from weft.terms.monoids import ADD


def check(kernel: Kernel, expected: str) -> None:
    got = "\n".join(line.rstrip() for line in print_kernel(kernel).splitlines())
    assert got == textwrap.dedent(expected).strip()


def test_naive_matmul() -> None:
    check(
        matmul(4, 5, 6, epilogue=True, batch=2).kernel,
        """
        kernel matmul(a: f32[2,4,6], w: f32[6,5], v: f32[5] -> c: f32[2,4,5])
          t0 = const 0.0                                                f32
          t1 = const 2.0                                                f32
          serial b in 0:2
            serial i in 0:4
              serial j in 0:5
                t2 = serial k in 0:6 fold add carrying t3 = t0          f32
                  t4 = load a[b, i, k]                                  f32
                  t5 = load w[k, j]                                     f32
                  t6 = fma t4, t5, t3                                   f32
                  next t6
                t7 = load v[j]                                          f32
                t8 = mul t2, t1                                         f32
                t9 = add t8, t7                                         f32
                store c[b, i, j] = t9
        """,
    )


def test_tiles_guards_and_dynamic_indices() -> None:
    i, t, u = Axis("i", 8), Axis("t", 4), Axis("t", 2)
    x = Buffer("x", (8, 8), F32)
    y = Buffer("y", (8,), F32, "output")
    s = Buffer("s", (4,), F32, "scratch", "shared")
    n = Var(F32, (), "n")
    position = Var(F32, (t,), "position")
    tile, keep, total = Var(F32, (t, u)), Var(BOOL, (t,)), Var(F32, (t,))
    row = Affine.of(i) + t
    where = Affine(((Dynamic(n, 0, 7), 1),))
    body = [
        Const(n, 3.0),
        Barrier(),
        loop(
            i,
            [
                Iota(position, Affine.of(t) * 2 + 1),
                Load(tile, x, (row - 1, where + u), (Guard(row - 1, 0, 8),), True),
                Fold((total,), ADD, (u,), (tile,)),
                Map(keep, "lt", (position, total)),
                Store(y, at(row), total, (Guard(row, 0, 8),), keep),
            ],
            kind="parallel",
        ),
    ]
    check(
        Kernel("k", (x, y), (s,), body, frozenset([t])),
        """
        kernel k(x: f32[8,8] -> y: f32[8])  lanes t
          scratch s: f32[4] shared
          n = const 3.0                                                 f32
          barrier
          parallel i in 0:8
            position = index 2*t+1                                      f32 t:4
            t0 = stream load x[i+t-1, t_1+clamp(n, 0, 7)] where 0 <= i+t-1 < 8  f32 t:4 t_1:2
            t1 = fold add t0 over t_1                                   f32 t:4
            t2 = lt position, t1                                        bool t:4
            store y[i+t] = t1 where 0 <= i+t < 8 and t2
        """,
    )
