"""Choosing schedules by price: defaults win ties, refusals are passed over, effort is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from tests.kernels.samples import matmul, softmax
from weft.kernels.candidates import Choice, Contest, choices
from weft.kernels.check import check_kernel
from weft.kernels.ir import Kernel
from weft.kernels.machine import Machine, cpu_machine
from weft.kernels.price.price import price
from weft.kernels.schedule.contraction import Params
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import find_contractions
from weft.kernels.schedule.numbers import default_params
from weft.kernels.schedule.order import parallelize
from weft.kernels.schedule.tile import vectorize
from weft.kernels.strategy import apply_choice, schedule

caches = (32 << 10, 1 << 20, 32 << 20)
machine = cpu_machine(1, 64, caches)
pair = cpu_machine(2, 64, caches)


def proposals(*kernels: Kernel) -> Iterator[Callable[[], Kernel]]:
    return (lambda k=k: k for k in kernels)


def winner(kernel: Kernel, machine: Machine, proposals: Iterable[Callable[[], Kernel]]) -> Kernel:
    return Contest(kernel, machine, proposals).winner().kernel


def refuse() -> Kernel:
    raise ScheduleError("no")


def test_the_cheapest_wins() -> None:
    s = matmul(64, 64, 64)
    wide = vectorize(s.kernel, s.axes["j"], 32)
    assert winner(s.kernel, machine, proposals(s.kernel, wide)) is wide
    assert winner(s.kernel, machine, proposals(wide, s.kernel)) is wide


def test_equals_leave_the_default() -> None:
    s = matmul(64, 64, 64)
    one, two = (vectorize(s.kernel, s.axes["j"], 32) for _ in range(2))
    assert winner(s.kernel, machine, proposals(one, two)) is one


def test_refusals_are_passed_over() -> None:
    s = matmul(64, 64, 64)
    wide = vectorize(s.kernel, s.axes["j"], 32)
    assert winner(s.kernel, machine, iter([refuse, lambda: wide])) is wide
    assert winner(s.kernel, machine, iter([refuse])) is s.kernel


def test_small_kernels_are_shared_only_for_a_clear_gain() -> None:
    s = matmul(16, 64, 64)
    serial = vectorize(s.kernel, s.axes["j"], 64)
    shared = parallelize(serial, s.axes["i"])
    assert price(shared, pair).seconds < 5e-6
    assert winner(s.kernel, pair, proposals(shared, serial)) is serial


def test_one_thread_is_tried_where_sharing_costs_enough() -> None:
    def tried(rows: int) -> bool:
        s = matmul(rows, 64, 64)
        serial = vectorize(s.kernel, s.axes["j"], 64)
        shared = parallelize(serial, s.axes["i"])
        asked: list[Kernel] = []

        def alone() -> Kernel:
            asked.append(serial)
            return serial

        contest = Contest(s.kernel, pair, proposals(shared), alone=alone)
        found = contest.winner().kernel
        assert found is (serial if asked else shared)
        return bool(asked)

    assert tried(16) and not tried(4096)


def test_effort_grows_with_the_price() -> None:
    def looked(kernel: Kernel) -> int:
        count = 0

        def propose() -> Kernel:
            nonlocal count
            count += 1
            return kernel

        winner(kernel, machine, (propose for _ in range(100)))
        return count

    assert looked(softmax(1, 16).kernel) == 1
    assert 2 <= looked(softmax(64, 64).kernel) <= looked(softmax(1024, 512).kernel) <= 16


def test_nothing_is_tried_near_the_floor() -> None:
    s = matmul(64, 64, 64)
    wide = vectorize(s.kernel, s.axes["j"], 32)
    seconds = price(s.kernel, machine).seconds
    for part, chosen in ((0.5, wide), (0.9, s.kernel)):
        contest = Contest(s.kernel, machine, proposals(s.kernel, wide), floor=part * seconds)
        assert contest.winner().kernel is chosen


def test_choices_start_with_the_default() -> None:
    found = list(choices(None, None, pair))
    assert found[0] == Choice()
    assert Choice(parallel=False) in found
    assert all(c.parallel for c in choices(None, None, machine))
    assert len(set(found)) == len(found)


def test_contraction_choices_fit_the_registers() -> None:
    s = matmul(512, 512, 512)
    contraction = find_contractions(s.kernel)[0]
    params = default_params(contraction, 2)
    for choice in list(choices(contraction, params, pair))[1:]:
        assert isinstance(choice.contraction, Params)
        assert choice.contraction.rows * choice.contraction.columns // 16 <= pair.registers
        check_kernel(apply_choice(s.kernel, pair, choice))


@pytest.mark.parametrize("threads", [1, 2])
def test_schedules_are_never_dearer_than_the_default(threads: int) -> None:
    host = replace(machine, threads=threads)
    for kernel in (softmax(256, 512).kernel, matmul(100, 200, 300).kernel):
        chosen = price(schedule(kernel, host), host).seconds
        assert chosen <= price(apply_choice(kernel, host, Choice()), host).seconds
