"""Scalar operations as LLVM instructions on registers of any number of lanes.

Arithmetic, comparison, bits and conversions are here, with the meaning `jax.lax` documents
(division by zero, over-long shifts and float-to-int conversion are defined); elementary functions
come from `weft.codegen.vecmath`.  Half types are computed in float32 and rounded once per
operation.
"""

from __future__ import annotations

from functools import cached_property

import ml_dtypes
import numpy as np

from weft.codegen.dot_llvm import emit_dot
from weft.codegen.half_llvm import HalfBits
from weft.codegen.llvm_text import Function, literal, mangle
from weft.codegen.tiles import element_type
from weft.codegen.vecmath.functions import FUNCTIONS
from weft.codegen.vecmath.vec import Features, Vec
from weft.structs import struct
from weft.terms.dots import DOTS

_HALF = {np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)}
_F32 = np.dtype(np.float32)


@struct(frozen=True)
class Target:
    """What the code generator needs to know of a machine.

    ``vector_bytes`` is the width of its registers; ``features`` the LLVM feature names present;
    ``architecture`` as in a target triple.
    """

    vector_bytes: int
    features: frozenset[str] = frozenset()
    architecture: str = "x86_64"

    @cached_property
    def math(self) -> Features:
        """What elementary functions may use."""
        listed = ",".join(f"+{name}" for name in sorted(self.features))
        return Features.of(listed, self.architecture)

    def half_bits(self, f: Function, dtype: np.dtype, lanes: int) -> HalfBits:
        """Conversions of a half type: bfloat16 by integers, float16 natively if the target can."""
        native = dtype == np.float16 and (
            "f16c" in self.features or self.architecture.startswith(("aarch64", "arm64"))
        )
        return HalfBits(f, "half" if dtype == np.float16 else "bfloat", lanes, native)


def emit_op(
    f: Function,
    target: Target,
    op: str,
    args: tuple[str, ...],
    operand: np.dtype,
    result: np.dtype,
    lanes: int,
) -> str:
    """Emit ``op`` on registers of ``lanes`` elements.

    ``operand`` is the dtype of the first argument (of the alternatives, for ``select``); ``result``
    that of the value.
    """
    if operand in _HALF and op not in ("select", "cast", "bitcast"):
        half = target.half_bits(f, operand, lanes)
        if op == "nextafter":
            return half.next_after(*args)
        wide = tuple(half.widen(a) for a in args)
        kept = result if result == np.bool_ else _F32
        value = emit_op(f, target, op, wide, _F32, kept, lanes)
        return value if result == np.bool_ else half.narrow(value)
    if op in DOTS:
        a, b, total = args
        return emit_dot(f, DOTS[op], target.features, (a, b, total), lanes)
    emitter = _Emitter(f, target, operand, result, lanes)
    return emitter.emit(op, args)


def _kind(dtype: np.dtype, lanes: int) -> str:
    element = element_type(dtype)
    return element if lanes == 1 else f"<{lanes} x {element}>"


def _is_float(dtype: np.dtype) -> bool:
    return dtype.kind == "f" or dtype in _HALF


def _convert(
    f: Function, target: Target, value: str, source: np.dtype, result: np.dtype, lanes: int
) -> str:
    """``lax.convert_element_type``: saturating from float to int, NaN to 0."""
    if source == result:
        return value
    if source in _HALF:
        wide = target.half_bits(f, source, lanes).widen(value)
        return _convert(f, target, wide, _F32, result, lanes)
    if result in _HALF:
        half = target.half_bits(f, result, lanes)
        if source == np.float64:
            return half.narrow_double(value)
        return half.narrow(_convert(f, target, value, source, _F32, lanes))
    a, b = _kind(source, lanes), _kind(result, lanes)
    if result == np.bool_:
        compare = "fcmp une" if _is_float(source) else "icmp ne"
        return f.i(f"{compare} {a} {value}, {literal(a, 0)}")
    if _is_float(source) and _is_float(result):
        return f.i(f"{'fpext' if source == np.float32 else 'fptrunc'} {a} {value} to {b}")
    if _is_float(source):
        name = "fptoui" if result.kind == "u" else "fptosi"
        return f.call(b, f"llvm.{name}.sat.{mangle(b)}.{mangle(a)}", (a, value))
    unsigned = source.kind in "ub"
    if _is_float(result):
        return f.i(f"{'uitofp' if unsigned else 'sitofp'} {a} {value} to {b}")
    if source.itemsize == result.itemsize and source != np.bool_:
        return value
    if result.itemsize < source.itemsize:
        return f.i(f"trunc {a} {value} to {b}")
    return f.i(f"{'zext' if unsigned else 'sext'} {a} {value} to {b}")


