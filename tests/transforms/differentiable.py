"""How each public function of the differentiable namespaces is called to check its derivatives.

A namespace is a table from names to functions of float64 arrays ``x`` (a vector), ``y`` (another)
and ``m`` (a matrix); those that have no derivative are listed apart.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as onp

import weft
import weft.numpy as np
from weft import lax, nn
from weft.lax import special

X = onp.array([0.31, 0.74, 0.52])
Y = onp.array([0.63, 0.27, 0.88])
M = onp.array([[0.4, 1.3, 0.7], [0.9, 0.2, 1.1], [0.6, 1.7, 0.5]])
POINT = {"x": X, "y": Y, "m": M}
INDEX = onp.array([2, 0])


def names(text: str) -> set[str]:
    return set(text.split())


def first(x: Any) -> Any:
    """The first element, as an array: NumPy's own would be a weakly typed scalar."""
    return x[:1].reshape(())


def numpy_calls() -> dict[str, Callable[..., Any]]:
    unary = """abs absolute acos angle arccos arcsin arcsinh arctan arctanh asin asinh atan atanh
    cbrt ceil conj conjugate cos cosh deg2rad degrees exp exp2 expm1 fabs fix floor imag log log10
    log1p log2 negative positive rad2deg radians real reciprocal rint round around sign sin sinc
    sinh sqrt square tan tanh trunc nan_to_num
    amax amin max min mean median nanmax nanmean nanmedian nanmin nanprod nanstd nansum nanvar prod
    ptp std sum var average cumprod cumsum cumulative_prod cumulative_sum nancumprod nancumsum
    sort atleast_1d atleast_2d atleast_3d array asarray diff ediff1d flip gradient ravel
    squeeze trapezoid diag vander copy diagflat poly polyder polyint unwrap i0"""
    binary = """add arctan2 atan2 convolve copysign correlate divide dot fmax fmin fmod float_power
    heaviside hypot inner kron logaddexp logaddexp2 maximum minimum mod multiply outer polyadd
    polymul polysub polyval pow power remainder subtract true_divide vdot vecdot floor_divide
    divmod"""
    matrix = """corrcoef cov diagonal fliplr flipud matrix_transpose rot90 trace transpose tril triu
    """
    joining = "column_stack concat concatenate dstack hstack row_stack stack vstack"
    calls: dict[str, Callable[..., Any]] = {}
    for name in unary.split():
        calls[name] = lambda x, name=name: getattr(np, name)(x)
    for name in binary.split():
        calls[name] = lambda x, y, name=name: getattr(np, name)(x, y)
    for name in matrix.split():
        calls[name] = lambda m, name=name: getattr(np, name)(m)
    for name in joining.split():
        calls[name] = lambda x, y, name=name: getattr(np, name)([x, y])
    calls.update(
        acosh=lambda x: np.acosh(1 + x),
        frexp=lambda x: np.frexp(x)[0],
        ldexp=lambda x: np.ldexp(x, 3),
        modf=lambda x: np.modf(x)[0],
        arccosh=lambda x: np.arccosh(1 + x),
        append=lambda x, y: np.append(x, y),
        apply_along_axis=lambda m: np.apply_along_axis(np.cumprod, 1, m),
        apply_over_axes=lambda m: np.apply_over_axes(np.prod, m, (0, 1)),
        bincount=lambda x: np.bincount(onp.array([0, 2, 0]), x),
        delete=lambda x: np.delete(x, 1),
        fill_diagonal=lambda m, x: np.fill_diagonal(m, x, inplace=False),
        frompyfunc=lambda x, y: np.frompyfunc(lambda a, b: a * b + b, 2, 1).outer(x, y),
        fromfunction=lambda x: np.fromfunction(lambda i: i * first(x), (3,)),
        histogram=lambda x: np.histogram(Y, 2, weights=x)[0],
        histogram2d=lambda x: np.histogram2d(Y, X, 2, weights=x)[0],
        histogram_bin_edges=lambda x: np.histogram_bin_edges(x, 3),
        histogramdd=lambda x: np.histogramdd(M, 2, weights=x)[0],
        insert=lambda x, y: np.insert(x, onp.array([1, 0, 1]), y),
        intersect1d=lambda x: np.intersect1d(x, x[::-1], size=3),
        kaiser=lambda x: np.kaiser(4, first(x)),
        matvec=lambda m, x: np.matvec(m, x),
        piecewise=lambda x: np.piecewise(x, [onp.array([True, False, True])], [np.sin, np.cos]),
        place=lambda x, y: np.place(x, onp.array([False, True, True]), y, inplace=False),
        polydiv=lambda x, y: np.polydiv(x, y[:2]),
        polyfit=lambda x, y: np.polyfit(x, y, 1),
        put=lambda x, y: np.put(x, INDEX, y, inplace=False),
        put_along_axis=lambda m, x: np.put_along_axis(m, INDEX[None], x[:2], 1, inplace=False),
        rollaxis=lambda m: np.rollaxis(m, 1),
        roots=lambda x: np.abs(np.roots(np.append(1.0, x[:2]), strip_zeros=False)),
        setdiff1d=lambda x: np.setdiff1d(x, Y, size=2),
        setxor1d=lambda x, y: np.setxor1d(x, y, size=6),
        sort_complex=lambda x: np.sort_complex(x).real,
        union1d=lambda x, y: np.union1d(x, y, size=6),
        unique=lambda x: np.unique(x, size=3),
        unique_values=lambda x: np.unique_values(x, size=3),
        unique_all=lambda x: np.unique_all(x, size=3).values,
        unique_counts=lambda x: np.unique_counts(x, size=3).values,
        unique_inverse=lambda x: np.unique_inverse(x, size=3).values,
        vecmat=lambda x, m: np.vecmat(x, m),
        vectorize=lambda m, x: np.vectorize(np.dot, signature="(n),(n)->()")(m, x),
        array_split=lambda m: np.array_split(m, 2),
        astype=lambda x: np.astype(x, "float64"),
        block=lambda x, y: np.block([x, y]),
        broadcast_arrays=lambda x, m: np.broadcast_arrays(x, m),
        broadcast_to=lambda x: np.broadcast_to(x, (2, 3)),
        choose=lambda x, y: np.choose(onp.array([0, 1, 0]), [x, y]),
        clip=lambda x: np.clip(x, 0.4, 0.6),
        compress=lambda x: np.compress(onp.array([True, False, True]), x),
        divmod=lambda x, y: np.divmod(x, y)[1],
        cross=lambda x, y: np.cross(x, y),
        dsplit=lambda m: np.dsplit(m[None], 3),
        einsum=lambda x, m: np.einsum("i,ij->j", x, m),
        expand_dims=lambda x: np.expand_dims(x, 0),
        extract=lambda x: np.extract(onp.array([True, False, True]), x),
        full=lambda x: np.full((2, 3), x),
        full_like=lambda x: np.full_like(X, first(x)),
        geomspace=lambda x, y: np.geomspace(first(x), first(y), 4),
        hsplit=lambda m: np.hsplit(m, 3),
        interp=lambda x, y: np.interp(x, onp.array([0.0, 0.6, 1.0]), y),
        linspace=lambda x, y: np.linspace(x, y, 4),
        logspace=lambda x, y: np.logspace(first(x), first(y), 3),
        matmul=lambda m, x: np.matmul(m, x),
        meshgrid=lambda x, y: np.meshgrid(x, y),
        moveaxis=lambda m: np.moveaxis(m, 0, 1),
        nanpercentile=lambda x: np.nanpercentile(x, 30.0),
        nanquantile=lambda x: np.nanquantile(x, 0.3),
        pad=lambda x: np.pad(x, 2, mode="reflect"),
        partition=lambda x: np.partition(x, 1),
        percentile=lambda x: np.percentile(x, 30.0),
        permute_dims=lambda m: np.permute_dims(m, (1, 0)),
        polyder=lambda x: np.polyder(x),
        quantile=lambda x: np.quantile(x, 0.3),
        repeat=lambda x: np.repeat(x, 2),
        reshape=lambda m: np.reshape(m, (9,)),
        resize=lambda x: np.resize(x, (2, 2)),
        roll=lambda x: np.roll(x, 1),
        select=lambda x, y: np.select([onp.array([True, False, False])], [x], y),
        split=lambda x: np.split(x, 3),
        swapaxes=lambda m: np.swapaxes(m, 0, 1),
        take=lambda x: np.take(x, INDEX),
        take_along_axis=lambda x: np.take_along_axis(x, INDEX, 0),
        tensordot=lambda m, x: np.tensordot(m, x, 1),
        tile=lambda x: np.tile(x, 2),
        unstack=lambda m: np.unstack(m),
        vsplit=lambda m: np.vsplit(m, 3),
        where=lambda x, y: np.where(onp.array([True, False, True]), x, y),
    )
    return calls


