"""Delayed evaluation: operations outside `jit` are recorded, and run when a value is needed.

Recording an operation makes an `Operation` (a pending equation) and one `Array` per output that
refers to it. When a value is needed, the pending equations it depends on become a canonical
`Jaxpr`, whose inputs are the buffers they read, constants included; the program is looked up by its
structure, compiled once and run. What is computed on the way is kept where something else still
needs it: an array the user holds, or a pending equation outside the program that such an array
depends on.

Recorded equations are grouped in *segments*, one open segment per thread. A segment ends, and runs,
when its first call site recurs or it holds `SEGMENT_LIMIT` operations; so one pass of a loop of
eager work is one segment, and the loop compiles once. Equations depend only on their own segment or
on buffers.

Who keeps what alive: an array refers to its operation, an operation to its inputs, and a segment
refers weakly to the arrays. So work that nobody can observe disappears with its last array.
"""

from __future__ import annotations

import itertools
import sys
import threading
import weakref
from collections import OrderedDict
from collections.abc import Container, Hashable, Iterable, Sequence
from contextlib import suppress
from operator import attrgetter
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from weft.array import families, immediate
from weft.array.value import Array, alias, from_numpy, is_array, is_on_device
from weft.config import DISABLED, config, detour
from weft.core import dtypes
from weft.core.avals import ShapedArray, aval_of
from weft.core.jaxpr import Atom, ClosedJaxpr, Eqn, Jaxpr, Var
from weft.core.primitive import Primitive
from weft.core.source import Source, describe, user_frame
from weft.core.trace import set_capture, set_evaluator
from weft.runtime.buffer import Buffer

if TYPE_CHECKING:
    from weft.executable import Executable

SEGMENT_LIMIT = 128
CACHE_LIMIT = 512
#: Runs of a draft that cost about what making it faster does.
WORTH_FINISHING = 100


class Leaf:
    """An input that has bytes already."""

    __slots__ = ("aval", "buffer")

    def __init__(self, aval: ShapedArray, buffer: Buffer):
        self.aval = aval
        self.buffer = buffer


class Operation:
    """A pending equation.

    Attributes
    ----------
    primitive, params: what to apply.
    inputs: a `Leaf`, or a `Pending` output of an earlier operation, per operand.
    out_avals: the types of the results.
    site: code object and line of the user's code that asked for it.
    number: increases from one operation to the next; inputs have smaller numbers.
    segment: the segment it belongs to.
    results: None while pending; then a buffer per output, None for those nobody needed.
    """

    __slots__ = (
        "inputs",
        "number",
        "out_avals",
        "params",
        "primitive",
        "results",
        "segment",
        "site",
    )

    def __init__(
        self,
        primitive: Primitive,
        params: dict[str, Any],
        inputs: list[Leaf | Pending],
        out_avals: list[ShapedArray],
        site: tuple[Any, int],
        segment: Segment,
    ):
        self.primitive = primitive
        self.params = params
        self.inputs = inputs
        self.out_avals = out_avals
        self.site = site
        self.number = next(_numbers)
        self.segment = segment
        self.results: list[Buffer | None] | None = None

    def source(self) -> Source | None:
        """The user's line."""
        code, line = self.site
        return Source(code.co_filename, line, code.co_qualname) if code is not None else None


Pending = tuple[Operation, int]
_numbers = itertools.count()


