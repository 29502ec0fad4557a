"""Machine code of every primitive against its NumPy meaning: dtypes, shapes and special values."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import weft
import weft.lax.fourier  # registers the portable form of transforms
from tests.compiled.agreement import (
    BOOL,
    COMPLEX,
    EVERY,
    FLOATS,
    HALF,
    INTEGERS,
    assert_close,
    operands,
    run_compiled,
)
from tests.primitives.samples import LINEAR_ALGEBRA, SAMPLES, Sample
from weft import numpy as wnp
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.primitive import Primitive
from weft.primitives import arithmetic, bitwise, comparison, convert, select, transcendental

AT_ONCE = 24


def is_defined(sample: Sample, dtype: np.dtype) -> bool:
    """Whether the primitive's type rule accepts operands of ``dtype``."""
    avals = [ShapedArray(x.shape, x.dtype) for x in sample.make(dtype)]
    try:
        sample.primitive.out_avals(*avals, **sample.params)
    except (TypeError, ValueError):  # a bitcast that needs another shape
        return False
    return True


def rows(name: str) -> list[tuple[Sample, np.dtype]]:
    """Samples of a primitive with every dtype that its type rule accepts."""
    samples = [sample for sample in SAMPLES if sample.primitive.name == name]
    return [(x, dtype) for x in samples for dtype in (*EVERY, *COMPLEX) if is_defined(x, dtype)]


def meaning(primitive: Primitive, arrays: list[np.ndarray], params: dict[str, Any]) -> list[Any]:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        out = primitive.rule("numpy")(*arrays, **params)
    return [np.asarray(y) for y in (out if primitive.multiple_results else [out])]


NAMES = sorted({s.primitive.name for s in SAMPLES if s not in LINEAR_ALGEBRA})


@pytest.mark.parametrize("name", NAMES)
def test_every_shape_and_dtype(name: str) -> None:
    """All rows of the table of samples; several in one program, so that some kernels are shared."""
    every = rows(name)
    for start in range(0, len(every), AT_ONCE):
        part = every[start : start + AT_ONCE]
        made = [sample.make(dtype) for sample, dtype in part]

        def program(*arrays: Any, part: Any = part, made: Any = made) -> list[Any]:
            rest, results = iter(arrays), []
            for (sample, _), like in zip(part, made, strict=True):
                out = sample.primitive.bind(*(next(rest) for _ in like), **sample.params)
                results += out if sample.primitive.multiple_results else [out]
            return results

        actual = iter(run_compiled(program, [x for xs in made for x in xs]))
        for (sample, dtype), arrays in zip(part, made, strict=True):
            for expected in meaning(sample.primitive, arrays, sample.params):
                try:
                    assert_close(next(actual), expected, units=4, scale=8)
                except AssertionError as error:
                    raise AssertionError(f"{sample.name} {dtype.name}: {error}") from None


# ---------------------------------------------------------------- every bit pattern

_a, _t, _b, _c = arithmetic, transcendental, bitwise, comparison
NUMBERS = (*INTEGERS, *FLOATS)
EXACT = (
    *((p, 1, NUMBERS) for p in (_a.neg_p, _a.abs_p, _a.sign_p)),
    *((p, 2, NUMBERS) for p in (_a.add_p, _a.sub_p, _a.mul_p, _a.div_p, _a.rem_p)),
    *((p, 2, (*NUMBERS, BOOL)) for p in (_a.max_p, _a.min_p, _c.eq_p, _c.ne_p, _c.lt_p, _c.ge_p)),
    *((p, 1, FLOATS) for p in (_a.floor_p, _a.ceil_p, _c.is_finite_p, _t.sqrt_p)),
    *((p, 2, (*INTEGERS, BOOL)) for p in (_b.and_p, _b.or_p, _b.xor_p)),
    *((p, 2, INTEGERS) for p in (_b.shift_left_p, _b.shift_right_logical_p)),
    (_b.shift_right_arithmetic_p, 2, INTEGERS),
    (_b.population_count_p, 1, INTEGERS),
    (_b.clz_p, 1, INTEGERS),
    (_b.not_p, 1, (*INTEGERS, BOOL)),
    (_a.nextafter_p, 2, FLOATS),
)


@pytest.mark.parametrize(("primitive", "arity", "kinds"), EXACT, ids=lambda p: str(p)[:22])
def test_exact_operations_on_special_values_and_random_bits(
    primitive: Primitive, arity: int, kinds: tuple[np.dtype, ...]
) -> None:
    for dtype in kinds:
        # More than 64K elements for one dtype of each size, so that threads have something to do.
        size = 70_001 if dtype.kind == "f" else 5_001
        arrays = operands([dtype] * arity, size)
        [expected] = meaning(primitive, arrays, {})
        [actual] = run_compiled(lambda *xs: [primitive.bind(*xs)], arrays)
        assert_close(actual, expected, units=0)


ELEMENTARY = """
    exp exp2 expm1 log log1p log2 log10 logistic sin cos tan asin acos atan sinh cosh tanh asinh
    acosh atanh erf erf_inv erfc cbrt rsqrt pow atan2
"""


