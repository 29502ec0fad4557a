"""Policies of `checkpoint`: what is kept, that gradients stay, and how it composes."""

from __future__ import annotations

import numpy as onp
import pytest

import weft
import weft.numpy as np
from tests.transforms.programs import meaning
from weft import lax
from weft.ad_checkpoint import checkpoint_name, checkpoint_policies, print_saved_residuals
from weft.core.jaxpr import all_equations

X = onp.array([[0.3, -0.8], [0.5, 0.9]])
W = onp.array([[0.7, 0.2], [-0.4, 1.1]])


def layer(w, x):
    h = checkpoint_name(np.sin(x @ w), "hidden")
    return weft.jit(lambda v: np.tanh(v @ w))(np.exp(h))


def counts(policy, primitive):
    """How often the gradient of a checkpointed layer applies a primitive."""
    f = weft.checkpoint(layer, policy=policy)
    closed = weft.make_jaxpr(weft.value_and_grad(lambda w: f(w, X).sum()))(W)
    return sum(eqn.primitive.name == primitive for eqn in all_equations(closed.jaxpr))


POLICIES = {
    "none": None,
    "nothing": checkpoint_policies.nothing_saveable,
    "everything": checkpoint_policies.everything_saveable,
    "dots": checkpoint_policies.dots_saveable,
    "no batch": checkpoint_policies.dots_with_no_batch_dims_saveable,
    "names": checkpoint_policies.save_only_these_names("hidden"),
    "other names": checkpoint_policies.save_any_names_but_these("hidden"),
    "except": checkpoint_policies.save_anything_except_these_names("hidden"),
    "both": checkpoint_policies.save_from_both_policies(
        checkpoint_policies.dots_saveable, checkpoint_policies.save_only_these_names("hidden")
    ),
}


@pytest.mark.parametrize("name", POLICIES)
def test_gradients_stay(name):
    f = weft.checkpoint(layer, policy=POLICIES[name])
    loss, kept = (lambda w: layer(w, X).sum()), (lambda w: f(w, X).sum())
    expected = meaning(weft.grad(loss), W)
    for gradient in (weft.grad(kept), weft.jit(weft.grad(kept)), weft.grad(weft.jit(kept))):
        onp.testing.assert_allclose(meaning(gradient, W), expected, rtol=1e-12)
    hessian = meaning(weft.jacfwd(weft.grad(loss)), W)
    onp.testing.assert_allclose(meaning(weft.jacfwd(weft.grad(kept)), W), hessian, rtol=1e-10)
    onp.testing.assert_allclose(meaning(weft.jacrev(weft.grad(kept)), W), hessian, rtol=1e-10)
    stack = onp.stack([W, 2 * W])
    onp.testing.assert_allclose(
        meaning(weft.vmap(weft.grad(kept)), stack), meaning(weft.vmap(weft.grad(loss)), stack)
    )


def test_what_is_computed_again():
    # Two products forwards, three backwards (none with respect to x), and those done again.
    assert counts(None, "dot_general") == counts(POLICIES["nothing"], "dot_general")
    assert counts(None, "sin") == 2
    assert counts(POLICIES["names"], "sin") == 1
    assert counts(POLICIES["other names"], "sin") == 2
    assert counts(POLICIES["everything"], "sin") == 1
    assert counts(POLICIES["dots"], "sin") == 2
    assert counts(POLICIES["dots"], "dot_general") == counts(POLICIES["everything"], "dot_general")
    assert counts(POLICIES["dots"], "dot_general") < counts(None, "dot_general")


def test_a_policy_sees_types_and_parameters():
    seen = {}

    def policy(primitive, *avals, **params):
        seen.setdefault(primitive.name, (avals, params))
        return False

    counts(policy, "sin")
    avals, params = seen["name"]
    assert avals[0].shape == (2, 2) and params == {"name": "hidden"}
    assert "dot_general" in seen and "jit" not in seen


def test_machine_code_agrees():
    f = weft.checkpoint(layer, policy=POLICIES["names"], prevent_cse=False)
    found = weft.jit(weft.grad(lambda w: f(w, X).sum()))(W)
    expected = meaning(weft.grad(lambda w: layer(w, X).sum()), W)
    onp.testing.assert_allclose(onp.asarray(found), expected, rtol=1e-9)


def test_inside_a_scan():
    def total(w, wrap):
        step = wrap(lambda c, x: (np.sin(checkpoint_name(c @ w, "product")), c.sum()))
        return lax.scan(step, X, np.arange(3.0))[0].sum()

    policy = checkpoint_policies.save_only_these_names("product")
    expected = meaning(weft.grad(lambda w: total(w, lambda f: f)), W)
    found = meaning(weft.grad(lambda w: total(w, lambda f: weft.checkpoint(f, policy=policy))), W)
    onp.testing.assert_allclose(found, expected, rtol=1e-12)


def test_static_arguments():
    f = weft.checkpoint(lambda x, kind: np.sin(x) if kind == "sin" else x, static_argnums=1)
    assert meaning(weft.grad(lambda x: f(x, "other")), 2.0) == 1.0


def test_what_is_kept_is_printed(capsys):
    print_saved_residuals(lambda x: np.sin(np.sin(x)), onp.ones(3))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("f64[3] It depends on the argument x.") for line in lines)
    print_saved_residuals(weft.checkpoint(lambda x: np.sin(np.sin(x))), onp.ones(3))
    assert capsys.readouterr().out == "f64[3] It is the argument x.\n"


def test_wrong_arguments():
    with pytest.raises(TypeError, match="policy is a function, such as those of"):
        weft.checkpoint(np.sin, policy="dots")
    with pytest.raises(TypeError, match="a name is a string, got 3"):
        checkpoint_name(X, 3)


def test_what_is_offloaded_stays_with_the_host() -> None:
    policies = weft.checkpoint_policies
    kinds = {"offload_src": "device", "offload_dst": "pinned_host"}
    dots = policies.offload_dot_with_no_batch_dims(**kinds)
    assert dots is policies.dots_with_no_batch_dims_saveable
    named = policies.save_and_offload_only_these_names(
        names_which_can_be_saved=["a"], names_which_can_be_offloaded=["b"], **kinds
    )
    assert named == policies.save_only_these_names("a", "b")
    with pytest.raises(ValueError, match="'a' cannot be both in names_which_can_be_saved and in"):
        policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"], names_which_can_be_offloaded=["a"], **kinds
        )
    with pytest.raises(ValueError, match=r"offload_dst is one of 'device', .* got 'disk'"):
        policies.offload_dot_with_no_batch_dims("device", "disk")
