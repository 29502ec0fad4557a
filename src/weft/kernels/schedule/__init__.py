"""Scheduling operations: small functions kernel → kernel that change how, never what.

Each documents itself as ``before → after`` and refuses an illegal step with a `ScheduleError`
that says why.  Loops are addressed by their axis; kernels are never changed in place.
"""

from __future__ import annotations

from weft.kernels.schedule.contraction import Params, schedule_contraction
from weft.kernels.schedule.epilogue import part_epilogue
from weft.kernels.schedule.errors import ScheduleError
from weft.kernels.schedule.find import Contraction, find_contractions
from weft.kernels.schedule.folds import block_fold, split_fold
from weft.kernels.schedule.forward import forward
from weft.kernels.schedule.memory import fold_through_memory
from weft.kernels.schedule.numbers import default_params
from weft.kernels.schedule.order import fuse_loops, nest_perfectly, parallelize, reorder
from weft.kernels.schedule.scan import split_scan
from weft.kernels.schedule.split import inline_loop, inline_single, peel, split, unroll
from weft.kernels.schedule.stage import Layout, stage, stage_writes
from weft.kernels.schedule.stream import stream
from weft.kernels.schedule.tile import interleave, tile, vectorize
from weft.kernels.schedule.tree import find_loop, has_loop, without_dead_code

__all__ = [
    "Contraction",
    "Layout",
    "Params",
    "ScheduleError",
    "block_fold",
    "default_params",
    "find_contractions",
    "find_loop",
    "fold_through_memory",
    "forward",
    "fuse_loops",
    "has_loop",
    "inline_loop",
    "inline_single",
    "interleave",
    "nest_perfectly",
    "parallelize",
    "part_epilogue",
    "peel",
    "reorder",
    "schedule_contraction",
    "split",
    "split_fold",
    "split_scan",
    "stage",
    "stage_writes",
    "stream",
    "tile",
    "unroll",
    "vectorize",
    "without_dead_code",
]
