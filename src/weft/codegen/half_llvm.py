"""Half types as LLVM instructions: float16 and bfloat16 to and from float32, and their neighbours.

Arithmetic on half types is done in float32 and rounded once per operation, so conversions are all
that a processor has to offer, and few offer all of them: float16 needs F16C (or AArch64), and the
bfloat16 instructions of x86 flush subnormals.  Where nothing exact is native, the bits are rounded
with integer instructions: half of the last kept place is added, less one if that place is even.

float64 goes through float32 rounded *to odd* (Boldo & Melquiond 2008): an inexact result gets an
odd last bit, which keeps the second rounding from seeing a tie that is none.
"""

from __future__ import annotations

from weft.codegen.llvm_text import Function, literal, vector

#: LLVM's names of the half types.
HALF = ("half", "bfloat")


class HalfBits:
    """Conversions of registers of ``lanes`` elements of one half type, ``half`` or ``bfloat``.

    Registers of float16 are LLVM's ``half``, those of bfloat16 integers with its bits. ``native``
    says that the target converts float16 exactly by instructions of its own.
    """

    def __init__(self, function: Function, element: str, lanes: int, native: bool) -> None:
        if element not in HALF:
            raise ValueError(f"HalfBits: {element!r} is not one of {HALF}")
        self.f = function
        self.element = element
        self.native = native
        self.type = vector("i16" if element == "bfloat" else element, lanes)
        self.i16, self.i32 = vector("i16", lanes), vector("i32", lanes)
        self.single, self.double = vector("float", lanes), vector("double", lanes)
        self.mask = vector("i1", lanes)

    def _op(self, name: str, kind: str, a: str, b: str | float) -> str:
        other = b if isinstance(b, str) else literal(kind, b)
        return self.f.i(f"{name} {kind} {a}, {other}")

    def _cast(self, name: str, kind: str, value: str, target: str) -> str:
        return self.f.i(f"{name} {kind} {value} to {target}")

    def _select(self, mask: str, kind: str, a: str, b: str | float) -> str:
        other = b if isinstance(b, str) else literal(kind, b)
        return self.f.i(f"select {self.mask} {mask}, {kind} {a}, {kind} {other}")

    def _compare(self, how: str, kind: str, a: str, b: str | float) -> str:
        other = b if isinstance(b, str) else literal(kind, b)
        compare = "fcmp" if kind in (self.single, self.double) else "icmp"
        return self.f.i(f"{compare} {how} {kind} {a}, {other}")

    def _to_bits(self, value: str) -> str:
        same = self.type == self.i16
        return value if same else self._cast("bitcast", self.type, value, self.i16)

    def _from_bits(self, bits: str) -> str:
        same = self.type == self.i16
        return bits if same else self._cast("bitcast", self.i16, bits, self.type)

    # -- to float32 --------------------------------------------------------------------------------

    def widen(self, value: str) -> str:
        """The same numbers in float32."""
        if self.native:
            return self._cast("fpext", self.type, value, self.single)
        wide = self._cast("zext", self.i16, self._to_bits(value), self.i32)
        if self.element == "bfloat":
            return self._cast("bitcast", self.i32, self._op("shl", self.i32, wide, 16), self.single)
        return self._widen_half(wide)

    def _widen_half(self, wide: str) -> str:
        """Exponent and mantissa moved up are the number over 2^112, subnormal ones included."""
        sign = self._op("shl", self.i32, self._op("and", self.i32, wide, 0x8000), 16)
        moved = self._op("shl", self.i32, self._op("and", self.i32, wide, 0x7FFF), 13)
        small = self._cast("bitcast", self.i32, moved, self.single)
        scaled = self._op("fmul", self.single, small, 2.0**112)
        bits = self._cast("bitcast", self.single, scaled, self.i32)
        special = self._op("or", self.i32, moved, 0x7F800000)
        infinite = self._compare("uge", self.i32, moved, 0x7C00 << 13)
        bits = self._select(infinite, self.i32, special, bits)
        return self._cast("bitcast", self.i32, self._op("or", self.i32, bits, sign), self.single)

    # -- from float32 and float64 ------------------------------------------------------------------

    def narrow(self, value: str) -> str:
        """A float32 rounded to nearest, ties to even."""
        if self.native:
            return self._cast("fptrunc", self.single, value, self.type)
        bits = self._cast("bitcast", self.single, value, self.i32)
        if self.element == "bfloat":
            bits = self._round_bfloat(bits, value)
        else:
            bits = self._round_half(bits)
        return self._from_bits(self._cast("trunc", self.i32, bits, self.i16))

    def _half_up(self, bits: str, dropped: int) -> str:
        """``bits`` with what rounds its last ``dropped`` bits to even added."""
        even = self._op("and", self.i32, self._op("lshr", self.i32, bits, dropped), 1)
        half = self._op("add", self.i32, even, (1 << (dropped - 1)) - 1)
        return self._op("add", self.i32, bits, half)

    def _round_bfloat(self, bits: str, value: str) -> str:
        rounded = self._op("lshr", self.i32, self._half_up(bits, 16), 16)
        quiet = self._op("or", self.i32, self._op("lshr", self.i32, bits, 16), 0x40)
        nan = self._compare("uno", self.single, value, value)
        return self._select(nan, self.i32, quiet, rounded)

    def _round_half(self, bits: str) -> str:
        sign = self._op("lshr", self.i32, self._op("and", self.i32, bits, -(1 << 31)), 16)
        size = self._op("and", self.i32, bits, 0x7FFFFFFF)
        rebiased = self._op("sub", self.i32, self._half_up(size, 13), 112 << 23)
        normal = self._op("lshr", self.i32, rebiased, 13)
        # Adding 1/2 leaves a subnormal's bits, rounded by the hardware, at the end of the sum.
        small = self._cast("bitcast", self.i32, size, self.single)
        total = self._op("fadd", self.single, small, 0.5)
        total = self._cast("bitcast", self.single, total, self.i32)
        subnormal = self._op("sub", self.i32, total, 0x3F000000)
        tiny = self._compare("ult", self.i32, size, 0x38800000)
        huge = self._compare("uge", self.i32, size, 0x47800000)
        nan = self._compare("ugt", self.i32, size, 0x7F800000)
        result = self._select(tiny, self.i32, subnormal, normal)
        infinite = literal(self.i32, 0x7C00)
        result = self._select(huge, self.i32, infinite, result)
        quiet = literal(self.i32, 0x7E00)
        return self._op("or", self.i32, self._select(nan, self.i32, quiet, result), sign)

    def narrow_double(self, value: str) -> str:
        """A float64 rounded to nearest, ties to even, once."""
        near = self._cast("fptrunc", self.double, value, self.single)
        back = self._cast("fpext", self.single, near, self.double)
        size = self.f.intrinsic("fabs", self.double, value)
        reached = self.f.intrinsic("fabs", self.double, back)
        bits = self._cast("bitcast", self.single, near, self.i32)
        beyond = self._compare("ogt", self.double, reached, size)
        inexact = self._compare("one", self.double, reached, size)
        one = self._cast("zext", self.mask, beyond, self.i32)
        towards_zero = self._op("sub", self.i32, bits, one)
        last = self._cast("zext", self.mask, inexact, self.i32)
        odd = self._op("or", self.i32, towards_zero, last)
        return self.narrow(self._cast("bitcast", self.i32, odd, self.single))

    # -- neighbours --------------------------------------------------------------------------------

    def next_after(self, x: str, y: str) -> str:
        """The neighbour of ``x`` in the direction of ``y``; ``y`` when they are equal."""
        wide_x, wide_y = self.widen(x), self.widen(y)
        bits = self._to_bits(x)
        up = self._compare("olt", self.single, wide_x, wide_y)
        positive = self._compare("ogt", self.single, wide_x, 0.0)
        inwards = self._op("xor", self.mask, up, positive)
        step = self._select(inwards, self.i16, literal(self.i16, -1), 1)
        moved = self._op("add", self.i16, bits, step)
        y_bits = self._to_bits(y)
        smallest = self._op("or", self.i16, self._op("and", self.i16, y_bits, -(1 << 15)), 1)
        zero = self._compare("oeq", self.single, wide_x, 0.0)
        moved = self._select(zero, self.i16, smallest, moved)
        same = self._compare("oeq", self.single, wide_x, wide_y)
        moved = self._select(same, self.i16, y_bits, moved)
        nan = self._compare("uno", self.single, wide_x, wide_y)
        quiet = 0x7FC0 if self.element == "bfloat" else 0x7E00
        result = self._select(nan, self.i16, literal(self.i16, quiet), moved)
        return self._from_bits(result)
