"""Loops that a matrix unit can run: folds of outer products of words.

::

    for k fold add carrying s:            s: rows × columns (lanes)
      a = load x[…, i, …, k]              one word of each row, neighbours along the fold adjacent
      b = load y[…, k, …, j]              one word of each column, neighbours adjacent
      next s' = dot(a, b, s)

`contracted` recognises them.  The loop stays what it is, so that whatever reads kernels need not
know of units; only its price and its code are others (`weft.kernels.schedule.matrix`,
`weft.codegen.matrix_llvm`).
"""

from __future__ import annotations

from weft.kernels.ir import Const, For, Load, Map, index_vars
from weft.structs import struct
from weft.terms.affine import Affine, Axis, linearize
from weft.terms.dots import DOTS, WORD, MatrixUnit


@struct(frozen=True)
class Contracted:
    """The parts of a loop that ``unit`` can run.

    ``left`` walks ``rows`` and ``right`` walks ``columns``; with ``swapped`` the operation has the
    right one first.
    """

    dot: str
    rows: Axis
    columns: Axis
    left: Load
    right: Load
    swapped: bool


def contracted(loop: For, unit: MatrixUnit, lanes: frozenset[Axis]) -> Contracted | None:
    """How ``unit`` can run a loop of a kernel whose axes ``lanes`` lie across lanes, if it can."""
    if len(loop.carries) != 1 or loop.step != 1 or loop.where or loop.unless:
        return None
    body = [s for s in loop.body if not isinstance(s, Const)]
    carry = loop.carries[0]
    last = body[-1] if len(body) == 3 else None
    if not isinstance(last, Map) or last.op != unit.dot or last.out is not carry.update:
        return None
    first, second, total = last.args
    made = {s.out: s for s in body[:2] if isinstance(s, Load)}
    if total is not carry.var or first not in made or second not in made or first is second:
        return None
    swapped = any(a in lanes for a in first.axes)
    a, b = (second, first) if swapped else (first, second)
    if len(a.axes) != 1 or len(b.axes) != 1 or b.axes[0] not in lanes or a.axes[0] in lanes:
        return None
    found = Contracted(unit.dot, a.axes[0], b.axes[0], made[a], made[b], swapped)
    fits = (
        set(carry.var.axes) == {found.rows, found.columns}
        and found.rows.extent <= unit.rows * unit.tall
        and found.columns.extent <= unit.columns * unit.wide
    )
    return found if fits and _walks(found, loop.axis) else None


def element_strides(load: Load, *axes: Axis) -> tuple[int, ...] | None:
    """How many elements ``load`` moves along each of ``axes``; None where that varies."""
    linear = linearize(load.index, load.buffer.element_strides)
    if not all(linear.is_affine_in(axis) for axis in axes):
        return None
    strides = tuple(linear.coefficient(axis) for axis in axes)
    return strides if all(type(s) is int for s in strides) else None


def corner(load: Load, *axes: Axis) -> Affine:
    """The address of ``load`` in elements where all of ``axes`` are zero."""
    linear = linearize(load.index, load.buffer.element_strides)
    return Affine([(atom, k) for atom, k in linear.terms if atom not in axes], linear.const)


def _walks(found: Contracted, fold: Axis) -> bool:
    """Whether the loads read words as a unit does: rows of neighbours."""
    plain = not any(
        load.guards or load.buffer.dtype != WORD or index_vars(load.index)
        for load in (found.left, found.right)
    )
    if not plain:
        return False
    left = element_strides(found.left, fold, found.rows, found.columns)
    right = element_strides(found.right, fold, found.rows, found.columns)
    return (
        left is not None
        and right is not None
        and (left[0], left[2]) == (1, 0)
        and right[1:] == (0, 1)
        and min(left[1], right[0]) > 0
    )


def is_mixed(dot: str) -> bool:
    """Whether the two operands of ``dot`` are of different types."""
    return DOTS[dot].left != DOTS[dot].right
