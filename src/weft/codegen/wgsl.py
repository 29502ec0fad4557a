"""Kernels to WGSL, the shading language of WebGPU.

Each kernel is one compute shader; buffer ``n`` is binding ``n`` of group 0. See
`weft.codegen.clike` for how loops and tiles map to workgroups and invocations. WGSL has 32-bit
scalars only: a kernel with float64, 64-bit or narrow integers is an error. Storage buffers hold a
bool as one ``u32``.

A WGSL compiler may assume that there are no infinities and NaNs: it refuses them in constant
expressions and may drop comparisons of a value with itself. So infinities are made from their bits
at run time, and NaN is recognised by its bits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.codegen.clike import KernelText, emit
from weft.codegen.dialect import Dialect, Frame
from weft.codegen.wgsl_functions import FUNCTIONS, definitions
from weft.kernels.ir import Buffer, Kernel

TYPES = {"bool": "bool", "int32": "i32", "uint32": "u32", "float32": "f32"}

#: Keywords, words kept for later versions, and names that the text itself uses.
RESERVED = frozenset(
    """
    alias break case const const_assert continue continuing default diagnostic discard else
    enable false fn for if let loop override requires return struct switch true var while
    NULL Self abstract active alignas alignof as asm asm_fragment async attribute auto await
    become cast catch class co_await co_return co_yield coherent column_major common compile
    compile_fragment concept const_cast consteval constexpr constinit crate debugger decltype
    delete demote demote_to_helper do dynamic_cast enum explicit export extends extern external
    fallthrough filter final finally friend from fxgroup get goto groupshared highp impl
    implements import inline instanceof interface layout lowp macro macro_rules match mediump
    meta mod module move mut mutable namespace new nil noexcept noinline nointerpolation
    non_coherent noncoherent noperspective null nullptr of operator package packoffset partition
    pass patch pixelfragment precise precision premerge priv protected pub public readonly ref
    regardless register reinterpret_cast require resource restrict self set shared sizeof smooth
    snorm static static_assert static_cast std subroutine super target template this
    thread_local throw trait try type typedef typeid typename typeof union unless unorm unsafe
    unsized use using varying virtual volatile wgsl where with writeonly yield
    bool i32 u32 f32 f16 array vec2 vec3 vec4 bitcast select abs acos acosh asin asinh atan
    atan2 atanh ceil clamp cos cosh countLeadingZeros countOneBits exp exp2 floor fma
    inverseSqrt log log2 max min pow round sign sin sinh sqrt tan tanh trunc group groups thread
    """.split()  # noqa: SIM905
)

_COMPARE = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*"}
_BITS = {"and": "&", "or": "|", "xor": "^"}
_FLOAT = {
    **{
        n: f"{n}({{0}})"
        for n in (
            "abs", "floor", "ceil", "exp", "exp2", "log", "log2", "sqrt", "sin", "cos", "tan",
            "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
        )
    },
    "atan2": "atan2({0}, {1})",
    "div": "{0} / {1}",
    "fma": "fma({0}, {1}, {2})",
    "is_finite": "weft_finite({0})",
    "erf": "weft_erf({0})",
    "erf_inv": "weft_erf_inv({0})",
    "expm1": "weft_expm1({0})",
    "log1p": "weft_log1p({0})",
    "log10": "log2({0}) * 0.30102999566f",
    "logistic": "1.0f / (1.0f + exp(-{0}))",
    "max": "select({1}, {0}, {0} > {1} || weft_nan({0}))",
    "min": "select({1}, {0}, {0} < {1} || weft_nan({0}))",
    "neg": "-{0}",
    "pow": "weft_pow({0}, {1})",
    "rem": "{0} % {1}",
    "round_even": "round({0})",
    "round_away": (
        "select({0}, trunc({0} + select(-0.5f, 0.5f, {0} > 0.0f)), abs({0}) < 8388608.0f)"
    ),
    "rsqrt": "inverseSqrt({0})",
    "sign": "select(select({0}, -1.0f, {0} < 0.0f), 1.0f, {0} > 0.0f)",
}  # fmt: skip
_BOOL = {
    "not": "!{0}",
    "max": "{0} || {1}",
    "min": "{0} && {1}",
    "and": "{0} && {1}",
    "or": "{0} || {1}",
    "xor": "{0} != {1}",
}
_INTEGER = {
    "not": "~{0}",
    "max": "max({0}, {1})",
    "min": "min({0}, {1})",
    "floor": "{0}",
    "ceil": "{0}",
    "round_even": "{0}",
    "round_away": "{0}",
    "is_finite": "true",
    "fma": "{0} * {1} + {2}",
    # Division by zero gives the dividend in WGSL, and the remainder is 0.
    "div": "select({0} / {1}, ~{T}(0), {1} == 0)",
    "rem": "select({0} % {1}, {0}, {1} == 0)",
    "shift_left": "select({T}(0), {0} << (u32({1}) & 31u), u32({1}) < 32u)",
    "shift_right_logical": "select({T}(0), {T}(u32({0}) >> (u32({1}) & 31u)), u32({1}) < 32u)",
    "shift_right_arithmetic": "{T}(i32({0}) >> min(u32({1}), 31u))",
    "population_count": "countOneBits({0})",
    "clz": "countLeadingZeros({0})",
}
_SIGNED = {"neg": "-{0}", "abs": "abs({0})", "sign": "sign({0})"}
_UNSIGNED = {"neg": "0u - {0}", "abs": "{0}", "sign": "min({0}, 1u)"}
_AXES = "xyz"


def emit_kernel(kernel: Kernel) -> KernelText:
    """WGSL of a scheduled kernel.

    Raises ``TypeError`` for dtypes and operations that WGSL has not, and ``ValueError`` for kernels
    that do not fit a workgroup (see `weft.codegen.clike`).
    """
    return emit(kernel, _Wgsl())


class _Wgsl(Dialect):
    language: ClassVar[str] = "WGSL"
    reserved: ClassVar[frozenset[str]] = RESERVED | frozenset(FUNCTIONS)
    #: The limits that every WebGPU device has.
    max_block: ClassVar[int] = 256
    shared_bytes: ClassVar[int] = 16384

    def type_of(self, dtype: np.dtype) -> str:
        if dtype.name not in TYPES:
            instead = {"f": "float32", "i": "int32", "u": "uint32"}.get(dtype.kind, "float32")
            raise TypeError(
                f"WGSL has no {dtype.name}: convert to {instead}, or use a device that has it"
            )
        return TYPES[dtype.name]

    def literal(self, value: Any, dtype: np.dtype) -> str:
        self.type_of(dtype)
        if dtype == np.bool_:
            return "true" if value else "false"
        number = dtype.type(value)
        if dtype.kind != "f":
            return f"{number}u" if dtype.kind == "u" else f"i32({number})"
        if not np.isfinite(number):
            return f"weft_bits(0x{int(number.view(np.uint32)):08x}u)"
        return f"{number}f"

    def inlines(self, value: Any, dtype: np.dtype) -> bool:
        """Never: operations on literals are constant expressions, which must not overflow."""
        del value, dtype
        return False

    def operation(self, op: str, args: Sequence[str], operand: np.dtype, result: np.dtype) -> str:
        kind = self.type_of(result)
        if op == "select":
            return f"select({args[2]}, {args[1]}, {args[0]})"
        if op == "cast":
            return self.convert(args[0], operand, result)
        if op == "bitcast":
            return f"bitcast<{kind}>({args[0]})"
        if op in _COMPARE:
            return self.compare(op, args[0], args[1], operand)
        template = _template(op, operand)
        if template is None:
            raise TypeError(f"the WGSL code generator has no {op!r} for dtype {operand.name}")
        return template.format(*args, T=self.type_of(operand))

    def compare(self, op: str, a: str, b: str, operand: np.dtype) -> str:
        if a == b and op in ("eq", "ne") and operand.kind == "f":
            return f"weft_nan({a})" if op == "ne" else f"!weft_nan({a})"
        if operand == np.bool_ and op not in ("eq", "ne"):
            a, b = f"u32({a})", f"u32({b})"
        return f"{a} {_COMPARE[op]} {b}"

    def convert(self, value: str, source: np.dtype, target: np.dtype) -> str:
        """Saturating from float to integer, NaN to 0.

        WGSL's own conversion stops at the last float below the largest integer.
        """
        if source == target:
            return value
        plain = f"{self.type_of(target)}({value})"
        if source.kind != "f" or target.kind not in "iu":
            return plain
        largest = np.iinfo(target).max
        limited = f"select({plain}, {self.literal(largest, target)}, {value} >= {largest + 1}.0f)"
        return f"select({limited}, {self.literal(0, target)}, weft_nan({value}))"

    def index_value(self, expr: str, dtype: np.dtype) -> str:
        return f"{self.type_of(dtype)}({expr})"

    def clamp(self, name: str, dtype: np.dtype, lo: int, hi: int) -> str:
        if dtype == np.uint32:
            return f"i32(clamp({name}, {max(lo, 0)}u, {hi}u))" if hi >= 0 else f"({hi})"
        value = f"i32({name})" if dtype == np.bool_ else name
        return f"clamp({value}, {lo}, {hi})"

    def define(self, name: str, dtype: np.dtype, value: str, mutable: bool = False) -> str:
        return f"{'var' if mutable else 'let'} {name}: {self.type_of(dtype)} = {value};"

    def load(self, name: str, dtype: np.dtype, place: str, condition: str, space: str) -> list[str]:
        if dtype == np.bool_ and space == "global":
            place = f"{place} != 0u"
        if not condition:
            return [self.define(name, dtype, place)]
        # `select` evaluates both sides, and one of them may lie outside the buffer.
        zero = self.literal(dtype.type(0), dtype)
        return [
            self.define(name, dtype, zero, mutable=True),
            f"if ({condition}) {{",
            f"  {name} = {place};",
            "}",
        ]

    def stored(self, value: str, dtype: np.dtype, space: str) -> str:
        return f"u32({value})" if dtype == np.bool_ and space == "global" else value

    def loop(self, name: str, lo: str, hi: str, step: str, wide: bool) -> str:
        if wide:
            raise ValueError("WGSL has no 64-bit indices: a buffer has more than 2**30 elements")
        return f"for (var {name}: i32 = {lo}; {name} < {hi}; {name} += {step})"

    def halving_loop(self, name: str, start: int) -> str:
        return f"for (var {name}: i32 = {start}; {name} > 0; {name} /= 2)"

    def grid_stride(self, dimension: int, lo: int, step: int, wide: bool) -> tuple[str, str]:
        del wide
        d, by = _AXES[dimension], "" if step == 1 else f" * {step}"
        return f"{'' if lo == 0 else f'{lo} + '}i32(group.{d}){by}", f"i32(groups.{d}){by}"

    def sync(self, spaces: Iterable[str]) -> list[str]:
        calls = {"global": "storageBarrier();", "shared": "workgroupBarrier();"}
        return [calls[s] for s in spaces]

    def function(self, frame: Frame) -> str:
        body = [
            *(
                self.array("private", frame.names[b], b.dtype, max(1, b.extent))
                for b in frame.private
            ),
            *(self.array("workgroup", name, dtype, n) for name, dtype, n in frame.shared),
            "",
            f"@compute @workgroup_size({frame.block})",
            f"fn {frame.symbol}(",
            "  @builtin(workgroup_id) group: vec3<u32>,",
            "  @builtin(num_workgroups) groups: vec3<u32>,",
            "  @builtin(local_invocation_index) thread: u32,",
            ") {",
            *(["  let lane = i32(thread);"] if frame.block > 1 else []),
            *frame.lines,
            "}",
        ]
        bindings = [self.binding(n, frame.names[b], b) for n, b in enumerate(frame.arguments)]
        head = [f"// grid {frame.grid}, {frame.block} threads", *bindings]
        return "\n".join([*head, "", *definitions("\n".join(body)), *body]) + "\n"

    def array(self, space: str, name: str, dtype: np.dtype, count: int) -> str:
        return f"var<{space}> {name}: array<{self.type_of(dtype)}, {count}>;"

    def binding(self, n: int, name: str, buffer: Buffer) -> str:
        mode = "read" if buffer.role == "input" else "read_write"
        kind = "u32" if buffer.dtype == np.bool_ else self.type_of(buffer.dtype)
        return f"@group(0) @binding({n}) var<storage, {mode}> {name}: array<{kind}>;"


def _template(op: str, operand: np.dtype) -> str | None:
    if operand == np.bool_:
        return _BOOL.get(op)
    if op in _ARITHMETIC:
        return f"{{0}} {_ARITHMETIC[op]} {{1}}"
    if operand.kind == "f":
        return _FLOAT.get(op)
    if op in _BITS:
        return f"{{0}} {_BITS[op]} {{1}}"
    return (_UNSIGNED if operand.kind == "u" else _SIGNED).get(op, _INTEGER.get(op))
