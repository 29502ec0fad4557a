"""Addresses of LAPACK and BLAS routines, found when a program that calls one is linked.

SciPy brings both libraries and offers their routines to other native code as capsules
(``scipy.linalg.cython_lapack.__pyx_capi__``): a pointer to a C function whose arguments are all
pointers, as in Fortran. Calling them needs neither Python nor the GIL.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
from typing import Any

_MODULES = ("scipy.linalg.cython_lapack", "scipy.linalg.cython_blas")


def library_symbol(name: str) -> str:
    """What generated code calls the routine ``name`` of a library."""
    return f"weft_library_{name}"


@functools.cache
def library_address(symbol: str) -> int:
    """The address of a routine of LAPACK or BLAS such as ``"dpotrf"``.

    Raises ``ImportError`` where SciPy is missing or has no such routine with 32-bit integers.
    """
    for name in _MODULES:
        capsule = _capsules(name).get(symbol)
        if capsule is not None:
            return _pointer(symbol, capsule)
    raise ImportError(f"SciPy's LAPACK has no routine {symbol!r}; upgrade SciPy to 1.14 or later")


@functools.cache
def _capsules(module: str) -> dict[str, Any]:
    try:
        return importlib.import_module(module).__pyx_capi__
    except ImportError as error:
        raise ImportError(
            f"linear algebra on the CPU calls the LAPACK of SciPy, which cannot be imported "
            f"({error}): install it with `pip install scipy`, or set "
            "weft.config.routines = 'portable'"
        ) from error


def _pointer(symbol: str, capsule: Any) -> int:
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    signature = api.PyCapsule_GetName(capsule)
    if b"int *" not in signature:
        raise ImportError(
            f"SciPy's LAPACK takes other integers than int32 ({symbol}: {signature.decode()}): "
            "install a SciPy built with the 32-bit interface"
        )
    return api.PyCapsule_GetPointer(capsule, signature)
