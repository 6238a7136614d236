"""What a report holds, and what its sections are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from axolotl_dealign.results import Benchmark, Floats, Run, Unpaired
from axolotl_dealign.stats import Design, Effect
from axolotl_dealign.types import JSON


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
    """One arm minus another on one benchmark.

    Attributes:
        first: The arm that is looked at.
        second: The arm that it is compared with.
        effect: The paired difference first - second.
        relative: (first - second) / first, as the paper words it; None where the first scores 0.
        wins: Questions (times seeds) on which the first scores higher; `losses` lower, `ties` the same.
        mcnemar: Exact McNemar p value; None with several seeds or scores other than 0 and 1.
        holm: p value adjusted over the benchmarks by Holm; nan where the benchmark is not in the family.
        unanswered: Part of the difference from questions that either arm left unanswered; the rest of it is from
            questions that both answered. None where answers are too short to tell.
        seeds: The difference of each pair of trainings.
        trainings: With several seeds, the effect for new trainings on the same questions.
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


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark, every arm on the same n questions.

    Attributes:
        benchmark: What is compared.
        design: How questions are weighted and hang together.
        tasks: (n,) the task of each question.
        doc_ids: (n,) lm-eval's number of each question.
        rows: Arm -> for each training the row of each question in its `Samples`, (k, n).
        scores: Arm -> (k, n) scores of k trainings.
        refused: Arm -> (k, n) 1 where the answer declines; missing where outputs are too short to tell.
        unanswered: Arm -> (k, n) 1 where the question got no answer; missing likewise.
        contrasts: The differences between arms.
    """

    benchmark: Benchmark
    design: Design
    tasks: list[str]
    doc_ids: list[int]
    rows: dict[str, list[list[int]]]
    scores: dict[str, Floats]
    refused: dict[str, Floats]
    unanswered: dict[str, Floats]
    contrasts: list[Contrast]

    def mean(self, values: Floats) -> float:
        """The benchmark's mean of (k, n) values over trainings and questions, as lm-eval weights them."""
        return float((values @ self.design.weights).mean())

    def contrast(self, first: str, second: str) -> Contrast | None:
        """The difference between two arms, if both were scored on this benchmark."""
        return next((c for c in self.contrasts if (c.first, c.second) == (first, second)), None)


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that sections may speak about.

    Attributes:
        arms: Arm -> its trainings, one or several.
        reference: The arm that the others are compared with.
        results: The benchmarks.
        unpaired: Questions left out, and why.
        warnings: What a reader of the numbers must know.
        command: The command that made the results, where known.
    """

    arms: dict[str, list[Trained]]
    reference: str
    results: list[Result]
    unpaired: list[Unpaired] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """A table: cells are text, and shown as text."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the report; what it holds is written to all three files.

    Attributes:
        name: A slug, unique among the sections: its anchor and its key in report.json.
        title: The heading.
        blocks: Paragraphs (plain strings) and tables.
        data: What report.json holds for it.
    """

    name: str
    title: str
    blocks: Sequence[str | Table]
    data: JSON = field(default_factory=dict)
