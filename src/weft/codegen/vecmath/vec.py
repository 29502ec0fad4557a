"""`Vec`: float arithmetic on one vector (or scalar) type, written into a function being emitted.

A `Vec` fixes the element type, the number of lanes and what the processor can do; its methods
append instructions and return value names. Operands may be Python numbers, which become constants
in every lane, so formulas read as they are written on paper:

    v = Vec(function, "float", 16, Features.of(host_features))
    y = v.fma(x, 0.5, 1.0)                       # x/2 + 1 in sixteen lanes

What the elementary functions rely on:

- no operation is contracted or re-associated: LLVM keeps separate `fmul` and `fadd` separate, so
  error-free transformations (Dekker 1971, Knuth TAOCP 2 §4.2.2) stay error-free;
- rounding is to nearest even, and subnormals are not flushed;
- values are never assumed finite: comparisons are ordered or unordered on purpose, and integers
  are taken from floats by adding a large constant (a NaN then gives some integer, never poison).

Without FMA in hardware `llvm.fma` is a library call per lane, so `fma` there is a multiplication
and an addition (callers must accept both roundings), and `product_error` splits its operands.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.codegen.llvm_text import Function, bit_width, literal, vector
from weft.codegen.vecmath import coefficients
from weft.structs import struct

Operand = str | float | int


@struct(frozen=True)
class Features:
    """What the target offers beyond its baseline, as far as elementary functions care."""

    fma: bool = False  # fused multiply-add in hardware
    rounding: bool = False  # floor, ceil, trunc and round-to-even as instructions
    avx512: bool = False  # 512-bit scalef, getexp and getmant
    libm: bool = True  # what LLVM may call: C's functions, and arithmetic on long integers

    @classmethod
    def of(cls, features: str, triple: str = "x86_64") -> Features:
        """From LLVM's feature string (``"+avx2,+fma,-avx512f"``) and target triple."""
        if triple.startswith(("aarch64", "arm64")):
            return cls(fma=True, rounding=True)
        if triple.startswith("wasm"):
            return cls(rounding=True, libm=False)
        on = {word[1:] for word in features.split(",") if word.startswith("+")}
        wide = "avx512f" in on and "avx512dq" in on
        return cls("fma" in on or wide, bool(on & {"sse4.1", "avx", "avx2"}) or wide, wide)


@struct(frozen=True)
class Rounded:
    """The nearest integer of a value, as a float and as an integer of the same width."""

    real: str
    integer: str


