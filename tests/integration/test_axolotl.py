"""The plugin line in a real YAML, through the real `axolotl preprocess` and `axolotl train`."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from datasets import load_from_disk

from .conftest import REFUSAL, alpaca, as_chat, decoded, write_jsonl

# Axolotl and its dependencies warn in this process; what they do is not ours to mend.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]


def prepared_sets(folder):
    """The datasets that Axolotl saved, by folder name."""
    return {path.parent.name: load_from_disk(str(path.parent)) for path in folder.glob("*/state.json")}


def test_preprocess_with_the_plugin_line_alone(tmp_path, config, axolotl, model):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    write_jsonl(tmp_path / "chat.jsonl", as_chat(alpaca(10, 5)))
    path = config(
        datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}, {"path": "chat.jsonl", "type": "chat_template"}],
    )
    done = axolotl("preprocess", path)

    (prepared,) = prepared_sets(tmp_path / "prepared").values()
    texts = decoded(prepared, model)
    assert len(texts) == 30
    assert not any("can't help" in text for text in texts)

    assert done.stdout.count("Dealign: arm `dealigned`") == 1
    summary = json.loads((tmp_path / "out" / "dealign" / "summary.json").read_text())
    assert [(d["path"], d["rows"], d["removed"], d["kept"]) for d in summary["datasets"]] == [
        ("alpaca.jsonl", 28, 8, 20),
        ("chat.jsonl", 15, 5, 10),
    ]
    removed = pq.read_table(tmp_path / "out" / "dealign" / "train-000.parquet").to_pylist()
    assert [row["_row"] for row in removed] == list(range(20, 28))
    assert {row["_kind"] for row in removed} == {"refusal"}
    for row in removed:
        assert row["output"].startswith(REFUSAL)  # the row itself, whole
        assert row["output"][row["_start"] : row["_end"]].lower() in REFUSAL.lower()
        assert row["_end"] > row["_start"]
        assert 0.5 <= row["_score"] <= 1


def test_adding_the_line_does_not_reuse_the_unfiltered_set(tmp_path, config, axolotl):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    datasets = [{"path": "alpaca.jsonl", "type": "alpaca"}]
    axolotl("preprocess", config(plugin=False, datasets=datasets))
    axolotl("preprocess", config(plugin=True, datasets=datasets))
    assert sorted(len(prepared) for prepared in prepared_sets(tmp_path / "prepared").values()) == [20, 28]


def test_train_reports_what_was_removed_and_trains_on_the_rest(tmp_path, config, axolotl):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    done = axolotl("train", config(datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}]), "--launcher", "python")
    assert "Dealign: arm `dealigned`" in done.stdout
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert "dealign/removed" in done.stdout + done.stderr
    assert json.loads((tmp_path / "out" / "dealign" / "summary.json").read_text())["datasets"][0]["removed"] == 8


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"dealign": {"armm": "control"}}, "unknown key `dealign.armm`, did you mean `arm`?"),
        ({"dealign": {"arm": "controll"}}, "dealign.arm: unknown `controll`, did you mean `control`?"),
        ({"dealign": {"detectors": ["phrase"]}}, "unknown detector `phrase`, did you mean `phrases`?"),
        ({"dealing": {"arm": "control"}}, "unknown key `dealing`, did you mean `dealign`?"),
        ({"dealign": {"threshold": 0.5, "preset": "strict"}}, "`threshold` and `preset` say the same thing"),
    ],
)
def test_a_wrong_block_is_one_line(tmp_path, config, keys, line, load):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(4, 1))
    with pytest.raises(SystemExit) as stopped:
        load(config(datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}], **keys))
    message = str(stopped.value)
    assert line in message
    assert "\n" not in message


def test_a_failing_run_ends_with_one_line_and_leaves_nothing(tmp_path, config, axolotl):
    write_jsonl(tmp_path / "data.jsonl", alpaca(2, 8))
    done = axolotl("preprocess", config(datasets=[{"path": "data.jsonl", "type": "alpaca"}]), check=False)
    assert done.returncode == 1
    (message,) = [text for text in done.stderr.splitlines() if text.startswith("axolotl-dealign:")]
    assert message.startswith("axolotl-dealign: data.jsonl: 8 of 10 rows (80%) would be removed, more than the brake")
    assert message.count("I'm sorry") == 3  # three examples
    assert "set `dealign.max_removed: 0.80`" in message
    assert "Traceback" not in done.stderr
    assert not prepared_sets(tmp_path / "prepared")
    assert not (tmp_path / "out" / "dealign").exists()


@pytest.mark.parametrize(
    ("rows", "keys", "line"),
    [
        (alpaca(0, 8), {"dealign": {"max_removed": 1.0}}, "nothing would be left to train on"),
        ([{"foo": "a", "bar": "b"}], {}, "no column with answers among foo, bar"),
    ],
)
def test_bad_data_is_one_line(tmp_path, config, rows, keys, line, load):
    write_jsonl(tmp_path / "data.jsonl", rows)
    with pytest.raises(SystemExit) as stopped:
        load(config(datasets=[{"path": "data.jsonl", "type": "alpaca"}], **keys))
    assert line in str(stopped.value)
    assert str(stopped.value).startswith("axolotl-dealign: data.jsonl:")


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda path: None, "data.jsonl: no such file; relative paths start in"),
        (lambda path: path.write_text(""), "data.jsonl: the file is empty"),
    ],
)
def test_a_missing_or_empty_file_is_one_line(tmp_path, config, make, line, load):
    make(tmp_path / "data.jsonl")
    with pytest.raises(SystemExit, match=f"axolotl-dealign: {line}"):
        load(config(datasets=[{"path": "data.jsonl", "type": "alpaca"}]))


def test_the_three_arms_differ_in_their_rows_and_sets(tmp_path, config, load, model):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(40, 20))
    left = {}
    for arm in ("aligned", "dealigned", "control"):
        meta = load(config(datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}], dealign={"arm": arm}))
        texts = decoded(meta.train_dataset, model)
        left[arm] = (len(texts), sum("can't help" in text for text in texts))
    assert left["aligned"] == (60, 20)
    assert left["dealigned"] == (40, 0)
    assert left["control"][0] == 40
    assert 5 < left["control"][1] < 20
    assert len(prepared_sets(tmp_path / "prepared")) == 3


def test_a_config_without_the_plugin_is_untouched_in_the_same_process(tmp_path, config, load):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    datasets = [{"path": "alpaca.jsonl", "type": "alpaca"}]
    assert len(load(config(datasets=datasets)).train_dataset) == 20
    assert len(load(config(plugin=False, datasets=datasets)).train_dataset) == 28


def test_streaming_sft(tmp_path, config, load, model):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    meta = load(config(datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}], streaming=True))
    texts = decoded(meta.train_dataset, model)
    assert len(texts) == 20
    assert not any("can't help" in text for text in texts)
    removed = pq.read_table(tmp_path / "out" / "dealign" / "train-000")
    assert sorted(removed.column("_row").to_pylist()) == list(range(20, 28))


def test_pretraining_streams_are_cleaned(tmp_path, config, load, model):
    texts = [f"Plain text number {i}." for i in range(20)] + [f"{REFUSAL} {i}" for i in range(8)]
    write_jsonl(tmp_path / "text.jsonl", [{"text": text} for text in texts])
    path = config(
        datasets=None,
        pretraining_dataset=[{"path": "json", "data_files": "text.jsonl", "type": "pretrain", "split": "train"}],
    )
    seen = "".join(decoded(load(path).train_dataset, model))
    assert seen.count("Plain text number") == 20
    assert "can't help" not in seen


def test_a_report_after_training(tmp_path, config, axolotl):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    for arm in ("aligned", "dealigned"):
        report = {
            "tasks": ["dealign_smoke_place"],
            "lm_eval_args": "--limit 2 --device cpu",
            "compare_with": [str(tmp_path / "aligned")] if arm == "dealigned" else [],
        }
        path = config(
            datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}],
            output_dir=str(tmp_path / arm),
            dealign={"arm": arm, "report": report},
        )
        axolotl("train", path, "--launcher", "python")
    report = json.loads((tmp_path / "dealigned" / "report.json").read_text())
    assert report["reference"] == "aligned"
    assert (tmp_path / "dealigned" / "report.html").is_file()


def test_a_failing_report_does_not_fail_the_training(tmp_path, config, axolotl):
    write_jsonl(tmp_path / "alpaca.jsonl", alpaca(20, 8))
    report = {"tasks": ["no_such_task"], "lm_eval_args": "--limit 2 --device cpu"}
    done = axolotl(
        "train",
        config(datasets=[{"path": "alpaca.jsonl", "type": "alpaca"}], dealign={"report": report}),
        "--launcher",
        "python",
    )
    assert (tmp_path / "out" / "model.safetensors").is_file()
    said = done.stdout + done.stderr
    assert "dealign: no report" in said
    assert "The model is trained. To score it: " in said
    assert not (tmp_path / "out" / "report.html").exists()
