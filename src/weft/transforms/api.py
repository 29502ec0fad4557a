"""The transformations as users call them: on functions of trees of arrays."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import eval_jaxpr
from weft.core.linear import SymbolicZero, UndefPrimal, Zero
from weft.core.staging import trace_to_jaxpr
from weft.core.trace import current_trace
from weft.primitives.select import stop_gradient_p
from weft.primitives.shaping import full, instantiate
from weft.transforms.closed import linear_part
from weft.transforms.functions import (
    FlatFunction,
    as_arrays,
    at_user_line,
    check_callable,
    delivered,
    described,
    flat_function,
    function_name,
    parts_advice,
    positional_names,
    shown,
)
from weft.transforms.jvp import is_differentiable, jvp_flat, primal_value, tangent_aval
from weft.transforms.linearize import Linearized, linearize_flat
from weft.transforms.transpose import backward_pass
from weft.tree_util import Partial


def stop_gradient(x: Any) -> Any:
    """The same value, with derivative zero: ``x`` is a tree of arrays.

    >>> weft.grad(lambda x: x * weft.lax.stop_gradient(x))(3.0)
    Array(3., dtype=float32)
    """
    return tree.map(
        lambda leaf: stop_gradient_p.bind(leaf) if is_differentiable(aval_of(leaf)) else leaf, x
    )


# ---------------------------------------------------------------- forward mode


def jvp(
    fun: Callable[..., Any], primals: Sequence[Any], tangents: Sequence[Any], has_aux: bool = False
) -> tuple[Any, ...]:
    """The results of ``fun`` at ``primals``, and their derivative along ``tangents``.

    Tangents have the structure, shapes and dtypes of the primals; those of integers and booleans
    have the dtype ``float0``. With ``has_aux`` the function returns (result, auxiliary data) and
    so three values come back.

    >>> value, slope = weft.jvp(np.sin, (0.0,), (1.0,))
    >>> float(value), float(slope)
    (0.0, 1.0)
    """
    check_callable("jvp", fun)
    for what, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise TypeError(f"jvp: {what} is a tuple or list, got {type(value).__name__}")
    fun, aux = _without_aux("jvp", fun, has_aux)
    flat, leaves = flat_function("jvp", fun, primals)
    given = _tangent_leaves("jvp", flat, primals, tangents, leaves)
    outs, out_tangents = jvp_flat(flat, leaves, given, flat.info)
    results = flat.unflatten(outs), flat.unflatten(list(map(materialize_tangent, out_tangents)))
    return (*results, aux[0]) if has_aux else results


def _tangent_leaves(
    transform: str, flat: FlatFunction, primals: Any, tangents: Any, leaves: list[Any]
) -> list[Any]:
    """Tangents checked against their primals; ``Zero`` for those of discrete values."""
    avals = [tangent_aval(aval_of(primal)) for primal in leaves]
    return _checked_tangents(transform, flat, tree.structure(tuple(primals)), tangents, avals)


def _checked_tangents(
    transform: str,
    flat: FlatFunction,
    primal_def: tree.PyTreeSpec,
    tangents: Any,
    avals: Sequence[ShapedArray],
) -> list[Any]:
    given, given_def = tree.flatten(tuple(tangents))
    if primal_def != given_def:
        raise TypeError(
            f"{transform} of '{flat.info.name}': primals and tangents have different structures: "
            f"{tree.describe(primal_def)} and {tree.describe(given_def)}{at_user_line()}"
        )
    return [
        as_tangent(tangent, want, f"{transform}: the tangent of {flat.info.arg_name(i)}")
        for i, (tangent, want) in enumerate(zip(given, avals, strict=True))
    ]


def as_tangent(value: Any, want: ShapedArray, what: str) -> Any:
    """``value`` as a (co)tangent of type ``want``, or an error that starts with ``what``."""
    if getattr(value, "dtype", None) == dtypes.float0:
        if is_differentiable(want) or value.shape != want.shape:
            raise TypeError(f"{what} is float0{list(value.shape)}, expected {want}")
        return Zero(want)
    if type(value) is Zero:
        return value
    if type(value) is SymbolicZero:
        if value.shape != want.shape or value.dtype != want.dtype:
            raise TypeError(f"{what} is {value}, expected {want}")
        return Zero(want)
    try:
        got = aval_of(value)
    except TypeError:
        raise TypeError(
            f"{what} is {value!r} of type {type(value).__name__}, not an array"
        ) from None
    if not is_differentiable(want):
        raise TypeError(
            f"{what} has type {got}, but {want} is discrete: give "
            f"np.zeros({want.shape}, weft.core.float0)"
        )
    if got.shape != want.shape or (got.dtype != want.dtype and not got.weak_type):
        raise TypeError(f"{what} has type {got}, expected {want}{at_user_line()}")
    if got.dtype != want.dtype or got.weak_type:
        from weft.primitives.convert import convert_element_type

        return convert_element_type(value, want.dtype)
    return value


def _arrays(cotangents: Sequence[Any]) -> list[Any]:
    """(Co)tangents as users get them."""
    return delivered([materialize_tangent(ct) for ct in cotangents])


def materialize_tangent(tangent: Any) -> Any:
    """The (co)tangent as an array; ``float0`` for discrete types."""
    if type(tangent) is Zero and not is_differentiable(tangent.aval):
        return np.zeros(tangent.aval.shape, dtypes.float0)
    return instantiate(tangent)


def _without_aux(
    transform: str, fun: Callable[..., Any], has_aux: bool
) -> tuple[Callable[..., Any], list[Any]]:
    """The function without its auxiliary result, which goes to the list instead."""
    kept: list[Any] = []
    if not has_aux:
        return fun, kept
    name = function_name(fun)

    @functools.wraps(fun)
    def main(*args: Any, **kwargs: Any) -> Any:
        out = fun(*args, **kwargs)
        if not (isinstance(out, tuple) and len(out) == 2):
            raise TypeError(
                f"{transform} of '{name}' with has_aux=True: the function must return a pair "
                f"(result, aux), got {described(out)}"
            )
        kept.append(tree.map(functools.partial(primal_value, current_trace()), out[1]))
        return out[0]

    return main, kept


# ---------------------------------------------------------------- linearization and reverse mode


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The results of ``fun`` at ``primals``, and its derivative there as a linear function.

    The primal computation runs once; the linear function may be called many times. It is a tree
    whose leaves are the values that it needs, and so may be a result or an argument under ``jit``.

    >>> y, f_lin = linearize(np.sin, 0.0)
    >>> f_lin(1.0)
    Array(1., dtype=float32)
    """
    check_callable("linearize", fun)
    fun, aux = _without_aux("linearize", fun, has_aux)
    flat, leaves = flat_function("linearize", fun, primals)
    lin = _linearize_leaves(flat, leaves)
    program = _LinearProgram(lin, [aval_of(x) for x in leaves])
    primal_def = tree.structure(primals)

    def linear(*args: Any) -> Any:
        count = len(program.jaxpr.constvars)
        given = _checked_tangents("linearize", flat, primal_def, args[count:], program.in_avals)
        outs = program.push_forward(args[:count], given)
        return flat.unflatten(list(map(materialize_tangent, outs)))

    result = flat.unflatten(lin.primals_out)
    f_lin = Partial(linear, *lin.linear.consts)
    return (result, f_lin, aux[0]) if has_aux else (result, f_lin)


