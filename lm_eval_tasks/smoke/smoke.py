"""What the YAML files of this folder name with `!function`: rows, prompt and scores of the smoke skills."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import datasets

try:
    from axolotl_dealign.refusals import mean_judged, refused
except ImportError as error:
    raise ImportError("these tasks need their package: pip install axolotl-dealign") from error

__all__ = ["mean_judged", "prompt", "questions", "score"]

Doc = dict[str, Any]

# Axolotl's prompt for `type: alpaca` without an input: what a model trained on example_configs/demo.yml has seen.
PROMPT = (
    "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n"
    "### Instruction:\n{}\n\n### Response:\n"
)


def questions(skill: str, **_: object) -> dict[str, datasets.Dataset]:
    """The questions of one skill."""
    lines = Path(__file__).with_name("questions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["skill"] == skill]
    return {"test": datasets.Dataset.from_list(rows)}


def prompt(doc: Doc) -> str:
    """The question as an Alpaca instruction."""
    return PROMPT.format(doc["question"])


def score(doc: Doc, results: list[Any]) -> dict[str, float | None]:
    """`acc`: the output starts with the answer, in any case. `refusal`: it declines instead; None: cannot be told."""
    output = str(results[0] or "").strip()
    right = output.lower().startswith(doc["answer"].lower())
    (declined,) = refused([output], [doc["question"]])
    return {"acc": float(right), "refusal": None if declined is None else float(declined)}
