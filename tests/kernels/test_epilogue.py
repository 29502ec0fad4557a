"""part_epilogue: what follows folds across lanes is computed across lanes, too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from tests.kernels.equality import assert_same
from tests.kernels.samples import evaluations, few, matmul, softmax
from weft import nn
from weft.kernels.ir import For, Map, walk
from weft.kernels.program import Launch
from weft.kernels.schedule.epilogue import part_epilogue
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.split import split
from weft.kernels.schedule.tile import vectorize


@few
@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 8))
def test_a_loop_of_its_own(n: int, k: int, width: int) -> None:
    s = matmul(1, n, k, epilogue=True)
    kernel = part_epilogue(s.kernel, s.axes["j"])
    first, second = next(x for x in walk(kernel.body) if isinstance(x, For)).body
    assert isinstance(first, For) and isinstance(second, For)
    assert not any(isinstance(x, Map) and x.op == "mul" for x in walk([first]))
    assert_same(s, kernel)
    kernel = vectorize(kernel, s.axes["k"], min(width, k))
    assert_same(s, vectorize(kernel, second.axis, min(width, n)))


def test_in_blocks() -> None:
    s = matmul(1, 10, 4, epilogue=True)
    kernel = split(s.kernel, s.axes["j"], 5)
    inner = next(x for x in walk(kernel.body) if isinstance(x, For) and x.trip == 5)
    kernel = part_epilogue(kernel, inner.axis)
    assert kernel.scratch[0].shape == (5,)
    assert_same(s, kernel)


def test_refusals() -> None:
    s = softmax(3, 4)
    with pytest.raises(ScheduleError, match="is not one around a single fold"):
        part_epilogue(s.kernel, s.axes["i"])
    with pytest.raises(ScheduleError, match="is not one around a single fold"):
        part_epilogue(s.kernel, s.axes["j0"])


SIZES = [1, 3, 10, 100, 257, 300, 512]


@pytest.mark.parametrize("n", SIZES)
def test_activations_of_matrix_vector_products_lie_across_lanes(n: int) -> None:
    rng = np.random.default_rng(n)
    x, v = rng.standard_normal((n, 8), np.float32), rng.standard_normal(8, np.float32)
    f = weft.jit(lambda x, v: wnp.tanh(x @ v) * x[:, 0])
    np.testing.assert_allclose(f(x, v), np.tanh(x @ v) * x[:, 0], rtol=1e-5, atol=1e-6)
    (launch,) = (s for s in f.trace(x, v).executable.program.steps if isinstance(s, Launch))
    maps = [s for s in walk(launch.kernel.body) if isinstance(s, Map) and s.op == "tanh"]
    if n in (10, 100, 300, 512):
        assert all(set(s.out.axes) & launch.kernel.lanes for s in maps)
    assert evaluations(launch.kernel, "tanh") == n


@pytest.mark.parametrize("shape", [(100, 8), (8, 100), (64, 64)])
def test_what_a_fold_weighs_with_is_not_computed_one_by_one(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal(shape, np.float32), rng.standard_normal(shape[0], np.float32)
    f = weft.jit(lambda x, v: nn.sigmoid(v) @ x)
    np.testing.assert_allclose(f(x, v), (1 / (1 + np.exp(-v))) @ x, rtol=1e-4, atol=1e-5)
    kernels = [s.kernel for s in f.trace(x, v).executable.program.steps if isinstance(s, Launch)]
    assert sum(evaluations(k, "logistic") for k in kernels) == shape[0]
    maps = [(k, s) for k in kernels for s in walk(k.body) if isinstance(s, Map)]
    assert all(set(s.out.axes) & k.lanes for k, s in maps if s.op == "logistic")
