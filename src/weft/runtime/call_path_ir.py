"""The machine code of `weft.runtime.call_path`, as LLVM IR text, and the table it reads.

One builtin serves every program. References are counted as CPython's C code would: a function's
comment says which references it takes over or gives; failures return null with an exception set.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping

from weft.runtime.layout import OB_TYPE
from weft.runtime.pool_ir import WANTED_OFFSET


class Descriptor(ctypes.Structure):
    """All the native function knows of one program. Objects and tables are addresses.

    ``output_specs`` are triples (aval, nbytes as an int object, free list or 0), ``arena_spec`` one
    more or 0; ``initial_slots`` are pairs (offset, object).
    """

    _fields_ = [
        (name, ctypes.c_int64)
        for name in (
            *("inputs", "outputs", "constants", "initials"),
            *("array_type", "aval_offset", "buffer_offset"),
            *("in_avals", "constant_pointers", "output_specs", "arena_spec", "initial_slots"),
            *("main", "pool", "threads", "long", "single", "slow"),
        )
    ]


def _at(name: str) -> int:
    return getattr(Descriptor, name).offset


def _load(*names: str) -> str:
    """Loads descriptor fields into values of their names."""
    return "\n".join(
        f"  %{name}.at = getelementptr i8, ptr %d, i64 {_at(name)}\n"
        f"  %{name} = load i64, ptr %{name}.at"
        for name in names
    )


def call_path_ir(buffer_slots: Mapping[str, int]) -> str:
    """The module that defines ``weft_call``; ``buffer_slots`` are offsets in `Buffer` objects."""
    parts = (_check_ir(), _prepare_ir(), _run_ir(buffer_slots["ptr"]), _wrap_ir(), _entry_ir())
    return _helpers_ir(buffer_slots) + "".join(parts)


def _helpers_ir(buffer_slots: Mapping[str, int]) -> str:
    declarations = """
declare void @PyEval_RestoreThread(ptr)
declare ptr @PyEval_SaveThread()
declare ptr @PyList_GetItem(ptr, i64)
declare i32 @PyList_SetSlice(ptr, i64, i64, ptr)
declare i64 @PyList_Size(ptr)
declare ptr @PyLong_AsVoidPtr(ptr)
declare ptr @PyLong_FromLong(i64)
declare ptr @PyObject_CallFunctionObjArgs(ptr, ...)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare ptr @PyTuple_GetItem(ptr, i64)
declare ptr @PyTuple_New(i64)
declare i32 @PyTuple_SetItem(ptr, i64, ptr)
declare ptr @PyType_GenericAlloc(ptr, i64)
declare void @Py_DecRef(ptr)
declare void @Py_IncRef(ptr)
declare i32 @weft_sigint_armed()
@buffer_type = external global i8
@buffer_alloc = external global i8
@prepare_call = external global i8
@raise_status = external global i8
"""
    return f"""{declarations}
define internal void @put(ptr %object, i64 %offset, ptr %value) nounwind {{
  %slot = getelementptr i8, ptr %object, i64 %offset
  store ptr %value, ptr %slot
  ret void
}}

; Drops the references in items[0:n], the empty ones aside.
define internal void @drop(ptr %items, i64 %n) nounwind noinline {{
entry:
  br label %head
head:
  %i = phi i64 [0, %entry], [%i1, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %out
body:
  %at = getelementptr ptr, ptr %items, i64 %i
  %item = load ptr, ptr %at
  call void @Py_DecRef(ptr %item)
  %i1 = add i64 %i, 1
  br label %head
out:
  ret void
}}

; A new Buffer for a spec, from the free list if it has a block; null with an exception set.
define internal ptr @new_buffer(ptr %spec) nounwind {{
entry:
  %nbytes.at = getelementptr ptr, ptr %spec, i64 1
  %nbytes = load ptr, ptr %nbytes.at
  %list.at = getelementptr ptr, ptr %spec, i64 2
  %list = load ptr, ptr %list.at
  %large = icmp eq ptr %list, null
  br i1 %large, label %ask, label %look
look:
  %n = call i64 @PyList_Size(ptr %list)
  %some = icmp sgt i64 %n, 0
  br i1 %some, label %take, label %ask
take:
  %last = sub i64 %n, 1
  %block = call ptr @PyList_GetItem(ptr %list, i64 %last)
  call void @Py_IncRef(ptr %block)
  %r = call i32 @PyList_SetSlice(ptr %list, i64 %last, i64 %n, ptr null)
  %buffer = call ptr @PyType_GenericAlloc(ptr @buffer_type, i64 0)
  %failed = icmp eq ptr %buffer, null
  br i1 %failed, label %fail, label %fill
fill:
  call void @Py_IncRef(ptr %nbytes)
  call void @Py_IncRef(ptr %list)
  call void @put(ptr %buffer, i64 {buffer_slots["ptr"]}, ptr %block)
  call void @put(ptr %buffer, i64 {buffer_slots["nbytes"]}, ptr %nbytes)
  call void @put(ptr %buffer, i64 {buffer_slots["home"]}, ptr %list)
  ret ptr %buffer
fail:
  call void @Py_DecRef(ptr %block)
  ret ptr null
ask:
  %asked = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr @buffer_alloc, ptr %nbytes,
                                                            ptr null)
  ret ptr %asked
}}
"""


def _check_ir() -> str:
    return f"""
