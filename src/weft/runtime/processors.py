"""Processors to generate code for besides the host as it is.

`narrowed` is the host with shorter registers and fewer instructions: for tests of that code, and
for machines on which wide registers slow down the clock. `aarch64` is another machine altogether,
whose object code can be made here but not run; that of `wasm` is run by an engine.
"""

from __future__ import annotations

from dataclasses import replace

from weft.config import config
from weft.runtime.native import CPU, host_cpu
from weft.structs import struct


@struct(frozen=True)
class Width:
    """A level of an instruction set: LLVM's name of a processor that has it, and what that has.

    ``features`` are those that code generators and LLVM ask for; ``bits`` the length of a register.
    """

    architecture: str
    processor: str
    bits: int
    features: tuple[str, ...]


_SSE2 = ("sse", "sse2", "fxsr", "cx8", "cmov")
_AVX2 = (
    *_SSE2,
    *("sse3", "ssse3", "sse4.1", "sse4.2", "popcnt", "cx16", "avx", "avx2", "bmi", "bmi2", "f16c"),
    *("fma", "lzcnt", "movbe"),
)
_AVX512 = (*_AVX2, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")

#: What engines of WebAssembly outside of browsers have.
_WASM = (
    *("simd128", "relaxed-simd", "bulk-memory", "bulk-memory-opt", "nontrapping-fptoint"),
    *("sign-ext", "mutable-globals", "atomics"),
)

#: What ``weft.config.cpu`` may name besides ``"native"``; the psABI's x86-64 levels 1, 3 and 4.
WIDTHS = {
    "sse2": Width("x86_64", "x86-64", 128, _SSE2),
    "avx2": Width("x86_64", "x86-64-v3", 256, _AVX2),
    "avx512": Width("x86_64", "x86-64-v4", 512, _AVX512),
    "neon": Width("aarch64", "generic", 128, ("fp-armv8", "neon")),
}


def target_cpu() -> CPU:
    """The processor that programs are compiled for: the host, narrowed to ``weft.config.cpu``."""
    return host_cpu() if config.cpu == "native" else narrowed(host_cpu(), config.cpu)


def narrowed(cpu: CPU, name: str) -> CPU:
    """``cpu`` with only what the width called ``name`` has; ValueError if it does not have that.

    >>> narrowed(host_cpu(), "sse2").vector_bits  # doctest: +SKIP
    128
    """
    width = WIDTHS[name]
    if not _has(cpu, width):
        able = [f"'{other}'" for other, w in WIDTHS.items() if _has(cpu, w)]
        raise ValueError(
            f"this processor ({cpu.name}) has no {name!r}; weft.config.cpu can be 'native'"
            + (f" or {', '.join(able)}" if able else "")
        )
    return replace(cpu, name=width.processor, features=_text(width), vector_bits=width.bits)


def aarch64() -> CPU:
    """A 64-bit Arm server processor (Neoverse N1: NEON, half-precision arithmetic, no SVE)."""
    width = WIDTHS["neon"]
    return CPU(
        architecture="aarch64",
        triple="aarch64-unknown-linux-gnu",
        name="neoverse-n1",
        features=_text(width),
        vector_bits=width.bits,
        l1_bytes=64 << 10,
        l2_bytes=1 << 20,
        l3_bytes=32 << 20,
        cores=1,
    )


def wasm() -> CPU:
    """WebAssembly with registers of 128 bits, on the caches of the host."""
    host = host_cpu()
    return CPU(
        architecture="wasm32",
        triple="wasm32-unknown-unknown",
        name="generic",
        features=",".join(f"+{feature}" for feature in _WASM),
        vector_bits=128,
        l1_bytes=host.l1_bytes,
        l2_bytes=host.l2_bytes,
        l3_bytes=host.l3_bytes,
        cores=1,
    )


def browser() -> CPU:
    """WebAssembly as every browser of today has it, on an ordinary computer."""
    features = [f"+{f}" for f in _WASM if f not in ("relaxed-simd", "atomics")]
    return CPU(
        architecture="wasm32",
        triple="wasm32-unknown-unknown",
        name="generic",
        features=",".join(features),
        vector_bits=128,
        l1_bytes=32 << 10,
        l2_bytes=512 << 10,
        l3_bytes=8 << 20,
        cores=1,
    )


def _has(cpu: CPU, width: Width) -> bool:
    if cpu.architecture != width.architecture:
        return False
    return cpu.architecture == "aarch64" or all(map(cpu.has, width.features))


def _text(width: Width) -> str:
    return ",".join(f"+{feature}" for feature in width.features)