class Segment:
    """Operations recorded by one thread that may become one program.

    Another thread may need a value of the segment while its own thread records, so both take
    `lock`. Its holder never waits for another segment: inputs from there have been computed before.
    """

    __slots__ = ("__weakref__", "arrays", "count", "first_path", "first_site", "lock")

    def __init__(self) -> None:
        self.arrays: list[weakref.ref[Array]] = []
        self.count = 0
        self.first_site: tuple[Any, int] | None = None
        self.first_path: tuple[Any, ...] = ()
        self.lock = threading.RLock()
        segments.add(self)

    def watch(self, array: Array) -> None:
        """Takes note of another handle of a value that is pending here."""
        with self.lock:
            self.arrays.append(weakref.ref(array))

    def live(self) -> dict[tuple[int, int], list[Array]]:
        """The arrays somebody holds that are still pending, by operation and output."""
        found: dict[tuple[int, int], list[Array]] = {}
        for reference in self.arrays:
            array = reference()
            if array is None:
                continue
            pending = array._pending
            if pending is not None and pending[0].segment is self:
                found.setdefault((id(pending[0]), pending[1]), []).append(array)
        return found

    def run(self, wanted: Sequence[Array] | None = None, effect: Operation | None = None) -> None:
        """Computes the arrays `wanted` or the operation `effect`, or everything somebody holds."""
        with self.lock:
            if wanted is not None and len(wanted) == 1 and self.count == 1 and effect is None:
                pending = wanted[0]._pending
                if pending is not None and len(pending[0].out_avals) == 1:
                    self._run_only(wanted[0], pending)
                    return
            live = self.live()
            if effect is not None:
                program = closure([(effect, 0)])  # its results are not looked at: it may have none
            elif wanted is None:
                program = closure(pending_of(live))
            else:
                program = closure(array._pending for array in wanted)
            if program:
                inside = {id(operation) for operation in program}
                everything = program
                if not inside.issuperset([key[0] for key in live]):
                    everything = closure(pending_of(live))
                outputs = _outputs(program, everything, live)
                self._hand_out(program, outputs, _execute(program, outputs), live)
            self.arrays = [ref for ref in self.arrays if (a := ref()) is not None and a._pending]
            if not self.arrays:
                self.count = 0

    def flush(self) -> bool:
        """Computes everything somebody holds, for its own sake; whether that succeeded.

        What fails stays pending, so that it raises where it is asked for, each time, and not in
        the unrelated operation that made the segment end.
        """
        with self.lock:
            try:
                self.run()
                return True
            except Exception:
                for array in [array for arrays in self.live().values() for array in arrays]:
                    if array._pending is not None:
                        with suppress(Exception):  # raised again by who needs the value
                            self.run((array,))
            return False

    def _run_only(self, array: Array, pending: Pending) -> None:
        """Computes the only operation; other handles of its result find it by themselves."""
        operation = pending[0]
        if operation.results is None:
            operation.results = list(_execute([operation], [pending]))
            operation.inputs = []
        array._buffer, array._pending = operation.results[0], None
        self.arrays = []
        self.count = 0

    def _hand_out(
        self,
        program: list[Operation],
        outputs: list[Pending],
        buffers: list[Buffer],
        live: dict[tuple[int, int], list[Array]],
    ) -> None:
        """Gives results to the operations and arrays that wait for them; lets inputs go."""
        for operation in program:
            operation.results = [None] * len(operation.out_avals)
            operation.inputs = []
        for (operation, index), buffer in zip(outputs, buffers, strict=True):
            operation.results[index] = buffer  # type: ignore[index]
            for array in live.get((id(operation), index), ()):
                pending = array._pending
                if pending is not None and pending[0] is operation:  # not rebound meanwhile
                    array._buffer = buffer
                    array._pending = None


segments: weakref.WeakSet[Segment] = weakref.WeakSet()


class _State(threading.local):
    segment: Segment | None = None


_state = _State()


def pending_of(live: dict[tuple[int, int], list[Array]]) -> list[Pending | None]:
    """The pending output of every array."""
    return [array._pending for arrays in live.values() for array in arrays]


def closure(roots: Iterable[Pending | None]) -> list[Operation]:
    """The pending operations that `roots` depend on, in the order of recording."""
    found: dict[int, Operation] = {}
    stack = [root[0] for root in roots if root is not None]
    while stack:
        operation = stack.pop()
        if id(operation) in found or operation.results is not None:
            continue
        found[id(operation)] = operation
        for x in operation.inputs:
            if type(x) is tuple:
                stack.append(x[0])
    if len(found) < 2:
        return list(found.values())
    return sorted(found.values(), key=_number)


