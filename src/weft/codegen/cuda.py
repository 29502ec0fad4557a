"""Kernels to CUDA C++.

Each kernel is one ``extern "C" __global__`` function of its buffers; see `weft.codegen.clike` for
how loops and tiles map to blocks and threads. The text needs no header and compiles with nvcc or
NVRTC; pass `COMPILE_OPTIONS`, or the compiler contracts ``a * b + c`` where the kernel asked for
two roundings. A kernel whose blocks share more than 48 KiB says in `KernelText.dynamic` how much a
launch has to ask for.

Float32 functions are CUDA's own (``expf``, ``tanhf``…, within 2 ulp except as its guide states),
never the fast intrinsics.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.codegen import c_halves, c_scalar
from weft.codegen.clike import ALIGNMENT, KernelText, aligned, emit
from weft.codegen.dialect import Dialect, Frame
from weft.kernels.ir import Kernel

COMPILE_OPTIONS = ("--std=c++17", "--fmad=false")

_OWN = {
    "rsqrt.float32": "rsqrtf({0})",
    "rsqrt.float64": "rsqrt({0})",
    "erf_inv.float32": "erfinvf({0})",
    "erf_inv.float64": "erfinv({0})",
    **{f"population_count.{t}": "({T})__popc(({u}){0})" for t in ("int8", "int16", "int32")},
    **{f"population_count.{t}": "({T})__popc({0})" for t in ("uint8", "uint16", "uint32")},
    **{f"population_count.{t}": "({T})__popcll({0})" for t in ("int64", "uint64")},
    **{f"clz.{t}": "({T})(__clz(({u}){0}) - (32 - {bits}))" for t in c_scalar.TYPES if "int" in t},
    **{f"clz.{t}": "({T})__clzll({0})" for t in ("int64", "uint64")},
}
_BITS_OF = {
    ("float32", "int32"): "__float_as_int({0})",
    ("float32", "uint32"): "__float_as_uint({0})",
    ("int32", "float32"): "__int_as_float({0})",
    ("uint32", "float32"): "__uint_as_float({0})",
    ("float64", "int64"): "__double_as_longlong({0})",
    ("float64", "uint64"): "(unsigned long long)__double_as_longlong({0})",
    ("int64", "float64"): "__longlong_as_double({0})",
    ("uint64", "float64"): "__longlong_as_double((long long){0})",
}
_HALVES = {"float16": "unsigned short", "bfloat16": "unsigned short"}
_WORDS = c_scalar.Words("CUDA", {**c_scalar.TYPES, **_HALVES}, _OWN)
_DEFINITIONS = c_halves.definitions(
    "__device__ __forceinline__", "__uint_as_float", "__float_as_uint", "rintf"
)
_AXES = "xyz"


def emit_kernel(kernel: Kernel) -> KernelText:
    """CUDA C++ of a scheduled kernel.

    Raises ``TypeError`` for dtypes and operations that it has no code for, and ``ValueError`` for
    kernels that do not fit a block (see `weft.codegen.clike`).
    """
    return emit(kernel, _Cuda())


class _Cuda(Dialect):
    language: ClassVar[str] = "CUDA"
    reserved: ClassVar[frozenset[str]] = c_scalar.KEYWORDS
    #: Of compute capability 9.0; what is not declared is for a launch to ask for.
    shared_bytes: ClassVar[int] = 227 * 1024

    def type_of(self, dtype: np.dtype) -> str:
        return c_scalar.type_of(_WORDS, dtype)

    def literal(self, value: Any, dtype: np.dtype) -> str:
        if c_halves.is_half(dtype):
            return c_scalar.literal(value, dtype)
        if dtype.kind == "f" and not np.isfinite(value):
            function = "__int_as_float" if dtype.itemsize == 4 else "__longlong_as_double"
            bits = int(dtype.type(value).view(f"u{dtype.itemsize}"))
            return f"{function}(0x{bits:0{2 * dtype.itemsize}x})"
        return c_scalar.literal(value, dtype)

    def operation(self, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype) -> str:
        self.type_of(result)
        if op == "bitcast":
            same = f"({self.type_of(result)}){{0}}"
            return _BITS_OF.get((operand.name, result.name), same).format(*args)
        return c_scalar.operation(_WORDS, op, args, operand, result)

    def index_value(self, expr: str, dtype: np.dtype) -> str:
        if c_halves.is_half(dtype):
            return c_halves.narrowed(f"(float)({expr})", dtype)
        return f"({self.type_of(dtype)})({expr})"

    def clamp(self, name: str, dtype: np.dtype, lo: int, hi: int) -> str:
        return c_scalar.clamp(name, dtype, lo, hi, "int" if hi < 2**31 else "long long")

    def define(self, name: str, dtype: np.dtype, value: str, mutable: bool = False) -> str:
        return f"{'' if mutable else 'const '}{self.type_of(dtype)} {name} = {value};"

    def load(self, name: str, dtype: np.dtype, place: str, condition: str, space: str) -> list[str]:
        del space
        zero = self.literal(dtype.type(0), dtype)
        return [self.define(name, dtype, f"{condition} ? {place} : {zero}" if condition else place)]

    def loop(self, name: str, lo: str, hi: str, step: str, wide: bool) -> str:
        kind = "long long" if wide else "int"
        return f"for ({kind} {name} = {lo}; {name} < {hi}; {name} += {step})"

    def halving_loop(self, name: str, start: int) -> str:
        return f"for (int {name} = {start}; {name} > 0; {name} /= 2)"

    def before_unrolled(self) -> list[str]:
        return ["#pragma unroll"]

    def grid_stride(self, dimension: int, lo: int, step: int, wide: bool) -> tuple[str, str]:
        d, kind = _AXES[dimension], "long long" if wide else "int"
        by = "" if step == 1 else f" * {step}"
        start = "" if lo == 0 else f"{lo} + "
        return f"{start}({kind})blockIdx.{d}{by}", f"({kind})gridDim.{d}{by}"

    def sync(self, spaces: Iterable[str]) -> list[str]:
        del spaces  # the barrier orders every kind of memory
        return ["__syncthreads();"]

    def shared(self, frame: Frame) -> list[str]:
        """The arrays of a block: declared, or parts of what the launch asks for."""
        if not frame.dynamic:
            return [f"  __shared__ {self.type_of(t)} {name}[{n}];" for name, t, n in frame.shared]
        text = [f"  extern __shared__ __align__({ALIGNMENT}) char memory[];"]
        start = 0
        for name, dtype, count in frame.shared:
            kind = self.type_of(dtype)
            text.append(f"  {kind}* const {name} = ({kind}*)(memory + {start});")
            start += aligned(dtype.itemsize * count)
        return text

    def function(self, frame: Frame) -> str:
        params = [
            f"{'const ' if b.role == 'input' else ''}{self.type_of(b.dtype)}* {frame.names[b]}"
            for b in frame.arguments
        ]
        text = [
            f"// grid {frame.grid}, {frame.block} threads",
            f'extern "C" __global__ void __launch_bounds__({frame.block})',
            f"{frame.symbol}({', '.join(params)})",
            "{",
        ]
        text += self.shared(frame)
        text += [
            f"  {self.type_of(b.dtype)} {frame.names[b]}[{max(1, b.extent)}];"
            for b in frame.private
        ]
        if frame.block > 1:
            kind = "long long" if frame.wide else "int"
            text.append(f"  const {kind} lane = threadIdx.x;")
        found = "\n".join([*text, *frame.lines, "}"]) + "\n"
        return "".join(d for d in _DEFINITIONS if _calls(d, found)) + found


def _calls(definitions: str, text: str) -> bool:
    return any(name in text for name in re.findall(r"weft_\w+", definitions))
