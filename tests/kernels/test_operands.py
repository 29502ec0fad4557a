"""Computed operands: set apart, scheduled, and computed again where the schedule reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kernels.equality import assert_same
from tests.kernels.samples import F32, Sample, at, evaluations, few, loop, matmul
from weft.kernels.ir import (
    Buffer,
    Carry,
    Const,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    walk,
)
from weft.kernels.print import print_kernel
from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.operands import rejoin, set_apart
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import ADD

sizes = st.integers(1, 13)
small = Params(rows=2, columns=4, block=6, row_block=4, unroll=2)


def computed(m: int, n: int, k: int, batch: int = 0, left: bool = True) -> Sample:
    """``c[b, i, j] = sum_k (a[b, i, k] - s[i])·k · exp(w[k, j])``, or of ``a · exp``."""
    b, i, j, kk = Axis("b", batch), Axis("i", m), Axis("j", n), Axis("k", k)
    outer, lead = ((b,), (batch,)) if batch else ((), ())
    a, w = Buffer("a", (*lead, m, k), F32), Buffer("w", (k, n), F32)
    s, c = Buffer("s", (m,), F32), Buffer("c", (*lead, m, n), F32, "output")
    zero, x, y, r, d, p, f, e, acc, new, total = (Var(F32) for _ in range(11))
    element: list[Stmt] = [
        Load(x, a, at(*outer, i, kk)),
        Load(y, w, at(kk, j)),
        Map(e, "exp", (y,)),
    ]
    if left:
        element += [
            Map(d, "sub", (x, r)),
            Iota(p, Affine.of(kk)),
            Map(f, "mul", (d, p)),
        ]
    element.append(Map(new, "fma", (f if left else x, e, acc)))
    fold = loop(kk, element, carries=(Carry(acc, zero, new, total),), fold=ADD)
    row: list[Stmt] = [Load(r, s, at(i))] if left else []
    nest: Stmt = loop(i, [*row, loop(j, [fold, Store(c, at(*outer, i, j), total)])])
    if batch:
        nest = loop(b, [nest])
    kernel = Kernel("computed", (a, w, s, c), (), [Const(zero, 0.0), nest])
    return Sample(kernel, {"i": i, "j": j, "k": kk}, {"a": a, "w": w, "s": s, "c": c})


def scheduled(kernel: Kernel, params: Params) -> Kernel:
    (contraction,) = find_contractions(kernel)
    apart, operands = set_apart(kernel, contraction)
    (contraction,) = find_contractions(apart)
    return rejoin(schedule_contraction(apart, params, contraction), operands)


@few
@given(
    sizes,
    sizes,
    sizes,
    st.sampled_from([0, 0, 3]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["rows", "columns", "none", "batch"]),
)
def test_any_size(
    m: int, n: int, k: int, batch: int, left: bool, right: bool, parallel: str
) -> None:
    if parallel == "batch" and not batch:
        parallel = "rows"
    s = computed(m, n, k, batch)
    assert_same(s, scheduled(s.kernel, Params(2, 4, 6, 4, 2, left, right, parallel)))


@pytest.mark.parametrize("left", [True, False])
def test_what_is_packed_is_computed_once_per_element(left: bool) -> None:
    s = computed(8, 12, 12, left=left)
    k = scheduled(s.kernel, small)
    assert_same(s, k)
    assert evaluations(k, "exp") == 12 * 12
    assert evaluations(k, "sub") == (8 * 12 if left else 0)
    assert [b.name for b in k.params] == ["a", "w", "s", "c"]


def test_what_would_be_computed_again_and_again_is_computed_before() -> None:
    s = computed(8, 12, 12)
    k = scheduled(s.kernel, Params(2, 4, 6, 4, 2, False, False, "rows"))
    assert_same(s, k)
    assert evaluations(k, "exp") == 12 * 12 and evaluations(k, "sub") == 8 * 12
    assert all(b.level == "shared" for b in k.scratch)


def test_plain_operands_stay_as_they_are() -> None:
    s = matmul(8, 12, 12)
    (contraction,) = find_contractions(s.kernel)
    assert set_apart(s.kernel, contraction) == (s.kernel, ())


def test_operands_read_from_what_the_kernel_writes_are_not_moved() -> None:
    s = computed(4, 4, 4)
    written = s.buffers["w"]
    zero = Var(F32)
    head: list[Stmt] = [Const(zero, 1.0), Store(written, (Affine(), Affine()), zero)]
    kernel = s.kernel.evolve(body=[*head, *s.kernel.body])
    (contraction,) = find_contractions(kernel)
    apart, operands = set_apart(kernel, contraction)
    assert len(operands) == 1 and "exp" in print_kernel(apart)
    assert any(isinstance(x, Load) and x.buffer is written for x in walk(apart.body))


def test_a_factor_inside_the_other_is_computed_for_both() -> None:
    """``c[i, j] = sum_k exp(a[i, k]) · (exp(a[i, k]) + w[k, j])``."""
    i, j, kk = Axis("i", 6), Axis("j", 8), Axis("k", 10)
    a, w = Buffer("a", (6, 10), F32), Buffer("w", (10, 8), F32)
    c = Buffer("c", (6, 8), F32, "output")
    zero, x, y, e, p, acc, new, total = (Var(F32) for _ in range(8))
    element: list[Stmt] = [
        Load(x, a, at(i, kk)),
        Map(e, "exp", (x,)),
        Load(y, w, at(kk, j)),
        Map(p, "add", (e, y)),
        Map(new, "fma", (e, p, acc)),
    ]
    fold = loop(kk, element, carries=(Carry(acc, zero, new, total),), fold=ADD)
    nest = loop(i, [loop(j, [fold, Store(c, at(i, j), total)])])
    kernel = Kernel("twice", (a, w, c), (), [Const(zero, 0.0), nest])
    s = Sample(kernel, {"i": i, "j": j, "k": kk}, {"a": a, "w": w, "c": c})
    (contraction,) = find_contractions(kernel)
    apart, operands = set_apart(kernel, contraction)
    assert len(operands) == 2
    assert_same(s, rejoin(apart, operands))
