"""Messages for wrong arguments end with the user's line, and say what to do."""

from __future__ import annotations

import dataclasses

import numpy as onp
import pytest

import weft
import weft.numpy as np
from weft import errors, lax


@dataclasses.dataclass
class Model:
    weights: object


class Thing:
    def __repr__(self):
        return "Thing(" + 200 * "x" + ")"


def first(a):
    return a


TAKING = {
    "jit": weft.jit(first),
    "grad": weft.grad(first),
    "vmap": weft.vmap(first),
    "vjp": lambda a: weft.vjp(first, a),
    "make_jaxpr": weft.make_jaxpr(first),
    "scan": lambda a: lax.scan(first, a, np.ones(2)),
}


@pytest.mark.parametrize("name", TAKING)
def test_objects_that_are_no_trees(name):
    with pytest.raises(TypeError) as error:
        TAKING[name]({"k": Model(1.0)})
    text = str(error.value)
    assert f"{name} of 'first': " in text and "['k'" in text
    assert "is Model(weights=1.0) of type Model, not an array" in text
    assert "weft.tree_util.register_dataclass(Model) makes its fields leaves\nAt " in text
    with pytest.raises(TypeError) as error:
        TAKING[name](Thing())
    text = str(error.value)
    assert "… " in text and text.index("of type Thing") < 260
    assert "weft.tree_util.register_pytree_node(Thing, flatten, unflatten) makes its parts" in text
    if name == "jit":
        assert "if it is meant to be static, name it in static_argnames" in text


class Column:
    """Has its values as an array, as columns of pandas do."""

    def __array__(self, dtype=None, copy=None):
        return onp.ones(3, dtype)


class Series(Column):
    def to_numpy(self):
        return onp.ones(3)


def test_objects_that_have_an_array():
    with pytest.raises(TypeError, match=r"of type Series, .*\. x\.to_numpy\(\) is an array of its"):
        weft.jit(first)(Series())
    with pytest.raises(TypeError, match=r"Column, .*\. weft\.numpy\.asarray\(x\) is an array of"):
        weft.jit(first)(Column())
    with pytest.raises(TypeError, match=r"weft\.numpy\.sum: .* got Series; make an array of it"):
        weft.numpy.sum(Series())
    assert weft.numpy.sum(weft.numpy.asarray(Series())) == 3


def test_results_that_are_no_trees():
    with pytest.raises(TypeError, match=r"returned Model.* as result.*register_dataclass\(Model\)"):
        weft.jit(lambda: Model(1.0))()


@weft.custom_jvp
def doubled(x):
    return 2 * x


doubled.defjvp(lambda primals, tangents: (2 * primals[0], (tangents[0], tangents[0])))


@pytest.mark.parametrize(
    ("run", "kind", "text"),
    [
        (lambda: weft.grad(first)(3), TypeError, "grad of 'first': a has dtype int32"),
        (
            lambda: weft.grad(first)("s"),
            TypeError,
            "choose arguments to differentiate with argnums",
        ),
        (
            lambda: weft.grad(first, holomorphic=True)(1.0),
            TypeError,
            "a has dtype float32, but holomorphic=True needs complex arguments",
        ),
        (lambda: weft.grad(lambda x: x * 1j)(1.0), TypeError, "for a holomorphic function say"),
        (lambda: weft.grad(first, argnums=3)(1.0), ValueError, "argnums has 3, but it was called"),
        (lambda: weft.grad(first, argnums="a")(1.0), TypeError, "argnums is an int or a tuple"),
        (lambda: weft.jacrev(first, argnums=3)(1.0), ValueError, "argnums has 3, but it was"),
        (lambda: weft.jacrev(first)(1j), TypeError, "for a holomorphic function give"),
        (lambda: weft.jit(first, static_argnums=2), ValueError, "static_argnums has 2, but the"),
        (lambda: weft.jit(first, static_argnames="b"), ValueError, "static_argnames has 'b'"),
        (
            lambda: weft.jit(first, static_argnums=0)([1]),
            TypeError,
            "the static argument a is not hashable: [1] of type list",
        ),
        (lambda: weft.jacfwd(first)(3), TypeError, "jacfwd of 'first': a has dtype int32"),
        (
            lambda: weft.vmap(first, in_axes=None)(1.0),
            ValueError,
            "nothing is mapped; give axis_size, or an axis of an argument in in_axes",
        ),
        (
            lambda: weft.vmap(lambda a, b: a)(np.ones(2), "s"),
            TypeError,
            "b is 's' of type str, not an array. Bind it beforehand with functools.partial",
        ),
        (
            lambda: weft.vmap(first, in_axes=(1.5,))(np.ones(2)),
            TypeError,
            "in_axes has 1.5 for a; axes are ints or None",
        ),
        (
            lambda: weft.vmap(first, in_axes="s")(np.ones(2)),
            TypeError,
            "for each argument, got 's'",
        ),
        (
            lambda: weft.vmap(first, out_axes="s")(np.ones(2)),
            TypeError,
            "vmap of 'first': out_axes has 's' for result; axes are ints or None",
        ),
        (
            lambda: weft.vmap(lambda x: lax.psum(x, "i"))(np.ones(2)),
            NameError,
            "unbound axis name: 'i'. Collectives work inside a function that is mapped by",
        ),
        (
            lambda: weft.jvp(doubled, (1.0,), (1.0,)),
            TypeError,
            "custom_jvp 'doubled': the tangent has the structure (*, *), expected *",
        ),
    ],
)
def test_messages_end_with_the_line(run, kind, text):
    with pytest.raises(kind) as error:
        run()
    message, _, line = str(error.value).partition("\nAt ")
    assert text in message
    assert line.startswith(f"{__file__}:") and "weft." in line


@pytest.mark.parametrize(
    ("kind", "use"),
    [
        (errors.TracerBoolConversionError, lambda x: 1 if x > 0 else 2),
        (errors.TracerIntegerConversionError, lambda x: [1, 2][x.astype(int)]),
        (errors.TracerArrayConversionError, lambda x: onp.asarray(x)),
        (errors.NonConcreteBooleanIndexError, lambda x: np.ones(1)[x[None] > 0]),
        (IndexError, lambda x: np.ones(1)[x[None] > 0]),
    ],
)
def test_jax_names_of_conversions(kind, use):
    with pytest.raises(kind) as error:
        weft.jit(use)(1.0)
    assert isinstance(error.value, errors.ConcretizationTypeError)
