"""Functions of logarithms and exponentials: entropies, logistic functions, power transforms."""

from __future__ import annotations

from typing import Any

import weft.numpy as wnp
from weft import lax, nn
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, dtype_of, promote_and_broadcast
from weft.transforms.custom_jvp import custom_jvp


def inexact(name: str, *args: ArrayLike) -> list[Value]:
    """Operands of one floating dtype and shape."""
    # As Weft's arrays: operators of NumPy's arrays make scalars of single elements.
    values = promote_and_broadcast(f"scipy.special.{name}", *args, inexact=True)
    return [wnp.asarray(x) for x in values]


def reals(name: str, *args: ArrayLike) -> list[Value]:
    """As `inexact`; TypeError for complex numbers."""
    values = inexact(name, *args)
    if dtypes.is_complex(dtype_of(values[0])):
        raise TypeError(
            f"weft.scipy.special.{name}: arguments must be real, got {dtype_of(values[0])}"
        )
    return values


@custom_jvp
def _xlogy(x: Value, y: Value) -> Value:
    zero = (x == 0) & ~wnp.isnan(y)
    return wnp.where(zero, wnp.zeros_like(x), x * wnp.log(wnp.where(zero, 1, y)))


_xlogy.defjvps(
    lambda t, ans, x, y: t * wnp.log(y),
    lambda t, ans, x, y: t * x / y,
)


def xlogy(x: ArrayLike, y: ArrayLike) -> Value:
    """``x log(y)``, and 0 where `x` is 0.

    >>> weft.scipy.special.xlogy(np.array([0., 2.]), np.array([0., 1.]))
    Array([0., 0.], dtype=float32)
    """
    return _xlogy(*inexact("xlogy", x, y))


@custom_jvp
def _xlog1py(x: Value, y: Value) -> Value:
    zero = (x == 0) & ~wnp.isnan(y)
    return wnp.where(zero, wnp.zeros_like(x), x * wnp.log1p(wnp.where(zero, 0, y)))


_xlog1py.defjvps(
    lambda t, ans, x, y: t * wnp.log1p(y),
    lambda t, ans, x, y: t * x / (1 + y),
)


def xlog1py(x: ArrayLike, y: ArrayLike) -> Value:
    """``x log(1 + y)``, and 0 where `x` is 0.

    >>> weft.scipy.special.xlog1py(np.array([0.0, 2.0]), np.array([-1.0, 1.0])).round(4)
    Array([0.    , 1.3863], dtype=float32)
    """
    return _xlog1py(*inexact("xlog1py", x, y))


@custom_jvp
def _entr(x: Value) -> Value:
    return wnp.where(x < 0, -wnp.inf, 0 - _xlogy(x, x))


_entr.defjvps(lambda t, ans, x: -t * (wnp.log(x) + 1))


def entr(x: ArrayLike) -> Value:
    """``-x log(x)``; 0 at 0, -inf below.

    >>> weft.scipy.special.entr(np.array([0., 0.5]))
    Array([0.       , 0.3465736], dtype=float32)
    """
    return _entr(*reals("entr", x))


def rel_entr(p: ArrayLike, q: ArrayLike) -> Value:
    """``p log(p / q)``; 0 where `p` is 0 and `q` is not negative, else inf.

    >>> weft.scipy.special.rel_entr(np.array([1.0, 2.0]), np.array([1.0, 1.0])).round(4)
    Array([0.    , 1.3863], dtype=float32)
    """
    p, q = reals("rel_entr", p, q)
    return _relative(p, q, lambda p, q: p * wnp.log(p / q), wnp.zeros_like(q))


def kl_div(p: ArrayLike, q: ArrayLike) -> Value:
    """``p log(p / q) - p + q``; `q` where `p` is 0 and `q` is not negative, else inf.

    >>> weft.scipy.special.kl_div(np.array([1.0, 2.0]), np.array([1.0, 1.0])).round(4)
    Array([0.    , 0.3863], dtype=float32)
    """
    p, q = reals("kl_div", p, q)
    return _relative(p, q, lambda p, q: p * wnp.log(p / q) - p + q, q)