def _linearize_leaves(flat: FlatFunction, leaves: Sequence[Any]) -> Linearized:
    return linearize_flat(flat, leaves, [is_differentiable(aval_of(x)) for x in leaves], flat.info)


class _LinearProgram:
    """A linearized function without its residuals, which are arguments: the same for every call."""

    def __init__(self, lin: Linearized, in_avals: Sequence[ShapedArray]):
        self.jaxpr = lin.linear.jaxpr
        self.moved_in, self.moved_out = lin.moved_in, lin.moved_out
        self.in_avals = [tangent_aval(a) for a in in_avals]
        self.out_avals = [tangent_aval(aval_of(p)) for p in lin.primals_out]

    def push_forward(self, residuals: Sequence[Any], tangents: Sequence[Any]) -> list[Any]:
        """Tangents of the results (possibly ``Zero``) from those of the arguments."""
        moved = [instantiate(t) for t, m in zip(tangents, self.moved_in, strict=True) if m]
        outs = iter(eval_jaxpr(self.jaxpr, residuals, *moved))
        return [
            next(outs) if m else Zero(a)
            for a, m in zip(self.out_avals, self.moved_out, strict=True)
        ]

    def pull_back(self, residuals: Sequence[Any], cts: Sequence[Any]) -> list[Any]:
        """Cotangents of the arguments (possibly ``Zero``) from those of the results."""
        moved_cts = [ct for ct, m in zip(cts, self.moved_out, strict=True) if m]
        undefined = [UndefPrimal(v.aval) for v in self.jaxpr.invars]
        found = iter(backward_pass(self.jaxpr, residuals, undefined, moved_cts))
        return [
            next(found) if m else Zero(a) for a, m in zip(self.in_avals, self.moved_in, strict=True)
        ]


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """The results of ``fun`` at ``primals``, and the function that pulls cotangents back.

    The second takes a cotangent with the structure of the result and gives a tuple with one for
    each primal (dtype ``float0`` for integers and booleans). It is a tree whose leaves are the
    values that it needs, and so may be a result or an argument under ``jit``.

    >>> y, pullback = vjp(np.multiply, 2.0, 3.0)
    >>> pullback(1.0)
    (Array(3., dtype=float32), Array(2., dtype=float32))
    """
    check_callable("vjp", fun)
    fun, aux = _without_aux("vjp", fun, has_aux)
    flat, leaves = flat_function("vjp", fun, primals)
    lin = _linearize_leaves(flat, leaves)
    program = _LinearProgram(lin, [aval_of(x) for x in leaves])

    def pullback(*args: Any) -> tuple[Any, ...]:
        *residuals, cotangent = args
        given, given_def = tree.flatten(cotangent)
        if given_def != flat.out_tree:
            raise TypeError(
                f"vjp of '{flat.info.name}': the cotangent has the structure "
                f"{tree.describe(given_def)}, the result has {flat.describe_result()}"
                f"{at_user_line()}"
            )
        where = tree.path_names(given_def, "result")
        cts = [
            as_tangent(ct, a, f"vjp of '{flat.info.name}': the cotangent of {w}")
            for ct, a, w in zip(given, program.out_avals, where, strict=True)
        ]
        found = _arrays(program.pull_back(residuals, cts))
        return tree.unflatten(flat.treedef, found)[0]

    result = flat.unflatten(lin.primals_out)
    f_vjp = Partial(pullback, *lin.linear.consts)
    return (result, f_vjp, aux[0]) if has_aux else (result, f_vjp)


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], tuple[Any, ...]]:
    """The transpose of a function that is linear in its arguments.

    ``primals`` are arrays or ``ShapeDtypeStruct``: only their types matter.

    Raises NonlinearError (a TypeError) or MissingRuleError, with the line, where an operation in
    ``fun`` is not linear.

    >>> x = weft.ShapeDtypeStruct((3,), np.float32)
    >>> weft.linear_transpose(lambda x: 2 * x[:2], x)(np.ones(2))
    (Array([2., 2., 0.], dtype=float32),)
    """
    check_callable("linear_transpose", fun)
    flat, leaves = flat_function("linear_transpose", fun, primals)
    in_avals = [aval_of(x) for x in leaves]
    closed = trace_to_jaxpr(flat, in_avals, flat.info)
    linear, known = linear_part(closed)

    def transposed(cotangent: Any) -> tuple[Any, ...]:
        given, given_def = tree.flatten(cotangent)
        if given_def != flat.out_tree:
            raise TypeError(
                f"linear_transpose of '{flat.info.name}': the cotangent has the structure "
                f"{tree.describe(given_def)}, the result has {flat.describe_result()}"
                f"{at_user_line()}"
            )
        cts = [
            as_tangent(
                ct, tangent_aval(a), f"linear_transpose of '{flat.info.name}': the cotangent"
            )
            for ct, a in zip(given, closed.out_avals, strict=True)
        ]
        found = backward_pass(linear, [], [*known, *map(UndefPrimal, in_avals)], cts)[len(known) :]
        args, _ = tree.unflatten(flat.treedef, _arrays(found))
        return args

    return transposed


