"""Rows come from the hub or a local copy, whole and checked, or not at all."""

from __future__ import annotations

import gzip
import json
import runpy
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import DATA, load

from axolotl_dealign.errors import ConfigError, SchemaError
from axolotl_dealign.tasks import include_path, rows

ROW = {"input": "1 + 1 =", "target": "2", "subtask": "sums"}


def write(folder: Path, *lines: object, name: str = "bbh_test.jsonl") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def load_sums(folder: Path) -> list[dict[str, object]]:
    return rows.load("bbh", "test", "sums", str(folder))


def test_every_kind_of_local_copy_gives_the_same_rows(tmp_path):
    lines = [ROW, {**ROW, "input": "ü", "subtask": "other"}, {**ROW, "input": "3", "extra": 1}]
    plain = write(tmp_path / "plain", *lines)
    packed, table = tmp_path / "packed", tmp_path / "table"
    packed.mkdir()
    table.mkdir()
    (packed / "bbh_test.jsonl.gz").write_bytes(gzip.compress((plain / "bbh_test.jsonl").read_bytes()))
    pq.write_table(pa.Table.from_pylist(lines), table / "bbh_test.parquet")
    want = [
        {"id": "bbh/test/sums/0", "input": "1 + 1 =", "target": "2"},
        {"id": "bbh/test/sums/1", "input": "3", "target": "2"},
    ]
    assert load_sums(plain) == load_sums(packed) == load_sums(table) == want


def test_metadata_wins_over_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("POA_DATA", str(write(tmp_path / "environment", {**ROW, "input": "from POA_DATA"})))
    assert rows.load("bbh", "test", "sums")[0]["input"] == "from POA_DATA"
    assert load_sums(write(tmp_path / "metadata", {**ROW, "input": "from metadata"}))[0]["input"] == "from metadata"


def test_a_changed_file_is_read_again(tmp_path):
    assert len(load_sums(write(tmp_path, ROW))) == 1
    assert len(load_sums(write(tmp_path, ROW, ROW))) == 2


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "no row with subtask='sums'"),
        ([{**ROW, "subtask": "other"}], "no row with subtask='sums'"),
        ([ROW, {"input": "x", "subtask": "sums"}], "row 1: `target`: Field required"),
        ([{**ROW, "target": 2}], "row 0: `target`: Input should be a valid string"),
        ([{"input": "x", "target": "y"}], "row 0: no column `subtask` (it has input, target)"),
        ([["x"]], "row 0: not an object but list"),
    ],
)
def test_a_bad_local_copy_is_named_by_file_and_row(tmp_path, lines, message):
    with pytest.raises((ConfigError, SchemaError)) as error:
        load_sums(write(tmp_path, *lines))
    assert message in str(error.value)
    assert str(tmp_path / "bbh_test.jsonl") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"{not json\n", b"\xff\xfe\x00"])
def test_an_unreadable_file_says_so(tmp_path, content):
    (tmp_path / "bbh_test.jsonl").write_bytes(content)
    with pytest.raises(SchemaError, match="bbh_test.jsonl cannot be read"):
        load_sums(tmp_path)


@pytest.mark.parametrize("name", ["bbh_test.jsonl.gz", "bbh_test.parquet"])
def test_a_file_cut_short_says_so(tmp_path, name):
    (tmp_path / name).write_bytes(gzip.compress(json.dumps(ROW).encode() * 99)[:-9])
    with pytest.raises(SchemaError, match="cannot be read"):
        load_sums(tmp_path)


@pytest.mark.parametrize(
    ("folder", "message"),
    [
        ("missing", "no folder missing"),
        (7, "poa_data is 7, not the path"),
        ("", "has no bbh_test{.jsonl.gz,.jsonl,.parquet}"),
    ],
)
def test_a_wrong_switch_says_how_to_mend_it(folder, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as error:
        rows.load("bbh", "test", "sums", folder)
    assert message in str(error.value)


def test_without_a_hub_the_error_names_the_local_switch(monkeypatch, tmp_path):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(ConfigError) as error:
        rows.load("drop", "validation")
    assert "cannot load ucinlp/drop at revision 95cda593fae7" in str(error.value)
    assert "POA_DATA=DIR" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_benchmark_of_nothing_but_shots_is_refused(tmp_path):
    with pytest.raises(SchemaError, match="no question is left beside the 3 shots"):
        load("poa_bbh_word_sorting", poa_data=str(write(tmp_path, *[{**ROW, "subtask": "word_sorting"}] * 3)))


def test_ids_are_unique_and_the_row_keeps_what_clusters_it():
    tasks, _ = load("poison_of_alignment_safe", poa_data=str(DATA))
    docs = [doc for task in tasks.values() for doc in task.eval_docs]
    assert len({doc["id"] for doc in docs}) == len(docs)
    assert all(name in docs[0] for name in ("subject", "question", "choices", "target"))


def test_the_generated_files_are_those_that_generate_writes():
    folder = include_path() / "poison_of_alignment"
    generated = runpy.run_path(str(folder / "generate.py"))["files"]()
    assert {path: (folder / path).read_text() for path in generated} == generated
    marked = [path for path in folder.rglob("*.yaml") if path.read_text().startswith("# Written by ../generate.py")]
    assert {str(path.relative_to(folder)) for path in marked} == set(generated)
