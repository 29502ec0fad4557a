"""DLPack: NumPy, PyTorch and a consumer of the first version of the protocol."""

from __future__ import annotations

import gc

import ml_dtypes
import numpy as np
import pytest

import weft
import weft.numpy as wnp

DTYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"]


class Producer:
    """An array whose type knows nothing of the newer arguments of `__dlpack__`."""

    def __init__(self, array):
        self.array = array

    def __dlpack__(self, stream=None):
        return self.array.__dlpack__()

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()


@pytest.mark.parametrize("dtype", DTYPES)
def test_numpy_shares_the_memory(dtype):
    x = wnp.asarray(np.arange(6).astype(dtype).reshape(2, 3))
    view = np.from_dlpack(x)
    assert (view.dtype, view.shape) == (np.dtype(dtype), (2, 3))
    assert view.ctypes.data == np.asarray(x).ctypes.data
    assert not view.flags.writeable
    again = wnp.from_dlpack(view)
    assert again.dtype == np.dtype(dtype)
    assert np.asarray(again).ctypes.data == view.ctypes.data


def test_a_view_keeps_the_memory():
    x = wnp.arange(1000.0) + 1  # delayed: exporting computes it
    view = np.from_dlpack(x)
    del x
    gc.collect()
    assert view[-1] == 1000


def test_bfloat16_keeps_its_type():
    x = wnp.asarray(np.array([1.5, -2.0], ml_dtypes.bfloat16))
    for again in (wnp.from_dlpack(Exporter(x)), wnp.from_dlpack(Producer(x))):
        assert again.dtype == ml_dtypes.bfloat16
        assert again.tolist() == [1.5, -2.0]
    with pytest.raises((RuntimeError, BufferError)):  # NumPy has no such type
        np.from_dlpack(x)


class Exporter:
    """Hides the type of an array, which `from_dlpack` would return as it is."""

    def __init__(self, array):
        self.__dlpack__ = array.__dlpack__
        self.__dlpack_device__ = array.__dlpack_device__


def test_old_consumers_get_a_copy():
    x = wnp.arange(3.0)
    capsule = Producer(x)
    data = np.from_dlpack(capsule)
    assert data.tolist() == [0, 1, 2]
    assert data.ctypes.data != np.asarray(x).ctypes.data
    assert np.from_dlpack(x, copy=True).ctypes.data != np.asarray(x).ctypes.data


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"copy": False}, BufferError, "give max_version=(1, 0) or later, or allow a copy"),
        ({"dl_device": (2, 0)}, BufferError, "cannot be exported to device (2, 0)"),
        ({"stream": 1}, ValueError, "stream must be None for an array on the CPU, got 1"),
    ],
)
def test_what_an_array_on_the_cpu_cannot_do(options, error, text):
    with pytest.raises(error) as caught:
        wnp.ones(3).__dlpack__(**options)
    assert text in str(caught.value)
    assert wnp.ones(3).__dlpack_device__() == (1, 0)
    wnp.ones(3).__dlpack__(dl_device=(1, 0), max_version=(1, 1), copy=False)


def test_strided_memory_is_copied():
    owner = np.arange(6.0).reshape(2, 3)
    borrowed = wnp.from_dlpack(owner.T)
    owner[0, 1] = 50
    assert borrowed.tolist() == [[0, 3], [1, 4], [2, 5]]
    with pytest.raises(BufferError, match=r"shape \(3, 2\) with strides \(8, 24\) is not contig"):
        wnp.from_dlpack(owner.T, copy=False)


def test_what_is_borrowed_is_evaluated_at_once():
    owner = np.arange(4, dtype=np.float32)
    borrowed = wnp.from_dlpack(owner, copy=False)
    total = weft.jit(lambda x: x + 1)(borrowed), borrowed * 2
    owner[0] = 100
    assert (total[0].tolist(), total[1].tolist()) == ([1, 2, 3, 4], [0, 2, 4, 6])
    assert borrowed.tolist() == [100, 1, 2, 3]


def test_arguments_of_from_dlpack_are_checked():
    x = wnp.ones(2)
    assert wnp.from_dlpack(x, device="cpu").tolist() == [1, 1]
    with pytest.raises(ValueError, match="from_dlpack makes arrays on the CPU, got device='moon'"):
        wnp.from_dlpack(x, device="moon")
    with pytest.raises(TypeError, match=r"an array with __dlpack__, got list; weft\.numpy\.asarr"):
        wnp.from_dlpack([1, 2])


def test_pytorch_shares_the_memory():
    torch = pytest.importorskip("torch")
    x = wnp.arange(3.0) + 1
    tensor = torch.from_dlpack(x)
    assert tensor.tolist() == [1, 2, 3]
    back = wnp.from_dlpack(tensor)
    assert np.asarray(back).ctypes.data == tensor.data_ptr()
    half = torch.tensor([1.5, 2.5], dtype=torch.bfloat16)
    ours = wnp.from_dlpack(half)
    half[0] = 7
    assert (ours.dtype, ours.tolist()) == (ml_dtypes.bfloat16, [7, 2.5])
    assert torch.from_dlpack(ours).dtype is torch.bfloat16
    assert wnp.from_dlpack(torch.arange(6).reshape(2, 3).T).shape == (3, 2)
