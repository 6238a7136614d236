"""Cuts `data/` out of the published benchmarks: `python make_sample.py PROTOCOL_FOLDER`.

PROTOCOL_FOLDER holds `{mmlu_dev,mmlu_test,bbh_test,humaneval_test}.jsonl.gz` (the whole published splits), and
`expected_prompts.jsonl.gz`: the prompts that InstructEval (commit 49bbd2c) sent to a recording model, by hash, with
the output that this model gave. `data/drop_validation.jsonl` is written by hand, and its lines in
`data/expected.jsonl` came out of InstructEval's own drop.py; both are left as they are.
"""

from __future__ import annotations

import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
# What InstructEval's execution.py says of the first outputs; its published score is over all problems.
HUMANEVAL = (False, False, True, False, True, False, False, True)


def read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def write(name: str, rows: Iterable[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (DATA / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


def two(rows: list[dict[str, Any]], lines: list[dict[str, Any]], target: str) -> list[int]:
    """The first question that the canned output answers, and the first that it does not."""
    right = [line["answer"].strip().startswith(str(row[target])) for row, line in zip(rows, lines, strict=True)]
    return sorted({right.index(verdict) for verdict in (True, False) if verdict in right})


def main(folder: Path) -> None:
    expected: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in read(folder / "expected_prompts.jsonl.gz"):
        expected[line["task"]].append(line)
    out = []

    def keep(task: str, row: dict[str, Any], line: dict[str, Any], correct: bool) -> dict[str, Any]:
        out.append({"task": task, **{k: line[k] for k in ("prompt_sha256", "answer")}, "correct": correct})
        return row

    write("mmlu_dev", read(folder / "mmlu_dev.jsonl.gz"))
    subjects: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read(folder / "mmlu_test.jsonl.gz"):
        subjects[row["subject"]].append({**row, "letter": "ABCD"[row["answer"]]})
    mmlu = []
    for subject, rows in subjects.items():
        lines = expected[f"mmlu_{subject}"]
        # pandas reads the choice "None" as a missing value; it must stay a word.
        none = [i for i, row in enumerate(rows) if "None" in row["choices"]][:1]
        for i in sorted({*two(rows, lines, "letter"), *none}):
            right = lines[i]["answer"].strip().startswith(rows[i]["letter"])
            mmlu.append(keep(f"mmlu_{subject}", {k: v for k, v in rows[i].items() if k != "letter"}, lines[i], right))
    write("mmlu_test", mmlu)

    subtasks: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in read(folder / "bbh_test.jsonl.gz"):
        subtasks[row["subtask"]].append(row)
    bbh = []
    for subtask, rows in subtasks.items():
        lines = expected[f"bbh_{subtask}"]
        bbh += rows[:3]
        for i in two(rows[3:], lines, "target"):
            right = lines[i]["answer"].strip().startswith(rows[3 + i]["target"])
            bbh.append(keep(f"bbh_{subtask}", rows[3 + i], lines[i], right))
    write("bbh_test", bbh)

    problems = zip(read(folder / "humaneval_test.jsonl.gz"), expected["humaneval"], HUMANEVAL, strict=False)
    write("humaneval_test", [keep("humaneval", *problem) for problem in problems])

    drop = [line for line in (DATA / "expected.jsonl").read_text().splitlines() if json.loads(line)["task"] == "drop"]
    (DATA / "expected.jsonl").write_text("".join(f"{line}\n" for line in [*map(json.dumps, out), *drop]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
