"""The digits on a map: principal component analysis, each image drawn where it falls.

Pearson (1901): the directions along which the images differ most are the eigenvectors of their
covariance. Two of them make a map; a few more keep nearly all that tells digits apart, as asking
the nearest neighbour shows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft.demo import digits
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, timed

KEPT = (1, 2, 4, 8, 16, 32, 64)
SIZE, MARGIN = 1200, 40  # pixels of the map along each side, and of its border
ZOOM = 3  # pixels of the map for each of an image
PAPER = np.array([250, 248, 242], np.float32)
INKS = np.array(
    [
        (38, 84, 124),
        (214, 73, 51),
        (60, 145, 90),
        (122, 62, 150),
        (232, 144, 32),
        (20, 150, 160),
        (120, 84, 60),
        (205, 60, 120),
        (90, 100, 110),
        (140, 150, 30),
    ],
    np.float32,
)


class Components(NamedTuple):
    """The mean image, directions as columns, most important first, and the variance along each."""

    mean: Any
    directions: Any
    variance: Any


@weft.jit
def components(images: Any) -> Components:
    """The principal components of images as rows."""
    mean = images.mean(axis=0)
    apart = images - mean
    variance, directions = wnp.linalg.eigh(apart.T @ apart / (len(images) - 1))
    return Components(mean, directions[:, ::-1], variance[::-1])


@weft.jit
def neighbours(places: Any) -> Any:
    """For each row the nearest other one; the matrix of distances is never stored."""
    apart = wnp.sum((places[:, None, :] - places[None, :, :]) ** 2, axis=-1)
    index = wnp.arange(len(places))
    return wnp.argmin(wnp.where(index[:, None] == index, wnp.inf, apart), axis=1)


def draw(images: np.ndarray, labels: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the map: every image at its place, in the ink of its digit."""
    low, high = places.min(axis=0), places.max(axis=0)
    inner = SIZE - 2 * MARGIN - 8 * ZOOM
    corners = (MARGIN + (places - low) / (high - low) * inner).astype(int)
    canvas = np.broadcast_to(PAPER, (SIZE, SIZE, 3)).copy()
    for n in np.random.default_rng(0).permutation(len(images)):
        ink = np.kron(images[n].reshape(8, 8), np.ones((ZOOM, ZOOM)))[..., None] * 0.85
        x, y = corners[n]
        part = canvas[y : y + 8 * ZOOM, x : x + 8 * ZOOM]
        part += ink * (INKS[labels[n]] - part)
    return (canvas + 0.5).astype(np.uint8)


def show(stage: Stage) -> None:
    """Find the components, ask neighbours with more and more of them, and draw the map."""
    train, test = digits.load()
    images = np.concatenate([train.images, test.images])
    labels = np.concatenate([train.labels, test.labels])
    stage.say(f"[bold]Digits on a map[/bold]: {len(images):,} images of {images.shape[1]} pixels")
    _, first_call = timed(components, images)
    found, seconds = timed(components, images)
    places = (wnp.asarray(images) - found.mean) @ found.directions
    share = np.cumsum(np.asarray(found.variance)) / np.sum(np.asarray(found.variance))
    table = stage.table("components", "of the variance", "digit of the nearest neighbour is right")
    with stage.progress("Weft", len(KEPT)) as advance:
        for kept in KEPT:
            nearest = np.asarray(neighbours(places[:, :kept]))
            right = np.mean(labels[nearest] == labels)
            table.add_row(f"{kept}", f"{share[kept - 1]:.1%}", f"{right:.1%}")
            advance(1, "")
    stage.console.print(table)
    stage.say(f"Finding the components takes {seconds * 1e3:.1f} ms.")
    stats = components.trace(images).executable.stats
    stage.say(compiled("components", stats, first_call - seconds))
    flat = np.asarray(places[:, :2])
    write_png(stage.picture, draw(images, labels, flat * [1, -1]))
    stage.show_picture("The map")
