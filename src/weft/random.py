"""Random numbers from keys: `jax.random`, bit for bit, for the same keys and default settings.

A key is an array of two uint32 words, and no function changes it: the same key gives the same
numbers. `split` makes new keys. Bits come from Threefry-2x32 (Salmon et al., 2011) applied to a
64-bit counter of the element, so any part of an array can be computed by itself; distributions
follow from bits by the same steps as in JAX (`jax_threefry_partitionable`, its default).
"""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy as np

from weft import lax
from weft import numpy as wnp
from weft.core import dtypes
from weft.core.avals import aval_of
from weft.numpy._common import (
    ArrayLike,
    DType,
    Value,
    canonical_axis,
    canonical_shape,
    check_arraylike,
    promote_inexact,
    shape_of,
)
from weft.numpy.creation import asarray
from weft.primitives.random_bits import threefry2x32

Key = Value


def key(seed: ArrayLike, *, impl: str | None = None) -> Key:
    """A key from an integer seed: the low 32 bits of a number, both words of a 64-bit array.

    Raises
    ------
    TypeError: if the seed is not one integer. ValueError: for generators other than Threefry.
    """
    if impl not in (None, "threefry2x32"):
        raise ValueError(f"weft.random.key: the generator is 'threefry2x32', got impl={impl!r}")
    check_arraylike("random.key", seed)
    aval = aval_of(seed)
    if aval.shape or not dtypes.is_integer(aval.dtype):
        raise TypeError(f"weft.random.key: a seed is one integer, got {aval}")
    if isinstance(seed, int | np.integer):
        # As in JAX by default, numbers have 32 bits; an int64 array fills both words.
        return asarray(np.array([0, int(seed) & 0xFFFFFFFF], np.uint32))
    word = asarray(seed)
    if aval.dtype.itemsize < 8:
        low = lax.convert_element_type(word, dtypes.uint32)
        return wnp.stack([wnp.zeros((), dtypes.uint32), low])
    wide = lax.convert_element_type(word, dtypes.uint64)
    high_word = lax.shift_right_logical(wide, np.asarray(32, np.uint64))
    return wnp.stack([lax.convert_element_type(w, dtypes.uint32) for w in (high_word, wide)])


PRNGKey = key


def key_data(keys: Key) -> Value:
    """The words of a key, which is the key itself."""
    return keys


def wrap_key_data(data: ArrayLike, *, impl: str | None = None) -> Key:
    """A key from its two words."""
    return _checked_key("wrap_key_data", asarray(data))


def _checked_key(name: str, value: Any) -> Key:
    check_arraylike(f"random.{name}", value)
    aval = aval_of(value)
    if aval.dtype != np.uint32 or aval.shape != (2,):
        advice = "; split(key) gives several keys, take one: key, subkey = split(key)"
        raise TypeError(
            f"weft.random.{name}: a key is u32[2], as weft.random.key(seed) makes it, got {aval}"
            + (advice if aval.dtype == np.uint32 and aval.ndim == 2 else "")
        )
    return value


def split(key: Key, num: Any = 2) -> Value:
    """`num` new keys (an integer or a shape), as an array of keys.

    >>> key, subkey = weft.random.split(weft.random.key(0))
    """
    shape = canonical_shape("random.split", num)
    first, second = _hash_counts(_checked_key("split", key), shape)
    return wnp.stack([first, second], -1)


def fold_in(key: Key, data: ArrayLike) -> Key:
    """A new key from a key and an integer, such as a step number."""
    key = _checked_key("fold_in", key)
    aval = aval_of(data)
    if aval.shape or not dtypes.is_integer(aval.dtype):
        raise TypeError(f"weft.random.fold_in: data is one integer, got {aval}")
    if isinstance(data, int | np.integer):
        word: Value = np.asarray(int(data) & 0xFFFFFFFF, np.uint32)
    else:
        word = lax.convert_element_type(asarray(data), dtypes.uint32)
    zero = np.zeros((), np.uint32)
    first, second = threefry2x32(key[0], key[1], zero, word)
    return wnp.stack([first, second])


def clone(key: Key) -> Key:
    """The same key again, for numbers that shall be equal on purpose."""
    return wnp.array(_checked_key("clone", key))


# ---------------------------------------------------------------- bits


