"""Operations on complex numbers as pairs of real terms: what `Map` of a complex number would mean.

Below the primitives there are only real numbers. An operation takes and gives pairs ``(re, im)``
(`Complex`), or one real term where its result is real, and is written with the real operations, so
that every device has it. Infinities, NaN and signed zeros come out as in Annex G of C99, which
NumPy follows; where the naive formula overflows, underflows or cancels, it is not used.

Functions that lose digits to cancellation (logarithms, inverse functions, powers) are computed in
float64 for complex64, and rounded once.

Sources: Smith 1962 (division); Kahan 1987, "Branch cuts for complex elementary functions" (square
root, inverse functions, tanh); Dekker 1971 (exact products, for the logarithm near the unit
circle).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from weft.terms import build
from weft.terms.term import Term

Complex = tuple[Term, Term]
_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)


class Real:
    """A real term with operators, so that formulas can be read."""

    __slots__ = ("term",)

    def __init__(self, term: Term) -> None:
        self.term = term

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the term."""
        return self.term.dtype

    def _of(self, x: Real | float) -> Term:
        return x.term if isinstance(x, Real) else build.const(x, self.dtype)

    def _do(self, op: str, *others: Real | float) -> Real:
        return Real(build.op(op, self.term, *map(self._of, others)))

    def __add__(self, other: Real | float) -> Real:
        return self._do("add", other)

    def __sub__(self, other: Real | float) -> Real:
        return self._do("sub", other)

    def __mul__(self, other: Real | float) -> Real:
        return self._do("mul", other)

    def __truediv__(self, other: Real | float) -> Real:
        return self._do("div", other)

    def __radd__(self, other: float) -> Real:
        return Real(self._of(other)) + self

    def __rsub__(self, other: float) -> Real:
        return Real(self._of(other)) - self

    def __rmul__(self, other: float) -> Real:
        return Real(self._of(other)) * self

    def __rtruediv__(self, other: float) -> Real:
        return Real(self._of(other)) / self

    def __neg__(self) -> Real:
        return self._do("neg")

    def __abs__(self) -> Real:
        return self._do("abs")

    def __lt__(self, other: Real | float) -> Real:
        return self._do("lt", other)

    def __gt__(self, other: Real | float) -> Real:
        return self._do("gt", other)

    def __ge__(self, other: Real | float) -> Real:
        return self._do("ge", other)

    def equals(self, other: Real | float) -> Real:
        """Whether the two are equal, as a bool term."""
        return self._do("eq", other)

    def __and__(self, other: Real) -> Real:
        return self._do("and", other)

    def __or__(self, other: Real) -> Real:
        return self._do("or", other)

    def __invert__(self) -> Real:
        return self._do("not")

    def apply(self, op: str, *others: Real) -> Real:
        """A real function of this term."""
        return self._do(op, *others)

    def where(self, then: Real, otherwise: Real | float) -> Real:
        """``then`` where this bool term is true."""
        return Real(build.select(self.term, then.term, then._of(otherwise)))

    def to(self, dtype: np.dtype) -> Real:
        """The value in another dtype."""
        return Real(build.cast(self.term, dtype))

    def is_finite(self) -> Real:
        """Neither infinite nor NaN."""
        return self._do("is_finite")

    def is_infinite(self) -> Real:
        """Plus or minus infinity."""
        return abs(self).equals(math.inf)


Pair = tuple[Real, Real]


def with_sign(size: Real, of: Real) -> Real:
    """``copysign(size, of)``; the sign of a zero counts."""
    size = abs(size)
    bits = Real(build.bitcast(of.term, np.dtype(f"i{of.dtype.itemsize}")))
    return (bits < 0).where(-size, size)


def _like(x: Real, value: float) -> Real:
    return Real(build.const(value, x.dtype))