NUMPY_DISCRETE = names(
    """all allclose any arange argmax argmin argpartition argsort argwhere array_equal array_equiv
    array_repr array_str bartlett bfloat16 bitwise_and bitwise_count bitwise_invert
    bitwise_left_shift bitwise_not bitwise_or bitwise_right_shift bitwise_xor blackman bool
    bool_ broadcast_shapes can_cast cdouble complex128 complex64 complex_ count_nonzero csingle
    diag_indices diag_indices_from digitize double einsum_path empty empty_like equal eye finfo
    flatnonzero float16 float32 float64 float_ from_dlpack frombuffer fromfile fromiter
    fromstring gcd get_printoptions greater greater_equal hamming hanning identity iinfo indices
    int16 int32 int64 int8 int_ invert isclose iscomplex iscomplexobj isdtype isfinite isin
    isinf isnan isneginf isposinf isreal isrealobj isscalar issubdtype iterable ix_ lcm
    left_shift less less_equal lexsort load loadtxt logical_and logical_not logical_or
    logical_xor mask_indices nanargmax nanargmin ndim nextafter nonzero not_equal ones ones_like
    packbits printoptions promote_types ravel_multi_index result_type right_shift save savetxt
    savez savez_compressed searchsorted set_printoptions shape signbit single size spacing tri
    tril_indices tril_indices_from trim_zeros triu_indices triu_indices_from uint uint16 uint32
    uint64 uint8 unpackbits unravel_index zeros zeros_like"""
)


