"""Equality of terms is structural, and cheap."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weft.terms import term
from weft.terms.affine import Affine, Axis
from weft.terms.term import Const, Load, Map, Term, Value, postorder

F32 = np.dtype(np.float32)


def test_equal_copies_are_compared_in_linear_time(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    parts = term._parts

    def counted(x: Any) -> tuple[Any, ...]:
        nonlocal looks
        looks += 1
        return parts(x)

    def chain() -> Term:
        t: Term = Load(x, (Affine.of(i),))
        for n in range(500):
            t = Map("add", (t, Const(n, F32)), F32)
        return t

    i, x = Axis("i", 8), Value("x", (8,), F32)
    monkeypatch.setattr(term, "_parts", counted)
    assert len(postorder(chain(), chain())) == 1001
    assert looks <= 4 * 1001


def test_constants_differ_by_their_bits() -> None:
    assert Const(0.0, F32) != Const(-0.0, F32)
    assert Const(np.nan, F32) == Const(np.nan, F32)
