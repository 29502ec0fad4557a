"""The linker: object code into memory of this process, ready to run.

LLVM makes objects; this puts them in place without it, so that a process that finds its programs on
disk never loads LLVM. An image is three segments of whole pages: code (and stubs that jump to
functions too far away for a call), constants (and the table of addresses), and variables. It is
written first and then protected, so that nothing is ever both writable and executable.

`lay_out` and `Layout.fill` work on any array of bytes and any address; `link` uses fresh pages.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from weft.runtime.elf import AARCH64, EXECUTE, WRITE, X86_64, Object, ObjectError, Symbol, parse
from weft.runtime.relocations import PROCESSORS, Processor

_PAGE = mmap.PAGESIZE
#: What may be done to a section -> to the pages it lies in.
_SEGMENTS = {
    EXECUTE: mmap.PROT_READ | mmap.PROT_EXEC,
    0: mmap.PROT_READ,
    WRITE: mmap.PROT_READ | mmap.PROT_WRITE,
}
_STUB_BYTES, _SLOT_BYTES = 16, 8
#: Larger images are damaged objects: sizes must not ask for memory that is not there.
_MAX_BYTES = 1 << 30


class LinkError(RuntimeError):
    """Object code that cannot be linked: a bug in a code generator, never in a user's program."""


# ---- layout -------------------------------------------------------------------------------


class Layout:
    """Where everything of an object lies, in bytes from the start of its image.

    ``segments`` are (start, end, protection); ``sections``, ``stubs`` and ``slots`` are starts, of
    a section or for a symbol by its index.
    """

    def __init__(self, code: Object, processor: Processor) -> None:
        self.object = code
        self.processor = processor
        self.nbytes = 0
        self.segments: list[tuple[int, int, int]] = []
        self.sections: dict[int, int] = {}
        self.stubs: dict[int, int] = {}
        self.slots: dict[int, int] = {}

    def undefined(self) -> set[str]:
        """The names that `fill` needs addresses of."""
        symbols = self.object.symbols
        used = {s for table in self.object.relocations for s in table.symbol.tolist()}
        return {symbols[s].name for s in used if symbols[s].section is None}

    def defined(self, base: int) -> dict[str, int]:
        """The addresses of what the object defines, by name, in an image at ``base``."""
        symbols = self.object.symbols.values()
        return {s.name: self._address(s, base, {}) for s in symbols if s.section is not None}

    def fill(self, memory: np.ndarray, base: int, addresses: Mapping[str, int]) -> None:
        """Writes the image that is to lie at ``base``; ``memory`` is its bytes, zeros until now.

        Raises `ObjectError` where code cannot reach what it uses.
        """
        for index, start in self.sections.items():
            data = self.object.sections[index].data
            memory[start : start + len(data)] = data
        own = {n: self._address(s, base, addresses) for n, s in self.object.symbols.items()}
        for index, start in self.slots.items():
            _put(memory, start, own[index])
        for index, start in self.stubs.items():
            memory[start : start + 8] = np.frombuffer(self.processor.jump, np.uint8)
            _put(memory, start + 8, own[index])
        reach = self.processor.reach - self.nbytes
        meaning = {
            "symbol": own,
            "slot": {n: base + start for n, start in self.slots.items()},
            "call": own
            | {n: base + at for n, at in self.stubs.items() if abs(own[n] - base) >= reach},
        }
        for table in self.object.relocations:
            for number in table.kinds():
                kind = self.processor.kinds[number]
                chosen = table.kind == number
                offsets = table.offset[chosen] + self.sections[table.section]
                address_of = meaning[kind.via]
                symbols = [address_of[s] for s in table.symbol[chosen].tolist()]
                targets = np.array(symbols, np.int64) + table.addend[chosen]
                cells = offsets[:, None] + np.arange(kind.nbytes)
                word = f"<i{kind.nbytes}"
                fields = memory[cells].view(word)[:, 0].astype(np.int64)
                try:
                    written = kind.write(fields, base + offsets, targets)
                except ObjectError as error:
                    raise ObjectError(f"{kind.name}: {error}") from None
                memory[cells] = written.astype(word)[:, None].view(np.uint8)

    def _address(self, symbol: Symbol, base: int, addresses: Mapping[str, int]) -> int:
        if symbol.section is None:
            return addresses.get(symbol.name, 0)  # 0: declared, but not used
        return base + self.sections[symbol.section] + symbol.value


