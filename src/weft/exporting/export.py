"""Functions as programs without Weft: C99, WebAssembly with a module of JavaScript, a web page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weft import tree
from weft.codegen import c_program
from weft.core.avals import ShapedArray
from weft.exporting import c, web
from weft.structs import struct
from weft.transforms.functions import argument_names, check_callable
from weft.transforms.jit import JitFunction, jit

TARGETS = {"c": c.files, "wasm": web.files, "web": web.page}


@struct(frozen=True)
class Exported:
    """A program: its ``files`` by name, and the types of what its function takes.

    ``inputs`` and ``outputs`` are the parameters in order, by the names that they have there.
    """

    name: str
    files: dict[str, str | bytes]
    inputs: dict[str, ShapedArray]
    outputs: dict[str, ShapedArray]

    def save(self, folder: Any) -> list[Path]:
        """Writes the files into a folder, which is made if it is not there; returns their paths."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            data = content if isinstance(content, bytes) else content.encode()
            (place / name).write_bytes(data)
        return [place / name for name in self.files]


def export(
    fun: Callable[..., Any], *args: Any, target: str = "c", name: str | None = None, **kwargs: Any
) -> Exported:
    """``fun``, compiled for arguments like these, as a program that needs no Weft.

    fun: a function of arrays and trees of them, jitted or not.
    args, kwargs: arrays, or `weft.ShapeDtypeStruct`; only their types matter.
    target: ``"c"``, C99 and a header. The function takes pointers to contiguous arrays, first the
        leaves of the arguments, then those of the result; it returns 0, or 1 if there is no memory
        for temporaries. ``cc -O3 -march=native -ffp-contract=off -c name.c`` builds it.
        ``"wasm"``, a WebAssembly module and one of JavaScript: ``const f = await load()``, then
        ``f(x, …)`` takes typed arrays and gives an object of them, and ``f.dispose()`` ends it.
        ``"web"``, these, ``name.gpu.js``, which does the same by WebGPU where there is one
        (``const f = await load()``, ``await f(x, …)``, ``f.device``; dtypes of 32 bits), and
        a page, ``index.html``, that runs it and shows the time.
    name: of the function and the files; by default that of ``fun``.

    Complex numbers are pairs, booleans bytes, half types words of 16 bits. It runs on one thread.

    Raises ``ValueError`` for an unknown target or a name that C does not allow, and ``TypeError``
    for dtypes and operations that the target has no code for, and for programs that call libraries
    (factorizations, Fourier transforms, sorting) or the host (callbacks).

    >>> program = weft.export(lambda x: {"y": 2 * x}, np.ones(3), name="twice")
    >>> print(program.files["twice.h"].splitlines()[-3])
    int twice(const float *x, float *y);
    """
    check_callable("export", fun)
    if target not in TARGETS:
        raise ValueError(
            f"export: target is one of {', '.join(map(repr, TARGETS))}, got {target!r}"
        )
    traced = (fun if isinstance(fun, JitFunction) else jit(fun)).trace(*args, **kwargs)
    name = _function_name(name, traced.name)
    taken = set(c_program.reserved()) | {name}
    inputs = _identifiers(argument_names(fun, traced.in_tree, args, kwargs)(), taken)
    outputs = _identifiers(tree.path_names(traced.out_tree, ""), taken)
    takes = dict(zip(inputs, traced.closed.in_avals, strict=True))
    gives = dict(zip(outputs, traced.closed.out_avals, strict=True))
    files = TARGETS[target](traced.closed, name, takes, gives)
    return Exported(name, files, takes, gives)


def _function_name(name: str | None, own: str) -> str:
    if name is None:
        found = re.sub(r"\W", "_", own, flags=re.ASCII).strip("_") or "program"
        name = found if found[0].isalpha() else f"f_{found}"
        return f"{name}_" if name in c_program.reserved() else name
    if not re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII) or name in c_program.reserved():
        raise ValueError(f"export: {name!r} is no name for a function in C")
    return name


def _identifiers(names: list[str], taken: set[str]) -> list[str]:
    """C names like those of the leaves of a tree, each given once."""
    found = []
    for name in names:
        base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "out"
        base = base if base[0].isalpha() else f"out{base}"
        unique, n = base, 1
        while unique in taken:
            n += 1
            unique = f"{base}_{n}"
        taken.add(unique)
        found.append(unique)
    return found
