"""The linker: what it loads runs as LLVM's own linker has it run; what is damaged is refused."""

from __future__ import annotations

import ctypes
import functools
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.runtime import elf, linker, native
from weft.runtime.elf import AARCH64, ObjectError
from weft.runtime.linker import LinkError, lay_out, link
from weft.runtime.processors import aarch64

#: Constants and variables of several alignments, an address among the variables, a jump table,
#: a function of its own and two of others, and a variable of others.
MIXED = """
declare ptr @memcpy(ptr, ptr, i64)
declare i64 @twice(i64)
@outside = external global i64
@primes = internal constant [4 x i32] [i32 2, i32 3, i32 5, i32 7]
@lanes = internal constant <4 x float> <float 1.0, float 2.0, float 4.0, float 8.0>
@count = internal global i32 5, align 64
@empty = internal global [100 x i8] zeroinitializer, align 16
@place = internal global ptr @count
@shown = global i64 17

define i32 @pick(i32 %n) noinline nounwind {
  switch i32 %n, label %other [
    i32 0, label %a
    i32 1, label %b
    i32 2, label %c
    i32 3, label %d
    i32 4, label %e
  ]
a: ret i32 11
b: ret i32 22
c: ret i32 7
d: ret i32 91
e: ret i32 55
other: ret i32 -1
}

; out = [primes[n], ++count, pick(n), empty[7], lane 2 of lanes * n, *outside]
define i64 @mixed(ptr %out, i32 %n, ptr %float) {
  %prime.at = getelementptr i32, ptr @primes, i32 %n
  call ptr @memcpy(ptr %out, ptr %prime.at, i64 4)
  %count.at = load ptr, ptr @place
  %count = load i32, ptr %count.at
  %count1 = add i32 %count, 1
  store i32 %count1, ptr @count
  %out1 = getelementptr i32, ptr %out, i32 1
  store i32 %count1, ptr %out1
  %picked = call i32 @pick(i32 %n)
  %out2 = getelementptr i32, ptr %out, i32 2
  store i32 %picked, ptr %out2
  %zero.at = getelementptr i8, ptr @empty, i64 7
  %zero = load i8, ptr %zero.at
  %zero32 = zext i8 %zero to i32
  %out3 = getelementptr i32, ptr %out, i32 3
  store i32 %zero32, ptr %out3
  %lanes = load <4 x float>, ptr @lanes
  %x = load <4 x float>, ptr %float
  %products = fmul <4 x float> %lanes, %x
  store <4 x float> %products, ptr %float
  %far = load i64, ptr @outside
  %result = call i64 @twice(i64 %far)
  ret i64 %result
}
"""


@functools.cache
def compiled(machine: str = "host") -> bytes:
    return native.compile_module(MIXED, aarch64() if machine == "aarch64" else None, verify=True)


@functools.cache
def imports() -> tuple[Mapping[str, int], list[object]]:
    word = ctypes.c_int64(21)
    twice = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(lambda x: 2 * x)
    address = ctypes.cast(twice, ctypes.c_void_p).value
    assert address is not None
    return {"outside": ctypes.addressof(word), "twice": address}, [word, twice]


# ---- what is loaded runs ------------------------------------------------------------------


def outcome(address: int) -> tuple[list[int], list[float], int]:
    """What `mixed` does."""
    out = (ctypes.c_int32 * 4)()
    lanes = np.arange(1, 5, dtype=np.float32)
    mixed = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)
    result = mixed(address)(ctypes.addressof(out), 2, lanes.ctypes.data)
    return list(out), lanes.tolist(), result


def test_every_kind_of_reference_works():
    library = link(compiled(), ["mixed", "shown"], imports()[0])
    assert outcome(library.address("mixed")) == ([5, 6, 7, 0], [1, 4, 12, 32], 42)
    assert outcome(library.address("mixed"))[0][1] == 7  # a variable keeps its value
    assert ctypes.c_int64.from_address(library.address("shown")).value == 17
    # Another copy of the same code has variables of its own.
    again = link(compiled(), ["mixed"], imports()[0])
    assert outcome(again.address("mixed"))[0][1] == 6


