"""Estimates against scipy, statsmodels and sums done by hand."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from axolotl_dealign.stats import Design, design, holm, mcnemar, relative_change


def codes(sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def test_one_task_is_a_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.integers(0, 2, 164).astype(float), rng.integers(0, 2, 164).astype(float)
    effect = design(codes([164]), by_size=True).effect(first - second)
    reference = scipy_stats.ttest_rel(first, second)
    low, high = reference.confidence_interval()
    assert effect.p == pytest.approx(reference.pvalue)
    assert (effect.low, effect.high) == pytest.approx((low, high))


def test_unweighted_mean_over_subtasks_is_a_t_test_on_their_means() -> None:
    rng = np.random.default_rng(2)
    sizes = [5 + i for i in range(27)]
    values = rng.integers(-1, 2, sum(sizes)).astype(float)
    means = [part.mean() for part in np.split(values, np.cumsum(sizes)[:-1])]
    effect = design(codes(sizes), by_size=False).effect(values)
    reference = scipy_stats.ttest_1samp(means, 0)
    low, high = reference.confidence_interval()
    assert effect.estimate == pytest.approx(np.mean(means))
    assert (effect.low, effect.high, effect.p) == pytest.approx((low, high, reference.pvalue))


def test_jackknife_by_leaving_each_cluster_out_by_hand() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(3, 40, 57).tolist()
    values = rng.integers(-1, 2, sum(sizes)).astype(float)
    group = codes(sizes)
    effect = design(group, by_size=True).effect(values)
    left = np.array([values[group != g].mean() for g in range(57)])
    assert effect.se == pytest.approx(np.sqrt(56 / 57 * np.sum((left - values.mean()) ** 2)))
    assert effect.df == 56


def test_alike_questions_still_have_an_interval() -> None:
    effect = Design("questions", np.full(25, 1 / 25), np.zeros(25, dtype=int)).effect(np.zeros(25))
    assert effect.p == 1
    assert effect.high == pytest.approx(1 - 0.025 ** (1 / 25))
    # What the bound means: at that share, 25 questions alike have a probability of 2.5 %.
    assert (1 - effect.high) ** 25 == pytest.approx(0.025)


def test_relative_change_is_the_papers() -> None:
    first, second = np.array([1.0] * 60 + [0.0] * 40), np.array([1.0] * 45 + [0.0] * 55)
    change = relative_change(first, second, design(codes([100]), by_size=True))
    assert change is not None
    assert change.estimate == pytest.approx((0.60 - 0.45) / 0.60)
    assert relative_change(np.zeros(10), np.ones(10), design(codes([10]), by_size=True)) is None


def test_mcnemar_and_holm() -> None:
    assert mcnemar(8, 1) == pytest.approx(2 * sum([9, 1]) / 2**9)
    assert mcnemar(0, 0) == 1
    assert holm([0.01, float("nan"), 0.04, 0.03]) == pytest.approx([0.03, float("nan"), 0.06, 0.06], nan_ok=True)
