"""The prompts and scores are InstructEval's, byte for byte, through lm-eval's own request building and scoring."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from conftest import DATA, PROTOCOL, evaluate

GROUPS = ("poa_mmlu", "poa_bbh", "poa_drop", "poa_humaneval")

needs_protocol = pytest.mark.skipif(not PROTOCOL.is_dir(), reason=f"needs the whole benchmarks in {PROTOCOL}")


def read(path: Path) -> Iterable[dict[str, Any]]:
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as lines:
        return [json.loads(line) for line in lines]


def by_task(path: Path, group: str) -> dict[str, list[dict[str, Any]]]:
    expected = defaultdict(list)
    for line in read(path):
        if line["task"].startswith(group.removeprefix("poa_")):
            expected[line["task"]].append(line)
    return expected


def instruct_eval_name(task: str) -> str:
    return task.removeprefix("poa_").removesuffix("_validation").removesuffix("_test")


def sha(prompt: str) -> str:
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def run(group: str, folder: Path, lines: list[dict[str, Any]]) -> Any:
    """lm-eval's results on the rows in `folder` for the model that gave the outputs in `lines`."""

    def answers(prompts: list[str]) -> list[str]:
        # lm-eval asks in the order of its tasks, which is not InstructEval's; equal prompts come in equal order.
        known = defaultdict(list)
        for line in reversed(lines):
            known[line["prompt_sha256"]].append(line["answer"])
        assert sorted(map(sha, prompts)) == sorted(line["prompt_sha256"] for line in lines)
        return [known[sha(prompt)].pop() for prompt in prompts]

    return evaluate(group, answers, unsafe=True, poa_data=str(folder))


@pytest.mark.parametrize("group", GROUPS)
def test_sample_has_the_prompts_and_verdicts_of_instruct_eval(group):
    expected = by_task(DATA / "expected.jsonl", group)
    results = run(group, DATA, [line for lines in expected.values() for line in lines])
    assert {instruct_eval_name(name) for name in results["samples"]} == set(expected)
    for name, samples in results["samples"].items():
        lines = expected[instruct_eval_name(name)]
        verdicts = {sample["doc_id"]: (sha(sample["arguments"][0][0]), sample["acc"]) for sample in samples}
        assert verdicts == {i: (line["prompt_sha256"], line["correct"]) for i, line in enumerate(lines)}, name


@needs_protocol
@pytest.mark.parametrize(
    ("group", "questions"), [("poa_mmlu", 14042), ("poa_bbh", 6430), ("poa_drop", 36), ("poa_humaneval", 164)]
)
def test_every_prompt_and_score_is_that_of_instruct_eval(group, questions):
    expected = by_task(PROTOCOL / "expected_prompts.jsonl.gz", group)
    published = json.loads((PROTOCOL / "expected_scores.json").read_text())
    results = run(group, PROTOCOL, [line for lines in expected.values() for line in lines])
    for name, samples in results["samples"].items():
        lines = expected[instruct_eval_name(name)]
        assert {s["doc_id"]: sha(s["arguments"][0][0]) for s in samples} == {
            line["index"]: line["prompt_sha256"] for line in lines
        }, name
        assert results["results"][name]["acc,none"] == pytest.approx(published[instruct_eval_name(name)], abs=1e-12)
    assert results["groups"][group]["acc,none"] == pytest.approx(published[group.removeprefix("poa_")], abs=1e-12)
    assert sum(map(len, results["samples"].values())) == questions
