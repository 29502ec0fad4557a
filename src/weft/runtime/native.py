"""LLVM IR text to object code: describe the host, compile.

Weft writes final SSA with explicit vectors, so there is no middle end here: text is parsed and
handed to instruction selection (``level=1``; ``level=0`` code runs up to five times slower). Object
code is a plain byte string, which is what the disk cache keeps and `weft.runtime.linker` loads.

Several threads may compile at once. LLVM is loaded by the first function that needs it
(`weft.runtime.llvm`), never by importing this module.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Iterator
from typing import Any

from weft.runtime import llvm
from weft.runtime.tile_permission import tiles_allowed
from weft.structs import struct


class CompileError(RuntimeError):
    """Generated code that LLVM refuses: a bug in a code generator, never in a user's program."""


# ---- the host -----------------------------------------------------------------------------


@struct(frozen=True)
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
    triple, name, features = llvm.host()
    if tiles_refused():
        features = features.replace("+amx-", "-amx-")
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


def tiles_refused() -> bool:
    """Whether the processor has tile registers (AMX) that this process may not use."""
    _, _, features = llvm.host()
    return "+amx-tile" in features.split(",") and not tiles_allowed()


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
OPTIONS: dict[str, Any] = {"level": 1, "reloc": "pic", "model": "small"}
#: The level for a draft: on x86-64 in a third of the time, with the same results, bit for bit.
#: Elsewhere LLVM has another code generator for it, which knows fewer vectors.
DRAFT_LEVEL = {"x86_64": 0}


#: Target machines that nobody uses just now.
_idle: dict[tuple[CPU, bool], list[llvm.TargetMachine]] = {}


@contextlib.contextmanager
def _target_machine(cpu: CPU, draft: bool) -> Iterator[llvm.TargetMachine]:
    """A target machine for this thread alone, returned afterwards."""
    idle = _idle.setdefault((cpu, draft), [])
    machine = idle.pop() if idle else _new_target_machine(cpu, draft)
    try:
        yield machine
    except BaseException:  # nobody knows what state it is in
        machine.dispose()
        raise
    idle.append(machine)


def _new_target_machine(cpu: CPU, draft: bool) -> llvm.TargetMachine:
    options = _options(cpu)
    if draft:
        options = options | {"level": DRAFT_LEVEL.get(cpu.architecture, OPTIONS["level"])}
    return llvm.TargetMachine(
        cpu.triple, cpu.name, cpu.features, **options, jit=cpu.triple == host_cpu().triple
    )


def _options(cpu: CPU) -> dict[str, Any]:
    """WebAssembly has no code that runs wherever it lies: addresses are constants."""
    return OPTIONS | {"reloc": "static"} if cpu.architecture == "wasm32" else OPTIONS


def compile_module(
    ir_text: str, cpu: CPU | None = None, *, verify: bool = False, draft: bool = False
) -> bytes:
    """Object code for a module of LLVM IR text, for ``cpu`` (by default the host).

    The text must not state a data layout or triple. ``verify`` runs LLVM's verifier first, which
    names the broken instruction; without it, malformed SSA is undefined behaviour. A ``draft`` is
    made sooner and runs slower. `weft.runtime.cache.compile_cached` is this behind the disk cache.

    Raises `CompileError` with LLVM's message, which quotes the offending line.
    """
    return _compiled(ir_text, cpu, verify=verify, draft=draft)


def emit_assembly(ir_text: str, cpu: CPU | None = None) -> str:
    """The assembly text of a module, to read or to look for spills in; never cached."""
    return _compiled(ir_text, cpu, verify=True, assembly=True).decode()


def _compiled(
    ir_text: str, cpu: CPU | None, *, verify: bool, assembly: bool = False, draft: bool = False
) -> bytes:
    with _target_machine(cpu or host_cpu(), draft) as machine:
        try:
            return machine.compile(ir_text, verify=verify, assembly=assembly)
        except llvm.LLVMError as error:
            raise CompileError(f"LLVM refuses the generated code: {error}") from error
