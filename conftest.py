"""Names that every documented example may use, as if it began with the usual imports."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(autouse=True)
def _usual_imports(request: pytest.FixtureRequest) -> None:
    if isinstance(request.node, pytest.DoctestItem):
        import weft
        import weft.numpy
        from weft import lax

        names: dict[str, Any] = request.getfixturevalue("doctest_namespace")
        names.update(weft=weft, np=weft.numpy, lax=lax)
