"""What a C-like language has to spell for `weft.codegen.clike` to write kernels in it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.kernels.ir import Buffer
from weft.structs import struct


@struct(frozen=True)
class Frame:
    """Everything about a kernel that a dialect needs to write its declaration."""

    symbol: str
    names: Mapping[Buffer, str]
    arguments: tuple[Buffer, ...]
    private: tuple[Buffer, ...]
    shared: tuple[tuple[str, np.dtype, int], ...]
    dynamic: int
    grid: tuple[int, int, int]
    block: int
    wide: bool
    lines: Sequence[str]


class Dialect(ABC):
    """How one language spells what every C-like language has."""

    language: ClassVar[str]
    #: Words that no identifier of ours may be.
    reserved: ClassVar[frozenset[str]]
    max_block: ClassVar[int] = 1024
    #: Memory shared by a block: how much there may be, and how much of it may be declared.
    shared_bytes: ClassVar[int] = 48 * 1024
    static_bytes: ClassVar[int] = 48 * 1024

    @abstractmethod
    def type_of(self, dtype: np.dtype) -> str:
        """Type of a scalar; `TypeError` when the language has none."""

    @abstractmethod
    def literal(self, value: Any, dtype: np.dtype) -> str:
        """A constant."""

    def inlines(self, value: Any, dtype: np.dtype) -> bool:
        """Whether a constant stands in expressions as a literal; otherwise it gets a name."""
        return dtype.kind != "f" or bool(np.isfinite(value))

    @abstractmethod
    def operation(self, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype) -> str:
        """``op`` on named scalars or literals; ``operand`` is the dtype of what is operated on."""

    @abstractmethod
    def index_value(self, expr: str, dtype: np.dtype) -> str:
        """An index expression converted to ``dtype``."""

    @abstractmethod
    def clamp(self, name: str, dtype: np.dtype, lo: int, hi: int) -> str:
        """A scalar clamped to ``[lo, hi]``, as an index."""

    @abstractmethod
    def define(self, name: str, dtype: np.dtype, value: str, mutable: bool = False) -> str:
        """A local variable."""

    @abstractmethod
    def load(self, name: str, dtype: np.dtype, place: str, condition: str, space: str) -> list[str]:
        """Define ``name`` as the element at ``place``, or zero unless ``condition`` (if any)."""

    def stored(self, value: str, dtype: np.dtype, space: str) -> str:
        """A scalar as memory holds it."""
        del dtype, space
        return value

    @abstractmethod
    def loop(self, name: str, lo: str, hi: str, step: str, wide: bool) -> str:
        """The opening of a counting loop."""

    @abstractmethod
    def halving_loop(self, name: str, start: int) -> str:
        """The opening of a loop over ``start, start/2, …, 1``."""

    def before_unrolled(self) -> list[str]:
        """What asks the compiler to unroll the loop that follows."""
        return []

    @abstractmethod
    def grid_stride(self, dimension: int, lo: int, step: int, wide: bool) -> tuple[str, str]:
        """Where this block starts in a parallel loop, and its step."""

    @abstractmethod
    def sync(self, spaces: Iterable[str]) -> list[str]:
        """All threads of the block meet, and see each other's writes to these kinds of memory."""

    @abstractmethod
    def function(self, frame: Frame) -> str:
        """The whole text around the lines of the body."""
