"""Folds by functions that the user writes: what `reduce` and `reduce_window` have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.primitive import Primitive
from weft.core.staging import trace_to_jaxpr
from weft.lax.operands import Value, operand
from weft.lax.operands import operands as alike_operands
from weft.primitives.shaping import broadcast_in_dim, reshape

Combine = Callable[..., list[Value]]


class Folding:
    """Operands, initial values and the function of a fold, as flat lists.

    ``combine(*left, *right)`` takes and returns lists of scalars.
    """

    def __init__(
        self,
        name: str,
        operands: Any,
        init_values: Any,
        computation: Callable[[Any, Any], Any],
    ) -> None:
        self.xs, self.structure = tree.flatten(operands)
        inits, init_structure = tree.flatten(init_values)
        if not self.xs or self.structure != init_structure:
            raise ValueError(
                f"lax.{name} needs at least one operand, and initial values of the same "
                f"structure: got {self.structure} and {init_structure}."
            )
        self.avals = [aval_of(operand(name, x)) for x in self.xs]
        if any(aval.shape != self.avals[0].shape for aval in self.avals):
            shown = ", ".join(map(str, self.avals))
            raise ValueError(f"lax.{name} needs operands of one shape, got {shown}.")
        pairs = zip(inits, self.avals, strict=True)
        self.starts = [_scalar_like(name, init, aval) for init, aval in pairs]
        self.computation = computation

    def combine(self, *values: Value) -> list[Value]:
        """The function, on flat lists of scalars."""
        left, right = values[: len(self.xs)], values[len(self.xs) :]
        pair = (tree.unflatten(self.structure, half) for half in (left, right))
        return tree.leaves(self.computation(*pair))

    def recognised(self) -> Primitive | None:
        """The primitive that the function is, if it is one of its two scalars."""
        if len(self.avals) != 1:
            return None
        scalar = ShapedArray((), self.avals[0].dtype)
        jaxpr = trace_to_jaxpr(self.combine, [scalar, scalar]).jaxpr
        if len(jaxpr.eqns) != 1:
            return None
        (eqn,) = jaxpr.eqns
        if list(jaxpr.outvars) != list(eqn.outvars):
            return None
        both = list(eqn.invars) in (jaxpr.invars, jaxpr.invars[::-1])
        return eqn.primitive if both else None

    def finish(self, folded: Sequence[Value]) -> Any:
        """The initial values combined with folds that are still without, as the user's tree."""
        spread = [
            broadcast_in_dim(start, aval_of(x).shape, ())
            for start, x in zip(self.starts, folded, strict=True)
        ]
        return tree.unflatten(self.structure, combine_arrays(self.combine, spread, folded))


def _scalar_like(name: str, init: Any, aval: ShapedArray) -> Value:
    init = alike_operands(name, init, np.zeros((), aval.dtype))[0]
    if aval_of(init) is not ShapedArray((), aval.dtype):
        raise TypeError(
            f"lax.{name} needs a scalar initial value of the operand's dtype, got {aval_of(init)} "
            f"for {aval}."
        )
    return init


def combine_arrays(combine: Combine, left: Sequence[Value], right: Sequence[Value]) -> list[Value]:
    """`combine`, a function of scalars, on every element of arrays."""
    from weft.transforms.vmap import vmap

    shape = aval_of(left[0]).shape
    flat = [reshape(x, (math.prod(shape),)) for x in (*left, *right)]
    results = vmap(combine)(*flat)
    return [reshape(result, shape) for result in results]
