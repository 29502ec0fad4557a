"""The ``scan`` primitive: a loop of known length that carries values and collects results.

``scan(*consts, *carry, *xs)`` runs ``jaxpr(consts, carry, x) -> (carry, y)`` for each slice ``x``
of the leading axis of ``xs`` (from the end with ``reverse``), and gives the last carry and the
stacked ``y``.

The transformations need a fixed point: which parts of the carry have a tangent, are unknown or
are mapped depends on the body, which maps such carries to more of them until nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import Atom, ClosedJaxpr, Jaxpr
from weft.core.linear import is_undef
from weft.core.primitive import Primitive
from weft.core.staging import trace_to_jaxpr
from weft.primitives.arithmetic import add
from weft.primitives.shaping import instantiate, zeros_like_aval
from weft.terms.control_flow import lower_scan
from weft.transforms.call import check_operands
from weft.transforms.closed import (
    Mask,
    Split,
    batch_closed,
    info_of,
    jvp_closed,
    moved_of,
    present,
    split_closed,
    spread,
    transpose_closed,
)
from weft.transforms.jvp import is_differentiable
from weft.transforms.vmap import place_axis

scan_p = Primitive("scan", multiple_results=True)


def _sliced(aval: ShapedArray) -> ShapedArray:
    return aval.update(shape=aval.shape[1:])


def _stacked(aval: ShapedArray, length: int) -> ShapedArray:
    return aval.update(shape=(length, *aval.shape))


def _parts(items: Sequence[Any], num_consts: int, num_carry: int) -> tuple[list, list, list]:
    """Splits into constants, carry and the rest (``xs``)."""
    end = num_consts + num_carry
    return list(items[:num_consts]), list(items[num_consts:end]), list(items[end:])


def fixed_point(step: Callable[[Mask], Mask], start: Mask) -> Mask:
    """The least mask above ``start`` that ``step`` does not enlarge."""
    mask = start
    while True:
        larger = tuple(a or b for a, b in zip(mask, step(mask), strict=True))
        if larger == mask:
            return mask
        mask = larger


@scan_p.def_type
def _(
    *avals: ShapedArray,
    jaxpr: ClosedJaxpr,
    length: int,
    reverse: bool,
    num_consts: int,
    num_carry: int,
    unroll: int,
) -> list[ShapedArray]:
    consts, carry, xs = _parts(avals, num_consts, num_carry)
    for x in xs:
        if not x.shape or x.shape[0] != length:
            raise ValueError(f"scan of length {length} over an operand of type {x}")
    check_operands("scan", jaxpr, (*consts, *carry, *map(_sliced, xs)))
    for want, got in zip(carry, jaxpr.out_avals, strict=False):
        if want.shape != got.shape or want.dtype != got.dtype:
            raise TypeError(f"scan: the body makes {got} of a carry of type {want}")
    ys = jaxpr.out_avals[num_carry:]
    return [*jaxpr.out_avals[:num_carry], *(_stacked(y, length) for y in ys)]


@scan_p.def_effects
def _(*, jaxpr: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return jaxpr.effects


@scan_p.def_numpy
def _(
    *args: np.ndarray,
    jaxpr: ClosedJaxpr,
    length: int,
    reverse: bool,
    num_consts: int,
    num_carry: int,
    unroll: int,
) -> list[np.ndarray]:
    consts, carry, xs = _parts(args, num_consts, num_carry)
    ys = [np.empty((length, *a.shape), a.dtype) for a in jaxpr.out_avals[num_carry:]]
    for i in reversed(range(length)) if reverse else range(length):
        outs = numpy_closed(jaxpr, *consts, *carry, *(x[i] for x in xs))
        carry = outs[:num_carry]
        for y, out in zip(ys, outs[num_carry:], strict=True):
            y[i] = out
    return [*carry, *ys]


# ---------------------------------------------------------------- forward mode


@scan_p.def_lower_complex
@scan_p.def_lower
def _(
    ctx: Any,
    *args: Any,
    jaxpr: ClosedJaxpr,
    length: int,
    reverse: bool,
    num_consts: int,
    num_carry: int,
    unroll: int,
) -> list[Any]:
    consts, carry, xs = _parts(args, num_consts, num_carry)
    return lower_scan(ctx, jaxpr, consts, carry, xs, length, reverse)


@scan_p.def_jvp
def _(primals: list[Any], tangents: list[Any], **params: Any) -> Any:
    jaxpr, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    moved_consts, moved_carry, moved_xs = map(
        tuple, _parts(moved_of(tangents), num_consts, num_carry)
    )
    count = len(jaxpr.out_avals)

    def step(carry: Mask) -> Mask:
        return jvp_closed(jaxpr, (*moved_consts, *carry, *moved_xs)).outs[:num_carry]

    moved_carry = fixed_point(step, moved_carry)
    wanted = (*moved_carry, *(False for _ in range(count - num_carry)))
    derived = jvp_closed(jaxpr, (*moved_consts, *moved_carry, *moved_xs), wanted)

    c_t, carry_t, xs_t = _parts(tangents, num_consts, num_carry)
    carry_t = [instantiate(t) for t, m in zip(carry_t, moved_carry, strict=True) if m]
    c_t, xs_t = present(c_t), present(xs_t)
    consts, carry, xs = _parts(primals, num_consts, num_carry)
    groups = [consts, carry, xs, c_t, carry_t, xs_t]
    body = rearranged(
        derived.closed,
        len(derived.consts),
        [len(g) for g in groups],
        in_order=[0, 3, 1, 4, 2, 5],
        out_sizes=[num_carry, count - num_carry, sum(derived.outs[:num_carry])],
        out_order=[0, 2, 1, 3],
    )
    outs = scan_p.bind(
        *derived.consts,
        *(x for g in (0, 3, 1, 4, 2, 5) for x in groups[g]),
        **{
            **params,
            "jaxpr": body,
            "num_consts": len(derived.consts) + len(consts) + len(c_t),
            "num_carry": num_carry + len(carry_t),
        },
    )
    carry_out, rest = outs[:num_carry], outs[num_carry:]
    carry_t_out, rest = rest[: len(carry_t)], rest[len(carry_t) :]
    ys, ys_t = rest[: count - num_carry], rest[count - num_carry :]
    out_avals = [
        *jaxpr.out_avals[:num_carry],
        *(_stacked(a, params["length"]) for a in jaxpr.out_avals[num_carry:]),
    ]
    return [*carry_out, *ys], spread([*carry_t_out, *ys_t], derived.outs, out_avals)


def rearranged(
    closed: ClosedJaxpr,
    leading: int,
    in_sizes: list[int],
    in_order: list[int],
    out_sizes: list[int],
    out_order: list[int],
) -> ClosedJaxpr:
    """The jaxpr with groups of arguments and results in another order.

    The first ``leading`` arguments stay; ``in_order`` lists the groups in their new order. The last
    group of results is what ``out_sizes`` leaves over.
    """
    jaxpr = closed.jaxpr
    ins = _grouped(jaxpr.invars[leading:], in_sizes)
    rest = len(jaxpr.outvars) - sum(out_sizes)
    outs = _grouped(jaxpr.outvars, [*out_sizes, rest])
    invars = [*jaxpr.invars[:leading], *(v for g in in_order for v in ins[g])]
    outvars = [v for g in out_order for v in outs[g]]
    return ClosedJaxpr(Jaxpr([], invars, outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name))


def _grouped(items: Sequence[Any], sizes: list[int]) -> list[list[Any]]:
    groups, start = [], 0
    for size in sizes:
        groups.append(list(items[start : start + size]))
        start += size
    return groups


# ---------------------------------------------------------------- linearization


@scan_p.def_partial_eval
def _(trace: Any, args: list[Any], unknown: list[bool], **params: Any) -> list[Any]:
    jaxpr, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    uk_consts, uk_carry, uk_xs = map(tuple, _parts(unknown, num_consts, num_carry))
    count = len(jaxpr.out_avals)

    def step(carry: Mask) -> Mask:
        return split_closed(jaxpr, (*uk_consts, *carry, *uk_xs)).out_unknown[:num_carry]

    uk_carry = fixed_point(step, uk_carry)
    forced = (*uk_carry, *(False for _ in range(count - num_carry)))
    mask = (*uk_consts, *uk_carry, *uk_xs)
    split = split_closed(jaxpr, mask, forced)

    known_args = [a for a, u in zip(args, mask, strict=True) if not u]
    unknown_args = [a for a, u in zip(args, mask, strict=True) if u]
    known_counts = [m.count(False) for m in (uk_consts, uk_carry, uk_xs)]
    unknown_counts = [m.count(True) for m in (uk_consts, uk_carry, uk_xs)]
    plan = _residual_plan(split, known_counts)
    known_outs, stacked = _known_loop(split, plan, known_args, known_counts, params)

    sources = [(r.kind, r.index) for r in split.residuals]
    const_residuals = [known_args[sources[k][1]] for k in plan.const_places]
    uk_c, uk_s, uk_x = _grouped(unknown_args, unknown_counts)
    staged = trace.stage(
        scan_p,
        [
            *split.unknown_consts,
            *const_residuals,
            *uk_c,
            *uk_s,  # a carry that becomes unknown inside may start from a known value
            *(stacked[sources[k]] for k in plan.xs_places),
            *uk_x,
        ],
        {
            **params,
            "jaxpr": _unknown_body(split, plan, unknown_counts),
            "num_consts": len(split.unknown_consts) + len(const_residuals) + len(uk_c),
            "num_carry": len(uk_s),
        },
    )
    unknown_iter, known_iter = iter(staged), iter(known_outs)
    return [next(unknown_iter) if u else next(known_iter) for u in split.out_unknown]


def _known_loop(
    split: Split,
    plan: _ResidualPlan,
    known_args: list[Any],
    known_counts: list[int],
    params: dict[str, Any],
) -> tuple[list[Any], dict[tuple[str, int], Any]]:
    """Runs the known part; its results, and the values at every step of what may be a residual."""
    consts, carried, _ = known_counts
    outs: list[Any] = []
    if split.known.out_avals or plan.stacked_args:
        outs = scan_p.bind(
            *split.known_consts,
            *known_args,
            **{
                **params,
                "jaxpr": _with_stacked_args(split, plan, len(split.known_consts)),
                "num_consts": len(split.known_consts) + consts,
                "num_carry": carried,
            },
        )
    own = split.out_unknown.count(False)
    sizes = [own, len(split.new_avals), len(plan.stacked_args), len(plan.stacked_outs)]
    known_outs, new, stacked_args, stacked_outs = _grouped(outs, sizes)
    stacked = {("out", i): known_outs[i] for i in range(carried, own)}
    stacked |= {("new", i): x for i, x in enumerate(new)}
    stacked |= {("arg", i): x for i, x in zip(plan.stacked_args, stacked_args, strict=True)}
    stacked |= {("out", i): x for i, x in zip(plan.stacked_outs, stacked_outs, strict=True)}
    stacked |= {("arg", i): known_args[i] for i in range(consts + carried, len(known_args))}
    return known_outs, stacked


class _ResidualPlan:
    """Where residuals enter the unknown loop: as constants (loop-invariant) or stacked, one a step.

    ``stacked_args`` are known carry arguments, and ``stacked_outs`` known carry results, whose
    value at each step must be collected by the known loop.
    """

    def __init__(self) -> None:
        self.const_places: list[int] = []
        self.xs_places: list[int] = []
        self.stacked_args: list[int] = []
        self.stacked_outs: list[int] = []


def _residual_plan(split: Split, known_counts: list[int]) -> _ResidualPlan:
    plan = _ResidualPlan()
    consts, carried = known_counts[0], known_counts[1]
    for place, residual in enumerate(split.residuals):
        if residual.kind == "arg" and residual.index < consts:
            plan.const_places.append(place)
            continue
        plan.xs_places.append(place)
        if residual.kind == "arg" and residual.index < consts + carried:
            plan.stacked_args.append(residual.index)
        elif residual.kind == "out" and residual.index < carried:
            plan.stacked_outs.append(residual.index)
    return plan


def _with_stacked_args(split: Split, plan: _ResidualPlan, leading: int) -> ClosedJaxpr:
    """The known body that also gives the carries needed at each step."""
    jaxpr = split.known.jaxpr
    extra: list[Atom] = [jaxpr.invars[leading + i] for i in plan.stacked_args]
    extra += [jaxpr.outvars[i] for i in plan.stacked_outs]
    if not extra:
        return split.known
    outvars = [*jaxpr.outvars, *extra]
    return ClosedJaxpr(
        Jaxpr([], jaxpr.invars, outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name)
    )


def _unknown_body(split: Split, plan: _ResidualPlan, unknown_counts: list[int]) -> ClosedJaxpr:
    """The unknown part, its arguments as constants, carry and slices."""
    jaxpr = split.unknown.jaxpr
    sizes = [len(split.unknown_consts), len(split.residuals), *unknown_counts]
    consts, residuals, uk_consts, uk_carry, uk_xs = _grouped(jaxpr.invars, sizes)
    invars = [
        *consts,
        *(residuals[k] for k in plan.const_places),
        *uk_consts,
        *uk_carry,
        *(residuals[k] for k in plan.xs_places),
        *uk_xs,
    ]
    return ClosedJaxpr(
        Jaxpr([], invars, jaxpr.outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name)
    )


# ---------------------------------------------------------------- transposition


@scan_p.def_transpose
def _(cts: list[Any], *args: Any, **params: Any) -> list[Any]:
    jaxpr, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    linear = tuple(map(is_undef, args))
    lin_consts, lin_carry, lin_xs = map(tuple, _parts(linear, num_consts, num_carry))
    # A carry may start from a known value (a zero tangent made explicit) and still be linear.
    carry_avals = jaxpr.in_avals[num_consts : num_consts + num_carry]
    discrete = [a for a in carry_avals if not is_differentiable(a)]
    if discrete:
        raise NotImplementedError(
            f"scan cannot be transposed with a carry of type {discrete[0]}: every carry must "
            "depend linearly on the arguments to transpose"
        )
    body = _transposed_body(jaxpr, lin_consts, num_carry, lin_xs)
    const_avals = [a for a, lin in zip(jaxpr.in_avals, lin_consts, strict=False) if lin]
    ct_carry = list(map(instantiate, cts[:num_carry]))
    ct_ys = list(map(instantiate, cts[num_carry:]))
    known_consts = [a for a in args[:num_consts] if not is_undef(a)]
    known_xs = [a for a in args[num_consts + num_carry :] if not is_undef(a)]
    zeros = [zeros_like_aval(a.strip_weak_type()) for a in const_avals]
    outs = scan_p.bind(
        *body.consts,
        *known_consts,
        *zeros,
        *ct_carry,
        *ct_ys,
        *known_xs,
        **{
            **params,
            "jaxpr": body.hoisted(),
            "num_consts": len(body.consts) + len(known_consts),
            "num_carry": len(zeros) + num_carry,
            "reverse": not params["reverse"],
        },
    )
    given = iter(outs[: len(zeros)])
    ct_consts = [next(given) if lin else None for lin in lin_consts]
    ct_init = [ct if lin else None for ct, lin in zip(outs[len(zeros) :], lin_carry, strict=False)]
    given = iter(outs[len(zeros) + num_carry :])
    ct_xs = [next(given) if lin else None for lin in lin_xs]
    return [*ct_consts, *ct_init, *ct_xs]


def _transposed_body(
    jaxpr: ClosedJaxpr, lin_consts: Mask, num_carry: int, lin_xs: Mask
) -> ClosedJaxpr:
    """(known consts; cts of linear consts, of the carry; cts of y, known x) -> new ones."""
    key = ("scan transpose", lin_consts, num_carry, lin_xs)
    return jaxpr.memo(key, lambda: _transpose_body(jaxpr, lin_consts, num_carry, lin_xs))


def _transpose_body(
    jaxpr: ClosedJaxpr, lin_consts: Mask, num_carry: int, lin_xs: Mask
) -> ClosedJaxpr:
    linear = (*lin_consts, *(True for _ in range(num_carry)), *lin_xs)
    everything = tuple(True for _ in jaxpr.out_avals)
    derived = transpose_closed(jaxpr, linear, everything, instantiated=True)
    num_known, num_lin = lin_consts.count(False), lin_consts.count(True)
    num_ys, num_known_xs = len(jaxpr.out_avals) - num_carry, lin_xs.count(False)

    def body(*args: Any) -> list[Any]:
        consts, ct_consts, ct_carry, ct_ys, xs = _grouped(
            args, [num_known, num_lin, num_carry, num_ys, num_known_xs]
        )
        outs = eval_closed(derived.closed, *derived.consts, *consts, *xs, *ct_carry, *ct_ys)
        new_consts, rest = outs[:num_lin], outs[num_lin:]
        return [*map(add, ct_consts, new_consts), *rest]

    consts_in, carry_in, xs_in = _parts(jaxpr.in_avals, len(lin_consts), num_carry)
    strong = [a.strip_weak_type() for a in jaxpr.out_avals]
    in_avals = [
        *(a for a, lin in zip(consts_in, lin_consts, strict=True) if not lin),
        *(a.strip_weak_type() for a, lin in zip(consts_in, lin_consts, strict=True) if lin),
        *(a.strip_weak_type() for a in carry_in),
        *strong[num_carry:],
        *(a for a, lin in zip(xs_in, lin_xs, strict=True) if not lin),
    ]
    return trace_to_jaxpr(body, in_avals, info_of(jaxpr, "grad"))


# ---------------------------------------------------------------- batching


@scan_p.def_batch
def _(axis_size: int, args: list[Any], dims: list[Any], **params: Any) -> Any:
    jaxpr, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    mapped = tuple(d is not None for d in dims)
    m_consts, m_carry, m_xs = map(tuple, _parts(mapped, num_consts, num_carry))

    def step(carry: Mask) -> Mask:
        return batch_closed(jaxpr, axis_size, (*m_consts, *carry, *m_xs)).outs[:num_carry]

    m_carry = fixed_point(step, m_carry)
    forced = (*m_carry, *(False for _ in jaxpr.out_avals[num_carry:]))
    derived = batch_closed(jaxpr, axis_size, (*m_consts, *m_carry, *m_xs), forced)
    consts, carry, xs = _parts(list(zip(args, dims, strict=True)), num_consts, num_carry)
    operands = [
        *(place_axis(x, axis_size, d, 0 if d is not None else None) for x, d in consts),
        *(
            place_axis(x, axis_size, d, 0 if m else None)
            for (x, d), m in zip(carry, m_carry, strict=True)
        ),
        # The loop takes slices of the leading axis; the mapped one comes after it.
        *(place_axis(x, axis_size, d, 1 if d is not None else None) for x, d in xs),
    ]
    outs = scan_p.bind(
        *derived.consts,
        *operands,
        **{
            **params,
            "jaxpr": derived.closed,
            "num_consts": len(derived.consts) + num_consts,
        },
    )
    carry_dims = [0 if m else None for m in derived.outs[:num_carry]]
    ys_dims = [1 if m else None for m in derived.outs[num_carry:]]
    return outs, [*carry_dims, *ys_dims]
