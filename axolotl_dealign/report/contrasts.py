"""A benchmark's paired scores -> the differences between arms, for it and for each of its subtasks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from axolotl_dealign.report.model import Contrast, Result
from axolotl_dealign.stats import Codes, Design, design, difference, holm, mcnemar, relative_change


def contrasts(result: Result, reference: str) -> Result:
    """The result with every difference: each arm minus the reference, then minus the control."""
    arms = list(result.scores)
    pairs = [(arm, reference) for arm in arms if arm != reference]
    if "control" in arms and reference != "control":
        pairs += [(arm, "control") for arm in arms if arm not in {"control", "base", reference}]
    whole = [_contrast(result, first, second, result.design, slice(None)) for first, second in pairs]
    subtasks = {}
    names = list(dict.fromkeys(result.tasks))
    if len(names) > 1:
        tasks = np.array(result.tasks)
        for name in names:
            chosen = np.flatnonzero(tasks == name)
            alone = design(np.zeros(len(chosen), dtype=np.int64), by_size=True)
            subtasks[name] = [_contrast(result, first, second, alone, chosen) for first, second in pairs]
    return replace(result, contrasts=whole, subtasks=subtasks)


def adjust(results: list[Result]) -> list[Result]:
    """Holm's p values over these benchmarks, for each pair of arms by itself."""
    adjusted: dict[tuple[str, str, int], float] = {}
    for pair in {(c.first, c.second) for result in results for c in result.contrasts}:
        family = [(i, c.effect.p) for i, r in enumerate(results) if (c := r.contrast(*pair)) is not None]
        for (i, _), p in zip(family, holm([p for _, p in family]), strict=True):
            adjusted[(*pair, i)] = p
    return [
        replace(r, contrasts=[replace(c, holm=adjusted[c.first, c.second, i]) for c in r.contrasts])
        for i, r in enumerate(results)
    ]


def _contrast(result: Result, first: str, second: str, how: Design, chosen: Codes | slice) -> Contrast:
    x, y = result.scores[first][:, chosen], result.scores[second][:, chosen]
    effect, trainings = difference(x, y, how)
    # Trainings made as pairs are compared as pairs, and one untrained model with each training.
    each = x - y if len(x) == len(y) or 1 in (len(x), len(y)) else x.mean(axis=0, keepdims=True) - y.mean(axis=0)
    wins, losses = int((each > 0).sum()), int((each < 0).sum())
    single = len(x) == len(y) == 1
    return Contrast(
        first=first,
        second=second,
        effect=effect,
        relative=relative_change(x, y, how),
        wins=wins,
        losses=losses,
        ties=int(each.size) - wins - losses,
        mcnemar=mcnemar(wins, losses) if single and np.isin([x, y], (0, 1)).all() else None,
        holm=float("nan"),
        unanswered=_unanswered(result, first, second, how, chosen),
        seeds=tuple(float(d) for d in each @ how.weights) if len(each) > 1 else (),
        trainings=trainings,
        bootstrap=how.bootstrap(each[0]) if single else None,
    )


def _unanswered(result: Result, first: str, second: str, how: Design, chosen: Codes | slice) -> float | None:
    if first not in result.unanswered or second not in result.unanswered:
        return None
    x, y = result.scores[first][:, chosen], result.scores[second][:, chosen]
    u, v = (result.unanswered[arm][:, chosen] > 0 for arm in (first, second))
    # Every training of one arm against every training of the other: the parts then add up to the difference.
    parts = [how.weights @ ((x[i] - y[j]) * (u[i] | v[j])) for i in range(len(x)) for j in range(len(y))]
    return float(np.mean(parts))
