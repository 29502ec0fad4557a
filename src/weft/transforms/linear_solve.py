"""``custom_linear_solve`` and ``custom_root``: solvers that are differentiated by what they solve.

The derivative of a solution does not depend on how it was found: for ``A x = b`` it is the solution
of ``A dx = db − dA x``, by the same solver, and the transpose of a solve is a solve with the
transposed matrix. So iterations are neither recorded nor differentiated.

A ``custom_linear_solve`` equation holds three jaxprs over the leaves of x and b: ``matvec``,
``solve`` and ``transposed`` (which solves with the transpose; None if nobody said how). Operands
are the values that each of them closes over, in this order, then those of b; ``counts`` says how
many.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.linear import Zero, is_undef, is_zero
from weft.core.primitive import Primitive
from weft.core.staging import trace_to_jaxpr
from weft.primitives.arithmetic import neg, sub
from weft.primitives.convert import convert_element_type
from weft.primitives.shaping import instantiate
from weft.transforms.abstract import eval_shape
from weft.transforms.api import jvp, linear_transpose, linearize
from weft.transforms.closed import (
    batch_closed,
    cut,
    jvp_closed,
    mapped_first,
    moved_of,
    present,
    spread,
    transpose_closed,
)
from weft.transforms.closures import closure_convert
from weft.transforms.custom_jvp import custom_jvp
from weft.transforms.functions import check_callable, flat_function
from weft.transforms.jvp import is_differentiable, tangent_aval
from weft.transforms.vmap import place_axis

Counts = tuple[int, int, int]

linear_solve_p = Primitive("custom_linear_solve", multiple_results=True)


def _cut(args: Sequence[Any], counts: Counts) -> list[list[Any]]:
    """What belongs to matvec, solve, transposed and b."""
    return cut(args, counts)


@linear_solve_p.def_type
def _(*avals: ShapedArray, solve: ClosedJaxpr, **params: Any) -> list[ShapedArray]:
    return solve.out_avals


@linear_solve_p.def_effects
def _(*, solve: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return solve.effects


@linear_solve_p.def_numpy
def _(*args: Any, solve: ClosedJaxpr, counts: Counts, **params: Any) -> list[Any]:
    _, consts, _, b = _cut(args, counts)
    return numpy_closed(solve, *consts, *b)


@linear_solve_p.def_eval
def _(*args: Any, solve: ClosedJaxpr, counts: Counts, **params: Any) -> list[Any]:
    _, consts, _, b = _cut(args, counts)
    return eval_closed(solve, *consts, *b)


@linear_solve_p.def_lower_complex
@linear_solve_p.def_lower
def _(ctx: Any, *args: Any, solve: ClosedJaxpr, counts: Counts, **params: Any) -> list[Any]:
    _, consts, _, b = _cut(args, counts)
    return ctx.inline(solve, [*consts, *b])


@linear_solve_p.def_jvp
def _(
    primals: list[Any], tangents: list[Any], *, matvec: ClosedJaxpr, counts: Counts, **params: Any
) -> Any:
    outs = linear_solve_p.bind(*primals, matvec=matvec, counts=counts, **params)
    consts, _, _, b = _cut(primals, counts)
    moved, _, _, db = _cut(tangents, counts)
    if not all(map(is_zero, moved)):
        # dA x, the tangent of matvec at the solution while that stays where it is.
        derived = jvp_closed(matvec, (*moved_of(moved), *(False for _ in b)))
        x = outs[: len(b)]
        found = eval_closed(derived.closed, *derived.consts, *consts, *x, *present(moved))
        shifts = spread(found[len(b) :], derived.outs, matvec.out_avals)
        db = [_minus(t, shift) for t, shift in zip(db, shifts, strict=True)]
    if all(map(is_zero, db)):
        return outs, [Zero(tangent_aval(aval_of(x))) for x in outs]
    operands = [*primals[: sum(counts)], *map(instantiate, db)]
    dx = linear_solve_p.bind(*operands, matvec=matvec, counts=counts, **params)[: len(b)]
    # What a solver says beside the solution is not differentiated.
    return outs, [*dx, *(Zero(tangent_aval(aval_of(x))) for x in outs[len(b) :])]


def _minus(t: Any, shift: Any) -> Any:
    if is_zero(shift):
        return t
    return neg(shift) if is_zero(t) else sub(t, shift)


@linear_solve_p.def_transpose
def _(
    cts: list[Any],
    *args: Any,
    matvec: ClosedJaxpr,
    solve: ClosedJaxpr,
    transposed: ClosedJaxpr | None,
    counts: Counts,
) -> list[Any]:
    if transposed is None:
        raise TypeError(
            "custom_linear_solve cannot be differentiated in reverse mode without a "
            "transpose_solve: give one, or say symmetric=True"
        )
    of_matvec, of_solve, of_transposed, b = _cut(args, counts)
    if not all(map(is_undef, b)) or any(map(is_undef, args[: sum(counts)])):
        raise TypeError("custom_linear_solve is linear in b only")
    given = [instantiate(ct) for ct in cts[: len(b)]]
    known, every = (False,) * len(of_matvec), (True,) * len(b)
    flipped = transpose_closed(matvec, (*known, *every), every, instantiated=True)
    operands = [*flipped.consts, *of_matvec, *of_transposed, *of_solve, *given]
    out = linear_solve_p.bind(
        *operands,
        matvec=flipped.closed,
        solve=transposed,
        transposed=solve,
        counts=(len(flipped.consts) + counts[0], counts[2], counts[1]),
    )
    return [*(None for _ in range(sum(counts))), *out[: len(b)]]


@linear_solve_p.def_batch
def _(
    axis_size: int,
    args: list[Any],
    dims: list[Any],
    *,
    matvec: ClosedJaxpr,
    solve: ClosedJaxpr,
    transposed: ClosedJaxpr | None,
    counts: Counts,
) -> Any:
    *parts, b = _cut(args, counts)
    *part_dims, b_dims = _cut(dims, counts)
    jaxprs: list[ClosedJaxpr | None] = []
    operands: list[Any] = []
    new_counts: list[int] = []
    for jaxpr, consts, of_consts in zip((matvec, solve, transposed), parts, part_dims, strict=True):
        placed, mapped = mapped_first(axis_size, consts, of_consts)
        if jaxpr is None:
            derived_consts: list[Any] = []
            jaxprs.append(None)
        else:
            everything = tuple(True for _ in jaxpr.out_avals)
            derived = batch_closed(jaxpr, axis_size, (*mapped, *(True for _ in b)), everything)
            derived_consts = list(derived.consts)
            jaxprs.append(derived.closed)
        operands += [*derived_consts, *placed]
        new_counts.append(len(derived_consts) + len(placed))
    operands += [place_axis(x, axis_size, d, 0) for x, d in zip(b, b_dims, strict=True)]
    outs = linear_solve_p.bind(
        *operands,
        matvec=jaxprs[0],
        solve=jaxprs[1],
        transposed=jaxprs[2],
        counts=tuple(new_counts),
    )
    return outs, [0] * len(outs)


def custom_linear_solve(
    matvec: Callable[[Any], Any],
    b: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    transpose_solve: Callable[[Callable[[Any], Any], Any], Any] | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """x with ``matvec(x) = b``, found by `solve`; its derivatives are solutions, too.

    Parameters
    ----------
    matvec: a linear function from trees like x to trees like b, which have one structure and one
        set of shapes. It may close over values that are differentiated.
    b: a tree of floating-point or complex arrays.
    solve: ``solve(matvec, b) -> x``. It need not be differentiable.
    transpose_solve: ``transpose_solve(vecmat, b) -> x`` solves with the transposed function;
        reverse mode needs it.
    symmetric: the function is its own transpose; `solve` is for both, unless there is a
        `transpose_solve`.
    has_aux: `solve` returns ``(x, aux)``, and so does this function; aux is not differentiated.

    Raises
    ------
    TypeError: if `matvec` or `solve` return trees unlike `b`.

    >>> d = np.asarray([2.0, 4.0])
    >>> def f(d, b):
    ...     solve = lambda matvec, b: b / matvec(np.ones(2))
    ...     return lax.custom_linear_solve(lambda x: d * x, b, solve, symmetric=True).sum()
    >>> weft.grad(f)(d, np.asarray([4.0, 4.0]))
    Array([-1.  , -0.25], dtype=float32)
    """
    name = "custom_linear_solve"
    for function in (matvec, solve, *(() if transpose_solve is None else (transpose_solve,))):
        check_callable(name, function)
    leaves, structure = tree.flatten(b)
    avals = [aval_of(x) for x in leaves]
    inexact = [is_differentiable(aval) for aval in avals]
    if not all(inexact):
        raise TypeError(f"{name}: b has floating-point or complex arrays, got {avals}")

    def staged(what: str, function: Callable[..., Any], aux: bool) -> tuple[ClosedJaxpr, Any]:
        flat, _ = flat_function(name, function, (b,))
        closed = trace_to_jaxpr(flat, avals, flat.info)
        assert flat.out_tree is not None
        result = tree.unflatten(flat.out_tree, closed.out_avals)
        if aux and not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError(f"{name}: with has_aux, {what} returns a pair (x, aux)")
        x, more = result if aux else (result, None)
        got, own = tree.flatten(x)
        same = own == structure and all(
            a.shape == w.shape and a.dtype == w.dtype for a, w in zip(got, avals, strict=True)
        )
        if not same:
            raise TypeError(
                f"{name}: {what} must return what is like b, {_shown(avals)}, got {_shown(got)}"
            )
        return closed, tree.structure(more) if aux else None

    def transposed_matvec(y: Any) -> Any:
        return linear_transpose(matvec, b)(y)[0]

    of_matvec, _ = staged("matvec", matvec, False)
    of_solve, aux_structure = staged("solve", lambda b: solve(matvec, b), has_aux)
    of_transpose: ClosedJaxpr | None
    if transpose_solve is not None:
        flipped = matvec if symmetric else transposed_matvec
        of_transpose, _ = staged("transpose_solve", lambda b: transpose_solve(flipped, b), has_aux)
    else:
        of_transpose = of_solve if symmetric else None
    parts = [of_matvec, of_solve, of_transpose]
    consts = [[] if part is None else list(part.consts) for part in parts]
    outs = linear_solve_p.bind(
        *(value for group in consts for value in group),
        *leaves,
        matvec=of_matvec.hoisted(),
        solve=of_solve.hoisted(),
        transposed=None if of_transpose is None else of_transpose.hoisted(),
        counts=tuple(map(len, consts)),
    )
    x = tree.unflatten(structure, outs[: len(leaves)])
    return (x, tree.unflatten(aux_structure, outs[len(leaves) :])) if has_aux else x


def _shown(avals: Sequence[ShapedArray]) -> str:
    return "(" + ", ".join(map(str, avals)) + ")"


def custom_root(
    f: Callable[[Any], Any],
    initial_guess: Any,
    solve: Callable[[Callable[[Any], Any], Any], Any],
    tangent_solve: Callable[[Callable[[Any], Any], Any], Any],
    has_aux: bool = False,
) -> Any:
    """x with ``f(x) = 0``, found by `solve`; derivatives are those of the implicit function.

    Parameters
    ----------
    f: from trees like `initial_guess` to trees like it. It may close over values that are
        differentiated.
    solve: ``solve(f, initial_guess) -> x``. It need not be differentiable.
    tangent_solve: ``tangent_solve(g, y)`` solves ``g(x) = y`` for a linear function g; it must be
        differentiable itself for reverse mode: a division by ``g(1.0)`` for numbers, or
        :func:`custom_linear_solve`.
    has_aux: `solve` returns ``(x, aux)``, and so does this function; aux is not differentiated.

    Raises
    ------
    TypeError: if `f` does not return what is like `initial_guess`.

    >>> def newton(f, x):
    ...     return lax.fori_loop(0, 20, lambda i, x: x - f(x) / weft.grad(f)(x), x)
    >>> def root(y):
    ...     return lax.custom_root(lambda x: x * x - y, 1.0, newton, lambda g, y: y / g(1.0))
    >>> float(root(9.0)), float(weft.grad(root)(9.0))
    (3.0, 0.1666666716337204)
    """
    name = "custom_root"
    for function in (f, solve, tangent_solve):
        check_callable(name, function)
    initial_guess = _like_residual(f, initial_guess)
    # What the functions close over becomes arguments; only that of f moves the root.
    residual, values = closure_convert(f, initial_guess)

    def found(guess: Any, *values: Any) -> Any:
        return solve(lambda x: residual(x, *values), guess)

    def moved_by(x: Any, y: Any, *values: Any) -> Any:
        return tangent_solve(linearize(lambda x: residual(x, *values), x)[1], y)

    finder, of_finder = closure_convert(found, initial_guess, *values)
    mover, of_mover = closure_convert(moved_by, initial_guess, initial_guess, *values)

    @custom_jvp
    def root(guess: Any, values: Any, of_finder: Any, of_mover: Any) -> Any:
        return finder(guess, *values, *of_finder)

    @root.defjvp
    def _root_jvp(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, Any]:
        _, values, _, of_mover = primals
        result = root(*primals)
        x = result[0] if has_aux else result
        _, shift = jvp(lambda *values: residual(x, *values), tuple(values), tuple(tangents[1]))
        dx = tree.map(neg, mover(x, shift, *values, *of_mover))
        if not has_aux:
            return result, dx
        still = tree.map(lambda a: instantiate(Zero(tangent_aval(aval_of(a)))), result[1])
        return result, (dx, still)

    return root(initial_guess, values, of_finder, of_mover)


def _like_residual(f: Callable[[Any], Any], guess: Any) -> Any:
    """The guess in the dtypes that `f` gives, which are those of the root."""
    given, wanted = tree.flatten(guess), tree.flatten(eval_shape(f, guess))
    shapes = [[aval_of(x).shape for x in given[0]], [x.shape for x in wanted[0]]]
    if given[1] != wanted[1] or shapes[0] != shapes[1]:
        raise TypeError(
            f"custom_root: f must return what is like initial_guess, {tree.describe(given[1])} of "
            f"shapes {shapes[0]}, got {tree.describe(wanted[1])} of shapes {shapes[1]}"
        )
    pairs = zip(*(part[0] for part in (given, wanted)), strict=True)
    return tree.unflatten(given[1], [convert_element_type(x, like.dtype) for x, like in pairs])
