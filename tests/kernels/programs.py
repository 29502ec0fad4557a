"""Small kernels and random programs for the tests of programs and memory plans."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from tests.kernels.samples import F32, I32, at, loop
from weft.kernels.ir import Buffer, Const, Kernel, Load, Map, Store, Var
from weft.kernels.program import Copy, For, If, Launch, Program, Slot, Step, Swap
from weft.terms.affine import Affine, Axis

N = 6


def elementwise(op: str = "add", n: int = N) -> Kernel:
    """``z[i] = op(x[i], y[i])``: the result may overwrite either operand."""
    i = Axis("i", n)
    x, y, z = Buffer("x", (n,), F32), Buffer("y", (n,), F32), Buffer("z", (n,), F32, "output")
    a, b, c = Var(F32), Var(F32), Var(F32)
    body = [Load(a, x, at(i)), Load(b, y, at(i)), Map(c, op, (a, b)), Store(z, at(i), c)]
    return Kernel(op, (x, y, z), (), [loop(i, body)])


def reverse(n: int = N) -> Kernel:
    """``z[i] = x[n-1-i]``: the result must not overwrite the operand."""
    i = Axis("i", n)
    x, z = Buffer("x", (n,), F32), Buffer("z", (n,), F32, "output")
    v = Var(F32)
    place = (Affine.of(i) * -1 + (n - 1),)
    return Kernel("reverse", (x, z), (), [loop(i, [Load(v, x, place), Store(z, at(i), v)])])


def add_counter(n: int = N) -> Kernel:
    """``z[i] = x[i] + counter``."""
    i = Axis("i", n)
    k, x = Buffer("k", (), I32), Buffer("x", (n,), F32)
    z = Buffer("z", (n,), F32, "output")
    c, d, v, w = Var(I32), Var(F32), Var(F32), Var(F32)
    body = [Load(v, x, at(i)), Map(w, "add", (v, d)), Store(z, at(i), w)]
    return Kernel("count", (k, x, z), (), [Load(c, k, ()), Map(d, "cast", (c,)), loop(i, body)])


def less_than(limit: int) -> Kernel:
    """``p = k < limit``."""
    k, p = Buffer("k", (), I32), Buffer("p", (), np.dtype(np.bool_), "output")
    a, b, c = Var(I32), Var(I32), Var(np.dtype(np.bool_))
    return Kernel(
        "less", (k, p), (), [Load(a, k, ()), Const(b, limit), Map(c, "lt", (a, b)), Store(p, (), c)]
    )


ADD, SUB, REVERSE, COUNT = elementwise("add"), elementwise("sub"), reverse(), add_counter()


class RandomProgram:
    """Draws a well-formed program over vectors: launches, copies, loops with carries, branches."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.temporaries: list[Slot] = []
        self.x = Slot("x", (N,), F32, "input")
        self.y = Slot("y", (N,), F32, "output")

    def build(self) -> Program:
        steps, known = self.block([self.x], 0)
        steps.append(Copy(self.y, self.draw(st.sampled_from(known))))
        return Program((self.x,), (self.y,), (), tuple(self.temporaries), steps)

    def slot(self, dtype: np.dtype = F32, shape: tuple[int, ...] = (N,)) -> Slot:
        slot = Slot(f"t{len(self.temporaries)}", shape, dtype)
        self.temporaries.append(slot)
        return slot

    def block(self, known: list[Slot], depth: int) -> tuple[list[Step], list[Slot]]:
        steps: list[Step] = []
        known = list(known)
        for _ in range(self.draw(st.integers(1, 5))):
            kinds = ["add", "sub", "reverse", "copy"] + (["for", "if"] if depth < 2 else [])
            kind = self.draw(st.sampled_from(kinds))
            steps += getattr(self, kind)(known, depth)
        return steps, known

    def pick(self, known: list[Slot]) -> Slot:
        return self.draw(st.sampled_from(known))

    def launch(self, kernel: Kernel, known: list[Slot]) -> list[Step]:
        out = self.slot()
        args = tuple(self.pick(known) for _ in kernel.params[:-1])
        known.append(out)
        return [Launch(kernel, (*args, out))]

    def add(self, known: list[Slot], depth: int) -> list[Step]:
        return self.launch(ADD, known)

    def sub(self, known: list[Slot], depth: int) -> list[Step]:
        return self.launch(SUB, known)

    def reverse(self, known: list[Slot], depth: int) -> list[Step]:
        return self.launch(REVERSE, known)

    def copy(self, known: list[Slot], depth: int) -> list[Step]:
        source, out = self.pick(known), self.slot()
        known.append(out)
        return [Copy(out, source)]

    def for_(self, known: list[Slot], depth: int) -> list[Step]:
        counter, entry = self.slot(I32, ()), self.slot()
        init = self.pick(known)
        body, inside = self.block([*known, entry], depth + 1)
        new = self.slot()
        body += [Launch(COUNT, (counter, self.pick(inside), new)), Swap(entry, new)]
        known.append(entry)
        return [Copy(entry, init), For(self.draw(st.integers(0, 3)), counter, body)]

    def if_(self, known: list[Slot], depth: int) -> list[Step]:
        counter, out = self.slot(I32, ()), self.slot()
        branches = []
        for _ in range(2):
            body, inside = self.block(known, depth + 1)
            branches.append([*body, Copy(out, self.pick(inside))])
        known.append(out)
        choice = If(counter, tuple(branches))
        # A loop of two iterations takes both branches, the last one for good.
        return [For(2, counter, [choice])]


setattr(RandomProgram, "for", RandomProgram.for_)
setattr(RandomProgram, "if", RandomProgram.if_)


@st.composite
def random_programs(draw: st.DrawFn) -> Program:
    """Random programs over vectors of `N` float32 numbers."""
    return RandomProgram(draw).build()
