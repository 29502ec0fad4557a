"""Jaxprs: typed, functional programs in A-normal form.

A jaxpr is a list of equations over variables that are assigned once::

    { lambda a:f32[3]; b:f32[3]. let c:f32[3] = mul a b in (c,) }

``constvars`` come before the semicolon, ``invars`` after it. A :class:`ClosedJaxpr` holds the
values of the constvars. Jaxprs are not changed once built.

The jaxprs inside the parameters of higher-order primitives (``jit``, ``cond``, ``while``, ``scan``,
…) have no constants: what they close over are operands of the equation.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Any, TypeVar

from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive
from weft.core.source import Source

T = TypeVar("T")
NO_EFFECTS: frozenset[str] = frozenset()


class Var:
    """A variable: an identity and a type."""

    __slots__ = ("aval",)

    def __init__(self, aval: ShapedArray):
        self.aval = aval

    def __repr__(self) -> str:
        return f"Var(id={id(self):#x}):{self.aval}"


class Literal:
    """A scalar written in place of a variable."""

    __slots__ = ("aval", "value")

    def __init__(self, value: Any, aval: ShapedArray):
        if aval.shape:
            raise ValueError(f"a literal is a scalar, not of type {aval}")
        self.value = value
        self.aval = aval

    def __repr__(self) -> str:
        return f"{self.value}:{self.aval}"


Atom = Var | Literal


class Eqn:
    """One equation: ``outvars = primitive[params] invars``."""

    __slots__ = ("effects", "invars", "outvars", "params", "primitive", "source")

    def __init__(
        self,
        primitive: Primitive,
        invars: list[Atom],
        outvars: list[Var],
        params: dict[str, Any],
        effects: frozenset[str] = NO_EFFECTS,
        source: Source | None = None,
    ):
        self.primitive = primitive
        self.invars = invars
        self.outvars = outvars
        self.params = params
        self.effects = effects
        self.source = source

    def replace(self, **changes: Any) -> Eqn:
        """The same equation with some fields changed."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return Eqn(**{**fields, **changes})

    def __repr__(self) -> str:
        from weft.core.print import format_eqn

        return format_eqn(self)


class Jaxpr:
    """An open program. ``memo`` holds what was derived from it (compiled code, derivatives)."""

    __slots__ = (
        "__weakref__",
        "_memo",
        "constvars",
        "debug_name",
        "effects",
        "eqns",
        "invars",
        "outvars",
    )

    def __init__(
        self,
        constvars: list[Var],
        invars: list[Var],
        outvars: list[Atom],
        eqns: list[Eqn],
        effects: frozenset[str] | None = None,
        debug_name: str = "",
    ):
        self.constvars = constvars
        self.invars = invars
        self.outvars = outvars
        self.eqns = eqns
        if effects is None:
            effects = NO_EFFECTS.union(*(eqn.effects for eqn in eqns)) if eqns else NO_EFFECTS
        self.effects = effects
        self.debug_name = debug_name
        self._memo: dict[Hashable, Any] = {}

    @property
    def in_avals(self) -> list[ShapedArray]:
        """Types of the arguments."""
        return [v.aval for v in self.invars]

    @property
    def out_avals(self) -> list[ShapedArray]:
        """Types of the results."""
        return [v.aval for v in self.outvars]

    def memo(self, key: Hashable, build: Callable[[], T]) -> T:
        """``build()``, computed once per ``key`` and kept as long as this jaxpr lives."""
        if key not in self._memo:  # not try: an error of `build` should not follow a KeyError
            self._memo[key] = build()
        return self._memo[key]

    def __str__(self) -> str:
        from weft.core.print import format_jaxpr

        return format_jaxpr(self)

    __repr__ = __str__


