"""Every composition of three transformations.

Each transformation takes a function of two vectors to another, so that they compose; beside it
stands what it means, by finite differences or a loop, of the function it is given. A composition is
interpreted; what it should be is the meaning of its last step applied to the one before, itself
already compared: so errors are found where they arise. Chains that differ in their last step only
share the program and what the step before gives at the points that the meanings look at.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
from tests.transforms.programs import POINTS, RandomProgram, meaning, programs
from weft.core import check_jaxpr, numpy_closed
from weft.core.interpret import eval_closed
from weft.lax import add, dot, mul

V = np.array([0.3, -0.5, 0.8])
W = np.array([-0.2, 0.6, 0.4])
CT = np.array([1.0, -2.0, 0.5])
Function = Callable[[Any, Any], Any]


def vjp(f: Function) -> Function:
    """The sum of the cotangents of both arguments."""
    return lambda x, y: add(*weft.vjp(f, x, y)[1](CT))


def grad(f: Function) -> Function:
    weighted = lambda x, y: weft.lax.reduce_sum(mul(f(x, y), CT), (0,))  # noqa: E731
    return lambda x, y: add(*weft.grad(weighted, (0, 1))(x, y))


def jvp(f: Function) -> Function:
    return lambda x, y: weft.jvp(f, (x, y), (V, W))[1]


def linearize(f: Function) -> Function:
    return lambda x, y: weft.linearize(f, x, y)[1](V, W)


def transposed(f: Function) -> Function:
    """The transpose of the linear part, twice: the linear part again."""

    def pushed(x: Any, y: Any) -> Any:
        linear = weft.linearize(f, x, y)[1]
        pulled = weft.linear_transpose(lambda t: linear(t, mul(t, W)), V)
        (out,) = weft.linear_transpose(lambda ct: pulled(ct)[0], CT)(V)
        return out

    return pushed


def jacfwd(f: Function) -> Function:
    return lambda x, y: dot(weft.jacfwd(f, 1)(x, y), V)


def jacrev(f: Function) -> Function:
    return lambda x, y: dot(weft.jacrev(f, 0)(x, y), W)


def hessian(f: Function) -> Function:
    """The second derivative in the first argument along two directions."""
    return lambda x, y: weft.numpy.einsum("kij,i,j->k", weft.hessian(f)(x, y), V, W)


def custom_jvp(f: Function) -> Function:
    """``f`` with its own derivative as the rule."""
    wrapped = weft.custom_jvp(lambda x, y: f(x, y))
    wrapped.defjvp(lambda primals, tangents: weft.jvp(f, primals, tangents))
    return wrapped


def custom_vjp(f: Function) -> Function:
    """The pullback of ``f`` through a rule for reverse mode, which refuses forward mode itself."""
    wrapped = weft.custom_vjp(lambda x, y: f(x, y))
    wrapped.defvjp(
        lambda x, y: (f(x, y), (x, y)),
        lambda saved, ct: weft.vjp(f, *saved)[1](ct),
    )
    return lambda x, y: add(*weft.vjp(wrapped, x, y)[1](CT))


def vmap(f: Function) -> Function:
    """Over two rows, of which the sum."""
    rows = lambda x: weft.lax.concatenate([x[None], mul(x[None], 0.5)], 0)  # noqa: E731
    return lambda x, y: weft.lax.reduce_sum(weft.vmap(f, (0, None))(rows(x), y), (0,))


def evaluated(f: Function) -> Function:
    return lambda x, y: eval_closed(weft.make_jaxpr(f)(x, y), x, y)[0]


TRANSFORMS = {
    "jit": weft.jit,
    "checkpoint": weft.checkpoint,
    "make_jaxpr": evaluated,
    "jvp": jvp,
    "linearize": linearize,
    "linear_transpose": transposed,
    "vjp": vjp,
    "grad": grad,
    "vmap": vmap,
    "jacfwd": jacfwd,
    "jacrev": jacrev,
    "hessian": hessian,
    "custom_jvp": custom_jvp,
    "custom_vjp": custom_vjp,
}
KEEPING = ("jit", "checkpoint", "make_jaxpr", "custom_jvp")


def interpreted(f: Function) -> Function:
    """The NumPy meaning of ``f``, traced once and remembered by point."""
    closed = weft.make_jaxpr(f)(*POINTS[0])
    check_jaxpr(closed)
    known: dict[tuple[bytes, bytes], Any] = {}

    def value(x: Any, y: Any) -> Any:
        key = x.tobytes(), y.tobytes()
        if key not in known:
            (known[key],) = numpy_closed(closed, x, y)
        return known[key]

    return value


def difference(f: Function, x: Any, y: Any, v: Any, w: Any, h: float = 1e-6) -> Any:
    return (f(x + h * v, y + h * w) - f(x - h * v, y - h * w)) / (2 * h)


def expected(name: str, f: Function, x: Any, y: Any) -> Any:
    """What the transformation ``name`` gives at a point, if ``f`` is what the function gives."""
    zero = np.zeros_like(V)
    if name in KEEPING:
        return f(x, y)
    if name in ("jvp", "linearize"):
        return difference(f, x, y, V, W)
    if name == "linear_transpose":
        return difference(f, x, y, V, V * W)
    if name == "jacfwd":
        return difference(f, x, y, zero, V)
    if name == "jacrev":
        return difference(f, x, y, W, zero)
    if name == "hessian":
        h = 2e-4
        return difference(lambda a, b: difference(f, a, b, V, zero, h), x, y, W, zero, h)
    if name == "vmap":
        return f(x, y) + f(0.5 * x, y)
    return np.array([CT @ difference(f, x, y, e, e) for e in np.eye(len(V))])


def check(name: str, found: Any, f: Function, point: Any, message: str) -> None:
    wanted = expected(name, f, *point)
    scale = max(1.0, float(np.abs(wanted).max()), float(np.abs(f(*point)).max()))
    np.testing.assert_allclose(found / scale, wanted / scale, rtol=2e-5, atol=2e-6, err_msg=message)


# One step of calculus each.
PROGRAMS = [
    RandomProgram(((u, 0, 0), (b, 2, 1)))
    for b, u in itertools.product(("mul", "add"), ("sin", "tanh", "exp of tanh", "rev", "neg"))
]
#: And one with each kind of loop and branch.
LOOPS = [
    RandomProgram(((name, 0, 1), ("mul", 2, 1)))
    for name in ("running", "reverse running", "closing over", "branching", "choosing")
]


@pytest.mark.parametrize("first", TRANSFORMS)
def test_every_composition_means_what_its_parts_mean(first):
    """All chains of three, each pair of first steps with a program of its own."""
    place = list(TRANSFORMS).index(first)
    for count, second in enumerate(TRANSFORMS):
        program = PROGRAMS[(place * len(TRANSFORMS) + count) % len(PROGRAMS)]
        point = POINTS[count % len(POINTS)]
        once = TRANSFORMS[first](program)
        twice = TRANSFORMS[second](once)
        once_value, twice_value = interpreted(once), interpreted(twice)
        story = f"{program!r}: {first}"
        check(first, once_value(*point), interpreted(program), point, story)
        check(second, twice_value(*point), once_value, point, f"{story}, {second}")
        for third in TRANSFORMS:
            found = meaning(TRANSFORMS[third](twice), *point)
            check(third, found, twice_value, point, f"{story}, {second}, {third}")


@pytest.mark.parametrize("first", TRANSFORMS)
def test_compositions_around_loops_and_branches(first):
    """Each pair of first steps around some kind of loop, with third steps in turn."""
    names = list(TRANSFORMS)
    place = names.index(first)
    for count, second in enumerate(names):
        program = LOOPS[(place + count) % len(LOOPS)]
        chain = (first, second, names[(place + 3 * count) % len(names)])
        compare_chain(program, chain, POINTS[count % len(POINTS)])


@settings(max_examples=120)
@given(programs(3), st.tuples(*[st.sampled_from(list(TRANSFORMS))] * 3), st.sampled_from(POINTS))
def test_compositions_of_random_programs(program, chain, point):
    compare_chain(program, chain, point)


def compare_chain(f: Function, chain: tuple[str, ...], point: Any) -> None:
    """Each step beside what it means for the one before."""
    story = f"{f!r}: {chain}"
    for name in chain:
        value = interpreted(f)
        f = TRANSFORMS[name](f)
        check(name, meaning(f, *point), value, point, story)


#: Chains that are compiled together.
AT_ONCE = 28


@pytest.mark.parametrize("first", TRANSFORMS)
def test_machine_code_of_every_composition_agrees(first):
    """All chains of three, compiled, beside what is interpreted."""
    place = list(TRANSFORMS).index(first)
    chains, functions = [], []
    for count, second in enumerate(TRANSFORMS):
        program = PROGRAMS[(place * len(TRANSFORMS) + count) % len(PROGRAMS)]
        twice = TRANSFORMS[second](TRANSFORMS[first](program))
        for third in TRANSFORMS:
            chains.append((first, second, third))
            functions.append(TRANSFORMS[third](twice))
    for start in range(0, len(chains), AT_ONCE):
        part = functions[start : start + AT_ONCE]
        every = lambda x, y, part=part: [f(x, y) for f in part]  # noqa: E731
        found = weft.jit(every)(*POINTS[0])
        wanted = meaning(every, *POINTS[0])
        for chain, mine, other in zip(chains[start:], found, wanted, strict=False):
            np.testing.assert_allclose(mine, other, rtol=1e-8, atol=1e-8, err_msg=str(chain))
