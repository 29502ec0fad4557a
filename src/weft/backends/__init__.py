"""Devices beside the CPU: what programs run on, and arrays in their memory.

`weft.devices` lists them, ``x.to("opencl")`` and `weft.device_put` move arrays; what is computed
from an array on a device is computed there. A device is a plug-in behind
`weft.backends.device.Device`.
"""

from weft.backends.arrays import DeviceArray, default_device, device_put
from weft.backends.device import Device
from weft.backends.registry import devices, find

__all__ = ["Device", "DeviceArray", "default_device", "device_put", "devices", "find"]
