"""Functions that C and OpenCL C lack, as text: the inverse of the error function.

The start is M. Giles's approximation ("Approximating the erfinv function", GPU Computing Gems 2,
2011), which float32 needs nothing beyond; float64 takes three steps of Halley's method, with the
complementary error function where erf is near 1.
"""

from __future__ import annotations

_NEAR = (
    (2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087)
    + (-0.00125372503, -0.00417768164, 0.246640727, 1.50140941)
)  # fmt: skip
_FAR = (
    (-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773)
    + (-0.0076224613, 0.00943887047, 1.00167406, 2.83297682)
)  # fmt: skip


def _horner(coefficients: tuple[float, ...]) -> str:
    text = f"{coefficients[0]!r}f"
    for c in coefficients[1:]:
        text = f"({text} * w + {c!r}f)"
    return text


def erf_inv(suffix: str, double: bool = True) -> str:
    """``weft_erf_inv_f32`` and, with ``double``, ``weft_erf_inv_f64``.

    ``suffix`` is what ends the library's functions of float32.
    """
    single = f"""\
static inline float weft_erf_inv_f32(float x) {{
  float w = -log{suffix}((1.0f - x) * (1.0f + x));
  if (!(fabs{suffix}(x) < 1.0f)) return x * w;
  if (w < 5.0f) {{
    w -= 2.5f;
    return {_horner(_NEAR)} * x;
  }}
  w = sqrt{suffix}(w) - 3.0f;
  return {_horner(_FAR)} * x;
}}
"""
    return single + (_DOUBLE if double else "")


_DOUBLE = """\
static inline double weft_erf_inv_f64(double x) {
  double a = fabs(x), tail = 1.0 - a, y;
  if (!(a < 1.0)) return x * -log((1.0 - x) * (1.0 + x));
  if (tail > 1e-6) y = weft_erf_inv_f32((float)a);
  else {
    double t = sqrt(-2.0 * log(tail / 2.0));
    y = (t - (log(t) + 0.918938533204673) / t) / 1.4142135623730951;
  }
  for (int n = 0; n < 4; n++) {
    double error = a > 0.5 ? tail - erfc(y) : erf(y) - a;
    double u = error / (1.1283791670955126 * exp(-y * y));
    y -= u / (1.0 + y * u);
  }
  return x < 0.0 ? -y : y;
}
"""
