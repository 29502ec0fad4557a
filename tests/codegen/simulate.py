"""Runs text for GPUs, and C, on the host: a few definitions make pthreads of a block's threads.

The text is compiled as it is. Blocks run one after another, the threads of one block at the same
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

from weft.codegen import metal
from weft.codegen.c import HEADER
from weft.codegen.clike import KernelText
from weft.kernels.interpret import poison
from weft.kernels.ir import Buffer

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")
needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")

#: The threads of a block as threads of the host; ``body`` is what one of them does in one block.
_THREADS = """\
#include <math.h>
#include <pthread.h>
#include <string.h>
struct Dim { unsigned x, y, z; };
static Dim gridDim;
static pthread_barrier_t meeting;
struct Arg { void* p; template <class T> operator T*() const { return (T*)p; } };
typedef void (*Body)(void** a, Dim block, unsigned thread);
struct Job { Body body; void** a; unsigned thread; };
static void* work(void* p) {
  Job* job = (Job*)p;
  for (unsigned z = 0; z < gridDim.z; z++)
    for (unsigned y = 0; y < gridDim.y; y++)
      for (unsigned x = 0; x < gridDim.x; x++) {
        job->body(job->a, {x, y, z}, job->thread);
        pthread_barrier_wait(&meeting);
      }
  return 0;
}
static void launch(Body body, void** a, Dim grid, unsigned block) {
  gridDim = grid;
  pthread_barrier_init(&meeting, 0, block);
  pthread_t* threads = new pthread_t[block];
  Job* jobs = new Job[block];
  for (unsigned t = 0; t < block; t++) {
    jobs[t] = {body, a, t};
    pthread_create(&threads[t], 0, work, &jobs[t]);
  }
  for (unsigned t = 0; t < block; t++) pthread_join(threads[t], 0);
  delete[] threads;
  delete[] jobs;
  pthread_barrier_destroy(&meeting);
}
"""

#: Seen through these, CUDA C++ is C++.
_CUDA = """\
static thread_local Dim threadIdx, blockIdx;
#define __global__
#define __shared__ static
#define __launch_bounds__(n)
#define __syncthreads() pthread_barrier_wait(&meeting)
static float __int_as_float(int x) { float y; memcpy(&y, &x, 4); return y; }
static unsigned __float_as_uint(float x) { unsigned y; memcpy(&y, &x, 4); return y; }
static float __uint_as_float(unsigned x) { float y; memcpy(&y, &x, 4); return y; }
static double __longlong_as_double(long long x) { double y; memcpy(&y, &x, 8); return y; }
"""

#: And so is Metal's language: what it includes.
_METAL = """\
#include <cmath>
namespace metal {}
using namespace std;
#define device
#define threadgroup static
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long ulong;
typedef Dim uint3;
namespace mem_flags { enum { mem_device = 1, mem_threadgroup = 2 }; }
static void threadgroup_barrier(int) { pthread_barrier_wait(&meeting); }
template <class T, class S> static T as_type(S x) {
  static_assert(sizeof(T) == sizeof(S), "as_type");
  T y; memcpy(&y, &x, sizeof y); return y;
}
static float rsqrt(float x) { return 1.0f / sqrt(x); }
template <class T> static ulong bits_of(T x) {
  ulong y = 0; memcpy(&y, &x, sizeof x); return y;
}
template <class T> static T popcount(T x) { return __builtin_popcountl(bits_of(x)); }
template <class T> static T clz(T x) {
  return x ? __builtin_clzl(bits_of(x)) - (64 - 8 * sizeof(T)) : 8 * sizeof(T);
}
"""


class HostLibrary:
    """Kernels of one language, compiled for the host; ``run`` launches one of them."""

    def __init__(self, texts: Sequence[KernelText], folder: Path, language: str) -> None:
        self.language = language
        target = folder / "kernels.so"
        if language == "cuda":
            source = folder / "kernels.cpp"
            source.write_text(_THREADS + _CUDA + "".join(t.text + _launcher(t) for t in texts))
            compiler = ["g++", "-std=c++17"]
        elif language == "metal":
            source = folder / "kernels.cpp"
            (folder / "metal_stdlib").write_text(_THREADS + _METAL)
            launchers = "".join(_launcher(t, ", block, gridDim, thread") for t in texts)
            source.write_text(metal.source(texts) + launchers)
            compiler = ["g++", "-std=c++14", "-Wno-attributes", "-I", str(folder)]
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
        if self.language != "c":
            table = (ctypes.c_void_p * max(1, len(pointers)))(*pointers)
            self.library[f"run_{text.symbol}"](table)
        else:
            self.library[text.symbol](*map(ctypes.c_void_p, pointers))
        return {
            b: memory[b].reshape(b.shape) for b in text.arguments if b.role in ("output", "inout")
        }


def _launcher(text: KernelText, position: str = "") -> str:
    """A function that launches a kernel; where a thread is comes as arguments, or as in CUDA."""
    x, y, z = text.grid
    arguments = ", ".join(f"Arg{{a[{n}]}}" for n in range(len(text.arguments)))
    given = arguments + (position if arguments else position.removeprefix(", "))
    where = "" if position else "blockIdx = block; threadIdx = {thread, 0, 0}; "
    return (
        f'extern "C" void run_{text.symbol}(void** a) {{ launch('
        f"[](void** a, Dim block, unsigned thread) {{ {where}{text.symbol}({given}); }}, "
        f"a, Dim{{{x}, {y}, {z}}}, {text.block}); }}\n"
    )
