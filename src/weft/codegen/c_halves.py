"""Half types in C-like languages that need not have them: float16 and bfloat16 as their bits.

In registers and in memory they are unsigned numbers of 16 bits. Arithmetic is done in float32 and
rounded once per operation. float64 goes through float32 rounded to odd (Boldo & Melquiond 2008),
which keeps the second rounding from seeing a tie that is none.
"""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

HALVES = {np.dtype(np.float16): "f16", np.dtype(ml_dtypes.bfloat16): "bf16"}

_TEXT = """\
{q} float weft_f32_of_bf16(unsigned short x) {{ return {as_float}((unsigned)x << 16); }}
{q} unsigned short weft_bf16_of_f32(float x) {{
  const unsigned b = {as_bits}(x);
  if ((b & 0x7fffffffu) > 0x7f800000u) return (unsigned short)((b >> 16) | 0x40u);
  return (unsigned short)((b + 0x7fffu + ((b >> 16) & 1u)) >> 16);
}}
{q} float weft_f32_of_f16(unsigned short x) {{
  const unsigned s = ((unsigned)x & 0x8000u) << 16, e = (x >> 10) & 31u, m = x & 1023u;
  if (e == 31u) return {as_float}(s | 0x7f800000u | (m << 13));
  if (e == 0u) return {as_float}(s | {as_bits}((float)m * 5.9604644775390625e-08f));
  return {as_float}(s | ((e + 112u) << 23) | (m << 13));
}}
{q} unsigned short weft_f16_of_f32(float x) {{
  const unsigned b = {as_bits}(x), s = (b >> 16) & 0x8000u, a = b & 0x7fffffffu;
  if (a > 0x7f800000u) return (unsigned short)(s | 0x7e00u | ((a >> 13) & 0x1ffu));
  if (a >= 0x477ff000u) return (unsigned short)(s | 0x7c00u);
  if (a < 0x38800000u)
    return (unsigned short)(s | (unsigned){rint}({as_float}(a) * 16777216.0f));
  return (unsigned short)(s | ((a - 0x38000000u + 0xfffu + ((a >> 13) & 1u)) >> 13));
}}
"""
_DOUBLE = """\
{q} float weft_odd_f32(double x) {{
  const float f = (float)x;
  if ((double)f == x || x != x) return f;
  const unsigned b = {as_bits}(f);
  return {as_float}((((double)f > x) == (x > 0) ? b - 1u : b) | 1u);
}}
"""


def definitions(qualifiers: str, as_float: str, as_bits: str, rint: str) -> tuple[str, str]:
    """The functions that code for half types calls: without and with those of float64."""
    words = {"q": qualifiers, "as_float": as_float, "as_bits": as_bits, "rint": rint}
    return _TEXT.format(**words), _DOUBLE.format(**words)


def is_half(dtype: np.dtype) -> bool:
    """Whether numbers of ``dtype`` are kept as 16 bits."""
    return dtype in HALVES


def widened(value: str, dtype: np.dtype) -> str:
    """A number of a half type as float32."""
    return f"weft_f32_of_{HALVES[dtype]}({value})"


def narrowed(value: str, dtype: np.dtype) -> str:
    """A float32 rounded to a half type."""
    return f"weft_{HALVES[dtype]}_of_f32({value})"


def literal(value: Any, dtype: np.dtype) -> str:
    """The bits of a constant."""
    bits = int(np.asarray(value, dtype).view(np.uint16))
    return f"((unsigned short)0x{bits:04x})"
