"""LLVM IR as text: the smallest builder that stays readable.

Weft writes final SSA itself and never runs LLVM's middle end, so a builder needs no in-memory
instructions: an instruction is a line of text, a value is its name, a type is how LLVM spells it
(``float``, ``<16 x double>``). Printing the lines costs a hundredth of building objects for them,
and what the generator wrote is what a person debugging it reads.

    module = Module()
    f = module.function("scale", ["ptr noalias %y", "ptr %x", "float %a", "i64 %n"])
    with f.loop(0, "%n") as loop:
        x = f.load("float", f.gep("float", "%x", loop.index))
        y = f.i(f"fmul float {x}, %a")
        f.store("float", y, f.gep("float", "%y", loop.index))
    f.ret()
    module.text()

Operands may be Python ints wherever an integer is meant; index arithmetic on ints is folded, so
address computations with known offsets leave no instructions behind.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from struct import pack, unpack

from weft.structs import struct

Value = str | int

_FLOAT_BITS = {"half": 16, "bfloat": 16, "float": 32, "double": 64}
_FLOAT_MANGLED = {"half": "f16", "bfloat": "bf16", "float": "f32", "double": "f64"}
_VECTOR = re.compile(r"<(\d+) x (\w+)>")


# ---- types and constants ------------------------------------------------------------------


def vector(element: str, lanes: int) -> str:
    """The type of `lanes` elements; one lane is the scalar type itself."""
    return element if lanes == 1 else f"<{lanes} x {element}>"


def element_and_lanes(type_: str) -> tuple[str, int]:
    """``<16 x float>`` -> ``("float", 16)``; a scalar type has one lane."""
    match = _VECTOR.fullmatch(type_)
    return (match[2], int(match[1])) if match else (type_, 1)


def mangle(type_: str) -> str:
    """The suffix overloaded intrinsics carry: ``<16 x float>`` -> ``v16f32``, ``ptr`` -> ``p0``."""
    element, lanes = element_and_lanes(type_)
    name = "p0" if element == "ptr" else _FLOAT_MANGLED.get(element, element)
    return name if lanes == 1 else f"v{lanes}{name}"


def bit_width(element: str) -> int:
    """Bits of a scalar type: 32 for ``float`` and ``i32``, 1 for ``i1``, 64 for ``ptr``."""
    if element == "ptr":
        return 64
    return _FLOAT_BITS[element] if element in _FLOAT_BITS else int(element[1:])


def float_literal(element: str, x: float) -> str:
    """`x` rounded to `element`, in the exact hexadecimal form LLVM reads back bit for bit."""
    if element == "double":
        return f"0x{unpack('<Q', pack('<d', x))[0]:016X}"
    if element == "float":
        # LLVM spells a float by the double of the same value.
        return float_literal("double", _round_to("<f", x))
    if element == "half":
        return f"0xH{unpack('<H', pack('<e', _round_to('<e', x)))[0]:04X}"
    if element == "bfloat":
        bits = unpack("<I", pack("<f", _round_to("<f", x)))[0]
        if x != x:
            return "0xR7FC0"
        return f"0xR{(bits + 0x7FFF + (bits >> 16 & 1)) >> 16:04X}"
    raise ValueError(f"float_literal: {element!r} is not a floating-point type")


def _round_to(format_: str, x: float) -> float:
    try:
        return unpack(format_, pack(format_, x))[0]
    except OverflowError:
        return float("inf") if x > 0 else float("-inf")


def literal(type_: str, x: float | int | bool) -> str:
    """A constant of a scalar or vector type; a vector has `x` in every lane."""
    element, lanes = element_and_lanes(type_)
    if element in _FLOAT_BITS:
        text = float_literal(element, float(x))
    elif element == "i1":
        text = "true" if x else "false"
    else:
        text = str(int(x))
    return text if lanes == 1 else f"splat ({element} {text})"


# ---- module -------------------------------------------------------------------------------


class Module:
    """Functions, the declarations they use, and read-only data, in one text.

    Declarations, data and metadata are sets kept in order of first use, so the same program always
    prints the same text (and hits the same cache entry).
    """

    def __init__(self) -> None:
        self._declarations: dict[str, None] = {}
        self._constants: dict[str, str] = {}
        self._metadata: dict[str, str] = {}
        self._functions: dict[str, Function] = {}

    def declare(self, declaration: str) -> None:
        """Adds ``declare ...`` once, however often it is asked for."""
        self._declarations[declaration] = None

    def data(self, element: str, values: Sequence[float | int], align: int = 64) -> str:
        """A read-only array; the same contents share one symbol. Returns ``@name``."""
        items = ", ".join(f"{element} {literal(element, v)}" for v in values)
        text = f"private unnamed_addr constant [{len(values)} x {element}] [{items}], align {align}"
        return self._constants.setdefault(text, f"@data{len(self._constants)}")

    def metadata(self, text: str) -> str:
        """A metadata node such as ``!{i32 1}``; returns its name (``!0``)."""
        return self._metadata.setdefault(text, f"!{len(self._metadata)}")

    def function(
        self,
        name: str,
        parameters: Sequence[str] = (),
        result: str = "void",
        attributes: str = "nounwind",
        linkage: str = "",
    ) -> Function:
        """Starts a function; `parameters` are spelled in full (``"ptr noalias %x"``).

        Its entry block is open; end every block with `ret`, `jump` or `branch`.
        Raises ValueError when the name is taken.
        """
        if name in self._functions:
            raise ValueError(f"Module.function: a function named {name!r} exists already")
        function = Function(self, name, parameters, result, attributes, linkage)
        self._functions[name] = function
        return function

    def routine(self, name: str, build: Callable[[Module, str], None]) -> str:
        """A shared helper function: `build(module, name)` runs the first time it is asked for."""
        if name not in self._functions:
            build(self, name)
            if name not in self._functions:
                raise ValueError(f"Module.routine: the builder made no function named {name!r}")
        return f"@{name}"

    def use(self, symbol: str, result: str, parameters: str) -> None:
        """Declares the function ``symbol`` (``@name``) unless it is one of this module."""
        if symbol.removeprefix("@") not in self._functions:
            self.declare(f"declare {result} {symbol}({parameters})")

    def lines(self) -> int:
        """About how many lines of text there are by now."""
        return sum(len(function._lines) for function in self._functions.values())

    def text(self, layout: str = "", triple: str = "") -> str:
        """The whole module; give `layout` and `triple` to add the header of a target."""
        parts = []
        if layout:
            parts.append(f'target datalayout = "{layout}"')
        if triple:
            parts.append(f'target triple = "{triple}"')
        parts += [f"{name} = {text}" for text, name in self._constants.items()]
        parts += [function.text() for function in self._functions.values()]
        parts += self._declarations
        parts += [f"{name} = {text}" for text, name in self._metadata.items()]
        return "\n".join(parts) + "\n"


# ---- function -----------------------------------------------------------------------------


@struct
class Loop:
    """A loop being written: `index` and `carried` inside it, `results` after it.

    `leave`, an i1 set inside, ends the loop early; its results are then those of some iteration.
    """

    index: str
    carried: list[str]
    results: list[str] = field(default_factory=list)
    leave: str | None = None
    _next: Sequence[Value] = ()

    def carry(self, *values: Value) -> None:
        """The values the next iteration starts with, in the order of `carried`."""
        self._next = values


class Function:
    """One function's text, grown line by line; `block` is the label of the open block."""

    def __init__(
        self,
        module: Module,
        name: str,
        parameters: Sequence[str],
        result: str,
        attributes: str,
        linkage: str,
    ) -> None:
        self.module = module
        self.name = name
        words = ["define", linkage, result, f"@{name}({', '.join(parameters)})", attributes, "{"]
        self._lines = [" ".join(word for word in words if word)]
        self._count = 0
        self.block = ""
        self.place("entry")

    def text(self) -> str:
        return "\n".join([*self._lines, "}"])

    # lines, names, blocks

    def fresh(self, prefix: str = "%v") -> str:
        """A value name not used before (or, with another prefix, a label)."""
        self._count += 1
        return f"{prefix}{self._count}"

    def i(self, instruction: str) -> str:
        """Appends ``%new = instruction`` and returns the new name."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """Appends an instruction that has no result."""
        self._lines.append("  " + instruction)

    def comment(self, text: str) -> None:
        self._lines.append("  ; " + text)

    def label(self, prefix: str = "block") -> str:
        """A label not used before; `place` puts it."""
        return self.fresh(prefix + ".")

    def place(self, label: str) -> None:
        """Opens the block `label`; the block before it must have been ended."""
        self._lines.append(label + ":")
        self.block = label

    def jump(self, label: str) -> None:
        self.do(f"br label %{label}")

    def branch(self, condition: str, then: str, otherwise: str, unlikely: bool = False) -> None:
        """Ends the block with a conditional branch; `unlikely` moves `then` out of the way."""
        weights = ""
        if unlikely:
            node = self.module.metadata('!{!"branch_weights", i32 1, i32 2000}')
            weights = f", !prof {node}"
        self.do(f"br i1 {condition}, label %{then}, label %{otherwise}{weights}")

    def ret(self, type_: str = "void", value: Value | None = None) -> None:
        self.do("ret void" if value is None else f"ret {type_} {value}")

    def phi(self, type_: str, *incoming: tuple[Value, str]) -> str:
        """``phi type [value, %label], ...``; only at the start of a block."""
        edges = ", ".join(f"[{value}, %{label}]" for value, label in incoming)
        return self.i(f"phi {type_} {edges}")

    # structured control flow

    @contextmanager
    def loop(
        self,
        lo: Value,
        hi: Value,
        step: Value = 1,
        carried: Sequence[tuple[str, Value]] = (),
        at_least_once: bool = False,
    ) -> Iterator[Loop]:
        """``for index in range(lo, hi, step)`` over i64 (step > 0), with carried values.

        `carried` lists (type, initial value). Inside, call ``loop.carry(...)`` with the values for
        the next iteration; after, ``loop.results`` are the last ones. The test is at the top unless
        `at_least_once` promises ``lo < hi``, which saves the test and a jump.
        """
        before, header = self.block, self.label("loop")
        body, done = self.label("body"), self.label("done")
        self.jump(header)
        self.place(header)
        loop = Loop(self.fresh("%i"), [self.fresh("%c") for _ in carried])
        slot = len(self._lines)
        self._lines.append("")  # the phis, once the values they carry are known
        if not at_least_once:
            inside = self.i(f"icmp slt i64 {loop.index}, {hi}")
            self.branch(inside, body, done)
            self.place(body)
        yield loop
        if len(loop._next) != len(carried):
            raise ValueError(
                f"loop in @{self.name}: it carries {len(carried)} values, "
                f"but loop.carry was given {len(loop._next)}"
            )
        following = self.i(f"add nsw i64 {loop.index}, {step}")
        latch = self.block
        again = self.i(f"icmp slt i64 {following}, {hi}") if at_least_once else None
        if loop.leave is not None:
            stay = self.i(f"xor i1 {loop.leave}, true")
            again = stay if again is None else self.i(f"and i1 {again}, {stay}")
        if again is None:
            self.jump(header)
        else:
            self.branch(again, header, done)
        phis = [f"  {loop.index} = phi i64 [{lo}, %{before}], [{following}, %{latch}]"]
        for name, (type_, initial), value in zip(loop.carried, carried, loop._next, strict=True):
            phis.append(f"  {name} = phi {type_} [{initial}, %{before}], [{value}, %{latch}]")
        self._lines[slot] = "\n".join(phis)
        self.place(done)
        loop.results = [str(v) for v in loop._next] if at_least_once else loop.carried

    def if_(
        self,
        condition: str,
        then: Callable[[], Sequence[Value] | None],
        otherwise: Callable[[], Sequence[Value] | None] | None = None,
        types: Sequence[str] = (),
        unlikely: bool = False,
    ) -> list[str]:
        """``types`` values from `then()` or `otherwise()`, both writing their own blocks.

        Without results `otherwise` may be left out. `unlikely` is about `then`.
        """
        on_true, on_false, join = self.label("then"), self.label("else"), self.label("join")
        self.branch(condition, on_true, on_false, unlikely)
        self.place(on_true)
        true_values = then() or ()
        true_end = self.block
        self.jump(join)
        self.place(on_false)
        false_values = (otherwise() if otherwise else None) or ()
        false_end = self.block
        self.jump(join)
        self.place(join)
        return [
            self.phi(type_, (a, true_end), (b, false_end))
            for type_, a, b in zip(types, true_values, false_values, strict=True)
        ]

    # index arithmetic (i64)

    def add(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return a + b
        if b == 0:
            return a
        return b if a == 0 else self.i(f"add nsw i64 {a}, {b}")

    def sub(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return a - b
        return a if b == 0 else self.i(f"sub nsw i64 {a}, {b}")

    def mul(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return a * b
        if a == 0 or b == 0:
            return 0
        if a == 1:
            return b
        return a if b == 1 else self.i(f"mul nsw i64 {a}, {b}")

    def min(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.intrinsic("smin", "i64", a, b)

    def max(self, a: Value, b: Value) -> Value:
        if isinstance(a, int) and isinstance(b, int):
            return max(a, b)
        return self.intrinsic("smax", "i64", a, b)

    # memory

    def gep(self, element: str, pointer: str, index: Value) -> str:
        """The address of ``pointer[index]`` for elements of type `element`."""
        if index == 0:
            return pointer
        return self.i(f"getelementptr inbounds {element}, ptr {pointer}, i64 {index}")

    def load(self, type_: str, pointer: str, align: int = 0) -> str:
        """`align` in bytes; 0 means the alignment of one element."""
        return self.i(f"load {type_}, ptr {pointer}, align {align or _element_align(type_)}")

    def store(
        self, type_: str, value: Value, pointer: str, align: int = 0, nontemporal: bool = False
    ) -> None:
        """Non-temporal stores bypass the caches and need the alignment of the whole vector."""
        hint = f", !nontemporal {self.module.metadata('!{i32 1}')}" if nontemporal else ""
        align = align or _element_align(type_)
        self.do(f"store {type_} {value}, ptr {pointer}, align {align}{hint}")

    def masked_load(self, type_: str, pointer: str, mask: str, other: Value, align: int = 0) -> str:
        """Lanes whose mask is false are not read and give `other`."""
        _, lanes = element_and_lanes(type_)
        align = align or _element_align(type_)
        return self.call(
            type_,
            f"llvm.masked.load.{mangle(type_)}.p0",
            (f"ptr align {align}", pointer),
            (f"<{lanes} x i1>", mask),
            (type_, other),
        )

    def masked_store(
        self, type_: str, value: Value, pointer: str, mask: str, align: int = 0
    ) -> None:
        _, lanes = element_and_lanes(type_)
        align = align or _element_align(type_)
        self.call(
            "void",
            f"llvm.masked.store.{mangle(type_)}.p0",
            (type_, value),
            (f"ptr align {align}", pointer),
            (f"<{lanes} x i1>", mask),
        )

    # calls

    def call(self, result: str, name: str, *arguments: tuple[str, Value]) -> str:
        """Calls @name with (type, value) arguments, declaring it if it is an intrinsic."""
        if name.startswith("llvm."):
            # A declaration lists types without the call's parameter attributes.
            types = ", ".join(type_.split(" align ")[0] for type_, _ in arguments)
            self.module.declare(f"declare {result} @{name}({types})")
        operands = ", ".join(f"{type_} {value}" for type_, value in arguments)
        text = f"call {result} @{name}({operands})"
        if result == "void":
            self.do(text)
            return ""
        return self.i(text)

    def intrinsic(self, name: str, type_: str, *operands: Value) -> str:
        """``llvm.name`` overloaded on one type that all operands and the result have."""
        return self.call(type_, f"llvm.{name}.{mangle(type_)}", *((type_, v) for v in operands))

    # vectors

    def splat(self, type_: str, scalar: Value) -> str:
        """`scalar` in every lane of the vector type (itself, when the type is a scalar)."""
        element, lanes = element_and_lanes(type_)
        if isinstance(scalar, int):
            return literal(type_, scalar)
        if lanes == 1:
            return scalar
        one = self.i(f"insertelement {type_} poison, {element} {scalar}, i64 0")
        return self.shuffle(type_, one, "poison", [0] * lanes)

    def shuffle(self, type_: str, a: Value, b: Value, indices: Sequence[int]) -> str:
        """Lanes of ``concat(a, b)`` by number; -1 leaves a lane undefined."""
        if not any(indices):
            mask = "zeroinitializer"
        else:
            lanes = ", ".join("i32 poison" if k < 0 else f"i32 {k}" for k in indices)
            mask = f"<{lanes}>"
        return self.i(f"shufflevector {type_} {a}, {type_} {b}, <{len(indices)} x i32> {mask}")

    def extract(self, type_: str, value: str, lane: Value) -> str:
        return self.i(f"extractelement {type_} {value}, i64 {lane}")

    def insert(self, type_: str, value: str, scalar: Value, lane: Value) -> str:
        element, _ = element_and_lanes(type_)
        return self.i(f"insertelement {type_} {value}, {element} {scalar}, i64 {lane}")


def _element_align(type_: str) -> int:
    element, _ = element_and_lanes(type_)
    return max(1, bit_width(element) // 8)
