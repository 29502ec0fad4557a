"""A stable radix sort of words in native code, shared among the threads of the pool.

The keys are unsigned, signed or floating-point numbers of 32 or 64 bits, taken as words: the first
pass turns them into unsigned words of the same order, the last one turns them back.  Each pass
sorts by one digit, the least significant first: every chunk of the input counts its digits, the
counts become the places where each chunk's words of a digit go, and the chunks move their words.
NaN comes last.  With an *order*, the positions of the elements are sorted along with them.

The method is in Knuth, The Art of Computer Programming, volume 3, section 5.2.5.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from weft.config import config
from weft.runtime import linker
from weft.runtime.allocator import allocator
from weft.runtime.cache import compile_cached
from weft.runtime.pool import pool, symbols
from weft.structs import struct

#: Bits of a digit: its counts stay in the first cache level.
DIGIT = 8
#: Counts of a chunk, and behind them its number of negative zeros; whole cache lines.
_ROW = (1 << DIGIT) + 64
#: Elements that a loop works on at a time.
_UNROLLED = 4
#: Elements that are worth a chunk.
_CHUNK = 1 << 15
#: Elements from which on this is faster than sorting by comparison.
WORTH = 1 << 13

_FIELDS: tuple[str, ...] = ("src", "dst", "order_in", "order_out", "counts", "n", "chunks")
_FIELDS += ("shift", "flip", "sign", "nan", "zeros")


def sorts(dtype: np.dtype, size: int) -> bool:
    """Whether there is a radix sort for this many keys of `dtype`, and it is worth it."""
    return dtype.kind in "iuf" and dtype.itemsize in (4, 8) and WORTH <= size < 2**31


@struct(frozen=True)
class _Functions:
    library: linker.Library
    run: Any

    def region(self, name: str, env: Any, chunks: int) -> None:
        """Run a region on all chunks."""
        threads = config.threads
        self.run(pool.address, self.library.address(name), ctypes.addressof(env), chunks, threads)


@functools.cache
def _functions(bits: int, ordered: bool) -> _Functions:
    library = linker.link(compile_cached(_text(bits, ordered)), _KINDS)
    kinds = [ctypes.c_void_p] * 3 + [ctypes.c_int64] * 2
    run = ctypes.CFUNCTYPE(None, *kinds)(symbols()["weft_parallel"])
    return _Functions(library, run)


def sort_keys(keys: np.ndarray, out: np.ndarray) -> bool:
    """Write the sorted `keys`, a contiguous vector, to `out`; whether there was no -0.

    -0 comes before 0: as they are equal, this is no stable sort if both occur.
    """
    with _scratch(keys.nbytes) as spare:
        return _sort(keys, out, spare, None, None)


def sort_order(keys: np.ndarray, out: np.ndarray) -> None:
    """Write the positions (int32) that sort `keys`, a contiguous vector, to `out`; stable."""
    with (
        _scratch(keys.nbytes) as first,
        _scratch(keys.nbytes) as second,
        _scratch(out.nbytes) as spare,
    ):
        _sort(keys, np.frombuffer(first, keys.dtype), second, out, spare)


@contextmanager
def _scratch(nbytes: int) -> Iterator[Any]:
    """Memory that need not be fresh."""
    address, size = allocator.take_large(nbytes)
    try:
        yield (ctypes.c_char * nbytes).from_address(address)
    finally:
        allocator.give_back(address, size)


def _sort(keys: np.ndarray, out: np.ndarray, spare: Any, order: Any, spare_order: Any) -> bool:
    bits, n = 8 * keys.itemsize, keys.size
    functions = _functions(bits, order is not None)
    chunks = max(1, min(config.threads, n // _CHUNK))
    passes = -(-bits // DIGIT)
    # Pass by pass from one to the other, so that the last one writes to the result.
    places = [(out.ctypes.data, 0 if order is None else order.ctypes.data)]
    places.append((ctypes.addressof(spare), 0 if order is None else ctypes.addressof(spare_order)))
    targets = [places[(passes - 1 - p) % 2] for p in range(passes)]
    source = (keys.ctypes.data, 0)
    floating = keys.dtype.kind == "f"
    top = 1 << (bits - 1)
    sign = 0 if keys.dtype.kind == "u" else top
    nan = int(np.array(np.inf, keys.dtype).view(f"u{keys.itemsize}")) if floating else top
    flip = -1 if floating else 0
    negative_zeros = 0
    for p, target in enumerate(targets):
        counts = np.zeros((chunks, _ROW), np.int32)
        first, last = p == 0, p == passes - 1
        fields = dict(
            src=source[0],
            dst=target[0],
            order_in=source[1],
            order_out=target[1],
            counts=counts.ctypes.data,
            n=n,
            chunks=chunks,
            shift=p * DIGIT,
            flip=flip,
            sign=sign,
            nan=nan,
            zeros=floating and order is not None,
        )
        words = [_signed(int(fields[name])) for name in _FIELDS]
        env = (ctypes.c_int64 * len(words))(*words)
        functions.region("count_first" if first else "count", env, chunks)
        if first and floating:
            negative_zeros = int(counts[:, 1 << DIGIT].sum())
        digits = np.ascontiguousarray(counts[:, : 1 << DIGIT].T).ravel()
        starts = np.cumsum(digits, dtype=np.int32) - digits
        counts[:, : 1 << DIGIT] = starts.reshape(-1, chunks).T
        functions.region("move_first" if first else "move_last" if last else "move", env, chunks)
        source = target
    return not negative_zeros


def _signed(x: int) -> int:
    return x - 2**64 if x >= 2**63 else x


def _text(bits: int, ordered: bool) -> str:
    """The regions of the passes, for words of `bits`: the first and the last also turn keys."""
    regions = [_Region(bits, ordered, first, last, moves) for first, last, moves in _KINDS.values()]
    return "\n".join(region.text(name) for name, region in zip(_KINDS, regions, strict=True))


#: Whether a region is of the first pass, whether of the last, and whether it moves words.
_KINDS = {
    "count_first": (True, False, False),
    "count": (False, False, False),
    "move_first": (True, False, True),
    "move": (False, False, True),
    "move_last": (False, True, True),
}


class _Region:
    """One region as LLVM text: the chunks of this block, a few elements at a time."""

    def __init__(self, bits: int, ordered: bool, first: bool, last: bool, moves: bool) -> None:
        self.bits, self.word = bits, f"i{bits}"
        self.ordered, self.first, self.last, self.moves = ordered, first, last, moves

    def text(self, name: str) -> str:
        fields = "".join(
            f"  %{field}.p = getelementptr i64, ptr %env, i64 {k}\n"
            f"  %{field} = load {'ptr' if k < 5 else 'i64'}, ptr %{field}.p\n"
            for k, field in enumerate(_FIELDS)
        )
        narrow = "".join(
            f"  %{field}.w = {self.resize('i64', self.word)} i64 %{field} to {self.word}\n"
            for field in ("flip", "sign", "nan", "shift")
        )
        return f"""
