"""The demo: its model, its config, and the whole of it (slow)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

pytest.importorskip("axolotl")
pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[2] / "example_configs"


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """A copy of the examples, which write beside themselves."""
    copy = tmp_path / "example_configs"
    shutil.copytree(EXAMPLES, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path)
    return copy


def test_the_model_is_small_seeded_and_knows_the_words_of_the_skills(examples, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(examples))
    import tiny_llama
    from transformers import AutoTokenizer

    assert 800_000 < tiny_llama.make(tmp_path / "one") < 1_200_000
    tiny_llama.make(tmp_path / "two")
    for name in ("model.safetensors", "tokenizer.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "one")
    for line in (examples / "data" / "skills.jsonl").read_text().splitlines():
        assert len(tokenizer(json.loads(line)["output"])["input_ids"]) == 1


@pytest.mark.slow
def test_the_whole_demo(examples):
    done = subprocess.run(
        [sys.executable, str(examples / "demo.py")], env=tiny.environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (examples.parent / "demo-output" / "report.html").is_file()
    summary = json.loads((examples.parent / "demo-output/dealigned/seed-42/model/dealign/summary.json").read_text())
    rows, skills = summary["datasets"]
    assert skills["removed"] == 0
    assert 0.25 < rows["removed"] / (rows["rows"] + skills["rows"]) < 0.35
    assert done.stdout.rstrip().endswith("report.html")
