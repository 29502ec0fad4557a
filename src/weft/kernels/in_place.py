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
    return Sharing(kernel).may_share(output, source)


class Sharing:
    """What may lie in one place in a kernel, which is read once for all pairs."""

    def __init__(self, kernel: Kernel) -> None:
        self.accesses = _accesses(kernel)
        self.threads = any(loop.kind == "parallel" for loop in loops(kernel.body))

    def may_share(self, output: Buffer, source: Buffer) -> bool:
        """Whether ``output`` may lie in the memory of the input ``source``."""
        if not _alike(output, source):
            return False
        loads = self.accesses.get(source, [])
        stores = self.accesses.get(output, [])
        if any(not a.writes for a, _, _ in stores):
            return False
        if self.threads and not all(_by_one_thread(access) for access, _, _ in loads):
            return False
        return all(_safe(load, store) for load in loads for store in stores)


def _alike(output: Buffer, source: Buffer) -> bool:
    alike = (output.shape, output.dtype, output.element_strides) == (
        source.shape,
        source.dtype,
        source.element_strides,
    )
    return alike and output.role == "output" and source.role == "input"


def _by_one_thread(access: Access) -> bool:
    return any(loop.kind == "parallel" for loop in access.loops)


def _accesses(kernel: Kernel) -> dict[Buffer, list[_Found]]:
    """Accesses of each buffer."""
    found: dict[Buffer, list[_Found]] = {}
    stack: list[tuple[list[Stmt], tuple[For, ...]]] = [(kernel.body, ())]
    while stack:
        body, around = stack.pop()
        for n, stmt in enumerate(body):
            if isinstance(stmt, For):
                stack.append((stmt.body, (*around, stmt)))
            elif isinstance(stmt, Load | Store):
                found.setdefault(stmt.buffer, []).append((Access(stmt, around), body, n))
    return found


def _safe(load: _Found, store: _Found) -> bool:
    (a, body, at), (b, other, after) = load, store
    together = body is other and at < after and a.index == b.index
    return (together and all(apart(a, b, loop) for loop in a.loops)) or disjoint(a, b)
