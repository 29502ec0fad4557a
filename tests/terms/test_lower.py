"""The lowering of each primitive against its NumPy meaning."""

from __future__ import annotations

import importlib
import pkgutil

import ml_dtypes
import numpy as np
import pytest

import weft.primitives
import weft.transforms
from tests.terms.programs import agree, trace
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive, primitive_named
from weft.core.staging import trace_to_jaxpr
from weft.errors import MissingRuleError
from weft.primitives import (
    argreduce,
    arithmetic,
    convert,
    creation,
    cumulative,
    dot_general,
    indexing,
    random_bits,
    reduction,
    select,
    shaping,
    slicing,
    tile_body,
    transcendental,
)
from weft.primitives.indexing import GatherDimensionNumbers, ScatterDimensionNumbers
from weft.terms.dots import DOTS
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.ops import OPS
from weft.terms.region import Def
from weft.terms.term import Const, Load

RNG = np.random.default_rng(0)
X = RNG.normal(size=(3, 4)).astype(np.float32)
N = RNG.integers(-9, 9, (3, 4)).astype(np.int32)


def all_primitives() -> dict[str, Primitive]:
    found = {}
    for package in (weft.primitives, weft.transforms):
        for info in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            found.update({v.name: v for v in vars(module).values() if isinstance(v, Primitive)})
    return found


# A linear placeholder that reverse mode transposes: it never reaches a compiled program.
NEVER_LOWERED = {"custom_lin"}
# What the bodies of users' kernels are made of is lowered with the kernel.
NEVER_LOWERED |= {p.name for p in vars(tile_body).values() if isinstance(p, Primitive)}


def test_every_primitive_has_a_lowering():
    missing = {
        n for n, p in all_primitives().items() if not {"lower", "lower_complex"} & set(p.rules)
    }
    assert missing == NEVER_LOWERED


SAMPLES = {
    "bool": np.array([True, False, True]),
    "int32": np.array([-(2**31), -7, -1, 0, 1, 2, 35], np.int32),
    "uint32": np.array([0, 1, 2, 31, 32, 2**32 - 1], np.uint32),
    "float32": np.array([-np.inf, -2.5, -0.0, 0.0, 0.5, 1.5, np.inf, np.nan], np.float32),
    "bfloat16": np.array([-2.5, -0.0, 0.5, 1.5, np.nan], ml_dtypes.bfloat16),
}


def is_defined(primitive: Primitive, *avals: ShapedArray, **params) -> bool:
    try:
        primitive.rule("type")(*avals, **params)
    except TypeError:
        return False
    return True


def elementwise_cases() -> list[tuple[str, str]]:
    """Primitives that are one operation of their own name, with each dtype they take."""
    return [
        (name, dtype)
        for name, p in sorted(all_primitives().items())
        for dtype in SAMPLES
        if name in OPS and is_defined(p, *[ShapedArray((), dtype)] * OPS[name].arity)
    ]


@pytest.mark.parametrize(("name", "dtype"), elementwise_cases())
def test_elementwise(name, dtype):
    primitive, sample = primitive_named(name), SAMPLES[dtype]
    args = np.meshgrid(sample, sample)[: OPS[name].arity]
    program = lower_jaxpr(trace(lambda *xs: [primitive.bind(*xs)], *args))
    (step,) = program.block.steps
    assert step.term.op == name
    (got,) = interpret(program, *args)
    want = primitive.rule("numpy")(*args)
    assert got.dtype == want.dtype
    if want.dtype == ml_dtypes.bfloat16:  # NumPy does not know that its NaN is one
        got, want = got.astype(np.float32), want.astype(np.float32)
    np.testing.assert_array_equal(got, want, strict=True)


COMPLEX_SAMPLE = np.array([1 + 2j, -0.5j, 3, 0, 0.3 - 0.1j], np.complex64)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n, p in sorted(all_primitives().items())
        if n in OPS and is_defined(p, *[ShapedArray((), np.complex64)] * OPS[n].arity)
    ],
)
def test_elementwise_on_pairs_of_parts(name):
    args = np.meshgrid(COMPLEX_SAMPLE, COMPLEX_SAMPLE)[: OPS[name].arity]
    agree(lambda *xs: [primitive_named(name).bind(*xs)], *args)


def test_operations_and_primitives_have_the_same_names():
    own = {"select", "cast", "bitcast", "fma", "round_even", "round_away", *DOTS}
    assert {n for n in OPS if n not in all_primitives()} == own


def test_rounding():
    halves = np.array([-2.5, -1.5, -0.5, 0.3, 0.5, 1.5, 2.5, np.inf, np.nan], np.float32)
    for method in arithmetic.RoundingMethod:
        agree(lambda x, m=method: [arithmetic.round(x, m)], halves)


