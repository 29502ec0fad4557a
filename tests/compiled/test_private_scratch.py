"""Private scratch that no thread's stack has room for lies in the arena, a part per thread."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import weft
from weft.compile import compile_jaxpr
from weft.kernels.program import STACK_SCRATCH, placed_scratch, walk_steps


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = weft.config.threads
    yield
    weft.config.threads = before


def operands(*lead: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrices whose packed block (ten megabytes) is larger than a stack."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((*lead, 96, 600), dtype=np.float32)
    return a, rng.standard_normal((*lead, 600, 8192), dtype=np.float32)


@pytest.mark.parametrize(("threads", "lead"), [(1, ()), (2, (4,))])
def test_large_packed_blocks(threads: int, lead: tuple[int, ...]) -> None:
    weft.config.threads = threads
    a, b = operands(*lead)
    got = weft.jit(lambda a, b: a @ b)(a, b)
    np.testing.assert_allclose(np.asarray(got), a @ b, atol=1e-3)


def test_a_pool_that_has_grown_since_compiling() -> None:
    weft.config.threads = 2
    a, b = operands(8)
    executable = compile_jaxpr(weft.make_jaxpr(lambda a, b: a @ b)(a, b))
    kernels = [s.kernel for s in walk_steps(executable.program.steps)]
    assert any(x.level == "thread" for k in kernels for x in placed_scratch(k))
    weft.config.threads = 4
    (got,) = executable(a, b)
    np.testing.assert_allclose(np.asarray(got), a @ b, atol=1e-3)


def test_small_scratch_stays_on_the_stack() -> None:
    x = np.ones((64, 256), np.float32)
    executable = compile_jaxpr(weft.make_jaxpr(lambda x: weft.nn.softmax(x, -1))(x))
    for step in walk_steps(executable.program.steps):
        total = sum(b.extent * b.dtype.itemsize for b in step.kernel.scratch)
        assert total <= STACK_SCRATCH
        assert all(b.level == "shared" for b in placed_scratch(step.kernel))
