"""`struct`: a dataclass whose methods are written when they are first called.

`dataclasses.dataclass` generates and compiles a handful of methods for each class when the class is
made, a third of a millisecond for a frozen one. The compiler has more than a hundred such classes,
all of which are made before the first program runs, and a program needs few of their methods. So
`struct` lets `dataclass` do the rest, so that `dataclasses.fields` and `replace` work as ever, and
puts in place of ``__init__``, ``__eq__`` and ``__hash__`` functions that do the same by looking at
the fields, and write the methods when they have been called `PATIENCE` times.
"""

from __future__ import annotations

import dataclasses
import reprlib
from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, field, fields
from typing import Any, ClassVar, TypeVar, dataclass_transform, overload

ClassT = TypeVar("ClassT", bound=type)

#: Calls after which writing a method is worth its time, about that of so many slower ones.
PATIENCE = 24


@overload
@dataclass_transform(field_specifiers=(field,))
def struct(cls: ClassT, /) -> ClassT: ...
@overload
@dataclass_transform(field_specifiers=(field,))
def struct(
    *, eq: bool = True, frozen: bool = False, slots: bool = False
) -> Callable[[ClassT], ClassT]: ...


def struct(
    cls: Any = None, /, *, eq: bool = True, frozen: bool = False, slots: bool = False
) -> Any:
    """Makes a class what `dataclasses.dataclass` of the same options would make of it.

    >>> @struct(frozen=True)
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> Point(1), Point(1) == Point(1, 0), hash(Point(1)) == hash(Point(1, 0))
    (Point(x=1, y=0), True, True)
    """
    if cls is None:
        return lambda c: _struct(c, eq, frozen, slots)
    return _struct(cls, eq, frozen, slots)


def _struct(cls: Any, eq: bool, frozen: bool, slots: bool) -> Any:
    own = dict(cls.__dict__)
    # `dataclass` would read annotations that are strings, to see whether they mean `ClassVar`.
    annotations = own.get("__annotations__", {})
    cls.__annotations__ = {
        n: ClassVar if "ClassVar" in str(t) else object for n, t in annotations.items()
    }
    cls = dataclasses.dataclass(init=False, repr=False, eq=False, slots=slots)(cls)
    cls.__annotations__ = annotations
    explicit_hash = own.get("__hash__") is not None or ("__hash__" in own and "__eq__" not in own)

    def put(name: str, value: Any) -> None:
        if name not in own:
            setattr(cls, name, value)

    put("__init__", _written_later(cls, "__init__", _plain_init, lambda: _init(cls, frozen)))
    put("__repr__", _repr)
    if eq:
        put("__eq__", _written_later(cls, "__eq__", _plain_eq, lambda: _eq(cls)))
        if not explicit_hash:
            later = _written_later(cls, "__hash__", _plain_hash, lambda: _hash(cls))
            cls.__hash__ = later if frozen else None
    if frozen:
        _freeze(cls)
    return cls


def _written_later(
    cls: Any, name: str, plain: Callable[[Any], Any], write: Callable[[], Any]
) -> Any:
    """A method that is ``plain`` at first, and writes itself later or for a call out of order."""
    first: Any = None
    calls = 0

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal first, calls
        calls += 1
        if calls <= PATIENCE:
            first = first or plain(cls)
            result = first(self, *args, **kwargs)
            if result is not _NOT_PLAIN:
                return result
        function = write()
        function.__qualname__ = f"{cls.__qualname__}.{name}"
        setattr(cls, name, function)
        return function(self, *args, **kwargs)

    return method


# ---- methods that look at the fields -------------------------------------------------------

#: What a plain method gives for a call that it does not know how to treat.
_NOT_PLAIN = object()