# ---------------------------------------------------------------- gradients


def value_and_grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., tuple[Any, Any]]:
    """A function that gives the value of ``fun`` and its gradient.

    ``fun`` returns a scalar, or with ``has_aux`` a pair (scalar, auxiliary data), and then the
    value is that pair. ``argnums`` says which positional arguments are differentiated (a tuple
    gives a tuple); they are trees of floating arrays, of complex ones with ``holomorphic``, or of
    integers too with ``allow_int`` (whose gradients have dtype ``float0``).

    >>> value, slope = weft.value_and_grad(lambda x: x ** 2)(3.0)
    >>> float(value), float(slope)
    (9.0, 6.0)
    """
    check_callable("grad", fun)
    chosen = _check_argnums("grad", argnums)
    name = function_name(fun)

    @functools.wraps(fun)
    def with_gradient(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
        places = _places("grad", chosen, len(args), name)
        of_chosen, values = _of_places(fun, places, args, kwargs)
        main, aux = _without_aux("grad", of_chosen, has_aux)
        flat, leaves, names = _chosen_flat(fun, main, values, places, len(args))
        _check_grad_inputs(name, leaves, names, holomorphic, allow_int)
        leaves = as_arrays(leaves)
        lin = _linearize_leaves(flat, leaves)
        ct = _unit_cotangent(name, flat, lin.primals_out, holomorphic)
        program = _LinearProgram(lin, [aval_of(x) for x in leaves])
        found = program.pull_back(lin.linear.consts, [ct])
        gradients, _ = tree.unflatten(flat.treedef, _arrays(found))
        value = flat.unflatten(lin.primals_out)
        result = (value, aux[0]) if has_aux else value
        return result, (gradients[0] if isinstance(chosen, int) else tuple(gradients))

    return with_gradient


def grad(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] = 0,
    has_aux: bool = False,
    holomorphic: bool = False,
    allow_int: bool = False,
) -> Callable[..., Any]:
    """A function that gives the gradient of ``fun``, as :func:`value_and_grad` does.

    With ``has_aux`` it gives (gradient, auxiliary data).

    >>> weft.grad(np.sin)(0.0)
    Array(1., dtype=float32)
    """
    with_gradient = value_and_grad(fun, argnums, has_aux, holomorphic, allow_int)

    @functools.wraps(fun)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        value, found = with_gradient(*args, **kwargs)
        return (found, value[1]) if has_aux else found

    return gradient


