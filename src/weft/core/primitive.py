"""Primitives: the operations of the jaxpr language, each with its rules.

A primitive is declared once, with all of its rules beside it::

    sin_p = Primitive("sin")

    @sin_p.def_type
    def _(x): return x

    @sin_p.def_numpy
    def _(x): return np.sin(x)

    @sin_p.def_jvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return sin_p.bind(x), mul_p.bind(t, cos_p.bind(x))

``bind`` hands the operation to the current trace, and only to it: no rule looks at what kind of
value its operands are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from weft.core.avals import ShapedArray
from weft.errors import MissingRuleError

Rule = Callable[..., Any]
RuleT = TypeVar("RuleT", bound=Callable[..., Any])

#: What each rule is for, as messages say it.
_PURPOSE = {
    "type": "its types cannot be inferred",
    "numpy": "it cannot be interpreted with NumPy",
    "jvp": "it cannot be differentiated",
    "transpose": "it cannot be differentiated in reverse mode (it is not linear in that operand)",
    "batch": "it cannot be used under vmap",
    "lower": "it cannot be compiled",
    "lower_complex": "it cannot be compiled for complex numbers",
    "partial_eval": "it cannot be linearized",
    "portable": "there is no form of it in other operations (importing weft.lax.linalg adds some)",
}


_by_name: dict[str, Primitive] = {}


def primitives() -> dict[str, Primitive]:
    """The primitives that have been declared, by name; a new dictionary."""
    return dict(_by_name)


def primitive_named(name: str) -> Primitive:
    """The primitive of that name (the first one declared); KeyError when there is none."""
    try:
        return _by_name[name]
    except KeyError:
        raise KeyError(
            f"there is no primitive named {name!r} (importing weft.lax declares them all)"
        ) from None


class Primitive:
    """An operation with a name and rules.

    Rules are set by decorators:

    - ``def_type(*avals, **params) -> ShapedArray | list``: checks operands, gives result types;
    - ``def_numpy(*ndarrays, **params) -> ndarray | list``: the meaning;
    - ``def_jvp(primals, tangents, **params) -> (out, tangent_out)``: tangents may be ``Zero``;
    - ``def_transpose(cts, *args, **params) -> list[ct | None]``: linear operands are
      ``UndefPrimal``; ``cts`` is one cotangent (a list with ``multiple_results``), maybe ``Zero``;
    - ``def_batch(axis_size, args, dims, **params) -> (outs, out_dims)``;
    - ``def_lower(ctx, *args, **params)``: to index-space terms;
    - ``def_lower_complex(ctx, *args, **params)``: the same where operands or results are complex;
    - ``def_portable(*args, **params)``: the same results by other primitives and control flow, for
      routines that no term expresses;
    - ``def_partial_eval(trace, args, unknown, **params) -> outs``: higher-order primitives only;
    - ``def_effects(**params) -> frozenset[str]``: names of side effects, which keep an equation
      alive and in order;
    - ``def_eval(*args, **params)``: runs at the bottom trace instead of the array evaluator;
    - ``def_collective(axis_size, args, dims, **params) -> (out, out_dim)``: what an operation on a
      named axis (its parameter ``axis_name``) is where that axis is mapped;
    - ``def_sizes(naming, in_shapes, out_shapes, **params) -> params``: which parameters are extents
      (`weft.core.shape_classes`); primitives without it are compiled for exact shapes.

    ``pointwise`` says that an element of the one result depends on an element of each operand and
    nothing else, so that it has the same bits whatever it is compiled with.
    """

    __slots__ = ("multiple_results", "name", "pointwise", "rules")

    def __init__(self, name: str, multiple_results: bool = False):
        self.name = name
        self.multiple_results = multiple_results
        self.pointwise = False
        self.rules: dict[str, Rule] = {}
        _by_name.setdefault(name, self)

    def bind(self, *args: Any, **params: Any) -> Any:
        """Applies the primitive in the current trace: an array, or a list of them."""
        return current_trace().process(self, args, params)

    def rule(self, kind: str) -> Rule:
        """The rule of that kind, or a :class:`MissingRuleError` naming both."""
        try:
            return self.rules[kind]
        except KeyError:
            reason = _PURPOSE.get(kind, "it cannot be used here")
            raise MissingRuleError(
                f"primitive '{self.name}' has no {kind} rule: {reason}"
            ) from None

    def out_avals(self, *avals: ShapedArray, **params: Any) -> list[ShapedArray]:
        """Result types, always as a list."""
        out = self.rule("type")(*avals, **params)
        return list(out) if self.multiple_results else [out]

    def effects(self, params: dict[str, Any]) -> frozenset[str]:
        """The side effects of an application with ``params``."""
        rule = self.rules.get("effects")
        return rule(**params) if rule is not None else _NO_EFFECTS

    def _set(self, kind: str, rule: RuleT) -> RuleT:
        if kind in self.rules:
            raise ValueError(f"primitive '{self.name}' already has a {kind} rule")
        self.rules[kind] = rule
        return rule

    def def_type(self, rule: RuleT) -> RuleT:
        """Sets the typing rule."""
        return self._set("type", rule)

    def def_numpy(self, rule: RuleT) -> RuleT:
        """Sets the NumPy meaning."""
        return self._set("numpy", rule)

    def def_jvp(self, rule: RuleT) -> RuleT:
        """Sets the forward-mode rule."""
        return self._set("jvp", rule)

    def def_transpose(self, rule: RuleT) -> RuleT:
        """Sets the transposition rule."""
        return self._set("transpose", rule)

    def def_batch(self, rule: RuleT) -> RuleT:
        """Sets the batching rule."""
        return self._set("batch", rule)

    def def_lower(self, rule: RuleT) -> RuleT:
        """Sets the lowering to terms."""
        return self._set("lower", rule)

    def def_lower_complex(self, rule: RuleT) -> RuleT:
        """Sets the lowering to terms of equations with complex numbers."""
        return self._set("lower_complex", rule)

    def def_portable(self, rule: RuleT) -> RuleT:
        """Sets the form in other operations."""
        return self._set("portable", rule)

    def def_partial_eval(self, rule: RuleT) -> RuleT:
        """Sets the rule that splits a higher-order primitive into known and unknown parts."""
        return self._set("partial_eval", rule)

    def def_effects(self, rule: RuleT) -> RuleT:
        """Sets the function that names the side effects."""
        return self._set("effects", rule)

    def def_eval(self, rule: RuleT) -> RuleT:
        """Sets how the bottom trace runs the primitive."""
        return self._set("eval", rule)

    def def_sizes(self, rule: RuleT) -> RuleT:
        """Sets the rule that says which parameters are extents."""
        return self._set("sizes", rule)

    def def_collective(self, rule: RuleT) -> RuleT:
        """Sets the meaning over the named axis."""
        return self._set("collective", rule)

    def __repr__(self) -> str:
        return self.name


_NO_EFFECTS: frozenset[str] = frozenset()

# At the end: trace.py imports Primitive for its types.
from weft.core.trace import current_trace  # noqa: E402
