"""``jit``: trace a function once for each signature of its arguments, and run the compiled program.

A signature is the containers of the arguments, the types of the arrays in them (shape, dtype,
weakness) and the values of static arguments. Traces are kept, up to a bound, with the least
recently used dropped first.
"""

from __future__ import annotations

import functools
import inspect
import threading
import types
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from weft import tree
from weft.array.arguments import as_argument
from weft.array.mixed import MixedDevicesError
from weft.array.value import Array
from weft.config import DISABLED, config, detour, detour_variable
from weft.core.avals import ShapedArray, aval_of
from weft.core.axis_names import axes_in_scope
from weft.core.bounded import Members
from weft.core.collector import collector_paused
from weft.core.interpret import eval_closed
from weft.core.jaxpr import ClosedJaxpr
from weft.core.staging import FunctionInfo, trace_to_jaxpr
from weft.core.trace import Tracer, current_trace, eval_trace, trace_variable
from weft.runtime import ahead
from weft.runtime.fast_call import Conditions, FastCallable
from weft.structs import struct
from weft.transforms.call import device_results, executable_of, jit_p
from weft.transforms.captured import note_constants
from weft.transforms.functions import (
    FlatFunction,
    argument_names,
    as_array,
    at_user_line,
    check_callable,
    check_leaves,
    function_name,
    positional_names,
    signature_of,
)
from weft.transforms.lowered import Lowered
from weft.transforms.retraced import Signature, note_trace
from weft.transforms.unpack import NO_MATCH, tree_call

#: Signatures kept for each jitted function.
CACHE_SIZE = 512


@struct
class Traced:
    """A function traced for one signature: its program ``closed``, compiled when first needed."""

    closed: ClosedJaxpr
    in_tree: tree.PyTreeSpec
    out_tree: tree.PyTreeSpec
    name: str
    donated: tuple[int, ...] = ()
    flat_inputs: bool = False
    local: bool = False
    tune: bool = False
    #: The device that the function was jitted for, whatever its arguments are on.
    device: str | None = None
    _executable: Any = None
    _compiled_for: Any = None
    _paths: Any = None
    #: Whether it has been called before.
    ran = False

    @property
    def jaxpr(self) -> ClosedJaxpr:
        """The program."""
        return self.closed

    def lower(self) -> Lowered:
        """The program on its way to machine code, for `Lowered.as_text` and `Lowered.compile`."""
        return Lowered(self)

    @property
    def executable(self) -> Any:
        """The compiled program, under the current settings."""
        if self._executable is None or self._compiled_for is not config.compiled_for:
            settings = config.compiled_for
            self._executable = executable_of(self.closed, self.donated, self.tune)
            self._compiled_for = settings
        return self._executable

    def call(self, leaves: Sequence[Any]) -> list[Any]:
        """Runs the compiled program, or enters it into the trace that is under way."""
        if current_trace() is eval_trace and not self.local:
            found = device_results(self.closed, leaves, self.donated)
            return self.executable(*leaves) if found is None else found
        hoisted = self.closed.hoisted()
        return jit_p.bind(*self.closed.consts, *leaves, jaxpr=hoisted, name=self.name)

    def matches(self, treedef: tree.PyTreeSpec, leaves: Sequence[Any]) -> bool:
        """Are these arguments of this signature? Only arrays on the CPU are recognised."""
        if treedef != self.in_tree:
            return False
        for leaf, aval in zip(leaves, self.closed.in_avals, strict=True):
            if type(leaf) is not Array or leaf.aval is not aval:
                return False
        return True

    def paths(
        self, slow: Callable[..., Any], other: Callable[..., Any]
    ) -> tuple[Callable[..., Any] | None, Callable[..., Any] | None]:
        """The `native_path` or else the `tree_path` of the current program, made once."""
        executable = self.executable
        if self._paths is None or self._paths[0] is not executable:
            flat = self.native_path(slow)
            nested = None if flat is not None else self.tree_path(other)
            self._paths = executable, flat, nested
        return self._paths[1:]

    def native_path(self, slow: Callable[..., Any]) -> Callable[..., Any] | None:
        """A native callable for arrays of these types, when no containers are in the way.

        What it does not match (delayed arrays, other types) goes to ``slow``.
        """
        count = self.out_tree.num_leaves
        single = self.out_tree.is_leaf()
        flat_output = single or self.out_tree == tree.structure((0,) * count)
        if self.local or not (self.flat_inputs and flat_output):
            return None
        return self.executable.call_path(slow, single)

    def tree_path(self, other: Callable[..., Any]) -> Callable[..., Any] | None:
        """A function of ``(args, kwargs)`` for arrays of these types in plain containers.

        What it does not match goes to ``other``.
        """
        if self.local:
            return None
        native = self.executable.call_path(_no_match, single=False)
        return tree_call(self.in_tree, self.out_tree, native, other)


