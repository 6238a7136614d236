"""Verdicts are added to what lm-eval wrote, and nothing else changes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import lm_eval_output
import pytest
from click.testing import CliRunner

from axolotl_dealign.cli import main
from axolotl_dealign.errors import ConfigError, ResultsError
from axolotl_dealign.rescore import rescore

REFUSAL = "I'm sorry, but I can't help with that request."
LONG = {"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"until": [], "max_gen_toks": 32}}}}


def sample(i: int, answer: str, task: str = "ours", **changes: Any) -> dict[str, Any]:
    return lm_eval_output.line(task, i, {"acc": 1.0}, answer, **{**LONG, **changes})


def lines(folder: Path, task: str = "ours") -> list[dict[str, Any]]:
    (path,) = folder.rglob(f"samples_{task}_*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def results(folder: Path) -> dict[str, Any]:
    (path,) = folder.rglob("results_*.json")
    return json.loads(path.read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_verdicts_go_into_samples_and_results(tmp_path):
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, REFUSAL), sample(1, "Paris."), sample(2, "")]})
    before, scores = lines(folder), results(folder)
    (found,) = rescore(folder)
    assert (found.task, found.samples, found.judged, found.refused, found.why_not) == ("ours", 3, 3, 1 / 3, "")
    after = lines(folder)
    assert [line.pop("refusal") for line in after] == [1.0, 0.0, 0.0]
    assert [line.pop("metrics") for line in after] == [["acc", "refusal"]] * 3
    assert after == [{k: v for k, v in line.items() if k != "metrics"} for line in before]
    changed = results(folder)
    assert changed["results"]["ours"].pop("refusal,none") == 1 / 3
    assert changed["results"]["ours"].pop("refusal_stderr,none") == "N/A"
    assert changed["higher_is_better"]["ours"].pop("refusal") is False
    assert changed.pop("axolotl_dealign")["rescored"]["judge"] == "phrases"
    assert changed == scores
    assert not [path for path in folder.rglob(".*") if path.is_file()]


def test_doing_it_again_changes_nothing(tmp_path):
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, REFUSAL), sample(1, "Paris.")]})
    list(rescore(folder))
    once = contents(folder)
    list(rescore(folder))
    assert contents(folder) == once


@pytest.mark.parametrize(
    ("changes", "why_not"),
    [
        ({"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"max_gen_toks": 31}}}}, "1 of at most 31 new tokens"),
        ({"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"max_new_tokens": 2}}}}, "1 of at most 2 new tokens"),
        (
            {"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": " A"}}, "resps": [[["-1.0", "True"]]]},
            "1 scored by likelihood",
        ),
        ({"resps": [[None]]}, "1 without text"),
    ],
)
def test_what_cannot_be_judged_is_missing_and_counted(tmp_path, changes, why_not):
    folder = lm_eval_output.write(
        tmp_path, {"ours": [sample(0, REFUSAL)], "other": [sample(0, REFUSAL, "other", **changes)]}
    )
    untouched = lines(folder, "other")
    found = {task.task: task for task in rescore(folder)}
    assert (found["other"].judged, found["other"].why_not) == (0, why_not)
    assert math.isnan(found["other"].refused)
    assert lines(folder, "other") == untouched
    assert "refusal,none" not in results(folder)["results"]["other"]


def test_a_sample_without_text_among_others_is_null(tmp_path):
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, REFUSAL), sample(1, "", resps=[[None]])]})
    (found,) = rescore(folder)
    assert (found.judged, found.refused, found.why_not) == (1, 1.0, "1 without text")
    assert [line["refusal"] for line in lines(folder)] == [1.0, None]


def test_of_several_outputs_to_one_question_the_share_counts(tmp_path):
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, "", resps=[[REFUSAL, "Paris.", "Rome.", REFUSAL]])]})
    assert next(rescore(folder)).refused == 0.5


def test_the_raw_output_is_judged_not_the_filtered_one(tmp_path):
    both = [sample(0, REFUSAL, filter=name, filtered_resps=["42"]) for name in ("strict", "flexible")]
    folder = lm_eval_output.write(tmp_path, {"ours": both})
    list(rescore(folder))
    assert [line["refusal"] for line in lines(folder)] == [1.0, 1.0]
    assert results(folder)["results"]["ours"]["refusal,strict"] == 1.0


@pytest.mark.parametrize("by_size", [True, False])
def test_a_group_that_averages_refusals_is_averaged_anew(tmp_path, by_size):
    tasks = {
        "a": [{**sample(i, REFUSAL if i else "Yes."), "acc": float(i == 0), "refusal": 0.0} for i in range(4)],
        "b": [{**sample(0, REFUSAL), "acc": 1.0, "refusal": 0.0}],
    }
    for rows in tasks.values():
        for row in rows:
            row["metrics"] = ["acc", "refusal"]
    acc = (0.25 * 4 + 1.0) / 5 if by_size else (0.25 + 1.0) / 2
    folder = lm_eval_output.write(
        tmp_path,
        tasks,
        groups={"both": ["a", "b"]},
        reported={"both": {"alias": "both", "acc,none": acc, "refusal,none": 0.0}},
    )
    (path,) = folder.rglob("results_*.json")
    document = results(folder)
    document["n-samples"] = {"a": {"original": 9, "effective": 4}, "b": {"original": 9, "effective": 1}}
    document["groups"] = {"both": dict(document["results"]["both"])}
    path.write_text(json.dumps(document))
    list(rescore(folder))
    want = (0.75 * 4 + 1.0) / 5 if by_size else (0.75 + 1.0) / 2
    assert results(folder)["results"]["both"]["refusal,none"] == pytest.approx(want)
    assert results(folder)["groups"]["both"]["refusal,none"] == pytest.approx(want)
    assert results(folder)["groups"]["both"]["acc,none"] == acc


def test_text_that_utf8_cannot_hold_is_kept(tmp_path):
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, "\ud800 é")]})
    list(rescore(folder))
    assert lines(folder)[0]["resps"] == [["\ud800 é"]]


@pytest.mark.parametrize("bad", ["{", '{"doc_id": 0}', "[]", '{"arguments": {}, "resps": []}'])
def test_a_bad_line_is_named_and_nothing_is_changed(tmp_path, bad):
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, REFUSAL)]})
    (path,) = folder.rglob("samples_*.jsonl")
    path.write_text(path.read_text() + bad + "\n")
    before = contents(folder)
    with pytest.raises(ResultsError, match=r"samples_ours_.*, line 2 is not a sample"):
        list(rescore(folder))
    assert contents(folder) == before


def test_wrong_folders_and_judges_say_how_to_mend_them(tmp_path):
    with pytest.raises(ResultsError, match="no folder"):
        list(rescore(tmp_path / "missing"))
    with pytest.raises(ResultsError, match="--log_samples"):
        list(rescore(tmp_path))
    folder = lm_eval_output.write(tmp_path, {"ours": [sample(0, REFUSAL)]})
    with pytest.raises(ConfigError, match="did you mean `phrases`"):
        list(rescore(folder, "phrase"))


def test_the_command_prints_a_line_a_task_and_fails_if_nothing_was_judged(tmp_path):
    short = {"arguments": {"gen_args_0": {"arg_0": "Q", "arg_1": {"max_gen_toks": 2}}}}
    folder = lm_eval_output.write(
        tmp_path / "a", {"ours": [sample(0, REFUSAL), sample(1, "Paris.")], "two": [sample(0, "A", "two", **short)]}
    )
    done = CliRunner().invoke(main, ["rescore", str(folder)])
    assert done.exit_code == 0
    assert done.output == "ours: 50.0% of 2 refused\ntwo: not judged (1 of at most 2 new tokens)\n"
    folder = lm_eval_output.write(tmp_path / "b", {"two": [sample(0, "A", "two", **short)]})
    done = CliRunner().invoke(main, ["rescore", str(folder)])
    assert done.exit_code == 1
    assert "no file was changed" in done.output
