"""The memory of a WebAssembly engine, handed out in parts."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weft.backends.linear_memory import GRAIN, LinearMemory, rounded

SIZES = st.integers(0, 700)
#: Sizes to take, and positions of what to give back.
STEPS = st.lists(st.tuples(st.booleans(), SIZES), max_size=60)


@given(STEPS)
def test_parts_do_not_overlap_and_come_back(steps: list[tuple[bool, int]]) -> None:
    memory = LinearMemory(GRAIN, 4096)
    held: dict[int, int] = {}
    for take, number in steps:
        if not take:
            if held:
                address = sorted(held)[number % len(held)]
                del held[address]
                memory.give(address)
            continue
        address = memory.take(number)
        if address is None:
            memory.grow(rounded(memory.missing(number)))
            address = memory.take(number)
        assert address is not None and address % GRAIN == 0 and address >= GRAIN
        assert address + number <= memory.end
        for start, size in held.items():
            assert address + max(1, number) <= start or start + max(1, size) <= address
        held[address] = number
    for address in list(held):
        memory.give(address)
    assert memory.take(memory.end - GRAIN) == GRAIN, "what is free is one stretch again"


def test_the_best_fitting_stretch_is_taken() -> None:
    memory = LinearMemory(0, 1024)
    first, second, third, last = (memory.take(n) for n in (256, 64, 128, 64))
    assert first == 0 and third is not None and second is not None and last is not None
    memory.give(first)
    memory.give(third)
    assert memory.take(100) == third
    assert memory.take(300) == last + 64
    assert memory.take(1 << 20) is None
    assert memory.missing(1 << 20) == (1 << 20) - (1024 - memory.end + 1024 - (last + 64 + 320))
