"""``tile_kernel``: a kernel that the user wrote, as one operation on whole arrays.

``refs`` says of each reference of the body what it is: ``(role, shape, dtype)`` with the role
``input`` (an operand each, in order), ``output`` (a result each) or ``local``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from weft.core.avals import ShapedArray
from weft.core.dtypes import is_inexact
from weft.core.jaxpr import ClosedJaxpr, Eqn, Jaxpr, Literal
from weft.core.primitive import Primitive
from weft.core.source import describe
from weft.errors import MissingRuleError
from weft.primitives.rules import Dims, Value, Values
from weft.primitives.shaping import move_axis
from weft.primitives.tile_body import (
    Index,
    Item,
    Loop,
    begin_p,
    end_p,
    items_of,
    position_p,
    read_p,
    run_body,
    stage_p,
    write_p,
)
from weft.terms import build, tiles
from weft.terms.affine import Affine, Axis
from weft.terms.lower import Lowering, lower_equation
from weft.terms.region import Call, Def
from weft.terms.tensor import AnyTensor, ComplexTensor, Tensor, constant_tensor, new_axes, points
from weft.terms.term import Load
from weft.terms.term import Value as Named

Refs = tuple[tuple[str, tuple[int, ...], np.dtype], ...]

tile_kernel_p = Primitive("tile_kernel", multiple_results=True)


def _with_role(refs: Refs, role: str) -> list[int]:
    return [n for n, (r, _, _) in enumerate(refs) if r == role]


@tile_kernel_p.def_type
def _(*avals: ShapedArray, body: ClosedJaxpr, refs: Refs, name: str) -> list[ShapedArray]:
    for aval, n in zip(avals, _with_role(refs, "input"), strict=True):
        if (aval.shape, aval.dtype) != refs[n][1:]:
            raise TypeError(f"kernel {name} was traced for {refs[n][1:]}, got {aval}")
    return [ShapedArray(*refs[n][1:]) for n in _with_role(refs, "output")]


@tile_kernel_p.def_numpy
def _(*arrays: np.ndarray, body: ClosedJaxpr, refs: Refs, name: str) -> list[np.ndarray]:
    return run_kernel(body, refs, arrays)


def run_kernel(body: ClosedJaxpr, refs: Refs, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The meaning of a kernel: its programs one after the other, in NumPy."""
    memory = {n: np.asarray(x) for n, x in zip(_with_role(refs, "input"), arrays, strict=False)}
    for n, (role, shape, dtype) in enumerate(refs):
        if role != "input":
            memory[n] = np.full(shape, np.nan if is_inexact(dtype) else 0, dtype)
    run_body(body.jaxpr, body.consts, memory)
    return [memory[n] for n in _with_role(refs, "output")]


@tile_kernel_p.def_jvp
def _(primals: Values, tangents: Values, *, body: ClosedJaxpr, refs: Refs, name: str) -> Any:
    raise MissingRuleError(
        f"the kernel '{name}' has no derivative: call it in a function with a rule of its own "
        "(weft.custom_vjp or weft.custom_jvp), and differentiate that"
    )


@tile_kernel_p.def_batch
def _(
    axis_size: int, args: Values, dims: Dims, *, body: ClosedJaxpr, refs: Refs, name: str
) -> tuple[list[Value], list[int]]:
    """One more axis of the grid, outside of the others."""
    inputs = _with_role(refs, "input")
    mapped = {n for n, d in zip(inputs, dims, strict=True) if d is not None}
    mapped.update(_with_role(refs, "output"))
    moved = [x if d is None else move_axis(x, d, 0) for x, d in zip(args, dims, strict=True)]
    new = tuple(
        (role, (axis_size, *shape), dtype) if n in mapped else (role, shape, dtype)
        for n, (role, shape, dtype) in enumerate(refs)
    )
    outs = tile_kernel_p.bind(*moved, body=_batched(body, mapped, axis_size), refs=new, name=name)
    return outs, [0] * len(outs)


def _batched(body: ClosedJaxpr, mapped: set[int], axis_size: int) -> ClosedJaxpr:
    jaxpr = body.jaxpr
    begins = [e.params["axis"] for e in jaxpr.eqns if e.primitive is begin_p]
    axis = max(begins, default=-1) + 1
    around = {"axis": axis, "name": "b", "lo": 0, "hi": axis_size, "step": 1, "kind": "parallel"}
    eqns = [Eqn(begin_p, [], [], around, begin_p.effects(around))]
    for eqn in jaxpr.eqns:
        if eqn.params.get("ref") in mapped and eqn.primitive in (read_p, write_p):
            index = ((0, ((axis, 1),), None), *eqn.params["index"])
            eqn = eqn.replace(params={**eqn.params, "index": index})
        eqns.append(eqn)
    eqns.append(Eqn(end_p, [], [], {}, end_p.effects({})))
    new = Jaxpr(jaxpr.constvars, [], [], eqns, None, jaxpr.debug_name)
    return ClosedJaxpr(new, body.consts)


@tile_kernel_p.def_lower
def _(
    ctx: Lowering, *args: Tensor, body: ClosedJaxpr, refs: Refs, name: str
) -> Sequence[AnyTensor]:
    return _Body(ctx, args, body, refs, name).lowered()


