"""What the first program needs, imported in a thread while its data are still being prepared.

Running a program takes modules that ``import weft.numpy`` does not, compiling one takes the
compiler and LLVM, too. A process whose cache of programs is empty will compile the first one that
it runs, so it need not wait for that program to begin; one that finds its programs on disk
(`weft.stored`) never imports the compiler.

Imports are done a few modules at a time. A program that is to run does not wait for the rest, it
imports what it needs itself.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from weft.config import available_cpus, config
from weft.core.collector import collector_paused
from weft.runtime import ahead
from weft.runtime.once import once


def _running() -> None:
    pass


def _stored() -> None:
    import weft.runtime.cache
    import weft.runtime.record  # noqa: F401
    from weft.runtime.identity import compiler_identity

    compiler_identity()


def _machine() -> None:
    import weft.compile
    import weft.runtime.compilation
    import weft.runtime.processors  # noqa: F401


def _schedules() -> None:
    import weft.kernels.strategy  # noqa: F401


def _plans() -> None:
    import weft.kernels.memory_plan
    import weft.kernels.plan  # noqa: F401


def _rules() -> None:
    import weft.saturate.saturate  # noqa: F401


def _code() -> None:
    import weft.codegen.program_llvm  # noqa: F401


def _search() -> None:
    import weft.saturate.decode
    import weft.saturate.engine  # which loads egglog's own library only when it is used
    import weft.saturate.search  # noqa: F401


def _parts() -> None:
    """What most programs need some of."""
    import weft.array.layout
    import weft.kernels.gathers
    import weft.kernels.moments
    import weft.kernels.split_folds
    import weft.runtime.figures
    import weft.terms.expansion
    import weft.terms.windows  # noqa: F401


_PROGRAMS: tuple[Callable[[], None], ...] = (_running, _stored)
_COMPILER: tuple[Callable[[], None], ...] = (
    _machine,
    _schedules,
    _plans,
    _rules,
    _code,
    _search,
    _parts,
)

_wanted = True


@once
def begin() -> None:
    """Starts the thread, unless it has been, or would have to share one processor."""
    if available_cpus() > 1:
        threading.Thread(target=_load, name="weft-preload").start()


def enough() -> None:
    """A program is about to run, and imports the rest of what it needs."""
    global _wanted
    _wanted = False


def _load() -> None:
    # LLVM is loaded at the same time: that takes a processor, but hardly the interpreter.
    compiles = _cache_is_empty()
    if compiles:
        ahead.start()
    main = threading.main_thread()
    for step in _PROGRAMS + _COMPILER if compiles else _PROGRAMS:
        with ahead.importing, collector_paused():
            if not _wanted or not main.is_alive():
                return
            step()


def _cache_is_empty() -> bool:
    """Whether no program of an earlier process can be found."""
    try:
        names = [] if config.cache_dir is None else os.listdir(config.cache_dir)
    except OSError:  # there is no such folder, or none that is of use
        return True
    return not any(name.startswith("program-") for name in names)
