"""The ``while`` primitive: a loop as long as a condition on its carry holds.

``while(*cond_consts, *body_consts, *init)`` applies ``body_jaxpr`` to the carry as long as
``cond_jaxpr`` gives true. Forward mode and vmap work; reverse mode would have to remember an
unknown number of steps, and is an error. Mapped over the condition, elements go through the loop in
blocks, one after the other: each until all of its elements have finished, which keep their values
meanwhile. A block is as many elements as keep vectors busy; one, if that has many numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from weft.core.avals import ShapedArray, aval_of
from weft.core.axis_names import name_of, uses_axis
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr, all_equations
from weft.core.primitive import Primitive
from weft.core.source import describe, user_source
from weft.core.staging import trace_to_jaxpr
from weft.primitives.joining import concatenate
from weft.primitives.reduction import reduce_or
from weft.primitives.select import select_n
from weft.primitives.shaping import broadcast_in_dim, instantiate, reshape, zeros_like_aval
from weft.primitives.slicing import slice_along
from weft.terms.control_flow import lower_while
from weft.transforms.call import check_operands
from weft.transforms.closed import (
    Mask,
    batch_closed,
    info_of,
    jvp_closed,
    moved_of,
    present,
    split_closed,
    spread,
)
from weft.transforms.one_by_one import both_ways, refuse_ordered
from weft.transforms.scan import fixed_point, rearranged, scan_p
from weft.transforms.vmap import place_axis

while_p = Primitive("while", multiple_results=True)


def _parts(items: Sequence[Any], cond_nconsts: int, body_nconsts: int) -> tuple[list, list, list]:
    """Splits into constants of the condition, constants of the body, and the carry."""
    end = cond_nconsts + body_nconsts
    return list(items[:cond_nconsts]), list(items[cond_nconsts:end]), list(items[end:])


@while_p.def_type
def _(
    *avals: ShapedArray,
    cond_jaxpr: ClosedJaxpr,
    body_jaxpr: ClosedJaxpr,
    cond_nconsts: int,
    body_nconsts: int,
) -> list[ShapedArray]:
    cond_consts, body_consts, carry = _parts(avals, cond_nconsts, body_nconsts)
    check_operands("the condition of while", cond_jaxpr, (*cond_consts, *carry))
    check_operands("the body of while", body_jaxpr, (*body_consts, *carry))
    (pred,) = cond_jaxpr.out_avals
    if pred.shape or pred.dtype != np.bool_:
        raise TypeError(f"while: the condition gives {pred}, not bool[]")
    for want, got in zip(carry, body_jaxpr.out_avals, strict=True):
        if want.shape != got.shape or want.dtype != got.dtype:
            raise TypeError(f"while: the body makes {got} of a carry of type {want}")
    return body_jaxpr.out_avals


@while_p.def_effects
def _(*, cond_jaxpr: ClosedJaxpr, body_jaxpr: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return cond_jaxpr.effects | body_jaxpr.effects


@while_p.def_numpy
def _(
    *args: np.ndarray,
    cond_jaxpr: ClosedJaxpr,
    body_jaxpr: ClosedJaxpr,
    cond_nconsts: int,
    body_nconsts: int,
) -> list[np.ndarray]:
    cond_consts, body_consts, carry = _parts(args, cond_nconsts, body_nconsts)
    while numpy_closed(cond_jaxpr, *cond_consts, *carry)[0]:
        carry = numpy_closed(body_jaxpr, *body_consts, *carry)
    return carry


@while_p.def_lower_complex
@while_p.def_lower
def _(
    ctx: Any,
    *args: Any,
    cond_jaxpr: ClosedJaxpr,
    body_jaxpr: ClosedJaxpr,
    cond_nconsts: int,
    body_nconsts: int,
) -> list[Any]:
    cond_consts, body_consts, carry = _parts(args, cond_nconsts, body_nconsts)
    return lower_while(ctx, cond_jaxpr, cond_consts, body_jaxpr, body_consts, carry)


@while_p.def_jvp
def _(primals: list[Any], tangents: list[Any], **params: Any) -> Any:
    cond_jaxpr, body_jaxpr = params["cond_jaxpr"], params["body_jaxpr"]
    counts = params["cond_nconsts"], params["body_nconsts"]
    cond_consts, body_consts, carry = _parts(primals, *counts)
    _, consts_t, carry_t = _parts(tangents, *counts)
    moved_consts = moved_of(consts_t)

    def step(moved: Mask) -> Mask:
        return jvp_closed(body_jaxpr, (*moved_consts, *moved)).outs

    moved = fixed_point(step, moved_of(carry_t))
    derived = jvp_closed(body_jaxpr, (*moved_consts, *moved), moved)
    consts_t = present(consts_t)
    carry_t = [instantiate(t) for t, m in zip(carry_t, moved, strict=True) if m]
    body = rearranged(
        derived.closed,
        len(derived.consts),
        [len(body_consts), len(carry), len(consts_t), len(carry_t)],
        in_order=[0, 2, 1, 3],
        out_sizes=[],
        out_order=[0],
    )
    outs = while_p.bind(
        *cond_consts,
        *derived.consts,
        *body_consts,
        *consts_t,
        *carry,
        *carry_t,
        cond_jaxpr=_with_more_carry(cond_jaxpr, [aval_of(t) for t in carry_t]),
        body_jaxpr=body,
        cond_nconsts=len(cond_consts),
        body_nconsts=len(derived.consts) + len(body_consts) + len(consts_t),
    )
    count = len(carry)
    return outs[:count], spread(outs[count:], moved, body_jaxpr.out_avals)


def _with_more_carry(cond_jaxpr: ClosedJaxpr, more: Sequence[ShapedArray]) -> ClosedJaxpr:
    """The condition with more arguments, which it ignores."""
    count = len(cond_jaxpr.in_avals)
    avals = [*cond_jaxpr.in_avals, *(a.strip_weak_type() for a in more)]
    return cond_jaxpr.memo(
        ("more carry", tuple(avals)),
        lambda: trace_to_jaxpr(
            lambda *args: eval_closed(cond_jaxpr, *args[:count]), avals, info_of(cond_jaxpr, "jvp")
        ),
    )


@while_p.def_partial_eval
def _(trace: Any, args: list[Any], unknown: list[bool], **params: Any) -> list[Any]:
    body_jaxpr, cond_jaxpr = params["body_jaxpr"], params["cond_jaxpr"]
    counts = params["cond_nconsts"], params["body_nconsts"]
    uk_cond, uk_body, uk_carry = map(tuple, _parts(unknown, *counts))

    def step(mask: Mask) -> Mask:
        return split_closed(body_jaxpr, (*uk_body, *mask)).out_unknown

    uk_carry = fixed_point(step, uk_carry)
    # The whole loop is staged; what is known of it is computed now as well, where the condition is.
    staged = trace.stage(while_p, args, params)
    (cond_unknown,) = split_closed(cond_jaxpr, (*uk_cond, *uk_carry)).out_unknown
    if cond_unknown or all(uk_carry):
        return staged
    known = iter(_known_loop(args, uk_body, uk_carry, params))
    return [out if u else next(known) for out, u in zip(staged, uk_carry, strict=True)]


def _known_loop(
    args: list[Any], uk_body: Mask, uk_carry: Mask, params: dict[str, Any]
) -> list[Any]:
    """The loop of the known carries alone."""
    cond_jaxpr, body_jaxpr = params["cond_jaxpr"], params["body_jaxpr"]
    cond_consts, body_consts, carry = _parts(args, params["cond_nconsts"], params["body_nconsts"])
    split = split_closed(body_jaxpr, (*uk_body, *uk_carry), uk_carry)
    count = split.out_unknown.count(False)
    known_carry = [c for c, u in zip(carry, uk_carry, strict=True) if not u]

    def body(*xs: Any) -> list[Any]:
        return eval_closed(split.known, *xs)[:count]

    def cond(*xs: Any) -> list[Any]:
        given = iter(xs[len(cond_consts) :])
        # The condition does not use unknown carries: any value will do.
        full = [
            zeros_like_aval(a) if u else next(given)
            for a, u in zip(body_jaxpr.out_avals, uk_carry, strict=True)
        ]
        return eval_closed(cond_jaxpr, *xs[: len(cond_consts)], *full)

    known_body = trace_to_jaxpr(body, split.known.in_avals, info_of(body_jaxpr, "linearize"))
    known_avals = [aval_of(c) for c in known_carry]
    cond_avals = [*cond_jaxpr.in_avals[: len(cond_consts)], *known_avals]
    known_cond = trace_to_jaxpr(cond, cond_avals, info_of(cond_jaxpr, "linearize"))
    known_consts = [c for c, u in zip(body_consts, uk_body, strict=True) if not u]
    return while_p.bind(
        *known_cond.consts,
        *cond_consts,
        *known_body.consts,
        *split.known_consts,
        *known_consts,
        *known_carry,
        cond_jaxpr=known_cond.hoisted(),
        body_jaxpr=known_body.hoisted(),
        cond_nconsts=len(known_cond.consts) + len(cond_consts),
        body_nconsts=len(known_body.consts) + len(split.known_consts) + len(known_consts),
    )


@while_p.def_transpose
def _(cts: Any, *args: Any, **params: Any) -> NoReturn:
    raise NotImplementedError(
        "reverse-mode differentiation (grad, vjp) of a while loop: the number of steps is not "
        "known, so what the backward pass needs cannot be kept. Use fori_loop with trip counts "
        "that are Python integers, or scan; forward mode (jvp, jacfwd) does work.\n"
        f"The loop is at {describe(user_source())}"
    )


# ---------------------------------------------------------------- batching

#: Numbers that an iteration computes in about the time that the loop itself takes for it.
BLOCK = 128


@while_p.def_batch
def _(axis_size: int, args: list[Any], dims: list[Any], **params: Any) -> Any:
    cond_jaxpr, body_jaxpr = params["cond_jaxpr"], params["body_jaxpr"]
    counts = params["cond_nconsts"], params["body_nconsts"]
    m_cond, m_body, m_carry = map(tuple, _parts([d is not None for d in dims], *counts))

    def step(mask: Mask) -> Mask:
        return batch_closed(body_jaxpr, axis_size, (*m_body, *mask)).outs

    m_carry = fixed_point(step, m_carry)
    (pred_mapped,) = batch_closed(cond_jaxpr, axis_size, (*m_cond, *m_carry)).outs
    if pred_mapped:
        m_carry = tuple(True for _ in m_carry)
    wanted = (*m_cond, *m_body, *m_carry)
    operands = [
        place_axis(x, axis_size, d, 0 if w else None)
        for x, d, w in zip(args, dims, wanted, strict=True)
    ]
    block = _lanes_at_once(axis_size, params) if pred_mapped else axis_size
    if 2 * block <= axis_size:
        outs = _in_blocks(int(axis_size), block, operands, wanted, params)
    else:
        outs = _together(axis_size, operands, wanted, pred_mapped, params)
    return outs, [0 if m else None for m in m_carry]


def _lanes_at_once(axis_size: int, params: dict[str, Any]) -> int:
    """How many elements of the mapped axis go through the loop side by side.

    Those run until the last of them has finished, so the fewer the better, as long as they are
    enough to keep vectors busy. All of them, if they see each other; one, if there are effects: an
    element that has finished has none.
    """
    jaxprs = [params["cond_jaxpr"].jaxpr, params["body_jaxpr"].jaxpr]
    name = name_of(axis_size)
    together = name is not None and any(uses_axis(j, name) for j in jaxprs)
    if any(j.effects for j in jaxprs):
        refuse_ordered(*jaxprs)
        if together:
            raise both_ways("while_loop", "condition", "body", name)
        return 1
    if together:
        return axis_size
    sizes = [v.aval.size for j in jaxprs for eqn in all_equations(j) for v in eqn.outvars]
    sizes += [v.aval.size for v in jaxprs[1].outvars]  # what only moves counts, too
    return max(1, BLOCK // max(1, max(sizes, default=1)))


def _in_blocks(
    axis_size: int, block: int, operands: list[Any], mapped: Mask, params: dict[str, Any]
) -> list[Any]:
    """The loop for one block of elements after the other, each with its own number of steps."""
    steps, rest = divmod(axis_size, block)
    full = steps * block

    def of_elements(start: int, stop: int) -> list[Any]:
        return [
            slice_along(x, start, stop, 0) if m else x
            for x, m in zip(operands, mapped, strict=True)
        ]

    def run(*args: Any) -> list[Any]:
        if block == 1:
            return while_p.bind(*args, **params)
        return _together(block, args, mapped, True, params)

    def rows(x: Any) -> Any:
        return reshape(x, (steps, *(() if block == 1 else (block,)), *aval_of(x).shape[1:]))

    given = [rows(x) if m else x for x, m in zip(of_elements(0, full), mapped, strict=True)]
    fixed = [x for x, m in zip(given, mapped, strict=True) if not m]

    def in_order(*args: Any) -> list[Any]:
        own, slices = iter(args[: len(fixed)]), iter(args[len(fixed) :])
        return run(*(next(slices) if m else next(own) for m in mapped))

    xs = [x for x, m in zip(given, mapped, strict=True) if m]
    avals = [aval_of(x) for x in xs]
    in_avals = [*map(aval_of, fixed), *(a.update(shape=a.shape[1:]) for a in avals)]
    body = trace_to_jaxpr(in_order, in_avals, info_of(params["body_jaxpr"], "vmap"))
    outs = scan_p.bind(
        *body.consts,
        *fixed,
        *xs,
        jaxpr=body.hoisted(),
        length=steps,
        reverse=False,
        num_consts=len(body.consts) + len(fixed),
        num_carry=0,
        unroll=1,
    )
    if block > 1:
        outs = [reshape(y, (full, *aval_of(y).shape[2:])) for y in outs]
    if not rest:
        return outs
    last = _together(rest, of_elements(full, axis_size), mapped, True, params)
    return [concatenate(pair, 0) for pair in zip(outs, last, strict=True)]


def _together(
    axis_size: int,
    operands: Sequence[Any],
    mapped: Mask,
    pred_mapped: bool,
    params: dict[str, Any],
) -> list[Any]:
    """One loop for all elements, whose mapped axis comes first in the operands."""
    counts = params["cond_nconsts"], params["body_nconsts"]
    m_cond, m_body, m_carry = map(tuple, _parts(mapped, *counts))
    cond = batch_closed(params["cond_jaxpr"], axis_size, (*m_cond, *m_carry), (pred_mapped,))
    body = batch_closed(params["body_jaxpr"], axis_size, (*m_body, *m_carry), m_carry)
    cond_consts, body_consts, carry = _parts(operands, *counts)
    cond_consts, body_consts = [*cond.consts, *cond_consts], [*body.consts, *body_consts]
    cond_closed, body_closed = cond.closed, body.closed
    if pred_mapped:
        body_consts = [*cond_consts, *body_consts]
        body_closed = _selecting_body(cond_closed, body_closed, len(cond_consts), len(carry))
        cond_closed = _any_left(cond_closed)
    return while_p.bind(
        *cond_consts,
        *body_consts,
        *carry,
        cond_jaxpr=cond_closed,
        body_jaxpr=body_closed,
        cond_nconsts=len(cond_consts),
        body_nconsts=len(body_consts),
    )


def _any_left(cond: ClosedJaxpr) -> ClosedJaxpr:
    """The condition that some element goes on."""

    def fun(*args: Any) -> list[Any]:
        (pred,) = eval_closed(cond, *args)
        return [reduce_or(pred, (0,))]

    return cond.memo("any left", lambda: trace_to_jaxpr(fun, cond.in_avals, info_of(cond, "vmap")))


def _selecting_body(
    cond: ClosedJaxpr, body: ClosedJaxpr, cond_count: int, carry_count: int
) -> ClosedJaxpr:
    """The body that moves only the elements that go on."""
    body_count = len(body.in_avals) - carry_count

    def fun(*args: Any) -> list[Any]:
        cond_consts, rest = args[:cond_count], args[cond_count:]
        carry = rest[body_count:]
        (pred,) = eval_closed(cond, *cond_consts, *carry)
        new = eval_closed(body, *rest)
        return [
            select_n(broadcast_in_dim(pred, aval_of(n).shape, (0,)), old, n)
            for old, n in zip(carry, new, strict=True)
        ]

    avals = [*cond.in_avals[:cond_count], *body.in_avals]
    return trace_to_jaxpr(fun, avals, info_of(body, "vmap"))