def _wide(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` computed in float64."""

    def wider(*args: Pair) -> Any:
        dtype = args[0][0].dtype
        result = function(*((re.to(_F64), im.to(_F64)) for re, im in args))
        if isinstance(result, tuple):
            return result[0].to(dtype), result[1].to(dtype)
        return result.to(dtype)

    return wider


# -- arithmetic ------------------------------------------------------------------------------------


def _add(x: Pair, y: Pair) -> Pair:
    return x[0] + y[0], x[1] + y[1]


def _sub(x: Pair, y: Pair) -> Pair:
    return x[0] - y[0], x[1] - y[1]


def _neg(x: Pair) -> Pair:
    return -x[0], -x[1]


def _conj(x: Pair) -> Pair:
    return x[0], -x[1]


def _mul(x: Pair, y: Pair) -> Pair:
    (a, b), (c, d) = x, y
    return a * c - b * d, a * d + b * c


def _div(x: Pair, y: Pair) -> Pair:
    (a, b), (c, d) = x, y
    first = abs(c) >= abs(d)  # which part of the divisor is the larger one
    large, small = first.where(c, d), first.where(d, c)
    along, across = first.where(a, b), first.where(b, a)
    ratio = small / large
    scale = 1 / (large + small * ratio)
    re = (along + across * ratio) * scale
    im = across - along * ratio
    im = first.where(im, -im) * scale
    zero = large.equals(0)
    return zero.where(a / abs(c), re), zero.where(b / abs(c), im)


def _eq(x: Pair, y: Pair) -> Real:
    return x[0].equals(y[0]) & x[1].equals(y[1])


def _ne(x: Pair, y: Pair) -> Real:
    return ~_eq(x, y)


def _reciprocal(x: Pair) -> Pair:
    return _div((_like(x[0], 1), _like(x[0], 0)), x)


# -- magnitudes ------------------------------------------------------------------------------------


def _scaled(x: Real, y: Real) -> tuple[Real, Real, Real]:
    """The parts times a power of 4, and that power: squares of the larger one stay in range."""
    far, down, up = (60.0, -70, 100) if x.dtype == _F32 else (500.0, -600, 700)
    size = abs(x).apply("max", abs(y))
    scale = (size > 2.0**far).where(_like(x, 2.0**down), 1)
    scale = (size < 2.0**-far).where(_like(x, 2.0**up), scale)
    return x * scale, y * scale, scale


def hypot(x: Real, y: Real) -> Real:
    """The length of (x, y), without overflow on the way; infinite if a part is, NaN or not."""
    a, b, scale = _scaled(x, y)
    size = (a * a + b * b).apply("sqrt") / scale
    return (x.is_infinite() | y.is_infinite()).where(_like(x, math.inf), size)


def _abs(x: Pair) -> Real:
    return hypot(*x)


def _sign(x: Pair) -> Pair:
    size = hypot(*x)
    zero = size.equals(0)
    return zero.where(x[0], x[0] / size), zero.where(x[1], x[1] / size)


def _sqrt(x: Pair) -> Pair:
    re, im = x
    a, b, scale = _scaled(re, im)
    half = (abs(a) * 0.5 + (a * a + b * b).apply("sqrt") * 0.5).apply("sqrt")
    across = abs(b) / (half * 2)
    unscale = (1 / scale).apply("sqrt")  # exact: the scale is a power of 4
    right = ~(re < 0)
    u, v = right.where(half, across) * unscale, right.where(across, half) * unscale
    zero = re.equals(0) & im.equals(0)
    u, v = zero.where(abs(re), u), zero.where(abs(im), v)
    # On the axes through infinity. An infinite imaginary part decides, whatever the real part is.
    endless = re.is_infinite() & ~im.is_infinite()
    nothing = im.is_finite().where(_like(im, 0), im)
    u = endless.where(right.where(abs(re), nothing), u)
    v = endless.where(right.where(nothing, abs(re)), v)
    u = im.is_infinite().where(abs(im), u)
    v = im.is_infinite().where(abs(im), v)
    return u, with_sign(v, im)


def _rsqrt(x: Pair) -> Pair:
    return _reciprocal(_sqrt(x))


# -- exponentials ----------------------------------------------------------------------------------


def _cis(y: Real) -> Pair:
    return y.apply("cos"), y.apply("sin")


def _large(x: Real) -> tuple[Real, float]:
    """Where exp(x) is near overflow or beyond, and by how much to lower x first (exactly)."""
    limit, shift = (87.0, 64.0) if x.dtype == _F32 else (708.0, 512.0)
    return x > limit, shift


def _exp(x: Pair) -> Pair:
    re, im = x
    large, shift = _large(re)
    size = large.where(re - shift, re).apply("exp")
    factor = large.where(_like(re, math.exp(shift)), 1)
    cos, sin = _cis(im)
    u, v = size * cos * factor, size * sin * factor
    v = im.equals(0).where(im, v)
    vanishes = re.equals(-math.inf) & ~im.is_finite()
    endless = re.equals(math.inf) & ~im.is_finite()
    return vanishes.where(_like(size, 0), endless.where(re, u)), vanishes.where(_like(size, 0), v)


@_wide
def _exp2(x: Pair) -> Pair:
    return _exp((x[0] * math.log(2), x[1] * math.log(2)))


def _expm1(x: Pair) -> Pair:
    re, im = x
    half = (im * 0.5).apply("sin")
    grown = _exp(x)
    u = re.apply("expm1") * im.apply("cos") - 2 * (half * half)
    u = (re.equals(-math.inf) & ~im.is_finite()).where(_like(u, -1), u)
    u = (re.equals(0) & im.equals(0)).where(_like(u, 0), u)
    return (re > 1).where(grown[0] - 1, u), grown[1]


def _exact_product(a: Real, b: Real) -> tuple[Real, Real]:
    """a · b as the rounded product and its error (Dekker), for magnitudes far from overflow."""

    def halves(x: Real) -> tuple[Real, Real]:
        big = x * 134217729.0  # 2**27 + 1
        high = big - (big - x)
        return high, x - high

    product = a * b
    (a1, a2), (b1, b2) = halves(a), halves(b)
    return product, a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2)


def _exact_sum(a: Real, b: Real) -> tuple[Real, Real]:
    """a + b as the rounded sum and its error (Knuth)."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _log_of_size(re: Real, im: Real) -> Real:
    """log |re + i im| in float64, to full relative accuracy where |·| is near 1 too."""
    first = abs(re) >= abs(im)
    x, y = first.where(abs(re), abs(im)), first.where(abs(im), abs(re))
    a, b, scale = _scaled(x, y)
    far = ((a * a + b * b).apply("sqrt")).apply("log") - scale.apply("log")
    # x**2 + y**2 - 1 with d = x - 1 is 2d + d**2 + y**2, where d is exact.
    d = x - 1
    (dd, e1), (yy, e2) = _exact_product(d, d), _exact_product(y, y)
    total, e3 = _exact_sum(2 * d, yy)
    total, e4 = _exact_sum(total, dd)
    near = 0.5 * (total + ((e1 + e2) + (e3 + e4))).apply("log1p")
    size = ((x > 0.5) & (x < 2)).where(near, far)
    endless = re.is_infinite() | im.is_infinite()
    return endless.where(_like(re, math.inf), size)


def _log(x: Pair) -> Pair:
    re, im = x
    size = _log_of_size(re.to(_F64), im.to(_F64)).to(re.dtype)
    return size, im.apply("atan2", re)


@_wide
def _log1p(x: Pair) -> Pair:
    re, im = x
    small = (abs(re) < 0.5) & (abs(im) < 0.5)
    near = 0.5 * (re * (2 + re) + im * im).apply("log1p")
    return small.where(near, _log_of_size(1 + re, im)), im.apply("atan2", 1 + re)


@_wide
def _pow(x: Pair, y: Pair) -> Pair:
    power = _exp(_mul(y, _log(x)))
    none = y[0].equals(0) & y[1].equals(0)
    from_zero = x[0].equals(0) & x[1].equals(0)
    vanishes = from_zero & (y[0] > 0)
    u, v = (vanishes.where(_like(p, 0), p) for p in power)
    undefined = from_zero & ~(y[0] > 0)
    nan = _like(u, math.nan)
    u, v = undefined.where(nan, u), undefined.where(nan, v)
    return none.where(_like(u, 1), u), none.where(_like(v, 0), v)


# -- hyperbolic and circular functions -------------------------------------------------------------


def _grown(x: Real) -> tuple[Real, Real, Real]:
    """sinh and cosh of x over a factor, and the factor: none of them overflows early."""
    large, shift = _large(abs(x))
    size = (abs(x) - shift).apply("exp")
    sinh = large.where(with_sign(size, x), x.apply("sinh"))
    cosh = large.where(size, x.apply("cosh"))
    return sinh, cosh, large.where(_like(x, math.exp(shift) / 2), 1)


def _sinh(x: Pair) -> Pair:
    re, im = x
    sinh, cosh, factor = _grown(re)
    cos, sin = _cis(im)
    u, v = sinh * cos * factor, cosh * sin * factor
    u = ((re.equals(0) | re.is_infinite()) & ~im.is_finite()).where(re, u)
    return u, im.equals(0).where(im, v)


def _cosh(x: Pair) -> Pair:
    re, im = x
    sinh, cosh, factor = _grown(re)
    cos, sin = _cis(im)
    u, v = cosh * cos * factor, sinh * sin * factor
    u = (re.is_infinite() & ~im.is_finite()).where(abs(re), u)
    one = _like(re, 1)
    v = re.equals(0).where(re * with_sign(one, im), v)
    return u, im.equals(0).where(im * with_sign(one, re), v)


def _tanh(x: Pair) -> Pair:
    re, im = x
    t = im.apply("tan")
    beta = 1 + t * t
    s = re.apply("sinh")
    rho = (1 + s * s).apply("sqrt")
    denominator = 1 + beta * (s * s)
    u, v = beta * rho * s / denominator, t / denominator
    one = _like(re, 1)
    far = abs(re) > (11.0 if re.dtype == _F32 else 22.0)
    tiny = (-2 * abs(re)).apply("exp")
    settled = im.is_finite() | re.is_infinite()
    edge = re.is_infinite() & ~im.is_finite()
    u = far.where(settled.where(with_sign(one, re), im - im), u)
    v = far.where(edge.where(_like(v, 0), 4 * (t / beta) * tiny), v)
    u = re.equals(0).where(re, u)
    return u, im.equals(0).where(im, v)


def _turned(function: Callable[[Pair], Pair]) -> Callable[[Pair], Pair]:
    """``-i f(i z)``: sin from sinh, tan from tanh, asin from asinh, and the other way round."""

    def turned(x: Pair) -> Pair:
        u, v = function((-x[1], x[0]))
        return v, -u

    return turned


def _cos(x: Pair) -> Pair:
    return _cosh((-x[1], x[0]))


# -- inverse functions (Kahan) ---------------------------------------------------------------------

_HUGE = 2.0**500  # beyond it, squares overflow and inverse functions are logarithms


def _is_huge(x: Pair) -> Real:
    return (abs(x[0]) > _HUGE) | (abs(x[1]) > _HUGE)


def _roots(x: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - x) and sqrt(1 + x)."""
    re, im = x
    return _sqrt((1 - re, -im)), _sqrt((1 + re, im))


def _log_of_double(x: Pair) -> Real:
    return _log_of_size(*x) + math.log(2)


@_wide
def _asin(x: Pair) -> Pair:
    re, im = x
    (a, b), (c, d) = _roots(x)
    u = re.apply("atan2", a * c - b * d)
    v = (a * d - b * c).apply("asinh")
    huge = _is_huge(x)
    u = huge.where(re.apply("atan2", abs(im)), u)
    v = huge.where(_log_of_double(x), v)
    return re.equals(0).where(re, u), with_sign(v, im)


@_wide
def _acos(x: Pair) -> Pair:
    re, im = x
    (a, b), (c, d) = _roots(x)
    u = 2 * a.apply("atan2", c)
    v = (c * b - d * a).apply("asinh")
    huge = _is_huge(x)
    u = huge.where(abs(im).apply("atan2", re), re.equals(0).where(_like(u, math.pi / 2), u))
    v = huge.where(_log_of_double(x), v)
    return u, with_sign(v, -im)


def _acosh(x: Pair) -> Pair:
    u, v = _acos(x)
    return abs(v), with_sign(u, x[1])


@_wide
def _atanh(x: Pair) -> Pair:
    re, im = x
    away = 1 - abs(re)
    near = away * away + im * im
    u = 0.25 * (4 * abs(re) / near).apply("log1p")
    v = 0.5 * (2 * im).apply("atan2", away * (1 + abs(re)) - im * im)
    far = (abs(re) > 2.0**52) | (abs(im) > 2.0**52)
    a, b, scale = _scaled(abs(re), im)
    u = far.where((a / (a * a + b * b)) * scale, u)
    u = (re.is_infinite() | im.is_infinite()).where(_like(u, 0), u)
    v = far.where(_like(v, math.pi / 2), v)
    v = (~im.is_finite() & ~im.is_infinite()).where(im, v)
    v = (~re.equals(re) & im.is_finite()).where(re, v)
    return re.equals(0).where(re, with_sign(u, re)), with_sign(v, im)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "conj": _conj,
    "real": lambda x: x[0],
    "imag": lambda x: x[1],
    "eq": _eq,
    "ne": _ne,
    "abs": _abs,
    "sign": _sign,
    "sqrt": _sqrt,
    "rsqrt": _rsqrt,
    "exp": _exp,
    "exp2": _exp2,
    "expm1": _expm1,
    "log": _log,
    "log1p": _log1p,
    "pow": _pow,
    "sinh": _sinh,
    "cosh": _cosh,
    "tanh": _tanh,
    "sin": _turned(_sinh),
    "cos": _cos,
    "tan": _turned(_tanh),
    "asin": _asin,
    "acos": _acos,
    "atan": _turned(_atanh),
    "asinh": _turned(_asin),
    "acosh": _acosh,
    "atanh": _atanh,
}


def has_complex(name: str) -> bool:
    """Whether the operation is defined on complex numbers."""
    return name in _OPERATIONS


def complex_op(name: str, *args: Complex) -> Complex | Term:
    """An operation on complex numbers: a pair of terms, or one where the result is real or bool."""
    result = _OPERATIONS[name](*((Real(re), Real(im)) for re, im in args))
    return (result[0].term, result[1].term) if isinstance(result, tuple) else result.term


def from_real(term: Term) -> Complex:
    """A real term as a complex number."""
    return term, build.const(0, term.dtype)
