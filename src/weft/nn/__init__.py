"""Functions of neural networks: activations, softmax and its kin, attention, pooling, losses,
initial weights.

Names, defaults and gradients are those of `jax.nn`, of Flax for pooling, and of Optax for losses.
All accept any shape, and integers (which become floating-point, but for extrema).
"""

from __future__ import annotations

import importlib
from typing import Any

from weft.nn.activations import (
    celu,
    elu,
    gelu,
    glu,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    identity,
    leaky_relu,
    log1mexp,
    log_sigmoid,
    mish,
    relu,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_sign,
    softplus,
    sparse_plus,
    sparse_sigmoid,
    squareplus,
    swish,
)
from weft.nn.along import (
    log_softmax,
    logmeanexp,
    logsumexp,
    normalize,
    one_hot,
    softmax,
    standardize,
)
from weft.nn.attention import dot_product_attention
from weft.nn.pooling import avg_pool, max_pool, min_pool, pool
from weft.numpy import tanh

#: Modules that load when first used.
_SUBMODULES = frozenset(["initializers", "losses"])


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"weft.nn.{name}")
    from weft.missing import missing_name

    raise missing_name("weft.nn", name, __all__)


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})


__all__ = [
    "avg_pool",
    "celu",
    "dot_product_attention",
    "elu",
    "gelu",
    "glu",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "identity",
    "leaky_relu",
    "log1mexp",
    "log_sigmoid",
    "log_softmax",
    "logmeanexp",
    "logsumexp",
    "max_pool",
    "min_pool",
    "mish",
    "normalize",
    "one_hot",
    "pool",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_sign",
    "softmax",
    "softplus",
    "sparse_plus",
    "sparse_sigmoid",
    "squareplus",
    "standardize",
    "swish",
    "tanh",
]
