"""What happens inside a kernel of the user: reads, writes and loops as equations, in order.

The body of a kernel is a jaxpr without arguments or results. Arrays are *references* by number; an
access names the elements it touches, for each dimension ``(const, ((axis, k), …), size)``: they
start at ``const + Σ k·axis``, ``size`` of them; the dimension is dropped where ``size`` is None.
Loops are marked by `begin_p` and `end_p`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.jaxpr import Eqn, Jaxpr, Literal
from weft.core.primitive import Primitive
from weft.errors import JaxprError
from weft.structs import struct

Dim = tuple[int, tuple[tuple[int, int], ...], int | None]
Index = tuple[Dim, ...]

_IN_ORDER = frozenset({"tile"})

read_p = Primitive("tile_read")
write_p = Primitive("tile_write", multiple_results=True)
position_p = Primitive("tile_position")
stage_p = Primitive("tile_stage")
begin_p = Primitive("tile_begin", multiple_results=True)
end_p = Primitive("tile_end", multiple_results=True)


def sizes(index: Index) -> tuple[int, ...]:
    """The shape of the tile at ``index``."""
    return tuple(size for _, _, size in index if size is not None)


@read_p.def_type
def _(*, ref: int, dtype: np.dtype, index: Index) -> ShapedArray:
    return ShapedArray(sizes(index), dtype)


@write_p.def_type
def _(value: ShapedArray, *, ref: int, index: Index) -> list[ShapedArray]:
    if value.shape != sizes(index):
        raise TypeError(f"a tile of shape {value.shape} is written where {sizes(index)} is")
    return []


@position_p.def_type
def _(*, const: int, terms: tuple[tuple[int, int], ...]) -> ShapedArray:
    return ShapedArray((), np.int32)


@stage_p.def_type
def _(value: ShapedArray) -> ShapedArray:
    return ShapedArray(value.shape, value.dtype)


@begin_p.def_type
def _(**params: Any) -> list[ShapedArray]:
    return []


@end_p.def_type
def _(**params: Any) -> list[ShapedArray]:
    return []


for _primitive in (read_p, write_p, begin_p, end_p):
    _primitive.def_effects(lambda **params: _IN_ORDER)


@struct(eq=False)
class Loop:
    """A loop with what is in it; ``axis`` is the number that index expressions know it by."""

    axis: int
    name: str
    lo: int
    hi: int
    step: int
    kind: str
    items: list[Item]
    source: Any = None


Item = Loop | Eqn


def items_of(jaxpr: Jaxpr) -> list[Item]:
    """The equations of a body, with loops as such."""

    def build() -> list[Item]:
        top: list[Item] = []
        stack = [top]
        for eqn in jaxpr.eqns:
            if eqn.primitive is begin_p:
                loop = Loop(items=[], source=eqn.source, **eqn.params)
                stack[-1].append(loop)
                stack.append(loop.items)
            elif eqn.primitive is end_p:
                stack.pop()
            else:
                stack[-1].append(eqn)
        if stack != [top]:
            raise JaxprError("a loop of the kernel does not end")
        return top

    return jaxpr.memo("tile items", build)


def run_body(jaxpr: Jaxpr, consts: Sequence[Any], memory: Mapping[int, np.ndarray]) -> None:
    """Runs a body in NumPy, one program after the other, on the arrays of its references."""
    env = {id(v): np.asarray(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}
    at: dict[int, int] = {}

    def place(index: Index) -> tuple[Any, ...]:
        found: list[Any] = []
        for const, terms, size in index:
            start = const + sum(k * at[axis] for axis, k in terms)
            found.append(start if size is None else slice(start, start + size))
        return tuple(found)

    def read(atom: Any) -> np.ndarray:
        if isinstance(atom, Literal):
            return np.asarray(atom.value, atom.aval.dtype)
        return env[id(atom)]

    def run(items: Sequence[Item]) -> None:
        for item in items:
            if isinstance(item, Loop):
                for n in range(item.lo, item.hi, item.step):
                    at[item.axis] = n
                    run(item.items)
                continue
            eqn, params = item, item.params
            results: Sequence[Any]
            if eqn.primitive is read_p:
                results = [np.array(memory[params["ref"]][place(params["index"])])]
            elif eqn.primitive is write_p:
                memory[params["ref"]][place(params["index"])] = read(eqn.invars[0])
                results = []
            elif eqn.primitive is position_p:
                start = params["const"] + sum(k * at[axis] for axis, k in params["terms"])
                results = [np.array(start, np.int32)]
            elif eqn.primitive is stage_p:
                results = [read(eqn.invars[0])]
            else:
                found = eqn.primitive.rule("numpy")(*map(read, eqn.invars), **params)
                results = found if eqn.primitive.multiple_results else [found]
            for var, value in zip(eqn.outvars, results, strict=True):
                env[id(var)] = np.asarray(value)

    with np.errstate(all="ignore"):
        run(items_of(jaxpr))
