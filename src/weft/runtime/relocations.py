"""Relocations: how an address is written into code and data, for x86-64 and AArch64.

These are the kinds that LLVM gives to position-independent code in the small code model; their
numbers, names and arithmetic are those of the processors' ELF supplements. Each works on all its
places at once: given what stands there, where that is, and the address meant, what to write.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from weft.runtime.elf import AARCH64, X86_64, ObjectError

#: (fields, places, targets) -> new fields
Write = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Kind(NamedTuple):
    """One kind of relocation.

    ``via`` says which address stands for the symbol: its own, that of a stub which jumps there if
    its own is too far for a call, or that of a slot of the table of addresses. Fields are words of
    ``nbytes``.
    """

    name: str
    via: Literal["symbol", "call", "slot"]
    nbytes: int
    write: Write


class Processor(NamedTuple):
    """The kinds of a processor by number; ``reach`` is how far its calls go, in bytes.

    ``jump`` is code of 8 bytes that jumps to the address in the 8 bytes after it.
    """

    kinds: Mapping[int, Kind]
    reach: int
    jump: bytes


def _within(values: np.ndarray, bits: int) -> np.ndarray:
    """The values, if they are signed integers of ``bits`` bits."""
    limit = 1 << (bits - 1)
    if ((values < -limit) | (values >= limit)).any():
        raise ObjectError("an address is too far away for the code that uses it")
    return values


def _absolute(fields: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return targets


def _relative(fields: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return targets - places


def _relative32(fields: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    return _within(targets - places, 32)


# ---- AArch64: a field is an instruction, part of which is an immediate ------------------------


def _branch(fields: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """B, BL: a distance in instructions in bits 0 to 25."""
    distance = _within(targets - places, 28)
    if (distance & 3).any():
        raise ObjectError("a branch leads to the middle of an instruction")
    return fields & ~0x03FF_FFFF | distance >> 2 & 0x03FF_FFFF


def _page(fields: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """ADRP: a distance in pages of 4 KiB; its low two bits are 29 and 30, the others 5 to 23."""
    distance = _within((targets >> 12) - (places >> 12), 21)
    return fields & ~0x60FF_FFE0 | (distance & 3) << 29 | (distance >> 2 & 0x7FFFF) << 5


def _offset_in_page(shift: int) -> Write:
    """ADD, LDR, STR: the low 12 bits, in units of what is loaded, in bits 10 to 21."""

    def write(fields: np.ndarray, places: np.ndarray, targets: np.ndarray) -> np.ndarray:
        low = targets & 0xFFF
        if (low & ((1 << shift) - 1)).any():
            raise ObjectError(f"an access of {1 << shift} bytes is not aligned")
        return fields & ~0x003F_FC00 | low >> shift << 10

    return write


PROCESSORS: dict[int, Processor] = {
    X86_64: Processor(
        {
            1: Kind("R_X86_64_64", "symbol", 8, _absolute),
            2: Kind("R_X86_64_PC32", "symbol", 4, _relative32),
            4: Kind("R_X86_64_PLT32", "call", 4, _relative32),
            9: Kind("R_X86_64_GOTPCREL", "slot", 4, _relative32),
            24: Kind("R_X86_64_PC64", "symbol", 8, _relative),
            41: Kind("R_X86_64_GOTPCRELX", "slot", 4, _relative32),
            42: Kind("R_X86_64_REX_GOTPCRELX", "slot", 4, _relative32),
        },
        reach=1 << 31,
        jump=b"\xff\x25\x02\x00\x00\x00\xcc\xcc",  # jmp *[rip + 2]
    ),
    AARCH64: Processor(
        {
            257: Kind("R_AARCH64_ABS64", "symbol", 8, _absolute),
            260: Kind("R_AARCH64_PREL64", "symbol", 8, _relative),
            261: Kind("R_AARCH64_PREL32", "symbol", 4, _relative32),
            275: Kind("R_AARCH64_ADR_PREL_PG_HI21", "symbol", 4, _page),
            277: Kind("R_AARCH64_ADD_ABS_LO12_NC", "symbol", 4, _offset_in_page(0)),
            278: Kind("R_AARCH64_LDST8_ABS_LO12_NC", "symbol", 4, _offset_in_page(0)),
            282: Kind("R_AARCH64_JUMP26", "call", 4, _branch),
            283: Kind("R_AARCH64_CALL26", "call", 4, _branch),
            284: Kind("R_AARCH64_LDST16_ABS_LO12_NC", "symbol", 4, _offset_in_page(1)),
            285: Kind("R_AARCH64_LDST32_ABS_LO12_NC", "symbol", 4, _offset_in_page(2)),
            286: Kind("R_AARCH64_LDST64_ABS_LO12_NC", "symbol", 4, _offset_in_page(3)),
            299: Kind("R_AARCH64_LDST128_ABS_LO12_NC", "symbol", 4, _offset_in_page(4)),
            311: Kind("R_AARCH64_ADR_GOT_PAGE", "slot", 4, _page),
            312: Kind("R_AARCH64_LD64_GOT_LO12_NC", "slot", 4, _offset_in_page(3)),
        },
        reach=1 << 27,
        jump=b"\x50\x00\x00\x58\x00\x02\x1f\xd6",  # ldr x16, +8; br x16
    ),
}
