"""``weft explain script.py:function``: a function as its script calls it.

The script runs until the function is called for the first time; that call, with its arguments, is
what is explained.  Arguments can be given instead, as types (``f32[64,784]``) or as expressions
over the names of the script.
"""

from __future__ import annotations

import re
import runpy
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import weft
from weft import tree
from weft.core.dtypes import SHORT_NAMES
from weft.core.trace import Tracer
from weft.errors import LeakedTracerError
from weft.report.report import Report
from weft.transforms.jit import JitFunction

_TYPE = re.compile(r"([a-z]+\d*)\[([\d,\s]*)\]")


class ScriptError(Exception):
    """What is asked for is not there: the message says what to write."""


class _Called(BaseException):
    """Ends a script when the function is called."""


def explain_script(place: str, arguments: Sequence[str] = ()) -> Report:
    """The report of ``script.py:function``; with ``arguments``, for those.

    Raises `ScriptError` for a script or function that is not there, one that is never called (as
    the script ends or exits before) or cannot be traced, and arguments that mean nothing.
    """
    name, colon, function = place.rpartition(":")
    if not colon or not function.isidentifier():
        raise ScriptError(f"write script.py:function, not {place!r}")
    path = Path(name)
    if not path.is_file():
        raise ScriptError(f"there is no file {name}")
    if arguments:
        with _beside(path):
            names = runpy.run_path(str(path))
        target = _function(names, function, name)
        args = [_argument(text, names) for text in arguments]
        kwargs: dict[str, Any] = {}
    else:
        target, args, kwargs = _first_call(path, function)
    try:
        return weft.explain(target, *args, **kwargs)
    except LeakedTracerError as why:
        raise ScriptError(
            f"{function} uses values of the traced function around it: explain that one"
        ) from why
    except Exception as why:
        raise ScriptError(f"{function} cannot be traced: {type(why).__name__}: {why}") from why


def _function(names: dict[str, Any], function: str, script: str) -> Any:
    if not callable(names.get(function)):
        found = [n for n, x in names.items() if callable(x) and not isinstance(x, type)]
        found = [n for n in found if not n.startswith("_")]
        raise ScriptError(
            f"{script} has no function {function!r}; it has {', '.join(found) or 'none'}"
        )
    return names[function]


def _argument(text: str, names: dict[str, Any]) -> Any:
    """An argument of the command line: a type, or an expression."""
    found = _TYPE.fullmatch(text.strip())
    if found is not None and found[1] in SHORT_NAMES.values():
        dtype = next(d for d, short in SHORT_NAMES.items() if short == found[1])
        shape = tuple(int(d) for d in found[2].split(",") if d.strip())
        return weft.ShapeDtypeStruct(shape, dtype)
    try:
        return eval(text, {"np": np, "weft": weft, **names})
    except Exception as why:
        raise ScriptError(
            f"the argument {text!r} is neither a type such as f32[64,784] nor an expression over "
            f"the names of the script: {type(why).__name__}: {why}"
        ) from why


def _first_call(path: Path, function: str) -> tuple[Any, list[Any], dict[str, Any]]:
    """The function of a script and the arguments of the first call of it."""
    script = str(path)
    calls: list[tuple[Any, list[Any], dict[str, Any]]] = []

    def watch(frame: types.FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_name == function and code.co_filename == script:
            sys.setprofile(None)
            calls.append((_called(frame), *_arguments(frame)))
            raise _Called

    remedy = f"give its arguments, such as weft explain {script}:{function} 'f32[64,784]'"
    names: dict[str, Any] = {}
    with _beside(path):
        sys.setprofile(watch)
        try:
            names = runpy.run_path(script, run_name="__main__")
        except _Called:
            pass
        except SystemExit as why:
            raise ScriptError(f"{script} exits before it calls {function!r}: {remedy}") from why
        finally:
            sys.setprofile(None)
    if not calls:
        target = _function(names, function, script)
        name = getattr(target, "__name__", function)
        raise ScriptError(f"{script} never calls {name!r}: {remedy}")
    return calls[0]


@contextmanager
def _beside(path: Path) -> Iterator[None]:
    """What a script finds when Python runs it: its name, and the modules in its folder."""
    arguments, places = sys.argv, list(sys.path)
    sys.argv = [str(path)]
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        yield
    finally:
        sys.argv, sys.path[:] = arguments, places


def _called(frame: types.FrameType) -> Any:
    """The function that a frame runs, as its callers know it."""
    code, outer = frame.f_code, frame.f_back
    names: list[dict[str, Any]] = [frame.f_globals]
    while outer is not None:
        names.append(outer.f_locals)
        outer = outer.f_back
    for variables in names:
        for value in [variables.get(code.co_name), *variables.values()]:
            if getattr(getattr(value, "__wrapped__", value), "__code__", None) is code:
                return value
    raise ScriptError(f"{code.co_name!r} is called, but its callers have no name for it")


def _arguments(frame: types.FrameType) -> tuple[list[Any], dict[str, Any]]:
    """The arguments of a call: those of the jitted function, if it is one that is traced."""
    outer = frame.f_back
    while outer is not None:
        if outer.f_code is JitFunction._call.__code__:
            jitted = outer.f_locals["self"]
            if getattr(jitted.__wrapped__, "__code__", None) is frame.f_code:
                return list(outer.f_locals["args"]), outer.f_locals["kwargs"]
        outer = outer.f_back
    code, values = frame.f_code, frame.f_locals
    names = code.co_varnames
    count, only = code.co_argcount, code.co_kwonlyargcount
    args = [values[n] for n in names[:count]]
    kwargs = {n: values[n] for n in names[count : count + only]}
    rest = count + only
    if code.co_flags & 0x04:
        args += values[names[rest]]
        rest += 1
    if code.co_flags & 0x08:
        kwargs |= values[names[rest]]
    return tree.map(_untraced, args), tree.map(_untraced, kwargs)


def _untraced(x: Any) -> Any:
    return weft.ShapeDtypeStruct(x.shape, x.dtype) if isinstance(x, Tracer) else x
