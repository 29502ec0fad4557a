"""Second moments of matrices, kept as a product of a row and a column."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from weft import numpy as wnp
from weft import tree
from weft.optim.base import GradientTransformation, Params, Updates
from weft.optim.numerics import (
    as_real,
    first_count,
    next_count,
    squared_magnitude,
)


class FactoredState(NamedTuple):
    """The number of steps done; mean squares by row, by column, or of whole arrays."""

    count: Any
    v_row: Params
    v_col: Params
    v: Params


def scale_by_factored_rms(
    factored: bool = True,
    decay_rate: float = 0.8,
    step_offset: int = 0,
    min_dim_size_to_factor: int = 128,
    epsilon: float = 1e-30,
) -> GradientTransformation:
    """Updates over the root of the mean of their squares, kept as a product of row and column
    (Shazeer and Stern, "Adafactor", 2018).

    Parameters
    ----------
    factored: whether to, for arrays whose two greatest axes have `min_dim_size_to_factor` or more.
    decay_rate: the decay of step t is 1 − (t + 1 − step_offset)^−decay_rate.
    epsilon: added to squares.

    >>> scale, g = weft.optim.scale_by_factored_rms(min_dim_size_to_factor=2), np.ones((2, 3))
    >>> scale.update(g, scale.init(g), g)[0].shape
    (2, 3)
    """

    def axes_of(p: Any) -> tuple[int, int] | None:
        """The second greatest and the greatest axis, if means over them are kept."""
        shape = np.shape(p)
        if not factored or len(shape) < 2:
            return None
        second, first = (int(axis) for axis in np.argsort(shape, kind="stable")[-2:])
        return (second, first) if shape[second] >= min_dim_size_to_factor else None

    def init(params: Params) -> FactoredState:
        def zeros(part: str) -> Any:
            def make(p: Any) -> Any:
                shape, axes = list(np.shape(p)), axes_of(p)
                if (axes is None) != (part == "v"):
                    shape = [1]
                elif axes is not None:
                    del shape[axes[1] if part == "row" else axes[0]]
                return wnp.zeros(shape, p.dtype)

            return tree.map(make, params)

        return FactoredState(first_count(), zeros("row"), zeros("col"), zeros("v"))

    def step(passed: Any, g: Any, row: Any, col: Any, v: Any) -> tuple[Any, Any, Any, Any]:
        squares, axes = squared_magnitude(g) + epsilon, axes_of(g)
        decay = wnp.asarray(1 - as_real(passed, squares.dtype) ** -decay_rate, squares.dtype)
        if axes is None:
            v = decay * v + (1 - decay) * squares
            return g / wnp.sqrt(v), row, col, v
        second, first = axes
        row = decay * row + (1 - decay) * wnp.mean(squares, first)
        col = decay * col + (1 - decay) * wnp.mean(squares, second)
        whole = wnp.mean(row, second - (second > first), keepdims=True)
        by_row, by_col = wnp.expand_dims(row / whole, first), wnp.expand_dims(col, second)
        return g / wnp.sqrt(by_row) / wnp.sqrt(by_col), row, col, v

    def update(
        updates: Updates, state: FactoredState, params: Params = None
    ) -> tuple[Updates, FactoredState]:
        passed = state.count - step_offset + 1
        leaves, treedef = tree.flatten(updates)
        parts = [treedef.flatten_up_to(part) for part in state[1:]]
        done = [step(passed, *own) for own in zip(leaves, *parts, strict=True)]
        new = [tree.unflatten(treedef, part) for part in zip(*done, strict=True)]
        return new[0], FactoredState(next_count(state.count), *new[1:])

    return GradientTransformation(init, update)
