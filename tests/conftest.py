"""Settings for every test: the same examples on every run, no deadline on a busy machine,
nothing from earlier runs (programs are planned and compiled anew), and every level of what is
compiled checked as it is made.

``pytest --cpu sse2`` runs the tests with code that uses no more than those instructions.
"""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from weft.config import CPUS, config

config.check = True
settings.register_profile(
    "weft",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("weft")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cpu", choices=CPUS, default="native", help="instructions to compile for")


def pytest_configure(config: pytest.Config) -> None:
    _compile_for(config.getoption("--cpu"))


def _compile_for(cpu: str) -> None:
    config.cpu = cpu
    config.cache_dir = None
