"""Jaxprs by structure: equal keys mean the same program, whoever traced it.

Variables are numbered in the order they appear; constants are part of the key by their bytes.
Where the equations were written is not, nor is how they are differentiated.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np

from weft.core.deep import deep
from weft.core.jaxpr import Atom, ClosedJaxpr, Jaxpr, Literal, Var
from weft.core.primitive import Primitive

#: Programs with more bytes of captured arrays have no key: it would keep copies of them alive.
MAX_CONSTANT_BYTES = 4096


class DerivativeRule:
    """Base of parameters that only derivatives need: programs that differ in them are compiled to
    the same code, and have equal keys."""

    __slots__ = ()


#: The structure, of numbers and text, and what some of the numbers stand for.
JaxprKey = tuple[Hashable, tuple[Hashable, ...]]


def jaxpr_key(closed: ClosedJaxpr) -> JaxprKey | None:
    """The key of ``closed``; None if it has parameters or constants that have no key."""
    writer = _Writer()
    try:
        structure = writer.closed(closed)
    except TypeError:  # something unhashable among the parameters
        return None
    return structure, tuple(writer.numbers)


def key_digest(key: JaxprKey | None) -> str | None:
    """A key as a hash that is the same in every process; None if it has no such form."""
    import hashlib  # takes long to import

    if key is None:
        return None
    structure, meanings = key
    data = io.BytesIO(repr(structure).encode())
    data.seek(0, io.SEEK_END)
    pickler = _Stable(data)
    pickler.fast = True  # by value: whether two parts are one object is no matter of structure
    try:
        pickler.dump(meanings)
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


def params_key(params: Mapping[str, Any]) -> JaxprKey:
    """The key of the parameters of an equation.

    Raises TypeError for parameters that have none, or that are programs (theirs take long to make).
    """
    if any(map(_has_programs, params.values())):
        raise TypeError("programs among the parameters")
    writer = _Writer()
    structure = writer.params(params)
    return structure, tuple(writer.numbers)


def _has_programs(value: Any) -> bool:
    if isinstance(value, _SEQUENCES):
        return any(map(_has_programs, value))
    return isinstance(value, Jaxpr | ClosedJaxpr)


_SEQUENCES = tuple, list
_BY_BYTES = float, complex, np.generic, np.ndarray


class _Writer:
    """Writes keys. Types, primitives and other objects are numbered as they appear: they are often
    the same, and take long to compare, hash or pickle. So are programs inside, or the keys of deep
    ones would be deep."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}

    def number(self, thing: Any) -> int:
        return self.numbers.setdefault(thing, len(self.numbers))

    def closed(self, closed: ClosedJaxpr) -> Hashable:
        return self.jaxpr(closed.jaxpr), tuple(map(self.constant, closed.consts))

    @deep
    def jaxpr(self, jaxpr: Jaxpr) -> Hashable:
        variables: dict[Var, int] = {}
        tokens: list[Hashable] = []
        number = self.number

        def bind(bound: list[Var]) -> None:
            for v in bound:
                variables[v] = len(variables)
                tokens.append(number(v.aval))

        def use(atom: Atom) -> Hashable:
            if isinstance(atom, Literal):
                return number(atom.aval), self.constant(atom.value)
            return variables[atom]

        bind(jaxpr.constvars)
        bind(jaxpr.invars)
        for eqn in jaxpr.eqns:
            tokens.append((number(eqn.primitive), self.params(eqn.params), len(eqn.outvars)))
            tokens.append(tuple(map(use, eqn.invars)))
            bind(eqn.outvars)
        outs = tuple(map(use, jaxpr.outvars))
        return len(jaxpr.constvars), len(jaxpr.invars), tuple(tokens), outs

    def params(self, params: Mapping[str, Any]) -> Hashable:
        return tuple([(name, self.param(params[name])) for name in sorted(params)])

    def param(self, value: Any) -> Hashable:
        """A parameter with its type, as 1, 1.0 and True are equal."""
        kind = type(value)
        if kind is int or kind is str or value is None:  # nothing else is written like these
            return value
        if kind is tuple or isinstance(value, _SEQUENCES):
            return self.number(kind), *map(self.param, value)
        if isinstance(value, ClosedJaxpr):
            return self.number(kind), self.number(self.closed(value))
        if isinstance(value, Jaxpr):
            return self.number(kind), self.number(self.jaxpr(value))
        if isinstance(value, DerivativeRule):
            return (self.number(kind),)
        if isinstance(value, _BY_BYTES):
            return self.number(kind), self.constant(value)
        return (self.number((kind, value)),)

    def constant(self, value: Any) -> Hashable:
        shape, dtype, weak_type, data = constant_key(value)
        return shape, self.number(dtype), weak_type, data


def constant_key(value: Any) -> tuple[Hashable, Hashable, Hashable, Hashable]:
    """The bytes, which tell -0.0 from 0.0; small arrays and scalars only."""
    if getattr(value, "nbytes", 0) > MAX_CONSTANT_BYTES:
        raise TypeError("a large constant has no key")
    data = np.asarray(value)
    if data.dtype.hasobject:
        raise TypeError("an object has no key")
    return data.shape, data.dtype, getattr(value, "weak_type", None), data.tobytes()
