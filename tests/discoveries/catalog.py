"""Discoveries as data, and what the optimiser consists of: for the ablation.

A discovery is a program in naive source and what has to be true of its kernels. Nothing is
compiled: `measure` plans a program and asks the machine model. `PARTS` are the parts of the
optimiser, each with what takes it out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest import mock

import numpy as np

import weft
from weft import numpy as wnp
from weft.core.bounded import BoundedCache
from weft.kernels import (
    blocked,
    fusion,
    merging,
    moments,
    passes,
    plan,
    repeats,
    stream_search,
    streaming,
    streams,
    wide_folds,
)
from weft.kernels.machine import Machine, cpu_machine
from weft.kernels.price.price import price
from weft.planning import Record, plan_program
from weft.saturate import encode, search
from weft.saturate import engine as engines
from weft.saturate.engine import Engine
from weft.saturate.instances import Instances
from weft.saturate.rules.themes import THEMES
from weft.terms import windows
from weft.terms.cascade import FREE, UNKNOWN, repaired


@dataclass(frozen=True)
class Measured:
    """What a plan comes to: ``dram`` are bytes, ``peak`` those of intermediate values."""

    kernels: int
    flops: int
    dram: float
    peak: int


@dataclass(frozen=True)
class Discovery:
    """``number`` is that of the list that the compiler was built for.

    ``beneath`` says what makes it where none of the optimiser's parts does.
    """

    number: int
    name: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    holds: Callable[[Measured], bool]
    beneath: str = ""


VIEWS = (
    "terms are re-indexed where they are read: of an elementwise or summed term only that is left"
)
NESTED = "a short sum that one other fold reads is computed inside of it (`kernels/fusion`)"


#: Two cores that split registers of 64 bytes: what is found here is found wherever this runs.
MACHINE = cpu_machine(2, 64, (32 << 10, 1 << 20, 32 << 20), "znver4")


def measure(discovery: Discovery, machine: Machine = MACHINE) -> Measured:
    """The plan of a discovery's program for a machine, as the optimiser stands."""
    args = [np.zeros(s, np.float32) for s in discovery.shapes]
    record = Record()
    jaxpr = weft.make_jaxpr(lambda *a: discovery.function(wnp, *a))(*args)
    program = plan_program(jaxpr, record=record, machine=machine)
    kernels = [kernel for region in record.regions for kernel, _, _ in region.kernels]
    prices = [price(kernel, machine, warm=False) for kernel in kernels]
    return Measured(
        len(kernels),
        sum(p.flops for p in prices),
        sum(p.bytes[machine.levels[-1].name] for p in prices),
        int(program.arena_bytes),
    )


# -- programs --------------------------------------------------------------------------------------

N = 256  # of square matrices
S, D = 1024, 32  # of attention


