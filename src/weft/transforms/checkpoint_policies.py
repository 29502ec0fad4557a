"""Which values of a checkpointed function are kept for the backward pass: JAX's policies.

A policy is a function ``policy(primitive, *avals, **params) -> bool``: are the results of such an
equation kept? Others are computed again. Values may be given names by :func:`checkpoint_name`.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from weft import tree
from weft.core.avals import ShapedArray
from weft.core.primitive import Primitive

Policy = Callable[..., bool]

name_p = Primitive("name")


@name_p.def_type
def _(x: ShapedArray, *, name: str) -> ShapedArray:
    return x


@name_p.def_numpy
def _(x: Any, *, name: str) -> Any:
    return np.array(x)


@name_p.def_jvp
def _(primals: list[Any], tangents: list[Any], *, name: str) -> tuple[Any, Any]:
    return name_p.bind(primals[0], name=name), tangents[0]


@name_p.def_transpose
def _(ct: Any, x: Any, *, name: str) -> list[Any]:
    return [ct]


@name_p.def_batch
def _(axis_size: int, args: list[Any], dims: list[Any], *, name: str) -> tuple[Any, Any]:
    return name_p.bind(args[0], name=name), dims[0]


@name_p.def_lower_complex
@name_p.def_lower
def _(ctx: Any, x: Any, *, name: str) -> Any:
    return x


def checkpoint_name(x: Any, name: str) -> Any:
    """The same tree of arrays, under a name that policies such as `save_only_these_names` know.

    >>> from weft.ad_checkpoint import checkpoint_name
    >>> weft.grad(lambda x: np.sin(checkpoint_name(np.exp(x), "grown")))(0.0).round(4)
    Array(0.5403, dtype=float32)

    Raises TypeError for a name that is no string.
    """
    if not isinstance(name, str):
        raise TypeError(f"checkpoint_name: a name is a string, got {name!r}")
    return tree.map(lambda leaf: name_p.bind(leaf, name=name), x)


def everything_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keeps every value."""
    return True


def nothing_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keeps arguments only: what `checkpoint` does without a policy."""
    return False


_PRODUCTS = "dot_general", "conv_general_dilated"


def dots_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keeps the results of matrix products and convolutions, which take long to compute."""
    return primitive.name in _PRODUCTS


def dots_with_no_batch_dims_saveable(primitive: Primitive, *avals: Any, **params: Any) -> bool:
    """Keeps the results of matrix products without batch axes: usually those with weights."""
    if primitive.name != "dot_general":
        return False
    _, (lhs_batch, rhs_batch) = params["dimension_numbers"]
    return not lhs_batch and not rhs_batch


checkpoint_dots = dots_saveable
checkpoint_dots_with_no_batch_dims = dots_with_no_batch_dims_saveable


class _Names:
    """Chooses by name; equal for equal names, as parameters of equations must be."""

    def __init__(self, kind: str, names: frozenset[str], named: bool, others: bool):
        self.key: tuple[Hashable, ...] = (kind, names)
        self.names, self.named, self.others = names, named, others

    def __call__(self, primitive: Primitive, *avals: Any, **params: Any) -> bool:
        if primitive is not name_p:
            return self.others
        return self.named == (params["name"] in self.names)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Names) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"{self.key[0]}({', '.join(map(repr, sorted(self.names)))})"


def save_only_these_names(*names_which_can_be_saved: str) -> Policy:
    """Keeps values with these names, and nothing else."""
    return _Names("save_only_these_names", frozenset(names_which_can_be_saved), True, False)


def save_any_names_but_these(*names_not_to_save: str) -> Policy:
    """Keeps values with any other name, and nothing without a name."""
    return _Names("save_any_names_but_these", frozenset(names_not_to_save), False, False)


def save_anything_except_these_names(*names_not_to_save: str) -> Policy:
    """Keeps every value except those with these names.

    A value is kept by its unnamed twin too unless it is only reachable through its name, as in JAX.
    """
    return _Names("save_anything_except_these_names", frozenset(names_not_to_save), False, True)


def save_from_both_policies(policy_1: Policy, policy_2: Policy) -> Policy:
    """Keeps what either policy keeps."""

    def either(primitive: Primitive, *avals: Any, **params: Any) -> bool:
        return policy_1(primitive, *avals, **params) or policy_2(primitive, *avals, **params)

    return either


#: Kinds of memory by JAX's names. Weft's devices are CPUs: what is theirs is the host's.
_KINDS = "device", "pinned_host", "unpinned_host"


def _check_kinds(name: str, offload_src: str, offload_dst: str) -> None:
    for argument, kind in (("offload_src", offload_src), ("offload_dst", offload_dst)):
        if kind not in _KINDS:
            raise ValueError(
                f"{name}: {argument} is one of {', '.join(map(repr, _KINDS))}, got {kind!r}"
            )


def offload_dot_with_no_batch_dims(offload_src: str, offload_dst: str) -> Policy:
    """Keeps the results of matrix products without batch axes in the host's memory.

    On a CPU that is where they are: this is `dots_with_no_batch_dims_saveable` there.
    """
    _check_kinds("offload_dot_with_no_batch_dims", offload_src, offload_dst)
    return dots_with_no_batch_dims_saveable


def save_and_offload_only_these_names(
    *,
    names_which_can_be_saved: Sequence[str],
    names_which_can_be_offloaded: Sequence[str],
    offload_src: str,
    offload_dst: str,
) -> Policy:
    """Keeps values with these names, some of them in the host's memory, and nothing else.

    On a CPU that is where they are: this is `save_only_these_names` of both there.
    """
    name = "save_and_offload_only_these_names"
    _check_kinds(name, offload_src, offload_dst)
    saved, offloaded = frozenset(names_which_can_be_saved), frozenset(names_which_can_be_offloaded)
    if saved & offloaded:
        raise ValueError(
            f"{name}: {', '.join(map(repr, sorted(saved & offloaded)))} cannot be both in "
            "names_which_can_be_saved and in names_which_can_be_offloaded"
        )
    return save_only_these_names(*(saved | offloaded))
