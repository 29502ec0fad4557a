"""How arrays print: NumPy's layout in JAX's frame, `Array([1., 2.], dtype=float32)`."""

from __future__ import annotations

import numpy as np

from weft.core.avals import ShapedArray


def array_repr(data: np.ndarray, weak_type: bool) -> str:
    """`Array(..., dtype=...)`, on one line where it fits; empty and weak arrays say so."""
    prefix = "Array("
    if data.size == 0:
        body = "[], shape=" + str(data.shape)
    else:
        options = np.get_printoptions()
        body = np.array2string(
            data,
            prefix=prefix,
            suffix=",",
            separator=", ",
            threshold=options["threshold"],
            max_line_width=options["linewidth"],
        )
    suffix = f"dtype={data.dtype.name}" + (", weak_type=True)" if weak_type else ")")
    last_line = body[body.rfind("\n") + 1 :]
    indent = len(prefix) if "\n" not in body else 0
    fits = len(last_line) + indent + len(suffix) + 2 <= np.get_printoptions()["linewidth"]
    return f"{prefix}{body}," + (" " if fits else "\n" + " " * len(prefix)) + suffix


def keys_repr(aval: ShapedArray, words: np.ndarray) -> str:
    """`Array((3,), dtype=key<fry>) overlaying:` and below it the words of each key."""
    data = np.ascontiguousarray(words).view(np.uint32).reshape(*aval.shape, 2)
    return f"Array({aval.shape}, dtype={aval.dtype}) overlaying:\n{data}"
