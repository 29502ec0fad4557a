"""`Array`: an immutable value with an aval, either on a device or still to be computed.

A *materialised* array has a buffer. A *delayed* one has a pending output: an equation that was
bound outside every transformation, and which of its results it is (see `weft.array.delayed`).
Everything that needs bytes (`np.asarray`, `float`, `if`, printing) goes through
`Array.materialise`.

Arrays are values; the Python object is a *handle*. `x[i] = v` makes the handle stand for a new
value, which is why pending equations refer to values and never to handles.
"""

from __future__ import annotations

import math
import operator
import pickle
import weakref
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard, TypeVar

import numpy as np

from weft.array import dlpack, printing
from weft.core.avals import ShapedArray, register_array_type
from weft.core.dtypes import canonical_dtype, is_key, stored
from weft.core.trace import Tracer
from weft.runtime.buffer import Buffer

if TYPE_CHECKING:
    from weft.array.delayed import Pending

#: `inspect.BufferFlags.WRITABLE`, which Python 3.11 does not have.
_WRITABLE = 1


class _ArrayType(type):
    """The type of `Array`.

    A function that is traced gets traced values for its arrays, and must not see a difference:
    ``isinstance(x, weft.Array)`` is true of both, and so annotations hold under every
    transformation. What has a buffer is told by ``type(x) is Array``.
    """

    def __instancecheck__(cls, instance: Any) -> bool:
        traced = cls is Array and isinstance(instance, Tracer)
        return traced or type.__instancecheck__(cls, instance)

    def __subclasscheck__(cls, subclass: type) -> bool:
        traced = cls is Array and issubclass(subclass, Tracer)
        return traced or type.__subclasscheck__(cls, subclass)


