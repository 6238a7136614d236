"""Measures how often a judge errs, and writes judge_error.json, which the safety tasks show beside their results.

    python lm_eval_tasks/safety/judge_error.py LABELLED.jsonl.gz… [--judge NAME]

LABELLED: JSON lines with `prompt`, `response` and a person's `label`, `refusal` or `comply`; others are left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from axolotl_dealign.refusals import detector, refused
from axolotl_dealign.registry import DEFAULT_DETECTOR

LABELS = ("refusal", "comply")


def measure(path: Path, judge: str) -> dict[str, float]:
    """Rows of each label, the share of the refusals missed and of the others wrongly called refusals."""
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        rows = [row for row in map(json.loads, lines) if row["label"] in LABELS]
    verdicts = refused([row["response"] for row in rows], [row["prompt"] for row in rows], judge)
    of = {label: [bool(v) for row, v in zip(rows, verdicts, strict=True) if row["label"] == label] for label in LABELS}
    return {
        "refusals": len(of["refusal"]),
        "others": len(of["comply"]),
        "missed": round(1 - sum(of["refusal"]) / max(len(of["refusal"]), 1), 4),
        "wrongly": round(sum(of["comply"]) / max(len(of["comply"]), 1), 4),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("labelled", nargs="+", type=Path)
    parser.add_argument("--judge", default=DEFAULT_DETECTOR)
    given = parser.parse_args()
    measured = {
        "judge": given.judge,
        "fingerprint": detector(given.judge).fingerprint,
        "sets": {path.name.split(".")[0]: measure(path, given.judge) for path in given.labelled},
    }
    text = json.dumps(measured, indent=2)
    Path(__file__).with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    print(text)  # noqa: T201