_number = attrgetter("number")


def _outputs(
    program: list[Operation], everything: list[Operation], live: dict[tuple[int, int], list[Array]]
) -> list[Pending]:
    """The outputs of `program` that an array, or live pending work outside it, still needs."""
    needed: Container[tuple[int, int]] = live
    if everything is not program:
        needed = set(live)
        inside = {id(operation) for operation in program}
        for operation in everything:
            if id(operation) not in inside:
                needed.update((id(x[0]), x[1]) for x in operation.inputs if type(x) is tuple)
    return [
        (operation, index)
        for operation in program
        for index in range(len(operation.out_avals))
        if (id(operation), index) in needed
    ]


class _Canonical:
    """A program numbered by structure: its cache key, its inputs, and its jaxpr on demand."""

    def __init__(self, program: list[Operation], outputs: list[Pending]):
        self.program = program
        self.leaves: list[Leaf] = []
        places: dict[tuple[int, int], int] = {}  # leaf → input number
        position: dict[int, int] = {}
        equations: list[Hashable] = []
        self.operands: list[list[int | tuple[int, int]]] = []
        for k, operation in enumerate(program):
            position[id(operation)] = k
            operands: list[int | tuple[int, int]] = []
            for x in operation.inputs:
                if type(x) is tuple and x[0].results is None:
                    operands.append((position[id(x[0])], x[1]))
                    continue
                leaf = x if type(x) is Leaf else _leaf(x)
                identity = (id(leaf.buffer), id(leaf.aval))
                place = places.get(identity)
                if place is None:
                    place = places[identity] = len(places)
                    self.leaves.append(leaf)
                operands.append(place)
            self.operands.append(operands)
            equations.append(operation.primitive)
            equations.extend(operands)
            equations.extend(operation.params.items())
        self.outputs = [(position[id(operation)], index) for operation, index in outputs]
        avals = [leaf.aval for leaf in self.leaves]
        #: Primitives, operands and parameters are told apart by their types.
        self.key: Hashable = (*equations, *avals, *self.outputs)

    def jaxpr(self) -> ClosedJaxpr:
        """The program as a closed jaxpr without constants."""
        invars = [Var(leaf.aval) for leaf in self.leaves]
        results = [[Var(aval) for aval in operation.out_avals] for operation in self.program]
        eqns = []
        for k, operation in enumerate(self.program):
            operands: list[Atom] = [
                invars[x] if type(x) is int else results[x[0]][x[1]]  # type: ignore[index]
                for x in self.operands[k]
            ]
            effects = operation.primitive.effects(operation.params)
            eqns.append(
                Eqn(
                    operation.primitive,
                    operands,
                    results[k],
                    operation.params,
                    effects,
                    operation.source(),
                )
            )
        outvars: list[Atom] = [results[k][index] for k, index in self.outputs]
        all_effects = frozenset().union(*(eqn.effects for eqn in eqns))
        return ClosedJaxpr(Jaxpr([], invars, outvars, eqns, all_effects), [])


def _leaf(x: Leaf | Pending) -> Leaf:
    """The bytes of an input that has been computed."""
    if isinstance(x, Leaf):
        return x
    operation, index = x
    assert operation.results is not None
    buffer = operation.results[index]
    assert buffer is not None, "an output that pending work needs was dropped"
    return Leaf(operation.out_avals[index], buffer)


_cache: OrderedDict[Hashable, Executable] = OrderedDict()
_cache_lock = threading.Lock()


def forget_programs() -> None:
    """Forgets the programs of delayed work."""
    with _cache_lock:
        _cache.clear()