def lax_calls() -> dict[str, Callable[..., Any]]:
    unary = """abs acos asin asinh atan atanh bessel_i0e bessel_i1e cbrt ceil cos cosh digamma
    erf erf_inv erfc exp exp2 expm1 floor lgamma log log1p logistic neg reciprocal round
    rsqrt sign sin sinh sqrt square tan tanh cumlogsumexp cummax cummin cumprod cumsum sort"""
    binary = "add atan2 complex div dot max min mul pow rem sub"
    reductions = "reduce_max reduce_min reduce_prod reduce_sum"
    calls: dict[str, Callable[..., Any]] = {}
    for name in unary.split():
        calls[name] = lambda x, name=name: getattr(lax, name)(x)
    for name in binary.split():
        calls[name] = lambda x, y, name=name: getattr(lax, name)(x, y)
    for name in reductions.split():
        calls[name] = lambda m, name=name: getattr(lax, name)(m, (0,))
    image, kernel = (1, 1, 3, 3), (1, 1, 2, 2)

    def convolved(convolve: Callable[..., Any], *rest: Any) -> Callable[..., Any]:
        return lambda m: convolve(lax.reshape(m, image), lax.reshape(m[:2, :2], kernel), *rest)

    along_rows = lax.GatherDimensionNumbers((1,), (0,), (0,))
    into_rows = lax.ScatterDimensionNumbers((1,), (0,), (0,))
    places = onp.array([[2], [0]])

    def scattered(scatter: Callable[..., Any]) -> Callable[..., Any]:
        return lambda m: scatter(m, places, m[:2] * 2, into_rows)

    calls.update(
        acosh=lambda x: lax.acosh(1 + x),
        approx_max_k=lambda x: lax.approx_max_k(x, 2)[0],
        approx_min_k=lambda x: lax.approx_min_k(x, 2)[0],
        broadcast_like=lambda x: lax.broadcast_like(x, M),
        composite=lambda x: lax.composite(lambda v: v * v, "square")(x),
        conv_general_dilated_local=lambda m, x, y: lax.conv_general_dilated_local(
            x[None, None], lax.reshape(m[:2, :2], (1, 2, 2)), (1,), "VALID", (2,)
        ),
        conv_general_dilated_patches=lambda m: lax.conv_general_dilated_patches(
            lax.reshape(m, image), (2, 2), (1, 1), "SAME"
        ),
        custom_linear_solve=lambda m, x: lax.custom_linear_solve(
            lambda v: np.matmul(m, v),
            x,
            lambda matvec, b: np.linalg.solve(lax.stop_gradient(m), b),
            lambda vecmat, b: np.linalg.solve(lax.stop_gradient(m).T, b),
        ),
        custom_root=lambda x: lax.custom_root(
            lambda r: r * r - x, X, lambda f, guess: np.sqrt(x), lambda g, y: y / g(np.ones_like(y))
        ),
        optimization_barrier=lambda x: lax.optimization_barrier(x),
        platform_dependent=lambda x: lax.platform_dependent(x, default=lambda v: v * v),
        ragged_dot=lambda m: lax.ragged_dot(m, lax.stack([m, m * m]), onp.array([1, 2])),
        ragged_dot_general=lambda m: lax.ragged_dot_general(
            m,
            m,
            onp.array([1, 2]),
            lax.RaggedDotDimensionNumbers((((0,), (0,)), ((), ())), (0,), ()),
        ),
        stack=lambda x, y: lax.stack([x, y]),
        tile=lambda x: lax.tile(x, (2,)),
        unstack=lambda m: lax.unstack(m),
        associative_scan=lambda x: lax.associative_scan(lax.mul, x),
        batch_matmul=lambda m: lax.batch_matmul(m[None], m[None]),
        betainc=lambda x, y: lax.betainc(onp.full(3, 2.0), onp.full(3, 3.0), x * y),
        broadcast=lambda x: lax.broadcast(x, (2,)),
        broadcast_in_dim=lambda x: lax.broadcast_in_dim(x, (3, 2), (0,)),
        broadcast_to_rank=lambda x: lax.broadcast_to_rank(x, 3),
        clamp=lambda x: lax.clamp(0.4, x, 0.6),
        collapse=lambda m: lax.collapse(m, 0, 2),
        concatenate=lambda x, y: lax.concatenate([x, y], 0),
        cond=lambda x, y: lax.cond(first(x) > 0, lambda a: a * y, lambda a: a, x),
        conj=lambda x, y: lax.conj(lax.complex(x, y)),
        conv=convolved(lax.conv, (1, 1), "SAME"),
        conv_general_dilated=convolved(lax.conv_general_dilated, (1, 1), "SAME"),
        conv_transpose=lambda m: lax.conv_transpose(
            lax.reshape(m, (1, 3, 3, 1)), lax.reshape(m[:2, :2], (2, 2, 1, 1)), (2, 2), "SAME"
        ),
        conv_with_general_padding=convolved(
            lax.conv_with_general_padding, (1, 1), [(1, 0), (0, 1)], (1, 1), (1, 1)
        ),
        convert_element_type=lambda x: lax.convert_element_type(x, "float64"),
        dot_general=lambda m, x: lax.dot_general(m, x, (((1,), (0,)), ((), ()))),
        dynamic_index_in_dim=lambda m: lax.dynamic_index_in_dim(m, 1),
        dynamic_slice=lambda x: lax.dynamic_slice(x, (1,), (2,)),
        dynamic_slice_in_dim=lambda x: lax.dynamic_slice_in_dim(x, 1, 2),
        dynamic_update_index_in_dim=lambda m, x: lax.dynamic_update_index_in_dim(m, x, 1, 0),
        dynamic_update_slice=lambda x, y: lax.dynamic_update_slice(x, y[:2], (1,)),
        dynamic_update_slice_in_dim=lambda x, y: lax.dynamic_update_slice_in_dim(x, y[:2], 1, 0),
        expand_dims=lambda x: lax.expand_dims(x, (0,)),
        fori_loop=lambda x, y: lax.fori_loop(0, 3, lambda i, v: v * y, x),
        full=lambda x: lax.full((2,), first(x)),
        full_like=lambda x: lax.full_like(X, first(x)),
        gather=lambda m: lax.gather(m, places, along_rows, (1, 3)),
        igamma=lambda x: lax.igamma(onp.full(3, 1.5), x),
        igammac=lambda x: lax.igammac(onp.full(3, 1.5), x),
        imag=lambda x, y: lax.imag(lax.exp(lax.complex(x, y))),
        index_in_dim=lambda m: lax.index_in_dim(m, 1),
        index_take=lambda m: lax.index_take(m, (INDEX,), (0,)),
        integer_pow=lambda x: lax.integer_pow(x, -3),
        map=lambda x: lax.map(lambda e: e * e, x),
        pad=lambda x: lax.pad(x, first(x), [(1, -1, 1)]),
        polygamma=lambda x: lax.polygamma(onp.full(3, 1.0), x),
        real=lambda x, y: lax.real(lax.exp(lax.complex(x, y))),
        reduce=lambda m: lax.reduce(m, onp.asarray(0.0), lax.add, (0,)),
        reduce_window=lambda m: lax.reduce_window(m, 0.0, lax.add, (2, 2), (1, 1), "SAME"),
        reshape=lambda m: lax.reshape(m, (9,)),
        rev=lambda x: lax.rev(x, (0,)),
        scan=lambda x, y: lax.scan(lambda c, e: (c * e, c + e), first(x), y),
        scatter=scattered(lax.scatter),
        scatter_add=scattered(lax.scatter_add),
        scatter_max=scattered(lax.scatter_max),
        scatter_min=scattered(lax.scatter_min),
        scatter_mul=lambda m, x: lax.scatter_mul(
            m, places, lax.broadcast(x, (2,)), into_rows, unique_indices=True
        ),
        scatter_sub=scattered(lax.scatter_sub),
        select=lambda x, y: lax.select(onp.array([True, False, True]), x, y),
        select_n=lambda x, y: lax.select_n(onp.array([True, False, True]), x, y),
        slice=lambda x: lax.slice(x, (1,), (3,)),
        slice_in_dim=lambda x: lax.slice_in_dim(x, 1, 3),
        sort_key_val=lambda x, y: lax.sort_key_val(x, y),
        split=lambda x: lax.split(x, (1, 2)),
        squeeze=lambda x: lax.squeeze(x[None], (0,)),
        switch=lambda x: lax.switch(1, [lambda a: a, lambda a: a * a], x),
        top_k=lambda x: lax.top_k(x, 2)[0],
        transpose=lambda m: lax.transpose(m, (1, 0)),
        zeta=lambda y: lax.zeta(onp.full(3, 3.0), y),
        all_gather=mapped(lambda v: lax.all_gather(v * v, "i")),
        all_to_all=mapped(lambda v: lax.all_to_all(v * v, "i", 0, 0)),
        pmax=mapped(lambda v: lax.pmax(v * v, "i")),
        pmean=mapped(lambda v: v * lax.pmean(v, "i")),
        pmin=mapped(lambda v: lax.pmin(v * v, "i")),
        ppermute=mapped(lambda v: v * lax.ppermute(v, "i", [(0, 1), (2, 0)])),
        pshuffle=mapped(lambda v: v * lax.pshuffle(v, "i", [2, 0, 1])),
        psum=mapped(lambda v: v * lax.psum(v, "i")),
        psum_scatter=mapped(lambda v: lax.psum_scatter(v * v, "i")),
        pswapaxes=mapped(lambda v: lax.pswapaxes(v * v, "i", 0)),
        reduce_precision=lambda x: lax.reduce_precision(x * x, 11, 52),  # as precise as float64
        while_loop=lambda x, y: lax.while_loop(
            lambda state: state[0] < 3, lambda state: (state[0] + 1, state[1] * y), (0, x)
        )[1],
    )
    return calls


