"""Programs for browsers, run by Node without Weft, beside what Weft computes."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from tests.codegen.gpu_programs import attention_inputs, causal_attention
from tests.exporting.test_c import train_step
from weft import lax, tree
from weft import numpy as wnp

needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
F32 = np.float32

SCRIPT = """
import { load, inputs, outputs } from "./program.js";
import { readFileSync, writeFileSync } from "node:fs";
const place = (name) => new URL("./" + name, import.meta.url);
const program = await load(readFileSync(place("program.wasm")));
const given = inputs.map(([, Kind], n) => {
  const bytes = readFileSync(place(`in${n}.bin`));
  return new Kind(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
});
program(...given);
const found = program(...given);  // what the first call left behind does no harm
outputs.forEach(([name], n) =>
  writeFileSync(place(`out${n}.bin`), new Uint8Array(found[name].buffer)));
const said = [];
for (const wrong of [() => program(), () => program(...given.map(() => new Uint8Array(1))),
                     () => { program.dispose(); program(...given); }])
  try { wrong(); } catch (error) { said.push(error.message); }
console.log(JSON.stringify(said));
"""


def run(folder: Path, fun: Any, *args: Any) -> tuple[list[np.ndarray], list[str]]:
    """Leaves of what the exported function gives, and what it says to wrong calls."""
    exported = weft.export(fun, *args, target="wasm", name="program")
    exported.save(folder)
    for n, (x, aval) in enumerate(zip(tree.leaves(args), exported.inputs.values(), strict=True)):
        (folder / f"in{n}.bin").write_bytes(np.ascontiguousarray(x).astype(aval.dtype).tobytes())
    (folder / "run.mjs").write_text(SCRIPT)
    done = subprocess.run(["node", "run.mjs"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    outputs = [
        np.frombuffer((folder / f"out{n}.bin").read_bytes(), a.dtype).reshape(a.shape)
        for n, a in enumerate(exported.outputs.values())
    ]
    return outputs, json.loads(done.stdout)


def check(folder: Path, fun: Any, *args: Any, rtol: float = 1e-5) -> list[str]:
    found, said = run(folder, fun, *args)
    for a, e in zip(found, tree.leaves(weft.jit(fun)(*args)), strict=True):
        assert (a.shape, a.dtype) == (e.shape, e.dtype)
        np.testing.assert_allclose(a, np.asarray(e), rtol=rtol, atol=rtol)
    return said


@needs_node
def test_a_training_step_and_what_wrong_calls_say(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    params = {"w1": rng.normal(size=(7, 9)), "b": np.zeros(9), "w2": rng.normal(size=(9, 2))}
    params = tree.map(lambda x: x.astype(F32), params)
    x, y = rng.normal(size=(20, 7)).astype(F32), rng.normal(size=(20, 2)).astype(F32)
    assert check(tmp_path, train_step, params, x, y) == [
        "program takes 5 arrays, got 0",
        "program: params_b is f32[9], a Float32Array of 9 elements",
        "program was disposed of: load it again",
    ]


@needs_node
def test_attention(tmp_path: Path) -> None:
    check(tmp_path, causal_attention, *attention_inputs(33, 8))


@needs_node
def test_control_flow_constants_and_other_dtypes(tmp_path: Path) -> None:
    table = np.linspace(-1, 1, 300).astype(F32)

    def f(n: Any, x: Any, flags: Any, big: Any, z: Any, h: Any) -> Any:
        _, y = lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 1.5 + table), (0, x))
        last, ys = lax.scan(lambda c, v: (c + v, c * v), wnp.zeros(()), y[:9])
        chosen = lax.cond(flags[0], lambda v: wnp.sin(1e5 * v), lambda v: wnp.fmod(v, 0.3), y)
        return {
            "y": chosen,
            "scan": (last, ys),
            "z": z * 1j,
            "big": big * 3 + n,
            "h": h * 2,
            "not": ~flags,
            "most": wnp.argmax(wnp.abs(y)),
            "kept": table[:3],
        }

    args = (
        np.int32(3),
        table[::-1].copy(),
        np.array([True, False]),
        np.array([2**40, -5], np.int64),
        np.array([1 + 2j], np.complex64),
        np.array([1.5, -2], np.float16),
    )
    check(tmp_path, f, *args, rtol=1e-4)


def test_the_page_runs_the_modules() -> None:
    exported = weft.export(lambda x: wnp.cumsum(x), np.ones(5, F32), target="web", name="sums")
    assert sorted(exported.files) == ["index.html", "sums.gpu.js", "sums.js", "sums.wasm"]
    text = exported.files["index.html"]
    assert (
        isinstance(text, str)
        and 'from "./sums.gpu.js"' in text
        and "$" not in text.replace("${", "")
    )
    assert exported.files["sums.wasm"][:4] == b"\0asm"


def test_what_it_does_not_export() -> None:
    with pytest.raises(TypeError, match="export: the program calls the routine"):
        weft.export(lambda x: wnp.linalg.eigh(x)[0], np.eye(9, dtype=F32), target="wasm")
    with pytest.raises(ValueError, match="export: target is one of 'c', 'wasm', 'web', got 'js'"):
        weft.export(wnp.sin, 1.0, target="js")
