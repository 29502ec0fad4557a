"""Products, einsum and norms against NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp


def sample(*shape, seed=0):
    return np.random.default_rng(seed + sum(shape)).standard_normal(shape).astype(np.float32)


def check(result, expected):
    assert result.shape == np.shape(expected)
    np.testing.assert_allclose(np.asarray(result), expected, rtol=1e-4, atol=1e-5)


SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 4)), ((2, 3), (3, 4)), ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)), ((5, 2, 3), (5, 3, 4)), ((5, 1, 2, 3), (6, 3, 4)), ((3,), (5, 3, 4)),
    ((5, 2, 3), (3,)), ((1, 2, 3), (5, 3, 4)), ((0, 3), (3, 2)), ((2, 0), (0, 3)),
    ((6, 1, 2, 3), (1, 5, 3, 4)), ((2, 3), (1, 3, 4)), ((1, 1, 2, 3), (3, 4)),
    ((2, 3), (1, 1, 3, 4)), ((1, 2, 3), (1, 1, 3, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("left", "right"), SHAPES)
def test_matmul(left, right):
    a, b = sample(*left), sample(*right, seed=1)
    with weft.disable_jit():
        check(wnp.matmul(a, b), a @ b)
        check(wnp.asarray(a) @ b, a @ b)


@pytest.mark.parametrize(("left", "right"), [s for s in SHAPES if len(s[0]) < 4])
def test_dot(left, right):
    a, b = sample(*left), sample(*right, seed=1)
    with weft.disable_jit():
        check(wnp.dot(a, b), np.dot(a, b))


def test_products():
    a, b, v = sample(3, 4), sample(5, 4), sample(4)
    with weft.disable_jit():
        check(wnp.inner(a, b), np.inner(a, b))
        check(wnp.outer(a, v), np.outer(a, v))
        check(wnp.vdot(a, a), np.vdot(a, a))
        check(wnp.vecdot(a, v), np.vecdot(a, v))
        check(wnp.tensordot(a, b.T, 1), np.tensordot(a, b.T, 1))
        check(wnp.tensordot(a, b, ((1,), (1,))), np.tensordot(a, b, ((1,), (1,))))
        check(wnp.tensordot(a, b, 0), np.tensordot(a, b, 0))
        check(wnp.dot(2.0, v), 2 * v)


def test_products_of_other_dtypes():
    integers = np.arange(6).reshape(2, 3)
    flags = integers % 2 == 1
    with weft.disable_jit():
        assert wnp.matmul(integers, integers.T).dtype == np.int64
        check(wnp.matmul(integers, integers.T), integers @ integers.T)
        assert wnp.matmul(flags, flags.T).dtype == np.bool_
        check(wnp.matmul(flags, flags.T), flags @ flags.T)
        z = (sample(2, 3) + 1j * sample(2, 3, seed=2)).astype(np.complex64)
        check(wnp.vdot(z, z), np.vdot(z, z))
        assert wnp.matmul(integers, sample(3, 2)).dtype == np.float32


EINSUMS = [
    ("ij,jk->ik", (3, 4), (4, 5)), ("ij,jk", (3, 4), (4, 5)), ("ij,kj->ki", (3, 4), (5, 4)),
    ("bij,bjk->bik", (2, 3, 4), (2, 4, 5)), ("hd,htd->ht", (2, 4), (2, 5, 4)),
    ("ht,htd->hd", (2, 5), (2, 5, 4)), ("i,i->", (4,), (4,)), ("i,j->ij", (3,), (4,)),
    ("i,j->ji", (3,), (4,)), ("ii->i", (4, 4)), ("ii", (4, 4)), ("iij->j", (3, 3, 4)),
    ("iii->i", (3, 3, 3)), ("ij->ji", (3, 4)), ("ij->", (3, 4)), ("ij->j", (3, 4)), ("ba", (3, 4)),
    ("...ij,...jk->...ik", (2, 3, 4), (4, 5)), ("...ij->...ji", (2, 3, 4)), ("i...->...", (3, 4)),
    ("...,...", (3, 1), (4,)), ("ij,jk,kl->il", (3, 4), (4, 5), (5, 2)),
    ("ab,bc,ca->", (3, 4), (4, 5), (5, 3)), ("ij,ij,ij->i", (3, 4), (3, 4), (3, 4)),
    ("ij,j->i", (3, 1), (4,)), ("ijk,ilm,njm,nlk->", (2, 3, 4), (2, 5, 6), (7, 3, 6), (7, 5, 4)),
    ("bhid,bhjd->bhij", (2, 3, 4, 5), (2, 3, 6, 5)), (" i j , j -> i ", (3, 4), (4,)),
    ("ij,k->ij", (3, 4), (5,)), ("i,ij,j", (3,), (3, 4), (4,)),
    ("ab,cd,ef->ace", (2, 3), (3, 2), (2, 2)),
]  # fmt: skip


@pytest.mark.parametrize(("subscripts", "shapes"), [(e[0], e[1:]) for e in EINSUMS])
def test_einsum(subscripts, shapes):
    operands = [sample(*shape, seed=k) for k, shape in enumerate(shapes)]
    with weft.disable_jit():
        check(wnp.einsum(subscripts, *operands), np.einsum(subscripts, *operands))


@st.composite
def einsums(draw):
    """Random subscripts of one to three operands over a few letters."""
    sizes = {"a": 1, "b": 2, "c": 3, "d": 4, "e": 2}
    letters = st.lists(st.sampled_from(sorted(sizes)), max_size=3).map("".join)
    terms = draw(st.lists(letters, min_size=1, max_size=3))
    present = sorted(set("".join(terms)))
    count = draw(st.integers(0, len(present)))
    result = "".join(draw(st.permutations(present))[:count])
    return ",".join(terms) + "->" + result, [tuple(sizes[c] for c in term) for term in terms]


@given(einsums())
@settings(max_examples=150)
def test_random_einsums(case):
    subscripts, shapes = case
    operands = [sample(*shape, seed=k) for k, shape in enumerate(shapes)]
    with weft.disable_jit():
        check(wnp.einsum(subscripts, *operands), np.einsum(subscripts, *operands))


def test_einsum_with_lists_of_axes():
    a, b = sample(3, 4), sample(4, 5)
    with weft.disable_jit():
        check(wnp.einsum(a, [0, 1], b, [1, 2], [0, 2]), a @ b)
        check(wnp.einsum(a, [0, 1], b, [1, 2]), a @ b)


def test_norms():
    x, v = sample(3, 4), sample(5)
    with weft.disable_jit():
        for order in (None, 1, 2, 3, np.inf, -np.inf, 0):
            check(wnp.linalg.norm(v, order), np.linalg.norm(v, order))
        for order in (None, "fro", 1, -1, np.inf, -np.inf):
            check(wnp.linalg.norm(x, order), np.linalg.norm(x, order))
            expected = np.linalg.norm(x, order, keepdims=True)
            check(wnp.linalg.norm(x, order, keepdims=True), expected)
        check(wnp.linalg.norm(x, axis=1), np.linalg.norm(x, axis=1))
        check(wnp.linalg.norm(x, 1, 0, keepdims=True), np.linalg.norm(x, 1, 0, keepdims=True))
        check(wnp.linalg.vector_norm(x, axis=(0, 1), ord=3), np.linalg.vector_norm(x, ord=3))
        check(wnp.linalg.matrix_norm(x), np.linalg.matrix_norm(x))


def test_chains_of_matrices():
    a, b, c = sample(2, 3), sample(3, 6), sample(6, 2)
    square = sample(3, 3)
    with weft.disable_jit():
        check(wnp.linalg.multi_dot([a, b, c]), a @ b @ c)
        check(wnp.linalg.multi_dot([a[0], b, c[:, 0]]), a[0] @ b @ c[:, 0])
        for n in (0, 1, 2, 5):
            check(wnp.linalg.matrix_power(square, n), np.linalg.matrix_power(square, n))


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: wnp.ones((2, 3)) @ wnp.ones((2, 3)),
            "weft.numpy.matmul: shapes (2, 3) and (2, 3) do not match: the last axis of the first "
            "has length 3, the second to last axis of the second 2",
        ),
        (lambda: wnp.ones(3) @ wnp.ones(4), "has length 3, the axis of the second 4"),
        (lambda: wnp.ones(3) @ 2, "operands need at least one axis, got shapes (3,) and (); use *"),
        (
            lambda: wnp.dot(np.ones(3), np.ones(4)),
            "weft.numpy.dot: shapes (3,) and (4,) do not match",
        ),
        (
            lambda: wnp.tensordot(np.ones((2, 3)), np.ones((2, 3)), 1),
            "axis 1 of shape (2, 3) and axis 0 of shape (2, 3) differ",
        ),
        (lambda: wnp.einsum("ij,jk", np.ones((2, 3))), "'ij,jk' is for 2 operands, got 1"),
        (lambda: wnp.einsum("ij", np.ones(3)), "operand 0 has 1 axes, but 'ij' in 'ij' names 2"),
        (
            lambda: wnp.einsum("ij,jk", np.ones((2, 3)), np.ones((4, 2))),
            "axis 'j' of 'ij,jk' has length 3 in one operand and 4 in another",
        ),
        (
            lambda: wnp.einsum("i->j", np.ones(3)),
            "the result of 'i->j' has 'j', which no operand has",
        ),
        (lambda: wnp.einsum("i->ii", np.ones(3)), "names an axis twice"),
        (lambda: wnp.einsum("i1->i", np.ones((3, 3))), "may only have letters"),
        (
            lambda: wnp.linalg.norm(np.ones((2, 2)), 3),
            "ord=3 is not a norm of matrices",
        ),
        (
            lambda: wnp.linalg.matrix_power(np.ones((2, 3)), 2),
            "needs square matrices, got shape (2, 3)",
        ),
    ],
)
def test_errors(call, text):
    with pytest.raises(ValueError) as caught:
        call()
    assert text in str(caught.value)


def test_compiled():
    a, b, v = sample(6, 7), sample(7, 5), sample(7)

    def f(a, b, v):
        return a @ b, a @ v, wnp.einsum("ij,jk,j->ki", a, b, v), wnp.linalg.norm(a, axis=0)

    expected = (a @ b, a @ v, np.einsum("ij,jk,j->ki", a, b, v), np.linalg.norm(a, axis=0))
    for results in (weft.jit(f)(a, b, v), f(*map(wnp.asarray, (a, b, v)))):
        for result, value in zip(results, expected, strict=True):
            check(result, value)


def test_preferred_element_type_keeps_bytes_as_they_are_until_they_are_multiplied():
    rng = np.random.default_rng(5)
    x, y = (rng.integers(-128, 128, s).astype(np.int8) for s in ((3, 9, 20), (20, 11)))
    wide = x.astype(np.int32) @ y.astype(np.int32)
    for product in (wnp.matmul, wnp.dot):
        got = weft.jit(lambda x, y, f=product: f(x, y, preferred_element_type=np.int32))(x, y)
        np.testing.assert_array_equal(got, wide, strict=True)
    floats = wnp.matmul(x, y, preferred_element_type=np.float32)
    np.testing.assert_array_equal(floats, wide.astype(np.float32), strict=True)
    text = str(weft.make_jaxpr(lambda x, y: wnp.matmul(x, y, preferred_element_type="int32"))(x, y))
    assert "convert_element_type" not in text


@pytest.mark.parametrize(
    ("dtype", "preferred"),
    [
        ("int8", "int32"),
        ("uint8", "int32"),
        ("bfloat16", "float32"),
        ("float32", "bfloat16"),
        ("float32", "complex64"),
        ("bool", "int32"),
    ],
)
@pytest.mark.parametrize("names", ["ij,kj->ik", "ij->i", "ij,kj,k->i", "ij,k->j"])
def test_einsum_gives_the_preferred_dtype(dtype, preferred, names):
    random = np.random.default_rng(0)
    data = [random.integers(0, 2, n) * 100 for n in ((2, 30), (3, 30), (3,))]
    count = names.count(",") + 1
    data = [data[0], data[2]] if names == "ij,k->j" else data[:count]
    operands = [wnp.asarray(x).astype(dtype) for x in data]
    result = wnp.einsum(names, *operands, preferred_element_type=preferred)
    exact = np.einsum(names, *[np.asarray(x).astype(np.float64) for x in operands])
    assert result.dtype == preferred
    np.testing.assert_allclose(np.asarray(result).astype(np.complex128).real, exact, rtol=8e-3)


def test_einsum_reads_narrow_operands_as_they_are():
    x = wnp.ones((2, 3), "int8")
    text = str(
        weft.make_jaxpr(lambda x: wnp.einsum("ij,kj->ik", x, x, preferred_element_type="int32"))(x)
    )
    assert "convert_element_type" not in text


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from([0, 1, 3]), max_size=3),
    st.lists(st.booleans(), min_size=6, max_size=6),
    st.integers(0, 3),
    st.integers(0, 3),
    st.sampled_from([1, 2]),
)
def test_batches_of_length_one_that_one_operand_lacks(lead, ones, left, right, inner):
    """Each operand has some of the last batch axes, with length 1 here and there."""

    def batch(axes, few):
        kept = lead[min(axes, len(lead)) :]
        return [1 if one else n for n, one in zip(kept, few, strict=False)]

    shapes = (*batch(left, ones[:3]), 2, inner), (*batch(right, ones[3:]), inner, 3)
    a, b = (np.arange(float(math.prod(shape))).reshape(shape) for shape in shapes)
    found = wnp.matmul(a, b)
    assert found.shape == np.matmul(a, b).shape
    np.testing.assert_allclose(found, np.matmul(a, b))