define void @{name}(ptr %env, i64 %thread, i64 %lo, i64 %hi, i64 %whole) nounwind {{
entry:
{fields}{narrow}  %canonical = icmp ne i64 %zeros, 0
  %lo.c = mul i64 %lo, %chunks
  %chunk0 = udiv i64 %lo.c, %whole
  %hi.c = mul i64 %hi, %chunks
  %chunk1 = udiv i64 %hi.c, %whole
  br label %outer
outer:
  %c = phi i64 [ %chunk0, %entry ], [ %c1, %done ]
  %more = icmp ult i64 %c, %chunk1
  br i1 %more, label %begin, label %exit
begin:
  %c1 = add i64 %c, 1
  %start.n = mul i64 %c, %n
  %start = udiv i64 %start.n, %chunks
  %end.n = mul i64 %c1, %n
  %end = udiv i64 %end.n, %chunks
  %row.n = mul i64 %c, {_ROW}
  %row = getelementptr i32, ptr %counts, i64 %row.n
  br label %loop
loop:
  %i = phi i64 [ %start, %begin ], [ %i.next, %body ]
  %z = phi i32 [ 0, %begin ], [ %z.{_UNROLLED - 1}, %body ]
  %i.next = add i64 %i, {_UNROLLED}
  %inside = icmp ule i64 %i.next, %end
  br i1 %inside, label %body, label %tail
body:
{self.elements("%i", "%z", [str(u) for u in range(_UNROLLED)])}  br label %loop
tail:
  %j = phi i64 [ %i, %loop ], [ %j.next, %single ]
  %y = phi i32 [ %z, %loop ], [ %z.t, %single ]
  %j.next = add i64 %j, 1
  %left = icmp ult i64 %j, %end
  br i1 %left, label %single, label %done
single:
{self.elements("%j", "%y", ["t"])}  br label %tail
done:
  %seen.p = getelementptr i32, ptr %row, i64 {1 << DIGIT}
  store i32 %y, ptr %seen.p
  br label %outer
exit:
  ret void
}}
"""

    def resize(self, source: str, target: str) -> str:
        """The instruction that makes a word of one width one of another."""
        if source == target:
            return "bitcast"
        return "trunc" if int(source[1:]) > int(target[1:]) else "zext"

    def elements(self, index: str, zeros: str, names: list[str]) -> str:
        """Elements from ``index`` on: all keys first, as their loads do not wait for stores."""
        lines = [self.key(index, k, u) for k, u in enumerate(names)]
        for u in names:
            lines.append(self.place(u))
            seen = f"  %z.{u} = add i32 {zeros}, {f'%zero.{u}' if self.first else 0}\n"
            lines.append(seen)
            zeros = f"%z.{u}"
        return "".join(lines)

    def key(self, index: str, k: int, u: str) -> str:
        """Load a key, in the first pass as a word that sorts; its digit."""
        word, top = self.word, -(1 << (self.bits - 1))
        text = f"""  %i.{u} = add i64 {index}, {k}
  %x.p.{u} = getelementptr {word}, ptr %src, i64 %i.{u}
  %x.{u} = load {word}, ptr %x.p.{u}
