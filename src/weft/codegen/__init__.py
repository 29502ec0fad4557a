"""Kernels to machine code or source: one file per target."""