def _executable(canonical: _Canonical) -> Executable:
    """The compiled program: from the cache, or compiled and remembered."""
    key = (config.compiled_for, canonical.key)
    with _cache_lock:
        found = _cache.get(key)
        if found is not None:
            _cache.move_to_end(key)
            found.runs += 1
    executable = found
    if executable is None:
        executable = families.executable(canonical.jaxpr(), draft=True)
    elif executable.stats.draft and executable.runs >= WORTH_FINISHING:
        executable = families.finished(canonical.jaxpr())
    if executable is not found:
        with _cache_lock:
            _cache[key] = executable
            while len(_cache) > CACHE_LIMIT:
                _cache.popitem(last=False)
    if found is not None:
        _note_again(canonical, executable, key[0])
    return executable


def _note_again(canonical: _Canonical, executable: Executable, made_for: object) -> None:
    """Takes note of a program run again, if it is one operation on any operands of its types."""
    if len(canonical.program) > 1 or executable.stats.draft:
        return
    (operation,) = canonical.program
    primitive, avals = operation.primitive, executable.in_avals
    if primitive.multiple_results or len(avals) != len(operation.inputs):
        return
    if "effects" in primitive.rules and primitive.effects(operation.params):
        return
    key = _key(primitive, list(avals), operation.params)
    if key is not None and key not in immediate.programs:
        immediate.note_again(key, executable, made_for)


def _execute(program: list[Operation], outputs: list[Pending]) -> list[Buffer]:
    """Compiles (once per structure) and runs pending equations; a buffer per output."""
    canonical = _Canonical(program, outputs)
    arguments = [Array(leaf.aval, leaf.buffer) for leaf in canonical.leaves]
    try:
        return [result.materialise() for result in _executable(canonical)(*arguments)]
    except Exception as error:
        lines = list(dict.fromkeys(describe(operation.source()) for operation in program))
        shown = lines[:4] + (["…"] if len(lines) > 4 else [])
        error.add_note("while computing what was written at\n  " + "\n  ".join(shown))
        raise


def _path(frame: FrameType | None, inner: FrameType) -> tuple[Any, ...]:
    """The call sites between the user's frame and ours: they tell apart the steps of one call."""
    path = []
    current: FrameType | None = inner
    while current is not None and current is not frame:
        path.append((current.f_code, current.f_lasti))
        current = current.f_back
    return tuple(path)


def _open_segment(frame: FrameType | None, here: FrameType) -> Segment:
    """The thread's segment, to record the next operation in; runs what is in it when it is time."""
    segment = _state.segment
    site = (frame.f_code, frame.f_lasti) if frame is not None else (None, 0)
    path = None
    if segment is None:
        segment = _state.segment = Segment()
    elif segment.count:
        recurs = False
        if site == segment.first_site:
            path = _path(frame, here)
            recurs = path == segment.first_path
        if not recurs and segment.count < SEGMENT_LIMIT:
            return segment
        if not segment.flush():
            segment = _state.segment = Segment()
    segment.first_site = site
    segment.first_path = _path(frame, here) if path is None else path
    return segment


