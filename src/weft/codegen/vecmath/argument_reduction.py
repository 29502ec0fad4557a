"""x mod π/2 for any finite x, exactly enough for sine, cosine and tangent (Payne & Hanek 1983).

x = m · 2^e with a 53-bit integer m. Only the fraction of x·(2/π)/4 decides the result, so the bits
of 2/π whose product with x is a multiple of 4 are skipped: a window of 192 bits of 2/π, multiplied
by m modulo 2^192, leaves at least 137 good bits of fraction below the two bits of the quadrant,
where the worst double needs about 62 + 53.

This is the rare path: one shared function that takes a vector and goes through its lanes.
"""

from __future__ import annotations

import math

from weft.codegen.llvm_text import Function, Module, literal
from weft.codegen.vecmath import coefficients
from weft.codegen.vecmath.vec import Features, Vec

_TABLE_BITS = 1216  # of 2/π; the largest double needs bits up to 969 + 192
_LEADING_WORDS = 2  # zeros above them, read for x < 2^53
#: LLVM's name for it.
_LONG_PRODUCT = "__multi3"
_SCALAR = "weft.reduce_by_half_pi"
_RESULT = "{ double, double, i64 }"


def reduce_large(v: Vec, x: str, which: str, harmless: float) -> tuple[str, str, str]:
    """(r, tail, n) with x = n·π/2 + r + tail (mod 2π) in the lanes `which`, where x > 2^12.

    Other lanes give the reduction of `harmless`. Infinities give NaN.
    """
    name = f"{_SCALAR}.{v.lanes}x{v.element}"
    routine = v.function.module.routine(name, lambda m, n: _build_lanes(m, n, v))
    result = f"{{ {v.type}, {v.type}, {v.int_type} }}"
    x = v.select(which, x, harmless)
    both = v.function.call(result, routine[1:], (v.type, x))
    r, tail, n = (v.function.i(f"extractvalue {result} {both}, {k}") for k in range(3))
    return r, tail, n


def _build_lanes(module: Module, name: str, v: Vec) -> None:
    """The vector form: each lane through memory and the scalar function."""
    scalar = module.routine(_SCALAR, lambda m, n: _build_scalar(m, n, v.features))
    result = f"{{ {v.type}, {v.type}, {v.int_type} }}"
    f = module.function(name, [f"{v.type} %x"], result, "noinline nounwind", "internal")
    slots = [f.i(f"alloca {t}, align 64") for t in (v.type, v.type, v.type, v.int_type)]
    f.store(v.type, "%x", slots[0])
    with f.loop(0, v.lanes, at_least_once=True) as loop:
        x = f.load(v.element, f.gep(v.element, slots[0], loop.index))
        if not v.is_double:
            x = f.i(f"fpext float {x} to double")
        parts = f.call(_RESULT, scalar[1:], ("double", x))
        r, tail, n = (f.i(f"extractvalue {_RESULT} {parts}, {k}") for k in range(3))
        if not v.is_double:
            short = f.i(f"fptrunc double {r} to float")
            back = f.i(f"fpext float {short} to double")
            left = f.i(f"fsub double {r}, {back}")
            r, tail = short, f.i(f"fptrunc double {left} to float")
            n = f.i(f"trunc i64 {n} to i32")
        elements = (v.element, v.element, v.int_element)
        for slot, element, value in zip(slots[1:], elements, (r, tail, n), strict=True):
            f.store(element, value, f.gep(element, slot, loop.index))
    whole = "poison"
    for k, type_ in enumerate((v.type, v.type, v.int_type)):
        value = f.load(type_, slots[k + 1])
        whole = f.i(f"insertvalue {result} {whole}, {type_} {value}, {k}")
    f.ret(result, whole)


def _build_scalar(module: Module, name: str, features: Features) -> None:
    """double x > 2^12 -> {r, tail, n}."""
    if not features.libm:
        module.routine(_LONG_PRODUCT, _build_long_product)
    f = module.function(name, ["double %x"], _RESULT, "noinline nounwind", "internal")
    bits = f.i("bitcast double %x to i64")
    biased = f.i(f"lshr i64 {bits}, 52")
    fraction = _window(f, module, f.i(f"sub i64 {biased}, {1075 + 2}"))
    mantissa = f.i(f"or i64 {f.i(f'and i64 {bits}, {(1 << 52) - 1}')}, {1 << 52}")
    turns = f.i(f"mul i192 {fraction}, {f.i(f'zext i64 {mantissa} to i192')}")
    hi, lo, scale, quadrant = _signed_fraction(f, turns)
    r, tail = _times_half_pi(Vec(f, "double", 1, features), hi, lo)
    nan = f.i("fsub double %x, %x")  # 0, but NaN for an infinity
    r = f.i(f"fadd double {f.i(f'fmul double {r}, {scale}')}, {nan}")
    tail = f.i(f"fmul double {tail}, {scale}")
    whole = f.i(f"insertvalue {_RESULT} poison, double {r}, 0")
    whole = f.i(f"insertvalue {_RESULT} {whole}, double {tail}, 1")
    f.ret(_RESULT, f.i(f"insertvalue {_RESULT} {whole}, i64 {quadrant}, 2"))


