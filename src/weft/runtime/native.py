"""LLVM IR text to object code: describe the host, compile.

Weft writes final SSA with explicit vectors, so there is no middle end here: text is parsed and
handed to instruction selection (``opt=1``; ``opt=0`` code runs up to five times slower). Object
code is a plain byte string, which is what the disk cache keeps and `weft.runtime.linker` loads.

llvmlite is imported by the first function that needs it, never by importing this module.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
import threading
from dataclasses import dataclass
from typing import Any

# One lock around everything LLVM does. llvmlite serialises its calls anyway; holding our own lets
# `os.fork` wait until no thread is inside LLVM, so that a child never inherits a lock that nobody
# will release.
_lock = threading.RLock()
os.register_at_fork(
    before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release
)


class CompileError(RuntimeError):
    """Generated code that LLVM refuses: a bug in a code generator, never in a user's program."""


# ---- the host -----------------------------------------------------------------------------


@dataclass(frozen=True)
class CPU:
    """What a code generator needs to know of the processor it generates for.

    ``triple`` and ``name`` are LLVM's, and ``features`` its feature string (``"+avx2,-avx512f"``);
    cache sizes are in bytes and per core for L1 and L2; ``cores`` counts those this process may run
    on.
    """

    architecture: str
    triple: str
    name: str
    features: str
    vector_bits: int
    l1_bytes: int
    l2_bytes: int
    l3_bytes: int
    cores: int

    def has(self, feature: str) -> bool:
        """Whether LLVM lists `feature` as present, e.g. ``cpu.has("avx512f")``."""
        return f"+{feature}" in self.features.split(",")


def usable_cores() -> int:
    """Cores this process may run on now (its affinity mask, not what the machine has)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def host_cpu() -> CPU:
    """The processor this process runs on, looked up once."""
    with _lock:
        binding = _llvm()
        triple = binding.get_process_triple()
        name = binding.get_host_cpu_name()
        features = binding.get_host_cpu_features().flatten()
    caches = cache_sizes()
    return CPU(
        architecture=architecture(),
        triple=triple,
        name=name,
        features=features,
        vector_bits=_vector_bits(features),
        l1_bytes=caches.get(1, 32 << 10),
        l2_bytes=caches.get(2, 512 << 10),
        l3_bytes=caches.get(3, 8 << 20),
        cores=usable_cores(),
    )


def architecture() -> str:
    """``"x86_64"`` or ``"aarch64"``, as LLVM names them, or what else the machine calls itself."""
    machine = platform.machine().lower()
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(machine, machine)


def _vector_bits(features: str) -> int:
    present = set(features.split(","))
    for feature, bits in (("+avx512f", 512), ("+avx", 256)):
        if feature in present:
            return bits
    return 128


def cache_sizes(root: str | os.PathLike[str] = "/sys/devices/system/cpu") -> dict[int, int]:
    """Level -> bytes of the data or unified caches of the first usable core, from sysfs.

    Levels that sysfs does not show (some virtual machines hide them) are absent.
    """
    core = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    sizes: dict[int, int] = {}
    folder = os.path.join(root, f"cpu{core}", "cache")
    names = os.listdir(folder) if os.path.isdir(folder) else []

    def text(index: str, name: str) -> str:
        with open(os.path.join(folder, index, name)) as file:
            return file.read().strip()

    for index in sorted(name for name in names if name.startswith("index")):
        # A level with a missing or odd file is simply not known.
        with contextlib.suppress(OSError, ValueError):
            if text(index, "type") != "Instruction":
                sizes[int(text(index, "level"))] = _parse_size(text(index, "size"))
    return sizes


def _parse_size(text: str) -> int:
    """``"48K"`` -> 49152, as sysfs writes sizes."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    unit = units.get(text[-1:])
    return int(text) if unit is None else int(text[:-1]) * unit


# ---- compile ------------------------------------------------------------------------------

#: How LLVM is told to make code; part of what tells object code apart.
OPTIONS: dict[str, Any] = {"opt": 1, "reloc": "pic", "codemodel": "small"}


@functools.cache
def _llvm() -> Any:
    """llvmlite's binding, imported and initialised once; call with the lock held."""
    import llvmlite.binding as binding

    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding


@functools.cache
def _target_machine(cpu: CPU) -> Any:
    with _lock:
        binding = _llvm()
        if cpu.triple != host_cpu().triple:
            binding.initialize_all_targets()
            binding.initialize_all_asmprinters()
        return binding.Target.from_triple(cpu.triple).create_target_machine(
            cpu=cpu.name,
            features=cpu.features,
            **OPTIONS,
            jit=cpu.triple == host_cpu().triple,
        )


@functools.cache
def _module_header(cpu: CPU) -> str:
    layout = _target_machine(cpu).target_data
    return f'target datalayout = "{layout}"\ntarget triple = "{cpu.triple}"\n'


def compile_module(ir_text: str, cpu: CPU | None = None, *, verify: bool = False) -> bytes:
    """Object code for a module of LLVM IR text, for ``cpu`` (by default the host).

    The text must not state a data layout or triple. ``verify`` runs LLVM's verifier first, which
    names the broken instruction; without it, malformed SSA is undefined behaviour.
    `weft.runtime.cache.compile_cached` is this behind the disk cache.

    Raises `CompileError` with LLVM's message, which quotes the offending line.
    """
    cpu = cpu or host_cpu()
    with _lock:
        return _target_machine(cpu).emit_object(_parse(ir_text, cpu, verify))


def emit_assembly(ir_text: str, cpu: CPU | None = None) -> str:
    """The assembly text of a module, to read or to look for spills in; never cached."""
    cpu = cpu or host_cpu()
    with _lock:
        return _target_machine(cpu).emit_assembly(_parse(ir_text, cpu, verify=True))


def _parse(ir_text: str, cpu: CPU, verify: bool) -> Any:
    try:
        module = _llvm().parse_assembly(_module_header(cpu) + ir_text)
        if verify:
            module.verify()
    except RuntimeError as error:
        raise CompileError(f"LLVM refuses the generated code: {error}") from error
    return module
