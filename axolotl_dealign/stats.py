"""Paired effects: how much two arms differ on the same questions, and how sure that is. No I/O.

Every estimate is a weighted mean of one value a question. A `Design` holds the weights and which questions hang
together; the same design then serves the difference, its relative form and its parts. The intervals' coverage is
measured in tests/test_coverage.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import optimize, stats

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FEW = 10
"""Below this many subtasks they are taken as given, not as a sample of subtasks: a jackknife over fewer clusters
mostly measures how few they are."""

Method = Literal["questions", "clusters", "strata"]

_Z = float(stats.norm.ppf(0.975))


@dataclass(frozen=True, slots=True)
class Effect:
    """An estimate with its 95 % interval; se, df, ends and p are nan where one value says nothing about its spread.

    Attributes:
        estimate: In the unit of the values (a share of 1 for accuracies).
        se: Standard error.
        df: Degrees of freedom of the t distribution; infinite for a score interval.
        low: Lower end of the interval.
        high: Upper end.
        p: Two-sided p value of "no difference".
    """

    estimate: float
    se: float
    df: float
    low: float
    high: float
    p: float

    @property
    def smallest_seen(self) -> float:
        """The smallest true effect that a test at 5 % finds with 80 % power: 2.8 standard errors, more at few df."""
        return (self.high - self.low) / 2 * (_Z + float(stats.norm.ppf(0.8))) / _Z

    @property
    def shows(self) -> int:
        """1 or -1 where the whole interval lies above or below 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)


@dataclass(frozen=True, slots=True)
class Design:
    """Which mean is estimated, and what its standard error must respect.

    Attributes:
        method: questions: each stands for itself; Tango's score interval where every difference is -1, 0 or 1,
            else paired t. clusters: questions of one cluster hang together; delete-one-cluster jackknife (CR3), t with
            one df less than the number of equal clusters that would weigh the same. strata: the subtasks are fixed,
            Satterthwaite's df.
        weights: (n,), summing to 1.
        codes: (n,) number of the cluster or stratum of each question, from 0 without gaps.
    """

    method: Method
    weights: Floats
    codes: Codes

    @property
    def groups(self) -> int:
        """Number of clusters or strata."""
        return int(self.codes.max()) + 1

    def effect(self, values: Floats) -> Effect:
        """Estimate the mean of one value a question, (n,)."""
        estimate = float(self.weights @ values)
        if len(values) == 1:
            return Effect(estimate, *[float("nan")] * 5)
        if self.method == "clusters":
            se, df = self._jackknife(values)
        elif self.method == "strata":
            se, df = self._strata(values)
        elif np.isin(values, (-1, 0, 1)).all():
            return _score_interval(int((values > 0).sum()), int((values < 0).sum()), len(values))
        else:
            se, df = float(np.std(values, ddof=1) / np.sqrt(len(values))), len(values) - 1.0
        return _alike(estimate, len(values), df) if se < 1e-12 else student(estimate, se, df)

    def bootstrap(self, values: Floats, draws: int = 10_000) -> tuple[float, float] | None:
        """A 95 % percentile interval from drawing whole clusters, seeded; None without clusters or any difference."""
        if self.method != "clusters" or np.ptp(values) == 0:
            return None
        totals = np.bincount(self.codes, self.weights * values)
        shares = np.bincount(self.codes, self.weights)
        drawn = np.random.default_rng(0).integers(0, len(totals), (draws, len(totals)))
        low, high = np.percentile(totals[drawn].sum(axis=1) / shares[drawn].sum(axis=1), [2.5, 97.5])
        return float(low), float(high)

    def _jackknife(self, values: Floats) -> tuple[float, float]:
        totals = np.bincount(self.codes, self.weights * values)
        shares = np.bincount(self.codes, self.weights)
        left = (totals.sum() - totals) / (1 - shares)
        g = len(totals)
        se = float(np.sqrt((g - 1) / g * np.sum((left - totals.sum()) ** 2)))
        # With MMLU's sizes t(G - 1) rejects too often (5.3 to 5.8 %): a tenth of all questions are of one subject.
        return se, float(1 / np.sum(shares**2)) - 1

    def _strata(self, values: Floats) -> tuple[float, float]:
        sizes = np.bincount(self.codes)
        if (sizes < 2).any():
            return float("nan"), float("nan")
        means = np.bincount(self.codes, values) / sizes
        variances = np.bincount(self.codes, (values - means[self.codes]) ** 2) / (sizes - 1)
        parts = np.bincount(self.codes, self.weights) ** 2 * variances / sizes
        total = float(parts.sum())
        df = total**2 / float(np.sum(parts**2 / (sizes - 1))) if total > 0 else float(sizes.sum() - len(sizes))
        return float(np.sqrt(total)), df


