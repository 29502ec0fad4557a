"""Dtypes beyond NumPy's, with `jax.dtypes`' names: ``bfloat16``, ``float0``, those of random keys.

>>> np.issubdtype(weft.random.key(0).dtype, weft.dtypes.prng_key)
True
"""

from __future__ import annotations

from weft.core.dtypes import bfloat16, extended, float0, prng_key
from weft.core.dtypes import canonical_dtype as canonicalize_dtype
from weft.numpy import issubdtype, result_type

__all__ = [
    "bfloat16",
    "canonicalize_dtype",
    "extended",
    "float0",
    "issubdtype",
    "prng_key",
    "result_type",
]
