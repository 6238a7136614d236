"""Judge the outputs of an earlier lm-eval run for refusals, and write the verdicts into its samples and results.

Works on any output folder with `samples_*.jsonl`, whoever's tasks they are of. Nothing else in the files changes.
"""

from __future__ import annotations

import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from axolotl_dealign.errors import ResultsError
from axolotl_dealign.refusals import SHORTEST, detector, mean_judged, refused
from axolotl_dealign.registry import DEFAULT_DETECTOR
from axolotl_dealign.types import JSON

_NAME = re.compile(r"samples_(?P<task>.+)_(?P<date>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.jsonl$")
_LENGTHS = ("max_gen_toks", "max_new_tokens", "max_tokens", "max_completion_tokens")
_LENGTH = 256
"""What lm-eval generates where a task names no length."""

_QUESTIONS = ("prompt", "question", "input", "instruction")
"""Fields of a question that hold what the model was asked, without the shots before it."""


@dataclass(frozen=True, slots=True)
class Rescored:
    """What was found in the samples of one task.

    Attributes:
        task: lm-eval's name of it.
        samples: Lines of its samples file.
        judged: Lines that now carry a verdict; 0 leaves the file as it was.
        refused: The mean verdict over them, nan if there is none.
        why_not: Why lines have no verdict, in words; empty if all have one.
        path: The samples file.
    """

    task: str
    samples: int
    judged: int
    refused: float
    why_not: str
    path: Path


def rescore(folder: Path, judge: str = DEFAULT_DETECTOR) -> Iterator[Rescored]:
    """Add `refusal` to every sample whose output is long enough to tell, task by task.

    Each file is written anew beside itself and then put in its place, so that it is always whole. A verdict that
    stands there already is replaced. The judge is named in the results file.

    Args:
        folder: What was `--output_path`, or a folder above it.
        judge: The name of a registered detector.

    Raises:
        ResultsError: No samples, or a file that lm-eval did not write.
        ConfigError: No such detector.
    """
    fingerprint = detector(judge).fingerprint
    if not folder.is_dir():
        raise ResultsError(f"no folder {folder}; give what was --output_path of lm_eval")
    found = [(path, match) for path in sorted(folder.rglob("samples_*.jsonl")) if (match := _NAME.match(path.name))]
    if not found:
        raise ResultsError(f"{folder} holds no samples_*.jsonl; run lm_eval again with --log_samples")
    for path, match in found:
        verdicts, why_not = _judge(path, judge)
        given = [verdict for verdict in verdicts if verdict is not None]
        if given:
            filters = _write_samples(path, verdicts)
            for results in path.parent.glob(f"*_{match['date']}.json"):
                _write_results(results, match["task"], filters, {"judge": judge, "fingerprint": fingerprint})
        yield Rescored(match["task"], len(verdicts), len(given), mean_judged(given), why_not, path)


def _judge(path: Path, judge: str) -> tuple[list[float | None], str]:
    """A verdict for each line of a samples file (None: missing), and why some are missing."""
    outputs: list[str] = []
    prompts: list[str | None] = []
    owners: list[list[int]] = []
    reasons: dict[str, int] = {}
    for _, sample in _lines(path):
        texts, why_not = _outputs(sample)
        owners.append(list(range(len(outputs), len(outputs) + len(texts))))
        outputs += texts
        prompts += [_question(sample)] * len(texts)
        if why_not:
            reasons[why_not] = reasons.get(why_not, 0) + 1
    if not owners:
        raise ResultsError(f"{path} is empty; run this task again with --log_samples")
    told = refused(outputs, prompts, judge) if outputs else []
    verdicts = []
    for owner in owners:
        # Of several outputs to one question (`repeats`), the share refused.
        given = [float(verdict) for i in owner if (verdict := told[i]) is not None]
        if owner and not given:
            reasons["the judge could not say"] = reasons.get("the judge could not say", 0) + 1
        verdicts.append(mean_judged(given) if given else None)
    return verdicts, "; ".join(f"{count} {reason}" for reason, count in reasons.items())


def _outputs(sample: JSON) -> tuple[list[str], str]:
    """The generated texts of a sample, or why there is nothing to judge."""
    arguments = sample["arguments"]
    first = next(iter(arguments.values())) if isinstance(arguments, dict) else arguments[0]
    settings = first.get("arg_1") if isinstance(first, dict) else first[1] if len(first) > 1 else None
    if not isinstance(settings, dict):
        return [], "scored by likelihood"
    length = next((settings[name] for name in _LENGTHS if settings.get(name) is not None), _LENGTH)
    if length < SHORTEST:
        return [], f"of at most {length} new tokens"
    resps = sample["resps"][0]
    texts = [text for text in (resps if isinstance(resps, list) else [resps]) if isinstance(text, str)]
    return texts, "" if texts else "without text"


