"""`einsum`: a small parser, and products taken two at a time by `dot_general`.

The subscripts are parsed once into a cached `Plan` of names (ellipsis axes get names of their own);
with more than two operands, NumPy's `einsum_path` chooses the order of products.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from weft import lax
from weft.array.calls import at_once
from weft.core import dtypes
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    broadcast_to_shape,
    convert,
    dtype_of,
    no_out,
    promote,
    shape_of,
)
from weft.numpy.contraction import contract

Names = tuple[str, ...]


@at_once
def einsum(
    subscripts: Any,
    /,
    *operands: ArrayLike,
    out: None = None,
    optimize: Any = "auto",
    precision: Any = None,
    preferred_element_type: DType = None,
) -> Value:
    """Sums of products in Einstein's notation.

    Letters name axes; an axis that the result does not name is summed. Without "->" the result has
    the letters that occur once, in alphabetical order. "..." stands for axes that broadcast.

    `preferred_element_type` is the dtype of the result; products of narrower operands of its kind
    are added up in it, others are converted to it first.

    >>> a = np.arange(6.0).reshape(2, 3)
    >>> np.einsum("ij,kj->ik", a, a)  # a matrix product
    Array([[ 5., 14.],
           [14., 50.]], dtype=float32)
    >>> np.einsum("ij->i", a)
    Array([ 3., 12.], dtype=float32)
    """
    no_out("einsum", out)
    if not isinstance(subscripts, str):
        subscripts, operands = _from_interleaved((subscripts, *operands))
    values = promote("einsum", *operands)
    target, wider = None, None
    if preferred_element_type is not None:
        target = dtypes.canonical_dtype(preferred_element_type)
        own = dtype_of(values[0]) if values else target
        if dtypes.kind_name(own) != dtypes.kind_name(target):
            values = [convert("einsum", x, target) for x in values]
        elif target.itemsize > own.itemsize:
            wider = target
    from weft.numpy.creation import asarray

    values = [asarray(x) for x in values]
    shapes = tuple(shape_of(x) for x in values)
    terms, result = _parse(subscripts, tuple(map(len, shapes)))
    sizes = _sizes(subscripts, terms, shapes)
    pending = [_normalise(x, names, sizes) for x, names in zip(values, terms, strict=True)]
    for pair in _order(terms, result, shapes, optimize):
        chosen = [pending[k] for k in pair]
        pending = [item for k, item in enumerate(pending) if k not in pair]
        wanted = {*result, *(name for _, names in pending for name in names)}
        chosen = [_sum_lonely(item, k, chosen, wanted, wider) for k, item in enumerate(chosen)]
        last = not pending
        if len(chosen) == 1:
            pending.append(chosen[0])
        else:
            left, right = chosen
            pending.append(_multiply(left, right, wanted, result if last else (), wider))
    ((value, names),) = pending
    value = _arrange(value, names, result)
    return value if target is None else convert("einsum", value, target)


def einsum_path(
    subscripts: Any, /, *operands: ArrayLike, optimize: Any = "auto"
) -> tuple[list[tuple[int, ...]], str]:
    """The order in which `einsum` multiplies its operands, and NumPy's report about it.

    Each entry has the positions of operands that are multiplied next; their product goes to the
    end. Only shapes are looked at, so operands may be traced.

    >>> x, y, z = np.ones((2, 9)), np.ones((9, 9)), np.ones(9)
    >>> np.einsum_path("ij,jk,k->i", x, y, z)[0]
    [(1, 2), (0, 1)]
    """
    if not isinstance(subscripts, str):
        subscripts, operands = _from_interleaved((subscripts, *operands))
    # NumPy asks for arrays, and reads nothing but their shapes.
    blanks = [np.broadcast_to(np.float32(0), shape_of(x)) for x in operands]
    chosen = "greedy" if optimize == "auto" else optimize
    path, report = np.einsum_path(subscripts, *blanks, optimize=chosen)
    return [tuple(pair) for pair in path[1:]], report


def _from_interleaved(arguments: Sequence[Any]) -> tuple[str, tuple[Any, ...]]:
    """`einsum(a, [0, 1], b, [1, 2], [0, 2])` as subscripts and operands."""
    count = len(arguments) // 2
    operands = arguments[0 : 2 * count : 2]
    lists = [_letters(term) for term in arguments[1 : 2 * count : 2]]
    result = f"->{_letters(arguments[-1])}" if len(arguments) % 2 else ""
    return ",".join(lists) + result, tuple(operands)


def _letters(axes: Sequence[Any]) -> str:
    return "".join("..." if axis is Ellipsis else _ALPHABET[axis] for axis in axes)


_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


@functools.lru_cache(maxsize=512)
def _parse(subscripts: str, ndims: tuple[int, ...]) -> tuple[tuple[Names, ...], Names]:
    """Names of the axes of each operand and of the result."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ndims):
        raise ValueError(
            f"weft.numpy.einsum: {subscripts!r} is for {len(inputs)} operands, got {len(ndims)}"
        )
    rank = max(
        (
            ndim - len(term.replace("...", ""))
            for term, ndim in zip(inputs, ndims, strict=True)
            if "..." in term
        ),
        default=0,
    )
    terms = tuple(
        _names(term, ndim, rank, k, subscripts)
        for k, (term, ndim) in enumerate(zip(inputs, ndims, strict=True))
    )
    ellipsis = tuple(f"...{k}" for k in range(rank))
    if arrow:
        result = _output_names(right, ellipsis, subscripts)
    else:
        counts = Counter(name for names in terms for name in names)
        once = sorted(n for n, c in counts.items() if c == 1 and not n.startswith("..."))
        result = (*ellipsis, *once)
    known = {name for names in terms for name in names} | set(ellipsis)
    for name in result:
        if name not in known:
            raise ValueError(
                f"weft.numpy.einsum: the result of {subscripts!r} has {name!r}, which no operand "
                "has"
            )
    if len(set(result)) != len(result):
        raise ValueError(f"weft.numpy.einsum: the result of {subscripts!r} names an axis twice")
    return terms, result


