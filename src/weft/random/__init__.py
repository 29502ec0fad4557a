"""Random numbers from keys: `jax.random`, bit for bit, for the same keys and default settings.

A key is a scalar of dtype ``key<fry>`` (`key`), or the two uint32 words it is made of (`PRNGKey`, a
raw key), and no function changes it: the same key gives the same numbers. `split` makes an array of
new keys, which is indexed, reshaped, mapped and carried through loops as other arrays are. Bits
come from Threefry-2x32 (Salmon et al., 2011) of a 64-bit counter of the element, so any part
of an array can be computed by itself; distributions follow from bits by the same steps as in JAX
(`jax_threefry_partitionable`, its default). What goes through transcendental functions agrees with
JAX up to their last bits.
"""

from __future__ import annotations

from weft.random.continuous import (
    cauchy,
    double_sided_maxwell,
    exponential,
    gumbel,
    laplace,
    logistic,
    lognormal,
    maxwell,
    normal,
    pareto,
    rayleigh,
    triangular,
    truncated_normal,
    wald,
    weibull_min,
)
from weft.random.counts import binomial, multinomial, poisson
from weft.random.discrete import bernoulli, categorical, geometric, rademacher, randint
from weft.random.gamma import (
    ball,
    beta,
    chisquare,
    dirichlet,
    f,
    gamma,
    generalized_normal,
    loggamma,
    t,
)
from weft.random.keys import (
    Key,
    PRNGKey,
    bits,
    clone,
    fold_in,
    key,
    key_data,
    key_dtype,
    key_impl,
    split,
    wrap_key_data,
)
from weft.random.multivariate import (
    multivariate_normal,
    multivariate_normal_from_factor,
    orthogonal,
)
from weft.random.order import choice, permutation, shuffle
from weft.random.uniform import uniform

__all__ = [
    "Key",
    "PRNGKey",
    "ball",
    "bernoulli",
    "beta",
    "binomial",
    "bits",
    "categorical",
    "cauchy",
    "chisquare",
    "choice",
    "clone",
    "dirichlet",
    "double_sided_maxwell",
    "exponential",
    "f",
    "fold_in",
    "gamma",
    "generalized_normal",
    "geometric",
    "gumbel",
    "key",
    "key_data",
    "key_dtype",
    "key_impl",
    "laplace",
    "loggamma",
    "logistic",
    "lognormal",
    "maxwell",
    "multinomial",
    "multivariate_normal",
    "multivariate_normal_from_factor",
    "normal",
    "orthogonal",
    "pareto",
    "permutation",
    "poisson",
    "rademacher",
    "randint",
    "rayleigh",
    "shuffle",
    "split",
    "t",
    "triangular",
    "truncated_normal",
    "uniform",
    "wald",
    "weibull_min",
    "wrap_key_data",
]
