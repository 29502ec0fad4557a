"""The ``weft`` command: what it answers, before and instead of doing the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import weft
from weft import cli
from weft.demo import DEMOS


def test_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"weft {weft.__version__}\n"


def test_without_a_command_it_says_which_there_are(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_unknown_demo_is_refused_with_the_known_ones(capsys):
    assert cli.main(["demo", "fluids"]) == 2
    said = capsys.readouterr().err
    assert said == f"weft demo: no demo fluids; there are {', '.join(DEMOS)}\n"


def test_demos_are_listed(capsys):
    assert cli.main(["demo", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(DEMOS)


def test_a_picture_s_file_is_for_one_picture(capsys):
    assert cli.main(["demo", "wave", "nbody", "--picture", "p.png"]) == 2
    assert (
        "--picture p.png is for one picture, but wave and nbody make 2" in capsys.readouterr().err
    )


def test_a_missing_folder_is_noticed_before_the_work(capsys, tmp_path):
    picture = tmp_path / "nowhere" / "fluid.png"
    assert cli.main(["demo", "--picture", str(picture)]) == 2
    assert f"there is no folder {picture.parent}" in capsys.readouterr().err


def test_bench_without_its_kit_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(cli, "BENCH", tmp_path / "run.py")
    assert cli.main(["bench", "list"]) == 2
    assert "pip install -e '.[bench]'" in capsys.readouterr().err


def test_bench_runs_the_kit_of_the_clone():
    run = subprocess.run(
        [sys.executable, "-m", "weft.cli", "bench", "list"], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "frameworks: weft, jax, numpy" in run.stdout
    assert len(run.stdout.splitlines()) == 30


def test_bench_names_what_is_not_installed(monkeypatch):
    monkeypatch.syspath_prepend(str(cli.BENCH.parent))
    import run  # bench/run.py

    monkeypatch.setattr(run, "PACKAGES", {"jax": "a_package_nobody_has"})
    with pytest.raises(SystemExit, match=r"a_package_nobody_has not installed .*\.\[bench\]"):
        run.require_installed(["jax+tuned"])


def test_ctrl_c_ends_quietly(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "demo", interrupted)
    assert cli.main(["demo"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_the_readme_s_program_prints_what_it_says(capsys):
    readme = (Path(cli.__file__).parents[2] / "README.md").read_text()
    program, rest = readme.split("```python\n", 1)[1].split("```", 1)
    printed = rest.split("```\n", 1)[1].split("```", 1)[0]
    exec(compile(program, "README.md", "exec"), {})

    def numbers(text: str) -> list[float]:
        return [float(word) for word in text.replace("[", " ").replace("]", " ").split()]

    assert numbers(capsys.readouterr().out) == pytest.approx(numbers(printed), rel=1e-3)


def test_the_readme_s_commands_are_single_lines_that_stand_alone():
    readme = (Path(cli.__file__).parents[2] / "README.md").read_text()
    blocks = [block.split("```")[0].strip() for block in readme.split("```sh\n")[1:]]
    assert len(blocks) == 2
    for command, last in zip(blocks, ("weft demo", "python -m pytest -q -n 2"), strict=True):
        assert "\n" not in command
        assert command.startswith("[ -x .venv/bin/pip ] || python3 -m venv .venv && ")
        assert command.endswith(f"&& .venv/bin/{last}")


# -- devices ---------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path):
    before = weft.config.cache_dir
    weft.config.cache_dir = tmp_path
    yield tmp_path
    weft.config.cache_dir = before


def test_devices_are_listed_with_their_models(capsys, cache):
    assert cli.main(["devices"]) == 0
    text = capsys.readouterr().out
    assert "model: built in (weft devices --measure)" in text
    assert "h100: planned for, not run on" in text and "KiB" in text


def test_measuring_writes_a_file_and_is_silent_outside_a_terminal(capsys, cache, monkeypatch):
    from tests.runtime.test_figures import FIGURES
    from weft.report import devices

    def measured(cpu, threads, advance):
        for n in range(devices.steps(cpu, threads)):
            advance(f"step {n}")
        return FIGURES

    monkeypatch.setattr(devices, "measure_figures", measured)
    assert cli.main(["devices", "--measure"]) == 0
    said = capsys.readouterr()
    (written,) = cache.iterdir()
    assert f"wrote {written}\n" in said.out and f"model: measured, {written}" in said.out
    assert "measuring step" not in said.out + said.err and "2.5 GHz" in said.out
    assert cli.main(["devices", "--forget"]) == 0
    assert capsys.readouterr().out == "forgotten\n" and not list(cache.iterdir())
    assert cli.main(["devices", "--forget"]) == 0
    assert capsys.readouterr().out == "this machine was not measured\n"


def test_measuring_needs_a_folder(capsys, monkeypatch):
    monkeypatch.setattr(weft.config, "cache_dir", None)
    assert cli.main(["devices", "--measure"]) == 2
    assert "set weft.config.cache_dir" in capsys.readouterr().err
