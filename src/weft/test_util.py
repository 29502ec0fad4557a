"""Tests of derivatives against finite differences, with JAX's names and signatures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.transforms.api import jvp, vjp
from weft.transforms.functions import function_name

#: By the bytes of a real number: the step of a central difference, and how well it then agrees.
_STEP = {2: 1e-1, 4: 1e-3, 8: 1e-5}
_TOLERANCE = {2: 1e-1, 4: 2e-2, 8: 1e-5}


def _precision(values: Any) -> int:
    """Bytes of the least precise real number among the leaves."""
    sizes = []
    for leaf in tree.leaves(values):
        dtype = aval_of(leaf).dtype
        if dtypes.is_inexact(dtype):
            sizes.append(dtype.itemsize // (2 if np.issubdtype(dtype, np.complexfloating) else 1))
    return min(sizes, default=8)


def _arrays(values: Any) -> list[np.ndarray]:
    """The leaves as float64 or complex128 (discrete ones as they are)."""
    found = []
    for leaf in tree.leaves(values):
        array = np.asarray(leaf)
        if array.dtype != dtypes.float0 and dtypes.is_inexact(aval_of(leaf).dtype):
            is_complex = np.issubdtype(array.dtype, np.complexfloating)
            array = array.astype(np.complex128 if is_complex else np.float64)
        found.append(array)
    return found


def _direction(values: Any, random: np.random.RandomState) -> Any:
    """A random tangent: `float0` for discrete leaves."""

    def draw(leaf: Any) -> np.ndarray:
        aval = aval_of(leaf)
        if not dtypes.is_inexact(aval.dtype):
            return np.zeros(aval.shape, dtypes.float0)
        part = np.asarray(random.standard_normal(aval.shape))
        if np.issubdtype(aval.dtype, np.complexfloating):
            part = part + 1j * np.asarray(random.standard_normal(aval.shape))
        return part.astype(aval.dtype)

    return tree.map(draw, values)


def _shifted(values: Any, direction: Any, step: float) -> Any:
    def shift(leaf: Any, toward: np.ndarray) -> Any:
        if toward.dtype == dtypes.float0:
            return leaf
        array = np.asarray(leaf)
        return np.asarray(array + np.asarray(step * toward, array.dtype), array.dtype)

    return tree.map(shift, values, direction)


def _difference(f: Callable[..., Any], args: Any, direction: Any, step: float) -> list[np.ndarray]:
    """The derivative of ``f`` along ``direction`` by a central difference."""
    above = _arrays(f(*_shifted(args, direction, step)))
    below = _arrays(f(*_shifted(args, direction, -step)))
    return [
        (a - b) / (2 * step) if dtypes.is_inexact(a.dtype) else np.zeros(a.shape, dtypes.float0)
        for a, b in zip(above, below, strict=True)
    ]


def _compare(found: Any, expected: Any, atol: float, rtol: float, message: str) -> None:
    np.testing.assert_allclose(found, expected, rtol=rtol, atol=atol, err_msg=message)


def _tolerances(
    args: Any, atol: float | None, rtol: float | None, eps: float | None
) -> tuple[float, float, float]:
    size = _precision(args)
    default = _TOLERANCE[size]
    return (
        default if atol is None else atol,
        default if rtol is None else rtol,
        _STEP[size] if eps is None else eps,
    )


def check_jvp(
    f: Callable[..., Any],
    f_jvp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Compares ``f_jvp(primals, tangents)`` with a central difference along a random direction.

    Parameters
    ----------
    f, args: the function and its positional arguments, trees of arrays.
    f_jvp: gives the result and its tangent, such as ``lambda p, t: weft.jvp(f, p, t)``.
    atol, rtol, eps: tolerances and the step; by default what the dtypes of ``args`` allow.
    err_msg: comes before the difference in messages.

    Raises AssertionError when they differ.

    >>> weft.test_util.check_jvp(np.sin, lambda p, t: weft.jvp(np.sin, p, t), (np.ones(2),))
    """
    atol, rtol, eps = _tolerances(args, atol, rtol, eps)
    direction = _direction(tuple(args), np.random.RandomState(0))
    value, tangent = f_jvp(tuple(args), direction)
    message = f"{err_msg or 'jvp'} of '{function_name(f)}': "
    expected = _difference(f, tuple(args), direction, eps)
    for mine, plain in zip(_arrays(value), _arrays(f(*args)), strict=True):
        _compare(mine, plain, atol, rtol, message + "the result")
    for mine, limit in zip(_arrays(tangent), expected, strict=True):
        if limit.dtype != dtypes.float0:
            _compare(mine, limit, atol, rtol, message + "the tangent against a difference")


