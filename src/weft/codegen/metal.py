"""Kernels to the Metal Shading Language (C++14 for Apple's GPUs), as text.

Each kernel is one ``[[kernel]]`` function of its buffers, in the order of `KernelText.arguments`,
bound to the indices from 0 on; see `weft.codegen.clike` for how loops and tiles map to threadgroups
and threads. `source` makes a complete file of several. It has to be compiled without fast math
(``-fno-fast-math``), and asks for no contraction of ``a * b + c`` itself.

There is no float64. Functions are Metal's own within the errors that its specification allows (exp
4 ulp, sin 4, pow 16), those that it lacks are in `weft.codegen.metal_functions`. Nothing on a Linux
machine compiles this language: the tests run the text as C++, with Metal's words defined in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.codegen import c_scalar
from weft.codegen.clike import KernelText, emit
from weft.codegen.dialect import Dialect, Frame
from weft.codegen.metal_functions import FUNCTIONS, definitions
from weft.kernels.ir import Kernel

PREAMBLE = """\
#include <metal_stdlib>
using namespace metal;
#pragma METAL fp contract(off)
"""

_TYPES = {
    "bool": "bool",
    "int8": "char",
    "int16": "short",
    "int32": "int",
    "int64": "long",
    "uint8": "uchar",
    "uint16": "ushort",
    "uint32": "uint",
    "uint64": "ulong",
    "float32": "float",
}
_INTEGERS = [t for t in _TYPES if "int" in t]
_OWN = {
    **{f"{op}.float32": f"weft_{op}({{0}})" for op in ("log1p", "expm1", "erf", "erfc", "cbrt")},
    "erf_inv.float32": "weft_erf_inv_f32({0})",
    "nextafter.float32": "weft_nextafter({0}, {1})",
    "rsqrt.float32": "rsqrt({0})",
    **{f"population_count.{t}": "popcount({0})" for t in _INTEGERS},
    **{f"clz.{t}": "clz({0})" for t in _INTEGERS},
}
_WORDS = c_scalar.Words("Metal", _TYPES, _OWN, suffix="")
_AXES = "xyz"
_KEYWORDS = frozenset(
    """
    kernel device constant threadgroup thread vertex fragment metal uchar ushort uint ulong half
    size_t ptrdiff_t uint3 as_type popcount clz clamp mix step sign min max abs dot cross length
    distance normalize select any all isnan isinf isfinite fmin fmax copysign threadgroup_barrier
    mem_flags texture sampler group groups thread_index
    """.split()  # noqa: SIM905
)


def emit_kernel(kernel: Kernel) -> KernelText:
    """Metal's text of a scheduled kernel, without `PREAMBLE` and definitions.

    Raises ``TypeError`` for dtypes and operations that it has no code for, and ``ValueError`` for
    kernels that do not fit a threadgroup (see `weft.codegen.clike`).
    """
    return emit(kernel, _Metal())


def source(kernels: Sequence[KernelText]) -> str:
    """A file with these kernels, which have different symbols."""
    text = "\n".join(kernel.text for kernel in kernels)
    return "\n".join([PREAMBLE, definitions(text), text])


class _Metal(Dialect):
    language: ClassVar[str] = "Metal"
    reserved: ClassVar[frozenset[str]] = c_scalar.KEYWORDS | _KEYWORDS | frozenset(FUNCTIONS)
    #: What every family of Apple's GPUs has.
    shared_bytes: ClassVar[int] = 32 * 1024
    static_bytes: ClassVar[int] = 32 * 1024

    def type_of(self, dtype: np.dtype) -> str:
        return c_scalar.type_of(_WORDS, dtype)

    def literal(self, value: Any, dtype: np.dtype) -> str:
        if dtype.kind == "f" and not np.isfinite(value):
            self.type_of(dtype)
            return f"as_type<float>(0x{int(dtype.type(value).view(np.uint32)):08x}u)"
        if dtype.kind in "iu" and dtype.itemsize == 8:
            return c_scalar.literal(value, dtype).replace("LL", "L")
        return c_scalar.literal(value, dtype)

    def operation(self, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype) -> str:
        kind = self.type_of(result)
        if op == "bitcast":
            return args[0] if operand == result else f"as_type<{kind}>({args[0]})"
        return c_scalar.operation(_WORDS, op, args, operand, result)

    def index_value(self, expr: str, dtype: np.dtype) -> str:
        return f"({self.type_of(dtype)})({expr})"

    def clamp(self, name: str, dtype: np.dtype, lo: int, hi: int) -> str:
        index = "int" if hi < 2**31 else "long"
        return c_scalar.clamp(name, dtype, lo, hi, index).replace("ULL", "UL")

    def define(self, name: str, dtype: np.dtype, value: str, mutable: bool = False) -> str:
        return f"{'' if mutable else 'const '}{self.type_of(dtype)} {name} = {value};"

    def load(self, name: str, dtype: np.dtype, place: str, condition: str, space: str) -> list[str]:
        del space
        zero = self.literal(dtype.type(0), dtype)
        return [self.define(name, dtype, f"{condition} ? {place} : {zero}" if condition else place)]

    def loop(self, name: str, lo: str, hi: str, step: str, wide: bool) -> str:
        kind = "long" if wide else "int"
        return f"for ({kind} {name} = {lo}; {name} < {hi}; {name} += {step})"

    def halving_loop(self, name: str, start: int) -> str:
        return f"for (int {name} = {start}; {name} > 0; {name} /= 2)"

    def before_unrolled(self) -> list[str]:
        return ["#pragma unroll"]

    def grid_stride(self, dimension: int, lo: int, step: int, wide: bool) -> tuple[str, str]:
        d, kind = _AXES[dimension], "long" if wide else "int"
        by = "" if step == 1 else f" * {step}"
        start = "" if lo == 0 else f"{lo} + "
        return f"{start}({kind})group.{d}{by}", f"({kind})groups.{d}{by}"

    def sync(self, spaces: Iterable[str]) -> list[str]:
        flags = {"global": "mem_flags::mem_device", "shared": "mem_flags::mem_threadgroup"}
        return [f"threadgroup_barrier({' | '.join(flags[s] for s in spaces)});"]

    def function(self, frame: Frame) -> str:
        params = [
            f"{'const ' if b.role == 'input' else ''}device {self.type_of(b.dtype)}* "
            f"{frame.names[b]} [[buffer({n})]]"
            for n, b in enumerate(frame.arguments)
        ]
        params += [
            "uint3 group [[threadgroup_position_in_grid]]",
            "uint3 groups [[threadgroups_per_grid]]",
            "uint thread_index [[thread_index_in_threadgroup]]",
        ]
        text = [
            f"// {frame.grid} threadgroups of {frame.block} threads",
            f"[[kernel, max_total_threads_per_threadgroup({frame.block})]]",
            f"void {frame.symbol}(",
            ",\n".join(f"    {p}" for p in params) + ")",
            "{",
        ]
        text += [f"  threadgroup {self.type_of(t)} {name}[{n}];" for name, t, n in frame.shared]
        text += [
            f"  {self.type_of(b.dtype)} {frame.names[b]}[{max(1, b.extent)}];"
            for b in frame.private
        ]
        if frame.block > 1:
            text.append(f"  const {'long' if frame.wide else 'int'} lane = thread_index;")
        return "\n".join([*text, *frame.lines, "}"]) + "\n"
