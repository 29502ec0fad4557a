"""Compiled programs that outlive the process: traced again, but neither planned nor compiled.

A program is looked up by its structure, the settings it is compiled for, the processor, and what
compiles it: the sources of this package and the LLVM library. Nothing that plans or generates code
is imported when it is found. Programs that call functions of the user are not kept, since their
code is not a matter of structure.
"""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from weft import preload
from weft.config import config
from weft.core.canonical import JaxprKey, jaxpr_key, key_digest
from weft.core.collector import collector_paused
from weft.core.jaxpr import ClosedJaxpr

if TYPE_CHECKING:
    from weft.executable import Executable
    from weft.runtime.cache import ObjectCache
    from weft.runtime.record import ProgramRecord


#: Ends the names of drafts.
_DRAFT = "-draft"


def executable_for(
    closed: ClosedJaxpr,
    donated: Sequence[int] = (),
    key: JaxprKey | None = None,
    tune: bool = False,
    hasty: bool = False,
    draft: bool = False,
) -> Executable:
    """The program, from disk if an equal one was compiled before, by this process or another.

    ``key`` is that of ``closed``, if it is known already; with ``tune``, schedules are timed. A
    ``hasty`` program is for few runs; where a ``draft`` of it will do, it is compiled as one.
    """
    preload.enough()
    place = _place(closed, donated, key, tune, hasty)
    if place is None:
        return _compile(closed, donated, None, tune, hasty, draft)
    cache, name = place
    for kept in (name, name + _DRAFT) if draft else (name,):
        found = _read(cache, kept, closed, donated, hasty)
        if found is not None:
            found.stats.draft = kept != name
            return found

    def store(record: ProgramRecord) -> None:
        try:
            payload = record.pack()
        except (TypeError, AttributeError, pickle.PicklingError):
            return  # it calls a function that only this process has
        cache.keep(name + _DRAFT if draft else name, payload)

    return _compile(closed, donated, store, tune, hasty, draft)


def load(closed: ClosedJaxpr) -> Executable | None:
    """The hasty program if an equal one lies on disk, without donated arguments; else None."""
    place = _place(closed, (), None, hasty=True)
    return None if place is None else _read(*place, closed, (), hasty=True)


def _place(
    closed: ClosedJaxpr,
    donated: Sequence[int],
    key: JaxprKey | None,
    tune: bool = False,
    hasty: bool = False,
) -> tuple[ObjectCache, str] | None:
    """The cache and the name there of a program; None if it has none."""
    from weft.runtime.cache import object_cache

    cache = None if config.dump or config.profiled else object_cache()
    digest = None if cache is None else key_digest(key or jaxpr_key(closed))
    if cache is None or digest is None:
        return None
    from weft.runtime import figures
    from weft.runtime.identity import compiler_identity, processor_identity

    compiler = (config.compiled_for, compiler_identity())
    parts = (
        digest,
        tuple(donated),
        tune,
        hasty,
        *compiler,
        processor_identity(),
        figures.identity(),
    )
    return cache, "program-" + hashlib.sha256(repr(parts).encode()).hexdigest()


def _read(
    cache: ObjectCache, name: str, closed: ClosedJaxpr, donated: Sequence[int], hasty: bool
) -> Executable | None:
    from weft.runtime.record import ProgramRecord

    start = time.perf_counter()
    payload = cache.get(name)
    if payload is None:
        return None
    from weft.executable import Executable, Stats

    record = ProgramRecord.unpack(payload)
    native = record.link()
    stats = Stats(
        {"disk": time.perf_counter() - start}, record.kernels, record.arena_nbytes, record.refused
    )
    return Executable(closed, native, stats, donated, record.reuse, hasty=hasty)


def _compile(
    closed: ClosedJaxpr,
    donated: Sequence[int],
    store: Callable[[ProgramRecord], None] | None = None,
    tune: bool = False,
    hasty: bool = False,
    draft: bool = False,
) -> Executable:
    from weft.runtime import ahead

    ahead.start()
    with collector_paused():  # while the compiler is imported, too
        from weft.compile import compile_jaxpr

        return compile_jaxpr(closed, donated, store, tune=tune, hasty=hasty, draft=draft)
