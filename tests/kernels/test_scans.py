"""Crossing nests and scans of rows: blocks of squares compute the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, few, loop
from weft.kernels.crossing import block_crossings
from weft.kernels.ir import Buffer, Carry, Const, Kernel, Load, Map, Stmt, Store, Var, loops, walk
from weft.kernels.machine import cpu_machine
from weft.kernels.print import print_kernel
from weft.kernels.scans import LONG, SEGMENTS, cut_scans, turn_scans
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.scan import split_scan
from weft.kernels.schedule.stream import stream
from weft.terms.affine import Axis

MACHINE = cpu_machine(2, 16, (32 << 10, 1 << 20, 8 << 20))  # four lanes: small kernels have blocks


def permuted(shape: tuple[int, ...], order: tuple[int, ...]) -> Sample:
    """``y = transpose(x, order) + y0``."""
    axes = [Axis("ijk"[n], shape[n]) for n in range(len(shape))]
    source: list[Axis] = [axes[0]] * len(shape)
    for n, d in enumerate(order):
        source[d] = axes[n]
    x = Buffer("x", tuple(a.extent for a in source), F32)
    y0, y = Buffer("y0", shape, F32), Buffer("y", shape, F32, "output")
    a, b, c = Var(F32), Var(F32), Var(F32)
    body: list[Stmt] = [
        Load(a, x, at(*source)),
        Load(b, y0, at(*axes)),
        Map(c, "add", (a, b)),
        Store(y, at(*axes), c),
    ]
    for axis in reversed(axes):
        body = [loop(axis, body)]
    return Sample(
        Kernel("permuted", (x, y0, y), (), body),
        {a.name: a for a in axes},
        {"x": x, "y0": y0, "y": y},
    )


def running_sums(m: int, n: int) -> Sample:
    """``y[i, j] = sum(x[i, :j + 1]) * w[j]``."""
    i, j = Axis("i", m), Axis("j", n)
    x, w = Buffer("x", (m, n), F32), Buffer("w", (n,), F32)
    y = Buffer("y", (m, n), F32, "output")
    zero, total, a, b, new, out, end = (Var(F32) for _ in range(7))
    body: list[Stmt] = [
        Load(a, x, at(i, j)),
        Map(new, "add", (total, a)),
        Load(b, w, at(j)),
        Map(out, "mul", (new, b)),
        Store(y, at(i, j), out),
    ]
    rows: list[Stmt] = [loop(j, body, carries=(Carry(total, zero, new, end),))]
    kernel = Kernel("sums", (x, w, y), (), [Const(zero, 0.0), loop(i, rows)])
    return Sample(kernel, {"i": i, "j": j}, {"x": x, "w": w, "y": y})


@few
@given(st.integers(1, 45), st.integers(1, 70))
def test_transposed_operands(m: int, n: int) -> None:
    s = permuted((m, n), (1, 0))
    assert_same(s, block_crossings(s.kernel, MACHINE))


@few
@given(st.permutations((0, 1, 2)), st.tuples(*[st.integers(1, 10)] * 3))
def test_permutations(order: list[int], shape: tuple[int, ...]) -> None:
    s = permuted(shape, tuple(order))
    assert_same(s, block_crossings(s.kernel, MACHINE))


def test_blocks_of_squares() -> None:
    s = permuted((64, 64), (1, 0))
    kernel = block_crossings(s.kernel, MACHINE)
    assert [(x.hi, x.step) for x in loops(kernel.body)] == [(64, 32), (64, 16), (32, 4), (16, 4)]


def test_what_agrees_stays() -> None:
    s = permuted((64, 64), (0, 1))
    assert block_crossings(s.kernel, MACHINE) is s.kernel


@few
@given(st.integers(1, 12), st.integers(1, 150))
def test_scans_of_rows(m: int, n: int) -> None:
    s = running_sums(m, n)
    assert_same(s, turn_scans(s.kernel, MACHINE))


def test_scans_are_turned_in_scratch() -> None:
    s = running_sums(8, 128)
    text = print_kernel(turn_scans(s.kernel, MACHINE))
    assert "store x_packed" in text and "load y_packed" in text
    assert "w_packed" not in text  # the same for all rows


@few
@given(st.integers(1, 3), st.integers(4, 30), st.integers(1, 4), st.booleans())
def test_segments(m: int, n: int, count: int, parallel: bool) -> None:
    s = running_sums(m, n)
    assert_same(s, split_scan(s.kernel, s.axes["j"], count, parallel))


def test_long_scans_of_few_rows_are_cut_and_turned() -> None:
    s = running_sums(1, SEGMENTS * LONG + 7)
    kernel = cut_scans(s.kernel, MACHINE)
    assert [b.name for b in kernel.scratch] == ["partial", "before"]
    assert_same(s, turn_scans(kernel, MACHINE))
    many = running_sums(8, SEGMENTS * LONG)
    assert cut_scans(many.kernel, MACHINE) is many.kernel


def test_segments_refuse_other_recurrences() -> None:
    s = running_sums(4, 16)
    with pytest.raises(ScheduleError, match="is inside a parallel loop"):
        split_scan(parallelize(s.kernel, s.axes["i"]), s.axes["j"], 4)
    with pytest.raises(ScheduleError, match="cannot cut the 16 iterations of j:16 into 17 pieces"):
        split_scan(s.kernel, s.axes["j"], 17)
    x, y = Buffer("x", (8,), F32), Buffer("y", (8,), F32, "output")
    i, a, c, new, end, zero = Axis("i", 8), *(Var(F32) for _ in range(5))
    body: list[Stmt] = [Load(a, x, at(i)), Map(new, "sub", (c, a)), Store(y, at(i), new)]
    carries = (Carry(c, zero, new, end),)
    kernel = Kernel("r", (x, y), (), [Const(zero, 0.0), loop(i, body, carries=carries)])
    with pytest.raises(ScheduleError, match="is not a scan by an associative operation"):
        split_scan(kernel, i, 2)


def test_streams_only_what_is_not_read_again() -> None:
    s = permuted((8, 8), (0, 1))
    stores = [x for x in walk(stream(s.kernel, s.buffers["y"]).body) if isinstance(x, Store)]
    assert [x.streaming for x in stores] == [True]
    with pytest.raises(ScheduleError, match="x is read again by the kernel"):
        stream(s.kernel, s.buffers["x"])
