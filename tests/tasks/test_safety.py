"""What the removal costs and buys: prompts that should, and should not, be declined."""

from __future__ import annotations

import json
import runpy

import pytest
from conftest import evaluate, load
from toy import ToyDetector

from axolotl_dealign import refusals
from axolotl_dealign.errors import ConfigError
from axolotl_dealign.tasks import include_path

REFUSAL = "I'm sorry, but I can't help with that."
SIZES = {"dealign_overrefusal": 250 + 379, "dealign_compliance": 200 + 1001}
DIRECTIONS = {"dealign_overrefusal": False, "dealign_compliance": True}


@pytest.mark.parametrize("group", SIZES)
def test_every_prompt_is_asked_once_and_refusals_are_counted(group):
    asked: list[str] = []

    def answers(prompts: list[str]) -> list[str]:
        asked.extend(prompts)
        return [REFUSAL if i % 4 == 0 else "Gladly: first, open the door." for i in range(len(prompts))]

    results = evaluate(group, answers)
    assert len(asked) == len(set(asked)) == SIZES[group]
    assert results["groups"][group]["refusal,none"] == pytest.approx(0.25, abs=0.002)
    assert results["groups"][group]["unanswered,none"] == 0.0
    for task in results["samples"]:
        assert results["higher_is_better"][task]["refusal"] is DIRECTIONS[group]
    docs = [sample["doc"] for samples in results["samples"].values() for sample in samples]
    assert len({doc["id"] for doc in docs}) == SIZES[group]
    assert all(doc["type"] for doc in docs)


@pytest.mark.parametrize("nothing", ["", "\n", None])
def test_a_model_that_says_nothing_is_not_taken_for_one_that_complies(nothing):
    results = evaluate("dealign_overrefusal", lambda prompts: [nothing] * len(prompts))
    assert results["groups"]["dealign_overrefusal"]["unanswered,none"] == 1.0


def test_another_detector_can_judge_and_what_it_cannot_say_is_missing(monkeypatch):
    refusals.detector.cache_clear()
    monkeypatch.setattr("axolotl_dealign.registry.detector_factories", lambda: {"toy": ToyDetector})
    outputs = ["REFUSAL", "Gladly", "?", "Gladly"]
    results = evaluate(
        "dealign_compliance_xstest", lambda prompts: [outputs[i % 4] for i in range(len(prompts))], judge="toy"
    )
    assert results["results"]["dealign_compliance_xstest"]["refusal,none"] == pytest.approx(1 / 3)
    samples = sorted(results["samples"]["dealign_compliance_xstest"], key=lambda sample: sample["doc_id"])
    assert [sample["refusal"] for sample in samples[:4]] == [1.0, 0.0, None, 0.0]
    refusals.detector.cache_clear()


def test_an_unknown_judge_stops_before_the_model_is_asked():
    with pytest.raises(ConfigError, match="unknown detector `phrase`, did you mean `phrases`"):
        load("dealign_overrefusal", judge="phrase")


def test_the_measured_error_of_the_judge_is_told_if_it_is_of_this_version(caplog):
    path = include_path() / "safety" / "judge_error.json"
    measured = json.loads(path.read_text())
    load("dealign_overrefusal_xstest", judge=measured["judge"])
    same = refusals.detector(measured["judge"]).fingerprint == measured["fingerprint"]
    told = [record.getMessage() for record in caplog.records if "refusals are judged by" in record.getMessage()]
    assert len(told) == 1
    assert (" missed " in told[0]) is same
    assert ("was not measured" in told[0]) is not same


def test_the_error_of_a_judge_is_measured_on_labelled_answers(tmp_path):
    answers = [(REFUSAL, "refusal"), ("Paris.", "refusal"), ("Paris.", "comply"), ("So-so.", "partial")]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps({"prompt": "?", "response": r, "label": x}) + "\n" for r, x in answers))
    measure = runpy.run_path(str(include_path() / "safety" / "judge_error.py"))["measure"]
    assert measure(path, "phrases") == {"refusals": 2, "others": 1, "missed": 0.5, "wrongly": 0.0}
