"""`jit(f).lower(*args)`: a traced function on its way to machine code, level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from weft import tree
from weft.array.arguments import as_argument
from weft.core.avals import aval_of
from weft.core.trace import current_trace, eval_trace
from weft.transforms.functions import at_user_line, check_leaves

if TYPE_CHECKING:
    from weft.transforms.jit import Traced


class _Stage:
    """What the stages have in common: the types of arguments and results, and texts."""

    _level: str

    def __init__(self, traced: Traced) -> None:
        self._traced = traced

    @property
    def in_tree(self) -> tree.PyTreeSpec:
        """The structure of ``(args, kwargs)``, without static arguments."""
        return self._traced.in_tree

    @property
    def out_tree(self) -> tree.PyTreeSpec:
        """The structure of the result."""
        return self._traced.out_tree

    @property
    def in_avals(self) -> Any:
        """The types of the arguments, as ``(args, kwargs)``."""
        return tree.unflatten(self.in_tree, self._traced.closed.in_avals)

    @property
    def out_info(self) -> Any:
        """The types of the results, in their structure."""
        return tree.unflatten(self.out_tree, self._traced.closed.out_avals)

    def as_text(self, level: str | None = None) -> str:
        """A level of the compiler as text, as it is for this CPU.

        ``level`` is ``"jaxpr"``, ``"terms"``, ``"saturated"``, ``"schedule"``, ``"program"``,
        ``"llvm"`` or ``"assembly"``; ValueError for any other.
        """
        from weft.compile import level_text

        return level_text(self._traced.closed, level or self._level)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} '{self._traced.name}'>"


class Lowered(_Stage):
    """A function traced for arguments of some types; see `weft.jit`.

    ``as_text()`` shows its terms, or another level; ``compile()`` makes machine code.

    >>> lowered = weft.jit(lambda x: x + x).lower(np.ones(3))
    >>> print(lowered.as_text("jaxpr"))
    { lambda ; a:f32[3]. let
        b:f32[3] = add a a
      in (b,) }
    """

    _level = "terms"

    def compile(self) -> Compiled:
        """The compiled program; the jitted function itself has it from then on, too."""
        traced = self._traced
        device = None
        if traced.device is not None:
            from weft.backends.arrays import program_for
            from weft.backends.registry import find

            device = find(traced.device)
        if device is None:
            _ = traced.executable
        else:
            program_for(traced.closed, device)
        return Compiled(traced)


class Compiled(_Stage):
    """A program for arguments of fixed types, which nothing traces or compiles again as long as
    `weft.config` stays as it is. It runs where the jitted function would.

    Called with the arguments that are not static; others than it was compiled for are a TypeError
    that names them. ``as_text()`` shows its LLVM IR, or another level.

    >>> double = weft.jit(lambda x: x + x).lower(np.ones(3)).compile()
    >>> double(np.arange(3.0))
    Array([0., 2., 4.], dtype=float32)
    """

    _level = "llvm"

    @property
    def stats(self) -> Any:
        """What compiling for this CPU took and made."""
        return self._traced.executable.stats

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves, treedef = tree.flatten((args, kwargs))
        traced = self._traced
        what = f"the program compiled of '{traced.name}'"
        if treedef != traced.in_tree:
            raise TypeError(
                f"{what} takes arguments of the structure {tree.describe(traced.in_tree)}, got "
                f"{tree.describe(treedef)}{at_user_line()}"
            )
        names = tree.path_names(treedef)
        check_leaves("a call of the program", traced.name, leaves, lambda: names)
        for leaf, want, name in zip(leaves, traced.closed.in_avals, names, strict=True):
            got = aval_of(leaf)
            if got.shape != want.shape or got.dtype != want.dtype:
                raise TypeError(
                    f"{what}: (args, kwargs){name} has type {got}, it was compiled for {want}. "
                    f"Call the jitted function, or lower it for this type, too{at_user_line()}"
                )
        results = self._run(traced, *map(as_argument, leaves))
        return tree.unflatten(traced.out_tree, results)

    @staticmethod
    def _run(traced: Traced, *leaves: Any) -> list[Any]:
        if traced.device is None or current_trace() is not eval_trace:
            return traced.call(leaves)
        from weft.backends.arrays import call_on

        return call_on(traced.device, lambda *xs: traced.call(xs), leaves, {})
