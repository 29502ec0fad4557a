"""What the checker accepts and refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.kernels.samples import F32, F64, at, loop, matmul, softmax
from weft.kernels.check import KernelError, check_kernel
from weft.kernels.ir import (
    Barrier,
    Buffer,
    Const,
    For,
    Guard,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
)
from weft.terms.affine import Affine, Axis

ROW, T = Axis("i", 8), Axis("t", 4)
X, Y = Buffer("x", (8,), F32), Buffer("y", (8,), F32, "output")


def kernel(*body: Stmt, scratch: tuple[Buffer, ...] = (), lanes: tuple[Axis, ...] = ()) -> Kernel:
    return Kernel("k", (X, Y), scratch, list(body), frozenset(lanes))


def refused(k: Kernel, text: str) -> None:
    with pytest.raises(KernelError, match=text):
        check_kernel(k)


def test_accepts_naive_kernels() -> None:
    check_kernel(matmul(4, 5, 6, epilogue=True, batch=2).kernel)
    check_kernel(softmax(3, 7).kernel)
    check_kernel(matmul(0, 5, 6).kernel)


def test_use_before_definition_names_the_statement() -> None:
    v, w = Var(F32, (), "v"), Var(F32, (), "w")
    refused(
        kernel(loop(ROW, [Map(v, "neg", (w,)), Store(Y, at(ROW), v)])),
        r"w is used before it is defined\n  in kernel k, at: v = neg w",
    )


def test_variables_do_not_leave_their_loop() -> None:
    v = Var(F32, (), "v")
    refused(
        kernel(loop(ROW, [Load(v, X, at(ROW))]), Store(Y, at(0), v)),
        "v is used before it is defined",
    )


def test_assigned_twice() -> None:
    v = Var(F32, (), "v")
    refused(kernel(Const(v, 1.0), Const(v, 2.0)), "v is assigned twice")


def test_tile_axes_of_map() -> None:
    a, b, c = Var(F32, (T,)), Var(F32), Var(F32, (), "c")
    refused(
        kernel(Const(a, 1.0), Const(b, 1.0), Map(c, "add", (a, b))),
        r"c has tile axes \[\], expected \[t:4\]",
    )


def test_dtypes() -> None:
    a, b, c = Var(F32), Var(F64), Var(F32)
    refused(
        kernel(Const(a, 1.0), Const(b, 1.0), Map(c, "add", (a, b))),
        "operands of add have different dtypes: f32, f64",
    )
    d = Var(F64, (), "d")
    refused(kernel(Load(d, X, at(0))), "d is f64, expected f32")


def test_two_lane_axes() -> None:
    a = Var(F32, (ROW, T))
    refused(kernel(Const(a, 1.0), lanes=(ROW, T)), "2 lane axes")


def test_bounds_are_proven() -> None:
    v = Var(F32)
    place = Affine.of(ROW) + 1
    refused(
        kernel(loop(ROW, [Load(v, X, (place,)), Store(Y, at(ROW), v)])),
        r"index i\+1 of dimension 0 of x\[8\] may reach 0\.\.8",
    )
    check_kernel(
        kernel(loop(ROW, [Load(v, X, (place,), (Guard(place, 0, 8),)), Store(Y, at(ROW), v)]))
    )
    shifted = Affine.of(ROW) * 2
    guard = Guard(Affine.of(ROW), 0, 4)
    check_kernel(kernel(loop(ROW, [Load(v, X, (shifted,), (guard,)), Store(Y, at(ROW), v)])))


def test_steps_bound_the_axis() -> None:
    v = Var(F32, (T,))
    place = Affine.of(ROW) + T
    body: list[Stmt] = [Load(v, X, (place,)), Store(Y, (place,), v)]
    check_kernel(kernel(For(ROW, 0, 8, 4, body)))
    refused(kernel(For(ROW, 0, 8, 2, body)), r"may reach 0\.\.9")
    refused(kernel(For(ROW, 0, 7, 4, body)), "put the remainder in a loop of its own")


def test_store_must_not_lose_elements() -> None:
    v = Var(F32, (T,))
    refused(kernel(Const(v, 1.0), Store(Y, at(0), v)), "several elements go to one place")


def test_read_only() -> None:
    v = Var(F32)
    refused(kernel(Const(v, 1.0), Store(X, at(0), v)), "store to x, which is read only")


def parallel(body: list[Stmt], axis: Axis = ROW) -> For:
    return loop(axis, body, kind="parallel")


def test_parallel_iterations_write_different_elements() -> None:
    v, t = Var(F32, (), "v"), Var(F32, (T,))
    check_kernel(kernel(Const(v, 1.0), parallel([Store(Y, at(ROW), v)])))
    refused(
        kernel(Const(v, 1.0), parallel([Store(Y, at(0), v)])),
        "iterations of i:8 may touch the same element of y",
    )
    wide = Affine.of(ROW) + T
    body: list[Stmt] = [Store(Y, (wide,), t)]
    check_kernel(kernel(Const(t, 1.0), replace(parallel(body), step=4)))
    refused(kernel(Const(t, 1.0), replace(parallel(body), step=2, hi=4)), "same element of y")


def test_merged_dimensions_are_disjoint_by_address() -> None:
    y = Buffer("y", (2, 4), F32, "output")
    v = Var(F32)
    index = (Affine.of(ROW).floordiv(4), Affine.of(ROW).mod(4))
    check_kernel(Kernel("k", (y,), (), [Const(v, 1.0), parallel([Store(y, index, v)])]))


def test_barriers_between_parallel_loops() -> None:
    v, w, j = Var(F32), Var(F32), Axis("j", 8)
    s = Buffer("s", (8,), F32, "scratch", "shared")
    fill = parallel([Load(v, X, at(ROW)), Store(s, at(ROW), v)])
    back = Affine.of(j) * -1 + 7
    use = parallel([Load(w, s, (back,)), Store(Y, at(j), w)], j)
    check_kernel(kernel(fill, Barrier(), use, scratch=(s,)))
    refused(kernel(fill, use, scratch=(s,)), "a barrier is missing before this statement")


def test_the_next_iteration_needs_a_barrier_too() -> None:
    v, w, j, r = Var(F32), Var(F32), Axis("j", 8), Axis("r", 3)
    s = Buffer("s", (8,), F32, "scratch", "shared")
    y = Buffer("y", (3, 8), F32, "output")
    fill = parallel([Load(v, X, at(ROW)), Store(s, at(ROW), v)])
    use = parallel([Load(w, s, at(j)), Store(y, at(r, j), w)], j)

    def run(*body: Stmt) -> Kernel:
        return Kernel("k", (X, y), (s,), [loop(r, list(body))])

    check_kernel(run(fill, Barrier(), use, Barrier()))
    refused(run(fill, Barrier(), use), "another thread may still be at work on s")


def test_every_thread_would_update_twice() -> None:
    v, w = Var(F32), Var(F32)
    body = [
        Load(v, Y, at(0)),
        Map(w, "add", (v, v)),
        Store(Y, at(0), w),
    ]
    check_kernel(kernel(*body))
    other = parallel([Load(u := Var(F32), X, at(ROW)), Map(Var(F32), "neg", (u,))])
    refused(kernel(*body, other), "at work on y")


def test_what_every_thread_does_before_a_parallel_loop_may_be_late() -> None:
    v, w, j = Var(F32), Var(F32), Axis("j", 8)
    s = Buffer("s", (8,), F32, "scratch", "shared")
    write = parallel([Load(w, X, at(ROW)), Store(s, at(ROW), w)])
    zero = [Const(v, 0.0), loop(j, [Store(s, at(j), v)])]
    refused(kernel(*zero, write, scratch=(s,)), "a barrier is missing")
    check_kernel(kernel(*zero, Barrier(), write, scratch=(s,)))
    u = Var(F32)
    refused(kernel(Load(u, s, at(3)), write, scratch=(s,)), "a barrier is missing")
    # What every thread writes itself may be read at once, but not written once more.
    read = parallel([Load(w, s, at(ROW)), Store(Y, at(ROW), w)])
    check_kernel(kernel(*zero, read, scratch=(s,)))
    k = Axis("k", 8)
    refused(kernel(*zero, loop(k, [Store(s, at(k), v)]), read, scratch=(s,)), "barrier is missing")


def test_elements_of_a_tile_go_to_different_places() -> None:
    v, u = Var(F32, (T,)), Axis("u", 2)
    halved = kernel(Const(v, 1.0), Store(Y, (Affine.of(T).floordiv(2),), v))
    refused(halved, "several elements of the tile may go to one place of y")
    w = Var(F32, (T, u))
    check_kernel(kernel(Const(w, 1.0), Store(Y, (Affine.of(T) * 2 + u,), w)))
    refused(kernel(Const(w, 1.0), Store(Y, (Affine.of(T) + u,), w)), "to one place of y")
    z = Buffer("z", (2, 4), F32, "output")
    swapped = ((Affine.of(T) * 2 + u).mod(2), Affine.of(T))
    check_kernel(Kernel("k", (z,), (), [Const(w, 1.0), Store(z, swapped, w)]))


def test_bounds_and_guards_of_reshaped_axes() -> None:
    """A padded array read as rows of three: the guard bounds the numerator of a division."""
    x = Buffer("x", (24, 3), F32)
    i, j = Axis("i", 3), Axis("j", 37)
    flat = Affine.of(i) * 37 + j
    index = ((flat + 1).floordiv(3) - 1, (flat + 1).mod(3))

    def reads(lo: int) -> Kernel:
        v = Var(F32)
        body = [Load(v, x, index, (Guard(flat, lo, 74),))]
        return Kernel("k", (x,), (), [loop(i, [loop(j, body)])])

    check_kernel(reads(2))
    refused(reads(1), r"may reach -1\.\.23")


def test_a_remainder_beside_a_collapsed_parallel_loop() -> None:
    """56-wide tiles over threads, then what is left: apart, whatever base the rows are in."""
    y = Buffer("y", (64, 3), F32, "output")
    i, j, t = Axis("i", 192), Axis("j", 192), Axis("t", 56)
    v, w = Var(F32, (t,)), Var(F32)

    def place(flat: Affine) -> tuple[Affine, Affine]:
        return flat.floordiv(3), flat.mod(3)

    def both(start: int) -> Kernel:
        tiles = For(i, 0, 168, 56, [Store(y, place(Affine.of(i) + t), v)], "parallel")
        rest = For(j, start, 192, 1, [Store(y, place(Affine.of(j)), w)])
        return Kernel("k", (y,), (), [Const(v, 1.0), Const(w, 1.0), tiles, rest])

    check_kernel(both(168))
    refused(both(167), "a barrier is missing")


def test_barrier_inside_parallel() -> None:
    refused(kernel(parallel([Barrier()])), "not every thread would arrive")


def test_unknown_operation() -> None:
    a, b = Var(F32), Var(F32)
    refused(kernel(Const(a, 1.0), Map(b, "frobnicate", (a,))), "unknown operation 'frobnicate'")
    assert np.dtype(F32) == a.dtype