@pytest.mark.parametrize("name", ELEMENTARY.split())
def test_elementary_functions_on_special_values_and_random_bits(name: str) -> None:
    primitive = getattr(transcendental, f"{name}_p")
    arity = 2 if name in ("pow", "atan2") else 1
    for dtype in FLOATS:
        arrays = operands([dtype] * arity, 5_001)
        [expected] = meaning(primitive, arrays, {})
        [actual] = run_compiled(lambda *xs: [primitive.bind(*xs)], arrays)
        # In float64 SciPy's erfc is wrong by more than a hundred units (tests/codegen has ours).
        units = 300 if (name, dtype) == ("erfc", np.float64) else 2 if dtype in HALF else 4
        assert_close(actual, expected, units)
        zero = (expected == 0) & (actual == 0)
        np.testing.assert_array_equal(np.signbit(actual[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("dtype", HALF, ids=str)
@pytest.mark.parametrize("y", [-3, -2, -1, 0, 1, 2, 3, 7])
def test_integer_powers_of_half_types_are_rounded_once(dtype: np.dtype, y: int) -> None:
    [x] = operands([dtype], 5_001)
    with np.errstate(all="ignore"):
        expected = (x.astype(np.float64) ** y).astype(np.float32).astype(dtype)
    [actual] = run_compiled(lambda x: [transcendental.integer_pow(x, y)], [x])
    assert_close(actual, expected, units=1)


def test_a_negative_power_keeps_results_that_are_subnormal() -> None:
    x = np.array([7.5e20, -1e-20, 3e-39], np.float32)
    [actual] = run_compiled(lambda x: [transcendental.integer_pow(x, -2)], [x])
    with np.errstate(over="ignore"):
        expected = (x.astype(np.float64) ** -2).astype(np.float32)
    assert_close(actual, expected, units=2)


# ---------------------------------------------------------------- conversions


@pytest.mark.parametrize("source", EVERY, ids=str)
def test_conversions_between_all_dtypes(source: np.dtype) -> None:
    [x] = operands([source], 5_001)

    def program(x: Any) -> list[Any]:
        return [convert.convert_element_type(x, new) for new in EVERY]

    for new, actual in zip(EVERY, run_compiled(program, [x]), strict=True):
        params = {"new_dtype": new, "weak_type": False}
        [expected] = meaning(convert.convert_element_type_p, [x], params)
        assert_close(actual, expected, units=0)


def test_float64_is_rounded_once_to_half_types() -> None:
    """Just above and below ties of the half type, where float32 would see the tie itself."""
    for dtype in HALF:
        grid = np.arange(1 << 15, dtype=np.uint16).view(dtype)
        grid = grid[np.isfinite(grid.astype(np.float32))].astype(np.float64)
        middle = (grid[:-1] + grid[1:]) / 2
        x = np.concatenate([middle, middle * (1 + 2.0**-50), middle * (1 - 2.0**-50)])
        [actual] = run_compiled(lambda x, d=dtype: [convert.convert_element_type(x, d)], [x])
        upper, lower = grid[1:], grid[:-1]
        even = np.arange(middle.size) % 2 == 0
        expected = np.concatenate([np.where(even, lower, upper), upper, lower])
        np.testing.assert_array_equal(actual.astype(np.float64), expected)


def test_booleans_of_any_byte_are_true_once_loaded() -> None:
    x = np.array([0, 1, 2, 255], np.uint8)
    [actual] = run_compiled(lambda x: [convert.convert_element_type(x, np.bool_)], [x])
    np.testing.assert_array_equal(actual.view(np.uint8), [0, 1, 1, 1])


def test_select_of_half_types_keeps_the_bits() -> None:
    for dtype in HALF:
        x = np.arange(1 << 16, dtype=np.uint16).view(dtype)
        which = np.arange(x.size) % 3 == 0
        y = x[::-1].copy()
        [actual] = run_compiled(lambda w, x, y: [select.select_n(w, x, y)], [which, x, y])
        expected = np.where(which, y.view(np.uint16), x.view(np.uint16))
        np.testing.assert_array_equal(actual.view(np.uint16), expected)


def test_the_meaning_of_a_scatter_reaches_operands_of_any_layout() -> None:
    for dtype in (np.dtype(np.float16), np.dtype(np.float32)):
        x = np.broadcast_to(np.array([-1.0, 2.0], dtype), (3, 2, 2)).transpose(1, 0, 2)
        at, zeros = np.array([0, 0]), np.zeros((2, 3, 2), dtype)

        def program(x: Any, zeros: Any, at: np.ndarray = at) -> Any:
            return wnp.transpose(x, (0, 1, 2)).at[at].max(zeros)

        expected = x.copy()
        expected[0] = np.maximum(expected[0], 0)
        np.testing.assert_array_equal(
            run_compiled(lambda *a: [program(*a)], [x, zeros])[0], expected
        )
        closed = weft.make_jaxpr(program)(x, zeros)
        [meant] = eval_jaxpr_numpy(closed.jaxpr, closed.consts, x, zeros)
        np.testing.assert_array_equal(meant, expected)


def test_a_row_that_is_read_beside_where_it_is_filled_is_filled_first() -> None:
    # Ranks: every element of a computed vector is compared with every other.
    def ranks(x: Any) -> Any:
        v = -wnp.exp(x)
        index = wnp.arange(x.shape[0])
        mine, other = v[:, None], v[None, :]
        before = (other < mine) | ((other == mine) & (index < index[:, None]))
        return wnp.sum(before.astype(np.int32), -1)

    x = np.random.default_rng(0).permutation(16).astype(np.float32) / 4
    np.testing.assert_array_equal(np.asarray(weft.jit(ranks)(x)), np.argsort(np.argsort(-x)))