def _names(term: str, ndim: int, rank: int, position: int, subscripts: str) -> Names:
    before, dots, after = term.partition("...")
    letters = before + after
    if not letters.isalpha() and letters:
        raise ValueError(
            f"weft.numpy.einsum: {term!r} in {subscripts!r} may only have letters and one '...'"
        )
    missing = ndim - len(letters)
    if missing < 0 or (missing and not dots):
        raise ValueError(
            f"weft.numpy.einsum: operand {position} has {ndim} axes, but {term!r} in "
            f"{subscripts!r} "
            f"names {len(letters)}"
        )
    filled = tuple(f"...{k}" for k in range(rank - missing, rank)) if dots else ()
    return (*before, *filled, *after)


def _output_names(term: str, ellipsis: Names, subscripts: str) -> Names:
    before, dots, after = term.partition("...")
    if not (before + after).isalpha() and before + after:
        raise ValueError(
            f"weft.numpy.einsum: the result {term!r} in {subscripts!r} may only have letters and "
            "one '...'"
        )
    return (*before, *(ellipsis if dots else ()), *after)


def _sizes(
    subscripts: str, terms: Sequence[Names], shapes: Sequence[tuple[int, ...]]
) -> dict[str, int]:
    """The length of each name; axes of length 1 broadcast."""
    sizes: dict[str, int] = {}
    for names, shape in zip(terms, shapes, strict=True):
        for name, n in zip(names, shape, strict=True):
            known = sizes.get(name, 1)
            if known != 1 and n not in (1, known):
                raise ValueError(
                    f"weft.numpy.einsum: axis {name!r} of {subscripts!r} has length {known} in one "
                    f"operand and {n} in another (shapes {', '.join(map(str, shapes))})"
                )
            sizes[name] = n if known == 1 else known
    return sizes


Item = tuple[Value, Names]


def _normalise(x: Value, names: Names, sizes: dict[str, int]) -> Item:
    """Repeated names become a diagonal; axes that only broadcast are dropped."""
    for name in [n for n, count in Counter(names).items() if count > 1]:
        places = [k for k, n in enumerate(names) if n == name]
        x, names = _diagonal(x, names, places, sizes[name])
    kept = [k for k, n in enumerate(names) if not (shape_of(x)[k] == 1 and sizes[n] != 1)]
    if len(kept) < len(names):
        x = lax.reshape(x, tuple(shape_of(x)[k] for k in kept))
        names = tuple(names[k] for k in kept)
    return x, names


