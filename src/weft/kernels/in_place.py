"""When a kernel may write a result over one of its inputs.

That is so when every element is read before it is written by the same iteration, at the same place,
and by no one else: each load of the input stands before a store to the output with the same index
in the same body, and different iterations (and different statements) touch different elements.
What stands outside the parallel loops of a kernel that has some is executed by every thread: one
may then write what another has yet to read.
"""

from __future__ import annotations

from weft.kernels.accesses import Access
from weft.kernels.ir import Buffer, For, Kernel, Load, Stmt, Store, loops
from weft.kernels.races import apart, disjoint

#: An access, the body it stands in and its position there.
_Found = tuple[Access, list[Stmt], int]


def may_share(kernel: Kernel, output: Buffer, source: Buffer) -> bool:
    """Whether ``output`` may lie in the memory of the input ``source``."""
    alike = (output.shape, output.dtype, output.element_strides) == (
        source.shape,
        source.dtype,
        source.element_strides,
    )
    if not alike or output.role != "output" or source.role != "input":
        return False
    loads = _accesses(kernel, source)
    stores = _accesses(kernel, output)
    if any(not a.writes for a, _, _ in stores):
        return False
    threads = any(loop.kind == "parallel" for loop in loops(kernel.body))
    if threads and not all(_by_one_thread(access) for access, _, _ in loads):
        return False
    return all(_safe(load, store) for load in loads for store in stores)


def _by_one_thread(access: Access) -> bool:
    return any(loop.kind == "parallel" for loop in access.loops)


def _accesses(kernel: Kernel, buffer: Buffer) -> list[_Found]:
    """Accesses of a buffer."""
    found: list[_Found] = []
    stack: list[tuple[list[Stmt], tuple[For, ...]]] = [(kernel.body, ())]
    while stack:
        body, around = stack.pop()
        for n, stmt in enumerate(body):
            if isinstance(stmt, For):
                stack.append((stmt.body, (*around, stmt)))
            elif isinstance(stmt, Load | Store) and stmt.buffer is buffer:
                found.append((Access(stmt, around), body, n))
    return found


def _safe(load: _Found, store: _Found) -> bool:
    (a, body, at), (b, other, after) = load, store
    together = body is other and at < after and a.index == b.index
    return (together and all(apart(a, b, loop) for loop in a.loops)) or disjoint(a, b)
