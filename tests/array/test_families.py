"""One program for a class of shapes: right for all of them, at every level, compiled once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from tests.levels import programs as random_programs
from weft.array import delayed, families, immediate
from weft.compile import OpenProgram, compile_family, compiled
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.jaxpr import ClosedJaxpr
from weft.core.shape_classes import NoClassError, ShapeClass, shape_class, sizes_at
from weft.core.staging import trace_to_jaxpr
from weft.kernels.instantiate import instantiate_program
from weft.kernels.program_check import check_program
from weft.kernels.program_interpret import run_program

Function = Callable[..., Any]

#: Functions of a matrix and a vector as long as its rows.
FUNCTIONS: dict[str, Function] = {
    "broadcast": lambda x, y: wnp.sin(x) * y + 1,
    "flat": lambda x, y: x * 3 + x,
    "stencil": lambda x, y: x[1:-1, 2:] + x[1:-1, :-2] - x[:-2, 1:-1],
    "rows": lambda x, y: x.sum(1, keepdims=True) + x * y,
    "columns": lambda x, y: wnp.max(x, 0) - y,
    "everything": lambda x, y: (x * x).sum(),
    "mean": lambda x, y: wnp.prod(x * 0.01 + 1, axis=1),
    "every_other": lambda x, y: x.reshape(-1)[3::2] * 2,
    "transposed": lambda x, y: wnp.exp(-x.T).sum(0),
    "turned": lambda x, y: x.T * 2 + y[:, None],
    "turned_back": lambda x, y: wnp.flip(x.T, 0)[:, 1:] + 1,
    "joined": lambda x, y: wnp.concatenate([x, x[:20], y[None]]).T,
    "backwards": lambda x, y: x[::-1] * y[::-1],
    "argmax": lambda x, y: wnp.argmax(x, 1),
    "padded": lambda x, y: wnp.pad(x, ((1, 1), (0, 2))),
    "softmax": lambda x, y: weft.nn.softmax(x, axis=-1),
    "counted": lambda x, y: (x > y).sum(0),
    "tested": lambda x, y: wnp.where(x > 0, x, y).any(1),
    "indices": lambda x, y: wnp.arange(x.shape[1]) * x,
    "split": lambda x, y: wnp.repeat(x[:, None, :], 3, 1).reshape(-1, x.shape[1]).sum(0),
    "column": lambda x, y: x[:, 5] * x[:, 7] - x[3, 0],
    "integers": lambda x, y: (x * 10).astype(np.int32) // 3,
    "halves": lambda x, y: x.astype(np.float16) + y.astype(np.float16),
    "doubles": lambda x, y: x.astype(np.float64).sum(1),
    "product": lambda x, y: x[:20] @ x.T + y[:1],
    "times_vector": lambda x, y: wnp.tanh(x @ y),
    "running": lambda x, y: wnp.cumsum(x, 0) * y,
    "running_back": lambda x, y: weft.lax.cummax(x, 1, reverse=True),
    "tiled_backwards": lambda x, y: wnp.tile(x, (2, 1))[::-1] * y,
    "tiled_against_itself": lambda x, y: wnp.tile(x, (2, 1)) - wnp.flip(wnp.tile(x, (2, 1)), 0),
    "complex": lambda x, y: (x + 1j * y).real * 2 + wnp.abs(x * 1j),
}

rows = st.integers(22, 90)


def traced(function: Function, shapes: Sequence[tuple[int, ...]]) -> ClosedJaxpr:
    return trace_to_jaxpr(lambda *xs: [function(*xs)], [ShapedArray(s, np.float32) for s in shapes])


def matrix(n: int, m: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, m), np.float32), rng.standard_normal(m, np.float32)


def classified(name: str, n: int, m: int) -> ShapeClass:
    return shape_class(traced(FUNCTIONS[name], [(n, m), (m,)]))


_compiled: dict[tuple[str, Any], OpenProgram] = {}


def open_program(name: str, instance: ShapeClass) -> OpenProgram:
    """The program of a class, compiled and checked for all its shapes once."""
    found = _compiled.get((name, instance.key))
    if found is None:
        found = _compiled[name, instance.key] = compile_family(instance.family())
        check_program(found.program)
    return found


def agree(actual: Any, expected: np.ndarray) -> None:
    actual = np.asarray(actual)
    assert actual.shape == expected.shape and actual.dtype == expected.dtype
    scale = 1 + np.max(np.abs(expected), initial=0)
    low = expected.dtype == np.float16
    np.testing.assert_allclose(actual, expected, rtol=1e-2 if low else 2e-5, atol=2e-5 * scale)


@pytest.mark.parametrize("name", FUNCTIONS)
@settings(max_examples=4)
@given(rows, rows, st.integers(0, 1 << 30))
def test_one_program_is_right_for_every_shape_of_its_class(
    name: str, n: int, m: int, seed: int
) -> None:
    assume(n != m)
    instance = classified(name, n, m)
    program = open_program(name, instance)
    before = compiled.count
    arrays = matrix(n, m, seed)
    expected = eval_jaxpr_numpy(instance.closed.jaxpr, [], *arrays)
    for actual, value in zip(program.at(instance)(*arrays), expected, strict=True):
        agree(actual, value)
    assert compiled.count == before


@pytest.mark.parametrize("name", ["broadcast", "stencil", "everything", "joined", "softmax"])
@pytest.mark.parametrize(("n", "m"), [(22, 31), (70, 23)])
def test_every_level_says_the_same(name: str, n: int, m: int) -> None:
    instance = classified(name, n, m)
    program = open_program(name, instance)
    sizes = program.family.sizes
    values = program.family.values_of(instance)
    at = instantiate_program(program.program, sizes_at(sizes, values))
    check_program(at)
    arrays = matrix(n, m, n)
    expected = eval_jaxpr_numpy(instance.closed.jaxpr, [], *arrays)
    with np.errstate(all="ignore"):
        for actual, value in zip(run_program(at, arrays), expected, strict=True):
            agree(actual, value)


@settings(max_examples=40)
@given(random_programs.programs)
def test_random_programs_of_a_class_are_right_at_every_level(
    program: random_programs.Program,
) -> None:
    arrays = random_programs.inputs_of(program)
    closed = trace_to_jaxpr(program, [ShapedArray(x.shape, x.dtype) for x in arrays])
    try:
        instance = shape_class(closed)
        opened = compile_family(instance.family())
    except NoClassError:
        return
    family = opened.family
    values = sizes_at(family.sizes, family.values_of(instance))
    check_program(instantiate_program(opened.program, values))
    expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
    for actual, value in zip(opened.at(instance)(*arrays), expected, strict=True):
        agree(actual, value)


def test_sizes_made_of_small_extents_are_no_class() -> None:
    closed = traced(lambda x: wnp.pad(x, 2) + 1, [(15,)])
    with pytest.raises(NoClassError, match="all extents are small"):
        shape_class(closed).family()


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> families.Counts:
    """Nothing is known yet."""
    counts = families.Counts()
    monkeypatch.setattr(families, "counts", counts)
    monkeypatch.setattr(families, "_families", type(families._families)(64))
    monkeypatch.setattr(delayed, "_cache", type(delayed._cache)())
    delayed._state.segment = None
    immediate.clear()
    return counts


def eager(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    a, b = wnp.asarray(x), wnp.asarray(y)
    c = (a + b) * 2
    d = c[1:-1] - c[:-2]
    return np.asarray(wnp.mean(wnp.tanh(d), 1) + wnp.max(d))


def test_a_new_shape_of_a_known_class_compiles_nothing(fresh: families.Counts) -> None:
    eager(*matrix(40, 50, 0))
    first = compiled.count
    for n, m in ((33, 77), (77, 31), (61, 30), (40, 51)):
        x, y = matrix(n, m, m)
        c = (x + y) * 2
        d = c[1:-1] - c[:-2]
        np.testing.assert_allclose(eager(x, y), np.tanh(d).mean(1) + d.max(), rtol=1e-5, atol=1e-5)
    assert compiled.count == first
    assert fresh.compiled == 1 and fresh.bound == 4 and not fresh.exact


def test_slices_at_different_places_share_a_program(fresh: families.Counts) -> None:
    x = wnp.arange(5000.0)
    for start in range(0, 40, 3):
        total = x[start + 1 : start + 3001] - x[start : start + 3000]
        assert np.asarray(total).tolist() == [1.0] * 3000
    assert fresh.compiled <= 2 and fresh.bound >= 12


def test_a_class_of_which_only_arrays_that_it_makes_have_sizes(fresh: families.Counts) -> None:
    number = wnp.asarray(np.float32(2))
    number.materialise()
    for size in (30, 41):
        rows = wnp.reshape(wnp.broadcast_to(number, (size,)), (1, size))
        assert np.asarray(wnp.concatenate([rows, -rows])).tolist() == [[2.0] * size, [-2.0] * size]
    assert fresh.compiled == 1 and fresh.bound == 1


def test_rows_of_small_arrays_share_a_program(fresh: families.Counts) -> None:
    x = wnp.asarray(np.arange(160, dtype=np.float32).reshape(16, 10))
    for row in range(1, 15):
        here = weft.lax.index_in_dim(x, row, keepdims=False)
        below = weft.lax.index_in_dim(x, row + 1, keepdims=False)
        assert float((here * 2 - below).sum()) == 100.0 * row - 55
    assert fresh.compiled == 1 and fresh.bound == 13 and not fresh.exact


def test_what_has_no_class_is_counted_with_the_reason(fresh: families.Counts) -> None:
    a = wnp.ones((100, 200))
    weft.compute(a @ a.T)
    weft.compute(wnp.ones(3) + 1)
    weft.compute(wnp.ones(40)[wnp.arange(30)])
    weft.compute(wnp.ones((1000, 1000)) * 2)
    assert fresh.exact == {
        "a product is large": 1,
        "all extents are small": 1,
        "gather is compiled for exact shapes": 1,
        "an array is large": 1,
    }


def test_equal_and_different_extents_are_different_classes() -> None:
    keys = {classified("rows", n, m).key for n, m in ((30, 40), (41, 73), (40, 40), (30, 16))}
    assert len(keys) == 3


def test_extents_composed_in_two_ways_have_no_class() -> None:
    closed = traced(lambda x: x.reshape(30, 40) + x.reshape(20, 60)[:1, :40], [(1200,)])
    with pytest.raises(NoClassError, match="an extent is composed in two ways"):
        shape_class(closed).family()


def test_a_reshape_that_neither_splits_nor_merges_has_no_class() -> None:
    with pytest.raises(NoClassError, match="neither splits nor merges"):
        shape_class(traced(lambda x: x.reshape(45, 20), [(30, 30)]))


def test_the_program_of_a_class_prints_its_sizes() -> None:
    from weft.kernels.program_print import print_program

    text = print_program(open_program("broadcast", classified("broadcast", 30, 40)).program)
    assert "f32[n0,n1]" in text and "serial i in 0:n0" in text and "< n1" in text


def test_programs_follow_the_settings(fresh: families.Counts) -> None:
    def program() -> None:
        np.asarray(wnp.exp(wnp.ones((20, 30))) * 2 + 1)

    before = weft.config.threads
    program()
    program()
    assert fresh.compiled == 1
    weft.config.threads = before + 1
    try:
        program()
    finally:
        weft.config.threads = before
    assert fresh.compiled == 2


def test_a_size_that_its_class_forces_is_a_number(fresh: families.Counts) -> None:
    """In differences of joined arrays the start of a slice is 1 whatever the length."""
    for n in (4, 6, 9, 20, 33, 57):
        squares = np.arange(n) ** 2
        x, last = wnp.asarray(squares), wnp.asarray([100], dtype=squares.dtype)
        x.materialise(), last.materialise()
        found = wnp.diff(x, append=last)
        assert found.tolist() == np.diff(np.append(squares, 100)).tolist()
        immediate.clear()
    assert fresh.compiled == 1 and set(fresh.exact) == {"all extents are small"}
