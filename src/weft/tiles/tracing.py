"""Tracing a kernel: its references, its loops, and what has been recorded so far.

The user's function runs once for each signature. A ``for`` over `grid` or `steps` runs its body
once for the whole blocks and once more for a smaller one at the end, if there is one; what it does
is recorded between marks.
"""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from weft.core import dtypes
from weft.core.avals import aval_of
from weft.core.source import Source, describe, user_source
from weft.core.staging import FunctionInfo, StagingTrace, depends_on
from weft.core.trace import Tracer, current_trace
from weft.errors import ConcretizationError, TracerBoolConversionError
from weft.primitives.convert import convert_element_type
from weft.primitives.shaping import broadcast_in_dim
from weft.primitives.tile_body import Dim, Index, begin_p, end_p, read_p, sizes, write_p
from weft.structs import struct
from weft.tiles.blocks import Block, Position, position_of


class TileError(ValueError):
    """A kernel is not well formed: an index outside of its array, programs that write the same
    element, an output that is not written. The message names the kernel and the line."""


class _State(threading.local):
    building: Building | None = None


_state = _State()


def building(what: str) -> Building:
    """The kernel that is being traced in this thread."""
    found = _state.building
    if found is None:
        raise TypeError(f"{what} is for the inside of a function decorated with weft.kernel")
    return found


def outside(name: str) -> None:
    """Raises where the kernel ``name`` is called by another one."""
    if _state.building is not None:
        raise _state.building.error(
            f"it calls the kernel '{name}': kernels are called from ordinary functions, and what "
            "they share is a plain function"
        )


def at(source: Source | None) -> str:
    """The last line of a message."""
    shown = describe(source or user_source())
    return f"\nAt {shown}" if shown else ""


class KernelTrace(StagingTrace):
    """Records a kernel. Its values come from memory, the arguments among them in ``inputs``."""

    def __init__(self, info: FunctionInfo) -> None:
        super().__init__(info)
        self.inputs: dict[int, str] = {}

    def dependence(self, needed: set[int]) -> str:
        read = dict.fromkeys(
            self.inputs[eqn.params["ref"]]
            for eqn in self.eqns
            if eqn.primitive is read_p
            and eqn.params["ref"] in self.inputs
            and id(eqn.outvars[0]) in needed
        )
        return depends_on(list(read)) or "It differs from program to program."

    def advice(self, error: type[ConcretizationError], usual: str) -> str:
        if error is TracerBoolConversionError:
            return "In a kernel weft.numpy.where chooses, in place of if, and, or, while."
        return (
            "In a kernel it stays a tile; numbers that Python needs, such as sizes of blocks, are "
            "arguments by keyword that weft.kernel(static_argnames=...) names."
        )


@struct(eq=False)
class Open:
    """A loop that is being recorded."""

    axis: int
    kind: str


class Building:
    """One kernel while its function runs."""

    def __init__(self, name: str, trace: KernelTrace) -> None:
        self.name = name
        self.trace = trace
        self.refs: list[Ref] = []
        self.loops: list[Open] = []
        self.axes: list[str] = []
        self.grids = 0
        self.left: Source | None = None

    def __enter__(self) -> Building:
        _state.building = self
        return self

    def __exit__(self, *exc: object) -> None:
        _state.building = None

    def error(self, why: str, source: Source | None = None) -> TileError:
        """What is wrong with this kernel, at the user's line."""
        return TileError(f"kernel '{self.name}': {why}{at(source)}")

    def ready(self, what: str) -> None:
        """Raises unless what happens now happens in the kernel itself, in order."""
        if self.left is not None:
            raise self.error(
                "a loop of tiles was left early (break, return): whether to go on is the same "
                "for all programs, as the body is traced once",
                self.left,
            )
        if current_trace() is not self.trace:
            raise self.error(
                f"{what} inside another transformation (jit, vmap, cond, scan, …): read tiles "
                "before it and write its results after it"
            )

    def new_ref(self, role: str, name: str, shape: Sequence[int], dtype: Any) -> Ref:
        ref = Ref(self, len(self.refs), role, name, tuple(shape), np.dtype(dtype))
        self.refs.append(ref)
        if role == "input":
            self.trace.inputs[ref._number] = name
        return ref

    def loop(self, parts: Sequence[Sequence[Part]], kind: str) -> Iterator[tuple[Any, ...]]:
        """Records the loops, once for each combination of parts, around what the caller does."""
        for chosen in product(*parts):
            indices = []
            self.ready("a loop of tiles is begun")
            for part in chosen:
                axis = len(self.axes)
                self.axes.append(part.name)
                self.loops.append(Open(axis, kind))
                begin_p.bind(
                    axis=axis, name=part.name, lo=part.lo, hi=part.hi, step=part.step, kind=kind
                )
                indices.append(part.index(axis))
            depth = len(self.loops)
            try:
                yield tuple(indices)
            except GeneratorExit:
                self.left = user_source()
                raise
            self.ready("a loop of tiles is ended")
            if len(self.loops) != depth:
                raise self.error("loops of tiles end in another order than they began")
            for _ in chosen:
                self.loops.pop()
                end_p.bind()


