"""Parallel loops as functions of their own, run by the pool's threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import weft
from tests.kernels.samples import F32, at, loop
from weft.codegen.llvm_text import Module
from weft.codegen.outline import (
    BLOCK,
    Environment,
    blocks_of,
    free_variables,
    regions,
    written_outside,
)
from weft.codegen.program_llvm import emit_program
from weft.codegen.scalar_llvm import Target
from weft.compile import compile_jaxpr
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Barrier, Buffer, Const, For, Kernel, Load, Map, Stmt, Store, Var
from weft.kernels.program import Launch, Program, Slot
from weft.runtime.buffer import Buffer as Memory
from weft.runtime.cache import compile_cached
from weft.runtime.executable import NativeProgram
from weft.terms.affine import Axis


def parallel(axis: Axis, body: list[Stmt]) -> For:
    return loop(axis, body, kind="parallel")


def filling(axis: Axis, buffer: Buffer, value: Var) -> For:
    return parallel(axis, [Store(buffer, at(axis), value)])


def test_loops_without_a_barrier_between_them_are_one_region() -> None:
    a, b, c = (Buffer(n, (8,), F32, "output") for n in "abc")
    one, two = Var(F32), Var(F32)
    first, second, third = (
        filling(Axis("i", 8), buffer, v) for buffer, v in ((a, one), (b, two), (c, two))
    )
    consts, fence = [Const(one, 1.0), Const(two, 2.0)], Barrier()
    body = [consts[0], first, consts[1], second, fence, third]
    assert regions(body) == [*consts, (first, second), fence, (third,)]


def test_stores_and_empty_loops_between_regions() -> None:
    a = Buffer("a", (8,), F32, "output")
    one = Var(F32)
    first, second = (filling(Axis("i", 8), a, one) for _ in range(2))
    store, empty = Store(a, at(0), one), For(Axis("e", 8), 3, 3, 1, [], "parallel")
    assert regions([first, store, second, empty]) == [(first,), store, (second,)]


def test_blocks_are_no_smaller_than_they_should_be() -> None:
    a = Buffer("a", (BLOCK * 3,), F32, "output")
    one = Var(F32)
    assert blocks_of((filling(Axis("i", 8), a, one),)) == 1
    assert blocks_of((filling(Axis("i", 3 * BLOCK), a, one),)) == 3
    assert blocks_of((filling(Axis("i", 3 * BLOCK), a, one),) * 2) == 6


def test_an_environment_lays_out_what_it_hands_over() -> None:
    env = Environment()
    for kind in ("ptr", "<16 x float>", "i64", "<4 x i1>"):
        env.add(kind, "%" + kind[0])
    assert [at for _, _, at in env.values] == [0, 64, 128, 192]
    assert env.nbytes == 193
    f = Module().function("f", ["ptr %env"])
    assert set(env.load(f, "%env")) == {"%p", "%<", "%i"}


def nested() -> Kernel:
    """``y[s, i] = x[i] * w[s] + p[2]``, then ``z[s, i] = y[s, 39 - i] + w[s]``, in a loop over s.

    The regions see a loop around them, a tile, scratch filled by the caller, and each other's work.
    """
    s, i, k, q = Axis("s", 5), Axis("i", 40), Axis("k", 4), Axis("q", 40)
    x, w = Buffer("x", (40,), F32), Buffer("w", (5,), F32)
    y, z = Buffer("y", (5, 40), F32, "output"), Buffer("z", (5, 40), F32, "output")
    p = Buffer("p", (4,), F32, "scratch", "thread")
    weight, a, b, c, d, e, g, h, double = (Var(F32) for _ in range(9))
    first = parallel(
        i,
        [
            Load(a, x, at(i)),
            Map(b, "mul", (a, weight)),
            Load(c, p, at(2)),
            Map(d, "add", (b, c)),
            Store(y, at(s, i), d),
        ],
    )
    back = q.expr * -1 + 39
    second = parallel(
        q,
        [Load(e, y, at(s, back)), Map(g, "add", (e, weight)), Store(z, at(s, q), g)],
    )
    fill: list[Stmt] = [Load(h, x, at(k)), Map(double, "add", (h, h)), Store(p, at(k), double)]
    body: list[Stmt] = [
        loop(k, fill),
        loop(s, [Load(weight, w, at(s)), first, Barrier(), second, Barrier()]),
    ]
    return Kernel("nested", (x, w, y, z), (p,), body)


@pytest.fixture(autouse=True)
def configured_threads() -> Iterator[None]:
    before = weft.config.threads
    yield
    weft.config.threads = before


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_regions_inside_a_loop(threads: int) -> None:
    weft.config.threads = threads
    kernel = nested()
    check_kernel(kernel)
    assert isinstance(kernel.body[1], For)
    found = [r for r in regions(kernel.body[1].body) if isinstance(r, tuple)]
    assert [len(free_variables(r)) for r in found] == [1, 1]
    rng = np.random.default_rng(0)
    given = {b: rng.standard_normal(b.shape).astype(F32) for b in kernel.params[:2]}
    expected = run_kernel(kernel, given)
    slots = [
        Slot(b.name, b.shape, b.dtype, "input" if b.role == "input" else "output")
        for b in kernel.params
    ]
    launch = Launch(kernel, tuple(slots))
    program = Program(tuple(slots[:2]), tuple(slots[2:]), (), (), [launch])
    native = NativeProgram(
        compile_cached(emit_program(program, Target(64, frozenset()))),
        input_nbytes=[s.nbytes for s in slots[:2]],
        output_nbytes=[s.nbytes for s in slots[2:]],
    )
    for _ in range(20):
        got = native([Memory.from_numpy(given[b]) for b in kernel.params[:2]])
        for buffer, memory in zip(kernel.params[2:], got, strict=True):
            array = memory.as_numpy(buffer.shape, F32)
            np.testing.assert_array_equal(array, expected[buffer])


def test_private_scratch_belongs_to_the_caller_or_to_the_threads() -> None:
    i, k = Axis("i", 8), Axis("k", 4)
    p = Buffer("p", (4,), F32, "scratch", "thread")
    value = Var(F32)
    outside = loop(k, [Store(p, at(k), value)])
    inside = parallel(i, [loop(Axis("j", 4), [Store(p, at(0), value)])])
    assert written_outside([outside]) == (p,)
    assert written_outside([inside]) == ()
    with pytest.raises(ValueError, match="p is written both inside and outside parallel loops"):
        written_outside([outside, inside])


PROGRAMS = {
    "sum": lambda x: x.sum(),
    "product": lambda x: x @ x.T,
    "softmax": lambda x: weft.nn.softmax(x, -1),
    "scan": lambda x: weft.numpy.cumsum(x, 0),
    "loop": lambda x: weft.lax.fori_loop(0, 5, lambda n, c: c + weft.numpy.roll(c, 1, 0) * n, x),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    x = np.random.default_rng(0).standard_normal((700, 300)).astype(np.float32)
    weft.config.threads = 2
    program = compile_jaxpr(weft.make_jaxpr(PROGRAMS[name])(x))
    results = []
    for threads in (2, 1, 3, 6):
        weft.config.threads = threads
        results.append(np.asarray(program(x)[0]).tobytes())
    assert len(set(results)) == 1