#: Loops of unknown length are refused by reverse mode, as in JAX.
FORWARD_ONLY = {"while_loop"}


def mapped(f: Callable[[Any], Any]) -> Callable[..., Any]:
    """``f`` of the rows of a matrix, which see each other along the axis ``i``."""
    return lambda m: weft.vmap(f, axis_name="i")(m)


LAX_DISCRETE = names(
    """argmax argmin axis_index axis_size bitcast_convert_type bitwise_and
    bitwise_not bitwise_or bitwise_xor broadcast_shapes broadcasted_iota clz conv_dimension_numbers
    conv_general_permutations conv_general_shape_tuple conv_shape_tuple conv_transpose_shape_tuple
    dce_sink dtype empty mulhi rng_bit_generator rng_uniform shape_as_value
    eq ge gt igamma_grad_a iota is_finite le lt ne nextafter padtype_to_pads
    population_count random_gamma_grad reduce_and
    reduce_or reduce_window_shape_tuple reduce_xor scatter_apply shift_left
    shift_right_arithmetic shift_right_logical stop_gradient zeros_like_array"""
)


def nn_calls() -> dict[str, Callable[..., Any]]:
    unary = """celu elu gelu hard_sigmoid hard_silu hard_swish hard_tanh leaky_relu log_sigmoid
    log_softmax logsumexp mish normalize relu relu6 selu sigmoid silu soft_sign softmax softplus
    standardize swish tanh identity squareplus sparse_plus
    sparse_sigmoid log1mexp logmeanexp"""
    calls: dict[str, Callable[..., Any]] = {}
    for name in unary.split():
        calls[name] = lambda x, name=name: getattr(nn, name)(x)
    calls.update(
        dot_product_attention=lambda m, x: nn.dot_product_attention(
            m[:, None], m[:, None] * x, m[:, None] + x, is_causal=True
        ),
        glu=lambda m: nn.glu(m[:2], 0),
        avg_pool=lambda m: nn.avg_pool(m[None, :, :, None], (2, 2)),
        pool=lambda m: nn.pool(m[None, :, :, None], 0.0, lax.add, (2, 2), (1, 1), "SAME"),
        max_pool=lambda m: nn.max_pool(m[None, :, :, None], (2, 2)),
        min_pool=lambda m: nn.min_pool(m[None, :, :, None], (2, 2)),
    )
    return calls


NN_DISCRETE = {"one_hot"}


def special_calls() -> dict[str, Callable[..., Any]]:
    lax_table = lax_calls()
    return {name: lax_table[name] for name in dir(special) if name in lax_table}


SPECIAL_DISCRETE = {"igamma_grad_a", "random_gamma_grad"}
