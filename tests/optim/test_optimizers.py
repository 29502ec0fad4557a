"""Optimizers against their formulas, written in NumPy, over a few steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import optim

RNG = np.random.default_rng(0)
PARAMS = {"w": RNG.normal(size=(4, 6)), "b": RNG.normal(size=6)}
GRADIENTS = [{"w": RNG.normal(size=(4, 6)), "b": RNG.normal(size=6)} for _ in range(3)]
RATE = 0.1

#: What is to be subtracted from a parameter, one step after the other; it gets gradients and
#: parameters.
Steps = Iterator[np.ndarray]


@pytest.fixture(autouse=True)
def _one_operation_at_a_time() -> Iterator[None]:
    with weft.disable_jit():
        yield


def run(optimizer: optim.GradientTransformation, params: Any = None) -> Any:
    params = PARAMS if params is None else params
    state = optimizer.init(params)
    for gradients in GRADIENTS:
        updates, state = optimizer.update({k: gradients[k] for k in params}, state, params)
        params = optim.apply_updates(params, updates)
    return params


def check(
    optimizer: optim.GradientTransformation,
    formula: Callable[[np.ndarray], Any],
    names: tuple[str, ...] = ("w", "b"),
) -> None:
    found = run(optimizer, {name: PARAMS[name] for name in names})
    for name in names:
        p, steps = PARAMS[name], formula(PARAMS[name])
        next(steps)
        for gradients in GRADIENTS:
            p = p - steps.send((gradients[name], p))
        np.testing.assert_allclose(found[name], p, rtol=1e-10, err_msg=name)


def momentum(decay: float, nesterov: bool) -> Callable[[np.ndarray], Any]:
    def formula(p: np.ndarray) -> Any:
        total, step = np.zeros_like(p), None
        while True:
            g, _ = yield step
            total = g + decay * total
            step = RATE * (g + decay * total if nesterov else total)

    return formula


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov: bool) -> None:
    check(optim.sgd(RATE), momentum(0, False))
    check(optim.sgd(RATE, 0.8, nesterov), momentum(0.8, nesterov))


def adam_steps(p: np.ndarray, nesterov: bool = False, eps: float = 1e-8) -> Any:
    m, v, t, step = np.zeros_like(p), np.zeros_like(p), 0, None
    while True:
        g, _ = yield step
        t += 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        mean = m / (1 - 0.9**t)
        if nesterov:
            mean = 0.9 * m / (1 - 0.9 ** (t + 1)) + 0.1 * g / (1 - 0.9**t)
        step = mean / (np.sqrt(v / (1 - 0.999**t)) + eps)


@pytest.mark.parametrize("nesterov", [False, True])
def test_adam_and_adamw(nesterov: bool) -> None:
    def formula(decay: float) -> Callable[[np.ndarray], Any]:
        def steps(p: np.ndarray) -> Any:
            inner, step = adam_steps(p, nesterov), None
            next(inner)
            while True:
                g, p = yield step
                step = RATE * (inner.send((g, p)) + decay * p)

        return steps

    check(optim.adam(RATE, nesterov=nesterov), formula(0))
    check(optim.adamw(RATE, weight_decay=0.2, nesterov=nesterov), formula(0.2))


def test_lamb() -> None:
    def steps(p: np.ndarray) -> Any:
        inner, step = adam_steps(p, eps=1e-6), None
        next(inner)
        while True:
            g, p = yield step
            u = inner.send((g, p)) + 0.3 * p
            step = RATE * u * np.linalg.norm(p) / np.linalg.norm(u)

    check(optim.lamb(RATE, weight_decay=0.3), steps)
    none = optim.scale_by_trust_ratio().update(np.ones(3), optim.EmptyState(), np.zeros(3))[0]
    assert np.asarray(none).tolist() == [1, 1, 1]


def test_lion() -> None:
    def steps(p: np.ndarray) -> Any:
        m, step = np.zeros_like(p), None
        while True:
            g, p = yield step
            step = RATE * (np.sign(0.9 * m + 0.1 * g) + 1e-3 * p)
            m = 0.99 * m + 0.01 * g

    check(optim.lion(RATE), steps)


def test_rmsprop_and_adagrad() -> None:
    def mean(p: np.ndarray) -> Any:
        v, total, step = np.full_like(p, 0.5), np.zeros_like(p), None
        while True:
            g, _ = yield step
            v = 0.9 * v + 0.1 * g * g
            total = 0.7 * total + RATE * g / np.sqrt(v + 1e-8)
            step = total

    def whole(p: np.ndarray) -> Any:
        v, step = np.full_like(p, 0.1), None
        while True:
            g, _ = yield step
            v = v + g * g
            step = RATE * g / np.sqrt(v + 1e-7)

    check(optim.rmsprop(RATE, initial_scale=0.5, momentum=0.7), mean)
    check(optim.adagrad(RATE), whole)


@pytest.mark.parametrize("least", [4, 5])
def test_adafactor(least: int) -> None:
    def rms(x: np.ndarray) -> np.ndarray:
        return np.sqrt(np.mean(x * x))

    def steps(p: np.ndarray) -> Any:
        factored = p.ndim == 2 and least <= 4
        v = np.zeros_like(p)
        row, col, t, step = np.zeros(p.shape[:1]), np.zeros(p.shape[-1:]), 0, None
        while True:
            g, p = yield step
            t += 1
            decay = 1 - t**-0.8
            squares = g * g + 1e-30
            v = decay * v + (1 - decay) * squares
            if factored:
                row = decay * row + (1 - decay) * squares.mean(1)
                col = decay * col + (1 - decay) * squares.mean(0)
                v = np.outer(row, col) / row.mean()
            u = g / np.sqrt(v)
            u = u / max(1, rms(u))
            step = RATE * u * max(1e-3, rms(p)) + 0.05 * p

    optimizer = optim.adafactor(RATE, least, weight_decay_rate=0.05)
    found = run(optimizer)
    for name, p in PARAMS.items():
        formula = steps(p)
        next(formula)
        for gradients in GRADIENTS:
            p = p - formula.send((gradients[name], p))
        np.testing.assert_allclose(found[name], p, rtol=1e-10, err_msg=name)
    state = optimizer.init(PARAMS)[0]
    shapes = [part["w"].shape for part in state[1:]]
    assert shapes == ([(4,), (6,), (1,)] if least == 4 else [(1,), (1,), (4, 6)])


def test_muon() -> None:
    def steps(p: np.ndarray) -> Any:
        m, t, step = np.zeros_like(p), 0, None
        while True:
            g, p = yield step
            t += 1
            m = 0.95 * m + 0.05 * g
            x = 0.95 * m / (1 - 0.95 ** (t + 1)) + 0.05 * g / (1 - 0.95**t)
            x = x / (np.linalg.norm(x) + 1e-8)
            u, s, vt = np.linalg.svd(x, full_matrices=False)
            for _ in range(5):
                s = 3.4445 * s - 4.7750 * s**3 + 2.0315 * s**5
            step = RATE * ((u * s) @ vt * np.sqrt(max(1, p.shape[1] / p.shape[0])) + 0.1 * p)

    check(optim.muon(RATE, weight_decay=0.1), steps, ("w",))
    tall = RNG.normal(size=(6, 2))
    q = np.asarray(optim.orthogonalize_via_newton_schulz(wnp.asarray(tall)))
    assert np.all(abs(np.linalg.svd(q)[1] - 1) < 0.4)
    both = run(optim.muon(RATE))
    np.testing.assert_allclose(
        both["b"], run(optim.adam(RATE, nesterov=True), {"b": PARAMS["b"]})["b"]
    )


def test_clipping() -> None:
    g = {"w": np.array([[3.0, -0.5]]), "b": np.array([4.0])}

    def clipped(t: optim.GradientTransformation) -> Any:
        return {k: np.asarray(v) for k, v in t.update(g, t.init(g), g)[0].items()}

    assert clipped(optim.clip(1.0))["w"].tolist() == [[1, -0.5]]
    size = np.sqrt(25.25)
    np.testing.assert_allclose(optim.global_norm(g), size)
    np.testing.assert_allclose(clipped(optim.clip_by_global_norm(1.0))["b"], 4 / size)
    np.testing.assert_allclose(clipped(optim.clip_by_global_norm(6.0))["b"], 4)
    np.testing.assert_allclose(clipped(optim.clip_by_block_rms(0.5))["b"], 0.5)
    limited = optim.adaptive_grad_clip(0.1)
    np.testing.assert_allclose(clipped(limited)["w"], 0.1 * g["w"])
    assert float(optim.global_norm({"z": np.array([3 + 4j])})) == 5


def test_masks_and_partitions() -> None:
    flags = {"w": True, "b": False}
    decayed = run(optim.adamw(RATE, weight_decay=0.5, mask=flags))
    np.testing.assert_allclose(decayed["b"], run(optim.adam(RATE))["b"])
    assert not np.allclose(decayed["w"], run(optim.adam(RATE))["w"])
    by_function = run(
        optim.adamw(RATE, weight_decay=0.5, mask=lambda p: {k: p[k].ndim > 1 for k in p})
    )
    np.testing.assert_allclose(by_function["w"], decayed["w"])
    mixed = run(
        optim.partition(
            {"still": optim.set_to_zero(), "moves": optim.sgd(RATE)}, {"w": "still", "b": "moves"}
        )
    )
    np.testing.assert_allclose(mixed["w"], PARAMS["w"])
    np.testing.assert_allclose(mixed["b"], run(optim.sgd(RATE))["b"])


def test_complex_parameters() -> None:
    def loss(z: Any) -> Any:
        return wnp.abs(z - (1 + 2j)) ** 2

    z = np.asarray(0j)
    optimizer = optim.adam(0.3)
    state = optimizer.init(z)
    assert state[0].nu.dtype == np.float64
    for _ in range(40):
        updates, state = optimizer.update(wnp.conj(weft.grad(loss)(z)), state, z)
        z = optim.apply_updates(z, updates)
    assert abs(complex(z) - (1 + 2j)) < 0.2


def test_steps_compile_and_keep_dtypes() -> None:
    params = {"w": wnp.ones((3, 3), wnp.bfloat16), "b": wnp.ones(3)}
    optimizer = optim.chain(
        optim.clip_by_global_norm(1.0), optim.adam(lambda step: 0.1 / (1 + step))
    )

    def step(params: Any, state: Any) -> Any:
        updates, state = optimizer.update(params, state, params)
        return optim.apply_updates(params, updates), state

    state = optimizer.init(params)
    new, after = weft.eval_shape(step, params, state)
    assert new["w"].dtype == wnp.bfloat16 and new["b"].dtype == np.float32
    assert weft.tree.structure(after) == weft.tree.structure(state)
    assert [x.dtype for x in weft.tree.leaves(after)] == [x.dtype for x in weft.tree.leaves(state)]


def test_errors() -> None:
    for name, make in {
        "add_decayed_weights": lambda: optim.add_decayed_weights(0.1),
        "scale_by_trust_ratio": optim.scale_by_trust_ratio,
        "scale_by_param_block_rms": optim.scale_by_param_block_rms,
        "adaptive_grad_clip": lambda: optim.adaptive_grad_clip(0.1),
    }.items():
        message = rf"weft\.optim\.{name} needs parameters: update\(updates, state, params\)"
        with pytest.raises(ValueError, match=message):
            make().update(np.ones(2), optim.EmptyState())
    with pytest.raises(ValueError, match="state is of 1 transformations, the chain has 2"):
        optim.chain(optim.identity(), optim.identity()).update(np.ones(2), (optim.EmptyState(),))
    with pytest.raises(
        ValueError, match=r"no transformation is labelled \['x'\]; there are \['a'\]"
    ):
        optim.partition({"a": optim.identity()}, {"w": "x", "b": "a"}).init(PARAMS)
    with pytest.raises(ValueError, match=r"x is a matrix, got shape \(2,\)"):
        optim.orthogonalize_via_newton_schulz(np.ones(2))