def test_llvms_own_linker_agrees():
    import llvmlite.binding as llvm

    host, _ = imports()
    builder = llvm.JITLibraryBuilder()
    builder.add_object_img(compiled())
    builder.add_current_process()
    builder.export_symbol("mixed")
    for name, address in host.items():
        builder.import_symbol(name, address)
    theirs = builder.link(llvm.create_lljit_compiler(), "theirs")
    ours = link(compiled(), ["mixed"], host)
    for _ in range(3):
        assert outcome(ours.address("mixed")) == outcome(theirs["mixed"])


def test_objects_use_those_before_them():
    counter = """
@count = internal global i64 0
define i64 @next() {
  %n = load i64, ptr @count
  %m = add i64 %n, 1
  store i64 %m, ptr @count
  ret i64 %m
}
"""
    twice = "declare i64 @next()\ndefine i64 @twice() {\n  %a = call i64 @next()\n"
    twice += "  %b = call i64 @next()\n  %c = mul i64 %a, %b\n  ret i64 %c\n}\n"
    objects = [native.compile_module(counter), native.compile_module(twice)]
    library = link(objects, ["twice"])
    call = ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("twice"))
    assert [call(), call()] == [1 * 2, 3 * 4]
    with pytest.raises(LinkError, match="it needs 'next'"):
        link(objects[::-1], ["twice"])


def test_nothing_is_writable_and_executable():
    library = link(compiled(), ["mixed", "pick", "shown"], imports()[0])
    pages = {}
    for line in Path("/proc/self/maps").read_text().splitlines():
        bounds, rights = line.split()[:2]
        start, end = (int(x, 16) for x in bounds.split("-"))
        pages[range(start, end)] = rights
    rights = {
        name: next(r for span, r in pages.items() if library.address(name) in span)
        for name in ("mixed", "pick", "shown")
    }
    assert rights == {"mixed": "r-xp", "pick": "r-xp", "shown": "rw-p"}
    base = library._base
    mine = [r for span, r in pages.items() if base <= span.start < base + library._nbytes]
    assert "rwxp" not in mine


def test_functions_of_the_process_resolve_and_can_be_replaced():
    ir = "declare double @cos(double)\ndefine double @f(double %x) {\n"
    code = native.compile_module(ir + "  %y = call double @cos(double %x)\n  ret double %y\n}\n")
    prototype = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
    assert prototype(link(code, ["f"]).address("f"))(0.0) == 1.0
    other = prototype(lambda x: x + 7)
    address = ctypes.cast(other, ctypes.c_void_p).value
    assert address is not None
    assert prototype(link(code, ["f"], {"cos": address}).address("f"))(0.0) == 7.0


# ---- what cannot be loaded says why -------------------------------------------------------


@pytest.mark.parametrize(
    ("ir", "exports", "message"),
    [
        ("declare void @nowhere()\ndefine void @f() {\n  call void @nowhere()\n  ret void\n}\n",
         ["f"], "needs 'nowhere', which neither the runtime nor the process has"),
        ("define void @f() {\n  ret void\n}\n", ["f", "g"], "does not define g"),
        ("@x = thread_local global i32 1\ndefine ptr @f() {\n  ret ptr @x\n}\n",
         ["f"], "variables of threads"),
        ("@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] "
         "[{ i32, ptr, ptr } { i32 1, ptr @f, ptr null }]\ndefine void @f() {\n  ret void\n}\n",
         ["f"], "constructors"),
        ("@x = global i32 0, align 65536\n", ["x"], "alignment 65536"),
    ],
    ids=["symbol", "export", "thread", "constructor", "alignment"],
)  # fmt: skip
def test_errors_name_what_is_wrong(ir: str, exports: list[str], message: str):
    code = native.compile_module(ir)
    with pytest.raises(LinkError, match=f"^cannot link generated code: .*{message}"):
        link(code, exports)


def replaced(code: bytes, at: int, value: bytes) -> bytes:
    return code[:at] + value + code[at + len(value) :]