class Array(metaclass=_ArrayType):
    """An n-dimensional array of Weft; `weft.numpy.array` and its kin make them.

    Traced values are instances, too: `isinstance(x, weft.Array)` holds inside transformations.

    >>> x = np.array([1.0, 2.0])
    >>> isinstance(x, weft.Array), x.shape, x.dtype.name
    (True, (2,), 'float32')

    Attributes
    ----------
    aval: shape, dtype and weakness; interned, so equal types are one object.
    _buffer: the bytes, or None while the value is pending and after `delete`.
    _pending: the pending equation and output index, or None.
    _note: None, or what `x[i] = v` and error messages must know: a `View` or a `Deleted`.
    """

    __slots__ = ("__weakref__", "_buffer", "_note", "_pending", "aval")

    __array_priority__ = 1000

    aval: ShapedArray
    _buffer: Buffer | None
    _pending: Pending | None
    _note: View | Deleted | None

    def __init__(self, aval: ShapedArray, buffer: Buffer | None, pending: Pending | None = None):
        self.aval = aval
        self._buffer = buffer
        self._pending = pending
        self._note = None

    # What an array is, known without computing it.

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self.aval.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.aval.size

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.aval.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all elements."""
        return self.aval.nbytes

    @property
    def weak_type(self) -> bool:
        """Whether it takes the dtype of what it meets, as Python scalars do."""
        return self.aval.weak_type

    @property
    def device(self) -> str:
        """The name of the device that holds it."""
        return "cpu"

    def __len__(self) -> int:
        if not self.aval.shape:
            raise TypeError("len() of an array without axes (shape ())")
        return self.aval.shape[0]

    def __hash__(self) -> int:
        raise TypeError(
            f"a weft.Array is not hashable, here {self.aval}: equal arrays would need equal hashes "
            "and == compares element by element. Use x.tobytes(), id(x) or a static Python value."
        )

    # Values.

    def materialise(self) -> Buffer:
        """The buffer that holds the value, computed now if it is pending."""
        buffer = self._buffer
        if buffer is not None:
            return buffer
        pending = self._pending
        if pending is not None:
            if pending[0].results is None:
                pending[0].segment.run((self,))
            results = pending[0].results
            if self._buffer is None and results is not None:  # through another handle of the value
                self._buffer, self._pending = results[pending[1]], None
            if self._buffer is not None:
                return self._buffer
        raise self._deleted_error()

    def numpy_view(self) -> np.ndarray:
        """A read-only NumPy view that keeps the buffer alive."""
        return self.materialise().as_numpy(self.aval.shape, self.aval.dtype)

    def block_until_ready(self) -> Array:
        """Computes the value if it is pending, and returns the array itself."""
        self.materialise()
        return self

    def is_deleted(self) -> bool:
        """Whether `delete` was called, or the buffer was donated."""
        return self._buffer is None and self._pending is None

    def delete(self) -> None:
        """Gives the memory back now; every later use of this array is an error.

        Delayed work that still reads it is done first.
        """
        self.invalidate("deleted by Array.delete()")

    def invalidate(self, reason: str) -> None:
        """Makes every later use an error that gives `reason`, such as a donation."""
        from weft.array.evaluation import settle
        from weft.core.source import describe, user_source

        if self.is_deleted():
            return
        if self._buffer is not None:
            settle([self._buffer])
        self._note = Deleted(reason, describe(user_source()))
        self._buffer = self._pending = None

    def _alias(self) -> Array:
        """Another handle of the same value (see `alias`)."""
        pending = self._pending
        other = Array(self.aval, self._buffer, pending)
        other._note = self._note if isinstance(self._note, Deleted) else None
        if pending is not None:
            pending[0].segment.watch(other)
        return other

    def _become(self, value: Any) -> None:
        """Stands for the value of ``value``, a fresh result, from here on (see `rebind`)."""
        self._note = None
        self.aval, self._buffer, self._pending = value.aval, value._buffer, value._pending
        if value._pending is not None:
            value._pending[0].segment.watch(self)

    def _deleted_error(self) -> RuntimeError:
        note = self._note
        how = f"{note.reason}, at {note.where}" if isinstance(note, Deleted) else "deleted"
        return RuntimeError(
            f"the array {self.aval} was {how} and has no value any more. "
            "Use the result of the call that took it, or keep a copy (x.copy()) before."
        )

    # Python's protocols.

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        view = self.numpy_view()
        if is_key(self.aval.dtype) and dtype != view.dtype:
            raise TypeError(
                f"conversion of random keys, {self.aval}, to a NumPy array: take their words, "
                "weft.random.key_data(keys)"
            )
        if dtype is not None and np.dtype(dtype) != view.dtype:
            if copy is False:
                raise ValueError(
                    f"np.asarray of a weft array {self.aval} as {np.dtype(dtype)} needs a copy, "
                    "and copy=False forbids one"
                )
            return view.astype(dtype)
        return view.copy() if copy else view

    def __buffer__(self, flags: int) -> memoryview:
        """The read-only bytes for Python's buffer protocol, from Python 3.12 on (PEP 688)."""
        if flags & _WRITABLE:
            raise BufferError(f"a weft array is read-only, here {self.aval}; use np.array(x)")
        if is_key(self.aval.dtype):
            raise BufferError(f"random keys are no numbers: {self.aval}; use weft.random.key_data")
        view: Any = self.numpy_view()
        try:
            return memoryview(view)
        except ValueError:
            raise BufferError(
                f"{self.aval.dtype} has no format in the buffer protocol; "
                "use x.view(weft.numpy.uint16) or x.tobytes()"
            ) from None

    def __bytes__(self) -> bytes:
        return self.tobytes()

    def __dlpack__(
        self,
        *,
        stream: Any = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[Any, int] | None = None,
        copy: bool | None = None,
    ) -> Any:
        """A DLPack capsule of the value; consumers that cannot mark it read-only get a copy."""
        return dlpack.export_capsule(self.numpy_view(), stream, max_version, dl_device, copy)

    def __dlpack_device__(self) -> tuple[int, int]:
        return dlpack.CPU

    def item(self, *args: int) -> Any:
        """One element as a Python scalar; without arguments, of an array with one element."""
        if not args and self.aval.size != 1:
            raise ValueError(
                f"item() needs an array with one element, got {self.aval}; give the index of one"
            )
        return self.numpy_view().item(*args)

    def tolist(self) -> Any:
        """The elements as (nested lists of) Python scalars."""
        return self.numpy_view().tolist()

    def tobytes(self) -> bytes:
        """The elements' bytes in row-major order."""
        return self.numpy_view().tobytes()

    def _scalar(self, target: str) -> Any:
        if self.aval.size != 1 or (self.aval.ndim and target != "bool"):
            raise TypeError(
                f"only an array with one element and no axes converts to a Python {target}, "
                f"got {self.aval}; index it, or use item() or a reduction first"
            )
        if is_key(self.aval.dtype):
            raise TypeError(
                f"a random key does not convert to a Python {target}, got {self.aval}; take its "
                "words, weft.random.key_data(key)"
            )
        if self.aval.dtype.kind == "c" and target in ("int", "float"):
            raise TypeError(
                f"a complex number does not convert to a Python {target}, got {self.aval}; "
                "use x.real, or abs(x)"
            )
        return self.numpy_view().item()

    def __bool__(self) -> bool:
        if self.aval.size != 1:
            kind = "an empty array" if not self.aval.size else "an array with several elements"
            raise ValueError(
                f"the truth value of {kind} is ambiguous, here {self.aval}: "
                "use x.any(), x.all() or x.size"
            )
        return bool(self._scalar("bool"))

    def __int__(self) -> int:
        return int(self._scalar("int"))

    def __float__(self) -> float:
        return float(self._scalar("float"))

    # Exact for integers beyond 2**53, which float() would round.

    def __floor__(self) -> int:
        return math.floor(self._scalar("int"))

    def __ceil__(self) -> int:
        return math.ceil(self._scalar("int"))

    def __trunc__(self) -> int:
        return math.trunc(self._scalar("int"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex"))

    def __index__(self) -> int:
        if self.aval.dtype.kind not in "iu":
            raise TypeError(
                f"only an integer array without axes can be a Python index, got {self.aval}"
            )
        return operator.index(self._scalar("index"))

    def __iter__(self) -> Iterator[Array]:
        if not self.aval.shape:
            raise TypeError("iteration over an array without axes (shape ())")
        return self._items()

    def _items(self) -> Iterator[Array]:
        """The items along the first axis."""
        aval = ShapedArray(self.aval.shape[1:], self.aval.dtype, self.aval.weak_type)
        view = self.numpy_view()
        for i in range(len(view)):
            item = Array(aval, Buffer.from_numpy(view[i, ...]))
            item._note = View("", _bases(self), False, i)
            yield item

    def __contains__(self, value: Any) -> bool:
        return bool((self.numpy_view() == np.asarray(value)).any())

    def __format__(self, spec: str) -> str:
        if spec and self.aval.ndim:
            raise TypeError(
                f"the format {spec!r} is for one number, and this is {self.aval}: index it, or use "
                "weft.numpy.printoptions(...)"
            )
        return format(self.numpy_view()[()], spec) if spec else str(self)

    def __repr__(self) -> str:
        if self.is_deleted():
            return f"<deleted weft.Array {self.aval}>"
        if is_key(self.aval.dtype):
            return printing.keys_repr(self.aval, stored(self.numpy_view()))
        return printing.array_repr(self.numpy_view(), self.aval.weak_type)

    def __str__(self) -> str:
        if self.is_deleted():
            return repr(self)
        return repr(self) if is_key(self.aval.dtype) else str(self.numpy_view())

    def __copy__(self) -> Array:
        return alias(self)

    def __deepcopy__(self, memo: Any) -> Array:
        return alias(self)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickles the bytes; with protocol 5, out of band if the caller asks for it (PEP 574)."""
        data: Any = self.numpy_view().reshape(-1).view(np.uint8)
        content = pickle.PickleBuffer(data) if protocol >= 5 else data.tobytes()
        aval = self.aval
        return _rebuild, (content, aval.dtype.name, aval.shape, aval.weak_type)

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # NumPy asks for several of its protocols at each conversion
            raise AttributeError(f"a weft array has no attribute {name!r}", name=name, obj=self)
        from weft.array.suggest import missing_attribute

        raise missing_attribute(self, name)


class View:
    """Marks a result that NumPy would make a view of another array; here it is a value.

    what: how the user wrote it, with ``x`` for the other array.
    bases: the arrays that NumPy would change with it, by weak references.
    strided: whether NumPy may have to copy it to give it another shape.
    index: the basic index that made it, where it was one.
    """

    __slots__ = ("bases", "index", "strided", "what")

    def __init__(
        self, what: str, bases: tuple[weakref.ref[Any], ...], strided: bool, index: Any = None
    ):
        self.what = what
        self.strided = strided
        self.bases = bases
        self.index = index

    def is_seen(self) -> bool:
        """Whether somebody still holds an array that NumPy would change with this one."""
        return any(base() is not None for base in self.bases)


def _bases(x: Any) -> tuple[weakref.ref[Any], ...]:
    """``x`` and what NumPy would change with it."""
    note = x._note if is_array(x) else x.note
    return (weakref.ref(x), *note.bases) if type(note) is View else (weakref.ref(x),)


def mark_view(result: Any, x: Any, what: str, strided: bool, index: Any = None) -> None:
    """Leaves a note on ``result``, a new array or tracer: NumPy would make it a view of ``x``."""
    note = View(what, _bases(x), strided, index)
    if is_array(result):
        result._note = note
    elif isinstance(result, Tracer):
        result.note = note


def donate(arrays: Iterable[Array], reason: str) -> None:
    """Takes the values of `arrays`: every later use is an error that gives `reason`."""
    from weft.array.evaluation import settle
    from weft.core.source import describe, user_source

    taken = [array for array in arrays if not array.is_deleted()]
    settle([array._buffer for array in taken if array._buffer is not None])
    note = Deleted(reason, describe(user_source()))
    for array in taken:
        array._note = note
        array._buffer = array._pending = None


class Deleted:
    """Marks an array without a value: why, and the user's line that did it."""

    __slots__ = ("reason", "where")

    def __init__(self, reason: str, where: str):
        self.reason = reason
        self.where = where


def from_numpy(data: np.ndarray, weak_type: bool = False, *, owned: bool = False) -> Array:
    """A materialised array with the elements of `data`: a copy, unless the caller gives it up."""
    aval = ShapedArray(data.shape, data.dtype, weak_type)
    if data.dtype is not np.dtype(aval.dtype):  # another byte order, or an equal dtype object
        data, owned = data.astype(aval.dtype), True
    return Array(aval, Buffer.adopt(data) if owned else Buffer.from_numpy(data))


def borrow_numpy(data: np.ndarray) -> Array:
    """An array over memory that its owner may change: what uses it is evaluated at once."""
    aval = ShapedArray(data.shape, data.dtype)
    return Array(aval, Buffer.borrow(data.astype(aval.dtype, copy=False)))


def is_array(x: Any) -> TypeGuard[Any]:
    """Whether ``x`` is an array itself, on the CPU or another device, and not a traced value."""
    return type(x) is Array or type.__instancecheck__(Array, x)


def is_on_device(x: Any) -> bool:
    """Whether ``x`` is an array in the memory of another device than the CPU."""
    return type(x) is not Array and type.__instancecheck__(Array, x)


HandleT = TypeVar("HandleT")


def alias(value: HandleT) -> HandleT:
    """Another handle of the same value: values never change, so nothing is copied.

    What keeps an array beyond the call that got it (a trace, a closure) takes an alias, so that
    `x[i] = v` on the user's handle does not reach it.
    """
    if is_array(value):
        return value._alias()
    if isinstance(value, Tracer):
        other_tracer = object.__new__(type(value))
        _copy_slots(value, other_tracer)
        other_tracer.note = None
        return other_tracer
    return value


def rebind(handle: Any, value: Any) -> None:
    """Makes `handle` stand for the value of `value`, a fresh result of the same type."""
    if is_array(handle):
        handle._become(value)
    else:
        _copy_slots(value, handle)


def _copy_slots(source: Any, target: Any) -> None:
    for cls in type(source).__mro__:
        for slot in getattr(cls, "__slots__", ()):
            if slot != "__weakref__" and hasattr(source, slot):
                setattr(target, slot, getattr(source, slot))


def _rebuild(content: Any, dtype: str, shape: tuple[int, ...], weak_type: bool) -> Array:
    """An array from what `Array.__reduce_ex__` gave away."""
    data = np.frombuffer(content, canonical_dtype(dtype)).reshape(shape)
    # Bytes never change; memory of others (out-of-band buffers) might.
    return from_numpy(data, weak_type, owned=type(content) is bytes)


register_array_type(Array, lambda array: array.aval)
