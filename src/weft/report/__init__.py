"""What the compiler made of a function: `explain` and its `Report`."""

from weft.report.explain import explain
from weft.report.report import EGraph, KernelReport, Report
