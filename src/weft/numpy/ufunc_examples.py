"""Examples for the functions of `weft.numpy` that are made of one operation each."""

from __future__ import annotations

from weft.lax.examples import by_name

EXAMPLES = by_name("""
>>> np.fix(np.array([-1.5, 1.5]))
Array([-1.,  1.], dtype=float32)

>>> np.trunc(np.array([-1.5, 1.5]))
Array([-1.,  1.], dtype=float32)

>>> np.rint(np.array([0.5, 1.5]))
Array([0., 2.], dtype=float32)

>>> np.ceil(np.array([-1.5, 1.5]))
Array([-1.,  2.], dtype=float32)

>>> np.floor(np.array([-1.5, 1.5]))
Array([-2.,  1.], dtype=float32)

>>> np.arctanh(np.array([0.0, 0.5])).round(4)
Array([0.    , 0.5493], dtype=float32)

>>> np.arccosh(np.array([1.0, 2.0])).round(4)
Array([0.   , 1.317], dtype=float32)

>>> np.arcsinh(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.8814], dtype=float32)

>>> np.tanh(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.7616], dtype=float32)

>>> np.cosh(np.array([0.0, 1.0])).round(4)
Array([1.    , 1.5431], dtype=float32)

>>> np.sinh(np.array([0.0, 1.0])).round(4)
Array([0.    , 1.1752], dtype=float32)

>>> np.arctan(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.7854], dtype=float32)

>>> np.arccos(np.array([0.0, 1.0])).round(4)
Array([1.5708, 0.    ], dtype=float32)

>>> np.arcsin(np.array([0.0, 1.0])).round(4)
Array([0.    , 1.5708], dtype=float32)

>>> np.tan(np.array([0.0, 1.0])).round(4)
Array([0.    , 1.5574], dtype=float32)

>>> np.cos(np.array([0.0, 1.0])).round(4)
Array([1.    , 0.5403], dtype=float32)

>>> np.sin(np.array([0.0, 1.0])).round(4)
Array([0.    , 0.8415], dtype=float32)

>>> np.cbrt(np.array([8.0, 27.0]))
Array([2., 3.], dtype=float32)

>>> np.sqrt(np.array([4, 9]))
Array([2., 3.], dtype=float32)

>>> np.log1p(np.array([0.0, 1e-6])).round(4)
Array([0., 0.], dtype=float32)

>>> np.log(np.array([1, 10])).round(4)
Array([0.    , 2.3026], dtype=float32)

>>> np.expm1(np.array([0.0, 1e-6])).round(4)
Array([0., 0.], dtype=float32)

>>> np.exp2(np.array([0, 3]))
Array([1., 8.], dtype=float32)

>>> np.exp(np.array([0, 1])).round(4)
Array([1.    , 2.7183], dtype=float32)

>>> np.logical_xor(np.array([True, False]), True)
Array([False,  True], dtype=bool)

>>> np.logical_or(np.array([True, False]), False)
Array([ True, False], dtype=bool)

>>> np.logical_and(np.array([True, False]), True)
Array([ True, False], dtype=bool)

>>> np.greater_equal(np.array([1, 2]), 2)
Array([False,  True], dtype=bool)

>>> np.greater(np.array([1, 2]), 1)
Array([False,  True], dtype=bool)

>>> np.less_equal(np.array([1, 2]), 1)
Array([ True, False], dtype=bool)

>>> np.less(np.array([1, 2]), 2)
Array([ True, False], dtype=bool)

>>> np.not_equal(np.array([1, 2]), 2)
Array([ True, False], dtype=bool)

>>> np.equal(np.array([1, 2]), 2)
Array([False,  True], dtype=bool)

>>> np.bitwise_xor(np.array([6, 5]), 3)
Array([5, 6], dtype=int32)

>>> np.bitwise_or(np.array([6, 5]), 3)
Array([7, 7], dtype=int32)

>>> np.bitwise_and(np.array([6, 5]), 3)
Array([2, 1], dtype=int32)

>>> np.nextafter(np.array([1.0]), 2.0) > 1
Array([ True], dtype=bool)

>>> np.arctan2(np.array([1.0, 0.0]), np.array([0.0, -1.0])).round(4)
Array([1.5708, 3.1416], dtype=float32)

>>> np.minimum(np.array([1, 4]), 2)
Array([1, 2], dtype=int32)

>>> np.maximum(np.array([1, 4]), 2)
Array([2, 4], dtype=int32)

>>> np.divide(np.array([1, 2]), 4)
Array([0.25, 0.5 ], dtype=float32)

>>> np.multiply(np.array([1, 2]), 3)
Array([3, 6], dtype=int32)

>>> np.add(np.array([1, 2]), 3)
Array([4, 5], dtype=int32)
""")
