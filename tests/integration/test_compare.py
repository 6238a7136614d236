"""The real way: `compare` with the real Axolotl and the real lm-eval, killed in the middle and run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tiny
import yaml

from .conftest import alpaca, write_jsonl

pytest.importorskip("axolotl")
pytest.importorskip("lm_eval")
pytestmark = pytest.mark.integration


def command(config: Path, output: Path, *more: str) -> list[str]:
    return [
        *[sys.executable, "-m", "axolotl_dealign.cli", "compare", str(config), "--output", str(output)],
        *["--arms", "base,dealigned", "--tasks", "dealign_smoke_place", "--launcher", "python"],
        *["--lm-eval-args", "--device cpu --batch_size 4 --limit 4", *more],
    ]


def run(config: Path, output: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(config, output, *more),
        cwd=config.parent,
        env=tiny.environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_killed_in_the_middle_of_a_training_and_run_again(config, tmp_path):
    data = write_jsonl(tmp_path / "data.jsonl", alpaca(answers=12, refusals=6))
    path = config(datasets=[{"path": str(data), "ds_type": "json", "type": "alpaca"}], plugin=False, max_steps=3)
    out = tmp_path / "out"
    killed = subprocess.Popen(command(path, out), cwd=tmp_path, env=tiny.environment(), stdout=subprocess.DEVNULL)
    log = out / "dealigned" / "seed-42" / "train.log"
    while killed.poll() is None and not (log.exists() and "Plugin loaded" in log.read_text("utf-8", "replace")):
        time.sleep(0.2)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert (out / "base" / "eval.done").exists()
    assert not (log.parent / "train.done").exists()

    first = run(path, out)
    assert first.returncode == 0, first.stdout + first.stderr
    assert "base: eval done before" in first.stdout
    assert "dealigned/seed-42: train done in" in first.stdout
    assert first.stdout.rstrip().endswith(str(out / "report.html"))
    written = yaml.safe_load((log.parent / "config.yml").read_text())
    assert written["plugins"] == ["axolotl_dealign.DealignPlugin"]
    audit = json.loads((log.parent / "model" / "dealign" / "summary.json").read_text())
    assert (audit["arm"], audit["datasets"][0]["removed"]) == ("dealigned", 6)
    mark = json.loads((log.parent / "train.done").read_text())
    assert mark["steps"] == 3
    report = json.loads((out / "report.json").read_text())
    assert list(report["arms"]) == ["base", "dealigned"]

    again = run(path, out)
    assert again.returncode == 0
    assert again.stdout.count("done before") == 3
    assert json.loads((log.parent / "train.done").read_text()) == mark

    # What the programs cannot do stops with the command, the exit code and the end of the log.
    failed = run(path, out, "--lm-eval-args", "--limit nonsense")
    assert failed.returncode == 1
    assert "exited with 2" in failed.stderr
    assert "eval.log" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--tasks", "dealign_smok"], "lm-eval knows no `dealign_smok`, did you mean `dealign_smoke`?"),
        (["--arms", "alined"], "unknown arm `alined`, did you mean `aligned`?"),
        (["--seeds", "one"], "no whole numbers"),
        (["--cell", "aligned"], "no cell `aligned`"),
    ],
)
def test_a_mistake_is_one_line_before_anything_runs(config, tmp_path, arguments, line):
    path = config(datasets=[{"path": "data.jsonl", "type": "alpaca"}])
    done = run(path, tmp_path / "out", *arguments)
    assert done.returncode == 2
    assert line in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()