def check_vjp(
    f: Callable[..., Any],
    f_vjp: Callable[..., Any],
    args: Sequence[Any],
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
    err_msg: str = "",
) -> None:
    """Compares ``f_vjp(*args)``, a result and a pullback, with a central difference.

    A random cotangent c and a random direction t must give the same ⟨c, ∂f·t⟩ and ⟨∂fᵀ·c, t⟩.
    Parameters and errors are those of :func:`check_jvp`.

    >>> weft.test_util.check_vjp(np.sin, lambda x: weft.vjp(np.sin, x), (np.ones(2),))
    """
    atol, rtol, eps = _tolerances(args, atol, rtol, eps)
    random = np.random.RandomState(0)
    direction = _direction(tuple(args), random)
    value, pullback = f_vjp(*args)
    message = f"{err_msg or 'vjp'} of '{function_name(f)}': "
    for mine, plain in zip(_arrays(value), _arrays(f(*args)), strict=True):
        _compare(mine, plain, atol, rtol, message + "the result")
    cotangent = _direction(value, random)
    pulled = pullback(cotangent)
    expected = _difference(f, tuple(args), direction, eps)
    inner = _inner(pulled, direction)
    outer = sum(
        float(np.real(np.sum(c * e)))
        for c, e in zip(_arrays(cotangent), expected, strict=True)
        if e.dtype != dtypes.float0
    )
    _compare(inner, outer, atol, rtol, message + "the cotangent against a difference")


def _inner(cotangents: Any, tangents: Any) -> float:
    """The real part of the pairing: cotangents are not conjugated, as in JAX."""
    return sum(
        float(np.real(np.sum(c * t)))
        for c, t in zip(_arrays(cotangents), _arrays(tangents), strict=True)
        if t.dtype != dtypes.float0
    )


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int,
    modes: Sequence[str] = ("fwd", "rev"),
    atol: float | None = None,
    rtol: float | None = None,
    eps: float | None = None,
) -> None:
    """Checks the derivatives of ``f`` at ``args`` up to ``order`` against finite differences.

    Parameters
    ----------
    f, args: the function and its positional arguments, trees of arrays.
    order: 1 for first derivatives; 2 for those of first derivatives too, in all nestings; …
    modes: ``"fwd"`` (jvp), ``"rev"`` (vjp) or both.
    atol, rtol, eps: tolerances and the step; by default what the dtypes of ``args`` allow.

    Raises AssertionError, naming the nesting such as ``jvp of vjp``, when a derivative is wrong.

    >>> weft.test_util.check_grads(np.sin, (0.5,), order=2)
    """
    modes = (modes,) if isinstance(modes, str) else tuple(modes)
    if unknown := [mode for mode in modes if mode not in ("fwd", "rev")]:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', got {unknown[0]!r}")
    if order < 1:
        raise ValueError(f"check_grads: order is at least 1, got {order}")
    options = {"atol": atol, "rtol": rtol, "eps": eps}
    pending: list[tuple[Callable[..., Any], tuple[Any, ...], int, str]]
    # Python numbers as arrays of the dtype they stand for.
    start = tree.map(lambda x: np.asarray(x, aval_of(x).dtype), tuple(args))
    pending = [(f, start, order, "")]
    while pending:
        g, at, left, nesting = pending.pop()
        if "fwd" in modes:
            message = "jvp" + nesting
            check_jvp(g, lambda p, t, g=g: jvp(g, p, t), at, err_msg=message, **options)
            if left > 1:
                pending.append((_pushed(g, at), at, left - 1, " of " + message))
        if "rev" in modes:
            message = "vjp" + nesting
            check_vjp(g, lambda *xs, g=g: vjp(g, *xs), at, err_msg=message, **options)
            if left > 1:
                pending.append((_pulled(g, at), at, left - 1, " of " + message))


def _pushed(g: Callable[..., Any], at: tuple[Any, ...]) -> Callable[..., Any]:
    """The derivative of ``g`` along a fixed direction, as a function of the point."""
    direction = _direction(at, np.random.RandomState(1))

    def pushed(*xs: Any) -> Any:
        return _inexact(jvp(g, xs, direction)[1])

    pushed.__name__ = function_name(g)
    return pushed


def _pulled(g: Callable[..., Any], at: tuple[Any, ...]) -> Callable[..., Any]:
    """The gradient of ``g`` with a fixed cotangent, as a function of the point."""

    def pulled(*xs: Any) -> Any:
        value, pullback = vjp(g, *xs)
        return _inexact(pullback(_direction(value, np.random.RandomState(2))))

    pulled.__name__ = function_name(g)
    return pulled


def _inexact(values: Any) -> list[Any]:
    """The leaves that have derivatives."""
    leaves = tree.leaves(values)
    return [x for x in leaves if getattr(x, "dtype", None) != dtypes.float0]
