"""DLPack: sharing the memory of arrays with other libraries, without a copy.

NumPy makes and reads the capsules, so their destructors are C code that any thread may run at any
time. NumPy has no bfloat16; its bits travel as unsigned integers, and the type's code is changed
in the capsule.

The protocol: https://dmlc.github.io/dlpack/latest/ and the Array API standard.
"""

from __future__ import annotations

import ctypes
from typing import Any

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
BITS = np.dtype(np.uint16)

#: `DLDeviceType` and number of the CPU.
CPU = (1, 0)

# Of `DLDataTypeCode`.
_UINT_CODE, _BFLOAT_CODE = 1, 4

#: Before 2.1, NumPy made and read only capsules without a version, which cannot be read-only.
_NUMPY_HAS_VERSIONS = np.lib.NumpyVersion(np.__version__) >= "2.1.0"


class _DataType(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16)]


class _Tensor(ctypes.Structure):
    """`DLTensor`."""

    _fields_ = [
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("byte_offset", ctypes.c_uint64),
    ]


class _VersionedTensor(ctypes.Structure):
    """`DLManagedTensorVersioned`; the older `DLManagedTensor` begins with its `DLTensor`."""

    _fields_ = [
        ("major", ctypes.c_uint32),
        ("minor", ctypes.c_uint32),
        ("manager_ctx", ctypes.c_void_p),
        ("deleter", ctypes.c_void_p),
        ("flags", ctypes.c_uint64),
        ("tensor", _Tensor),
    ]


_pointer_in = ctypes.pythonapi.PyCapsule_GetPointer
_pointer_in.restype = ctypes.c_void_p
_pointer_in.argtypes = [ctypes.py_object, ctypes.c_char_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype = ctypes.c_int
_is_valid.argtypes = [ctypes.py_object, ctypes.c_char_p]


def _data_type(capsule: Any) -> _DataType:
    """The type of the elements in a capsule that nobody has consumed yet."""
    name = b"dltensor_versioned"
    if _is_valid(capsule, name):
        return _VersionedTensor.from_address(_pointer_in(capsule, name)).tensor.dtype
    return _Tensor.from_address(_pointer_in(capsule, b"dltensor")).dtype


def export_capsule(
    view: np.ndarray,
    stream: Any,
    max_version: tuple[int, int] | None,
    dl_device: tuple[Any, int] | None,
    copy: bool | None,
) -> Any:
    """A capsule of the read-only `view`, as `__dlpack__` returns it.

    Read-only memory goes to consumers of version 1 or later, which are told that it is; others get
    a copy.
    """
    if stream is not None:
        raise ValueError(f"__dlpack__: stream must be None for an array on the CPU, got {stream!r}")
    if dl_device is not None and (int(dl_device[0]), int(dl_device[1])) != CPU:
        raise BufferError(
            f"__dlpack__: this array is on the CPU, DLPack device {CPU}, and cannot be exported to "
            f"device {tuple(map(int, dl_device))}"
        )
    bits = view.view(BITS) if view.dtype == BFLOAT16 else view
    if max_version is not None and max_version[0] >= 1 and _NUMPY_HAS_VERSIONS:
        capsule = bits.__dlpack__(max_version=max_version, copy=copy)
    elif copy is False:
        raise BufferError(
            "__dlpack__: this array is read-only, which only capsules of version 1 can say; "
            "give max_version=(1, 0) or later, or allow a copy"
        )
    else:
        capsule = bits.copy().__dlpack__()
    if bits is not view:
        _data_type(capsule).code = _BFLOAT_CODE
    return capsule


class _Readable:
    """An array of another library, to NumPy, which reads bfloat16 as unsigned integers."""

    def __init__(self, array: Any):
        self.array = array
        self.is_bfloat16 = False

    def __dlpack__(self, **options: Any) -> Any:
        capsule = self.array.__dlpack__(**options)
        dtype = _data_type(capsule)
        if dtype.code == _BFLOAT_CODE and dtype.bits == 16:
            self.is_bfloat16 = True
            dtype.code = _UINT_CODE
        return capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


def import_array(array: Any) -> np.ndarray:
    """A NumPy array over the memory of another library's array, strided as that is.

    BufferError or RuntimeError, of that library or NumPy, if it cannot be shared with the CPU.
    """
    readable = _Readable(array)
    data = np.from_dlpack(readable)
    return data.view(BFLOAT16) if readable.is_bfloat16 else data
