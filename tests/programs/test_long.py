"""Long and deep programs: work grows with length, and nothing recurses as deep as they are."""

from __future__ import annotations

import copy
import cProfile
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import numpy as np
import pytest

import weft
import weft.numpy as wnp
from weft import lax
from weft.codegen import parts, program_llvm
from weft.compile import compile_jaxpr, emit_llvm
from weft.core import check_jaxpr
from weft.core.canonical import jaxpr_key, key_digest
from weft.core.interpret import eval_jaxpr_numpy
from weft.kernels import fusion, merging, uses
from weft.kernels import plan as planning
from weft.kernels.program_check import check_program
from weft.kernels.program_interpret import run_program
from weft.kernels.program_print import print_program
from weft.planning import plan_program
from weft.runtime.processors import target_cpu
from weft.terms.check import check_program as check_terms
from weft.terms.interpret import interpret
from weft.terms.lower import lower_jaxpr
from weft.terms.print import format_program

ROW = np.linspace(0.1, 0.9, 8, dtype=np.float32)
SQUARE = np.eye(4, dtype=np.float32)
Family = Callable[[int], tuple[Callable[..., Any], tuple[Any, ...]]]


# -- programs of any length ------------------------------------------------------------------------


def chain(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """``n`` elementwise operations, each on the result of the last."""

    def f(x: Any) -> Any:
        for k in range(n):
            x = x * 1.001 if k % 2 else x + 0.001
        return x

    return f, (ROW,)


def chain_gradient(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def f(x: Any) -> Any:
        for _ in range(n):
            x = wnp.sin(x)
        return x.sum()

    return weft.grad(f), (ROW,)


def every_step(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """All of the intermediate values are results."""

    def f(x: Any) -> Any:
        return [x := x * 1.5 for _ in range(n)]

    return f, (ROW,)


def wide_sum(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A sum of ``n`` functions of one array, differentiated."""

    def f(x: Any) -> Any:
        return sum((wnp.sin(x * float(k)) for k in range(n)), 0.0).sum()  # type: ignore[union-attr]

    return weft.grad(f), (ROW,)


def recurrent_gradient(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def f(w: Any, x: Any) -> Any:
        for _ in range(n):
            x = wnp.tanh(x @ w)
        return (x**2).sum()

    return weft.grad(f), (SQUARE, ROW.reshape(2, 4))


def layers_gradient(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    def f(ws: Any, x: Any) -> Any:
        for w, b in ws:
            x = wnp.maximum(x @ w + b, 0)
        return (x**2).sum()

    return weft.value_and_grad(f), ([(SQUARE, ROW[:4])] * n, ROW.reshape(2, 4))


def leapfrog(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Gradients of a potential, differentiated again."""

    def potential(q: Any) -> Any:
        return (q**2).sum() + wnp.cos(q).sum()

    force = weft.grad(potential)

    def f(q: Any, p: Any) -> Any:
        for _ in range(n):
            p = p - 0.01 * force(q)
            q = q + 0.02 * p
        return potential(q) + (p**2).sum()

    return weft.value_and_grad(f), (ROW, ROW)


def scalar_carries(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """The gradient of a loop with ``n`` scalar carries."""

    def f(carries: Any) -> Any:
        def body(c: Any, _: Any) -> Any:
            return [wnp.sin(a) * 0.9 + c[k - 1] for k, a in enumerate(c)], None

        carries, _ = lax.scan(body, carries, None, length=3)
        return sum(carries)

    return weft.grad(f), ([np.float32(0.5)] * n,)


def branches(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """One conditional after the other."""

    def f(x: Any) -> Any:
        for _ in range(n):
            x = lax.cond(x[0] > 1, lambda y: y * 0.5, lambda y: y + 0.25, x)
        return x

    return f, (ROW,)


def pieces(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Arrays put together from ``n`` parts."""

    def f(x: Any) -> Any:
        return wnp.concatenate([x * float(k) for k in range(n)])

    return f, (ROW,)


def tree(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """A container of ``n`` arrays, each changed."""
    return lambda xs: [x * 2.0 + 1.0 for x in xs], ([ROW] * n,)


def nested_jits(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    f: Any = wnp.sin
    for _ in range(n):
        f = weft.jit(lambda x, f=f: f(x) + 1.0)
    return f, (ROW,)


def nested_branches(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    f: Any = wnp.sin
    for _ in range(n):
        f = lambda x, f=f: lax.cond(x[0] > 0, f, lambda y: y * 2.0, x)  # noqa: E731
    return f, (ROW,)


def nested_loops(n: int) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    f: Any = wnp.sin
    for k in range(n):
        f = lambda x, f=f, k=k: lax.scan(  # noqa: E731
            lambda c, _: (f(c) + 0.1, None), x, None, length=2 if k < 3 else 1
        )[0]
    return f, (ROW,)


FAMILIES: dict[str, tuple[Family, int]] = {
    f.__name__: (f, size)
    for f, size in (
        (chain_gradient, 60),
        (every_step, 60),
        (wide_sum, 30),
        (recurrent_gradient, 12),
        (layers_gradient, 12),
        (leapfrog, 12),
        (scalar_carries, 20),
        (branches, 20),
        (pieces, 50),
        (tree, 60),
    )
}


def calls(action: Callable[[], Any]) -> int:
    """Python functions called by ``action``: work, whatever else the machine does."""
    profile = cProfile.Profile(builtins=False)
    profile.runcall(action)
    return sum(entry.callcount for entry in profile.getstats())


@pytest.fixture
def small_kernels() -> Iterator[None]:
    """Kernels of few operators, so that short programs are long ones."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (uses, fusion, merging):
            patch.setattr(module, "MAX_NODES", 60)
        yield


@pytest.mark.usefixtures("small_kernels")
@pytest.mark.parametrize("name", FAMILIES)
def test_work_is_linear_in_length(name: str) -> None:
    family, size = FAMILIES[name]
    cpu = target_cpu()

    def work(n: int) -> int:
        f, arguments = family(n)

        def everything() -> str:
            return emit_llvm(plan_program(weft.make_jaxpr(f)(*arguments)), cpu)

        return calls(everything)

    work(size)  # what is done once in a process
    few, many = work(2 * size), work(4 * size)
    assert many <= 2.5 * few


# -- many equations --------------------------------------------------------------------------------


def test_copies_of_long_programs() -> None:
    f, arguments = chain_gradient(1000)
    closed = weft.make_jaxpr(f)(*arguments)
    with little_stack():
        assert str(copy.deepcopy(closed.jaxpr)) == str(closed.jaxpr)


def test_ten_thousand_equations() -> None:
    f, (x,) = chain(10_000)
    expected = x.astype(np.float64)
    for k in range(10_000):
        expected = expected * 1.001 if k % 2 else expected + 0.001
    np.testing.assert_allclose(weft.jit(f)(x), expected, rtol=1e-3)


def test_gradient_of_a_long_program() -> None:
    f, (x,) = chain_gradient(250)
    expected, y = np.ones(8), x.astype(np.float64)
    for _ in range(250):
        expected, y = expected * np.cos(y), np.sin(y)
    np.testing.assert_allclose(weft.jit(f)(x), expected, rtol=1e-4)


def test_gradient_of_many_layers() -> None:
    f, arguments = layers_gradient(150)
    value, (gradients, dx) = weft.jit(weft.value_and_grad(lambda *a: f(*a)[0], (0, 1)))(*arguments)
    assert len(gradients) == 150
    x = arguments[1] + 150 * arguments[0][0][1]  # every layer adds its bias
    np.testing.assert_allclose(value, (x**2).sum(), rtol=1e-3)
    np.testing.assert_allclose(dx, 2 * x, rtol=1e-3)
    for _, db in gradients:
        np.testing.assert_allclose(db, (2 * x).sum(0), rtol=1e-3)


def test_many_eager_operations() -> None:
    y = wnp.asarray(ROW)
    kept = [y]
    with little_stack():
        for _ in range(5000):
            y = y + 1.0
            kept.append(y)
        assert float(kept[-1][0]) == pytest.approx(5000.1)
        assert float(kept[2500][0]) == pytest.approx(2500.1)
        del kept, y


def test_stacking_many_arrays() -> None:
    f, (x,) = pieces(300)
    expected = np.concatenate([x * np.float32(k) for k in range(300)])
    np.testing.assert_array_equal(weft.jit(f)(x), expected)


# -- equal parts -----------------------------------------------------------------------------------


def test_equal_layers_are_scheduled_once() -> None:
    def schedules(n: int) -> int:
        f, arguments = layers_gradient(n)
        closed = weft.make_jaxpr(f)(*arguments)
        planning._entries.clear()
        contest = planning.strategy.contest
        with mock.patch.object(planning.strategy, "contest", side_effect=contest) as made:
            plan_program(closed)
        return made.call_count

    assert schedules(12) <= schedules(3) + 1


@pytest.mark.parametrize("family", [branches, nested_loops])
def test_equal_bodies_share_their_kernels(family: Family) -> None:
    def kernels(n: int) -> int:
        f, arguments = family(n)
        return weft.jit(f).stats(*arguments).kernels

    assert kernels(12) == kernels(6)


def test_what_is_repeated_is_computed_once() -> None:
    def f(x: Any) -> Any:
        return wnp.exp(x) * 2.0 + lax.cond(x[0] > 0, lambda y: wnp.exp(y), lambda y: y, x)

    lowered = lower_jaxpr(weft.make_jaxpr(f)(ROW))
    assert format_program(lowered).count("exp") == 1

    def in_branches(x: Any) -> Any:  # neither branch, nor what follows, sees the other's
        y = lax.cond(x[0] > 0, lambda y: wnp.exp(y), lambda y: wnp.exp(y) * 2.0, x)
        return y + wnp.exp(x)

    lowered = lower_jaxpr(weft.make_jaxpr(in_branches)(ROW))
    check_terms(lowered)
    assert format_program(lowered).count("exp") == 3


# -- functions of bounded size ---------------------------------------------------------------------


def functions(text: str) -> list[int]:
    """Lines of each function."""
    return [body.count("\n") for body in re.findall(r"^define.*?^}", text, re.S | re.M)]


@pytest.mark.parametrize("family", [layers_gradient, branches, scalar_carries])
def test_native_functions_do_not_grow(family: Family) -> None:
    cpu = target_cpu()

    def longest(n: int) -> int:
        f, arguments = family(n)
        return max(functions(emit_llvm(plan_program(weft.make_jaxpr(f)(*arguments)), cpu)))

    assert longest(150) <= 1.2 * longest(75)


def everything(x: Any, count: Any) -> Any:
    """Loops, branches, swapped carries, updates in place and calls of the host."""

    def body(k: Any, carry: Any) -> Any:
        a, b, table = carry
        a, b = b * 0.5, lax.cond(k % 2 == 0, lambda v: v + a, lambda v: wnp.cumsum(v) * 0.1, b)
        return a, b, table.at[k].add(a.sum())

    a, b, table = lax.fori_loop(0, 6, body, (x, x + 1, wnp.zeros(8, np.float32)))
    n, c = lax.while_loop(lambda s: s[0] < count, lambda s: (s[0] + 1, s[1] @ a * s[1]), (0, b))
    d = weft.pure_callback(np.sort, weft.ShapeDtypeStruct((8,), np.float32), c)
    return a, b, table, n, c, d, wnp.sort(d + x)


def test_a_module_for_each_kernel_and_region() -> None:
    expected = weft.jit(everything)(ROW, 3)
    with mock.patch.multiple(program_llvm, MODULE=0, REGIONS=0):
        executable = compile_jaxpr(weft.make_jaxpr(everything)(ROW, 3))
    assert len(executable.native.library._parts) > 3
    for a, e in zip(executable(ROW, np.int32(3)), expected, strict=True):
        np.testing.assert_array_equal(a, e)


@pytest.mark.parametrize(("part", "small"), [(1, 0), (3, 1), (9, 4), (20, 8)])
def test_however_main_is_cut(part: int, small: int) -> None:
    expected = weft.jit(everything)(ROW, 3)
    closed = weft.make_jaxpr(everything)(ROW, 3)
    whole = emit_llvm(plan_program(closed), target_cpu())
    with mock.patch.object(parts, "PART", part), mock.patch.object(parts, "SMALL", small):
        executable = compile_jaxpr(closed)
        text = emit_llvm(plan_program(closed), target_cpu())
    assert len(functions(text)) > len(functions(whole))
    for a, e in zip(executable(ROW, np.int32(3)), expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-6)


def test_errors_of_callbacks_leave_every_part() -> None:
    def fails(x: Any) -> Any:
        raise OSError("no such luck")

    def f(x: Any) -> Any:
        x = lax.fori_loop(0, 3, lambda _, y: wnp.sort(y) + 1.0, x)
        x = lax.fori_loop(
            0,
            3,
            lambda _, y: weft.pure_callback(fails, weft.ShapeDtypeStruct((8,), np.float32), y),
            x,
        )
        return wnp.sort(x)

    with mock.patch.object(parts, "PART", 1), mock.patch.object(parts, "SMALL", 0):
        executable = compile_jaxpr(weft.make_jaxpr(f)(ROW))
    with pytest.raises(OSError, match="no such luck"):
        executable(ROW)


# -- depth -----------------------------------------------------------------------------------------


@contextmanager
def little_stack(room: int = 150) -> Iterator[None]:
    """Room for few more calls in one another."""
    frame, depth = sys._getframe(), 0
    while frame is not None:
        frame, depth = frame.f_back, depth + 1  # type: ignore[assignment]
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(depth + room)
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)


DEEP: dict[str, tuple[Family, int]] = {
    "chain": (chain, 5000),
    "jits": (nested_jits, 150),
    "branches": (nested_branches, 40),
    "loops": (nested_loops, 30),
}


def every_level(f: Callable[..., Any], arguments: tuple[Any, ...]) -> list[list[Any]]:
    """Results of ``f`` at each level of the compiler; prints and checks each on the way."""
    closed = weft.make_jaxpr(f)(*arguments)
    check_jaxpr(closed)
    assert str(closed)
    assert jaxpr_key(closed) == jaxpr_key(weft.make_jaxpr(f)(*arguments)) is not None
    assert key_digest(jaxpr_key(closed)) is not None
    lowered = lower_jaxpr(closed)
    check_terms(lowered)
    assert format_program(lowered)
    program = plan_program(closed)
    check_program(program)
    assert print_program(program)
    with np.errstate(all="ignore"):
        return [
            eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arguments),
            list(interpret(lowered, *arguments)),
            run_program(program, list(arguments)),
            compile_jaxpr(closed)(*arguments),
            [weft.jit(f)(*arguments)],
            [f(*arguments)],
        ]


@pytest.mark.parametrize("name", DEEP)
def test_no_level_recurses_as_deep_as_programs_are(name: str) -> None:
    family, n = DEEP[name]
    f, arguments = family(n)
    with little_stack():
        results = every_level(f, arguments)
    for result in results[1:]:
        np.testing.assert_allclose(result[0], results[0][0], rtol=1e-3)


@pytest.mark.parametrize("transform", ["grad", "jvp", "vmap"])
@pytest.mark.parametrize("name", ["jits", "branches", "loops"])
def test_transformations_go_as_deep(name: str, transform: str) -> None:
    family, _ = DEEP[name]
    few, _ = family(2)
    f, (x,) = family(20)

    def transformed(f: Callable[..., Any]) -> Callable[..., Any]:
        if transform == "grad":
            return weft.grad(lambda x: f(x).sum())
        if transform == "jvp":
            return lambda x: weft.jvp(f, (x,), (x,))[1]
        return lambda x: weft.vmap(f)(wnp.stack([x, x]))[0]

    with little_stack():
        deep = np.asarray(weft.jit(transformed(f))(x))
    if name == "branches":  # one innermost function, whatever the depth
        np.testing.assert_allclose(deep, weft.jit(transformed(few))(x), rtol=1e-6)
    else:
        np.testing.assert_allclose(deep, transformed(f)(x), rtol=1e-5)
