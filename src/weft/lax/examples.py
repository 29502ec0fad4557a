"""Examples for functions that are made by others, one by one from a primitive."""

from __future__ import annotations

import re


def by_name(text: str) -> dict[str, str]:
    """Examples, apart by empty lines, by the name of the function that each of them calls first."""
    found = {}
    for example in text.strip().split("\n\n"):
        name = re.match(r">>> \(?\w+\.(\w+)\(", example)
        if name is None:
            raise ValueError(f"an example begins with the function that it is for, got: {example}")
        found[name[1]] = f"\n\n{example}\n"
    return found


EXAMPLES = by_name("""
>>> lax.conj(np.array([1 + 2j]))
Array([1.-2.j], dtype=complex64)

>>> lax.complex(np.array([1.0]), np.array([2.0]))
Array([1.+2.j], dtype=complex64)

>>> lax.imag(np.array([1 + 2j]))
Array([2.], dtype=float32)

>>> lax.real(np.array([1 + 2j]))
Array([1.], dtype=float32)

>>> lax.clz(np.array([1, 256]))
Array([31, 23], dtype=int32)

>>> lax.population_count(np.array([7, 8]))
Array([3, 1], dtype=int32)

>>> lax.shift_right_arithmetic(np.array([8, -8]), 1)
Array([ 4, -4], dtype=int32)

>>> lax.shift_right_logical(np.array([8, -8]), 1)
Array([         4, 2147483644], dtype=int32)

>>> lax.shift_left(np.array([1, 3]), 2)
Array([ 4, 12], dtype=int32)

>>> lax.bitwise_not(np.array([0, 5]))
Array([-1, -6], dtype=int32)

>>> lax.bitwise_xor(np.array([6, 5]), 3)
Array([5, 6], dtype=int32)

>>> lax.bitwise_or(np.array([6, 5]), 3)
Array([7, 7], dtype=int32)

>>> lax.bitwise_and(np.array([6, 5]), 3)
Array([2, 1], dtype=int32)

>>> lax.ge(np.array([1, 2]), 2)
Array([False,  True], dtype=bool)

>>> lax.gt(np.array([1, 2]), 1)
Array([False,  True], dtype=bool)

>>> lax.le(np.array([1, 2]), 2)
Array([ True,  True], dtype=bool)

>>> lax.lt(np.array([1, 2]), 2)
Array([ True, False], dtype=bool)

>>> lax.ne(np.array([1, 2]), 2)
Array([ True, False], dtype=bool)

>>> lax.eq(np.array([1, 2]), 2)
Array([False,  True], dtype=bool)

>>> lax.erf_inv(np.array([0.0, 0.5])).round(4)
Array([0.    , 0.4769], dtype=float32)

>>> lax.erfc(np.array([0.0, 1.0])).round(4)
Array([1.    , 0.1573], dtype=float32)

>>> lax.erf(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.8427], dtype=float32)

>>> lax.atanh(np.array([0.0, 0.5])).round(4)
Array([0.    , 0.5493], dtype=float32)

>>> lax.acosh(np.array([1.0, 2.0])).round(4)
Array([0.   , 1.317], dtype=float32)

>>> lax.asinh(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.8814], dtype=float32)

>>> lax.tanh(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.7616], dtype=float32)

>>> lax.cosh(np.array([0.0, 1.0])).round(4)
Array([1.    , 1.5431], dtype=float32)

>>> lax.sinh(np.array([0.0, 1.0])).round(4)
Array([0.    , 1.1752], dtype=float32)

>>> lax.atan2(np.array([1.0, 0.0]), np.array([0.0, -1.0])).round(4)
Array([1.5708, 3.1416], dtype=float32)

>>> lax.atan(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.7854], dtype=float32)

>>> lax.acos(np.array([0.0, 1.0])).round(4)
Array([1.5708, 0.    ], dtype=float32)

>>> lax.asin(np.array([0.0, 1.0])).round(4)
Array([0.    , 1.5708], dtype=float32)

>>> lax.tan(np.array([0.0, 1.0])).round(4)
Array([0.    , 1.5574], dtype=float32)

>>> lax.cos(np.array([0.0, 1.0])).round(4)
Array([1.    , 0.5403], dtype=float32)

>>> lax.sin(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.8415], dtype=float32)

>>> lax.cbrt(np.array([8.0, 27.0]))
Array([2., 3.], dtype=float32)

>>> lax.rsqrt(np.array([4.0, 16.0]))
Array([0.5 , 0.25], dtype=float32)

>>> lax.sqrt(np.array([4.0, 9.0]))
Array([2., 3.], dtype=float32)

>>> lax.logistic(np.array([0.0, 2.0])).round(4)
Array([0.5   , 0.8808], dtype=float32)

>>> lax.log1p(np.array([0.0, 1e-6])).round(4)
Array([0., 0.], dtype=float32)

>>> lax.log(np.array([1.0, 10.0])).round(4)
Array([0.    , 2.3026], dtype=float32)

>>> lax.expm1(np.array([0.0, 1e-6])).round(4)
Array([0., 0.], dtype=float32)

>>> lax.exp2(np.array([0.0, 3.0]))
Array([1., 8.], dtype=float32)

>>> lax.exp(np.array([0.0, 1.0])).round(4)
Array([1.    , 2.7183], dtype=float32)

>>> lax.min(np.array([1, 4]), np.array([3, 2]))
Array([1, 2], dtype=int32)

>>> lax.max(np.array([1, 4]), np.array([3, 2]))
Array([3, 4], dtype=int32)

>>> lax.rem(np.array([7, -7]), 3)
Array([ 1, -1], dtype=int32)

>>> lax.div(np.array([7, -7]), 2)
Array([ 3, -3], dtype=int32)

>>> lax.sub(np.array([1, 2]), 3)
Array([-2, -1], dtype=int32)

>>> lax.add(np.array([1, 2]), 3)
Array([4, 5], dtype=int32)

>>> lax.is_finite(np.array([1.0, np.inf, np.nan]))
Array([ True, False, False], dtype=bool)

>>> lax.ceil(np.array([-1.5, 1.5]))
Array([-1.,  2.], dtype=float32)

>>> lax.floor(np.array([-1.5, 1.5]))
Array([-2.,  1.], dtype=float32)

>>> lax.abs(np.array([-2, 3]))
Array([2, 3], dtype=int32)

>>> lax.sign(np.array([-2.0, 0.0, 3.0]))
Array([-1.,  0.,  1.], dtype=float32)

>>> lax.neg(np.array([1, -2]))
Array([-1,  2], dtype=int32)

>>> lax.lgamma(np.array([1.0, 5.0])).round(4)
Array([0.    , 3.1781], dtype=float32)

>>> lax.digamma(np.array([1.0, 5.0])).round(4)
Array([-0.5772,  1.5061], dtype=float32)

>>> lax.polygamma(1.0, np.array([1.0, 5.0])).round(4)
Array([1.6449, 0.2213], dtype=float32)

>>> lax.zeta(2.0, np.array([1.0, 2.0])).round(4)
Array([1.6449, 0.6449], dtype=float32)

>>> lax.igamma(2.0, np.array([1.0, 5.0])).round(4)
Array([0.2642, 0.9596], dtype=float32)

>>> lax.igammac(2.0, np.array([1.0, 5.0])).round(4)
Array([0.7358, 0.0404], dtype=float32)

>>> lax.igamma_grad_a(2.0, np.array([1.0, 5.0])).round(4)
Array([-0.2762, -0.0559], dtype=float32)

>>> lax.random_gamma_grad(2.0, np.array([1.0, 5.0])).round(4)
Array([0.7508, 1.6581], dtype=float32)

>>> lax.betainc(2.0, 3.0, np.array([0.0, 0.5, 1.0]))
Array([0.    , 0.6875, 1.    ], dtype=float32)

>>> lax.bessel_i0e(np.array([0.0, 1.0])).round(4)
Array([1.    , 0.4658], dtype=float32)

>>> lax.bessel_i1e(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.2079], dtype=float32)

>>> lax.reduce_sum(np.array([[1, 4], [3, 2]]), (1,))
Array([5, 5], dtype=int32)

>>> lax.reduce_prod(np.array([[1, 4], [3, 2]]), (1,))
Array([4, 6], dtype=int32)

>>> lax.reduce_max(np.array([[1, 4], [3, 2]]), (1,))
Array([4, 3], dtype=int32)

>>> lax.reduce_min(np.array([[1, 4], [3, 2]]), (1,))
Array([1, 2], dtype=int32)

>>> lax.reduce_and(np.array([[True, False], [True, True]]), (1,))
Array([False,  True], dtype=bool)

>>> lax.reduce_or(np.array([[True, False], [False, False]]), (1,))
Array([ True, False], dtype=bool)

>>> lax.reduce_xor(np.array([[True, False], [True, True]]), (1,))
Array([ True, False], dtype=bool)

>>> lax.scatter(
...     np.zeros(3),
...     np.array([[1]]),
...     np.array([5.0]),
...     lax.ScatterDimensionNumbers((), (0,), (0,)),
... )
Array([0., 5., 0.], dtype=float32)

>>> lax.scatter_add(
...     np.zeros(3),
...     np.array([[1], [1]]),
...     np.array([5.0, 2.0]),
...     lax.ScatterDimensionNumbers((), (0,), (0,)),
... )
Array([0., 7., 0.], dtype=float32)

>>> lax.scatter_mul(
...     np.ones(3),
...     np.array([[1], [1]]),
...     np.array([5.0, 2.0]),
...     lax.ScatterDimensionNumbers((), (0,), (0,)),
... )
Array([ 1., 10.,  1.], dtype=float32)

>>> lax.scatter_max(
...     np.zeros(3),
...     np.array([[1], [1]]),
...     np.array([5.0, 2.0]),
...     lax.ScatterDimensionNumbers((), (0,), (0,)),
... )
Array([0., 5., 0.], dtype=float32)

>>> lax.scatter_min(
...     np.zeros(3),
...     np.array([[1], [1]]),
...     np.array([-5.0, 2.0]),
...     lax.ScatterDimensionNumbers((), (0,), (0,)),
... )
Array([ 0., -5.,  0.], dtype=float32)
""")
