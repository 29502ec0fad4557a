"""The machine code of `weft.runtime.fast_call`, as LLVM IR text.

Addresses of objects are symbols: they differ between processes, and the text is the key on disk.
"""

from __future__ import annotations

from collections.abc import Mapping

from weft.runtime.layout import OB_TYPE

#: The native words of an instance: the vectorcall function, then the way: the ``self`` object of
#: the builtin, and the setting it is for.
FAST_BYTES = 24
WAY_OFFSET = 24

_ARGUMENTS_OFFSET = 1 << 63


def fast_call_ir() -> str:
    """``weft_fast_call``: a vectorcall function (callable, arguments, count and flag, names)."""
    return f"""
@settings_slot = external global i64
@variable0 = external global i8
@variable1 = external global i8
@value0 = external global i8
@value1 = external global i8
@python_call = external global i8
declare ptr @weft_call(ptr, ptr, i64)
declare i32 @PyContextVar_Get(ptr, ptr, ptr)
declare ptr @PyObject_Vectorcall(ptr, ptr, i64, ptr)
declare void @Py_DecRef(ptr)
declare void @Py_IncRef(ptr)
declare i64 @PyTuple_Size(ptr)
declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)

; Has the context variable this value?
define internal i1 @is(ptr %variable, ptr %wanted) nounwind {{
entry:
  %place = alloca ptr, align 8
  store ptr null, ptr %place
  %r = call i32 @PyContextVar_Get(ptr %variable, ptr null, ptr %place)
  %value = load ptr, ptr %place
  call void @Py_DecRef(ptr %value)
  %same = icmp eq ptr %value, %wanted
  ret i1 %same
}}

define ptr @weft_fast_call(ptr %self, ptr %args, i64 %flagged, ptr %names) nounwind {{
entry:
  %n = and i64 %flagged, {_ARGUMENTS_OFFSET - 1}
  %named = icmp ne ptr %names, null
  br i1 %named, label %python, label %setting
setting:
  %way.at = getelementptr i8, ptr %self, i64 {WAY_OFFSET}
  %way = load ptr, ptr %way.at
  %setting.at = getelementptr i8, ptr %way.at, i64 8
  %wanted = load i64, ptr %setting.at
  %current = load i64, ptr @settings_slot
  %valid = icmp eq i64 %wanted, %current
  br i1 %valid, label %first, label %python
first:
  %v0 = call i1 @is(ptr @variable0, ptr @value0)
  br i1 %v0, label %second, label %python
second:
  %v1 = call i1 @is(ptr @variable1, ptr @value1)
  br i1 %v1, label %native, label %python
native:
  ; another thread may set another way meanwhile: hold on to this one
  call void @Py_IncRef(ptr %way)
  %result = call ptr @weft_call(ptr %way, ptr %args, i64 %n)
  call void @Py_DecRef(ptr %way)
  ret ptr %result
python:
  ; __call__(self, *args, **names)
  %unnamed = icmp eq ptr %names, null
  br i1 %unnamed, label %copy, label %count
count:
  %k = call i64 @PyTuple_Size(ptr %names)
  br label %copy
copy:
  %more = phi i64 [0, %python], [%k, %count]
  %all = add i64 %n, %more
  %room = add i64 %all, 1
  %whole = alloca ptr, i64 %room, align 16
  store ptr %self, ptr %whole
  %rest = getelementptr ptr, ptr %whole, i64 1
  %bytes = mul i64 %all, 8
  call void @llvm.memcpy.p0.p0.i64(ptr %rest, ptr %args, i64 %bytes, i1 false)
  %count1 = add i64 %n, 1
  %slow = call ptr @PyObject_Vectorcall(ptr @python_call, ptr %whole, i64 %count1, ptr %names)
  ret ptr %slow
}}
"""


def finalizer_ir(offsets: Mapping[str, int]) -> str:
    """``weft_finalize(buffer)``: a small block goes back to its list, else ``__del__`` is called.

    ``offsets``: of ``ptr`` and ``home`` in buffers, of ``capacity`` in free lists.
    """
    return f"""
@free_list_type = external global i8
declare void @python_finalizer(ptr)
declare void @PyErr_Clear()
declare i32 @PyList_Append(ptr, ptr)
declare i64 @PyList_Size(ptr)
declare i64 @PyLong_AsSsize_t(ptr)

define void @weft_finalize(ptr %self) nounwind {{
entry:
  %home.at = getelementptr i8, ptr %self, i64 {offsets["home"]}
  %home = load ptr, ptr %home.at
  %unfinished = icmp eq ptr %home, null
  br i1 %unfinished, label %python, label %look
look:
  %type.at = getelementptr i8, ptr %home, i64 {OB_TYPE}
  %type = load ptr, ptr %type.at
  %small = icmp eq ptr %type, @free_list_type
  br i1 %small, label %room, label %python
room:
  %n = call i64 @PyList_Size(ptr %home)
  %capacity.at = getelementptr i8, ptr %home, i64 {offsets["capacity"]}
  %number = load ptr, ptr %capacity.at
  %capacity = call i64 @PyLong_AsSsize_t(ptr %number)
  %fits = icmp slt i64 %n, %capacity
  br i1 %fits, label %append, label %python
append:
  %ptr.at = getelementptr i8, ptr %self, i64 {offsets["ptr"]}
  %block = load ptr, ptr %ptr.at
  %status = call i32 @PyList_Append(ptr %home, ptr %block)
  %failed = icmp ne i32 %status, 0
  br i1 %failed, label %lost, label %out
lost:
  ; no memory for a longer list: the block is lost, as there is nobody to tell
  call void @PyErr_Clear()
  br label %out
python:
  call void @python_finalizer(ptr %self)
  br label %out
out:
  ret void
}}
"""
