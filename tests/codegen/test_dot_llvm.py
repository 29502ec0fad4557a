"""Operations on words of narrow numbers: the processor's instructions and their replacement."""

from __future__ import annotations

import numpy as np
import pytest

from weft.codegen.dot_llvm import emit_dot
from weft.codegen.llvm_text import Module, vector
from weft.runtime.native import host_cpu
from weft.terms.dots import DOTS


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16, 32])
@pytest.mark.parametrize("name", DOTS)
def test_registers_of_every_width(native, name: str, lanes: int) -> None:
    dot = DOTS[name]
    features = frozenset(f[1:] for f in host_cpu().features.split(",") if f.startswith("+"))
    words, total = vector("i32", lanes), vector("float" if name == "dot_bf16" else "i32", lanes)
    module = Module()
    for symbol, present in (("native", features), ("portable", frozenset())):
        f = module.function(symbol, ["ptr %a", "ptr %b", "ptr %c", "ptr %out"])
        a, b, c = f.load(words, "%a", 4), f.load(words, "%b", 4), f.load(total, "%c", 4)
        f.store(total, emit_dot(f, dot, present, (a, b, c), lanes), "%out", 4)
        f.ret()
    code = native(module.text())
    rng = np.random.default_rng(lanes)
    if name == "dot_bf16":  # sums of small integers are exact in any order
        left, right = (rng.integers(-8, 9, 2 * lanes).astype(dot.left) for _ in range(2))
    else:
        left, right = (
            rng.integers(np.iinfo(part).min, np.iinfo(part).max + 1, dot.count * lanes).astype(part)
            for part in (dot.left, dot.right)
        )
    so_far = rng.integers(-1000, 1000, lanes).astype(dot.total)
    expected = dot.meaning(left.view(np.uint32), right.view(np.uint32), so_far)
    for symbol in ("native", "portable"):
        out = np.empty_like(so_far)
        code.call(symbol, *(x.ctypes.data for x in (left, right, so_far, out)))
        np.testing.assert_array_equal(out, expected)
