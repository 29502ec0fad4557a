"""Programs outside `jit`, found by structure: one compiled program serves a class of shapes.

A program that has been met with the very same shapes is found by `weft.array.delayed`.  A new one
comes here: if its class of shapes (`weft.core.shape_classes`) has a program already, that one is
bound to the new sizes and nothing is compiled.  Programs without a class are compiled for their
exact shapes; `counts` says how many were, and why.

What runs once is done sooner by a *draft*: machine code that takes LLVM a third of the time to make
and gives the same bits, but keeps its values in memory.  Light programs may have one at first.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import field
from math import prod
from typing import TYPE_CHECKING

from weft.config import config
from weft.core.bounded import BoundedCache
from weft.core.jaxpr import ClosedJaxpr, Eqn, subjaxprs
from weft.core.shape_classes import NoClassError, ShapeClass, shape_class
from weft.structs import struct

if TYPE_CHECKING:
    from weft.compile import OpenProgram
    from weft.executable import Executable

CACHE_LIMIT = 512
#: Elements of the arrays of a light program.
LIGHT_SIZE = 1 << 12
#: The product of the sizes of what is contracted and of the result, the square of the steps.
LIGHT_PRODUCT = 1 << 30


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


def executable(closed: ClosedJaxpr, *, draft: bool = False) -> Executable:
    """The native program for ``closed``, or a ``draft`` of it; with constants, it has no class."""
    before = counts.compiled
    found, why = _found(closed, draft)
    if why is not None:
        counts.exact[why] += 1
    elif not closed.consts and counts.compiled == before:
        counts.bound += 1
    return found


def finished(closed: ClosedJaxpr) -> Executable:
    """The final program for ``closed``, of which there is a draft."""
    return _found(closed, draft=False)[0]


def _found(closed: ClosedJaxpr, draft: bool) -> tuple[Executable, str | None]:
    """The program of the class of ``closed``; or that of its shapes alone, and why."""
    from weft.stored import executable_for

    why = None
    if not closed.consts:
        try:
            instance = shape_class(closed)
            key = (config.compiled_for, instance.key)
            found = _families.get(key, lambda: _compiled(instance, draft))
            if isinstance(found, NoClassError):
                raise found
            if not draft:
                found.finish()
            return found.at(instance), None
        except NoClassError as error:
            why = str(error)
    return executable_for(closed, hasty=True, draft=draft and is_light(closed)), why


def is_light(closed: ClosedJaxpr) -> bool:
    """Whether the time of a program is that of calling it, even if it is a draft.

    So it has no loops, its arrays are small, and its products take few steps.
    """
    return all(_is_light(eqn) for eqn in closed.jaxpr.eqns)


def _is_light(eqn: Eqn) -> bool:
    if any(True for _ in subjaxprs(eqn.params)):
        return False
    sizes = [v.aval.size for v in (*eqn.invars, *eqn.outvars)]
    contracts = eqn.primitive.name in ("dot_general", "convolution")
    return max(sizes, default=0) <= LIGHT_SIZE and not (contracts and prod(sizes) > LIGHT_PRODUCT)


def at_hand(closed: ClosedJaxpr) -> Executable | None:
    """The final program for ``closed`` where nothing has to be compiled for it; None otherwise."""
    from weft.stored import load

    if not closed.consts:
        try:
            instance = shape_class(closed)
            found = _families.found((config.compiled_for, instance.key))
            if not isinstance(found, NoClassError):
                return None if found is None or found.stats.draft else found.at(instance)
        except NoClassError:
            pass  # then it may have been compiled for its exact shapes
    return load(closed)


def _compiled(instance: ShapeClass, draft: bool) -> OpenProgram | NoClassError:
    """The program of a new class; where there is none, the reason, which is remembered."""
    from weft.compile import compile_family

    try:
        family = compile_family(instance.family(), draft=draft)
    except NoClassError as why:
        return why
    counts.compiled += 1
    return family
