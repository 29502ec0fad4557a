"""`convolve` and `correlate`: sums of products of one sequence with the other, shifted along it."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import ArrayLike, DType, Value, convert, dtype_of, promote, shape_of
from weft.numpy.classify import conjugate
from weft.numpy.shaping import flip


@at_once
def convolve(
    a: ArrayLike,
    v: ArrayLike,
    mode: str = "full",
    *,
    precision: Any = None,
    preferred_element_type: DType = None,
) -> Value:
    """The convolution of two vectors: ``sum over m of a[m] · v[k − m]``.

    Parameters
    ----------
    mode: "full" for every k with at least one product, ``len(a) + len(v) − 1`` of them; "same" for
        the middle ``max(len(a), len(v))``; "valid" for those where neither vector ends.
    precision: accepted for compatibility.
    preferred_element_type: the dtype to accumulate in and return.

    Raises
    ------
    ValueError: for operands that are not vectors or are empty, and for another mode.

    >>> convolve(np.asarray([1, 2, 3]), np.asarray([0, 1, 2]))
    Array([0, 1, 4, 7, 6], dtype=int32)
    """
    a, v = _vectors("convolve", a, v, preferred_element_type)
    if shape_of(a)[0] < shape_of(v)[0]:
        a, v = v, a
    return _slide("convolve", a, flip(v), mode)


@at_once
def correlate(
    a: ArrayLike,
    v: ArrayLike,
    mode: str = "valid",
    *,
    precision: Any = None,
    preferred_element_type: DType = None,
) -> Value:
    """The correlation of two vectors: ``sum over m of a[m + k] · conj(v[m])``.

    Parameters, errors and lengths are those of :func:`convolve`.

    >>> correlate(np.asarray([1, 2, 3]), np.asarray([0, 1, 2]), "same")
    Array([5, 8, 3], dtype=int32)
    """
    a, v = _vectors("correlate", a, v, preferred_element_type)
    v = conjugate(v)
    if shape_of(a)[0] < shape_of(v)[0]:
        return flip(_slide("correlate", v, a, mode))
    return _slide("correlate", a, v, mode)


def _vectors(name: str, a: ArrayLike, v: ArrayLike, preferred: DType) -> list[Value]:
    operands = promote(name, a, v)
    if preferred is not None:
        target = dtypes.canonical_dtype(preferred)
        operands = [convert(name, x, target) for x in operands]
    shapes = [shape_of(x) for x in operands]
    if any(len(shape) != 1 or not shape[0] for shape in shapes):
        raise ValueError(
            f"weft.numpy.{name}: two vectors that are not empty are needed, got shapes "
            f"{shapes[0]} and {shapes[1]}"
        )
    return operands


def _slide(name: str, a: Value, v: Value, mode: str) -> Value:
    """Sums of products of `v` with the windows of the longer `a`."""
    length = shape_of(v)[0]
    pads = {
        "full": (length - 1, length - 1),
        "same": (length // 2, length - length // 2 - 1),
        "valid": (0, 0),
    }
    if mode not in pads:
        raise ValueError(f"weft.numpy.{name}: mode is 'full', 'same' or 'valid', got {mode!r}")
    boolean = dtype_of(a) == np.bool_
    if boolean:
        a, v = (lax.convert_element_type(x, dtypes.int32) for x in (a, v))
    out = lax.conv(
        lax.pad(lax.reshape(a, (1, 1, *shape_of(a))), 0, [(0, 0, 0)] * 2 + [(*pads[mode], 0)]),
        lax.reshape(v, (1, 1, *shape_of(v))),
        (1,),
        "VALID",
    )
    out = lax.reshape(out, shape_of(out)[2:])
    return out != 0 if boolean else out
