"""Small operations that recur: run at once, with the same bits and the same errors."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft.array import immediate


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(immediate, "WORTH_COMPILING", 3)
    immediate.clear()
    yield
    immediate.clear()


def ready(data):
    x = wnp.asarray(np.asarray(data, np.float32))
    x.materialise()
    return x


def is_pending(x) -> bool:
    return x._pending is not None


def test_an_operation_is_delayed_until_it_has_recurred():
    x = ready([1, 2, 3])
    pending = [is_pending(x + x) for _ in range(5)]
    assert pending == [True, True, True, False, False]


def test_results_are_the_same_before_and_after():
    x = ready(np.linspace(-3, 3, 100))
    results = {(wnp.tanh(x * x + x)).tobytes() for _ in range(8)}
    assert len(results) == 1


def test_types_and_parameters_have_programs_of_their_own():
    x = ready(np.arange(6.0))
    for _ in range(5):
        rows, columns = x.reshape(2, 3), x.reshape(3, 2)
        ints = x.astype(wnp.int32)
    assert rows.shape == (2, 3)
    assert columns.shape == (3, 2)
    assert ints.dtype == np.int32
    assert rows.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert ints.tolist() == [0, 1, 2, 3, 4, 5]


def test_operands_that_are_pending_are_not_forced():
    x = ready([1, 2, 3])
    for _ in range(5):
        x + x
    pending = wnp.cumsum(x)
    assert is_pending(pending + pending)


def test_reductions_and_products_run_at_once_too():
    x = ready(np.arange(16.0).reshape(4, 4))
    for _ in range(6):
        total, product, picked = x.sum(0), x @ x, x[2]
    assert not any(map(is_pending, (total, product, picked)))
    values = np.arange(16.0, dtype=np.float32).reshape(4, 4)
    assert total.tolist() == values.sum(0).tolist()
    assert product.tolist() == (values @ values).tolist()


def test_large_arrays_and_operations_with_several_results_stay_delayed():
    large, small = ready(np.ones(immediate.SMALL)), ready(np.ones(10))
    for _ in range(6):
        sums = large + large
        values, _ = weft.lax.top_k(small, 2)
    assert is_pending(sums)
    assert is_pending(values)


def test_parameters_without_a_hash_do_not_matter():
    def called(a):
        return a + 1

    x = ready([1, 2, 3])
    for _ in range(6):
        y = weft.pure_callback(called, weft.ShapeDtypeStruct((3,), np.float32), x)
    assert y.tolist() == [2, 3, 4]


def test_programs_are_bounded(monkeypatch):
    monkeypatch.setattr(immediate, "LIMIT", 2)
    for n in range(1, 8):
        x = ready(np.ones(n))
        for _ in range(4):
            y = x * x
        assert y.tolist() == [1] * n
    assert len(immediate.programs) <= 2


def test_a_deleted_operand_is_an_error():
    x = ready([1, 2, 3])
    for _ in range(5):
        x + x
    x.delete()
    with pytest.raises(RuntimeError, match="delete"):
        (x + x).tolist()


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.float64, np.int8, np.float16])
@pytest.mark.parametrize("number", [2, 0.5, -0.0, True, 3.0e38, 300, float("nan")])
def test_numbers_that_recur_mean_the_same(dtype, number):
    x = wnp.asarray(np.arange(1, 5).astype(dtype))
    x.materialise()
    seen = set()
    for _ in range(8):
        try:
            results = [x * number, number - x, x / number if number else x]
            seen.add(tuple((str(r.aval), r.tobytes()) for r in results))
        except OverflowError as error:
            seen.add(str(error))
    assert len(seen) == 1


def test_numbers_in_traces_stay_numbers():
    x = ready(np.ones(4))
    for _ in range(8):
        x * 2.5
    assert "2.5" in str(weft.make_jaxpr(lambda y: y + x * 2.5)(x))


def test_programs_made_while_settings_change_are_not_kept(monkeypatch):
    find = immediate.families.executable

    def slow(closed, **options):
        executable = find(closed, **options)
        weft.config.numerics = "exact"  # as another thread may
        return executable

    monkeypatch.setattr(immediate.families, "executable", slow)
    before = weft.config.numerics
    x = ready([1, 2, 3])
    try:
        for _ in range(3):
            wnp.asarray(x + x).materialise()
        assert not immediate.programs
    finally:
        weft.config.numerics = before
