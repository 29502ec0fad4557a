"""Calls of LAPACK and BLAS routines on every matrix of a batch, as data.

A `LibraryCall` is what a ``Call`` step of a program carries. Calling it is its meaning (by ctypes,
matrix after matrix); `codegen.library_llvm` writes the same loop as native code, which needs no
Python and may share the matrices out among threads.

LAPACK stores matrices by columns and Weft by rows, so that a routine sees the transpose of what it
is given. `by_columns` turns a matrix around where that matters; often the transposed problem does
as well, and then nothing is copied (the comments of each lowering say why).
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence

import numpy as np

from weft.config import config
from weft.core import dtypes
from weft.core.avals import ShapedArray
from weft.runtime.libraries import library_address
from weft.structs import struct
from weft.terms.lower import Lowering
from weft.terms.region import Call
from weft.terms.tensor import AnyTensor, tensor_of
from weft.terms.term import Value

#: What LAPACK's names begin with.
PREFIX = {
    np.dtype(np.float32): "s",
    np.dtype(np.float64): "d",
    np.dtype(np.complex64): "c",
    np.dtype(np.complex128): "z",
}
#: What a thread takes at a time is at least this long, in seconds.
WORTH_BLOCK = 25e-6
_INT = np.dtype(np.int32)


# -- what a call is made of ------------------------------------------------------------------------


@struct(frozen=True)
class Flag:
    """A ``char *`` argument."""

    character: str


@struct(frozen=True)
class Integer:
    """An ``int *`` argument."""

    value: int


@struct(frozen=True)
class Number:
    """A constant of the routine's own dtype."""

    value: float
    dtype: np.dtype


@struct(frozen=True)
class Null:
    """A pointer to nothing: arguments that the routine does not look at."""


@struct(frozen=True)
class Array:
    """The part for one matrix of the array at ``position`` among inputs and outputs."""

    position: int


Argument = Flag | Integer | Number | Null | Array


