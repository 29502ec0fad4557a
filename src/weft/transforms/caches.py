"""Forgetting what was traced and compiled."""

from __future__ import annotations

from weft.array import immediate
from weft.array.delayed import forget_programs
from weft.core.bounded import clear_all
from weft.transforms.jit import jitted


def clear_caches() -> None:
    """Forgets the traces and programs of all jitted functions and delayed work in this process.

    What was kept on disk stays there: see ``weft cache``.

    >>> weft.clear_caches()
    """
    for function in jitted.all():
        function.clear_cache()
    clear_all()
    forget_programs()
    immediate.clear()
