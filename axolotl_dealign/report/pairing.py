"""One benchmark in every arm -> the questions that all of them were asked, and what each arm made of them."""

from __future__ import annotations

import numpy as np

from axolotl_dealign.refusals import SHORTEST, refused
from axolotl_dealign.report.benchmarks import Benchmark
from axolotl_dealign.report.model import Report, Result
from axolotl_dealign.results import Floats, Samples, Unpaired, common_questions
from axolotl_dealign.stats import Codes, design

Parts = dict[str, list[dict[str, Samples]]]


def pair(benchmark: Benchmark, report: Report) -> Result | None:
    """One benchmark over the arms that were scored on it; None if the reference or every question is left out.

    What is left out is written to the report's `unpaired` and `warnings`.
    """
    parts = _scored(benchmark, report)
    if report.reference not in parts or (len(parts) < 2 <= len(report.arms)):
        return None
    flat = [samples for trainings in parts.values() for samples in trainings]
    tasks: list[str] = []
    passages: list[str] = []
    columns: list[list[int]] = [[] for _ in flat]
    for task in benchmark.tasks:
        if not all(task in samples for samples in flat):
            report.unpaired.append(Unpaired(task, "not scored in every run"))
            continue
        asked = [samples[task] for samples in flat]
        rows, left_out, prompts = common_questions(asked, task, benchmark.metric)
        report.unpaired.extend(left_out)
        if prompts:
            report.prompts[task] = prompts
        for column, row in zip(columns, rows, strict=True):
            column.extend(row.tolist())
        tasks += [task] * len(rows[0])
        shared = asked[0].passages
        passages += [f"{task} {i}" if shared is None else shared[i] for i in rows[0].tolist()]
    if not tasks:
        return None
    chosen = iter(columns)
    found = Result(
        benchmark=benchmark,
        design=design(_codes(tasks), benchmark.by_size, _codes(passages)),
        tasks=tasks,
        samples=parts,
        rows={arm: [next(chosen) for _ in trainings] for arm, trainings in parts.items()},
        scores={},
        refused={},
        unanswered={},
    )
    found.scores.update(_column(found, benchmark.metric))
    # Refusals and blanks say the same about a task whatever metric is looked at.
    if benchmark.primary:
        found.refused.update(_refused(found, report))
        found.unanswered.update(_unanswered(found))
    return found


def _scored(benchmark: Benchmark, report: Report) -> Parts:
    parts: Parts = {}
    for arm, trainings in report.arms.items():
        scored = [
            {
                task: part
                for task in benchmark.tasks
                if (part := trained.run.samples.get((task, benchmark.filter))) and benchmark.metric in part.scores
            }
            for trained in trainings
        ]
        if all(scored):
            parts[arm] = scored
        elif benchmark.primary:
            report.warnings.append(f"{arm} was not scored on {benchmark.name}: not compared there")
    return parts


def _column(found: Result, metric: str) -> dict[str, Floats]:
    """Arm -> (k, n) of a metric; without the arms that lack it in a task."""
    columns: dict[str, Floats] = {}
    for arm, trainings in found.samples.items():
        if all(metric in samples[task].scores for samples in trainings for task in set(found.tasks)):
            columns[arm] = np.array(
                [
                    [samples[task].scores[metric][row] for task, row in zip(found.tasks, rows, strict=True)]
                    for samples, rows in zip(trainings, found.rows[arm], strict=True)
                ]
            )
    return columns


def _texts(found: Result, arm: str, column: str) -> list[list[str]] | None:
    """(k, n) texts of a column of the samples; None where a task has none."""
    trainings = found.samples[arm]
    if any(getattr(samples[task], column) is None for samples in trainings for task in set(found.tasks)):
        return None
    return [
        [getattr(samples[task], column)[row] for task, row in zip(found.tasks, rows, strict=True)]
        for samples, rows in zip(trainings, found.rows[arm], strict=True)
    ]


def _refused(found: Result, report: Report) -> dict[str, Floats]:
    """The task's own verdicts; else our detector's, where every arm's outputs are long enough to tell."""
    own = _column(found, "refusal")
    if own:
        return own
    for trained in [t for arm in found.scores for t in report.arms[arm]]:
        for task in set(found.tasks):
            generation = trained.run.configs[task].get("generation_kwargs") or {}
            if generation.get("max_gen_toks", 256) < SHORTEST:
                return {}
    judged: dict[str, Floats] = {}
    for arm in found.scores:
        answers = _texts(found, arm, "answers")
        if answers is None:
            return {}
        questions = _texts(found, arm, "questions") or []
        verdicts = [refused(part, asked) for part, asked in zip(answers, questions, strict=True)]
        judged[arm] = np.array([[np.nan if v is None else float(v) for v in part] for part in verdicts])
        if np.isnan(judged[arm]).any():
            count = int(np.isnan(judged[arm]).sum())
            report.warnings.append(f"{arm}: {count} answers to {found.benchmark.name} could not be judged as refusals")
    return judged


def _unanswered(found: Result) -> dict[str, Floats]:
    """The task's own verdicts; else whether the output is blank, or declines where that can be told."""
    own = _column(found, "unanswered")
    if own:
        return own
    judged: dict[str, Floats] = {}
    for arm in found.scores:
        answers = _texts(found, arm, "answers")
        if answers is None:
            return {}
        blank = np.array([[float(not answer.strip()) for answer in part] for part in answers])
        judged[arm] = np.fmax(blank, found.refused[arm]) if arm in found.refused else blank
    return judged


def _codes(labels: list[str]) -> Codes:
    numbers = {label: i for i, label in enumerate(dict.fromkeys(labels))}
    return np.array([numbers[label] for label in labels], dtype=np.int64)
