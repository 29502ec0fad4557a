"""Equal kernels are one kernel; groups respect dependences; long programs plan in linear time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import weft
import weft.numpy as wnp
from weft.kernels.build import Cone, Output
from weft.kernels.canonical import cone_key
from weft.kernels.groups import Groups
from weft.terms.affine import Affine, Axis
from weft.terms.monoids import ADD, MONOIDS
from weft.terms.region import Def
from weft.terms.term import Const, Fold, Load, Map, Value

F32 = np.dtype(np.float32)


def product(n=4, k=8, scale=1.0, monoid=ADD, transposed=False, same=False):
    """The cone of ``c[i, j] = scale * sum[k] a[i, k] * b[k, j]``."""
    i, j, over = Axis("i", n), Axis("j", n), Axis("k", k)
    a = Value("a", (n, k), F32)
    b = a if same else Value("b", (n, k) if transposed else (k, n), F32)
    place = (j, over) if transposed or same else (over, j)
    x = Load(a, (Affine.of(i), Affine.of(over)))
    y = Load(b, tuple(map(Affine.of, place)))
    total = Fold(monoid, (over,), (Map("mul", (x, y), F32),))
    term = Map("mul", (total, Const(scale, F32)), F32)
    out = Value("c", (n, n), F32)
    return Cone("c", (Output(out, (i, j), (Affine.of(i), Affine.of(j)), term),))


def test_names_and_objects_do_not_count():
    (one, first), (two, second) = cone_key(product()), cone_key(product())
    assert one == two
    assert [v.name for v in first] == [v.name for v in second] == ["c", "a", "b"]
    assert not set(first) & set(second)


def test_everything_computed_counts():
    cones = [
        product(),
        product(n=5),
        product(k=9),
        product(scale=-1.0),
        product(monoid=MONOIDS["max"]),
        product(transposed=True),
        product(same=True),
    ]
    assert len({cone_key(c)[0] for c in cones}) == len(cones)


def layers(count):
    def f(x, weights):
        for w, b in weights:
            x = wnp.maximum(x @ w + b, 0)
        return x

    weights = [(np.full((8, 8), 0.1, np.float32), np.ones(8, np.float32)) for _ in range(count)]
    return f, (np.ones((4, 8), np.float32), weights)


def test_equal_layers_share_their_kernels():
    few, arguments = layers(3)
    many, more_arguments = layers(12)
    assert weft.jit(many).stats(*more_arguments).kernels <= weft.jit(few).stats(*arguments).kernels
    expected = more_arguments[0]
    for w, b in more_arguments[1]:
        expected = np.maximum(expected @ w + b, 0)
    np.testing.assert_allclose(weft.jit(many)(*more_arguments), expected, rtol=1e-5)


def test_long_programs_are_cut_into_kernels_of_bounded_size():
    def chain(x):
        y = x
        for n in range(1500):
            y = wnp.sin(y) if n % 50 == 0 else y * x + 0.01 if n % 3 == 0 else y - x
        return y

    x = np.linspace(0.1, 0.9, 10, dtype=np.float32)
    stats = weft.jit(chain).stats(x)
    assert 2 <= stats.kernels <= 20
    expected = x
    with np.errstate(all="ignore"):
        for n in range(1500):
            step = np.sin(expected) if n % 50 == 0 else expected - x
            expected = expected * x + np.float32(0.01) if n % 50 and n % 3 == 0 else step
    np.testing.assert_allclose(weft.jit(chain)(x), expected, rtol=1e-3, atol=1e-3)


# -- groups ----------------------------------------------------------------------------------------


@st.composite
def graphs(draw):
    """Reads of steps 0, 1, …, each of some earlier ones; and merges to try."""
    count = draw(st.integers(1, 9))
    reads = [draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(count)]
    number = st.integers(0, count - 1)
    return reads, draw(st.lists(st.tuples(number, number), max_size=12))


def reachable(groups, reads, a, b, avoiding=()):
    """Whether group ``b`` reads ``a``, through others or directly (the specification)."""
    stack, seen = [a], set()
    while stack:
        group = stack.pop()
        for g, members in groups.members.items():
            if g in seen or g == group or (group, g) in avoiding:
                continue
            values = {s.value for s in groups.members[group]}
            if any(reads[m.value] & values for m in members):
                if g == b:
                    return True
                seen.add(g)
                stack.append(g)
    return False


@given(graphs())
@settings(max_examples=150)
def test_merges_never_make_a_cycle(graph):
    reads, merges = graph
    axis = Axis("i", 2)
    values = [Value(f"v{n}", (2,), F32) for n in range(len(reads))]
    steps = [Def(v, (axis,), Const(0.0, F32)) for v in values]
    known = {v: {values[r] for r in rs} for v, rs in zip(values, reads, strict=True)}
    groups = Groups(steps, known)
    for first, second in merges:
        a, b = groups.of[values[min(first, second)]], groups.of[values[max(first, second)]]
        if a == b:
            continue
        around = groups.path_around(a, b)
        assert around == reachable(groups, known, a, b, avoiding={(a, b)})
        if not around and not reachable(groups, known, b, a):
            groups.merge(a, b)
        elif around:
            with pytest.raises(ValueError, match="cycle"):
                groups.merge(a, b)
    done: set[Value] = set()
    for group in groups.in_order():
        inside = {s.value for s in group}
        for step in group:
            assert known[step.value] <= done | inside
        done |= inside
    assert done == set(values)


# -- between processes -----------------------------------------------------------------------------

SCRIPT = """
import sys, numpy as np, weft, weft.numpy as wnp
weft.config.cache_dir = sys.argv[1]
if sys.argv[2] == "first something else":
    weft.jit(lambda x: wnp.sin(x).sum())(np.ones(7))
import weft.runtime.native as native
compiled = []
original = native.compile_module
native.compile_module = lambda *a, **k: compiled.append(1) or original(*a, **k)
def loss(p, x):
    return (wnp.tanh(x @ p["w"] + p["b"]) ** 2).mean()
p = {"w": np.ones((16, 16), np.float32), "b": np.ones(16, np.float32)}
weft.jit(weft.value_and_grad(loss))(p, np.ones((8, 16), np.float32))
print(len(compiled))
"""


def test_another_process_finds_the_code_on_disk(tmp_path):
    counts = []
    for history in ("nothing", "first something else", "nothing"):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path), history]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
        counts.append(int(done.stdout))
    assert counts[0] >= 1
    assert counts[1:] == [0, 0]


def test_long_bodies_are_not_unrolled():
    from weft.kernels import ir

    def chain(x):
        y = x
        for n in range(300):
            y = wnp.exp(y) if n % 3 == 0 else y * x
        return y

    program = weft.jit(chain).trace(np.ones(4096, np.float32)).executable.program
    widths = [
        v.axes[0].extent
        for step in program.steps
        for s in ir.walk(step.kernel.body)
        for v in ir.outputs_of(s)
        if v.axes
    ]
    assert max(widths) <= 64
