"""The built-in sections, each a function of the report."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import numpy as np

from axolotl_dealign.errors import ResultsError
from axolotl_dealign.report.model import Contrast, Report, Result, Section, Table
from axolotl_dealign.stats import Effect
from axolotl_dealign.types import JSON


def benchmarks(report: Report) -> Section:
    """Scores, differences and intervals, one row a benchmark and pair of arms."""
    return Section(
        "benchmarks",
        "Benchmarks",
        [benchmark_table(report), *_notes(report)],
        {"results": [result_data(result) for result in report.results]},
    )


def benchmark_table(report: Report) -> Table:
    """The short table that report.md and the terminal begin with."""
    rows = []
    for result in report.results:
        name = result.benchmark.name + (" (refusals)" if result.benchmark.safety else "")
        rows.append(
            [name, str(len(result.tasks)), report.reference, percent(_score(result, report.reference)), *[""] * 4]
        )
        for arm in result.scores:
            contrast = result.contrast(arm, report.reference)
            if contrast is not None:
                rows.append(
                    [
                        name,
                        str(len(result.tasks)),
                        arm,
                        percent(_score(result, arm)),
                        points(contrast.effect.estimate),
                        interval(contrast.effect),
                        percent(contrast.relative.estimate, signed=True) if contrast.relative else "–",
                        p_value(contrast.holm if not result.benchmark.safety else contrast.effect.p),
                    ]
                )
    columns = ["benchmark", "questions", "arm", "score", f"minus {report.reference}", "95 % interval", "relative", "p"]
    return Table(columns, rows)


def control(report: Report) -> Section | None:
    """Did removing aligned rows do more than removing as many rows at random?"""
    rows, data, sentences = [], [], []
    for result in report.results:
        for contrast in result.contrasts:
            if contrast.second == "control" and not result.benchmark.safety:
                rows.append(
                    [result.benchmark.name, contrast.first, points(contrast.effect.estimate), interval(contrast.effect)]
                )
                data.append({"benchmark": result.benchmark.name, **contrast_data(contrast)})
                sentences.append(f"{result.benchmark.name}: {_more(contrast)}")
    if not rows:
        return None
    table = Table(["benchmark", "arm", "minus control", "95 % interval"], rows)
    return Section("control", "Against removing as many rows at random", [table, *sentences], {"contrasts": data})


def refusals(report: Report) -> Section | None:
    """How often each arm declines, and what it scores where it answers."""
    rows, data = [], []
    for result in report.results:
        for arm in result.scores:
            declined = result.refused.get(arm)
            silent = result.unanswered.get(arm)
            if declined is None and silent is None:
                continue
            share = None if declined is None else result.mean(declined)
            lost = None if silent is None else result.mean(silent)
            answered = None if silent is None else _among_answered(result, arm)
            rows.append(
                [result.benchmark.name, arm, *("–" if v is None else percent(v) for v in (share, lost, answered))]
            )
            data.append(
                {"benchmark": result.benchmark.name, "arm": arm, "refused": share, "unanswered": lost}
                | {"score_among_answered": answered}
            )
    if not rows:
        return None
    return Section(
        "refusals",
        "Refusals",
        [Table(["benchmark", "arm", "refused", "unanswered", "score among answered"], rows)],
        {"shares": data},
    )


def removed(report: Report) -> Section | None:
    """What was removed from the training data, by kind."""
    rows, data = [], []
    for arm, trainings in report.arms.items():
        for trained in trainings:
            if trained.audit is None:
                continue
            summary = _summary(trained.audit / "summary.json")
            entry: JSON = {"arm": arm, "seed": trained.seed, "datasets": summary["datasets"]}
            data.append(entry)
            kinds: Counter[str] = Counter()
            for dataset in summary["datasets"]:
                kinds.update(dataset.get("removed_kinds", {}))
            total, gone = (sum(d[key] for d in summary["datasets"]) for key in ("rows", "removed"))
            listed = ", ".join(f"{kind} {count}" for kind, count in kinds.most_common() if count)
            seed = "–" if trained.seed is None else str(trained.seed)
            rows.append([arm, seed, str(total), str(gone), percent(gone / total) if total else "–", listed or "–"])
    if not rows:
        return None
    table = Table(["arm", "seed", "rows", "removed", "share", "removed rows by kind"], rows)
    return Section("removed", "Removed rows", [table], {"trainings": data})


def settings(report: Report) -> Section:
    """Versions and settings, as far as they bear on comparability."""
    keys = ["model_dtype", "model_num_parameters", "lm_eval_version", "transformers_version", "limit", "batch_size"]
    keys += ["max_length", "chat_template_sha", "system_instruction_sha", "fewshot_seed", "gen_kwargs"]
    trained = [(arm, i, t) for arm, trainings in report.arms.items() for i, t in enumerate(trainings, start=1)]
    flat = [{**t.run.settings, **t.run.settings.get("config", {})} for _, _, t in trained]
    names = [arm if len(report.arms[arm]) == 1 else f"{arm} {t.seed or i}" for arm, i, t in trained]
    rows = [["model", *(t.run.model for _, _, t in trained)]]
    rows += [[key, *(str(one.get(key)) for one in flat)] for key in keys]
    data = {name: {key: one.get(key) for key in ["model_name", *keys]} for name, one in zip(names, flat, strict=True)}
    return Section("settings", "Versions and settings", [Table(["", *names], rows)], {"runs": data})


def warnings(report: Report) -> Section | None:
    """What a reader of the numbers must know, and every question that was left out."""
    left_out = [f"{u.task}: {len(u.doc_ids) or 'all'} questions left out, {u.reason}" for u in report.unpaired]
    lines = [*report.warnings, *left_out]
    if not lines:
        return None
    unpaired = [{"task": u.task, "reason": u.reason, "doc_ids": list(u.doc_ids)} for u in report.unpaired]
    return Section("warnings", "Warnings", lines, {"warnings": report.warnings, "unpaired": unpaired})


def result_data(result: Result) -> JSON:
    """One benchmark for report.json."""
    b = result.benchmark
    return {
        "benchmark": b.name,
        "metric": b.metric,
        "filter": b.filter,
        "higher_is_better": b.higher_is_better,
        "safety": b.safety,
        "questions": len(result.tasks),
        "subtasks": len(set(result.tasks)),
        "average": "questions" if b.by_size else "subtasks",
        "interval": result.design.method,
        "scores": {arm: _score(result, arm) for arm in result.scores},
        "contrasts": [contrast_data(contrast) for contrast in result.contrasts],
    }


def contrast_data(contrast: Contrast) -> JSON:
    """One difference for report.json."""
    return {
        "first": contrast.first,
        "second": contrast.second,
        "difference": effect_data(contrast.effect),
        "relative": None if contrast.relative is None else effect_data(contrast.relative),
        "wins": contrast.wins,
        "losses": contrast.losses,
        "ties": contrast.ties,
        "mcnemar_p": contrast.mcnemar,
        "holm_p": _known(contrast.holm),
        "smallest_seen": _known(contrast.effect.smallest_seen),
        "unanswered_part": contrast.unanswered,
        "seeds": list(contrast.seeds),
        "over_trainings": None if contrast.trainings is None else effect_data(contrast.trainings),
    }


def effect_data(effect: Effect) -> JSON:
    """An estimate for report.json."""
    return {key: _known(getattr(effect, key)) for key in ("estimate", "se", "df", "low", "high", "p")}


def percent(share: float, signed: bool = False) -> str:
    """A share of 1 as per cent."""
    return f"{100 * share:{'+' if signed else ''}.1f} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points."""
    return f"{100 * difference:+.1f}"


