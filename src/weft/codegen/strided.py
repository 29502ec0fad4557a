"""Strided vectors in registers: transposing a square of vectors, and thinning contiguous ones.

A gather takes more than a cycle per element.  When the elements between two lanes are needed too
(a tile with another axis that is contiguous in memory), or when there are few of them, contiguous
loads and shuffles are several times faster.
"""

from __future__ import annotations

from collections.abc import Sequence

from weft.codegen.llvm_text import Function, bit_width, element_and_lanes

#: Lanes further apart than this share too few loads: they are gathered.
MAX_STRIDE = 8


def transpose(f: Function, kind: str, rows: Sequence[str]) -> list[str]:
    """Columns of the square matrix whose rows are these vectors (as many as each has lanes).

    Rows that hold nothing may be ``poison``.  Each of the log₂(lanes) stages pairs registers: first
    elements are interleaved within 128 bits, where every vector unit can, then whole pieces of 128
    bits are dealt out.
    """
    element, width = element_and_lanes(kind)
    piece = min(width, 128 // bit_width(element))
    slots = list(rows)
    step = 1
    while step < piece:
        slots = _stage(f, kind, slots, step, *_unpack_masks(width, piece, step))
        step *= 2
    while step < width:
        slots = _stage(f, kind, slots, step, *_deal_masks(width, piece))
        step *= 2
    bits = piece.bit_length() - 1
    order = [int(format(n, f"0{bits}b")[::-1], 2) if bits else 0 for n in range(piece)]
    return [slots[n // piece * piece + order[n % piece]] for n in range(width)]


def _stage(
    f: Function, kind: str, rows: list[str], step: int, low: list[int], high: list[int]
) -> list[str]:
    """Replace each pair of registers ``step`` apart by two shuffles of it."""
    out = list(rows)
    for n in range(len(rows)):
        if n & step == 0:
            a, b = rows[n], rows[n + step]
            if a == b == "poison":
                continue
            out[n] = f.shuffle(kind, a, b, low)
            out[n + step] = f.shuffle(kind, a, b, high)
    return out


def _unpack_masks(width: int, piece: int, granule: int) -> tuple[list[int], list[int]]:
    """Interleave granules of the low and of the high halves of every piece of two registers."""
    masks = []
    for half in (0, piece // 2):
        mask: list[int] = []
        for start in range(half, width, piece):
            for at in range(start, start + piece // 2, granule):
                mask += range(at, at + granule)
                mask += range(width + at, width + at + granule)
        masks.append(mask)
    return masks[0], masks[1]


def _deal_masks(width: int, piece: int) -> tuple[list[int], list[int]]:
    """Even pieces of two registers, and odd ones."""
    masks = []
    for parity in (0, piece):
        starts = range(parity, 2 * width, 2 * piece)
        masks.append([lane for at in starts for lane in range(at, at + piece)])
    return masks[0], masks[1]


def thinning(width: int, stride: int) -> list[tuple[int, list[int]]]:
    """Contiguous vectors that cover lanes ``stride`` apart, and which lanes each provides.

    Returns pairs of an offset from the first lane's element and the lane of that vector wanted in
    each place (-1 where another vector provides it).  Nothing outside the lanes' own span is read.
    """
    reach = (width - 1) * stride
    lowest = min(0, reach)
    span = abs(reach) + 1
    plan: list[tuple[int, list[int]]] = []
    done: set[int] = set()
    for start in range(0, span, width):
        start = min(start, span - width)
        lanes = [-1] * width
        for n in range(width):
            at = n * stride - lowest - start
            if 0 <= at < width and n not in done:
                lanes[n] = at
                done.add(n)
        if any(lane >= 0 for lane in lanes):
            plan.append((lowest + start, lanes))
    return plan


def thin(f: Function, kind: str, vectors: Sequence[str], plan: Sequence[list[int]]) -> str:
    """One vector of the lanes that ``plan`` (of `thinning`) takes from each of ``vectors``."""
    _, width = element_and_lanes(kind)
    result = vectors[0]
    for n, (vector, lanes) in enumerate(zip(vectors, plan, strict=True)):
        if n == 0:
            result = f.shuffle(kind, vector, "poison", lanes)
            continue
        if n == 1:  # the first two need one shuffle together
            both = [
                a if a >= 0 else width + b if b >= 0 else -1
                for a, b in zip(plan[0], lanes, strict=True)
            ]
            result = f.shuffle(kind, vectors[0], vector, both)
            continue
        kept = [width + b if b >= 0 else k for k, b in enumerate(lanes)]
        result = f.shuffle(kind, result, vector, kept)
    return result


def interlace(f: Function, kind: str, columns: Sequence[str]) -> list[str]:
    """The elements of these vectors in turn: the first of each, then the second of each, …

    As many vectors as are given, each made of one shuffle fewer than there are.
    """
    _, width = element_and_lanes(kind)
    count = len(columns)
    made: list[str] = []
    for n in range(count):
        places = [divmod(n * width + lane, count) for lane in range(width)]
        result = columns[0]
        mask = [row if column == 0 else -1 for row, column in places]
        for c in range(1, count):
            mask = [
                width + row if column == c else lane
                for lane, (row, column) in zip(mask, places, strict=True)
            ]
            result = f.shuffle(kind, result, columns[c], mask)
            mask = [k if lane >= 0 else -1 for k, lane in enumerate(mask)]
        made.append(result)
    return made
