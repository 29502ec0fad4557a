"""array-api-compat, array-api-extra, array-api-strict: helpers of libraries that take any array."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.ecosystem.agreement import assert_same, samples

compat = pytest.importorskip("array_api_compat", reason="the extra `ecosystem` brings it")
extra = pytest.importorskip("array_api_extra", reason="the extra `ecosystem` brings it")

X = samples(5, 3)


def test_compat_knows_arrays_and_their_namespace() -> None:
    x = wnp.asarray(X)
    assert compat.is_array_api_obj(x)
    assert compat.array_namespace(x, x, 2.0) is wnp
    assert compat.device(x) == "cpu" and compat.size(x) == 15
    assert compat.to_device(x, "cpu") is x
    assert compat.is_writeable_array(x) and not compat.is_lazy_array(x)
    assert weft.jit(lambda x: compat.array_namespace(x).sum(x))(x) == pytest.approx(X.sum())
    with pytest.raises(TypeError, match="Multiple namespaces"):
        compat.array_namespace(x, X)


EXTRA = {
    "atleast_nd": lambda x: extra.atleast_nd(x, ndim=3),
    "cov": lambda x: extra.cov(x.T),
    "create_diagonal": lambda x: extra.create_diagonal(x[:, 0]),
    "isclose": lambda x: extra.isclose(x, x + 1e-12),
    "kron": lambda x: extra.kron(x, x),
    "nunique": lambda x: extra.nunique(x > 0),
    "pad": lambda x: extra.pad(x, 2),
    "setdiff1d": lambda x: extra.setdiff1d(x[:, 0], x[:2, 0]),
    "sinc": lambda x: extra.sinc(x),
    "nan_to_num": lambda x: extra.nan_to_num(x / (x > 0)),
    "one_hot": lambda x: extra.one_hot(extra.argpartition(x[0, :], 1), 3, dtype=x.dtype),
    "apply_where": lambda x: extra.apply_where(x > 0, x, lambda v: v**0.5, fill_value=-1.0),
    "apply_where, two": lambda x: extra.apply_where(x > 0, x, lambda v: v**0.5, lambda v: v * 2),
    "apply_where, a scalar": lambda x: extra.apply_where(
        x[0, 0] > -9, x[0, 0], lambda v: v + 1, fill_value=float("nan")
    ),
    "partition": lambda x: extra.partition(x[:, 0], 2)[2],
    "at, set": lambda x: extra.at(x, 0).set(1.0, copy=True),
    "at, add": lambda x: extra.at(x)[1:, 0].add(2.0, copy=True),
    "at, a mask": lambda x: extra.at(x)[x > 0].set(0.0, copy=True),
}


@pytest.mark.parametrize("name", EXTRA)
def test_extra(name: str) -> None:
    assert_same(EXTRA[name], X)


def test_lazy_apply_runs_inside_of_jit() -> None:
    def program(x: weft.Array) -> weft.Array:
        return extra.lazy_apply(np.sin, x, as_numpy=True)

    np.testing.assert_allclose(program(wnp.asarray(X)), np.sin(X))


def test_strict_arrays_cross_over_by_dlpack() -> None:
    strict = pytest.importorskip("array_api_strict", reason="the extra `ecosystem` brings it")
    x = strict.asarray(X)
    y = wnp.from_dlpack(x)
    np.testing.assert_array_equal(y, X)
    np.testing.assert_array_equal(np.asarray(strict.from_dlpack(y + 1)), X + 1)