; Do the arguments fit? If so, held[i] is a new reference to the buffer of each.
define internal i1 @match(ptr %d, ptr %args, ptr %held) nounwind {{
entry:
{_load("inputs", "array_type", "aval_offset", "buffer_offset", "in_avals")}
  %avals = inttoptr i64 %in_avals to ptr
  br label %head
head:
  %i = phi i64 [0, %entry], [%i1, %keep]
  %more = icmp slt i64 %i, %inputs
  br i1 %more, label %body, label %yes
body:
  %at = getelementptr ptr, ptr %args, i64 %i
  %array = load ptr, ptr %at
  %type.at = getelementptr i8, ptr %array, i64 {OB_TYPE}
  %type = load i64, ptr %type.at
  %is_array = icmp eq i64 %type, %array_type
  br i1 %is_array, label %typed, label %no
typed:
  %aval.at = getelementptr i8, ptr %array, i64 %aval_offset
  %aval = load i64, ptr %aval.at
  %wanted.at = getelementptr i64, ptr %avals, i64 %i
  %wanted = load i64, ptr %wanted.at
  %fits = icmp eq i64 %aval, %wanted
  br i1 %fits, label %fit, label %no
fit:
  %buffer.at = getelementptr i8, ptr %array, i64 %buffer_offset
  %buffer = load ptr, ptr %buffer.at
  %empty = icmp eq ptr %buffer, null
  br i1 %empty, label %no, label %full
full:
  %buffer_type.at = getelementptr i8, ptr %buffer, i64 {OB_TYPE}
  %its_type = load ptr, ptr %buffer_type.at
  %is_buffer = icmp eq ptr %its_type, @buffer_type
  br i1 %is_buffer, label %keep, label %no
keep:
  call void @Py_IncRef(ptr %buffer)
  %held.at = getelementptr ptr, ptr %held, i64 %i
  store ptr %buffer, ptr %held.at
  %i1 = add i64 %i, 1
  br label %head
yes:
  ret i1 true
no:
  call void @drop(ptr %held, i64 %i)
  ret i1 false
}}
"""


def _prepare_ir() -> str:
    return f"""
; Before a long call: the pool must have the threads it had, SIGINT must reach us. False with an
; exception set.
define internal i1 @prepare(ptr %d, ptr %number) nounwind {{
entry:
{_load("long", "pool", "threads")}
  %short = icmp eq i64 %long, 0
  br i1 %short, label %yes, label %check
check:
  %block = inttoptr i64 %pool to ptr
  %wanted.at = getelementptr i8, ptr %block, i64 {WANTED_OFFSET}
  %wanted = load atomic i64, ptr %wanted.at monotonic, align 8
  %same = icmp eq i64 %wanted, %threads
  br i1 %same, label %signal, label %ask
signal:
  %armed = call i32 @weft_sigint_armed()
  %is_armed = icmp ne i32 %armed, 0
  br i1 %is_armed, label %yes, label %ask
ask:
  %none = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr @prepare_call, ptr %number,
                                                           ptr null)
  %raised = icmp eq ptr %none, null
  br i1 %raised, label %no, label %asked
asked:
  call void @Py_DecRef(ptr %none)
  br label %yes
yes:
  ret i1 true
no:
  ret i1 false
}}
"""


def _run_ir(ptr_offset: int) -> str:
    return f"""
; The address of a buffer's bytes.
define internal ptr @bytes(ptr %buffer) nounwind {{
  %at = getelementptr i8, ptr %buffer, i64 {ptr_offset}
  %number = load ptr, ptr %at
  %address = call ptr @PyLong_AsVoidPtr(ptr %number)
  ret ptr %address
}}

