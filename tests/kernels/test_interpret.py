"""The interpreter against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from tests.kernels.samples import BOOL, F32, I32, at, loop, matmul, softmax
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Const, Fold, Guard, Iota, Kernel, Load, Map, Store, Var
from weft.terms.affine import Affine, Axis, Dynamic
from weft.terms.monoids import ADD, ARGMAX


def test_matmul_with_epilogue() -> None:
    s = matmul(4, 5, 6, epilogue=True, batch=2)
    given = s.arguments()
    a, w, v = (given[s.buffers[n]] for n in "awv")
    got = run_kernel(s.kernel, given)[s.buffers["c"]]
    np.testing.assert_allclose(got, a @ w * 2 + v, rtol=1e-5, atol=1e-5)


def test_softmax() -> None:
    s = softmax(3, 7)
    given = s.arguments()
    e = np.exp(given[s.buffers["x"]])
    got = run_kernel(s.kernel, given)[s.buffers["y"]]
    np.testing.assert_allclose(got, e / e.sum(1, keepdims=True), rtol=1e-5)


def test_tiles_broadcast_by_axis_name() -> None:
    r, c = Axis("r", 2), Axis("c", 3)
    x, y = Buffer("x", (3, 2), F32), Buffer("y", (2,), F32)
    z = Buffer("z", (2, 3), F32, "output")
    s = Buffer("s", (3,), F32, "output")
    a, b, t, folded = Var(F32, (c, r)), Var(F32, (r,)), Var(F32, (r, c)), Var(F32, (c,))
    body = [
        Load(a, x, at(c, r)),
        Load(b, y, at(r)),
        Map(t, "add", (a, b)),
        Store(z, at(r, c), t),
        Fold((folded,), ADD, (r,), (t,)),
        Store(s, at(c), folded),
    ]
    given = {x: np.arange(6, dtype=np.float32).reshape(3, 2), y: np.array([10, 20], np.float32)}
    got = run_kernel(Kernel("k", (x, y, z, s), (), body), given)
    np.testing.assert_array_equal(got[z], given[x].T + given[y][:, None])
    np.testing.assert_array_equal(got[s], (given[x] + given[y]).sum(1))


def test_guards_give_zero_and_leave_memory() -> None:
    t = Axis("t", 6)
    x, y = Buffer("x", (4,), F32), Buffer("y", (6,), F32, "inout")
    v = Var(F32, (t,))
    place = Affine.of(t) - 1
    body = [
        Load(v, x, (place,), (Guard(place, 0, 4),)),
        Store(y, at(t), v, (Guard(Affine.of(t), 0, 5),)),
    ]
    given = {x: np.array([1, 2, 3, 4], np.float32), y: np.full(6, 9, np.float32)}
    got = run_kernel(Kernel("k", (x, y), (), body), given)[y]
    np.testing.assert_array_equal(got, [0, 1, 2, 3, 4, 9])
    np.testing.assert_array_equal(given[y], np.full(6, 9))


def test_dynamic_indices_are_clamped() -> None:
    i = Axis("i", 5)
    at_, x = Buffer("at", (5,), I32), Buffer("x", (3,), F32)
    y = Buffer("y", (5,), F32, "output")
    n, v = Var(I32), Var(F32)
    body = [
        loop(
            i,
            [
                Load(n, at_, at(i)),
                Load(v, x, (Affine(((Dynamic(n, 0, 2), 1),)),)),
                Store(y, at(i), v),
            ],
        )
    ]
    given = {at_: np.array([-7, 0, 1, 2, 99], np.int32), x: np.array([1, 2, 3], np.float32)}
    got = run_kernel(Kernel("gather", (at_, x, y), (), body), given)[y]
    np.testing.assert_array_equal(got, [1, 1, 2, 3, 3])


def test_argmax_takes_the_first_of_equals() -> None:
    t = Axis("t", 5)
    x = Buffer("x", (5,), F32)
    y = Buffer("y", (), I32, "output")
    v, i, best, where = Var(F32, (t,)), Var(I32, (t,)), Var(F32), Var(I32)
    body = [
        Load(v, x, at(t)),
        Iota(i, Affine.of(t)),
        Fold((best, where), ARGMAX, (t,), (v, i)),
        Store(y, (), where),
    ]
    kernel = Kernel("argmax", (x, y), (), body)
    assert run_kernel(kernel, {x: np.array([1, 4, 2, 4, 0], np.float32)})[y] == 1
    assert run_kernel(kernel, {x: np.array([1, 4, np.nan, 9, np.nan], np.float32)})[y] == 2


def test_predicate_chooses_elements() -> None:
    t = Axis("t", 4)
    x, y = Buffer("x", (4,), F32), Buffer("y", (4,), F32, "inout")
    v, zero, keep = Var(F32, (t,)), Var(F32, (t,)), Var(BOOL, (t,))
    body = [
        Load(v, x, at(t)),
        Const(zero, 0.0),
        Map(keep, "gt", (v, zero)),
        Store(y, at(t), v, (), keep),
    ]
    given = {x: np.array([1, -2, 3, -4], np.float32), y: np.zeros(4, np.float32)}
    got = run_kernel(Kernel("k", (x, y), (), body), given)[y]
    np.testing.assert_array_equal(got, [1, 0, 3, 0])


def test_private_scratch_is_forgotten_between_parallel_iterations() -> None:
    i = Axis("i", 2)
    s = Buffer("s", (2,), F32, "scratch")
    y = Buffer("y", (2,), F32, "output")
    one, old = Var(F32), Var(F32)
    body = [
        Const(one, 1.0),
        loop(
            i,
            [Store(s, at(i), one), Load(old, s, at(0)), Store(y, at(i), old)],
            kind="parallel",
        ),
    ]
    got = run_kernel(Kernel("k", (y,), (s,), body), {})[y]
    assert got[0] == 1 and np.isnan(got[1])


def test_bad_arguments_are_named() -> None:
    s = matmul(2, 2, 2)
    with pytest.raises(KeyError, match="no array for the input buffer 'a'"):
        run_kernel(s.kernel, {})
    bad = {**s.arguments(), s.buffers["w"]: np.zeros((3, 2), np.float32)}
    with pytest.raises(ValueError, match=r"buffer 'w' is f32\[2, 2\]; got f32\[3, 2\]"):
        run_kernel(s.kernel, bad)


def test_access_outside_a_buffer_is_an_error() -> None:
    i = Axis("i", 3)
    x, y = Buffer("x", (3,), F32), Buffer("y", (3,), F32, "output")
    v = Var(F32)
    body = [loop(i, [Load(v, x, at(Affine.of(i) + 1)), Store(y, at(i), v)])]
    with pytest.raises(IndexError, match=r"index i\+1 of dimension 0 of x\[3\] reaches 3\.\.3"):
        run_kernel(Kernel("k", (x, y), (), body), {x: np.zeros(3, np.float32)})
