"""Warnings of jitted functions: many signatures, large constants."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import weft
from weft import numpy as wnp
from weft.errors import LargeConstantWarning, RecompilationWarning

F32 = np.float32


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    weft.config.warn_recompiles, weft.config.warn_constants = 1, 4000
    yield
    weft.config.warn_recompiles, weft.config.warn_constants = 32, 1 << 26


def said(call: Any, kind: type[Warning] = RecompilationWarning) -> str:
    """The one warning of a call, at the line of the call."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        call()
    (warning,) = [w for w in found if issubclass(w.category, kind)]
    assert warning.filename == __file__
    return str(warning.message)


def quiet(call: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call()


def test_a_shape_a_dtype_and_weakness() -> None:
    f = weft.jit(lambda x, params: x * params["w"])
    w = {"w": np.ones(3, F32)}
    quiet(lambda: f(np.ones(3, F32), w))
    quiet(lambda: f(np.zeros(3, F32), w))
    text = said(lambda: f(np.ones((4, 3), F32), w))
    assert (
        "'<lambda>' is compiled for signature 2. Since the last one, x went from f32[3] to " in text
    )
    assert "f32[4,3]. Arguments" in text and "weft.config.warn_recompiles" in text
    text = said(lambda: f(np.ones((4, 3), F32), {"w": np.ones(3, np.int16)}))
    assert "signature 3" in text and "params['w'] went from f32[3] to i16[3]." in text
    assert "x went from f32[4,3] to f32[] (weak)." in said(
        lambda: f(1.0, {"w": np.ones(3, np.int16)})
    )


def test_static_arguments_and_containers() -> None:
    f = weft.jit(lambda x, n, *, mode: x[0] * n, static_argnums=1, static_argnames="mode")
    x = [np.ones(2, F32)]
    quiet(lambda: f(x, 2, mode="a"))
    text = said(lambda: f(x, 3, mode="b"))
    assert (
        "the static argument n went from 2 to 3; the static argument mode went from 'a' to 'b'."
        in text
    )
    text = said(lambda: f(x, 3.0, mode="b"))
    assert "the static argument n went from 3 to 3.0." in text
    assert "the containers of the arguments went from " in said(lambda: f(tuple(x), 3.0, mode="b"))


def test_every_so_many_signatures_are_told() -> None:
    weft.config.warn_recompiles = 3
    f = weft.jit(lambda x: x + 1)
    quiet(lambda: [f.trace(np.ones(n)) for n in (1, 2)])
    assert "signature 3" in said(lambda: f.trace(np.ones(3)))
    quiet(lambda: [f.trace(np.ones(n)) for n in (4, 5)])
    assert "signature 6" in said(lambda: f.trace(np.ones(6)))
    f.clear_cache()
    weft.config.warn_recompiles = None
    quiet(lambda: [f.trace(np.ones(n)) for n in range(7, 14)])


table = np.arange(1000, dtype=F32)


def test_large_constants_have_names() -> None:
    params = {"layers": [np.ones(10, F32), np.ones((40, 50), F32)]}
    inner = weft.jit(lambda x: x @ params["layers"][1])
    text = said(lambda: inner(np.ones(40, F32)), LargeConstantWarning)
    assert "'<lambda>' captured params['layers'][1] (f32[40,50], 8,000 bytes) as a constant" in text
    assert 'params["layers"][1])' in text and "pass it as an argument" in text
    grad = weft.jit(weft.grad(lambda x: (x * table).sum()))
    assert "captured table (f32[1000]" in said(
        lambda: grad(np.ones(1000, F32)), LargeConstantWarning
    )
    made = wnp.ones(2000)
    text = said(lambda: weft.jit(lambda x: made + x)(1.0), LargeConstantWarning)
    assert "captured made (f32[2000], 8,000 bytes)" in text


def test_constants_of_objects_and_of_nobody() -> None:
    class Model:
        def __init__(self) -> None:
            self.weights = np.ones((50, 50), F32)

        def __call__(self, x: Any) -> Any:
            return x @ self.weights

    text = said(lambda: weft.jit(Model().__call__)(np.ones(50, F32)), LargeConstantWarning)
    assert "captured self.weights (f32[50,50]" in text
    text = said(lambda: weft.jit(lambda x: x + np.ones(3000, F32))(1.0), LargeConstantWarning)
    assert "captured an array (f32[3000]" in text
    weft.config.warn_constants = None
    quiet(lambda: weft.jit(lambda x: x + np.ones(3000, F32))(1.0))


def test_settings_are_checked() -> None:
    for name in ("warn_recompiles", "warn_constants"):
        with pytest.raises(TypeError, match=rf"config.{name} is an int or None, got 'a' \(str\)"):
            setattr(weft.config, name, "a")
        with pytest.raises(ValueError, match=rf"config.{name} is at least 1, or None, got 0"):
            setattr(weft.config, name, 0)


def test_levels_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with weft.debug.levels():
        weft.jit(lambda x: wnp.exp(x).sum() - 3)(np.ones(17, F32))
    err = capsys.readouterr().err
    names = [line.strip("= ") for line in err.splitlines() if line.startswith("== ")]
    assert set(names) >= {"jaxpr", "terms", "kernels", "schedule", "program", "llvm", "assembly"}
    assert not weft.config.dump
    with (
        pytest.raises(ValueError, match=r"config.dump has no level 'wood'"),
        weft.debug.levels("wood"),
    ):
        pass
