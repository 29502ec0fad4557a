"""``weft explain``: functions of scripts, from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from weft.cli import main
from weft.report.script import ScriptError, explain_script

SCRIPT = """
import numpy as np
import weft
import weft.numpy as wnp
from math import pi

@weft.jit
def wave(x, *, rate=1.0):
    return wnp.sin(x * rate) * pi

def plain(x, *more, scale):
    return scale * sum(more, x)

def inner(x):
    return x.sum()

outer = [weft.jit(lambda x: inner(x * 2))]

@weft.jit
def around(x):
    def nested(y):
        return y * 2
    def bound(y):
        return x * y
    bound(2)
    return weft.grad(lambda y: nested(y).sum())(x)

def silent(x):
    print(x.sum().dtype)

def never(a, b):
    return a @ b

if __name__ == "__main__":
    wave(np.ones(3000, np.float32), rate=2.0)
    plain(wnp.ones(4), wnp.ones(4), scale=3.0)
    outer[0](wnp.ones(7))
    around(wnp.ones(3))
    silent(wnp.ones(3))
    raise SystemExit("nobody calls `never`")
"""


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "waves.py"
    path.write_text(SCRIPT)
    return str(path)


def test_the_first_call_is_explained(script: str) -> None:
    report = explain_script(f"{script}:wave")
    assert report.name == "wave" and report.measurable
    assert "f32[3000]" in report.levels["jaxpr"]
    assert report.kernels[0].source_lines[0].text() == "return wnp.sin(x * rate) * pi"
    assert report.measure().measured is not None


def test_calls_with_all_kinds_of_arguments(script: str) -> None:
    assert explain_script(f"{script}:plain").levels["jaxpr"].count("f32[4]") >= 2


def test_what_is_traced_has_types_only(script: str) -> None:
    report = explain_script(f"{script}:inner")
    assert not report.measurable and "f32[7]" in report.levels["jaxpr"]
    assert explain_script(f"{script}:nested").name == "nested"


def test_arguments_are_types_or_expressions(script: str) -> None:
    report = explain_script(f"{script}:never", ["f32[20,30]", "np.ones((30, 4)) * pi"])
    assert "f32[20,30]" in report.levels["jaxpr"] and not report.measurable
    with pytest.raises(ScriptError, match=r"never cannot be traced: TypeError: .*'b'"):
        explain_script(f"{script}:never", ["f32[20,30]"])
    with pytest.raises(ScriptError, match="bound uses values of the traced function around it"):
        explain_script(f"{script}:bound")
    with pytest.raises(ScriptError, match=r"'what\[3' is neither a type .* SyntaxError"):
        explain_script(f"{script}:never", ["what[3"])


def test_what_is_not_there(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    for place, words in (
        ("waves", "write script.py:function, not 'waves'"),
        ("nothing.py:f", "there is no file nothing.py"),
        (
            f"{script}:tide",
            "has no function 'tide'; it has wave, plain, inner, around, silent, never",
        ),
    ):
        assert main(["explain", place, "f32[3]"]) == 2
        assert words in capsys.readouterr().err


def test_a_script_may_exit_before_the_call(script: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{script}:never"]) == 2
    said = capsys.readouterr().err
    assert "waves.py exits before it calls 'never': give its arguments, such as weft expl" in said


@pytest.mark.parametrize("arguments", [[], ["f32[3]"]])
def test_a_script_finds_modules_beside_it(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "found_beside_it.py").write_text("rate = 2.0")
    path = tmp_path / "script.py"
    path.write_text(
        "import numpy, found_beside_it\n"
        "def f(x):\n    return x * found_beside_it.rate\n"
        "if __name__ == '__main__':\n    f(numpy.ones(3))\n"
    )
    before = list(sys.path), sys.argv
    try:
        assert explain_script(f"{path}:f", arguments).flops == 3
    finally:
        sys.modules.pop("found_beside_it", None)
    assert (sys.path, sys.argv) == before


def test_the_command(script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", f"{script}:wave", "--save", str(tmp_path / "wave.html")]) == 0
    out = capsys.readouterr().out
    assert out.startswith("wave: 1 kernel, ") and "measured" in out
    assert "waves.py:9  return wnp.sin(x * rate) * pi\n" in out, "lines are not cut in a pipe"
    assert (tmp_path / "wave.html").stat().st_size > 10_000
    assert main(["explain", f"{script}:wave", "f32[8]", "--level", "kernels"]) == 0
    assert capsys.readouterr().out.startswith("kernel ")
    assert main(["explain", f"{script}:wave", "f32[8]", "--level", "wood"]) == 2
    assert "--level is one of jaxpr, terms" in capsys.readouterr().err


def test_a_function_without_results_says_why_there_are_no_kernels(
    script: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", f"{script}:silent"]) == 0
    out = capsys.readouterr().out
    assert "silent: 0 kernels" in out
    assert "note: it returns nothing that it computes on arrays, and what nobody gets is not" in out