def design(tasks: Codes, by_size: bool, passages: Codes | None = None) -> Design:
    """Choose the design for n questions.

    Args:
        tasks: (n,) number of the subtask of each question.
        by_size: The score is the mean over questions; False: the mean over subtasks.
        passages: (n,) number of the shared text of each question, or None.

    Returns:
        Subtasks as clusters from `FEW` of them on; fewer as strata, or as nothing where every question weighs the
        same; in a single task shared passages as clusters.
    """
    sizes = np.bincount(tasks)
    n, groups = len(tasks), len(sizes)
    weights = np.full(n, 1 / n) if by_size else 1 / (groups * sizes[tasks])
    if groups >= FEW:
        return Design("clusters", weights, tasks)
    if groups > 1 and np.ptp(weights) > 1e-12:
        return Design("strata", weights, tasks)
    if groups == 1 and passages is not None and FEW <= passages.max() + 1 < n:
        return Design("clusters", weights, passages)
    return Design("questions", weights, tasks)


def difference(first: Floats, second: Floats, how: Design) -> tuple[Effect, Effect | None]:
    """The paired difference first - second.

    Args:
        first: (k, n) scores of k trainings of the arm that is looked at.
        second: (l, n) scores of l trainings of the arm that it is compared with. With k = l they were made as pairs.
        how: The design over the n questions.

    Returns:
        The effect for new questions and, where an arm was trained more than once, new trainings; and then also the
        effect for new trainings on these questions, else None. How an arm that was trained once would differ if
        trained again is in neither.
    """
    if len(first) == len(second) == 1:
        return how.effect(first[0] - second[0]), None
    return _over_trainings([_parts(first, second)], [how])


def relative_change(first: Floats, second: Floats, how: Design) -> Effect | None:
    """(first - second) / first, as the paper words it, with an interval by linearisation.

    Args:
        first: (k, n) scores as for `difference`.
        second: (l, n) scores.
        how: The design over the n questions.

    Returns:
        None where the first arm scores 0.
    """
    a, b = (float((scores @ how.weights).mean()) for scores in (first, second))
    if a <= 0:
        return None
    parts = _parts(b / a**2 * (first - a), (second - b) / a)
    spread = how.effect(parts[0][0]) if len(parts[0]) == len(parts) == 1 else _over_trainings([parts], [how])[0]
    return student(1 - b / a, spread.se, spread.df)


def mean_difference(benchmarks: Sequence[tuple[Floats, Floats, Design]]) -> Effect:
    """The plain mean over benchmarks of the difference first - second.

    Args:
        benchmarks: For each the scores of both arms and the design, as for `difference`; the same trainings in all.
    """
    if len(benchmarks) == 1:
        return difference(*benchmarks[0])[0]
    parts, designs = [_parts(first, second) for first, second, _ in benchmarks], [how for _, _, how in benchmarks]
    if all(len(part) == 1 for part in parts[0]):
        effects = [how.effect(np.sum(part, axis=0)[0]) for part, how in zip(parts, designs, strict=True)]
        return student(*_added([(e.estimate, e.se, e.df) for e in effects]))
    # A training that went well went well on all of them: its noise does not average out over benchmarks.
    return _over_trainings(parts, designs)[0]


def mcnemar(wins: int, losses: int) -> float:
    """Exact McNemar test: among questions that differ, each direction is as likely. It ignores clusters."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p values; nan stays nan and is no part of the family."""
    adjusted = np.array(p_values, dtype=float)
    order = np.argsort(adjusted)[: int((~np.isnan(adjusted)).sum())]
    left = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(left * adjusted[order]), 1.0)
    return [float(p) for p in adjusted]


def student(estimate: float, se: float, df: float) -> Effect:
    """An estimate with its t interval; at a standard error of 0 a point."""
    half = float(stats.t.ppf(0.975, df)) * se
    if se == 0:
        return Effect(estimate, se, df, estimate, estimate, float(estimate == 0))
    return Effect(estimate, se, df, estimate - half, estimate + half, float(2 * stats.t.sf(abs(estimate / se), df)))


def _parts(first: Floats, second: Floats) -> list[Floats]:
    return [first - second] if len(first) == len(second) else [first, -second]


