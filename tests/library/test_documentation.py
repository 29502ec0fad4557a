"""Every public function says what it does and shows it: an example, which `.ci/run` runs."""

from __future__ import annotations

import importlib
import inspect
import types
from collections.abc import Iterator
from typing import Any

import weft

_TEXT = """
    weft weft.numpy weft.numpy.linalg weft.numpy.fft weft.lax weft.lax.linalg weft.nn
    weft.nn.initializers weft.random weft.optim weft.lazy weft.image weft.ops weft.tree
    weft.tree_util weft.scipy.special weft.scipy.linalg weft.scipy.fft weft.scipy.signal
    weft.scipy.ndimage weft.scipy.integrate weft.scipy.cluster.vq weft.scipy.optimize
    weft.scipy.interpolate weft.scipy.stats weft.scipy.sparse.linalg weft.flatten_util
    weft.dlpack weft.debug weft.test_util weft.nn.losses weft.ad_checkpoint weft.custom_batching
    weft.custom_derivatives weft.dtypes weft.tiles weft.numpy.lib.stride_tricks
    weft.scipy.spatial.transform
"""
NAMESPACES = _TEXT.split()


def public_functions() -> Iterator[tuple[str, Any]]:
    """The functions that namespaces offer, under the first name that each has."""
    seen: set[int] = set()
    for namespace in NAMESPACES:
        module = importlib.import_module(namespace)
        for name in getattr(module, "__all__", None) or dir(module):
            value = getattr(module, name)
            home = getattr(value, "__module__", None) or ""
            foreign = isinstance(value, type | types.ModuleType) or not home.startswith("weft")
            imported = not hasattr(module, "__all__") and home != namespace
            if foreign or imported or name.startswith("_") or not callable(value):
                continue
            if id(value) not in seen and not name.endswith("_p"):
                seen.add(id(value))
                yield f"{namespace}.{name}", value


def test_every_function_says_what_it_does() -> None:
    found = dict(public_functions())
    assert len(found) > 850
    assert [name for name, function in found.items() if not inspect.getdoc(function)] == []


def test_methods_of_arrays_and_distributions_say_what_they_do() -> None:
    stats = importlib.import_module("weft.scipy.stats")
    offered = {"Array": weft.Array, **{n: getattr(stats, n) for n in stats.__all__}}
    silent = [
        f"{name}.{method}"
        for name, value in offered.items()
        for method in dir(value)
        if not method.startswith("_")
        and inspect.isroutine(getattr(value, method))
        and not inspect.getdoc(getattr(value, method))
    ]
    assert silent == []


def test_functions_show_an_example() -> None:
    missing = {name for name, f in public_functions() if ">>>" not in (inspect.getdoc(f) or "")}
    assert missing == set(), "public functions without an example"
