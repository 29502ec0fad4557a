"""What a device has to do: keep bytes, and run programs on them."""

from __future__ import annotations

import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from weft.core.jaxpr import ClosedJaxpr
from weft.errors import DeviceError
from weft.kernels.machine import Machine


class Memory:
    """``nbytes`` bytes of a device, given back when nobody refers to them any more.

    ``handle`` is what the driver calls them. At exit the driver takes everything.
    """

    __slots__ = ("__weakref__", "device", "handle", "nbytes")

    def __init__(self, device: Device, handle: Any, nbytes: int) -> None:
        self.device = device
        self.handle = handle
        self.nbytes = nbytes
        weakref.finalize(self, device.release, handle).atexit = False


#: A program on a device: the memory of its arguments -> that of its results, which may be some of
#: the arguments'.
DeviceProgram = Callable[[Sequence[Memory]], list[Memory]]


class Device(ABC):
    """One device. What is asked of it happens in the order of asking; reading waits.

    ``name`` is the platform's and a number (``opencl:0``), ``description`` the maker's name for it,
    ``machine`` what kernels are planned for. ``lost`` says why it cannot be used any more.
    """

    name: str
    description: str
    machine: Machine
    lost: str = ""
    #: Whether a child process may go on using it.
    forks: ClassVar[bool] = False

    def check(self) -> None:
        """`DeviceError` that says why and what to do if the device was lost."""
        if self.lost:
            raise DeviceError(self.lost)

    def lose(self, why: object, what: str, hint: str = "") -> DeviceError:
        """The error that the device was lost, as seen when ``what`` was asked for, from now on."""
        self.lost = (
            f"{self.name} ({self.description}) was lost when {what} was asked for: {why}. Its "
            "arrays are gone, and it comes back in a new process; the CPU and other devices go on"
            + (f". {hint}" if hint else "")
        )
        return DeviceError(self.lost)

    @abstractmethod
    def supports(self, dtype: np.dtype) -> bool:
        """Whether its kernels compute with this dtype."""

    def nbytes(self, shape: tuple[int, ...], dtype: np.dtype) -> int:
        """What an array takes in its memory."""
        return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize

    @abstractmethod
    def alloc(self, nbytes: int) -> Memory:
        """Uninitialised memory; `MemoryError` with the size and the device if there is none."""

    @abstractmethod
    def release(self, handle: Any) -> None:
        """Takes the handle of memory back, for the next `alloc` or for good."""

    @abstractmethod
    def write(self, target: Memory, data: np.ndarray) -> None:
        """Copies a contiguous array to the device; it may change afterwards."""

    def upload(self, data: np.ndarray) -> Memory:
        """Fresh memory with a contiguous array, which may change afterwards."""
        memory = self.alloc(self.nbytes(data.shape, data.dtype))
        self.write(memory, data)
        return memory

    @abstractmethod
    def read(self, source: Memory, out: np.ndarray) -> None:
        """Waits for what was asked for, and fills a contiguous array from the device."""

    @abstractmethod
    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        """Copies within the device."""

    @abstractmethod
    def program(self, closed: ClosedJaxpr) -> DeviceProgram:
        """Compiles a program.

        Raises ``TypeError`` for dtypes and operations that the device does not have, before
        anything is compiled, and `weft.errors.DeviceError` with the driver's words for what it
        refuses.
        """

    @abstractmethod
    def finish(self) -> None:
        """Waits until everything that was asked for has been done."""

    def __repr__(self) -> str:
        return f"<device {self.name}: {self.description}>"
