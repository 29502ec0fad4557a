"""Several iterations in one pass: loops of random stencils, in passes of any size, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from tests.levels.test_levels import trace
from weft import lax
from weft.core.bounded import BoundedCache
from weft.kernels import passes, sweeps
from weft.kernels.ir import loops
from weft.kernels.program import Launch, walk_steps
from weft.kernels.program_interpret import run_program
from weft.kernels.sweep_kernel import Size, fits, least_columns
from weft.kernels.sweeps import Sweep
from weft.machines import host_machine
from weft.planning import Record, plan_program

Arrays = list[np.ndarray]


@contextmanager
def forced(size: Size | None, narrow: bool = False) -> Iterator[list[Sweep]]:
    """Every loop that can runs in passes of this size; none does where it is None.

    Strips are as ``narrow`` as they may be. The loops are told.
    """
    found: list[Sweep] = []

    def cheapest(sweep: Sweep, length: int, machine: Any, alone: float) -> Size | None:
        found.append(sweep)
        if size is None:
            return None
        count = next(n for n in range(size.count, -1, -1) if fits(sweep, n))
        columns = 0
        if narrow and sweep.across is not None:
            columns = min(least_columns(sweep, count, machine), sweep.columns)
        return Size(count, size.step, size.chunks, columns) if count else None

    with (
        mock.patch.object(passes, "_cheapest", cheapest),
        mock.patch.object(passes, "_known", BoundedCache(8)),
        mock.patch.object(passes, "LARGE", 0.0),
        mock.patch.object(sweeps, "REACH", 4),
    ):
        yield found


def check(
    function: Callable[..., Any], arrays: Arrays, size: Size, narrow: bool = False
) -> Sweep | None:
    """The same bits with and without passes."""
    closed = trace(lambda *xs: list(function(*xs)), arrays)
    with forced(None):
        expected = run_program(plan_program(closed), arrays)
    with forced(size, narrow) as found:
        program = plan_program(closed)
    for got, want in zip(run_program(program, arrays), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    return found[0] if found else None


def launches(function: Callable[..., Any], arrays: Arrays) -> list[Launch]:
    program = plan_program(trace(lambda *xs: list(function(*xs)), arrays))
    return [s for s in walk_steps(program.steps) if isinstance(s, Launch)]


sizes = st.builds(Size, st.integers(1, 3), st.integers(1, 4), st.integers(1, 2))
points = st.tuples(st.integers(-2, 2), st.integers(-2, 2))


def numbers(*shape: int, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(dtype)


@settings(max_examples=7, deadline=None)
@given(
    size=sizes,
    stencils=st.lists(st.lists(points, min_size=1, max_size=3), min_size=1, max_size=2),
    border=st.sampled_from(["edge", "constant", "kept", "zero", "wrap", "wrapped rows"]),
    rows=st.integers(5, 8),
    length=st.integers(1, 5),
    unrolled=st.booleans(),
    columns=st.sampled_from([5, 9, 100]),
)
def test_random_stencils(
    size: Size,
    stencils: list[list[tuple[int, int]]],
    border: str,
    rows: int,
    length: int,
    unrolled: bool,
    columns: int,
) -> None:
    """One stencil after the other in each iteration, with whatever border, and another array."""

    def stencil(u: Any, around: list[tuple[int, int]]) -> Any:
        n, m = u.shape
        if border == "wrap":
            return sum(0.3 * wnp.roll(u, (a, b), (0, 1)) for a, b in around)
        if border == "wrapped rows":
            p = wnp.pad(u, ((0, 0), (2, 2)))
            return sum(0.3 * wnp.roll(p[:, 2 + b : 2 + b + m], a, 0) for a, b in around)
        if border in ("edge", "constant"):
            p = wnp.pad(u, 2, mode=border)
            return sum(0.3 * p[2 + a : 2 + a + n, 2 + b : 2 + b + m] for a, b in around)
        inside = sum(0.3 * u[2 + a : n - 2 + a, 2 + b : m - 2 + b] for a, b in around)
        base = u if border == "kept" else wnp.zeros_like(u)
        return base.at[2:-2, 2:-2].set(inside)

    def run(u: Any, f: Any) -> Any:
        def step(_: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
            now, before = state
            new = now
            for around in stencils:
                new = stencil(new, around)
            return new + 0.1 * before + f, now

        if unrolled:
            state = (u, u * 2)
            for n in range(length):
                state = step(n, state)
            return state
        return lax.fori_loop(0, length, step, (u, u))

    if border.startswith("wrap"):
        rows += 20
    arrays = [numbers(rows, columns), numbers(columns)]
    sweep = check(run, arrays, size, narrow=columns == 100)
    assert length < 2 or unrolled or sweep is not None


@pytest.mark.parametrize("size", [Size(2, 1, 1), Size(3, 4, 2)])
def test_staggered_arrays(size: Size) -> None:
    """An array that the iteration has just made is read by the next one, beside the old one."""

    def run(e: Any, h: Any) -> Any:
        def step(_: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
            e, h = state
            h = h.at[:-1].add(0.3 * (e[1:] - e[:-1]))
            return e.at[1:-1].add(0.3 * (h[1:-1] - h[:-2])), h

        return lax.fori_loop(0, 7, step, (e, h))

    assert check(run, [numbers(11, 6), numbers(11, 6)], size) is not None


@pytest.mark.parametrize("narrow", [False, True])
def test_planes(narrow: bool) -> None:
    """Strips of three axes lie along the second one."""

    def run(u: Any) -> Any:
        def step(u: Any, _: Any) -> tuple[Any, None]:
            mid = u[1:-1, 1:-1, 1:-1]
            new = mid + 0.1 * (u[2:, 1:-1, 1:-1] + u[1:-1, :-2, 1:-1] + u[1:-1, 1:-1, 2:])
            return u.at[1:-1, 1:-1, 1:-1].set(new), None

        return [lax.scan(step, u, None, length=4)[0]]

    sweep = check(run, [numbers(6, 20, 3, dtype=np.float64)], Size(2, 2, 2), narrow)
    assert sweep is not None and sweep.across == (1, 0)


@pytest.mark.parametrize("shape", [(12, 420), (9, 40, 3)])
def test_stages_that_read_to_both_sides(shape: tuple[int, ...]) -> None:
    """One reads far to the left, the next as far to the right: together they read nearby."""

    def run(u: Any) -> Any:
        def step(_: Any, u: Any) -> Any:
            beside = [(0, 0)] * (u.ndim - 2)
            p = 0.5 * wnp.pad(u, [(1, 1), (3, 0), *beside])
            q = 0.5 * (p[1:-1] + p[:-2] + p[2:]) + 1
            return 0.2 * (q[:, 3:] + q[:, :-3] + q[:, 1:-2])

        return [lax.fori_loop(0, 5, step, u)]

    for narrow in (False, True):
        assert check(run, [numbers(*shape)], Size(3, 2, 2), narrow) is not None


def test_bits_of_cells() -> None:
    """The carry is narrower than what its stages add up."""

    def run(u: Any) -> Any:
        def step(_: Any, u: Any) -> Any:
            p = wnp.pad(u, 1).astype(wnp.int8)
            n, m = u.shape
            beside = [(a, b) for a in range(3) for b in range(3) if (a, b) != (1, 1)]
            s = sum(p[a : a + n, b : b + m] for a, b in beside)
            return (s == 3) | ((s == 2) & u)

        return [lax.fori_loop(0, 5, step, u)]

    assert check(run, [numbers(12, 420) > 0.5], Size(3, 2, 2), narrow=True) is not None


def test_what_cannot_follow_row_by_row() -> None:
    """Sums over rows, transposes, the counter and what data choose: iteration by iteration."""
    bodies: list[Callable[[Any, Any], Any]] = [
        lambda i, u: u - u.mean(0),
        lambda i, u: u.T * 0.5,
        lambda i, u: u + i,
        lambda i, u: u[wnp.argsort(u[:, 0])],
        lambda i, u: u[::-1] * 0.5,
    ]
    for body in bodies:
        with forced(Size(2, 2, 1)) as found:
            plan_program(trace(lambda u, b=body: [lax.fori_loop(0, 4, b, u)], [numbers(40, 40)]))
        assert not found


def test_results_of_loops_in_programs() -> None:
    """What a loop carries is used afterwards, twice returned, and starts from a computed value."""

    def run(u: Any) -> Any:
        v = lax.fori_loop(0, 3, lambda _, u: u.at[1:-1].set(0.5 * (u[:-2] + u[2:])), u * 2)
        w = lax.fori_loop(0, 30, lambda _, u: u.at[1:-1].set(0.5 * (u[:-2] + u[2:])), v + u)
        return v, v, w.sum(), v.at[0, 0].set(1)

    assert check(run, [numbers(9, 20)], Size(2, 2, 2)) is not None


def smooth(u: Any) -> Any:
    return u.at[1:-1].set(0.5 * (u[:-2] + u[2:]))


@pytest.mark.parametrize("length", [2, 5])
def test_unrolled_loops(length: int) -> None:
    """Loops in Python: what is repeated is a loop again, between what comes before and after."""

    def one(u: Any) -> Any:
        for _ in range(length):
            u = smooth(u)
        return [u.sum(0), u]

    def two(u: Any) -> Any:
        v = wnp.tanh(u)
        for _ in range(length):
            u, v = 2 * u - v + 0.1 * wnp.roll(u, 1, 0), u
        return [u, v * 2]

    for function in (one, two):
        assert check(function, [numbers(24, 7)], Size(2, 2, 2)) is not None


def test_repeated_steps_that_are_no_loop() -> None:
    """What is in between is needed afterwards."""

    def kept(u: Any) -> Any:
        states = [u]
        for _ in range(4):
            states.append(smooth(states[-1]))
        return states

    assert check(kept, [numbers(12, 7)], Size(2, 2, 2)) is None


def test_compiled_code_gives_the_same_bits() -> None:
    u = numbers(30, 150)

    def run(u: Any) -> Any:
        def step(_: Any, u: Any) -> Any:
            p = wnp.pad(u, 1, mode="edge")
            rows = (p[:-2] + 2 * p[1:-1] + p[2:]) / 4
            return (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4

        return lax.fori_loop(0, 9, step, u)

    expected = np.asarray(weft.jit(run)(u))
    with forced(Size(4, 3, 2), narrow=True) as found:
        got = np.asarray(weft.jit(lambda u: run(u) * 1)(u))
    assert found
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("length", "unrolled"), [(7, False), (40, False), (7, True)])
def test_the_record_has_each_launch(length: int, unrolled: bool) -> None:
    """What is told of kernels (`weft.profile`) belongs to launches by their order."""

    def run(u: Any) -> Any:
        v = wnp.tanh(u).sum(0) + u
        if unrolled:
            for _ in range(length):
                v = smooth(v)
        else:
            v = lax.fori_loop(0, length, lambda _, v: smooth(v), v)
        return [v * 2]

    record = Record()
    with forced(Size(2, 2, 2)) as found:
        program = plan_program(trace(run, [numbers(24, 7)]), record=record)
    assert found
    planned = [kernel for region in record.regions for kernel, _, _ in region.kernels]
    assert [s.kernel for s in walk_steps(program.steps) if isinstance(s, Launch)] == planned


def test_one_thread_has_no_parallel_loops() -> None:
    """Programs for one thread (C, WebAssembly) have no pool to ask."""
    closed = trace(lambda u: [lax.fori_loop(0, 4, lambda _, u: smooth(u), u)], [numbers(30, 200)])
    with forced(Size(2, 2, 1), narrow=True):
        program = plan_program(closed, machine=host_machine(1))
    for step in walk_steps(program.steps):
        if isinstance(step, Launch):
            assert all(loop.kind != "parallel" for loop in loops(step.kernel.body))


def test_sizes_stay_within_the_cache() -> None:
    machine = host_machine(2)
    with forced(None) as found:
        launches(
            lambda u: [
                lax.fori_loop(0, 50, lambda _, u: u.at[1:-1].set(0.5 * (u[:-2] + u[2:])), u)
            ],
            [np.zeros((64, 1 << 16), np.float32)],
        )
    (sweep,) = found
    for size in passes._sizes(sweep, 50, machine):
        assert passes.bytes_of_column(sweep, size) * size.columns < machine.levels[1].capacity
