"""Calls a function of another library with arrays of NumPy and of Weft, and compares."""

from __future__ import annotations

import dataclasses
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import weft
import weft.numpy as wnp


def assert_same(
    call: Callable[..., Any],
    *operands: np.ndarray,
    rtol: float = 1e-9,
    kept: bool = True,
    absolute: bool = False,
) -> None:
    """``call(*operands)`` is the same for arrays of NumPy and of Weft, and if ``kept``, arrays of
    NumPy in one result are arrays of Weft in the other, of the same kind of numbers.

    ``absolute`` compares magnitudes: signs of singular vectors are a matter of taste.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        wanted = list(_leaves(call(*(x.copy() for x in operands))))
        found = list(_leaves(call(*map(wnp.asarray, operands))))
    assert len(found) == len(wanted)
    for a, w in zip(found, wanted, strict=True):
        if kept and isinstance(w, np.ndarray):
            assert type(a) is weft.Array, type(a)
        a, w = np.asarray(a), np.asarray(w)
        assert a.shape == w.shape
        assert a.dtype.kind == w.dtype.kind
        if a.dtype.kind in "fc":
            assert a.dtype == w.dtype
        if a.dtype.kind in "OSUT":
            np.testing.assert_array_equal(a, w)
            continue
        if absolute:
            a, w = abs(a), abs(w)
        scale = np.max(abs(w[np.isfinite(w)]), initial=0.0)
        np.testing.assert_allclose(a, w, rtol=rtol, atol=rtol * scale)


def _leaves(result: Any) -> Iterator[Any]:
    if isinstance(result, tuple | list):
        for item in result:
            yield from _leaves(item)
    elif dataclasses.is_dataclass(result):
        yield from _leaves([getattr(result, f.name) for f in dataclasses.fields(result)])
    elif result is not None:
        yield result


@functools.cache
def samples(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers that are the same on every run."""
    numbers = np.random.default_rng(seed).normal(size=shape)
    numbers.setflags(write=False)
    return numbers
