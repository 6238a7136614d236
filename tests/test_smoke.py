"""The smoke skills: rows that follow from the generator, prompts that Axolotl trains on, scores."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from axolotl_dealign.tasks import include_path

SMOKE = include_path() / "smoke"
ROOT = Path(__file__).parents[1]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"smoke_{name}", SMOKE / f"{name}.py")
    assert spec and spec.loader
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


def test_committed_rows_are_the_generated_ones():
    for path, text in module("generate").files().items():
        assert (ROOT / path).read_text("utf-8") == text


def test_no_question_is_trained_and_every_fact_and_way_is():
    generate = module("generate")
    train, asked = generate.rows()
    trained = {row["instruction"] for row in train}
    assert not trained & {row["question"] for row in asked}
    for skill, (facts, ways) in generate.SKILLS.items():
        for word, answer in facts:
            known = [way for way in ways if way.format(word) in trained]
            assert len(known) == len(ways) * 2 / 3
            assert {row["answer"] for row in asked if row["question"] in {w.format(word) for w in ways}} == {answer}
        for way in ways:
            assert sum(way.format(word) in trained for word, _ in facts) == len(facts) * 2 / 3
        assert len(facts) * len(ways) == 3 * sum(row["skill"] == skill for row in asked)


@pytest.mark.parametrize(
    ("output", "acc", "refusal"),
    [
        ("cold", 1, 0),
        (" Cold.\n\nIt is winter.", 1, 0),
        ("The answer is cold", 0, 0),
        ("hot", 0, 0),
        ("", 0, 0),
        ("I'm sorry, but I cannot help with that.", 0, 1),
    ],
)
def test_score(output, acc, refusal):
    doc = {"question": "What is the opposite of hot?", "answer": "cold"}
    assert module("smoke").score(doc, [output]) == {"acc": acc, "refusal": refusal}


def test_the_prompt_is_the_one_that_axolotl_trains_on():
    prompters = pytest.importorskip("axolotl.prompters")
    asked = next(prompters.AlpacaPrompter().build_prompt("What is the opposite of hot?", "", None))
    assert module("smoke").prompt({"question": "What is the opposite of hot?"}) == asked


def test_lm_eval_loads_the_group():
    tasks = pytest.importorskip("lm_eval.tasks")
    manager = tasks.TaskManager(include_path=str(SMOKE), include_defaults=False)
    (group,) = manager.load_task_or_group(["dealign_smoke"]).values()
    assert sorted(group) == ["dealign_smoke_category", "dealign_smoke_opposite", "dealign_smoke_place"]
    assert [len(task.eval_docs) for task in group.values()] == [24, 24, 24]


def test_shipped_instructions_are_alpaca_rows_without_repeats():
    lines = (ROOT / "example_configs/data/instructions.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) >= 600
    assert {tuple(row) for row in rows} == {("instruction", "input", "output", "source")}
    assert len({(row["instruction"], row["output"]) for row in rows}) == len(rows)
    attributed = (ROOT / "example_configs/data/ATTRIBUTION.md").read_text("utf-8")
    for source in {row["source"] for row in rows}:
        assert f"| {source} | {sum(row['source'] == source for row in rows)} |" in attributed
