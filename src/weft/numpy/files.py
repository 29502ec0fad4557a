"""Arrays from files, buffers and text, and into files, in NumPy's formats.

Reading and writing are effects outside of what can be traced: values are needed, and given. NumPy
does the work, Weft takes the data in its own dtypes, 64-bit ones included.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from weft.array import Array
from weft.core import dtypes
from weft.core.trace import Tracer
from weft.numpy._common import DType, Value
from weft.numpy.creation import asarray


def _known(name: str, x: Any) -> Any:
    """NumPy's view of an array; an error for traced values, other data as they are."""
    if isinstance(x, Tracer):
        return x.numpy_value(f"weft.numpy.{name}")
    return x.numpy_view() if type(x) is Array else x


class Archive(Mapping[str, Value]):
    """What `load` gives for an archive: arrays by name, read when they are asked for.

    Close it with `close`, or use it in a `with` statement.
    """

    def __init__(self, file: Any):
        self._file = file
        self.files: list[str] = file.files

    def __getitem__(self, name: str) -> Value:
        return asarray(_restored(self._file[name]))

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def load(file: Any, *args: Any, **kwargs: Any) -> Any:
    """The array of a file written by `save`, or the arrays of an archive of `savez`, by name.

    Arguments are those of `numpy.load`.

    >>> import io
    >>> buffer = io.BytesIO()
    >>> np.save(buffer, np.arange(3))
    >>> np.load(io.BytesIO(buffer.getvalue()))
    Array([0, 1, 2], dtype=int32)
    """
    found = np.load(file, *args, **kwargs)
    if isinstance(found, np.ndarray):
        return asarray(_restored(found))
    return Archive(found)


def _restored(data: np.ndarray) -> np.ndarray:
    """bfloat16, which NumPy's format only knows as two bytes."""
    import ml_dtypes

    return data.view(ml_dtypes.bfloat16) if data.dtype == np.dtype("V2") else data


def save(file: Any, arr: Any, allow_pickle: bool = True) -> None:
    """Writes an array to a file in NumPy's format (.npy).

    >>> import io
    >>> file = io.BytesIO()
    >>> np.save(file, np.arange(3))
    >>> _ = file.seek(0)
    >>> np.load(file)
    Array([0, 1, 2], dtype=int32)
    """
    np.save(file, _known("save", asarray(arr)), allow_pickle=allow_pickle)


def savez(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """Writes arrays to one archive (.npz): those with a name under it, others as arr_0, arr_1, …

    >>> import io
    >>> buffer = io.BytesIO()
    >>> np.savez(buffer, np.arange(2), weights=np.ones(1))
    >>> sorted(np.load(io.BytesIO(buffer.getvalue())))
    ['arr_0', 'weights']
    """
    named = {key: _known("savez", asarray(x)) for key, x in kwds.items()}
    np.savez(file, *(_known("savez", asarray(x)) for x in args), allow_pickle=allow_pickle, **named)


def savez_compressed(file: Any, *args: Any, allow_pickle: bool = True, **kwds: Any) -> None:
    """As `savez`, compressed.

    >>> import io
    >>> file = io.BytesIO()
    >>> np.savez_compressed(file, x=np.arange(3))
    >>> _ = file.seek(0)
    >>> np.load(file)["x"]
    Array([0, 1, 2], dtype=int32)
    """
    name = "savez_compressed"
    named = {key: _known(name, asarray(x)) for key, x in kwds.items()}
    given = (_known(name, asarray(x)) for x in args)
    np.savez_compressed(file, *given, allow_pickle=allow_pickle, **named)


def loadtxt(fname: Any, dtype: DType = float, **options: Any) -> Any:
    """The numbers of a text file, a row in each line, as `dtype` (float32 by default).

    Further arguments are those of `numpy.loadtxt`; `unpack` gives the columns.

    >>> np.loadtxt(["1 2", "3 4"])
    Array([[1., 2.],
           [3., 4.]], dtype=float32)
    """
    found = np.loadtxt(fname, dtype=dtypes.canonical_dtype(dtype), **options)
    return [asarray(x) for x in found] if isinstance(found, list) else asarray(found)


def savetxt(fname: Any, X: Any, *args: Any, **options: Any) -> None:
    """Writes a vector or a matrix to a text file, a row in each line.

    Further arguments are those of `numpy.savetxt`.

    >>> import io
    >>> text = io.StringIO()
    >>> np.savetxt(text, np.arange(3), fmt="%d", newline=" ")
    >>> text.getvalue()
    '0 1 2 '
    """
    np.savetxt(fname, _known("savetxt", asarray(X)), *args, **options)


# ---------------------------------------------------------------- other data


def frombuffer(buffer: Any, dtype: DType = float, count: int = -1, offset: int = 0) -> Value:
    """The elements that lie in a buffer (`bytes`, `bytearray`, a memory map, …), copied.

    The first `count` of them after `offset` bytes; the dtype is float32 by default.

    >>> np.frombuffer(bytes([1, 0, 2, 0]), np.int16)
    Array([1, 2], dtype=int16)
    """
    return asarray(np.frombuffer(buffer, dtypes.canonical_dtype(dtype), count, offset))


def fromfile(
    file: Any, dtype: DType = float, count: int = -1, sep: str = "", offset: int = 0
) -> Value:
    """The elements in a binary file (`sep=""`), or numbers in a text file with that separator.

    The dtype is float32 by default; arguments are those of `numpy.fromfile`.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     _ = file.write(bytes([0, 0, 128, 63])), file.flush()
    ...     np.fromfile(file.name)
    ...
    Array([1.], dtype=float32)
    """
    return asarray(np.fromfile(file, dtypes.canonical_dtype(dtype), count, sep, offset=offset))


def fromiter(iter: Iterable[Any], dtype: DType, count: int = -1) -> Value:
    """The numbers that an iterable gives (`count` of them), as a vector.

    >>> np.fromiter((k * k for k in range(4)), int)
    Array([0, 1, 4, 9], dtype=int32)
    """
    return asarray(np.fromiter(iter, dtypes.canonical_dtype(dtype), count))


def fromstring(string: str, dtype: DType = float, count: int = -1, *, sep: str) -> Value:
    """The numbers in a text with that separator, as a vector of float32 by default.

    >>> np.fromstring("1, 2", sep=",")
    Array([1., 2.], dtype=float32)
    """
    return asarray(np.fromstring(string, dtypes.canonical_dtype(dtype), count, sep=sep))
