"""Regions and blocks: definitions of arrays by terms, and the control flow around them.

A `Block` is a list of steps over named values. Straight runs of `Def` and `Scatter` between
control flow form a `Region`, the unit that is planned into kernels::

    step ::= Def(value, axes, term)                 value[axes…] = term
           | Scatter(value, operand, …)             value = operand, then value[index] ⊕= update
           | For(length, counter, carries, body)    a loop with a known number of iterations
           | While(condition, carries, body)        a loop until a scalar is false
           | If(index, branches, results)           one of several blocks
           | Call(routine, inputs, outputs)         what has no term form (routines, callbacks)
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

import numpy as np

from weft.structs import struct
from weft.terms.affine import Affine, Axis
from weft.terms.term import Term, Value


@struct(eq=False)
class Def:
    """``value[axes…] = term``: one axis per dimension of the value, of the same extent.

    ``source`` is the user's line, for error messages and explain.
    """

    value: Value
    axes: tuple[Axis, ...]
    term: Term
    source: Any = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """Everything that is computed."""
        return (self.term,)


@struct(eq=False)
class Scatter:
    """``value = operand``, then for every point of ``axes``: ``value[index…] ⊕= update``.

    ``combine`` is ``set`` or the name of a monoid.  ``index`` (affine over ``axes``, with clamped
    dynamic atoms) is always in bounds; where ``guard`` is false the update is dropped.  ``unique``
    promises that no two points hit the same element (the loop may then run in any order); otherwise
    updates happen in row-major order of ``axes``.
    """

    value: Value
    operand: Value
    axes: tuple[Axis, ...]
    index: tuple[Affine, ...]
    update: Term
    combine: str = "set"
    guard: Term | None = None
    unique: bool = False
    source: Any = None

    @property
    def terms(self) -> tuple[Term, ...]:
        """Everything that is computed: the update, the guard, and the sources of the indices."""
        guard = () if self.guard is None else (self.guard,)
        return (self.update, *guard, *(d.source for i in self.index for d in i.dynamics()))


@struct(eq=False)
class Carry:
    """A loop-carried array: ``init`` before, ``entry`` at the top of the body and in the condition,
    ``exit`` at its end, ``result`` after the loop.  All four have one shape and dtype.

    ``exit`` is ``entry`` itself or a value that a step of the body defines, for no other carry.
    """

    init: Value
    entry: Value
    exit: Value
    result: Value


@struct(eq=False)
class For:
    """``length`` iterations; ``counter`` is a scalar int32 value 0, 1, … that the body may read."""

    length: int
    counter: Value
    carries: tuple[Carry, ...]
    body: Block
    source: Any = None


@struct(eq=False)
class While:
    """Repeat ``body`` while the scalar bool ``predicate`` computed by ``condition`` is true."""

    condition: Block
    predicate: Value
    carries: tuple[Carry, ...]
    body: Block
    source: Any = None


@struct(eq=False)
class If:
    """Run ``branches[index]`` (clamped); branch ``b`` leaves ``outputs[b][k]`` in ``results[k]``.

    ``index`` is a scalar int32. Every output is defined by a step of its branch, and only one
    result takes it.
    """

    index: Value
    branches: tuple[Block, ...]
    outputs: tuple[tuple[Value, ...], ...]
    results: tuple[Value, ...]
    source: Any = None


@struct(eq=False)
class Call:
    """A library routine or callback on whole arrays.

    ``routine(*inputs, **params)`` returns the arrays of ``outputs``; its ``str`` is its name.
    """

    routine: Any
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    params: dict[str, Any] = field(default_factory=dict)
    source: Any = None


Step = Def | Scatter | For | While | If | Call


@struct(eq=False)
class Block:
    """Steps in order.  Values used but not defined inside are inputs or belong to outer blocks."""

    steps: list[Step] = field(default_factory=list)


@struct(eq=False)
class Program:
    """A whole traced function: ``inputs`` and ``outputs`` are whole arrays in call order.

    ``constants`` maps values that are captured arrays to their data; they are no part of
    ``inputs``. An output may be an input, a constant or another output (which is then returned as
    a copy). ``choices`` says in words which form of each routine was taken, and why.
    """

    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    block: Block
    constants: dict[Value, np.ndarray] = field(default_factory=dict)
    choices: tuple[str, ...] = ()


@struct(eq=False)
class Region:
    """A maximal run of `Def` and `Scatter` steps: the unit of planning.

    ``inputs`` are the values read but not defined here; ``outputs`` those needed afterwards.
    """

    inputs: tuple[Value, ...]
    steps: tuple[Def | Scatter, ...]
    outputs: tuple[Value, ...]
