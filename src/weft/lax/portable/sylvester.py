"""Sylvester equations in Weft's own operations, by Schur forms (Bartels and Stewart 1972)."""

from __future__ import annotations

from typing import Any

import numpy as np

import weft.numpy as wnp
from weft.primitives.linalg_eig import complex_of_dtype, schur
from weft.primitives.linalg_solve import triangular_solve
from weft.primitives.linalg_sylvester import sylvester_p
from weft.transforms.control_flow import scan

Value = Any


@sylvester_p.def_portable
def _(a: Value, b: Value, c: Value) -> Value:
    if 0 in c.shape:
        return c
    dtype = complex_of_dtype(np.dtype(c.dtype))
    (t, u), (s, v) = (schur(x.astype(dtype)) for x in (a, b))
    # T Y + Y S = F, from the first column on, of which each is a triangular system.
    f = wnp.conj(wnp.matrix_transpose(u)) @ c.astype(dtype) @ v
    identity = np.eye(a.shape[-1], dtype=dtype)

    def column(y: Value, given: tuple[Value, ...]) -> tuple[Value, None]:
        right, factors, value, here = given
        right = right[..., None] - y @ factors[..., None]
        shifted = t + value[..., None, None] * identity
        return y + triangular_solve(shifted, right, lower=False) * here, None

    line = wnp.diagonal(s, axis1=-2, axis2=-1)
    columns = (
        wnp.moveaxis(f, -1, 0),
        wnp.moveaxis(wnp.triu(s, 1), -1, 0),
        wnp.moveaxis(line, -1, 0),
        np.eye(b.shape[-1], dtype=dtype),
    )
    y, _ = scan(column, wnp.zeros_like(f), columns)
    x = u @ y @ wnp.conj(wnp.matrix_transpose(v))
    return x if np.dtype(c.dtype).kind == "c" else wnp.real(x)
