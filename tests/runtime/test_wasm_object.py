"""LLVM's WebAssembly objects, and the modules that are made of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weft.runtime.elf import ObjectError
from weft.runtime.native import compile_module
from weft.runtime.processors import wasm
from weft.runtime.wasm_object import WasmObject, _Reader, _signed, unsigned

TEXT = """
@table = internal constant [3 x i32] [i32 7, i32 8, i32 9], align 16
@pointer = internal global ptr getelementptr (i32, ptr @table, i64 2), align 8
@counter = external global i32
declare i32 @host(ptr)
define i32 @third(i64 %n) {
  %p = getelementptr i32, ptr @table, i64 %n
  %a = load i32, ptr %p
  %c = load i32, ptr @counter
  %q = load ptr, ptr @pointer
  %b = load i32, ptr %q
  %h = call i32 @host(ptr %q)
  %ab = add i32 %a, %b
  %abc = add i32 %ab, %c
  %abch = add i32 %abc, %h
  ret i32 %abch
}
"""


@pytest.fixture(scope="module")
def code() -> bytes:
    return compile_module(TEXT, wasm())


def test_what_an_object_says(code: bytes) -> None:
    read = WasmObject(code)
    assert [s.name for s in read.undefined()] == ["counter", "host"]
    assert read.data_bytes >= 16 and {"third", "table", "pointer"} <= {s.name for s in read.symbols}


def test_addresses_are_those_of_the_data(code: bytes) -> None:
    near = WasmObject(code).module(1024, ["third"], {"counter": 64})
    assert near.startswith(b"\0asm\1\0\0\0") and b"third" in near and b"counter" not in near
    third = (1024 + 8).to_bytes(4, "little")  # what `pointer` starts with
    assert third in near
    far = WasmObject(code).module((1 << 31) + 1024, ["third"], {"counter": 64})
    assert ((1 << 31) + 1032).to_bytes(4, "little") in far and len(far) == len(near)


def test_a_module_runs_where_its_data_are(code: bytes) -> None:
    wasmtime = pytest.importorskip("wasmtime")
    store = wasmtime.Store()
    for base in (1024, 64 << 10):
        module = wasmtime.Module(
            store.engine, WasmObject(code).module(base, ["third"], {"counter": 64})
        )
        memory = wasmtime.Memory(store, wasmtime.MemoryType(wasmtime.Limits(2, None)))
        memory.write(store, (1000).to_bytes(4, "little"), 64)
        word = wasmtime.ValType.i32()
        host = wasmtime.Func(store, wasmtime.FuncType([word], [word]), lambda place: place)
        known = {"__linear_memory": memory, "host": host}
        known["__stack_pointer"] = wasmtime.Global(
            store, wasmtime.GlobalType(word, True), wasmtime.Val.i32(1 << 10)
        )
        instance = wasmtime.Instance(store, module, [known[i.name] for i in module.imports])
        assert instance.exports(store)["third"](store, 1) == 8 + 9 + 1000 + base + 8


def test_what_is_missing_is_named(code: bytes) -> None:
    with pytest.raises(ObjectError, match="needs the address of 'counter'"):
        WasmObject(code).module(1024, ["third"])
    with pytest.raises(ObjectError, match="does not define 'fourth'"):
        WasmObject(code).module(1024, ["fourth"], {"counter": 64})


def test_damaged_objects_are_refused(code: bytes) -> None:
    with pytest.raises(ObjectError, match="not a WebAssembly object"):
        WasmObject(b"\x7fELF" + code[4:])
    for end in range(9, len(code) - 1, 7):
        try:
            WasmObject(code[:end])
        except ObjectError as error:
            assert "ends too early" in str(error)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_damage_goes_beyond_an_object_error(code: bytes, data: st.DataObject) -> None:
    damaged = bytearray(code)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(8, len(code) - 1))] = data.draw(st.integers(0, 255))
    try:
        read = WasmObject(bytes(damaged))
        module = read.module(1024, ["third"], {s.name: 64 for s in read.undefined()})
    except ObjectError:
        return
    assert len(module) < 2 * len(code) and all(
        s.place is None or s.place >= 0 for s in read.symbols
    )


@given(st.integers(0, 2**32 - 1))
def test_numbers_are_read_as_they_were_written(value: int) -> None:
    assert _Reader(unsigned(value)).unsigned() == _Reader(unsigned(value, 5)).unsigned() == value
    signed = value - (1 << 31)
    assert _Reader(_signed(signed, 5)).signed() == signed
