"""Poisson's equation by multigrid: red-black relaxation on ever coarser grids, in `weft.lazy`.

python examples/multigrid.py
"""

import weft
import weft.numpy as np
from weft.lazy import (
    LazyArray,
    Space,
    compute,
    lazy,
    lazy_fuse,
    lazy_indices,
    lazy_overwrite,
    lazy_reduce,
    lazy_reshape,
    lazy_windows,
)


def at(u, di, dj, space):
    """The elements at (i + di, j + dj) for the points (i, j) of a space."""
    return lazy_reshape(u, lambda i, j: (i - di, j - dj), space)


def around(u, space):
    """The sum of the four neighbours of each point."""
    return at(u, 0, 1, space) + at(u, 1, 0, space) + at(u, 0, -1, space) + at(u, -1, 0, space)


def relax(u, f, h):
    """A sweep of Gauss and Seidel's method for -Δu = f: all red points, then all black ones."""
    rows, columns = u.space.interior()
    for colour in (0, 1):
        for first in (0, 1):
            part = Space(rows[first::2], columns[(first + colour) % 2 :: 2])
            if part.size:
                u = lazy_overwrite(u, (around(u, part) + h * h * lazy_reshape(f, part)) / 4)
    return u


def residual(u, f, h):
    """f + Δu inside, and 0 on the boundary."""
    inner = u.space.interior()
    laplace = (around(u, inner) - 4 * lazy_reshape(u, inner)) / (h * h)
    return lazy_overwrite(0 * u, lazy_reshape(f, inner) + laplace)


def restrict(r):
    """Every second point: the weighted mean of the neighbourhood."""
    near = lazy_windows(r, range(-1, 2), range(-1, 2))
    rows, columns, *moves = near.space
    near = lazy_reshape(near, Space(rows[1::2], columns[1::2], *moves))
    weights = lazy_reshape(
        np.outer(np.asarray([1, 2, 1]), np.asarray([1, 2, 1])) / 16, "k m -> k-1 m-1"
    )
    first = lazy_reshape(near * weights, "i j k m -> k m i j")
    mean = lazy_reduce(np.add, lazy_reduce(np.add, first))
    coarse = lazy_reshape(r, Space(*(axis[::2] for axis in r.space)))
    return lazy_reshape(lazy_overwrite(0 * coarse, mean), "i j -> i/2 j/2")


def between(e):
    """Points between the rows of a grid whose rows are two apart, as means."""
    rows, columns = e.space
    gaps = Space(range(rows[0] + 1, rows[-1], 2), columns)
    return lazy_fuse(e, (at(e, -1, 0, gaps) + at(e, 1, 0, gaps)) / 2)


def prolong(e):
    """Twice as many points along both axes."""
    e = between(lazy_reshape(e, "i j -> 2*i 2*j"))
    return lazy_reshape(between(lazy_reshape(e, "i j -> j i")), "j i -> i j")


def v_cycle(u, f, h):
    u = relax(u, f, h)
    if u.shape[0] > 3:
        coarse = restrict(residual(u, f, h))
        u = u + prolong(v_cycle(0 * coarse, coarse, 2 * h))
    return relax(u, f, h)


def main():
    n = 65
    h = 1 / (n - 1)
    i, j = (lazy_indices(Space(n, n), axis) for axis in (0, 1))
    exact = lazy(lambda i, j: np.sin(np.pi * h * i) * np.sin(2 * np.pi * h * j), i, j)
    f = 5 * np.pi**2 * exact
    step = weft.jit(lambda u, f: v_cycle(u, f, h))
    u = LazyArray(np.zeros((n, n)))
    for cycle in range(6):
        u = step(u, f)
        print(f"cycle {cycle + 1}: residual {float(np.max(abs(residual(u, f, h).values))):.1e}")
    error = lazy(lambda a, b: abs(a - b), u, exact)
    print(f"error of the discretisation {float(np.max(compute(error))):.1e}")


if __name__ == "__main__":
    main()