@struct(frozen=True)
class Part:
    """Blocks of one size along a range: ``size`` is None for single positions."""

    name: str
    lo: int
    hi: int
    step: int
    size: int | None

    def index(self, axis: int) -> Block | Position:
        start = Position(0, ((axis, 1),))
        return start if self.size is None else Block(start, self.size)


def parts_of(what: str, name: str, spec: Any) -> list[Part]:
    """``n``, ``(n, block)`` or ``(lo, hi, block)`` as whole blocks and what is left."""
    whole = spec if isinstance(spec, tuple) else (spec,)
    if not (1 <= len(whole) <= 3 and all(_is_size(n) for n in whole)):
        raise TypeError(
            f"{what}: a range is n, (n, block) or (lo, hi, block) of whole numbers; got {spec!r}"
        )
    lo, hi, block = 0, int(whole[0]), None
    if len(whole) == 2:
        block = int(whole[1])
    elif len(whole) == 3:
        lo, hi, block = map(int, whole)
    if lo < 0 or hi < lo or (block is not None and block < 1):
        raise ValueError(
            f"{what}: a range goes from 0 or more upwards, in blocks of 1 or more; got {spec!r}"
        )
    if block is None:
        return [Part(name, lo, hi, 1, None)]
    end = lo + (hi - lo) // block * block
    found = []
    if lo < end or lo == hi:
        found.append(Part(name, lo, end, block, block))
    if end < hi:
        found.append(Part(name, end, hi, hi - end, hi - end))
    return found


def _is_size(n: Any) -> bool:
    return isinstance(n, int | np.integer) and not isinstance(n, bool)


