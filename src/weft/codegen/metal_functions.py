"""Functions that the Metal Shading Language has not, written in it: float32, emitted on use.

Polynomials are those of `weft.codegen.vecmath`; the complementary error function is the rational
Chebyshev fit of W. Press et al. (Numerical Recipes, 6.2), within 1.2e-7 of it.
"""

from __future__ import annotations

import re

from weft.codegen.c_functions import erf_inv
from weft.codegen.vecmath.coefficients import SINGLE

#: The exponent of erfc(z)·exp(z²)/t in t = 1/(1 + z/2), lowest power first.
_ERFC = (
    (-1.26551223, 1.00002368, 0.37409196, 0.09678418, -0.18628806)
    + (0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277)
)  # fmt: skip


def _horner(values: tuple[float, ...], x: str) -> str:
    *others, last = values
    text = f"{last!r}f"
    for value in reversed(others):
        text = f"fma({text}, {x}, {value!r}f)"
    return text


#: Definitions by name; one may call those before it.
FUNCTIONS = {
    "weft_log1p": f"""\
static inline float weft_log1p(float x) {{
  if (x > -0.25f && x < 0.5f)
    return fma(x * x, fma({_horner(SINGLE["log"], "x")}, x, -0.5f), x);
  return log(1.0f + x);
}}
""",
    # x = n·ln2 + r, so that e^x - 1 = (e^r - 1)·2^n + (2^n - 1)
    "weft_expm1": f"""\
static inline float weft_expm1(float x) {{
  if (!(x > -18.0f && x < 88.0f)) return exp(x) - 1.0f;
  float n = rint(x * 1.442695f);
  float r = fma(n, -1.4286068e-06f, fma(n, -0.69314575f, x));
  float s = as_type<float>((int(n) + 127) << 23);
  return fma(fma(r * r, {_horner(SINGLE["exp"], "r")}, r), s, s - 1.0f);
}}
""",
    "weft_erfc": f"""\
static inline float weft_erfc(float x) {{
  float z = fabs(x), t = 1.0f / fma(0.5f, z, 1.0f);
  float tail = t * exp(fma(-z, z, {_horner(_ERFC, "t")}));
  return x < 0.0f ? 2.0f - tail : tail;
}}
""",
    "weft_erf": f"""\
static inline float weft_erf(float x) {{
  float z = x * x;
  if (fabs(x) <= 1.0f || x != x) return fma({_horner(SINGLE["erf"], "z")}, x, x);
  float t = fmin(fabs(x), 4.0f) - 1.0f;
  return copysign(1.0f - exp({_horner(SINGLE["log_erfc"], "t")}), x);
}}
""",
    "weft_erf_inv_f32": erf_inv("", double=False),
    # A step of Newton's method from a power that is nearly right.
    "weft_cbrt": """\
static inline float weft_cbrt(float x) {
  float a = fabs(x);
  if (!(a > 0.0f) || a - a != 0.0f) return x;
  float scale = a < 1e-30f ? 4096.0f : 1.0f;
  a *= scale * scale * scale;
  float y = pow(a, 0.33333334f);
  y -= (y * y * y - a) / (3.0f * y * y);
  return copysign(y / scale, x);
}
""",
    "weft_nextafter": """\
static inline float weft_nextafter(float x, float y) {
  if (x != x || y != y) return as_type<float>(0x7fc00000);
  if (x == y) return y;
  if (x == 0.0f) return copysign(as_type<float>(1), y);
  int bits = as_type<int>(x);
  return as_type<float>(bits + ((x < y) == (x > 0.0f) ? 1 : -1));
}
""",
}


def definitions(text: str) -> str:
    """Definitions of the functions that ``text`` calls."""
    wanted = set(re.findall(r"weft_\w+", text))
    return "".join(definition for name, definition in FUNCTIONS.items() if name in wanted)
