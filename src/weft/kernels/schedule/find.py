"""Finding contractions: folds of products, and the loops around them by what they index.

Nothing here knows of matrices.  `find_contractions` sorts the loops around a fold by what they
index: only the left operand (``m``), only the right one (``n``), both or neither (``batch``); the
fold's own loops are ``k``.  A fold may add up several products at once: loops that share what they
read have one tile with several sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

from weft.kernels.ir import (
    Carry,
    For,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
    inputs_of,
    outputs_of,
    walk,
)
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.tree import expressions
from weft.structs import struct
from weft.terms.affine import Axis, linearize
from weft.terms.ops import ACCUMULATING


@struct(frozen=True)
class Contraction:
    """A fold of products: the loops around it by role, outermost first, and its operands' loads.

    ``column`` is the axis along which the result is contiguous (in ``n``), ``row`` the one to tile
    with it (in ``m``, None if there is none); ``k[0]`` is the outermost loop of the fold.
    """

    batch: tuple[For, ...]
    m: tuple[For, ...]
    n: tuple[For, ...]
    k: tuple[For, ...]
    column: Axis
    row: Axis | None
    left: tuple[Load, ...]
    right: tuple[Load, ...]

    @property
    def sums(self) -> int:
        """How many sums run side by side."""
        return len(self.k[0].carries)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Iterations over batch, m, n and k."""
        return tuple(prod(x.trip for x in g) for g in (self.batch, self.m, self.n, self.k))  # type: ignore[return-value]


def find_contractions(
    kernel: Kernel, inside: Axis | None = None, mixed: bool = False
) -> list[Contraction]:
    """Every contraction of the kernel whose result has a contiguous axis of its own.

    With ``inside``, only the loops inside the one over that axis count.  With ``mixed``, other
    folds of what is read from two sides count, too (a sum of squared differences): they tile alike.
    """
    found = []
    for path in _fold_paths(kernel.body, ()):
        around = [loop.axis for loop in path]
        if inside in around:
            path = path[around.index(inside) + 1 :]
        contraction = _contraction(kernel, path, mixed)
        if contraction is not None:
            found.append(contraction)
    return found


def _fold_paths(body: list[Stmt], around: tuple[For, ...]) -> list[tuple[For, ...]]:
    """Paths to the outermost loops that carry something."""
    paths: list[tuple[For, ...]] = []
    for stmt in body:
        if isinstance(stmt, For):
            path = (*around, stmt)
            paths += [path] if stmt.carries else _fold_paths(stmt.body, path)
    return paths


def _contraction(kernel: Kernel, path: tuple[For, ...], mixed: bool) -> Contraction | None:
    outer, chain = path[:-1], fold_chain(path[-1])
    products = _products(chain[-1])
    if not outer or chain[0].fold is None:
        return None
    reads = _Reads(kernel)
    around = {x.axis for x in outer}
    column = _contiguous(outer[-1].body, path[-1], around)
    if products is not None:
        read = [(reads.loads(a, chain), reads.loads(b, chain)) for a, b in products]
        left, right = _operands(read, column)
    if mixed and (products is None or left == right) and len(chain[-1].carries) == 1:
        both = reads.loads(chain[-1].carries[0].update, chain)
        left = tuple(x for x in both if column not in axes_of((x,)))
        right = tuple(x for x in both if column in axes_of((x,)))
    elif products is None:
        return None
    left_axes, right_axes = (around & axes_of(loads) for loads in (left, right))
    if column in left_axes and column not in right_axes:
        left, right = right, left
        left_axes, right_axes = right_axes, left_axes
    m = tuple(x for x in outer if x.axis in left_axes - right_axes)
    n = tuple(x for x in outer if x.axis in right_axes - left_axes)
    if column is None or column not in {x.axis for x in n}:
        return None
    batch = tuple(x for x in outer if x not in m and x not in n)
    row = max(m, key=lambda x: x.trip).axis if m else None
    return Contraction(batch, m, n, chain, column, row, left, right)


def fold_chain(loop: For) -> tuple[For, ...]:
    """The loops of one fold, outermost first."""
    chain = [loop]
    while True:
        inner = [s for s in chain[-1].body if isinstance(s, For)]
        passed = len(inner) == 1 and [c.init for c in inner[0].carries] == [
            c.var for c in chain[-1].carries
        ]
        if not passed:
            return tuple(chain)
        chain.append(inner[0])


Loads = tuple[Load, ...]


