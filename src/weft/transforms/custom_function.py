"""Functions with derivative rules of their own: what ``custom_jvp`` and ``custom_vjp`` share.

Outside ``jit`` the rule is called when a derivative is taken. While a jaxpr is staged, the call
becomes one equation that holds the function's jaxpr and its rule, so that the rule survives until
somebody differentiates the jaxpr.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import numpy as np

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.dtypes import float0
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import SymbolicZero, Zero, is_zero
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.primitives.shaping import instantiate
from weft.transforms.closed import Derived, batch_closed, mapped_first
from weft.transforms.functions import (
    argument_names,
    as_arrays,
    at_user_line,
    check_callable,
    check_leaves,
    function_name,
    signature_of,
    where_defined,
)
from weft.transforms.jvp import is_differentiable, tangent_aval
from weft.transforms.vmap import batch_flat, place_axis

FlatFun = Callable[..., list[Any]]


def batched_fun(fun: FlatFun, axis_size: int, dims: Sequence[int | None], tag: object) -> FlatFun:
    """A flat function over the mapped axes ``dims``; every result has the axis first."""

    @functools.wraps(fun)
    def batched(*args: Any) -> list[Any]:
        outs, out_dims = batch_flat(fun, axis_size, args, dims, None, tag)
        return [place_axis(o, axis_size, d, 0) for o, d in zip(outs, out_dims, strict=True)]

    return batched


def batched_jaxpr(
    jaxpr: ClosedJaxpr, axis_size: int, args: list[Any], dims: list[Any]
) -> tuple[list[Any], Derived]:
    """The jaxpr over mapped axes, every result with the axis first, and its operands."""
    operands, mapped = mapped_first(axis_size, args, dims)
    everything = tuple(True for _ in jaxpr.out_avals)
    return operands, batch_closed(jaxpr, axis_size, mapped, everything)


def with_zeros(values: Sequence[Any], avals: Sequence[ShapedArray], symbolic: bool) -> list[Any]:
    """(Co)tangents as a rule gets them: zeros written out, or as ``SymbolicZero``.

    Those of discrete values have the dtype float0.
    """

    def given(value: Any, aval: ShapedArray) -> Any:
        if type(value) is not Zero and is_differentiable(aval):
            return value
        if symbolic:
            return SymbolicZero(tangent_aval(aval))
        if is_differentiable(aval):
            return instantiate(value)
        return np.zeros(aval.shape, float0)

    return list(map(given, values, avals))


def written_out(values: Sequence[Any]) -> tuple[list[Any], list[bool]]:
    """Values without symbolic zeros, and which of them were."""
    return list(map(instantiate, values)), list(map(is_zero, values))


def check_closure(kind: str, name: str, tangents: Sequence[Any]) -> None:
    """Raises TypeError when a value the function closes over is being differentiated."""
    if not all(map(is_zero, tangents)):
        raise TypeError(
            f"{kind} '{name}' closes over a value that is differentiated, but its rule knows only "
            "its arguments: pass the value as an argument, or stop_gradient it"
        )


F = TypeVar("F", bound=Callable[..., Any])


class ResultTypes:
    """Structure and types of what a custom function returns, by the types of its arguments.

    What is not known yet is found by tracing the function: its rule must return the same.
    """

    def __init__(self, kind: str, name: str, fun: FlatFun):
        self.kind = kind
        self.name = name
        self.fun = fun
        self.known: dict[Any, tuple[tree.PyTreeSpec, list[ShapedArray]]] = {}

    def note(self, args: Sequence[Any], out_def: tree.PyTreeSpec, outs: Sequence[Any]) -> None:
        """Remembers what the function returned."""
        self.known[tuple(map(aval_of, args))] = out_def, list(map(aval_of, outs))

    def check(
        self, args: Sequence[Any], out_def: tree.PyTreeSpec, outs: Sequence[Any], rule: Any
    ) -> None:
        """Raises TypeError unless the rule's result has the structure and types of the function's.

        Weak and strong types are the same here.
        """
        avals = tuple(map(aval_of, args))
        if avals not in self.known:
            trace_to_jaxpr(self.fun, avals, FunctionInfo(self.name, tuple, self.kind))
        want_def, wanted = self.known[avals]
        what = f"{self.kind} '{self.name}': {where_defined(rule)} must return the function's result"
        if out_def != want_def:
            raise TypeError(
                f"{what}: it has the structure {tree.describe(out_def)}, expected "
                f"{tree.describe(want_def)}{at_user_line()}"
            )
        names = tree.path_names(out_def, "result")
        for got, want, name in zip(map(aval_of, outs), wanted, names, strict=True):
            if (got.shape, got.dtype) != (want.shape, want.dtype):
                raise TypeError(f"{what}: {name} has type {got}, expected {want}{at_user_line()}")


class CustomFunction(Generic[F]):
    """What both decorators share: sorting out arguments, and the check that rules are given."""

    kind = ""

    def __init__(
        self,
        fun: F,
        nondiff_argnums: Sequence[int] | int = (),
        nondiff_argnames: Sequence[str] | str = (),
    ):
        check_callable(self.kind, fun)
        functools.update_wrapper(cast(Any, self), fun)
        self.fun = fun
        numbers = (nondiff_argnums,) if isinstance(nondiff_argnums, int) else nondiff_argnums
        self.name = function_name(fun)
        named = (nondiff_argnames,) if isinstance(nondiff_argnames, str) else nondiff_argnames
        self.nondiff_argnums = tuple(sorted({*numbers, *map(self._position, named)}))

    def _position(self, name: str) -> int:
        signature = signature_of(self.fun)
        names = [] if signature is None else list(signature.parameters)
        if name not in names:
            raise ValueError(
                f"{self.kind} '{self.name}': nondiff_argnames has {name!r}, but the function has "
                f"the arguments {', '.join(names)}"
            )
        return names.index(name)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Calls the function, with its rule in force."""
        raise NotImplementedError

    def positional(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        """All arguments by position: rules have no keywords."""
        signature = signature_of(self.fun)
        if signature is None:
            if kwargs:
                raise TypeError(f"{self.kind} '{self.name}' takes positional arguments only")
            return args
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if bound.kwargs:
            names = ", ".join(bound.kwargs)
            raise TypeError(
                f"{self.kind} '{self.name}': the keyword-only arguments {names} cannot be passed "
                "on to the rule; make them positional"
            )
        return bound.args

    def split(self, args: tuple[Any, ...]) -> tuple[list[Any], list[Any]]:
        nondiff = [args[i] for i in self.nondiff_argnums]
        return nondiff, [a for i, a in enumerate(args) if i not in self.nondiff_argnums]

    def merged(self, nondiff: Sequence[Any], diff: Sequence[Any]) -> list[Any]:
        merged = list(diff)
        for place, value in zip(self.nondiff_argnums, nondiff, strict=True):
            merged.insert(place, value)
        return merged

    def flat_arguments(self, diff: list[Any], count: int) -> tuple[list[Any], tree.PyTreeSpec]:
        leaves, treedef = tree.flatten(tuple(diff))
        places = [i for i in range(count) if i not in self.nondiff_argnums]
        full_def = tree.structure((tuple(diff), {}))
        names = argument_names(self.fun, full_def, diff, {}, places)
        check_leaves(self.kind, self.name, leaves, names)
        return as_arrays(leaves), treedef

    def flatten_result(self, what: str, out: Any, expected: tree.PyTreeSpec | None) -> Any:
        outs, out_def = tree.flatten(out)
        if expected is not None and out_def != expected:
            raise TypeError(
                f"{self.kind} '{self.name}': {what} has the structure {tree.describe(out_def)}, "
                f"expected {tree.describe(expected)}{at_user_line()}"
            )
        arrays = [x for x in outs if type(x) is not SymbolicZero]
        check_leaves(f"{self.kind} rule", self.name, arrays, lambda: tree.path_names(out_def, what))
        return outs, out_def
