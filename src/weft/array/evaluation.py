"""Asking for the values of delayed arrays: `compute`, `block_until_ready`, and what must be done
before memory changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from weft import tree
from weft.array.delayed import Leaf, Pending, Segment, closure, segments
from weft.array.value import Array, is_on_device
from weft.core.avals import is_array_like
from weft.core.trace import Tracer
from weft.runtime.buffer import Buffer


def evaluate(arrays: Iterable[Array]) -> None:
    """Computes several arrays, sharing what they have in common."""
    by_segment: dict[int, tuple[Segment, list[Array]]] = {}
    for array in arrays:
        pending = array._pending
        if pending is not None:
            segment = pending[0].segment
            by_segment.setdefault(id(segment), (segment, []))[1].append(array)
    for segment, wanted in by_segment.values():
        segment.run(wanted)


def compute(*arrays: Any) -> Any:
    """Evaluates delayed arrays together, in one program where they belong together.

    Takes arrays and containers of arrays. Returns what was given, a tuple if that is several; the
    arrays are the same objects, now with values.

    >>> import weft, weft.numpy as np
    >>> x = np.arange(4.0)
    >>> weft.compute(x + 1, x * 2)
    (Array([1., 2., 3., 4.], dtype=float32), Array([0., 2., 4., 6.], dtype=float32))
    """
    evaluate(delayed_leaves("weft.compute", arrays))
    return arrays[0] if len(arrays) == 1 else arrays


def delayed_leaves(caller: str, arrays: Sequence[Any]) -> list[Array]:
    """The arrays among arguments; TypeError for an argument that is not made of arrays."""
    leaves: list[Array] = []
    for position, argument in enumerate(arrays):
        for leaf in tree.leaves(argument):
            if type(leaf) is Array:
                leaves.append(leaf)
            elif is_on_device(leaf):
                continue  # under way since it was asked for
            elif leaf is argument or isinstance(leaf, Tracer) or not is_array_like(leaf):
                raise TypeError(
                    f"{caller}: argument {position} is {_described(argument, leaf)}, not a "
                    "weft array"
                )
    return leaves


def _described(argument: Any, leaf: Any) -> str:
    kind = type(leaf).__name__
    return kind if argument is leaf else f"{type(argument).__name__} with {kind}"


def block_until_ready(x: Any) -> Any:
    """``x``, an array or a container of arrays, once its values are computed.

    Traced values pass: there is nothing to wait for.

    >>> weft.block_until_ready({"a": np.ones(2) + 1})
    {'a': Array([2., 2.], dtype=float32)}
    """
    if type(x) is Array:
        x.materialise()
        return x
    leaves = tree.leaves(x)
    evaluate([leaf for leaf in leaves if type(leaf) is Array])
    for leaf in leaves:
        if is_on_device(leaf):
            leaf.block_until_ready()
    return x


def settle(buffers: Iterable[Buffer]) -> None:
    """Does the pending work that reads `buffers`; for who is about to change or free them."""
    wanted = {id(buffer) for buffer in buffers}
    for segment in list(segments):
        with segment.lock:
            held = [array for arrays in segment.live().values() for array in arrays]
            if _read([array._pending for array in held], wanted):
                segment.run([array for array in held if _read([array._pending], wanted)])


def _read(roots: list[Pending | None], buffers: set[int]) -> bool:
    """Whether the pending work that `roots` depend on reads one of `buffers`."""
    operations = closure(roots)
    return any(id(_buffer_of(x)) in buffers for op in operations for x in op.inputs)


def _buffer_of(x: Leaf | Pending) -> Buffer | None:
    if isinstance(x, Leaf):
        return x.buffer
    results = x[0].results
    return results[x[1]] if results is not None else None
