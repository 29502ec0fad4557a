"""Levels of a program as text, and the printing of those that ``weft.config.dump`` names."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from weft.config import config
from weft.kernels.ir import Kernel
from weft.kernels.program import Program

if TYPE_CHECKING:
    from weft.terms.region import Program as TermProgram
    from weft.terms.region import Region


def printed_terms(lowered: TermProgram) -> str:
    """A program of terms."""
    from weft.terms.print import format_program

    return format_program(lowered)


def printed_steps(region: Region) -> str:
    """The definitions of a region."""
    from weft.terms.print import format_step

    return "\n".join(map(format_step, region.steps))


def printed_program(program: Program) -> str:
    """The steps of a program, without its kernels."""
    from weft.kernels.program_print import print_program

    return print_program(program, kernels=False)


def printed_kernels(kernels: Iterable[Kernel]) -> str:
    """Kernels, each once."""
    from weft.kernels.print import print_kernel

    return "\n".join(print_kernel(kernel) for kernel in dict.fromkeys(kernels))


def dump(level: str, text: Callable[[], str]) -> None:
    """Prints a level to standard error if it is wanted; ``text`` is not made otherwise."""
    if level in config.dump:
        print(f"== {level} ==\n{text()}", file=sys.stderr)
