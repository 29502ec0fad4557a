"""Random calls of the functions of the Array API standard, 2025.12, in any namespace."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

BOOL = ("bool",)
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
REAL = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
FLOATING = REAL + COMPLEX
NUMERIC = INTEGERS + FLOATING
ORDERED = INTEGERS + REAL
ALL = BOOL + NUMERIC

#: Names, and the dtypes that they are for.
ONE = {
    "isfinite isinf isnan positive negative abs square sign round": NUMERIC,
    "acos acosh asin asinh atan atanh cos cosh exp expm1 log log10 log1p log2": FLOATING,
    "reciprocal sin sinh sqrt tan tanh": FLOATING,
    "conj imag real": COMPLEX,
    "bitwise_invert": BOOL + INTEGERS,
    "ceil floor trunc": ORDERED,
    "signbit": REAL,
    "logical_not": BOOL,
    "zeros_like ones_like empty_like all any count_nonzero nonzero": ALL,
    "unique_values unique_counts": BOOL + ORDERED,
}
TWO = {
    "add subtract multiply": NUMERIC,
    "equal not_equal": ALL,
    "pow divide": FLOATING,
    "atan2 copysign hypot logaddexp nextafter": REAL,
    "bitwise_and bitwise_or bitwise_xor": BOOL + INTEGERS,
    "less less_equal greater greater_equal maximum minimum floor_divide remainder": ORDERED,
    "logical_and logical_or logical_xor": BOOL,
}
#: Along an axis, which may be left out of some.
AXIS = {
    "max min argmax argmin": ORDERED,
    "sum prod": NUMERIC,
    "mean std var": REAL,
    "all any count_nonzero flip": ALL,
}
ONE_AXIS = {
    "sort argsort cumulative_sum cumulative_prod": ORDERED,
    "diff": NUMERIC,
    "unstack": ALL,
    "fft.fft fft.ifft": COMPLEX,
    "fft.rfft fft.ihfft": REAL,
    "linalg.vector_norm": FLOATING,
    "fft.fftshift fft.ifftshift": FLOATING,
}
MATRIX = {
    "linalg.cholesky linalg.det linalg.inv linalg.pinv linalg.svdvals linalg.eigvalsh": FLOATING,
    "linalg.matrix_norm linalg.trace linalg.diagonal linalg.matrix_transpose tril triu": FLOATING,
    "linalg.matrix_rank": REAL,
}
SHAPES: dict[str, Callable[[Any, Any], Any]] = {
    "astype": lambda xp, x: xp.astype(x, xp.bool),
    "broadcast_arrays": lambda xp, x: xp.broadcast_arrays(x, x[:1, ...]),
    "broadcast_to": lambda xp, x: xp.broadcast_to(x, (2, *x.shape)),
    "concat": lambda xp, x: xp.concat([x, x[:1, ...]], axis=0),
    "expand_dims": lambda xp, x: xp.expand_dims(x, axis=-1),
    "full_like": lambda xp, x: xp.full_like(x, 1),
    "isin": lambda xp, x: xp.isin(x, x[:1, ...]),
    "matrix_transpose": lambda xp, x: xp.matrix_transpose(xp.stack([x, x])),
    "meshgrid": lambda xp, x: xp.meshgrid(x[0, ...], x[0, ...]) if x.ndim == 2 else [x],
    "moveaxis": lambda xp, x: xp.moveaxis(x, 0, -1),
    "permute_dims": lambda xp, x: xp.permute_dims(x, tuple(reversed(range(x.ndim)))),
    "repeat": lambda xp, x: xp.repeat(x, 2, axis=0),
    "reshape": lambda xp, x: xp.reshape(x, (-1,)),
    "roll": lambda xp, x: xp.roll(x, 1, axis=-1),
    "squeeze": lambda xp, x: xp.squeeze(x[:1, ...], axis=0),
    "stack": lambda xp, x: xp.stack([x, x], axis=1),
    "take": lambda xp, x: xp.take(x, xp.asarray([0, 0]), axis=0),
    "tile": lambda xp, x: xp.tile(x, (2, 1)),
    "where": lambda xp, x: xp.where(xp.not_equal(x, x[:1, ...]), x, xp.zeros_like(x)),
    "slices": lambda xp, x: [x[..., ::-1], x[-1, ...], x[None, ...], x[1:, ...]],
    "tril": lambda xp, x: xp.tril(xp.stack([x, x]), k=-1),
}
FOLDS = {
    "matmul": lambda xp, x: x @ xp.matrix_transpose(x),
    "tensordot": lambda xp, x: xp.tensordot(x, x, axes=((0,), (0,))),
    "vecdot": lambda xp, x: xp.vecdot(x, x, axis=-1),
    "linalg.outer": lambda xp, x: xp.linalg.outer(x[0, :], x[:, 0]),
}


def _table(table: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    return {name: dtypes for names, dtypes in table.items() for name in names.split()}


def _named(xp: Any, name: str) -> Callable[..., Any]:
    for part in name.split("."):
        xp = getattr(xp, part)
    return xp


def _values(dtype: str) -> st.SearchStrategy[Any]:
    """Small numbers: results are neither lost in rounding nor out of range."""
    kind = np.dtype(dtype).kind
    if kind == "b":
        return st.booleans()
    if kind in "iu":
        return st.integers(1 if kind == "u" else -9, 9)
    real = st.integers(-12, 12).map(lambda n: n / 4)
    return real if kind == "f" else st.tuples(real, real).map(lambda p: complex(*p))


@st.composite
def calls(draw: Any) -> tuple[str, Callable[..., Any], list[np.ndarray]]:
    """A function's name, what calls it in a namespace, and arrays of NumPy for it."""
    group = draw(st.sampled_from([ONE, TWO, AXIS, ONE_AXIS, MATRIX, SHAPES, FOLDS]))
    if group is SHAPES or group is FOLDS:
        name = draw(st.sampled_from(sorted(group)))
        dtype, call = draw(st.sampled_from(ALL if group is SHAPES else NUMERIC)), group[name]
        shape = draw(hnp.array_shapes(min_dims=2, max_dims=2, max_side=3))
        return name, call, [draw(hnp.arrays(dtype, shape, elements=_values(dtype)))]
    table = _table(group)
    name = draw(st.sampled_from(sorted(table)))
    dtype = draw(st.sampled_from(table[name]))
    elements = _values(dtype)
    if group is MATRIX:
        n = draw(st.integers(1, 3))
        x = draw(hnp.arrays(dtype, (n, n), elements=elements))
        x = (x @ x.conj().T + 4 * np.eye(n)).astype(dtype)
        return name, lambda xp, x: _named(xp, name)(x), [x]
    if group is TWO:
        shapes = draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3))
        xs = [draw(hnp.arrays(dtype, s, elements=elements)) for s in shapes.input_shapes]
        if name in ("floor_divide", "remainder", "divide"):
            xs[1] = np.where(xs[1] == 0, np.ones((), dtype), xs[1]).astype(dtype)
        return name, lambda xp, x, y: _named(xp, name)(x, y), xs
    smallest = 0 if group is ONE and name != "nonzero" else 1
    shape = draw(hnp.array_shapes(min_dims=smallest, max_dims=3, min_side=1, max_side=4))
    x = draw(hnp.arrays(dtype, shape, elements=elements))
    if group is ONE:
        return name, lambda xp, x: _named(xp, name)(x), [x]
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    options: dict[str, Any] = {"axes": (axis,)} if name.endswith("shift") else {"axis": axis}
    if name.endswith(("fft.fft", "fft.ifft", "fft.rfft", "fft.ihfft")):
        options["norm"] = draw(st.sampled_from(["backward", "ortho", "forward"]))
    if group is AXIS and name != "flip":
        options["keepdims"] = draw(st.booleans())
        options["axis"] = draw(st.sampled_from([axis, None]))
    return name, lambda xp, x: _named(xp, name)(x, **options), [x]


def assert_agree(found: Any, wanted: Any) -> None:
    """Same shapes, kinds and values; default integers are 32 bits wide in Weft."""
    several = isinstance(wanted, tuple | list)
    for a, w in zip(found if several else [found], wanted if several else [wanted], strict=True):
        a, w = np.asarray(a), np.asarray(w)
        assert a.shape == w.shape
        assert a.dtype == w.dtype or (a.dtype.kind == w.dtype.kind and w.dtype.kind in "iu")
        scale = 1 + np.max(abs(w[np.isfinite(w)]), initial=0.0)
        tolerance = 1e-4 if w.dtype in (np.float32, np.complex64) else 1e-9
        np.testing.assert_allclose(a, w, rtol=tolerance, atol=tolerance * scale)
