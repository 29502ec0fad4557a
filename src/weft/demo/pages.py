"""Live pages to draw into: the trained classifier and a fluid, for WebGPU and WebAssembly."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo import digits, fluid

SIDE = 256  # cells along each side of the fluid
SWEEPS = 16
REACH = 7.0  # cells around the pointer that it moves
FADING = (0.999, 0.997)  # of velocity and ink in a step


class Pool(NamedTuple):
    """Fields of shape (SIDE, SIDE), and three colours of ink of shape (3, SIDE, SIDE)."""

    u: Any
    v: Any
    ink: Any
    pressure: Any


class Pointer(NamedTuple):
    """Where it is, in cells, how it moves, and the colour that it leaves behind."""

    x: Any
    y: Any
    dx: Any
    dy: Any
    colour: Any


def write_pages(folder: Path) -> list[Path]:
    """Train the classifier, export both programs and their pages; return where the pages are."""
    train, _ = digits.load()
    state = digits.initial_state()
    for images, targets in digits.batches(train):
        state, _ = digits.train_step(state, images, targets)
    return [
        _page(folder / "digits", classifier(state.layers), np.zeros(64, np.float32)),
        _page(folder / "fluid", stir, empty_pool(), pointer()),
    ]


def _page(folder: Path, function: Any, *args: Any) -> Path:
    weft.export(function, *args, target="web", name="program").save(folder)
    page = folder / "index.html"
    page.write_bytes(files("weft.demo").joinpath(f"{folder.name}.html").read_bytes())
    return page


def classifier(layers: list[digits.Layer]) -> Any:
    """The probabilities of the ten digits for an image of 64 numbers from 0 to 1."""
    known = weft.tree.map(np.asarray, layers)

    def classify(image: Any) -> Any:
        return {"probabilities": weft.nn.softmax(digits.scores(known, image[None])[0])}

    return classify


def empty_pool() -> Pool:
    """Fluid at rest, without ink."""
    zeros = np.zeros((SIDE, SIDE), np.float32)
    return Pool(zeros, zeros, np.zeros((3, SIDE, SIDE), np.float32), zeros)


def pointer(
    x: float = 0, y: float = 0, dx: float = 0, dy: float = 0, colour: Any = (0, 0, 0)
) -> Pointer:
    """A pointer as arrays."""
    x, y, dx, dy = np.array([x, y, dx, dy], np.float32)
    return Pointer(x, y, dx, dy, np.array(colour, np.float32))


def stir(pool: Pool, pointer: Pointer) -> dict[str, Any]:
    """One step of the fluid, pushed and coloured by the pointer, and its picture.

    A pixel is a word, its lowest byte red, then green, blue, and how opaque it is.
    """
    cells = wnp.arange(SIDE, dtype=np.float32)
    dy, dx = (_around(cells - place) for place in (pointer.y, pointer.x))
    near = wnp.exp(-(dy[:, None] ** 2 + dx[None, :] ** 2) / (2 * REACH**2))
    u = FADING[0] * pool.u + near * pointer.dx
    v = FADING[0] * pool.v + near * pointer.dy
    ink = FADING[1] * pool.ink + near * pointer.colour[:, None, None]
    u, v, *ink = fluid.carried(wnp, u, v, (u, v, *ink))
    outflow = fluid.along_columns(wnp, u) + fluid.along_rows(wnp, v)
    pressure = lax.fori_loop(0, SWEEPS, lambda _, p: fluid.sweep(wnp, p, outflow), pool.pressure)
    u = u - fluid.along_columns(wnp, pressure)
    v = v - fluid.along_rows(wnp, pressure)
    red, green, blue = ((255 * (1 - wnp.exp(-x))).astype(np.uint32) for x in ink)
    picture = red | green << 8 | blue << 16 | np.uint32(255 << 24)
    return {"u": u, "v": v, "ink": wnp.stack(ink), "pressure": pressure, "picture": picture}


def _around(distance: Any) -> Any:
    """A distance on the periodic grid, the short way."""
    return (distance + SIDE / 2) % SIDE - SIDE / 2
