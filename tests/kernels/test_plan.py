"""What the planner makes of typical programs: how many kernels, which loops, what is stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.kernels.samples import evaluations
from weft import lax, nn
from weft.kernels.ir import Fold, For, Kernel, Load, Map, Store, loops, walk
from weft.kernels.program import Copy, Launch, Program, walk_steps

F32 = np.float32


def program_of(function: Any, *shapes: tuple[int, ...], dtype: Any = F32) -> Program:
    """The compiled program of ``function`` at arrays of ``shapes``."""
    args = [np.ones(s, dtype) for s in shapes]
    return weft.jit(function).trace(*args).executable.program


def kernels_of(function: Any, *shapes: tuple[int, ...], dtype: Any = F32) -> list[Kernel]:
    steps = walk_steps(program_of(function, *shapes, dtype=dtype).steps)
    return [s.kernel for s in steps if isinstance(s, Launch)]


def stores(kernel: Kernel) -> set[str]:
    return {s.buffer.name for s in walk(kernel.body) if isinstance(s, Store)}


def operations(kernel: Kernel, op: str) -> int:
    return sum(isinstance(s, Map) and s.op == op for s in walk(kernel.body))


# -- fusion ----------------------------------------------------------------------------------------


def test_elementwise_chain_is_one_kernel_that_stores_one_array() -> None:
    kernels = kernels_of(lambda x: wnp.tanh(x * 2 + 1) / (1 + wnp.exp(-x)), (300, 400))
    assert len(kernels) == 1
    assert len(stores(kernels[0])) == 1


def test_contiguous_axes_are_walked_as_one() -> None:
    (kernel,) = kernels_of(lambda x, y: x * y + 1, (100, 7, 3), (100, 7, 3))
    assert all(loop.trip > 1 for loop in loops(kernel.body))
    assert sum(1 for _ in loops(kernel.body)) == 1


@pytest.mark.parametrize(
    "function",
    [
        nn.softmax,
        nn.log_softmax,
        lambda x: (x - x.mean(-1, keepdims=True)) * lax.rsqrt(x.var(-1, keepdims=True) + 1e-5),
        lambda x: x.std(-1),
    ],
    ids=["softmax", "log_softmax", "layer_norm", "std"],
)
def test_row_reductions_and_what_follows_share_one_kernel(function: Any) -> None:
    (kernel,) = kernels_of(function, (512, 1000))
    (outer,) = [s for s in kernel.body if isinstance(s, For)]
    assert outer.kind == "parallel"


def test_expensive_rows_are_kept_in_scratch_and_computed_once() -> None:
    (kernel,) = kernels_of(nn.softmax, (512, 1024))
    (row,) = kernel.scratch
    assert row.shape == (1024,) and row.level == "thread"
    assert operations(kernel, "exp") == 1


def test_cheap_rows_are_computed_again() -> None:
    (kernel,) = kernels_of(lambda x: (x + 1) / (x + 1).sum(-1, keepdims=True), (512, 1024))
    assert not kernel.scratch


def test_full_reduction_does_not_serialise_what_follows() -> None:
    kernels = kernels_of(lambda x: x - x.mean(), (1000, 1000))
    assert len(kernels) == 2
    assert all(any(x.kind == "parallel" for x in loops(k.body)) for k in kernels)


def test_bias_and_activation_are_the_epilogue_of_a_contraction() -> None:
    kernels = kernels_of(lambda x, w, b: wnp.tanh(x @ w + b), (128, 96), (96, 160), (160,))
    assert len(kernels) == 1


def test_several_consumers_become_one_epilogue() -> None:
    def layer(x: Any, w: Any) -> Any:
        z = x @ w
        return wnp.maximum(z, 0), z > 0

    (kernel,) = kernels_of(layer, (128, 96), (96, 160))
    assert len(stores(kernel) - {b.name for b in kernel.scratch}) == 2


def test_operands_of_a_contraction_are_computed_once_as_they_are_packed() -> None:
    (kernel,) = kernels_of(lambda x, w: wnp.exp(x) @ w + 1, (128, 96), (96, 160))
    assert evaluations(kernel, "exp") == 128 * 96


@pytest.mark.parametrize(
    ("subscripts", "left", "right"),
    [
        ("ij,kj->ki", (64, 128), (200, 128)),
        ("ji,jk->ik", (128, 64), (128, 200)),
        ("bij,jk->bik", (4, 64, 128), (128, 200)),
        ("bhid,bhjd->bhij", (2, 4, 64, 64), (2, 4, 96, 64)),
        ("ijl,lkj->ik", (64, 16, 12), (12, 200, 16)),
        ("abc,ad->bcd", (40, 33, 17), (40, 90)),
    ],
)
def test_operands_of_any_contraction_are_computed_about_once(
    subscripts: str, left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    kernels = kernels_of(lambda x, y: wnp.einsum(subscripts, wnp.exp(x), wnp.exp(y)), left, right)
    computed = sum(evaluations(k, "exp") for k in kernels)
    assert computed <= 1.3 * (np.prod(left) + np.prod(right))


def test_operands_that_others_read_are_stored_not_recomputed() -> None:
    def function(x: Any, w: Any) -> Any:
        e = wnp.exp(x)
        return e @ w, e.sum(0)

    kernels = kernels_of(function, (128, 96), (96, 160))
    assert sum(evaluations(k, "exp") for k in kernels) == 128 * 96


def test_operands_of_small_contractions_are_stored() -> None:
    kernels = kernels_of(lambda x, w: wnp.exp(x) @ w, (8, 96), (96, 16))
    assert sum(evaluations(k, "exp") for k in kernels) == 8 * 96


def test_activations_between_two_layers_are_the_epilogue_of_the_first() -> None:
    first, second = kernels_of(
        lambda x, w, v: wnp.tanh(x @ w) @ v, (128, 96), (96, 160), (160, 128)
    )
    assert operations(first, "tanh") >= 1 and operations(second, "tanh") == 0


def test_two_contractions_are_two_kernels() -> None:
    kernels = kernels_of(lambda a, b, c, d: a @ b + c @ d, *[(96, 96)] * 4)
    assert len(kernels) == 2


def test_optimiser_state_and_parameters_are_updated_in_one_kernel() -> None:
    def adam(p: Any, m: Any, v: Any, g: Any) -> Any:
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        return p - m / (wnp.sqrt(v) + 1e-8), m, v

    (kernel,) = kernels_of(adam, *[(300, 400)] * 4)
    assert len(stores(kernel)) == 3


def test_gradient_of_weights_is_absorbed_in_either_layout() -> None:
    def step(x: Any, w: Any) -> Any:
        gradient = weft.grad(lambda w: ((x @ w) ** 2).sum())(w)
        return w - 0.1 * gradient

    kernels = kernels_of(step, (64, 48), (48, 80))
    assert len(kernels) == 2  # x @ w, then the gradient with the update as its epilogue


def test_unused_results_are_not_computed() -> None:
    def both(x: Any) -> Any:
        _, y = wnp.exp(x), x + 1
        return y

    (kernel,) = kernels_of(both, (64, 64))
    assert operations(kernel, "exp") == 0


def test_a_fold_that_every_row_needs_is_computed_before_the_rows() -> None:
    def perplexity(x: Any, y: Any) -> Any:
        likelihood = nn.one_hot(y, 5) * nn.log_softmax(x)
        return wnp.exp(-likelihood.sum() / len(y))

    x, y = np.random.default_rng(0).normal(size=(8, 5)).astype(F32), np.arange(8) % 5
    p = np.exp(x) / np.exp(x).sum(1, keepdims=True)
    value = np.exp(-np.log(p[np.arange(8), y]).mean())
    slope = weft.jit(weft.grad(perplexity))(x, y)
    np.testing.assert_allclose(slope, value / 8 * (p - np.eye(5)[y]), rtol=1e-4, atol=1e-6)


def test_loops_of_threads_fill_rows_of_their_own_that_other_loops_fill_too() -> None:
    def loss(x: Any) -> Any:
        scaled = x / (1 + wnp.linalg.norm(x, axis=1, keepdims=True)) * x
        squares = scaled * scaled
        return wnp.sin((squares * squares).mean()) + wnp.exp(-abs(scaled.sum() * 0.1) * 0.1)

    x = np.random.default_rng(0).standard_normal((88, 137)).astype(F32)
    slope = weft.jit(weft.grad(loss))(x)
    with weft.disable_jit():
        expected = weft.grad(loss)(x)
    np.testing.assert_allclose(slope, expected, rtol=1e-4, atol=1e-8)


# -- pieces ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "function",
    [
        lambda x: wnp.roll(x, 1, 0) + wnp.roll(x, -1, 1),
        lambda x: wnp.pad(x, 2) * 2,
        lambda x: wnp.concatenate([x, x * 2, x], axis=1) + 1,
        lambda x: x.at[1:-1, 1:-1].set(x[2:, 1:-1] + x[:-2, 1:-1]),
    ],
    ids=["roll", "pad", "concatenate", "stencil"],
)
def test_pieces_become_loops_of_their_own_without_guards(function: Any) -> None:
    (kernel,) = kernels_of(function, (60, 50))
    assert not any(s.guards for s in walk(kernel.body) if isinstance(s, Load | Store))
    assert operations(kernel, "select") == 0


def test_what_a_scatter_adds_may_be_among_the_many_pieces_of_another_array() -> None:
    def both(x: Any, i: Any) -> Any:
        p = wnp.concatenate([x * 2, x + 1])
        windows = wnp.concatenate([p[k : k + 3] for k in range(40)]) * 2
        return windows, wnp.zeros(9).at[i].add(p)

    x, i = np.arange(20, dtype=F32), np.arange(40, dtype=np.int32) % 9
    p = np.concatenate([x * 2, x + 1])
    windows, added = weft.jit(both)(x, i)
    np.testing.assert_array_equal(windows, np.concatenate([p[k : k + 3] for k in range(40)]) * 2)
    np.testing.assert_array_equal(added, np.bincount(i, p, 9))


def test_stack_read_back_by_position_costs_nothing() -> None:
    def coordinates(y: Any, x: Any) -> Any:
        index = wnp.stack([y, x], axis=-1)
        return index[..., 0] * 10 + index[..., 1]

    (kernel,) = kernels_of(coordinates, (50, 40), (50, 40))
    assert len(kernel.params) == 3


# -- updates and loops -----------------------------------------------------------------------------


def test_small_update_of_a_dead_array_happens_in_place() -> None:
    def run(x: Any) -> Any:
        y = x * 2
        return y.at[3].set(0)

    steps = program_of(run, (1000, 100)).steps
    assert not any(isinstance(s, Copy) for s in steps)


def test_update_of_an_input_copies_it_first() -> None:
    program = program_of(lambda x, i: x.at[i.astype(int)[0]].set(7), (1000,), (1,))
    assert sum(isinstance(s, Copy) for s in program.steps) == 1


def test_loop_carries_are_swapped_not_copied() -> None:
    def run(x: Any) -> Any:
        return lax.fori_loop(0, 10, lambda _, y: wnp.roll(y, 1) * 0.5, x)

    (loop,) = [s for s in program_of(run, (5000,)).steps if hasattr(s, "body")]
    assert [type(s).__name__ for s in loop.body] == ["Launch", "Swap"]


def test_scan_results_are_written_in_place() -> None:
    def run(xs: Any) -> Any:
        return lax.scan(lambda c, x: (c + x, c * x), xs[0], xs)[1]

    (loop,) = [s for s in program_of(run, (50, 30)).steps if hasattr(s, "body")]
    assert not any(isinstance(s, Copy) for s in loop.body)


# -- schedules -------------------------------------------------------------------------------------


def test_sum_of_everything_is_reduced_in_parallel_by_a_fixed_number_of_shares() -> None:
    (kernel,) = kernels_of(lambda x: x.sum(), (1_000_000,))
    assert any(x.kind == "parallel" for x in loops(kernel.body))
    assert any(b.level == "shared" for b in kernel.scratch)


def test_column_sums_lie_across_lanes() -> None:
    (kernel,) = kernels_of(lambda x: x.sum(0), (512, 512))
    assert not any(
        isinstance(s, Fold) and any(a in kernel.lanes for a in s.over) for s in walk(kernel.body)
    )


def test_small_kernels_stay_on_one_thread() -> None:
    (kernel,) = kernels_of(lambda x: x + 1, (100,))
    assert not any(x.kind == "parallel" for x in loops(kernel.body))


def test_long_sums_are_accurate() -> None:
    x = np.full(30_000_000, 0.1, F32)
    got = float(weft.jit(lambda x: x.sum())(x))
    exact = float(x.astype(np.float64).sum())
    assert abs(got - exact) <= 2 * abs(float(x.sum()) - exact) + 1e-7 * exact


# -- convolutions ----------------------------------------------------------------------------------


def conv(layout: tuple[str, str, str], padding: str = "VALID", groups: int = 1) -> Any:
    return lambda x, w: lax.conv_general_dilated(
        x, w, (1, 1), padding, dimension_numbers=layout, feature_group_count=groups
    )


NCHW, NHWC = ("NCHW", "OIHW", "NCHW"), ("NHWC", "HWIO", "NHWC")


@pytest.mark.parametrize(
    ("function", "x", "w"),
    [
        (conv(NCHW), (2, 16, 20, 20), (32, 16, 3, 3)),
        (conv(NCHW, groups=4), (2, 16, 20, 20), (32, 4, 3, 3)),
        (conv(NHWC), (2, 20, 20, 16), (3, 3, 16, 32)),
        (conv(NHWC, groups=2), (2, 20, 20, 16), (3, 3, 8, 32)),
        (conv(NCHW), (2, 16, 20, 20), (32, 16, 1, 1)),
    ],
)
def test_a_convolution_is_one_kernel_whatever_its_layout_and_groups(
    function: Any, x: tuple[int, ...], w: tuple[int, ...]
) -> None:
    (kernel,) = kernels_of(lambda x, w: nn.relu(function(x, w)), x, w)
    assert operations(kernel, "fma") > 0
    assert "contract" not in str(kernel.notes.get("refused", ""))


def test_padding_is_stored_once() -> None:
    kernels = kernels_of(conv(NCHW, "SAME"), (2, 16, 20, 20), (32, 16, 3, 3))
    assert [operations(k, "fma") > 0 for k in kernels] == [False, True]
