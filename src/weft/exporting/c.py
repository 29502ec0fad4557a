"""Programs as files of C: source and header."""

from __future__ import annotations

from weft.codegen import c_program
from weft.core.avals import ShapedArray
from weft.core.jaxpr import ClosedJaxpr
from weft.kernels.machine import cpu_machine
from weft.planning import plan_program


def files(
    closed: ClosedJaxpr,
    name: str,
    takes: dict[str, ShapedArray],
    gives: dict[str, ShapedArray],
) -> dict[str, str | bytes]:
    """Source and header of a function with these parameters."""
    # One thread of a processor with vectors of 32 bytes, for compilers to make the best of.
    program = plan_program(closed, machine=cpu_machine(1, 32, (32 << 10, 512 << 10, 8 << 20)))
    source = c_program.emit_program(program, name, list(takes), list(gives))
    declared = c_program.signature(program, name, list(takes), list(gives))
    return {
        f"{name}.h": _header(name, declared, takes, gives),
        f"{name}.c": f'#include "{name}.h"\n{source}',
    }


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
