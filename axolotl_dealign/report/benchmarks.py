"""Which groups and tasks of lm-eval are compared, and by which metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from axolotl_dealign.results import Run

JUDGED = ("refusal", "unanswered", "acc_answered")
"""Metrics that say how an answer was given, not whether it was right."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A task, or the group of tasks that lm-eval reports one score for.

    Attributes:
        name: lm-eval's name of it.
        tasks: The tasks under it.
        metric: The metric compared.
        filter: The filter compared.
        by_size: The score is the mean over questions; False: the mean over tasks.
        higher_is_better: Direction of the metric.
        safety: It only asks whether the model declines: a cost or a purpose, never a skill.
        primary: The metric and filter that the benchmark is known by; the others of a task are shown beside it.
    """

    name: str
    tasks: tuple[str, ...]
    metric: str
    filter: str
    by_size: bool
    higher_is_better: bool
    safety: bool
    primary: bool = True


def benchmarks(run: Run, beside: Sequence[Run] = ()) -> list[Benchmark]:
    """The benchmarks of a run: the topmost groups that lm-eval gives a score, and tasks in no such group.

    Each in its primary measure, then in its others.

    Args:
        run: One run.
        beside: Others of the same tasks: lm-eval does not write down how a group averages, but the scores that it
            reports tell, and those of several runs tell it better.
    """
    tasks = {task for task, _ in run.samples}
    children = {child for group in run.groups.values() for child in group}
    found: list[Benchmark] = []
    seen: set[str] = set()

    def descend(name: str) -> None:
        leaves = tuple(task for task in dict.fromkeys(_leaves(name, run.groups)) if task in tasks)
        if not leaves or seen.issuperset(leaves):
            return
        measures = list(_measures(name, leaves, run, beside))
        if measures:
            seen.update(measures[0].tasks)
            found.extend(measures)
        for child in run.groups.get(name, ()):
            descend(child)

    for root in [*(group for group in run.groups if group not in children), *sorted(tasks)]:
        descend(root)
    return found


def score(run: Run, benchmark: Benchmark) -> float | None:
    """The benchmark's score by the samples of one run; None where it has none."""
    parts = [
        part.scores[benchmark.metric]
        for task in benchmark.tasks
        if (part := run.samples.get((task, benchmark.filter))) and benchmark.metric in part.scores
    ]
    if not parts:
        return None
    return float(np.mean(np.concatenate(parts) if benchmark.by_size else [part.mean() for part in parts]))


def _leaves(name: str, groups: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    if name in groups:
        for child in groups[name]:
            yield from _leaves(child, groups)
    else:
        yield name


def _measures(name: str, leaves: tuple[str, ...], run: Run, beside: Sequence[Run]) -> Iterator[Benchmark]:
    """What can be compared of a group or task, the primary measure first; nothing if its tasks share no metric."""
    primary = True
    for metric, filter_ in _preferred(run.reported.get(name, {})):
        parts = [run.samples[leaf, filter_] for leaf in leaves if (leaf, filter_) in run.samples]
        if not parts or not all(metric in part.scores for part in parts) or (metric in JUDGED and not primary):
            continue
        tasks = tuple(leaf for leaf in leaves if (leaf, filter_) in run.samples)
        found = Benchmark(
            name=name,
            tasks=tasks,
            metric=metric,
            filter=filter_,
            by_size=True,
            higher_is_better=run.higher_is_better.get(tasks[0], {}).get(metric, metric not in JUDGED),
            safety=metric in JUDGED,
            primary=primary,
        )
        over_tasks = replace(found, by_size=False)
        runs = [run, *beside]
        yield found if _error(found, runs) <= _error(over_tasks, runs) else over_tasks
        primary = False


def _error(benchmark: Benchmark, runs: Sequence[Run]) -> float:
    """How far the scores that lm-eval reports are from those that averaging in this way gives."""
    error = 0.0
    for run in runs:
        reported = run.reported.get(benchmark.name, {}).get(f"{benchmark.metric},{benchmark.filter}")
        mean = score(run, benchmark)
        if reported is not None and mean is not None:
            error += abs(reported - mean)
    return error


def _preferred(reported: Mapping[str, float]) -> list[tuple[str, str]]:
    """(metric, filter) in order of preference: plain accuracy, then lm-eval's order, then how answers were given."""
    keys = [(metric, filter_) for key in reported for metric, _, filter_ in [key.partition(",")]]
    return sorted(
        keys, key=lambda key: (key[0] in JUDGED, JUDGED.index(key[0]) if key[0] in JUDGED else 0, key[0] != "acc")
    )
