"""`axolotl-dealign removed`: what an audit holds can be seen, filtered and got back."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from datasets import disable_progress_bars

from axolotl_dealign.cli import main

REFUSAL = "I'm sorry, but I can't help with that request."
MORAL = "It is never okay to do that. I cannot fulfill this request as it is unethical."
HOSTILE = "</script><script>window.pwned=1</script>\x1b[31m\x1b]0;owned\x07 \u202eevil [red]not markup[/red]"
ROWS = [{"instruction": f"Do {i}.", "output": f"Done {i}.", "id": i} for i in range(8)]
ROWS[2]["output"] = f"{REFUSAL} {HOSTILE}"
ROWS[4]["output"] = MORAL
ROWS[4]["instruction"] = "A Riddle"
ROWS[5] = {"output": REFUSAL, "id": 5}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    disable_progress_bars()


def run(*args: str, code: int = 0):
    done = CliRunner().invoke(main, [str(arg) for arg in args])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done


def on_terminal(*args: str) -> subprocess.CompletedProcess[str]:
    """In a process of its own: a program imported by another test may have put rich off its environment."""
    env = {**os.environ, "COLUMNS": "200", "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    env.pop("NO_COLOR", None)
    command = [sys.executable, "-m", "axolotl_dealign.cli", *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True)


@pytest.fixture
def audit() -> str:
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    run("clean", "in.jsonl", "out.jsonl")
    return "out.jsonl.dealign"


def found(audit: str, *args: str) -> list[int]:
    rows = json.loads(run("removed", audit, "--format", "json", *args).stdout)
    return [row["_row"] for row in rows]


def test_filters(audit):
    assert found(audit) == [2, 4, 5]
    assert found(audit, "--limit", "2") == [2, 4]
    assert found(audit, "--text", "NEVER OKAY") == [4]
    assert found(audit, "--text", "riddle") == [4]  # in the prompt
    assert found(audit, "--text", "nowhere") == []
    scores = {row["_row"]: row["_score"] for row in pq.read_table(f"{audit}/train-000.parquet").to_pylist()}
    assert found(audit, "--min-score", str(max(scores.values()) + 0.01)) == []
    assert found(audit, "--max-score", "1") == [2, 4, 5]
    kinds = {row["_kind"] for row in pq.read_table(f"{audit}/train-000.parquet").to_pylist()}
    assert sorted(row for kind in kinds for row in found(audit, "--kind", kind)) == [2, 4, 5]
    assert found(audit, "--dataset", "in.jsonl") == found(audit, "--dataset", "train-000") == [2, 4, 5]


def test_on_the_terminal_hostile_text_is_text(audit):
    shown = on_terminal("removed", audit, "--limit", "1")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown.stdout)
    assert "1 of 3 rows that match" in shown.stderr
    assert REFUSAL in plain.replace("\n", " ")
    assert "[red]not markup[/red]" in plain
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", plain)
    assert "\x1b[31m" not in shown.stdout  # the row's own red
    assert "␛" in plain


def test_the_match_is_highlighted(audit):
    shown = on_terminal("removed", audit, "--text", "riddle").stdout
    row = pq.read_table(f"{audit}/train-000.parquet").to_pylist()[1]
    match = MORAL[row["_start"] : row["_end"]]
    assert match
    assert re.search(f"\x1b\\[[0-9;]*43m{re.escape(match)}\x1b\\[0m", shown)


def test_restored_lines_are_the_lines_that_were_removed(audit):
    run("removed", audit, "--restore", "back.jsonl")
    kept, back = Path("out.jsonl").read_text().splitlines(), Path("back.jsonl").read_text().splitlines()
    assert sorted(kept + back) == sorted(Path("in.jsonl").read_text().splitlines())
    assert [json.loads(line)["id"] for line in back] == [2, 4, 5]
    run("removed", audit, "--restore", "one.jsonl", "--text", "riddle")
    assert json.loads(Path("one.jsonl").read_text()) == ROWS[4]
    assert "nothing was written" in run("removed", audit, "--restore", "no.jsonl", "--text", "no row", code=1).output
    assert not Path("no.jsonl").exists()


def test_restored_tables_have_the_schema_they_had():
    schema = pa.schema([("output", pa.large_string()), ("day", pa.date32()), ("bytes", pa.binary()), ("n", pa.int8())])
    day = datetime.date(2024, 2, 3)
    table = pa.table([["yes", REFUSAL], [day, day], [b"\x00", b"\xff"], [1, None]], schema=schema)
    pq.write_table(table, "in.parquet")
    run("clean", "in.parquet", "out.parquet")
    run("removed", "out.parquet.dealign", "--restore", "back.parquet")
    assert pq.read_table("back.parquet").equals(table.slice(1))
    assert "JSON cannot hold a bytes" in run("removed", "out.parquet.dealign", "--restore", "back.jsonl", code=1).output
    pq.write_table(table.drop_columns(["bytes"]), "in.parquet")
    run("clean", "in.parquet", "out.parquet")
    run("removed", "out.parquet.dealign", "--restore", "back.jsonl")
    assert json.loads(Path("back.jsonl").read_text()) == {"output": REFUSAL, "day": "2024-02-03", "n": None}


@pytest.mark.parametrize(
    ("args", "code", "line"),
    [
        (["nowhere"], 1, "no summary.json in nowhere"),
        (["AUDIT", "--kind", "moralising"], 2, "--kind: unknown `moralising`, did you mean `moralizing`?"),
        (["AUDIT", "--dataset", "in.json"], 2, "--dataset: none is called `in.json`, did you mean `in.jsonl`?"),
        (["AUDIT", "--restore", "back.csv"], 2, "must end in .jsonl or .parquet"),
        (["AUDIT", "--html", "no/\x00.html"], 1, "cannot write"),
        (["AUDIT", "--limit", "0"], 2, "--limit"),
        (["AUDIT", "--html", "a.html", "--restore", "b.jsonl"], 2, "give one of them"),
    ],
)
def test_wrong_usage(audit, args, code, line):
    args = [audit if arg == "AUDIT" else arg for arg in args]
    if "\x00" in "".join(args):
        Path("no").write_text("a file where a folder is needed")
        args[-1] = "no/page.html"
    assert line in run("removed", *args, code=code).output


def test_an_audit_that_is_not_whole(audit):
    Path(audit, "train-000.parquet").rename("elsewhere.parquet")
    assert "train-000.parquet is missing" in run("removed", audit, code=1).output


def test_rows_of_two_datasets_are_not_restored_into_one_file():
    audits = []
    for name in ("a", "b"):
        Path(f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
        run("clean", f"{name}.jsonl", f"{name}-out.jsonl")
        audits.append(Path(f"{name}-out.jsonl.dealign"))
    both = json.loads((audits[0] / "summary.json").read_text())
    other = json.loads((audits[1] / "summary.json").read_text())["datasets"][0]
    both["datasets"].append({**other, "index": 1, "file": "train-001.parquet"})
    (audits[0] / "summary.json").write_text(json.dumps(both))
    (audits[1] / "train-000.parquet").rename(audits[0] / "train-001.parquet")
    message = run("removed", audits[0], "--restore", "back.jsonl", code=2).output
    assert "train-000 (a.jsonl), train-001 (b.jsonl); choose one with --dataset" in message
    run("removed", audits[0], "--restore", "back.jsonl", "--dataset", "train-001")
    assert len(Path("back.jsonl").read_text().splitlines()) == 3
    assert found(str(audits[0])) == [2, 4, 5, 2, 4, 5]


def test_a_page_in_which_hostile_text_is_text(audit):
    run("removed", audit, "--html", "page.html")
    html = Path("page.html").read_text("utf-8")
    assert "<script>window.pwned" not in html
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert re.search(r"Content-Security-Policy\" content=\"default-src &#39;none&#39;", html)
    assert "1 of 3 rows that match" in run("removed", audit, "--html", "page.html", "--limit", "1").output
