"""jit: signatures, static arguments, containers, methods, nesting, errors."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref

import numpy as onp
import pytest

import weft
import weft.numpy as np
from weft.transforms import jit as jit_module


class Counter:
    """Counts how often a function is traced."""

    def __init__(self, fun):
        self.fun = fun
        self.count = 0
        self.__name__ = fun.__name__

    def __call__(self, *args, **kwargs):
        self.count += 1
        return self.fun(*args, **kwargs)


def test_one_trace_for_each_signature():
    traced = Counter(lambda x: x + 1)
    f = weft.jit(traced)
    x = np.arange(3.0)
    for _ in range(3):
        onp.testing.assert_array_equal(f(x), [1, 2, 3])
    assert traced.count == 1
    f(np.arange(4.0))
    assert traced.count == 2
    f(np.arange(3))
    assert traced.count == 3
    f(2.0)
    f(3.0)
    assert traced.count == 4
    onp.testing.assert_array_equal(f(x), [1, 2, 3])
    assert traced.count == 4
    f.clear_cache()
    f(x)
    assert traced.count == 5


def test_containers_keywords_and_defaults():
    @weft.jit
    def f(params, *, scale=2.0, shift=None):
        shift = 0.0 if shift is None else shift
        return {"y": params["w"] * scale + shift, "all": (params["b"], [scale])}

    out = f({"w": np.arange(3.0), "b": np.ones(2)}, scale=3.0)
    onp.testing.assert_array_equal(out["y"], [0, 3, 6])
    onp.testing.assert_array_equal(out["all"][0], [1, 1])
    assert float(out["all"][1][0]) == 3.0
    assert float(f({"w": 1.0, "b": 1.0}, shift=1)["y"]) == 3.0


def test_static_arguments_by_number_and_name():
    traced = Counter(lambda x, n, mode="add": x * n if mode == "mul" else x + n)
    f = weft.jit(traced.fun, static_argnums=1, static_argnames="mode")
    assert float(f(2.0, 3)) == 5.0
    assert float(f(2.0, 3, mode="mul")) == 6.0
    assert float(f(2.0, 3, "mul")) == 6.0
    assert float(f(2.0, n=4)) == 6.0

    @weft.jit
    def size_is_static(x):
        return np.zeros(x.shape[0]) + len(x)

    onp.testing.assert_array_equal(size_is_static(np.ones(2)), [2, 2])


def test_equal_static_values_of_different_types_are_told_apart():
    seen = []

    def f(x, flag):
        seen.append(flag)
        return x

    g = weft.jit(f, static_argnums=(1,))
    for flag in (1, True, 1.0, 1):
        g(2.0, flag)
    assert [type(s) for s in seen] == [int, bool, float]


def test_methods_are_jitted():
    class Model:
        def __init__(self, scale):
            self.scale = scale

        @weft.jit
        def free(x):
            return x * 2

        @weft.jit
        def apply(self, x):
            return x * self["scale"]

        def __getitem__(self, key):
            return getattr(self, key)

    weft.tree.register_node(Model, lambda m: ((m.scale,), None), lambda _, c: Model(*c))
    assert float(Model(3.0).apply(2.0)) == 6.0
    assert float(Model.free(2.0)) == 4.0


def test_decorator_with_options_and_function_attributes():
    @weft.jit(static_argnames=("n",))
    def power(x, n):
        """Doc."""
        return x**n

    assert power.__name__ == "power" and power.__doc__ == "Doc."
    assert repr(power) == "<jit of power>"
    assert float(power(2.0, n=3)) == 8.0


def test_nested_jit_is_one_equation():
    inner = weft.jit(lambda x: np.sin(x) * 2)
    closed = weft.make_jaxpr(lambda x: inner(x) + 1)(1.0)
    assert closed.eqns[0].primitive.name == "jit"
    inlined = weft.jit(lambda x: np.sin(x) * 2, inline=True)
    names = [e.primitive.name for e in weft.make_jaxpr(lambda x: inlined(x) + 1)(1.0).eqns]
    assert "jit" not in names and "sin" in names
    assert float(weft.jit(lambda x: inner(x) + 1)(0.0)) == 1.0


def test_closing_over_values_of_an_outer_trace_is_not_remembered():
    def outer(x):
        @weft.jit
        def inner(y):
            return x * y

        return inner(2.0) + inner(2.0)

    assert float(weft.grad(outer)(3.0)) == 4.0
    assert float(weft.jit(weft.grad(outer))(3.0)) == 4.0
    onp.testing.assert_array_equal(weft.vmap(outer)(np.arange(3.0)), [0, 4, 8])

    shared = {}
    f = weft.jit(lambda y: shared["x"] * y)

    def using(x):
        shared["x"] = x
        return f(2.0)

    assert float(weft.grad(using)(3.0)) == 2.0
    shared["x"] = np.asarray(5.0)
    assert float(f(2.0)) == 10.0


def test_captured_arrays_are_frozen():
    data = onp.ones(3, onp.float32)
    weight = np.ones(3)
    f = weft.jit(lambda x: x * data + weight)
    onp.testing.assert_array_equal(f(np.ones(3)), [2, 2, 2])
    data[:] = 7
    weight[0] = 7
    f(np.ones((1, 3)))  # another signature does see the new values
    onp.testing.assert_array_equal(f(np.ones(3)), [2, 2, 2])


def test_outputs_that_are_inputs_or_constants():
    f = weft.jit(lambda x, y: (x, 3, y, x))
    x, c, y, again = f(np.arange(2.0), 5)
    onp.testing.assert_array_equal(x, [0, 1])
    onp.testing.assert_array_equal(again, [0, 1])
    assert (int(c), int(y)) == (3, 5)
    assert weft.jit(lambda: {})() == {}


def test_disable_jit_runs_python_each_time():
    traced = Counter(lambda x: x + 1 if x > 0 else x)
    f = weft.jit(traced)
    with weft.disable_jit():
        assert float(f(np.asarray(1.0))) == 2.0
        assert float(f(np.asarray(-1.0))) == -1.0
    assert traced.count == 2


def test_settings_are_part_of_the_signature_of_compiled_code():
    f = weft.jit(lambda x: x * 2)
    x = np.ones(3)
    first = f.trace(x).executable
    threads = weft.config.threads
    try:
        weft.config.threads = 1 if threads > 1 else 2
        assert f.trace(x).executable is not first
        onp.testing.assert_array_equal(f(x), [2, 2, 2])
    finally:
        weft.config.threads = threads


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(jit_module, "CACHE_SIZE", 3)
    traced = Counter(lambda x, n: x + n)
    f = weft.jit(traced, static_argnums=1)
    for n in range(5):
        f.trace(1.0, n)
    assert len(f._cache) == 3
    f.trace(1.0, 4)
    assert traced.count == 5
    f.trace(1.0, 0)
    assert traced.count == 6


def test_traces_are_freed_with_the_function():
    f = weft.jit(lambda x: x + 1)
    traced = weakref.ref(f.trace(1.0).closed.jaxpr)
    del f
    gc.collect()
    assert traced() is None


def test_threads_trace_apart():
    results = {}
    f = weft.jit(lambda x: np.sin(x).sum())

    def work(n):
        results[n] = float(weft.make_jaxpr(f)(onp.ones(n)).in_avals[0].size)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: float(n) for n in range(1, 6)}


def test_trace_takes_shapes_for_arrays():
    f = weft.jit(lambda x: x @ x)
    traced = f.trace(weft.ShapeDtypeStruct((3, 3), "float32"))
    assert [str(a) for a in traced.jaxpr.out_avals] == ["f32[3,3]"]


# ---------------------------------------------------------------- errors


def test_arguments_must_be_arrays():
    with pytest.raises(TypeError) as error:
        weft.jit(lambda x, mode: x)(1.0, "fast")
    assert str(error.value).partition("\nAt ")[0] == (
        "jit of '<lambda>': mode (if it is meant to be static, name it in static_argnames) is "
        "'fast' of type str, not an array or a number"
    )
    with pytest.raises(TypeError, match="jit takes a function, got 3 of type int"):
        weft.jit(3)


def test_results_must_be_arrays():
    def f(x):
        return {"y": x, "name": "result"}

    with pytest.raises(TypeError, match=r"'f' \(under jit\) returned 'result' of type str as"):
        weft.jit(f)(1.0)


def test_static_arguments_must_be_hashable_and_exist():
    with pytest.raises(TypeError, match=r"static argument n is not hashable: \[1\] of type list"):
        weft.jit(lambda x, n: x, static_argnames="n")(1.0, [1])
    with pytest.raises(ValueError, match="static_argnames has 'm', but the function takes x, n"):
        weft.jit(lambda x, n: x, static_argnames="m")
    with pytest.raises(
        ValueError, match="static_argnums has 2, but the function takes 2 positional"
    ):
        weft.jit(lambda x, n: x, static_argnums=2)
    with pytest.raises(ValueError, match="donate_argnums has 3, but the function takes 1 posit"):
        weft.jit(lambda x: x, donate_argnums=3)
    with pytest.raises(TypeError, match="static_argnums is ints, got 'x'"):
        weft.jit(lambda x: x, static_argnums="x")


@weft.jit
def doubled(x):
    return 2 * x


def test_a_function_of_a_module_is_pickled_by_reference():
    assert pickle.loads(pickle.dumps(doubled)) is doubled
    assert copy.deepcopy({"f": doubled})["f"] is doubled
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(weft.jit(lambda x: x))
