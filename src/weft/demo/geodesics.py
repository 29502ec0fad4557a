"""How far is it along a surface? The heat method of Crane, Weischedel and Wardetzky (2013).

Let heat spread from a point for a moment; it flows away along shortest paths. Its slopes, made as
long as one, are those of the distance, which a Poisson equation gives back. The mesh is one of
triangles, its sums over edges and faces are scatters; heat is computed by Jacobi's method, the
distance by conjugate gradients.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import weft
import weft.numpy as wnp
from weft import lax
from weft.demo.colours import palette
from weft.demo.png import write_png
from weft.demo.stage import Stage, compiled, median_seconds, timed
from weft.scipy.sparse.linalg import cg

ALONG, AROUND = 480, 48  # vertices of the knot, along it and around it
THICKNESS = 0.42
SWEEPS = 2500  # of Jacobi's method: heat has to get to the other end of the knot
FAR = ("#fff6e0", "#f9c25c", "#f0714f", "#c0417f", "#7042a8", "#3566bd", "#48c3cf")
BANDS = 26  # lines of equal distance
PIXELS, SAMPLES = (760, 900), 2  # rows and columns, and points per pixel and direction
FINE = 20  # points drawn for each vertex, in both directions


class Mesh(NamedTuple):
    """Places of the vertices, (vertices, 3), and the vertices of each triangle, (faces, 3)."""

    places: Any
    faces: Any


def knot(along: int = ALONG, around: int = AROUND) -> Mesh:
    """Return a tube around a trefoil knot."""
    t, a = np.arange(along) * 2 * np.pi / along, np.arange(around) * 2 * np.pi / around

    def centre(t: np.ndarray) -> np.ndarray:
        x = np.sin(t) + 2 * np.sin(2 * t)
        return np.stack([x, np.cos(t) - 2 * np.cos(2 * t), -1.1 * np.sin(3 * t)], -1)

    def unit(v: np.ndarray) -> np.ndarray:
        return v / np.linalg.norm(v, axis=-1, keepdims=True)

    h = 1e-4
    forward = unit(centre(t + h) - centre(t - h))
    curve = centre(t + h) + centre(t - h) - 2 * centre(t)
    normal = unit(curve - (curve * forward).sum(-1, keepdims=True) * forward)
    binormal = np.cross(forward, normal)
    ring = np.cos(a)[:, None] * normal[:, None] + np.sin(a)[:, None] * binormal[:, None]
    return Mesh((centre(t)[:, None] + THICKNESS * ring).reshape(-1, 3), torus_faces(along, around))


def torus_faces(along: int, around: int) -> np.ndarray:
    """Return the triangles of a grid that is closed in both directions."""
    i, j = (n.ravel() for n in np.indices((along, around)))
    right, down = (i + 1) % along, (j + 1) % around
    corners = [i * around + j, right * around + j, right * around + down, i * around + down]
    a, b, c, d = corners
    return np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)


class Geometry(NamedTuple):
    """Of a mesh: edge vectors (faces, 3, 3), cotangents opposite to the edges, areas."""

    edges: Any  # edge k lies opposite to corner k
    cotangents: Any  # (faces, 3)
    face_areas: Any
    areas: Any  # a third of the faces at each vertex


def geometry(mesh: Mesh) -> Geometry:
    """Return what the equations need to know of the mesh."""
    corners = mesh.places[mesh.faces]
    edges = wnp.roll(corners, -2, axis=1) - wnp.roll(corners, -1, axis=1)
    doubled = wnp.linalg.norm(wnp.cross(edges[:, 0], edges[:, 1]), axis=-1)
    inner = -wnp.sum(wnp.roll(edges, -1, axis=1) * wnp.roll(edges, -2, axis=1), axis=-1)
    thirds = wnp.broadcast_to(doubled[:, None] / 6, mesh.faces.shape)
    areas = wnp.zeros(len(mesh.places), thirds.dtype).at[mesh.faces].add(thirds)
    return Geometry(edges, inner / doubled[:, None], doubled / 2, areas)


def neighbours(mesh: Mesh, shape: Geometry, u: Any) -> Any:
    """The sum of what is at the other ends of a vertex's edges, with cotangents as weights."""
    # The edge opposite to corner k joins the next two corners.
    weights, at = 0.5 * shape.cotangents, u[mesh.faces]
    first, second = (wnp.roll(mesh.faces, -n, axis=1) for n in (1, 2))
    out = wnp.zeros_like(u).at[first].add(weights * wnp.roll(at, -2, axis=1))
    return out.at[second].add(weights * wnp.roll(at, -1, axis=1))


def heat(mesh: Mesh, shape: Geometry, moment: Any, source: Any) -> Any:
    """What is left of a unit of heat at a vertex after a `moment`: one implicit step.

    Far away that is less than 1e-80, and its slopes matter still. Conjugate gradients would lose
    it beside the source; Jacobi's method adds up positive numbers, so each keeps its digits.
    """
    ones = wnp.ones(len(mesh.places), mesh.places.dtype)
    diagonal = shape.areas + moment * neighbours(mesh, shape, ones)
    start = wnp.zeros_like(ones).at[source].set(1)

    def sweep(_: Any, u: Any) -> Any:
        return (start + moment * neighbours(mesh, shape, u)) / diagonal

    return lax.fori_loop(0, SWEEPS, sweep, start)


