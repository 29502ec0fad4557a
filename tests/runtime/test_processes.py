"""Weft in processes that `multiprocessing` starts."""

from __future__ import annotations

import multiprocessing

import numpy as np
import pytest

import weft
import weft.numpy as wnp

# Newer Pythons warn that forking with threads is delicate, which is what these tests are about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


@weft.jit
def step(x):
    return (x @ x.T).sum(0) + wnp.tanh(x[:, 0])


def work(n: int) -> list[float]:
    """Compiles, computes on several threads, evaluates delayed work and in the background."""
    weft.config.cache_dir = None
    weft.config.threads = 2
    x = wnp.full((200, 200), float(n))
    later = weft.compute_async(x + 1)
    return [float(step(x)[0]), float(later.result()[0, 0])]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_pools_of_processes(method: str):
    here = work(3)
    with multiprocessing.get_context(method).Pool(2) as processes:
        found = processes.map(work, [3, 4, 3])
    assert found[0] == found[2] == here
    np.testing.assert_allclose(found[1], [4.0 * 4 * 200 * 200 + np.tanh(4.0), 5.0], rtol=1e-5)


def test_arrays_are_sent_to_other_processes():
    x = weft.compute(wnp.arange(6.0).reshape(2, 3))
    with multiprocessing.get_context("fork").Pool(1) as processes:
        (back,) = processes.map(np.asarray, [x])
    np.testing.assert_array_equal(back, x)
