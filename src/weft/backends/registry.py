"""Which devices there are. A platform is looked for when somebody first asks."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from weft.backends.device import Device
from weft.errors import DeviceError


def _opencl() -> list[Device]:
    from weft.backends.opencl import available

    return list(available())


def _webgpu() -> list[Device]:
    from weft.backends.webgpu import available

    return list(available())


def _wasm() -> list[Device]:
    from weft.backends.wasm import available

    return list(available())


def _cuda() -> list[Device]:
    from weft.backends.cuda.device import available

    return list(available())


#: Platform -> what finds its devices; raises `DeviceError` if its package or driver is missing.
_PLATFORMS: dict[str, Callable[[], list[Device]]] = {
    "opencl": _opencl,
    "webgpu": _webgpu,
    "wasm": _wasm,
    "cuda": _cuda,
}

#: What other libraries call platforms of GPUs.
_GPUS = frozenset(["gpu", "rocm", "mps", "metal", "xpu"])

_found: dict[str, list[Device]] = {}
_lock = threading.RLock()


def _forked() -> None:
    """In a child process: a driver's threads and queues are its parent's, and it would wait."""
    global _lock
    _lock = threading.RLock()
    for device in (device for found in _found.values() for device in found):
        if not device.forks and not device.lost:
            device.lost = (
                f"{device.name} ({device.description}) belongs to the process that this one was "
                "forked from, as do its arrays: start processes by multiprocessing's 'spawn'"
            )


os.register_at_fork(after_in_child=_forked)


def platform_devices(platform: str) -> list[Device]:
    """The devices of a platform, the same objects each time.

    Raises `DeviceError` that says what to install if there is none, ``ValueError`` for an unknown
    platform.
    """
    if platform not in _PLATFORMS:
        known = ", ".join(map(repr, ["cpu", *_PLATFORMS]))
        gpu = "; 'cuda', 'opencl' and 'webgpu' drive GPUs" if platform in _GPUS else ""
        raise ValueError(
            f"there is no platform {platform!r}; the platforms are {known}{gpu}. weft.devices() "
            "lists the devices that are there"
        )
    with _lock:
        if platform not in _found:
            _found[platform] = _PLATFORMS[platform]()
        return _found[platform]


def devices(platform: str | None = None) -> list[str]:
    """The names of the devices that arrays can be put on and programs run on.

    platform: only those of one (``"cpu"``, ``"opencl"``); it is an error if it is missing.

    Raises ``ValueError`` for an unknown platform and `DeviceError`, which says what to install, for
    one that is not there.

    >>> weft.devices()[0]
    'cpu'
    """
    if platform == "cpu":
        return ["cpu"]
    if platform is not None:
        return [device.name for device in platform_devices(platform)]
    names = ["cpu"]
    for each in _PLATFORMS:
        try:
            names += [device.name for device in platform_devices(each)]
        except DeviceError:
            continue  # a platform that is not there has no devices
    return names


def find(name: object) -> Device | None:
    """The device of a name such as ``"opencl:0"`` or ``"opencl"`` (its first); None for the CPU.

    Raises as `platform_devices` does, and ``ValueError`` for a number that there is no device of.
    """
    if isinstance(name, Device):
        return name
    if not isinstance(name, str):
        raise TypeError(f"a device is given by its name, such as 'opencl:0'; got {name!r}")
    platform, _, number = name.partition(":")
    if platform == "cpu" and number in ("", "0"):
        return None
    there = platform_devices(platform)
    if number in ("", *map(str, range(len(there)))):
        return there[int(number or 0)]
    names = ", ".join(repr(device.name) for device in there)
    raise ValueError(f"there is no device {name!r}; those of {platform} are {names}")