class _Body:
    """The body of one kernel on its way to terms."""

    def __init__(
        self, ctx: Lowering, args: Sequence[Tensor], body: ClosedJaxpr, refs: Refs, name: str
    ) -> None:
        self.ctx = ctx
        self.body = body
        self.refs = refs
        self.name = name
        self.values: dict[int, Named] = {}
        inputs = _with_role(refs, "input")
        self.inputs = [ctx.value(x) for x in args]
        self.values.update(zip(inputs, self.inputs, strict=True))
        for n, (role, shape, dtype) in enumerate(refs):
            if role != "input":
                self.values[n] = ctx.new_value(shape, dtype)
        self.axes: dict[int, Axis] = {}
        self.env: dict[int, AnyTensor] = {}
        self.staged: set[Named] = set()

    def lowered(self) -> list[AnyTensor]:
        ctx, jaxpr = self.ctx, self.body.jaxpr
        for var, data in zip(jaxpr.constvars, self.body.consts, strict=True):
            self.env[id(var)] = ctx.capture(data, var.aval)
        outer = ctx.out_avals, ctx.source
        items = self.items(items_of(jaxpr))
        ctx.out_avals, ctx.source = outer
        outputs = tuple(self.values[n] for n in _with_role(self.refs, "output"))
        captured = [v for v in _loaded(items) if v in ctx.constants]
        body, refs = self.body, self.refs
        program = tiles.TileProgram(
            self.name,
            (*self.inputs, *captured),
            outputs,
            tuple(self.values[n] for n in _with_role(refs, "local")),
            items,
            frozenset(self.staged),
            lambda *arrays: run_kernel(body, refs, arrays),
        )
        ctx.emit(Call(program, program.inputs, outputs, {}, ctx.source))
        return [Tensor.whole(v) for v in outputs]

    def items(self, items: Sequence[Item]) -> list[tiles.Item]:
        """Items of a block; what one iteration computes is no other's."""
        found: list[tiles.Item] = []
        with self.ctx.new_block() as block:
            for item in items:
                if isinstance(item, Loop):
                    axis = self.axes[item.axis] = Axis(item.name, item.hi)
                    inner = self.items(item.items)
                    found.append(tiles.Loop(axis, item.lo, item.hi, item.step, item.kind, inner))
                    continue
                before = len(block.steps)
                written = self.equation(item)
                found += self.definitions(item, block.steps[before:])
                found += written
        return found

    def definitions(self, eqn: Eqn, steps: Sequence[Any]) -> list[tiles.Item]:
        for step in steps:
            if not isinstance(step, Def):
                where = describe(eqn.source)
                raise MissingRuleError(
                    f"'{eqn.primitive}' cannot be used inside the kernel '{self.name}': only what "
                    "is elementwise, moves elements, or reduces and contracts them can"
                    + (f"\nAt {where}" if where else "")
                )
        return list(steps)

    def equation(self, eqn: Eqn) -> list[tiles.Item]:
        """Lowers one equation; gives what it writes."""
        ctx, params = self.ctx, eqn.params
        ctx.source = eqn.source
        if eqn.primitive is write_p:
            value = self.values[params["ref"]]
            index, axes = self.place(params["index"])
            term = self.read(eqn.invars[0]).at(points(axes))
            return [tiles.Write(value, index, axes, term, eqn.source)]
        if eqn.primitive is read_p:
            results: Sequence[AnyTensor] = [self.loaded(params["ref"], params["index"])]
        elif eqn.primitive is position_p:
            expr = self.start(params["const"], params["terms"])
            results = [ctx.define((), np.dtype(np.int32), lambda _: build.position(expr, np.int32))]
        elif eqn.primitive is stage_p:
            copied = ctx.copy(self.read(eqn.invars[0]))
            self.staged.add(copied)
            results = [Tensor.whole(copied)]
        else:
            results = lower_equation(ctx, eqn, self.read)
        for var, tensor in zip(eqn.outvars, results, strict=True):
            self.env[id(var)] = tensor
        return []

    def read(self, atom: Any) -> Any:
        if isinstance(atom, Literal):
            return constant_tensor(np.asarray(atom.value, atom.aval.dtype)[()], atom.aval.dtype)
        found = self.env[id(atom)]
        assert not isinstance(found, ComplexTensor)
        return found

    def loaded(self, ref: int, index: Index) -> Tensor:
        """A tile of an array: a view of inputs, a copy of what may be written meanwhile."""
        value = self.values[ref]
        where, axes = self.place(index)
        shape = tuple(a.extent for a in axes)
        if self.refs[ref][0] == "input":
            return Tensor(value, shape, axes, where)
        copied = self.ctx.new_value(shape, value.dtype)
        self.ctx.emit(Def(copied, axes, Load(value, where), self.ctx.source))
        return Tensor.whole(copied)

    def place(self, index: Index) -> tuple[tuple[Affine, ...], tuple[Axis, ...]]:
        """Where a tile lies, and its axes."""
        axes = new_axes([size for _, _, size in index if size is not None])
        inside = iter(points(axes))
        where = []
        for const, terms, size in index:
            start = self.start(const, terms)
            where.append(start if size is None else start + next(inside))
        return tuple(where), axes

    def start(self, const: int, terms: Sequence[tuple[int, int]]) -> Affine:
        expr = Affine((), const)
        for axis, k in terms:
            expr = expr + Affine.of(self.axes[axis]) * k
        return expr


def _loaded(items: Sequence[tiles.Item]) -> list[Named]:
    found: dict[Named, None] = {}
    stack = list(items)
    while stack:
        item = stack.pop()
        if isinstance(item, tiles.Loop):
            stack += item.items
        else:
            found.update(dict.fromkeys(sorted(item.term.loads, key=lambda v: v.name)))
    return list(found)
