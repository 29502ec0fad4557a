"""WebGPU, through wgpu (the extra ``webgpu``). Mesa's lavapipe makes a device of any CPU.

Scalars have 32 bits: other dtypes are refused. A boolean takes four bytes in memory. What a device
may do is asked for when it is made: as many buffers of a kernel, and as large ones, as the adapter
has.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from weft.backends.device import Memory
from weft.backends.programs import KernelDevice, Launcher
from weft.codegen import wgsl as text
from weft.codegen.clike import KernelText
from weft.errors import DeviceError
from weft.kernels.ir import Kernel
from weft.kernels.machine import gpu_machine
from weft.kernels.packing import Packed, pack

#: Threads of a workgroup that the planner starts from.
BLOCK = 64
#: Limits that are asked for as far as an adapter has them.
LIMITS = (
    "max-buffer-size",
    "max-compute-invocations-per-workgroup",
    "max-compute-workgroup-size-x",
    "max-compute-workgroup-storage-size",
    "max-storage-buffer-binding-size",
    "max-storage-buffers-per-shader-stage",
)
BUFFERS = "max-storage-buffers-per-shader-stage"


def available() -> list[WebGPU]:
    """One device for each adapter that has kernels, the best first; `DeviceError` without any."""
    try:
        import wgpu
    except ImportError as why:
        raise DeviceError(
            "the device 'webgpu' needs the package wgpu: pip install 'weft[webgpu]'"
        ) from why
    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] != "OpenGL"]
    if not adapters:
        raise DeviceError(
            "no driver for WebGPU was found: install your GPU's Vulkan driver, or lavapipe, which "
            "runs on any CPU (Debian: apt install mesa-vulkan-drivers libvulkan1)"
        )
    order = {"DiscreteGPU": 0, "IntegratedGPU": 1}
    adapters.sort(key=lambda a: order.get(a.info["adapter_type"], 2))
    return [WebGPU(wgpu, adapter, n) for n, adapter in enumerate(adapters)]


class WebGPU(KernelDevice):
    """A device with a queue of its own, which does things in order."""

    def __init__(self, wgpu: Any, adapter: Any, number: int) -> None:
        self.name = f"webgpu:{number}"
        self.description = " ".join(str(adapter.info["device"]).split())
        self._wgpu = wgpu
        self._limits = {name: adapter.limits[name] for name in LIMITS}
        self._device = adapter.request_device_sync(required_limits=self._limits)
        self._queue = self._device.queue
        self._lock = threading.RLock()
        self._last: Any = None
        self.machine = gpu_machine(
            self.name,
            multiprocessors=8,
            block=min(BLOCK, self._limits["max-compute-invocations-per-workgroup"]),
            shared_bytes=self._limits["max-compute-workgroup-storage-size"],
            bandwidth=100.0,
        )

    def supports(self, dtype: np.dtype) -> bool:
        return dtype.name in text.TYPES

    @contextlib.contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """Within ``with``, what the driver says is an error of Weft's."""
        self.check()
        try:
            yield
        except self._wgpu.GPUOutOfMemoryError as why:
            raise MemoryError(
                f"{self.name} ({self.description}) has no memory for {what}: {why}"
            ) from why
        except self._wgpu.GPUError as why:
            if "lost" in str(why):  # whatever is asked of a lost device is an error that says so
                raise self.lose(" ".join(str(why).split()), what) from why
            raise DeviceError(f"{self.name} ({self.description}) refuses {what}:\n{why}") from why

    # -- memory ------------------------------------------------------------------------------------

    def nbytes(self, shape: tuple[int, ...], dtype: np.dtype) -> int:
        return super().nbytes(shape, np.dtype(np.uint32) if dtype == np.bool_ else dtype)

    def alloc(self, nbytes: int) -> Memory:
        largest = min(
            self._limits["max-buffer-size"], self._limits["max-storage-buffer-binding-size"]
        )
        usage = self._wgpu.BufferUsage
        try:
            if nbytes > largest:
                raise MemoryError
            with self._asked("memory"):
                handle = self._device.create_buffer(
                    size=max(4, nbytes), usage=usage.STORAGE | usage.COPY_SRC | usage.COPY_DST
                )
        except MemoryError as why:
            raise MemoryError(
                f"{self.name} ({self.description}) has no {nbytes:,} bytes for an array; one may "
                f"have {largest:,}. Delete arrays (x.delete()), or compute in parts"
            ) from why
        return Memory(self, handle, nbytes)

    def release(self, handle: Any) -> None:
        del handle  # its last reference goes, and with it the memory once the queue is done

    def write(self, target: Memory, data: np.ndarray) -> None:
        words = np.ascontiguousarray(data, np.uint32) if data.dtype == np.bool_ else data
        if words.nbytes:
            with self._asked("an upload"), self._lock:
                self._queue.write_buffer(target.handle, 0, words)

    def read(self, source: Memory, out: np.ndarray) -> None:
        if not out.size:
            return
        kind = np.dtype(np.uint32) if out.dtype == np.bool_ else out.dtype
        with self._asked("a result"), self._lock:
            words = self._queue.read_buffer(source.handle, 0, kind.itemsize * out.size)
        out[...] = np.frombuffer(words, kind).reshape(out.shape)

    def copy(self, target: Memory, source: Memory, nbytes: int) -> None:
        if nbytes:
            with self._asked("a copy"), self._lock:
                encoder = self._device.create_command_encoder()
                encoder.copy_buffer_to_buffer(source.handle, 0, target.handle, 0, nbytes)
                self._queue.submit([encoder.finish()])

    def finish(self) -> None:
        # Reading waits for what was submitted before. `on_submitted_work_done_sync` would say the
        # same, but raises TypeError in wgpu 0.32.
        with self._asked("the end of all work"), self._lock:
            if self._last is None:
                usage = self._wgpu.BufferUsage
                self._last = self._device.create_buffer(size=4, usage=usage.COPY_SRC)
            self._queue.read_buffer(self._last, 0, 4)

    # -- kernels -----------------------------------------------------------------------------------

    def kernels(self, kernels: Sequence[Kernel]) -> list[tuple[Launcher, tuple[int, ...]]]:
        return [self._compiled(kernel) for kernel in kernels]

    def _compiled(self, kernel: Kernel) -> tuple[Launcher, tuple[int, ...]]:
        most = self._limits[BUFFERS]
        shared = sum(b.level == "shared" for b in kernel.scratch)
        packed = pack(kernel, most - shared)
        emitted = text.emit_kernel(packed.kernel)
        count = len(emitted.arguments)
        if count > most:
            raise DeviceError(
                f"{self.name} ({self.description}) binds {most} buffers to a kernel, and "
                f"{kernel.name} has {count}: compute some of the results apart"
            )
        with self._asked(f"the kernel {kernel.name}"):
            run = self._run(emitted, kernel.name)
        if packed.kernel is not kernel:
            run = self._packing(packed, run)
        scratch = emitted.arguments[len(packed.kernel.params) :]
        return run, tuple(4 * buffer.extent for buffer in scratch)

    def _packing(self, packed: Packed, run: Launcher) -> Launcher:
        """Puts arguments together, runs, and takes results apart."""
        params = packed.kernel.params
        several = [n for n, parts in enumerate(packed.parts) if len(parts) > 1]
        count = sum(map(len, packed.parts))

        def launch(arguments: Sequence[Memory]) -> None:
            bound = [arguments[parts[0][0]] for parts in packed.parts]
            for n in several:
                bound[n] = self.alloc(4 * params[n].extent)
                if params[n].role != "output":
                    self._parts(packed, n, bound[n], arguments, back=False)
            run([*bound, *arguments[count:]])
            for n in several:
                if params[n].role != "input":
                    self._parts(packed, n, bound[n], arguments, back=True)

        return launch

    def _parts(
        self, packed: Packed, n: int, whole: Memory, arguments: Sequence[Memory], back: bool
    ) -> None:
        """Copies the parts of a packed argument there, or back."""
        ends = [at for _, at in packed.parts[n][1:]] + [packed.kernel.params[n].extent]
        with self._asked("a copy"), self._lock:
            encoder = self._device.create_command_encoder()
            for (place, at), end in zip(packed.parts[n], ends, strict=True):
                inside, own = (whole.handle, 4 * at), (arguments[place].handle, 0)
                source, target = (inside, own) if back else (own, inside)
                if end > at:
                    encoder.copy_buffer_to_buffer(*source, *target, 4 * (end - at))
            self._queue.submit([encoder.finish()])

    def _run(self, kernel: KernelText, name: str) -> Launcher:
        device, what = self._device, f"the kernel {name}"
        stage = self._wgpu.ShaderStage.COMPUTE
        entries = [
            {
                "binding": n,
                "visibility": stage,
                "buffer": {"type": "read-only-storage" if b.role == "input" else "storage"},
            }
            for n, b in enumerate(kernel.arguments)
        ]
        layout = device.create_bind_group_layout(entries=entries)
        pipeline = device.create_compute_pipeline(
            layout=device.create_pipeline_layout(bind_group_layouts=[layout]),
            compute={
                "module": device.create_shader_module(code=kernel.text),
                "entry_point": kernel.symbol,
            },
        )

        def run(arguments: Sequence[Memory]) -> None:
            bound = [
                {"binding": n, "resource": {"buffer": memory.handle}}
                for n, memory in enumerate(arguments)
            ]
            with self._asked(what), self._lock:
                group = device.create_bind_group(layout=layout, entries=bound)
                encoder = device.create_command_encoder()
                compute = encoder.begin_compute_pass()
                compute.set_pipeline(pipeline)
                compute.set_bind_group(0, group)
                compute.dispatch_workgroups(*kernel.grid)
                compute.end()
                self._queue.submit([encoder.finish()])

        return run
