"""Runs CUDA and C text on the host: a few definitions make pthreads of the threads of a block.

CUDA text is compiled as it is. Blocks run one after another, the threads of one block at the same
time, so that a missing barrier between them shows sooner or later.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from weft.codegen.c import HEADER
from weft.codegen.clike import KernelText
from weft.kernels.interpret import poison
from weft.kernels.ir import Buffer

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

#: Seen through these, CUDA C++ is C++.
_CUDA = """\
#include <math.h>
#include <pthread.h>
#include <string.h>
#include <utility>
struct Dim { unsigned x, y, z; };
static thread_local Dim threadIdx, blockIdx;
static Dim gridDim;
static pthread_barrier_t meeting;
#define __global__
#define __shared__ static
#define __launch_bounds__(n)
#define __syncthreads() pthread_barrier_wait(&meeting)
static float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
static unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
static float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
static double __longlong_as_double(long long x) { double y; memcpy(&y, &x, 8); return y; }
template <class... A, size_t... N>
static void call(void (*f)(A...), void** a, std::index_sequence<N...>) { f((A)a[N]...); }
template <class... A> struct Job { void (*f)(A...); void** a; unsigned thread; };
template <class... A> static void* work(void* p) {
  Job<A...>* job = (Job<A...>*)p;
  threadIdx = {job->thread, 0, 0};
  for (unsigned z = 0; z < gridDim.z; z++)
    for (unsigned y = 0; y < gridDim.y; y++)
      for (unsigned x = 0; x < gridDim.x; x++) {
        blockIdx = {x, y, z};
        call(job->f, job->a, std::index_sequence_for<A...>());
        __syncthreads();
      }
  return 0;
}
template <class... A> static void launch(void (*f)(A...), void** a, Dim grid, unsigned block) {
  gridDim = grid;
  pthread_barrier_init(&meeting, 0, block);
  pthread_t* threads = new pthread_t[block];
  Job<A...>* jobs = new Job<A...>[block];
  for (unsigned t = 0; t < block; t++) {
    jobs[t] = {f, a, t};
    pthread_create(&threads[t], 0, work<A...>, &jobs[t]);
  }
  for (unsigned t = 0; t < block; t++) pthread_join(threads[t], 0);
  delete[] threads;
  delete[] jobs;
  pthread_barrier_destroy(&meeting);
}
"""


class HostLibrary:
    """Kernels of one language, compiled for the host; ``run`` launches one of them."""

    def __init__(self, texts: Sequence[KernelText], folder: Path, language: str) -> None:
        self.language = language
        target = folder / "kernels.so"
        if language == "cuda":
            source = folder / "kernels.cpp"
            source.write_text(_CUDA + "".join(t.text + _launcher(t) for t in texts))
            compiler = ["g++", "-std=c++17"]
        else:
            source = folder / "kernels.c"
            source.write_text(HEADER + "".join(t.text for t in texts))
            compiler = ["gcc", "-std=c99", "-pedantic-errors", "-Wall", "-Wno-unused-variable"]
        options = ["-O1", "-ffp-contract=off", "-shared", "-fPIC", "-pthread", "-lm"]
        command = [*compiler, str(source), "-o", str(target), *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + source.read_text()
        self.library = ctypes.CDLL(str(target))

    def run(
        self, text: KernelText, arrays: Mapping[Buffer, np.ndarray]
    ) -> dict[Buffer, np.ndarray]:
        """As `weft.kernels.interpret.run_kernel`."""
        memory: dict[Buffer, np.ndarray] = {}
        for b in text.arguments:
            given = arrays.get(b)
            fresh = poison((b.extent,), b.dtype) if given is None else given
            memory[b] = np.array(fresh, dtype=b.dtype, order="C", copy=True)
        pointers = [memory[b].ctypes.data for b in text.arguments]
        if self.language == "cuda":
            table = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
            self.library[f"run_{text.symbol}"](table)
        else:
            self.library[text.symbol](*map(ctypes.c_void_p, pointers))
        return {
            b: memory[b].reshape(b.shape) for b in text.arguments if b.role in ("output", "inout")
        }


def _launcher(text: KernelText) -> str:
    x, y, z = text.grid
    return (
        f'extern "C" void run_{text.symbol}(void** a) '
        f"{{ launch({text.symbol}, a, Dim{{{x}, {y}, {z}}}, {text.block}); }}\n"
    )
