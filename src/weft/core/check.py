"""The checker of jaxprs: variables defined once and before use, types as the rules say."""

from __future__ import annotations

from typing import Any, NoReturn

from weft.core.avals import ShapedArray, aval_of
from weft.core.deep import deep
from weft.core.jaxpr import ClosedJaxpr, Eqn, Jaxpr, Literal, Var, subjaxprs
from weft.core.print import Names, format_eqn
from weft.errors import JaxprError

_NEIGHBOURS = 3


@deep
def check_jaxpr(jaxpr: Jaxpr | ClosedJaxpr) -> None:
    """Raises :class:`JaxprError` that shows the wrong equation with its neighbours."""
    if isinstance(jaxpr, ClosedJaxpr):
        _check_consts(jaxpr)
        jaxpr = jaxpr.jaxpr
    names = Names()
    defined: set[int] = set()
    for var in (*jaxpr.constvars, *jaxpr.invars):
        _ = names[var]
        if id(var) in defined:
            raise JaxprError(f"the argument {names[var]}:{var.aval} is bound twice")
        defined.add(id(var))
    for number, eqn in enumerate(jaxpr.eqns):
        try:
            _check_eqn(eqn, defined, names)
        except (JaxprError, TypeError, ValueError) as error:
            _fail(jaxpr, number, str(error))
        for var in eqn.outvars:
            _ = names[var]  # named in the order the printer names them
    for out in jaxpr.outvars:
        if isinstance(out, Var) and id(out) not in defined:
            raise JaxprError(f"the result {names[out]}:{out.aval} is not defined in\n{jaxpr}")


def _check_consts(closed: ClosedJaxpr) -> None:
    for var, value in zip(closed.jaxpr.constvars, closed.consts, strict=True):
        found = aval_of(value)
        if not same_type(found, var.aval):
            raise JaxprError(f"a constant of type {found} is given for a constvar {var.aval}")


def same_type(a: ShapedArray, b: ShapedArray) -> bool:
    """Equal up to weakness."""
    return a.shape == b.shape and a.dtype == b.dtype


def _check_eqn(eqn: Eqn, defined: set[int], names: Names) -> None:
    for atom in eqn.invars:
        if isinstance(atom, Literal):
            continue
        if id(atom) not in defined:
            raise JaxprError(f"{names[atom]} is used before it is defined")
    for name, sub in subjaxprs(eqn.params):
        if sub.consts:
            raise JaxprError(f"the nested jaxpr '{name}' has constants; they must be operands")
        check_jaxpr(sub)
    expected = eqn.primitive.out_avals(*(v.aval for v in eqn.invars), **eqn.params)
    if len(expected) != len(eqn.outvars):
        raise JaxprError(f"{len(expected)} results expected, {len(eqn.outvars)} variables bound")
    for var, aval in zip(eqn.outvars, expected, strict=True):
        if id(var) in defined:
            raise JaxprError(f"{names[var]} is defined twice")
        if not same_type(var.aval, aval):
            raise JaxprError(f"{names[var]} has type {var.aval} but the rule gives {aval}")
        defined.add(id(var))


def _fail(jaxpr: Jaxpr, number: int, reason: str) -> NoReturn:
    names: Any = Names()
    for var in (*jaxpr.constvars, *jaxpr.invars):
        _ = names[var]
    lines = []
    for i, eqn in enumerate(jaxpr.eqns[: number + _NEIGHBOURS + 1]):
        text = format_eqn(eqn, names, 6)
        if i >= number - _NEIGHBOURS:
            lines.append(f"  {'->' if i == number else '  '} {text}")
    eqn = jaxpr.eqns[number]
    where = f"\nfrom {eqn.source}" if eqn.source else ""
    shown = "\n".join(lines)
    raise JaxprError(
        f"equation {number} ('{eqn.primitive.name}') is wrong: {reason}\n{shown}{where}"
    )
