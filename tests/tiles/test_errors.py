"""What is refused of a kernel before it runs, and in which words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft import tiles

X = np.arange(10.0, dtype=np.float32)
Body = Callable[[Any, Any], None]


def refused(body: Body, words: str, *, shape: Any = (10,), error: Any = tiles.TileError) -> None:
    """``body(x, out)`` is refused in these ``words``, with its line."""

    @weft.kernel
    def bad(x: Any) -> Any:
        out = tiles.output(shape, x.dtype)
        body(x, out)
        return out

    with pytest.raises(error) as found:
        np.asarray(bad(X))
    message = str(found.value)
    assert words in message, message
    assert error is not tiles.TileError or message.startswith("kernel 'bad': ")
    assert error is not tiles.TileError or f"At {__file__}:" in message


def test_bounds() -> None:
    def over(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 4)):
            out[i] = x[i + 1]

    def under(x: Any, out: Any) -> None:
        for i in tiles.grid(10):
            for j in tiles.steps(2):
                out[i] = x[i - j]

    def above(x: Any, out: Any) -> None:
        for i in tiles.grid((0, 12, 4)):
            out[i] = x[i]

    refused(over, "x is read at 9…10 along dimension 0, where it has 10 elements, for i = 8\nAt ")
    refused(under, "x is read at -1 along dimension 0, where it has 10 elements, for i = 0, k = 1")
    refused(above, "x is read at 8…11 along dimension 0, where it has 10 elements, for i = 8")


def test_races() -> None:
    def same(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 4)):
            out[0:2] = x[i][:2]

    def overlapping(x: Any, out: Any) -> None:
        for i in tiles.grid(9):
            out[i] = x[i]
            out[i + 1] = x[i]

    refused(
        same,
        "two programs of the grid write the same element of output 0: [0], for i = 0 and for i = 4",
    )
    refused(
        overlapping,
        "two programs of the grid write the same element of output 0: [1], for i = 0 and for i = 1"
        ". What an element is written with is one program's to compute",
    )


def test_outputs() -> None:
    def half(x: Any, out: Any) -> None:
        for i in tiles.grid((5, 2)):
            out[i] = x[i]

    def gaps(x: Any, out: Any) -> None:
        for i in tiles.grid(5):
            out[2 * i] = x[i]

    refused(half, "output 0[10] is not written everywhere: no program writes element [5] (5 of 10")
    refused(gaps, "no program writes element [1] (5 of 10 are missing)")

    def never(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 5)):
            for _ in tiles.steps(0, 0, 3):
                out[i] = 1.0

    refused(never, "no program writes element [0] (10 of 10 are missing)")

    def read(x: Any, out: Any) -> None:
        for i in tiles.grid(10):
            out[i] += x[i]

    refused(read, "kernel 'bad': output 0 is read, and holds nothing yet: keep what is needed")


def test_written_twice_by_one_program_is_fine() -> None:
    @weft.kernel
    def twice(x: Any) -> Any:
        out = tiles.output(x.shape, x.dtype)
        for i in tiles.grid((10, 4)):
            for j in tiles.steps(3):
                out[i] = x[i] * j.value
        return out

    np.testing.assert_array_equal(np.asarray(twice(X)), X * 2)


def test_tiles_of_an_iteration() -> None:
    def escapes(x: Any, out: Any) -> None:
        total = 0.0
        for i in tiles.grid((10, 10)):
            for j in tiles.steps(10):
                total = total + x[j]
            out[i] = x[i] + total

    refused(escapes, "a tile that is computed in the loop over k is used outside of it")

    def local(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 10)):
            for _ in tiles.steps(10):
                inner = tiles.zeros((2,))
            out[i] = x[i] + inner[0]

    refused(local, "the block block 0 belongs to a loop that has ended: make it before the loop")


def test_loops() -> None:
    def left(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 10)):
            for _ in tiles.steps(10):
                break
            out[i] = x[i]

    refused(left, "a loop of tiles was left early (break, return)")

    def grids(x: Any, out: Any) -> None:
        for i in tiles.grid(10):
            out[i] = x[i]
        for _ in tiles.grid(3):
            pass

    refused(grids, "a kernel has one grid, and it is outermost")

    def ranges(x: Any, out: Any) -> None:
        for _ in tiles.grid((1, 2, 3, 4)):
            pass

    refused(ranges, "a range is n, (n, block) or (lo, hi, block) of whole numbers", error=TypeError)

    def number(x: Any, out: Any) -> None:
        for i in tiles.grid(10):
            out[i] = x[i] if i < 3 else 0.0  # type: ignore[operator]

    refused(number, "not supported between instances of 'Position' and 'int'", error=TypeError)


def test_accesses() -> None:
    def each(access: Callable[[Any, Any, Any], Any]) -> Body:
        def body(x: Any, out: Any) -> None:
            for i in tiles.grid((10, 4)):
                out[i] = x[i]
                access(x, out, i)

        return body

    refused(each(lambda x, out, i: x[i, 0]), "2 indices for x, which has 1 dimensions")
    refused(each(lambda x, out, i: x[::2]), "slice(None, None, 2) is no index of x: for each")
    words = "x is indexed with values of a tile, i32[4]: kernels do not gather or scatter"
    refused(each(lambda x, out, i: x[x[i].astype("int32")]), words)
    words = words.replace("x is", "output 0 is")
    refused(each(lambda x, out, i: out.__setitem__(i.indices, 0.0)), words)
    refused(each(lambda x, out, i: x.__setitem__(i, 0)), "the argument x is written: results go")
    refused(
        each(lambda x, out, i: out.__setitem__(i, x[0:3])),
        "a tile of shape (3,) is written to output 0 where the index has the shape (4,)",
    )
    refused(
        each(lambda x, out, i: out.__setitem__(i, x[i].astype("float64"))),
        "a tile of float64 is written to output 0, which is float32: convert it by .astype('",
    )
    refused(
        each(lambda x, out, i: x + 1), "is memory, no tile: x[index] or x[...]", error=TypeError
    )
    refused(each(lambda x, out, i: out.__setitem__(i, "a")), "output 0 is given 'a' of type str")
    refused(
        each(lambda x, out, i: weft.jit(lambda: x[i])()),
        "x is read inside another transformation (jit, vmap, cond, scan, …): read tiles before it",
    )
    refused(
        each(lambda x, out, i: out.__setitem__(i, wnp.sort(x[i]))),
        "'sort' cannot be used inside the kernel 'bad': only what is elementwise",
        error=weft.errors.MissingRuleError,
    )


def test_signatures() -> None:
    with pytest.raises(TypeError, match=r"tiles\.zeros is for the inside of a function decorated"):
        tiles.zeros((3,))

    @weft.kernel
    def nothing(x: Any) -> Any:
        return x

    with pytest.raises(
        tiles.TileError, match=r"it returned <input x: f32\[10\]>: a kernel returns"
    ):
        nothing(X)
    with pytest.raises(TypeError, match=r"the argument x is c64.*kernels work on real numbers"):
        nothing(X.astype("complex64"))

    @weft.kernel
    def forgets(x: Any) -> Any:
        tiles.output((1,), "float32")
        return ()

    with pytest.raises(tiles.TileError, match="output 0 is not returned"):
        forgets(X)

    @weft.kernel
    def calls(x: Any) -> Any:
        return nothing(x)

    with pytest.raises(tiles.TileError, match="kernel 'calls': it calls the kernel 'nothing'"):
        calls(X)

    def outer(y: Any) -> Any:
        @weft.kernel
        def closes(x: Any) -> Any:
            out = tiles.output(x.shape, x.dtype)
            for i in tiles.grid((10, 5)):
                out[i] = x[i] + y
            return out

        return closes(X)

    with pytest.raises(
        tiles.TileError, match=r"it uses a traced value of type f32.* from around it"
    ):
        weft.jit(outer)(1.0)


def test_values_of_tiles_that_python_asks_for() -> None:
    def branch(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 5)):
            if x[i].sum() > 0:
                out[i] = x[i]

    def number(x: Any, out: Any) -> None:
        for i in tiles.grid((10, 5)):
            out[i] = float(i.indices[0])

    where = "It depends on the argument x. It was computed at "
    chooses = " In a kernel weft.numpy.where chooses, in place of if, and, or, while.\nAt "
    refused(branch, where, error=weft.errors.TracerBoolConversionError)
    refused(branch, chooses, error=weft.errors.TracerBoolConversionError)
    refused(number, "It differs from program to program.", error=weft.errors.ConcretizationError)
    refused(number, " In a kernel it stays a tile; numbers that", error=TypeError)