; Runs the program on items[0:n] (inputs, outputs); `pointers` has room for those and the constants.
define internal i32 @run(ptr %d, ptr %items, i64 %n, ptr %arena, ptr %pointers) nounwind {{
entry:
{_load("constants", "constant_pointers", "main", "pool", "long")}
  %table = inttoptr i64 %constant_pointers to ptr
  %size = mul i64 %constants, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %pointers, ptr %table, i64 %size, i1 false)
  %rest = getelementptr ptr, ptr %pointers, i64 %constants
  br label %head
head:
  %i = phi i64 [0, %entry], [%i1, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body, label %scratch
body:
  %at = getelementptr ptr, ptr %items, i64 %i
  %buffer = load ptr, ptr %at
  %address = call ptr @bytes(ptr %buffer)
  %to = getelementptr ptr, ptr %rest, i64 %i
  store ptr %address, ptr %to
  %i1 = add i64 %i, 1
  br label %head
scratch:
  %program = inttoptr i64 %main to ptr
  %block = inttoptr i64 %pool to ptr
  %no_arena = icmp eq ptr %arena, null
  br i1 %no_arena, label %go, label %with_arena
with_arena:
  %arena_bytes = call ptr @bytes(ptr %arena)
  br label %go
go:
  %memory = phi ptr [null, %scratch], [%arena_bytes, %with_arena]
  %short = icmp eq i64 %long, 0
  br i1 %short, label %hold, label %let_go
hold:
  %s0 = call i32 %program(ptr %pointers, ptr %memory, ptr %block)
  ret i32 %s0
let_go:
  %state = call ptr @PyEval_SaveThread()
  %s1 = call i32 %program(ptr %pointers, ptr %memory, ptr %block)
  call void @PyEval_RestoreThread(ptr %state)
  ret i32 %s1
}}
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)
"""


def _wrap_ir() -> str:
    return f"""
; A new array of an aval that takes over the reference to a buffer; null with an exception set.
define internal ptr @wrap(ptr %d, ptr %aval, ptr %buffer) nounwind {{
entry:
{_load("array_type", "aval_offset", "buffer_offset", "initials", "initial_slots")}
  %type = inttoptr i64 %array_type to ptr
  %array = call ptr @PyType_GenericAlloc(ptr %type, i64 0)
  %failed = icmp eq ptr %array, null
  br i1 %failed, label %fail, label %fill
fail:
  call void @Py_DecRef(ptr %buffer)
  ret ptr null
fill:
  call void @Py_IncRef(ptr %aval)
  call void @put(ptr %array, i64 %aval_offset, ptr %aval)
  call void @put(ptr %array, i64 %buffer_offset, ptr %buffer)
  %slots = inttoptr i64 %initial_slots to ptr
  br label %head
head:
  %i = phi i64 [0, %fill], [%i1, %body]
  %more = icmp slt i64 %i, %initials
  br i1 %more, label %body, label %out
body:
  %pair = getelementptr [2 x i64], ptr %slots, i64 %i
  %offset = load i64, ptr %pair
  %value.at = getelementptr i64, ptr %pair, i64 1
  %value = load ptr, ptr %value.at
  call void @Py_IncRef(ptr %value)
  call void @put(ptr %array, i64 %offset, ptr %value)
  %i1 = add i64 %i, 1
  br label %head
out:
  ret ptr %array
}}

; The tuple of results; takes over the references in buffers[0:n].
define internal ptr @wrap_all(ptr %d, ptr %specs, ptr %buffers, i64 %n) nounwind {{
entry:
  %tuple = call ptr @PyTuple_New(i64 %n)
  %failed = icmp eq ptr %tuple, null
  br i1 %failed, label %drop_rest, label %head
head:
  %i = phi i64 [0, %entry], [%i1, %body]
  %more = icmp slt i64 %i, %n
  br i1 %more, label %body.try, label %out
body.try:
  %spec = getelementptr [3 x ptr], ptr %specs, i64 %i
  %aval = load ptr, ptr %spec
  %at = getelementptr ptr, ptr %buffers, i64 %i
  %buffer = load ptr, ptr %at
  %array = call ptr @wrap(ptr %d, ptr %aval, ptr %buffer)
  %i1 = add i64 %i, 1
  %lost = icmp eq ptr %array, null
  br i1 %lost, label %drop_tuple, label %body
body:
  %r = call i32 @PyTuple_SetItem(ptr %tuple, i64 %i, ptr %array)
  br label %head
out:
  ret ptr %tuple
drop_tuple:
  call void @Py_DecRef(ptr %tuple)
  br label %drop_rest
drop_rest:
  %from = phi i64 [0, %entry], [%i1, %drop_tuple]
  %rest = getelementptr ptr, ptr %buffers, i64 %from
  %left = sub i64 %n, %from
  call void @drop(ptr %rest, i64 %left)
  ret ptr null
}}
"""


def _entry_ir() -> str:
    return f"""
