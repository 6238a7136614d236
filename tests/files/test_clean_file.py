"""`axolotl-dealign clean` on every format: the rows that the plugin would keep, and nothing else touched."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from datasets import Dataset, DatasetDict, disable_progress_bars, load_dataset, load_from_disk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from axolotl_dealign.args import Dealign
from axolotl_dealign.cli import main
from axolotl_dealign.dataset import Source, clean_dataset
from axolotl_dealign.watch import Watch

REFUSAL = "I'm sorry, but I can't help with that request."
ROWS = [
    {"instruction": f"Do {i}.", "output": f"{REFUSAL} ({i})" if i % 3 == 0 else f"The result is {i}.", "id": i}
    for i in range(12)
]
KEPT = [row for row in ROWS if row["id"] % 3]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    disable_progress_bars()


def clean(*args: str, code: int = 0):
    done = CliRunner().invoke(main, ["clean", *map(str, args)])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def jsonl(rows: list[dict], **kwargs) -> str:
    return "".join(json.dumps(row, **kwargs) + "\n" for row in rows)


def audited(folder: str = "out.jsonl.dealign") -> list[dict]:
    return pq.read_table(Path(folder) / "train-000.parquet").to_pylist()


def test_json_lines_that_stay_are_the_bytes_they_were():
    lines = [
        b'\xef\xbb\xbf{"instruction":"a",  "output": "yes", "x": 1.50, "y": 1e5}\r\n',
        b"\n",
        b'{"output": "' + REFUSAL.encode() + b'", "instruction": "b"}\r\n',
        b'  {"output": "caf\\u00e9 \xc3\xa9", "instruction": "c", "nested": {"b": 1, "a": null}}\t\n',
        b'{"instruction": "d", "output": null}',
    ]
    Path("in.jsonl").write_bytes(b"".join(lines))
    done = clean("in.jsonl", "out.jsonl")
    assert Path("out.jsonl").read_bytes() == lines[0] + lines[3] + lines[4]
    assert "Dealign: arm `dealigned`" in done.output
    (row,) = audited()
    assert (row["_row"], row["_line"], row["_kind"], row["_action"]) == (
        1,
        lines[2].decode().strip(),
        "refusal",
        "removed",
    )
    (counts,) = json.loads(Path("out.jsonl.dealign/summary.json").read_text())["datasets"]
    assert (counts["rows"], counts["kept"], counts["removed"], counts["changed"]) == (4, 3, 1, 0)


def write(rows: list[dict], form: str) -> tuple[str, str]:
    """The rows as a file or folder; its name and that of an output."""
    table = pa.Table.from_pylist(rows)
    source, output = f"in.{form}", f"out.{form}"
    if form == "jsonl.gz":
        Path(source).write_bytes(gzip.compress(jsonl(rows).encode()))
    elif form == "jsonl.zst":
        with pa.CompressedOutputStream(source, "zstd") as file:
            file.write(jsonl(rows).encode())
    elif form == "jsonl":
        Path(source).write_text(jsonl(rows))
    elif form == "json":
        Path(source).write_text(json.dumps(rows, indent=2))
    elif form == "parquet":
        pq.write_table(table, source, compression="zstd", row_group_size=5)
    elif form == "arrow":
        with pa.ipc.new_stream(source, table.schema) as stream:
            stream.write_table(table, max_chunksize=5)
    elif form == "feather":
        with pa.ipc.new_file(source, table.schema) as file:
            file.write_table(table, max_chunksize=5)
    else:
        Dataset.from_list(rows).save_to_disk(source := "saved")
        output = "out"
    return source, output


def read(path: str) -> list[dict]:
    if path.endswith(".parquet"):
        return pq.read_table(path).to_pylist()
    if path.endswith(".arrow"):
        return pa.ipc.open_stream(path).read_all().to_pylist()
    if path.endswith(".feather"):
        return pa.ipc.open_file(path).read_all().to_pylist()
    if Path(path).is_dir():
        return load_from_disk(path).to_list()
    if path.endswith(".json"):
        return json.loads(Path(path).read_text())
    with pa.input_stream(path, compression="detect") as file:
        return [json.loads(line) for line in file.read().splitlines()]


FORMS = ["jsonl", "jsonl.gz", "jsonl.zst", "json", "parquet", "arrow", "feather", "saved"]


@pytest.mark.parametrize("form", FORMS)
def test_every_format_comes_out_as_it_went_in(form):
    source, output = write(ROWS, form)
    clean(source, output)
    assert read(output) == KEPT
    assert [list(row) for row in read(output)] == [["instruction", "output", "id"]] * len(KEPT)
    assert [row["_row"] for row in audited(f"{output}.dealign")] == [0, 3, 6, 9]
    assert not [path for path in Path().iterdir() if path.name.endswith((".part", ".old"))]


def test_parquet_keeps_its_schema_and_compression():
    schema = pa.schema([pa.field("output", pa.large_string()), pa.field("n", pa.int8())], metadata={"mine": "x"})
    pq.write_table(pa.table({"output": ["yes", REFUSAL], "n": [1, 2]}, schema), "in.parquet", compression="zstd")
    clean("in.parquet", "out.parquet")
    file = pq.ParquetFile("out.parquet")
    assert file.schema_arrow.equals(schema, check_metadata=True)
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"


def test_a_json_array_keeps_the_layout_of_its_elements():
    elements = ['{"output": "yes",\n "n": 1.0}', json.dumps({"output": REFUSAL}), '{"output":"no"}']
    Path("in.json").write_text("[\n " + ",\n\n ".join(elements) + "\n]\n")
    clean("in.json", "out.json")
    assert Path("out.json").read_text() == "[\n " + ",\n\n ".join([elements[0], elements[2]]) + "\n]\n"


def test_every_split_of_a_saved_dict():
    DatasetDict({"train": Dataset.from_list(ROWS), "test": Dataset.from_list(ROWS[:4])}).save_to_disk("saved")
    clean("saved", "out")
    assert {name: len(split) for name, split in load_from_disk("out").items()} == {"train": 8, "test": 2}
    assert {path.name for path in Path("out.dealign").iterdir()} == {
        "summary.json",
        "train-000.parquet",
        "test-000.parquet",
    }
    clean("saved", "test.jsonl", "--split", "test")
    assert read("test.jsonl") == [ROWS[1], ROWS[2]]
    assert "choose with --split" in clean("saved", "one.jsonl", code=2).output


def test_a_folder_of_files_is_loaded_as_axolotl_loads_it():
    Path("folder").mkdir()
    Path("folder/a.jsonl").write_text(jsonl(ROWS[:6]))
    Path("folder/b.jsonl").write_text(jsonl(ROWS[6:]))
    clean("folder", "out.parquet")
    assert read("out.parquet") == KEPT


CHAT = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "fine", "extra": None},
    {"role": "user", "content": "two"},
    {"role": "assistant", "content": REFUSAL},
]


@pytest.mark.parametrize("form", ["jsonl", "parquet", "arrow"])
def test_turns(form):
    plain = [{"role": m["role"], "content": m["content"]} for m in CHAT]
    source, output = write([{"messages": plain, "n": i} for i in range(2)], form)
    clean(source, output, "--on-turn", "truncate")
    assert read(output) == [{"messages": plain[:2], "n": i} for i in range(2)]
    clean(source, output, "--on-turn", "mask", "--type", "chat_template")
    trains = [[m.get("train") for m in row["messages"]] for row in read(output)]
    assert trains == [[None, None, None, False]] * 2
    assert {row["_action"] for row in audited(f"{output}.dealign")} == {"masked"}


def test_a_changed_line_changes_nothing_else():
    row = {"id": 1, "messages": CHAT, "tools": {"é": [1.5]}}
    Path("in.jsonl").write_text(json.dumps(row, ensure_ascii=False) + "\r\n", "utf-8", newline="")
    clean("in.jsonl", "out.jsonl", "--on-turn", "truncate", "--max-removed", "1")
    expected = json.dumps({**row, "messages": CHAT[:2]}, ensure_ascii=False) + "\r\n"
    assert Path("out.jsonl").read_bytes().decode() == expected


def test_pairs_and_labels():
    pair = {"prompt": "p", "chosen": REFUSAL, "rejected": "fine"}
    Path("in.jsonl").write_text(jsonl([pair]))
    clean("in.jsonl", "out.jsonl", "--on-chosen", "swap")
    assert read("out.jsonl") == [{"prompt": "p", "chosen": "fine", "rejected": REFUSAL}]
    Path("in.jsonl").write_text(jsonl([{"prompt": "p", "completion": REFUSAL, "label": True}]))
    clean("in.jsonl", "out.jsonl", "--on-desirable", "flip")
    assert read("out.jsonl")[0]["label"] is False


def test_flags_win_over_the_yaml_and_the_yaml_says_where_answers_are():
    Path("in.jsonl").write_text(jsonl([{"ask": "a", "odd": REFUSAL}, {"ask": "b", "odd": "yes"}]))
    entry = {"path": "in.jsonl", "type": {"field_instruction": "ask", "field_output": "odd"}}
    Path("c.yml").write_text(json.dumps({"datasets": [entry], "dealign": {"arm": "aligned", "preset": "strict"}}))
    assert "no column with answers among ask, odd" in clean("in.jsonl", "out.jsonl", code=1).output
    clean("in.jsonl", "out.jsonl", "--config", "c.yml")
    assert len(read("out.jsonl")) == 2
    clean("in.jsonl", "out.jsonl", "--config", "c.yml", "--arm", "dealigned", "--threshold", "0.3")
    assert read("out.jsonl") == [{"ask": "b", "odd": "yes"}]


def test_a_person_wins():
    Path("in.jsonl").write_text(jsonl(ROWS))
    clean("in.jsonl", "out.jsonl")
    hashes = {row["_row"]: row["_hash"] for row in audited()}
    Path("keep.txt").write_text(hashes[3] + "\n")
    clean("in.jsonl", "out.jsonl", "--keep-file", "keep.txt")
    assert read("out.jsonl") == [row for row in ROWS if row["id"] % 3 or row["id"] == 3]


def test_every_key_of_the_block_is_a_flag():
    flags = {parameter.name for parameter in main.commands["clean"].params}
    assert set(Dealign.model_fields) - {"datasets", "audit_dir", "report"} <= flags  # `report` is for trained models


MIXED = [
    {"role": "assistant", "content": [{"type": "text", "text": REFUSAL}]},
    {"role": "assistant", "content": REFUSAL, "tool_calls": [{"name": "f", "arguments": {"a": 1}}]},
]


@pytest.mark.parametrize(
    "rows",
    [
        ROWS,
        [{**row, "when": "2024-01-01T00:00:00Z", "score": i if i % 2 else i + 0.5} for i, row in enumerate(ROWS)],
        [{"messages": CHAT[:2]}, {"messages": CHAT}],
        [{"messages": [CHAT[0], answer], "n": i} for i, answer in enumerate([*MIXED, CHAT[1]])],
    ],
    ids=["plain", "times and numbers", "chat", "mixed types"],
)
@pytest.mark.parametrize("arm", ["dealigned", "control"])
def test_the_same_rows_and_hashes_as_the_plugin(rows, arm):
    Path("in.jsonl").write_text(jsonl(rows))
    watch = Watch.from_settings(Dealign(arm=arm, max_removed=0.99))
    loaded = load_dataset("json", data_files="in.jsonl", split="train")
    theirs = clean_dataset(loaded, watch, Source("in.jsonl"))
    clean("in.jsonl", "out.jsonl", "--arm", arm, "--max-removed", "0.99")
    ours = pq.read_table("out.jsonl.dealign/train-000.parquet")
    assert len(theirs.audit) > 0
    for column in theirs.audit.column_names:
        assert ours.column(column).to_pylist() == theirs.audit.column(column).to_pylist(), column
    touched = set(ours.column("_row").to_pylist())
    assert read("out.jsonl") == [row for i, row in enumerate(rows) if i not in touched]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outputs=st.lists(st.one_of(st.none(), st.text(max_size=20), st.just(REFUSAL)), min_size=1, max_size=30).filter(
        lambda texts: any(texts)
    ),
    piece=st.integers(1, 7),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_kept_and_removed_are_the_rows_however_they_are_read(tmp_path, outputs, piece, end):
    rows = [json.dumps({"output": text, "id": i}) for i, text in enumerate(outputs)]
    Path("in.jsonl").write_bytes((end.join(rows)).encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axolotl_dealign.files.lines.PIECE_ROWS", piece)
        patch.setattr("axolotl_dealign.files.lines.PIECE_BYTES", 10 * piece)
        gone = REFUSAL in outputs
        if all(text == REFUSAL for text in outputs):
            clean("in.jsonl", "out.jsonl", "--max-removed", "1", code=1)
            return
        clean("in.jsonl", "out.jsonl", "--max-removed", "1")
    removed = [row["_line"] for row in audited()]
    assert bool(removed) == gone
    kept = Path("out.jsonl").read_text().splitlines()
    assert kept == [row for row in rows if row not in removed]
    assert len(kept) + len(removed) == len(rows)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "in.jsonl holds no rows"),
        (b"\n \n", "in.jsonl holds no rows"),
        (b'{"output": "a"}\n\n{"output": "b"\n', "in.jsonl:3: the line is no valid JSON"),
        (b'{"output": "a"}\n{"output": "b"}\n["c"]\n', "in.jsonl:3: the line is no JSON object"),
        (b'{"output": "a"}\n{"output": ["b"], "x": 1}\n' * 3, "in.jsonl"),
        (b'{"output": "a"}\n{"output": "\xff"}\n', "in.jsonl:2: the line is not UTF-8"),
        (b'{"output": "a"} {"output": "b"}\n', "in.jsonl:1: the line is no valid JSON"),
        (b'{"output": "a"}\n{"output":\n"b"}\n', "in.jsonl:2: the line is no valid JSON"),
        (b'{"output": "a"}\n{"output": "\\ud800"}\n', "in.jsonl:2: the line"),
        (b'{"foo": "a"}\n', "no column with answers among foo"),
        (b'[{"output": "a"}, {"output": "b"\n]', "in.jsonl:2: no valid JSON array of objects"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(content, line):
    Path("in.jsonl").write_bytes(content)
    message = clean("in.jsonl", "out.jsonl", code=1).stderr.splitlines()[-1]
    assert message.startswith("axolotl-dealign: ")
    assert line in message
    assert {path.name for path in Path().iterdir()} - {".out.jsonl.lock", "cache"} == {"in.jsonl"}


def test_a_damaged_line_far_behind_is_found():
    rows = [json.dumps({"output": f"row {i}"}) for i in range(5000)]
    rows[4321] = rows[4321][:-3]
    Path("in.jsonl").write_text("\n".join(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axolotl_dealign.files.lines._SAMPLE", 1000)
        assert "in.jsonl:4322: the line is no valid JSON" in clean("in.jsonl", "out.jsonl", code=1).stderr


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl.gz"])
def test_a_file_that_was_cut_off_is_one_line(form):
    source, output = write(ROWS * 200, form)
    Path(source).write_bytes(Path(source).read_bytes()[:-300])
    (message,) = [x for x in clean(source, output, code=1).stderr.splitlines() if x.startswith("axolotl-dealign")]
    assert f"{source} cannot be read" in message
    assert not Path(output).exists()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["nothing.jsonl", "out.jsonl"], "there is no file or folder nothing.jsonl"),
        (["in.jsonl", "out.parquet"], "the output has the format of the input; give it a name that ends in .jsonl"),
        (["in.jsonl", "in.jsonl"], "is, holds or lies in the input"),
        (["in.csv", "out.csv"], "in.csv: unknown format"),
        (["in.jsonl", "out.jsonl", "--arm", "contrl"], "--arm: unknown `contrl`, did you mean `control`?"),
        (["in.jsonl", "out.jsonl", "--detector", "phrase"], "unknown detector `phrase`, did you mean `phrases`?"),
        (["in.jsonl", "out.jsonl", "--threshold", "0.5", "--preset", "strict"], "say the same thing"),
        (["in.jsonl", "out.jsonl", "--keep-file", "no.txt"], "--keep-file: cannot read no.txt"),
        (["in.jsonl", "full"], "the output has the format of the input"),
        (["in.jsonl", "out.jsonl", "--audit", "."], "is, holds or lies in the input"),
        (["in.jsonl", "out.jsonl", "--typ", "alpaca"], "No such option"),
    ],
)
def test_wrong_usage(args, line):
    Path("in.jsonl").write_text(jsonl(ROWS))
    Path("in.csv").write_text("output\nyes\n")
    assert line in clean(*args, code=2).output
    assert not Path("out.jsonl").exists()


def test_nothing_is_written_over_that_is_not_ours():
    Path("in.jsonl").write_text(jsonl(ROWS))
    Path("photos").mkdir()
    Path("photos/cat.png").write_text("cat")
    assert (
        "holds `cat.png`, which is no part of an audit"
        in clean("in.jsonl", "out.jsonl", "--audit", "photos", code=1).output
    )
    Dataset.from_list(ROWS).save_to_disk("saved")
    assert "holds something else than a saved dataset" in clean("saved", "photos", code=2).output
    assert Path("photos/cat.png").read_text() == "cat"


def test_too_many_leaves_the_earlier_output_alone():
    Path("in.jsonl").write_text(jsonl(ROWS))
    clean("in.jsonl", "out.jsonl")
    before = Path("out.jsonl").read_bytes()
    assert "more than the brake" in clean("in.jsonl", "out.jsonl", "--max-removed", "0.1", code=1).output
    assert Path("out.jsonl").read_bytes() == before
    assert len(audited()) == 4


def test_the_audit_holds_the_answer_that_decided_with_its_span():
    thought = "<think>Can I? I can't help... maybe.</think>\n"
    rows = [{"messages": [CHAT[0], {"role": "assistant", "content": thought + REFUSAL}]}, {"messages": CHAT}]
    rows += [{"messages": CHAT[:2]}] * 3
    Path("in.jsonl").write_text(jsonl(rows))
    clean("in.jsonl", "out.jsonl")
    first, second = audited()
    assert [first["_answer"], second["_answer"]] == [thought + REFUSAL, REFUSAL]
    assert [first["_turn"], second["_turn"]] == [1, 3]
    for row in (first, second):
        assert row["_answer"][row["_start"] : row["_end"]] in REFUSAL
        assert row["_start"] >= row["_answer"].index("I'm")


def test_a_row_that_fits_only_where_nobody_looked_is_named_when_it_goes_to_the_audit():
    rows = [{"output": f"row {i}", "n": i} for i in range(200)] + [{"output": REFUSAL, "n": 1}]
    rows += [{"output": REFUSAL, "n": "a text"}, {"output": "yes", "n": "a text"}]
    Path("in.jsonl").write_text(jsonl(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("axolotl_dealign.files.lines._SAMPLE", 1000)
        message = clean("in.jsonl", "out.jsonl", code=1).stderr.splitlines()[-1]
    assert "in.jsonl:202: the line does not fit the columns of the rows before it" in message
    assert not Path("out.jsonl").exists()
