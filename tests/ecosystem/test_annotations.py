"""jaxtyping's annotations, checked by beartype, outside and inside of transformations."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import weft
import weft.numpy as wnp

jaxtyping = pytest.importorskip("jaxtyping", reason="the extra `ecosystem` brings jaxtyping")
beartype = pytest.importorskip("beartype", reason="the extra `ecosystem` brings beartype")

X = wnp.arange(12.0).reshape(3, 4)
Float, Int, Array = jaxtyping.Float, jaxtyping.Int, weft.Array


def checked(function: Any) -> Any:
    """With annotations that are objects, whatever this module does with its own."""
    n, m, v = Float[Array, "n m"], Float[Array, "m"], Float[Array, "n"]
    function.__annotations__ = {"a": n, "x": m, "return": v}
    return jaxtyping.jaxtyped(typechecker=beartype.beartype)(function)


@checked
def product(a, x):
    return a @ x


@checked
def wrong(a, x):
    return x @ a.T @ a


def test_arrays() -> None:
    assert product(X, X[0]).shape == (3,)
    for a, x in ((X, X[:, 0]), (X, X[0].astype(int)), (X[0], X[0]), (np.ones((3, 4)), X[0])):
        with pytest.raises(jaxtyping.TypeCheckError):
            product(a, x)
    with pytest.raises(jaxtyping.TypeCheckError):
        wrong(X, X[0])


def test_traced_values() -> None:
    assert weft.jit(product)(X, X[0]).shape == (3,)
    assert weft.vmap(product, in_axes=(None, 0))(X, X).shape == (3, 3)
    assert weft.grad(lambda a: product(a, a[0]).sum())(X).shape == (3, 4)
    assert weft.jvp(product, (X, X[0]), (X, X[1]))[0].shape == (3,)
    for transformed in (weft.jit(wrong), weft.vmap(wrong, in_axes=(None, 0))):
        with pytest.raises(jaxtyping.TypeCheckError):
            transformed(X, X)


def test_dtypes() -> None:
    kinds = {
        "float16": jaxtyping.Float16, "bfloat16": jaxtyping.BFloat16, "float32": jaxtyping.Float32,
        "float64": jaxtyping.Float64, "int8": jaxtyping.Int8, "int64": jaxtyping.Int64,
        "uint16": jaxtyping.UInt16, "bool": jaxtyping.Bool, "complex64": jaxtyping.Complex64,
    }  # fmt: skip
    for dtype, kind in kinds.items():
        x = wnp.ones((2, 3), dtype)
        for other in kinds.values():
            assert isinstance(x, other[Array, "2 n"]) == (other is kind)
        assert not isinstance(x, kind[Array, "n n"])
