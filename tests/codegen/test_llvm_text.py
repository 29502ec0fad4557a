"""The text emitter: literals, folding, control flow, and text that LLVM accepts."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

from weft.codegen.llvm_text import (
    Module,
    element_and_lanes,
    float_literal,
    literal,
    mangle,
    vector,
)


def test_type_spelling():
    assert vector("float", 16) == "<16 x float>"
    assert vector("double", 1) == "double"
    assert element_and_lanes("<8 x i1>") == ("i1", 8)
    assert element_and_lanes("ptr") == ("ptr", 1)
    assert mangle("<16 x float>") == "v16f32"
    assert mangle("ptr") == "p0"


@pytest.mark.parametrize(
    ("element", "x", "text"),
    [
        ("double", 0.1, "0x3FB999999999999A"),
        ("float", 0.1, "0x3FB99999A0000000"),
        ("float", 1e300, "0x7FF0000000000000"),
        ("half", 1e6, "0xH7C00"),
        ("half", -0.0, "0xH8000"),
        ("bfloat", 1.00390625, "0xR3F80"),
        ("bfloat", float("nan"), "0xR7FC0"),
    ],
)
def test_float_literals_are_exact(element, x, text):
    assert float_literal(element, x) == text


def test_float_literal_of_an_integer_type_is_an_error():
    with pytest.raises(ValueError, match="'i32' is not a floating-point type"):
        float_literal("i32", 1.0)


def test_literal_splats_vectors():
    assert literal("<4 x i32>", 7) == "splat (i32 7)"
    assert literal("i1", True) == "true"


def test_index_arithmetic_folds():
    f = Module().function("f")
    assert f.add(f.mul(3, 4), 5) == 17
    assert f.add("%i", 0) == "%i"
    assert f.mul("%i", 1) == "%i"
    assert f.min(3, 4) == 3
    assert f.text().count("\n") == 2


def test_module_prints_in_order_of_first_use():
    module = Module()
    f = module.function("f", ["double %x"], "double")
    f.ret("double", f.intrinsic("fma", "double", "%x", "%x", f.intrinsic("sqrt", "double", "%x")))
    assert module.text() == (
        "define double @f(double %x) nounwind {\n"
        "entry:\n"
        "  %v1 = call double @llvm.sqrt.f64(double %x)\n"
        "  %v2 = call double @llvm.fma.f64(double %x, double %x, double %v1)\n"
        "  ret double %v2\n"
        "}\n"
        "declare double @llvm.sqrt.f64(double)\n"
        "declare double @llvm.fma.f64(double, double, double)\n"
    )


def test_names_are_unique():
    module = Module()
    module.function("f").ret()
    with pytest.raises(ValueError, match="'f' exists already"):
        module.function("f")


def test_data_is_shared_and_routines_are_built_once():
    module = Module()
    assert module.data("i32", [1, 2]) == module.data("i32", [1, 2])
    built = []

    def build(m, name):
        built.append(name)
        m.function(name).ret()

    assert module.routine("helper", build) == module.routine("helper", build) == "@helper"
    assert built == ["helper"]


def test_loop_must_carry_what_it_declares():
    f = Module().function("f")
    with (
        pytest.raises(ValueError, match=r"carries 1 values, but loop\.carry was given 0"),
        f.loop(0, 4, carried=[("i64", 0)]),
    ):
        pass


@pytest.mark.parametrize("at_least_once", [False, True])
def test_nested_loops_and_branches_compute(native, at_least_once):
    """Sum over i < n of (i even ? i : -1) * 3, counted one by one."""
    module = Module()
    f = module.function("f", ["ptr %out", "i64 %n"])
    with f.loop(0, "%n", 1, [("i64", 0)], at_least_once) as outer:
        even = f.i(f"trunc i64 {outer.index} to i1")
        [term] = f.if_(even, lambda: [-1], lambda: [outer.index], ["i64"])
        with f.loop(0, 3, 1, [("i64", outer.carried[0])], at_least_once) as inner:
            inner.carry(f.add(inner.carried[0], term))
        outer.carry(inner.results[0])
    f.store("i64", outer.results[0], "%out")
    f.ret()
    out = np.zeros(1, np.int64)
    native(module.text()).call("f", out.ctypes.data, ctypes.c_int64(7))
    assert out[0] == 3 * (0 - 1 + 2 - 1 + 4 - 1 + 6)


def test_masked_access_touches_only_its_lanes(native):
    module = Module()
    f = module.function("f", ["ptr %y", "ptr %x"])
    type_ = "<4 x float>"
    mask = "<i1 true, i1 false, i1 true, i1 false>"
    value = f.masked_load(type_, "%x", mask, f.splat(type_, 9))
    f.masked_store(type_, f.i(f"fadd {type_} {value}, {value}"), "%y", mask)
    f.ret()
    x, y = np.arange(1, 5, dtype=np.float32), np.zeros(4, np.float32)
    native(module.text()).call("f", y.ctypes.data, x.ctypes.data)
    assert y.tolist() == [2, 0, 6, 0]


def test_nontemporal_stores_and_unlikely_branches_parse(native):
    module = Module()
    f = module.function("f", ["ptr %y", "i1 %c"])
    f.if_("%c", lambda: f.store("<4 x float>", "zeroinitializer", "%y", 16, True), unlikely=True)
    f.ret()
    text = module.text()
    assert "!nontemporal !1" in text and "!prof !0" in text
    native(text)
