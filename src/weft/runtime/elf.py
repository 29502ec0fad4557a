"""Reading ELF relocatable objects: what `weft.runtime.linker` needs of them.

An object is a header, sections (code, constants, variables), a symbol table, and for each section a
list of *relocations*: places that need an address which only the linker knows. The format is that
of the System V ABI, in its 64-bit little-endian form.

Objects may come from a disk. Every offset, size and index is checked before it is used, so that
damaged bytes give an `ObjectError` and never a read or write outside of what is theirs.
"""

from __future__ import annotations

from struct import Struct, unpack_from
from typing import NamedTuple

import numpy as np

X86_64, AARCH64 = 62, 183

_HEADER = Struct("<IIQQQQIIQQ")
_SYMBOL = Struct("<IBBHQQ")
_RELOCATION = np.dtype([("offset", "<u8"), ("kind", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])

# Types of sections.
_SYMTAB, _STRTAB, _RELA, _NOBITS, _REL = 2, 3, 4, 8, 9
# Flags of sections.
WRITE, ALLOC, EXECUTE, _TLS = 1, 2, 4, 1 << 10
# Sections of symbols that have none.
_UNDEFINED, _ABSOLUTE = 0, 0xFFF1

#: Tables for unwinding the stack, which no exception does through generated code.
_IGNORED = (".eh_frame",)
#: Functions to call when an object is loaded or unloaded.
_CALLED = (".ctors", ".dtors", ".init_array", ".fini_array")


class ObjectError(Exception):
    """An object that is damaged, or needs what generated code never does."""


class Section(NamedTuple):
    """A run of bytes in memory; ``data`` is empty if they are zeros (variables)."""

    name: str
    flags: int
    nbytes: int
    alignment: int
    data: np.ndarray


class Symbol(NamedTuple):
    """A name for an address: ``value`` bytes into a section.

    ``section`` is None if the linker has to find it.
    """

    name: str
    section: int | None
    value: int


class Relocations(NamedTuple):
    """The places in ``section`` to be filled in, as arrays of equal length.

    ``offset`` is from the start of the section, ``symbol`` an index, ``kind`` and ``addend`` as the
    ABI of the processor defines them.
    """

    section: int
    offset: np.ndarray
    kind: np.ndarray
    symbol: np.ndarray
    addend: np.ndarray

    def kinds(self) -> list[int]:
        """Each kind once, in order."""
        return sorted(set(self.kind.tolist()))  # not numpy.unique, whose imports take longer


class Object(NamedTuple):
    """An object's parts; sections that are not loaded are left out.

    ``symbols`` holds those that relocations or callers can mean, by their index.
    """

    machine: int
    sections: dict[int, Section]
    symbols: dict[int, Symbol]
    relocations: list[Relocations]


def parse(code: bytes) -> Object:
    """The parts of an object.

    Raises `ObjectError` if the bytes are not a whole object, or it has parts of an unknown kind.
    """
    machine, headers, names = _headers(code)
    sections: dict[int, Section] = {}
    tables = []
    symbols: dict[int, Symbol] = {}
    for index, header in enumerate(headers):
        name = _name(names, header.name)
        if header.flags & ALLOC and not name.startswith(_IGNORED):
            sections[index] = _section(code, name, header)
        elif header.type == _RELA:
            tables.append(header)
        elif header.type == _REL:
            raise ObjectError(f"the relocations {name} have no addends")
    for header in headers:
        if header.type == _SYMTAB:
            symbols = _symbols(code, header, headers, sections)
    relocations = [
        _relocations(code, header, sections[header.info], symbols)
        for header in tables
        if header.info in sections
    ]
    return Object(machine, sections, symbols, relocations)


class _Header(NamedTuple):
    """The header of a section."""

    name: int
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    alignment: int
    entry_size: int


def _headers(code: bytes) -> tuple[int, list[_Header], bytes]:
    """The processor, the section headers, and the table of their names."""
    if len(code) < 64 or code[:7] != b"\x7fELF\x02\x01\x01":
        raise ObjectError("it is not a 64-bit little-endian ELF file")
    kind, machine = unpack_from("<HH", code, 16)
    if kind != 1:
        raise ObjectError("it is not a relocatable object")
    (start,) = unpack_from("<Q", code, 40)
    size, count, names_at = unpack_from("<HHH", code, 58)
    if size != _HEADER.size:
        raise ObjectError(f"its section headers have {size} bytes instead of {_HEADER.size}")
    rows = _HEADER.iter_unpack(_part(code, start, count * size, "section headers"))
    headers = [_Header(*row) for row in rows]
    if names_at >= count:
        raise ObjectError("it has no section of names")
    return machine, headers, _strings(code, headers[names_at])


def _part(code: bytes, offset: int, nbytes: int, what: str, unit: int = 1) -> bytes:
    if nbytes % unit or offset > len(code) or nbytes > len(code) - offset:
        raise ObjectError(f"its {what} are not inside the file, or not whole")
    return code[offset : offset + nbytes]


def _strings(code: bytes, header: _Header) -> bytes:
    if header.type != _STRTAB:
        raise ObjectError("its names are not in a section of strings")
    return _part(code, header.offset, header.size, "names")


def _name(strings: bytes, start: int) -> str:
    end = strings.find(b"\0", start)
    if end < 0:
        raise ObjectError("a name is not inside its table, or has no end")
    return strings[start:end].decode("utf-8", "backslashreplace")


def _section(code: bytes, name: str, header: _Header) -> Section:
    if name.startswith(_CALLED) or header.flags & _TLS:
        raise ObjectError(f"it has constructors or variables of threads ({name})")
    alignment = max(1, header.alignment)
    if alignment & (alignment - 1):
        raise ObjectError(f"its section {name} has the alignment {alignment}")
    data = b""
    if header.type != _NOBITS:
        data = _part(code, header.offset, header.size, f"bytes of section {name}")
    return Section(name, header.flags, header.size, alignment, np.frombuffer(data, np.uint8))


def _symbols(
    code: bytes, header: _Header, headers: list[_Header], sections: dict[int, Section]
) -> dict[int, Symbol]:
    if header.link >= len(headers):
        raise ObjectError("its symbols have no names")
    names = _strings(code, headers[header.link])
    table = _part(code, header.offset, header.size, "symbols", _SYMBOL.size)
    symbols = {}
    for index, (name_at, _, _, section, value, _) in enumerate(_SYMBOL.iter_unpack(table)):
        if index == 0:  # the first is no symbol
            continue
        name = _name(names, name_at)
        if section == _UNDEFINED:
            symbols[index] = Symbol(name, None, 0)
        elif section in sections:
            if value > sections[section].nbytes:
                raise ObjectError(f"the symbol {name!r} lies outside of its section")
            symbols[index] = Symbol(name, section, value)
        elif section >= len(headers) and section != _ABSOLUTE:  # the name of a file is absolute
            raise ObjectError(f"the symbol {name!r} lies in the unknown section {section:#x}")
    return symbols


def _relocations(
    code: bytes, header: _Header, section: Section, symbols: dict[int, Symbol]
) -> Relocations:
    table = _part(code, header.offset, header.size, "relocations", _RELOCATION.itemsize)
    entries = np.frombuffer(table, _RELOCATION)
    offset, symbol = entries["offset"], entries["symbol"]
    if (offset >= len(section.data)).any():  # unsigned: they must fit before they are signed
        raise ObjectError(f"a relocation lies outside of its section {section.name}")
    missing = set(symbol.tolist()) - symbols.keys()
    if missing:
        raise ObjectError(f"a relocation of {section.name} needs the symbol {missing.pop()}")
    return Relocations(
        header.info, offset.astype(np.int64), entries["kind"], symbol, entries["addend"]
    )
