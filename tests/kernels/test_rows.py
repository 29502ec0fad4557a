"""Short rows in registers, and forwarding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop, matmul, softmax
from weft.kernels.ir import Buffer, Kernel, Load, Map, Stmt, Store, Var, walk
from weft.kernels.machine import cpu_machine
from weft.kernels.rows import keep_rows, turn_rows
from weft.kernels.schedule.forward import forward
from weft.terms.affine import Axis

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


def column_weights(rows: int, columns: int) -> Sample:
    """``row[j] = 2·x[j, i]; y[i, j] = row[j] + x[j, i]``: rows of ``y`` are columns of ``x``."""
    i, j, k = Axis("i", rows), Axis("j", columns), Axis("k", columns)
    x, y = Buffer("x", (columns, rows), F32), Buffer("y", (rows, columns), F32, "output")
    row = Buffer("row", (columns,), F32, "scratch")
    a, b, c, d, e = (Var(F32) for _ in range(5))
    first: list[Stmt] = [Load(a, x, at(j, i)), Map(b, "add", (a, a)), Store(row, at(j), b)]
    second: list[Stmt] = [
        Load(c, row, at(k)),
        Load(d, x, at(k, i)),
        Map(e, "add", (c, d)),
        Store(y, at(i, k), e),
    ]
    body: list[Stmt] = [loop(i, [loop(j, first), loop(k, second)])]
    return Sample(Kernel("weights", (x, y), (row,), body), {"i": i}, {"x": x, "y": y})