def _relative(p: Value, q: Value, formula: Any, at_zero: Value) -> Value:
    both, zero = (p > 0) & (q > 0), (p == 0) & (q >= 0)
    value = formula(wnp.where(both, p, 1), wnp.where(both, q, 1))
    other = wnp.where(wnp.isnan(p) | wnp.isnan(q), wnp.nan, wnp.inf)
    return wnp.where(both, value, wnp.where(zero, at_zero, other))


def logit(x: ArrayLike) -> Value:
    """``log(x / (1 - x))``, the inverse of `expit`.

    >>> weft.scipy.special.logit(np.array([0.5]))
    Array([0.], dtype=float32)
    """
    (x,) = reals("logit", x)
    return wnp.log(x) - wnp.log1p(-x)


def expit(x: ArrayLike) -> Value:
    """``1 / (1 + exp(-x))``.

    >>> weft.scipy.special.expit(np.array([0.]))
    Array([0.5], dtype=float32)
    """
    (x,) = inexact("expit", x)
    if dtypes.is_complex(dtype_of(x)):
        return 1 / (1 + wnp.exp(-x))
    return lax.logistic(x)


def boxcox(x: ArrayLike, lmbda: ArrayLike) -> Value:
    """``(x**lmbda - 1) / lmbda``, and ``log(x)`` for `lmbda` 0.

    >>> weft.scipy.special.boxcox(np.array([1.0, 4.0]), 0.5)
    Array([0., 2.], dtype=float32)
    """
    x, power = reals("boxcox", x, lmbda)
    return _power_transform(wnp.log(x), power)


def boxcox1p(x: ArrayLike, lmbda: ArrayLike) -> Value:
    """`boxcox` of ``1 + x``, with all digits where `x` is small.

    >>> weft.scipy.special.boxcox1p(np.array([0.0, 3.0]), 0.5)
    Array([0., 2.], dtype=float32)
    """
    x, power = reals("boxcox1p", x, lmbda)
    return _power_transform(wnp.log1p(x), power)


def _power_transform(log: Value, power: Value) -> Value:
    """``expm1(power log) / power``; its limit where that is 0, with derivatives."""
    scaled = power * log
    # Around 0 by a series, which has derivatives in the power; log(0) has none.
    small = (abs(power) < 1e-4) & wnp.isfinite(log)
    near = wnp.where(small, log, 0)
    series = near * (1 + power * near / 2 * (1 + power * near / 3))
    value = wnp.expm1(scaled) / wnp.where(small | (power == 0), 1, power)
    return wnp.where(small, series, wnp.where(power == 0, log, value))


def softmax(x: ArrayLike, /, *, axis: Any = None) -> Value:
    """``exp(x)`` over its sum along `axis`, or over all axes.

    >>> weft.scipy.special.softmax(np.array([0.0, 0.0]))
    Array([0.5, 0.5], dtype=float32)
    """
    (x,) = inexact("softmax", x)
    return nn.softmax(x, axis=_all_axes(x, axis))


def log_softmax(x: ArrayLike, /, *, axis: Any = None) -> Value:
    """The logarithm of `softmax`.

    >>> weft.scipy.special.log_softmax(np.array([0.0, 0.0])).round(4)
    Array([-0.6931, -0.6931], dtype=float32)
    """
    (x,) = inexact("log_softmax", x)
    return nn.log_softmax(x, axis=_all_axes(x, axis))


def _all_axes(x: Value, axis: Any) -> Any:
    return tuple(range(x.ndim)) if axis is None else axis


def logsumexp(
    a: ArrayLike,
    axis: Any = None,
    b: ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
    where: ArrayLike | None = None,
) -> Any:
    """``log(sum(b exp(a)))`` over `axis`, without overflow; with `return_sign` also the sign of the
    sum.

    >>> weft.scipy.special.logsumexp(np.array([1000., 1000.])).round(3)
    Array(1000.693, dtype=float32)
    """
    return nn.logsumexp(a, axis=axis, b=b, keepdims=keepdims, return_sign=return_sign, where=where)