class ClosedJaxpr:
    """A jaxpr with the values of its constvars."""

    __slots__ = ("__weakref__", "consts", "jaxpr")

    def __init__(self, jaxpr: Jaxpr, consts: list[Any] | tuple[Any, ...] = ()):
        if len(consts) != len(jaxpr.constvars):
            raise ValueError(f"{len(jaxpr.constvars)} constvars but {len(consts)} constants")
        self.jaxpr = jaxpr
        self.consts = list(consts)

    @property
    def in_avals(self) -> list[ShapedArray]:
        """Types of the arguments."""
        return self.jaxpr.in_avals

    @property
    def out_avals(self) -> list[ShapedArray]:
        """Types of the results."""
        return self.jaxpr.out_avals

    @property
    def eqns(self) -> list[Eqn]:
        """The equations."""
        return self.jaxpr.eqns

    @property
    def effects(self) -> frozenset[str]:
        """The side effects."""
        return self.jaxpr.effects

    def memo(self, key: Hashable, build: Callable[[], T]) -> T:
        """As :meth:`Jaxpr.memo`."""
        return self.jaxpr.memo(key, build)

    def hoisted(self) -> ClosedJaxpr:
        """The same program with its constants as leading arguments."""
        jaxpr = self.jaxpr
        if not jaxpr.constvars:
            return self
        return jaxpr.memo("hoisted", lambda: ClosedJaxpr(_hoist(jaxpr)))

    def __str__(self) -> str:
        return str(self.jaxpr)

    __repr__ = __str__


def _hoist(jaxpr: Jaxpr) -> Jaxpr:
    invars = [*jaxpr.constvars, *jaxpr.invars]
    return Jaxpr([], invars, jaxpr.outvars, jaxpr.eqns, jaxpr.effects, jaxpr.debug_name)


def subjaxprs(params: dict[str, Any]) -> Iterator[tuple[str, ClosedJaxpr]]:
    """The jaxprs in an equation's parameters, with the parameter's name."""
    for name, value in params.items():
        values = value if isinstance(value, tuple | list) else (value,)
        for item in values:
            if isinstance(item, ClosedJaxpr):
                yield name, item


def all_equations(jaxpr: Jaxpr) -> Iterator[Eqn]:
    """Every equation, those of jaxprs in parameters included."""
    stack = [jaxpr]
    while stack:
        for eqn in stack.pop().eqns:
            yield eqn
            stack.extend(closed.jaxpr for _, closed in subjaxprs(eqn.params))


def dce(jaxpr: Jaxpr, used_outputs: list[bool] | None = None) -> Jaxpr:
    """Drops outputs that are not used and equations that nothing needs; arguments stay.

    Equations with side effects are kept.
    """
    outvars = jaxpr.outvars
    if used_outputs is not None:
        outvars = [v for v, used in zip(outvars, used_outputs, strict=True) if used]
    live = {id(v) for v in outvars}
    kept: list[Eqn] = []
    for eqn in reversed(jaxpr.eqns):
        if eqn.effects or any(id(v) in live for v in eqn.outvars):
            kept.append(eqn)
            live.update(id(v) for v in eqn.invars)
    kept.reverse()
    if len(kept) == len(jaxpr.eqns) and len(outvars) == len(jaxpr.outvars):
        return jaxpr
    return Jaxpr(jaxpr.constvars, jaxpr.invars, outvars, kept, None, jaxpr.debug_name)


def last_uses(jaxpr: Jaxpr) -> list[list[Var]]:
    """For each equation, the variables that nothing after it needs (freed by interpreters)."""
    return jaxpr.memo("last_uses", lambda: _last_uses(jaxpr))


def _last_uses(jaxpr: Jaxpr) -> list[list[Var]]:
    seen = {id(v) for v in jaxpr.outvars}
    result: list[list[Var]] = []
    for eqn in reversed(jaxpr.eqns):
        dying = []
        for v in (*eqn.invars, *eqn.outvars):
            if isinstance(v, Var) and id(v) not in seen:
                seen.add(id(v))
                dying.append(v)
        result.append(dying)
    result.reverse()
    return result
