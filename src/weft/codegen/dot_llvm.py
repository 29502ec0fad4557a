"""Operations on words of narrow numbers (`weft.terms.dots`) as LLVM instructions.

AVX-512 has them for registers of 16 words (AVX512-VL: of 8 and 4); shorter ones are padded, longer
ones cut. Elsewhere the parts are taken out of the words and multiplied one by one: the same bits
for integers, and for floats the same sum, with subnormal numbers.
"""

from __future__ import annotations

from weft.codegen.llvm_text import Function, literal, vector
from weft.terms.dots import Dot

_INTRINSICS = {
    "dot_bf16": "llvm.x86.avx512bf16.dpbf16ps",
    "dot_u8s8": "llvm.x86.avx512.vpdpbusd",
    "dot_s16": "llvm.x86.avx512.vpdpwssd",
}
_WIDEST = 16


def emit_dot(
    f: Function, dot: Dot, features: frozenset[str], args: tuple[str, str, str], lanes: int
) -> str:
    """``dot`` of two registers of words and one of totals."""
    if dot.feature not in features:
        return _part_by_part(f, dot, args, lanes)
    width = next((n for n in (4, 8) if lanes <= n and "avx512vl" in features), _WIDEST)
    kinds = [vector("i32", lanes), vector("i32", lanes), vector(_total(dot), lanes)]
    if lanes <= width:
        padded = [_padded(f, k, x, lanes, width) for k, x in zip(kinds, args, strict=True)]
        out = _native(f, dot, padded, width)
        return _first(f, vector(_total(dot), width), out, lanes)
    parts = []
    for start in range(0, lanes, _WIDEST):
        places = list(range(start, start + _WIDEST))
        cut = [f.shuffle(k, x, "poison", places) for k, x in zip(kinds, args, strict=True)]
        parts.append(_native(f, dot, cut, _WIDEST))
    return _joined(f, vector(_total(dot), _WIDEST), parts)


def _total(dot: Dot) -> str:
    return "float" if dot.total.kind == "f" else "i32"


def _native(f: Function, dot: Dot, args: list[str], width: int) -> str:
    words, total = vector("i32", width), vector(_total(dot), width)
    name = f"{_INTRINSICS[dot.name]}.{32 * width}"
    a, b, c = args
    if dot.total.kind != "f":
        return f.call(total, name, (total, c), (words, a), (words, b))
    pairs = vector("bfloat", 2 * width)
    a, b = (f.i(f"bitcast {words} {x} to {pairs}") for x in (a, b))
    return f.call(total, name, (total, c), (pairs, a), (pairs, b))


def _padded(f: Function, kind: str, value: str, lanes: int, width: int) -> str:
    """A register of ``width`` lanes with ``value`` in the first ones."""
    if lanes == width:
        return value
    if lanes == 1:
        wide = vector(kind, width)
        return f.insert(wide, "poison", value, 0)
    return f.shuffle(kind, value, "poison", [n if n < lanes else -1 for n in range(width)])


def _first(f: Function, kind: str, value: str, lanes: int) -> str:
    if lanes == 1:
        return f.extract(kind, value, 0)
    return f.shuffle(kind, value, "poison", list(range(lanes)))


def _joined(f: Function, kind: str, parts: list[str]) -> str:
    """Registers one after the other, pairwise."""
    element = kind.split(" x ")[1][:-1]
    lanes = _WIDEST
    while len(parts) > 1:
        here = vector(element, lanes)
        places = list(range(2 * lanes))
        parts = [
            f.shuffle(here, a, b, places) for a, b in zip(parts[::2], parts[1::2], strict=True)
        ]
        lanes *= 2
    return parts[0]


def _part_by_part(f: Function, dot: Dot, args: tuple[str, str, str], lanes: int) -> str:
    words, kind = vector("i32", lanes), vector(_total(dot), lanes)
    left, right, total = args
    bits = 8 * dot.left.itemsize

    def part(word: str, n: int, signed: bool) -> str:
        """Part ``n`` as an integer, or (of bfloat16) as a float."""
        high = f.i(f"shl {words} {word}, {literal(words, 32 - bits * (n + 1))}")
        if dot.total.kind == "f":
            kept = f.i(f"and {words} {high}, {literal(words, -1 << (32 - bits))}")
            return f.i(f"bitcast {words} {kept} to {kind}")
        shift = "ashr" if signed else "lshr"
        return f.i(f"{shift} {words} {high}, {literal(words, 32 - bits)}")

    mul, add = ("fmul", "fadd") if dot.total.kind == "f" else ("mul", "add")
    for n in range(dot.count):
        a, b = part(left, n, dot.left.kind == "i"), part(right, n, dot.right.kind == "i")
        total = f.i(f"{add} {kind} {total}, {f.i(f'{mul} {kind} {a}, {b}')}")
    return total