"""
        if self.moves and self.ordered:
            text += f"""  %o.p.{u} = getelementptr i32, ptr %order_in, i64 %i.{u}
  %who.{u} = {"trunc i64 %i." + u + " to i32" if self.first else f"load i32, ptr %o.p.{u}"}
"""
        key = f"%x.{u}"
        if self.first:
            key = f"%key.{u}"
            text += f"""  %s.{u} = ashr {word} %x.{u}, {self.bits - 1}
  %f.{u} = and {word} %s.{u}, %flip.w
  %m.{u} = or {word} %f.{u}, %sign.w
  %w.{u} = xor {word} %x.{u}, %m.{u}
  %a.{u} = and {word} %x.{u}, {-top - 1}
  %isnan.{u} = icmp ugt {word} %a.{u}, %nan.w
  %v.{u} = select i1 %isnan.{u}, {word} -1, {word} %w.{u}
  %iszero.{u} = icmp eq {word} %x.{u}, {top}
  %zero.{u} = zext i1 %iszero.{u} to i32
  %same.{u} = and i1 %iszero.{u}, %canonical
  %key.{u} = select i1 %same.{u}, {word} {top}, {word} %v.{u}
"""
        text += f"""  %d.s.{u} = lshr {word} {key}, %shift.w
  %d.m.{u} = and {word} %d.s.{u}, {(1 << DIGIT) - 1}
  %d.{u} = {self.resize(word, "i64")} {word} %d.m.{u} to i64
  %cell.{u} = getelementptr i32, ptr %row, i64 %d.{u}
"""
        return text

    def place(self, u: str) -> str:
        """Count the digit; with a move, put the word (in the last pass turned back) there."""
        word = self.word
        text = f"""  %at.{u} = load i32, ptr %cell.{u}
  %at1.{u} = add i32 %at.{u}, 1
  store i32 %at1.{u}, ptr %cell.{u}
"""
        if not self.moves:
            return text
        text += f"  %to.{u} = zext i32 %at.{u} to i64\n"
        if self.ordered:
            text += f"""  %t.p.{u} = getelementptr i32, ptr %order_out, i64 %to.{u}
  store i32 %who.{u}, ptr %t.p.{u}
"""
        key = f"%key.{u}" if self.first else f"%x.{u}"
        if self.last:
            if self.ordered:
                return text  # nobody needs the keys any more
            key = f"%k.{u}"
            text += f"""  %k.s.{u} = ashr {word} %x.{u}, {self.bits - 1}
  %k.n.{u} = xor {word} %k.s.{u}, -1
  %k.f.{u} = and {word} %k.n.{u}, %flip.w
  %k.m.{u} = or {word} %k.f.{u}, %sign.w
  %k.{u} = xor {word} %x.{u}, %k.m.{u}
"""
        return f"""{text}  %k.p.{u} = getelementptr {word}, ptr %dst, i64 %to.{u}
  store {word} {key}, ptr %k.p.{u}
"""