@struct(frozen=True)
class Part:
    """What an array has for each matrix: ``shape`` elements of ``dtype``.

    ``kind`` is ``input``, ``output`` or ``scratch``; of scratch there is a part for each thread. An
    output that is ``filled_from`` an input starts as a copy of it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    kind: str
    filled_from: int | None = None

    @property
    def nbytes(self) -> int:
        """Bytes for one matrix."""
        return math.prod(self.shape) * self.dtype.itemsize


@struct(frozen=True)
class LibraryCall:
    """``symbol(*arguments)`` for each matrix of a ``batch``, by at most ``threads`` threads.

    Threads take the matrices in ``blocks`` blocks. ``parts`` describes the arrays, inputs before
    outputs (scratch counts as output).
    """

    symbol: str
    batch: tuple[int, ...]
    arguments: tuple[Argument, ...]
    parts: tuple[Part, ...]
    threads: int = 1
    blocks: int = 1

    def __str__(self) -> str:
        return self.symbol

    @property
    def count(self) -> int:
        """How many matrices there are."""
        return math.prod(self.batch)

    def __call__(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """The meaning: outputs in order with scratch; complex numbers have an axis of parts."""
        rows = [
            np.ascontiguousarray(x).view(part.dtype).reshape(self.count, *part.shape)
            for x, part in zip(inputs, self.parts, strict=False)
        ]
        for part in self.parts[len(rows) :]:
            length = self.threads if part.kind == "scratch" else self.count
            source = part.filled_from
            rows.append(
                np.zeros((length, *part.shape), part.dtype)
                if source is None
                else rows[source].copy()
            )
        function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(self.arguments))(
            library_address(self.symbol)
        )
        scratch = [part.kind == "scratch" for part in self.parts]
        for n in range(self.count):
            matrices = [x[:1] if s else x[n : n + 1] for x, s in zip(rows, scratch, strict=True)]
            held = [_argument(a, matrices) for a in self.arguments]
            function(*(None if x is None else x.ctypes.data for x in held))
        outputs = zip(rows[len(inputs) :], self.parts[len(inputs) :], strict=True)
        return [self._as_memory(x, part) for x, part in outputs]

    def _as_memory(self, x: np.ndarray, part: Part) -> np.ndarray:
        leading = (self.threads,) if part.kind == "scratch" else self.batch
        shape = (*leading, *part.shape)
        if not dtypes.is_complex(part.dtype):
            return x.reshape(shape)
        return x.view(dtypes.real_dtype(part.dtype)).reshape(*shape, 2)


def _argument(argument: Argument, matrices: Sequence[np.ndarray]) -> np.ndarray | None:
    """Memory that holds the argument."""
    if isinstance(argument, Array):
        return matrices[argument.position]
    if isinstance(argument, Flag):
        return np.frombuffer(argument.character.encode(), np.uint8)
    if isinstance(argument, Integer):
        return np.array(argument.value, _INT)
    if isinstance(argument, Number):
        return np.array(argument.value, argument.dtype)
    return None


# -- making calls while lowering -------------------------------------------------------------------


@struct(frozen=True)
class In:
    """An array that the routine reads; its last axes, of ``shape``, belong to one matrix."""

    tensor: AnyTensor
    shape: tuple[int, ...]


@struct(frozen=True)
class InOut:
    """An array that the routine overwrites; it gets a copy."""

    tensor: AnyTensor
    shape: tuple[int, ...]


@struct(frozen=True)
class Out:
    """A result: ``shape`` elements for each matrix."""

    shape: tuple[int, ...]
    dtype: np.dtype


@struct(frozen=True)
class Scratch:
    """Room to work in."""

    count: int
    dtype: np.dtype


#: LAPACK's verdict on each matrix: zero when all went well.
INFO = Out((), _INT)

Given = Flag | Integer | Number | Null | In | InOut | Out | Scratch


def call_library(
    ctx: Lowering,
    name: str,
    dtype: np.dtype,
    batch_shape: tuple[int, ...],
    given: Sequence[Given],
    seconds: float,
) -> list[AnyTensor]:
    """Emits a call of LAPACK's ``name`` (without its prefix) and returns its results, in order.

    ``seconds`` is about how long it takes for each matrix.
    """
    batch = math.prod(batch_shape)
    blocks = max(1, min(batch, int(batch * seconds / WORTH_BLOCK)))
    threads = min(config.threads, blocks)
    inputs: list[Value] = []
    outputs: list[Value] = []
    in_parts: list[Part] = []
    out_parts: list[Part] = []
    results: list[AnyTensor] = []
    count = sum(isinstance(g, In | InOut) for g in given)
    arguments: list[Argument] = []
    for item in given:
        if isinstance(item, In | InOut):
            inputs.append(ctx.value(item.tensor))
            in_parts.append(Part(item.shape, item.tensor.dtype, "input"))
        if isinstance(item, In):
            arguments.append(Array(len(inputs) - 1))
        elif isinstance(item, InOut | Out | Scratch):
            arguments.append(Array(count + len(outputs)))
            part = _out_part(item, len(inputs) - 1)
            leading = (threads,) if part.kind == "scratch" else batch_shape
            aval = ShapedArray((*leading, *part.shape), part.dtype)
            outputs.append(ctx.memory_of(aval))
            out_parts.append(part)
            if part.kind == "output":
                results.append(tensor_of(outputs[-1], aval))
        else:
            arguments.append(item)
    symbol = PREFIX[dtype] + name
    routine = LibraryCall(
        symbol, batch_shape, tuple(arguments), (*in_parts, *out_parts), threads, blocks
    )
    ctx.emit(Call(routine, tuple(inputs), tuple(outputs), {}, ctx.source))
    return results


def _out_part(item: InOut | Out | Scratch, source: int) -> Part:
    if isinstance(item, InOut):
        return Part(item.shape, item.tensor.dtype, "output", source)
    if isinstance(item, Scratch):
        # Threads must not share a cache line.
        line = 64 // item.dtype.itemsize
        return Part((-(-max(1, item.count) // line) * line,), item.dtype, "scratch")
    return Part(item.shape, item.dtype, "output")


def by_columns(x: AnyTensor) -> AnyTensor:
    """Matrices with rows and columns exchanged, as a view."""
    return x.view(
        (*x.shape[:-2], x.shape[-1], x.shape[-2]),
        lambda index: (*index[:-2], index[-1], index[-2]),
    )


def workspace(name: str, dtype: np.dtype, arguments: Sequence[Argument]) -> int:
    """What LAPACK asks for when told ``lwork = -1``: elements of its array ``work``.

    ``arguments`` hold `Integer` ``-1`` where lwork is, right after the one of `work`, an `Array`.
    """
    answers = [np.zeros(8, np.complex128) for _ in arguments]
    held = [_argument(a, answers) for a in arguments]
    function = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(arguments))(
        library_address(PREFIX[dtype] + name)
    )
    function(*(None if x is None else x.ctypes.data for x in held))
    position = next(n for n, a in enumerate(arguments) if a == Integer(-1)) - 1
    work = held[position]
    assert work is not None
    return int(work.view(dtype)[0].real)