def _no_match(*leaves: Any) -> Any:
    return NO_MATCH


@struct(slots=True)
class _Call:
    """The arguments of one call, sorted out."""

    leaves: list[Any]
    treedef: tree.PyTreeSpec
    avals: tuple[ShapedArray, ...]
    static_args: tuple[tuple[int, Any], ...]
    static_kwargs: tuple[tuple[str, Any], ...]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    positions: tuple[int, ...]

    def key(self) -> Any:
        """What a trace is valid for. Types are part of it: 1, 1.0 and True are equal in Python."""
        named = axes_in_scope()
        if not self.static_args and not self.static_kwargs and not named:
            return self.treedef, self.avals
        static = tuple((i, type(v), v) for i, v in self.static_args)
        static_kw = tuple((n, type(v), v) for n, v in self.static_kwargs)
        return self.treedef, self.avals, static, static_kw, named


#: Every jitted function that somebody holds, for `weft.clear_caches`.
jitted: Members[JitFunction] = Members()


class JitFunction(FastCallable):
    """A jitted function; see :func:`jit`.

    Has the attributes of the function it wraps, ``trace(*args)`` for its jaxpr, ``lower(*args)``
    for the levels below, ``stats(*args)`` for what compiling it took, and ``clear_cache()``.
    """

    conditions = Conditions(
        config, "compiled_for", ((trace_variable, eval_trace), (detour_variable, None))
    )

    def __init__(
        self,
        fun: Callable[..., Any],
        static_argnums: tuple[int, ...],
        static_argnames: tuple[str, ...],
        donate_argnums: tuple[int, ...],
        inline: bool,
        donate_argnames: tuple[str, ...] = (),
        tune: bool = False,
        device: str | None = None,
    ):
        functools.update_wrapper(self, fun)
        self._fun = fun
        self._name = function_name(fun)
        self._static_argnums, self._static_argnames = _both_ways(
            fun, "static", static_argnums, static_argnames
        )
        self._donate_argnums, self._donate_argnames = _both_ways(
            fun, "donate", donate_argnums, donate_argnames
        )
        self._inline = inline
        self._tune = tune
        self._device = device
        self._plain = not (self._static_argnums or self._static_argnames)
        self._cache: OrderedDict[Any, Traced] = OrderedDict()
        self._lock = threading.Lock()
        # The native path of the last signature that has one, and the settings it was compiled for.
        self._fast: Callable[..., Any] | None = None
        self._fast_tree: Callable[..., Any] | None = None
        self._fast_for: Any = None
        self._last: Traced | None = None
        self._traces = 0
        self._signature: Signature | None = None
        jitted.add(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self._fast_for is config.compiled_for
            and current_trace() is eval_trace
            and detour() is None
        ):
            fast = self._fast
            if fast is not None and not kwargs:
                return fast(*args)
            fast = self._fast_tree
            if fast is not None:
                return fast(args, kwargs)
        return self._call(*args, **kwargs)

    def _other(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self._call(*args, **kwargs)

    def _call(self, *args: Any, **kwargs: Any) -> Any:
        """Any call; afterwards calls like it may take a shorter way."""
        elsewhere = detour()
        if elsewhere is DISABLED:
            return self._run_in_python(self._sort_arguments(args, kwargs))
        if self._device is not None and current_trace() is eval_trace:
            from weft.backends.arrays import call_on

            return call_on(self._device, self._call_here, args, kwargs)
        return self._call_here(*args, **kwargs)

    def _run_in_python(self, call: _Call) -> Any:
        """The function itself, on arrays where it would get traced ones."""
        leaves = [as_array(x) for x in call.leaves]
        args, kwargs = tree.unflatten(call.treedef, leaves)
        return self._with_static(call, args, kwargs)

    def _with_static(self, call: _Call, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
        """Calls the function with these arguments and the static ones of ``call``."""
        full = list(args)
        for position, value in call.static_args:
            full.insert(position, value)
        return self._fun(*full, **kwargs, **dict(call.static_kwargs))

    def _call_here(self, *args: Any, **kwargs: Any) -> Any:
        """Any call, on the device of its arguments or of this context."""
        last = self._last
        if self._plain and last is not None and current_trace() is eval_trace and detour() is None:
            # The usual case, without the bookkeeping of the others: the last signature again.
            leaves, treedef = tree.flatten((args, kwargs))
            taken = last.donated
            leaves = [
                x if type(x) is Array or n in taken else as_argument(x)
                for n, x in enumerate(leaves)
            ]
            if last.matches(treedef, leaves) and self._fast_for is config.compiled_for:
                return tree.unflatten(last.out_tree, last.executable(*leaves))
        call = self._sort_arguments(args, kwargs)
        traced = self._traced(call)
        if current_trace() is eval_trace:
            try:
                results = traced.call(call.leaves)
            except MixedDevicesError as why:
                if why.concerns(call.leaves):
                    why.name(self._names(call)(), self._name)
                raise
            if (traced.ran or not ahead.under_way()) and detour() is None and not self._device:
                self._remember(traced)
            traced.ran = True
            return tree.unflatten(traced.out_tree, results)
        if self._inline:
            return tree.unflatten(traced.out_tree, eval_closed(traced.closed, *call.leaves))
        return tree.unflatten(traced.out_tree, traced.call(call.leaves))

    def _remember(self, traced: Traced) -> None:
        """Makes the native path of ``traced`` the first one to try."""
        if (
            not self._plain
            or traced.local
            or (self._last is traced and self._fast_for is config.compiled_for)
        ):
            return
        settings = config.compiled_for
        flat, nested = traced.paths(self._call, self._other)
        with self._lock:
            self.set_fast(None)
            self._fast, self._fast_tree = flat, nested
            self._fast_for = settings
            self._last = traced
            self.set_fast(flat, settings)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else types.MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<jit of {self._name}>"

    def __reduce__(self) -> str:
        # By reference, as functions: pickle checks that the module has this one by the name.
        return getattr(self, "__qualname__", self._name)

    def trace(self, *args: Any, **kwargs: Any) -> Traced:
        """The traced program for these arguments (arrays, or ``ShapeDtypeStruct``), not run."""
        return self._traced(self._sort_arguments(args, kwargs))

    def lower(self, *args: Any, **kwargs: Any) -> Lowered:
        """The program for these arguments, or for ``ShapeDtypeStruct`` of them: its levels as
        text, and as a `Compiled` that takes only such arguments.
        """
        return self.trace(*args, **kwargs).lower()

    def eval_shape(self, *args: Any, **kwargs: Any) -> Any:
        """The shapes and dtypes of the results for these arguments, as `weft.eval_shape`."""
        from weft.transforms.abstract import eval_shape

        return eval_shape(self, *args, **kwargs)

    def stats(self, *args: Any, **kwargs: Any) -> Any:
        """What compiling for these arguments took and made (compiled now if it was not yet).

        Its ``kernels``, ``arena_bytes``, ``seconds`` and ``passes`` say how many kernels there
        are, how much scratch memory a call needs, and where the time to compile went.
        """
        return self.trace(*args, **kwargs).executable.stats

    def clear_cache(self) -> None:
        """Forgets every trace and compiled program of this function."""
        with self._lock:
            self._cache.clear()
            self._traces, self._signature = 0, None
            self.set_fast(None)
            self._fast = self._fast_tree = self._last = None

    def _traced(self, call: _Call) -> Traced:
        key = call.key()
        try:
            traced = self._cache.get(key)
        except TypeError:
            raise self._unhashable(call) from None
        if traced is not None:
            if traced is not self._last:
                with self._lock:
                    if key in self._cache:
                        self._cache.move_to_end(key)
            return traced
        traced = self._trace_call(call)
        self._note_trace(call, traced)
        # A program that closes over values of an outer trace is valid there only.
        if not traced.local:
            with self._lock:
                self._cache[key] = traced
                while len(self._cache) > CACHE_SIZE:
                    self._cache.popitem(last=False)
        return traced

    def _names(self, call: _Call) -> Callable[[], list[str]]:
        return argument_names(self._fun, call.treedef, call.args, call.kwargs, call.positions)

    def _trace_call(self, call: _Call) -> Traced:
        def with_static(*args: Any, **kwargs: Any) -> Any:
            return self._with_static(call, args, kwargs)

        info = FunctionInfo(self._name, self._names(call), "jit")
        flat = FlatFunction(with_static, call.treedef, info)
        with collector_paused():
            closed = trace_to_jaxpr(flat, call.avals, info)
        assert flat.out_tree is not None
        args_def, _ = call.treedef.children()
        return Traced(
            closed,
            call.treedef,
            flat.out_tree,
            self._name,
            self._donated_leaves(call),
            flat_inputs=not call.kwargs and args_def == tree.structure((0,) * len(call.args)),
            local=any(isinstance(c, Tracer) for c in closed.consts),
            tune=self._tune,
            device=self._device,
        )

    def _note_trace(self, call: _Call, traced: Traced) -> None:
        """Warns of many signatures and of large constants."""
        roots = positional_names(self._fun, max([i for i, _ in call.static_args], default=-1) + 1)
        static = [(roots[i], value) for i, value in call.static_args]
        names = self._names(call)
        now = Signature(call.treedef, call.avals, (*static, *call.static_kwargs), names)
        before, self._signature = self._signature, now
        self._traces += 1
        note_trace(self._name, self._traces, before, now)
        if traced.closed.consts and current_trace() is eval_trace:
            note_constants(self._name, self._fun, traced.closed)

    def _donated_leaves(self, call: _Call) -> tuple[int, ...]:
        if not (self._donate_argnums or self._donate_argnames):
            return ()
        wanted = {i % (max(call.positions, default=0) + 1) for i in self._donate_argnums}
        donated: list[int] = []
        start = 0
        for position, arg in zip(call.positions, call.args, strict=True):
            count = len(tree.leaves(arg))
            if position in wanted:
                donated.extend(range(start, start + count))
            start += count
        kwargs_def = call.treedef.children()[1]
        for name, spec in zip(kwargs_def.entries(), kwargs_def.children(), strict=True):
            if name in self._donate_argnames:
                donated.extend(range(start, start + spec.num_leaves))
            start += spec.num_leaves
        return tuple(donated)

    def _sort_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call:
        static_args: tuple[tuple[int, Any], ...] = ()
        static_kwargs: tuple[tuple[str, Any], ...] = ()
        positions: Sequence[int] = range(len(args))
        if not self._plain:
            static = self._static_argnums
            static_args = tuple((i, arg) for i, arg in enumerate(args) if i in static)
            positions = [i for i in positions if i not in static]
            args = tuple(args[i] for i in positions)
            names = self._static_argnames
            static_kwargs = tuple(sorted((n, v) for n, v in kwargs.items() if n in names))
            kwargs = {n: v for n, v in kwargs.items() if n not in names}
        leaves, treedef = tree.flatten((args, kwargs))
        try:
            avals = tuple([aval_of(leaf) for leaf in leaves])
        except TypeError:
            names_of = argument_names(self._fun, treedef, args, kwargs, positions)
            check_leaves("jit", self._name, leaves, _with_advice(names_of))
            raise
        return _Call(
            leaves, treedef, avals, static_args, static_kwargs, args, kwargs, tuple(positions)
        )

    def _unhashable(self, call: _Call) -> TypeError:
        names = positional_names(self._fun, max([i for i, _ in call.static_args], default=-1) + 1)
        values = [(names[i], v) for i, v in call.static_args] + list(call.static_kwargs)
        for name, value in values:
            try:
                hash(value)
            except TypeError:
                return TypeError(
                    f"jit of '{self._name}': the static argument {name} is not hashable: "
                    f"{value!r} of type {type(value).__name__}. Static arguments are compared by "
                    "value; use a tuple in place of a list, or pass arrays as ordinary arguments"
                    f"{at_user_line()}"
                )
        return TypeError(f"jit of '{self._name}': the containers of the arguments are not hashable")


def _with_advice(names: Callable[[], list[str]]) -> Callable[[], list[str]]:
    def advised() -> list[str]:
        return [
            f"{name} (if it is meant to be static, name it in static_argnames)" for name in names()
        ]

    return advised


def _as_tuple(what: str, value: Any, kind: type) -> tuple[Any, ...]:
    if value is None:
        return ()
    if isinstance(value, kind):
        return (value,)
    if isinstance(value, Iterable):
        items = tuple(value)
        if all(isinstance(item, kind) and not isinstance(item, bool) for item in items):
            return items
    raise TypeError(f"jit: {what} is {kind.__name__}s, got {value!r}")


def _both_ways(
    fun: Callable[..., Any], what: str, argnums: tuple[int, ...], argnames: tuple[str, ...]
) -> tuple[tuple[int, ...], frozenset[str]]:
    """Arguments by position and by name, each inferred from the other and checked."""
    signature = signature_of(fun)
    if signature is None or not (argnums or argnames):
        return argnums, frozenset(argnames)
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(signature.parameters.values())
    positional = [p.name for p in parameters if p.kind in kinds]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    for number in argnums:
        if not variadic and not -len(positional) <= number < len(positional):
            raise ValueError(
                f"jit of '{function_name(fun)}': {what}_argnums has {number}, but the function "
                f"takes {len(positional)} positional arguments{at_user_line()}"
            )
    free_names = any(p.kind is p.VAR_KEYWORD for p in parameters)
    for name in argnames:
        if not free_names and name not in signature.parameters:
            raise ValueError(
                f"jit of '{function_name(fun)}': {what}_argnames has {name!r}, but the function "
                f"takes {', '.join(signature.parameters) or 'no arguments'}{at_user_line()}"
            )
    argnums = tuple(n + len(positional) if n < 0 else n for n in argnums)
    numbers = set(argnums) | {positional.index(n) for n in argnames if n in positional}
    names = set(argnames) | {positional[i] for i in argnums if i < len(positional)}
    return tuple(sorted(numbers)), frozenset(names)


def jit(
    fun: Callable[..., Any] | None = None,
    *,
    static_argnums: int | Sequence[int] | None = None,
    static_argnames: str | Sequence[str] | None = None,
    donate_argnums: int | Sequence[int] | None = None,
    donate_argnames: str | Sequence[str] | None = None,
    keep_unused: bool = False,
    inline: bool = False,
    tune: bool = False,
    device: str | None = None,
) -> Any:
    """Compiles a function: traced once for each signature, then one native call.

    Arguments and results are trees of arrays and numbers. ``static_argnums`` and
    ``static_argnames`` name arguments that are Python values, compiled in and compared by ``==``;
    ``donate_argnums`` and ``donate_argnames`` those whose memory the results may reuse. With
    ``inline`` the function leaves no call in outer programs. Programs always take all of their
    arguments, whatever ``keep_unused`` is. Works as a decorator, on methods and with keyword
    arguments too.

    With ``tune`` the eight likeliest schedules of each kernel are compiled and timed when a
    signature is first called, instead of taking the one that the machine model finds cheapest; what
    won is kept on disk. A progress bar shows on a terminal. In the programs of other jitted
    functions, those decide.

    With ``device``, the name of one (`weft.devices`), calls run there, and arguments are moved to
    it; otherwise they run where their arguments are. Within other transformations the arguments of
    the whole decide.

    >>> @weft.jit
    ... def step(x, *, rate=0.1):
    ...     return x - rate * x

    The function must be pure: its Python code runs only when a new signature is traced.
    """
    if fun is None:
        return functools.partial(
            jit,
            static_argnums=static_argnums,
            static_argnames=static_argnames,
            donate_argnums=donate_argnums,
            donate_argnames=donate_argnames,
            keep_unused=keep_unused,
            inline=inline,
            tune=tune,
            device=device,
        )
    check_callable("jit", fun)
    return JitFunction(
        fun,
        _as_tuple("static_argnums", static_argnums, int),
        _as_tuple("static_argnames", static_argnames, str),
        _as_tuple("donate_argnums", donate_argnums, int),
        inline,
        _as_tuple("donate_argnames", donate_argnames, str),
        tune,
        device,
    )