def test_clamp_and_select_take_scalars():
    lo, hi = np.float32(-0.5), np.float32(0.5)
    agree(lambda x: [arithmetic.clamp(lo, x, hi), arithmetic.clamp(arithmetic.neg(x), x, x)], X)
    agree(lambda p, x: [select.select_n(p, x, arithmetic.neg(x))], np.True_, X)
    cases = [X, X + 1, X + 2]
    agree(lambda n, *xs: [select.select_n(n, *xs)], N, *cases)
    agree(lambda n, *xs: [select.select_n(n, *xs)], np.int32(7), *cases)


@pytest.mark.parametrize("y", [-3, -1, 0, 1, 2, 5, 8])
def test_integer_pow(y):
    agree(lambda x: [transcendental.integer_pow(x, y)], X)
    if y >= 0:
        agree(lambda n: [transcendental.integer_pow(n, y)], N)


def test_pow_of_integers():
    agree(lambda x, n: [transcendental.pow(x, n)], np.abs(X), N)


DTYPES = ["bool", "int8", "int32", "uint32", "int64", "float16", "bfloat16", "float32", "float64"]


@pytest.mark.parametrize("target", DTYPES)
def test_conversions(target):
    values = np.array([-np.inf, -300.7, -1.5, -0.0, 0.5, 127, 3e9, np.inf, np.nan])
    for source in DTYPES:
        x = values.astype(np.float32)
        if source not in ("float16", "bfloat16", "float32", "float64"):
            x = np.array([-300, -1, 0, 1, 127, 255]).astype(np.int64)
        closed = trace(lambda x, s=source: [convert.convert_element_type(x, s)], x)
        (given,) = interpret(lower_jaxpr(closed), x)
        agree(lambda x: [convert.convert_element_type(x, target)], given)


def test_bitcasts():
    for narrow in ("uint8", "int16", "uint32", "float32"):
        agree(lambda x, t=narrow: [convert.bitcast_convert_type(x, t)], X)
    agree(lambda x: [convert.bitcast_convert_type(x, "float64")], X.reshape(3, 2, 2))


def test_views_cost_nothing():
    def fun(x):
        y = shaping.transpose(shaping.reshape(x, (2, 6)), (1, 0))
        y = shaping.rev(slicing.slice(y, (1, 0), (6, 2), (2, 1)), (0,))
        return [shaping.reshape(y, (6,))]

    program = agree(fun, X)
    (step,) = program.block.steps
    assert isinstance(step, Def) and isinstance(step.term, Load)


def test_a_view_and_its_inverse_are_the_array():
    program = agree(lambda x: [shaping.reshape(shaping.reshape(x, (2, 6)), (3, 4))], X)
    assert program.outputs == program.inputs and not program.block.steps


def test_long_chains_of_views_do_not_nest():
    def fun(x):
        for _ in range(3000):
            x = shaping.transpose(x, (1, 0))
        return [arithmetic.neg(x)]

    (step,) = agree(fun, X).block.steps
    assert repr(step.term) == "-v1[i,j]"


REDUCTIONS = [
    (name, dtype)
    for name in ("sum", "prod", "max", "min", "and", "or", "xor")
    for dtype in ("bool", "int32", "float16", "float32")
    if is_defined(getattr(reduction, f"reduce_{name}_p"), ShapedArray((3, 4), dtype), axes=(0,))
]


@pytest.mark.parametrize(("name", "dtype"), REDUCTIONS)
def test_reductions(name, dtype):
    primitive = getattr(reduction, f"reduce_{name}_p")
    x = (N % 5).astype(dtype)
    for axes in ((0,), (1,), (0, 1)):
        agree(lambda x, a=axes: [primitive.bind(x, axes=a)], x)
        agree(lambda x, a=axes: [primitive.bind(x, axes=a)], x[:0])


@pytest.mark.parametrize("dtype", ["bool", "int32", "float32", "bfloat16"])
def test_arg_reductions_choose_the_first(dtype):
    x = (N % 3).astype(dtype)
    agree(lambda x: [argreduce.argmax(x, 0), argreduce.argmin(x, 1, np.int64)], x)


def test_arg_reductions_choose_nan():
    x = np.array([[1, np.nan, np.nan], [-np.inf, -np.inf, -np.inf]], np.float32)
    agree(lambda x: [argreduce.argmax(x, 1), argreduce.argmin(x, 1), argreduce.argmax(x, 0)], x)


