"""Weft: NumPy programs, traced, transformed, optimised and woven into native kernels.

Names load when first used, so that ``import weft`` costs little more than ``import numpy``.
"""

from __future__ import annotations

import importlib
from typing import Any

# Not lazy: importing the submodule binds `weft.config` to the module, this line to the object.
from weft.config import config, disable_jit

__version__ = "0.1.0"

#: Public name -> the module that defines it ("" for a submodule of that name).
_NAMES = {
    # transformations
    "jit": "weft.transforms.jit",
    "grad": "weft.transforms.api",
    "value_and_grad": "weft.transforms.api",
    "vjp": "weft.transforms.api",
    "jvp": "weft.transforms.api",
    "linearize": "weft.transforms.api",
    "linear_transpose": "weft.transforms.api",
    "jacfwd": "weft.transforms.jacobian",
    "jacrev": "weft.transforms.jacobian",
    "jacobian": "weft.transforms.jacobian",
    "hessian": "weft.transforms.jacobian",
    "vmap": "weft.transforms.vmap",
    "make_jaxpr": "weft.transforms.abstract",
    "eval_shape": "weft.transforms.abstract",
    "ShapeDtypeStruct": "weft.transforms.abstract",
    "checkpoint": "weft.transforms.remat",
    "checkpoint_policies": "weft.ad_checkpoint",
    "remat": "weft.transforms.remat",
    "clear_caches": "weft.transforms.caches",
    "closure_convert": "weft.transforms.closures",
    "custom_gradient": "weft.transforms.closures",
    "ensure_compile_time_eval": "weft.transforms.closures",
    "debug_infs": "weft.transforms.debug_numbers",
    "debug_nans": "weft.transforms.debug_numbers",
    "custom_jvp": "weft.transforms.custom_jvp",
    "custom_vjp": "weft.transforms.custom_vjp",
    "stop_gradient": "weft.transforms.api",
    "typeof": "weft.transforms.abstract",
    "fwd_and_bwd": "weft.transforms.fwd_and_bwd",
    "named_call": "weft.transforms.scopes",
    "named_scope": "weft.transforms.scopes",
    "checking_leaks": "weft.transforms.leaks",
    "pure_callback": "weft.transforms.callback",
    "io_callback": "weft.transforms.callback",
    "explain": "weft.report",
    "profile": "weft.report.profile",
    "export": "weft.exporting.export",
    "kernel": "weft.tiles.kernel",
    # arrays
    "Array": "weft.array",
    "compute": "weft.array",
    "compute_async": "weft.array.asynchronous",
    "block_until_ready": "weft.array",
    "scoped": "weft.array.scoped",
    "default_device": "weft.backends.arrays",
    "device_get": "weft.backends.arrays",
    "device_put": "weft.backends.arrays",
    "devices": "weft.backends.registry",
    "float0": "weft.core.dtypes",
    # submodules
    "ad_checkpoint": "",
    "array": "",
    "core": "",
    "custom_batching": "",
    "custom_derivatives": "",
    "debug": "",
    "dlpack": "",
    "errors": "",
    "flatten_util": "",
    "image": "",
    "lazy": "",
    "dtypes": "",
    "lax": "",
    "nn": "",
    "numpy": "",
    "ops": "",
    "optim": "",
    "random": "",
    "report": "",
    "scipy": "",
    "tree": "",
    "test_util": "",
    "tiles": "",
    "transforms": "",
    "tree_util": "",
}

__all__ = ["__version__", "config", "disable_jit", *_NAMES]


def __getattr__(name: str) -> Any:
    try:
        module = _NAMES[name]
    except KeyError:
        from weft.missing import missing_name

        raise missing_name("weft", name, _NAMES) from None
    if module:
        # Arrays and traced values have operators once the NumPy namespace is there.
        importlib.import_module("weft.numpy")
        value = getattr(importlib.import_module(module), name)
    else:
        value = importlib.import_module(f"weft.{name}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES})
