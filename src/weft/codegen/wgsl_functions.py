"""Functions that WGSL has not, or not with the meaning needed: written in it, emitted on use.

WGSL bounds the error of its ``log`` near 1 absolutely only, so log1p and expm1 are polynomials
where they are close to 0; elsewhere they are as good as the device's ``log`` and ``exp``.
"""

from __future__ import annotations

import re

from weft.codegen.vecmath.coefficients import SINGLE


def _polynomial(name: str, x: str) -> str:
    """The float32 polynomial of that name at ``x``, by Horner's rule."""
    *others, last = SINGLE[name]
    text = f"{last!r}f"
    for value in reversed(others):
        text = f"fma({text}, {x}, {value!r}f)"
    return text


#: Definitions by name; one may call another.
FUNCTIONS = {
    "weft_bits": "fn weft_bits(bits: u32) -> f32 {\n  return bitcast<f32>(bits);\n}",
    "weft_nan": """\
fn weft_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}""",
    "weft_finite": """\
fn weft_finite(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}""",
    "weft_log1p": f"""\
fn weft_log1p(x: f32) -> f32 {{
  if (x > -0.25f && x < 0.5f) {{
    return fma(x * x, fma({_polynomial("log", "x")}, x, -0.5f), x);
  }}
  return log(1.0f + x);
}}""",
    # x = n·ln2 + r, so that e^x - 1 = (e^r - 1)·2^n + (2^n - 1)
    "weft_expm1": f"""\
fn weft_expm1(x: f32) -> f32 {{
  if (!(x > -18.0f && x < 88.0f)) {{
    return exp(x) - 1.0f;
  }}
  let n = round(x * 1.442695f);
  let r = fma(n, -1.4286068e-06f, fma(n, -0.69314575f, x));
  let s = bitcast<f32>((i32(n) + 127) << 23u);
  return fma(fma(r * r, {_polynomial("exp", "r")}, r), s, s - 1.0f);
}}""",
    # pow is undefined for negative bases: integer exponents have a sign by parity.
    "weft_pow": """\
fn weft_pow(x: f32, y: f32) -> f32 {
  if (y == 0.0f || x == 1.0f) {
    return 1.0f;
  }
  let size = pow(abs(x), y);
  if (x >= 0.0f || weft_nan(x)) {
    return size;
  }
  if (trunc(y) != y) {
    return weft_bits(0x7fc00000u);
  }
  return select(size, -size, abs(y) < 16777216.0f && (i32(y) & 1) != 0);
}""",
    # As in `weft.codegen.vecmath.error_function`, with its polynomials.
    "weft_erf": f"""\
fn weft_erf(x: f32) -> f32 {{
  let a = abs(x);
  if (a <= 1.0f || weft_nan(x)) {{
    let z = x * x;
    return fma({_polynomial("erf", "z")}, x, x);
  }}
  let t = min(a, 4.0f) - 1.0f;
  return sign(x) * (1.0f - exp({_polynomial("log_erfc", "t")}));
}}""",
    "weft_erf_inv": f"""\
fn weft_erf_inv(x: f32) -> f32 {{
  let a = abs(x);
  if (a <= 0.75f) {{
    let z = x * x;
    return {_polynomial("erf_inv", "z")} * x;
  }}
  if (!(a < 1.0f)) {{
    return weft_bits(select(0x7fc00000u, 0x7f800000u, a == 1.0f)) * sign(x);
  }}
  let w = sqrt(-log(1.0f - a));
  let t = w - 2.6f;
  return sign(x) * fma({_polynomial("erf_inv_tail", "t")}, w, 0.875f * w);
}}""",
}


def definitions(text: str) -> list[str]:
    """Definitions of the functions that ``text`` calls, and of those that they call."""
    wanted: set[str] = set()
    pending = [text]
    while pending:
        for name in set(re.findall(r"weft_\w+", pending.pop())) - wanted:
            wanted.add(name)
            pending.append(FUNCTIONS[name])
    return [definition for name, definition in FUNCTIONS.items() if name in wanted]
