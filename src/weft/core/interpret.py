"""Two interpreters of jaxprs.

:func:`eval_jaxpr` binds every equation again, so it runs under any trace: that is how
transformations go through nested programs. :func:`eval_jaxpr_numpy` is the meaning: each
primitive's NumPy definition, one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core.deep import deep
from weft.core.jaxpr import Atom, ClosedJaxpr, Jaxpr, Literal, last_uses
from weft.core.source import at_source


@deep
def eval_jaxpr(jaxpr: Jaxpr, consts: Sequence[Any], *args: Any) -> list[Any]:
    """Runs a jaxpr in the current trace; the results as a list."""
    env: dict[int, Any] = {}

    def read(atom: Atom) -> Any:
        return atom.value if isinstance(atom, Literal) else env[id(atom)]

    _enter(env, jaxpr, consts, args)
    for eqn, dying in zip(jaxpr.eqns, last_uses(jaxpr), strict=True):
        with at_source(eqn.source):
            results = eqn.primitive.bind(*map(read, eqn.invars), **eqn.params)
        if not eqn.primitive.multiple_results:
            results = (results,)
        for var, value in zip(eqn.outvars, results, strict=True):
            env[id(var)] = value
        for var in dying:
            env.pop(id(var), None)
    return [read(v) for v in jaxpr.outvars]


def _enter(env: dict[int, Any], jaxpr: Jaxpr, consts: Sequence[Any], args: Sequence[Any]) -> None:
    if len(args) != len(jaxpr.invars):
        raise TypeError(f"the program takes {len(jaxpr.invars)} arguments, got {len(args)}")
    for var, value in zip(jaxpr.constvars, consts, strict=True):
        env[id(var)] = value
    for var, value in zip(jaxpr.invars, args, strict=True):
        env[id(var)] = value


@deep
def eval_jaxpr_numpy(jaxpr: Jaxpr, consts: Sequence[Any], *args: Any) -> list[np.ndarray]:
    """Runs a jaxpr by the NumPy meaning of its primitives; the results as NumPy arrays."""
    env: dict[int, Any] = {}

    def read(atom: Atom) -> np.ndarray:
        if isinstance(atom, Literal):
            return np.asarray(atom.value, atom.aval.dtype)
        return env[id(atom)]

    _enter(env, jaxpr, consts, args)
    for var in (*jaxpr.constvars, *jaxpr.invars):
        env[id(var)] = np.asarray(env[id(var)], var.aval.dtype)
    with np.errstate(all="ignore"):
        for eqn, dying in zip(jaxpr.eqns, last_uses(jaxpr), strict=True):
            results = eqn.primitive.rule("numpy")(*map(read, eqn.invars), **eqn.params)
            if not eqn.primitive.multiple_results:
                results = (results,)
            for var, value in zip(eqn.outvars, results, strict=True):
                env[id(var)] = np.asarray(value)
            for var in dying:
                env.pop(id(var), None)
    return [read(v) for v in jaxpr.outvars]


def eval_closed(closed: ClosedJaxpr, *args: Any) -> list[Any]:
    """:func:`eval_jaxpr` of a closed jaxpr."""
    return eval_jaxpr(closed.jaxpr, closed.consts, *args)


def numpy_closed(closed: ClosedJaxpr, *args: Any) -> list[np.ndarray]:
    """:func:`eval_jaxpr_numpy` of a closed jaxpr."""
    return eval_jaxpr_numpy(closed.jaxpr, closed.consts, *args)
