"""What kernels are made of: grids, loops, blocks of memory (see `weft.kernel`).

::

    @weft.kernel
    def scale(x, by):
        out = tiles.output(x.shape, x.dtype)
        for i in tiles.grid((x.shape[0], 256)):
            out[i] = x[i] * by
        return out
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from weft.core.dtypes import canonical_dtype, is_complex, is_key
from weft.primitives.tile_body import stage_p
from weft.tiles.blocks import Block, Position, position_of
from weft.tiles.tracing import Ref, TileError, building, parts_of, shape_of

__all__ = [
    "Block",
    "Position",
    "Ref",
    "TileError",
    "block",
    "full",
    "grid",
    "output",
    "stage",
    "steps",
    "zeros",
]

_NAMES = "ijklmnop"


def grid(*ranges: Any) -> Iterator[Any]:
    """The programs of a kernel, one for each combination of blocks, in no order and in parallel.

    A range is ``(n, size)``, blocks of ``size`` indices from 0 to ``n``; ``(lo, hi, size)``; or
    ``n``, single positions. Each program gets a `Block` or `Position` for each range (not a tuple
    for one). Blocks at the end may be smaller: the body is traced again for them.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def twice(x):
    ...     out = tiles.output(x.shape, x.dtype)
    ...     for i, j in tiles.grid(x.shape[0], (x.shape[1], 2)):
    ...         out[i, j] = 2 * x[i, j]
    ...     return out
    >>> twice(np.ones((1, 4)))
    Array([[2., 2., 2., 2.]], dtype=float32)

    Raises TypeError outside of kernels and for ranges of other forms, `TileError` for a second grid
    or one inside a loop.
    """
    owner = building("tiles.grid")
    if not ranges:
        raise TypeError("tiles.grid takes at least one range")
    if owner.loops or owner.grids:
        raise owner.error(
            "a kernel has one grid, and it is outermost: loops inside a program are tiles.steps"
        )
    owner.grids += 1
    parts = [parts_of("tiles.grid", _NAMES[n % 8], r) for n, r in enumerate(ranges)]
    for indices in owner.loop(parts, "parallel"):
        yield indices if len(ranges) > 1 else indices[0]


def steps(*range_: int) -> Iterator[Any]:
    """A loop inside a program, in order: ``steps(n)`` over positions, ``steps(n, size)`` and
    ``steps(lo, hi, size)`` over blocks.

    What is to last from one iteration to the next lies in memory made before the loop by `zeros` or
    `full`. Raises TypeError outside of kernels and for other ranges.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def sums(x):
    ...     out = tiles.output(x.shape[:1], x.dtype)
    ...     for i in tiles.grid(x.shape[0]):
    ...         total = tiles.zeros((), x.dtype)
    ...         for k in tiles.steps(x.shape[1], 2):
    ...             total += x[i, k].sum()
    ...         out[i] = total[...]
    ...     return out
    >>> sums(np.ones((2, 4)))
    Array([4., 4.], dtype=float32)
    """
    owner = building("tiles.steps")
    depth = sum(x.kind == "serial" for x in owner.loops)
    parts = parts_of("tiles.steps", f"{_NAMES[2 + depth % 6]}", tuple(range_))
    for (index,) in owner.loop([parts], "serial"):
        yield index


def block(start: Position | int, size: int) -> Block:
    """``size`` indices from a position on.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def pairs(x):
    ...     out = tiles.output((3,), x.dtype)
    ...     for i in tiles.grid(3):
    ...         out[i] = x[tiles.block(i, 2)].sum()
    ...     return out
    >>> pairs(np.arange(4.0))
    Array([1., 3., 5.], dtype=float32)

    Raises TypeError for a start that is no position, and a size that is no whole number.
    """
    position = position_of(start)
    if position is None:
        raise TypeError(f"tiles.block: start is a position or a whole number, got {start!r}")
    (size,) = shape_of("tiles.block", size)
    return Block(position, size)


def output(shape: Any, dtype: Any) -> Ref:
    """An array for results, which the programs write: each element exactly one of them.

    See `grid` for an example. Raises `TileError` inside of loops, TypeError outside of kernels.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def ones():
    ...     out = tiles.output((4,), "int32")
    ...     for i in tiles.grid((4, 2)):
    ...         out[i] = 1
    ...     return out
    >>> ones()
    Array([1, 1, 1, 1], dtype=int32)
    """
    owner = building("tiles.output")
    if owner.loops:
        raise owner.error("tiles.output is for the kernel as a whole: make it before the grid")
    count = sum(r._role == "output" for r in owner.refs)
    return owner.new_ref(
        "output", f"output {count}", shape_of("tiles.output", shape), _dtype("tiles.output", dtype)
    )


def full(shape: Any, value: Any, dtype: Any) -> Ref:
    """Memory of each program, ``value`` everywhere at first; blocks in ``shape`` are their sizes.

    ``acc[...]`` reads all of it, ``acc[...] = tile`` and ``acc += tile`` write it.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def least(x):
    ...     out = tiles.output(x.shape[:1], x.dtype)
    ...     for i in tiles.grid(x.shape[0]):
    ...         low = tiles.full((), np.inf, x.dtype)
    ...         for k in tiles.steps(x.shape[1]):
    ...             low[...] = np.minimum(low[...], x[i, k])
    ...         out[i] = low[...]
    ...     return out
    >>> least(np.arange(8.0).reshape(2, 4))
    Array([0., 4.], dtype=float32)
    """
    return _local("tiles.full", shape, value, dtype)


def zeros(shape: Any, dtype: Any = "float32") -> Ref:
    """Memory of each program, zero at first (see `full`).

    >>> from weft import tiles
    >>> @weft.kernel
    ... def total(x):
    ...     out = tiles.output((1,), x.dtype)
    ...     for i in tiles.grid(1):
    ...         acc = tiles.zeros((), x.dtype)
    ...         for k in tiles.steps(x.shape[0]):
    ...             acc += x[k]
    ...         out[i] = acc[...]
    ...     return out
    >>> total(np.arange(4.0))
    Array([6.], dtype=float32)
    """
    return _local("tiles.zeros", shape, 0, dtype)


def stage(tile: Any) -> Any:
    """``tile`` kept in memory of the program: a contraction that follows reads it there instead of
    computing it, or reading it from the arguments, again and again.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def product(a, b):
    ...     out = tiles.output((a.shape[0], b.shape[1]), a.dtype)
    ...     for i, j in tiles.grid((a.shape[0], 2), (b.shape[1], 2)):
    ...         out[i, j] = tiles.stage(a[i] + 1) @ b[:, j]
    ...     return out
    >>> product(np.ones((2, 3)), np.ones((3, 2)))
    Array([[6., 6.],
           [6., 6.]], dtype=float32)
    """
    building("tiles.stage").ready("a tile is staged")
    return stage_p.bind(tile)


def _local(what: str, shape: Any, value: Any, dtype: Any) -> Ref:
    owner = building(what)
    owner.ready(f"{what} is called")
    count = sum(r._role == "local" for r in owner.refs)
    ref = owner.new_ref("local", f"block {count}", shape_of(what, shape), _dtype(what, dtype))
    ref[...] = value
    return ref


def _dtype(what: str, dtype: Any) -> Any:
    found = canonical_dtype(dtype)
    if is_complex(found) or is_key(found):
        raise TypeError(
            f"{what}: kernels work on real numbers, whole numbers and bool, not {found}"
        )
    return found
