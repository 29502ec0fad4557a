"""opt_einsum's contractions of arrays and traced values."""

from __future__ import annotations

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from tests.ecosystem.agreement import assert_same, samples

oe = pytest.importorskip("opt_einsum", reason="the extra `ecosystem` brings opt_einsum")

A, B, C = samples(3, 4), samples(4, 5), samples(5, 2)
CHAIN = "ij,jk,kl->il"


def test_contractions() -> None:
    assert_same(lambda a, b, c: oe.contract(CHAIN, a, b, c), A, B, C)
    assert_same(lambda a, b, c: oe.contract("ij,jk,kl", a, b, c, optimize="optimal"), A, B, C)
    assert_same(lambda a, b: oe.contract("ii,ij->j", a[:, :3], b[:3]), A, B)
    assert_same(lambda a, b: oe.contract("ij,jk->", a, b), A, B)
    assert_same(lambda a, b: oe.contract("...j,jk->...k", a, b), A, B)


def test_expressions() -> None:
    shapes = A.shape, B.shape, C.shape
    assert_same(oe.contract_expression(CHAIN, *shapes), A, B, C)
    constant = oe.contract_expression(CHAIN, wnp.asarray(A), *shapes[1:], constants=[0])
    np.testing.assert_allclose(constant(wnp.asarray(B), wnp.asarray(C)), A @ B @ C)


def test_named_backend_and_transformations() -> None:
    def chain(a: weft.Array, b: weft.Array, c: weft.Array) -> weft.Array:
        return oe.contract(CHAIN, a, b, c, backend="weft.numpy")

    assert type(chain(*map(wnp.asarray, (A, B, C)))) is weft.Array
    np.testing.assert_allclose(weft.jit(chain)(A, B, C), A @ B @ C)
    slope = weft.grad(lambda a: oe.contract("ij,jk,kl->", a, B, C))(wnp.asarray(A))
    np.testing.assert_allclose(slope, np.broadcast_to((B @ C).sum(1), A.shape))