def test_objects_for_others_are_refused():
    other = compiled("aarch64") if native.architecture() == "x86_64" else b""
    if other:
        with pytest.raises(LinkError, match="another processor"):
            link(other, ["mixed"])
    with pytest.raises(LinkError, match="unknown processor \\(ELF machine 243\\)"):
        link(replaced(compiled(), 18, struct.pack("<H", 243)), ["mixed"])
    with pytest.raises(LinkError, match="not a relocatable object"):
        link(replaced(compiled(), 16, struct.pack("<H", 3)), ["mixed"])
    with pytest.raises(LinkError, match="not a 64-bit little-endian ELF file"):
        link(b"MZ" + bytes(100), ["mixed"])


def test_unknown_relocations_are_refused_by_number():
    code = elf.parse(compiled())
    kinds = code.relocations[0].kind.copy()
    kinds[0] = 200
    table = elf.Relocations(
        code.relocations[0].section,
        code.relocations[0].offset,
        kinds,
        code.relocations[0].symbol,
        code.relocations[0].addend,
    )
    changed = elf.Object(code.machine, code.sections, code.symbols, [table])
    with pytest.raises(ObjectError, match=r"section \.text has relocations of kind 200"):
        lay_out(changed)


# ---- the arithmetic -----------------------------------------------------------------------


def filled(code: bytes, base: int, addresses: Mapping[str, int]) -> tuple[linker.Layout, bytes]:
    layout = lay_out(elf.parse(code))
    memory = np.zeros(layout.nbytes, np.uint8)
    layout.fill(memory, base, addresses)
    return layout, memory.tobytes()


def word(memory: bytes, at: int, kind: str) -> int:
    return struct.unpack_from(f"<{kind}", memory, at)[0]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) & 1 else value


def meant_by_x86(layout: linker.Layout, memory: bytes, base: int, at: int, kind: int, addend: int):
    """The symbol's address that the code at ``at`` computes, following slots and stubs."""
    if kind == 1:
        return word(memory, at, "q") - addend
    target = base + at + word(memory, at, "i") - addend
    if kind in (9, 41, 42):
        return word(memory, target - base, "q")
    if kind == 4 and target - base in layout.stubs.values():
        assert memory[target - base :][:6] == b"\xff\x25\x02\0\0\0"
        return word(memory, target - base + 8, "q")
    return target


def meant_by_aarch64(
    layout: linker.Layout, memory: bytes, base: int, at: int, kind: int, addend: int
):
    """The address an instruction computes: whole for branches, a page for ADRP, else an offset."""
    if kind == 257:
        return word(memory, at, "q") - addend
    code = word(memory, at, "I")
    if kind in (282, 283):
        assert code >> 26 in (0b000101, 0b100101)  # B, BL
        target = base + at + 4 * signed(code & 0x3FFFFFF, 26) - addend
        if target - base in layout.stubs.values():
            assert memory[target - base :][:8] == bytes.fromhex("5000005800021fd6")
            return word(memory, target - base + 8, "q")
        return target
    if kind in (275, 311):
        assert code & 0x9F000000 == 0x90000000  # ADRP
        pages = signed((code >> 5 & 0x7FFFF) << 2 | code >> 29 & 3, 21)
        return ((base + at) & ~0xFFF) + (pages << 12)
    if kind == 277:
        assert code >> 23 & 0x1FF == 0b100100010  # ADD, 64 bits, unshifted
        return code >> 10 & 0xFFF
    # LDR, STR with an unsigned offset: its unit is in the size bits, and in opc for 128 bits
    assert code >> 27 & 7 == 0b111 and code >> 24 & 3 == 0b01
    scale = 4 if code >> 26 & 1 and code >> 30 == 0 and code >> 23 & 1 else code >> 30
    return (code >> 10 & 0xFFF) << scale


pages = st.integers(1 << 16, (1 << 35) - 1).map(lambda page: page << 12)


