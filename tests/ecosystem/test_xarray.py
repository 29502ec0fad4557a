"""Labelled arrays of xarray with arrays of Weft inside: results keep them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.ecosystem.agreement import samples

xr = pytest.importorskip("xarray", reason="the extra `ecosystem` brings xarray")

X = samples(3, 4)


def labelled(x: Any) -> Any:
    return xr.DataArray(x, dims=("a", "b"), coords={"a": [10, 20, 30], "b": np.arange(4)})


PROGRAMS: dict[str, Callable[[Any], Any]] = {
    **{
        name: (lambda d, name=name: getattr(d, name)("a"))
        for name in ("mean", "sum", "std", "var", "max", "min", "prod", "argmax", "median", "count")
    },
    "all of it": lambda d: d.sum(),
    "isel": lambda d: d.isel(a=1),
    "a list": lambda d: d.isel(a=[0, 2]),
    "sel": lambda d: d.sel(a=20),
    "sel, a slice": lambda d: d.sel(a=slice(10, 20), b=[0, 2]),
    "arithmetic": lambda d: (d - d.mean("a")) / d.std("a"),
    "broadcasting": lambda d: d.isel(b=0) * d.isel(a=0),
    "alignment": lambda d: d.isel(a=[0, 1]) + d.isel(a=[1, 2]),
    "transpose": lambda d: d.transpose("b", "a"),
    "where": lambda d: d.where(d > 0),
    "fillna": lambda d: d.where(d > 0).fillna(0.0),
    "nan mean": lambda d: d.where(d > 0).mean("b"),
    "xr.where": lambda d: xr.where(d > 0, d, 0.0),
    "concat": lambda d: xr.concat([d, d + 1], "a"),
    "stack": lambda d: d.stack(z=("a", "b")),
    "dot": lambda d: xr.dot(d, d, dim="b"),
    "cumsum": lambda d: d.cumsum("a"),
    "rolling": lambda d: d.rolling(b=2).mean(),
    "coarsen": lambda d: d.coarsen(b=2).mean(),
    "groupby": lambda d: d.groupby("a").mean(),
    "diff": lambda d: d.diff("b"),
    "shift": lambda d: d.shift(b=1),
    "roll": lambda d: d.roll(b=1),
    "pad": lambda d: d.pad(b=1),
    "clip": lambda d: d.clip(-0.5, 0.5),
    "quantile": lambda d: d.quantile(0.5),
    "differentiate": lambda d: d.differentiate("b"),
    "integrate": lambda d: d.integrate("b"),
    "weighted": lambda d: d.weighted(abs(d.isel(a=0))).mean("b"),
    "cov": lambda d: xr.cov(d, d + 1, dim="b"),
    "corr": lambda d: xr.corr(d, d**2, dim="b"),
    "functions of NumPy": lambda d: np.exp(-np.abs(d)),
    "sortby": lambda d: d.sortby("a", ascending=False),
    "a data set": lambda d: xr.Dataset({"x": d, "y": d * 2}).mean("a").y,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs(name: str) -> None:
    wanted = PROGRAMS[name](labelled(X))
    found = PROGRAMS[name](labelled(wnp.asarray(X)))
    assert type(found.data) is weft.Array
    assert found.dims == wanted.dims and found.dtype.kind == wanted.dtype.kind
    # Quotients of counts are float32, as counts are int32.
    np.testing.assert_allclose(found.to_numpy(), wanted.to_numpy(), rtol=1e-7, atol=1e-12)


def test_functions_of_weft_are_applied() -> None:
    found = xr.apply_ufunc(weft.jit(wnp.tanh), labelled(wnp.asarray(X)))
    assert type(found.data) is weft.Array and found.dims == ("a", "b")
    np.testing.assert_allclose(found.to_numpy(), np.tanh(X), rtol=1e-12)
    assert "dtype=float64" in repr(found) or "float64" in repr(found)