def slopes(mesh: Mesh, shape: Geometry, u: Any) -> Any:
    """The gradient on each face: (faces, 3)."""
    normal = wnp.cross(shape.edges[:, 0], shape.edges[:, 1])
    normal = normal / wnp.linalg.norm(normal, axis=-1, keepdims=True)
    turned = wnp.cross(normal[:, None], shape.edges)
    total = wnp.sum(u[mesh.faces][..., None] * turned, axis=1)
    return total / (2 * shape.face_areas[:, None])


def divergence(mesh: Mesh, shape: Geometry, field: Any) -> Any:
    """How much of a field on faces leaves each vertex's cell."""
    across = wnp.sum(shape.edges * field[:, None], axis=-1)  # along each edge
    after, before = (wnp.roll(shape.cotangents * across, n, axis=1) for n in (-1, -2))
    return wnp.zeros(len(mesh.places), field.dtype).at[mesh.faces].add(0.5 * (before - after))


@weft.jit
def distances(mesh: Mesh, source: Any) -> Any:
    """The distance of each vertex from the vertex `source`, along the surface."""
    shape = geometry(mesh)
    moment = wnp.mean(wnp.linalg.norm(shape.edges, axis=-1)) ** 2
    down = -slopes(mesh, shape, heat(mesh, shape, moment, source))
    down = down / wnp.maximum(wnp.linalg.norm(down, axis=-1, keepdims=True), 1e-300)
    leaving = divergence(mesh, shape, down)
    diagonal = neighbours(mesh, shape, wnp.ones_like(leaving))

    def laplacian(u: Any) -> Any:
        return diagonal * u - neighbours(mesh, shape, u)

    found, _ = cg(laplacian, wnp.mean(leaving) - leaving, tol=1e-7, M=lambda r: r / diagonal)
    return found - found[source]


def render(places: np.ndarray, far: np.ndarray) -> np.ndarray:
    """Return a picture of a closed grid of points (along, around, 3), coloured by distance."""
    rows, columns = (n * SAMPLES for n in PIXELS)
    fine = np.concatenate([places, far[..., None]], -1)
    for axis, factor in ((0, FINE), (1, FINE)):
        ahead, steps = np.roll(fine, -1, axis), np.arange(factor) / factor
        shape = [factor if n == axis + 1 else 1 for n in range(4)]
        weight = steps.reshape(shape)
        between = np.expand_dims(fine, axis + 1) * (1 - weight)
        between = between + np.expand_dims(ahead, axis + 1) * weight
        fine = between.reshape(*fine.shape[:axis], -1, *fine.shape[axis + 1 :])
    along, around = (np.roll(fine[..., :3], -1, n) - np.roll(fine[..., :3], 1, n) for n in (0, 1))
    normal = np.cross(around, along)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    light = np.array([-0.4, 0.55, 0.73])
    diffuse = np.clip(normal @ light, 0, 1)
    shine = np.clip(normal @ ((light + [0, 0, 1]) / np.linalg.norm(light + [0, 0, 1])), 0, 1) ** 50
    scaled = fine[..., 3] / fine[..., 3].max()
    colours = palette(FAR, 1024)[(np.clip(scaled, 0, 1) * 1023).astype(int)] / 255
    line = abs((scaled * BANDS + 0.5) % 1 - 0.5) < 0.055
    colours = np.where(line[..., None], colours * 0.35, colours)
    colours = colours * (0.30 + 0.75 * diffuse[..., None]) + 0.28 * shine[..., None]
    seen = fine[normal[..., 2] > -0.05]
    low, high = seen[:, :2].min(axis=0), seen[:, :2].max(axis=0)
    size = 0.93 * min(columns / (high - low)[0], rows / (high - low)[1])
    x, y = (seen[:, :2] - (low + high) / 2).T * size
    order = np.argsort(seen[:, 2], kind="stable")  # what is nearer is drawn later
    canvas = np.ones((rows, columns, 3)) * [0.976, 0.969, 0.949]
    place = (rows / 2 - y).astype(int)[order], (columns / 2 + x).astype(int)[order]
    canvas[place] = colours[normal[..., 2] > -0.05][order]
    small = canvas.reshape(PIXELS[0], SAMPLES, PIXELS[1], SAMPLES, 3).mean(axis=(1, 3))
    return (np.clip(small, 0, 1) * 255 + 0.5).astype(np.uint8)


def show(stage: Stage) -> None:
    """Find all distances from one point of a knot, and draw them."""
    mesh = Mesh(*(wnp.asarray(part) for part in knot()))
    stage.say(
        f"[bold]Distances on a knot[/bold]: {len(mesh.places):,} vertices, {len(mesh.faces):,} "
        "triangles, the heat method in float64"
    )
    source = np.int32(AROUND // 4)
    _, first_call = timed(distances, mesh, source)
    seconds = median_seconds(distances, mesh, source, samples=3)
    far = np.asarray(distances(mesh, source))
    stage.say(
        f"All distances from one vertex take {seconds:.2f} s; the farthest is {far.max():.2f}."
    )
    stats = distances.trace(mesh, source).executable.stats
    stage.say(compiled("distances", stats, first_call - seconds))
    grid = (ALONG, AROUND)
    write_png(stage.picture, render(np.asarray(mesh.places).reshape(*grid, 3), far.reshape(grid)))
    stage.show_picture("Lines of equal distance")
