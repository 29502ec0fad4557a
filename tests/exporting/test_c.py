"""Programs as C: built by a C compiler and run without Weft, beside what Weft computes."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from tests.codegen.gpu_programs import attention_inputs, causal_attention
from tests.kernels.test_sweeps import forced
from weft import lax, tree
from weft import numpy as wnp
from weft.kernels.sweep_kernel import Size

needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="cc is not installed")
F32 = np.float32


def run(folder: Path, fun: Any, *args: Any) -> list[np.ndarray]:
    """Leaves of what the exported function writes."""
    exported = weft.export(fun, *args, name="program")
    exported.save(folder)
    flags = ["-O1", "-Wall", "-Werror", "-Wno-unused", "-ffp-contract=off", "-shared", "-fPIC"]
    library = folder / "program.so"
    command = ["cc", *flags, "-o", library, folder / "program.c", "-lm"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    inputs = [np.ascontiguousarray(x) for x in tree.leaves(args)]
    inputs = [x.astype(a.dtype) for x, a in zip(inputs, exported.inputs.values(), strict=True)]
    outputs = [np.empty(a.shape, a.dtype) for a in exported.outputs.values()]
    pointers = [ctypes.c_void_p(x.ctypes.data) for x in (*inputs, *outputs)]
    assert ctypes.CDLL(str(library)).program(*pointers) == 0
    return outputs


def check(folder: Path, fun: Any, *args: Any, rtol: float = 1e-5) -> None:
    found = run(folder, fun, *args)
    for a, e in zip(found, tree.leaves(weft.jit(fun)(*args)), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, e, rtol=rtol, atol=rtol)


def train_step(params: Any, x: Any, y: Any) -> Any:
    def loss(p: Any) -> Any:
        hidden = wnp.tanh(x @ p["w1"] + p["b"])
        return wnp.mean((hidden @ p["w2"] - y) ** 2)

    value, slopes = weft.value_and_grad(loss)(params)
    return value, tree.map(lambda p, g: p - 0.1 * g, params, slopes)


@needs_cc
def test_a_training_step(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    params = {"w1": rng.normal(size=(7, 9)), "b": np.zeros(9), "w2": rng.normal(size=(9, 2))}
    params = tree.map(lambda x: x.astype(F32), params)
    x, y = rng.normal(size=(33, 7)).astype(F32), rng.normal(size=(33, 2)).astype(F32)
    check(tmp_path, train_step, params, x, y)


@needs_cc
def test_attention_and_its_gradient(tmp_path: Path) -> None:
    q, k, v = attention_inputs(40, 8)
    gradient = weft.grad(lambda q, k, v: (causal_attention(q, k, v) ** 2).sum(), (0, 1, 2))
    check(tmp_path, gradient, q, k, v, rtol=1e-4)


@needs_cc
def test_loops_branches_and_updates(tmp_path: Path) -> None:
    def f(x: Any, n: Any) -> Any:
        k, y = lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 1.5 + x), (0, x))
        a, b = lax.fori_loop(0, 5, lambda i, c: (c[1] + i, c[0] * 0.5), (x, y))
        last, rows = lax.scan(lambda c, v: (c + v, c * v), wnp.zeros(()), a)
        chosen = lax.switch(k % 3, [lambda v: v, lambda v: -v, lambda v: v * v], rows)
        return k, b.at[1:3].add(chosen[:2]), last, x.at[k].set(7.0), x[k - 2]

    check(tmp_path, f, np.array([1.0, -2.0, 3.0, 0.5], F32), np.int32(2))


@needs_cc
def test_loops_in_passes(tmp_path: Path) -> None:
    def sweep(_: Any, u: Any) -> Any:
        return 0.25 * (wnp.roll(u, 1, 0) + wnp.roll(u, -1, 0) + wnp.roll(u, 1, 1) + u)

    u = np.random.default_rng(0).standard_normal((48, 150)).astype(np.float32)
    with forced(Size(3, 2, 2), narrow=True) as found:
        check(tmp_path, lambda u: lax.fori_loop(0, 8, sweep, u), u)
    assert found


@needs_cc
def test_dtypes_constants_and_special_values(tmp_path: Path) -> None:
    table = np.arange(12.0).reshape(3, 4) ** 2
    special = np.array([np.nan, np.inf, -np.inf, -0.0, 1e-310, 5.0])

    def f(i: Any, b: Any, z: Any, w: Any) -> Any:
        chosen = wnp.asarray(table)[i % 3]
        kept = wnp.where(wnp.asarray(special) > w, special, w)
        return chosen, ~b, z * 1j + 2, i << 3, w.astype(np.uint8), kept, b.sum(), i.astype(np.int64)

    rng = np.random.default_rng(1)
    z = rng.normal(size=3) + 1j * rng.normal(size=3)
    check(tmp_path, f, np.arange(5, dtype=np.int16), rng.random(4) < 0.5, z, np.float64(3.5))


@needs_cc
def test_the_inverse_of_the_error_function(tmp_path: Path) -> None:
    x = np.concatenate([np.linspace(-1, 1, 401), 1 - np.logspace(-15, -1, 30), [1e-9, 2.0, np.nan]])

    def f(x: Any, y: Any) -> Any:
        return lax.erf_inv(x), lax.erf_inv(y)

    single, double = run(tmp_path, f, x.astype(F32), x)
    expected = weft.jit(f)(x.astype(F32), x)
    np.testing.assert_allclose(single, expected[0], rtol=5e-6)
    np.testing.assert_allclose(double, expected[1], rtol=1e-13)


@needs_cc
def test_results_that_are_arguments_or_constants(tmp_path: Path) -> None:
    check(tmp_path, lambda x, y: (y, y, wnp.arange(3.0), x, 2.5), np.ones(2, F32), np.zeros(3, F32))


def test_names_and_headers() -> None:
    def step(params: Any, *, for_: Any) -> Any:
        return {"loss": params["w-1"].sum(), "next": [params["w-1"] * for_]}

    x = weft.ShapeDtypeStruct((2, 3), F32)
    exported = weft.export(weft.jit(step), {"w-1": x}, for_=x)
    assert exported.name == "step" and list(exported.files) == ["step.h", "step.c"]
    assert list(exported.inputs) == ["params_w_1", "for_2"]
    assert list(exported.outputs) == ["loss", "next_0"]
    header = exported.files["step.h"]
    assert " * in   params_w_1: f32[2,3]" in header and " * out  next_0: f32[2,3]" in header
    assert "int step(const float *params_w_1, const float *for_2, float *loss," in header
    assert weft.export(lambda x: x, x).name == "lambda"
    double = weft.export(lambda double, x: (double, double), x, x, name="f")
    assert list(double.inputs) == ["double_2", "x"] and list(double.outputs) == ["out0", "out1"]


def test_what_cannot_be_exported() -> None:
    x = np.ones((3, 3), F32)
    with pytest.raises(ValueError, match="target is one of 'c', 'wasm', 'web', got 'pascal'"):
        weft.export(lambda x: x, x, target="pascal")
    for name in ("2fast", "double", "a-b"):
        with pytest.raises(ValueError, match=f"'{name}' is no name for a function in C"):
            weft.export(lambda x: x, x, name=name)
    with pytest.raises(TypeError, match="code of another library or of the host, which C text"):
        weft.export(wnp.linalg.eigh, x)
    with pytest.raises(TypeError, match="no scalars of dtype float16"):
        weft.export(lambda x: x * 2, np.ones(3, np.float16))
    with pytest.raises(TypeError, match="export"):
        weft.export(3, x)
