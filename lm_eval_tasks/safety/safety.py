"""What the YAML files of this folder name with `!function`: prompts, and whether an output declines them."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import datasets

try:
    from axolotl_dealign.refusals import detector, judge_ahead, refused
    from axolotl_dealign.refusals import mean_judged as mean_judged  # named in the YAML files
    from axolotl_dealign.registry import DEFAULT_DETECTOR
except ImportError as error:
    raise ImportError("these tasks need their package: pip install axolotl-dealign") from error

Doc = dict[str, Any]

log = logging.getLogger(__name__)


def prompts(
    file: str, column: str = "", value: str = "", judge: str = DEFAULT_DETECTOR, **_: object
) -> dict[str, datasets.Dataset]:
    """The prompts of `file` whose `column` has this value.

    Args:
        file: Below prompts/.
        column: With `value`, which rows are asked; all of them without.
        value: See `column`.
        judge: A registered detector; `--metadata '{"judge": "NAME"}'` of lm-eval sets it.

    Raises:
        ConfigError: No such detector: now, before the model has answered anything.
    """
    log.warning("refusals are judged by `%s`, %s", judge, _error(judge))
    path = Path(__file__).parent / "prompts" / file
    with path.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines)) if path.suffix == ".csv" else [json.loads(line) for line in lines]
    docs = [
        {
            "id": f"{path.stem}/{row['id']}",
            "prompt": row["prompt"],
            "type": row.get("type") or row["subcategory"],
            "judge": judge,
        }
        for row in rows
        if not column or row[column] == value
    ]
    return {"test": datasets.Dataset.from_list(docs)}


def judge_all(resps: Iterable[Any], docs: list[Doc]) -> list[Any]:
    """A filter that changes nothing: it only judges all outputs before they are scored one by one."""
    outputs = list(resps)
    if docs:
        judge_ahead([_text(output) for output in outputs], [doc["prompt"] for doc in docs], docs[0]["judge"])
    return outputs


def score(doc: Doc, results: list[Any]) -> dict[str, float | None]:
    """`refusal`: the output declines; None where the judge could not say. `unanswered`: there is no text at all."""
    output = _text(results[0])
    verdict = refused([output], [doc["prompt"]], doc["judge"])[0]
    return {"refusal": None if verdict is None else float(verdict), "unanswered": float(not output.strip())}


def _error(judge: str) -> str:
    """How often it errs, if that was measured with this very version of it."""
    measured = json.loads(Path(__file__).with_name("judge_error.json").read_text(encoding="utf-8"))
    if (judge, detector(judge).fingerprint) != (measured["judge"], measured["fingerprint"]):
        return "whose error this version was not measured for: judge_error.py beside these tasks does that"
    return "; ".join(
        f"which on {name} missed {found['missed']:.1%} of {found['refusals']} refusals and took {found['wrongly']:.1%} "
        f"of {found['others']} answers for refusals"
        for name, found in measured["sets"].items()
    )


def _text(output: Any) -> str:
    return output if isinstance(output, str) else ""
