"""Saturation in a process of its own, for processes forked from one that uses egglog.

egglog's threads do not survive a fork: in the child no e-graph can be made or dropped any more. The
child then asks a fresh process, which it starts when it first compiles something and which ends
with it. Requests and answers are pickles on pipes; nodes go there and a `Graph` comes back, so the
kernels are those that the parent would have made.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from typing import IO

from weft.saturate.engine import MOST_ITERATIONS, MOST_NODES, Engine, Run
from weft.saturate.graph import Graph

_SERVE = "import sys; sys.path[:] = {path!r}; from weft.saturate.elsewhere import serve; serve()"


class Elsewhere:
    """What `Engine` does, done by another process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-c", _SERVE.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def saturate(
        self,
        nodes: str,
        numerics: str,
        run: Run,
        most_nodes: int = MOST_NODES,
        most_iterations: int = MOST_ITERATIONS,
    ) -> Graph:
        """See `Engine.saturate`."""
        with self._lock:
            assert self._server.stdin is not None and self._server.stdout is not None
            budgets = (most_nodes, most_iterations)
            _send(self._server.stdin, (nodes, numerics, run, *budgets))
            try:
                graph, done = pickle.load(self._server.stdout)
            except EOFError:
                raise RuntimeError(
                    "the process that optimises programs for this forked one has ended with "
                    f"status {self._server.wait()}; its standard error says why"
                ) from None
        run.__dict__.update(done.__dict__)
        return graph


def serve() -> None:
    """Answer requests on standard input until it ends."""
    from weft.saturate.rules.themes import RULES

    engine = Engine(RULES)
    while True:
        try:
            request = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        _send(sys.stdout.buffer, (engine.saturate(*request), request[2]))


def _send(pipe: IO[bytes], message: object) -> None:
    pickle.dump(message, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()
