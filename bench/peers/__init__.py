"""One module per framework, each with one function per workload.

A module creates a `Peer` and fills it with two decorators:

* ``@peer.function("name", ..)`` marks a pure function from arrays to arrays, which the driver
  compiles with the framework's own ``jit`` (if any) and calls with device-resident inputs;
* ``@peer.program("name", ..)`` marks a function that takes the NumPy inputs, prepares whatever
  state it likes, and returns the zero-argument callable to be timed. It serves workloads with
  state (training steps, caches) and frameworks that keep the outer loop in Python.
"""

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

# framework name -> (module in this package, variant given to Peer.select)
FRAMEWORKS = {
    "weft": ("jax_", "weft"),
    "jax": ("jax_", "jax"),
    "numpy": ("numpy_", ""),
    "numba": ("numba_", ""),
    "torch": ("torch_", "eager"),
    "torch_compile": ("torch_", "compile"),
    "torch_sdpa": ("torch_", "sdpa"),
    "tinygrad": ("tinygrad_", ""),
    "tinygrad_beam": ("tinygrad_", ""),
}

# framework name -> the package it needs
PACKAGES = {
    name: {"jax_": variant}.get(module, module.rstrip("_"))
    for name, (module, variant) in FRAMEWORKS.items()
}

# frameworks whose first call compiles
COMPILING = {"weft", "jax", "numba", "torch_compile", "tinygrad", "tinygrad_beam"}

# Environment variables that have to be set before a framework is imported.
ENVIRONMENT = {
    "torch_compile": {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"},
    "tinygrad": {"DEV": "CPU:LLVM", "CCACHE": "0"},
    "tinygrad_beam": {"DEV": "CPU:LLVM", "CCACHE": "1", "BEAM": "2"},
}


class Peer:
    """Implementations of workloads in one framework, and how to call them."""

    warmup_calls = 1  # calls after which everything is compiled

    def __init__(self):
        self.functions: dict[str, Callable] = {}
        self.programs: dict[str, Callable] = {}
        self.variant = ""

    def function(self, *names: str):
        """Register a pure function as the implementation of the named workloads."""

        def register(implementation):
            self.functions.update(dict.fromkeys(names, implementation))
            return implementation

        return register

    def program(self, *names: str):
        """Register a function that returns the zero-argument callable to be timed."""

        def register(implementation):
            self.programs.update(dict.fromkeys(names, implementation))
            return implementation

        return register

    def select(self, variant: str):
        """Choose a variant of the framework (eager or compiled, for example)."""
        self.variant = variant

    def supports(self, name: str) -> bool:
        return name in self.functions or name in self.programs

    def prepare(self, workload) -> Callable[[], Any]:
        """Return a zero-argument callable that runs the workload once."""
        inputs = workload.inputs()
        if workload.name in self.programs:
            return self.programs[workload.name](*inputs)
        function = self.jit(self.functions[workload.name])
        arrays = [self.array(x, workload.precision) for x in inputs]
        return lambda: function(*arrays)

    def jit(self, function: Callable) -> Callable:
        """Compile ``function`` with the framework's compiler."""
        return function

    def array(self, x: np.ndarray, precision: str):
        """Convert a NumPy input to the framework's array type."""
        return x

    def wait(self, outputs) -> None:
        """Block until ``outputs`` have been computed."""

    def to_numpy(self, x) -> np.ndarray:
        """Convert one output array to float64."""
        return np.array(x, dtype=np.float64)

    def leaves(self, outputs) -> list[np.ndarray]:
        """Flatten nested outputs into a list of flat float64 arrays."""
        if isinstance(outputs, dict):
            outputs = outputs.values()
        elif not isinstance(outputs, (tuple, list)):
            return [self.to_numpy(outputs).ravel()]
        return [leaf for item in outputs for leaf in self.leaves(item)]


def load(framework: str) -> Peer:
    """Import the module behind ``framework`` and select the right variant."""
    module, variant = FRAMEWORKS[framework]
    peer = importlib.import_module(f"peers.{module}").peer
    peer.select(variant)
    return peer
