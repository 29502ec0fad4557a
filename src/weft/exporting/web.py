"""Programs for browsers: a WebAssembly module, modules of JavaScript, and a page that runs it.

Everything has its place in one memory from the start: the table of arguments, constants, the stack,
arrays and temporaries. The module brings the table and the constants along as data.
"""

from __future__ import annotations

import html
import json
from importlib.resources import files as resources
from typing import Any

import numpy as np

from weft.backends.linear_memory import rounded
from weft.codegen.program_llvm import emit_program, stack_bytes
from weft.compile import target_of
from weft.core.avals import ShapedArray
from weft.core.dtypes import stored_dtype
from weft.core.jaxpr import ClosedJaxpr
from weft.exporting import shaders
from weft.kernels.program import Program, Routine, walk_steps
from weft.machines import machine_of
from weft.planning import plan_program
from weft.runtime.native import compile_module
from weft.runtime.processors import browser
from weft.runtime.wasm_object import FIRST, INTERRUPTS, PAGE, WasmObject

#: JavaScript's arrays by what an array consists of.
_ARRAYS = {
    "bool": "Uint8Array",
    "int8": "Int8Array",
    "int16": "Int16Array",
    "int32": "Int32Array",
    "int64": "BigInt64Array",
    "uint8": "Uint8Array",
    "uint16": "Uint16Array",
    "uint32": "Uint32Array",
    "uint64": "BigUint64Array",
    "float16": "Uint16Array",
    "bfloat16": "Uint16Array",
    "float32": "Float32Array",
    "float64": "Float64Array",
}


def files(
    closed: ClosedJaxpr,
    name: str,
    takes: dict[str, ShapedArray],
    gives: dict[str, ShapedArray],
) -> dict[str, str | bytes]:
    """The two modules of a function with these parameters."""
    cpu = browser()
    program = plan_program(closed, machine=machine_of(cpu, 1))
    for step in walk_steps(program.steps):
        if isinstance(step, Routine):
            raise TypeError(
                f"export: the program calls the routine {step.name!r}, which is code of the host "
                "or of a library"
            )
    code = WasmObject(compile_module(emit_program(program, target_of(cpu)), cpu))
    layout = _Layout(program, code.data_bytes)
    module = code.module(
        layout.data, ["main"], {"weft_interrupts": INTERRUPTS}, extra=layout.segments
    )
    script = _filled(
        "module.js",
        NAME=name,
        PAGES=layout.pages,
        STACK=layout.stack,
        TABLE=layout.table,
        ARENA=layout.arena,
        INPUTS=_described(takes, layout.inputs),
        OUTPUTS=_described(gives, layout.outputs),
        PARAMETERS=", ".join(takes),
        PURPOSE="\n".join(
            [f" *   {n}: {aval}" for n, aval in takes.items()]
            + [" * and gives an object of"]
            + [f" *   {n}: {aval}" for n, aval in gives.items()]
        ),
    )
    return {f"{name}.wasm": module, f"{name}.js": script}


def page(
    closed: ClosedJaxpr,
    name: str,
    takes: dict[str, ShapedArray],
    gives: dict[str, ShapedArray],
) -> dict[str, str | bytes]:
    """The modules, the same program for WebGPU, and a page that runs it on random numbers.

    A program that WGSL has no code for has no module for WebGPU, and the page says why.
    """
    found = files(closed, name, takes, gives)
    try:
        program = shaders.program_text(closed)
    except TypeError as why:
        lacks = html.escape(f"On WebAssembly, because {why}.")
        found["index.html"] = _filled("page.html", NAME=name, MODULE=f"{name}.js", LACKS=lacks)
        return found
    parameters = ", ".join(takes)
    found[f"{name}.gpu.js"] = _filled("gpu.js", NAME=name, PARAMETERS=parameters, PROGRAM=program)
    found["index.html"] = _filled("page.html", NAME=name, MODULE=f"{name}.gpu.js", LACKS="")
    return found


class _Layout:
    """Addresses of everything, and the data that the module brings along."""

    def __init__(self, program: Program, data_bytes: int) -> None:
        self._end = FIRST
        slots = (*program.constants, *program.inputs, *program.outputs)
        self.table = self._place(8 * len(slots))
        self.data = self._place(data_bytes)
        stack = stack_bytes(program)
        self.stack = self._place(stack) + rounded(stack)
        constants = [self._place(slot.nbytes) for slot in program.constants]
        self.inputs = [self._place(slot.nbytes) for slot in program.inputs]
        self.outputs = [self._place(slot.nbytes) for slot in program.outputs]
        self.arena = self._place(program.arena_bytes)
        self.pages = -(-self._end // PAGE)
        if self._end > 1 << 32:
            raise MemoryError(
                f"export: the program needs {self._end:,} bytes; WebAssembly has 4,294,967,296"
            )
        places = np.array([*constants, *self.inputs, *self.outputs], np.int64)
        self.segments = {self.table: places.tobytes()} if len(slots) else {}
        for at, slot in zip(constants, program.constants, strict=True):
            self.segments[at] = np.ascontiguousarray(slot.data).tobytes()

    def _place(self, nbytes: int) -> int:
        start = self._end
        self._end += rounded(nbytes)
        return start


def _described(avals: dict[str, ShapedArray], places: list[int]) -> str:
    """Name, kind of array, length, place and type of each, as JavaScript."""
    rows: list[Any] = []
    for (name, aval), at in zip(avals.items(), places, strict=True):
        elements = np.empty(0, stored_dtype(aval.dtype))
        count = aval.size * (elements.itemsize // elements.real.itemsize)
        kind = _ARRAYS[elements.real.dtype.name]
        rows.append(f"  [{json.dumps(name)}, {kind}, {count}, {at}, {json.dumps(str(aval))}],")
    return "\n".join(["[", *rows, "]"])


def _filled(template: str, **values: Any) -> str:
    text = resources("weft.exporting").joinpath(template).read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(f"${name}$", str(value))
    return text
