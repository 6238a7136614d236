"""Reading what lm-eval wrote, and finding the questions that are the same in every run."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval_output import arm, line, write

from axolotl_dealign.errors import ResultsError
from axolotl_dealign.report.benchmarks import benchmarks, score
from axolotl_dealign.results import Samples, common_questions, read_line, read_run

REAL = Path(__file__).parent / "report" / "data"
VERSIONS = ("0.4.9", "0.4.11", "0.4.13")


@pytest.mark.parametrize("version", VERSIONS)
def test_real_output_of_each_version_gives_the_scores_that_lm_eval_reports(version: str) -> None:
    run = read_run(REAL / f"lm_eval-{version}" / "aligned")
    assert run.settings["lm_eval_version"] == version
    assert set(run.samples) == {("plain_mc", "none"), ("plain_gen", "strict"), ("plain_gen", "first_word")}
    found = benchmarks(run)
    primary = [b for b in found if b.primary]
    # Where lm-eval averaged the group, it is the benchmark; the task that has no share in its score stands alone.
    groups = {"plain", "plain_gen"} if run.groups else {"plain_mc", "plain_gen"}
    assert {b.name for b in primary} == groups
    for benchmark in found:
        assert score(run, benchmark) == pytest.approx(
            run.reported[benchmark.name][f"{benchmark.metric},{benchmark.filter}"]
        )


@pytest.mark.parametrize("version", VERSIONS)
def test_a_sample_line_can_be_read_again_whole(version: str) -> None:
    part = read_run(REAL / f"lm_eval-{version}" / "dealigned").samples["plain_gen", "first_word"]
    for row, doc_id in enumerate(part.doc_ids.tolist()):
        again = read_line(part, row)
        assert (again["doc_id"], again["filter"]) == (doc_id, "first_word")
        assert part.answers is not None and again["resps"] == [[part.answers[row]]]


def test_questions_of_different_versions_are_the_same_questions() -> None:
    parts = [read_run(REAL / f"lm_eval-{v}" / "aligned").samples["plain_mc", "none"] for v in VERSIONS]
    rows, left_out, prompts = common_questions(parts, "plain_mc", "acc")
    assert [len(row) for row in rows] == [8, 8, 8]
    assert (left_out, prompts) == ([], 0)


def samples(ids: list[int], changed: set[int] = frozenset(), unscored: set[int] = frozenset()) -> Samples:
    return Samples(
        doc_ids=np.array(sorted(ids), dtype=np.int64),
        hashes=[f"{i} changed" if i in changed else str(i) for i in sorted(ids)],
        prompts=[str(i) for i in sorted(ids)],
        scores={"acc": np.array([np.nan if i in unscored else 1.0 for i in sorted(ids)])},
        questions=[None] * len(ids),
        answers=None,
        passages=None,
        path=Path("samples.jsonl"),
        offsets=np.zeros(len(ids), dtype=np.int64),
    )


some = st.sets(st.integers(0, 30))


@given(some, some, some, some)
def test_only_the_same_scored_questions_are_paired_and_all_others_are_listed(
    first: set[int], second: set[int], changed: set[int], unscored: set[int]
) -> None:
    parts = [samples(list(first)), samples(list(second), changed, unscored)]
    rows, left_out, _ = common_questions(parts, "task", "acc")
    paired = [part.doc_ids[row].tolist() for part, row in zip(parts, rows, strict=True)]
    assert paired[0] == paired[1] == sorted(first & second - changed - unscored)
    listed = sorted(i for part in left_out for i in part.doc_ids)
    assert listed == sorted((first | second) - set(paired[0]))


def test_questions_on_several_lines_are_left_out_and_listed(tmp_path: Path) -> None:
    lines = [line("skill", i, {"acc": 1.0}, "yes") for i in (0, 1, 1, 2)]
    run = read_run(write(tmp_path, {"skill": lines}))
    part = run.samples["skill", "none"]
    assert part.doc_ids.tolist() == [0, 2]
    assert part.duplicated == (1,)
    assert "more than once" in run.warnings[0]


def test_the_newest_run_of_a_task_counts(tmp_path: Path) -> None:
    arm(tmp_path, {"skill": "0000", "other": "11"}, date="2026-01-01T00-00-00.000000")
    arm(tmp_path, {"skill": "1111"}, date="2026-01-02T00-00-00.000000")
    run = read_run(tmp_path)
    assert run.samples["skill", "none"].scores["acc"].tolist() == [1, 1, 1, 1]
    assert run.samples["other", "none"].scores["acc"].tolist() == [1, 1]
    assert run.reported["skill"]["acc,none"] == 1
    assert any("several times" in warning for warning in run.warnings)


def test_a_group_without_a_score_of_its_own_is_no_benchmark(tmp_path: Path) -> None:
    groups = {"all": ["maths", "words"], "maths": ["sums", "roots"]}
    reported = {"all": {"alias": "all"}, "maths": {"acc,none": 0.5, "acc_stderr,none": "N/A"}}
    run = read_run(arm(tmp_path, {"sums": "10", "roots": "1010", "words": "11"}, groups=groups, reported=reported))
    assert [b.name for b in benchmarks(run)] == ["maths", "words"]
    assert benchmarks(run)[0].tasks == ("sums", "roots")


@pytest.mark.parametrize(("reported", "by_size"), [(0.75, True), (0.625, False)])
def test_how_a_group_averages_is_told_by_the_score_it_reports(tmp_path: Path, reported: float, by_size: bool) -> None:
    run = read_run(
        arm(
            tmp_path,
            {"a": "111111", "b": "00", "c": "1111", "d": "1000"},
            groups={"g": ["a", "b", "c", "d"]},
            reported={"g": {"acc,none": 11 / 16 if by_size else 9 / 16}},
        )
    )
    assert benchmarks(run)[0].by_size is by_size


def test_several_runs_tell_what_one_leaves_open(tmp_path: Path) -> None:
    # No right answer: both averages are 0.
    zero = arm(tmp_path / "zero", {"a": "0000", "b": "00"}, groups={"g": ["a", "b"]}, reported={"g": {"acc,none": 0}})
    some = arm(tmp_path / "some", {"a": "1111", "b": "00"}, groups={"g": ["a", "b"]}, reported={"g": {"acc,none": 0.5}})
    assert benchmarks(read_run(zero))[0].by_size
    assert not benchmarks(read_run(zero), [read_run(some)])[0].by_size


def test_a_task_that_only_asks_for_refusals_is_safety(tmp_path: Path) -> None:
    lines = [line("overrefusal", i, {"refusal": float(i % 2)}, "Sorry, no.") for i in range(4)]
    mixed = [line("skill", i, {"refusal": 0.0, "acc": 1.0}, "yes") for i in range(4)]
    found = {b.name: b for b in benchmarks(read_run(write(tmp_path, {"overrefusal": lines, "skill": mixed})))}
    assert found["overrefusal"].safety and not found["overrefusal"].higher_is_better
    assert not found["skill"].safety and found["skill"].metric == "acc"


def broken(tmp_path: Path, how: str) -> Path:
    folder = arm(tmp_path / how, {"skill": "0101"})
    file = next(folder.rglob("samples_*.jsonl"))
    results = next(folder.rglob("results_*.json"))
    if how == "no folder":
        return tmp_path / "nowhere"
    if how == "no results":
        results.unlink()
    elif how == "no samples":
        file.unlink()
    elif how == "empty samples":
        file.write_text("")
    elif how == "cut off":
        file.write_text(file.read_text()[:-30])
    elif how == "another schema":
        file.write_text('{"prompt": "x", "score": 1}\n')
    elif how == "results no JSON":
        results.write_text("{")
    elif how == "results no lm-eval":
        results.write_text("[]")
    elif how == "two models":
        arm(folder, {"skill": "1111"}, model="other")
    return folder


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("no folder", "does not exist"),
        ("no results", "no lm-eval results"),
        ("no samples", "--log_samples"),
        ("empty samples", "is empty"),
        ("cut off", "line 4"),
        ("another schema", "line 1"),
        ("results no JSON", "not the JSON"),
        ("results no lm-eval", "not written by lm-eval"),
        ("two models", "2 models (other, tiny)"),
    ],
)
def test_bad_input_is_one_line_that_says_where(tmp_path: Path, how: str, says: str) -> None:
    with pytest.raises(ResultsError) as caught:
        read_run(broken(tmp_path, how))
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_scores_that_are_no_numbers_are_no_metric(tmp_path: Path) -> None:
    rows = [line("skill", i, {"acc": 1.0}, "yes", metrics=["acc", "bleu"], bleu=["yes", "yes"]) for i in range(3)]
    run = read_run(write(tmp_path, {"skill": [{**row, "metrics": ["acc"]} for row in rows]}))
    file = next(tmp_path.rglob("samples_*.jsonl"))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = read_run(tmp_path)
    assert list(run.samples["skill", "none"].scores) == ["acc"]
