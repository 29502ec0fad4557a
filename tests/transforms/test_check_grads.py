"""`check_grads`, and the derivatives of every public function, both modes, to second order."""

from __future__ import annotations

import inspect
import types
from collections.abc import Iterator
from typing import Any

import numpy as onp
import pytest

import weft
import weft.numpy as np
from tests.transforms import differentiable as table
from tests.transforms import differentiable_library as library
from tests.transforms import differentiable_models as models
from weft import lax, nn
from weft.core.interpret import eval_closed
from weft.core.trace import eval_trace, numpy_evaluator, set_evaluator
from weft.lax import special
from weft.test_util import check_grads


@pytest.fixture(autouse=True)
def _numpy_evaluator() -> Iterator[None]:
    """Derivatives are checked on the NumPy meaning of primitives: nothing is compiled."""
    previous = eval_trace.evaluator
    set_evaluator(numpy_evaluator)
    yield
    set_evaluator(previous)


NAMESPACES = {
    "numpy": (np, table.numpy_calls(), table.NUMPY_DISCRETE),
    "lax": (lax, table.lax_calls(), table.LAX_DISCRETE),
    "nn": (nn, table.nn_calls(), table.NN_DISCRETE),
    **library.NAMESPACES,
    **models.NAMESPACES,
    "lax.special": (special, table.special_calls(), table.SPECIAL_DISCRETE),
}


def public_functions(module: Any) -> set[str]:
    """Names of the functions a module offers: those of `__all__`, or defined below it."""
    named = getattr(module, "__all__", None)
    found = set()
    for name in named or dir(module):
        value = getattr(module, name)
        is_type = inspect.isclass(value) or isinstance(value, types.GenericAlias)
        if name.startswith("_") or not callable(value) or is_type:
            continue
        found.add(name)
    return found


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_every_public_function_is_listed(namespace):
    module, calls, discrete = NAMESPACES[namespace]
    assert public_functions(module) == calls.keys() | discrete
    assert not calls.keys() & discrete


def cases() -> list[tuple[str, str]]:
    """Every function in the first namespace that offers it by that name."""
    found: dict[tuple[str, int], tuple[str, str]] = {}
    for namespace, (module, calls, _) in NAMESPACES.items():
        for name in calls:
            found.setdefault((name, id(getattr(module, name))), (namespace, name))
    return list(found.values())


CASES = cases()


@pytest.mark.parametrize(("namespace", "name"), CASES)
def test_derivatives(namespace, name):
    call = NAMESPACES[namespace][1][name]

    def typed(*args: Any) -> Any:
        """Through a jaxpr: operators of NumPy arrays would give weakly typed scalars."""
        closed = weft.make_jaxpr(call)(*args)
        return eval_closed(closed, *args)

    modes = ("fwd",) if name in table.FORWARD_ONLY else ("fwd", "rev")
    check_grads(typed, [table.POINT[p] for p in parameters(call)], 2, modes)


def test_distributions_without_a_formula_say_so():
    for name in library.STATS_MISSING:
        distribution, method = name.split(".")
        shapes = library.CONTINUOUS.get(distribution)
        shapes = library.DISCRETE[distribution](table.X) if shapes is None else shapes
        at = () if method == "entropy" else (table.X,)
        with pytest.raises(
            NotImplementedError, match=rf"stats\.{distribution}\.\w+: there is no formula"
        ):
            getattr(library.STATS, name)(*at, *shapes)


@pytest.mark.parametrize("name", library.REFUSED)
def test_factors_without_derivatives_say_so(name):
    with pytest.raises(TypeError, match=r"has no derivative[:;].* differentiate (lax\.|eigvals)"):
        check_grads(library.REFUSED[name], (table.M,), 1, "fwd")


def test_loops_of_unknown_length_refuse_reverse_mode():
    call = NAMESPACES["lax"][1]["while_loop"]
    with pytest.raises(NotImplementedError, match="of a while loop: the number of steps"):
        check_grads(call, [table.POINT[p] for p in parameters(call)], 1, "rev")


def parameters(call: Any) -> list[str]:
    return [p for p in inspect.signature(call).parameters if p in table.POINT]


def test_wrong_derivatives_are_found():
    @weft.custom_jvp
    def wrong(x):
        return x * x

    wrong.defjvps(lambda t, out, x: 3 * x * t)
    with pytest.raises(AssertionError, match=r"jvp of 'wrong': the tangent against a difference"):
        check_grads(wrong, (0.7,), 1, modes=["fwd"])
    with pytest.raises(AssertionError, match=r"vjp of 'wrong': the cotangent against a difference"):
        check_grads(wrong, (0.7,), 1, modes=["rev"])


def test_wrong_second_derivatives_are_found():
    @weft.custom_jvp
    def slope(x):
        return x * 2

    slope.defjvps(lambda t, out, x: t)

    @weft.custom_jvp
    def f(x):
        return x * x

    f.defjvps(lambda t, out, x: slope(x) * t)
    check_grads(f, (0.7,), 1)
    with pytest.raises(AssertionError, match=r"(jvp|vjp) of (jvp|vjp) of 'f': the "):
        check_grads(f, (0.7,), 2)


def test_complex_functions_and_trees():
    z = onp.array([1 + 2j, 0.3 - 0.1j])
    check_grads(lambda v: np.exp(v) * np.conj(v), (z,), order=2)
    check_grads(lambda d, n: {"y": d["a"] * n, "n": n}, ({"a": onp.ones(2)}, 3), order=2)


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="modes are 'fwd' and 'rev', got 'reverse'"):
        check_grads(np.sin, (1.0,), 1, modes=["reverse"])
    with pytest.raises(ValueError, match="order is at least 1, got 0"):
        check_grads(np.sin, (1.0,), 0)
