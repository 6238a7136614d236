"""Paired effects: how much two arms differ on the same questions, and how sure that is. No I/O.

Every estimate is a weighted mean of one value a question. A `Design` holds the weights and which questions hang
together; the same design then serves the difference, its relative form and its parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats
from statsmodels.stats.multitest import multipletests

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

FEW = 10
"""Below this many subtasks they are taken as given, not as a sample of subtasks: a jackknife over fewer clusters
mostly measures how few they are."""

Method = Literal["questions", "clusters", "strata"]


@dataclass(frozen=True, slots=True)
class Effect:
    """An estimate with its 95 % interval.

    Attributes:
        estimate: In the unit of the values (a share of 1 for accuracies).
        se: Standard error; nan where one question says nothing about its own spread.
        df: Degrees of freedom of the t distribution.
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
        return float((stats.t.ppf(0.975, self.df) + stats.t.ppf(0.8, self.df)) * self.se)


@dataclass(frozen=True, slots=True)
class Design:
    """Which mean is estimated, and what its standard error must respect.

    Attributes:
        method: questions: each stands for itself (paired t). clusters: questions of one cluster hang together
            (delete-one-cluster jackknife, CR3, t with G - 1). strata: the subtasks are fixed (Satterthwaite).
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
        if self.method == "clusters":
            se, df = _jackknife(values, self.weights, self.codes, self.groups)
        elif self.method == "strata":
            se, df = _strata(values, self.weights, self.codes, self.groups)
        else:
            n = len(values)
            se, df = (float(np.std(values, ddof=1) / np.sqrt(n)), n - 1.0) if n > 1 else (np.nan, np.nan)
        if se < 1e-12:
            return _no_spread(estimate, len(values), df)
        return _t(estimate, se, df)


def design(tasks: Codes, by_size: bool, passages: Codes | None = None) -> Design:
    """Choose the design for n questions.

    Args:
        tasks: (n,) number of the subtask of each question.
        by_size: The score is the mean over questions; False: the mean over subtasks.
        passages: (n,) number of the shared text of each question, or None.

    Returns:
        Subtasks as clusters from `FEW` of them on, as strata below; in a single task shared passages as clusters.
    """
    sizes = np.bincount(tasks)
    n, groups = len(tasks), len(sizes)
    weights = np.full(n, 1 / n) if by_size else 1 / (groups * sizes[tasks])
    if groups >= FEW:
        return Design("clusters", weights, tasks)
    if groups > 1:
        return Design("strata", weights, tasks)
    if passages is not None and 1 < passages.max() + 1 < n:
        return Design("clusters", weights, passages)
    return Design("questions", weights, tasks)


def relative_change(first: Floats, second: Floats, how: Design) -> Effect | None:
    """(first - second) / first, as the paper words it, with an interval by linearisation.

    Returns:
        None where the first arm scores 0.
    """
    a, b = float(how.weights @ first), float(how.weights @ second)
    if a <= 0:
        return None
    ratio = 1 - b / a
    spread = how.effect((b / a**2) * (first - a) - (second - b) / a)
    half = spread.high - spread.estimate
    p = float(2 * stats.t.sf(abs(ratio / spread.se), spread.df)) if spread.se > 0 else spread.p
    return Effect(ratio, spread.se, spread.df, ratio - half, ratio + half, p)


def over_seeds(differences: Floats, how: Design) -> tuple[Effect, Effect]:
    """One estimate from several trainings.

    Args:
        differences: (k, n) difference of each question in each of k >= 2 pairs of trainings.
        how: The design over the n questions.

    Returns:
        The effect for new questions and new trainings: both variances, less the part that both contain, with
        Satterthwaite's df; and the effect for new trainings on these questions: t over the k differences.
    """
    k = len(differences)
    each = differences @ how.weights
    trainings = _t(float(each.mean()), float(each.std(ddof=1) / np.sqrt(k)), k - 1.0)
    questions = how.effect(differences.mean(axis=0))
    if np.isnan(questions.se):
        return questions, trainings
    within = differences - differences.mean(axis=0) - each[:, None] + each.mean()
    both = float(np.mean([how.effect(row).se ** 2 for row in within])) * k / (k - 1) / k
    parts = np.array([trainings.se**2, questions.se**2])
    variance = max(float(parts.sum()) - both, float(parts.max()))
    if variance == 0:
        return questions, trainings
    df = float(parts.sum() ** 2 / (parts[0] ** 2 / (k - 1) + parts[1] ** 2 / questions.df))
    return _t(questions.estimate, float(np.sqrt(variance)), df), trainings


def mcnemar(wins: int, losses: int) -> float:
    """Exact McNemar test: among questions that differ, each direction is as likely. It ignores clusters."""
    return float(stats.binomtest(wins, wins + losses).pvalue) if wins + losses else 1.0


def holm(p_values: list[float]) -> list[float]:
    """Holm's adjusted p values, nan kept as nan."""
    adjusted = np.array(p_values, dtype=float)
    known = ~np.isnan(adjusted)
    if known.any():
        adjusted[known] = multipletests(adjusted[known], method="holm")[1]
    return [float(p) for p in adjusted]


def _t(estimate: float, se: float, df: float) -> Effect:
    half = float(stats.t.ppf(0.975, df)) * se
    if se == 0:
        return Effect(estimate, se, df, estimate, estimate, 1.0 if estimate == 0 else 0.0)
    return Effect(estimate, se, df, estimate - half, estimate + half, float(2 * stats.t.sf(abs(estimate / se), df)))


def _jackknife(values: Floats, weights: Floats, codes: Codes, groups: int) -> tuple[float, float]:
    if groups < 2:
        return np.nan, np.nan
    totals = np.bincount(codes, weights * values, groups)
    shares = np.bincount(codes, weights, groups)
    left = (totals.sum() - totals) / (1 - shares)
    return float(np.sqrt((groups - 1) / groups * np.sum((left - totals.sum()) ** 2))), groups - 1.0


def _strata(values: Floats, weights: Floats, codes: Codes, groups: int) -> tuple[float, float]:
    sizes = np.bincount(codes, minlength=groups)
    if (sizes < 2).any():
        return np.nan, np.nan
    means = np.bincount(codes, values, groups) / sizes
    variances = np.bincount(codes, (values - means[codes]) ** 2, groups) / (sizes - 1)
    parts = np.bincount(codes, weights, groups) ** 2 * variances / sizes
    total = float(parts.sum())
    if total == 0:
        return 0.0, float(sizes.sum() - groups)
    return float(np.sqrt(total)), total**2 / float(np.sum(parts**2 / (sizes - 1)))


def _no_spread(estimate: float, n: int, df: float) -> Effect:
    """All values alike is no proof of an exact effect: n alike allow for a share of others up to 1 - 0.025^(1/n)."""
    half = 1 - 0.025 ** (1 / n)
    p = 1.0 if estimate == 0 else float(2 * 0.5**n)
    return Effect(estimate, 0.0, df, max(estimate - half, -1.0), min(estimate + half, 1.0), min(p, 1.0))