def chosen_arguments(
    transform: str, fun: Callable[..., Any], argnums: Any, args: Sequence[Any]
) -> tuple[Callable[..., Any], list[Any]]:
    """The function of the arguments at ``argnums`` alone, and those arguments."""
    places = _places(transform, _check_argnums(transform, argnums), len(args), function_name(fun))
    return _of_places(fun, places, args, {})


def _of_places(
    fun: Callable[..., Any], places: Sequence[int], args: Sequence[Any], kwargs: dict[str, Any]
) -> tuple[Callable[..., Any], list[Any]]:
    @functools.wraps(fun)
    def of_places(*values: Any) -> Any:
        full = list(args)
        for place, value in zip(places, values, strict=True):
            full[place] = value
        return fun(*full, **kwargs)

    return of_places, [args[place] for place in places]


def _check_argnums(transform: str, argnums: Any) -> int | tuple[int, ...]:
    if isinstance(argnums, int) and not isinstance(argnums, bool):
        return argnums
    if isinstance(argnums, tuple | list) and argnums and all(isinstance(i, int) for i in argnums):
        return tuple(argnums)
    raise TypeError(
        f"{transform}: argnums is an int or a tuple of ints, got {argnums!r}{at_user_line()}"
    )


def _places(transform: str, chosen: int | tuple[int, ...], count: int, name: str) -> list[int]:
    places = []
    for number in (chosen,) if isinstance(chosen, int) else chosen:
        if not -count <= number < count:
            raise ValueError(
                f"{transform} of '{name}': argnums has {number}, but it was called with {count} "
                "positional arguments; arguments to differentiate are passed by position"
                f"{at_user_line()}"
            )
        places.append(number % count)
    return places