def record(primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """The evaluator of the bottom trace: types the operation now, computes it when needed."""
    elsewhere = detour()
    if elsewhere is DISABLED:
        return run_now(primitive, args, params)
    try:
        if elsewhere is not None:
            raise OnDevice
        arrays = [arg if type(arg) is Array else _operand(arg) for arg in args]
    except OnDevice:
        from weft.backends.arrays import apply

        return apply(primitive, args, params)
    avals = [array.aval for array in arrays]
    key = _key(primitive, avals, params)
    program = immediate.programs.get(key)
    if (
        program is not None
        and immediate.settings is config.compiled_for
        and (result := program(*arrays)) is not None
    ):
        return result
    immediate.recorded += 1
    frame = user_frame()
    segment = _open_segment(frame, sys._getframe())
    for array in arrays:
        if array._buffer is None:
            pending = array._pending
            if pending is None or pending[0].segment is not segment:
                array.materialise()  # not under the lock: it may need that of another segment
    out_avals = _typed.get(key)
    if out_avals is None:
        out_avals = _result_types(key, primitive, avals, params)
    site = (frame.f_code, frame.f_lineno) if frame is not None else (None, 0)
    with segment.lock:
        inputs = []
        borrowed = False
        for array in arrays:
            x = _input(array)
            inputs.append(x)
            borrowed = borrowed or (type(x) is Leaf and x.buffer.borrowed)
        operation = Operation(primitive, params, inputs, out_avals, site, segment)
        outputs = [Array(aval, None, (operation, k)) for k, aval in enumerate(out_avals)]
        segment.arrays.extend(map(weakref.ref, outputs))
        segment.count += 1
    # What has effects, or reads memory that others may change, cannot wait.
    if borrowed or ("effects" in primitive.rules and primitive.effects(params)):
        segment.run(effect=operation)
    elif key is not None and not primitive.multiple_results:
        immediate.note_recorded(key, primitive, avals, out_avals, params)
    return outputs if primitive.multiple_results else outputs[0]


class OnDevice(Exception):
    """An operand is in the memory of a device, where its operation is to run."""


def _operand(arg: Any) -> Array:
    if is_on_device(arg):
        raise OnDevice
    return as_constant(arg)


def _input(array: Array) -> Leaf | Pending:
    """What an operation keeps of an operand: its bytes if it has them, else the pending output."""
    pending = array._pending
    if pending is not None and pending[0].results is None:
        return pending
    return Leaf(array.aval, array._buffer or array.materialise())


_typed: dict[Hashable, list[ShapedArray]] = {}
TYPED_LIMIT = 4096


def _key(primitive: Primitive, avals: list[ShapedArray], params: dict[str, Any]) -> Hashable:
    """What decides the types and the program of one operation; None if a parameter is no key."""
    if not params:
        return (primitive, *avals)
    key: Hashable = (primitive, *avals, *params.items())
    try:
        hash(key)
    except TypeError:  # an array or a list among the parameters
        return None
    return key


def _result_types(
    key: Hashable, primitive: Primitive, avals: list[ShapedArray], params: dict[str, Any]
) -> list[ShapedArray]:
    """Types of the results, remembered where there is a key."""
    found = primitive.out_avals(*avals, **params)
    if key is not None:
        if len(_typed) >= TYPED_LIMIT:
            _typed.clear()
        _typed[key] = found
    return found


def run_now(primitive: Primitive, args: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Runs one operation by its NumPy meaning (`weft.disable_jit`)."""
    arrays = [arg if type(arg) is Array else as_constant(arg) for arg in args]
    out_avals = primitive.out_avals(*(array.aval for array in arrays), **params)
    with np.errstate(all="ignore"):
        results = primitive.rule("numpy")(*(array.numpy_view() for array in arrays), **params)
    if not primitive.multiple_results:
        results = [results]
    outputs = []
    for aval, result in zip(out_avals, results, strict=True):
        data = np.asarray(result, aval.dtype)
        if data.shape != aval.shape:
            raise AssertionError(
                f"primitive '{primitive.name}' is typed {aval} but its NumPy meaning gave "
                f"shape {data.shape}"
            )
        outputs.append(from_numpy(data, aval.weak_type, owned=data.flags.owndata))
    return outputs if primitive.multiple_results else outputs[0]


def as_constant(value: Any) -> Array:
    """A scalar or NumPy array as an array; scalars of Python are weakly typed."""
    scalar = dtypes.scalar_type(value)
    if scalar is not None:
        return from_numpy(np.asarray(value, scalar[0]), scalar[1], owned=True)
    if isinstance(value, np.ndarray):
        return from_numpy(value)
    if is_array(value):
        return value
    aval_of(value)  # types that stand for arrays have errors of their own
    raise TypeError(f"{value!r} of type {type(value).__name__} is not an array or a number")


def _captured(value: Any) -> Any:
    """What a trace keeps of a value that a function closes over: later `x[i] = v` does not reach
    it.
    """
    return as_constant(value) if isinstance(value, np.ndarray) else alias(value)


set_evaluator(record)
set_capture(_captured)