def attention(scores: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    def function(np_: Any, q: Any, k: Any, v: Any) -> Any:
        s = scores(np_, q @ k.T / 8)
        p = np_.exp(s - s.max(-1, keepdims=True))
        return (p / p.sum(-1, keepdims=True)) @ v

    return function


def _causal(np_: Any, s: Any) -> Any:
    n = np_.arange(s.shape[0])
    return np_.where(n[:, None] >= n, s, -np.inf)


def _window(np_: Any, s: Any) -> Any:
    n = np_.arange(s.shape[0])
    apart = n[:, None] - n
    return np_.where((apart >= 0) & (apart < 128), s, -np.inf)


def _gradient(np_: Any, q: Any, k: Any, v: Any, g: Any) -> Any:
    return weft.vjp(lambda *x: attention(lambda _, s: s)(wnp, *x), q, k, v)[1](g)


def _chain(np_: Any, *factors: Any) -> Any:
    product = factors[0]
    for factor in factors[1:]:
        product = product @ factor
    return product


def _squares(x: Any, y: Any) -> Any:
    return ((x[:, None] - y[None]) ** 2).sum(-1)


def _log_sum_exp(np_: Any, x: Any, w: Any) -> Any:
    s = x @ w
    m = s.max(-1, keepdims=True)
    return np_.log(np_.exp(s - m).sum(-1)) + m[:, 0]


def _gated(np_: Any, x: Any, gate: Any, up: Any) -> Any:
    g = x @ gate
    return g / (1 + np_.exp(-g)) * (x @ up)


def _masked(np_: Any, x: Any) -> Any:
    positive = x > 0.5
    return np_.where(positive, x, 0).sum(1) + np_.where(positive, 0, x).sum(1)


def _convolution(np_: Any, x: Any, w: Any) -> Any:
    height, width = x.shape[2] - 2, x.shape[3] - 2
    cut = [x[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np_.einsum("knchw,ock->nohw", np_.stack(cut), w.reshape(*w.shape[:2], 9))


def _sweep(u: Any) -> Any:
    return u.at[1:-1, 1:-1].set(0.25 * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:]))


def _sweeps(np_: Any, u: Any) -> Any:
    return weft.lax.fori_loop(0, SWEEPS, lambda _, u: _sweep(u), u)


def _sweeps_in_python(np_: Any, u: Any) -> Any:
    for _ in range(SWEEPS):
        u = _sweep(u)
    return u


SWEEPS, GRID = 20, 4096
SQUARE = ((N, N), (N, N))
HEAD = ((S, D), (S, D), (S, D))
DISCOVERIES: tuple[Discovery, ...] = (
    Discovery(
        2,
        "log-sum-exp of a product",
        _log_sum_exp,
        ((1024, 64), (64, 2048)),
        lambda m: m.peak < 1024 * 2048,
    ),
    Discovery(
        3,
        "variance of a long row",
        lambda np_, x: ((x - x.mean()) ** 2).mean(),
        ((1 << 26,),),
        lambda m: m.dram < 1.1 * 4 * (1 << 26),
    ),
    Discovery(
        4, "attention", attention(lambda _, s: s), HEAD, lambda m: m.kernels == 1 and m.peak < S * S
    ),
    Discovery(
        4,
        "causal attention",
        attention(_causal),
        HEAD,
        lambda m: m.kernels == 1 and m.flops < 2.8 * S * S * D,
    ),
    Discovery(
        4,
        "attention within a window",
        attention(_window),
        HEAD,
        lambda m: m.kernels == 1 and m.flops < 1.5 * S * S * D,
    ),
    Discovery(
        4,
        "capped attention",
        attention(lambda np_, s: 30 * np_.tanh(s / 30)),
        HEAD,
        lambda m: m.kernels == 1 and m.peak < S * S,
    ),
    Discovery(
        5, "gradient of attention", _gradient, ((2 * S, D),) * 4, lambda m: m.peak < 4 * S * S
    ),
    Discovery(
        8,
        "projections of the same rows",
        lambda np_, x, q, k, v: (x @ q, x @ k, x @ v),
        ((1024, 512), *((512, 384),) * 3),
        lambda m: m.kernels == 1,
    ),
    Discovery(
        9, "gated layer", _gated, ((700, 256), (256, 300), (256, 300)), lambda m: m.kernels == 1
    ),
    Discovery(
        10,
        "low-rank update of many rows",
        lambda np_, x, w, a, b: x @ w + (x @ a) @ b,
        ((2000, 200), (200, 150), (200, 20), (20, 150)),
        lambda m: m.flops < 2.1 * 2000 * 200 * 150,
    ),
    Discovery(
        11,
        "chain that ends in a vector",
        _chain,
        (*((N, N),) * 5, (N,)),
        lambda m: m.flops < 12 * N * N,
    ),
    Discovery(
        11,
        "chain of matrices",
        _chain,
        ((30, 350), (350, 15), (15, 50), (50, 10), (10, 200), (200, 25)),
        lambda m: m.flops < 700_000,
    ),
    Discovery(
        12,
        "sum of a product",
        lambda np_, a, b: (a @ b).sum(),
        SQUARE,
        lambda m: m.flops < 9 * N * N,
    ),
    Discovery(
        12,
        "trace of a product",
        lambda np_, a, b: np_.trace(a @ b),
        SQUARE,
        lambda m: m.flops < 9 * N * N,
    ),
    Discovery(
        12,
        "diagonal of a product",
        lambda np_, a, b: np_.diagonal(a @ b),
        SQUARE,
        lambda m: m.flops < 9 * N * N,
    ),
    Discovery(
        12,
        "row of a product",
        lambda np_, a, b: (a @ b)[7],
        SQUARE,
        lambda m: m.flops < 9 * N * N,
        VIEWS,
    ),
    Discovery(
        12,
        "columns of a product",
        lambda np_, a, b: (a @ b)[:, :8],
        SQUARE,
        lambda m: m.flops < 18 * N * N,
        VIEWS,
    ),
    Discovery(
        13,
        "Kronecker product times a vector",
        lambda np_, a, b, x: np_.kron(a, b) @ x,
        ((40, 40), (30, 30), (1200,)),
        lambda m: m.peak < 4 * 1200 * 1200 / 8,
        VIEWS,
    ),
    Discovery(
        14,
        "misfit of a factorization",
        lambda np_, x, u, v: ((x - u @ v.T) ** 2).sum(),
        ((800, 900), (800, 16), (900, 16)),
        lambda m: m.peak < 800 * 900,
    ),
    Discovery(
        14,
        "nearest distance",
        lambda np_, x, y: _squares(x, y).min(1),
        ((700, 16), (900, 16)),
        lambda m: m.kernels == 1 and m.peak < 700 * 900,
        NESTED,
    ),
    Discovery(
        14,
        "nearest point",
        lambda np_, x, y: _squares(x, y).argmin(1),
        ((700, 16), (900, 16)),
        lambda m: m.kernels == 1 and m.peak < 700 * 900,
        NESTED,
    ),
    Discovery(
        14,
        "sum of Gaussians",
        lambda np_, x, y: np_.exp(-_squares(x, y)).sum(1),
        ((700, 16), (900, 16)),
        lambda m: m.kernels == 1 and m.peak < 700 * 900,
    ),
    Discovery(
        16,
        "convolution of stacked windows",
        _convolution,
        ((4, 16, 34, 34), (32, 16, 3, 3)),
        lambda m: m.kernels == 1 and m.peak < 4 * 4 * 16 * 34 * 34,
    ),
    Discovery(
        17,
        "sweeps over a grid",
        _sweeps,
        ((GRID, GRID),),
        lambda m: m.kernels == 1 and m.peak < GRID * GRID,
    ),
    Discovery(
        17,
        "sweeps of a loop in Python",
        _sweeps_in_python,
        ((GRID, GRID),),
        lambda m: m.kernels == 1 and m.peak < GRID * GRID,
    ),
    Discovery(
        19,
        "end of a running sum",
        lambda np_, x: np_.cumsum(x, 0)[-1],
        ((500, 400),),
        lambda m: m.kernels == 1 and m.peak == 0,
    ),
    Discovery(
        19, "complementary masks", _masked, ((500, 400),), lambda m: m.flops < 1.2 * 500 * 400
    ),
    Discovery(
        20,
        "einsum of many operands",
        lambda np_, a, b, c, d: np_.einsum("ij,jk,kl,l->i", a, b, c, d),
        (*SQUARE, (N, N), (N,)),
        lambda m: m.flops < 8 * N * N,
        "`weft.numpy.einsum` contracts in the cheapest order itself, before anything is compiled",
    ),
)


# -- parts of the optimiser ------------------------------------------------------------------------

#: How the parts begin that are themes of rules.
RULES = "rules: "

#: What takes a part out: objects, their attributes, and what stands there instead.
Patches = list[tuple[Any, str, Any]]


@cache
def _engine(missing: frozenset[str]) -> Engine:
    """An engine without the rules of some themes."""
    return Engine([r for name, rules in THEMES.items() if name not in missing for r in rules])


def _no_repair(fold: Any, moving: Any, axes: Any) -> Any:
    found = repaired(fold, moving, axes)
    return found if found is FREE else UNKNOWN


PARTS: dict[str, Callable[[], Patches]] = {
    **{RULES + theme: list for theme in THEMES},
    "orders of products": lambda: [(encode._Encoder, "orders", lambda self: None)],
    "parts of products": lambda: [(search, "find_instances", lambda region: Instances())],
    "streams": lambda: [(plan._Planner, "may_stream", lambda self, region: False)],
    "repair of folds": lambda: [(streams, "repaired", _no_repair)],
    "computing again": lambda: [(stream_search._Finder, "anew", lambda *_: frozenset())],
    "blocks that masks hide": lambda: [(blocked, "masks_of", lambda stream, stage: [])],
    "wide folds by rows": lambda: [(wide_folds, "_split", lambda step, made: [step])],
    "price of memory": lambda: [(streaming, "rent", lambda *_: 0.0)],
    "moments of blocks": lambda: [(moments, "in_blocks", lambda region, machine: region)],
    "windows that slide": lambda: [(windows, "slide_windows", lambda region: region)],
    "several iterations in a pass": lambda: [(passes, "body_of", lambda loop, machine: None)],
    "repeated steps as loops": lambda: [(repeats, "find_repetitions", lambda *_: iter(()))],
    "several sums in a tile": lambda: [
        (module, "share_loops", lambda a, b: False) for module in (fusion, merging)
    ],
}


def lost(*parts: str) -> list[Discovery]:
    """The discoveries that are not made without some parts."""
    with without(*parts):
        return [d for d in DISCOVERIES if not d.holds(measure(d))]


@contextmanager
def without(*parts: str) -> Iterator[None]:
    """Plan without some parts of the optimiser, and without what is remembered of earlier plans."""
    caches = [
        (plan, "_entries"),
        (search, "_found"),
        (streaming, "_known"),
        (passes, "_known"),
    ]
    with ExitStack() as stack:
        for module, name in caches:
            stack.enter_context(mock.patch.object(module, name, BoundedCache(512)))
        themes = frozenset(p.removeprefix(RULES) for p in parts if p.startswith(RULES))
        if themes:
            stack.enter_context(mock.patch.object(engines, "engine", lambda: _engine(themes)))
        for part in parts:
            for where, name, instead in PARTS[part]():
                stack.enter_context(mock.patch.object(where, name, instead))
        yield