def _chosen_flat(
    fun: Any, main: Any, values: list[Any], places: list[int], count: int
) -> tuple[FlatFunction, list[Any], Callable[[], list[str]]]:
    """The flat form of the function of the differentiated arguments, under their own names."""
    from weft.core.staging import FunctionInfo

    leaves, treedef = tree.flatten((tuple(values), {}))

    def names() -> list[str]:
        roots = positional_names(fun, count)
        return [
            n
            for v, p in zip(values, places, strict=True)
            for n in tree.path_names(tree.structure(v), roots[p])
        ]

    info = FunctionInfo(function_name(fun), names, "grad")
    return FlatFunction(main, treedef, info), leaves, names


def _check_grad_inputs(
    name: str, leaves: list[Any], names: Callable[[], list[str]], holomorphic: bool, allow_int: bool
) -> None:
    for i, leaf in enumerate(leaves):
        try:
            aval = aval_of(leaf)
        except TypeError:
            raise TypeError(
                f"grad of '{name}': {names()[i]} is {shown(leaf)}, not an array; choose arguments "
                f"to differentiate with argnums{parts_advice(leaf)}{at_user_line()}"
            ) from None
        is_complex = dtypes.is_complex(aval.dtype)
        if (is_complex or not holomorphic) and (allow_int or is_differentiable(aval)):
            continue
        where = f"grad of '{name}': {names()[i]} has dtype {aval.dtype}"
        if holomorphic and not is_complex:
            raise TypeError(
                f"{where}, but holomorphic=True needs complex arguments{at_user_line()}"
            )
        if not is_differentiable(aval) and not allow_int:
            raise TypeError(
                f"{where}, which has no derivative; pass it as floating point, choose others with "
                f"argnums, or say allow_int=True for gradients of dtype float0{at_user_line()}"
            )


def _unit_cotangent(name: str, flat: FlatFunction, outs: list[Any], holomorphic: bool) -> Any:
    assert flat.out_tree is not None
    if len(outs) != 1 or not flat.out_tree.is_leaf():
        raise TypeError(
            f"grad of '{name}': the function must return one scalar, it returned "
            f"{flat.describe_result()}"
            + ("; for a pair (scalar, aux) say has_aux=True" if len(outs) > 1 else "")
            + at_user_line()
        )
    aval = aval_of(outs[0])
    if aval.shape:
        raise TypeError(
            f"grad of '{name}': the function must return a scalar, it returned {aval}. Sum it, or "
            f"use vjp, jacrev or vmap(grad(...)){at_user_line()}"
        )
    if holomorphic and not dtypes.is_complex(aval.dtype):
        raise TypeError(
            f"grad of '{name}': holomorphic=True, but the result is {aval}, not complex"
            f"{at_user_line()}"
        )
    if dtypes.is_complex(aval.dtype) and not holomorphic:
        raise TypeError(
            f"grad of '{name}': the result is {aval}; for a holomorphic function say "
            f"holomorphic=True, otherwise return a real number{at_user_line()}"
        )
    if not is_differentiable(aval):
        raise TypeError(
            f"grad of '{name}': the result is {aval}, which has no derivative{at_user_line()}"
        )
    return full((), 1, aval.dtype)