def _put(memory: np.ndarray, start: int, address: int) -> None:
    memory[start : start + 8] = np.frombuffer(address.to_bytes(8, "little"), np.uint8)


def lay_out(code: Object) -> Layout:
    """Gives everything its place.

    Raises `ObjectError` for an unknown processor or kind of relocation, and for sections that no
    page can hold.
    """
    if code.machine not in PROCESSORS:
        raise ObjectError(f"it is for an unknown processor (ELF machine {code.machine})")
    layout = Layout(code, PROCESSORS[code.machine])
    called, indirect = _uses(layout)
    at = 0
    for access, protection in _SEGMENTS.items():
        start = at
        for index, section in code.sections.items():
            if section.flags & (WRITE | EXECUTE) == access:
                layout.sections[index] = at = _round_up(at, section.alignment)
                at += section.nbytes
        if access == EXECUTE:
            at = _give_places(layout.stubs, called, at, _STUB_BYTES)
        elif access == 0:
            at = _give_places(layout.slots, indirect, at, _SLOT_BYTES)
        if at > start:
            at = _round_up(at, _PAGE)
            layout.segments.append((start, at, protection))
    layout.nbytes = at
    for index, section in code.sections.items():
        if index not in layout.sections:
            raise ObjectError(f"its section {section.name} is both writable and executable")
        if section.alignment > _PAGE:
            raise ObjectError(f"its section {section.name} has the alignment {section.alignment}")
    if at > _MAX_BYTES:
        raise ObjectError(f"it claims {at} bytes")
    return layout


def _uses(layout: Layout) -> tuple[list[int], list[int]]:
    """The undefined symbols that are called, and those that are used through a slot."""
    called: set[int] = set()
    indirect: set[int] = set()
    symbols = layout.object.symbols
    for table in layout.object.relocations:
        section = layout.object.sections[table.section]
        for number in table.kinds():
            kind = layout.processor.kinds.get(number)
            if kind is None:
                raise ObjectError(f"its section {section.name} has relocations of kind {number}")
            chosen = table.kind == number
            if (table.offset[chosen] > len(section.data) - kind.nbytes).any():
                raise ObjectError(f"a relocation lies outside of its section {section.name}")
            used = table.symbol[chosen].tolist()
            if kind.via == "call":
                called.update(s for s in used if symbols[s].section is None)
            elif kind.via == "slot":
                indirect.update(used)
    return sorted(called), sorted(indirect)


def _give_places(places: dict[int, int], symbols: list[int], at: int, size: int) -> int:
    """Gives each symbol a place of ``size`` bytes; where the next thing can lie."""
    if symbols:
        at = _round_up(at, size)
    for symbol in symbols:
        places[symbol] = at
        at += size
    return at


