"""CUDA C++: golden text, compiled where there is a compiler, and run on the host's threads."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings

from tests.codegen.gpu_programs import (
    F32,
    Run,
    arg_of_largest,
    attention_inputs,
    attention_program,
    gather,
    kernel_cases,
    launches,
    plan_for_gpu,
    run_program,
    softmax_gradient,
    softmax_inputs,
    softmax_program,
)
from tests.codegen.simulate import HostLibrary, needs_gcc, needs_gxx
from tests.levels import programs as random_programs
from weft.codegen import c, cuda, metal
from weft.codegen.clike import KernelText
from weft.core.avals import ShapedArray
from weft.core.interpret import eval_jaxpr_numpy
from weft.core.staging import trace_to_jaxpr
from weft.kernels import streaming
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Barrier, Buffer, For, Iota, Kernel, Load, Map, Store, Var, loops
from weft.kernels.machine import gpu_machine
from weft.kernels.program import Program
from weft.terms.affine import Affine, Axis

PROGRAMS = {
    "softmax": (softmax_program, softmax_inputs(37)),
    "softmax_gradient": (softmax_gradient, softmax_inputs(9, gradient=True)),
}


def texts_of(program: Program) -> list[KernelText]:
    return [cuda.emit_kernel(step.kernel) for step in launches(program)]


@pytest.mark.parametrize("name", PROGRAMS)
def test_golden_text(name: str, golden: Callable[[str, str], None]) -> None:
    program = plan_for_gpu(*PROGRAMS[name])
    golden(f"{name}.cu", "\n".join(t.text for t in texts_of(program)))


def compile_for_gpu(source: str, folder: Path) -> None:
    """Compile with NVRTC or nvcc, whichever is there; an error shows the source."""
    try:
        from cuda.core import Program as Nvrtc  # type: ignore[import-not-found]
        from cuda.core import ProgramOptions
    except ImportError:
        (folder / "k.cu").write_text(source)
        command = ["nvcc", "-arch=sm_90", "-cubin", *cuda.COMPILE_OPTIONS, "k.cu", "-o", "k.cubin"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + source
    else:
        options = ProgramOptions(arch="sm_90", std="c++17", fma=False)
        Nvrtc(source, code_type="c++", options=options).compile("cubin")


def has_cuda_compiler() -> bool:
    try:
        import cuda.core  # noqa: F401
    except ImportError:
        return shutil.which("nvcc") is not None
    return True


@pytest.mark.skipif(not has_cuda_compiler(), reason="neither NVRTC nor nvcc is installed")
def test_it_compiles_for_a_gpu(tmp_path: Path) -> None:
    texts = [t for p in PROGRAMS.values() for t in texts_of(plan_for_gpu(*p))]
    renamed = [t.text.replace(t.symbol, f"{t.symbol}_{n}") for n, t in enumerate(texts)]
    cases = [cuda.emit_kernel(kernel).text for kernel, _ in kernel_cases()]
    compile_for_gpu("\n".join([*renamed, *cases]), tmp_path)


# -- run on the host -------------------------------------------------------------------------------

EMIT = {"cuda": cuda.emit_kernel, "metal": metal.emit_kernel, "c": c.emit_kernel}
LANGUAGES = [
    pytest.param("cuda", marks=needs_gxx),
    pytest.param("metal", marks=needs_gxx),
    pytest.param("c", marks=needs_gcc),
]


def runner(kernels: Sequence[Kernel], folder: Path, language: str) -> Run:
    """Runs these kernels, compiled together."""
    texts = {id(k): EMIT[language](k) for k in kernels}
    library = HostLibrary(list(texts.values()), folder, language)
    return lambda kernel, arrays: library.run(texts[id(kernel)], arrays)


def agree(actual: Sequence[Any], expected: Sequence[Any]) -> None:
    """Equal up to the rounding of a re-associated float32 sum."""
    for a, e in zip(actual, expected, strict=True):
        scale = 1 + np.max(np.abs(e), initial=0.0, where=np.isfinite(e))
        np.testing.assert_allclose(a, e, rtol=2e-5, atol=2e-5 * scale)


@pytest.mark.parametrize("language", LANGUAGES)
def test_kernels_do_what_the_interpreter_does(language: str, tmp_path: Path) -> None:
    cases = kernel_cases()
    run = runner([kernel for kernel, _ in cases], tmp_path, language)
    for kernel, arrays in cases:
        expected = run_kernel(kernel, arrays)
        for buffer, value in run(kernel, arrays).items():
            message = f"{kernel.name}: {buffer.name}"
            np.testing.assert_array_equal(value, expected[buffer], message, strict=True)
            if value.dtype == F32:
                np.testing.assert_array_equal(
                    np.signbit(value[~np.isnan(value)]),
                    np.signbit(expected[buffer][~np.isnan(value)]),
                    message,
                )


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_compute_what_they_should(name: str, language: str, tmp_path: Path) -> None:
    function, arrays = PROGRAMS[name]
    program = plan_for_gpu(function, arrays)
    run = runner([step.kernel for step in launches(program)], tmp_path, language)
    agree(run_program(program, arrays, run), [np.asarray(r) for r in function(*arrays)])


@pytest.mark.parametrize("language", LANGUAGES)
def test_random_programs(language: str) -> None:
    @settings(max_examples=15)
    @given(random_programs.programs)
    def check(random_program: random_programs.Program) -> None:
        arrays = random_programs.inputs_of(random_program)
        avals = [ShapedArray(x.shape, x.dtype) for x in arrays]
        closed = trace_to_jaxpr(random_program, avals)
        program = plan_for_gpu(random_program, arrays)
        with tempfile.TemporaryDirectory() as folder:
            kernels = [step.kernel for step in launches(program)]
            run = runner(kernels, Path(folder), language)
            expected = eval_jaxpr_numpy(closed.jaxpr, closed.consts, *arrays)
            agree(run_program(program, arrays, run), expected)

    check()


@needs_gxx
def test_a_blocked_kernel_leaves_blocks_out(tmp_path: Path) -> None:
    arrays = attention_inputs(96, 4)
    machine = gpu_machine("gpu", 4, block=32, shared_bytes=48 << 10, bandwidth=10.0)
    with mock.patch.object(streaming, "CLEARLY", 1e9):  # so little would rather be stored
        program = plan_for_gpu(attention_program, arrays, machine)
    (step,) = launches(program)
    assert any(x.where for x in loops(step.kernel.body))
    run = runner([step.kernel], tmp_path, "cuda")
    agree(run_program(program, arrays, run), [np.asarray(r) for r in attention_program(*arrays)])


# -- text ------------------------------------------------------------------------------------------


def test_threads_beyond_a_lane_axis_touch_nothing() -> None:
    text = cuda.emit_kernel(gather()).text
    assert "__launch_bounds__(32)" in text
    assert "const int t0 = lane < 11 ? chosen[lane] : 0;" in text
    assert "table[((int)(t0 < 0 ? 0 : t0 > 5 ? 5 : t0)) * 3 + 1]" in text
    assert "if (lane < 11 && lane * 2 - 1 >= 1 && lane * 2 - 1 < 18 && t1) {" in text


def test_a_fold_over_lanes_meets_between_steps() -> None:
    text = cuda.emit_kernel(arg_of_largest()).text
    assert "__shared__ float fold0[21];" in text and "__shared__ int fold0_1[21];" in text
    assert "if (lane < span && lane + span < 21) {" in text


def copy(n: int, kind: str = "serial", **buffers: Any) -> Kernel:
    """``y[i] = x[i]``, after a barrier."""
    i = Axis("i", n)
    x, y = Buffer("x", (n,), F32), Buffer("y", (n,), F32, "output")
    value = Var(F32)
    index = (Affine.of(i),)
    body = [Load(value, x, index), Store(y, index, value)]
    return Kernel("copy", (x, y), (), [For(i, 0, n, 1, body, kind), Barrier()], **buffers)


def test_blocks_cannot_wait_for_each_other() -> None:
    with pytest.raises(ValueError, match="copy has a barrier, but the blocks of a CUDA grid"):
        cuda.emit_kernel(copy(4, "parallel"))
    assert "k_copy" in cuda.emit_kernel(copy(4)).text


def test_lanes_must_fit_a_block() -> None:
    t = Axis("t", 2000)
    y = Buffer("y", (2000,), np.dtype(np.int32), "output")
    value = Var(y.dtype, (t,))
    body = [Iota(value, t.expr), Store(y, (t.expr,), value)]
    kernel = Kernel("wide", (y,), (), body, frozenset({t}))
    message = "kernel wide needs blocks of 2016 threads, but a CUDA block has at most 1024"
    with pytest.raises(ValueError, match=message):
        cuda.emit_kernel(kernel)


def test_shared_memory_is_limited() -> None:
    with pytest.raises(ValueError, match="kernel deep needs 256000 bytes of memory shared by a"):
        cuda.emit_kernel(deep(2000))


def test_much_shared_memory_is_asked_for_at_launch() -> None:
    text = cuda.emit_kernel(deep(600))
    assert text.dynamic == 76800
    assert "extern __shared__ __align__(16) char memory[];" in text.text
    assert "float* const big = (float*)(memory + 0);" in text.text
    assert cuda.emit_kernel(deep(300)).dynamic == 0


def deep(n: int) -> Kernel:
    """A kernel with ``n`` rows of 32 elements in scratch."""
    t, u = Axis("t", 32), Axis("u", n)
    big = Buffer("big", (n, 32), F32, "scratch")
    y = Buffer("y", (32,), F32, "output")
    a, b = Var(F32, (t,)), Var(F32, (t,))
    x = Buffer("x", (32,), F32)
    body = [
        Load(a, x, (t.expr,)),
        For(u, 0, n, 1, [Store(big, (u.expr, t.expr), a)]),
        Load(b, big, (Affine((), 5), t.expr)),
        Store(y, (t.expr,), b),
    ]
    return Kernel("deep", (x, y), (big,), body, frozenset({t}))


def test_dtypes_without_code_are_named() -> None:
    pair = np.dtype(np.complex64)
    x, y = Buffer("x", (1,), pair), Buffer("y", (1,), pair, "output")
    a, b = Var(pair), Var(pair)
    at = (Affine((), 0),)
    kernel = Kernel("k", (x, y), (), [Load(a, x, at), Map(b, "neg", (a,)), Store(y, at, b)])
    with pytest.raises(TypeError, match="CUDA code generator has no scalars of dtype complex64"):
        cuda.emit_kernel(kernel)