class _Emitter:
    """One operation being emitted; methods are named after the operations they need code for."""

    def __init__(
        self, f: Function, target: Target, operand: np.dtype, result: np.dtype, lanes: int
    ) -> None:
        self.f = f
        self.target = target
        self.operand = operand
        self.result = result
        self.lanes = lanes
        self.kind = _kind(operand, lanes)
        self.float = _is_float(operand)
        self.unsigned = operand.kind in "ub"

    def emit(self, op: str, args: tuple[str, ...]) -> str:
        if self.float and op in _FLOAT_BINARY:
            return self.f.i(f"{_FLOAT_BINARY[op]} {self.kind} {args[0]}, {args[1]}")
        if not self.float and op in _INT_BINARY:
            return self.f.i(f"{_INT_BINARY[op]} {self.kind} {args[0]}, {args[1]}")
        if op in _COMPARE:
            return self._compare(op, *args)
        method = getattr(self, f"_{op}", None)
        if method is not None:
            return method(*args)
        return self._elementary(op, args)

    def _c(self, x: float) -> str:
        return literal(self.kind, x)

    def _mask_kind(self) -> str:
        return "i1" if self.lanes == 1 else f"<{self.lanes} x i1>"

    def _choose(self, mask: str, a: str, b: str) -> str:
        return self.f.i(f"select {self._mask_kind()} {mask}, {self.kind} {a}, {self.kind} {b}")

    def _compare(self, op: str, a: str, b: str) -> str:
        float_name, signed, unsigned = _COMPARE[op]
        if self.float:
            return self.f.i(f"fcmp {float_name} {self.kind} {a}, {b}")
        return self.f.i(f"icmp {unsigned if self.unsigned else signed} {self.kind} {a}, {b}")

    # -- data movement -----------------------------------------------------------------------------

    def _select(self, predicate: str, a: str, b: str) -> str:
        kind = _kind(self.result, self.lanes)
        return self.f.i(f"select {self._mask_kind()} {predicate}, {kind} {a}, {kind} {b}")

    def _cast(self, a: str) -> str:
        return _convert(self.f, self.target, a, self.operand, self.result, self.lanes)

    def _bitcast(self, a: str) -> str:
        target = _kind(self.result, self.lanes)
        return a if target == self.kind else self.f.i(f"bitcast {self.kind} {a} to {target}")

    # -- arithmetic --------------------------------------------------------------------------------

    def _neg(self, a: str) -> str:
        if self.float:
            return self.f.i(f"fneg {self.kind} {a}")
        return self.f.i(f"sub {self.kind} {self._c(0)}, {a}")

    def _abs(self, a: str) -> str:
        if self.float:
            return self.f.intrinsic("fabs", self.kind, a)
        if self.unsigned:
            return a
        return self._choose(self._compare("lt", a, self._c(0)), self._neg(a), a)

    def _sign(self, a: str) -> str:
        if self.float:
            # Keeps NaN and signed zero: only values that compare with zero are replaced.
            value = self._choose(self._compare("gt", a, self._c(0)), self._c(1), a)
            return self._choose(self._compare("lt", a, self._c(0)), self._c(-1), value)
        positive = self._choose(self._compare("gt", a, self._c(0)), self._c(1), self._c(0))
        if self.unsigned:
            return positive
        return self._choose(self._compare("lt", a, self._c(0)), self._c(-1), positive)

    def _fma(self, a: str, b: str, c: str) -> str:
        if self.float and self.target.math.fma:
            return self.f.intrinsic("fma", self.kind, a, b, c)
        if self.float and self._is_whole_wasm_register():
            return self.f.intrinsic("wasm.relaxed.madd", self.kind, a, b, c)
        mul, add = ("fmul", "fadd") if self.float else ("mul", "add")
        product = self.f.i(f"{mul} {self.kind} {a}, {b}")
        return self.f.i(f"{add} {self.kind} {product}, {c}")

    def _is_whole_wasm_register(self) -> bool:
        """Whether WebAssembly has an instruction that may round once or twice, as is faster."""
        bits = self.lanes * 8 * self.operand.itemsize
        return "relaxed-simd" in self.target.features and bits == 128

    def _div(self, a: str, b: str) -> str:
        safe, zero, overflow = self._safe_divisor(a, b)
        quotient = self.f.i(f"{'udiv' if self.unsigned else 'sdiv'} {self.kind} {a}, {safe}")
        if overflow is not None:
            quotient = self._choose(overflow, a, quotient)
        return self._choose(zero, self._c(-1), quotient)

    def _rem(self, a: str, b: str) -> str:
        if self.float:
            return self._elementary("rem", (a, b))
        safe, zero, overflow = self._safe_divisor(a, b)
        left = self.f.i(f"{'urem' if self.unsigned else 'srem'} {self.kind} {a}, {safe}")
        if overflow is not None:
            left = self._choose(overflow, self._c(0), left)
        return self._choose(zero, a, left)

    def _safe_divisor(self, a: str, b: str) -> tuple[str, str, str | None]:
        """A divisor that cannot trap, and where it was replaced: division by 0, lowest / -1."""
        zero = self._compare("eq", b, self._c(0))
        if self.unsigned:
            return self._choose(zero, self._c(1), b), zero, None
        lowest = int(np.iinfo(self.operand).min)
        minus = self._compare("eq", b, self._c(-1))
        least = self._compare("eq", a, self._c(lowest))
        kind = self._mask_kind()
        overflow = self.f.i(f"and {kind} {minus}, {least}")
        bad = self.f.i(f"or {kind} {zero}, {overflow}")
        return self._choose(bad, self._c(1), b), zero, overflow

    def _max(self, a: str, b: str) -> str:
        return self._extreme(a, b, "gt", "umax" if self.unsigned else "smax")

    def _min(self, a: str, b: str) -> str:
        return self._extreme(a, b, "lt", "umin" if self.unsigned else "smin")

    def _extreme(self, a: str, b: str, better: str, intrinsic: str) -> str:
        if self.operand == np.bool_:
            return self.f.i(f"{'or' if better == 'gt' else 'and'} {self.kind} {a}, {b}")
        if not self.float:
            return self.f.intrinsic(intrinsic, self.kind, a, b)
        # NaN in either operand gives NaN: the comparison is false for it, so b is kept when b is
        # NaN; a NaN in a has to be chosen.  This is one max instruction and one blend on x86.
        value = self._choose(self._compare(better, a, b), a, b)
        return self._choose(self.f.i(f"fcmp uno {self.kind} {a}, {a}"), a, value)

    # -- rounding and tests ------------------------------------------------------------------------

    def _floor(self, a: str) -> str:
        return self.f.intrinsic("floor", self.kind, a) if self.float else a

    def _ceil(self, a: str) -> str:
        return self.f.intrinsic("ceil", self.kind, a) if self.float else a

    def _round_even(self, a: str) -> str:
        return self.f.intrinsic("roundeven", self.kind, a) if self.float else a

    def _round_away(self, a: str) -> str:
        return self._elementary("round_away", (a,)) if self.float else a

    def _sqrt(self, a: str) -> str:
        return self.f.intrinsic("sqrt", self.kind, a)

    def _is_finite(self, a: str) -> str:
        if not self.float:
            return literal(self._mask_kind(), 1)
        size = self.f.intrinsic("fabs", self.kind, a)
        return self.f.i(f"fcmp olt {self.kind} {size}, {self._c(float('inf'))}")

    # -- bits --------------------------------------------------------------------------------------

    def _not(self, a: str) -> str:
        ones = literal(self.kind, 1 if self.operand == np.bool_ else -1)
        return self.f.i(f"xor {self.kind} {a}, {ones}")

    def _population_count(self, a: str) -> str:
        return self.f.intrinsic("ctpop", self.kind, a)

    def _clz(self, a: str) -> str:
        return self.f.call(
            self.kind, f"llvm.ctlz.{mangle(self.kind)}", (self.kind, a), ("i1", "false")
        )

    def _shift_left(self, a: str, b: str) -> str:
        return self._shift("shl", a, b, self._c(0))

    def _shift_right_logical(self, a: str, b: str) -> str:
        return self._shift("lshr", a, b, self._c(0))

    def _shift_right_arithmetic(self, a: str, b: str) -> str:
        top = self._c(8 * self.operand.itemsize - 1)
        over = self._too_long(b)
        return self.f.i(f"ashr {self.kind} {a}, {self._choose(over, top, b)}")

    def _shift(self, name: str, a: str, b: str, otherwise: str) -> str:
        over = self._too_long(b)
        amount = self._choose(over, self._c(0), b)
        return self._choose(over, otherwise, self.f.i(f"{name} {self.kind} {a}, {amount}"))

    def _too_long(self, b: str) -> str:
        return self.f.i(f"icmp uge {self.kind} {b}, {self._c(8 * self.operand.itemsize)}")

    # -- elementary functions ----------------------------------------------------------------------

    def _elementary(self, op: str, args: tuple[str, ...]) -> str:
        function = FUNCTIONS.get(op) if self.float else None
        if function is None:
            raise TypeError(f"the CPU code generator has no {op!r} for dtype {self.operand.name}")
        vec = Vec(self.f, element_type(self.operand), self.lanes, self.target.math)
        return function(vec, *args)


_FLOAT_BINARY = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}
_INT_BINARY = {"add": "add", "sub": "sub", "mul": "mul", "and": "and", "or": "or", "xor": "xor"}
_COMPARE = {
    "eq": ("oeq", "eq", "eq"),
    "ne": ("une", "ne", "ne"),
    "lt": ("olt", "slt", "ult"),
    "le": ("ole", "sle", "ule"),
    "gt": ("ogt", "sgt", "ugt"),
    "ge": ("oge", "sge", "uge"),
}
