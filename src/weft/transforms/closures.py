"""Values that functions close over, and gradients that functions carry with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from weft import tree
from weft.core.avals import aval_of
from weft.core.interpret import eval_jaxpr
from weft.core.staging import trace_to_jaxpr
from weft.core.trace import Tracer, eval_trace, set_trace
from weft.transforms.custom_vjp import custom_vjp
from weft.transforms.functions import check_callable, flat_function, function_name
from weft.transforms.jvp import is_differentiable
from weft.tree_util import Partial


def closure_convert(
    fun: Callable[..., Any], *example_args: Any
) -> tuple[Callable[..., Any], list[Any]]:
    """The function with the traced values it closes over as further arguments, and those values.

    ``converted(*args, *values)`` is ``fun(*args)`` for arguments of the types of ``example_args``.
    Only floating-point values of transformations are made arguments: custom rules cannot otherwise
    differentiate with respect to them.

    >>> def power(x, n):
    ...     converted, values = weft.closure_convert(lambda y: y * x, n)
    ...     return converted(n, *values)
    """
    check_callable("closure_convert", fun)
    flat, leaves = flat_function("closure_convert", fun, example_args)
    closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
    moved = [isinstance(c, Tracer) and is_differentiable(aval_of(c)) for c in closed.consts]
    values = [c for c, m in zip(closed.consts, moved, strict=True) if m]

    @functools.wraps(fun)
    def converted(*args: Any) -> Any:
        count = len(args) - len(values)
        given, treedef = tree.flatten((args[:count], {}))
        if count < 0 or treedef != flat.treedef:
            raise TypeError(
                f"closure_convert of '{function_name(fun)}': called with arguments of the "
                f"structure {tree.describe(treedef)} and {len(values)} values, expected "
                f"{tree.describe(flat.treedef)}"
            )
        new = iter(args[count:])
        consts = [next(new) if m else c for c, m in zip(closed.consts, moved, strict=True)]
        return flat.unflatten(eval_jaxpr(closed.jaxpr, consts, *given))

    return converted, values


def custom_gradient(fun: Callable[..., Any]) -> Callable[..., Any]:
    """A function that returns its result and its gradient: ``fun(*args) -> (result, vjp)``.

    ``vjp(cotangent)`` gives a cotangent for each argument: a tuple, or just the one.

    >>> @weft.custom_gradient
    ... def f(x):
    ...     return x ** 2, lambda ct: ct * 100.0
    >>> float(weft.grad(f)(3.0))
    100.0
    """
    check_callable("custom_gradient", fun)

    @custom_vjp
    @functools.wraps(fun)
    def result_only(*args: Any) -> Any:
        return _pair(args)[0]

    def _pair(args: tuple[Any, ...]) -> tuple[Any, Callable[..., Any]]:
        pair = fun(*args)
        if not (isinstance(pair, tuple | list) and len(pair) == 2 and callable(pair[1])):
            raise TypeError(
                f"custom_gradient '{function_name(fun)}' must return a pair (result, vjp "
                f"function), got {type(pair).__name__}"
            )
        return pair[0], pair[1]

    def forward(*args: Any) -> tuple[Any, Any]:
        result, pullback = _pair(args)
        flat, leaves = flat_function("custom_gradient", pullback, (result,))
        closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)

        def pulled(*consts: Any, cotangent: Any) -> Any:
            return flat.unflatten(eval_jaxpr(closed.jaxpr, consts, *tree.leaves(cotangent)))

        return result, Partial(pulled, *closed.consts)

    def backward(pulled: Partial, cotangent: Any) -> tuple[Any, ...]:
        found = pulled(cotangent=cotangent)
        return found if isinstance(found, tuple) else (found,)

    result_only.defvjp(forward, backward)
    return result_only


@contextmanager
def ensure_compile_time_eval() -> Iterator[None]:
    """Computes inside a ``with`` block at once, while a function around it is traced.

    Operations on traced values are errors there; what the block computes is a constant of the
    program.

    >>> @weft.jit
    ... def f(x):
    ...     with weft.ensure_compile_time_eval():
    ...         size = int(np.ceil(np.asarray(2.5)))
    ...     return x * size
    >>> float(f(2.0))
    6.0
    """
    with set_trace(eval_trace):
        yield
