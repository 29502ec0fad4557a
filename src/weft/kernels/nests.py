"""Loop nests as schedules see them: an innermost loop, the loops around it, their accesses."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

from weft.core.extents import typical
from weft.kernels.ir import For, Kernel, Load, Stmt, Store, outputs_of
from weft.kernels.machine import Machine
from weft.structs import struct
from weft.terms.affine import Axis, linearize

_ACCESSES = Load | Store


@struct(frozen=True)
class Nest:
    """An innermost loop with the loops around it, outermost first."""

    path: tuple[For, ...]

    @property
    def leaf(self) -> For:
        return self.path[-1]

    @property
    def iterations(self) -> int:
        """How often the innermost body runs."""
        return prod(loop.trip for loop in self.path)

    def is_scalar(self, kernel: Kernel) -> bool:
        """Whether nothing in the innermost loop lies across lanes yet."""
        body = self.leaf.body
        tiles = {a for s in body for v in outputs_of(s) for a in v.axes}
        stored = {a for s in body if isinstance(s, Store) for i in s.index for a in i.axes()}
        return kernel.lanes.isdisjoint(tiles | stored)

    def accesses(self) -> Iterator[Load | Store]:
        """Loads and stores of the innermost loop and of the loops around it."""
        return (access for access, _ in self.weighted())

    def weighted(self) -> Iterator[tuple[Load | Store, float]]:
        """The accesses, each with how often it happens per iteration of the innermost loop."""
        often = 1.0
        for loop in reversed(self.path):
            for stmt in loop.body:
                if isinstance(stmt, _ACCESSES):
                    yield stmt, often
            often /= max(1, typical(loop.trip))


def nests_of(kernel: Kernel, inside: Axis | None = None) -> list[Nest]:
    """The nests of a kernel, in order; their loops ``inside`` the one over an axis, if given."""
    found: list[Nest] = []

    def visit(body: list[Stmt], path: tuple[For, ...]) -> None:
        for stmt in body:
            if isinstance(stmt, For):
                inner = (*path, stmt)
                if not any(isinstance(s, For) for s in stmt.body):
                    found.append(Nest(inner))
                visit(stmt.body, inner)

    visit(kernel.body, ())
    if inside is None:
        return found
    return [n for n in (_inner(nest, inside) for nest in found) if n.path]


def _inner(nest: Nest, inside: Axis) -> Nest:
    around = [loop.axis for loop in nest.path]
    return Nest(nest.path[around.index(inside) + 1 :]) if inside in around else nest


def stride_of(access: Load | Store, axis: Axis) -> int | None:
    """Elements between neighbours along ``axis``; None when they are not evenly spaced."""
    linear = linearize(access.index, access.buffer.element_strides)
    if not linear.is_affine_in(axis):
        return None
    return linear.coefficient(axis)


def lanes_of(nest: Nest, machine: Machine) -> int:
    """Elements of a vector register: of the narrowest type accessed, of at least 4 bytes."""
    sizes = [a.buffer.dtype.itemsize for a in nest.accesses() if a.buffer.dtype.itemsize >= 4]
    return machine.vector_bytes // max(4, min(sizes, default=4))


def vector_axes(nest: Nest, lanes: int) -> list[Axis]:
    """Axes of the nest, the best to vectorise first."""
    scored: list[tuple[float, int, Axis]] = []
    for depth, loop in enumerate(nest.path):
        if typical(loop.trip) < 2:
            continue
        score = 0.0
        for access, often in nest.weighted():
            stride = stride_of(access, loop.axis)
            weight = often * (1.5 if isinstance(access, Store) else 1.0)
            if stride is not None and abs(stride) == 1:
                score += weight
            elif stride != 0:
                score -= weight
        used = min(1.0, typical(loop.trip) / lanes)
        scored.append((score * used if score > 0 else score, depth, loop.axis))
    scored.sort(key=lambda s: (-s[0], -s[1]))
    return [axis for _, _, axis in scored]