def _plain_init(cls: Any) -> Any:
    given = [f for f in fields(cls) if f.init]
    names = [f.name for f in given]
    defaults = {f.name: f.default for f in given if f.default is not MISSING}
    factories = {f.name: f.default_factory for f in fields(cls) if f.default_factory is not MISSING}
    known = set(names)
    after = hasattr(cls, "__post_init__")
    put = object.__setattr__

    def init(self: Any, *args: Any, **kwargs: Any) -> Any:
        values = {**defaults, **dict(zip(names, args, strict=False)), **kwargs}
        for name, make in factories.items():
            if name not in values:
                values[name] = make()
        complete = known.issubset(values) and kwargs.keys() <= known
        if not complete or len(args) > len(names) or kwargs.keys() & set(names[: len(args)]):
            return _NOT_PLAIN  # the method that is written says what is wrong
        for name, value in values.items():
            put(self, name, value)
        if after:
            self.__post_init__()
        return None

    return init


def _plain_eq(cls: Any) -> Any:
    names = [f.name for f in fields(cls) if f.compare]

    def eq(self: Any, other: Any) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return [getattr(self, n) for n in names] == [getattr(other, n) for n in names]

    return eq


def _plain_hash(cls: Any) -> Any:
    names = [f.name for f in _hashed(cls)]
    return lambda self: hash(tuple([getattr(self, n) for n in names]))


# ---- methods that are written --------------------------------------------------------------


def _function(name: str, parameters: str, lines: list[str], names: dict[str, Any]) -> Any:
    body = "\n".join(f" {line}" for line in lines or ["pass"])
    exec(f"def {name}({parameters}):\n{body}", names)
    return names[name]


def _init(cls: Any, frozen: bool) -> Any:
    names: dict[str, Any] = {"_set": object.__setattr__, "_missing": MISSING}
    parameters, lines = ["self"], []
    for f in fields(cls):
        value = f.name
        if f.default_factory is not MISSING:
            names[f"_make_{f.name}"] = f.default_factory
            value = f"_make_{f.name}()"
            if f.init:
                parameters.append(f"{f.name}=_missing")
                value += f" if {f.name} is _missing else {f.name}"
        elif f.init and f.default is not MISSING:
            names[f"_default_{f.name}"] = f.default
            parameters.append(f"{f.name}=_default_{f.name}")
        elif f.init:
            parameters.append(f.name)
        else:
            continue  # set by ``__post_init__``, or an attribute of the class
        lines.append(f"_set(self, {f.name!r}, {value})" if frozen else f"self.{f.name} = {value}")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    return _function("__init__", ", ".join(parameters), lines, names)


def _compared(cls: Any, of: str) -> str:
    return "".join(f"{of}.{f.name}, " for f in fields(cls) if f.compare)


def _hashed(cls: Any) -> list[Any]:
    return [f for f in fields(cls) if (f.compare if f.hash is None else f.hash)]


def _eq(cls: Any) -> Any:
    lines = [
        "if other.__class__ is not self.__class__: return NotImplemented",
        f"return ({_compared(cls, 'self')}) == ({_compared(cls, 'other')})",
    ]
    return _function("__eq__", "self, other", lines, {})


def _hash(cls: Any) -> Any:
    hashed = "".join(f"self.{f.name}, " for f in _hashed(cls))
    return _function("__hash__", "self", [f"return hash(({hashed}))"], {})


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    values = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
    return f"{type(self).__qualname__}({', '.join(values)})"


def _freeze(cls: Any) -> None:
    names = {f.name for f in fields(cls)}

    def is_fixed(self: Any, name: str) -> bool:
        return type(self) is cls or name in names

    def __setattr__(self: Any, name: str, value: Any) -> None:
        if is_fixed(self, name):
            raise FrozenInstanceError(f"cannot assign to field {name!r}")
        super(cls, self).__setattr__(name, value)

    def __delattr__(self: Any, name: str) -> None:
        if is_fixed(self, name):
            raise FrozenInstanceError(f"cannot delete field {name!r}")
        super(cls, self).__delattr__(name)

    cls.__setattr__, cls.__delattr__ = __setattr__, __delattr__
