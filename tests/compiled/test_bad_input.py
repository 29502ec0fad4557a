"""Wrong calls: each error names the function and the argument, and says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import weft
from weft import lax
from weft import numpy as wnp
from weft.errors import LeakedTracerError

ones = wnp.ones
PARAMS = {"w": np.ones((3, 4), np.float32)}
BATCH = {"x": np.ones(5, np.float32)}


def step(params: Any, batch: Any) -> Any:
    return (params["w"] @ batch["x"]).sum()


def leaked() -> Any:
    kept: list[Any] = []

    def keep(x: Any) -> None:
        kept.append(x)

    weft.jit(keep)(1.0)
    return kept[0] + 1


def increment(x: Any) -> Any:
    x[0] = 1
    return x


Case = tuple[Callable[[], Any], type[Exception], str]

SHAPES: dict[str, Case] = {
    "matmul in jit": (
        lambda: weft.jit(step)(PARAMS, BATCH),
        ValueError,
        "weft.numpy.matmul: shapes (3, 4) and (5,) do not match: the last axis of the first",
    ),
    "matmul": (lambda: ones((3, 4)) @ ones(5), ValueError, "weft.numpy.matmul: shapes (3, 4) and"),
    "add": (
        lambda: ones((3, 4)) + ones((2, 4)),
        ValueError,
        "weft.numpy.add: shapes (3, 4), (2, 4) do not broadcast: aligned at the last axis",
    ),
    "reshape": (
        lambda: ones((3, 4)).reshape(5, 2),
        ValueError,
        "weft.numpy.reshape: cannot reshape array of shape (3, 4) (12 elements) into (5, 2)",
    ),
    "concatenate": (
        lambda: wnp.concatenate([ones((3, 4)), ones((3, 5))]),
        ValueError,
        "weft.numpy.concatenate: array 1 has shape (3, 5), which does not match (3, 4) except",
    ),
    "einsum": (
        lambda: wnp.einsum("ij,jk->ik", ones((3, 4)), ones((5, 4))),
        ValueError,
        "weft.numpy.einsum: axis 'j' of 'ij,jk->ik' has length 4 in one operand and 5 in another",
    ),
    "update": (
        lambda: ones((3, 4)).at[0].set(ones(3)),
        ValueError,
        "values of shape (3,) do not fit the shape (4,) of the elements they are written to",
    ),
    "ragged": (lambda: wnp.asarray([[1], [1, 2]]), ValueError, "weft.numpy.asarray: the nested"),
    "negative size": (lambda: wnp.zeros(-1), ValueError, "weft.numpy.zeros: sizes cannot be neg"),
    "empty maximum": (
        lambda: wnp.max(wnp.zeros((0, 3)), axis=0),
        ValueError,
        "weft.numpy.max: no max of no elements: f32[0,3] over axis 0; give initial=",
    ),
}

AXES: dict[str, Case] = {
    "too large": (
        lambda: wnp.sum(ones((3, 4)), axis=2),
        ValueError,
        "weft.numpy.sum: axis 2 is out of bounds for an array with 2 axes",
    ),
    "twice": (lambda: wnp.sum(ones((3, 4)), axis=(0, 0)), ValueError, "names an axis twice"),
    "a float": (
        lambda: wnp.sum(ones(3), axis=1.0),
        TypeError,
        "weft.numpy.sum: axis must be an integer, got 1.0 (float)",
    ),
    "in_axes": (
        lambda: weft.vmap(lambda x: x, in_axes=3)(ones(3)),
        ValueError,
        "vmap of '<lambda>': in_axes maps axis 3 of x, which has type f32[3] and 1 axes",
    ),
    "mapped sizes": (
        lambda: weft.vmap(lambda x, y: x + y)(ones(3), ones(4)),
        ValueError,
        "mapped axes differ in size: x f32[3] has 3 at axis 0, y f32[4] has 4 at axis 0",
    ),
}

INDICES: dict[str, Case] = {
    "out of range": (
        lambda: ones((3, 4))[5],
        IndexError,
        "index 5 is out of bounds for axis 0 with size 3",
    ),
    "out of range in jit": (
        lambda: weft.jit(lambda x: x[7])(np.ones(3)),
        IndexError,
        "index 7 is out of bounds for axis 0 with size 3",
    ),
    "too many": (
        lambda: ones((3, 4))[0, 0, 0],
        IndexError,
        "too many indices for an array of shape (3, 4): 3 given, it has 2 axes",
    ),
    "a float array": (
        lambda: ones((3, 4))[np.array([1.0])],
        TypeError,
        "cannot be indexed with an array of dtype float64; convert it with .astype(int)",
    ),
    "a mask of another shape": (
        lambda: ones((3, 4))[np.array([True, False])],
        IndexError,
        "the boolean mask of shape (2,) does not match axis 0 of size 3",
    ),
    "a traced mask": (
        lambda: weft.jit(lambda x: x[x > 0])(ones(3)),
        TypeError,
        "Use weft.numpy.where(mask, x, y), or reduce with where=mask",
    ),
}

DTYPES: dict[str, Case] = {
    **{
        f"complex {name}": (
            lambda name=name: getattr(wnp, name)(ones(3), ones(3) * 1j),
            TypeError,
            f"weft.numpy.{name}: argument 1 is c64[3], and complex numbers have no order",
        )
        for name in ("fmax", "fmin", "heaviside", "copysign", "logaddexp", "digitize")
    },
    "half a shift": (lambda: wnp.roll(ones(3), 1.5), TypeError, "roll: a shift is an integer, got"),
    "half a repeat": (
        lambda: wnp.repeat(ones(3), 1.5),
        TypeError,
        "weft.numpy.repeat: repeats are integers, got float64",
    ),
    "objects": (
        lambda: weft.jit(step)({"w": np.array([None])}, BATCH),
        TypeError,
        "dtype object is not supported; Weft has bool, int8,",
    ),
    "objects by name": (
        lambda: weft.jit(step)({"w": np.array([None])}, BATCH),
        TypeError,
        "jit of 'step': params['w']",
    ),
    "objects in a function": (
        lambda: wnp.add(1, np.array([None])),
        TypeError,
        "weft.numpy.add: argument 1: dtype object is not supported",
    ),
    "dates": (lambda: wnp.asarray(np.array(["2020"], "M8[Y]")), TypeError, "datetime64"),
    "a name": (lambda: ones(3, dtype="foo"), TypeError, "'foo' is not a dtype"),
    "shift of floats": (
        lambda: ones(3) << 1,
        TypeError,
        "weft.numpy.left_shift: argument 0 must be integer or boolean, got f32[3]",
    ),
    "a number too large": (
        lambda: ones(3, "uint8") + 300,
        OverflowError,
        "weft.numpy.add: the integer 300 does not fit uint8 (0 to 255); convert the array first",
    ),
    "gradient of integers": (
        lambda: weft.grad(lambda x: x * 2)(3),
        TypeError,
        "grad of '<lambda>': x has dtype int32, which has no derivative; pass it as floating point",
    ),
}

TREES: dict[str, Case] = {
    "a string": (
        lambda: weft.jit(step)({"w": "abc"}, BATCH),
        TypeError,
        "jit of 'step': params['w'] (if it is meant to be static, name it in static_argnames) is",
    ),
    "a list": (
        lambda: wnp.sin([1.0, 2.0]),
        TypeError,
        "weft.numpy.sin: argument 0 must be an array or a number, got list; make an array of it",
    ),
    "different keys": (
        lambda: weft.tree.map(lambda a, b: a, {"a": 1}, {"b": 1}),
        ValueError,
        "tree has the key 'a', rest[0] the key 'b'",
    ),
    "a carry": (
        lambda: lax.scan(lambda c, x: ((c, c), x), 0.0, ones(3)),
        TypeError,
        "scan: '<lambda>' must return a carry of the structure it takes: it takes * and returns",
    ),
    "a carry's shape": (
        lambda: lax.scan(lambda c, x: (c + ones(2), x), 0.0, ones(3)),
        TypeError,
        "carry has type f32[] and becomes f32[2]. A loop cannot change shapes; allocate the final",
    ),
    "branches": (
        lambda: lax.cond(True, lambda x: x, lambda x: (x, x), 1.0),
        TypeError,
        "cond: branches must give the same structure",
    ),
    "a condition": (
        lambda: lax.while_loop(lambda x: x, lambda x: x, ones(3)),
        TypeError,
        ") must give a scalar boolean, it gives f32[3]\nAt ",
    ),
    "an unhashable static argument": (
        lambda: weft.jit(lambda x, y: x, static_argnums=1)(1.0, [1]),
        TypeError,
        "the static argument y is not hashable: [1] of type list",
    ),
    "an unknown static name": (
        lambda: weft.jit(lambda x, y: x, static_argnames="z")(1.0, 2),
        ValueError,
        "static_argnames has 'z', but the function takes x, y",
    ),
    "a result": (
        lambda: weft.jit(lambda x: "a")(1.0),
        TypeError,
        "returned 'a' of type str as result; results are arrays, numbers, and containers of them",
    ),
    "no scalar": (
        lambda: weft.grad(lambda x: x * 2)(ones(3)),
        TypeError,
        "the function must return a scalar, it returned f32[3]. Sum it, or use vjp, jacrev",
    ),
    "a cotangent": (
        lambda: weft.vjp(lambda x: x * 2, 1.0)[1](ones(3)),
        TypeError,
        "the cotangent of result has type f32[3], expected f32[]",
    ),
}

TRACED: dict[str, Case] = {
    "if": (
        lambda: weft.jit(lambda x: 1 if x > 0 else 2)(1.0),
        TypeError,
        "Use weft.numpy.where, weft.lax.cond or weft.lax.while_loop in place of if",
    ),
    "its argument": (
        lambda: weft.jit(lambda x: 1 if x > 0 else 2)(1.0),
        TypeError,
        "while '<lambda>' (under jit) is traced: its value is not known yet. It depends on the "
        "argument x.",
    ),
    "a size": (
        lambda: weft.jit(lambda n: wnp.zeros(n))(3),
        TypeError,
        "Sizes and Python indices must be known when tracing: make the argument static",
    ),
    "NumPy": (
        lambda: weft.jit(lambda x: np.isnat(x))(1.0),
        TypeError,
        "numpy.isnat of a traced value of type f32[]",
    ),
    "a leak": (
        leaked,
        LeakedTracerError,
        "a traced value of type f32[] outlived the transformation of",
    ),
    "a change in place": (
        lambda: weft.jit(increment)(ones(3)),
        TypeError,
        "an argument of 'increment' (under jit) cannot be changed in place",
    ),
    "a length": (
        lambda: weft.jit(lambda x: wnp.nonzero(x))(ones(3)),
        TypeError,
        "nonzero() of a traced value of type f32[3]",
    ),
}

EVERY = {
    f"{group}: {name}": case
    for group, cases in (
        ("shapes", SHAPES),
        ("axes", AXES),
        ("indices", INDICES),
        ("dtypes", DTYPES),
        ("trees", TREES),
        ("traced", TRACED),
    )
    for name, case in cases.items()
}


@pytest.mark.parametrize("name", EVERY)
def test_wrong_calls_say_what_to_do(name: str) -> None:
    call, error, text = EVERY[name]
    with pytest.raises(error, match=re.escape(text)):
        call()
    assert weft.jit(lambda x: x + 1)(1.0) == 2.0


def test_dynamic_indices_out_of_bounds_follow_their_mode() -> None:
    x, at = wnp.arange(5.0), np.array([-7, -1, 4, 5, 99])

    @weft.jit
    def program(x: Any, at: Any) -> Any:
        return (
            x[at],
            x.at[at].get(mode="fill", fill_value=-1),
            x.at[at].get(mode="clip"),
            x.at[at].set(9),
            x.at[at].set(9, mode="clip"),
            lax.dynamic_slice(x, (at[4],), (2,)),
            lax.dynamic_update_slice(x, wnp.full(2, 9.0), (at[0],)),
        )

    expected = (
        [0, 4, 4, 4, 4],
        [-1, 4, 4, -1, -1],
        [0, 4, 4, 4, 4],
        [0, 1, 2, 3, 9],
        [9, 1, 2, 3, 9],
        [3, 4],
        [9, 9, 2, 3, 4],
    )
    for a, e in zip(program(x, at), expected, strict=True):
        np.testing.assert_array_equal(a, e)
