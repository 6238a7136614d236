"""What the YAML files of this folder name with `!function`: rows, prompts and scores as InstructEval has them.

Facts from declare-lab/instruct-eval at commit 49bbd2c; tests compare all 20,672 prompts and all scores.
"""

from __future__ import annotations

import random
from typing import Any

import datasets

try:
    from axolotl_dealign.errors import SchemaError
    from axolotl_dealign.tasks import sandbox
    from axolotl_dealign.tasks.rows import load
except ImportError as error:
    raise ImportError("these tasks need their package: pip install axolotl-dealign") from error

Doc = dict[str, Any]


def mmlu_rows(subset: str, poa_data: object = None, **_: object) -> dict[str, datasets.Dataset]:
    """Five dev rows and all test rows of a subject."""
    shots, test = load("mmlu", "dev", subset, poa_data)[:5], load("mmlu", "test", subset, poa_data)
    return _splits(shots, test, lambda row: "ABCD"[row["answer"]])


def bbh_rows(subset: str, poa_data: object = None, **_: object) -> dict[str, datasets.Dataset]:
    """A subtask; its first three rows are the shots and never scored."""
    rows = load("bbh", "test", subset, poa_data)
    return _splits(rows[:3], rows[3:], lambda row: str(row["target"]))


def drop_rows(poa_data: object = None, **_: object) -> dict[str, datasets.Dataset]:
    """The questions whose annotators agree; three are the shots, and no other on their passages is scored."""
    rows = [row for row in load("drop", "validation", None, poa_data) if len(set(_spans(row))) == 1]
    shots = random.Random(0).sample(rows, k=min(3, len(rows)))
    seen = {row["passage"] for row in shots}
    return _splits(shots, [row for row in rows if row["passage"] not in seen], lambda row: _spans(row)[0])


def humaneval_rows(poa_data: object = None, **_: object) -> dict[str, datasets.Dataset]:
    """All problems; the target is only for show, since a program is right when it passes `test`."""
    rows = load("humaneval", "test", None, poa_data)
    return {"test": _splits([], rows, lambda row: str(row["canonical_solution"]))["test"]}


def mmlu_question(doc: Doc) -> str:
    """The question as it stands in a shot and at the end of the prompt; nothing is stripped."""
    choices = "".join(f"\n{letter}. {choice}" for letter, choice in zip("ABCD", doc["choices"], strict=True))
    return f"{doc['question']}{choices}\nAnswer:"


def bbh_question(doc: Doc) -> str:
    """The question as it stands in a shot and at the end of the prompt."""
    return f"{doc['input']}\nAnswer:"


def drop_question(doc: Doc) -> str:
    """The passage and the question as they stand in a shot and at the end of the prompt."""
    return f"{doc['passage'].strip()} {doc['question'].strip()}\nAnswer:"


def humaneval_prompt(doc: Doc) -> str:
    """InstructEval's instruction, then the beginning of the program."""
    return (
        "Please complete the following Python code without providing any additional tasks such as testing or "
        f"explanations\n{doc['prompt']}"
    )


def completion(output: str) -> str:
    """The part of an output that InstructEval runs: lines of even indent, up to the first blank line."""
    lines = [f" {line}" if (len(line) - len(line.lstrip(" "))) % 2 else line for line in output.split("\n")]
    return "\n".join(lines).lstrip("\n").split("\n\n")[0]


def program(doc: Doc, output: str) -> str:
    """What is run for an output: the problem's own tests come last, and an error in them fails it."""
    return f"{doc['prompt']}{completion(output)}\n{doc['test']}\ncheck({doc['entry_point']})"


def passes_tests(doc: Doc, results: list[Any]) -> dict[str, float]:
    """Whether the program runs to its end within three seconds."""
    return {"acc": float(sandbox.run(program(doc, results[0])).passed)}


def starts_with_target(doc: Doc, results: list[Any]) -> dict[str, float]:
    """InstructEval's rule on MMLU, BBH and DROP: the stripped output starts with the label, in its case."""
    return {"acc": float(results[0].strip().startswith(doc["target"]))}


def _spans(row: Doc) -> list[str]:
    return [span.strip() for span in row["answers_spans"]["spans"]]


def _splits(shots: list[Doc], test: list[Doc], target: Any) -> dict[str, datasets.Dataset]:
    if not test:
        raise SchemaError(f"no question is left beside the {len(shots)} shots; give the whole published split")
    return {
        name: datasets.Dataset.from_list([{**row, "target": target(row)} for row in rows])
        for name, rows in (("shots", shots), ("test", test))
    }
