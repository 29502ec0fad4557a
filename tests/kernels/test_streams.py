"""Blocked kernels: streams found in programs, in blocks of any size, against NumPy in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from tests.levels import programs as random_programs
from tests.levels.test_levels import check_levels, run_launches, trace
from weft import lax
from weft.compile import Executable, compile_jaxpr
from weft.core.bounded import BoundedCache
from weft.kernels import plan, streaming
from weft.kernels.blocked import Blocks
from weft.kernels.gathers import gathered
from weft.kernels.partition import partition
from weft.kernels.program import Launch
from weft.kernels.stream_search import find_streams, sketches
from weft.kernels.streams import Stream, find_stages
from weft.machines import host_machine
from weft.planning import plan_program
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Region


@contextmanager
def forced(
    block: int, along: int, lane: bool, shares: int = 1, turned: bool = False
) -> Iterator[None]:
    """Every stream is taken, in blocks of these sizes."""

    def sizes(stream: Stream, machine: Any) -> Iterator[Blocks]:
        rows = [1] * len(stream.rows)
        last = len(rows) - 1
        if lane and rows:
            rows[last] = min(block, stream.rows[last].extent)
        place = last if lane and rows else None
        blocks = Blocks(tuple(rows), min(along, stream.along.extent), place)
        yield replace(blocks, shares=shares, turned=turned)
        if shares > 1:
            yield blocks

    with (
        mock.patch.object(streaming, "sizes", sizes),
        mock.patch.object(streaming, "_known", BoundedCache(8)),
        mock.patch.object(streaming, "SMALL", -inf),
        mock.patch.object(plan, "SMALL", -inf),
        mock.patch.object(streaming, "ALONE", -inf),
        mock.patch.object(streaming, "AT_STAKE", 0.0),
        mock.patch.object(streaming, "CLEARLY", inf),
    ):
        yield


def compiled(function: Callable[..., Any], *arrays: np.ndarray) -> Executable:
    return compile_jaxpr(trace(lambda *xs: [function(*xs)], list(arrays)))


def run(function: Callable[..., Any], *arrays: np.ndarray) -> tuple[list[np.ndarray], int]:
    """The results of compiled code, after the interpreter has agreed; and how many kernels."""
    executable = compiled(function, *arrays)
    program = executable.program
    with np.errstate(all="ignore"):
        expected = run_launches(program, list(arrays))
    results = [np.asarray(r) for r in executable(*arrays)]
    for a, e in zip(results, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-5)
    return results, sum(isinstance(s, Launch) for s in program.steps)


def random(shape: tuple[int, ...], seed: int, scale: float = 1.0) -> np.ndarray:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


# -- attention in many forms -----------------------------------------------------------------------

Mask = Callable[[Any, Any], Any]


def positions(np_: Any, s: Any) -> tuple[Any, Any]:
    return np_.arange(s.shape[-2])[:, None], np_.arange(s.shape[-1])[None, :]


def plain(np_: Any, s: Any) -> Any:
    return s


def causal(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where(i >= j, s, -np_.inf)


def triangle(np_: Any, s: Any) -> Any:
    return np_.where(np_.tril(np_.ones(s.shape[-2:], bool)), s, -np_.inf)


def strict(np_: Any, s: Any) -> Any:
    """The first row is masked wholly."""
    i, j = positions(np_, s)
    return np_.where(i > j, s, -np_.inf)


def window(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where((i >= j) & (i - j < 5), s, -np_.inf)


def later_hidden(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where(j > i, -np_.inf, s)


def nested(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where(i - j < 5, np_.where(i >= j, s, -np_.inf), -np_.inf)


def nearby(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where(abs(i - j) < 9, s, -np_.inf)


def diagonal_blocks(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where(i // 16 == j // 16, s, -np_.inf)


def earlier_blocks(np_: Any, s: Any) -> Any:
    rows, columns = (np_.repeat(np_.arange(-(-n // 16)), 16)[:n] for n in s.shape[-2:])
    return np_.where(rows[:, None] >= columns, s, -np_.inf)


def outside(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return np_.where((i < j) | (i - j > 7), s, -np_.inf)


def bias(np_: Any, s: Any) -> Any:
    i, j = positions(np_, s)
    return s + np_.where(i >= j, 0.0, -np_.inf).astype(s.dtype) - abs(i - j).astype(s.dtype) / 8


def capped(np_: Any, s: Any) -> Any:
    return 5 * np_.tanh(s / 5)


FORMS: list[Mask] = [plain, causal, triangle, strict, window, outside, bias, capped]
FORMS += [later_hidden, nested, nearby, diagonal_blocks, earlier_blocks]


def attention(np_: Any, form: Mask) -> Callable[..., Any]:
    def function(q: Any, k: Any, v: Any) -> Any:
        s = form(np_, np_.einsum("hid,hjd->hij", q, k) / 4)
        p = np_.exp(s - s.max(-1, keepdims=True))
        return np_.einsum("hij,hje->hie", p, v) / p.sum(-1, keepdims=True)

    return function


def check_attention(
    form: Mask, q: np.ndarray, k: np.ndarray, v: np.ndarray, tolerance: float = 1e-5
) -> None:
    (result,), kernels = run(attention(wnp, form), q, k, v)
    assert kernels == 1
    with np.errstate(all="ignore"):
        expected = attention(np, form)(*(x.astype(np.float64) for x in (q, k, v)))
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance)


sizes = st.integers(1, 40)


@settings(max_examples=40)
@given(
    st.sampled_from(FORMS), st.tuples(sizes, sizes, sizes, sizes), st.tuples(sizes, sizes),
    st.booleans(), st.integers(0, 1 << 30),
)  # fmt: skip
def test_attention_in_any_blocks(
    form: Mask, shape: tuple[int, ...], blocks: tuple[int, int], lane: bool, seed: int
) -> None:
    i, j, d, e = (max(2, n) for n in shape)
    q, k, v = random((2, i, d), seed), random((2, j, d), seed + 1), random((2, j, e), seed + 2)
    with forced(*blocks, lane=lane):
        check_attention(form, q, k, v)


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("lane", [True, False])
def test_scores_of_any_size(form: Mask, lane: bool) -> None:
    q, k, v = (random((1, 48, 16), n) for n in range(3))
    for scale in (30.0, 1e3):
        s = np.abs(np.einsum("hid,hjd->hij", scale * q, k)).max()
        with forced(16, 12, lane):
            check_attention(form, scale * q, k, v, tolerance=4e-7 * float(s) + 1e-5)


@pytest.mark.parametrize("lane", [True, False])
@pytest.mark.parametrize("value", [-np.inf, np.inf, np.nan])
def test_infinite_scores_are_as_in_numpy(value: float, lane: bool) -> None:
    def function(np_: Any) -> Callable[..., Any]:
        def inner(q: Any, k: Any, v: Any, b: Any) -> Any:
            return attention(np_, lambda n, s: s + b)(q, k, v)

        return inner

    q, k, v = (random((2, 40, 8), n) for n in range(3))
    dice = np.random.default_rng(5)
    b = np.where(dice.random((2, 40, 40)) < 0.02, value, 0).astype(np.float32)
    b[0, 3] = value  # a whole row
    b[1, 7, :20] = value  # whole blocks of a row, first
    b[1, 9, 20:] = value  # and last
    with forced(16, 10, lane):
        (result,), kernels = run(function(wnp), q, k, v, b)
    assert kernels == 1
    with np.errstate(all="ignore"):
        expected = function(np)(*(x.astype(np.float64) for x in (q, k, v, b)))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


def test_blocks_that_a_mask_hides_are_left_out() -> None:
    q = random((1, 64, 16), 0)
    seen = 2 + 4 + 6 + 8
    # What divides positions is known within a block: one more on each side may be looked at.
    cases = {
        causal: seen,
        triangle: seen,
        later_hidden: seen,
        window: 2 + 3 + 3 + 3,
        nested: 2 + 3 + 3 + 3,
        nearby: 3 + 4 + 4 + 3,
        diagonal_blocks: 4 + 6 + 6 + 4,
        earlier_blocks: 4 + 6 + 8 + 8,
        plain: 4 * 8,
    }
    for form, count in cases.items():
        with forced(16, 8, True):
            (launch,) = compiled(attention(wnp, form), q, q, q).program.steps
        assert isinstance(launch, Launch)
        assert visited(launch.kernel) == count


def visited(kernel: Any) -> int:
    """Blocks along the stream that are gone through, by all rows."""
    from weft.kernels.interpret import _Run
    from weft.kernels.ir import For, loops

    outer = next(x for x in loops(kernel.body) if x.kind == "parallel" and x.step > 1)
    count = 0
    for here in range(outer.lo, outer.hi, outer.step):
        for loop in (s for s in outer.body if isinstance(s, For) and s.step == 8 and s.hi == 64):
            runner = _Run({})
            runner.position[outer.axis] = here
            for position in range(loop.lo, loop.hi, loop.step):
                runner.position[loop.axis] = position
                count += runner.takes_part(loop)
    return count


# -- gradients -------------------------------------------------------------------------------------


def loss(np_: Any, fixed: Callable[[Any], Any]) -> Callable[..., Any]:
    def function(q: Any, k: Any, v: Any) -> Any:
        s = np_.einsum("hid,hjd->hij", q, k) / 4
        p = np_.exp(s - fixed(s.max(-1, keepdims=True)))
        o = np_.einsum("hij,hje->hie", p, v) / p.sum(-1, keepdims=True)
        return (o * o).sum()

    return function


def as_it_is(x: Any) -> Any:
    return x


@pytest.mark.parametrize(
    ("blocks", "fixed"),
    [
        ((16, 8, True), lax.stop_gradient),
        ((1, 16, False), lax.stop_gradient),
        ((8, 13, True), as_it_is),
    ],
)
def test_gradients_of_attention_keep_nothing_square(
    blocks: tuple[int, int, bool], fixed: Callable[[Any], Any]
) -> None:
    q, k, v = (random((2, n, 8), seed) for seed, n in enumerate((40, 30, 30)))
    gradient = weft.grad(loss(wnp, fixed), argnums=(0, 1, 2))
    expected = gradient(*(wnp.asarray(x.astype(np.float64)) for x in (q, k, v)))
    with forced(*blocks):
        executable = compile_jaxpr(trace(lambda *xs: list(gradient(*xs)), [q, k, v]))
    for found, e in zip(executable(q, k, v), expected, strict=True):
        np.testing.assert_allclose(found, e, rtol=1e-4, atol=1e-5)
    assert all(s.nbytes // 8 < 40 * 30 for s in executable.program.temporaries)


@pytest.mark.parametrize(("width", "block", "along"), [(8, 16, 8), (70, 8, 13)])
def test_sums_that_are_computed_again_are_equal_to_themselves(
    width: int, block: int, along: int
) -> None:
    """The gradient of a maximum goes to what is equal to it, wherever that is computed."""
    x, y = random((61, width), 0), random((53, width), 1)
    gradient = weft.grad(lambda x, y: wnp.tanh((x @ y.T).max(-1)).sum(), argnums=(0, 1))
    with forced(block, along, True):
        executable = compile_jaxpr(trace(lambda *xs: list(gradient(*xs)), [x, y]))
    assert all(s.nbytes < 61 * 53 for s in executable.program.temporaries)
    s = x.astype(np.float64) @ y.T
    nearest, slope = s.argmax(-1), 1 - np.tanh(s.max(-1)) ** 2
    of_y = np.zeros(y.shape)
    np.add.at(of_y, nearest, slope[:, None] * x)
    for found, exact in zip(executable(x, y), (slope[:, None] * y[nearest], of_y), strict=True):
        np.testing.assert_allclose(found, exact, rtol=1e-4, atol=1e-5)


# -- other streams ---------------------------------------------------------------------------------


def vocabulary(np_: Any) -> Callable[..., Any]:
    def function(x: Any, w: Any) -> Any:
        s = x @ w
        m = s.max(-1, keepdims=True)
        return np_.log(np_.exp(s - m).sum(-1)) + m[:, 0]

    return function


def nearest(np_: Any) -> Callable[..., Any]:
    def function(x: Any, y: Any) -> Any:
        d = ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)
        return d.min(-1)

    return function


def nearest_place(np_: Any) -> Callable[..., Any]:
    def function(x: Any, y: Any) -> Any:
        return ((x[:, None, :] - y[None, :, :]) ** 2).sum(-1).argmin(-1)

    return function


def kernel_sum(np_: Any) -> Callable[..., Any]:
    def function(x: Any, y: Any) -> Any:
        return np_.exp(-((x[:, None, :] - y[None, :, :]) ** 2).sum(-1)).sum(-1)

    return function


def grouped(np_: Any) -> Callable[..., Any]:
    def function(q: Any, k: Any) -> Any:
        s = np_.einsum("hgid,hjd->hgij", q.reshape(2, 2, *q.shape[1:]), k)
        p = np_.exp(s - s.max(-1, keepdims=True))
        return np_.einsum("hgij,hje->hgie", p, k) / p.sum(-1, keepdims=True)

    return function


def one_query(np_: Any) -> Callable[..., Any]:
    def function(q: Any, k: Any) -> Any:
        s = np_.einsum("hd,hjd->hj", q, k)
        p = np_.exp(s - s.max(-1, keepdims=True))
        return np_.einsum("hj,hje->he", p, k) / p.sum(-1, keepdims=True)

    return function


def log_sum(np_: Any) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        m = x.max(-1, keepdims=True)
        return np_.log(np_.exp(x - m).sum(-1)) + m[..., 0]

    return function


def normalised(np_: Any) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        e = np_.exp(x - x.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)

    return function


def deviation(np_: Any) -> Callable[..., Any]:
    def function(x: Any) -> Any:
        d = x - x.mean(-1, keepdims=True)
        return d / np_.sqrt((d * d).mean(-1, keepdims=True))

    return function


OTHERS = {
    log_sum: ((5, 70),),
    normalised: ((5, 70),),
    deviation: ((5, 70),),
    vocabulary: ((9, 7), (7, 50)),
    nearest: ((21, 5), (33, 5)),
    nearest_place: ((21, 5), (33, 5)),
    kernel_sum: ((21, 5), (33, 5)),
    grouped: ((4, 20, 6), (2, 30, 6)),
    one_query: ((3, 8), (3, 70, 8)),
}


@pytest.mark.parametrize("form", OTHERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("blocks", [(16, 8, True), (4, 13, True), (1, 16, False), (8, 64, True)])
def test_other_streams(form: Any, blocks: tuple[int, int, bool]) -> None:
    arrays = [random(s, n) for n, s in enumerate(OTHERS[form])]
    with forced(*blocks):
        (result,), kernels = run(form(wnp), *arrays)
    assert kernels == 1
    expected = form(np)(*(x.astype(np.float64) for x in arrays))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", OTHERS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("shares", [2, 3, 5])
@pytest.mark.parametrize("lane, turned", [(True, False), (False, False), (True, True)])
def test_shares_are_combined(form: Any, shares: int, lane: bool, turned: bool) -> None:
    arrays = [random(s, n) for n, s in enumerate(OTHERS[form])]
    with forced(4, 7, lane, shares, turned):
        (result,), kernels = run(form(wnp), *arrays)
    assert kernels == 1
    expected = form(np)(*(x.astype(np.float64) for x in arrays))
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("form", [causal, strict, window], ids=lambda f: f.__name__)
def test_shares_that_a_mask_hides(form: Mask) -> None:
    q, k, v = (random((1, 30, 8), n) for n in range(3))
    with forced(8, 4, True, shares=3):
        check_attention(form, q, k, v)


@settings(max_examples=60)
@given(random_programs.programs, st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_every_stream_means_the_same(program: Any, block: int, along: int, lane: bool) -> None:
    with forced(block, along, lane):
        check_levels(program)


# -- what is found ---------------------------------------------------------------------------------


def streams_of(function: Any, *shapes: tuple[int, ...]) -> list[Stream]:
    return find_streams(region_of(function, *shapes))


def region_of(function: Any, *shapes: tuple[int, ...]) -> Region:
    arrays = [np.ones(s, np.float32) for s in shapes]
    lowered = lower_jaxpr(trace(lambda *xs: [function(*xs)], arrays))
    return Region(lowered.inputs, tuple(lowered.block.steps), lowered.outputs)  # type: ignore[arg-type]


def deep(layers: int) -> Callable[..., Any]:
    """Attention again and again, each layer of what the one before has computed."""

    def function(x: Any) -> Any:
        for _ in range(layers):
            x = wnp.tanh(attention(wnp, plain)(x, x, x))
        return x

    return function


def test_what_is_left_of_equal_layers_is_looked_at_once() -> None:
    machine = host_machine(2)

    def divide(region: Region) -> Any:
        return partition(region, machine, lambda cone, beyond: 1e-3)

    counts = []
    for layers in (3, 5):
        rests: dict[Any, Any] = {}
        region = region_of(deep(layers), (2, 16, 4))
        with forced(4, 4, False):
            first = streaming.with_streams(region, machine, divide, rests=rests)
            counts.append(len(rests))
            again = streaming.with_streams(region, machine, divide, rests=rests)
        assert len(rests) == counts[-1]
        assert [p.seconds for p in first] == [p.seconds for p in again]
    assert counts[0] == counts[1] > 0


def test_products_read_twice_at_one_place_are_not_gathered() -> None:
    def squared(x: Any, y: Any) -> Any:
        return (x @ y) * (x @ y) + (x @ y) ** 2

    region = region_of(squared, (8, 4), (4, 32))
    assert gathered(region) is region


def test_a_cascade_is_one_stage() -> None:
    (stream, *_) = streams_of(attention(wnp, plain), (2, 64, 8), (2, 64, 8), (2, 64, 8))
    assert stream.stages == 1
    assert sorted(len(d) for d in stream.drivers.values()) == [0, 1, 1]


def temporaries(function: Any, *shapes: tuple[int, ...]) -> int:
    """Bytes of the largest array between the kernels of ``function``."""
    arrays = [np.ones(s, np.float32) for s in shapes]
    return max((s.nbytes for s in compiled(function, *arrays).program.temporaries), default=0)


def test_there_is_no_matrix_in_between_by_price() -> None:
    assert temporaries(vocabulary(wnp), (256, 128), (128, 8000)) < 256 * 8000
    for form in (nearest, nearest_place, kernel_sum):
        assert temporaries(form(wnp), (1000, 16), (1500, 16)) < 1000 * 1500


def test_folds_of_inputs_belong_to_the_streams_of_their_readers() -> None:
    for form, stages in ((log_sum, 1), (normalised, 2), (deviation, 3)):
        (stream, *_) = streams_of(form(wnp), (4, 64))
        assert stream.stages == stages


def test_equal_streams_that_are_too_dear_have_stages_once() -> None:
    machine = host_machine(2)
    counts = []
    for layers in (4, 8):
        region = region_of(deep(layers), (2, 16, 4))
        with (
            forced(4, 4, False),
            mock.patch.object(streaming, "HOPELESS", 0.0),
            mock.patch.object(streaming, "CLEARLY", 1e3),
            mock.patch.object(streaming, "_known", BoundedCache(64)),
            mock.patch.object(streaming, "find_stages", side_effect=find_stages) as staged,
        ):
            parts = streaming.with_streams(
                region, machine, lambda r: partition(r, machine, lambda cone, beyond: 1.0)
            )
        assert len(parts) == 1
        counts.append(staged.call_count)
    assert counts[0] == counts[1] > 0


def test_floors_of_streams_without_stages_are_below_their_least() -> None:
    """So that what is left out for its floor would have been left out for its price."""
    machine = host_machine(2)
    cases: list[tuple[Any, tuple[tuple[int, ...], ...]]] = [
        *((form(wnp), ((4, 64),)) for form in (log_sum, normalised, deviation)),
        *((attention(wnp, form), ((2, 64, 8),) * 3) for form in (plain, causal)),
        (deep(3), ((2, 64, 8),)),
    ]
    for function, shapes in cases:
        region = region_of(function, *shapes)
        floors = [streaming.floor_of(s, machine) for s in sketches(region) if find_stages(s)]
        least = [streaming.least_of(s, machine) for s in find_streams(region)]
        assert least
        assert all(a <= b * (1 + 1e-9) for a, b in zip(floors, least, strict=True))


def test_what_cannot_be_repaired_is_a_stage_of_its_own() -> None:
    def function(x: Any, y: Any) -> Any:
        s = x @ y
        return wnp.sin(s - s.max(-1, keepdims=True)).sum(-1)

    (stream, *_) = streams_of(function, (64, 8), (8, 64))
    assert stream.stages == 2


def test_long_attention_is_one_kernel_by_price() -> None:
    q = np.ones((2, 1024, 64), np.float32)
    (launch,) = compiled(attention(wnp, causal), q, q, q).program.steps
    assert isinstance(launch, Launch)
    scratch = sum(b.size * b.dtype.itemsize for b in launch.kernel.scratch)
    assert scratch < q[0].nbytes


def test_streams_that_wait_for_each_other_through_steps_between_them_are_not_both_taken() -> None:
    def loss(x: Any) -> Any:
        s = wnp.sin(x)
        a = (s.T @ s)[:1] * 0.1 + s
        b = wnp.take_along_axis(a, wnp.argsort(s, 0), 0)
        c = s + a + b
        d = c + wnp.tanh(c.mean(1, keepdims=True)) * a
        e = wnp.roll(d, -1, 1)
        return wnp.sin((e * e).mean())

    x = np.random.default_rng(0).standard_normal((2, 72, 132)).astype(np.float32)
    slope = weft.jit(weft.vmap(weft.grad(loss)))(x)
    one = weft.jit(weft.grad(loss))
    for n in range(2):
        np.testing.assert_allclose(slope[n], one(x[n]), rtol=1e-4, atol=1e-7)


def test_a_scatter_that_only_a_stream_reads_is_not_part_of_it() -> None:
    def program(u: Any, w: Any, index: Any) -> Any:
        product = w * u + 0.01 * wnp.zeros_like(u).at[index].add(2 * u[index])
        return [product, wnp.vdot(u, product)]

    u, index = np.ones(24_000), np.arange(48_000, dtype=np.int32) % 24_000
    planned = plan_program(trace(program, [u, u, index]), machine=host_machine(2))
    assert len(planned.steps) > 1  # `weft.config.check` finds what is read before it is written
