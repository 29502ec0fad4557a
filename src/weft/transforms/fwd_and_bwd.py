"""``fwd_and_bwd``: the forward and the backward pass of a function, as two functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft.transforms.api import chosen_arguments, vjp
from weft.transforms.functions import check_callable
from weft.transforms.jit import jit


def fwd_and_bwd(
    fun: Callable[..., Any],
    argnums: int | Sequence[int],
    has_aux: bool = False,
    jitted: bool = True,
) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Two functions: ``fwd(*args) -> (result, residuals)``, ``bwd(residuals, cotangent)``.

    As `vjp`, but the backward pass is compiled once for all calls, and may run elsewhere. ``bwd``
    gives a tuple with a cotangent for each argument in ``argnums``. With ``has_aux`` the function
    returns (result, auxiliary data), and ``fwd`` gives the data as a third value. ``jitted=False``
    leaves both as plain functions.

    >>> fwd, bwd = weft.fwd_and_bwd(np.multiply, argnums=(0, 1))
    >>> y, residuals = fwd(2.0, 3.0)
    >>> bwd(residuals, 1.0)
    (Array(3., dtype=float32), Array(2., dtype=float32))
    """
    check_callable("fwd_and_bwd", fun)

    def fwd(*args: Any) -> Any:
        of_chosen, values = chosen_arguments("fwd_and_bwd", fun, argnums, args)
        return vjp(of_chosen, *values, has_aux=has_aux)

    def bwd(residuals: Any, cotangent: Any) -> Any:
        return residuals(cotangent)

    return (jit(fwd), jit(bwd)) if jitted else (fwd, bwd)
