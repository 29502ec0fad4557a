"""Which frame of a call is the user's."""

from __future__ import annotations

import functools
import os
from typing import Any

import optree
import pytest

from weft.core import source

WHERE = "from weft.core.source import user_source\ndef where():\n    return user_source()\n"


def defined_in(file: str) -> Any:
    names: dict[str, Any] = {}
    exec(compile(WHERE, file, "exec"), names)
    return names["where"]


@pytest.mark.parametrize("folder", ["optree", "weft", "functools"])
def test_a_folder_of_the_name_of_a_library_is_the_users(folder: str) -> None:
    file = os.path.join(os.sep, "home", folder, "program.py")
    found = defined_in(file)()
    assert found is not None and (found.file, found.line) == (file, 3)


@pytest.mark.parametrize(
    "file",
    [os.path.join(os.path.dirname(m.__file__ or ""), "x.py") for m in (optree, source)]
    + [functools.__file__, "<weft program>"],
)
def test_libraries_that_call_back_are_not_the_users(file: str) -> None:
    found = defined_in(file)()
    assert found is not None and found.file == __file__
