"""Programs planned for a GPU, and small kernels with all that text generators must handle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weft import grad
from weft import numpy as wnp
from weft.core.avals import ShapedArray
from weft.core.jaxpr import ClosedJaxpr
from weft.core.staging import trace_to_jaxpr
from weft.kernels.assemble import assemble
from weft.kernels.check import check_kernel
from weft.kernels.ir import (
    Buffer,
    Carry,
    Const,
    Fold,
    For,
    Guard,
    Iota,
    Kernel,
    Load,
    Map,
    Stmt,
    Store,
    Var,
)
from weft.kernels.machine import Machine, gpu_machine
from weft.kernels.plan import plan
from weft.kernels.program import Copy, Launch, Program, Slot
from weft.terms.affine import Affine, Axis, Dynamic
from weft.terms.lower import lower_jaxpr
from weft.terms.monoids import ADD, ARGMAX

F32 = np.dtype(np.float32)
I32 = np.dtype(np.int32)
U32 = np.dtype(np.uint32)
BOOL = np.dtype(np.bool_)

#: Blocks of 32 threads: small odd shapes are more than one of them, and leave remainders.
GPU = gpu_machine("gpu", multiprocessors=8, block=32, shared_bytes=16384, bandwidth=100.0)

Run = Callable[[Kernel, dict[Buffer, Any]], dict[Buffer, np.ndarray]]


# -- programs --------------------------------------------------------------------------------------


def softmax(x: Any, w: Any) -> Any:
    """Softmax over the rows of ``x @ w``."""
    s = x @ w
    e = wnp.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def softmax_program(x: Any, w: Any) -> list[Any]:
    """`softmax` with a list of results, as tracing wants it."""
    return [softmax(x, w)]


def softmax_gradient(x: Any, w: Any, t: Any) -> Any:
    """Gradients of ``sum(softmax(x @ w) * t)`` for ``x`` and ``w``."""
    return grad(lambda a, b: (softmax(a, b) * t).sum(), argnums=(0, 1))(x, w)


def causal_attention(q: Any, k: Any, v: Any) -> Any:
    """Attention to earlier positions, and to oneself."""
    n = wnp.arange(q.shape[0])
    s = wnp.where(n[:, None] >= n, q @ k.T / 3, -np.inf)
    p = wnp.exp(s - s.max(-1, keepdims=True))
    return p / p.sum(-1, keepdims=True) @ v


def attention_program(q: Any, k: Any, v: Any) -> list[Any]:
    """`causal_attention` with a list of results, as tracing wants it."""
    return [causal_attention(q, k, v)]


def attention_inputs(positions: int, width: int) -> list[np.ndarray]:
    """Queries, keys and values."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal((positions, width)).astype(F32) for _ in range(3)]


def softmax_inputs(columns: int, gradient: bool = False) -> list[np.ndarray]:
    """Arguments with no dimension that is a multiple of anything."""
    rng = np.random.default_rng(0)
    shapes = [(5, 7), (7, columns)] + ([(5, columns)] if gradient else [])
    return [rng.standard_normal(s).astype(F32) for s in shapes]


def plan_for_gpu(
    function: Callable[..., Any], arrays: Sequence[np.ndarray], machine: Machine = GPU
) -> Program:
    """The program of ``function``, its kernels scheduled for a GPU and checked."""
    closed = trace_to_jaxpr(function, [ShapedArray(x.shape, x.dtype) for x in arrays])
    return plan_jaxpr(closed, machine)


def plan_jaxpr(closed: ClosedJaxpr, machine: Machine = GPU) -> Program:
    """As `plan_for_gpu`; kernels are named in launch order."""
    program = assemble(lower_jaxpr(closed), lambda region: plan(region, machine))
    for n, launch in enumerate(launches(program)):
        launch.kernel = launch.kernel.evolve(name=f"{n}_{launch.kernel.name}")
        check_kernel(launch.kernel)
    return program


def launches(program: Program) -> list[Launch]:
    """The launches of a program without control flow."""
    return [s for s in program.steps if isinstance(s, Launch)]


def run_program(program: Program, arrays: Sequence[np.ndarray], run: Run) -> list[np.ndarray]:
    """What a program without control flow computes, its kernels run by ``run``."""
    memory: dict[Slot, np.ndarray] = dict(zip(program.inputs, arrays, strict=True))
    memory.update((s, np.asarray(s.data)) for s in program.constants)
    for step in program.steps:
        if isinstance(step, Copy):
            memory[step.target] = memory[step.source]
            continue
        assert isinstance(step, Launch)
        bound = dict(zip(step.kernel.params, step.slots, strict=True))
        given = {b: memory[s] for b, s in bound.items() if b.role != "output"}
        for buffer, result in run(step.kernel, given).items():
            memory[bound[buffer]] = result
    return [memory[s] for s in program.outputs]


