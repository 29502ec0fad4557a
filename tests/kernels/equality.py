"""Two kernels compute the same: the check that every scheduling operation must pass."""

from __future__ import annotations

import numpy as np

from tests.kernels.samples import Sample
from weft.kernels.check import check_kernel
from weft.kernels.interpret import run_kernel
from weft.kernels.ir import Kernel


def assert_same(sample: Sample, kernel: Kernel, seed: int = 0) -> None:
    """``kernel`` is well formed and gives what the sample's naive kernel gives."""
    check_kernel(kernel)
    given = sample.arguments(seed)
    expected = run_kernel(sample.kernel, given)
    got = run_kernel(kernel, given)
    for buffer, value in expected.items():
        np.testing.assert_allclose(got[buffer], value, rtol=2e-5, atol=2e-5)
