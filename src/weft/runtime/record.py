"""`ProgramRecord`: a compiled program as plain data, which can lie on disk."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import field

import numpy as np

from weft.runtime.buffer import Buffer
from weft.runtime.callback import HostRoutine
from weft.runtime.executable import NativeProgram
from weft.runtime.libraries import library_address, library_symbol
from weft.runtime.stamps import clock_address
from weft.structs import struct

_LENGTH_BYTES = 8


@struct
class ProgramRecord:
    """All that a `NativeProgram` is made of, and what its caller wants to know.

    ``objects`` are its object code, ``main`` in the last.
    ``constants`` are their bytes; ``reuse`` says which outputs may lie in the memory of which
    inputs; ``libraries`` names the routines of LAPACK and BLAS that it calls, and ``routines`` are
    the functions of Python, by symbol; ``kernels`` and ``refused`` are statistics. ``stamped`` says
    that it tells the time (`weft.runtime.stamps`); such a program is not kept.
    """

    objects: Sequence[bytes]
    input_nbytes: Sequence[int]
    output_nbytes: Sequence[int]
    constants: Sequence[bytes]
    arena_nbytes: int
    uses_pool: bool
    seconds: float
    libraries: tuple[str, ...] = ()
    routines: Mapping[str, HostRoutine] = field(default_factory=dict)
    reuse: Mapping[int, int] = field(default_factory=dict)
    kernels: int = 0
    refused: int = 0
    stamped: bool = False

    def link(self) -> NativeProgram:
        """The program, ready to run."""
        imports = {library_symbol(name): library_address(name) for name in self.libraries}
        if self.stamped:
            imports["clock_gettime"] = clock_address()
        return NativeProgram(
            self.objects,
            input_nbytes=self.input_nbytes,
            output_nbytes=self.output_nbytes,
            constants=[Buffer.from_numpy(np.frombuffer(c, np.uint8)) for c in self.constants],
            arena_nbytes=self.arena_nbytes,
            uses_pool=self.uses_pool,
            seconds=self.seconds,
            callbacks={symbol: r.callback() for symbol, r in self.routines.items()},
            imports=imports,
        )

    def pack(self) -> bytes:
        """As bytes: the length of a pickled header, the header, the object code, the constants.

        Raises what `pickle` does when a routine is a function that has no name elsewhere.
        """
        header = pickle.dumps(
            {
                "objects": [len(code) for code in self.objects],
                "constants": [len(c) for c in self.constants],
                "input_nbytes": list(self.input_nbytes),
                "output_nbytes": list(self.output_nbytes),
                "arena_nbytes": self.arena_nbytes,
                "uses_pool": self.uses_pool,
                "seconds": self.seconds,
                "libraries": self.libraries,
                "routines": dict(self.routines),
                "reuse": dict(self.reuse),
                "kernels": self.kernels,
                "refused": self.refused,
            }
        )
        length = len(header).to_bytes(_LENGTH_BYTES, "little")
        return b"".join([length, header, *self.objects, *self.constants])

    @staticmethod
    def unpack(data: bytes) -> ProgramRecord:
        """The record that `pack` made these bytes of."""
        start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
        fields = pickle.loads(data[_LENGTH_BYTES:start])
        pieces = []
        objects, constants = fields.pop("objects"), fields.pop("constants")
        for length in (*objects, *constants):
            pieces.append(data[start : start + length])
            start += length
        count = len(objects)
        return ProgramRecord(pieces[:count], constants=pieces[count:], **fields)
