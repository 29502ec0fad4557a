"""Small naive kernels, written as a builder would make them, for the tests of this folder."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from hypothesis import settings

# The meaning of every operation used here.
import weft.primitives.arithmetic
import weft.primitives.bitwise
import weft.primitives.comparison
import weft.primitives.convert
import weft.primitives.transcendental  # noqa: F401
from weft.kernels.ir import Buffer, Carry, Const, For, Kernel, Load, Map, Stmt, Store, Var
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import ADD

F32 = np.dtype(np.float32)
F64 = np.dtype(np.float64)
I32 = np.dtype(np.int32)
BOOL = np.dtype(np.bool_)

#: Interpreted kernels are slow: a few examples of small sizes find what there is to find.
few = settings(max_examples=30, deadline=None, derandomize=True)


def at(*index: Affine | Axis | int) -> tuple[Affine, ...]:
    """An index from axes, expressions and integers."""
    return tuple(Affine.of(i) for i in index)


def loop(axis: Axis, body: list[Stmt], **kw: object) -> For:
    """The whole range of ``axis``, one by one."""
    return For(axis, 0, axis.extent, 1, body, **kw)  # type: ignore[arg-type]


@dataclass
class Sample:
    """A kernel, its axes and buffers by name, and random arguments."""

    kernel: Kernel
    axes: dict[str, Axis]
    buffers: dict[str, Buffer]

    def arguments(self, seed: int = 0) -> dict[Buffer, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {
            b: rng.standard_normal(b.shape).astype(b.dtype)
            for b in self.kernel.params
            if b.role != "output"
        }


def evaluations(kernel: Kernel, op: str) -> int:
    """How many elements an operation computes."""

    def count(body: list[Stmt], times: int) -> int:
        total = 0
        for stmt in body:
            if isinstance(stmt, For):
                total += count(stmt.body, times * stmt.trip)
            elif isinstance(stmt, Map) and stmt.op == op:
                total += times * prod(axis.extent for axis in stmt.out.axes)
        return total

    return count(kernel.body, 1)


def matmul(
    m: int, n: int, k: int, dtype: np.dtype = F32, epilogue: bool = False, batch: int = 0
) -> Sample:
    """``c[b,i,j] = sum_k a[b,i,k]·w[k,j]``, optionally times two plus ``v[j]``."""
    i, j, kk = Axis("i", m), Axis("j", n), Axis("k", k)
    b = Axis("b", batch)
    outer = (b,) if batch else ()
    lead = (batch,) if batch else ()
    a = Buffer("a", (*lead, m, k), dtype)
    w = Buffer("w", (k, n), dtype)
    v = Buffer("v", (n,), dtype)
    c = Buffer("c", (*lead, m, n), dtype, "output")
    zero, x, y, acc, new, total = (Var(dtype) for _ in range(6))
    fold = loop(
        kk,
        [
            Load(x, a, at(*outer, i, kk)),
            Load(y, w, at(kk, j)),
            Map(new, "fma", (x, y, acc)),
        ],
        carries=(Carry(acc, zero, new, total),),
        fold=ADD,
    )
    body: list[Stmt] = [fold]
    result = total
    two = Var(dtype)
    if epilogue:
        p, q, result = Var(dtype), Var(dtype), Var(dtype)
        body += [Load(p, v, at(j)), Map(q, "mul", (total, two)), Map(result, "add", (q, p))]
    body.append(Store(c, at(*outer, i, j), result))
    nest: Stmt = loop(i, [loop(j, body)])
    if batch:
        nest = loop(b, [nest])
    head: list[Stmt] = [Const(zero, 0.0)]
    if epilogue:
        head.append(Const(two, 2.0))
    params = (a, w, v, c) if epilogue else (a, w, c)
    kernel = Kernel("matmul", params, (), [*head, nest])
    return Sample(
        kernel,
        {"b": b, "i": i, "j": j, "k": kk},
        {"a": a, "w": w, "v": v, "c": c},
    )


def softmax(rows: int, columns: int) -> Sample:
    """Row-wise softmax in three passes."""
    from weft.terms.monoids import MAX

    i = Axis("i", rows)
    j0, j1, j2 = (Axis("j", columns) for _ in range(3))
    x = Buffer("x", (rows, columns), F32)
    y = Buffer("y", (rows, columns), F32, "output")
    low, zero = Var(F32), Var(F32)
    t, m, m1, top = (Var(F32) for _ in range(4))
    p, d, e, s, s1, total = (Var(F32) for _ in range(6))
    u, g, h, r = (Var(F32) for _ in range(4))
    body: list[Stmt] = [
        loop(
            j0,
            [Load(t, x, at(i, j0)), Map(m1, "max", (m, t))],
            carries=(Carry(m, low, m1, top),),
            fold=MAX,
        ),
        loop(
            j1,
            [
                Load(p, x, at(i, j1)),
                Map(d, "sub", (p, top)),
                Map(e, "exp", (d,)),
                Map(s1, "add", (s, e)),
            ],
            carries=(Carry(s, zero, s1, total),),
            fold=ADD,
        ),
        loop(
            j2,
            [
                Load(u, x, at(i, j2)),
                Map(g, "sub", (u, top)),
                Map(h, "exp", (g,)),
                Map(r, "div", (h, total)),
                Store(y, at(i, j2), r),
            ],
        ),
    ]
    kernel = Kernel("softmax", (x, y), (), [Const(low, -np.inf), Const(zero, 0.0), loop(i, body)])
    return Sample(kernel, {"i": i, "j0": j0, "j1": j1, "j2": j2}, {"x": x, "y": y})
