"""``debug_nans`` and ``debug_infs``: find the operation that makes a NaN or an infinity."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft.config import disable_jit
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.primitive import Primitive
from weft.core.source import describe, user_source
from weft.core.trace import Trace, current_trace, set_trace


class CheckedTrace(Trace):
    """Gives operations to ``parent`` and looks at their results where these have values."""

    def __init__(self, parent: Trace, nans: bool, infs: bool):
        self.parent = parent
        self.nans = nans
        self.infs = infs

    def process(self, primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
        with set_trace(self.parent):
            out = primitive.bind(*args, **params)
        for result in out if primitive.multiple_results else (out,):
            self.check(primitive, args, result)
        return out

    def check(self, primitive: Primitive, args: tuple[Any, ...], result: Any) -> None:
        """Raises FloatingPointError for a result with what is looked for."""
        dtype = aval_of(result).dtype
        if not dtypes.is_inexact(dtype):
            return
        is_complex = np.issubdtype(dtype, np.complexfloating)
        values = np.asarray(result).astype(np.complex128 if is_complex else np.float64)
        for wanted, found, word in (
            (self.nans, np.isnan(values), "NaN"),
            (self.infs, np.isinf(values), "an infinity"),
        ):
            if wanted and found.any():
                operands = ", ".join(str(aval_of(x)) for x in args)
                where = f" {int(found.sum())} of {found.size} elements." if found.ndim else ""
                raise FloatingPointError(
                    f"'{primitive}' of {operands} gives {word}.{where}\n"
                    f"At {describe(user_source())}"
                )

    def process_custom_jvp(self, call: Any, args: list[Any]) -> list[Any]:
        return call.fun(*args)

    def process_custom_vjp(self, call: Any, args: list[Any]) -> list[Any]:
        return call.fun(*args)


@contextmanager
def _checking(nans: bool, infs: bool) -> Iterator[None]:
    if not (nans or infs):
        yield
        return
    with disable_jit(), set_trace(CheckedTrace(current_trace(), nans, infs)):
        yield


def debug_nans(status: bool = True) -> Any:
    """Inside a ``with`` block, the operation that makes a NaN is an error that names it.

    Jitted functions and loops run operation by operation there, so that the line is the one in
    them. Put the block around the outermost call. What NumPy itself computes is not seen.

    Raises FloatingPointError with the operation, its operands' types, and the user's line.

    >>> with weft.debug_nans():
    ...     weft.jit(lambda x: np.log(x))(2.0)
    Array(0.6931472, dtype=float32, weak_type=True)
    """
    return _checking(bool(status), False)


def debug_infs(status: bool = True) -> Any:
    """As :func:`debug_nans`, for infinities.

    >>> with weft.debug_infs():
    ...     print(weft.jit(lambda x: 1 / x)(np.array([1.0, 2.0])))
    ...
    [1.  0.5]
    """
    return _checking(False, bool(status))
