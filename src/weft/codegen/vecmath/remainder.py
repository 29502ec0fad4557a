"""The remainder of a division of floats, exactly."""

from __future__ import annotations

from weft.codegen.llvm_text import Function, Module
from weft.codegen.vecmath.rounding import trunc
from weft.codegen.vecmath.vec import Vec

_ROUTINE = "weft.remainder"
#: Bits of a quotient that a division of 64-bit integers finds at a time.
_BITS = 11


def rem(v: Vec, x: str, y: str) -> str:
    """x - y·trunc(x/y), exact, with the sign of x (C's fmod).

    While the quotient is below 2^(mantissa bits), one product with a truncated quotient and one
    correction are exact. Larger quotients, the special values, and targets without FMA go lane by
    lane.
    """
    if not v.features.fma:
        return _by_lanes(v, x, y)
    a, b = v.abs(x), v.abs(y)
    quotient = v.div(a, b)
    r = v.fnma(trunc(v, quotient), b, a)
    # The rounded quotient may have reached the next integer.
    r = v.select(v.compare("olt", r, 0.0), v.add(r, b), r)
    simple = v.both(
        v.compare("olt", quotient, 2.0 ** (v.mantissa_bits - 1)),
        v.both(v.compare("ogt", b, v.smallest_normal * 2.0**v.mantissa_bits), v.is_finite(b)),
    )
    r = v.copysign(r, x)
    [result] = v.function.if_(
        v.any(v.invert(simple)),
        lambda: [_by_lanes(v, x, y)],
        lambda: [r],
        [v.type],
        unlikely=True,
    )
    return result


def _by_lanes(v: Vec, x: str, y: str) -> str:
    """libm's fmod, which LLVM's `frem` calls, or where there is none the same by integers."""
    if v.features.libm:
        return v._binary("frem", x, y)
    f = v.function
    routine = f.module.routine(_ROUTINE, _build)
    result = "poison"
    for lane in range(v.lanes):
        a, b = x, y
        if v.lanes > 1:
            a, b = (f.i(f"extractelement {v.type} {z}, i64 {lane}") for z in (x, y))
        if not v.is_double:  # of floats it is a float, so nothing is rounded
            a, b = (f.i(f"fpext float {z} to double") for z in (a, b))
        r = f.call("double", routine[1:], ("double", a), ("double", b))
        if not v.is_double:
            r = f.i(f"fptrunc double {r} to float")
        if v.lanes == 1:
            return r
        result = f.i(f"insertelement {v.type} {result}, {v.element} {r}, i64 {lane}")
    return result


def _build(module: Module, name: str) -> None:
    """double x, double y -> double; x itself while |x| < |y|."""
    f = module.function(name, ["double %x", "double %y"], "double", "noinline nounwind", "internal")
    v = Vec(f, "double", 1)
    a, b = v.abs("%x"), v.abs("%y")
    less = v.compare("olt", a, b)
    [result] = f.if_(less, lambda: ["%x"], lambda: [_by_integers(v, a, b)], ["double"])
    f.ret("double", result)


def _by_integers(v: Vec, a: str, b: str) -> str:
    """|x| ≥ |y|: with x = m·2^e and y = n·2^g, that is (m·2^(e - g) mod n)·2^g."""
    f = v.function
    defined = v.both(v.is_finite(a), v.compare("ogt", b, 0.0))
    m, e = _parts(v, a)
    n, g = _parts(v, b)
    n = f.i(f"select i1 {defined}, i64 {n}, i64 1")
    steps = f.i(f"sub i64 {e}, {g}")
    steps = f.i(f"select i1 {defined}, i64 {steps}, i64 0")
    r = f.i(f"urem i64 {m}, {n}")
    with f.loop(0, f.i(f"udiv i64 {steps}, {_BITS}"), carried=[("i64", r)]) as loop:
        loop.carry(f.i(f"urem i64 {f.i(f'shl i64 {loop.carried[0]}, {_BITS}')}, {n}"))
    rest = f.i(f"urem i64 {steps}, {_BITS}")
    r = f.i(f"urem i64 {f.i(f'shl i64 {loop.results[0]}, {rest}')}, {n}")
    # In two steps, so that the powers of two are normal numbers.
    first = f.intrinsic("smax", "i64", g, 75)
    size = v.mul(f.i(f"uitofp i64 {r} to double"), _power_of_two(v, f, first, 1023 - 1075))
    size = v.mul(size, _power_of_two(v, f, f.i(f"sub i64 {g}, {first}"), 1023))
    signed = v.copysign(size, "%x")
    return v.select(defined, signed, float("nan"))


def _parts(v: Vec, a: str) -> tuple[str, str]:
    """(m, e) with a = m·2^(e - 1075) and a leading bit 52 in m, for any a > 0."""
    f = v.function
    bits = v.to_bits(a)
    biased = f.i(f"lshr i64 {bits}, 52")
    fraction = f.i(f"and i64 {bits}, {(1 << 52) - 1}")
    zeros = f.call("i64", "llvm.ctlz.i64", ("i64", fraction), ("i1", "false"))
    shift = f.i(f"sub i64 {zeros}, 11")
    subnormal = f.i(f"icmp eq i64 {biased}, 0")
    m = f.i(f"or i64 {fraction}, {1 << 52}")
    m = f.i(f"select i1 {subnormal}, i64 {f.i(f'shl i64 {fraction}, {shift}')}, i64 {m}")
    e = f.i(f"select i1 {subnormal}, i64 {f.i(f'sub i64 1, {shift}')}, i64 {biased}")
    return m, e


def _power_of_two(v: Vec, f: Function, exponent: str, bias: int) -> str:
    biased = f.i(f"add i64 {exponent}, {bias}")
    return v.from_bits(f.i(f"shl i64 {biased}, 52"))