def test_dot_general():
    a, b = RNG.normal(size=(2, 5, 3, 4)), RNG.normal(size=(4, 2, 6, 5))
    numbers = (((1, 3), (3, 0)), ((0,), (1,)))
    for dtype in (np.float32, np.float64, np.float16, np.int32, np.bool_):
        agree(
            lambda x, y: [dot_general.dot_general(x, y, numbers)], a.astype(dtype), b.astype(dtype)
        )
    wide = lambda x, y: [dot_general.dot_general(x, y, numbers, np.float64)]  # noqa: E731
    agree(wide, a.astype(np.float32), b.astype(np.float32))


def test_half_precision_sums_accumulate_in_float32():
    x = np.full(4096, 1, np.float16)
    program = agree(lambda x: [reduction.reduce_sum(x, (0,))], x)
    assert interpret(program, x)[0] == 4096
    fold = program.block.steps[0].term.args[0]
    assert fold.dtype == np.float32


def test_cumulative_operations():
    for op in (cumulative.cumsum, cumulative.cumprod, cumulative.cummax, cumulative.cummin):
        for reverse in (False, True):
            agree(lambda x, o=op, r=reverse: [o(x, 0, r), o(x, 1, r)], X)
            agree(lambda x, o=op, r=reverse: [o(x, 1, r)], X.astype(np.float16))


def test_threefry_shares_its_rounds():
    x = np.arange(5, dtype=np.uint32)
    program = agree(lambda k, x: random_bits.threefry2x32(k, k, x, x), np.uint32(7), x)
    first, second = program.block.steps
    assert first.axes == second.axes


def test_constants_and_captured_arrays():
    table = np.arange(4, dtype=np.float32)
    program = agree(lambda x: [arithmetic.add(x, shaping.broadcast_in_dim(table, (3, 4), (1,)))], X)
    ((value, data),) = program.constants.items()
    assert value not in program.inputs
    np.testing.assert_array_equal(data, table)
    program = agree(lambda x: [arithmetic.mul(x, shaping.full_like(x, 2))], X)
    assert not program.constants and isinstance(program.block.steps[0].term.args[1], Const)
    program = agree(lambda: [creation.iota("int32", (3, 2), 1), np.float32(4)])
    assert len(program.block.steps) == 2


MODES = ["clip", "fill", "promise_in_bounds"]
ROWS = np.array([[0, 1], [9, 0], [2, 3], [1, -1], [0, 1]], np.int32)
POINTS = ((), (0, 1), (0, 1))
WINDOWS = ((0, 1), (), (0, 1))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("index_dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_gather(mode, index_dtype):
    rows = ROWS.astype(index_dtype)
    for numbers, sizes in ((POINTS, (1, 1)), (WINDOWS, (2, 3))):
        numbers = GatherDimensionNumbers(*numbers)
        agree(lambda x, i, n=numbers, s=sizes: [indexing.gather(x, i, n, s, mode=mode)], X, rows)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "op", ["scatter", "scatter_add", "scatter_mul", "scatter_min", "scatter_max"]
)
def test_scatter(mode, op):
    scatter = getattr(indexing, op)
    for numbers, shape in ((POINTS, (5,)), (WINDOWS, (2, 3, 5))):
        numbers = ScatterDimensionNumbers(*numbers)
        updates = RNG.normal(size=shape).astype(np.float32)
        for dtype in (np.float32, np.float16):
            agree(
                lambda x, i, u, n=numbers: [scatter(x, i, u, n, mode=mode)],
                X.astype(dtype),
                ROWS,
                updates.astype(dtype),
            )


def test_batched_gather_and_scatter():
    rows = np.array([[0], [3], [5]], np.int32)
    gather = GatherDimensionNumbers((), (1,), (1,), (0,), (0,))
    scatter = ScatterDimensionNumbers((), (1,), (1,), (0,), (0,))
    agree(lambda x, i: [indexing.gather(x, i, gather, (1, 1))], X, rows)
    program = agree(
        lambda x, i, u: [indexing.scatter_add(x, i, u, scatter, unique_indices=True)],
        X,
        rows,
        X[:, 0],
    )
    assert program.block.steps[0].unique


def test_a_primitive_without_lowering_is_named_with_its_line():
    strange = Primitive("strange")
    strange.def_type(lambda x: x)
    closed = trace_to_jaxpr(lambda x: [strange.bind(x)], trace(lambda x: [x], X).in_avals)
    with pytest.raises(MissingRuleError, match=r"'strange' has no lower rule: it cannot be comp"):
        lower_jaxpr(closed)
    with pytest.raises(MissingRuleError, match=r"test_lower\.py"):
        lower_jaxpr(closed)
