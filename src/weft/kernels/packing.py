"""Kernels with fewer buffers: several arrays of one type in one, at offsets.

Devices bind only so many buffers to a kernel. What is beyond goes, smallest first, into buffers
that are put together before the launch, and taken apart after it::

    kernel(a, b, c -> x)  →  kernel(ab, c -> x)     ab = a then b
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from weft.kernels.ir import Buffer, For, Kernel, Load, Stmt, Store
from weft.structs import struct
from weft.terms.affine import Affine, linearize


@struct(frozen=True, eq=False)
class Packed:
    """A kernel of few parameters.

    ``parts`` has, for each of them, the places of what it consists of among the parameters of the
    original kernel, with offsets in elements; what is one of these itself has one part.
    """

    kernel: Kernel
    parts: tuple[tuple[tuple[int, int], ...], ...]


def pack(kernel: Kernel, most: int) -> Packed:
    """``kernel`` with ``most`` parameters at the most, as far as packing gets there."""
    groups = [[b] for b in kernel.params]
    while len(groups) > most:
        together = _smallest_pair(groups)
        if together is None:
            break
        a, b = together
        groups.remove(b)
        a += b
    places = {b: n for n, b in enumerate(kernel.params)}
    moved: dict[Buffer, tuple[Buffer, int]] = {}
    params, parts = [], []
    for group in groups:
        own, end = [], 0
        for buffer in group:
            own.append((places[buffer], end))
            end += buffer.extent
        parts.append(tuple(own))
        if len(group) == 1:
            params.append(group[0])
            continue
        first = group[0]
        whole = Buffer(f"{first.name}_{len(group)}", (end,), first.dtype, first.role)
        params.append(whole)
        moved.update((b, (whole, at)) for b, (_, at) in zip(group, own, strict=True))
    if not moved:
        return Packed(kernel, tuple(parts))
    body = _moved(kernel.body, moved)
    return Packed(kernel.evolve(params=tuple(params), body=body), tuple(parts))


def _smallest_pair(groups: Sequence[list[Buffer]]) -> tuple[list[Buffer], list[Buffer]] | None:
    """The two groups of one kind that are the least to copy."""
    kinds: dict[object, list[list[Buffer]]] = {}
    for group in groups:
        kinds.setdefault((group[0].dtype, group[0].role), []).append(group)
    pairs = []
    for several in kinds.values():
        several.sort(key=lambda g: sum(b.extent for b in g))
        if len(several) > 1:
            pairs.append((several[0], several[1]))
    return min(pairs, key=lambda p: sum(b.extent for g in p for b in g), default=None)


def _moved(body: Sequence[Stmt], moved: dict[Buffer, tuple[Buffer, int]]) -> list[Stmt]:
    found: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            stmt = replace(stmt, body=_moved(stmt.body, moved))
        elif isinstance(stmt, Load | Store) and stmt.buffer in moved:
            whole, at = moved[stmt.buffer]
            index = linearize(stmt.index, stmt.buffer.element_strides) + Affine((), at)
            stmt = replace(stmt, buffer=whole, index=(index,))
        found.append(stmt)
    return found