class Vec:
    """Arithmetic on ``<lanes x element>`` (`element` is ``float`` or ``double``) in `function`.

    Raises ValueError for another element type. `lanes` = 1 is scalar code.
    """

    def __init__(
        self, function: Function, element: str, lanes: int, features: Features | None = None
    ) -> None:
        if element not in ("float", "double"):
            raise ValueError(
                f"Vec: element type {element!r}; elementary functions exist for float and double "
                f"(compute half and bfloat through float)"
            )
        self.function = function
        self.element = element
        self.lanes = lanes
        self.features = features or Features()
        self.is_double = element == "double"
        self.bits = bit_width(element)
        self.mantissa_bits = 52 if self.is_double else 23
        self.bias = 1023 if self.is_double else 127
        self.type = vector(element, lanes)
        self.int_element = f"i{self.bits}"
        self.int_type = vector(self.int_element, lanes)
        self.bool_type = vector("i1", lanes)
        self.smallest_normal = 2.0 ** (1 - self.bias)
        self.wide_avx512 = self.features.avx512 and lanes * self.bits == 512

    def like(self, element: str) -> Vec:
        """The same lanes with another element type."""
        return Vec(self.function, element, self.lanes, self.features)

    def by_type(self, single: float, double: float) -> float:
        """The parameter of an approximation that depends on the element type."""
        return double if self.is_double else single

    # ---- constants and plain instructions

    def const(self, x: Operand) -> str:
        return x if isinstance(x, str) else literal(self.type, float(x))

    def int_const(self, x: Operand) -> str:
        if isinstance(x, str):
            return x
        signed = (int(x) + (1 << (self.bits - 1))) % (1 << self.bits) - (1 << (self.bits - 1))
        return literal(self.int_type, signed)

    def _binary(self, name: str, a: Operand, b: Operand) -> str:
        return self.function.i(f"{name} {self.type} {self.const(a)}, {self.const(b)}")

    def add(self, a: Operand, b: Operand) -> str:
        return self._binary("fadd", a, b)

    def sub(self, a: Operand, b: Operand) -> str:
        return self._binary("fsub", a, b)

    def mul(self, a: Operand, b: Operand) -> str:
        return self._binary("fmul", a, b)

    def div(self, a: Operand, b: Operand) -> str:
        return self._binary("fdiv", a, b)

    def neg(self, a: str) -> str:
        return self.function.i(f"fneg {self.type} {a}")

    def _intrinsic(self, name: str, *operands: Operand) -> str:
        return self.function.intrinsic(name, self.type, *(self.const(x) for x in operands))

    def abs(self, a: str) -> str:
        return self._intrinsic("fabs", a)

    def sqrt(self, a: str) -> str:
        return self._intrinsic("sqrt", a)

    def copysign(self, magnitude: Operand, sign: Operand) -> str:
        return self._intrinsic("copysign", magnitude, sign)

    def fma(self, a: Operand, b: Operand, c: Operand) -> str:
        """a·b + c, rounded once where the target has FMA and twice where it has not."""
        if self.features.fma:
            return self._intrinsic("fma", a, b, c)
        return self.add(self.mul(a, b), c)

    def fnma(self, a: Operand, b: Operand, c: Operand) -> str:
        """c - a·b, rounded like `fma`."""
        if not self.features.fma:
            return self.sub(c, self.mul(a, b))
        if isinstance(b, str):
            return self._intrinsic("fma", self.neg(b), a, c)
        return self._intrinsic("fma", a, -b, c)

    # ---- comparison and selection

    def compare(self, predicate: str, a: Operand, b: Operand) -> str:
        """`predicate` is LLVM's: ``olt`` is false and ``ult`` true when an operand is NaN."""
        return self.function.i(f"fcmp {predicate} {self.type} {self.const(a)}, {self.const(b)}")

    def select(self, condition: str, a: Operand, b: Operand) -> str:
        return self.function.i(
            f"select {self.bool_type} {condition}, {self.type} {self.const(a)}, "
            f"{self.type} {self.const(b)}"
        )

    def both(self, a: str, b: str) -> str:
        return self.function.i(f"and {self.bool_type} {a}, {b}")

    def either(self, a: str, b: str) -> str:
        return self.function.i(f"or {self.bool_type} {a}, {b}")

    def invert(self, condition: str) -> str:
        return self.function.i(f"xor {self.bool_type} {condition}, {literal(self.bool_type, 1)}")

    def any(self, condition: str) -> str:
        """An i1: whether some lane's condition holds."""
        if self.lanes == 1:
            return condition
        mask = self.function.i(f"bitcast {self.bool_type} {condition} to i{self.lanes}")
        return self.function.i(f"icmp ne i{self.lanes} {mask}, 0")

    def at_most(self, a: str, bound: float) -> str:
        """min(a, bound) that keeps a NaN."""
        return self.select(self.compare("olt", bound, a), bound, a)

    def at_least(self, a: str, bound: float) -> str:
        """max(a, bound) that keeps a NaN."""
        return self.select(self.compare("ogt", bound, a), bound, a)

    def clamp(self, a: str, lo: float, hi: float) -> str:
        return self.at_most(self.at_least(a, lo), hi)

    def is_finite(self, a: str) -> str:
        return self.compare("olt", self.abs(a), float("inf"))

    # ---- bits

    def to_bits(self, a: str) -> str:
        return self.function.i(f"bitcast {self.type} {a} to {self.int_type}")

    def from_bits(self, a: str) -> str:
        return self.function.i(f"bitcast {self.int_type} {a} to {self.type}")

    def integer(self, name: str, a: Operand, b: Operand) -> str:
        """An integer instruction (``add``, ``shl``, ``and`` …) on integers of the same width."""
        return self.function.i(f"{name} {self.int_type} {self.int_const(a)}, {self.int_const(b)}")

    def integer_compare(self, predicate: str, a: Operand, b: Operand) -> str:
        return self.function.i(
            f"icmp {predicate} {self.int_type} {self.int_const(a)}, {self.int_const(b)}"
        )

    def integer_select(self, condition: str, a: Operand, b: Operand) -> str:
        return self.function.i(
            f"select {self.bool_type} {condition}, {self.int_type} {self.int_const(a)}, "
            f"{self.int_type} {self.int_const(b)}"
        )

    def sign_bit(self, a: str) -> str:
        """The sign bit alone, as an integer; see `flip_sign`."""
        return self.integer("and", self.to_bits(a), 1 << (self.bits - 1))

    def flip_sign(self, a: str, sign: str) -> str:
        """`a`, negated in lanes whose `sign` integer has the top bit set."""
        return self.from_bits(self.integer("xor", self.to_bits(a), sign))

    # ---- widths

    def widen(self, a: str) -> str:
        """float lanes as double (exact); the value belongs to ``self.like("double")``."""
        return self.function.i(f"fpext {self.type} {a} to {vector('double', self.lanes)}")

    def narrow_from_double(self, a: str) -> str:
        """double lanes rounded to this float type."""
        return self.function.i(f"fptrunc {vector('double', self.lanes)} {a} to {self.type}")

    # ---- integers and powers of two

    def round_product(self, a: str, b: float) -> Rounded:
        """The integer nearest to a·b for |a·b| < 2^22 (float) or 2^51 (double).

        Adding 1.5·2^(mantissa bits) leaves the integer in the low bits. Other inputs, NaN
        included, give some integer; the float part of a NaN or infinity is NaN or infinite.
        """
        magic = 1.5 * 2.0**self.mantissa_bits
        shifted = self.fma(a, b, magic) if b != 1.0 else self.add(a, magic)
        magic_bits = (self.bias + self.mantissa_bits << self.mantissa_bits) | (
            1 << (self.mantissa_bits - 1)
        )
        integer = self.integer("sub", self.to_bits(shifted), magic_bits)
        return Rounded(self.sub(shifted, magic), integer)

    def small_integer_to_float(self, a: str) -> str:
        """A float from an integer 0 ≤ a < 2^22, by bits (AVX2 has no 64-bit conversion)."""
        exponent = self.bias + self.mantissa_bits << self.mantissa_bits
        return self.sub(self.from_bits(self.integer("or", a, exponent)), 2.0**self.mantissa_bits)

    def power_of_two(self, n: str, offset: int = 0) -> str:
        """2^(n + offset) for an integer n that keeps it a normal number."""
        biased = self.integer("add", n, self.bias + offset)
        return self.from_bits(self.integer("shl", biased, self.mantissa_bits))

    def scale(self, a: str, n: Rounded, offset: int = 0) -> str:
        """a · 2^(n + offset), rounded once, for |n + offset| < 2^11 (float: 2^8).

        Multiplying by two powers of about half the exponent overflows or rounds to a subnormal
        only in the second multiplication; AVX-512 has it as one instruction.
        """
        if self.wide_avx512:
            return self.scalef(a, self.add(n.real, offset) if offset else n.real)
        shift = 4096 if self.is_double else 512
        # A logical shift of a number made positive: AVX2 has no arithmetic one for 64 bits.
        total = self.integer("add", n.integer, shift + offset)
        half = self.integer("lshr", total, 1)
        other = self.integer("sub", total, half)
        a = self.mul(a, self.power_of_two(half, -shift // 2))
        return self.mul(a, self.power_of_two(other, -shift // 2))

    # ---- AVX-512, 512-bit vectors only

    def _avx512(self, name: str, *operands: str, immediate: int | None = None) -> str:
        suffix, mask = ("pd", "i8") if self.is_double else ("ps", "i16")
        arguments: list[tuple[str, str | int]] = [(self.type, x) for x in operands]
        if immediate is not None:
            arguments.append(("i32", immediate))
        return self.function.call(
            self.type,
            f"llvm.x86.avx512.mask.{name}.{suffix}.512",
            *arguments,
            (self.type, "zeroinitializer"),
            (mask, "-1"),
            ("i32", "4"),
        )

    def scalef(self, a: str, n: str) -> str:
        """a · 2^floor(n); saturates, and rounds once to subnormals."""
        return self._avx512("scalef", a, n)

    def get_exponent(self, a: str) -> str:
        """floor(log2(|a|)) as a float; -inf for zero."""
        return self._avx512("getexp", a)

    def get_mantissa(self, a: str) -> str:
        """a / 2^k in [3/4, 3/2); NaN for negative numbers; 1 for ±0 and +inf."""
        return self._avx512("getmant", a, immediate=3 << 2 | 3)

    # ---- error-free transformations

    def two_sum(self, a: Operand, b: Operand) -> tuple[str, str]:
        """a + b = s + e exactly (Knuth), any magnitudes."""
        s = self.add(a, b)
        b_part = self.sub(s, a)
        a_part = self.sub(s, b_part)
        return s, self.add(self.sub(a, a_part), self.sub(b, b_part))

    def fast_two_sum(self, a: Operand, b: Operand) -> tuple[str, str]:
        """a + b = s + e exactly when |a| ≥ |b| or a = 0 (Dekker)."""
        s = self.add(a, b)
        return s, self.sub(b, self.sub(s, a))

    def product_error(self, a: Operand, b: Operand, product: str) -> str:
        """a·b - product exactly, for product = a·b rounded.

        Without FMA by Veltkamp's splitting, which needs |a|, |b| < 2^115 (float), 2^995 (double).
        """
        if self.features.fma:
            return self._intrinsic("fma", a, b, self.neg(product))
        a_hi, a_lo = self._split(a)
        b_hi, b_lo = self._split(b)
        error = self.sub(self.mul(a_hi, b_hi), product)
        error = self.add(error, self.mul(a_hi, b_lo))
        error = self.add(error, self.mul(a_lo, b_hi))
        return self.add(error, self.mul(a_lo, b_lo))

    def _split(self, a: Operand) -> tuple[str, str]:
        c = self.mul(a, 2.0 ** ((self.mantissa_bits + 2) // 2) + 1.0)
        hi = self.sub(c, self.sub(c, a))
        return hi, self.sub(a, hi)

    def two_product(self, a: Operand, b: Operand) -> tuple[str, str]:
        """a·b = p + e exactly (see `product_error`)."""
        p = self.mul(a, b)
        return p, self.product_error(a, b, p)

    # ---- polynomials

    def polynomial(self, x: str, values: Sequence[Operand]) -> str:
        """Σ values[k] x^k by Horner's rule.

        Fewest operations: throughput comes from independent iterations in flight.
        """
        result = self.const(values[-1])
        for value in reversed(values[:-1]):
            result = self.fma(result, x, value)
        return result

    def approximation(self, name: str, x: str) -> str:
        """The polynomial `name` of `coefficients.py` for this element type, at `x`."""
        return self.polynomial(x, self.coefficients(name))

    def coefficients(self, name: str) -> tuple[float, ...]:
        """The polynomial `name` for this element type, lowest power first."""
        return (coefficients.DOUBLE if self.is_double else coefficients.SINGLE)[name]
