"""Results for report.json, as schema.json describes them; what is not known is null."""

from __future__ import annotations

import math

import numpy as np

from axolotl_dealign.report.model import Contrast, Result
from axolotl_dealign.stats import Effect
from axolotl_dealign.types import JSON


def result_data(result: Result) -> JSON:
    """One benchmark."""
    b = result.benchmark
    return {
        "benchmark": b.name,
        "metric": b.metric,
        "filter": b.filter,
        "higher_is_better": b.higher_is_better,
        "safety": b.safety,
        "questions": len(result.tasks),
        "average": "questions" if b.by_size else "subtasks",
        "interval": result.design.method,
        "arms": {
            arm: {
                "score": known(result.score(arm)),
                "trainings": [known(float(s)) for s in result.scores[arm] @ result.design.weights],
                "refused": known(result.mean(result.refused[arm])) if arm in result.refused else None,
                "unanswered": known(result.mean(result.unanswered[arm])) if arm in result.unanswered else None,
                "score_among_answered": known(result.among_answered(arm)) if arm in result.unanswered else None,
            }
            for arm in result.scores
        },
        "contrasts": [contrast_data(contrast) for contrast in result.contrasts],
        "subtasks": {task: _subtask(result, task) for task in result.subtasks},
    }


def _subtask(result: Result, task: str) -> JSON:
    chosen = np.array(result.tasks) == task
    return {
        "questions": int(chosen.sum()),
        "scores": {arm: float(scores[:, chosen].mean()) for arm, scores in result.scores.items()},
        "contrasts": [contrast_data(contrast) for contrast in result.subtasks[task]],
    }


def contrast_data(contrast: Contrast) -> JSON:
    """One difference between two arms."""
    return {
        "first": contrast.first,
        "second": contrast.second,
        "difference": effect_data(contrast.effect),
        "relative": None if contrast.relative is None else effect_data(contrast.relative),
        "wins": contrast.wins,
        "losses": contrast.losses,
        "ties": contrast.ties,
        "mcnemar_p": known(contrast.mcnemar),
        "holm_p": known(contrast.holm),
        "smallest_seen": known(contrast.effect.smallest_seen),
        "unanswered_part": known(contrast.unanswered),
        "answered_part": known(contrast.answered),
        "trainings": list(contrast.seeds),
        "over_trainings": None if contrast.trainings is None else effect_data(contrast.trainings),
        "bootstrap": None if contrast.bootstrap is None else list(contrast.bootstrap),
    }


def effect_data(effect: Effect) -> JSON:
    """An estimate with its interval."""
    return {key: known(getattr(effect, key)) for key in ("estimate", "se", "df", "low", "high", "p")}


def known(value: float | None) -> float | None:
    """The value, or None where it is no number that JSON can hold."""
    return value if value is not None and math.isfinite(value) else None
