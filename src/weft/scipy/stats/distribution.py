"""What distributions of numbers have in common: location and scale, support, derived functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.core import dtypes
from weft.numpy._common import ArrayLike, Value, dtype_of, promote_and_broadcast

Formula = Callable[..., Value]


def operands(name: str, *args: ArrayLike) -> list[Value]:
    """Arrays of one real floating dtype and shape."""
    values = promote_and_broadcast(f"scipy.stats.{name}", *args, inexact=True)
    if dtypes.is_complex(dtype_of(values[0])):
        raise TypeError(
            f"weft.scipy.stats.{name}: arguments must be real, got {dtype_of(values[0])}"
        )
    # As Weft's arrays: operators of NumPy's arrays make scalars of single elements.
    return [wnp.asarray(x) for x in values]


def log_of_difference(smaller: Value) -> Value:
    """``log(1 - exp(smaller))`` for numbers up to 0."""
    far = smaller < -0.7
    near = wnp.where(far, -1.0, smaller)
    return wnp.where(
        far,
        wnp.log1p(-wnp.exp(wnp.where(far, smaller, -1.0))),
        wnp.log(-wnp.expm1(near)),
    )


class _Named:
    """Shape parameters by position or by name, before `loc` (and `scale`)."""

    def __init__(self, name: str, shapes: tuple[str, ...], others: tuple[tuple[str, int], ...]):
        self.name = name
        self._names = (*shapes, *(other for other, _ in others))
        self._defaults = dict(others)
        self._count = len(shapes)

    def __repr__(self) -> str:
        return f"<weft.scipy.stats.{self.name}({', '.join(self._names)})>"

    def _bound(self, method: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        where = f"weft.scipy.stats.{self.name}.{method}"
        if len(args) > len(self._names):
            raise TypeError(f"{where}: at most {len(self._names)} parameters, got {len(args)}")
        given = dict(zip(self._names, args, strict=False))
        for key, value in kwargs.items():
            if key not in self._names or key in given:
                raise TypeError(f"{where}: its parameters are {', '.join(self._names)}; not {key}")
            given[key] = value
        missing = [n for n in self._names if n not in given and n not in self._defaults]
        if missing:
            raise TypeError(f"{where}: the parameter {missing[0]} is missing")
        return [given.get(n, self._defaults.get(n)) for n in self._names]


class Continuous(_Named):
    """A continuous distribution: ``method(x, *shapes, loc=0, scale=1)``.

    Methods are ``pdf``, ``logpdf``, ``cdf``, ``logcdf``, ``sf``, ``logsf`` (the distribution
    function subtracted from 1), and where they are known ``ppf`` and ``isf``, their inverses, which
    take probabilities. Arguments broadcast; results are NaN where a scale is not positive.

    Formulas are for location 0 and scale 1, inside of the support, of which ``inner`` is a point.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...] = (),
        *,
        logpdf: Formula,
        cdf: Formula | None = None,
        sf: Formula | None = None,
        logcdf: Formula | None = None,
        logsf: Formula | None = None,
        ppf: Formula | None = None,
        isf: Formula | None = None,
        support: tuple[float, float] = (-np.inf, np.inf),
        inner: float = 0.0,
    ) -> None:
        super().__init__(name, shapes, (("loc", 0), ("scale", 1)))
        self._formulas = {"logpdf": logpdf, "cdf": cdf, "sf": sf}
        self._formulas.update({"logcdf": logcdf, "logsf": logsf, "ppf": ppf, "isf": isf})
        self._support = support
        self._inner = inner

    def _at(self, method: str, x: ArrayLike, args: Any, kwargs: Any) -> tuple[Value, ...]:
        parameters = self._bound(method, args, kwargs)
        x, *shapes, loc, scale = operands(f"{self.name}.{method}", x, *parameters)
        return x, tuple(shapes), loc, scale

    def _value(
        self, method: str, formula: Formula, x: ArrayLike, args: Any, kwargs: Any,
        below: float, above: float,
    ) -> tuple[Value, Value]:  # fmt: skip
        x, shapes, loc, scale = self._at(method, x, args, kwargs)
        z = (x - loc) / scale
        low, high = self._support
        inside = (z >= low) & (z <= high)
        value = formula(wnp.where(inside, z, self._inner), *shapes)
        value = wnp.where(z < low, below, wnp.where(z > high, above, value))
        bad = wnp.isnan(z) | (scale <= 0)
        return wnp.where(bad, wnp.nan, value), scale

    def _formula(self, method: str) -> Formula | None:
        """That of the distribution, or one that follows from its others."""
        known = self._formulas[method]
        if known is not None:
            return known
        derived: dict[str, tuple[str, Callable[[Value], Value]]] = {
            "sf": ("cdf", lambda p: 1 - p),
            "logcdf": ("cdf", wnp.log),
            "logsf": ("sf", wnp.log),
        }
        source, step = derived.get(method, ("", lambda p: p))
        formula = self._formula(source) if source else None
        return None if formula is None else lambda *xs: step(formula(*xs))

    def _needed(self, method: str) -> Formula:
        formula = self._formula(method)
        if formula is None:
            raise NotImplementedError(
                f"weft.scipy.stats.{self.name}.{method}: there is no formula for it; see the "
                f"methods of {self!r}"
            )
        return formula

    def logpdf(self, x: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The logarithm of the density; -inf outside of the support."""
        formula = self._needed("logpdf")
        value, scale = self._value("logpdf", formula, x, args, kwargs, -np.inf, -np.inf)
        return value - wnp.log(scale)

    def pdf(self, x: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The density."""
        return wnp.exp(self.logpdf(x, *args, **kwargs))

    def cdf(self, x: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The chance of at most `x`."""
        return self._value("cdf", self._needed("cdf"), x, args, kwargs, 0, 1)[0]

    def logcdf(self, x: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The logarithm of `cdf`."""
        return self._value("logcdf", self._needed("logcdf"), x, args, kwargs, -np.inf, 0)[0]

    def sf(self, x: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The chance of more than `x`."""
        return self._value("sf", self._needed("sf"), x, args, kwargs, 1, 0)[0]

    def logsf(self, x: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The logarithm of `sf`."""
        return self._value("logsf", self._needed("logsf"), x, args, kwargs, 0, -np.inf)[0]

    def ppf(self, q: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The quantile: x with ``cdf(x) = q``; NaN unless ``0 <= q <= 1``."""
        return self._quantile("ppf", self._needed("ppf"), q, args, kwargs)

    def isf(self, q: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """x with ``sf(x) = q``; NaN unless ``0 <= q <= 1``."""
        formula = self._formulas["isf"]
        if formula is None:
            other = self._needed("ppf")
            return self._quantile("isf", lambda q, *s: other(1 - q, *s), q, args, kwargs)
        return self._quantile("isf", formula, q, args, kwargs)

    def _quantile(
        self, method: str, formula: Formula, q: ArrayLike, args: Any, kwargs: Any
    ) -> Value:
        q, shapes, loc, scale = self._at(method, q, args, kwargs)
        good = (q >= 0) & (q <= 1) & (scale > 0)
        value = formula(wnp.where(good, q, 0.5), *shapes)
        return wnp.where(good, value * scale + loc, wnp.nan)


class Discrete(_Named):
    """A distribution of integers: ``method(k, *shapes, loc=0)``.

    Methods are ``pmf`` and ``logpmf``, and where they are known ``cdf``, ``sf``, ``ppf`` (the
    quantile) and ``entropy``. Arguments broadcast.

    ``support`` gives the least and the greatest integer, for the shapes.
    """

    def __init__(
        self,
        name: str,
        shapes: tuple[str, ...],
        *,
        logpmf: Formula,
        cdf: Formula | None = None,
        ppf: Formula | None = None,
        entropy: Formula | None = None,
        support: Callable[..., tuple[Any, Any]],
    ) -> None:
        super().__init__(name, shapes, (("loc", 0),))
        self._logpmf, self._cdf, self._support = logpmf, cdf, support
        self._ppf, self._entropy = ppf, entropy

    def _at(self, method: str, k: ArrayLike, args: Any, kwargs: Any) -> tuple[Value, Any]:
        parameters = self._bound(method, args, kwargs)
        k, *shapes, loc = operands(f"{self.name}.{method}", k, *parameters)
        return k - loc, shapes

    def logpmf(self, k: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The logarithm of the chance of `k`; -inf for what cannot be."""
        k, shapes = self._at("logpmf", k, args, kwargs)
        low, high = self._support(*shapes)
        inside = (k >= low) & (k <= high) & (k == wnp.floor(k))
        value = self._logpmf(wnp.where(inside, k, low), *shapes)
        return wnp.where(wnp.isnan(k), wnp.nan, wnp.where(inside, value, -np.inf))

    def pmf(self, k: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The chance of `k`."""
        return wnp.exp(self.logpmf(k, *args, **kwargs))

    def cdf(self, k: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The chance of at most `k`."""
        formula = self._needed("cdf", self._cdf)
        k, shapes = self._at("cdf", k, args, kwargs)
        low, high = self._support(*shapes)
        k = wnp.floor(k)
        inside = (k >= low) & (k < high)
        value = formula(wnp.where(inside, k, low), *shapes)
        value = wnp.where(k < low, 0, wnp.where(k >= high, 1, value))
        return wnp.where(wnp.isnan(k), wnp.nan, value)

    def sf(self, k: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The chance of more than `k`."""
        return 1 - self.cdf(k, *args, **kwargs)

    def ppf(self, q: ArrayLike, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The quantile: the least k with ``cdf(k) >= q``; NaN unless ``0 <= q <= 1``."""
        formula = self._needed("ppf", self._ppf)
        parameters = self._bound("ppf", args, kwargs)
        q, *shapes, loc = operands(f"{self.name}.ppf", q, *parameters)
        low, _ = self._support(*shapes)
        value = wnp.where(q == 0, low - 1, formula(q, *shapes))
        return wnp.where((q >= 0) & (q <= 1), value + loc, wnp.nan)

    def entropy(self, *args: ArrayLike, **kwargs: ArrayLike) -> Value:
        """The entropy in nats: the mean of ``-logpmf``."""
        formula = self._needed("entropy", self._entropy)
        *shapes, _ = operands(f"{self.name}.entropy", *self._bound("entropy", args, kwargs))
        return formula(*shapes)

    def _needed(self, method: str, formula: Formula | None) -> Formula:
        if formula is None:
            raise NotImplementedError(
                f"weft.scipy.stats.{self.name}.{method}: there is no formula for it"
            )
        return formula
