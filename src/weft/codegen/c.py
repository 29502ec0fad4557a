"""Kernels to portable C99: one thread, every tile unrolled, ready for any C compiler.

It is the reading of `weft.codegen.clike` that any machine can compile and run. Compile with
``-ffp-contract=off`` and link the mathematics library; the text includes the standard headers it
needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.codegen import c_scalar
from weft.codegen.c_functions import erf_inv
from weft.codegen.clike import KernelText, emit
from weft.codegen.dialect import Dialect, Frame
from weft.kernels.ir import Kernel

HEADER = f"""\
#include <math.h>
#include <stdbool.h>
#include <string.h>

{erf_inv("f")}"""


def emit_kernel(kernel: Kernel) -> KernelText:
    """C99 of a kernel, without `HEADER`; lanes become unrolled like every other tile axis."""
    return emit(kernel.evolve(lanes=frozenset()), _C())


def literal(value: Any, dtype: np.dtype) -> str:
    """A constant in C."""
    return _C().literal(value, dtype)


_WORDS = c_scalar.Words(
    "C", own={f"erf_inv.float{n}": f"weft_erf_inv_f{n}({{0}})" for n in (32, 64)}
)


class _C(Dialect):
    language: ClassVar[str] = "C"
    reserved: ClassVar[frozenset[str]] = c_scalar.KEYWORDS
    max_block: ClassVar[int] = 1
    shared_bytes: ClassVar[int] = 0

    def type_of(self, dtype: np.dtype) -> str:
        return c_scalar.type_of(_WORDS, dtype)

    def literal(self, value: Any, dtype: np.dtype) -> str:
        if dtype.kind == "f" and not np.isfinite(value):
            name = "NAN" if np.isnan(value) else "INFINITY"
            return f"(-{name})" if value < 0 else name
        return c_scalar.literal(value, dtype)

    def operation(self, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype) -> str:
        kind = self.type_of(result)
        if op == "bitcast":
            source = self.type_of(operand)
            return f"((union {{ {source} from; {kind} to; }}){{ .from = {args[0]} }}).to"
        return c_scalar.operation(_WORDS, op, args, operand, result)

    def index_value(self, expr: str, dtype: np.dtype) -> str:
        return f"({self.type_of(dtype)})({expr})"

    def clamp(self, name: str, dtype: np.dtype, lo: int, hi: int) -> str:
        return c_scalar.clamp(name, dtype, lo, hi, "long long")

    def define(self, name: str, dtype: np.dtype, value: str, mutable: bool = False) -> str:
        return f"{'' if mutable else 'const '}{self.type_of(dtype)} {name} = {value};"

    def load(self, name: str, dtype: np.dtype, place: str, condition: str, space: str) -> list[str]:
        del space
        zero = self.literal(dtype.type(0), dtype)
        return [self.define(name, dtype, f"{condition} ? {place} : {zero}" if condition else place)]

    def loop(self, name: str, lo: str, hi: str, step: str, wide: bool) -> str:
        del wide
        return f"for (long long {name} = {lo}; {name} < {hi}; {name} += {step})"

    def halving_loop(self, name: str, start: int) -> str:
        raise TypeError("C has no threads to fold across")

    def grid_stride(self, dimension: int, lo: int, step: int, wide: bool) -> tuple[str, str]:
        del dimension, wide
        return str(lo), str(step)

    def sync(self, spaces: Iterable[str]) -> list[str]:
        del spaces
        return []

    def function(self, frame: Frame) -> str:
        params = [
            f"{'const ' if b.role == 'input' else ''}{self.type_of(b.dtype)} *{frame.names[b]}"
            for b in frame.arguments
        ]
        arrays = [
            f"  {self.type_of(b.dtype)} {frame.names[b]}[{max(1, b.extent)}];"
            for b in frame.private
        ]
        opening = f"void {frame.symbol}({', '.join(params)})"
        return "\n".join([opening, "{", *arrays, *frame.lines, "}"]) + "\n"
