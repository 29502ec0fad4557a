"""Programs: printed, checked, run."""

from __future__ import annotations

import textwrap

import numpy as np
import pytest

from tests.kernels.programs import ADD, COUNT, REVERSE, N, less_than
from tests.kernels.samples import BOOL, F32, F64, I32
from weft.kernels.program import (
    Copy,
    For,
    If,
    Launch,
    Program,
    Routine,
    Slot,
    Step,
    Swap,
    While,
)
from weft.kernels.program_check import ProgramError, check_program
from weft.kernels.program_interpret import run_program
from weft.kernels.program_print import print_program

VALUES = np.arange(N, dtype=np.float32)


def vector(name: str, role: str = "temporary") -> Slot:
    return Slot(name, (N,), F32, role)


def program(steps: list[Step], *temporaries: Slot) -> Program:
    return Program((steps_x,), (steps_y,), (), temporaries, steps)


steps_x, steps_y = vector("x", "input"), vector("y", "output")


def counting() -> Program:
    n, s, t = Slot("n", (), I32), vector("s"), vector("t")
    body: list[Step] = [Launch(COUNT, (n, s, t)), Swap(s, t)]
    return program([Copy(s, steps_x), For(4, n, body), Copy(steps_y, s)], n, s, t)


def test_for_with_swapped_carry() -> None:
    p = counting()
    check_program(p)
    np.testing.assert_array_equal(run_program(p, [VALUES])[0], VALUES + 6)


def test_while_and_if() -> None:
    n, go, out = Slot("n", (), I32), Slot("go", (), BOOL), vector("out")
    k = Slot("k", (), I32, "input")
    choose = If(k, ([Launch(REVERSE, (steps_x, out))], [Copy(out, steps_x)]))
    p = Program((steps_x, k), (steps_y,), (), (out,), [choose, Copy(steps_y, out)])
    check_program(p)
    for index, expected in ((-5, VALUES[::-1]), (0, VALUES[::-1]), (1, VALUES), (9, VALUES)):
        np.testing.assert_array_equal(run_program(p, [VALUES, np.int32(index)])[0], expected)
    s, t, m = vector("s"), vector("t"), Slot("m", (), I32)
    loop: list[Step] = [
        Copy(s, steps_x),
        For(3, n, [While([Launch(less_than(0), (n, go))], go, []), Copy(m, n)]),
        Launch(COUNT, (m, s, t)),
        Copy(steps_y, t),
    ]
    p = program(loop, n, go, s, t, m)
    check_program(p)
    np.testing.assert_array_equal(run_program(p, [VALUES])[0], VALUES + 2)


def test_routine_and_constant() -> None:
    c = Slot("c", (N,), F32, "constant", data=np.ones(N, np.float32))
    t = vector("t")
    steps: list[Step] = [
        Routine("cumsum", (steps_x,), (t,), {"axis": 0}),
        Launch(ADD, (t, c, steps_y)),
    ]
    p = Program((steps_x,), (steps_y, c), (c,), (t,), steps)
    check_program(p)
    got = run_program(p, [VALUES], {"cumsum": lambda x, axis: [np.cumsum(x, axis)]})
    np.testing.assert_array_equal(got[0], np.cumsum(VALUES) + 1)
    np.testing.assert_array_equal(got[1], np.ones(N))
    with pytest.raises(KeyError, match="no meaning is given for the routine 'cumsum'"):
        run_program(p, [VALUES])


def test_inputs_are_validated() -> None:
    with pytest.raises(ValueError, match="takes 1 inputs, got 0"):
        run_program(counting(), [])
    with pytest.raises(ValueError, match=r"input x is f32\[6\]; got f64\[6\]"):
        run_program(counting(), [VALUES.astype(np.float64)])


def test_text() -> None:
    text = print_program(counting())
    assert text.startswith(
        textwrap.dedent(
            """\
            program(x: f32[6] -> y: f32[6])
              temporary n: i32[]
              temporary s: f32[6]
              temporary t: f32[6]
              copy s = x
              for 4 counting n
                launch count(n, s -> t)
                swap s, t
              copy y = s

            kernel count(k: i32[], x: f32[6] -> z: f32[6])
            """
        )
    )


def refused(p: Program, text: str) -> None:
    with pytest.raises(ProgramError, match=text):
        check_program(p)


def test_refusals() -> None:
    t, wide = vector("t"), Slot("wide", (N,), F64)
    refused(program([]), "output y is never written")
    refused(program([Copy(steps_y, t)], t), "t is read before it is written\n  at: copy y = t")
    refused(program([Copy(steps_y, t)]), "slot t does not belong to the program")
    refused(program([Copy(steps_x, steps_x)]), "input x is written")
    refused(program([Copy(wide, steps_x)], wide), r"wide: f64\[6\] and x: f32\[6\] differ")
    refused(program([Launch(ADD, (steps_x, steps_y))]), "launch of add with 2 slots; it takes 3")
    refused(
        program([Copy(t, steps_x), Launch(ADD, (steps_x, t, t))], t),
        "t is written and bound to another parameter",
    )
    refused(program([For(2, t, [])], t), r"t: f32\[6\] is not a scalar i32")
    refused(program([Copy(t, steps_x), Swap(t, steps_x)], t), "input x is written")
    n = Slot("n", (), I32)
    only_maybe: list[Step] = [For(0, n, [Copy(t, steps_x)]), Copy(steps_y, t)]
    refused(program(only_maybe, n, t), "t is read before it is written")
    choice = If(n, ([Copy(t, steps_x)], []))
    refused(
        program([For(1, n, [choice, Copy(steps_y, t)])], n, t), "t is read before it is written"
    )


def test_overlapping_plan_is_refused() -> None:
    s, t = vector("s"), vector("t")
    steps: list[Step] = [
        Copy(s, steps_x),
        Launch(REVERSE, (s, t)),
        Launch(ADD, (s, t, steps_y)),
    ]
    p = program(steps, s, t)
    s.offset = t.offset = 0
    p.arena_bytes = 64
    refused(p, "temporaries s and t share memory while both are alive|t and s share")
    t.offset = 8
    refused(p, "is misaligned or leaves")
