"""Estimates against scipy, statsmodels, closed forms and sums done by hand."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests

from axolotl_dealign.stats import design, difference, holm, mcnemar, mean_difference, relative_change, student

NONE = float("nan")


def codes(sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


def flips(wins: int, losses: int, ties: int) -> np.ndarray:
    return np.repeat([1.0, -1.0, 0.0], [wins, losses, ties])


ONE_TASK = design(codes([164]), by_size=True)


def test_scores_that_are_not_0_or_1_get_a_paired_t_test() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.random(164), rng.random(164)
    effect = ONE_TASK.effect(first - second)
    reference = scipy_stats.ttest_rel(first, second)
    assert effect.p == pytest.approx(reference.pvalue)
    assert (effect.low, effect.high) == pytest.approx(tuple(reference.confidence_interval()))


def test_score_interval_of_no_flips_has_a_closed_form() -> None:
    # Tango's interval with no discordant pair: z^2 / (n + z^2) to either side.
    z = scipy_stats.norm.ppf(0.975) ** 2
    effect = ONE_TASK.effect(np.zeros(164))
    assert (effect.low, effect.high) == pytest.approx((-z / (164 + z), z / (164 + z)))
    assert effect.p == 1


def test_score_interval_of_flips_in_one_direction_has_a_closed_form() -> None:
    # No losses: at a true difference above 8 / 164 the best fit has none either: the upper end is Wilson's for 8 / 164.
    wilson = scipy_stats.binomtest(8, 164).proportion_ci(method="wilson")
    effect = ONE_TASK.effect(flips(8, 0, 156))
    assert effect.high == pytest.approx(wilson.high)


@given(st.integers(0, 60), st.integers(0, 60), st.integers(0, 200))
def test_score_interval_holds_the_estimate_agrees_with_its_test_and_is_symmetric(
    wins: int, losses: int, ties: int
) -> None:
    n = wins + losses + ties
    if n < 2:
        return
    how = design(codes([n]), by_size=True)
    effect, mirrored = how.effect(flips(wins, losses, ties)), how.effect(flips(losses, wins, ties))
    assert -1 <= effect.low <= effect.estimate <= effect.high <= 1
    assert (effect.low, effect.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-6)
    # The interval is the set of differences that the test does not reject.
    if abs(effect.p - 0.05) > 1e-6:
        assert (effect.p < 0.05) == (effect.low > 0 or effect.high < 0)


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


def test_jackknife_is_leaving_each_cluster_out_in_turn() -> None:
    rng = np.random.default_rng(3)
    sizes = rng.integers(3, 40, 57).tolist()
    values = rng.integers(-1, 2, sum(sizes)).astype(float)
    group = codes(sizes)
    effect = design(group, by_size=True).effect(values)
    left = np.array([values[group != g].mean() for g in range(57)])
    assert effect.se == pytest.approx(np.sqrt(56 / 57 * np.sum((left - values.mean()) ** 2)))
    # As many df as equal clusters that would weigh the same, less one.
    assert effect.df == pytest.approx(sum(sizes) ** 2 / sum(n * n for n in sizes) - 1)


def test_jackknife_agrees_with_statsmodels_clustered_regression() -> None:
    rng = np.random.default_rng(4)
    sizes = rng.integers(100, 300, 57).tolist()
    group = codes(sizes)
    values = np.sign(rng.normal(rng.normal(0, 0.3, 57)[group], 1)) * (rng.random(len(group)) < 0.3)
    effect = design(group, by_size=True).effect(values)
    fit = sm.OLS(values, np.ones_like(values)).fit(cov_type="cluster", cov_kwds={"groups": group})
    assert effect.estimate == pytest.approx(fit.params[0])
    # CR3 is the larger of the two by about one part in the number of clusters.
    assert fit.bse[0] < effect.se < 1.05 * fit.bse[0]


def test_few_subtasks_of_unequal_size_are_strata() -> None:
    rng = np.random.default_rng(5)
    parts = [rng.random(n) - 0.4 for n in (20, 50, 80)]
    effect = design(codes([20, 50, 80]), by_size=False).effect(np.concatenate(parts))
    variances = [part.var(ddof=1) / len(part) / 9 for part in parts]
    assert effect.estimate == pytest.approx(np.mean([part.mean() for part in parts]))
    assert effect.se == pytest.approx(math.sqrt(sum(variances)))
    dfs = sum(v**2 / (len(part) - 1) for v, part in zip(variances, parts, strict=True))
    assert effect.df == pytest.approx(sum(variances) ** 2 / dfs)


def test_passages_are_clusters_in_a_single_task() -> None:
    passages = codes([4] * 16)
    assert design(codes([64]), by_size=True, passages=passages).method == "clusters"
    assert design(codes([64]), by_size=True, passages=np.arange(64)).method == "questions"


def test_alike_values_in_clusters_still_have_an_interval() -> None:
    effect = design(codes([10] * 20), by_size=True).effect(np.zeros(200))
    assert effect.p == 1
    # What the bound means: at that share of others, 200 questions alike have a probability of 2.5 %.
    assert (1 - effect.high) ** 200 == pytest.approx(0.025)


def test_one_question_has_no_interval() -> None:
    effect = design(codes([1]), by_size=True).effect(np.array([1.0]))
    assert effect.estimate == 1
    assert math.isnan(effect.low) and math.isnan(effect.p)


def test_bootstrap_of_clusters_agrees_with_the_jackknife() -> None:
    rng = np.random.default_rng(6)
    how = design(codes([247] * 27), by_size=False)
    values = rng.normal(0.05, 0.5, 27 * 247)
    interval = how.bootstrap(values)
    assert interval is not None
    effect = how.effect(values)
    assert interval == pytest.approx((effect.low, effect.high), abs=0.15 * (effect.high - effect.low))
    assert how.bootstrap(values) == interval
    assert ONE_TASK.bootstrap(np.zeros(164)) is None


def test_relative_change_is_the_papers_and_its_interval_the_delta_methods() -> None:
    rng = np.random.default_rng(7)
    first, second = (rng.random((1, 2000)) < share for share in (0.60, 0.45))
    first, second = first.astype(float), second.astype(float)
    change = relative_change(first, second, design(codes([2000]), by_size=True))
    a, b = first.mean(), second.mean()
    covariance = np.cov(first[0], second[0]) / 2000
    gradient = np.array([b / a**2, -1 / a])
    assert change is not None
    assert change.estimate == pytest.approx((a - b) / a)
    assert change.se == pytest.approx(math.sqrt(gradient @ covariance @ gradient))
    assert relative_change(np.zeros((1, 10)), np.ones((1, 10)), design(codes([10]), by_size=True)) is None


def test_trainings_on_the_same_questions_are_a_t_test_over_pairs() -> None:
    rng = np.random.default_rng(8)
    first, second = rng.random((5, 164)), rng.random((5, 164))
    _, trainings = difference(first, second, ONE_TASK)
    reference = scipy_stats.ttest_rel(first.mean(axis=1), second.mean(axis=1))
    assert trainings is not None
    assert trainings.p == pytest.approx(reference.pvalue)
    assert (trainings.low, trainings.high) == pytest.approx(tuple(reference.confidence_interval()))


def test_arms_trained_differently_often_are_welchs_t_test() -> None:
    rng = np.random.default_rng(9)
    first, second = rng.random((5, 164)), rng.random((3, 164))
    _, trainings = difference(first, second, ONE_TASK)
    reference = scipy_stats.ttest_ind(first.mean(axis=1), second.mean(axis=1), equal_var=False)
    assert trainings is not None
    assert trainings.p == pytest.approx(reference.pvalue)
    assert (trainings.low, trainings.high) == pytest.approx(tuple(reference.confidence_interval()))


def test_one_untrained_model_adds_no_training_noise() -> None:
    rng = np.random.default_rng(10)
    first, base = rng.random((4, 164)), rng.random((1, 164))
    _, trainings = difference(first, base, ONE_TASK)
    reference = scipy_stats.ttest_1samp(first.mean(axis=1), base.mean())
    assert trainings is not None
    assert trainings.p == pytest.approx(reference.pvalue)


def test_interval_and_p_value_over_trainings_agree() -> None:
    rng = np.random.default_rng(12)
    for shift in np.linspace(0, 0.2, 30):
        effect, _ = difference(rng.random((3, 164)) + shift, rng.random((3, 164)), ONE_TASK)
        assert (effect.p < 0.05) == (effect.shows != 0)


def test_the_same_training_twice_is_no_more_sure_than_once() -> None:
    rng = np.random.default_rng(11)
    values = rng.random((1, 164))
    zeros = np.zeros((1, 164))
    once, _ = difference(values, zeros, ONE_TASK)
    twice, _ = difference(np.repeat(values, 2, axis=0), np.repeat(zeros, 2, axis=0), ONE_TASK)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


def test_mean_over_benchmarks_adds_their_variances() -> None:
    rng = np.random.default_rng(13)
    many, few = rng.random((1, 100)) - 0.4, rng.random((1, 50)) - 0.4
    hows = [design(codes([n]), by_size=True) for n in (100, 50)]
    mean = mean_difference([(many, 0 * many, hows[0]), (few, 0 * few, hows[1])])
    variances = [many.var(ddof=1) / 100, few.var(ddof=1) / 50]
    assert mean.estimate == pytest.approx((many.mean() + few.mean()) / 2)
    assert mean.se == pytest.approx(math.sqrt(sum(variances)) / 2)
    assert mean.df == pytest.approx(sum(variances) ** 2 / (variances[0] ** 2 / 99 + variances[1] ** 2 / 49))


def test_noise_of_training_does_not_average_out_over_benchmarks() -> None:
    rng = np.random.default_rng(14)
    shift = np.array([[-0.1], [0.0], [0.1]])
    scores = [0.5 + shift + rng.normal(0, 0.01, (3, 400)) for _ in range(4)]
    how = design(codes([400]), by_size=True)
    one, _ = difference(scores[0], 0 * scores[0], how)
    mean = mean_difference([(part, 0 * part, how) for part in scores])
    assert mean.high - mean.low == pytest.approx(one.high - one.low, rel=0.05)


def test_smallest_effect_seen_is_two_point_eight_standard_errors() -> None:
    assert student(0, 1, np.inf).smallest_seen == pytest.approx(2.8016, abs=1e-4)


@settings(max_examples=6, deadline=None)  # statsmodels takes a tenth of a second
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holm_is_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_mcnemar_and_holm_by_hand() -> None:
    assert mcnemar(8, 1) == pytest.approx(2 * sum([9, 1]) / 2**9)
    assert mcnemar(0, 0) == 1
    assert holm([0.01, NONE, 0.04, 0.03]) == pytest.approx([0.03, NONE, 0.06, 0.06], nan_ok=True)
