"""Jaxprs by structure: equal keys mean the same program, whoever traced it.

Variables are numbered in the order they appear; constants are part of the key by their bytes.
Where the equations were written is not.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from weft.core.jaxpr import Atom, ClosedJaxpr, Jaxpr, Literal, Var
from weft.core.primitive import Primitive

#: Programs with more bytes of captured arrays have no key: it would keep copies of them alive.
MAX_CONSTANT_BYTES = 4096


def jaxpr_key(closed: ClosedJaxpr) -> Hashable | None:
    """The key of ``closed``; None if it has parameters or constants that have no key."""
    try:
        key = _closed(closed)
        hash(key)
    except TypeError:  # something unhashable among the parameters
        return None
    return key


def jaxpr_digest(closed: ClosedJaxpr) -> str | None:
    """The key as a hash that is the same in every process; None if it has no such form."""
    import hashlib  # takes long to import

    key = jaxpr_key(closed)
    if key is None:
        return None
    data = io.BytesIO()
    pickler = _Stable(data)
    pickler.fast = True  # by value: whether two parts are one object is no matter of structure
    try:
        pickler.dump(key)
    except (TypeError, AttributeError, pickle.PicklingError):  # something has no name elsewhere
        return None
    return hashlib.sha256(data.getbuffer()).hexdigest()


class _Stable(pickle.Pickler):
    """Writes what is the same in another process: no functions, whose code may differ."""

    def reducer_override(self, value: Any) -> Any:
        if isinstance(value, Primitive):
            return str, (value.name,)
        if callable(value) and not isinstance(value, type):
            raise TypeError("code among the parameters")
        return NotImplemented


def params_key(params: Mapping[str, Any]) -> Hashable:
    """The key of the parameters of an equation.

    Raises TypeError for parameters that have none, or that are programs (theirs take long to make).
    """
    if any(isinstance(p, Jaxpr | ClosedJaxpr) for p in params.values()):
        raise TypeError("programs among the parameters")
    return tuple((name, _param(value)) for name, value in sorted(params.items()))


def _closed(closed: ClosedJaxpr) -> Hashable:
    return _jaxpr(closed.jaxpr), tuple(map(constant_key, closed.consts))


def _jaxpr(jaxpr: Jaxpr) -> Hashable:
    numbers: dict[Var, int] = {}
    tokens: list[Hashable] = []

    def bind(variables: list[Var]) -> None:
        for v in variables:
            numbers[v] = len(numbers)
            tokens.append(v.aval)

    def use(atom: Atom) -> Hashable:
        if isinstance(atom, Literal):
            return atom.aval, constant_key(atom.value)
        return numbers[atom]

    bind(jaxpr.constvars)
    bind(jaxpr.invars)
    for eqn in jaxpr.eqns:
        params = tuple((name, _param(value)) for name, value in sorted(eqn.params.items()))
        tokens.append((eqn.primitive, params, tuple(map(use, eqn.invars)), len(eqn.outvars)))
        bind(eqn.outvars)
    return len(jaxpr.constvars), len(jaxpr.invars), tuple(tokens), tuple(map(use, jaxpr.outvars))


def _param(value: Any) -> Hashable:
    """A parameter with its type, as 1, 1.0 and True are equal."""
    if isinstance(value, ClosedJaxpr):
        return ClosedJaxpr, _closed(value)
    if isinstance(value, Jaxpr):
        return Jaxpr, _jaxpr(value)
    if isinstance(value, tuple | list):
        return type(value), tuple(map(_param, value))
    if isinstance(value, float | complex | np.generic | np.ndarray):
        return type(value), constant_key(value)
    return type(value), value


def constant_key(value: Any) -> Hashable:
    """The bytes, which tell -0.0 from 0.0; small arrays and scalars only."""
    if getattr(value, "nbytes", 0) > MAX_CONSTANT_BYTES:
        raise TypeError("a large constant has no key")
    data = np.asarray(value)
    if data.dtype.hasobject:
        raise TypeError("an object has no key")
    return data.shape, data.dtype, getattr(value, "weak_type", None), data.tobytes()