def _window(f: Function, module: Module, skipped: str) -> str:
    """192 bits of 2/π after the first `skipped` (which may be negative: zeros)."""
    words = [*coefficients.TWO_OVER_PI, *[0] * _LEADING_WORDS]
    table = module.data("i64", [w - (1 << 64) if w >> 63 else w for w in words])
    shift = f.i(f"sub i64 {_TABLE_BITS - 192}, {skipped}")
    address = f.gep("i8", table, f.i(f"lshr i64 {shift}, 3"))
    # 256 bits hold the window at any bit offset within a byte; the leading zeros keep it inside.
    wide = f.load("i256", address, align=1)
    left = f.i(f"zext i64 {f.i(f'and i64 {shift}, 7')} to i256")
    return f.i(f"trunc i256 {f.i(f'lshr i256 {wide}, {left}')} to i192")


def _signed_fraction(f: Function, turns: str) -> tuple[str, str, str, str]:
    """(hi, lo, scale, quadrant): 4·turns = quadrant + (hi + lo)·scale, |…| ≤ 1/2.

    `turns` is a fraction with 192 bits; hi has its 53 leading bits, lo the next 64.
    """
    quadrant = f.i(f"trunc i192 {f.i(f'lshr i192 {turns}, 190')} to i64")
    rest = f.i(f"shl i192 {turns}, 2")
    negative = f.i(f"icmp slt i192 {rest}, 0")
    quadrant = f.i(f"add i64 {quadrant}, {f.i(f'zext i1 {negative} to i64')}")
    flipped = f.i(f"sub i192 0, {rest}")
    size = f.i(f"select i1 {negative}, i192 {flipped}, i192 {rest}")
    zeros = f.call("i192", "llvm.ctlz.i192", ("i192", size), ("i1", "false"))
    size = f.i(f"shl i192 {size}, {zeros}")
    top = f.i(f"trunc i192 {f.i(f'lshr i192 {size}, 128')} to i64")
    below = f.i(f"trunc i192 {f.i(f'lshr i192 {size}, 64')} to i64")
    hi = f.i(f"uitofp i64 {f.i(f'and i64 {top}, -2048')} to double")
    lo_bits = f.i(f"or i64 {f.i(f'shl i64 {top}, 53')}, {f.i(f'lshr i64 {below}, 11')}")
    lo = f.i(f"uitofp i64 {lo_bits} to double")
    lo = f.i(f"fmul double {lo}, {literal('double', 2.0**-53)}")
    biased = f.i(f"sub i64 {1023 - 64}, {f.i(f'trunc i192 {zeros} to i64')}")
    scale = f.i(f"bitcast i64 {f.i(f'shl i64 {biased}, 52')} to double")
    minus = f.i(f"fneg double {scale}")
    return hi, lo, f.i(f"select i1 {negative}, double {minus}, double {scale}"), quadrant


def _times_half_pi(v: Vec, hi: str, lo: str) -> tuple[str, str]:
    """(hi + lo)·π/2 as an unevaluated sum."""
    first, second = math.pi / 2, coefficients.PI_2_DOUBLE[1]
    p, error = v.two_product(hi, first)
    low = v.add(error, v.add(v.mul(hi, second), v.mul(lo, first)))
    r = v.add(p, low)
    return r, v.sub(low, v.sub(r, p))


def _build_long_product(module: Module, name: str) -> None:
    """What LLVM calls for a product of 128-bit integers: *out = a·b modulo 2^128."""
    words = ["i64 %a", "i64 %a_high", "i64 %b", "i64 %b_high"]
    f = module.function(name, ["ptr %out", *words], "void", "noinline nounwind")

    def product(a: str, b: str) -> str:
        return f.i(f"mul i64 {a}, {b}")

    low = {x: f.i(f"and i64 {x}, {(1 << 32) - 1}") for x in ("%a", "%b")}
    high = {x: f.i(f"lshr i64 {x}, 32") for x in ("%a", "%b")}
    both_low = product(low["%a"], low["%b"])
    middle = f.i(f"add i64 {product(high['%a'], low['%b'])}, {f.i(f'lshr i64 {both_low}, 32')}")
    other = product(low["%a"], high["%b"])
    carried = f.i(f"add i64 {other}, {f.i(f'and i64 {middle}, {(1 << 32) - 1}')}")
    top = product(high["%a"], high["%b"])
    for x in (f.i(f"lshr i64 {middle}, 32"), f.i(f"lshr i64 {carried}, 32")):
        top = f.i(f"add i64 {top}, {x}")
    for x, y in (("%a", "%b_high"), ("%a_high", "%b")):
        top = f.i(f"add i64 {top}, {product(x, y)}")
    f.store("i64", product("%a", "%b"), "%out")
    f.store("i64", top, f.gep("i64", "%out", 1))
    f.ret()
