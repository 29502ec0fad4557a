"""Short rows in registers, and forwarding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop, matmul, softmax
from weft.kernels.ir import Buffer, Kernel, Load, Map, Stmt, Store, Var, walk
from weft.kernels.machine import cpu_machine
from weft.kernels.rows import keep_rows, turn_rows
from weft.kernels.schedule.forward import forward
from weft.terms.affine import Affine, Axis

MACHINE = cpu_machine(2, 16, (32 << 10, 1 << 20, 8 << 20))


def loads(kernel: Kernel) -> list[Load]:
    return [s for s in walk(kernel.body) if isinstance(s, Load)]


@few
@given(st.integers(1, 20), st.integers(1, 40))
def test_rows_of_any_length(rows: int, columns: int) -> None:
    s = softmax(rows, columns)
    assert_same(s, keep_rows(s.kernel, MACHINE))


def test_rows_shorter_than_a_vector_lie_in_lanes() -> None:
    s = softmax(16, 3)
    kernel = keep_rows(s.kernel, MACHINE)
    (load,) = loads(kernel)
    assert [(a.extent, a in kernel.lanes) for a in load.out.axes] == [(3, False), (4, True)]


def test_longer_rows_lie_across_lanes_side_by_side() -> None:
    s = softmax(16, 12)
    kernel = keep_rows(s.kernel, MACHINE)
    (load,) = loads(kernel)
    assert [(a.extent, a in kernel.lanes) for a in load.out.axes] == [(12, True), (4, False)]


def test_long_rows_and_columns_stay() -> None:
    for s in (softmax(8, 100), matmul(8, 8, 8)):
        assert keep_rows(s.kernel, MACHINE) is s.kernel


def passing_on(between: list[Stmt], x: Buffer, y: Buffer, scratch: Buffer) -> Sample:
    """``s[i] = x[i]; between; y[i] = s[i] + x[i]``."""
    i = Axis("i", 5)
    a, b, c, total = (Var(F32) for _ in range(4))
    body: list[Stmt] = [
        Load(a, x, at(i)),
        Store(scratch, at(i), a),
        *between,
        Load(b, scratch, at(i)),
        Load(c, x, at(i)),
        Map(total, "add", (b, c)),
        Store(y, at(i), total),
    ]
    return Sample(Kernel("pass", (x, y), (scratch,), [loop(i, body)]), {"i": i}, {})


def test_values_are_forwarded_and_scratch_goes() -> None:
    x, y = Buffer("x", (5,), F32), Buffer("y", (5,), F32, "output")
    s = passing_on([], x, y, Buffer("s", (5,), F32, "scratch"))
    kernel = forward(s.kernel)
    assert_same(s, kernel)
    assert len(loads(kernel)) == 1 and kernel.scratch == ()


def test_a_write_in_between_is_not_passed_over() -> None:
    x, y = Buffer("x", (5,), F32), Buffer("y", (5,), F32, "output")
    scratch = Buffer("s", (5,), F32, "scratch")
    k, two, value = Axis("k", 5), Var(F32), Var(F32)
    double: list[Stmt] = [
        Load(value, scratch, at(k)),
        Map(two, "add", (value, value)),
        Store(scratch, at(k), two),
    ]
    s = passing_on([loop(k, double)], x, y, scratch)
    kernel = forward(s.kernel)
    assert [load.buffer.name for load in loads(kernel)] == ["x", "s", "s"]


@few
@given(st.integers(1, 10), st.integers(1, 20))
def test_rows_along_columns_are_turned(rows: int, columns: int) -> None:
    s = column_weights(rows, columns)
    assert_same(s, turn_rows(s.kernel, MACHINE))


def test_one_copy_serves_all_passes() -> None:
    s = column_weights(8, 12)
    kernel = turn_rows(s.kernel, MACHINE)
    assert [b.name for b in kernel.scratch] == ["row", "x_packed"]
    assert [x.buffer.name for x in loads(kernel)] == ["x", "x_packed", "row", "x_packed"]


@few
@given(st.integers(1, 6), st.integers(1, 12))
def test_rows_that_walk_two_dimensions_are_turned(blocks: int, columns: int) -> None:
    s = column_weights(2 * blocks, columns, 2)
    assert_same(s, turn_rows(s.kernel, MACHINE))


def test_turned_rows_that_walk_two_dimensions_are_contiguous() -> None:
    kernel = turn_rows(column_weights(8, 12, 2).kernel, MACHINE)
    (packed,) = (b for b in kernel.scratch if b.name == "x_packed")
    assert packed.shape == (2, 2, 12)


@pytest.mark.parametrize("n", [4, 5, 8])
def test_windows_over_a_repeated_edge_whose_first_read_stays_are_sorted(n: int) -> None:
    """What reads the corner does not move with the row that others walk: `StopIteration` once."""
    x = np.random.default_rng(n).random((n, n), np.float32)

    def windows(xp: Any, x: Any) -> Any:
        q = xp.pad(x, 1, mode="edge")
        return xp.sort(xp.stack([q[:n, :n], q[1 : n + 1, :n]]), axis=0)

    found = weft.jit(lambda x: windows(wnp, x))(x)
    np.testing.assert_array_equal(np.asarray(found), windows(np, x))


def column_weights(rows: int, columns: int, block: int = 0) -> Sample:
    """``row[j] = 2·x[j, i]; y[i, j] = row[j] + x[j, i]``: rows of ``y`` are columns of ``x``.

    With a ``block``, ``i`` walks two dimensions: ``x[j, i // block, i % block]``.
    """
    i, j, k = Axis("i", rows), Axis("j", columns), Axis("k", columns)
    down = Affine.of(i)
    places = (down.floordiv(block), down.mod(block)) if block else (down,)
    shape = (columns, rows // block, block) if block else (columns, rows)
    x, y = Buffer("x", shape, F32), Buffer("y", (rows, columns), F32, "output")
    row = Buffer("row", (columns,), F32, "scratch")
    a, b, c, d, e = (Var(F32) for _ in range(5))
    first: list[Stmt] = [
        Load(a, x, (Affine.of(j), *places)),
        Map(b, "add", (a, a)),
        Store(row, at(j), b),
    ]
    second: list[Stmt] = [
        Load(c, row, at(k)),
        Load(d, x, (Affine.of(k), *places)),
        Map(e, "add", (c, d)),
        Store(y, at(i, k), e),
    ]
    body: list[Stmt] = [loop(i, [loop(j, first), loop(k, second)])]
    return Sample(Kernel("weights", (x, y), (row,), body), {"i": i}, {"x": x, "y": y})