# -- kernels ---------------------------------------------------------------------------------------


def _at(*index: Affine | Axis | int) -> tuple[Affine, ...]:
    return tuple(Affine.of(i) for i in index)


def _kernel(
    name: str,
    params: tuple[Buffer, ...],
    body: list[Stmt],
    lanes: tuple[Axis, ...] = (),
    scratch: tuple[Buffer, ...] = (),
) -> Kernel:
    kernel = Kernel(name, params, scratch, body, frozenset(lanes))
    check_kernel(kernel)
    return kernel


def gather(n: int = 11, rows: int = 6) -> Kernel:
    """Rows chosen by data, clamped; a mask decides which are stored; guards at the ends."""
    t, u = Axis("t", n), Axis("u", 3)
    chosen, table = Buffer("chosen", (n,), I32), Buffer("table", (rows, 3), F32)
    keep, out = Buffer("keep", (n,), BOOL), Buffer("out", (n, 3), F32, "inout")
    i, k, x = Var(I32, (t,)), Var(BOOL, (t,)), Var(F32, (t, u))
    guard = Guard(t.expr * 2 - u.expr, 1, 2 * n - 4)
    return _kernel(
        "gather",
        (chosen, table, keep, out),
        [
            Load(i, chosen, _at(t)),
            Load(k, keep, _at(t)),
            Load(x, table, _at(Affine.of(Dynamic(i, 0, rows - 1)), u)),
            Store(out, _at(t, u), x, (guard,), k),
        ],
        (t,),
    )


def arg_of_largest(rows: int = 3, n: int = 21) -> Kernel:
    """argmax of each row, over lanes and registers, ties and NaN included."""
    i, t, u = Axis("i", rows), Axis("t", n), Axis("u", 2)
    x = Buffer("x", (rows, n, 2), F32)
    best = Buffer("best", (rows,), F32, "output")
    where = Buffer("where", (rows,), I32, "output")
    value, at = Var(F32, (t, u)), Var(I32, (t, u))
    largest, index = Var(F32), Var(I32)
    body: list[Stmt] = [
        Load(value, x, _at(i, t, u)),
        Iota(at, t.expr * 2 + u.expr),
        Fold((largest, index), ARGMAX, (t, u), (value, at)),
        Store(best, _at(i), largest),
        Store(where, _at(i), index),
    ]
    return _kernel("argmax", (x, best, where), [For(i, 0, rows, 1, body, "parallel")], (t,))


def reverse_through_scratch(rows: int = 4, n: int = 19) -> Kernel:
    """What one lane stages another reads; a running sum in scratch no lane has to itself."""
    i, t, v, k = Axis("i", rows), Axis("t", n), Axis("v", n), Axis("k", 3)
    x = Buffer("x", (rows, n), F32)
    y = Buffer("y", (rows, n), F32, "output")
    row = Buffer("row", (n,), F32, "scratch")
    total = Buffer("total", (3,), F32, "scratch")
    a, b, c, d, e, s = (Var(F32, (t,)), Var(F32, (v,)), *(Var(F32) for _ in range(4)))
    f, g = Var(F32, (v,)), Var(F32)
    body: list[Stmt] = [
        Load(a, x, _at(i, t)),
        Store(row, _at(t), a),
        For(
            k,
            0,
            3,
            1,
            [Load(c, row, _at(k.expr * 2)), Map(d, "mul", (c, c)), Store(total, _at(k), d)],
        ),
        Load(e, total, _at(0)),
        Load(g, total, _at(2)),
        Map(s, "sub", (e, g)),
        Load(b, row, _at(n - 1 - v.expr)),
        Map(f, "add", (b, s)),
        Store(y, _at(i, v), f),
    ]
    return _kernel("reverse", (x, y), [For(i, 0, rows, 1, body, "parallel")], (t, v), (row, total))


def fibonacci(n: int = 9) -> Kernel:
    """Carries that exchange their values, in integers that wrap."""
    t, k = Axis("t", 5), Axis("k", n)
    start, out = Buffer("start", (5,), I32), Buffer("out", (n, 5), I32, "output")
    one, x = Var(I32), Var(I32, (t,))
    a, b, c, last, end = (Var(I32, (t,)) for _ in range(5))
    step: list[Stmt] = [Map(c, "add", (a, b)), Store(out, _at(k, t), c)]
    y = Var(I32, (t,))
    loop = For(k, 0, n, 1, step, carries=(Carry(a, x, b, last), Carry(b, y, c, end)))
    head: list[Stmt] = [
        Const(one, 1),
        Load(x, start, _at(t)),
        Map(y, "add", (x, one)),
    ]
    return _kernel("fibonacci", (start, out), [*head, loop], (t,))


