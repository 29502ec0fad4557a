"""Memory that is given back where a block of code ends."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import weft
from tests.backends.conftest import first
from tests.backends.fake_cuda import FakeCuda
from weft import numpy as wnp
from weft.backends.device import Memory

PLATFORMS = ["cpu", "opencl", "webgpu", "wasm", "cuda"]


@pytest.fixture(params=PLATFORMS)
def name(request: pytest.FixtureRequest) -> str:
    """Every platform that is there."""
    if request.param != "cpu":
        first(request.param)
    return request.param


def test_arrays_end_with_their_scope(name: str) -> None:
    with weft.scoped() as own:
        x = own(weft.device_put(np.arange(4, dtype=np.float32), name))
        both = own({"y": x * 2, "z": [wnp.cumsum(x), 3]})
        kept = both["y"] + both["z"][0]
        assert x.tolist() == [0, 1, 2, 3] and both["z"][1] == 3
    assert x.is_deleted() and both["y"].is_deleted() and both["z"][0].is_deleted()
    assert kept.tolist() == [0, 3, 7, 12] and kept.device.startswith(name)
    with pytest.raises(RuntimeError, match=r"f32\[4\] was deleted at the end of weft\.scoped\(\)"):
        x + 1


def test_an_error_ends_the_scope_too(name: str) -> None:
    with pytest.raises(LookupError), weft.scoped() as own:
        x = own(weft.device_put(np.ones(4, np.float32), name))
        y = own(x + 1)
        x.delete()
        raise LookupError
    assert x.is_deleted() and y.is_deleted()


def test_memory_goes_back_although_somebody_holds_the_array(
    device: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    released = []
    release = type(device).release
    # Finalizers hold the method of the object, which is looked up when memory is made.
    monkeypatch.setattr(device, "release", lambda h: (released.append(h), release(device, h)))
    gc.collect()
    with weft.scoped() as own:
        arrays = own([weft.device_put(np.ones(1000, np.float32), device) for _ in range(5)])
        handles = [array.memory.handle for array in arrays]
        before = device.library.used if isinstance(device, FakeCuda) else 0
        assert all(isinstance(array.memory, Memory) for array in arrays)
    assert all(any(handle is r or handle == r for r in released) for handle in handles)
    if isinstance(device, FakeCuda):
        assert device.library.used <= before - 5 * 4096


def test_traced_values_are_left_alone() -> None:
    @weft.jit
    def f(x: Any) -> Any:
        with weft.scoped() as own:
            y = own(x * 2)
        return y + 1

    assert f(np.ones(2)).tolist() == [3, 3]
    assert weft.grad(lambda x: f(x).sum())(np.ones(2, np.float32)).tolist() == [2, 2]


@given(st.lists(st.sampled_from(["own", "delete", "read", "add"]), max_size=12))
def test_any_use_within_a_scope(steps: list[str]) -> None:
    x = wnp.arange(5.0)
    seen = x
    with weft.scoped() as own:
        for n, step in enumerate(steps):
            if step == "add":
                seen = x + n
            elif step == "own":
                seen = own(wnp.ones(5) * n)
            elif step == "read" and not seen.is_deleted():
                assert np.asarray(seen).shape == (5,)
            elif step == "delete" and seen is not x:
                seen.delete()
    assert x.tolist() == [0, 1, 2, 3, 4]
