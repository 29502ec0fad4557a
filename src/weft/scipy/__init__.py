"""`weft.scipy`: SciPy's functions with the names and signatures of ``jax.scipy``.

Everything is composed from Weft's own operations, so that it can be jitted, differentiated and
batched. Submodules load when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_SUBMODULES = frozenset(
    [
        "cluster",
        "fft",
        "integrate",
        "interpolate",
        "linalg",
        "ndimage",
        "optimize",
        "signal",
        "sparse",
        "spatial",
        "special",
        "stats",
    ]
)


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"weft.scipy.{name}")
    raise AttributeError(f"module 'weft.scipy' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_SUBMODULES})