class Ref:
    """An array of a kernel: an argument, an output, or a block of memory of each program.

    ``ref[index]`` reads a tile, ``ref[index] = tile`` writes one. An index has, for each dimension,
    a block, a position, a number, or a slice of known numbers; ``...`` stands for all of the
    dimensions it leaves out.
    """

    __array_ufunc__ = None

    def __init__(
        self, owner: Building, number: int, role: str, name: str, shape: tuple[int, ...], dtype: Any
    ) -> None:
        self._owner = owner
        self._number = number
        self._role = role
        self._name = name
        self._written = False
        #: The loop that a local block belongs to.
        self._inside = owner.loops[-1] if owner.loops else None
        self.shape = shape
        self.dtype = dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __repr__(self) -> str:
        dims = ",".join(map(str, self.shape))
        named = "" if self._name.startswith(self._role) else f"{self._role} "
        return f"<{named}{self._name}: {dtypes.short_name(self.dtype)}[{dims}]>"

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError(f"{self!r} has no dimensions")
        return self.shape[0]

    def __iter__(self) -> Any:
        raise TypeError(f"{self!r} cannot be iterated over: loop over tiles.steps(…) and index it")

    def __getitem__(self, key: Any) -> Tracer:
        owner = self._owner
        owner.ready(f"{self._name} is read")
        index = self._index(key)
        if self._role == "output":
            raise owner.error(
                f"{self._name} is read, and holds nothing yet: keep what is needed "
                "again in a block of tiles.zeros or tiles.full"
            )
        self._in_reach()
        return read_p.bind(ref=self._number, dtype=self.dtype, index=index)

    def __setitem__(self, key: Any, value: Any) -> None:
        owner = self._owner
        owner.ready(f"{self._name} is written")
        if self._role == "input":
            raise owner.error(
                f"the argument {self._name} is written: results go to arrays of tiles.output"
            )
        self._in_reach()
        index = self._index(key)
        if isinstance(value, Ref):
            value = value[...]
        self._written = True
        write_p.bind(self._fitted(value, sizes(index)), ref=self._number, index=index)

    def __iadd__(self, other: Any) -> Ref:
        return self._changed(operator.add, other)

    def __isub__(self, other: Any) -> Ref:
        return self._changed(operator.sub, other)

    def __imul__(self, other: Any) -> Ref:
        return self._changed(operator.mul, other)

    def _changed(self, by: Callable[[Any, Any], Any], other: Any) -> Ref:
        self[...] = by(self[...], other[...] if isinstance(other, Ref) else other)
        return self

    def _in_reach(self) -> None:
        owner = self._owner
        if self._role == "local" and self._inside not in (None, *owner.loops):
            raise owner.error(
                f"the block {self._name} belongs to a loop that has ended: make it before the loop"
            )

    def _fitted(self, value: Any, shape: tuple[int, ...]) -> Any:
        owner = self._owner
        try:
            aval = aval_of(value)
        except TypeError:
            raise owner.error(
                f"{self._name} is given {value!r} of type {type(value).__name__}; tiles are arrays "
                "or numbers"
            ) from None
        if aval.dtype != self.dtype:
            if not aval.weak_type and dtypes.promote_types(aval.dtype, self.dtype) != self.dtype:
                raise owner.error(
                    f"a tile of {aval.dtype} is written to {self._name}, which is {self.dtype}: "
                    f"convert it by .astype({str(self.dtype)!r})"
                )
            value = convert_element_type(value, self.dtype)
        if aval.shape == shape:
            return value
        lacks = len(shape) - len(aval.shape)
        fits = lacks >= 0 and all(
            n in (1, m) for n, m in zip(aval.shape, shape[lacks:], strict=True)
        )
        if not fits:
            raise owner.error(
                f"a tile of shape {aval.shape} is written to {self._name} where the index has the "
                f"shape {shape}"
            )
        return broadcast_in_dim(value, shape, tuple(range(lacks, len(shape))))

    def _index(self, key: Any) -> Index:
        keys = list(key) if isinstance(key, tuple) else [key]
        if sum(k is Ellipsis for k in keys) > 1:
            raise self._owner.error(f"the index of {self._name} has several '...'")
        if Ellipsis in [k for k in keys if k is Ellipsis]:
            place = next(n for n, k in enumerate(keys) if k is Ellipsis)
            keys[place : place + 1] = [slice(None)] * (self.ndim - len(keys) + 1)
        if len(keys) > self.ndim:
            raise self._owner.error(
                f"{len(keys)} indices for {self._name}, which has {self.ndim} dimensions"
            )
        keys += [slice(None)] * (self.ndim - len(keys))
        return tuple(self._dim(k, n) for k, n in zip(keys, self.shape, strict=True))

    def _dim(self, key: Any, extent: int) -> Dim:
        if isinstance(key, np.integer):
            key = int(key)
        if isinstance(key, Block):
            return key.start.const, key.start.terms, key.size
        if isinstance(key, int) and not isinstance(key, bool) and key < 0:
            key += extent
        position = position_of(key)
        if position is not None:
            return position.const, position.terms, None
        if isinstance(key, slice):
            ends = (key.start, key.stop, key.step)
            if all(e is None or _is_size(e) for e in ends) and key.step in (None, 1):
                start, stop, _ = key.indices(extent)
                return start, (), max(0, stop - start)
        if isinstance(key, Tracer):
            raise self._owner.error(
                f"{self._name} is indexed with values of a tile, {aval_of(key)}: kernels do not "
                "gather or scatter. Do that outside of the kernel, or choose by weft.numpy.where"
            )
        raise self._owner.error(
            f"{key!r} is no index of {self._name}: for each dimension there is a block or position "
            "of tiles.grid or tiles.steps, a number, or a slice of numbers with step 1 "
            "(tiles.block(start, size) starts at a position)"
        )


def _refuse(name: str) -> Any:
    def refuse(self: Ref, *others: Any) -> Any:
        raise TypeError(
            f"{self!r} is memory, no tile: {self._name}[index] or {self._name}[...] reads one"
            f"{at(None)}"
        )

    refuse.__name__ = name
    return refuse


for _name in ("neg", "abs", "lt", "gt", "le", "ge"):
    setattr(Ref, f"__{_name}__", _refuse(f"__{_name}__"))
for _name in ("add", "sub", "mul", "truediv", "matmul", "pow", "floordiv", "mod"):
    setattr(Ref, f"__{_name}__", _refuse(f"__{_name}__"))
    setattr(Ref, f"__r{_name}__", _refuse(f"__r{_name}__"))


def shape_of(what: str, shape: Any) -> tuple[int, ...]:
    """A shape of whole numbers and blocks, which stand for their sizes."""
    dims = shape if isinstance(shape, tuple | list) else (shape,)
    found = []
    for d in dims:
        if isinstance(d, Block):
            d = d.size
        if not _is_size(d) or d < 0:
            raise TypeError(f"{what}: a shape is made of whole numbers and blocks; got {shape!r}")
        found.append(int(d))
    return tuple(found)