def interval(effect: Effect) -> str:
    """The 95 % interval in percentage points."""
    return "–" if np.isnan(effect.low) else f"{100 * effect.low:+.1f} to {100 * effect.high:+.1f}"


def p_value(p: float) -> str:
    """A p value, no more exact than anybody needs."""
    return "–" if np.isnan(p) else ("<0.001" if p < 0.001 else f"{p:.3f}")


def _score(result: Result, arm: str) -> float:
    return result.mean(result.scores[arm])


def _among_answered(result: Result, arm: str) -> float | None:
    answered = result.unanswered[arm] == 0
    weights = result.design.weights * answered
    return float((weights * result.scores[arm]).sum() / weights.sum()) if weights.sum() else None


def _more(contrast: Contrast) -> str:
    if contrast.holm < 0.05:
        word = "did more for" if contrast.effect.estimate > 0 else "did less for"
        return f"`{contrast.first}` {word} the score than removing as many rows at random."
    return f"the data do not tell `{contrast.first}` from removing as many rows at random."


def _notes(report: Report) -> list[str]:
    notes = [
        "Differences in percentage points, on the same questions in every arm. Relative change as the paper words it: "
        "(arm - reference) / arm. p: adjusted over the benchmarks by Holm; safety groups are not in that family.",
    ]
    if all(len(trainings) == 1 for trainings in report.arms.values()):
        notes.append("One training an arm: the intervals hold the noise of the questions, not that of training again.")
    return notes


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _summary(path: Any) -> JSON:
    try:
        summary: JSON = json.loads(path.read_text(encoding="utf-8"))
        for dataset in summary["datasets"]:
            dataset["rows"], dataset["removed"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is not an audit summary ({type(error).__name__}: {error})") from error
    return summary
