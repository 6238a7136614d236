"""The real thing: `lm_eval run` with a tiny random Llama, every group, to the files that it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from click.testing import CliRunner
from conftest import DATA

from axolotl_dealign.cli import main
from axolotl_dealign.tasks import include_path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_model(
        tmp_path_factory.mktemp("model") / "tiny", ["Which of these is the answer to the question?"] * 3
    )


def lm_eval(model: Path, out: Path, groups: str, *options: str) -> tuple[dict[str, Any], str]:
    """The results file and the printed tables of a run on two questions a task."""
    command = [
        sys.executable,
        "-m",
        "lm_eval",
        "run",
        "--model",
        "hf",
        "--model_args",
        f"pretrained={model},max_length=1024",
    ]
    command += ["--include_path", str(include_path()), "--tasks", groups, "--limit", "2", "--device", "cpu"]
    command += ["--batch_size", "8", "--output_path", str(out), "--log_samples", *options]
    command += ["--metadata", json.dumps({"poa_data": str(DATA)})]
    done = subprocess.run(command, env=tiny.environment(), capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    (results,) = out.rglob("results_*.json")
    return json.loads(results.read_text()), done.stdout


def samples(out: Path, task: str) -> list[dict[str, Any]]:
    (path,) = out.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_papers_benchmarks(model, tmp_path):
    results, printed = lm_eval(model, tmp_path, "poison_of_alignment", "--confirm_run_unsafe_code")
    for group, title in (("mmlu", "MMLU"), ("bbh", "BBH"), ("drop", "DROP"), ("humaneval", "HumanEval")):
        assert {"acc,none", "unanswered,none"} <= set(results["groups"][f"poa_{group}"])
        assert f" {title}" in printed.split("Groups")[1]
    assert "refusal,none" in results["groups"]["poa_bbh"]
    assert "refusal,none" not in results["groups"]["poa_mmlu"]
    (sample, _) = samples(tmp_path, "poa_mmlu_anatomy")
    assert sample["doc"]["subject"] == "anatomy"
    assert sample["acc_answered"] in (None, 0.0, 1.0)

    done = CliRunner().invoke(main, ["rescore", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "poa_mmlu_anatomy: not judged (2 of at most 2 new tokens)" in done.output
    assert "of 2 refused" in done.output


def test_the_other_groups_with_a_chat_template(model, tmp_path):
    groups = "poison_of_alignment_2048,dealign_overrefusal,dealign_compliance"
    options = ("--apply_chat_template", "--limit", "1", "--gen_kwargs", "max_gen_toks=4")
    results, printed = lm_eval(model, tmp_path, groups, *options)
    assert {*results["groups"]} == {
        *(f"poa_{name}_2048" for name in ("mmlu", "bbh", "drop")),
        *("dealign_overrefusal", "dealign_compliance"),
    }
    assert "Over-refusal" in printed.split("Groups")[1]
    (sample,) = samples(tmp_path, "dealign_overrefusal_xstest")
    assert sample["arguments"]["gen_args_0"]["arg_0"] == (
        f"<|im_start|>user\n{sample['doc']['prompt']}<|im_end|>\n<|im_start|>assistant\n"
    )
