"""`weft.optim`: optimizers as pure functions of gradients and state, in Optax's shape.

An optimizer is a :class:`GradientTransformation`; `chain` puts several together, `masked` and
`partition` choose among parameters. Nothing is changed in place: a training step is a function, ::

    optimizer = weft.optim.adamw(weft.optim.warmup_cosine_decay_schedule(0, 1e-3, 100, 10_000))
    state = optimizer.init(params)

    @weft.jit
    def step(params, state, batch):
        loss, gradients = weft.value_and_grad(loss_of)(params, batch)
        updates, state = optimizer.update(gradients, state, params)
        return weft.optim.apply_updates(params, updates), state, loss
"""

from __future__ import annotations

from weft.optim.base import (
    EmptyState,
    GradientTransformation,
    MaskedNode,
    MaskedState,
    PartitionState,
    apply_updates,
    chain,
    identity,
    masked,
    partition,
    set_to_zero,
    stateless,
)
from weft.optim.clipping import (
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
)
from weft.optim.factored import FactoredState, scale_by_factored_rms
from weft.optim.numerics import global_norm
from weft.optim.optimizers import (
    adafactor,
    adagrad,
    adam,
    adamw,
    lamb,
    lion,
    muon,
    rmsprop,
    sgd,
)
from weft.optim.orthogonal import MuonState, orthogonalize_via_newton_schulz, scale_by_muon
from weft.optim.scaling import (
    EmaState,
    ScaleByAdamState,
    ScaleByLionState,
    ScaleByRmsState,
    ScaleByRssState,
    ScaleByScheduleState,
    TraceState,
    add_decayed_weights,
    ema,
    scale,
    scale_by_adam,
    scale_by_learning_rate,
    scale_by_lion,
    scale_by_param_block_rms,
    scale_by_rms,
    scale_by_rss,
    scale_by_schedule,
    scale_by_trust_ratio,
    trace,
)
from weft.optim.schedules import (
    Schedule,
    constant_schedule,
    cosine_decay_schedule,
    exponential_decay,
    join_schedules,
    linear_schedule,
    piecewise_constant_schedule,
    polynomial_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)

__all__ = [
    "EmaState",
    "EmptyState",
    "FactoredState",
    "GradientTransformation",
    "MaskedNode",
    "MaskedState",
    "MuonState",
    "PartitionState",
    "ScaleByAdamState",
    "ScaleByLionState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "ScaleByScheduleState",
    "Schedule",
    "TraceState",
    "adafactor",
    "adagrad",
    "adam",
    "adamw",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "apply_updates",
    "chain",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "ema",
    "exponential_decay",
    "global_norm",
    "identity",
    "join_schedules",
    "lamb",
    "linear_schedule",
    "lion",
    "masked",
    "muon",
    "orthogonalize_via_newton_schulz",
    "partition",
    "piecewise_constant_schedule",
    "polynomial_schedule",
    "rmsprop",
    "scale",
    "scale_by_adam",
    "scale_by_factored_rms",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_muon",
    "scale_by_param_block_rms",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_trust_ratio",
    "set_to_zero",
    "sgd",
    "stateless",
    "trace",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
]
