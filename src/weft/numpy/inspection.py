"""The inspection API of the Array API standard: what the namespace offers, as data."""

from __future__ import annotations

from typing import Any

import numpy as np

from weft.core import dtypes as core_dtypes

#: Names of the dtypes of each kind of the standard.
_KINDS = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = _KINDS["signed integer"] + _KINDS["unsigned integer"]
_KINDS["numeric"] = _KINDS["integral"] + _KINDS["real floating"] + _KINDS["complex floating"]


def _check_device(name: str, device: Any) -> None:
    if device not in (None, "cpu"):
        raise ValueError(f"{name}: there is no device {device!r}; use 'cpu'")


class NamespaceInfo:
    """What `weft.numpy` can do, has and assumes; see `weft.numpy.__array_namespace_info__`."""

    def capabilities(self) -> dict[str, Any]:
        """Optional parts of the standard.

        Shapes that depend on data exist outside of `jit`, and inside it with `size=`.
        """
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": None}

    def default_device(self) -> str:
        """Where arrays are made unless a device is given."""
        return "cpu"

    def devices(self) -> tuple[str, ...]:
        """The devices that arrays can be on."""
        return ("cpu",)

    def default_dtypes(self, *, device: Any = None) -> dict[str, np.dtype]:
        """The dtypes of what is made of Python's numbers, and of indices."""
        _check_device("default_dtypes", device)
        return {
            "real floating": core_dtypes.float32,
            "complex floating": core_dtypes.complex64,
            "integral": core_dtypes.int32,
            "indexing": core_dtypes.int32,
        }

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, np.dtype]:
        """The standard's dtypes by name: all, or those of a kind or of several in a tuple.

        Kinds are "bool", "signed integer", "unsigned integer", "integral", "real floating",
        "complex floating" and "numeric". Weft's float16 and bfloat16 are not in the standard.

        >>> sorted(np.__array_namespace_info__().dtypes(kind="real floating"))
        ['float32', 'float64']
        """
        _check_device("dtypes", device)
        kinds = ("bool", "numeric") if kind is None else kind
        names: list[str] = []
        for k in kinds if isinstance(kinds, tuple) else (kinds,):
            if k not in _KINDS:
                raise ValueError(f"dtypes: {k!r} is no kind of dtypes; kinds are {[*_KINDS]}")
            names += _KINDS[k]
        return {name: np.dtype(name) for name in names}


def __array_namespace_info__() -> NamespaceInfo:
    """The inspection API: `capabilities`, `default_device`, `devices`, `default_dtypes`, `dtypes`.

    >>> np.__array_namespace_info__().default_dtypes()["integral"]
    dtype('int32')
    """
    return NamespaceInfo()
