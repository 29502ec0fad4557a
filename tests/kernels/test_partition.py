"""Partitions by price: every decision means the same, and what is cheaper is taken."""

from __future__ import annotations

import random
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from tests.levels import programs as random_programs
from tests.levels.test_levels import check_levels
from weft import nn
from weft.kernels import partition as partitions
from weft.kernels.cones import make_cones
from weft.kernels.fusion import Side, choose
from weft.kernels.machine import Machine, cpu_machine, h100
from weft.kernels.partition import Partition, Seconds, least_seconds, partition
from weft.kernels.plan import cut, seconds_of
from weft.terms.lower import lower_jaxpr
from weft.terms.region import Region
from weft.terms.term import Value

machine = cpu_machine(2, 64, (32 << 10, 1 << 20, 32 << 20))


def at_random(seed: int) -> Any:
    """A partition in which every open decision is made by dice."""
    dice = random.Random(seed)

    def partitioned(region: Region, machine: Machine, seconds: Seconds | None) -> Partition:
        del seconds
        sides: dict[Value, Side] = {}
        for _ in range(4):  # one decision opens or closes others
            for o in choose(region, machine, sides).open:
                sides.setdefault(o.value, dice.choice((o.side, *o.others)))
        choice = choose(region, machine, sides)
        stored = [s.value for s in choice.stored]
        if len(stored) > 1:
            pairs = [tuple(dice.sample(stored, 2)) for _ in range(3)]
            choice.joined = tuple((a, b) for a, b in pairs)
        return Partition(make_cones(choice, region.outputs))

    return partitioned


@settings(max_examples=60)
@given(random_programs.programs, st.integers(0, 1 << 30))
def test_every_partition_means_the_same(program: Any, seed: int) -> None:
    with mock.patch("weft.kernels.plan.partition", at_random(seed)):
        check_levels(program)


@settings(max_examples=40)
@given(random_programs.programs, st.integers(0, 1 << 30))
def test_a_search_by_dice_means_the_same(program: Any, seed: int) -> None:
    dice = random.Random(seed)

    def partitioned(region: Region, machine: Machine, seconds: Seconds | None) -> Partition:
        del seconds  # a move is as likely to be taken as not, so that they meet in all orders
        return partition(region, machine, lambda *_: dice.choice((1e-6, 1.0)))

    with (
        mock.patch("weft.kernels.plan.partition", partitioned),
        mock.patch.multiple(partitions, AT_STAKE=0.0, SHARED=0.0),
    ):
        check_levels(program)


@settings(max_examples=20)
@given(random_programs.programs)
def test_what_is_cheapest_means_the_same(program: Any) -> None:
    with mock.patch.object(partitions, "WORTH", 1e-12):
        check_levels(program)


def region_of(function: Any, *shapes: tuple[int, ...]) -> Region:
    """The terms of ``function``, which has no control flow, at arrays of ``shapes``."""
    lowered = lower_jaxpr(weft.make_jaxpr(function)(*(np.ones(s, np.float32) for s in shapes)))
    return Region(lowered.inputs, tuple(lowered.block.steps), lowered.outputs)  # type: ignore[arg-type]


def estimated(region: Region) -> int:
    """Kernels without a search."""
    return len(partition(region, machine, None).cones)


def cross_entropy(x: Any) -> Any:
    return weft.value_and_grad(lambda x: -nn.log_softmax(x, -1)[:, 0].mean())(x)


def statistics(x: Any) -> Any:
    return x.mean(-1), x.var(-1), x.max(-1)


def columns(x: Any) -> Any:
    return nn.softmax(x, axis=0)


def test_reductions_of_the_same_rows_share_a_kernel() -> None:
    region = region_of(statistics, (4096, 2048))
    found = cut(region, machine)
    assert len(found.cones) < estimated(region)
    assert found.joined


def test_folds_move_into_loops_that_are_turned_around() -> None:
    region = region_of(columns, (8, 100000))
    found = cut(region, machine)
    assert len(found.cones) < estimated(region)
    assert "inline" in found.sides.values()


def test_a_gradient_keeps_its_rows_in_one_kernel() -> None:
    region = region_of(cross_entropy, (4096, 2048))
    assert len(cut(region, machine).cones) < estimated(region)


