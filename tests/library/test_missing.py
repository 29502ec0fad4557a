"""Names that modules do not have: the error says what to write instead."""

from __future__ import annotations

import importlib
import re
from functools import reduce

import pytest

import weft
import weft.numpy as wnp
from weft import lax, nn
from weft.missing import _ADVICE

CASES = [(module, name) for module, names in _ADVICE.items() for name in names]


@pytest.mark.parametrize(("module", "name"), CASES)
def test_advice_is_given_for_names_that_are_not_there_and_names_what_is(module, name):
    with pytest.raises(AttributeError) as caught:
        getattr(importlib.import_module(module), name)
    text = str(caught.value)
    assert text.startswith(f"module '{module}' has no attribute '{name}'; ")
    for path in re.findall(r"\bweft\.([a-z_0-9.]*[a-z0-9])", text.partition("; ")[2]):
        assert reduce(getattr, path.split("."), weft) is not None


@pytest.mark.parametrize(
    ("module", "name", "near"),
    [
        (weft, "value_grad", "weft.value_and_grad"),
        (wnp, "concatonate", "weft.numpy.concatenate"),
        (lax, "fori_lop", "weft.lax.fori_loop"),
        (nn, "sofmax", "weft.nn.softmax"),
    ],
)
def test_misspelt_names_are_recognised(module, name, near):
    with pytest.raises(AttributeError, match=f"has no attribute '{name}'; did you mean {near}"):
        getattr(module, name)


def test_other_names_are_just_not_there():
    for module in (weft, wnp, lax, nn):
        assert not hasattr(module, "__nothing__")
        with pytest.raises(AttributeError, match=r"has no attribute 'qqqqqq'$"):
            module.qqqqqq  # noqa: B018


def test_errors_name_the_module_that_was_called():
    for call, name in (
        (lambda: weft.lazy.as_lazy("s"), "weft.lazy.LazyArray"),
        (lambda: weft.ops.segment_sum("s", wnp.arange(2)), "weft.ops.segment_sum"),
        (lambda: weft.flatten_util.ravel_pytree("s"), "weft.flatten_util.ravel_pytree"),
        (lambda: weft.image.resize("s", (2,), "nearest"), "weft.image.resize"),
        (lambda: weft.nn.gelu("s"), "weft.nn.gelu"),
        (lambda: wnp.sin("s"), "weft.numpy.sin"),
    ):
        with pytest.raises(TypeError, match=rf"^{re.escape(name)}: "):
            call()
