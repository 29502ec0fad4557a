"""Arrays on devices: where they are, what is computed there, and what is refused."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from typing import Any

import numpy as np
import pytest

import weft
from tests.backends.reference import ReferenceDevice
from weft import lax
from weft import numpy as wnp
from weft.backends import DeviceArray, registry
from weft.backends.cuda import driver as cuda_driver

Pair = tuple[ReferenceDevice, ReferenceDevice]


def test_devices_are_listed(pair: Pair) -> None:
    assert weft.devices()[0] == "cpu" and weft.devices("cpu") == ["cpu"]
    assert weft.devices("reference") == ["reference:0", "reference:1"]
    assert {"reference:0", "reference:1"} <= set(weft.devices())


def test_arrays_go_there_and_back(pair: Pair) -> None:
    x = wnp.arange(6.0).reshape(2, 3)
    there = x.to("reference:1")
    assert (x.device, there.device, there.to("cpu").device) == ("cpu", "reference:1", "cpu")
    assert there.to("reference:1") is there and x.to("cpu") is x
    assert there.shape == (2, 3) and there.to_device("reference").device == "reference:0"
    assert str(there) == str(x) and repr(there) == repr(x) and there.tolist() == x.tolist()
    assert pickle.loads(pickle.dumps(there)).tolist() == x.tolist()
    assert copy.copy(there).device == "reference:1"
    tree = weft.device_put({"a": 1.5, "b": [np.arange(3)]}, "reference")
    assert tree["a"].device == tree["b"][0].device == "reference:0" and float(tree["a"]) == 1.5


def test_what_is_computed_from_them_is_computed_there(pair: Pair) -> None:
    device = pair[0]
    x = weft.device_put(np.arange(12, dtype=np.float32).reshape(3, 4), "reference")
    y = wnp.tanh(x / 4) @ np.ones((4, 2), np.float32)
    assert isinstance(y, DeviceArray) and y.device == "reference:0" and device.launches
    np.testing.assert_allclose(y, np.tanh(np.asarray(x) / 4) @ np.ones((4, 2)), rtol=1e-6)
    assert x[1:, 2].tolist() == [6, 10] and x.sum(0).device == "reference:0"
    assert float(x.max()) == 11 and bool((x > 3).any())


def test_jitted_functions_and_their_derivatives(pair: Pair) -> None:
    def loss(w: Any, x: Any) -> Any:
        return wnp.mean(wnp.sin(x @ w) ** 2)

    w = np.linspace(-1, 1, 4, dtype=np.float32)
    x = np.arange(12, dtype=np.float32).reshape(3, 4) / 7
    step = weft.jit(weft.value_and_grad(loss))
    expected = step(w, x)
    device = pair[1]
    for _ in range(2):
        found = step(weft.device_put(w, "reference:1"), x)
        assert [a.device for a in found] == ["reference:1"] * 2
        for a, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-5)
    assert device.launches and not pair[0].launches
    assert [a.device for a in step(w, x)] == ["cpu", "cpu"]
    rows = weft.vmap(weft.grad(loss), (None, 0))(weft.device_put(w, "reference"), x[:, None])
    assert rows.device == "reference:0"
    np.testing.assert_allclose(rows, weft.vmap(weft.grad(loss), (None, 0))(w, x[:, None]), 1e-5)


def test_control_flow(pair: Pair) -> None:
    def f(x: Any, n: Any) -> Any:
        _, y = lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 1.5), (0, x))
        z = lax.fori_loop(0, 4, lambda i, v: v + i * x, y)
        last, all_ = lax.scan(lambda c, v: (c + v, c), wnp.zeros(()), z)
        return lax.cond(last > 0, lambda v: v, lambda v: -v, all_), wnp.sort(z), last

    x = np.array([3.0, -1.0, 2.0], np.float32)
    expected = weft.jit(f)(x, 3)
    found = weft.jit(f)(weft.device_put(x, "reference"), 3)
    for a, e in zip(found, expected, strict=True):
        assert a.device == "reference:0"
        np.testing.assert_allclose(a, e, rtol=1e-6)


def test_constants_of_a_program_go_along(pair: Pair) -> None:
    table = weft.device_put(np.arange(5, dtype=np.float32), "reference")
    f = weft.jit(lambda i: table[i] + wnp.arange(5.0))
    assert f(np.int32(2)).tolist() == [2, 3, 4, 5, 6]
    assert f(weft.device_put(np.int32(2), "reference")).device == "reference:0"


def test_assignment_gives_the_handle_a_new_value(pair: Pair) -> None:
    x = weft.device_put(np.zeros(4, np.float32), "reference")
    other = copy.copy(x)
    x[1:3] = 5.0
    assert x.device == "reference:0" and x.tolist() == [0, 5, 5, 0] and other.tolist() == [0] * 4


def test_memory_comes_back(pair: Pair) -> None:
    device = pair[0]
    x = weft.device_put(np.ones((64, 64), np.float32), "reference")
    f = weft.jit(lambda x: wnp.tanh(x @ x).sum())
    f(x)
    gc.collect()
    before = device.used
    for _ in range(5):
        f(x)
    gc.collect()
    assert device.used == before
    x.delete()
    assert x.is_deleted() and device.used == before - 64 * 64 * 4
    with pytest.raises(RuntimeError, match=r"was deleted by Array\.delete"):
        x + 1
    with pytest.raises(MemoryError, match="reference:0 has no 67,108,864 bytes"):
        weft.device_put(np.ones(1 << 24, np.float32), "reference")


def test_what_the_device_does_not_have(pair: Pair) -> None:
    with pytest.raises(TypeError, match=r"reference:0 .* does not compute with float64.*astype"):
        weft.device_put(np.ones(3), "reference")
    x = weft.device_put(np.ones(3, np.float32), "reference")
    match = r"does not compute with f64: the result of convert_element_type, f64\[3\], .*test_place"
    with pytest.raises(TypeError, match=match):
        weft.jit(lambda v: v.astype(np.float64) * 2)(x)
    with pytest.raises(TypeError, match=r"argument 1, f64\[3\],.*x\.to\('cpu'\)"):
        weft.jit(lambda a, b: a + b)(x, np.ones(3))


def test_two_devices_in_one_operation(pair: Pair) -> None:
    a = weft.device_put(np.ones(3, np.float32), "reference:0")
    b = weft.device_put(np.ones((3, 2), np.float32), "reference:1")
    match = r"f32\[3\] on reference:0 and f32\[3,2\] on reference:1.*x\.to\('reference:0'\)"
    for f in (lambda x, y: x @ y, weft.jit(lambda x, y: x @ y)):
        with pytest.raises(ValueError, match=match):
            f(a, b)


def test_a_jitted_function_names_its_arguments_on_two_devices(pair: Pair) -> None:
    a = weft.device_put(np.ones(3, np.float32), "reference:0")
    b = weft.device_put(np.ones(3, np.float32), "reference:1")

    @weft.jit
    def step(params: Any, n: Any, *, batch: Any) -> Any:
        return params["w"] * n + batch[0]

    match = r"reference:0 and f32\[3\] on reference:1 \(params\['w'\] and batch\[0\], arguments of"
    for _ in range(2):
        with pytest.raises(ValueError, match=match + r" .*step\) cannot be arguments of one"):
            step({"w": a}, 2, batch=[b])
        assert step({"w": a}, 2, batch=[a]).tolist() == [3, 3, 3]


def test_arrays_of_a_callback_are_no_arguments_of_its_function(pair: Pair) -> None:
    a = weft.device_put(np.ones(3, np.float32), "reference:0")
    b = weft.device_put(np.ones(3, np.float32), "reference:1")
    shape = weft.ShapeDtypeStruct((3,), np.float32)
    f = weft.jit(lambda x: weft.pure_callback(lambda v: np.asarray(a + b), shape, x))
    with pytest.raises(ValueError, match=r"on reference:1 cannot be arguments of one operation"):
        np.asarray(f(weft.device_put(np.ones(3, np.float32), "reference:0")))


def test_a_default_for_what_is_on_the_cpu(pair: Pair) -> None:
    f = weft.jit(lambda x: wnp.cumsum(x) * 2)
    x = np.arange(4, dtype=np.float32)
    assert f(x).device == "cpu"
    with weft.default_device("reference:1"):
        for _ in range(3):
            assert f(x).device == "reference:1" and f(x).tolist() == [0, 2, 6, 12]
        assert (wnp.ones(3) + 1).device == "reference:1"
        assert (weft.device_put(x, "reference:0") + 1).device == "reference:0"
        with weft.default_device("cpu"):
            assert f(x).device == (wnp.ones(3) + 1).device == "cpu"
        with weft.disable_jit(), weft.default_device("reference"):
            assert f(x).device == "cpu"
        assert weft.grad(f_sum := weft.jit(lambda v: (v * v).sum()))(x).device == "reference:1"
    assert f(x).device == weft.grad(f_sum)(x).device == "cpu"
    with pytest.raises(ValueError, match="no platform 'abacus'"), weft.default_device("abacus"):
        pass
    assert f(x).device == "cpu"


def test_functions_that_belong_to_a_device(pair: Pair) -> None:
    f = weft.jit(lambda x, n, *, k: {"y": x * n + k}, static_argnums=1, device="reference:1")
    x = np.arange(3, dtype=np.float32)
    for given in (x, weft.device_put(x, "reference:0"), weft.device_put(x, "reference:1")):
        for _ in range(3):
            found = f(given, 2, k=np.float32(1))["y"]
            assert found.device == "reference:1" and found.tolist() == [1, 3, 5]
    compiled = f.lower(x, 2, k=np.float32(1)).compile()
    for given in (x, weft.device_put(x, "reference:0"), weft.device_put(x, "reference:1")):
        found = compiled(given, k=np.float32(1))["y"]
        assert found.device == "reference:1" and found.tolist() == [1, 3, 5]
    home = weft.jit(lambda x: x + 1, device="cpu")
    assert home.lower(x).compile()(weft.device_put(x, "reference:0")).device == "cpu"
    assert home(weft.device_put(x, "reference:0")).device == "cpu"
    assert weft.grad(lambda x: f(x, 2, k=x)["y"].sum())(x).device == "cpu"


def test_derivatives_of_jitted_functions(pair: Pair) -> None:
    x = weft.device_put(np.arange(3, dtype=np.float32), "reference:1")
    slope = weft.grad(weft.jit(lambda v: wnp.sin(v).sum()))(x)
    assert slope.device == "reference:1" and not pair[0].launches
    np.testing.assert_allclose(slope, np.cos(np.arange(3)), rtol=1e-6)


def test_donated_arrays_are_taken(pair: Pair) -> None:
    f = weft.jit(lambda x: x + 1, donate_argnums=0)
    x = weft.device_put(np.ones(3, np.float32), "reference")
    assert f(x).tolist() == [2, 2, 2] and x.is_deleted()
    with pytest.raises(RuntimeError, match="was donated to a jitted function"):
        x.tolist()


def test_arrays_of_numpy(pair: Pair) -> None:
    x = weft.device_put(np.ones(3, np.float32), "reference")
    found = weft.device_get([x, wnp.arange(2), 3.0])
    assert [type(a) for a in found] == [np.ndarray, np.ndarray, float]
    assert found[0].tolist() == [1, 1, 1]


def test_waiting(pair: Pair) -> None:
    x = weft.device_put(np.ones(3, np.float32), "reference")
    assert weft.block_until_ready({"x": x + 1})["x"].tolist() == [2, 2, 2]
    assert weft.compute(x) is x


def test_names_of_devices(pair: Pair) -> None:
    x = wnp.ones(3)
    with pytest.raises(
        ValueError, match=r"no platform 'abacus'; the platforms are 'cpu', 'opencl'"
    ):
        x.to("abacus")
    with pytest.raises(ValueError, match="'cuda', 'opencl' and 'webgpu' drive GPUs"):
        x.to("rocm")
    with pytest.raises(ValueError, match=r"no device 'reference:7'; those of reference are 'ref"):
        x.to("reference:7")
    with pytest.raises(TypeError, match=r"given by its name, such as 'opencl:0'; got 3"):
        x.to(3)
    with pytest.raises(ValueError, match=r"stream is None, got 1"):
        x.to_device("cpu", stream=1)
    with pytest.raises(TypeError, match="a program runs on one device"):
        weft.jit(lambda v: weft.device_put(v, "reference"))(x)
    with pytest.raises(TypeError, match=r"device_put: 'no' of type str is not an array"):
        weft.device_put("no", "reference")


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_found", {})
    monkeypatch.setattr(
        cuda_driver.ctypes, "CDLL", lambda name: (_ for _ in ()).throw(OSError(name))
    )
    for platform, package in (("opencl", "pyopencl"), ("webgpu", "wgpu"), ("wasm", "wasmtime")):
        monkeypatch.setitem(sys.modules, package, None)
        match = rf"'{platform}' needs the package {package}: pip install 'weft\[{platform}\]'"
        with pytest.raises(weft.errors.DeviceError, match=match):
            wnp.ones(3).to(platform)
    assert weft.devices() == ["cpu"]


def test_a_profile_has_the_steps_of_a_device(pair: Pair) -> None:
    x = weft.device_put(np.arange(6, dtype=np.float32), "reference:0")
    f = weft.jit(lambda x: wnp.cumsum(x) * 2)
    expected = np.asarray(f(x))
    with weft.profile() as found:
        result = f(x)
    np.testing.assert_array_equal(np.asarray(result), expected)
    (run,) = found.runs
    assert run.calls.sum() == len(run.events) > 0 and not run.dropped
    assert all(row.lines[0].file == __file__ for row in found.kernels if row.kind == "kernel")
    assert found.memory.peak[1] >= 2 * x.nbytes
    before = pair[0].launches
    f(x)
    assert len(found.runs) == 1 and pair[0].launches > before
