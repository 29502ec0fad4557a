"""WebAssembly: LLVM's relocatable objects to modules that can be instantiated.

An object is nearly a module: it imports its memory, its stack pointer and what it does not define.
It lacks exports, and believes that its data begin at address 0. `WasmObject.module` adds the ones
and moves the others; the places that hold addresses are in sections ``reloc.*``, names in the
section ``linking`` (WebAssembly's tool conventions, ``Linking.md``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

from weft.runtime.elf import ObjectError

ItemT = TypeVar("ItemT")

_MAGIC = b"\0asm\1\0\0\0"
# Sections that matter here; the others are copied.
_CUSTOM, _IMPORT, _EXPORT, _START, _ELEMENT, _CODE, _DATA = 0, 2, 7, 8, 9, 10, 11
# Where a section goes that the order of numbers does not tell: the number of data segments.
_DATA_COUNT = 12
_SYMBOL_TABLE = 8
# Kinds and flags of symbols.
_FUNCTION, _DATUM, _GLOBAL, _SECTION, _TABLE = 0, 1, 2, 3, 5
_UNDEFINED, _EXPLICIT_NAME = 0x10, 0x40
# Relocations: addresses as LEB128 (unsigned, signed) and as four bytes.
_ADDRESS_LEB, _ADDRESS_SLEB, _ADDRESS_I32 = 3, 4, 5
#: Those whose places already hold what a module of one object needs: indices of functions, types,
#: globals and tables, and positions in a table.
_RIGHT = frozenset({0, 1, 2, 6, 7, 20})
_FUNCTION_EXPORT = 0
#: Alignment of an object's data, at most.
ALIGNMENT = 64
#: A memory is so many pages of so many bytes, at most.
PAGE = MAX_PAGES = 1 << 16
#: How memory is laid out: where programs look whether they were interrupted, and from where on
#: everything else is.
INTERRUPTS, FIRST = 64, 1024


class Symbol(NamedTuple):
    """A name: of the function numbered ``place``, or of that address of data; None if undefined."""

    name: str
    kind: int
    place: int | None


class _Relocation(NamedTuple):
    kind: int
    offset: int
    symbol: int
    addend: int


class _Reader:
    """A cursor over bytes, which raises `ObjectError` at their end."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 0

    def __bool__(self) -> bool:
        return self.at < len(self.data)

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise ObjectError("a WebAssembly object ends too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def byte(self) -> int:
        return self.take(1)[0]

    def unsigned(self) -> int:
        return self._leb128()[0]

    def signed(self) -> int:
        value, bits = self._leb128()
        return value - (1 << bits) if value >> (bits - 1) else value

    def _leb128(self) -> tuple[int, int]:
        """A number, and how many bits it was written in."""
        value = bits = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << bits
            bits += 7
            if byte < 0x80:
                return value, bits

    def blob(self) -> bytes:
        return self.take(self.unsigned())

    def name(self) -> str:
        try:
            return self.blob().decode()
        except UnicodeDecodeError as why:
            raise ObjectError("a name in a WebAssembly object is no text") from why


def _item(items: Sequence[ItemT], index: int, what: str) -> ItemT:
    """``items[index]``, for an index that an object gives."""
    if index >= len(items):
        raise ObjectError(f"a WebAssembly object mentions {what} {index} of {len(items)}")
    return items[index]


def unsigned(value: int, width: int = 1) -> bytes:
    """LEB128, in at least ``width`` bytes."""
    out = bytearray()
    while value >= 0x80 or len(out) + 1 < width:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _signed(value: int, width: int) -> bytes:
    out = bytearray()
    for n in range(width):
        out.append(value & 0x7F | (0x80 if n + 1 < width else 0))
        value >>= 7
    return bytes(out)


def _string(text: str) -> bytes:
    data = text.encode()
    return unsigned(len(data)) + data


class WasmObject:
    """An object, read. ``data_bytes`` is the memory that its constants and variables need."""

    def __init__(self, data: bytes) -> None:
        if data[:8] != _MAGIC:
            raise ObjectError("not a WebAssembly object")
        reader = _Reader(data)
        reader.take(8)
        self._sections: list[tuple[int, bytes]] = []
        self._relocations: dict[int, list[_Relocation]] = {}
        self._segments: list[tuple[int, bytes]] = []
        self.symbols: list[Symbol] = []
        numbered: list[tuple[int, int]] = []  # the number and the length of each section
        custom: list[tuple[str, _Reader]] = []
        while reader:
            number, body = reader.byte(), reader.blob()
            numbered.append((number, len(body)))
            if number == _CUSTOM:
                inside = _Reader(body)
                custom.append((inside.name(), inside))
            else:
                self._sections.append((number, body))
                if number == _DATA:
                    self._read_segments(_Reader(body))
        for name, inside in custom:
            if name == "linking":
                self._read_linking(inside)
        for name, inside in custom:
            if name.startswith("reloc."):
                self._read_relocations(inside, numbered)

    @property
    def data_bytes(self) -> int:
        """Bytes of memory from the start of the first segment to the end of the last."""
        return max((start + len(data) for start, data in self._segments), default=0)

    def undefined(self) -> list[Symbol]:
        """Functions and data that somebody else has to define."""
        return [s for s in self.symbols if s.place is None and s.kind in (_FUNCTION, _DATUM)]

    # -- reading -----------------------------------------------------------------------------------

    def _read_segments(self, reader: _Reader) -> None:
        for _ in range(reader.unsigned()):
            flags, opcode = reader.unsigned(), reader.byte()
            if flags != 0 or opcode != 0x41:  # memory 0, i32.const
                raise ObjectError("a data segment of a WebAssembly object has no constant address")
            start, end = reader.signed(), reader.byte()
            if start < 0 or end != 0x0B:
                raise ObjectError("a data segment of a WebAssembly object has no constant address")
            self._segments.append((start, reader.blob()))

    def _read_linking(self, reader: _Reader) -> None:
        if reader.unsigned() != 2:
            raise ObjectError("a WebAssembly object of another version of the conventions")
        while reader:
            kind, body = reader.byte(), _Reader(reader.blob())
            if kind == _SYMBOL_TABLE:
                self.symbols = [self._read_symbol(body) for _ in range(body.unsigned())]

    def _read_symbol(self, reader: _Reader) -> Symbol:
        kind, flags = reader.byte(), reader.unsigned()
        defined = not flags & _UNDEFINED
        if kind == _DATUM:
            name = reader.name()
            if not defined:
                return Symbol(name, kind, None)
            segment, offset, size = reader.unsigned(), reader.unsigned(), reader.unsigned()
            start, data = _item(self._segments, segment, "data segment")
            if offset + size > len(data):
                raise ObjectError(f"{name!r} of a WebAssembly object is not within its segment")
            return Symbol(name, kind, start + offset)
        index = reader.unsigned()
        if kind == _SECTION:
            return Symbol("", kind, index)
        if not defined and not flags & _EXPLICIT_NAME:
            return Symbol(_item(self._imported(kind), index, "import"), kind, None)
        return Symbol(reader.name(), kind, index if defined else None)

    def _imported(self, kind: int) -> list[str]:
        """Names of imports in the index space of a kind of symbols."""
        which = {_FUNCTION: 0, _TABLE: 1, _GLOBAL: 3}.get(kind)
        if which is None:
            raise ObjectError(f"a WebAssembly object has a symbol of the kind {kind}")
        body = next((body for number, body in self._sections if number == _IMPORT), b"\0")
        return [item.name for item in _imports(body) if item.kind == which]

    def _read_relocations(self, reader: _Reader, numbered: Sequence[tuple[int, int]]) -> None:
        number, length = _item(numbered, reader.unsigned(), "section")
        found = self._relocations.setdefault(number, [])
        for _ in range(reader.unsigned()):
            kind, offset, symbol = reader.byte(), reader.unsigned(), reader.unsigned()
            moves = kind in (_ADDRESS_LEB, _ADDRESS_SLEB, _ADDRESS_I32)
            if not moves and kind not in _RIGHT and number != _CUSTOM:
                raise ObjectError(f"a WebAssembly object has a relocation of the kind {kind}")
            if moves and number != _CUSTOM:
                if _item(self.symbols, symbol, "symbol").kind != _DATUM:
                    raise ObjectError("a WebAssembly object has an address of what is no data")
                if offset + (4 if kind == _ADDRESS_I32 else 5) > length:
                    raise ObjectError("a WebAssembly object has an address beyond a section")
            found.append(_Relocation(kind, offset, symbol, reader.signed() if moves else 0))

    # -- writing -----------------------------------------------------------------------------------

    def module(
        self,
        base: int,
        exports: Sequence[str],
        addresses: Mapping[str, int] | None = None,
        shared: bool = False,
        extra: Mapping[int, bytes] | None = None,
    ) -> bytes:
        """A module whose data begin at ``base`` (a multiple of `ALIGNMENT`) of its memory.

        It imports ``env.__linear_memory`` (of up to `MAX_PAGES`, for several threads if
        ``shared``), ``env.__stack_pointer``, a table if it has pointers to functions, and functions
        that it does not define; ``addresses`` are those of data that it does not define, ``extra``
        further data by address. Raises `ObjectError` for what is neither defined nor among them.
        """
        known, further = addresses or {}, extra or {}

        def address(symbol: Symbol) -> int:
            if symbol.place is not None:
                return base + symbol.place
            if symbol.name not in known:
                raise ObjectError(f"a WebAssembly object needs the address of {symbol.name!r}")
            return known[symbol.name]

        out = bytearray(_MAGIC)
        export = self._export_section(exports)
        for number, body in self._sections:
            # Exports come before what starts, and the elements of tables.
            if export and number in (_START, _ELEMENT, _DATA_COUNT, _CODE, _DATA):
                out += _section(_EXPORT, export)
                export = b""
            fixed = self._relocated(number, body, address)
            if number == _DATA:
                fixed = self._data_section(fixed, base, further)
            elif number == _DATA_COUNT:
                fixed = unsigned(len(self._segments) + len(further))
            elif number == _IMPORT and shared:
                fixed = _with_shared_memory(fixed)
            out += _section(number, fixed)
        if further and not self._segments:
            out += _section(_DATA, self._data_section(b"\0", base, further))
        return bytes(out)

    def _export_section(self, exports: Sequence[str]) -> bytes:
        functions = {s.name: s.place for s in self.symbols if s.kind == _FUNCTION}
        entries = bytearray(unsigned(len(exports)))
        for name in exports:
            index = functions.get(name)
            if index is None:
                raise ObjectError(f"a WebAssembly object does not define {name!r}")
            entries += _string(name) + bytes([_FUNCTION_EXPORT]) + unsigned(index)
        return bytes(entries)

    def _relocated(self, number: int, body: bytes, address: Callable[[Symbol], int]) -> bytes:
        fixed = bytearray(body)
        for relocation in self._relocations.get(number, ()):
            if relocation.kind in _RIGHT:
                continue
            value = address(self.symbols[relocation.symbol]) + relocation.addend
            if relocation.kind == _ADDRESS_I32:
                encoded = (value & 0xFFFFFFFF).to_bytes(4, "little")
            elif relocation.kind == _ADDRESS_LEB:
                encoded = unsigned(value, 5)
            else:  # of 32 bits, so that addresses from 2 GB on are negative
                encoded = _signed(value - (1 << 32) if value >= 1 << 31 else value, 5)
            fixed[relocation.offset : relocation.offset + len(encoded)] = encoded
        return bytes(fixed)

    def _data_section(self, body: bytes, base: int, extra: Mapping[int, bytes]) -> bytes:
        """The segments, relocated and elsewhere, and further ones."""
        reader = _Reader(body)
        segments = []
        for start, _ in self._segments[: reader.unsigned()]:
            reader.unsigned(), reader.byte(), reader.signed(), reader.byte()
            segments.append((base + start, reader.blob()))
        out = bytearray(unsigned(len(segments) + len(extra)))
        for place, data in (*segments, *extra.items()):
            constant = _signed(place - (1 << 32) if place >= 1 << 31 else place, 5)
            out += b"\0\x41" + constant + b"\x0b" + unsigned(len(data)) + data
        return bytes(out)


class _Import(NamedTuple):
    """``kind`` is 0 for a function, 1 for a table, 2 for memory, 3 for a global."""

    module: str
    name: str
    kind: int
    description: bytes


def _imports(body: bytes) -> list[_Import]:
    reader, found = _Reader(body), []
    for _ in range(reader.unsigned()):
        module, name, kind = reader.name(), reader.name(), reader.byte()
        start = reader.at
        if kind == 0:
            reader.unsigned()
        elif kind == 3:
            reader.take(2)
        else:
            reader.take(kind == 1)
            flags = reader.unsigned()
            reader.unsigned()
            if flags & 1:
                reader.unsigned()
        found.append(_Import(module, name, kind, body[start : reader.at]))
    return found


def _with_shared_memory(body: bytes) -> bytes:
    """Imports with a memory that is shared, which has to say how much it may grow."""
    items = _imports(body)
    out = bytearray(unsigned(len(items)))
    limits = b"\3" + unsigned(1) + unsigned(MAX_PAGES)
    for item in items:
        out += _string(item.module) + _string(item.name) + bytes([item.kind])
        out += limits if item.kind == 2 else item.description
    return bytes(out)


def _section(number: int, body: bytes) -> bytes:
    return bytes([number]) + unsigned(len(body)) + body
