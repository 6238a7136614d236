"""Cells run with real programs, small ones."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from axolotl_dealign import grid
from axolotl_dealign.cells import Cell, Step
from axolotl_dealign.compare import Options
from axolotl_dealign.errors import DealignError, StepError

MAKE = "import pathlib, sys, time; time.sleep({wait}); p = pathlib.Path({out!r}); p.mkdir(); (p / 'x').write_text('y')"


def options(folder: Path) -> Options:
    return Options(config=folder / "c.yml", output=folder, arms=("base", "aligned", "dealigned"), seeds=(0,), tasks="t")


def cell(folder: Path, arm: str, script: str = MAKE, wait: float = 0, inputs: str = "1") -> Cell:
    seed = None if arm == "base" else 0
    here = folder / arm if seed is None else folder / arm / "seed-0"
    names = ["eval"] if seed is None else ["train", "eval"]
    steps = tuple(
        Step(
            name,
            here,
            (sys.executable, "-c", script.format(wait=wait, out=str(here / f"made-{name}"))),
            here / f"made-{name}",
            {"all": inputs},
        )
        for name in names
    )
    return Cell(arm, seed, here, steps)


def marks(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*.done"))


def test_every_step_runs_once(tmp_path, capsys):
    cells = [cell(tmp_path, arm) for arm in ("base", "aligned", "dealigned")]
    grid.run(options(tmp_path), cells, cells)
    assert all(step.done for one in cells for step in one.steps)
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("x")}
    assert len(made) == 5
    capsys.readouterr()
    grid.run(options(tmp_path), cells, cells)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("x")} == made
    assert capsys.readouterr().out.count("done before") == 5
    assert json.loads((tmp_path / "compare.json").read_text())["arms"]["base"][0]["eval"] == "base/eval"


def test_a_failure_stops_everything_and_leaves_what_was_done(tmp_path):
    cells = [
        cell(tmp_path, "base"),
        cell(tmp_path, "aligned", script="print('so it goes'); raise SystemExit(3)"),
        cell(tmp_path, "dealigned"),
    ]
    with pytest.raises(StepError, match="exited with 3(.|\n)*so it goes"):
        grid.run(options(tmp_path), cells, cells)
    assert marks(tmp_path) == ["base/eval.done"]


def test_cells_that_run_beside_a_failing_one_are_ended(tmp_path):
    cells = [
        cell(tmp_path, "aligned", script="import time; time.sleep(1); raise SystemExit(3)"),
        cell(tmp_path, "dealigned", wait=60),
    ]
    began = time.monotonic()
    with pytest.raises(StepError, match="exited with 3"):
        grid.run(options(tmp_path), cells, cells, jobs=2)
    assert time.monotonic() - began < 30
    assert marks(tmp_path) == []


def test_two_at_a_time_take_a_device_each(tmp_path):
    script = (
        "import os, pathlib, time; time.sleep(0.3); p = pathlib.Path({out!r}); p.mkdir();"
        "(p / 'x').write_text(os.environ['CUDA_VISIBLE_DEVICES'])"
    )
    cells = [cell(tmp_path, arm, script) for arm in ("base", "aligned", "dealigned")]
    grid.run(options(tmp_path), cells, cells, jobs=2, gpus=["3", "5"])
    assert {path.read_text() for path in tmp_path.rglob("x")} == {"3", "5"}


def test_jobs_without_a_gpu_share_the_cores(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert grid._place(0, 2, []) == {"OMP_NUM_THREADS": "4"}
    assert grid._place(0, 1, []) == {}
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert grid._place(0, 2, []) == {}


def test_two_comparisons_in_one_folder_are_refused(tmp_path):
    from filelock import FileLock

    cells = [cell(tmp_path, "base")]
    with FileLock(tmp_path / ".lock"), pytest.raises(DealignError, match="another `compare` is writing"):
        grid.run(options(tmp_path), cells, cells)


def test_killed_anywhere_and_run_again_nothing_is_done_twice_or_believed_half_done(tmp_path):
    """Each step appends to a file when it ends; a real process runs the grid and is killed outright, over and over."""
    script = (
        "import pathlib, time; p = pathlib.Path({out!r}); p.mkdir(); (p / 'half').write_text('');"
        "time.sleep({wait}); (p / 'x').write_text('y');"
        f"open({str(tmp_path / 'ended')!r}, 'a').write({{out!r}} + chr(10))"
    )
    program = tmp_path / "program.py"
    program.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path\nfrom test_grid import cell, options\nfrom axolotl_dealign import grid\n"
        f"out = Path(sys.argv[2])\nscript = {script!r}\n"
        "cells = [cell(out, arm, script, wait=0.7) for arm in ('base', 'aligned', 'dealigned')]\n"
        "grid.run(options(out), cells, cells, jobs=2)\n"
    )
    out = tmp_path / "out"
    command = [sys.executable, str(program), str(Path(__file__).parent), str(out)]
    for patience in (0.8, 1.3, 1.8, 1.1, 2.0):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        time.sleep(patience)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert len(marks(out)) == 5
    ended = (tmp_path / "ended").read_text().split()
    # A step may end in the moment in which its parent is killed, before that could write it down.
    assert 5 <= len(ended) <= 10
    assert all((path.parent / "x").exists() for path in out.rglob("half"))
