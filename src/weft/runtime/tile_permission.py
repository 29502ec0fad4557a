"""Permission to use tile registers (AMX), which Linux gives to processes that ask for it.

The registers are large, and what saves a thread's state has to know that they may be in use. A
process asks once, for all of its threads, those to come, and its children. Where the kernel
refuses (it is older than 5.16, a container forbids the call, or a thread has too small a stack for
signals), the processor counts as one without such registers.
"""

from __future__ import annotations

import ctypes
import functools
import platform
import sys

_ARCH_PRCTL = 158  # number of the system call on x86-64
_ARCH_REQ_XCOMP_PERM = 0x1023
_TILE_DATA = 18  # the component of the extended state


@functools.cache
def tiles_allowed() -> bool:
    """Ask for tile registers; whether this process may use them now.

    False, too, where the processor has none.
    """
    if not sys.platform.startswith("linux") or platform.machine() != "x86_64":
        return False
    call = ctypes.CDLL(None).syscall
    return call(ctypes.c_long(_ARCH_PRCTL), _ARCH_REQ_XCOMP_PERM, ctypes.c_long(_TILE_DATA)) == 0
