"""Settings: ``weft.config`` and the context manager ``weft.disable_jit``.

A setting is checked when it is set. ``threads`` and ``numerics`` are the process's;
``disable_jit`` is the context's (a thread's, or an asynchronous
task's).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NoReturn

#: Classes of rewrite rules, each including those before it.
NUMERICS = ("exact", "real", "cancel", "domain")

#: Widths of a processor's registers to compile for; ``native`` is all it has.
CPUS = ("native", "sse2", "avx2", "avx512", "neon")

#: Which form of a numerical routine (a factorization, an FFT) is compiled.
ROUTINES = ("price", "library", "portable")

#: How one way to compute a program is chosen among all that the rules found.
EXTRACTIONS = ("greedy", "exact")

#: Levels of the compiler that can be printed while it works.
DUMP_LEVELS = (
    "jaxpr",
    "terms",
    "saturated",
    "kernels",
    "schedule",
    "program",
    "llvm",
    "assembly",
)


class Config:
    """What a user can set.

    - ``threads``: how many threads compute; by default the CPUs this process may use.
    - ``numerics``: which rewrites may be used. ``"exact"`` keeps every bit; ``"real"``, the
      default, re-associates sums and contractions within a stated bound; ``"cancel"`` may
      introduce cancellation; ``"domain"`` may change where NaN, inf and overflow happen.
    - ``cpu``: the instructions that compiled code may use: ``"native"``, the default, is all this
      processor has; ``"sse2"``, ``"avx2"``, ``"avx512"`` and (on AArch64) ``"neon"`` use less.
      It holds for what is compiled from then on.
    - ``routines``: which form of factorizations and FFTs is compiled: ``"library"`` (LAPACK,
      pocketfft), ``"portable"`` (Weft's own operations), or ``"price"``, the default: the one that
      is expected to take less time.
    - ``extraction``: how one way to compute a program is chosen among all that the rules found:
      ``"greedy"``, the default (then single decisions are turned), or ``"exact"``: by an integer
      program, for at most ten seconds for each part of a program; what it has found until then, or
      the greedy choice, has to do.
    - ``dump``: the levels printed to standard error while compiling, such as ``{"jaxpr"}``.
    - ``check``: prove every level of what is compiled well formed as it is made, down to the last
      kernel; compiling takes longer. Off by default, on in Weft's own tests.
    - ``cache_dir``: where compiled code is kept between processes; None keeps none.

    - ``warn_recompiles``: a jitted function warns at every so-manyth signature that it is compiled
      for, with the arguments that changed: 32 by default, 1 for each, None for never.
    - ``warn_constants``: a jitted function warns of arrays of so many bytes that it closes over,
      which become part of its program: 64 MiB by default, None for never.

    >>> weft.config.threads = 1
    >>> weft.config.dump = {"jaxpr", "kernels"}
    """

    __slots__ = (
        "_cache_dir",
        "_check",
        "_cpu",
        "_dump",
        "_extraction",
        "_numerics",
        "_profiled",
        "_routines",
        "_settings",
        "_threads",
        "_warn_constants",
        "_warn_recompiles",
        "compiled_for",
    )

    #: What compiled code depends on; one object for equal settings, so ``is`` tells.
    compiled_for: tuple[object, ...]

    def __init__(self) -> None:
        self._threads = available_cpus()
        self._numerics = "real"
        self._cpu = "native"
        self._routines = "price"
        self._extraction = "greedy"
        self._dump: frozenset[str] = frozenset()
        self._check = False
        self._warn_recompiles: int | None = 32
        self._warn_constants: int | None = 1 << 26
        self._profiled = False
        self._settings: dict[tuple[object, ...], tuple[object, ...]] = {}
        self._cache_dir: str | None = default_cache_dir()
        self._compile_anew()

    @property
    def threads(self) -> int:
        """How many threads compute."""
        return self._threads

    @threads.setter
    def threads(self, value: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"config.threads is an int, got {value!r} ({type(value).__name__})")
        if not 1 <= value <= 1024:
            raise ValueError(f"config.threads is between 1 and 1024, got {value}")
        self._threads = value
        self._compile_anew()

    @property
    def numerics(self) -> str:
        """Which classes of rewrites may be used."""
        return self._numerics

    @numerics.setter
    def numerics(self, value: str) -> None:
        if value not in NUMERICS:
            raise ValueError(f"config.numerics is one of {_quoted(NUMERICS)}, got {value!r}")
        self._numerics = value
        self._compile_anew()

    @property
    def cpu(self) -> str:
        """Which of the processor's instructions may be used."""
        return self._cpu

    @cpu.setter
    def cpu(self, value: str) -> None:
        if value not in CPUS:
            raise ValueError(f"config.cpu is one of {_quoted(CPUS)}, got {value!r}")
        self._cpu = value
        self._compile_anew()

    @property
    def routines(self) -> str:
        """Which form of numerical routines is compiled."""
        return self._routines

    @routines.setter
    def routines(self, value: str) -> None:
        if value not in ROUTINES:
            raise ValueError(f"config.routines is one of {_quoted(ROUTINES)}, got {value!r}")
        self._routines = value
        self._compile_anew()

    @property
    def extraction(self) -> str:
        """How one way to compute a program is chosen among all that were found."""
        return self._extraction

    @extraction.setter
    def extraction(self, value: str) -> None:
        if value not in EXTRACTIONS:
            raise ValueError(f"config.extraction is one of {_quoted(EXTRACTIONS)}, got {value!r}")
        self._extraction = value
        self._compile_anew()

    def _compile_anew(self) -> None:
        settings: tuple[object, ...] = (self._numerics, self._cpu, self._routines, self._threads)
        settings += (self._extraction, *(["profiled"] if self._profiled else ()))
        self.compiled_for = self._settings.setdefault(settings, settings)

    @property
    def profiled(self) -> bool:
        """Whether programs take the time of their steps, as inside `weft.profile`."""
        return self._profiled

    def _set_profiled(self, value: bool) -> None:
        """Programs as usual are found again afterwards; calls look at `compiled_for` only."""
        self._profiled = value
        self._compile_anew()

    @property
    def dump(self) -> frozenset[str]:
        """The compiler levels that are printed."""
        return self._dump

    @dump.setter
    def dump(self, value: Iterable[str]) -> None:
        if isinstance(value, str):
            raise TypeError(f"config.dump is a set of names, write {{{value!r}}}")
        levels = frozenset(value)
        unknown = sorted(map(repr, levels - set(DUMP_LEVELS)))
        if unknown:
            raise ValueError(
                f"config.dump has no level {', '.join(unknown)}; "
                f"the levels are {_quoted(DUMP_LEVELS)}"
            )
        self._dump = levels

    @property
    def check(self) -> bool:
        """Whether every level is checked as it is made."""
        return self._check

    @check.setter
    def check(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise TypeError(f"config.check is True or False, got {value!r}")
        self._check = value

    @property
    def warn_recompiles(self) -> int | None:
        """At every which signature a jitted function warns."""
        return self._warn_recompiles

    @warn_recompiles.setter
    def warn_recompiles(self, value: int | None) -> None:
        self._warn_recompiles = _count("warn_recompiles", value)

    @property
    def warn_constants(self) -> int | None:
        """From how many bytes on a jitted function warns of what it closes over."""
        return self._warn_constants

    @warn_constants.setter
    def warn_constants(self, value: int | None) -> None:
        self._warn_constants = _count("warn_constants", value)

    @property
    def cache_dir(self) -> str | None:
        """The folder of compiled code, or None."""
        return self._cache_dir

    @cache_dir.setter
    def cache_dir(self, value: str | os.PathLike[str] | None) -> None:
        if value is not None and not isinstance(value, (str, os.PathLike)):
            raise TypeError(f"config.cache_dir is a path or None, got {value!r}")
        self._cache_dir = None if value is None else os.path.abspath(os.path.expanduser(value))

    def __getattr__(self, name: str) -> NoReturn:
        advice = f"it has {_quoted(_SETTINGS)}"
        if name == "update" or name.startswith("jax_"):
            advice += (
                ", which are set as attributes; 64-bit dtypes are always there, so nothing has to "
                "be enabled"
            )
        raise AttributeError(f"config has no setting {name!r}; {advice}")

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _SETTINGS and name not in self.__slots__:
            raise AttributeError(f"config has no setting {name!r}; it has {_quoted(_SETTINGS)}")
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        settings = ", ".join(f"{name}={getattr(self, name)!r}" for name in _SETTINGS)
        return f"Config({settings})"


_SETTINGS = (
    "threads",
    "numerics",
    "cpu",
    "routines",
    "extraction",
    "dump",
    "check",
    "cache_dir",
    "warn_recompiles",
    "warn_constants",
)


def _count(name: str, value: int | None) -> int | None:
    """A positive number, or None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"config.{name} is an int or None, got {value!r} ({type(value).__name__})")
    if value < 1:
        raise ValueError(f"config.{name} is at least 1, or None, got {value}")
    return value


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


def available_cpus() -> int:
    """How many CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def default_cache_dir() -> str | None:
    """``weft`` in the user's cache folder (``$XDG_CACHE_HOME``, else ``~/.cache``)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "weft") if os.path.isabs(base) else None


config = Config()


#: How this context departs from calls as usual (None): `DISABLED`, or the device that they go to.
#: Native calls look at it too: see `weft.runtime.fast_call`.
detour_variable: ContextVar[Any] = ContextVar("weft.detour", default=None)
DISABLED = object()

#: The departure of this context.
detour = detour_variable.get


def jit_is_disabled() -> bool:
    """Is :func:`disable_jit` active in this context?"""
    return detour() is DISABLED


@contextmanager
def disable_jit(disable: bool = True) -> Iterator[None]:
    """Runs jitted functions and control flow operation by operation, in this context.

    Values are concrete everywhere, so a debugger or ``print`` sees them.

    >>> step = weft.jit(lambda x: 2 * x)
    >>> with weft.disable_jit():
    ...     step(np.arange(3))
    Array([0, 2, 4], dtype=int32)
    """
    previous = detour()
    detour_variable.set(DISABLED if disable else None if previous is DISABLED else previous)
    try:
        yield
    finally:
        detour_variable.set(previous)
