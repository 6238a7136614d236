"""What is known about the arms: the one thing that sections speak about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from axolotl_dealign.report.benchmarks import Benchmark
from axolotl_dealign.results import Floats, Run, Samples, Unpaired
from axolotl_dealign.stats import Design, Effect


@dataclass(frozen=True, slots=True)
class Trained:
    """One training of one arm: its results, and where known its seed, its audit and its Axolotl config."""

    run: Run
    seed: int | None = None
    audit: Path | None = None
    config: Path | None = None
    model: Path | None = None


@dataclass(frozen=True, slots=True)
class Contrast:
    """One arm minus another on one benchmark or subtask.

    Attributes:
        first: The arm that is looked at.
        second: The arm that it is compared with.
        effect: The paired difference first - second.
        relative: (first - second) / first, as the paper words it; None where the first scores 0.
        wins: Questions (times trainings) on which the first scores higher; `losses` lower, `ties` the same.
        mcnemar: Exact McNemar p value; None with several trainings or scores other than 0 and 1.
        holm: p value adjusted over the benchmarks by Holm; nan where the benchmark is in no family.
        unanswered: Part of the difference from questions that either arm left unanswered; the rest of it is from
            questions that both answered. None where answers are too short to tell.
        seeds: The difference of each pair of trainings; empty where the arms were trained differently often.
        trainings: With several trainings, the effect for new trainings on the same questions.
        bootstrap: Interval from drawing whole clusters; None where there are none or several trainings.
    """

    first: str
    second: str
    effect: Effect
    relative: Effect | None
    wins: int
    losses: int
    ties: int
    mcnemar: float | None
    holm: float
    unanswered: float | None
    seeds: tuple[float, ...]
    trainings: Effect | None
    bootstrap: tuple[float, float] | None

    @property
    def answered(self) -> float | None:
        """Part of the difference from questions that both arms answered."""
        return None if self.unanswered is None else self.effect.estimate - self.unanswered


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark, every arm on the same n questions.

    Attributes:
        benchmark: What is compared.
        design: How questions are weighted and hang together.
        tasks: (n,) the task of each question.
        samples: Arm -> for each of k trainings, task -> its samples.
        rows: Arm -> (k, n) the row of each question in its samples.
        scores: Arm -> (k, n) scores.
        refused: Arm -> (k, n) 1 where the answer declines, nan where nobody can tell; arms whose outputs are too
            short to tell are missing.
        unanswered: Arm -> (k, n) 1 where the question got no answer; missing likewise.
        contrasts: The differences between arms.
        subtasks: Task -> the differences on it alone; empty where the benchmark is one task.
    """

    benchmark: Benchmark
    design: Design
    tasks: list[str]
    samples: dict[str, list[dict[str, Samples]]]
    rows: dict[str, list[list[int]]]
    scores: dict[str, Floats]
    refused: dict[str, Floats]
    unanswered: dict[str, Floats]
    contrasts: list[Contrast] = field(default_factory=list)
    subtasks: dict[str, list[Contrast]] = field(default_factory=dict)

    def mean(self, values: Floats) -> float:
        """The mean of (k, n) values over trainings and questions, weighted as the score is; nan where none is known."""
        weights = self.design.weights * ~np.isnan(values)
        total = float(weights.sum())
        return float(np.nansum(weights * values)) / total if total else float("nan")

    def score(self, arm: str) -> float:
        """What the arm scores."""
        return self.mean(self.scores[arm])

    def among_answered(self, arm: str) -> float:
        """What the arm scores on the questions that it answered; nan where it answered none."""
        return self.mean(np.where(self.unanswered[arm] > 0, np.nan, self.scores[arm]))

    def contrast(self, first: str, second: str) -> Contrast | None:
        """The difference between two arms, if both were scored on this benchmark."""
        return next((c for c in self.contrasts if (c.first, c.second) == (first, second)), None)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that sections may speak about.

    Attributes:
        arms: Arm -> its trainings, one or several.
        reference: The arm that the others are compared with.
        main: The arm that the report is about: `dealigned` where there is one; None where there is only one arm.
        results: The benchmarks, each in the metric that is compared.
        others: The same benchmarks in their other metrics and filters.
        unpaired: Questions left out, and why.
        prompts: Task -> number of its questions that were asked with different prompts in different runs.
        warnings: What a reader of the numbers must know.
        command: The command that made the results, where known.
    """

    arms: dict[str, list[Trained]]
    reference: str
    main: str | None
    results: list[Result]
    others: list[Result] = field(default_factory=list)
    unpaired: list[Unpaired] = field(default_factory=list)
    prompts: dict[str, int] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    command: str | None = None

    @property
    def skills(self) -> list[Result]:
        """The benchmarks that ask whether answers are right."""
        return [result for result in self.results if not result.benchmark.safety]

    @property
    def safety(self) -> list[Result]:
        """The benchmarks that only ask whether the model declines."""
        return [result for result in self.results if result.benchmark.safety]

    @property
    def several(self) -> bool:
        """Whether some arm was trained more than once."""
        return any(len(trainings) > 1 for trainings in self.arms.values())
