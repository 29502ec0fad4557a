"""Compiled programs that outlive the process: traced again, but neither planned nor compiled.

A program is looked up by its structure, the settings it is compiled for, the processor, and what
compiles it: the sources of this package and the LLVM library. Nothing that plans or generates code
is imported when it is found. Programs that call functions of the user are not kept, since their
code is not a matter of structure.
"""

from __future__ import annotations

import contextlib
import hashlib
import pickle
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from weft.config import config
from weft.core.canonical import JaxprKey, jaxpr_key, key_digest
from weft.core.jaxpr import ClosedJaxpr

if TYPE_CHECKING:
    from weft.executable import Executable


def executable_for(
    closed: ClosedJaxpr, donated: Sequence[int] = (), key: JaxprKey | None = None
) -> Executable:
    """The program, from disk if an equal one was compiled before, by this process or another.

    ``key`` is that of ``closed``, if it is known already.
    """
    from weft.runtime.cache import object_cache

    cache = None if config.dump else object_cache()
    digest = None if cache is None else key_digest(key or jaxpr_key(closed))
    if cache is None or digest is None:
        return _compile(closed, donated)
    from weft.runtime.identity import compiler_identity, processor_identity
    from weft.runtime.record import ProgramRecord

    start = time.perf_counter()
    parts = (digest, tuple(donated), config.compiled_for, compiler_identity(), processor_identity())
    name = "program-" + hashlib.sha256(repr(parts).encode()).hexdigest()
    payload = cache.get(name)
    if payload is None:

        def store(record: ProgramRecord) -> None:
            try:
                payload = record.pack()
            except (TypeError, AttributeError, pickle.PicklingError):
                return  # it calls a function that only this process has
            # A disk that cannot be written costs the next process a compilation.
            with contextlib.suppress(OSError):
                cache.put(name, payload)

        return _compile(closed, donated, store)
    from weft.executable import Executable, Stats

    record = ProgramRecord.unpack(payload)
    native = record.link()
    stats = Stats(
        {"disk": time.perf_counter() - start}, record.kernels, record.arena_nbytes, record.refused
    )
    return Executable(closed, native, stats, donated, record.reuse)


def _compile(closed: ClosedJaxpr, donated: Sequence[int], *store: Any) -> Executable:
    from weft.runtime import ahead

    ahead.start()
    from weft.compile import compile_jaxpr

    return compile_jaxpr(closed, donated, *store)
