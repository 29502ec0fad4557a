"""Arrays that are given back when a block of code ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar

from weft import tree
from weft.array.value import is_array

T = TypeVar("T")


@contextmanager
def scoped() -> Iterator[Callable[[T], T]]:
    """A function that says which arrays end with a ``with``, on the CPU and on every device.

    It takes an array or a container of arrays and returns it. When the block ends, also by an
    error, they are deleted as by `Array.delete`: their memory goes back, and a later use is an
    error that names the array and the line. What was computed from them stays. Traced values have
    no memory of their own and are left alone.

    >>> with weft.scoped() as own:
    ...     x = own(np.ones(3))
    ...     total = (x * 2).sum()
    >>> float(total), x.is_deleted()
    (6.0, True)
    """
    with ExitStack() as ending:

        def own(x: T) -> T:
            for leaf in tree.leaves(x):
                if is_array(leaf):
                    ending.callback(leaf.invalidate, "deleted at the end of weft.scoped()")
            return x

        yield own
