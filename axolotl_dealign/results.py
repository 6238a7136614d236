"""Read what lm-eval wrote, and pair the questions of several runs.

Layouts of lm-eval 0.4.9 to 0.4.13: `OUT/<model>/results_<time>.json`, or `stem_<time>.json` where `--output_path`
ended in .json, each with one `samples_<task>_<time>.jsonl` a task beside it. The fields of one sample line are the
same in all of them. Nothing is averaged over questions that are not the same question in every run.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from axolotl_dealign.errors import ResultsError
from axolotl_dealign.types import JSON

Floats = npt.NDArray[np.float64]

PASSAGES = ("passage", "context")
"""Fields of a question whose text many questions share: those questions are not independent."""

QUESTIONS = ("prompt", "question", "input", "instruction")
"""Fields of a question that hold what the model was asked, without the shots before it."""

_DATED = re.compile(r"_(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d(?:\.\d+)?)\.json$")


@dataclass(frozen=True, slots=True)
class Samples:
    """One task under one filter in one run: columns of n questions, ordered by `doc_ids`.

    Attributes:
        doc_ids: lm-eval's number of each question, unique here.
        hashes: doc_hash + target_hash of each question: equal in two runs if it is the same question.
        prompts: prompt_hash of each question.
        scores: Metric -> float64 (n,); only metrics that are one number a question.
        questions: What was asked, without the shots before it; None where no field is known to hold it.
        answers: The raw text generated for each question; None for tasks scored by likelihood.
        passages: What the question is about, where many questions share a text; else None.
        path: The file, and `offsets` the byte at which each line begins, for reading a whole line again.
        duplicated: doc_ids that stood on several lines; all their lines are left out.
    """

    doc_ids: npt.NDArray[np.int64]
    hashes: list[str]
    prompts: list[str]
    scores: dict[str, Floats]
    questions: list[str | None]
    answers: list[str] | None
    passages: list[str] | None
    path: Path
    offsets: npt.NDArray[np.int64]
    duplicated: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One model scored by lm-eval.

    Attributes:
        folder: Where it was read from.
        model: lm-eval's name of the model.
        samples: (task, filter) -> its questions.
        groups: Group -> the groups and tasks right under it.
        reported: Task or group -> "metric,filter" -> the score that lm-eval reports.
        configs: Task -> its lm-eval configuration.
        higher_is_better: Task -> metric -> direction.
        settings: The whole results file without per-task parts: model, versions, seeds, hardware.
        warnings: What a reader of the scores must know.
    """

    folder: Path
    model: str
    samples: dict[tuple[str, str], Samples]
    groups: dict[str, tuple[str, ...]]
    reported: dict[str, dict[str, float]]
    configs: dict[str, JSON]
    higher_is_better: dict[str, dict[str, bool]]
    settings: JSON
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unpaired:
    """Questions of one task left out of the comparison, and why."""

    task: str
    reason: str
    doc_ids: tuple[int, ...] = field(default=())


def read_run(folder: Path) -> Run:
    """Read one output folder of lm-eval, or one of its results files.

    Where a task was run several times, its newest run counts, with a warning.

    Raises:
        ResultsError: No results, no samples, two models, or a line that is not what lm-eval writes.
    """
    found = sorted(_results_files(folder))
    if not found:
        raise ResultsError(
            f"no lm-eval results in {folder}; give the folder that was `--output_path` of `lm_eval run --log_samples`"
        )
    parsed = [(date, path, _read_json(path)) for date, path in found]
    models = sorted({str(result.get("model_name")) for _, _, result in parsed})
    if len(models) > 1:
        raise ResultsError(
            f"{folder} holds results of {len(models)} models ({', '.join(models)}); name the folder of one"
        )
    newest: dict[str, tuple[Path, JSON]] = {}
    warnings: list[str] = []
    unlogged: set[str] = set()
    for date, path, result in parsed:
        for task in result.get("configs", {}):
            file = path.with_name(f"samples_{task}_{date}.jsonl")
            if not file.is_file():
                unlogged.add(task)
                continue
            if task in newest:
                warnings.append(f"{folder}: `{task}` was run several times; the newest run ({date}) counts")
            newest[task] = (file, result)
    if not newest:
        raise ResultsError(f"{folder} has results but no samples; run `lm_eval run` again with --log_samples")
    warnings += [f"{folder}: `{task}` has no samples and is left out" for task in sorted(unlogged - set(newest))]
    samples: dict[tuple[str, str], Samples] = {}
    for task, (file, _) in newest.items():
        samples.update({(task, name): part for name, part in _read_samples(file).items()})
    warnings += [
        f"{part.path.name}: {len(part.duplicated)} questions stand there more than once and are left out"
        for part in samples.values()
        if part.duplicated
    ]
    merged = [result for _, _, result in parsed]
    return Run(
        folder=folder,
        model=models[0],
        samples=samples,
        groups={k: tuple(v) for result in merged for k, v in result.get("group_subtasks", {}).items() if v},
        reported={k: _numbers(v) for result in merged for k, v in result.get("results", {}).items()},
        configs={task: result["configs"][task] for task, (_, result) in newest.items()},
        higher_is_better={
            k: {m: bool(d) for m, d in v.items() if d is not None}
            for result in merged
            for k, v in result.get("higher_is_better", {}).items()
        },
        settings={k: v for k, v in merged[-1].items() if k not in {"results", "groups", "configs", "group_subtasks"}},
        warnings=tuple(warnings),
    )