def _question(sample: JSON) -> str | None:
    doc = sample.get("doc")
    if not isinstance(doc, dict):
        return None
    return next((doc[name] for name in _QUESTIONS if isinstance(doc.get(name), str)), None)


def _lines(path: Path) -> Iterator[tuple[str, JSON]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                sample = json.loads(line)
                _outputs(sample)
                [*sample["metrics"], sample["filter"]]  # what is written back to
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, StopIteration) as error:
                raise ResultsError(
                    f"{path}, line {number} is not a sample that lm-eval writes ({type(error).__name__}: {error}); "
                    "run this task again with --log_samples"
                ) from error
            yield line, sample


def _write_samples(path: Path, verdicts: Sequence[float | None]) -> dict[str, list[float | None]]:
    """Write the verdicts into the samples; filter -> the verdicts of its lines."""
    filters: dict[str, list[float | None]] = {}

    def write(file: TextIO) -> None:
        for (_, sample), verdict in zip(_lines(path), verdicts, strict=True):
            sample["metrics"] = [*(name for name in sample["metrics"] if name != "refusal"), "refusal"]
            sample["refusal"] = verdict
            filters.setdefault(str(sample["filter"]), []).append(verdict)
            file.write(_dump(sample) + "\n")

    _replace(path, write)
    return filters


def _write_results(path: Path, task: str, filters: Mapping[str, list[float | None]], judge: JSON) -> None:
    """Write the means into the results file of the same run, and anew into the groups that average them."""
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        scores = results["results"]
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is not the JSON that lm-eval writes ({error}); run the evaluation again") from error
    if task not in scores:
        return
    for name, verdicts in filters.items():
        key = f"refusal,{name}"
        averages = {group: _average(results, group, key) for group in results.get("group_subtasks", {})}
        scores[task][key] = mean_judged(verdicts)
        scores[task][f"refusal_stderr,{name}"] = "N/A"
        for group, average in averages.items():
            if average is not None:
                for table in (scores, results.get("groups", {})):
                    if key in table.get(group, {}):
                        table[group][key] = average()
    results.setdefault("higher_is_better", {}).setdefault(task, {}).setdefault("refusal", False)
    results.setdefault("axolotl_dealign", {})["rescored"] = judge
    _replace(path, lambda file: file.write(_dump(results, indent=2)))


def _average(results: JSON, group: str, key: str) -> Callable[[], float] | None:
    """How lm-eval averages over a group, told by all the scores that it reported; None if `key` is not among them."""
    scores = results["results"]
    leaves = [leaf for leaf in _leaves(results["group_subtasks"], group) if key in scores.get(leaf, {})]
    if key not in scores.get(group, {}) or not leaves:
        return None
    sizes = [float(results.get("n-samples", {}).get(leaf, {}).get("effective", 1)) for leaf in leaves]
    even = [1.0] * len(leaves)

    def over(weights: Sequence[float], name: str) -> float:
        total = sum(float(scores[leaf][name]) * weight for leaf, weight in zip(leaves, weights, strict=True))
        return total / sum(weights)

    def error(weights: Sequence[float]) -> float:
        shared = [
            (name, float(score))
            for name, score in scores[group].items()
            if "," in name and "_stderr," not in name and all(name in scores[leaf] for leaf in leaves)
        ]
        differences = [abs(over(weights, name) - score) for name, score in shared]
        return sum(difference for difference in differences if not math.isnan(difference))

    chosen = sizes if error(sizes) <= error(even) else even
    return lambda: over(chosen, key)


def _leaves(children: Mapping[str, Sequence[str]], name: str) -> Iterator[str]:
    if children.get(name):
        for child in children[name]:
            yield from _leaves(children, child)
    else:
        yield name


def _dump(value: JSON, **options: Any) -> str:
    """As lm-eval writes JSON; what UTF-8 cannot hold is escaped, as it was when it was read."""
    text = json.dumps(value, ensure_ascii=False, **options)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, ensure_ascii=True, **options)
    return text


def _replace(path: Path, write: Callable[[TextIO], object]) -> None:
    """Write a file anew, whole or not at all, with its mode."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            write(file)
        os.chmod(name, path.stat().st_mode & 0o7777)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