def test_what_is_taken_is_cheaper() -> None:
    for function in (cross_entropy, statistics, columns):
        trials = cut(region_of(function, (1024, 1024)), machine).trials
        assert trials
        for trial in trials:
            assert trial.taken == (trial.seconds < trial.before * partitions.CLEARLY)
            assert ("taken" in str(trial)) == trial.taken


def test_small_programs_are_not_searched() -> None:
    assert not cut(region_of(cross_entropy, (16, 32)), machine).trials


def test_the_same_program_gives_the_same_kernels() -> None:
    def stores() -> list[list[str]]:
        found = cut(region_of(cross_entropy, (512, 2048)), machine)
        return [[o.value.name for o in g.cone.outputs] for g in found.cones]

    assert stores() == stores()


def test_decisions_that_stand_give_the_partition_again() -> None:
    region = region_of(lambda x: wnp.tanh(x @ x.T) - x.sum(0), (64, 64))
    choice = choose(region, machine)
    again = choose(region, machine, {s.value: choice.side_of(s.value) for s in region.steps})
    assert [s.value for s in again.stored] == [s.value for s in choice.stored]
    assert again.rows == choice.rows and again.order == choice.order


def test_kernels_wait_for_what_their_rows_read() -> None:
    """A kernel that reads scores by a row alone ran before the joined kernel that stores them."""

    def attend(p: Any, v: Any) -> Any:
        return wnp.einsum("bhqk,bhkd->bqhd", p, v).reshape(2, 17, 24)

    def twice(q: Any, k: Any, v: Any, scales: Any, mask: Any, low: Any, sums: Any) -> Any:
        x = wnp.where(mask, wnp.einsum("bhqd,bhkd->bhqk", q, k) / scales[0], low)
        first = wnp.exp(x - weft.lax.stop_gradient(x.max(-1, keepdims=True))) / sums
        given_sums = attend(first, v)
        y = wnp.where(mask, wnp.einsum("bhqd,bhkd->bhqk", q, k) / scales[1], low)
        return given_sums, attend(nn.softmax(y, -1), v)

    rng = np.random.default_rng(0)

    def normal(*shape: int) -> np.ndarray:
        return rng.standard_normal(shape).astype(np.float32)

    q, k, v = (normal(2, 3, 17, 8) for _ in range(3))
    scores = (2, 3, 17, 17)
    scales = (1 + abs(normal(*scores)), 1 + abs(normal(*scores)))
    arguments = (q, k, v, scales, normal(*scores) > 0, normal(*scores), 1 + abs(normal(*scores)))
    got = weft.jit(twice)(*arguments)
    with weft.disable_jit():
        expected = twice(*weft.tree.map(wnp.asarray, arguments))
    for x, y in zip(got, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_a_join_ends_when_what_was_joined_is_stored_no_more() -> None:
    def attention(x: Any, w: Any) -> Any:
        batch, n, _ = x.shape
        heads = (x @ w).reshape(batch, n, 4, -1).transpose(0, 2, 1, 3)
        q, k, v = wnp.split(heads, 3, axis=-1)
        scores = wnp.where(np.tril(np.ones((n, n), bool)), q @ k.swapaxes(-1, -2) / 4.0, -1e9)
        return nn.softmax(scores, axis=-1) @ v

    x = np.random.default_rng(0).standard_normal((16, 64, 64)).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((64, 192)).astype(np.float32) / 8
    plain = attention(*(weft.device_put(a) for a in (x, w)))
    np.testing.assert_allclose(weft.jit(attention)(x, w), plain, rtol=2e-4, atol=2e-5)


WIDE = cpu_machine(2, 64, (48 << 10, 2 << 20, 32 << 20), "haswell")


@pytest.mark.parametrize("model", [machine, WIDE, h100()], ids=["split", "wide", "gpu"])
@pytest.mark.parametrize("shapes", [((512, 64), (64, 512)), ((1024, 1024), (1024, 1024))])
def test_what_operations_take_at_least_is_less_than_the_price(model: Machine, shapes: Any) -> None:
    """Cores that start two products of 64 bytes in a cycle were said to be slower than they are."""
    region = region_of(lambda x, y: x @ y, *shapes)
    least = least_seconds((t for s in region.steps for t in s.terms), model)
    assert 0 < least < seconds_of(region, model)
