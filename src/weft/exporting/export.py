"""Functions as programs without Weft: C99 source and a header."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from weft import tree
from weft.codegen import c_program
from weft.compile import plan_program
from weft.core.avals import ShapedArray
from weft.kernels.machine import Machine, cpu_machine
from weft.structs import struct
from weft.transforms.functions import argument_names, check_callable
from weft.transforms.jit import JitFunction, jit

TARGETS = ("c",)


@struct(frozen=True)
class Exported:
    """A program as text: its ``files`` by name, and the types of what its function takes.

    ``inputs`` and ``outputs`` are the parameters in order, by the names that they have in C.
    """

    name: str
    files: dict[str, str]
    inputs: dict[str, ShapedArray]
    outputs: dict[str, ShapedArray]

    def save(self, folder: Any) -> list[Path]:
        """Writes the files into a folder, which is made if it is not there; returns their paths."""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        for name, text in self.files.items():
            (place / name).write_text(text)
        return [place / name for name in self.files]


def export(
    fun: Callable[..., Any], *args: Any, target: str = "c", name: str | None = None, **kwargs: Any
) -> Exported:
    """``fun``, compiled for arguments like these, as a program that needs no Weft.

    fun: a function of arrays and trees of them, jitted or not.
    args, kwargs: arrays, or `weft.ShapeDtypeStruct`; only their types matter.
    target: ``"c"``, C99 and a header. The function takes pointers to contiguous arrays, first the
        leaves of the arguments, then those of the result; it returns 0, or 1 if there is no memory
        for temporaries. Complex numbers are pairs, booleans bytes.
    name: of the function and the files; by default that of ``fun``.

    ``cc -O3 -march=native -ffp-contract=off -c name.c`` builds it. It runs on one thread.

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
    program = plan_program(traced.closed, machine=_machine())
    taken = set(c_program.reserved()) | {name}
    inputs = _identifiers(argument_names(fun, traced.in_tree, args, kwargs)(), taken)
    outputs = _identifiers(tree.path_names(traced.out_tree, ""), taken)
    source = c_program.emit_program(program, name, inputs, outputs)
    declared = c_program.signature(program, name, inputs, outputs)
    takes = dict(zip(inputs, traced.closed.in_avals, strict=True))
    gives = dict(zip(outputs, traced.closed.out_avals, strict=True))
    files = {
        f"{name}.h": _header(name, declared, takes, gives),
        f"{name}.c": f'#include "{name}.h"\n{source}',
    }
    return Exported(name, files, takes, gives)


def _machine() -> Machine:
    """One thread of a processor with vectors of 32 bytes, for compilers to make the best of."""
    return cpu_machine(1, 32, (32 << 10, 512 << 10, 8 << 20))


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


def _header(
    name: str, declared: str, inputs: dict[str, ShapedArray], outputs: dict[str, ShapedArray]
) -> str:
    guard = f"WEFT_{name.upper()}_H"
    described = [f" * in   {n}: {aval}" for n, aval in inputs.items()]
    described += [f" * out  {n}: {aval}" for n, aval in outputs.items()]
    return "\n".join(
        [
            f"#ifndef {guard}",
            f"#define {guard}",
            "#include <stdbool.h>",
            "",
            "/* Contiguous arrays; returns 0, or 1 without memory for temporaries.",
            *described,
            " */",
            "#ifdef __cplusplus",
            'extern "C"',
            "#endif",
            f"{declared};",
            "",
            "#endif\n",
        ]
    )