def _operands(products: list[tuple[Loads, Loads]], column: Axis | None) -> tuple[Loads, Loads]:
    """What the left and the right factors of products read; those that move along the column are
    on one side."""
    first = products[0]
    if len(products) == 1:
        return first[0], first[1]
    left: dict[Load, None] = {}
    right: dict[Load, None] = {}
    for a, b in products:
        if column in axes_of(a) and column not in axes_of(b):
            a, b = b, a
        left.update(dict.fromkeys(a))
        right.update(dict.fromkeys(b))
    return tuple(left), tuple(right)


def _products(loop: For) -> list[tuple[Var, Var]] | None:
    """The two factors of the elements that a fold adds up, for each of its sums."""
    if any(isinstance(s, For | Store) for s in loop.body):
        return None
    made = {s.out: s for s in loop.body if isinstance(s, Map)}
    found = [_product(c, made) for c in loop.carries]
    pairs = [pair for pair in found if pair is not None]
    return pairs if pairs and len(pairs) == len(found) else None


def _product(carry: Carry, made: Mapping[Var, Map]) -> tuple[Var, Var] | None:
    update = made.get(carry.update)
    if update is None or carry.var not in update.args:
        return None
    if update.op in ACCUMULATING:
        return (update.args[0], update.args[1]) if update.args[2] is carry.var else None
    rest = [a for a in update.args if a is not carry.var]
    element = made.get(rest[0]) if len(rest) == 1 else None
    if element is None or len(element.args) != 2:
        return None
    return element.args[0], element.args[1]


def factors(contraction: Contraction) -> tuple[Var, ...]:
    """The factors of the products that a contraction adds up."""
    return tuple(v for pair in _products(contraction.k[-1]) or () for v in pair)


class _Reads:
    """Which loads a variable depends on."""

    def __init__(self, kernel: Kernel) -> None:
        self.made: dict[Var, Stmt] = {}
        for stmt in walk(kernel.body):
            for out in outputs_of(stmt):
                self.made[out] = stmt

    def loads(self, var: Var, chain: tuple[For, ...]) -> tuple[Load, ...]:
        found: dict[Load | Iota, None] = {}
        seen: set[Var] = set()
        stack = [var]
        while stack:
            v = stack.pop()
            if v in seen or v not in self.made:
                continue
            seen.add(v)
            stmt = self.made[v]
            if isinstance(stmt, Load | Iota):
                found[stmt] = None
            if isinstance(stmt, For):
                found.update((s, None) for s in walk(stmt.body) if isinstance(s, Load))
            stack.extend(inputs_of(stmt))
        return tuple(s for s in found if isinstance(s, Load))


def axes_of(loads: Loads) -> set[Axis]:
    """The axes that loads move along."""
    return {a for load in loads for e in expressions(load) for a in e.axes()}


def _contiguous(body: list[Stmt], fold: For, around: set[Axis]) -> Axis | None:
    """The axis along which what follows the fold is stored contiguously."""
    for stmt in body[body.index(fold) + 1 :]:
        if isinstance(stmt, Store):
            address = linearize(stmt.index, stmt.buffer.element_strides)
            for axis in around:
                if address.coefficient(axis) == 1:
                    return axis
    return None


def dimension(load: Load | Store, axis: Axis) -> int | None:
    """The one dimension of an index that moves with ``axis``, one by one."""
    moving = [d for d, i in enumerate(load.index) if axis in i.axes()]
    if len(moving) != 1 or load.index[moving[0]].coefficient(axis) != 1:
        return None
    return moving[0]


def swept(c: Contraction, turned: bool) -> Contraction:
    """The contraction with the roles that a sweep gives its axes.

    Rows run along the axis that the left operand walks in the shortest steps, so that tiles share
    what they read.  ``turned`` exchanges the sides: the longest axis of the left operand that can
    be packed becomes the column, and the result's contiguous axis the row.
    """
    if not turned:
        long = [x for x in c.m if x.trip >= SHORT] or list(c.m)
        row = min(long, key=lambda x: max(abs(stride(load, x.axis)) for load in c.left))
        return replace(c, row=row.axis)
    packed = [x for x in c.m if any(dimension(load, x.axis) is not None for load in c.left)]
    if not packed:
        raise ScheduleError(f"the contraction over {c.k[0].axis} has no axis to put across lanes")
    column = max(packed, key=lambda x: x.trip).axis
    return Contraction(c.batch, c.n, c.m, c.k, column, c.column, c.right, c.left)


#: Rows that fill a register tile well enough.
SHORT = 4


def stride(load: Load, axis: Axis) -> int:
    """Elements between what neighbouring iterations over ``axis`` read."""
    return linearize(load.index, load.buffer.element_strides).coefficient(axis)