define ptr @weft_call(ptr %self, ptr %args, i64 %nargs) nounwind {{
entry:
  %number = call ptr @PyTuple_GetItem(ptr %self, i64 0)
  %d = call ptr @PyLong_AsVoidPtr(ptr %number)
{_load("inputs", "outputs", "constants", "output_specs", "arena_spec", "single", "slow")}
  %n = add i64 %inputs, %outputs
  %count_fits = icmp eq i64 %nargs, %inputs
  br i1 %count_fits, label %reserve, label %otherwise
otherwise:
  %slow_path = inttoptr i64 %slow to ptr
  %fallback = call ptr @PyObject_Vectorcall(ptr %slow_path, ptr %args, i64 %nargs, ptr null)
  ret ptr %fallback
reserve:
  ; items: the buffers of inputs and outputs, then the arena
  %n_items = add i64 %n, 1
  %items = alloca ptr, i64 %n_items, align 16
  %n_pointers = add i64 %n, %constants
  %pointers = alloca ptr, i64 %n_pointers, align 16
  %matched = call i1 @match(ptr %d, ptr %args, ptr %items)
  br i1 %matched, label %matches, label %otherwise
matches:
  %ready = call i1 @prepare(ptr %d, ptr %number)
  br i1 %ready, label %allocate, label %fail
allocate:
  %specs = inttoptr i64 %output_specs to ptr
  br label %head
head:
  %i = phi i64 [0, %allocate], [%i1, %store]
  %have = add i64 %inputs, %i
  %more = icmp slt i64 %i, %outputs
  br i1 %more, label %body, label %scratch
body:
  %spec = getelementptr [3 x ptr], ptr %specs, i64 %i
  %buffer = call ptr @new_buffer(ptr %spec)
  %none = icmp eq ptr %buffer, null
  br i1 %none, label %fail, label %store
store:
  %to = getelementptr ptr, ptr %items, i64 %have
  store ptr %buffer, ptr %to
  %i1 = add i64 %i, 1
  br label %head
scratch:
  %no_arena = icmp eq i64 %arena_spec, 0
  br i1 %no_arena, label %run, label %new_arena
new_arena:
  %arena.spec = inttoptr i64 %arena_spec to ptr
  %arena_or_null = call ptr @new_buffer(ptr %arena.spec)
  %no_room = icmp eq ptr %arena_or_null, null
  br i1 %no_room, label %fail, label %run
fail:
  %held = phi i64 [%inputs, %matches], [%have, %body], [%n, %new_arena]
  call void @drop(ptr %items, i64 %held)
  ret ptr null
run:
  %arena = phi ptr [null, %scratch], [%arena_or_null, %new_arena]
  %status = call i32 @run(ptr %d, ptr %items, i64 %n, ptr %arena, ptr %pointers)
  call void @drop(ptr %items, i64 %inputs)
  br i1 %no_arena, label %judge, label %drop_arena
drop_arena:
  call void @Py_DecRef(ptr %arena)
  br label %judge
judge:
  %results = getelementptr ptr, ptr %items, i64 %inputs
  %good = icmp eq i32 %status, 0
  br i1 %good, label %deliver, label %bad
bad:
  call void @drop(ptr %results, i64 %outputs)
  %code = sext i32 %status to i64
  %code.object = call ptr @PyLong_FromLong(i64 %code)
  %raised = call ptr (ptr, ...) @PyObject_CallFunctionObjArgs(ptr @raise_status, ptr %code.object,
                                                             ptr null)
  call void @Py_DecRef(ptr %code.object)
  ret ptr %raised
deliver:
  %one = icmp ne i64 %single, 0
  br i1 %one, label %wrap_one, label %wrap_many
wrap_one:
  %aval = load ptr, ptr %specs
  %result = load ptr, ptr %results
  %array = call ptr @wrap(ptr %d, ptr %aval, ptr %result)
  ret ptr %array
wrap_many:
  %tuple = call ptr @wrap_all(ptr %d, ptr %specs, ptr %results, i64 %outputs)
  ret ptr %tuple
}}
"""
