"""Using values that are in registers instead of loading them again."""

from __future__ import annotations

from dataclasses import replace

from weft.kernels.ir import Buffer, For, Guard, Kernel, Load, Stmt, Store, Var, walk
from weft.kernels.schedule.tree import rename, without_dead_code
from weft.terms.affine import Affine

_Place = tuple[Buffer, tuple[Affine, ...], tuple[Guard, ...]]


def forward(kernel: Kernel) -> Kernel:
    """Replace loads of what the same body has loaded or stored before::

        x = load a[i]; store s[t] = x; …; y = load a[i]; z = load s[t]; f(y, z)
        →
        x = load a[i]; …; f(x, x)

    Scratch that nobody reads any more goes.  Values pass from one statement to a later one of the
    same body, unless something between them writes the buffer.
    """
    same: dict[Var, Var] = {}
    kernel = rename(kernel.evolve(body=_Forwarding(same).body(kernel.body)), same)
    read = {s.buffer for s in walk(kernel.body) if isinstance(s, Load)}
    unread = {b for b in kernel.scratch if b not in read}
    body = _without_stores(kernel.body, unread)
    scratch = tuple(b for b in kernel.scratch if b in read)
    return without_dead_code(kernel.evolve(body=body, scratch=scratch))


class _Forwarding:
    """Walks bodies; ``same`` maps the results of dropped loads to the values used instead."""

    def __init__(self, same: dict[Var, Var]) -> None:
        self.same = same

    def body(self, body: list[Stmt]) -> list[Stmt]:
        known: dict[_Place, Var] = {}
        out: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, For):
                written = {s.buffer for s in walk(stmt.body) if isinstance(s, Store)}
                known = {k: v for k, v in known.items() if k[0] not in written}
                stmt = replace(stmt, body=self.body(stmt.body))
            elif isinstance(stmt, Load):
                place = (stmt.buffer, stmt.index, stmt.guards)
                value = known.setdefault(place, stmt.out)
                if value is not stmt.out and set(value.axes) == set(stmt.out.axes):
                    self.same[stmt.out] = value
                    continue
            elif isinstance(stmt, Store):
                known = {k: v for k, v in known.items() if k[0] is not stmt.buffer}
                if not stmt.guards and stmt.predicate is None:
                    value = self.same.get(stmt.value, stmt.value)
                    known[stmt.buffer, stmt.index, ()] = value
            out.append(stmt)
        return out


def _without_stores(body: list[Stmt], buffers: set[Buffer]) -> list[Stmt]:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, For):
            out.append(replace(stmt, body=_without_stores(stmt.body, buffers)))
        elif not (isinstance(stmt, Store) and stmt.buffer in buffers):
            out.append(stmt)
    return out
