"""Names for parts of a program, in messages and in what `weft.explain` shows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from weft.core.source import in_scope
from weft.transforms.functions import check_callable, function_name

F = TypeVar("F", bound=Callable[..., Any])


def named_scope(name: str) -> Any:
    """Names what is traced inside a ``with`` block, or in a function decorated with it.

    Lines of the program are shown as ``name/function``; scopes may be nested.

    >>> @weft.jit
    ... def f(x):
    ...     with weft.named_scope("head"):
    ...         return np.sin(x)
    >>> str(f.trace(1.0).jaxpr.eqns[0].source).endswith("(head/f)")
    True

    Raises TypeError when ``name`` is not text.
    """
    if not isinstance(name, str):
        raise TypeError(f"named_scope: a name is text, got {name!r}")
    return in_scope(name)


def named_call(fun: F, *, name: str | None = None) -> F:
    """The function with a name, by default its own, for what it is traced to: see `named_scope`.

    >>> weft.named_call(np.sin, name="head")(0.0)
    Array(0., dtype=float32, weak_type=True)
    """
    check_callable("named_call", fun)
    scope = function_name(fun) if name is None else name

    @functools.wraps(fun)
    def named(*args: Any, **kwargs: Any) -> Any:
        with named_scope(scope):
            return fun(*args, **kwargs)

    return named  # type: ignore[return-value]