def _hash_counts(key: Key, shape: tuple[int, ...]) -> list[Value]:
    """Two words for each element of an array: Threefry of its 64-bit position."""
    size = math.prod(shape)
    if size >= 2**32:
        wide = lax.reshape(lax.broadcasted_iota(dtypes.uint64, (size,), 0), shape)
        shift = lax.broadcast_in_dim(np.asarray(32, np.uint64), shape, ())
        high = lax.convert_element_type(lax.shift_right_logical(wide, shift), dtypes.uint32)
        low = lax.convert_element_type(wide, dtypes.uint32)
    else:
        high = lax.broadcast_in_dim(np.zeros((), np.uint32), shape, ())
        low = lax.reshape(lax.broadcasted_iota(dtypes.uint32, (size,), 0), shape)
    return threefry2x32(key[0], key[1], high, low)


def bits(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Uniformly random bits as unsigned integers of 8, 16, 32 (the default) or 64 bits."""
    target = dtypes.uint32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_unsigned(target):
        raise TypeError(f"weft.random.bits: dtype must be an unsigned integer, got {target}")
    return _bits(_checked_key("bits", key), canonical_shape("random.bits", shape), target)


def _bits(key: Key, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    first, second = _hash_counts(key, shape)
    if dtype.itemsize == 8:
        high, low = (lax.convert_element_type(word, dtypes.uint64) for word in (first, second))
        shift = lax.broadcast_in_dim(np.asarray(32, np.uint64), shape, ())
        return lax.bitwise_or(lax.shift_left(high, shift), low)
    return lax.convert_element_type(lax.bitwise_xor(first, second), dtype)


# ---------------------------------------------------------------- continuous distributions


def _float_dtype(name: str, dtype: DType) -> np.dtype:
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_floating(target):
        raise TypeError(f"weft.random.{name}: dtype must be floating-point, got {target}")
    return target


def uniform(
    key: Key,
    shape: Any = (),
    dtype: DType = None,
    minval: ArrayLike = 0.0,
    maxval: ArrayLike = 1.0,
) -> Value:
    """Uniform numbers in [minval, maxval).

    Random bits fill the mantissa of a number in [1, 2), from which 1 is subtracted.
    """
    target = _float_dtype("uniform", dtype)
    wanted = canonical_shape("random.uniform", shape)
    return _uniform(_checked_key("uniform", key), wanted, target, minval, maxval)


def _mantissa_bits(dtype: np.dtype) -> int:
    return int(wnp.finfo(dtype).nmant)


def _uniform(
    key: Key, shape: tuple[int, ...], dtype: np.dtype, minval: ArrayLike, maxval: ArrayLike
) -> Value:
    low = _spread("uniform", minval, shape, dtype)
    high = _spread("uniform", maxval, shape, dtype)
    width, mantissa = 8 * dtype.itemsize, _mantissa_bits(dtype)
    word = np.dtype(f"uint{width}")
    drawn = 8 if mantissa < 8 else width  # bfloat16 has 7 bits to fill: JAX draws a byte for them
    random_bits = lax.convert_element_type(_bits(key, shape, np.dtype(f"uint{drawn}")), word)
    shift = lax.broadcast_in_dim(np.asarray(drawn - mantissa, word), shape, ())
    one = lax.broadcast_in_dim(np.asarray(1, dtype).view(word), shape, ())
    filled = lax.bitwise_or(lax.shift_right_logical(random_bits, shift), one)
    floats = lax.bitcast_convert_type(filled, dtype)
    unit = lax.sub(floats, lax.broadcast_in_dim(np.ones((), dtype), shape, ()))
    # Rounding may reach below minval.
    return lax.max(low, lax.add(lax.mul(unit, lax.sub(high, low)), low))


def _spread(name: str, x: ArrayLike, shape: tuple[int, ...], dtype: np.dtype) -> Value:
    """A parameter as an array of the result's shape and dtype."""
    check_arraylike(f"random.{name}", x)
    own = shape_of(x)
    try:
        fits = np.broadcast_shapes(own, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"weft.random.{name}: a parameter of shape {own} does not broadcast to shape={shape}"
        )
    value = asarray(x, dtype)
    return lax.broadcast_in_dim(value, shape, tuple(range(len(shape) - len(own), len(shape))))


def normal(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard normal distribution, by the inverse error function."""
    target = dtypes.float32 if dtype is None else dtypes.canonical_dtype(dtype)
    wanted = canonical_shape("random.normal", shape)
    if dtypes.is_complex(target):
        part = dtypes.real_dtype(target)
        first, second = split(key)
        real, imag = normal(first, wanted, part), normal(second, wanted, part)
        return lax.complex(real, imag) / np.sqrt(np.array(2, part))
    target = _float_dtype("normal", target)
    low = np.nextafter(np.array(-1, target), np.array(0, target), dtype=target)
    u = _uniform(_checked_key("normal", key), wanted, target, low, np.array(1, target))
    root = lax.broadcast_in_dim(np.asarray(np.sqrt(2), target), wanted, ())
    return lax.mul(root, lax.erf_inv(u))


def multivariate_normal_from_factor(
    key: Key, mean: ArrayLike, factor: ArrayLike, shape: Any = (), dtype: DType = None
) -> Value:
    """Normal vectors with the given mean and covariance factor · factorᵀ."""
    size = shape_of(mean)[-1]
    wanted = canonical_shape("random.multivariate_normal_from_factor", shape)
    samples = normal(key, (*wanted, size), dtype)
    return asarray(mean) + wnp.einsum("ij,...j->...i", factor, samples)


def truncated_normal(
    key: Key, lower: ArrayLike, upper: ArrayLike, shape: Any = None, dtype: DType = None
) -> Value:
    """Standard normal numbers that lie in [lower, upper]."""
    target = _float_dtype("truncated_normal", dtype)
    if shape is None:
        wanted = np.broadcast_shapes(shape_of(lower), shape_of(upper))
    else:
        wanted = canonical_shape("random.truncated_normal", shape)
    root = np.asarray(np.sqrt(2), target)
    below = wnp.asarray(lower, target)
    above = wnp.asarray(upper, target)
    a, b = lax.erf(below / root), lax.erf(above / root)
    u = _uniform(_checked_key("truncated_normal", key), wanted, target, a, b)
    values = root * lax.erf_inv(u)
    # Rounding may reach the limits.
    infinite = np.asarray(np.inf, target)
    return wnp.clip(values, wnp.nextafter(below, infinite), wnp.nextafter(above, -infinite))


def exponential(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the exponential distribution of mean 1."""
    target = _float_dtype("exponential", dtype)
    wanted = canonical_shape("random.exponential", shape)
    u = _uniform(_checked_key("exponential", key), wanted, target, 0.0, 1.0)
    return lax.neg(lax.log1p(lax.neg(u)))  # 1 − u is never 0


def gumbel(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard Gumbel distribution."""
    target = _float_dtype("gumbel", dtype)
    wanted = canonical_shape("random.gumbel", shape)
    tiny = np.asarray(wnp.finfo(target).tiny, target)
    u = _uniform(_checked_key("gumbel", key), wanted, target, tiny, 1.0)
    return -wnp.log(-wnp.log(u))


def laplace(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard Laplace distribution."""
    target = _float_dtype("laplace", dtype)
    wanted = canonical_shape("random.laplace", shape)
    low = np.asarray(-1.0 + wnp.finfo(target).epsneg, target)
    u = _uniform(_checked_key("laplace", key), wanted, target, low, 1.0)
    return lax.mul(lax.sign(u), lax.log1p(lax.neg(lax.abs(u))))


def logistic(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard logistic distribution."""
    target = _float_dtype("logistic", dtype)
    wanted = canonical_shape("random.logistic", shape)
    tiny = np.asarray(wnp.finfo(target).tiny, target)
    u = _uniform(_checked_key("logistic", key), wanted, target, tiny, 1.0)
    return wnp.log(u / (1 - u))


def cauchy(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """Numbers from the standard Cauchy distribution."""
    target = _float_dtype("cauchy", dtype)
    wanted = canonical_shape("random.cauchy", shape)
    eps = np.asarray(wnp.finfo(target).eps, target)
    u = _uniform(_checked_key("cauchy", key), wanted, target, eps, 1.0)
    return wnp.tan(np.asarray(np.pi, target) * (u - np.asarray(0.5, target)))


# ---------------------------------------------------------------- discrete distributions


def bernoulli(key: Key, p: ArrayLike = 0.5, shape: Any = None) -> Value:
    """Booleans that are True with probability `p`."""
    check_arraylike("random.bernoulli", p)
    wanted = shape_of(p) if shape is None else canonical_shape("random.bernoulli", shape)
    target = wnp.result_type(p, 1.0)
    u = _uniform(_checked_key("bernoulli", key), wanted, target, 0.0, 1.0)
    return lax.lt(u, _spread("bernoulli", p, wanted, target))


def randint(
    key: Key, shape: Any, minval: ArrayLike, maxval: ArrayLike, dtype: DType = None
) -> Value:
    """Integers in [minval, maxval), int32 by default; minval where the range is empty.

    Two words of bits are reduced modulo the range, so that it is uniform to 2^−32 (2^−64).
    """
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    if not dtypes.is_integer(target):
        raise TypeError(f"weft.random.randint: dtype must be an integer, got {target}")
    check_arraylike("random.randint", minval, maxval)
    for name, bound in (("minval", minval), ("maxval", maxval)):
        if not dtypes.is_integer(aval_of(bound).dtype):
            raise TypeError(f"weft.random.randint: {name} must be an integer, got {aval_of(bound)}")
    wanted = canonical_shape("random.randint", shape)
    # Narrow integers are drawn in 32 bits: their bounds, the excluded one too, fit there.
    work = target if target.itemsize >= 4 else dtypes.int32
    above = target == work and _exceeds(maxval, np.iinfo(work).max)
    low, high = _clipped(minval, wanted, target, work), _clipped(maxval, wanted, target, work)
    drawn = _randint(_checked_key("randint", key), wanted, low, high, above, work)
    return lax.convert_element_type(drawn, target)


def _exceeds(bound: ArrayLike, limit: int) -> Any:
    """Whether a bound is greater than the dtype's largest value."""
    if isinstance(bound, int | np.integer):
        return int(bound) > limit
    if np.iinfo(aval_of(bound).dtype).max <= limit:
        return False
    return wnp.greater(bound, limit)


def _clipped(bound: ArrayLike, shape: tuple[int, ...], target: np.dtype, work: np.dtype) -> Value:
    """A bound limited to what `target` holds (one more if `work` has room), in `work`."""
    info = np.iinfo(target)
    least, most = int(info.min), int(info.max) + (work != target)
    if isinstance(bound, int | np.integer):
        bound = np.asarray(min(max(int(bound), least), most), work)
    else:
        limits = np.iinfo(aval_of(bound).dtype)
        if limits.min < least or limits.max > most:
            bound = wnp.clip(bound, max(least, int(limits.min)), min(most, int(limits.max)))
    return _spread("randint", bound, shape, work)


def _randint(
    key: Key, shape: tuple[int, ...], low: Value, high: Value, above: Any, dtype: np.dtype
) -> Value:
    width = 8 * dtype.itemsize
    word = np.dtype(f"uint{width}")
    first, second = split(key)
    higher, lower = _bits(first, shape, word), _bits(second, shape, word)
    one = lax.broadcast_in_dim(np.ones((), word), shape, ())
    span = lax.convert_element_type(lax.sub(high, low), word)
    span = lax.select_n(lax.le(high, low), span, one)
    if above is not False:
        # The excluded bound does not fit the dtype: the range reaches its largest value.
        reached = lax.bitwise_and(asarray(above & (high > low)), lax.gt(high, low))
        span = lax.select_n(reached, span, lax.add(span, one))
    # 2^width mod span, in words of that width.
    half = lax.broadcast_in_dim(np.asarray(2 ** (width // 2), word), shape, ())
    multiplier = lax.rem(half, span)
    multiplier = lax.rem(lax.mul(multiplier, multiplier), span)
    offset = lax.rem(
        lax.add(lax.mul(lax.rem(higher, span), multiplier), lax.rem(lower, span)), span
    )
    return lax.add(low, lax.convert_element_type(offset, dtype))


def rademacher(key: Key, shape: Any = (), dtype: DType = None) -> Value:
    """−1 or 1 with equal probability."""
    target = dtypes.int32 if dtype is None else dtypes.canonical_dtype(dtype)
    wanted = canonical_shape("random.rademacher", shape)
    heads = bernoulli(key, 0.5, wanted)
    return asarray(2 * heads.astype(target) - 1, target)


def categorical(
    key: Key, logits: ArrayLike, axis: int = -1, shape: Any = None, replace: bool = True
) -> Value:
    """Indices along `axis` with probabilities softmax(logits), by the Gumbel trick."""
    if not replace:
        raise ValueError("weft.random.categorical: replace=False is not supported")
    scores = asarray(logits)
    ndim = len(shape_of(scores))
    if not ndim:
        raise ValueError("weft.random.categorical: logits need an axis of classes")
    number = axis % ndim
    batch = tuple(n for d, n in enumerate(shape_of(scores)) if d != number)
    wanted = batch if shape is None else canonical_shape("random.categorical", shape)
    if wanted[max(len(wanted) - len(batch), 0) :] != batch:
        raise ValueError(
            f"weft.random.categorical: shape={wanted} does not end with the batch shape {batch}"
        )
    lead = wanted[: len(wanted) - len(batch)]
    noisy = list(wanted[len(lead) :])
    noisy.insert(number, shape_of(scores)[number])
    noise = gumbel(key, (*lead, *noisy), wnp.result_type(scores, 1.0))
    return wnp.argmax(noise + scores, axis=number + len(lead))


# ---------------------------------------------------------------- order


def permutation(key: Key, x: ArrayLike, axis: int = 0, independent: bool = False) -> Value:
    """`x` with the slices along `axis` in random order; for an integer, of ``arange(x)``.

    With `independent`, each row along the axis has an order of its own.

    >>> weft.random.permutation(weft.random.key(0), 5)
    Array([0, 1, 4, 3, 2], dtype=int32)
    """
    key = _checked_key("permutation", key)
    check_arraylike("random.permutation", x)
    if not shape_of(x):
        return _shuffled(key, wnp.arange(_size("permutation", x)), 0)
    number = canonical_axis("random.permutation", axis, len(shape_of(x)))
    if independent or len(shape_of(x)) == 1:
        return _shuffled(key, asarray(x), number)
    order = _shuffled(key, wnp.arange(shape_of(x)[number]), 0)
    return wnp.take(x, order, number)


def shuffle(key: Key, x: ArrayLike, axis: int = 0) -> Value:
    """`x` with the elements of each row along `axis` in a random order of its own."""
    return permutation(key, x, axis, independent=True)


def _size(name: str, x: ArrayLike) -> int:
    if not dtypes.is_integer(aval_of(x).dtype):
        raise TypeError(
            f"weft.random.{name}: needs an array with an axis or a number of elements, got "
            f"{aval_of(x)}"
        )
    return operator.index(x)


def _shuffled(key: Key, x: Value, axis: int) -> Value:
    """Sorted by random words; again by other ones, so often that ties hardly matter."""
    size = math.prod(shape_of(x))
    rounds = math.ceil(3 * math.log(max(1, size)) / math.log(2**32 - 1))
    for _ in range(rounds):
        key, subkey = split(key)
        _, x = lax.sort_key_val(_bits(subkey, shape_of(x), dtypes.uint32), x, axis)
    return x


def choice(
    key: Key,
    a: ArrayLike,
    shape: Any = (),
    replace: bool = True,
    p: ArrayLike | None = None,
    axis: int = 0,
) -> Value:
    """Random elements (slices along `axis`) of `a`; for an integer, of ``arange(a)``.

    Parameters
    ----------
    shape: how many are drawn; it takes the place of `axis` in the result.
    replace: whether an element may be drawn more than once.
    p: the probability of each; equal ones without it.

    >>> weft.random.choice(weft.random.key(0), 10, (3,), replace=False)
    Array([0, 1, 8], dtype=int32)
    """
    key = _checked_key("choice", key)
    check_arraylike("random.choice", a)
    wanted = canonical_shape("random.choice", shape)
    own = shape_of(a)
    number = canonical_axis("random.choice", axis, len(own)) if own else 0
    size = own[number] if own else _size("choice", a)
    result_shape = (*own[:number], *wanted, *own[number + 1 :])
    drawn = math.prod(wanted)
    if drawn == 0:
        return wnp.zeros(result_shape, aval_of(a).dtype)
    if size < 1 or (not replace and drawn > size):
        raise ValueError(
            f"weft.random.choice: cannot draw {drawn} of {size} elements"
            + ("" if replace else " without replacement (replace=False)")
        )
    if p is None and not replace:
        order = permutation(key, asarray(a) if own else size, number)
        return lax.reshape(lax.slice_in_dim(order, 0, drawn, axis=number), result_shape)
    index = randint(key, wanted, 0, size) if p is None else _drawn(key, size, wanted, replace, p)
    return wnp.take(a, index, number).reshape(result_shape) if own else index


def _drawn(key: Key, size: int, shape: tuple[int, ...], replace: bool, p: ArrayLike) -> Value:
    """Indices drawn with probabilities `p`."""
    (weights,) = promote_inexact("random.choice", asarray(p))
    if shape_of(weights) != (size,):
        raise ValueError(
            f"weft.random.choice: p must have one probability for each of {size} elements, got "
            f"shape {shape_of(weights)}"
        )
    if replace:
        upto = wnp.cumsum(weights)
        r = upto[-1] * (1 - uniform(key, shape, aval_of(upto).dtype))
        return wnp.searchsorted(upto, r)
    # The greatest of log p + Gumbel noise are a sample without replacement (Vieira, 2014).
    noisy = gumbel(key, (size,), aval_of(weights).dtype) + wnp.log(weights)
    return lax.reshape(lax.top_k(noisy, math.prod(shape))[1], shape)