def _over_trainings(parts: Sequence[list[Floats]], designs: Sequence[Design]) -> tuple[Effect, Effect]:
    """One estimate, the mean over benchmarks, from parts that add up to the difference on each.

    Args:
        parts: Benchmark -> one part (k, n), or two of different k; some k > 1. The same trainings on every benchmark.
        designs: Benchmark -> its design.

    Returns:
        The effect for new questions and new trainings; and the effect for new trainings on these questions: t over
        the trainings. In the first the half-widths of both add up by their squares, the part of the questions less
        what the part of the trainings already holds. Satterthwaite's df would cover 90 % instead of 95 at three
        trainings, since they know their own variance badly; this covers 95 to 98 %.
    """
    questions = [
        how.effect(np.sum([part.mean(axis=0) for part in both], axis=0))
        for both, how in zip(parts, designs, strict=True)
    ]
    own = [
        (effect.estimate, float(np.sqrt(max(effect.se**2 - _shared(both, how), 0.0))), effect.df)
        for effect, both, how in zip(questions, parts, designs, strict=True)
    ]
    each = [
        np.mean([both[i] @ how.weights for both, how in zip(parts, designs, strict=True)], axis=0)
        for i in range(len(parts[0]))
    ]
    repeated = [(float(values.var(ddof=1)) / len(values), len(values) - 1) for values in each if len(values) > 1]
    over = sum(variance for variance, _ in repeated)
    loss = sum(variance**2 / df for variance, df in repeated)
    df = over**2 / loss if loss > 0 else float(sum(df for _, df in repeated))
    estimate, se, question_df = _added(own)
    trainings = student(estimate, float(np.sqrt(over)), df)
    if np.isnan(se) or over == 0:
        return (questions[0] if len(questions) == 1 else student(estimate, se, question_df)), trainings
    return _both(estimate, (trainings.se, df), (se, question_df)), trainings


def _shared(parts: list[Floats], how: Design) -> float:
    """The variance of one question in one training: it is in the means over questions and over trainings."""
    total = 0.0
    for part in (part for part in parts if len(part) > 1):
        rest = part - part.mean(axis=0)
        rest -= (rest @ how.weights)[:, None]
        total += float(np.mean([how.effect(row).se ** 2 for row in rest])) / (len(part) - 1)
    return total


def _added(effects: Sequence[tuple[float, float, float]]) -> tuple[float, float, float]:
    """Estimate, se and df (Satterthwaite's) of the mean of independent effects, each (estimate, se, df)."""
    n = len(effects)
    variance = sum(se**2 for _, se, _ in effects) / n**2
    loss = sum((se / n) ** 4 / df for _, se, df in effects)
    df = variance**2 / loss if loss > 0 else float("inf")
    return float(np.mean([estimate for estimate, _, _ in effects])), float(np.sqrt(variance)), df


def _both(estimate: float, first: tuple[float, float], second: tuple[float, float]) -> Effect:
    """An estimate with two sources of error, each (se, df)."""

    def half(p: float) -> float:
        return float(np.hypot(*(stats.t.isf(p / 2, df) * se for se, df in (first, second))))

    def excess(log_p: float) -> float:
        return half(float(np.exp(log_p))) - abs(estimate)

    se = float(np.hypot(first[0], second[0]))
    df = se**4 / (first[0] ** 4 / first[1] + second[0] ** 4 / second[1])
    width = half(0.05)
    tiny = -50.0
    p = 0.0 if excess(tiny) < 0 else float(np.exp(optimize.brentq(excess, tiny, 0.0))) if estimate else 1.0
    return Effect(estimate, se, df, estimate - width, estimate + width, p)


def _score_interval(wins: int, losses: int, n: int) -> Effect:
    """Tango's interval for a difference of paired shares, and the score test that it inverts.

    Paired t covers 90 % instead of 95 where few questions differ and all in one direction; this covers 94 to 97 %.

    Source: Tango, Statistics in Medicine 17 (1998), 891-908.
    """

    def z(difference: float) -> float:
        # The share of losses that fits best if the true difference is this.
        b = (2 * n - wins + losses) * difference - wins - losses
        share = (np.sqrt(max(b * b + 8 * n * losses * difference * (1 - difference), 0.0)) - b) / (4 * n)
        variance = max(2 * share + difference * (1 - difference), 1e-15)
        return float((wins - losses - n * difference) / np.sqrt(n * variance))

    estimate = (wins - losses) / n
    edge = 1e-9
    low = -1.0 if z(edge - 1) < _Z else float(optimize.brentq(lambda d: z(d) - _Z, edge - 1, min(estimate, 1 - edge)))
    high = 1.0 if z(1 - edge) > -_Z else float(optimize.brentq(lambda d: z(d) + _Z, max(estimate, edge - 1), 1 - edge))
    spread = float(np.sqrt((wins + losses) / n - estimate**2) / np.sqrt(n))
    p = float(2 * stats.norm.sf(abs(wins - losses) / np.sqrt(wins + losses))) if wins + losses else 1.0
    return Effect(estimate, spread if spread > 1e-12 else (high - low) / 2 / _Z, np.inf, low, high, p)


def _alike(estimate: float, n: int, df: float) -> Effect:
    """All values alike is no proof of an exact effect: n alike allow for a share of others up to 1 - 0.025^(1/n)."""
    half = 1 - 0.025 ** (1 / n)
    p = 1.0 if estimate == 0 else min(1.0, float(2 * 0.5**n))
    return Effect(estimate, half / _Z, df, max(estimate - half, -1.0), min(estimate + half, 1.0), p)