def _round_up(at: int, alignment: int) -> int:
    return -(-at // alignment) * alignment


# ---- memory -------------------------------------------------------------------------------

_process = ctypes.CDLL(None, use_errno=True)
_mmap, _munmap, _mprotect = _process.mmap, _process.munmap, _process.mprotect
_mmap.restype = ctypes.c_void_p
_mmap.argtypes = [
    *(ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long)
]
_munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
_mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
_MAP_FAILED = ctypes.c_void_p(-1).value

_MACHINES = {"x86_64": X86_64, "amd64": X86_64, "aarch64": AARCH64, "arm64": AARCH64}


class Library:
    """Linked machine code. Its addresses are valid while the Library is alive, and no longer."""

    __slots__ = ("_addresses", "_base", "_nbytes", "_parts")

    def __init__(self, base: int, nbytes: int):
        self._base = base
        self._nbytes = nbytes
        self._addresses: dict[str, int] = {}
        self._parts: list[Library] = []  # whose code this one's calls

    def address(self, name: str) -> int:
        """The address of an exported function or variable; `KeyError` if it was not exported."""
        return self._addresses[name]

    # Finalisers run in the middle of anything, and when the module's own names are gone.
    def __del__(self, _munmap: Any = _munmap) -> None:
        _munmap(self._base, self._nbytes)


def link(
    objects: bytes | Sequence[bytes],
    exports: Iterable[str],
    imports: Mapping[str, int] | None = None,
) -> Library:
    """Load object code: an object, or several of which each uses what those before it define.

    ``exports`` are the symbols to look up in the last, ``imports`` maps undefined symbols to
    addresses; symbols of the process (libc, libm) resolve by themselves.

    Raises `LinkError` that names what is missing or not understood.

    >>> from weft.runtime.native import compile_module
    >>> code = compile_module("define i32 @one() { ret i32 1 }")
    >>> library = link(code, ["one"])
    >>> ctypes.CFUNCTYPE(ctypes.c_int32)(library.address("one"))()
    1
    """
    known = dict(imports or {})
    parts = []
    *before, last = [objects] if isinstance(objects, bytes) else objects
    for code in before:
        part, defined = _linked(code, known)
        parts.append(part)
        known |= defined
    library, defined = _linked(last, known)
    missing = [name for name in exports if name not in defined]
    if missing:
        raise LinkError(f"cannot link generated code: it does not define {', '.join(missing)}")
    library._addresses = {name: defined[name] for name in exports}
    library._parts = parts
    return library


def _linked(code: bytes, imports: Mapping[str, int]) -> tuple[Library, dict[str, int]]:
    """One object in memory, and the addresses of what it defines."""
    try:
        layout = lay_out(parse(code))
        if layout.object.machine != _MACHINES.get(platform.machine().lower()):
            raise ObjectError("it is for another processor")
        addresses = _addresses(layout.undefined(), imports)
        library = _pages(max(1, layout.nbytes))
        base = library._base
        layout.fill(_view(base, layout.nbytes), base, addresses)
    except ObjectError as error:
        raise LinkError(f"cannot link generated code: {error}") from None
    for start, end, protection in layout.segments:
        if protection == _SEGMENTS[EXECUTE]:
            _show_instructions(base + start, base + end)
        if _mprotect(base + start, end - start, protection):
            reason = os.strerror(ctypes.get_errno())
            raise LinkError(f"the system does not let generated code run: {reason}")
    return library, layout.defined(base)


def _pages(nbytes: int) -> Library:
    """A library of zeros that can be written."""
    base = _mmap(None, nbytes, _SEGMENTS[WRITE], mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
    if base == _MAP_FAILED:
        raise MemoryError(f"no room for {nbytes} bytes of machine code")
    return Library(base, nbytes)


def _view(base: int, nbytes: int) -> np.ndarray:
    memory: Any = (ctypes.c_uint8 * nbytes).from_address(base)
    return np.frombuffer(memory, np.uint8)


def _addresses(names: set[str], imports: Mapping[str, int]) -> dict[str, int]:
    addresses = {}
    for name in sorted(names):
        address = imports.get(name)
        addresses[name] = _process_address(name) if address is None else address
    return addresses


@functools.cache
def _process_address(name: str) -> int:
    """The address of a function of libc, libm or what else is loaded for all to see."""
    try:
        address = ctypes.cast(_process[name], ctypes.c_void_p).value
    except AttributeError:
        address = None
    if not address:
        raise ObjectError(f"it needs {name!r}, which neither the runtime nor the process has")
    return address


def _show_instructions(start: int, end: int) -> None:
    """Makes what was written as data visible to instruction fetches, where they do not look."""
    if platform.machine().lower() in ("aarch64", "arm64"):
        _clear_cache()(ctypes.c_void_p(start), ctypes.c_void_p(end))


@functools.cache
def _clear_cache() -> Any:
    try:
        return ctypes.CDLL("libgcc_s.so.1")["__clear_cache"]
    except (OSError, AttributeError) as error:
        raise LinkError(f"generated code needs __clear_cache of libgcc_s.so.1: {error}") from None


def keep_forever(library: Library) -> None:
    """Never unload `library`: threads may run its code, or the system call it, until the end."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
