"""One table of all primitives with operands to try them on.

A row is a primitive, the shapes of its operands and its parameters. From it every test makes
operands of each dtype. To have a new primitive checked, add rows for it.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import weft.primitives
from weft.core import dtypes
from weft.core.primitive import Primitive
from weft.primitives import (
    argreduce,
    arithmetic,
    bitwise,
    comparison,
    convert,
    convolution,
    creation,
    cumulative,
    dot_general,
    dynamic_slice,
    fft,
    indexing,
    joining,
    linalg_cholesky,
    linalg_eig,
    linalg_eigh,
    linalg_lu,
    linalg_qr,
    linalg_reductions,
    linalg_solve,
    linalg_svd,
    linalg_sylvester,
    linalg_tridiagonal,
    random_bits,
    random_keys,
    reduce_precision,
    reduce_window,
    reduction,
    select,
    shaping,
    slicing,
    sort,
    transcendental,
)
from weft.primitives import complex as complex_parts
from weft.primitives.indexing import GatherScatterMode as Mode

FLOATS = tuple(map(np.dtype, (np.float32, np.float64, np.float16))) + (dtypes.bfloat16,)
INTEGERS = tuple(map(np.dtype, (np.int32, np.int64, np.uint32, np.int8, np.uint8)))
BOOLS = (np.dtype(np.bool_),)
NUMBERS = FLOATS + INTEGERS
ALL = NUMBERS + BOOLS
COMPLEX = (np.dtype(np.complex64), np.dtype(np.complex128))

Shape = tuple[int, ...]
Maker = Callable[[np.random.Generator, np.dtype], np.ndarray]


@dataclass(frozen=True)
class Sample:
    """A primitive and how to make operands for it.

    operands: for each operand a shape (elements of the dtype under test, in `low` to `high`) or a
        function of a random generator and that dtype.
    dtypes: those it is defined on.
    linear: groups of operands in which it is jointly linear.
    smooth: whether finite differences are right for its derivative.
    """

    primitive: Primitive
    operands: tuple[Shape | Maker, ...]
    params: dict[str, Any] = field(default_factory=dict)
    dtypes: Sequence[np.dtype] = ALL
    linear: tuple[tuple[int, ...], ...] = ()
    smooth: bool = True
    low: float = -3.0
    high: float = 3.0

    @property
    def name(self) -> str:
        shapes = "-".join(
            "x".join(map(str, s)) or "scalar" if isinstance(s, tuple) else "made"
            for s in self.operands
        )
        tag = zlib.crc32(repr(sorted(self.params.items(), key=str)).encode()) % 1000
        return f"{self.primitive}[{shapes}]{tag if self.params else ''}"

    def make(self, dtype: np.dtype, seed: int = 0) -> list[np.ndarray]:
        """Operands of the dtype under test, the same on every run."""
        rng = np.random.default_rng([seed, zlib.crc32(self.name.encode())])
        return [
            random_array(rng, spec, dtype, self.low, self.high)
            if isinstance(spec, tuple)
            else spec(rng, dtype)
            for spec in self.operands
        ]


def random_array(
    rng: np.random.Generator, shape: Shape, dtype: np.dtype, low: float = -3.0, high: float = 3.0
) -> np.ndarray:
    """Elements within the bounds; distinct floats, so that no extremum is attained twice."""
    if dtype == np.bool_:
        return np.asarray(rng.integers(0, 2, shape), np.bool_)
    if dtypes.is_integer(dtype):
        lowest = max(int(low), 0) if dtypes.is_unsigned(dtype) else int(low)
        return np.asarray(rng.integers(lowest, int(high) + 1, shape), dtype)
    if dtypes.is_complex(dtype):
        return np.asarray(rng.uniform(low, high, shape) + 1j * rng.uniform(low, high, shape), dtype)
    size = int(np.prod(shape))
    spaced = (rng.permutation(size) + rng.uniform(0.2, 0.8, size)) / max(size, 1)
    return np.asarray(low + (high - low) * spaced.reshape(shape), dtype)


def integers(shape: Shape, low: int, high: int, dtype: Any = np.int32) -> Maker:
    """Integers in [low, high), whatever the dtype under test."""
    return lambda rng, _: np.asarray(rng.integers(low, high, shape), dtype)


def filled(shape: Shape, value: float) -> Maker:
    """One value of the dtype under test."""
    return lambda rng, dtype: np.full(shape, value, dtype)


def permuted(shape: Shape, coordinates: int, size: int) -> Maker:
    """Index vectors of equal coordinates, no two of them the same."""

    def make(rng: np.random.Generator, _: np.dtype) -> np.ndarray:
        chosen = rng.permutation(size)[: int(np.prod(shape))].reshape(shape)
        return np.stack([chosen] * coordinates, -1).astype(np.int32)

    return make


def booleans(shape: Shape) -> Maker:
    """Random truth values."""
    return lambda rng, _: np.asarray(rng.integers(0, 2, shape), np.bool_)


SHAPES: tuple[Shape, ...] = ((), (1,), (0,), (7,), (3, 1, 5), (2, 0, 3))


def elementwise(primitive: Primitive, arity: int = 1, **options: Any) -> Iterator[Sample]:
    """Rows for an elementwise primitive on operands of usual and odd shapes."""
    for shape in SHAPES:
        yield Sample(primitive, (shape,) * arity, **options)


def _arithmetic() -> Iterator[Sample]:
    a = arithmetic
    yield from elementwise(a.neg_p, dtypes=NUMBERS + COMPLEX, linear=((0,),))
    yield from elementwise(a.add_p, 2, dtypes=NUMBERS + COMPLEX, linear=((0, 1),))
    yield from elementwise(a.sub_p, 2, dtypes=NUMBERS + COMPLEX, linear=((0, 1),))
    yield from elementwise(a.mul_p, 2, dtypes=NUMBERS + COMPLEX, linear=((0,), (1,)))
    yield from elementwise(a.div_p, 2, dtypes=NUMBERS, linear=((0,),), low=1)
    yield from elementwise(a.rem_p, 2, dtypes=NUMBERS, low=2, high=40)
    yield from elementwise(a.sign_p, dtypes=NUMBERS)
    yield from elementwise(a.abs_p, dtypes=NUMBERS)
    yield from elementwise(a.max_p, 2)
    yield from elementwise(a.min_p, 2)
    for primitive in (a.floor_p, a.ceil_p):
        yield from elementwise(primitive, dtypes=FLOATS)
    for method in a.RoundingMethod:
        yield from elementwise(a.round_p, dtypes=FLOATS, params={"rounding_method": method})
    yield from elementwise(a.nextafter_p, 2, dtypes=FLOATS, smooth=False)
    for bound in ((), (3, 4)):
        yield Sample(a.clamp_p, (filled(bound, 1), (3, 4), filled(bound, 2)), dtypes=NUMBERS)


def _transcendental() -> Iterator[Sample]:
    t = transcendental
    anywhere = (t.exp_p, t.exp2_p, t.expm1_p, t.logistic_p, t.sin_p, t.cos_p, t.atan_p, t.sinh_p)
    for primitive in (*anywhere, t.cosh_p, t.tanh_p, t.asinh_p, t.erf_p, t.erfc_p, t.cbrt_p):
        yield from elementwise(primitive, dtypes=FLOATS)
    for primitive in (t.log_p, t.log2_p, t.log10_p, t.sqrt_p, t.rsqrt_p):
        yield from elementwise(primitive, dtypes=FLOATS, low=0.1)
    yield from elementwise(t.log1p_p, dtypes=FLOATS, low=-0.9)
    for primitive in (t.asin_p, t.acos_p, t.atanh_p, t.erf_inv_p):
        yield from elementwise(primitive, dtypes=FLOATS, low=-0.9, high=0.9)
    yield from elementwise(t.tan_p, dtypes=FLOATS, low=-1.4, high=1.4)
    yield from elementwise(t.acosh_p, dtypes=FLOATS, low=1.1)
    yield from elementwise(t.atan2_p, 2, dtypes=FLOATS)
    yield from elementwise(t.pow_p, 2, dtypes=FLOATS, low=0.1)
    yield Sample(t.pow_p, ((3, 4), integers((3, 4), -3, 4)), dtypes=FLOATS)
    for y in (-2, -1, 0, 1, 2, 3, 7):
        exact = NUMBERS if y >= 0 else FLOATS
        yield Sample(t.integer_pow_p, ((3, 4),), {"y": y}, dtypes=exact, low=1)


def _discrete() -> Iterator[Sample]:
    c, b = comparison, bitwise
    for primitive in (c.eq_p, c.ne_p, c.lt_p, c.le_p, c.gt_p, c.ge_p):
        yield from elementwise(primitive, 2)
    yield from elementwise(c.is_finite_p, dtypes=FLOATS)
    for primitive in (b.and_p, b.or_p, b.xor_p):
        yield from elementwise(primitive, 2, dtypes=INTEGERS + BOOLS)
    yield from elementwise(b.not_p, dtypes=INTEGERS + BOOLS)
    for primitive in (b.shift_left_p, b.shift_right_logical_p, b.shift_right_arithmetic_p):
        yield from elementwise(primitive, 2, dtypes=INTEGERS, low=-40, high=40)
    yield from elementwise(b.population_count_p, dtypes=INTEGERS)
    yield from elementwise(b.clz_p, dtypes=INTEGERS)


def _conversions() -> Iterator[Sample]:
    c, s, z = convert, select, complex_parts
    for dtype in ALL:
        exact = dtypes.is_inexact(dtype)
        yield Sample(
            c.convert_element_type_p,
            ((3, 4),),
            {"new_dtype": dtype, "weak_type": False},
            linear=((0,),) if dtype == np.float64 else (),
            smooth=exact and dtype.itemsize == 8,
        )
    bits32 = [d for d in FLOATS + INTEGERS if d.itemsize == 4]
    for new in (np.uint32, np.int8):
        yield Sample(
            c.bitcast_convert_type_p,
            ((3, 2),),
            {"new_dtype": np.dtype(new)},
            dtypes=bits32,
            smooth=False,
        )
    yield Sample(
        c.bitcast_convert_type_p,
        ((3, 4),),
        {"new_dtype": np.dtype(np.float32)},
        dtypes=[np.dtype(np.uint8)],
    )
    for exponent, mantissa in ((5, 10), (8, 7), (4, 3), (8, 23)):
        params = {"exponent_bits": exponent, "mantissa_bits": mantissa}
        yield Sample(
            reduce_precision.reduce_precision_p,
            ((3, 4),),
            params,
            dtypes=FLOATS,
            linear=(),
            smooth=False,
        )
    yield from elementwise(s.copy_p, linear=((0,),))
    yield from elementwise(s.stop_gradient_p, smooth=False)
    for which, shape in (((), (3, 4)), ((3, 4), (3, 4)), ((0,), (0,)), ((), ())):
        yield Sample(s.select_n_p, (booleans(which), shape, shape), linear=((1, 2),))
    yield Sample(s.select_n_p, (integers((5,), 0, 3), (5,), (5,), (5,)), linear=((1, 2, 3),))
    yield Sample(s.select_n_p, (integers((), 1, 2), (5,), (5,), (5,)), linear=((1, 2, 3),))
    yield from elementwise(z.real_p, dtypes=COMPLEX)
    yield from elementwise(z.imag_p, dtypes=COMPLEX)
    yield from elementwise(z.conj_p, dtypes=COMPLEX)
    yield from elementwise(z.complex_p, 2, dtypes=FLOATS[:2])


def _shaping() -> Iterator[Sample]:
    s, only = shaping, ((0,),)
    for x, shape, dims in (
        ((), (2, 3), ()),
        ((3,), (2, 3), (1,)),
        ((2, 1), (2, 4, 3), (0, 2)),
        ((1,), (0,), (0,)),
        ((1, 5), (4, 5), (0, 1)),
        ((), (), ()),
    ):
        params = {"shape": shape, "broadcast_dimensions": dims}
        yield Sample(s.broadcast_in_dim_p, (x,), params, linear=only)
    for x, sizes in (((2, 3), (6,)), ((6,), (3, 1, 2)), ((), (1, 1)), ((0, 4), (2, 0)), ((1,), ())):
        yield Sample(s.reshape_p, (x,), {"new_sizes": sizes}, linear=only)
    for x, order in (((2, 3, 4), (2, 0, 1)), ((3, 1), (1, 0)), ((5,), (0,)), ((0, 2), (1, 0))):
        yield Sample(s.transpose_p, (x,), {"permutation": order}, linear=only)
    for x, starts, limits, strides in (
        ((7,), (1,), (6,), (2,)),
        ((4, 5), (0, 2), (4, 2), None),
        ((4, 5), (1, 0), (3, 5), (1, 3)),
        ((1,), (0,), (1,), None),
        ((), (), (), None),
        ((8,), (1,), (8,), (3,)),
    ):
        params = {"start_indices": starts, "limit_indices": limits, "strides": strides}
        yield Sample(slicing.slice_p, (x,), params, linear=only)
    for x, config in (
        ((4,), ((2, 1, 0),)),
        ((4,), ((0, 3, 2),)),
        ((5,), ((-2, 1, 1),)),
        ((5,), ((-1, -2, 0),)),
        ((0,), ((2, 1, 3),)),
        ((2, 3), ((1, 0, 1), (-1, 2, 0))),
        ((), ()),
        ((3,), ((-4, 2, 2),)),
    ):
        yield Sample(slicing.pad_p, (x, ()), {"padding_config": config}, linear=((0, 1),))
    for x, dims in (((5,), (0,)), ((2, 3, 4), (0, 2)), ((1, 0), (1,))):
        yield Sample(s.rev_p, (x,), {"dimensions": dims}, linear=only)
    for xs, axis in ((((2,), (3,), (0,)), 0), (((2, 1), (2, 4)), 1), (((1, 3), (2, 3)), 0)):
        everything = (tuple(range(len(xs))),)
        yield Sample(joining.concatenate_p, xs, {"dimension": axis}, linear=everything)
    for shape, dim in (((5,), 0), ((2, 3), 1), ((0, 2), 0), ((1, 1), 1)):
        for dtype in (np.int32, np.float64, dtypes.bfloat16):
            params = {"dtype": np.dtype(dtype), "shape": shape, "dimension": dim}
            yield Sample(creation.iota_p, (), params, dtypes=(np.dtype(np.float32),))


REDUCED = (((7,), (0,)), ((3, 4, 5), (0, 2)), ((3, 4), (1,)), ((1, 1), (0, 1)), ((2, 3), (1, 0)))
EMPTY = (((0,), (0,)), ((2, 0), (0,)), ((0, 3), (0,)))


def _reductions() -> Iterator[Sample]:
    r = reduction
    for x, axes in REDUCED + EMPTY:
        params = {"axes": axes}
        yield Sample(r.reduce_sum_p, (x,), params, dtypes=NUMBERS, linear=((0,),))
        yield Sample(r.reduce_prod_p, (x,), params, dtypes=NUMBERS)
        yield Sample(r.reduce_max_p, (x,), params)
        yield Sample(r.reduce_min_p, (x,), params)
        for primitive in (r.reduce_and_p, r.reduce_or_p, r.reduce_xor_p):
            yield Sample(primitive, (x,), params, dtypes=INTEGERS + BOOLS)
    for primitive in (argreduce.argmax_p, argreduce.argmin_p):
        for x, axis in (((7,), 0), ((3, 4, 5), 1), ((1,), 0), ((0, 3), 1)):
            for index_dtype in (np.int32, np.int64, np.uint8):
                params = {"axes": (axis,), "index_dtype": np.dtype(index_dtype)}
                yield Sample(primitive, (x,), params)
    c = cumulative
    for x, axis in (((7,), 0), ((3, 4), 1), ((3, 5, 2), 1), ((1,), 0), ((0, 3), 0), ((2, 0), 0)):
        for reverse in (False, True):
            params = {"axis": axis, "reverse": reverse}
            yield Sample(c.cumsum_p, (x,), params, dtypes=NUMBERS, linear=((0,),))
            yield Sample(c.cumprod_p, (x,), params, dtypes=NUMBERS)
            yield Sample(c.cummax_p, (x,), params)
            yield Sample(c.cummin_p, (x,), params)
            yield Sample(c.cumlogsumexp_p, (x,), params, dtypes=FLOATS)
    w = reduce_window
    for x, window, strides, dilation in (
        ((7,), (3,), (1,), (1,)),
        ((3, 8), (1, 3), (1, 2), (1, 2)),
        ((4, 5, 2), (2, 3, 1), (2, 1, 1), (1, 1, 1)),
        ((2, 3), (1, 4), (1, 1), (1, 1)),
        ((0, 3), (1, 2), (1, 1), (1, 1)),
        ((4,), (1,), (2,), (1,)),
        ((), (), (), ()),
    ):
        params = {
            "window_dimensions": window,
            "window_strides": strides,
            "window_dilation": dilation,
        }
        yield Sample(w.reduce_window_sum_p, (x,), params, dtypes=NUMBERS, linear=((0,),))
        for primitive in (
            w.reduce_window_max_p,
            w.reduce_window_min_p,
            w.window_argmax_p,
            w.window_argmin_p,
        ):
            yield Sample(primitive, (x,), params)


def _contractions() -> Iterator[Sample]:
    for lhs, rhs, numbers in (
        ((3,), (3,), (((0,), (0,)), ((), ()))),
        ((2, 3), (3, 4), (((1,), (0,)), ((), ()))),
        ((2, 3), (4, 3), (((1,), (1,)), ((), ()))),
        ((5, 2, 3), (5, 3, 4), (((2,), (1,)), ((0,), (0,)))),
        ((2, 5, 3, 4), (3, 6, 2, 4), (((3, 2), (3, 0)), ((0,), (2,)))),
        ((2, 3), (4,), (((), ()), ((), ()))),
        ((0, 3), (3, 4), (((1,), (0,)), ((), ()))),
        ((2, 0), (0, 4), (((1,), (0,)), ((), ()))),
        ((2, 3), (3, 2), (((0, 1), (1, 0)), ((), ()))),
        ((2, 3), (3, 2), (((), ()), ((1, 0), (0, 1)))),
    ):
        for preferred, of in ((None, ALL), (np.dtype(np.float64), FLOATS)):
            params = {"dimension_numbers": numbers, "preferred_element_type": preferred}
            yield Sample(
                dot_general.dot_general_p, (lhs, rhs), params, dtypes=of, linear=((0,), (1,))
            )


#: (left shape, right shape, strides, dilation, groups, contracted)
SLIDING: tuple[tuple[Shape, Shape, Shape, Shape, int, int], ...] = (
    ((2, 3, 7), (4, 3, 3), (1,), (1,), 0, 1),
    ((2, 3, 8, 6), (4, 3, 3, 2), (2, 1), (1, 2), 0, 1),
    ((3, 2, 4, 6), (3, 5, 4, 2), (3,), (2,), 1, 1),
    ((2, 1, 9), (2, 1, 4), (2,), (1,), 1, 1),
    ((2, 3, 2, 5), (3, 2, 5), (1,), (1,), 0, 2),
    ((3, 4, 1, 2, 3), (2, 4, 1, 1, 2), (1, 1, 1), (1, 1, 1), 0, 1),
    ((2, 3), (4, 3), (), (), 0, 1),
    ((2, 3, 2), (4, 3, 3), (1,), (1,), 0, 1),
    ((2, 0, 5), (4, 0, 2), (1,), (1,), 0, 1),
    ((6, 3), (2,), (2,), (1,), 0, 0),
)


def _convolutions() -> Iterator[Sample]:
    for lhs, rhs, strides, dilation, groups, contracted in SLIDING:
        for preferred, of in ((None, NUMBERS), (np.dtype(np.float64), FLOATS)):
            params = {
                "strides": strides,
                "dilation": dilation,
                "groups": groups,
                "contracted": contracted,
                "preferred_element_type": preferred,
            }
            yield Sample(
                convolution.convolution_p, (lhs, rhs), params, dtypes=of, linear=((0,), (1,))
            )


#: (operand shape, indices shape, dimension numbers, slice sizes)
WINDOWS = (
    ((6,), (4, 1), ((), (0,), (0,)), (1,)),
    ((6,), (4, 1), ((1,), (), (0,)), (3,)),
    ((6, 5), (2, 3, 1), ((2,), (0,), (0,)), (1, 5)),
    ((6, 5), (3, 2), ((), (0, 1), (1, 0)), (1, 1)),
    ((4, 6, 5), (2, 2), ((0, 2), (1,), (0, 1)), (2, 1, 3)),
    ((3, 6), (3, 4, 1), ((), (1,), (1,), (0,), (0,)), (1, 1)),
    ((3, 6, 2), (4, 3, 1), ((1,), (1,), (1,), (0,), (1,)), (1, 1, 2)),
    ((6,), (0, 1), ((), (0,), (0,)), (1,)),
    ((6,), (1,), ((0,), (), (0,)), (2,)),
    ((5,), (2, 0), ((1,), (), ()), (5,)),
)


def _window_shape(indices: Shape, numbers: Any, sizes: Shape) -> Shape:
    absent = {*numbers[1], *(numbers[3] if len(numbers) > 3 else ())}
    window = iter(n for d, n in enumerate(sizes) if d not in absent)
    batch = iter(indices[:-1])
    ndim = len(indices) - 1 + len(sizes) - len(absent)
    return tuple(next(window if d in numbers[0] else batch) for d in range(ndim))


def _indexing() -> Iterator[Sample]:
    i = indexing
    for x, at, numbers, sizes in WINDOWS:
        for mode in Mode:
            inside = mode == Mode.PROMISE_IN_BOUNDS
            positions = integers(at, 0, 3) if inside else integers(at, -3, 8)
            common = {"indices_are_sorted": False, "unique_indices": False, "mode": mode}
            params = {
                "dimension_numbers": i.GatherDimensionNumbers(*numbers),
                "slice_sizes": sizes,
                "fill_value": 0 if mode == Mode.FILL_OR_DROP else None,
                **common,
            }
            yield Sample(i.gather_p, (x, positions), params, linear=((0,),))
            params = {"dimension_numbers": i.ScatterDimensionNumbers(*numbers), **common}
            operands = (x, positions, _window_shape(at, numbers, sizes))
            yield Sample(i.scatter_p, operands, params, linear=((0, 2),))
            yield Sample(i.scatter_add_p, operands, params, dtypes=NUMBERS, linear=((0, 2),))
            yield Sample(i.scatter_min_p, operands, params)
            yield Sample(i.scatter_max_p, operands, params)
    for x, at, numbers, sizes in (WINDOWS[0], WINDOWS[3]):
        params = {
            "dimension_numbers": i.ScatterDimensionNumbers(*numbers),
            "indices_are_sorted": False,
            "unique_indices": True,
            "mode": Mode.FILL_OR_DROP,
        }
        updates = _window_shape(at, numbers, sizes)
        operands = (x, permuted(at[:-1], at[-1], 7), updates)
        yield Sample(i.scatter_p, operands, params, linear=((0, 2),))
        yield Sample(i.scatter_mul_p, operands, params, dtypes=NUMBERS, linear=((0,),))
    d = dynamic_slice
    for x, sizes in (((6,), (3,)), ((4, 5), (2, 5)), ((4, 5), (1, 0)), ((1,), (1,)), ((), ())):
        starts = tuple(integers((), -3, 8) for _ in x)
        yield Sample(d.dynamic_slice_p, (x, *starts), {"slice_sizes": sizes}, linear=((0,),))
        yield Sample(d.dynamic_update_slice_p, (x, sizes, *starts), linear=((0, 1),))


def _random_bits() -> Iterator[Sample]:
    for key, shape in (((), (5,)), ((4, 2), (4, 2)), ((), ()), ((), (0,))):
        words = [integers(s, 0, 2**32, np.uint32) for s in (key, key, shape, shape)]
        yield Sample(random_bits.threefry2x32_p, tuple(words), dtypes=(np.dtype(np.uint32),))
    for shape in ((), (5,), (2, 3), (0,)):
        words = [integers(shape, 0, 2**32, np.uint32) for _ in range(2)]
        only = (np.dtype(np.uint32),)
        yield Sample(random_keys.random_wrap_p, tuple(words), dtypes=only)
        keys = lambda *args, words=words: random_keys.random_wrap_p.rule("numpy")(  # noqa: E731
            *(word(*args) for word in words)
        )
        yield Sample(random_keys.random_unwrap_p, (keys,), dtypes=only)


def _sorting() -> Iterator[Sample]:
    for shapes, axis, keys in (
        (((7,),), 0, 1),
        (((3, 4),), 0, 1),
        (((1,),), 0, 1),
        (((2, 0),), 1, 1),
        (((3, 5, 2), (3, 5, 2)), 1, 1),
        (((2, 6), (2, 6), (2, 6)), 1, 2),
        (((0,), (0,)), 0, 2),
    ):
        for stable in (True, False):
            params = {"dimension": axis, "is_stable": stable, "num_keys": keys}
            yield Sample(sort.sort_p, shapes, params, dtypes=ALL + COMPLEX)
    params = {"dimension": 0, "is_stable": True, "num_keys": 2}
    yield Sample(sort.sort_p, (integers((9,), 0, 3), (9,), booleans((9,))), params)


LAPACK = (np.dtype(np.float32), np.dtype(np.float64))
REAL_OR_COMPLEX = LAPACK + COMPLEX


def symmetric(shape: Shape, shift: float = 0.0) -> Maker:
    """Hermitian matrices with well separated eigenvalues, positive for a large `shift`."""

    def make(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        x = random_array(rng, shape, dtype, -1, 1)
        spread = np.diag(shift + 2.0 * np.arange(shape[-1]))
        return np.asarray(x + np.swapaxes(x.conj(), -1, -2) + spread, dtype)

    return make


def triangle(shape: Shape, lower: bool) -> Maker:
    """Triangular matrices that are far from singular; what is beside the triangle is not read."""

    def make(rng: np.random.Generator, dtype: np.dtype) -> np.ndarray:
        x = random_array(rng, shape, dtype, -1, 1)
        one = (np.tril if lower else np.triu)(np.ones(shape[-2:]))
        return np.asarray(x * one + 3 * np.eye(shape[-1]), dtype)

    return make


def far_from_zero(shape: Shape) -> Maker:
    """Diagonals that outweigh what is beside them."""
    return lambda rng, dtype: np.asarray(4 + random_array(rng, shape, dtype, -1, 1), dtype)


def _linear_algebra() -> Iterator[Sample]:
    options: dict[str, Any] = {"dtypes": REAL_OR_COMPLEX, "low": -1.0, "high": 1.0}
    for shape in ((3, 3), (1, 1), (0, 0), (2, 4, 4)):
        yield Sample(linalg_cholesky.cholesky_p, (symmetric(shape, 6.0),), dtypes=REAL_OR_COMPLEX)
        for lower in (True, False):
            yield Sample(linalg_eigh.eigh_p, (symmetric(shape),), {"lower": lower}, LAPACK)
        yield Sample(
            linalg_eig.eig_p,
            (symmetric(shape),),
            {"compute_left": False, "compute_right": True},
            dtypes=LAPACK,
        )
    for shape in ((3, 3), (4, 2), (2, 3, 5), (0, 2)):
        yield Sample(linalg_lu.lu_p, (shape,), **options)
        yield Sample(linalg_qr.qr_p, (shape,), {"full_matrices": False}, **options)
        params = {"full_matrices": False, "compute_uv": True}
        yield Sample(linalg_svd.svd_p, (shape,), params, **{**options, "dtypes": LAPACK})
    # No derivatives: the test of those takes float64.
    narrow = np.dtype(np.float32), np.dtype(np.complex64)
    yield Sample(linalg_qr.geqrf_p, ((2, 4, 3),), dtypes=narrow)
    yield Sample(linalg_qr.householder_product_p, ((4, 3), (3,)), dtypes=narrow)
    yield Sample(linalg_eig.schur_p, ((2, 3, 3),), {"compute_vectors": True}, narrow, smooth=False)
    yield Sample(linalg_reductions.hessenberg_p, ((2, 4, 4),), dtypes=narrow)
    yield Sample(linalg_reductions.geqp3_p, ((2, 4, 3),), dtypes=narrow)
    for lower in (True, False):
        yield Sample(linalg_reductions.tridiagonal_p, ((4, 4),), {"lower": lower}, narrow)
    for m, n in ((3, 2), (1, 1), (2, 0)):
        equation = symmetric((m, m), 4.0), symmetric((n, n), 4.0), (m, n)
        yield Sample(linalg_sylvester.sylvester_p, equation, dtypes=REAL_OR_COMPLEX, linear=((2,),))
    for perturbed in (True, False):
        yield Sample(
            linalg_tridiagonal.tridiagonal_solve_p,
            ((2, 5), far_from_zero((2, 5)), (2, 5), (2, 5, 3)),
            {"perturb_singular": perturbed},
            REAL_OR_COMPLEX,
            low=-1.0,
            high=1.0,
            linear=((3,),),
        )
    pivots = np.asarray([2, 1, 2], np.int32)
    yield Sample(
        linalg_lu.lu_pivots_to_permutation_p,
        (lambda rng, dtype: rng.permutation(pivots),),
        {"permutation_size": 4},
        dtypes=(np.dtype(np.int32),),
    )
    permutation = np.asarray([2, 0, 1], np.int32)
    for transposed in (True, False):
        yield Sample(
            linalg_solve.linear_solve_p,
            ((3, 3), symmetric((3, 3), 4.0), lambda rng, dtype: permutation, (3, 2)),
            {"transposed": transposed},
            REAL_OR_COMPLEX,
            linear=((3,),),
            smooth=False,  # moving the matrix would move its factors
        )
    for left, lower, transposed in itertools.product((True, False), repeat=3):
        params = {
            "left_side": left,
            "lower": lower,
            "transpose_a": transposed,
            "conjugate_a": False,
            "unit_diagonal": lower != transposed,
        }
        sides = (2, 4, 3) if left else (2, 3, 4)
        operands = (triangle((2, 4, 4), lower), sides)
        yield Sample(
            linalg_solve.triangular_solve_p, operands, params, REAL_OR_COMPLEX, linear=((1,),)
        )


def _fourier() -> Iterator[Sample]:
    real = np.dtype(np.float32), np.dtype(np.float64)
    for shape, axes, lengths in (
        ((3, 8), (1,), (8,)),
        ((5, 2), (0,), (5,)),
        ((2, 3, 4), (2, 0), (4, 2)),
        ((1,), (0,), (1,)),
    ):
        for kind, dtypes_ in (
            (fft.FftType.FFT, COMPLEX),
            (fft.FftType.IFFT, COMPLEX),
            (fft.FftType.RFFT, real),
            (fft.FftType.IRFFT, COMPLEX),
        ):
            given = list(shape)
            if kind is fft.FftType.IRFFT:
                given[axes[-1]] = fft.half_length(lengths[-1])
            params = {"kind": kind, "axes": axes, "lengths": lengths}
            yield Sample(fft.fft_p, (tuple(given),), params, dtypes_, linear=((0,),))


#: What tests/linalg holds to its promises: factors are right as products, not element by element.
LINEAR_ALGEBRA = tuple(_linear_algebra())

SAMPLES: tuple[Sample, ...] = (
    *_arithmetic(),
    *_transcendental(),
    *_discrete(),
    *_conversions(),
    *_shaping(),
    *_reductions(),
    *_contractions(),
    *_convolutions(),
    *_fourier(),
    *_indexing(),
    *_random_bits(),
    *_sorting(),
    *LINEAR_ALGEBRA,
)


def all_primitives() -> set[Primitive]:
    """Every primitive declared in :mod:`weft.primitives` that means something by itself.

    Collectives mean something inside a mapped function only; they have tests of their own, and so
    have kernels of the user and what their bodies are made of.
    """
    found: set[Primitive] = set()
    modules = pkgutil.iter_modules(weft.primitives.__path__)
    for module in (m for m in modules if not m.name.startswith("tile_")):
        names = vars(importlib.import_module(f"weft.primitives.{module.name}"))
        found.update(value for value in names.values() if isinstance(value, Primitive))
    return {primitive for primitive in found if "collective" not in primitive.rules}
