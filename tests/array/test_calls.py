"""Library calls that recur outside `jit`: one program each, with the same results and errors."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.array import delayed, families, immediate


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    monkeypatch.setattr(immediate, "WORTH_COMPILING", 3)
    immediate.clear()
    yield
    immediate.clear()


def ready(data, dtype=np.float32):
    x = wnp.asarray(np.asarray(data, dtype))
    x.materialise()
    return x


def is_pending(x) -> bool:
    return x._pending is not None


def programs() -> int:
    return len(immediate.calls)


CALLS = {
    "x[i]": lambda x, i: x[i],
    "x[i, None]": lambda x, i: x[i, None],
    "x[::-1]": lambda x, i: x[::-1],
    "take": lambda x, i: wnp.take(x, i, mode="clip"),
    "set": lambda x, i: x.at[i].set(0.5),
    "set one": lambda x, i: x.at[-1].set(2),
    "add": lambda x, i: x.at[i].add(x[0]),
    "where": lambda x, i: wnp.where(x > 0, x, -0.0),
    "remainder": lambda x, i: i % 3 + i // -2,
    "power": lambda x, i: x**2 - x**0.5,
    "stack": lambda x, i: wnp.stack([x, x * 2.5], axis=1),
    "concatenate": lambda x, i: wnp.concatenate((x, i, x)),
    "einsum": lambda x, i: wnp.einsum("i,j->ij", x, i),
    "var": lambda x, i: x.var(keepdims=True),
    "argsort": lambda x, i: wnp.argsort(x),
    "pad": lambda x, i: wnp.pad(x, ((1, 2),), constant_values=7.0),
    "linspace": lambda x, i: wnp.linspace(0.0, 1.0, 5) + x.sum(),
    "clip": lambda x, i: x.clip(-0.5, 0.5).astype("int32"),
    "mask": lambda x, i: x[x > 0] * 2,
    "median": lambda x, i: wnp.median(x),
    "percentile": lambda x, i: wnp.percentile(x, 30.0),
    "convolve": lambda x, i: wnp.convolve(x, x[:3]),
    "polyval": lambda x, i: wnp.polyval(x[:4], x),
    "nanmean": lambda x, i: wnp.nanmean(wnp.where(x > 0, x, np.nan)),
    "solve": lambda x, i: wnp.linalg.solve(wnp.eye(x.size) + wnp.outer(x, x), x),
}


@settings(max_examples=12)
@given(st.data())
def test_results_are_the_same_before_and_after(data):
    f = CALLS[data.draw(st.sampled_from(sorted(CALLS)))]
    n = data.draw(st.sampled_from([1, 5, 20]))
    for seed in range(2):
        random = np.random.default_rng(seed)
        x, i = ready(random.normal(size=n)), ready(random.integers(-n, n, n), np.int32)
        with weft.disable_jit():
            expected = f(x, i)
        for _ in range(4):
            result = f(x, i)
            assert result.aval is expected.aval
            np.testing.assert_allclose(result, expected, rtol=1e-6, atol=1e-6)


def test_a_call_of_several_operations_becomes_one_program():
    x, i = ready([1, 2, 3]), ready([2, 0], np.int32)
    for _ in range(3):
        x[i].tolist()
    made = immediate.recorded
    y = x[i]
    assert not is_pending(y)
    assert immediate.recorded == made
    assert y.tolist() == [3, 1]


SEVERAL = {
    "histogram": lambda x: wnp.histogram(x, bins=4, range=(-1, 1)),
    "slogdet": lambda x: wnp.linalg.slogdet(x[:4].reshape(2, 2)),
    "gradient": lambda x: wnp.gradient(x.reshape(3, 2)),
    "meshgrid": lambda x: wnp.meshgrid(x, x[:2]),
}


@pytest.mark.parametrize("name", SEVERAL)
def test_calls_with_several_results_give_what_they_gave(name):
    f, x = SEVERAL[name], ready([0.5, -0.25, 2.0, 1.0, -3.0, 0.0])
    with weft.disable_jit():
        expected = f(x)
    for _ in range(4):
        results = f(x)
        assert type(results) is type(expected)
        for result, other in zip(results, expected, strict=True):
            assert result.aval is other.aval
            np.testing.assert_allclose(result, other, rtol=1e-6, atol=1e-6)
    assert not any(is_pending(result) for result in f(x))


def test_a_long_call_does_not_record_itself_again_for_an_operand_that_is_pending():
    table, x = ready(np.arange(100.0)), ready([[1.5, 98.5]])
    for _ in range(3):
        wnp.searchsorted(table, x[0]).tolist()
    before = immediate.recorded
    y = wnp.searchsorted(table, wnp.sort(x * 0.5 + 3)[0])
    assert immediate.recorded - before < 10
    assert y.tolist() == [4, 53]


def test_an_operand_that_fails_leaves_a_long_call_pending(monkeypatch):
    def fail(x):
        raise RuntimeError("no value")

    monkeypatch.setattr(immediate, "WORTH_ENDING", 2)
    x = ready([1, 2, 3])
    for _ in range(3):
        wnp.var(x).tolist()
    failing = weft.pure_callback(fail, weft.ShapeDtypeStruct((3,), np.float32), x)
    y = wnp.var(failing)
    assert is_pending(y)
    with pytest.raises(RuntimeError, match="no value"):
        y.tolist()


def test_static_arguments_tell_calls_apart():
    x = ready([[1.0, -2.0], [3.0, 4.0]])
    for _ in range(5):
        assert [x.sum(0).tolist(), x.sum(1).tolist()] == [[4, 2], [-1, 7]]
        assert (x * 2).dtype == np.float32
        assert wnp.reshape(x, (4,)).shape == (4,)
        with pytest.raises(TypeError, match="integers"):
            wnp.reshape(x, (4.0,))
    zero = ready([0.0, -0.0])
    for number, signs in [(0.0, [False, True]), (-0.0, [True, False])] * 4:
        assert np.signbit(np.asarray(zero.at[:].set(0.0) * number)).tolist() == [signs[0]] * 2


def test_types_of_arrays_tell_calls_apart():
    for dtype in (np.int32, np.float32, np.float64, np.complex64, np.int8):
        for n in (2, 3):
            x = ready(np.arange(n), dtype)
            for _ in range(4):
                assert (x + x).dtype == dtype
                assert (x + x).tolist() == (np.arange(n) * 2).tolist()


def test_masks_are_looked_at_each_time():
    x = ready([1, 2, 3, 4])
    for mask in ([True, False, True, False], [False, False, False, True]) * 4:
        assert x[ready(mask, bool)].tolist() == np.arange(1, 5)[np.asarray(mask)].tolist()


def test_pending_operands_are_not_forced_and_large_ones_fuse():
    x, large = ready([1, 2, 3]), ready(np.ones(immediate.SMALL))
    for _ in range(5):
        wnp.concatenate([x, x])
        wnp.concatenate([large, large])
    assert is_pending(wnp.concatenate([large, large]))
    pending = wnp.cumsum(x, dtype=np.float64)
    assert is_pending(wnp.concatenate([x, pending.astype(np.float32)]))


def test_errors_stay_what_they_are():
    x = ready([1, 2, 3])
    for _ in range(5):
        x + x
        with pytest.raises(ValueError, match="do not broadcast"):
            x + ready([1, 2])
        with pytest.raises(IndexError, match="out of bounds"):
            x[3]
    x.delete()
    with pytest.raises(RuntimeError, match="delete"):
        (x + x).tolist()


def test_other_settings_have_programs_of_their_own():
    x = ready([1, 2, 3])
    for _ in range(5):
        x + x
    assert programs() == 1
    threads = weft.config.threads
    try:
        weft.config.threads = threads + 1
        assert is_pending(x + x)
        assert programs() == 0
        with weft.disable_jit():
            assert not is_pending(x + x)
    finally:
        weft.config.threads = threads


def test_traces_do_not_see_programs():
    x = ready([1, 2, 3])
    for _ in range(5):
        wnp.where(x > 0, x, 2.5)
    traced = str(weft.make_jaxpr(lambda y: wnp.where(y > 0, y, 2.5))(x))
    assert "select_n" in traced
    assert weft.grad(lambda y: wnp.where(y > 0, y * y, 2.5).sum())(x).tolist() == [2, 4, 6]


def test_what_ran_alone_twice_has_a_program(monkeypatch):
    monkeypatch.setattr(immediate, "WORTH_COMPILING", 10**6)
    monkeypatch.setattr(delayed, "WORTH_FINISHING", 1)
    x, y = ready(np.arange(5.0)), ready(np.ones(5))
    compiled = families.counts.compiled, families.counts.exact.total()
    for k in range(3):
        z = weft.lax.sub(x, y)
        assert is_pending(z) == (k < 2)
        assert z.tolist() == [-1, 0, 1, 2, 3]
    made = families.counts.compiled, families.counts.exact.total()
    assert sum(made) - sum(compiled) <= 1
    assert weft.lax.sub(x, x).tolist() == [0] * 5


def test_programs_on_disk_are_used_sooner(monkeypatch, tmp_path):
    monkeypatch.setattr(weft.config, "_cache_dir", str(tmp_path))
    x = ready([3, 1, 2])
    for _ in range(3):
        wnp.pad(x, 1)
    assert programs() == 1
    immediate.clear()
    monkeypatch.setattr(immediate, "WORTH_COMPILING", 10**6)
    monkeypatch.setattr(immediate, "WORTH_LOADING", 2)
    assert [(wnp.pad(x, 1), programs())[1] for _ in range(3)] == [0, 1, 1]
    assert wnp.pad(x, 1).tolist() == [0, 3, 1, 2, 0]


def test_numbers_that_never_recur_leave_counts_alone(monkeypatch):
    monkeypatch.setattr(immediate, "WORTH_COMPILING", 50)
    monkeypatch.setattr(immediate, "LIMIT", 60)
    x = ready([1, 2])
    for n in range(60):
        y = weft.lax.neg(x) * (n + 0.5)
    assert y.tolist() == [-59.5, -119]
    assert not is_pending(weft.lax.neg(x))


def test_threads_share_programs():
    x = ready(np.arange(8.0))
    wrong: list[object] = []

    def work(k: int) -> None:
        for n in range(30):
            y = wnp.where(x > k, x, 0.0).at[n % 8].set(1.0)
            expected = np.where(np.arange(8) > k, np.arange(8.0), 0)
            expected[n % 8] = 1
            if y.tolist() != expected.tolist():
                wrong.append((k, n))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("at", [1, [1]], ids=["number", "vector"])
@pytest.mark.parametrize("unique", [False, True])
def test_programs_do_not_forget_to_check_the_bounds_of_insert_and_delete(at, unique):
    x, good, bad = ready([1, 2, 3]), ready(at, np.int32), ready(np.full_like(at, 9), np.int32)
    for _ in range(5):
        assert wnp.insert(x, good, 9).tolist() == [1, 9, 2, 3]
        assert wnp.delete(x, good, assume_unique_indices=unique).tolist() == [1, 3]
    with pytest.raises(IndexError, match=r"weft\.numpy\.insert: index 9 is out of bounds"):
        wnp.insert(x, bad, 9)
    with pytest.raises(IndexError, match=r"weft\.numpy\.delete: index 9 is out of bounds"):
        wnp.delete(x, bad, assume_unique_indices=unique)
    repeated = ready([1, 1], np.int32)
    assert wnp.delete(x, repeated, assume_unique_indices=True).tolist() == [1, 3]


def test_insert_and_delete_at_numbers_have_programs():
    x = ready([1, 2, 3])
    for _ in range(5):
        assert wnp.insert(x, slice(0, 2), 9).tolist() == [9, 1, 9, 2, 3]
        assert wnp.delete(x, -1).tolist() == [1, 2]
    assert not is_pending(wnp.insert(x, slice(0, 2), 9))
    assert not is_pending(wnp.delete(x, -1))


@settings(max_examples=12)
@given(
    st.integers(6, 12),
    st.sampled_from([(), (3,), (2, 2), (0,)]),
    st.lists(st.sampled_from(["f4", "i4", "u1", "?", "c8", "bfloat16"]), min_size=1, max_size=2),
    st.data(),
)
def test_many_small_arrays_are_joined_as_few_are(count, shape, dtypes, data):
    def one(k: int):
        x = wnp.asarray(np.full(shape, k), data.draw(st.sampled_from(dtypes)))
        return data.draw(st.sampled_from([x, x * 1, np.full(shape, k, np.float32)]))

    xs = [one(k) for k in range(count)]
    for join in (wnp.stack, lambda xs: wnp.concatenate(xs, -1) if shape else wnp.asarray(xs)):
        found = join(xs)
        with weft.disable_jit():
            expected = join(xs)
        assert found.aval is expected.aval
        np.testing.assert_array_equal(found, expected)


def test_what_is_no_small_array_is_joined_as_ever():
    keys = list(weft.random.split(weft.random.key(0), 9))
    assert wnp.stack(keys).dtype == keys[0].dtype
    assert wnp.stack([1.0, *wnp.arange(8.0)]).tolist() == [1, *range(8)]
    assert float(weft.grad(lambda x: wnp.stack([x] * 9).sum())(1.0)) == 9
    assert is_pending(wnp.concatenate([wnp.zeros(10_000)] * 8))
