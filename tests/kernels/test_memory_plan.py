"""Memory plans: programs give the same results in the arena as in memory of their own."""

from __future__ import annotations

import copy
import itertools

import numpy as np
from hypothesis import given, settings

from tests.kernels.programs import ADD, COUNT, REVERSE, N, elementwise, random_programs, reverse
from tests.kernels.samples import F32, I32, at, loop, matmul
from weft.kernels.in_place import may_share
from weft.kernels.ir import Buffer, Const, Kernel, Load, Map, Stmt, Store, Var
from weft.kernels.liveness import lives
from weft.kernels.memory_plan import plan_memory
from weft.kernels.program import Copy, For, Launch, Program, Slot, Step, Swap
from weft.kernels.program_check import check_program
from weft.kernels.program_interpret import run_program
from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.stage import Layout, stage
from weft.kernels.schedule.tile import vectorize
from weft.terms.affine import Affine, Axis

ROLES = ("input", "input", "output")
X, Y = Slot("x", (N,), F32, "input"), Slot("y", (N,), F32, "output")


def vector(name: str, n: int = N) -> Slot:
    return Slot(name, (n,), F32)


def chain(kernel: Kernel, length: int) -> Program:
    slots = [X, *(vector(f"t{n}") for n in range(length)), Y]
    inputs = len(kernel.params) - 1
    steps: list[Step] = [Launch(kernel, (*[a] * inputs, b)) for a, b in itertools.pairwise(slots)]
    return Program((X,), (Y,), (), tuple(slots[1:-1]), steps)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(random_programs())
def test_random_programs(program: Program) -> None:
    x = np.arange(N, dtype=np.float32)
    check_program(program, kernels=False)
    expected = run_program(program, [x])
    plan_memory(program)
    check_program(program, kernels=False)
    np.testing.assert_array_equal(run_program(program, [x])[0], expected[0])


def test_a_chain_needs_two_buffers_or_one() -> None:
    p = plan_memory(chain(REVERSE, 10))
    assert p.arena_bytes == 128
    square = elementwise("mul")
    assert not may_share(REVERSE, REVERSE.params[1], REVERSE.params[0])
    assert may_share(square, square.params[2], square.params[0])
    # Both operands are the same slot, so nothing is overwritten while it is still read.
    assert plan_memory(chain(square, 10)).arena_bytes == 128
    t = [vector(f"t{n}") for n in range(10)]
    steps: list[Step] = [Copy(t[0], X)]
    steps += [Launch(ADD, (a, X, b)) for a, b in itertools.pairwise(t)]
    p = plan_memory(Program((X,), (Y,), (), tuple(t), [*steps, Copy(Y, t[-1])]))
    assert p.arena_bytes == 64  # every sum replaces its operand
    check_program(p)


def test_temporaries_of_a_loop() -> None:
    n, outside, inside, entry, new = Slot("n", (), I32), *map(vector, "abcd")
    body: list[Step] = [
        Launch(REVERSE, (entry, inside)),
        Launch(ADD, (inside, outside, new)),
        Swap(entry, new),
    ]
    steps: list[Step] = [
        Copy(outside, X),
        Copy(entry, X),
        For(3, n, body),
        Copy(Y, entry),
    ]
    p = Program((X,), (Y,), (), (n, outside, inside, entry, new), steps)
    alive = lives(p)
    assert alive[outside] == (0, 5)  # defined before the loop, so it lives through it
    assert alive[inside] == (3, 4)
    assert alive[entry] == alive[new] == (1, 6)
    expected = run_program(p, [np.arange(N, dtype=np.float32)])
    plan_memory(p)
    check_program(p)
    assert entry.offset != new.offset
    got = run_program(p, [np.arange(N, dtype=np.float32)])
    np.testing.assert_array_equal(got[0], expected[0])


def test_contents_kept_between_iterations_live_through_the_loop() -> None:
    n, kept, other = Slot("n", (), I32), vector("kept"), vector("other")
    body: list[Step] = [
        Launch(COUNT, (n, kept, other)),
        Launch(REVERSE, (other, kept)),
    ]
    p = Program((X,), (Y,), (), (n, kept, other), [For(2, n, body), Copy(Y, X)])
    assert lives(p)[kept] == (0, 2)
    assert lives(p)[other] == (1, 2)


