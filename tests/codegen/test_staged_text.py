"""Contractions staged in shared memory: run as text on the host, compiled for CUDA's processors."""

from __future__ import annotations

from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from tests.codegen.simulate import HostLibrary, needs_gcc, needs_gxx
from tests.kernels.samples import F32, matmul
from weft import numpy as wnp
from weft.backends import nvrtc
from weft.codegen import c, cuda, metal
from weft.codegen.clike import ALIGNMENT
from weft.core.avals import ShapedArray
from weft.core.staging import trace_to_jaxpr
from weft.errors import DeviceError
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Kernel
from weft.kernels.machine import h100
from weft.kernels.price.gpu import GpuPrice
from weft.kernels.price.price import price
from weft.kernels.program import Launch
from weft.kernels.strategy_gpu import staged
from weft.kernels.strategy_staged import Tile, tiles
from weft.planning import plan_program

H100 = h100()
EMIT = {"cuda": cuda.emit_kernel, "metal": metal.emit_kernel, "c": c.emit_kernel}
LANGUAGES = [
    pytest.param("cuda", marks=needs_gxx),
    pytest.param("metal", marks=needs_gxx),
    pytest.param("c", marks=needs_gcc),
]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("tile", [Tile(8, 2, 2, 4, 4), Tile(2, 2, 3, 4, 4)])
def test_text_does_what_the_interpreter_does(language: str, tile: Tile, tmp_path: Path) -> None:
    sample = matmul(2 * tile.height + 3, 2 * tile.width + 1, 11, epilogue=True)
    kernel = staged(sample.kernel, H100, tile)
    text = EMIT[language](kernel)
    # Of small integers, as the interpreter rounds products before it adds them.
    arguments = {b: np.rint(4 * x) for b, x in sample.arguments(1).items()}
    expected = run_kernel(kernel, arguments)
    for buffer, value in HostLibrary([text], tmp_path, language).run(text, arguments).items():
        np.testing.assert_array_equal(value, expected[buffer])


def compiled(kernel: Kernel) -> None:
    """A kernel compiles without spills, and takes what its price says."""
    found = price(kernel, H100, warm=False)
    assert isinstance(found, GpuPrice)
    text = cuda.emit_kernel(kernel)
    processor = H100.multiprocessor
    for architecture in ("sm_80", "sm_90"):
        code = nvrtc.compile_cubin(text.text, architecture)
        assert (code.spilled, code.stack) == (0, 0)
        each = -(-code.registers // 8) * 8
        fitting = min(processor.registers // (text.block * each), processor.threads // text.block)
        assert fitting * text.block / processor.threads == found.occupancy
        # What begins after another array is aligned.
        assert found.shared <= code.shared + text.dynamic < found.shared + ALIGNMENT


@pytest.fixture
def needs_nvrtc() -> None:
    try:
        nvrtc.library()
    except DeviceError as why:
        pytest.skip(str(why))


@pytest.mark.usefixtures("needs_nvrtc")
def test_every_tile_compiles_to_what_the_model_says() -> None:
    naive = matmul(4096, 4096, 4096).kernel
    for tile in tiles(naive, H100):
        compiled(staged(naive, H100, tile))


@pytest.mark.usefixtures("needs_nvrtc")
@pytest.mark.parametrize("dtype", [F32, np.float16, ml_dtypes.bfloat16])
def test_products_are_planned_with_shared_tiles(dtype: np.dtype) -> None:
    aval = ShapedArray((4096, 4096), np.dtype(dtype))
    program = plan_program(
        trace_to_jaxpr(lambda a, b: [wnp.matmul(a, b)], [aval, aval]), machine=H100
    )
    (kernel,) = (s.kernel for s in program.steps if isinstance(s, Launch))
    assert [b.dtype for b in kernel.scratch] == [dtype, dtype]
    compiled(kernel)
