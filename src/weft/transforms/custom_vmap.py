"""``custom_vmap``: functions with their own rule for a mapped axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.canonical import DerivativeRule
from weft.core.interpret import eval_closed, numpy_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.primitive import Primitive
from weft.core.staging import trace_to_jaxpr
from weft.transforms.closed import jvp_closed, moved_of, present, spread
from weft.transforms.control_flow import map as sequential_map
from weft.transforms.custom_function import CustomFunction, F
from weft.transforms.functions import check_callable, flat_function
from weft.transforms.vmap import place_axis

custom_vmap_p = Primitive("custom_vmap", multiple_results=True)


class MappedRule(DerivativeRule):
    """The rule of a call, on flat lists: ``(size, mapped, args) -> (results, mapped)``."""

    __slots__ = ("call", "name")

    def __init__(self, name: str, call: Callable[..., tuple[list[Any], list[bool]]]):
        self.name = name
        self.call = call

    def __repr__(self) -> str:
        return f"<{self.name} with its own vmap>"


@custom_vmap_p.def_type
def _(*avals: ShapedArray, jaxpr: ClosedJaxpr, **params: Any) -> list[ShapedArray]:
    return jaxpr.out_avals


@custom_vmap_p.def_effects
def _(*, jaxpr: ClosedJaxpr, **params: Any) -> frozenset[str]:
    return jaxpr.effects


@custom_vmap_p.def_numpy
def _(*args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    return numpy_closed(jaxpr, *args)


@custom_vmap_p.def_lower_complex
@custom_vmap_p.def_lower
def _(ctx: Any, *args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    return ctx.inline(jaxpr, args)


@custom_vmap_p.def_eval
def _(*args: Any, jaxpr: ClosedJaxpr, **params: Any) -> list[Any]:
    return eval_closed(jaxpr, *args)


@custom_vmap_p.def_jvp
def _(primals: list[Any], tangents: list[Any], *, jaxpr: ClosedJaxpr, **params: Any) -> Any:
    # The derivative is that of the function; its own rule for mapped axes ends here.
    derived = jvp_closed(jaxpr, moved_of(tangents))
    outs = eval_closed(derived.closed, *derived.consts, *primals, *present(tangents))
    count = len(jaxpr.out_avals)
    return outs[:count], spread(outs[count:], derived.outs, jaxpr.out_avals)


@custom_vmap_p.def_batch
def _(
    axis_size: int,
    args: list[Any],
    dims: list[Any],
    *,
    jaxpr: ClosedJaxpr,
    rule: MappedRule,
    num_consts: int,
) -> Any:
    if any(d is not None for d in dims[:num_consts]):
        raise TypeError(
            f"custom_vmap '{rule.name}' closes over a value that is mapped, but its rule knows "
            "only its arguments: pass the value as an argument"
        )
    own = zip(args[num_consts:], dims[num_consts:], strict=True)
    first = [x if d is None else place_axis(x, axis_size, d, 0) for x, d in own]
    outs, mapped = rule.call(axis_size, [d is not None for d in dims[num_consts:]], first)
    return outs, [0 if m else None for m in mapped]


class custom_vmap(CustomFunction[F]):
    """A function with its own rule for a mapped axis.

    ``def_vmap(rule)`` sets ``rule(axis_size, in_batched, *args) -> (result, out_batched)``: mapped
    arguments have the axis first, ``in_batched`` has their structure and says which are mapped, and
    ``out_batched`` says so of the result, whose mapped leaves have the axis first too.

    >>> @weft.custom_batching.custom_vmap
    ... def solve(a, b):
    ...     return b / a
    >>> @solve.def_vmap
    ... def _(axis_size, in_batched, a, b):
    ...     return b / a, True
    """

    kind = "custom_vmap"

    def __init__(self, fun: F):
        super().__init__(fun)
        self.rule: Callable[..., Any] | None = None

    def def_vmap(self, vmap_rule: Callable[..., Any]) -> Callable[..., Any]:
        """Sets the rule; usable as a decorator."""
        check_callable("custom_vmap", vmap_rule)
        self.rule = vmap_rule
        return vmap_rule

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.rule is None:
            raise TypeError(f"custom_vmap '{self.name}' has no rule yet: give one with def_vmap")
        positional = self.positional(args, kwargs)
        flat, leaves = flat_function("custom_vmap", self.fun, positional)
        closed = trace_to_jaxpr(flat, [aval_of(x) for x in leaves], flat.info)
        out_def = flat.out_tree
        assert out_def is not None
        outs = custom_vmap_p.bind(
            *closed.consts,
            *leaves,
            jaxpr=closed.hoisted(),
            rule=MappedRule(self.name, self._flat_rule(flat.treedef, out_def, closed.out_avals)),
            num_consts=len(closed.consts),
        )
        return flat.unflatten(outs)

    def _flat_rule(
        self, in_def: tree.PyTreeSpec, out_def: tree.PyTreeSpec, out_avals: list[ShapedArray]
    ) -> Callable[..., tuple[list[Any], list[bool]]]:
        def call(size: int, mapped: list[bool], args: list[Any]) -> tuple[list[Any], list[bool]]:
            assert self.rule is not None
            in_batched, _ = tree.unflatten(in_def, mapped)
            pair = self.rule(int(size), list(in_batched), *tree.unflatten(in_def, args)[0])
            if not (isinstance(pair, tuple | list) and len(pair) == 2):
                raise TypeError(
                    f"custom_vmap '{self.name}': the rule must return a pair (result, "
                    f"out_batched), got {type(pair).__name__}"
                )
            outs, _ = self.flatten_result("the result of the rule", pair[0], out_def)
            flags = tree.leaves(tree.broadcast(pair[1], tree.unflatten(out_def, outs)))
            names = tree.path_names(out_def, "result")
            for out, flag, aval, name in zip(outs, flags, out_avals, names, strict=True):
                want = aval.update(shape=(int(size), *aval.shape)) if flag else aval
                got = aval_of(out)
                if (got.shape, got.dtype) != (want.shape, want.dtype):
                    raise TypeError(
                        f"custom_vmap '{self.name}': the rule returned {got} as {name}, expected "
                        f"{want} ({'mapped' if flag else 'not mapped'} by out_batched)"
                    )
            return outs, flags

        return call


def sequential_vmap(f: F) -> custom_vmap[F]:
    """The function with a rule that runs it element by element, as `weft.lax.map` does.

    >>> @weft.custom_batching.sequential_vmap
    ... def twice(x):
    ...     return 2 * x
    >>> weft.vmap(twice)(np.arange(3.0))
    Array([0., 2., 4.], dtype=float32)
    """
    mapped = custom_vmap(f)

    @mapped.def_vmap
    def rule(axis_size: int, in_batched: list[Any], *args: Any) -> tuple[Any, Any]:
        leaves, treedef = tree.flatten(args)
        flags = tree.leaves(tuple(in_batched))

        def one(items: list[Any]) -> Any:
            given = iter(items)
            full = [next(given) if m else x for m, x in zip(flags, leaves, strict=True)]
            return f(*tree.unflatten(treedef, full))

        out = sequential_map(one, [x for x, m in zip(leaves, flags, strict=True) if m])
        return out, tree.map(lambda _: True, out)

    return mapped
