"""Results that are made a single time."""

from __future__ import annotations

import threading

import pytest

from weft.runtime.once import once


def test_threads_that_ask_at_once_get_one_result():
    barrier = threading.Barrier(8)
    made: list[object] = []

    @once
    def make() -> object:
        made.append(object())
        return made[-1]

    found: list[object] = []

    def ask() -> None:
        barrier.wait()
        found.append(make())

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1 and found == made * 8


def test_a_failure_is_not_kept():
    answers = iter([ValueError("not yet"), 5])

    @once
    def make() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    with pytest.raises(ValueError, match="not yet"):
        make()
    assert make() == 5 and make() == 5


def test_native_parts_made_by_threads_at_once(run_python):
    """The first programs of a process, compiled and called by two threads at once."""
    script = """
import threading
import weft, weft.numpy as np
weft.config.threads = 1
barrier = threading.Barrier(4)
wrong = []
def work(n):
    barrier.wait()
    f = weft.jit(lambda x: x * n + 1)
    for _ in range(200):
        if float(f(np.ones(3))[0]) != n + 1:
            wrong.append(n)
threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(wrong)
"""
    result = run_python(script)
    assert result.stdout == "[]\n", result.stderr