def _diagonal(x: Value, names: Names, places: list[int], size: int) -> Item:
    """The elements whose indices at `places` are equal, with one such axis in front."""
    from weft.numpy.shaping import diagonal

    name = names[places[0]]
    shape = tuple(size if k in places else n for k, n in enumerate(shape_of(x)))
    x = broadcast_to_shape(x, shape)
    while len(places) > 1:
        x = diagonal(x, axis1=places[0], axis2=places[1])
        rest = [n for k, n in enumerate(names) if k not in places[:2]]
        names = (*rest, name)
        places = [k for k, n in enumerate(names) if n == name]
    return x, names


def _order(
    terms: Sequence[Names], result: Names, shapes: Sequence[Any], optimize: Any
) -> list[Any]:
    """Positions of the operands of each product, in NumPy's convention."""
    if len(terms) <= 2:
        return [tuple(range(len(terms)))]
    letters: dict[str, str] = {}
    for name in (n for names in (*terms, result) for n in names):
        if name not in letters:
            letters[name] = _ALPHABET[len(letters)]
    text = ",".join("".join(letters[n] for n in names) for names in terms)
    text += "->" + "".join(letters[n] for n in result)
    empty = [np.broadcast_to(np.zeros(()), shape) for shape in shapes]
    strategy = "greedy" if optimize in ("auto", True) else optimize
    path = np.einsum_path(text, *empty, optimize=strategy or False)[0][1:]
    return _pairwise(path, len(terms))


def _pairwise(path: Sequence[tuple[int, ...]], count: int) -> list[tuple[int, ...]]:
    """A path whose steps take two operands at most; larger steps are taken from the left."""
    slots = list(range(count))  # an identity for each operand still there
    steps: list[tuple[int, ...]] = []
    for step in path:
        chosen = [slots[k] for k in step]
        first = chosen[0]
        for other in chosen[1:]:
            steps.append((slots.index(first), slots.index(other)))
            slots = [s for s in slots if s not in (first, other)]
            first = count = count + 1
            slots.append(first)
    return steps


def _sum_lonely(
    item: Item, position: int, chosen: Sequence[Item], wanted: set[str], wider: np.dtype | None
) -> Item:
    """Sums the axes that no other operand and not the result has, in `wider` if that is given."""
    x, names = item
    others = {n for k, (_, other) in enumerate(chosen) if k != position for n in other} | wanted
    lonely = tuple(k for k, name in enumerate(names) if name not in others)
    if not lonely:
        return item
    if x.dtype == np.bool_:
        return lax.reduce_or(x, lonely), tuple(n for n in names if n in others)
    if wider is not None:
        x = convert("einsum", x, wider)
    return lax.reduce_sum(x, lonely), tuple(n for n in names if n in others)


def _multiply(
    left: Item, right: Item, wanted: set[str], result: Names, wider: np.dtype | None
) -> Item:
    """The product of two operands, summed over the shared names that are not wanted.

    It is computed and returned in `wider` if that is given; operands may be narrower.
    """
    (x, x_names), (y, y_names) = left, right
    if x.dtype != y.dtype:  # one of them is a product already
        x, y = (convert("einsum", v, wider) for v in (x, y))  # type: ignore[arg-type]
    shared = [n for n in x_names if n in y_names]
    summed = [n for n in shared if n not in wanted]
    batch = [n for n in shared if n in wanted]
    # dot_general gives batch, left, right: exchange the operands if that is nearer to the result.
    free_x = [n for n in x_names if n not in shared]
    free_y = [n for n in y_names if n not in shared]
    if (*batch, *free_y, *free_x) == result:
        (x, x_names, free_x), (y, y_names, free_y) = (y, y_names, free_y), (x, x_names, free_x)
    if result:
        batch.sort(key=result.index)

    def places(names: Names, wanted_names: Sequence[str]) -> list[int]:
        return [names.index(n) for n in wanted_names]

    value = contract(
        x,
        y,
        (places(x_names, summed), places(y_names, summed)),
        (places(x_names, batch), places(y_names, batch)),
        wider,
    )
    return value, (*batch, *free_x, *free_y)


def _arrange(value: Value, names: Names, result: Names) -> Value:
    """Axes in the order of the result."""
    return lax.transpose(value, tuple(names.index(n) for n in result))
