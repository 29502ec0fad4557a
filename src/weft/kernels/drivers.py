"""Drivers: states that others of the same stage follow, and what stands for them meanwhile.

A driver may start from an infinity, like a maximum, that bodies cannot be computed with (-inf minus
itself is no number).  Until it leaves that, everything seen so far is the same infinity, and 0
stands for the driver: bodies then are what they are with any number, the exponential of -inf 0.
"""

from __future__ import annotations

import numpy as np

from weft.core import dtypes
from weft.kernels.streams import Stream, fold_of
from weft.terms.build import const, op, select
from weft.terms.cascade import Change, Factor
from weft.terms.region import Def
from weft.terms.term import Const, Term, Value


def changed(old: Term, change: Change, by: Term) -> Term:
    """A state after its drivers have moved."""
    return op("mul" if isinstance(change, Factor) else "add", old, by)


def identity_of(driver: Def) -> Const:
    """What a fold starts from."""
    fold = fold_of(driver.term)
    return const(fold.monoid.identity([b.dtype for b in fold.bodies])[0], fold.bodies[0].dtype)


def safe(stream: Stream, value: Value) -> bool:
    """Whether a driver starts from an infinity, which 0 stands for until it leaves it."""
    start = identity_of(stream.definition[value]).value
    return dtypes.is_floating(np.asarray(start).dtype) and not np.isfinite(start)


def guarded(stream: Stream, driver: Def, now: Term) -> Term:
    """``now``, or 0 where a driver is still at an infinite identity."""
    if not safe(stream, driver.value):
        return now
    start = identity_of(driver)
    return select(op("eq", now, start), const(0, now.dtype), now)
