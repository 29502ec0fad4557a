"""Prints jaxprs in JAX's notation.

::

    { lambda a:f32[3]; b:f32[]. let
        c:f32[3] = broadcast_in_dim[broadcast_dimensions=() shape=(3,)] b
        d:f32[3] = mul a c
      in (d,) }

Variables are named in the order of binding; a nested jaxpr starts again at ``a``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core.deep import deep
from weft.core.dtypes import SHORT_NAMES, short_name
from weft.core.jaxpr import Atom, ClosedJaxpr, Eqn, Jaxpr, Literal, Var


class Names:
    """Hands out ``a``, ``b``, …, ``z``, ``ba``, … in the order variables are met."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}

    def __getitem__(self, var: Var) -> str:
        name = self._names.get(id(var))
        if name is None:
            name = self._names[id(var)] = _letters(len(self._names))
        return name


def _letters(number: int) -> str:
    letters = ""
    while True:
        number, digit = divmod(number, 26)
        letters = chr(ord("a") + digit) + letters
        if number == 0:
            return letters


@deep
def format_jaxpr(jaxpr: Jaxpr | ClosedJaxpr, indent: int = 0) -> str:
    """The program as text; lines after the first are indented by ``indent``."""
    if isinstance(jaxpr, ClosedJaxpr):
        jaxpr = jaxpr.jaxpr
    names = Names()
    consts = _binders(jaxpr.constvars, names)
    args = _binders(jaxpr.invars, names)
    head = f"{{ lambda {consts}; {args}. let".replace("lambda ;", "lambda ;")
    lines = [format_eqn(eqn, names, indent + 4) for eqn in jaxpr.eqns]
    outs = format_tuple(jaxpr.outvars, names)
    pad = " " * indent
    if not lines:
        return f"{head} in {outs} }}"
    body = "\n".join(f"{pad}    {line}" for line in lines)
    return f"{head}\n{body}\n{pad}  in {outs} }}"


def format_tuple(atoms: list[Any], names: Names) -> str:
    """``(a, b)``, or ``(a,)`` for one."""
    inner = ", ".join(format_atom(v, names) for v in atoms)
    return f"({inner},)" if len(atoms) == 1 else f"({inner})"


def _binders(variables: list[Var], names: Names) -> str:
    return " ".join(f"{names[v]}:{v.aval}" for v in variables)


def format_atom(atom: Atom, names: Names) -> str:
    """A variable's name, or a literal with its type."""
    if isinstance(atom, Literal):
        return f"{_format_scalar(atom.value)}:{atom.aval}"
    return names[atom]


def format_eqn(eqn: Eqn, names: Names | None = None, indent: int = 0) -> str:
    """One equation; nested jaxprs take more lines, indented by ``indent``."""
    names = names or Names()
    operands = " ".join(format_atom(v, names) for v in eqn.invars)
    params = _format_params(eqn, indent)
    right = f"{eqn.primitive.name}{params} {operands}".rstrip()
    left = _binders(eqn.outvars, names)
    return f"{left} = {right}" if left else right


def _format_params(eqn: Eqn, indent: int) -> str:
    if not eqn.params:
        return ""
    nested = any(_is_jaxpr(value) for value in eqn.params.values())
    items = [
        f"{name}={format_param(value, indent + 2)}"
        for name, value in sorted(eqn.params.items())
        if value is not None or not nested
    ]
    if not nested:
        return f"[{' '.join(items)}]"
    pad = " " * (indent + 2)
    inner = "\n".join(pad + item for item in items)
    return f"[\n{inner}\n{' ' * indent}]"


def _is_jaxpr(value: Any) -> bool:
    if isinstance(value, tuple | list):
        return any(map(_is_jaxpr, value))
    return isinstance(value, Jaxpr | ClosedJaxpr)


def format_param(value: Any, indent: int = 0) -> str:
    """A parameter: jaxprs laid out, dtypes by name, functions by name, the rest by ``repr``."""
    if isinstance(value, Jaxpr | ClosedJaxpr):
        return format_jaxpr(value, indent)
    if isinstance(value, tuple | list) and any(map(_is_jaxpr, value)):
        inner = "\n".join(" " * (indent + 2) + format_jaxpr(v, indent + 2) for v in value)
        return f"(\n{inner}\n{' ' * indent})"
    if isinstance(value, np.dtype):
        return value.name if value in SHORT_NAMES else short_name(value)
    if isinstance(value, np.generic):
        return str(value)
    if callable(value) and hasattr(value, "__name__"):
        return value.__name__
    return repr(value)


def _format_scalar(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = value[()]
    if isinstance(value, np.generic):
        value = value.item()
    return repr(value)
