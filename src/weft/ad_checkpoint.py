"""``jax.ad_checkpoint`` by its names: what a gradient keeps, and how to say so."""

from __future__ import annotations

from weft.transforms import checkpoint_policies
from weft.transforms.checkpoint_policies import checkpoint_name
from weft.transforms.remat import checkpoint, print_saved_residuals, remat

__all__ = [
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "print_saved_residuals",
    "remat",
]
