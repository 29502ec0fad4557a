"""Gradient transformations, and how they are put together.

A transformation is two pure functions: ``init(params)`` makes its state, and ``update(updates,
state, params)`` takes gradients (or what another one made of them) to new ones and a new state.
States and parameters are trees of arrays, so that a training step can be jitted, batched and
differentiated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from weft import numpy as wnp
from weft import tree

Params = Any  # a tree of arrays
Updates = Any  # a tree of arrays like that of the parameters
State = Any  # a tree of arrays


class GradientTransformation(NamedTuple):
    """A pair of functions: ``init(params) -> state``, and ``update(updates, state, params=None)
    -> (updates, state)``.

    >>> optimizer = weft.optim.sgd(0.5)
    >>> params = {"w": np.asarray([1.0, 2.0])}
    >>> state = optimizer.init(params)
    >>> updates, state = optimizer.update({"w": np.asarray([1.0, 0.0])}, state, params)
    >>> weft.optim.apply_updates(params, updates)
    {'w': Array([0.5, 2. ], dtype=float32)}
    """

    init: Callable[[Params], State]
    update: Callable[..., tuple[Updates, State]]


class EmptyState(NamedTuple):
    """The state of transformations that remember nothing."""


def stateless(function: Callable[[Updates, Params], Updates]) -> GradientTransformation:
    """A transformation without state, from ``function(updates, params)``.

    >>> weft.optim.stateless(lambda updates, params: -updates).update(
    ...     np.array([3.0, -4.0]),
    ...     weft.optim.stateless(lambda updates, params: -updates).init(np.ones(2)),
    ... )[0]
    Array([-3.,  4.], dtype=float32)
    """

    def init(params: Params) -> EmptyState:
        return EmptyState()

    def update(
        updates: Updates, state: EmptyState, params: Params = None
    ) -> tuple[Updates, EmptyState]:
        return function(updates, params), state

    return GradientTransformation(init, update)


def identity() -> GradientTransformation:
    """Updates as they are.

    >>> rule = weft.optim.identity()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([ 3., -4.], dtype=float32)
    """
    return stateless(lambda updates, params: updates)


def set_to_zero() -> GradientTransformation:
    """No updates: parameters stay as they are.

    >>> rule = weft.optim.set_to_zero()
    >>> rule.update(np.array([3.0, -4.0]), rule.init(np.ones(2)), np.ones(2))[0]
    Array([0., 0.], dtype=float32)
    """
    return stateless(lambda updates, params: tree.map(wnp.zeros_like, updates))


def chain(*transformations: GradientTransformation) -> GradientTransformation:
    """Transformations one after the other; the state is the tuple of their states.

    >>> optimizer = weft.optim.chain(weft.optim.clip(1.0), weft.optim.scale(-0.1))
    >>> gradients = np.asarray([0.5, 20.0])
    >>> optimizer.update(gradients, optimizer.init(gradients))[0]
    Array([-0.05, -0.1 ], dtype=float32)
    """

    def init(params: Params) -> State:
        return tuple(t.init(params) for t in transformations)

    def update(updates: Updates, state: State, params: Params = None) -> tuple[Updates, State]:
        if len(state) != len(transformations):
            raise ValueError(
                f"weft.optim.chain: the state is of {len(state)} transformations, the chain has "
                f"{len(transformations)}; start from its own init(params)"
            )
        states = []
        for transformation, own in zip(transformations, state, strict=True):
            updates, own = transformation.update(updates, own, params)
            states.append(own)
        return updates, tuple(states)

    return GradientTransformation(init, update)


def apply_updates(params: Params, updates: Updates) -> Params:
    """Parameters plus updates, in the dtypes of the parameters.

    >>> weft.optim.apply_updates({"w": np.ones(2)}, {"w": np.array([0.5, -0.5])})
    {'w': Array([1.5, 0.5], dtype=float32)}
    """
    return tree.map(lambda p, u: wnp.asarray(p + u, wnp.asarray(p).dtype), params, updates)


def needed(name: str, params: Params) -> Params:
    """`params`, which the transformation `name` cannot do without."""
    if params is None:
        raise ValueError(f"weft.optim.{name} needs parameters: update(updates, state, params)")
    return params


# ---------------------------------------------------------------- on some parameters only


class MaskedNode(NamedTuple):
    """Stands, without leaves, where a masked transformation has nothing to do."""


class MaskedState(NamedTuple):
    """The state of the transformation within."""

    inner_state: State


def masked(inner: GradientTransformation, mask: Any) -> GradientTransformation:
    """`inner` for some parameters; the updates of others pass as they are.

    Parameters
    ----------
    mask: a tree of bools like that of the parameters, or a prefix of it (one bool stands for all
        below), or a function from parameters to such a tree.

    >>> optimizer = weft.optim.masked(weft.optim.scale(0.0), {"w": True, "b": False})
    >>> gradients = {"w": np.ones(2), "b": np.ones(1)}
    >>> optimizer.update(gradients, optimizer.init(gradients))[0]
    {'w': Array([0., 0.], dtype=float32), 'b': Array([1.], dtype=float32)}
    """

    def mask_of(updates: Updates) -> Any:
        return mask(updates) if callable(mask) else mask

    def chosen(flags: Any, values: Any) -> Any:
        return tree.map(lambda flag, x: x if flag else MaskedNode(), flags, values)

    def init(params: Params) -> MaskedState:
        return MaskedState(inner.init(chosen(mask_of(params), params)))

    def update(
        updates: Updates, state: MaskedState, params: Params = None
    ) -> tuple[Updates, MaskedState]:
        flags = mask_of(updates if params is None else params)
        own_params = None if params is None else chosen(flags, params)
        done, inner_state = inner.update(chosen(flags, updates), state.inner_state, own_params)
        merged = tree.map(lambda flag, new, old: new if flag else old, flags, done, updates)
        return merged, MaskedState(inner_state)

    return GradientTransformation(init, update)


class PartitionState(NamedTuple):
    """The states of the transformations, by label."""

    inner_states: dict[Any, State]


def partition(
    transforms: Mapping[Any, GradientTransformation], param_labels: Any
) -> GradientTransformation:
    """For each parameter the transformation that its label names.

    Parameters
    ----------
    param_labels: a tree of labels like that of the parameters, or a prefix of it, or a function
        from parameters to such a tree.

    Raises
    ------
    ValueError: for labels without a transformation.

    >>> by_label = {"fast": weft.optim.sgd(1.0), "slow": weft.optim.sgd(0.1)}
    >>> optimizer = weft.optim.partition(by_label, {"w": "fast", "b": "slow"})
    >>> w = {"w": np.ones(2), "b": np.ones(1)}
    >>> optimizer.update(w, optimizer.init(w), w)[0]
    {'w': Array([-1., -1.], dtype=float32), 'b': Array([-0.1], dtype=float32)}
    """

    def labels_of(params: Params) -> Any:
        labels = param_labels(params) if callable(param_labels) else param_labels
        unknown = set(tree.leaves(labels)) - set(transforms)
        if unknown:
            raise ValueError(
                f"weft.optim.partition: no transformation is labelled {sorted(unknown, key=str)}; "
                f"there are {sorted(transforms, key=str)}"
            )
        return labels

    def for_label(label: Any) -> GradientTransformation:
        def mask(params: Params) -> Any:
            return tree.map(lambda own: own == label, labels_of(params))

        return masked(transforms[label], mask)

    parts = {label: for_label(label) for label in transforms}

    def init(params: Params) -> PartitionState:
        return PartitionState({label: part.init(params) for label, part in parts.items()})

    def update(
        updates: Updates, state: PartitionState, params: Params = None
    ) -> tuple[Updates, PartitionState]:
        states = {}
        for label, part in parts.items():
            updates, states[label] = part.update(updates, state.inner_states[label], params)
        return updates, PartitionState(states)

    return GradientTransformation(init, update)
