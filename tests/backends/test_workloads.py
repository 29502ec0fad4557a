"""The benchmarks at small sizes on every device, beside their references in float64."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import weft
from weft import tree
from weft.backends.device import Device
from weft.backends.dtypes import has

# The benchmarks are scripts beside the package, which import one another by these names.
sys.path.append(str(Path(__file__).parents[2] / "bench"))
from peers import jax_
from workloads import WORKLOADS, normal, normals, round_to_bf16

Inputs = Callable[[], list[np.ndarray]]
PRECISIONS = {"f32": "float32", "f64": "float64", "bf16": "bfloat16"}


def perceptron() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = ((20, 16), (16, 16), (16, 10))
    layers = [(normal(rng, *s, scale=0.25), np.zeros(s[1], np.float32)) for s in shapes]
    return [*sum(layers, ()), normal(rng, 24, 20), rng.integers(0, 10, 24).astype(np.int32)]


def block() -> list[np.ndarray]:
    rng, width = np.random.default_rng(0), 24

    def layer(*shape: int) -> list[np.ndarray]:
        return [normal(rng, *shape, scale=0.2), normal(rng, shape[-1], scale=0.2)]

    def norm() -> list[np.ndarray]:
        return [1 + normal(rng, width, scale=0.1), normal(rng, width, scale=0.1)]

    attention = [*layer(width, 3 * width), *layer(width, width)]
    mlp = [*layer(width, 40), *layer(40, width)]
    return [normal(rng, 1, 16, width), *norm(), *attention, *norm(), *mlp]


def decoder() -> list[np.ndarray]:
    """Twelve equal layers of the width that its heads have, with small perceptrons."""
    rng, width = np.random.default_rng(0), 768

    def weights(*shape: int) -> np.ndarray:
        return np.broadcast_to(normal(rng, *shape, scale=0.02), (12, *shape))

    scales = [weights(width) + np.float32(n % 2 == 0) for n in range(4)]
    attention = [*scales[:2], weights(width, 3 * width), weights(width, width)]
    mlp = [*scales[2:], weights(width, 8), weights(8, width)]
    caches = [normal(rng, 12, 12, 256, 64) for _ in range(2)]
    return [normal(rng, 1, width), *attention, *mlp, *caches]


def labelled(rows: int, columns: int, *more: tuple[int, ...]) -> Inputs:
    """Points of two kinds, a start, and further normal arrays."""

    def make() -> list[np.ndarray]:
        rng = np.random.default_rng(0)
        x, w = normal(rng, rows, columns), normal(rng, columns)
        y = (x @ w + normal(rng, rows) > 0).astype(np.float32)
        return [x, y, np.zeros(columns, np.float32), *(normal(rng, *s) for s in more)]

    return make


def noisy() -> list[np.ndarray]:
    x, y, q, momenta, uniforms = labelled(20, 3, (12, 3), (12,))()
    return [x, y, q, momenta, -np.abs(uniforms)]


HEADS = (1, 2, 40, 16)
SMALL: dict[str, Inputs] = {
    "mm512": normals((24, 32), (32, 40)),
    "mm1024": normals((33, 17), (17, 65)),
    "mm2048": normals((64, 64), (64, 64)),
    "matvec4096": normals((50, 70), (70,)),
    "mm1024_f64": lambda: [x.astype(np.float64) for x in normals((9, 20), (20, 33))()],
    "mm1024_bf16": lambda: [round_to_bf16(x) for x in normals((9, 20), (20, 33))()],
    "chain20_10M": normals((1001,)),
    "softmax_4096": normals((17, 100)),
    "layernorm_8192x1024": normals((9, 64), (64,), (64,)),
    "variance_4096": normals((17, 100)),
    "cumsum_1000x10000": normals((10, 301)),
    "sort_1M": normals((1000,)),
    "sum_50M": normals((5003,)),
    "transpose_4096": normals((40, 52)),
    "attn_2048": normals(HEADS, HEADS, HEADS),
    "attn_causal_2048": normals(HEADS, HEADS, HEADS),
    "conv2d_64_56": normals((2, 4, 9, 9), (6, 4, 3, 3)),
    "jacobi50_4096": normals((20, 24)),
    "fluids10_512": normals((16, 16), (16, 16)),
    "mlp_train": perceptron,
    "gpt_fwd": block,
    "gpt_fwdbwd": block,
    "decode_12L": decoder,
    "rmsnorm_linear": normals((9, 32), (32,), (32, 16)),
    "gatedmlp": normals((9, 16), (16, 40), (16, 40), (40, 16)),
    "logreg100_100kx50": labelled(200, 5),
    "hmc1000": noisy,
    "add4_jit": normals((4,), (4,)),
    "eager10_4": normals((4,), (4,)),
}


@pytest.fixture(scope="module", autouse=True)
def _weft_for_jax() -> None:
    jax_.peer.select("weft")


def test_every_benchmark_has_a_small_size() -> None:
    assert SMALL.keys() == WORKLOADS.keys()


@pytest.mark.parametrize("name", SMALL)
def test_benchmarks(device: Device, name: str) -> None:
    workload = replace(WORKLOADS[name], inputs=SMALL[name])
    arguments = [jax_.peer.array(x, workload.precision) for x in workload.inputs()]
    function = jax_.peer.functions.get(name)
    if not has(device, weft.numpy.dtype(PRECISIONS[workload.precision])):
        with pytest.raises(TypeError, match=rf"{device.name} .* does not compute with"):
            weft.jit(function, device=device.name)(*arguments)
        return
    if function is not None:
        results = weft.jit(function, device=device.name)(*arguments)
    else:
        with weft.default_device(device):
            run = jax_.peer.programs[name](*workload.inputs())
            results = [run() for _ in range(workload.calls)]
    leaves = [np.asarray(x).ravel() for x in tree.leaves(results)]
    assert all(x.device == device.name for x in tree.leaves(results))
    reference = [np.ravel(x) for x in workload.reference()]
    for error in workload.errors(leaves, reference):
        assert error <= workload.tolerance