def common_questions(
    parts: Sequence[Samples], task: str, metric: str
) -> tuple[list[npt.NDArray[np.int64]], list[Unpaired], int]:
    """Find the questions of one task that are the same in every run.

    Args:
        parts: The same task and filter in k runs.
        task: Its name, for the list of what is left out.
        metric: What is compared; a question without it in some run is left out.

    Returns:
        For each run the rows of the m common questions, in the same order; what was left out; and how many of the
        common questions were asked with different prompts.
    """
    common = sorted(set.intersection(*(set(part.doc_ids.tolist()) for part in parts)))
    everything = set.union(*(set(part.doc_ids.tolist()) for part in parts))
    rows = [np.searchsorted(part.doc_ids, common) for part in parts]
    same = np.array(
        [len({part.hashes[row[i]] for part, row in zip(parts, rows, strict=True)}) == 1 for i in range(len(common))],
        dtype=bool,
    )
    scored = np.all([np.isfinite(p.scores[metric][row]) for p, row in zip(parts, rows, strict=True)], axis=0)
    left_out = [
        Unpaired(task, "not asked in every run", tuple(sorted(everything.difference(common)))),
        Unpaired(task, "not the same question or target in every run", tuple(np.array(common)[~same].tolist())),
        Unpaired(task, f"without {metric} in some run", tuple(np.array(common)[same & ~scored].tolist())),
        Unpaired(task, "on several lines of one run", tuple(sorted({i for part in parts for i in part.duplicated}))),
    ]
    rows = [row[same & scored] for row in rows]
    prompts = sum(
        len({part.prompts[row[i]] for part, row in zip(parts, rows, strict=True)}) > 1 for i in range(len(rows[0]))
    )
    return rows, [part for part in left_out if part.doc_ids], prompts


def read_line(part: Samples, row: int) -> JSON:
    """One sample line again, whole."""
    with part.path.open("rb") as file:
        file.seek(int(part.offsets[row]))
        line: JSON = json.loads(file.readline())
    return line


def question(line: JSON) -> str | None:
    """What a sample line asked, without the shots before it; None where no field is known to hold it."""
    doc = line["doc"]
    return next((doc[n] for n in QUESTIONS if isinstance(doc.get(n), str)), None) if isinstance(doc, dict) else None


def _results_files(folder: Path) -> Iterator[tuple[str, Path]]:
    if not folder.exists():
        raise ResultsError(f"{folder} does not exist; give an output folder of lm-eval")
    for path in [folder] if folder.is_file() else folder.rglob("*.json"):
        match = _DATED.search(path.name)
        if match:
            yield match[1], path


def _read_json(path: Path) -> JSON:
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ResultsError(f"{path} is not the JSON that lm-eval writes ({error}); run the evaluation again") from error
    if not isinstance(parsed, dict) or "results" not in parsed:
        raise ResultsError(f"{path} has no `results`; it was not written by lm-eval")
    return parsed


def _read_samples(path: Path) -> dict[str, Samples]:
    lines: dict[str, list[tuple[int, JSON]]] = {}
    offset = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    row = json.loads(line)
                    lines.setdefault(str(row["filter"]), []).append((offset, _keep(row)))
                except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
                    raise ResultsError(
                        f"{path}, line {number} is not a sample that lm-eval writes ({type(error).__name__}: {error}); "
                        "run this task again with --log_samples"
                    ) from error
            offset += len(line)
    if not lines:
        raise ResultsError(f"{path} is empty; run this task again with --log_samples")
    return {name: _columns(path, rows) for name, rows in lines.items()}


def _keep(row: JSON) -> JSON:
    """The parts of a sample line that are held in memory: few-shot prompts are long, and asked for again if needed."""
    first = row["resps"][0]
    answer = first[0] if isinstance(first, list) and first else first
    doc = row["doc"] if isinstance(row["doc"], dict) else {}
    return {
        "doc_id": int(row["doc_id"]),
        "hash": row["doc_hash"] + row["target_hash"],
        "prompt": row["prompt_hash"],
        "question": question(row),
        # A pair is a likelihood; null is what a server may send in place of a text, and no answer.
        "answer": answer if isinstance(answer, str) else "" if answer is None else None,
        "passage": next((doc[name] for name in PASSAGES if isinstance(doc.get(name), str)), None),
        "scores": {name: float(row[name]) for name in row["metrics"] if isinstance(row.get(name), (bool, int, float))},
    }


def _columns(path: Path, lines: list[tuple[int, JSON]]) -> Samples:
    counts: dict[int, int] = {}
    for _, row in lines:
        counts[row["doc_id"]] = counts.get(row["doc_id"], 0) + 1
    kept = sorted(((o, row) for o, row in lines if counts[row["doc_id"]] == 1), key=lambda line: int(line[1]["doc_id"]))
    rows = [row for _, row in kept]
    metrics = dict.fromkeys(name for row in rows for name in row["scores"])
    answers = [row["answer"] for row in rows]
    passages = [row["passage"] for row in rows]
    return Samples(
        doc_ids=np.array([row["doc_id"] for row in rows], dtype=np.int64),
        hashes=[row["hash"] for row in rows],
        prompts=[row["prompt"] for row in rows],
        questions=[row["question"] for row in rows],
        scores={name: np.array([row["scores"].get(name, math.nan) for row in rows]) for name in metrics},
        answers=None if None in answers else answers,
        passages=None if None in passages or len(set(passages)) == len(passages) else passages,
        path=path,
        offsets=np.array([offset for offset, _ in kept], dtype=np.int64),
        duplicated=tuple(sorted(doc for doc, count in counts.items() if count > 1)),
    )


def _numbers(scores: Mapping[str, object]) -> dict[str, float]:
    """The scores among the entries of `results`: their keys hold a comma, and are no standard errors."""
    return {
        key: float(value)
        for key, value in scores.items()
        if "," in key and "_stderr," not in key and isinstance(value, (int, float))
    }
