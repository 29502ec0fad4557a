"""The live pages of the demo: their programs by Node, the pages by a browser without a window."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import weft
from tests.exporting.test_web import needs_node
from weft.cli import main
from weft.demo import digits
from weft.demo.pages import SIDE, Pool, empty_pool, pointer, stir

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

CLASSIFY = """
import { load } from "./program.js";
import { readFileSync } from "node:fs";
const classify = await load(readFileSync(new URL("./program.wasm", import.meta.url)));
const images = JSON.parse(readFileSync(0));
console.log(JSON.stringify(images.map((image) => {
  const { probabilities } = classify(Float32Array.from(image));
  return probabilities.indexOf(Math.max(...probabilities));
})));
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("pages")
    assert main(["demo", "--pages", str(made)]) == 0
    return made


@needs_node
def test_the_page_knows_digits(folder: Path) -> None:
    _, test = digits.load()
    (folder / "digits" / "classify.mjs").write_text(CLASSIFY)
    done = subprocess.run(
        ["node", "classify.mjs"],
        input=json.dumps(test.images.tolist()),
        cwd=folder / "digits",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.mean(np.array(json.loads(done.stdout)) == test.labels) >= 0.97


def test_stirring_moves_fluid_and_colours_it() -> None:
    step, pool = weft.jit(stir), empty_pool()
    for _ in range(5):
        found = step(pool, pointer(SIDE - 2, 40, 2.0, 0.0, (0.5, 0, 0)))
        pool = Pool(found["u"], found["v"], found["ink"], found["pressure"])
    words = np.asarray(found["picture"]).astype("<u4")
    picture = words[..., None].view(np.uint8)
    assert picture.shape == (SIDE, SIDE, 4) and (picture[..., 3] == 255).all()
    assert picture[40, SIDE - 2, 0] > 100 and not picture[..., 1].any()
    assert picture[40, 3, 0] > 0, "across the edge, too"
    assert abs(float(np.asarray(found["u"]).sum())) > 1


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("page", ["digits", "fluid"])
def test_a_browser_shows_the_page(address: str, page: str, tmp_path: Path) -> None:
    options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += ["--virtual-time-budget=3000", "--dump-dom", f"--user-data-dir={tmp_path}"]
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, *options, f"{address}/{page}/"], capture_output=True, text=True, timeout=120
    )
    assert 'data-ready="yes"' in done.stdout, done.stderr
    said = [x for x in done.stderr.splitlines() if "CONSOLE" in x]
    assert all("No available adapters" in x for x in said), done.stderr  # of WebGPU


def test_a_folder_that_cannot_be_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert main(["demo", "--pages", str(tmp_path / "file")]) == 2
    assert "weft demo: --pages" in capsys.readouterr().err