def integers(n: int = 13) -> Kernel:
    """Integer operations where C leaves the result undefined."""
    t = Axis("t", n)
    a, b = Buffer("a", (n,), I32), Buffer("b", (n,), I32)
    x, y = Var(I32, (t,)), Var(I32, (t,))
    body: list[Stmt] = [Load(x, a, _at(t)), Load(y, b, _at(t))]
    outs: list[Buffer] = []
    binary = (
        "add", "sub", "mul", "div", "rem", "max", "min", "xor", "shift_left",
        "shift_right_logical", "shift_right_arithmetic",
    )  # fmt: skip
    for op in (*binary, "neg", "abs", "sign", "not"):
        outs.append(Buffer(op, (n,), I32, "output"))
        value = Var(I32, (t,))
        body += [
            Map(value, op, (x, y) if op in binary else (x,)),
            Store(outs[-1], _at(t), value),
        ]
    return _kernel("integers", (a, b, *outs), body, (t,))


def conversions(n: int = 17) -> Kernel:
    """Floats to integers and back: saturating, NaN to 0; NaN kept by max, min and sign."""
    t = Axis("t", n)
    a, b = Buffer("a", (n,), F32), Buffer("b", (n,), F32)
    x, y = Var(F32, (t,)), Var(F32, (t,))
    body: list[Stmt] = [Load(x, a, _at(t)), Load(y, b, _at(t))]
    outs: list[Buffer] = []
    unary = (
        ("cast", I32), ("cast", U32), ("bitcast", U32), ("sign", F32), ("abs", F32), ("neg", F32),
        ("floor", F32), ("round_even", F32), ("round_away", F32), ("is_finite", BOOL),
    )  # fmt: skip
    for n_out, (op, kind) in enumerate((*unary, ("max", F32), ("min", F32), ("lt", BOOL))):
        outs.append(Buffer(f"{op}{n_out}", (n,), kind, "output"))
        value = Var(kind, (t,))
        args = (x,) if (op, kind) in unary else (x, y)
        body += [Map(value, op, args), Store(outs[-1], _at(t), value)]
    return _kernel("conversions", (a, b, *outs), body, (t,))


def blocked_sums(n: int = 5, k: int = 8) -> Kernel:
    """Indices with floor divisions, one of a negative number, and a fold over registers only."""
    t, u = Axis("t", n), Axis("u", k)
    x, y = Buffer("x", (n, k), F32), Buffer("y", (n,), F32, "output")
    value, total = Var(F32, (t, u)), Var(F32, (t,))
    column = (u.expr - 3).floordiv(2) + 2
    return _kernel(
        "blocked",
        (x, y),
        [
            Load(value, x, _at((t.expr * 3).floordiv(4), column)),
            Fold((total,), ADD, (u,), (value,)),
            Store(y, _at(t), total),
        ],
        (t,),
    )


SPECIAL = np.array(
    [0.0, -0.0, 1.5, 2.5, -2.5, 0.5, 3e9, -3e9, 5e9, np.nan, np.inf, -np.inf, 7.0, -7.25, 1e-40,
     2147483520.0, -1.0], F32
)  # fmt: skip
EDGES = np.array([0, 1, -1, 7, -7, 2**31 - 1, -(2**31), 31, 32, 33, -32, 100, -(2**31)], I32)


def kernel_cases() -> list[tuple[Kernel, dict[Buffer, np.ndarray]]]:
    """Every kernel above with arguments that reach its corners."""
    rng = np.random.default_rng(1)
    cases: list[tuple[Kernel, dict[Buffer, np.ndarray]]] = []

    def add(kernel: Kernel, *arrays: np.ndarray) -> None:
        inputs = [b for b in kernel.params if b.role != "output"]
        cases.append((kernel, dict(zip(inputs, arrays, strict=True))))

    add(
        gather(),
        rng.integers(-4, 12, 11).astype(I32),
        rng.standard_normal((6, 3)).astype(F32),
        rng.random(11) < 0.6,
        np.zeros((11, 3), F32),
    )
    x = rng.integers(0, 5, (3, 21, 2)).astype(F32)
    x[1, 13, 1] = np.nan
    add(arg_of_largest(), x)
    add(reverse_through_scratch(), rng.standard_normal((4, 19)).astype(F32))
    add(fibonacci(), np.array([1, 2, 2**30, -5, 2**31 - 2], I32))
    add(integers(), EDGES, np.roll(EDGES, 5))
    add(conversions(), SPECIAL, np.roll(SPECIAL, 3))
    add(blocked_sums(), rng.integers(-9, 9, (5, 8)).astype(F32))
    return cases
