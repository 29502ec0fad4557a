"""Programs outside `jit`, found by structure: one compiled program serves a class of shapes.

A program that has been met with the very same shapes is found by `weft.array.delayed`.  A new one
comes here: if its class of shapes (`weft.core.shape_classes`) has a program already, that one is
bound to the new sizes and nothing is compiled.  Programs without a class are compiled for their
exact shapes; `counts` says how many were, and why.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from typing import TYPE_CHECKING

from weft.config import config
from weft.core.bounded import BoundedCache
from weft.core.jaxpr import ClosedJaxpr
from weft.core.shape_classes import NoClassError, ShapeClass, shape_class
from weft.structs import struct

if TYPE_CHECKING:
    from weft.compile import OpenProgram
    from weft.executable import Executable

CACHE_LIMIT = 512


@struct
class Counts:
    """What became of new programs since Weft was imported.

    ``compiled`` programs were the first of their class, ``bound`` ones use the program of another;
    ``exact`` ones were compiled for their exact shapes, for the reasons given.
    """

    compiled: int = 0
    bound: int = 0
    exact: Counter[str] = field(default_factory=Counter)


counts = Counts()
_families: BoundedCache[OpenProgram | NoClassError] = BoundedCache(CACHE_LIMIT)


def executable(closed: ClosedJaxpr) -> Executable:
    """The native program for ``closed``; with constants, it has no class."""
    from weft.stored import executable_for

    if closed.consts:
        return executable_for(closed)
    try:
        instance = shape_class(closed)
        before = counts.compiled
        key = (config.compiled_for, instance.key)
        found = _families.get(key, lambda: _compiled(instance))
        if isinstance(found, NoClassError):
            raise found
        if counts.compiled == before:
            counts.bound += 1
        return found.at(instance)
    except NoClassError as why:
        counts.exact[str(why)] += 1
    return executable_for(closed)


def at_hand(closed: ClosedJaxpr) -> Executable | None:
    """The program for ``closed`` where nothing has to be compiled for it; None otherwise."""
    from weft.stored import load

    if not closed.consts:
        try:
            instance = shape_class(closed)
            found = _families.found((config.compiled_for, instance.key))
            if not isinstance(found, NoClassError):
                return None if found is None else found.at(instance)
        except NoClassError:
            pass  # then it may have been compiled for its exact shapes
    return load(closed)


def _compiled(instance: ShapeClass) -> OpenProgram | NoClassError:
    """The program of a new class; where there is none, the reason, which is remembered."""
    from weft.compile import compile_family

    try:
        family = compile_family(instance.family())
    except NoClassError as why:
        return why
    counts.compiled += 1
    return family
