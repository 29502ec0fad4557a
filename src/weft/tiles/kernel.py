"""``weft.kernel``: functions that compute with tiles, as kernels for every device."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Sequence
from typing import Any

from weft import tree
from weft.core.avals import ShapedArray, aval_of
from weft.core.bounded import BoundedCache
from weft.core.dtypes import is_complex, is_key
from weft.core.jaxpr import ClosedJaxpr
from weft.core.staging import FunctionInfo
from weft.core.trace import Tracer, set_trace
from weft.primitives.convert import convert_element_type
from weft.primitives.tile_body import read_p
from weft.primitives.tile_kernel import Refs, tile_kernel_p
from weft.structs import struct
from weft.tiles.check import check_tiles
from weft.tiles.tracing import Building, KernelTrace, Ref, outside
from weft.transforms.functions import argument_names, check_callable, check_leaves, function_name

#: Signatures kept of each kernel.
SIGNATURES = 64


@struct(frozen=True)
class Traced:
    """A kernel for one signature: ``results`` are the numbers of outputs, in order of return."""

    body: ClosedJaxpr
    refs: Refs
    out_tree: tree.PyTreeSpec
    results: tuple[int, ...]


class Kernel:
    """A kernel of the user's; see `kernel`."""

    def __init__(self, fun: Callable[..., Any], static_argnames: tuple[str, ...]) -> None:
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._name = function_name(fun)
        self._static = static_argnames
        self._known: BoundedCache[Traced] = BoundedCache(SIGNATURES)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        outside(self._name)
        static = {n: v for n, v in kwargs.items() if n in self._static}
        given = {n: v for n, v in kwargs.items() if n not in self._static}
        leaves, treedef = tree.flatten((args, given))
        names = argument_names(self._fun, treedef, args, given)
        check_leaves("kernel", self._name, leaves, names)
        avals = tuple(aval_of(x) for x in leaves)
        options = tuple(sorted((n, type(v), v) for n, v in static.items()))
        traced = self._known.get(
            (treedef, avals, options), lambda: self._trace(treedef, avals, static, names)
        )
        outs = tile_kernel_p.bind(*leaves, body=traced.body, refs=traced.refs, name=self._name)
        return tree.unflatten(traced.out_tree, [outs[n] for n in traced.results])

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<kernel {self._name}>"

    def _trace(
        self,
        treedef: tree.PyTreeSpec,
        avals: Sequence[ShapedArray],
        static: dict[str, Any],
        names: Callable[[], Sequence[str]],
    ) -> Traced:
        trace = KernelTrace(FunctionInfo(self._name, names, "kernel"))
        try:
            with Building(self._name, trace) as owner, set_trace(trace):
                leaves = [_argument(owner, a, n) for a, n in zip(avals, names(), strict=True)]
                args, given = tree.unflatten(treedef, leaves)
                result = self._fun(*args, **given, **static)
                owner.ready("the kernel ends")
                outs, out_tree = tree.flatten(result)
                results = self._results(owner, outs)
                closed = trace.finish([])
        finally:
            trace.finished = True
        for const in closed.consts:
            if isinstance(const, Tracer):
                raise owner.error(
                    f"it uses a traced value of type {const.aval} from around it: kernels get "
                    "arrays as arguments"
                )
        check_tiles(owner, closed.jaxpr)
        refs = tuple((r._role, r.shape, r.dtype) for r in owner.refs)
        return Traced(closed, refs, out_tree, results)

    def _results(self, owner: Building, outs: Sequence[Any]) -> tuple[int, ...]:
        outputs = [r for r in owner.refs if r._role == "output"]
        for out in outs:
            if out not in outputs:
                shown = repr(out) if isinstance(out, Ref) else type(out).__name__
                raise owner.error(
                    f"it returned {shown}: a kernel returns arrays made by tiles.output"
                )
        for ref in outputs:
            if not any(out is ref for out in outs):
                raise owner.error(f"{ref._name} is not returned")
        if not outputs:
            raise owner.error("it has no results: they are arrays made by tiles.output")
        return tuple(outputs.index(out) for out in outs)


def _argument(owner: Building, aval: ShapedArray, name: str) -> Any:
    """An argument as a kernel sees it: memory, or a number."""
    if is_complex(aval.dtype) or is_key(aval.dtype):
        raise TypeError(
            f"kernel '{owner.name}': the argument {name} is {aval}; kernels work on real numbers, "
            "whole numbers and bool"
        )
    ref = owner.new_ref("input", name, aval.shape, aval.dtype)
    if aval.shape:
        return ref
    value = read_p.bind(ref=ref._number, dtype=ref.dtype, index=())
    return convert_element_type(value, aval.dtype, weak_type=True) if aval.weak_type else value


def kernel(
    fun: Callable[..., Any] | None = None, *, static_argnames: Sequence[str] | str = ()
) -> Any:
    """A decorator that makes a function of tiles a kernel, which runs on every device.

    The function gets its arrays as memory (`weft.tiles.Ref`) and its numbers as tiles without
    dimensions. It makes results by ``tiles.output``, goes through a ``tiles.grid`` of programs that
    run in parallel, reads tiles (``x[i, k]``), computes with them as with any array, and writes
    them (``out[i] = …``). It runs once for each signature; what it does is recorded.

    ``static_argnames`` are arguments, given by keyword, that are Python values to the function,
    such as sizes of blocks.

    A kernel is called like any function, inside `jit` and `vmap` too; a `custom_vjp` around it
    gives it a derivative. Before it runs it is checked: `weft.tiles.TileError`, with the line, says
    where an index may leave its array, where programs write the same element, and which elements of
    a result none writes.

    >>> from weft import tiles
    >>> @weft.kernel
    ... def scale(x, by):
    ...     out = tiles.output(x.shape, x.dtype)
    ...     for i in tiles.grid((x.shape[0], 4)):
    ...         out[i] = x[i] * by
    ...     return out
    >>> scale(np.arange(6.0), 10.0)
    Array([ 0., 10., 20., 30., 40., 50.], dtype=float32)
    """
    names = (static_argnames,) if isinstance(static_argnames, str) else tuple(static_argnames)
    if fun is None:
        return lambda f: kernel(f, static_argnames=names)
    check_callable("kernel", fun)
    return Kernel(fun, names)
