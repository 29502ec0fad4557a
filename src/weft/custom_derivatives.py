"""``jax.custom_derivatives`` by its names: derivatives that functions bring with them."""

from __future__ import annotations

from weft.core.linear import SymbolicZero
from weft.transforms.closures import closure_convert, custom_gradient
from weft.transforms.custom_jvp import custom_jvp
from weft.transforms.custom_vjp import CustomVJPPrimal, custom_vjp
from weft.transforms.linear_call import linear_call

__all__ = [
    "CustomVJPPrimal",
    "SymbolicZero",
    "closure_convert",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "linear_call",
]
