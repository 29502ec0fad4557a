"""Arrays in the memory of a device, and what is computed from them.

A `DeviceArray` is an `Array` whose bytes are elsewhere: NumPy, printing and Python's protocols read
a copy. An operation or a jitted call with one among its arguments runs on its device; arguments on
the CPU (constants, data still to be moved) are copied there. Arguments that were put on two devices
are an error that names both; what is only where it is because of a `default_device` goes along with
them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft import tree
from weft.array.delayed import as_constant
from weft.array.mixed import MixedDevicesError
from weft.array.value import Array, Deleted, is_array, is_on_device
from weft.backends.device import Device, DeviceProgram, Memory
from weft.backends.dtypes import conversion, has
from weft.backends.registry import find
from weft.config import DISABLED, config, detour, detour_variable
from weft.core.avals import ShapedArray, is_array_like, register_array_type
from weft.core.bounded import BoundedCache
from weft.core.canonical import jaxpr_key
from weft.core.dtypes import stored
from weft.core.jaxpr import ClosedJaxpr, Eqn, Jaxpr, Var
from weft.core.primitive import Primitive
from weft.core.source import describe, user_source
from weft.core.trace import Tracer
from weft.runtime.buffer import Buffer


class DeviceArray(Array):
    """An array in the memory of a device; made by `device_put`, and by what is computed there.

    It is ``bound`` to the device unless it was only computed there by default.
    """

    __slots__ = ("bound", "memory")

    memory: Memory | None
    bound: bool

    def __init__(self, aval: ShapedArray, memory: Memory, bound: bool = True) -> None:
        super().__init__(aval, None)
        self.memory = memory
        self.bound = bound

    @property
    def device(self) -> str:
        """The name of the device that holds it."""
        return self._held().device.name

    def _held(self) -> Memory:
        if self.memory is None:
            raise self._deleted_error()
        return self.memory

    def materialise(self) -> Buffer:
        """A copy of the bytes for the host, which waits for them."""
        memory = self._held()
        memory.device.check()
        out = np.empty(self.aval.shape, stored(np.empty(0, self.aval.dtype)).dtype)
        memory.device.read(memory, out)
        return Buffer.adopt(out)

    def block_until_ready(self) -> Array:
        """Waits until the device has computed it, and returns the array itself."""
        device = self._held().device
        device.check()
        device.finish()
        return self

    def is_deleted(self) -> bool:
        """Whether `delete` was called, or the memory was donated."""
        return self.memory is None

    def invalidate(self, reason: str) -> None:
        """Makes every later use an error that gives `reason`, such as a donation."""
        if self.memory is not None:
            self._note = Deleted(reason, describe(user_source()))
            self.memory = None

    def _alias(self) -> Array:
        """Another handle of the same value."""
        if self.memory is not None:
            return DeviceArray(self.aval, self.memory, self.bound)
        other: DeviceArray = object.__new__(DeviceArray)
        Array.__init__(other, self.aval, None)
        other.memory, other.bound, other._note = None, self.bound, self._note
        return other

    def _become(self, value: Any) -> None:
        """Stands for the value of ``value``, a fresh result of the same type, from here on."""
        self._note, self.aval = None, value.aval
        self.memory, self.bound = value.memory, value.bound


register_array_type(DeviceArray, lambda array: array.aval)


def device_put(x: Any, device: Any = None) -> Any:
    """``x``, an array or a container of arrays and numbers, in the memory of a device.

    device: the name of a device (`weft.devices`); None and ``"cpu"`` are the CPU.

    Raises ``ValueError`` for a device that there is not, `weft.errors.DeviceError` if its driver or
    package is missing, ``TypeError`` for a dtype that the device does not compute with, and
    `MemoryError` if it has no room.

    >>> weft.device_put({"w": np.ones(2)}, "cpu")
    {'w': Array([1., 1.], dtype=float32)}
    """
    target = find("cpu" if device is None else device)
    return tree.map(lambda leaf: _put(leaf, target), x)


def device_get(x: Any) -> Any:
    """``x``, an array or a container of arrays, as arrays of NumPy; they are read-only.

    >>> weft.device_get({"a": np.arange(3)})
    {'a': array([0, 1, 2], dtype=int32)}
    """
    return tree.map(lambda leaf: np.asarray(leaf) if is_array(leaf) else leaf, x)


def _put(x: Any, device: Device | None) -> Any:
    if isinstance(x, Tracer):
        raise TypeError(
            f"device_put of a traced value, {x.aval}: a program runs on one device, that of its "
            "arguments. Move them before the call"
        )
    if not is_array_like(x):
        raise TypeError(f"device_put: {x!r} of type {type(x).__name__} is not an array or a number")
    array = as_constant(x)
    if type(array) is DeviceArray and array._held().device is device:
        return array if array.bound else DeviceArray(array.aval, array._held())
    if device is None:
        return Array(array.aval, array.materialise())
    dtype = array.aval.dtype
    if not has(device, dtype):
        raise TypeError(
            f"{device.name} ({device.description}) does not compute with {dtype}, here "
            f"{array.aval}: convert it first, {conversion(dtype)}"
        )
    return DeviceArray(array.aval, _upload(array, device))


def _upload(array: Array, device: Device) -> Memory:
    device.check()
    return device.upload(np.ascontiguousarray(stored(array.numpy_view())))


def device_of(arrays: Sequence[Any]) -> Device | None:
    """The device that arguments are bound to, None if none is; ``ValueError`` for several."""
    first: tuple[int, DeviceArray] | None = None
    for n, array in enumerate(arrays):
        if type(array) is not DeviceArray or not array.bound:
            continue
        if first is None:
            first = n, array
        elif array._held().device is not first[1]._held().device:
            raise MixedDevicesError(first, (n, array))
    return None if first is None else first[1]._held().device


@contextmanager
def default_device(device: Any) -> Iterator[None]:
    """What is computed in this context from arrays on the CPU runs on a device, as in `device_put`.

    Arrays that are on a device already are used there. Threads begin without a default.

    Raises as `device_put` does.

    >>> with weft.default_device("cpu"):
    ...     print((np.ones(2) + 1).device)
    cpu
    """
    previous = detour()
    if previous is not DISABLED:
        detour_variable.set(find(device))
    try:
        yield
    finally:
        detour_variable.set(previous)


def call_on(device: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """``function`` on a device, whatever device its arguments are on."""
    target = find(device)

    def moved(x: Any) -> Any:
        return _put(x, target) if is_on_device(x) else x

    args, kwargs = tree.map(moved, (args, kwargs))
    with default_device(device):
        return function(*args, **kwargs)


# -- running ---------------------------------------------------------------------------------------

#: The last programs by structure and device.
_programs: BoundedCache[DeviceProgram] = BoundedCache(512)


def program_for(closed: ClosedJaxpr, device: Device) -> DeviceProgram:
    """The program of a closed jaxpr on a device, compiled at most once."""

    def build() -> DeviceProgram:
        return device.program(closed)

    structure = None if closed.consts else jaxpr_key(closed)
    if structure is None:
        return closed.memo(("device", device, config.compiled_for), build)
    return _programs.get((structure, device, config.compiled_for), build)


def place_of(arrays: Sequence[Any]) -> Device:
    """Where to compute: on the device of arguments, else on that of this context."""
    device = device_of(arrays) or detour()
    return device or next(x._held().device for x in arrays if type(x) is DeviceArray)


def call(closed: ClosedJaxpr, arguments: Sequence[Any]) -> list[Array]:
    """The results of a program on the device of its arguments or of this context."""
    device = place_of(arguments)
    device.check()
    program = program_for(closed, device)
    results = program([_memory(x, device) for x in arguments])
    bound = device_of(arguments) is not None
    return [DeviceArray(a, m, bound) for a, m in zip(closed.out_avals, results, strict=True)]


def _memory(x: Any, device: Device) -> Memory:
    """An argument in the memory of a device, copied if it is elsewhere."""
    if type(x) is DeviceArray and x._held().device is device:
        return x._held()
    return _upload(as_constant(x), device)


#: Programs of one operation, by what decides about them.
_operations: BoundedCache[ClosedJaxpr] = BoundedCache(512)


def apply(primitive: Primitive, args: Sequence[Any], params: dict[str, Any]) -> Any:
    """An operation outside `jit` on the device of its arguments or of this context."""
    arrays = [as_constant(arg) for arg in args]
    avals = [array.aval for array in arrays]

    def build() -> ClosedJaxpr:
        invars = [Var(aval) for aval in avals]
        outvars = [Var(aval) for aval in primitive.out_avals(*avals, **params)]
        effects = primitive.effects(params)
        eqn = Eqn(primitive, list(invars), outvars, params, effects, user_source())
        return ClosedJaxpr(Jaxpr([], invars, list(outvars), [eqn], effects), [])

    key: Hashable = (primitive, *avals, *params.items())
    try:
        closed = _operations.get(key, build)
    except TypeError:  # an array or a list among the parameters
        closed = build()
    results = call(closed, arrays)
    return results if primitive.multiple_results else results[0]