def test_large_temporaries_are_staggered_within_a_page() -> None:
    slots = [vector(f"t{n}", 4096) for n in range(4)]
    big = elementwise("add", 4096)
    steps: list[Step] = [Launch(big, (slots[0], slots[1], slots[2]))]
    steps.append(Launch(big, (slots[2], slots[1], slots[3])))
    steps.append(Launch(big, (slots[0], slots[3], slots[1])))
    p = plan_memory(Program((), (), (), tuple(slots), steps))
    starts = [s.offset % 4096 for s in slots if s.offset is not None]
    assert len(set(starts)) >= 3 and all(s % 64 == 0 for s in starts)
    assert p.arena_bytes < 4 * (4096 * 4 + 8192)


def test_shared_scratch_gets_a_place_for_its_launch() -> None:
    s = matmul(6, 8, 5)
    kernel = schedule_contraction(s.kernel, Params(2, 4, 5, 2, 1))
    a, w = Slot("a", (6, 5), F32, "input"), Slot("w", (5, 8), F32, "input")
    c = Slot("c", (6, 8), F32, "output")
    p = plan_memory(Program((a, w), (c,), (), (), [Launch(kernel, (a, w, c))]))
    (launch,) = p.steps
    assert isinstance(launch, Launch)
    assert [x.nbytes for x in launch.scratch] == [2 * 5 * 4 * 4]
    assert launch.scratch[0] in p.temporaries and p.arena_bytes == 192
    check_program(p)


def test_planning_again_gives_the_same_plan() -> None:
    p = chain(REVERSE, 5)
    first = [s.offset for s in plan_memory(p).temporaries]
    assert [s.offset for s in plan_memory(p).temporaries] == first


def test_kernels_that_may_work_in_place() -> None:
    i = ADD.body[0].axis  # type: ignore[union-attr]
    for k in (ADD, vectorize(ADD, i, 4), parallelize(ADD, i)):
        x, y, z = k.params
        assert may_share(k, z, x) and may_share(k, z, y) and not may_share(k, x, y)
    s = matmul(4, 4, 4)
    a, _, c = s.kernel.params
    assert not may_share(s.kernel, c, a)
    staged = stage(ADD, ADD.params[0], i, layout=Layout())
    assert not may_share(staged, ADD.params[2], ADD.params[0])
    assert may_share(staged, ADD.params[2], ADD.params[1])
    assert not may_share(reverse(1), copy.copy(reverse(1).params[1]), ADD.params[0])


def test_what_every_thread_does_is_not_done_in_place() -> None:
    """A parallel loop, then ``y = 2·x`` by all threads: one may read what another wrote."""
    i = Axis("i", N)
    x, y = Buffer("x", (), F32), Buffer("y", (), F32, "output")
    z = Buffer("z", (N,), F32, "output")
    a, b = Var(F32), Var(F32)
    tail: list[Stmt] = [Load(a, x, ()), Map(b, "add", (a, a)), Store(y, (), b)]
    for kind in ("serial", "parallel"):
        v = Var(F32)
        fill = loop(i, [Const(v, 1.0), Store(z, at(i), v)], kind=kind)
        assert may_share(Kernel("k", (x, y, z), (), [fill, *tail]), y, x) == (kind == "serial")


def test_a_kernel_launched_twice_shares_by_launch() -> None:
    """``z[i] = x[i] + y[-i]`` may overwrite x, unless x is y as well."""
    i = Axis("i", N)
    x, y, z = (Buffer(n, (N,), F32, r) for n, r in zip("xyz", ROLES, strict=True))
    a, b, c = Var(F32), Var(F32), Var(F32)
    body: list[Stmt] = [Load(a, x, at(i)), Load(b, y, at(N - 1 - Affine.of(i)))]
    kernel = Kernel(
        "k", (x, y, z), (), [loop(i, [*body, Map(c, "add", (a, b)), Store(z, at(i), c)])]
    )
    s, t, u, v = (vector(name) for name in "stuv")
    steps: list[Step] = [Launch(REVERSE, (X, s)), Launch(REVERSE, (X, t))]
    steps += [Launch(kernel, (s, t, u)), Launch(kernel, (u, u, v)), Copy(Y, v)]
    p = Program((X,), (Y,), (), (s, t, u, v), steps)
    given = np.arange(N, dtype=np.float32)
    expected = run_program(p, [given])
    check_program(plan_memory(p))
    np.testing.assert_array_equal(run_program(p, [given])[0], expected[0])


def test_long_programs_are_planned_fast() -> None:
    p = plan_memory(chain(REVERSE, 5000))
    assert p.arena_bytes == 128
