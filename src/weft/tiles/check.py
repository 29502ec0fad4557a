"""What is checked of a kernel before it runs.

- a tile is used inside the loop that computes it;
- every access is inside its array, whatever the program;
- no two programs write the same element, and every element of an output is written.

Accesses are stated as loads and stores of the kernel language, whose proofs (`weft.kernels.races`)
decide; where they fail, an example is looked for among the programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import prod
from typing import Any

import numpy as np

from weft.core.jaxpr import Eqn, Jaxpr, Literal
from weft.core.source import describe
from weft.kernels import ir
from weft.kernels.races import check_races
from weft.primitives.tile_body import Item, Loop, items_of, read_p, write_p
from weft.terms.affine import Affine, Axis
from weft.tiles.tracing import Building, Ref

#: Blocks of an array that are looked at, one pair after the other, to find an example.
EXAMPLES = 400
#: Blocks that are marked to see whether an output is written everywhere.
MARKED = 1 << 16


def check_tiles(owner: Building, jaxpr: Jaxpr) -> None:
    """Raises `TileError` naming the first line that breaks a rule."""
    _check_scopes(owner, items_of(jaxpr), (), {})
    _Checker(owner, jaxpr).run()


def _check_scopes(
    owner: Building, items: Sequence[Item], inside: tuple[Loop, ...], made: dict[int, Any]
) -> None:
    for item in items:
        if isinstance(item, Loop):
            _check_scopes(owner, item.items, (*inside, item), made)
            continue
        for atom in item.invars:
            if isinstance(atom, Literal) or id(atom) not in made:
                continue
            loops, source = made[id(atom)]
            if inside[: len(loops)] != loops:
                raise owner.error(
                    f"a tile that is computed in the loop over {loops[-1].name} is used outside of "
                    "it, or in its last, smaller block: what lasts longer than an iteration lies "
                    "in a block of tiles.zeros or tiles.full made before the loop"
                    f"\nComputed at {describe(source)}",
                    item.source,
                )
        made.update((id(v), (inside, item.source)) for v in item.outvars)


class _Checker:
    def __init__(self, owner: Building, jaxpr: Jaxpr) -> None:
        self.owner = owner
        self.axes: dict[int, Axis] = {}
        self.buffers = [
            ir.Buffer(r._name, r.shape, r.dtype, "scratch" if r._role == "local" else r._role)
            for r in owner.refs
        ]
        self.accesses: dict[int, tuple[Eqn, tuple[Loop, ...]]] = {}
        self.body = self.statements(items_of(jaxpr), ())

    def statements(self, items: Sequence[Item], loops: tuple[Loop, ...]) -> list[ir.Stmt]:
        found: list[ir.Stmt] = []
        for item in items:
            if isinstance(item, Loop):
                axis = self.axes[item.axis] = Axis(item.name, max(1, item.hi))
                body = self.statements(item.items, (*loops, item))
                found.append(ir.For(axis, item.lo, item.hi, item.step, body, item.kind))
            elif item.primitive is read_p or item.primitive is write_p:
                stmt = self.access(item)
                self.accesses[id(stmt)] = item, loops
                found.append(stmt)
        return found

    def access(self, eqn: Eqn) -> ir.Stmt:
        index, tile = [], []
        for const, terms, size in eqn.params["index"]:
            expr = Affine((), const)
            for axis, k in terms:
                expr = expr + Affine.of(self.axes[axis]) * k
            if size is not None and size != 1:
                tile.append(Axis("t", size))
                expr = expr + Affine.of(tile[-1])
            index.append(expr)
        buffer = self.buffers[eqn.params["ref"]]
        value = ir.Var(buffer.dtype, tuple(tile))
        if eqn.primitive is read_p:
            return ir.Load(value, buffer, tuple(index))
        return ir.Store(buffer, tuple(index), value)

    def run(self) -> None:
        for eqn, loops in self.accesses.values():
            if all(x.lo < x.hi for x in loops) and all(n != 0 for *_, n in eqn.params["index"]):
                self.in_bounds(eqn, loops)
        params = tuple(b for b in self.buffers if b.role != "scratch")
        scratch = tuple(b for b in self.buffers if b.role == "scratch")
        kernel = ir.Kernel(self.owner.name, params, scratch, self.body)
        found = check_races(kernel)
        if found is not None:
            self.race(found[0])
        for ref in self.owner.refs:
            if ref._role == "output":
                self.written(ref)

    # -- bounds ------------------------------------------------------------------------------------

    def in_bounds(self, eqn: Eqn, loops: Sequence[Loop]) -> None:
        ref = self.owner.refs[eqn.params["ref"]]
        ends = {x.axis: (x.lo, x.lo + (x.hi - x.lo - 1) // x.step * x.step) for x in loops}
        for d, (const, terms, size) in enumerate(eqn.params["index"]):
            for last in (False, True):
                # An end of the range of each position: where the index is least, or greatest.
                where = {axis: ends[axis][(k > 0) == last] for axis, k in terms}
                start = const + sum(k * where[axis] for axis, k in terms)
                if start >= 0 and start + (size or 1) <= ref.shape[d]:
                    continue
                verb = "read" if eqn.primitive is read_p else "written"
                touched = f"{start}" if size in (None, 1) else f"{start}…{start + size - 1}"
                raise self.owner.error(
                    f"{ref._name} is {verb} at {touched} along dimension {d}, where it has "
                    f"{ref.shape[d]} elements{self.example(where, loops)}",
                    eqn.source,
                )

    def example(self, where: dict[int, int], loops: Sequence[Loop]) -> str:
        named = [f"{x.name} = {where[x.axis]}" for x in loops if x.axis in where]
        return f", for {', '.join(named)}" if named else ""

    # -- programs that meet ------------------------------------------------------------------------

    def race(self, stmt: ir.Stmt) -> None:
        eqn, _ = self.accesses[id(stmt)]
        ref = self.owner.refs[eqn.params["ref"]]
        why = f"programs of the grid may write the same element of {ref._name}"
        met = self.meeting(eqn.params["ref"])
        if met is not None:
            element, programs = met
            at = ", ".join(map(str, element))
            one, other = (", ".join(f"{n} = {v}" for n, v in p) for p in programs)
            why = (
                f"two programs of the grid write the same element of {ref._name}: [{at}], for "
                f"{one} and for {other}"
            )
        raise self.owner.error(
            f"{why}. What an element is written with is one program's to compute: sums over "
            "programs are a loop over tiles.steps inside of one",
            eqn.source,
        )

    def blocks(self, number: int) -> Iterator[tuple[tuple[tuple[str, int], ...], Any]]:
        """Program and box (start and size for each dimension) of each write of an output."""
        for eqn, loops in self.accesses.values():
            if eqn.primitive is not write_p or eqn.params["ref"] != number:
                continue
            if any(x.lo >= x.hi for x in loops):  # it never runs, whether it uses the loop or not
                continue
            index = eqn.params["index"]
            used = {axis for _, terms, _ in index for axis, _ in terms}
            chosen = [x for x in loops if x.axis in used or x.kind == "parallel"]
            for at in product(*(range(x.lo, x.hi, x.step) for x in chosen)):
                place = {x.axis: n for x, n in zip(chosen, at, strict=True)}
                program = tuple(
                    (x.name, n) for x, n in zip(chosen, at, strict=True) if x.kind == "parallel"
                )
                yield (
                    program,
                    tuple(
                        (
                            const + sum(k * place[axis] for axis, k in terms),
                            1 if size is None else size,
                        )
                        for const, terms, size in index
                    ),
                )

    def meeting(self, number: int) -> tuple[tuple[int, ...], tuple[Any, Any]] | None:
        some = [b for b, _ in zip(self.blocks(number), range(EXAMPLES), strict=False)]
        for (p, box), (q, other) in combinations(some, 2):
            if p == q:
                continue
            starts = [max(a, b) for (a, _), (b, _) in zip(box, other, strict=True)]
            ends = [min(a + n, b + m) for (a, n), (b, m) in zip(box, other, strict=True)]
            if all(lo < hi for lo, hi in zip(starts, ends, strict=True)):
                return tuple(starts), (min(p, q), max(p, q))
        return None

    # -- outputs -----------------------------------------------------------------------------------

    def written(self, ref: Ref) -> None:
        """Every element of an output is written: what is not would hold anything."""
        if self.count(ref) == ref.size and self.is_once(ref):
            return
        if ref.size > MARKED * 256 or self.count(ref) > MARKED * 256:
            raise self.owner.error(
                f"it cannot be shown that {ref._name}{list(ref.shape)} is written everywhere: "
                "write blocks of a grid that goes through all of it"
            )
        marks = np.zeros(ref.shape, bool)
        for _, box in self.blocks(ref._number):
            marks[tuple(slice(a, a + n) for a, n in box)] = True
        if not marks.all():
            first = np.unravel_index(int(np.argmin(marks)), marks.shape)
            place = ", ".join(str(int(n)) for n in first)
            raise self.owner.error(
                f"{ref._name}{list(ref.shape)} is not written everywhere: no program writes "
                f"element [{place}] ({int(marks.size - marks.sum())} of {marks.size} are missing)"
            )

    def of(self, ref: Ref) -> list[tuple[Eqn, tuple[Loop, ...]]]:
        return [
            (eqn, loops)
            for eqn, loops in self.accesses.values()
            if eqn.primitive is write_p and eqn.params["ref"] == ref._number
        ]

    def count(self, ref: Ref) -> int:
        """Elements written, those written again counted again."""
        return sum(
            prod(len(range(x.lo, x.hi, x.step)) for x in loops)
            * prod(1 if size is None else size for *_, size in eqn.params["index"])
            for eqn, loops in self.of(ref)
        )

    def is_once(self, ref: Ref) -> bool:
        """Whether no program writes an element twice, so that counting is enough."""
        places = [loops for _, loops in self.of(ref)]
        return len(set(places)) == len(places) and all(
            x.kind == "parallel" for loops in places for x in loops
        )
