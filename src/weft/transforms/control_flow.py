"""Control flow that stays in the program: ``cond``, ``while_loop``, ``fori_loop``, ``scan``, …

Each traces the functions it is given into jaxprs and binds one primitive. What they close over
becomes operands of that primitive. Under ``weft.disable_jit()`` they run as Python control flow.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.config import jit_is_disabled
from weft.core.avals import aval_of
from weft.core.trace import Tracer
from weft.primitives.arithmetic import add, clamp
from weft.primitives.comparison import lt, ne
from weft.primitives.convert import convert_element_type
from weft.primitives.joining import concatenate
from weft.primitives.shaping import expand_dims, move_axis, reshape
from weft.primitives.slicing import slice_along
from weft.transforms.branches import (
    Body,
    check_same_results,
    common_operands,
    stable_carry,
    trace_body,
)
from weft.transforms.cond import cond_p
from weft.transforms.functions import (
    as_array,
    at_user_line,
    check_callable,
    check_leaves,
    function_name,
    where_defined,
)
from weft.transforms.scan import scan_p
from weft.transforms.vmap import vmap
from weft.transforms.while_loop import while_p

#: Stands for an operand that was not given: None is a value.
_NO_OPERAND = object()


def concrete_or_none(value: Any) -> Any:
    """The value when it is known while tracing, else None."""
    return value.concrete() if isinstance(value, Tracer) else value


def _leaves_of(what: str, name: str, value: Any, root: str) -> tuple[list[Any], tree.PyTreeSpec]:
    leaves, treedef = tree.flatten(value)
    check_leaves(what, name, leaves, lambda: tree.path_names(treedef, root))
    return leaves, treedef


# ---------------------------------------------------------------- cond and switch


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    operand: Any = _NO_OPERAND,
) -> Any:
    """``true_fun(*operands)`` if ``pred`` else ``false_fun(*operands)``; only the chosen one runs.

    ``pred`` is a scalar boolean or number. Both functions give the same structure, shapes and
    dtypes. Under ``vmap`` over ``pred`` both run and the results are selected. ``operand`` is
    another way to give one operand.

    >>> lax.cond(True, lambda x: x, lambda x: -x, np.arange(3))
    Array([0, 1, 2], dtype=int32)
    """
    check_callable("cond", true_fun)
    check_callable("cond", false_fun)
    operands = _all_operands("cond", operands, operand)
    try:
        aval = aval_of(pred)
    except TypeError:
        raise TypeError(
            f"cond: pred is {pred!r} of type {type(pred).__name__}, not a scalar"
        ) from None
    if aval.shape:
        raise TypeError(
            f"cond: pred is a scalar, got {aval}; for arrays use weft.numpy.where{at_user_line()}"
        )
    if jit_is_disabled() and concrete_or_none(pred) is not None:
        chosen = true_fun if concrete_or_none(pred) else false_fun
        return chosen(*tree.map(as_array, operands))
    if aval.dtype != np.bool_:
        pred = ne(pred, np.zeros((), aval.dtype))
    index = convert_element_type(pred, np.dtype(np.int32))
    return _bind_cond("cond", index, [false_fun, true_fun], operands)


def _all_operands(what: str, operands: tuple[Any, ...], operand: Any) -> tuple[Any, ...]:
    if operand is _NO_OPERAND:
        return operands
    if operands:
        raise TypeError(f"{what}: give operands by position or as operand=, not both")
    return (operand,)


def switch(
    index: Any,
    branches: Sequence[Callable[..., Any]],
    *operands: Any,
    operand: Any = _NO_OPERAND,
) -> Any:
    """``branches[index](*operands)``, with ``index`` clamped to the branches there are.

    All branches give the same structure, shapes and dtypes. ``operand`` is another way to give one
    operand.

    >>> lax.switch(1, [lambda x: x, lambda x: -x], 3.0)
    Array(-3., dtype=float32, weak_type=True)
    """
    operands = _all_operands("switch", operands, operand)
    if not branches:
        raise ValueError("switch needs at least one branch")
    for branch in branches:
        check_callable("switch", branch)
    aval = aval_of(index)
    if aval.shape or aval.dtype.kind not in "iu":
        raise TypeError(
            f"switch: index is a scalar integer, got {aval}; x.astype('int32') converts"
            f"{at_user_line()}"
        )
    last = len(branches) - 1
    if jit_is_disabled() and concrete_or_none(index) is not None:
        chosen = branches[min(max(int(concrete_or_none(index)), 0), last)]
        return chosen(*tree.map(as_array, operands))
    if len(branches) == 1:
        return branches[0](*operands)
    # Clamped in its own dtype: a conversion to int32 could wrap.
    low, high = (
        np.zeros((), aval.dtype),
        np.asarray(min(last, np.iinfo(aval.dtype).max), aval.dtype),
    )
    index = convert_element_type(clamp(low, index, high), np.dtype(np.int32))
    return _bind_cond("switch", index, list(branches), operands)


def _bind_cond(
    what: str, index: Any, functions: list[Callable[..., Any]], operands: Sequence[Any]
) -> Any:
    leaves, treedef = _leaves_of(what, function_name(functions[-1]), tuple(operands), "operands")
    avals = [aval_of(x) for x in leaves]
    names = tree.path_names(treedef, "operands")
    bodies = [trace_body(what, f, treedef, avals, names) for f in functions]
    bodies = check_same_results(what, bodies)
    branches, consts = common_operands(bodies)
    outs = cond_p.bind(index, *consts, *leaves, branches=branches)
    return tree.unflatten(bodies[0].out_tree, outs)


# ---------------------------------------------------------------- while


def while_loop(
    cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    """Applies ``body_fun`` to a tree of arrays as long as ``cond_fun`` of it is true.

    The body keeps structure, shapes and dtypes. Forward mode only; for gradients use
    ``fori_loop`` with Python integers as bounds, or ``scan``.

    >>> weft.lax.while_loop(lambda x: x < 100, lambda x: 2 * x, 1)
    Array(128, dtype=int32, weak_type=True)
    """
    check_callable("while_loop", cond_fun)
    check_callable("while_loop", body_fun)
    return _while("while_loop", cond_fun, body_fun, init_val)


def _while(
    what: str, cond_fun: Callable[[Any], Any], body_fun: Callable[[Any], Any], init_val: Any
) -> Any:
    leaves, treedef = _leaves_of(what, function_name(body_fun), init_val, "init_val")
    if jit_is_disabled():
        value = tree.unflatten(treedef, [as_array(x) for x in leaves])
        while (pred := concrete_or_none(cond_fun(value))) is not None:
            if not pred:
                return value
            value = body_fun(value)
        # The condition differs along an axis of vmap: only the primitive can do that.
    one_arg = tree.structure((init_val,))
    names = _carry_names(what, treedef)
    leaves, body = stable_carry(
        what,
        leaves,
        treedef,
        names,
        lambda avals: trace_body(what, body_fun, one_arg, avals, names),
        lambda out: out,
    )
    avals = [aval_of(x) for x in leaves]
    test = trace_body(what, cond_fun, one_arg, avals, names)
    outs = test.closed.out_avals
    if len(outs) != 1 or outs[0].shape or outs[0].dtype != np.bool_:
        raise TypeError(
            f"while_loop: the condition {where_defined(cond_fun)} must give a scalar boolean, it "
            f"gives {', '.join(str(a) for a in outs) or 'nothing'}{at_user_line()}"
        )
    results = while_p.bind(
        *test.closed.consts,
        *body.closed.consts,
        *leaves,
        cond_jaxpr=test.closed.hoisted(),
        body_jaxpr=body.closed.hoisted(),
        cond_nconsts=len(test.closed.consts),
        body_nconsts=len(body.closed.consts),
    )
    return tree.unflatten(treedef, results)


def fori_loop(
    lower: Any,
    upper: Any,
    body_fun: Callable[[Any, Any], Any],
    init_val: Any,
    *,
    unroll: int | bool | None = None,
) -> Any:
    """``for i in range(lower, upper): val = body_fun(i, val)``, from ``init_val``.

    When the bounds are known while tracing this is a ``scan`` and has gradients; otherwise a
    ``while_loop``, which ``unroll`` does not apply to.

    >>> weft.lax.fori_loop(0, 10, lambda i, total: total + i, 0)
    Array(45, dtype=int32)
    """
    check_callable("fori_loop", body_fun)
    for what, bound in (("lower", lower), ("upper", upper)):
        aval = aval_of(bound)
        if aval.shape or aval.dtype.kind not in "iu":
            raise TypeError(f"fori_loop: {what} is a scalar integer, got {aval}")
    start, stop = concrete_or_none(lower), concrete_or_none(upper)
    if start is not None and stop is not None:
        start, stop = operator.index(start), operator.index(stop)
        index_dtype = np.dtype(np.int32 if -(2**31) <= start <= stop < 2**31 else np.int64)
        if jit_is_disabled():
            value = tree.map(as_array, init_val)
            for i in range(start, stop):
                value = body_fun(as_array(np.asarray(i, index_dtype)), value)
            return value

        @functools.wraps(body_fun)
        def step(carry: Any, _: Any) -> Any:
            i, value = carry
            return (add(i, np.asarray(1, index_dtype)), body_fun(i, value)), None

        first = np.asarray(start, index_dtype)
        steps = max(stop - start, 0)
        how = 1 if unroll is None else unroll
        (_, result), _ = _scan("fori_loop", step, (first, init_val), None, steps, False, how)
        return result
    dtype = max(aval_of(lower).dtype, aval_of(upper).dtype, key=lambda d: d.itemsize)
    lower, upper = convert_element_type(lower, dtype), convert_element_type(upper, dtype)

    @functools.wraps(body_fun)
    def body(carry: Any) -> Any:
        i, value = carry
        return add(i, np.asarray(1, dtype)), body_fun(i, value)

    return _while("fori_loop", lambda carry: lt(carry[0], upper), body, (lower, init_val))[1]


def _carry_names(what: str, treedef: tree.PyTreeSpec) -> list[str]:
    """Names of the leaves of a carry; that of a ``fori_loop`` has its counter before the value."""
    if what != "fori_loop":
        return tree.path_names(treedef, "carry")
    return ["i", *tree.path_names(treedef.children()[1], "val")]


# ---------------------------------------------------------------- scan


def scan(
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any = None,
    length: int | None = None,
    reverse: bool = False,
    unroll: int | bool = 1,
) -> tuple[Any, Any]:
    """Runs ``carry, y = f(carry, x)`` over the leading axis of ``xs``: last carry, all ``y``.

    ``init``, ``xs`` and ``y`` are trees of arrays; ``xs`` may be None with a ``length``. With
    ``reverse`` the steps run from the end, and ``ys`` keep the places of their ``xs``. ``unroll``
    is how many steps make one iteration of the compiled loop: True for all of them.

    >>> scan(lambda total, x: (total + x, total), 0, np.arange(4))
    (Array(6, dtype=int32), Array([0, 0, 1, 3], dtype=int32))

    Raises TypeError when the carry changes structure, shape or dtype (naming the leaf), and
    ValueError when leading axes differ.
    """
    check_callable("scan", f)
    return _scan("scan", f, init, xs, length, reverse, unroll)


def _scan(
    what: str,
    f: Callable[[Any, Any], tuple[Any, Any]],
    init: Any,
    xs: Any,
    length: int | None,
    reverse: bool,
    unroll: int | bool,
) -> tuple[Any, Any]:
    name = function_name(f)
    init_leaves, init_def = _leaves_of(what, name, init, "init")
    xs_leaves, xs_def = _leaves_of(what, name, xs, "xs")
    steps = _scan_length(f"scan of '{name}'", xs_leaves, xs_def, length)
    if isinstance(unroll, bool):
        unroll = max(steps, 1) if unroll else 1
    if not isinstance(unroll, int) or unroll < 1:
        raise ValueError(f"{what}: unroll is a positive integer, got {unroll!r}")
    if jit_is_disabled():
        return _scan_in_python(f, init, xs_leaves, xs_def, steps, reverse)
    carry_names = _carry_names(what, init_def)
    x_names = tree.path_names(xs_def, "x")
    slices = [aval_of(x).update(shape=aval_of(x).shape[1:]) for x in xs_leaves]
    in_def = tree.structure((init, xs))

    def trace(avals: Sequence[Any]) -> Body:
        return trace_body(what, f, in_def, [*avals, *slices], [*carry_names, *x_names])

    init_leaves, body = stable_carry(what, init_leaves, init_def, carry_names, trace, _carry_of)
    consts = body.closed.consts
    outs = scan_p.bind(
        *consts,
        *init_leaves,
        *xs_leaves,
        jaxpr=body.closed.hoisted(),
        length=steps,
        reverse=bool(reverse),
        num_consts=len(consts),
        num_carry=len(init_leaves),
        unroll=unroll,
    )
    carry, ys = tree.unflatten(body.out_tree, outs)
    return carry, ys


def _carry_of(out: Any) -> Any:
    if not (isinstance(out, tuple | list) and len(out) == 2):
        raise TypeError(
            "scan: the function must return a pair (carry, y), it returned "
            + ("one array" if hasattr(out, "dtype") else type(out).__name__)
            + at_user_line()
        )
    return out[0]


def _scan_length(what: str, xs: list[Any], xs_def: tree.PyTreeSpec, length: int | None) -> int:
    """The number of steps, from the leading axes of ``xs``; ``what`` is called for messages."""
    names = tree.path_names(xs_def, "xs")
    found: dict[int, str] = {}
    for x, where in zip(xs, names, strict=True):
        aval = aval_of(x)
        if not aval.shape:
            raise ValueError(
                f"{what}: {where} is a scalar; it has no leading axis to go along{at_user_line()}"
            )
        found.setdefault(aval.shape[0], f"{where} {aval}")
    if length is not None:
        found.setdefault(operator.index(length), f"length={length}")
    if not found:
        raise ValueError(
            f"{what}: there are no arrays in xs: say how many steps with length{at_user_line()}"
        )
    if len(found) > 1:
        shown = " and ".join(found.values())
        raise ValueError(f"{what}: leading axes differ: {shown}{at_user_line()}")
    (steps,) = found
    if steps < 0:
        raise ValueError(f"{what}: length is negative: {steps}")
    return steps


def _row(x: Any, i: int) -> Any:
    return reshape(slice_along(x, i, i + 1, 0), aval_of(x).shape[1:])


def _stack(rows: Sequence[Any]) -> Any:
    return concatenate([expand_dims(row, (0,)) for row in rows], 0)


def _scan_in_python(
    f: Any, init: Any, xs: list[Any], xs_def: tree.PyTreeSpec, length: int, reverse: bool
) -> tuple[Any, Any]:
    if length == 0:
        raise ValueError(
            "scan of length 0 cannot run under disable_jit: the type of y is not known"
        )
    carry, ys = tree.map(as_array, init), []
    for i in reversed(range(length)) if reverse else range(length):
        out = f(carry, tree.unflatten(xs_def, [_row(x, i) for x in xs]))
        _carry_of(out)
        carry, y = out
        ys.append(y)
    if reverse:
        ys.reverse()
    return carry, tree.map(lambda *rows: _stack(rows), *ys)


def map(f: Callable[[Any], Any], xs: Any, *, batch_size: int | None = None) -> Any:
    """``f`` of each slice of the leading axis of ``xs``, one after the other; the stacked results.

    ``vmap`` does them all at once, which is faster and takes more memory; with ``batch_size``, that
    many are done at once.

    >>> lax.map(lambda x: x * x, np.arange(5), batch_size=2)
    Array([ 0,  1,  4,  9, 16], dtype=int32)
    """
    check_callable("map", f)
    leaves, treedef = _leaves_of("map", function_name(f), xs, "xs")
    count = _scan_length(f"map of '{function_name(f)}'", leaves, treedef, None)
    if batch_size is None:
        return scan(lambda _, x: ((), f(x)), (), xs)[1]
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"map: batch_size is a positive integer, got {batch_size!r}")
    whole = count // batch_size * batch_size
    if not whole:
        return vmap(f)(xs)

    def part(x: Any, start: int, stop: int, shape: tuple[int, ...]) -> Any:
        taken = slice_along(x, start, stop, 0)
        return reshape(taken, (*shape, *aval_of(x).shape[1:]))

    batches = tree.map(lambda x: part(x, 0, whole, (whole // batch_size, batch_size)), xs)
    done = scan(lambda _, x: ((), vmap(f)(x)), (), batches)[1]
    done = tree.map(lambda y: reshape(y, (whole, *aval_of(y).shape[2:])), done)
    if whole == count:
        return done
    rest = vmap(f)(tree.map(lambda x: part(x, whole, count, (count - whole,)), xs))
    return tree.map(lambda a, b: concatenate([a, b], 0), done, rest)


# ---------------------------------------------------------------- associative scan


def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """All prefixes of ``elems`` combined by an associative function, in logarithmically many steps.

    ``fn(a, b)`` combines two trees like ``elems``, elementwise along ``axis``. Uses the
    work-efficient scheme of Blelloch, "Prefix sums and their applications" (1990): pairs are
    combined, scanned, and filled in.

    >>> lax.associative_scan(np.add, np.arange(4))
    Array([0, 1, 3, 6], dtype=int32)
    """
    check_callable("associative_scan", fn)
    leaves, treedef = _leaves_of("associative_scan", function_name(fn), elems, "elems")
    if not leaves:
        return elems
    for x, where in zip(leaves, tree.path_names(treedef, "elems"), strict=True):
        if not -aval_of(x).ndim <= axis < aval_of(x).ndim:
            raise ValueError(f"associative_scan: {where} {aval_of(x)} has no axis {axis}")
    placed = [move_axis(x, axis % aval_of(x).ndim, 0) for x in leaves]
    sizes = {aval_of(x).shape[0] for x in placed}
    if len(sizes) > 1:
        raise ValueError(f"associative_scan: sizes along axis {axis} differ: {sorted(sizes)}")

    own = [axis % aval_of(x).ndim for x in leaves]

    def at_axis(xs: Sequence[Any]) -> Any:
        return tree.unflatten(treedef, [move_axis(x, 0, d) for x, d in zip(xs, own, strict=True)])

    def combine(a: list[Any], b: list[Any]) -> list[Any]:
        out, out_def = tree.flatten(fn(at_axis(a), at_axis(b)))
        if out_def != treedef:
            raise TypeError(
                f"associative_scan: {where_defined(fn)} gives "
                f"{tree.describe(out_def)} from {tree.describe(treedef)}{at_user_line()}"
            )
        moved = []
        for x, y, d, where in zip(a, out, own, tree.path_names(treedef, "elems"), strict=True):
            want, got = aval_of(move_axis(x, 0, d)), aval_of(y)
            if (want.shape, want.dtype) != (got.shape, got.dtype):
                raise TypeError(
                    f"associative_scan: {where_defined(fn)} must keep the types of its arguments: "
                    f"{where} has type {want} and becomes {got}{at_user_line()}"
                )
            moved.append(move_axis(y, d, 0))
        return moved

    if reverse:
        placed = [_reversed(x) for x in placed]
    scanned = _prefixes(combine, placed)
    if reverse:
        scanned = [_reversed(x) for x in scanned]
    return at_axis(scanned)


def _reversed(x: Any) -> Any:
    from weft.primitives.shaping import rev

    return rev(x, (0,))


def _prefixes(combine: Callable[[list[Any], list[Any]], list[Any]], xs: list[Any]) -> list[Any]:
    """Prefixes along axis 0; the depth of recursion is the logarithm of its size."""
    size = aval_of(xs[0]).shape[0]
    if size < 2:
        return xs
    evens = [slice_along(x, 0, size, 0, 2) for x in xs]
    odds = [slice_along(x, 1, size, 0, 2) for x in xs]
    half = size // 2
    paired = combine([slice_along(x, 0, half, 0) for x in evens], odds)
    at_odds = _prefixes(combine, paired)
    if size > 2:
        before = [slice_along(x, 0, (size - 1) // 2, 0) for x in at_odds]
        after = [slice_along(x, 1, aval_of(x).shape[0], 0) for x in evens]
        rest = combine(before, after)
        first = [slice_along(x, 0, 1, 0) for x in evens]
        at_evens = [concatenate([a, b], 0) for a, b in zip(first, rest, strict=True)]
    else:
        at_evens = evens
    return [_interleaved(a, b) for a, b in zip(at_evens, at_odds, strict=True)]


def _interleaved(evens: Any, odds: Any) -> Any:
    """Rows of both in turn; ``evens`` may have one more."""
    count = aval_of(odds).shape[0]
    rest = aval_of(odds).shape[1:]
    pairs = concatenate(
        [expand_dims(slice_along(evens, 0, count, 0), (1,)), expand_dims(odds, (1,))], 1
    )
    merged = reshape(pairs, (2 * count, *rest))
    extra = aval_of(evens).shape[0] - count
    return concatenate([merged, slice_along(evens, count, count + 1, 0)], 0) if extra else merged
