"""Programs that run a few times: machine code that is made sooner, and finished when it recurs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

import weft
import weft.numpy as wnp
from tests.levels import programs as random_programs
from weft import stored
from weft.array import delayed, families, immediate
from weft.array.families import is_light
from weft.compile import compile_family, compile_jaxpr
from weft.core.avals import ShapedArray
from weft.core.shape_classes import NoClassError, shape_class
from weft.core.staging import trace_to_jaxpr
from weft.runtime import native


def ready(data):
    x = wnp.asarray(np.asarray(data, np.float32))
    x.materialise()
    return x


@pytest.fixture
def programs(monkeypatch):
    """The executables that delayed work has asked for; nothing is known before."""
    made = []

    def executable(closed, *, draft=False, find=families.executable):
        made.append(find(closed, draft=draft))
        return made[-1]

    def finished(closed, find=families.finished):
        made.append(find(closed))
        return made[-1]

    monkeypatch.setattr(families, "_families", type(families._families)(64))
    monkeypatch.setattr(delayed, "_cache", type(delayed._cache)())
    monkeypatch.setattr(families, "executable", executable)
    monkeypatch.setattr(families, "finished", finished)
    delayed._state.segment = None
    immediate.clear()
    return made


@settings(max_examples=30)
@given(random_programs.programs)
def test_drafts_give_the_same_bits(program):
    arrays = random_programs.inputs_of(program)
    closed = trace_to_jaxpr(program, [ShapedArray(x.shape, x.dtype) for x in arrays])
    final, draft = (compile_jaxpr(closed, hasty=True, draft=draft) for draft in (False, True))
    assert draft.stats.draft and not final.stats.draft
    for one, other in zip(final(*arrays), draft(*arrays), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes()


@settings(max_examples=15)
@given(random_programs.programs)
def test_finished_programs_of_a_class_give_the_same_bits(program):
    arrays = random_programs.inputs_of(program)
    closed = trace_to_jaxpr(program, [ShapedArray(x.shape, x.dtype) for x in arrays])
    try:
        instance = shape_class(closed)
        opened = compile_family(instance.family(), draft=True)
    except NoClassError:
        return
    before = [np.asarray(x).tobytes() for x in opened.at(instance)(*arrays)]
    opened.finish()
    assert not opened.stats.draft
    assert [np.asarray(x).tobytes() for x in opened.at(instance)(*arrays)] == before


@pytest.mark.parametrize("shape", [(30, 40), (3, 4)], ids=["of a class", "of its shape alone"])
def test_a_draft_is_finished_when_it_recurs(programs, monkeypatch, shape):
    monkeypatch.setattr(delayed, "WORTH_FINISHING", 3)
    x = ready(np.linspace(-1, 1, shape[0] * shape[1]).reshape(shape))
    results = {(wnp.tanh(x) * x + 1).tobytes() for _ in range(6)}
    assert len(results) == 1
    assert [p.stats.draft for p in programs] == [True, False]


def test_one_that_recurs_finishes_its_class(programs, monkeypatch):
    monkeypatch.setattr(delayed, "WORTH_FINISHING", 2)
    for size in (30, 30, 30, 31, 37):
        (ready(np.ones(size)) * 2 + 1).tolist()
    assert [p.stats.draft for p in programs] == [True, False, False, False]


def test_heavy_programs_have_no_draft(programs):
    one = lambda *shape: wnp.asarray(np.ones(shape, np.float32))  # noqa: E731
    weft.compute(one(100, 90) @ one(90, 100))
    weft.compute(one(300, 300) * 2)
    assert [p.stats.draft for p in programs] == [False, False]


def test_what_is_light():
    def light(f, *shapes):
        return is_light(weft.make_jaxpr(f)(*(np.ones(s, np.float32) for s in shapes)))

    assert light(lambda x: wnp.sin(x) @ x, (16, 16))
    assert not light(lambda x: x @ x, (48, 48))
    assert not light(lambda x: x + 1, (5000,))
    assert not light(lambda x: weft.lax.fori_loop(0, 9, lambda i, v: v + i, x), (3,))


def test_drafts_on_disk_are_drafts_and_give_way_to_final_programs(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(weft.config, "_cache_dir", str(tmp_path))
    closed = weft.make_jaxpr(lambda x: wnp.sin(x) * 7)(np.ones(5, np.float32))

    def found(draft):
        executable = stored.executable_for(closed, hasty=True, draft=draft)
        return "disk" in executable.stats.passes, executable.stats.draft

    assert stored.load(closed) is None
    assert [found(True), found(True)] == [(False, True), (True, True)]
    assert stored.load(closed) is None
    assert [found(False), found(True), found(False)] == [(False, False), *[(True, False)] * 2]
    loaded = stored.load(closed)
    assert loaded is not None and not loaded.stats.draft


def test_code_of_drafts_is_kept_apart(monkeypatch, tmp_path: Path):
    from weft.runtime.cache import compile_cached

    monkeypatch.setattr(weft.config, "_cache_dir", str(tmp_path))
    compiled = []
    compile_module = native.compile_module
    monkeypatch.setattr(
        native,
        "compile_module",
        lambda text, cpu=None, **options: (
            compiled.append(options["draft"]),
            compile_module(text, cpu, **options),
        )[1],
    )
    text = "define i32 @f(i32 %x) { %y = add i32 %x, 1 ret i32 %y }"
    draft = compile_cached(text, draft=True)
    assert compile_cached(text, draft=True) == draft
    final = compile_cached(text)
    assert compile_cached(text) == final == compile_cached(text, draft=True)
    assert compiled == [True, False]


def test_small_factorizations_outside_jit_use_the_library(programs):
    a = np.array([[4, 1], [1, 3]], np.float32)
    inverse = weft.compute(wnp.linalg.cholesky(wnp.asarray(a)))
    np.testing.assert_allclose(inverse, np.linalg.cholesky(a), rtol=1e-6)
    from weft.terms.lower import lower_jaxpr

    closed = weft.make_jaxpr(wnp.linalg.cholesky)(a)
    (now,), (later,) = (lower_jaxpr(closed, hasty=hasty).choices for hasty in (True, False))
    assert now.startswith("library cholesky") and later.startswith("portable cholesky")


@pytest.mark.parametrize("shape", [(7, 33), (300, 400)])
def test_an_open_program_that_is_no_draft_stays_as_it_is(shape):
    closed = weft.make_jaxpr(lambda x: x + 1)(np.ones(shape, np.float32))
    opened = compile_family(shape_class(closed).family(), draft=shape == (300, 400))
    native_code = opened.native
    opened.finish()
    assert opened.native is native_code and not opened.stats.draft
