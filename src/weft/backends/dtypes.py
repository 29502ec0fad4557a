"""Dtypes that a device computes with, and what to say of the others."""

from __future__ import annotations

import numpy as np

from weft.backends.device import Device
from weft.core.dtypes import is_key, short_name, stored_dtype
from weft.core.jaxpr import ClosedJaxpr
from weft.core.source import describe


def check_dtypes(closed: ClosedJaxpr, device: Device) -> None:
    """``TypeError`` that names the first argument or result of a dtype the device lacks."""
    for n, aval in enumerate(closed.in_avals):
        _check(aval.dtype, device, f"argument {n}, {aval},")
    for eqn in closed.jaxpr.eqns:
        for var in eqn.outvars:
            line = f"the result of {eqn.primitive.name}, {var.aval}, {describe(eqn.source)},"
            _check(var.aval.dtype, device, line)


def _check(dtype: np.dtype, device: Device, what: str) -> None:
    if not has(device, dtype):
        raise TypeError(
            f"{device.name} ({device.description}) does not compute with {short_name(dtype)}: "
            f"{what} cannot be there. Convert it first ({conversion(dtype)}), or leave it on the "
            "CPU (x.to('cpu'))"
        )


def has(device: Device, dtype: np.dtype) -> bool:
    """Whether a device computes with what arrays of a dtype consist of."""
    return device.supports(np.empty(0, stored_dtype(dtype)).real.dtype)


def conversion(dtype: np.dtype) -> str:
    """How to write an array of a dtype as one that every device has."""
    if is_key(dtype):
        return "weft.random.key_data(keys)"
    kinds = {"i": "int32", "u": "uint32", "c": "complex64"}
    return f"x.astype(np.{kinds.get(dtype.kind, 'float32')})"
