"""Names that every documented example may use, as if it began with the usual imports."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import pytest

#: Modules that need a package which only the extra `ecosystem` brings.
collect_ignore = [] if importlib.util.find_spec("einops") else ["src/weft/einops.py"]


@pytest.fixture(autouse=True)
def _usual_imports(request: pytest.FixtureRequest) -> Iterator[None]:
    if not isinstance(request.node, pytest.DoctestItem):
        yield
        return
    import weft
    import weft.numpy
    from weft import lax

    request.getfixturevalue("doctest_namespace").update(weft=weft, np=weft.numpy, lax=lax)
    settings = {name: getattr(weft.config, name) for name in ("threads", "numerics", "dump")}
    yield
    for name, value in settings.items():
        setattr(weft.config, name, value)
