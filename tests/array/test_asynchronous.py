"""Evaluation in the background."""

from __future__ import annotations

import asyncio
import os
import threading

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft.array import asynchronous

# Newer Pythons warn that forking with threads is delicate, which one of these tests is about.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def test_results_are_the_arrays_that_were_given():
    x = wnp.arange(4.0)
    one, two = x + 1, {"double": x * 2}
    future = weft.compute_async(one, two)
    got_one, got_two = future.result()
    assert got_one is one and got_two is two and future.done()
    assert np.asarray(two["double"]).tolist() == [0, 2, 4, 6]
    assert weft.compute_async(x).result() is x


def test_it_does_not_wait(monkeypatch: pytest.MonkeyPatch):
    let_go, begun = threading.Event(), threading.Event()
    compute = asynchronous.compute

    def patient(*arrays):
        begun.set()
        let_go.wait()
        return compute(*arrays)

    monkeypatch.setattr(asynchronous, "compute", patient)
    x = wnp.ones(3) * 2
    future = weft.compute_async(x)
    begun.wait()
    assert not future.done()
    assert x.tolist() == [2, 2, 2]  # used meanwhile
    called = []
    future.add_done_callback(called.append)
    let_go.set()
    assert future.result() is x
    assert called == [future]


def test_what_is_no_array_is_refused_at_once():
    with pytest.raises(TypeError, match=r"weft\.compute_async: argument 1 is .* not a weft array"):
        weft.compute_async(wnp.ones(3), "text")
    with pytest.raises(TypeError, match=r"weft\.compute_async: argument 0"):
        weft.jit(lambda x: weft.compute_async(x))(wnp.ones(3))


def test_errors_come_with_the_result(monkeypatch: pytest.MonkeyPatch):
    def failing(*arrays):
        raise MemoryError("no room")

    monkeypatch.setattr(asynchronous, "compute", failing)
    future = weft.compute_async(wnp.ones(3) + 1)
    with pytest.raises(MemoryError, match="no room"):
        future.result()


def test_awaited():
    async def main() -> list[float]:
        x = wnp.ones(3) * 5
        await asyncio.wrap_future(weft.compute_async(x))
        return x.tolist()

    assert asyncio.run(main()) == [5, 5, 5]


def test_many_at_once():
    arrays = [wnp.arange(100.0) + n for n in range(40)]
    futures = [weft.compute_async(a, a.sum()) for a in arrays]
    for n, future in enumerate(futures):
        assert float(future.result()[1]) == 4950 + 100 * n


def test_a_child_process_has_threads_of_its_own():
    weft.compute_async(wnp.ones(3) + 1).result()
    child = os.fork()
    if child == 0:
        good = weft.compute_async(wnp.ones(3) + 1).result().tolist() == [2, 2, 2]
        os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0
