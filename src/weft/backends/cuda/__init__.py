"""NVIDIA's GPUs: the driver by ctypes, kernels compiled by NVRTC (the extra ``cuda``).

`driver` is the few functions of the driver that are used, `memory` what keeps bytes on the device
and in pinned memory of the host, `graphs` programs that are replayed as a whole, `device` what
holds them together.
"""
