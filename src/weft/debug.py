"""Looking into traced and compiled functions: printing values and calling back while they run."""

from __future__ import annotations

import builtins
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from weft.config import DUMP_LEVELS, config
from weft.transforms.debug_callback import debug_callback

__all__ = ["callback", "levels", "print"]


@contextmanager
def levels(*names: str) -> Iterator[None]:
    """Prints what is compiled inside of a ``with`` block, level by level, to standard error.

    Parameters
    ----------
    names: of `weft.config.dump`: ``"jaxpr"``, ``"terms"``, ``"saturated"``, ``"kernels"`` (before
        they are scheduled), ``"schedule"``, ``"program"``, ``"llvm"``, ``"assembly"``; all if none
        is given.

    Programs that were compiled before are not compiled again. `weft.explain` has the same levels of
    one function, with the lines that they come from.

    >>> with weft.debug.levels("jaxpr"):
    ...     y = weft.jit(lambda x: x + x)(np.ones(3))

    Raises ValueError for a name that is none.
    """
    before = config.dump
    config.dump = before | frozenset(names or DUMP_LEVELS)
    try:
        yield
    finally:
        config.dump = before


def callback(callback: Callable[..., Any], *args: Any, ordered: bool = True, **kwargs: Any) -> None:
    """Calls a Python function with the values of traced arrays, for its side effects.

    Parameters
    ----------
    callback: gets NumPy arrays in the structure of ``args`` and ``kwargs``; what it returns is
        dropped.
    ordered: accepted for compatibility; calls are always in program order.

    Derivatives do not see the call, and under `weft.vmap` there is one for each element.

    >>> seen = []
    >>> def f(x):
    ...     weft.debug.callback(lambda v: seen.append(float(v)), x * 2)
    ...     return x
    >>> _ = weft.jit(f)(3.0)
    >>> seen
    [6.0]
    """
    del ordered
    if not callable(callback):
        raise TypeError(f"weft.debug.callback: callback is a function, got {callback!r}")
    debug_callback(callback, *args, **kwargs)


class _Fields(string.Formatter):
    """Checks, while a function is traced, that a format and its arguments belong together."""

    def check_unused_args(
        self, used_args: set[int | str], args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> None:
        unused = [f"argument {n}" for n in range(len(args)) if n not in used_args]
        unused += [repr(name) for name in kwargs if name not in used_args]
        if unused:
            raise ValueError(
                f"weft.debug.print: the format has no place for {', '.join(unused)}; write "
                'weft.debug.print("x = {x}", x=x)'
            )

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        try:
            return super().get_value(key, args, kwargs)
        except (IndexError, KeyError):
            what = f"argument {key}" if isinstance(key, int) else f"argument {key!r}"
            raise ValueError(
                f"weft.debug.print: the format has a place for {what}, which is missing"
            ) from None

    def format_field(self, value: Any, format_spec: str) -> str:
        return ""  # values are not known yet

    def convert_field(self, value: Any, conversion: str | None) -> Any:
        return value


def print(fmt: str, *args: Any, ordered: bool = True, **kwargs: Any) -> None:
    """Prints values of traced arrays while a compiled function runs.

    Parameters
    ----------
    fmt: a format string as of `str.format`, with a place for every argument: ``"x = {x}"``, not an
        f-string, which would show the tracer.
    ordered: accepted for compatibility; lines come in program order.

    >>> @weft.jit
    ... def f(x):
    ...     weft.debug.print("x is {x}, its square {}", x * x, x=x)
    ...     return x + 1
    >>> _ = f(3.0)
    x is 3.0, its square 9.0

    Raises ValueError, while tracing, for a format that does not fit the arguments.
    """
    del ordered
    if not isinstance(fmt, str):
        raise TypeError(
            f"weft.debug.print: the first argument is a format string, got {type(fmt).__name__}; "
            'write weft.debug.print("{}", x)'
        )
    _Fields().vformat(fmt, args, kwargs)

    def show(*values: Any, **named: Any) -> None:
        builtins.print(fmt.format(*values, **named))

    debug_callback(show, *args, **kwargs)
