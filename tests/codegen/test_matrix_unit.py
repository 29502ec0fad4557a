"""Loops on a matrix unit: which ones, that they mean the same, their price and their code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kernels.samples import at, loop, matmul
from weft.codegen.kernel_llvm import emit_kernel
from weft.codegen.llvm_text import Module
from weft.codegen.scalar_llvm import Target
from weft.kernels.check import KernelError, check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Buffer, Carry, Const, Kernel, Load, Map, Store, Var, loops
from weft.kernels.machine import cpu_machine
from weft.kernels.price.price import price
from weft.kernels.print import print_kernel
from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.matrix import on_unit
from weft.kernels.schedule.numbers import default_params, params_on_unit
from weft.kernels.schedule.tree import replace_loop
from weft.runtime.native import host_cpu
from weft.terms.affine import Axis
from weft.terms.dots import DOTS, MATRIX_UNITS, WORD, MatrixUnit, units_of
from weft.terms.monoids import ADD

CACHES = (48 << 10, 2 << 20, 32 << 20)
WITHOUT = cpu_machine(2, 64, CACHES)
WITH = replace(WITHOUT, units=MATRIX_UNITS)
AMX = frozenset().union(*(unit.features for unit in MATRIX_UNITS))

units = st.sampled_from(MATRIX_UNITS)
#: Interpreted tiles and code of many registers take their time.
few = settings(max_examples=8, deadline=None, derandomize=True)
sizes = st.integers(2, 50)
terms = st.integers(1, 40)


def words(
    m: int,
    n: int,
    k: int,
    dot: str,
    swapped: bool = False,
    strides: tuple[int, ...] | None = None,
) -> Kernel:
    """``c[i,j] = Σ dot(a[i,k], w[k,j])`` over words of narrow numbers, or of swapped sides."""
    i, j, kk, total = Axis("i", m), Axis("j", n), Axis("k", k), DOTS[dot].total
    a, w = Buffer("a", (m, k), WORD, strides=strides), Buffer("w", (k, n), WORD)
    c = Buffer("c", (m, n), total, "output")
    x, y = Var(WORD), Var(WORD)
    zero, acc, new, result = (Var(total) for _ in range(4))
    pair = (y, x) if swapped else (x, y)
    fold = loop(
        kk,
        [Load(x, a, at(i, kk)), Load(y, w, at(kk, j)), Map(new, dot, (*pair, acc))],
        carries=(Carry(acc, zero, new, result),),
        fold=ADD,
    )
    nest = loop(i, [loop(j, [fold, Store(c, at(i, j), result)])])
    return Kernel("words", (a, w, c), (), [Const(zero, 0), nest])


def operands(m: int, n: int, k: int, dot: str, swapped: bool = False) -> list[np.ndarray]:
    """Words of any integers, or of small floats, whose sums are exact."""
    rng = np.random.default_rng(m + 70 * n)
    kinds = [DOTS[dot].left, DOTS[dot].right][:: -1 if swapped else 1]
    out = []
    for shape, part in zip(((m, k), (k, n)), kinds, strict=True):
        lo, hi = (-8, 9) if part.kind not in "iu" else (np.iinfo(part).min, np.iinfo(part).max + 1)
        parts = rng.integers(lo, hi, (*shape, DOTS[dot].count)).astype(part)
        out.append(np.ascontiguousarray(parts).view(WORD)[..., 0])
    return out


def product(a: np.ndarray, w: np.ndarray, dot: str, swapped: bool) -> np.ndarray:
    """What `words` computes, all rows and columns at once."""
    first, second = (w.T, a.T) if swapped else (a, w)
    want = np.zeros((len(first), second.shape[1]), DOTS[dot].total)
    for p in range(len(second)):
        pair = np.broadcast_arrays(first[:, p, None], second[None, p, :])
        want = DOTS[dot].meaning(*pair, want)
    return want.T if swapped else want


def scheduled(kernel: Kernel, unit: MatrixUnit, block: int, pack: bool) -> Kernel:
    params = Params(32, 32, block, 64, 1, pack, pack, "none", unit=unit)
    return schedule_contraction(kernel, params)


@pytest.mark.parametrize("unit", MATRIX_UNITS, ids=lambda unit: unit.dot)
@pytest.mark.parametrize("swapped", [False, True])
def test_the_loop_before_means_the_product(unit: MatrixUnit, swapped: bool) -> None:
    """What the other tests compare with, for the loop as it is given: few words, one by one."""
    kernel = words(7, 5, 6, unit.dot, swapped)
    a, w = operands(7, 5, 6, unit.dot, swapped)
    (got,) = run_kernel(kernel, dict(zip(kernel.params[:2], (a, w), strict=True))).values()
    np.testing.assert_array_equal(got, product(a, w, unit.dot, swapped))


@few
@given(sizes, sizes, terms, units, st.integers(16, 40), st.booleans(), st.booleans())
def test_it_means_the_same_on_a_unit(
    m: int, n: int, k: int, unit: MatrixUnit, block: int, pack: bool, swapped: bool
) -> None:
    kernel = words(m, n, k, unit.dot, swapped)
    there = scheduled(kernel, unit, block, pack)
    check_kernel(there)
    a, w = operands(m, n, k, unit.dot, swapped)
    (got,) = run_kernel(there, dict(zip(kernel.params[:2], (a, w), strict=True))).values()
    np.testing.assert_array_equal(got, product(a, w, unit.dot, swapped))
    assert any(x.unit is unit for x in loops(there.body))
    assert f"on {unit.name}" in print_kernel(there)


@few
@given(sizes, sizes, terms, units, st.integers(16, 40), st.booleans(), st.booleans())
def test_machine_code_on_a_unit(
    native: type,
    m: int,
    n: int,
    k: int,
    unit: MatrixUnit,
    block: int,
    pack: bool,
    swapped: bool,
) -> None:
    if unit not in units_of(features()):
        pytest.skip(f"this processor has no {unit.name} for {unit.dot}")
    there = scheduled(words(m, n, k, unit.dot, swapped), unit, block, pack)
    a, w = operands(m, n, k, unit.dot, swapped)
    got = np.zeros((m, n), DOTS[unit.dot].total)
    table = np.array([0, *(x.ctypes.data for x in (a, w, got)), 0], np.int64)
    text = text_of(there, features()).replace(
        "@weft_interrupts = external global i32", "@weft_interrupts = global i32 0"
    )
    native(text).call("run", table.ctypes.data)
    np.testing.assert_array_equal(got, product(a, w, unit.dot, swapped))


def features() -> frozenset[str]:
    return frozenset(f[1:] for f in host_cpu().features.split(",") if f.startswith("+"))


def text_of(kernel: Kernel, features: frozenset[str]) -> str:
    module = Module()
    symbol = emit_kernel(module, kernel, Target(64, features))
    f = module.function("run", ["ptr %args"])
    f.do(f"call void {symbol}(ptr %args)")
    f.ret()
    return module.text()


@pytest.mark.parametrize("unit", MATRIX_UNITS, ids=lambda unit: unit.dot)
def test_its_code_configures_multiplies_and_releases(unit: MatrixUnit) -> None:
    kernel = scheduled(words(32, 32, 40, unit.dot), unit, 64, False)
    text = text_of(kernel, AMX)
    product = {"dot_bf16": "tdpbf16ps", "dot_u8s8": "tdpbusd"}[unit.dot]
    # Whole matrices of 16 words in a loop, then one of the 8 that are left.
    assert text.count("call void @llvm.x86.ldtilecfg(") == 2
    assert text.count(f"call void @llvm.x86.{product}(") == 2 * 4
    assert text.count("call void @llvm.x86.tilezero(") == 4
    assert text.count("call void @llvm.x86.tilestored64(") == 2 * 4
    assert text.count("call void @llvm.x86.tilerelease(") == 2


def test_bytes_of_exchanged_sides_keep_their_signs() -> None:
    unit = next(u for u in MATRIX_UNITS if u.dot == "dot_u8s8")
    text = text_of(scheduled(words(32, 32, 16, unit.dot, swapped=True), unit, 64, False), AMX)
    assert "call void @llvm.x86.tdpbsud(" in text
    assert "tdpbusd" not in text


def test_processors_without_a_unit_run_the_loop_as_any_other() -> None:
    unit = MATRIX_UNITS[0]
    text = text_of(scheduled(words(32, 32, 16, unit.dot), unit, 64, False), frozenset(("avx512f",)))
    assert "tile" not in text
    assert units_of(frozenset(("amx-tile",))) == ()


def test_a_loop_of_other_products_is_refused() -> None:
    sample = matmul(32, 32, 32)
    with pytest.raises(ScheduleError, match="no fold of outer products"):
        on_unit(sample.kernel, sample.axes["k"], MATRIX_UNITS[0])
    marked = replace_loop(
        sample.kernel, sample.axes["k"], lambda x: [replace(x, unit=MATRIX_UNITS[0])]
    )
    with pytest.raises(KernelError, match="cannot run this loop"):
        check_kernel(marked)


def test_operands_that_lie_across_are_refused() -> None:
    """A unit reads rows of neighbours along the fold; one operand turned has to be packed."""
    unit = MATRIX_UNITS[0]
    kernel = words(64, 64, 64, unit.dot, strides=(1, 64))
    with pytest.raises(ScheduleError, match="as they lie"):
        scheduled(kernel, unit, 64, pack=False)
    check_kernel(scheduled(kernel, unit, 64, pack=True))


@few
@given(st.integers(128, 512), st.integers(128, 512), st.integers(64, 512), units)
def test_its_price_is_below_that_of_vectors(m: int, n: int, k: int, unit: MatrixUnit) -> None:
    kernel = words(m, n, k, unit.dot)
    found = find_contractions(kernel)[0]
    vectors = replace(default_params(found, 2), pack_left=True, pack_right=True, parallel="rows")
    there = params_on_unit(vectors, found, WITH)
    assert there.unit is unit
    assert params_on_unit(vectors, found, WITHOUT) == vectors
    prices = [price(schedule_contraction(kernel, p), WITH).seconds for p in (there, vectors)]
    assert prices[0] < prices[1]


@pytest.mark.parametrize("m, n", [(8, 64), (64, 8)])
def test_few_rows_or_columns_stay_with_vectors(m: int, n: int) -> None:
    found = find_contractions(words(m, n, 64, "dot_bf16"))[0]
    params = replace(default_params(found, 2), parallel="rows")
    assert params_on_unit(params, found, WITH) == params
