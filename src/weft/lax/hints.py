"""What tells other compilers how to compile. The values are those of the arguments."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from weft import tree
from weft.core.avals import aval_of
from weft.lax.operands import operand


def optimization_barrier(operand: Any, /) -> Any:
    """`operand`, an array or a tree of arrays, as it is.

    Where other compilers need to be kept from moving work across, Weft's asks what a schedule costs
    in memory; :func:`weft.checkpoint` says that values are to be computed again.

    >>> lax.optimization_barrier({"x": np.ones(2)})
    {'x': Array([1., 1.], dtype=float32)}
    """
    return tree.map(lambda x: _checked("optimization_barrier", x), operand)


def dce_sink(val: Any, *, prevent_mlir_dce: bool = False) -> None:
    """Nothing: work whose results nobody uses has no effect, and is not done.

    >>> lax.dce_sink(np.ones(2))
    """
    tree.map(lambda x: _checked("dce_sink", x), val)


def _checked(name: str, x: Any) -> Any:
    aval_of(operand(name, x))
    return x


def composite(decomposition: Callable[..., Any], name: str, version: int = 0) -> Callable[..., Any]:
    """A function that programs show under a name of its own.

    Parameters
    ----------
    decomposition: what it computes, of positional arrays; keywords are attributes, not traced.
    name, version: of the operation; `version` is accepted for compatibility.

    >>> def times(x, *, factor):
    ...     return x * factor
    >>> double = lax.composite(times, "my.times", version=1)
    >>> double(np.ones(2), factor=2.0)
    Array([2., 2.], dtype=float32)
    """
    from weft.transforms.functions import check_callable
    from weft.transforms.jit import jit

    check_callable("composite", decomposition)

    @functools.wraps(decomposition)
    def called(*args: Any, **attributes: Any) -> Any:
        def named(*arrays: Any) -> Any:
            return decomposition(*arrays, **attributes)

        named.__name__ = named.__qualname__ = name
        return jit(named)(*args)

    return called


def platform_dependent(
    *args: Any, default: Callable[..., Any] | None = None, **per_platform: Callable[..., Any]
) -> Any:
    """The result of the function for the platform that runs: `cpu`, or else `default`.

    Raises
    ------
    TypeError: for what is not callable. NotImplementedError: if there is no function for it.

    >>> lax.platform_dependent(2.0, cpu=lambda x: x + 1, cuda=lambda x: x - 1)
    3.0
    """
    for name, function in {**per_platform, "default": default}.items():
        if function is not None and not callable(function):
            raise TypeError(f"lax.platform_dependent: '{name}' is a function, got {function!r}.")
    chosen = per_platform.get("cpu", default)
    if chosen is None:
        raise NotImplementedError(
            f"lax.platform_dependent has functions for {sorted(per_platform)} and no default; this "
            "is 'cpu'."
        )
    return chosen(*args)
