"""Transformations of jaxprs, for the rules of higher-order primitives.

Each runs the jaxpr under the transformation while staging what comes out. Results are kept with the
jaxpr they come from, so a loop that differentiates a jitted function does it once. All jaxprs here
take their constants as leading arguments, whose values (``consts``) come beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from weft.core.avals import ShapedArray
from weft.core.axis_names import name_of
from weft.core.interpret import eval_closed
from weft.core.jaxpr import ClosedJaxpr, Jaxpr
from weft.core.linear import UndefPrimal, Zero
from weft.core.staging import FunctionInfo, StagedTracer, StagingTrace, trace_to_jaxpr
from weft.core.trace import set_trace
from weft.primitives.shaping import instantiate
from weft.structs import struct
from weft.transforms.jvp import jvp_flat, tangent_aval
from weft.transforms.linearize import PartialTrace
from weft.transforms.transpose import backward_pass
from weft.transforms.vmap import batch_flat, place_axis

Mask = tuple[bool, ...]


class Derived(NamedTuple):
    """A jaxpr without constants, the values of its leading arguments, and which results it has.

    ``outs`` is the mask of results that have a tangent (jvp), or that are mapped (batch).
    """

    closed: ClosedJaxpr
    consts: list[Any]
    outs: Mask


def info_of(closed: ClosedJaxpr, transform: str) -> FunctionInfo:
    """Names for messages from a jaxpr."""
    return FunctionInfo(closed.jaxpr.debug_name or "<jaxpr>", tuple, transform)


def _staged(
    fun: Callable[..., Sequence[Any]], avals: Sequence[ShapedArray], info: FunctionInfo
) -> tuple[ClosedJaxpr, list[Any]]:
    closed = trace_to_jaxpr(fun, avals, info)
    return closed.hoisted(), closed.consts


def jvp_closed(closed: ClosedJaxpr, moved: Mask, instantiated: Mask | None = None) -> Derived:
    """Forward mode of a jaxpr.

    Takes the arguments and then the tangents of those in ``moved``; gives the results and then the
    tangents of those that have one, or are marked in ``instantiated``.
    """
    return closed.memo(("jvp", moved, instantiated), lambda: _jvp(closed, moved, instantiated))


def _jvp(closed: ClosedJaxpr, moved: Mask, instantiated: Mask | None) -> Derived:
    avals = closed.in_avals
    count = len(avals)
    outs_moved: list[bool] = []

    def fun(*args: Any) -> list[Any]:
        primals, given = args[:count], iter(args[count:])
        tangents = [
            next(given) if m else Zero(tangent_aval(a)) for a, m in zip(avals, moved, strict=True)
        ]
        outs, out_tangents = jvp_flat(lambda *xs: eval_closed(closed, *xs), primals, tangents)
        if instantiated is not None:
            out_tangents = [
                instantiate(t) if wanted else t
                for t, wanted in zip(out_tangents, instantiated, strict=True)
            ]
        outs_moved.extend(type(t) is not Zero for t in out_tangents)
        return [*outs, *(t for t in out_tangents if type(t) is not Zero)]

    in_avals = [*avals, *(tangent_aval(a) for a, m in zip(avals, moved, strict=True) if m)]
    jaxpr, consts = _staged(fun, in_avals, info_of(closed, "jvp"))
    return Derived(jaxpr, consts, tuple(outs_moved))


@struct(frozen=True)
class Residual:
    """Where a value that the unknown part needs comes from.

    ``kind`` is ``"arg"`` (known argument ``index``), ``"out"`` (known result ``index``, counting
    only known results) or ``"new"`` (additional result ``index`` of the known part).
    """

    kind: str
    index: int


class Split(NamedTuple):
    """A jaxpr split into a known and an unknown part.

    ``known`` takes ``known_consts`` and the known arguments, and gives the known results and new
    residuals. ``unknown`` takes ``unknown_consts``, the residuals and the unknown arguments, and
    gives the unknown results.
    """

    known: ClosedJaxpr
    known_consts: list[Any]
    unknown: ClosedJaxpr
    unknown_consts: list[Any]
    residuals: tuple[Residual, ...]
    out_unknown: Mask
    new_avals: list[ShapedArray]

    def residual_values(self, args: Sequence[Any], known_outs: Sequence[Any]) -> list[Any]:
        """The residuals, from the known arguments and all results of the known part."""
        outs = self.out_unknown.count(False)
        values = {"arg": args, "out": known_outs, "new": known_outs[outs:]}
        return [values[r.kind][r.index] for r in self.residuals]


def split_closed(closed: ClosedJaxpr, unknown: Mask, forced: Mask | None = None) -> Split:
    """Partial evaluation of a jaxpr with some arguments unknown.

    Results marked in ``forced`` are given by the unknown part even if they are known.
    """
    return closed.memo(("split", unknown, forced), lambda: _split(closed, unknown, forced))


def _split(closed: ClosedJaxpr, unknown: Mask, forced: Mask | None) -> Split:
    info = info_of(closed, "linearize")
    known_trace, unknown_trace = StagingTrace(info), StagingTrace(info)
    partial = PartialTrace(known_trace, unknown_trace)
    args = [
        (unknown_trace if u else known_trace).new_arg(aval)
        for aval, u in zip(closed.in_avals, unknown, strict=True)
    ]
    known_args = [arg for arg, u in zip(args, unknown, strict=True) if not u]
    try:
        with set_trace(partial):
            outs = eval_closed(closed, *args)
        forced = forced or (False,) * len(outs)
        out_unknown = tuple(partial.is_unknown(o) or f for o, f in zip(outs, forced, strict=True))
        unknown_part = unknown_trace.finish(
            [o for o, u in zip(outs, out_unknown, strict=True) if u]
        )
        known_outs = [o for o, u in zip(outs, out_unknown, strict=True) if not u]
        # Residuals are tracers of the known trace; anything else is a constant of the program.
        needed = [c for c in unknown_part.consts if _belongs(c, known_trace)]
        constants = [c for c in unknown_part.consts if not _belongs(c, known_trace)]
        residuals, new = _place_residuals(needed, known_args, known_outs)
        known_part = known_trace.finish([*known_outs, *new])
    finally:
        known_trace.finished = unknown_trace.finished = partial.finished = True
    return Split(
        known_part.hoisted(),
        known_part.consts,
        _reordered(unknown_part, known_trace),
        constants,
        tuple(residuals),
        out_unknown,
        [tracer.aval for tracer in new],
    )


def linear_part(closed: ClosedJaxpr) -> tuple[Jaxpr, list[Any]]:
    """What depends on the arguments, and the values that it takes in front of them.

    The rest (the counter of a loop) is computed now, so that only what is linear is transposed.
    """
    consts = closed.consts
    mask = (*(False for _ in consts), *(True for _ in closed.in_avals))
    outs = tuple(True for _ in closed.out_avals)
    split = split_closed(closed.hoisted(), mask, outs)
    known = eval_closed(split.known, *split.known_consts, *consts)
    return split.unknown.jaxpr, [*split.unknown_consts, *split.residual_values(consts, known)]


def _belongs(value: Any, trace: StagingTrace) -> bool:
    return isinstance(value, StagedTracer) and value._trace is trace


def _reordered(unknown: ClosedJaxpr, known_trace: StagingTrace) -> ClosedJaxpr:
    """Constants first, then residuals, then the arguments."""
    jaxpr = unknown.jaxpr
    pairs = list(zip(jaxpr.constvars, unknown.consts, strict=True))
    constants = [v for v, c in pairs if not _belongs(c, known_trace)]
    residuals = [v for v, c in pairs if _belongs(c, known_trace)]
    invars = [*constants, *residuals, *jaxpr.invars]
    return ClosedJaxpr(
        Jaxpr([], invars, jaxpr.outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name)
    )


def _place_residuals(
    needed: list[Any], known_args: list[Any], known_outs: list[Any]
) -> tuple[list[Residual], list[Any]]:
    """A source for each residual, without making one a result twice, or an argument a result."""
    arg_places = {id(a._var): i for i, a in enumerate(known_args)}
    out_places = {id(o._var): i for i, o in enumerate(known_outs) if isinstance(o, StagedTracer)}
    residuals: list[Residual] = []
    new: list[Any] = []
    for tracer in needed:
        var = id(tracer._var)
        if var in arg_places:
            residuals.append(Residual("arg", arg_places[var]))
        elif var in out_places:
            residuals.append(Residual("out", out_places[var]))
        else:
            residuals.append(Residual("new", len(new)))
            new.append(tracer)
    return residuals, new


def transpose_closed(
    closed: ClosedJaxpr, linear: Mask, cts_given: Mask, instantiated: bool = False
) -> Derived:
    """The transpose of a jaxpr with respect to the arguments in ``linear``.

    Takes the other arguments and then the cotangents of the results in ``cts_given``; gives the
    cotangents of linear arguments: those that are not zero (marked in ``outs``), or all when
    ``instantiated``.
    """
    key = ("transpose", linear, cts_given, instantiated)
    return closed.memo(key, lambda: _transpose(closed, linear, cts_given, instantiated))


def _transpose(closed: ClosedJaxpr, linear: Mask, cts_given: Mask, instantiated: bool) -> Derived:
    nonlinear_count = linear.count(False)
    given: list[bool] = []

    def fun(*args: Any) -> list[Any]:
        known, cts = iter(args[:nonlinear_count]), iter(args[nonlinear_count:])
        full = [
            UndefPrimal(a) if lin else next(known)
            for a, lin in zip(closed.in_avals, linear, strict=True)
        ]
        full_cts = [
            next(cts) if g else Zero(tangent_aval(a))
            for a, g in zip(closed.out_avals, cts_given, strict=True)
        ]
        results = backward_pass(closed.jaxpr, closed.consts, full, full_cts)
        results = [r for r, lin in zip(results, linear, strict=True) if lin]
        if instantiated:
            results = list(map(instantiate, results))
        given.extend(type(r) is not Zero for r in results)
        return [r for r in results if type(r) is not Zero]

    in_avals = [a for a, lin in zip(closed.in_avals, linear, strict=True) if not lin]
    in_avals += [tangent_aval(a) for a, g in zip(closed.out_avals, cts_given, strict=True) if g]
    jaxpr, consts = _staged(fun, in_avals, info_of(closed, "grad"))
    return Derived(jaxpr, consts, tuple(given))


def batch_closed(
    closed: ClosedJaxpr, axis_size: int, mapped: Mask, forced: Mask | None = None
) -> Derived:
    """A jaxpr over a leading axis of the arguments in ``mapped``.

    Results that depend on them, or are marked in ``forced``, have that axis first (mask ``outs``).
    """
    key = ("batch", axis_size, name_of(axis_size), mapped, forced)
    return closed.memo(key, lambda: _batch(closed, axis_size, mapped, forced))


def _batch(closed: ClosedJaxpr, axis_size: int, mapped: Mask, forced: Mask | None) -> Derived:
    out_mapped: list[bool] = []

    def fun(*args: Any) -> list[Any]:
        dims = [0 if m else None for m in mapped]
        outs, out_dims = batch_flat(
            lambda *xs: eval_closed(closed, *xs), axis_size, args, dims, info_of(closed, "vmap")
        )
        wants = [
            dim is not None or (forced is not None and forced[i]) for i, dim in enumerate(out_dims)
        ]
        out_mapped.extend(wants)
        return [
            place_axis(out, axis_size, dim, 0 if want else None)
            for out, dim, want in zip(outs, out_dims, wants, strict=True)
        ]

    avals = [
        a.update(shape=(int(axis_size), *a.shape)) if m else a
        for a, m in zip(closed.in_avals, mapped, strict=True)
    ]
    jaxpr, consts = _staged(fun, avals, info_of(closed, "vmap"))
    return Derived(jaxpr, consts, tuple(out_mapped))


def mapped_first(
    axis_size: int, args: Sequence[Any], dims: Sequence[int | None]
) -> tuple[list[Any], Mask]:
    """The operands with their mapped axis in front, and which have one."""
    placed = [
        x if d is None else place_axis(x, axis_size, d, 0) for x, d in zip(args, dims, strict=True)
    ]
    return placed, tuple(d is not None for d in dims)


def moved_of(tangents: Sequence[Any]) -> Mask:
    """Which tangents are not symbolic zeros."""
    return tuple(type(t) is not Zero for t in tangents)


def present(tangents: Sequence[Any]) -> list[Any]:
    """The tangents that are not symbolic zeros."""
    return [t for t in tangents if type(t) is not Zero]


def spread(values: Sequence[Any], given: Sequence[bool], avals: Sequence[ShapedArray]) -> list[Any]:
    """``values`` where ``given``, symbolic zeros of the other types elsewhere."""
    found = iter(values)
    return [next(found) if g else Zero(tangent_aval(a)) for a, g in zip(avals, given, strict=True)]


def cut(args: Sequence[Any], counts: Sequence[int]) -> list[list[Any]]:
    """``args`` in parts of so many each, and the rest."""
    parts, start = [], 0
    for count in (*counts, len(args) - sum(counts)):
        parts.append(list(args[start : start + count]))
        start += count
    return parts
