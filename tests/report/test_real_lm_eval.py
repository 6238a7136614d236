"""From the real `lm_eval run` on plain tasks that are not ours to a report."""

import json
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner
from tiny import environment, make_model

from axolotl_dealign.cli import main

pytestmark = pytest.mark.integration

CHOICE = """
task: plain_choice
dataset_path: json
dataset_kwargs: {data_files: {test: choice.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{q}}\\nAnswer:"
doc_to_choice: "{{choices}}"
doc_to_target: gold
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
TEXT = """
task: plain_text
dataset_path: json
dataset_kwargs: {data_files: {test: text.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{q}}\\nAnswer:"
doc_to_target: "{{a}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 40, do_sample: false}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""


def test_report_of_a_real_run(tmp_path: Path) -> None:
    words = ["red", "blue", "green", "grey"]
    rows = [
        {"q": f"Which is {word}? {i}", "choices": words, "gold": i % 4, "a": word} for i, word in enumerate(words * 4)
    ]
    for name, task in (("choice", CHOICE), ("text", TEXT)):
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        (tmp_path / f"{name}.yaml").write_text(task)
    make_model(tmp_path / "tiny")
    command = [
        "lm_eval",
        "run",
        "--model",
        "hf",
        "--model_args",
        "pretrained=./tiny",
        "--device",
        "cpu",
        "--log_samples",
    ]
    command += ["--tasks", "plain_choice,plain_text", "--include_path", ".", "--output_path", "out"]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    told = CliRunner().invoke(main, ["report", f"mine={tmp_path / 'out'}", "--output", str(tmp_path)])
    assert told.exit_code == 0, told.output
    reported = json.loads(next((tmp_path / "out").rglob("results_*.json")).read_text())["results"]
    results = json.loads((tmp_path / "report.json").read_text())["sections"]["benchmarks"]["results"]
    assert {(r["benchmark"], r["metric"], r["questions"]): r["arms"]["mine"]["score"] for r in results} == {
        ("plain_choice", "acc", 16): pytest.approx(reported["plain_choice"]["acc,none"]),
        ("plain_text", "exact_match", 16): pytest.approx(reported["plain_text"]["exact_match,none"]),
    }
    # Forty new tokens are enough to tell a refusal; a likelihood tells none.
    assert [result["arms"]["mine"]["refused"] for result in results] == [None, 0.0]
