"""Do the 95 % intervals hold what they say? Simulated on data shaped like the benchmarks.

Every simulation is seeded; 3,000 repetitions know a coverage of 95 % to 0.4 points.
"""

import numpy as np
import pytest

from axolotl_dealign.stats import Design, design, difference, holm

pytestmark = pytest.mark.slow

# Questions of each subject of MMLU's test split, and of each subtask of BBH without its three shots.
MMLU = [100, 135, 152, 100, 265, 144, 100, 100, 100, 173, 102, 100, 235, 114, 145, 378, 126, 100, 310, 203, 100, 165]
MMLU += [198, 193, 390, 270, 238, 151, 545, 216, 204, 237, 223, 131, 121, 108, 163, 112, 103, 234, 100, 783, 346, 895]
MMLU += [306, 311, 324, 282, 1534, 272, 612, 110, 245, 201, 100, 166, 171]
BBH = [247] * 15 + [184, 143, 175] + [247] * 9
HUMANEVAL = [164]

SHAPES = {"mmlu": (MMLU, True), "bbh": (BBH, False), "humaneval": (HUMANEVAL, True)}
REPETITIONS = 3000


def shape(name: str) -> tuple[np.ndarray, Design]:
    sizes, by_size = SHAPES[name]
    tasks = np.repeat(np.arange(len(sizes)), sizes)
    return tasks, design(tasks, by_size)


def flips(tasks: np.ndarray, discordant: float, effect: float, spread: float, rng: np.random.Generator) -> np.ndarray:
    """Differences of which a share is not 0; each subtask has its own effect around the one that is asked for."""
    own = np.clip(effect + spread * rng.standard_normal(tasks.max() + 1), -discordant, discordant)[tasks]
    draw = rng.random(len(tasks))
    wins = (discordant + own) / 2
    return (draw < wins).astype(float) - ((draw >= wins) & (draw < discordant))


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(
    ("discordant", "effect"),
    [(0.05, 0.0), (0.05, 0.03), (0.05, 0.05), (0.15, 0.0), (0.15, 0.05), (0.3, 0.0), (0.3, 0.1)],
)
def test_intervals_hold_the_true_effect(name: str, discordant: float, effect: float) -> None:
    tasks, how = shape(name)
    rng = np.random.default_rng(0)
    spread = 0.0 if len(set(tasks)) == 1 else min((discordant - effect) / 4, 0.04)
    held = 0
    for _ in range(REPETITIONS):
        found = how.effect(flips(tasks, discordant, effect, spread, rng))
        held += found.low <= effect <= found.high
    assert 0.93 <= held / REPETITIONS <= 0.97


def test_family_wise_error_after_holm() -> None:
    """With no effect anywhere, how often is any of four benchmarks called different?"""
    rng = np.random.default_rng(1)
    passages = np.repeat(np.arange(120), rng.integers(3, 30, 120))
    drop = design(np.zeros(len(passages), dtype=int), True, passages)
    benchmarks = [(*shape("mmlu"), 0.03), (*shape("bbh"), 0.03), (*shape("humaneval"), 0.0), (passages, drop, 0.1)]
    wrong = 0
    for _ in range(6000):
        p_values = [how.effect(flips(tasks, 0.15, 0.0, spread, rng)).p for tasks, how, spread in benchmarks]
        wrong += min(holm(p_values)) < 0.05
    assert wrong / 6000 <= 0.055


def test_known_effect_is_found_with_the_power_that_the_report_states() -> None:
    tasks, how = shape("humaneval")
    rng = np.random.default_rng(2)
    truth = how.effect(flips(tasks, 0.15, 0.0, 0.0, rng)).smallest_seen
    found = sum(how.effect(flips(tasks, 0.15, truth, 0.0, rng)).shows == 1 for _ in range(REPETITIONS))
    assert 0.7 <= found / REPETITIONS <= 0.9


@pytest.mark.parametrize("trainings", [(2, 2), (3, 3), (5, 5), (5, 3), (4, 1)])
@pytest.mark.parametrize("noise", [0.0, 0.01, 0.04])
def test_intervals_over_trainings_hold_new_questions_and_new_trainings(
    trainings: tuple[int, int], noise: float
) -> None:
    """Each training shifts the score of all questions by its own noise; each question has its own difficulty."""
    n, effect, rng = 400, 0.05, np.random.default_rng(3)
    how = design(np.zeros(n, dtype=int), True)
    held = 0
    for _ in range(REPETITIONS // 3):
        hard = rng.normal(0, 0.3, n)
        easier = rng.normal(effect, 0.2, n)
        arms = []
        for k, lift in zip(trainings, (easier, np.zeros(n)), strict=True):
            # The noise of an arm trained once is not in its interval, and the report says so.
            shift = rng.normal(0, noise, (k, 1)) if k > 1 else np.zeros((1, 1))
            arms.append(0.5 + hard + lift + shift + rng.normal(0, 0.3, (k, n)))
        found, _ = difference(arms[0], arms[1], how)
        held += found.low <= effect <= found.high
    assert 0.93 <= 3 * held / REPETITIONS <= 0.99
