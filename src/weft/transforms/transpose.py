"""Transposition: a linear jaxpr run backwards.

Given cotangents of its results, the equations are visited from last to first; each gives its
operands their share. Equations that do not depend on a linear argument are computed forwards
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from weft.core.jaxpr import Atom, Eqn, Jaxpr, Literal, Var
from weft.core.linear import UndefPrimal, Zero
from weft.core.source import at_source, describe
from weft.errors import MissingRuleError, NonlinearError
from weft.primitives.arithmetic import add


def backward_pass(
    jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """Cotangents of the arguments that are ``UndefPrimal`` (``Zero`` for the others).

    ``args`` holds a value or an ``UndefPrimal`` for each argument; ``cotangents`` one for each
    result, possibly ``Zero``.
    """
    env: dict[int, Any] = {}
    for var, value in zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *args), strict=True):
        if type(value) is not UndefPrimal:
            env[id(var)] = value
    linear_eqns = _compute_nonlinear(jaxpr, env)

    found: dict[int, Any] = {}
    for out, ct in zip(jaxpr.outvars, cotangents, strict=True):
        _accumulate(found, env, out, ct)
    for eqn in reversed(linear_eqns):
        cts = [found.pop(id(v), None) for v in eqn.outvars]
        if any(ct is not None for ct in cts):
            _transpose_eqn(eqn, cts, env, found)
    return [
        found.get(id(var), Zero(var.aval.strip_weak_type()))
        if type(arg) is UndefPrimal
        else Zero(var.aval.strip_weak_type())
        for var, arg in zip(jaxpr.invars, args, strict=True)
    ]


def _compute_nonlinear(jaxpr: Jaxpr, env: dict[int, Any]) -> list[Eqn]:
    """Computes what does not depend on a linear argument into ``env``; gives the rest."""
    linear = []
    for eqn in jaxpr.eqns:
        if any(isinstance(v, Var) and id(v) not in env for v in eqn.invars):
            linear.append(eqn)
            continue
        with at_source(eqn.source):
            results = eqn.primitive.bind(*(_read(env, v) for v in eqn.invars), **eqn.params)
        if not eqn.primitive.multiple_results:
            results = (results,)
        for var, value in zip(eqn.outvars, results, strict=True):
            env[id(var)] = value
    return linear


def _read(env: dict[int, Any], atom: Atom) -> Any:
    if isinstance(atom, Literal):
        return atom.value
    return env[id(atom)] if id(atom) in env else UndefPrimal(atom.aval)


def _accumulate(found: dict[int, Any], env: dict[int, Any], atom: Atom, ct: Any) -> None:
    if ct is None or type(ct) is Zero or isinstance(atom, Literal) or id(atom) in env:
        return
    previous = found.get(id(atom))
    found[id(atom)] = ct if previous is None else add(previous, ct)


def _transpose_eqn(eqn: Eqn, cts: list[Any], env: dict[int, Any], found: dict[int, Any]) -> None:
    cts = [
        Zero(v.aval.strip_weak_type()) if ct is None else ct
        for v, ct in zip(eqn.outvars, cts, strict=True)
    ]
    args = [_read(env, v) for v in eqn.invars]
    with at_source(eqn.source):
        try:
            rule = eqn.primitive.rule("transpose")
        except MissingRuleError as error:
            raise MissingRuleError(f"{error}\nAt {describe(eqn.source)}") from None
        try:
            results = rule(cts if eqn.primitive.multiple_results else cts[0], *args, **eqn.params)
        except NonlinearError:
            shown = ", ".join(str(v.aval) for v in eqn.invars)
            raise NonlinearError(
                f"'{eqn.primitive}' of {shown} is not linear: more than one operand depends on the "
                f"arguments to transpose\nAt {describe(eqn.source)}"
            ) from None
        for atom, result in zip(eqn.invars, results, strict=True):
            _accumulate(found, env, atom, result)
