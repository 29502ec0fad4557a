"""``jax.custom_batching`` by its names: functions with their own rule for a mapped axis."""

from __future__ import annotations

from weft.transforms.custom_vmap import custom_vmap, sequential_vmap

__all__ = ["custom_vmap", "sequential_vmap"]