@given(base=pages, near=st.integers(-(1 << 24), 1 << 24), far=pages)
def test_every_place_means_its_symbol(base: int, near: int, far: int):
    """Decoded again, each place gives the address that the symbol has, near or far."""
    addresses = {"outside": far + 8, "twice": base + 4 * near, "memcpy": far + 64}
    for code in (compiled(), compiled("aarch64")):
        layout, memory = filled(code, base, addresses)
        for table in layout.object.relocations:
            for offset, kind, index, addend in zip(
                table.offset.tolist(), table.kind.tolist(), table.symbol.tolist(),
                table.addend.tolist(), strict=True,
            ):  # fmt: skip
                symbol = layout.object.symbols[index]
                wanted = (
                    addresses[symbol.name]
                    if symbol.section is None
                    else base + layout.sections[symbol.section] + symbol.value
                )
                at = layout.sections[table.section] + offset
                if layout.object.machine != AARCH64:
                    assert meant_by_x86(layout, memory, base, at, kind, addend) == wanted
                    continue
                found = meant_by_aarch64(layout, memory, base, at, kind, addend)
                if kind in (311, 312):  # through its slot
                    assert word(memory, layout.slots[index], "q") == wanted
                    wanted = base + layout.slots[index]
                if kind in (275, 311):
                    assert found == (wanted + addend) & ~0xFFF
                elif kind in (257, 282, 283):
                    assert found == wanted
                else:
                    assert found == (wanted + addend) & 0xFFF


def test_calls_are_direct_where_they_reach():
    base = 0x7F12_0000_0000
    for code, reach in ((compiled(), 1 << 31), (compiled("aarch64"), 1 << 27)):
        near = {"twice": base - reach // 2, "memcpy": base + reach // 2, "outside": 8}
        far = near | {"twice": base - 2 * reach}
        # The stubs hold the addresses in both cases; the calls differ.
        layout, direct = filled(code, base, near)
        _, through = filled(code, base, far)
        text = next(end for start, end, _ in layout.segments if start == 0)
        stubs = min(layout.stubs.values())
        assert stubs < text and direct[:stubs] != through[:stubs]


def test_what_cannot_be_reached_is_an_error():
    """A variable said to be near that is not: position-independent code never claims that."""
    ir = "@near = external dso_local global i32\ndefine ptr @f() {\n  ret ptr @near\n}\n"
    for cpu in (None, aarch64()):
        code = native.compile_module(ir, cpu)
        filled(code, 0x7F12_0000_0000, {"near": 0x7F12_0010_0000})
        with pytest.raises(ObjectError, match=r"R_.*: an address is too far away"):
            filled(code, 0x7F12_0000_0000, {"near": 0x1000})


# ---- damage -------------------------------------------------------------------------------


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    code = bytearray(compiled(draw(st.sampled_from(["host", "aarch64"]))))
    headers = word(bytes(code), 40, "Q")
    for _ in range(draw(st.integers(1, 4))):
        where = draw(
            st.one_of(
                st.integers(0, 63),
                st.integers(headers, len(code) - 1),
                st.integers(0, len(code) - 1),
            )
        )
        size = draw(st.sampled_from([1, 2, 4, 8]))
        values = st.one_of(st.integers(0, 255), st.integers(0, 2 ** (8 * size) - 1))
        value = draw(values) % (1 << 8 * size)
        code[where : where + size] = value.to_bytes(size, "little")
    return bytes(code[: draw(st.integers(0, len(code)))] if draw(st.booleans()) else code)


@settings(max_examples=800)
@given(damaged())
def test_damaged_objects_are_refused_or_laid_out_within_bounds(code: bytes):
    """Nothing else than `ObjectError` comes out, and nothing is written outside of the image."""
    guard = 64
    try:
        layout = lay_out(elf.parse(code))
        if layout.nbytes > 1 << 22:  # an honest object with a large variable
            return
        whole = np.full(layout.nbytes + 2 * guard, 0xA5, np.uint8)
        whole[guard:-guard] = 0
        layout.fill(whole[guard:-guard], 0x7F12_0000_0000, dict.fromkeys(layout.undefined(), 4096))
    except ObjectError:
        return
    assert (whole[:guard] == 0xA5).all() and (whole[-guard:] == 0xA5).all()
    for start, end, _ in layout.segments:
        assert 0 <= start < end <= layout.nbytes
