"""Kernels to OpenCL C.

Each kernel is one ``__kernel`` function of its buffers; see `weft.codegen.clike` for how loops and
tiles map to work-groups and work-items. The text is complete with `PREAMBLE`, which asks for no
contraction of ``a * b + c`` where the kernel wants two roundings, and has what OpenCL lacks.
Booleans are bytes in memory, since arguments cannot be arrays of ``bool``.

Functions are OpenCL's own, within the errors that its specification allows (exp 3 ulp, sin 4, pow
16); division and square root are correctly rounded if the program is built with `BUILD_OPTIONS`,
which needs a device that can.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.codegen import c_halves, c_scalar
from weft.codegen.c_functions import erf_inv
from weft.codegen.clike import KernelText, emit
from weft.codegen.clike_vectors import VectorDialect, emit_vectors
from weft.codegen.dialect import Frame
from weft.kernels.ir import Kernel

_HALVES = c_halves.definitions("static inline", "as_float", "as_uint", "rint")
PREAMBLE = f"""\
#pragma OPENCL FP_CONTRACT OFF
{_HALVES[0]}{erf_inv("", double=False)}#ifdef cl_khr_fp64
{_HALVES[1]}{erf_inv("").removeprefix(erf_inv("", double=False))}#endif
"""
#: For devices that say they can round so.
BUILD_OPTIONS = "-cl-fp32-correctly-rounded-divide-sqrt"

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
    "float16": "ushort",
    "bfloat16": "ushort",
    "float32": "float",
    "float64": "double",
}
_INTEGERS = [t for t in _TYPES if "int" in t]
_WORDS = c_scalar.Words(
    "OpenCL",
    _TYPES,
    {
        "erf_inv.float32": "weft_erf_inv_f32({0})",
        "erf_inv.float64": "weft_erf_inv_f64({0})",
        "rsqrt.float32": "rsqrt({0})",
        "rsqrt.float64": "rsqrt({0})",
        **{f"population_count.{t}": "({T})popcount({0})" for t in _INTEGERS},
        **{f"clz.{t}": "({T})clz({0})" for t in _INTEGERS},
    },
    suffix="",
)

#: Words of OpenCL C beside those of C, and functions that a local must not hide.
_KEYWORDS = frozenset(
    """
    kernel __kernel global __global local __local constant __constant private __private generic
    read_only write_only read_write uchar ushort uint ulong half quad complex imaginary image
    size_t ptrdiff_t intptr_t uintptr_t event_t sampler_t popcount clz barrier select clamp mix
    step sign min max abs dot cross length distance normalize any all isnan isinf isfinite
    get_group_id get_local_id get_num_groups get_global_id pipe uniform
    """.split()  # noqa: SIM905
)


def emit_kernel(kernel: Kernel) -> KernelText:
    """OpenCL C of a scheduled kernel, without `PREAMBLE`.

    Raises ``TypeError`` for dtypes and operations that it has no code for, and ``ValueError`` for
    kernels that do not fit a work-group (see `weft.codegen.clike`).
    """
    return emit_vectors(kernel, _OpenCL()) if kernel.vectors else emit(kernel, _OpenCL())


class _OpenCL(VectorDialect):
    language: ClassVar[str] = "OpenCL"
    reserved: ClassVar[frozenset[str]] = c_scalar.KEYWORDS | _KEYWORDS

    vectors: ClassVar[frozenset[np.dtype]] = frozenset(map(np.dtype, ("f4", "f8", "i4")))

    def type_of(self, dtype: np.dtype) -> str:
        return c_scalar.type_of(_WORDS, dtype)

    def memory_type(self, dtype: np.dtype) -> str:
        """The type of an element in memory."""
        return "uchar" if dtype == np.bool_ else self.type_of(dtype)

    def literal(self, value: Any, dtype: np.dtype) -> str:
        kind = self.type_of(dtype)
        if c_halves.is_half(dtype):
            return c_scalar.literal(value, dtype)
        if dtype.kind == "f" and not np.isfinite(value):
            bits = int(dtype.type(value).view(f"u{dtype.itemsize}"))
            return f"as_{kind}(0x{bits:0{2 * dtype.itemsize}x}{'u' if kind == 'float' else 'ul'})"
        if dtype.kind in "iu" and dtype.itemsize == 8:
            return c_scalar.literal(value, dtype).replace("LL", "L")
        return c_scalar.literal(value, dtype)

    def operation(self, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype) -> str:
        kind = self.type_of(result)
        if op == "bitcast":
            return args[0] if operand == result else f"as_{kind}({args[0]})"
        return c_scalar.operation(_WORDS, op, args, operand, result)

    def index_value(self, expr: str, dtype: np.dtype) -> str:
        if c_halves.is_half(dtype):
            return c_halves.narrowed(f"(float)({expr})", dtype)
        return f"({self.type_of(dtype)})({expr})"

    def clamp(self, name: str, dtype: np.dtype, lo: int, hi: int) -> str:
        index = "int" if hi < 2**31 else "long"
        return c_scalar.clamp(name, dtype, lo, hi, index).replace("ULL", "UL")

    def define(self, name: str, dtype: np.dtype, value: str, mutable: bool = False) -> str:
        return f"{'' if mutable else 'const '}{self.type_of(dtype)} {name} = {value};"

    def load(self, name: str, dtype: np.dtype, place: str, condition: str, space: str) -> list[str]:
        del space
        value = f"{place} != 0" if dtype == np.bool_ else place
        zero = self.literal(dtype.type(0), dtype)
        return [self.define(name, dtype, f"{condition} ? {value} : {zero}" if condition else value)]

    def stored(self, value: str, dtype: np.dtype, space: str) -> str:
        del space
        return f"(uchar)({value})" if dtype == np.bool_ else value

    def vector(self, dtype: np.dtype, width: int, parts: Sequence[str]) -> str:
        return f"({self.type_of(dtype)}{width})({', '.join(parts)})"

    def define_vector(
        self, name: str, dtype: np.dtype, width: int, value: str, mutable: bool = False
    ) -> str:
        return f"{'' if mutable else 'const '}{self.type_of(dtype)}{width} {name} = {value};"

    def element(self, vector: str, number: int) -> str:
        return f"{vector}.s{number:x}"

    def half(self, vector: str, upper: bool) -> str:
        return f"{vector}.{'hi' if upper else 'lo'}"

    def load_vector(self, width: int, place: str) -> str:
        return f"vload{width}(0, &{place})"

    def store_vector(self, width: int, place: str, value: str) -> str:
        return f"vstore{width}({value}, 0, &{place});"

    def loop(self, name: str, lo: str, hi: str, step: str, wide: bool) -> str:
        kind = "long" if wide else "int"
        return f"for ({kind} {name} = {lo}; {name} < {hi}; {name} += {step})"

    def halving_loop(self, name: str, start: int) -> str:
        return f"for (int {name} = {start}; {name} > 0; {name} /= 2)"

    def before_unrolled(self) -> list[str]:
        return ["#pragma unroll"]

    def grid_stride(self, dimension: int, lo: int, step: int, wide: bool) -> tuple[str, str]:
        kind = "long" if wide else "int"
        by = "" if step == 1 else f" * {step}"
        start = "" if lo == 0 else f"{lo} + "
        return (
            f"{start}({kind})get_group_id({dimension}){by}",
            f"({kind})get_num_groups({dimension}){by}",
        )

    def sync(self, spaces: Iterable[str]) -> list[str]:
        fences = {"global": "CLK_GLOBAL_MEM_FENCE", "shared": "CLK_LOCAL_MEM_FENCE"}
        return [f"barrier({' | '.join(fences[s] for s in spaces)});"]

    def function(self, frame: Frame) -> str:
        params = [
            f"__global {'const ' if b.role == 'input' else ''}{self.memory_type(b.dtype)} *"
            f"{frame.names[b]}"
            for b in frame.arguments
        ]
        text = [
            f"// {frame.grid} work-groups of {frame.block} work-items",
            f"__kernel __attribute__((reqd_work_group_size({frame.block}, 1, 1)))",
            f"void {frame.symbol}({', '.join(params)})",
            "{",
        ]
        text += [f"  __local {self.memory_type(t)} {name}[{n}];" for name, t, n in frame.shared]
        text += [
            f"  {self.memory_type(b.dtype)} {frame.names[b]}[{max(1, b.extent)}];"
            for b in frame.private
        ]
        if frame.block > 1:
            kind = "long" if frame.wide else "int"
            text.append(f"  const {kind} lane = get_local_id(0);")
        return "\n".join([*text, *frame.lines, "}"]) + "\n"
