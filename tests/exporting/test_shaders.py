"""Programs for WebGPU in pages, run by a browser without a window beside what Weft computes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import weft
from tests.codegen.gpu_programs import attention_inputs, causal_attention
from tests.exporting import test_pages
from tests.exporting.test_web import needs_node
from tests.tiles import kernels
from weft import lax, tree
from weft import numpy as wnp

F32 = np.float32
pages = test_pages.folder
PAGE = """<!doctype html><body><script type="module">
import { load, inputs } from "./program.gpu.js";
const given = (await (await fetch("given.json")).json()).map((x, n) => inputs[n][1].from(x));
const found = {};
for (const device of ["webgpu", "wasm"]) {
  const program = await load(device);
  await program(...given);
  const [first, second] = await Promise.all([program(...given), program(...given)]);
  found[device] = Object.values(second).map((x) => [...x].map(Number));
  found[device + " twice"] = JSON.stringify(first) === JSON.stringify(second);
  const said = [];
  for (const wrong of [() => program(), () => program(...given.map(() => new Uint8Array(1)))])
    try { await wrong(); } catch (error) { said.push(error.message); }
  program.dispose();
  try { await program(...given); } catch (error) { said.push(error.message); }
  found[device + " said"] = said;
}
found.chosen = (await load()).device;
await fetch("found", { method: "POST", body: JSON.stringify(found) });
</script></body>
"""


WATCH = """<!doctype html><body><iframe src="%s"></iframe><script type="module">
const page = document.querySelector("iframe");
const ready = () => page.contentDocument.querySelector("[data-ready=yes]");
while (!ready()) await new Promise((r) => setTimeout(r, 20));
const body = page.contentDocument.body.innerHTML;
await fetch("found", { method: "POST", body: JSON.stringify(body) });
</script></body>
"""


def browse(folder: Path, page: str) -> Any:
    """What a page, put in ``folder``, posts as ``found``; in a browser that has WebGPU."""
    (folder / "page.html").write_text(page)
    posted: list[bytes] = []
    arrived = threading.Event()

    class Server(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            posted.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()
            arrived.set()

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Server, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    options = [
        "--headless=new",
        "--no-sandbox",
        "--enable-logging=stderr",
        "--remote-debugging-port=0",
    ]
    options += ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader"]
    options += [f"--user-data-dir={folder / 'profile'}"]
    assert test_pages.CHROMIUM is not None
    with (folder / "log").open("w") as log:
        address = f"http://127.0.0.1:{server.server_address[1]}/page.html"
        browser = subprocess.Popen([test_pages.CHROMIUM, *options, address], stdout=log, stderr=log)
        try:
            assert arrived.wait(60), (folder / "log").read_text()
        finally:
            browser.terminate()
            browser.wait()
            server.shutdown()
            thread.join()
            server.server_close()
    assert "CONSOLE" not in (folder / "log").read_text()
    return json.loads(posted[0])


def control_flow(n: Any, x: Any, flags: Any) -> Any:
    table = np.linspace(-1, 1, 300).astype(F32)
    _, y = lax.while_loop(lambda c: c[0] < n, lambda c: (c[0] + 1, c[1] * 1.5 + table), (0, x))
    last, ys = lax.scan(lambda c, v: (c + v, c * v), wnp.zeros(()), y[:9])
    chosen = lax.cond(flags[0], lambda v: wnp.sin(v), lambda v: v * 0.3, y)
    return {"y": chosen, "scan": (last, ys), "not": ~flags, "z": wnp.argmax(y), "kept": table[:3]}


def layers(x: Any, w: Any, y: Any) -> Any:
    hidden = wnp.tanh(kernels.matmul(x, w))
    return hidden, weft.grad(lambda w: wnp.mean((x @ w - y) ** 2))(w)


CASES = {
    "control flow": (
        control_flow,
        (np.int32(3), np.linspace(1, -1, 300).astype(F32), np.array([True, False])),
    ),
    "attention": (causal_attention, attention_inputs(33, 8)),
    "layers": (
        layers,
        tuple(
            np.sin(np.arange(a * b)).reshape(a, b).astype(F32)
            for a, b in ((40, 30), (30, 9), (40, 9))
        ),
    ),
}


@pytest.mark.skipif(test_pages.CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("name", CASES)
def test_webgpu_and_wasm_in_a_browser(name: str, tmp_path: Path) -> None:
    function, arguments = CASES[name]
    weft.export(function, *arguments, target="web", name="program").save(tmp_path)
    given = [np.asarray(x).ravel().tolist() for x in tree.leaves(arguments)]
    (tmp_path / "given.json").write_text(json.dumps(given))
    found = browse(tmp_path, PAGE)
    expected = [np.asarray(x).ravel() for x in tree.leaves(weft.jit(function)(*arguments))]
    for device in ("webgpu", "wasm"):
        for a, e in zip(found[device], expected, strict=True):
            np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4)
        assert found[f"{device} twice"]
        wrong, of_type, disposed = found[f"{device} said"]
        assert wrong == f"program takes {len(given)} arrays, got 0"
        assert re.fullmatch(r"program: \w+ is \S+, a \w+ of \d+ elements", of_type)
        assert disposed == "program was disposed of: load it again"
    assert found["chosen"] == "webgpu"


@pytest.mark.skipif(test_pages.CHROMIUM is None, reason="Chromium is not installed")
def test_the_page_says_what_it_runs_on(tmp_path: Path) -> None:
    x = np.ones(5, F32)
    weft.export(lambda x: wnp.cumsum(x), x, target="web", name="sums").save(tmp_path)
    assert "on WebGPU" in browse(tmp_path, WATCH % "index.html")


@pytest.mark.skipif(test_pages.CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("page", ["digits", "fluid"])
def test_live_pages_on_webgpu(page: str, pages: Path) -> None:
    text = browse(pages, WATCH % f"{page}/index.html")
    assert ('on <span id="device">WebGPU' if page == "digits" else "On WebGPU: ") in text


def test_what_has_no_shaders_is_said() -> None:
    double = np.ones(3, np.float64)
    found = weft.export(lambda x: 2 * x, double, target="web", name="twice").files
    assert sorted(found) == ["index.html", "twice.js", "twice.wasm"]
    assert "On WebAssembly, because WGSL has no f64." in str(found["index.html"])


@needs_node
def test_without_webgpu(tmp_path: Path) -> None:
    weft.export(lambda x: 2 * x, np.ones(3, F32), target="web", name="twice").save(tmp_path)
    (tmp_path / "run.mjs").write_text(
        """
        import { load } from "./twice.gpu.js";
        import { readFileSync } from "node:fs";
        const f = await load("auto", readFileSync(new URL("./twice.wasm", import.meta.url)));
        const { out } = await f(Float32Array.of(1, 2, 3));
        const said = await load("webgpu").catch((error) => error.message);
        const wrong = await load("gpu").catch((error) => error.message);
        console.log(JSON.stringify([f.device, f.why, [...out], said, wrong]));
        """
    )
    assert shutil.which("node")
    done = subprocess.run(["node", "run.mjs"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    none = "twice: there is no WebGPU here"
    wrong = 'twice: a device is "auto", "webgpu" or "wasm", got gpu'
    assert json.loads(done.stdout) == ["wasm", none, [2, 4, 6], none, wrong]
