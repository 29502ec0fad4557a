"""The functions by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from importlib import import_module

from weft.codegen.vecmath.vec import Vec


class Functions(Mapping[str, Callable[..., str]]):
    """Functions by name, from modules of this package that are imported when they are needed."""

    def __init__(self, **modules: str) -> None:
        self._module = {name: module for module, names in modules.items() for name in names.split()}

    def __getitem__(self, name: str) -> Callable[..., str]:
        module = self._module[name]
        if module == "vec":
            return getattr(Vec, name)
        found = import_module(f"weft.codegen.vecmath.{module}")
        return getattr(found, "pow_" if name == "pow" else name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._module)

    def __len__(self) -> int:
        return len(self._module)


_UNARY = {
    "exponential": "exp exp2 expm1 logistic",
    "logarithm": "log log1p log2 log10",
    "trigonometric": "sin cos tan",
    "inverse_trigonometric": "asin acos atan",
    "hyperbolic": "sinh cosh tanh asinh acosh atanh",
    "error_function": "erf erfc erf_inv",
    "power": "cbrt rsqrt",
    "vec": "sqrt abs neg",
    "rounding": "floor ceil trunc round_even round_away sign",
}
_BINARY = {
    "power": "pow",
    "inverse_trigonometric": "atan2",
    "rounding": "nextafter",
    "remainder": "rem",
}

#: Functions that take a `Vec` and one name, or two.
UNARY = Functions(**_UNARY)
BINARY = Functions(**_BINARY)
FUNCTIONS = Functions(**{m: f"{_UNARY.get(m, '')} {_BINARY.get(m, '')}" for m in _UNARY | _BINARY})
