"""The error of arrays on several devices in one operation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


class MixedDevicesError(ValueError):
    """Two arguments, given with their places, are on different devices; a jitted function adds
    their names."""

    def __init__(self, first: tuple[int, Any], second: tuple[int, Any]) -> None:
        super().__init__(_message(first[1], second[1], ""))
        self.first, self.second = first, second

    def concerns(self, arguments: Sequence[Any]) -> bool:
        """Whether the two are among these arguments, and not those of a callback inside."""
        places = (self.first, self.second)
        return all(n < len(arguments) and arguments[n] is array for n, array in places)

    def name(self, names: Sequence[str], function: str) -> None:
        """Says what the arguments are called where the user wrote them."""
        (n, a), (m, b) = self.first, self.second
        self.args = (_message(a, b, f" ({names[n]} and {names[m]}, arguments of {function})"),)


def _message(a: Any, b: Any, who: str) -> str:
    return (
        f"{a.aval} on {a.device} and {b.aval} on {b.device}{who} cannot be arguments of one "
        f"operation: move one of them, x.to({a.device!r})"
    )
