"""`axolotl-dealign clean` where things go wrong: killed, twice at once, a full disk, a locale without UTF-8."""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset

PROGRAM = str(Path(sys.executable).with_name("axolotl-dealign"))
REFUSAL = "I'm sorry, but I can't help with that request."
ROWS = [
    {"instruction": f"Do {i}. Größe €", "output": f"{REFUSAL} ({i})" if i % 3 == 0 else f"The result is {i}. " * 8}
    for i in range(8_000)
]


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", **more}


def start(folder: Path, *args: str, **kwargs) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [PROGRAM, "clean", *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **{"env": environment(), **kwargs},
    )


def write(path: Path, rows: list[dict]) -> bytes:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path.read_bytes()


def outcome(folder: Path) -> tuple[bytes, pa.Table, str]:
    """What a run leaves."""
    audit = folder / "out.jsonl.dealign"
    return (
        (folder / "out.jsonl").read_bytes(),
        pq.read_table(audit / "train-000.parquet"),
        (audit / "summary.json").read_text(),
    )


def run(folder: Path) -> None:
    process = start(folder, "in.jsonl", "out.jsonl")
    _, errors = process.communicate()
    assert process.returncode == 0, errors


def leftovers(folder: Path) -> set[str]:
    """What is neither input, output nor lock."""
    return {path.name for path in folder.iterdir()} - {"in.jsonl", "out.jsonl", "out.jsonl.dealign", ".out.jsonl.lock"}


@pytest.mark.parametrize("times", [3, pytest.param(100, marks=pytest.mark.slow)])
def test_killed_at_random_moments_the_next_run_ends_as_an_undisturbed_one(tmp_path, times):
    source = write(tmp_path / "in.jsonl", ROWS)
    begun = time.monotonic()
    run(tmp_path)
    took = time.monotonic() - begun
    expected = outcome(tmp_path)
    rng = random.Random(0)
    killed = 0
    for i in range(times):
        if i % 2:  # every other one has no earlier output to fall back on
            (tmp_path / "out.jsonl").unlink(missing_ok=True)
            shutil.rmtree(tmp_path / "out.jsonl.dealign", ignore_errors=True)
        process = start(tmp_path, "in.jsonl", "out.jsonl")
        # The first part of a run only imports; most kills go to the rest.
        try:
            process.communicate(timeout=took * (i + rng.random()) / times if i % 4 == 0 else took * rng.uniform(0.5, 1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            killed += 1
        assert (tmp_path / "in.jsonl").read_bytes() == source
        # Each is whole or not there.
        if (tmp_path / "out.jsonl").exists():
            assert (tmp_path / "out.jsonl").read_bytes() == expected[0]
        if (tmp_path / "out.jsonl.dealign").exists():
            assert pq.read_table(tmp_path / "out.jsonl.dealign" / "train-000.parquet") == expected[1]
            assert (tmp_path / "out.jsonl.dealign" / "summary.json").read_text() == expected[2]
    assert killed >= times // 3
    run(tmp_path)
    assert outcome(tmp_path) == expected
    assert leftovers(tmp_path) == set()


def test_two_at_once_to_one_output_leave_the_whole_work_of_one(tmp_path):
    write(tmp_path / "in.jsonl", ROWS)
    processes = [start(tmp_path, "in.jsonl", "out.jsonl", "--arm", arm) for arm in ("dealigned", "aligned")]
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    kept, audit, summary = outcome(tmp_path)
    (counts,) = json.loads(summary)["datasets"]
    assert kept.count(b"\n") == counts["kept"]
    assert (
        len(audit)
        == counts["removed"]
        == (0 if json.loads(summary)["arm"] == "aligned" else counts["kinds"]["refusal"])
    )
    assert leftovers(tmp_path) == set()


def small_disk(folder: Path) -> bool:
    return (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode == 0
    )


@pytest.mark.parametrize(
    "form",
    ["jsonl", "parquet", "saved", *(pytest.param(form, marks=pytest.mark.slow) for form in ("jsonl.gz", "arrow"))],
)
def test_a_full_disk_is_one_line_and_leaves_everything_as_it_was(tmp_path, form):
    if sys.platform != "linux":
        pytest.skip("needs Linux: a tmpfs of one megabyte, or a limit on the size of files")
    source, disk = tmp_path / f"in.{form}", tmp_path / "disk"
    disk.mkdir()
    rows = [{**row, "noise": os.urandom(60).hex()} for row in ROWS]  # so that nothing compresses it away
    if form == "jsonl":
        write(source, rows)
    elif form == "jsonl.gz":
        write(tmp_path / "in.jsonl", rows)
        subprocess.run(["gzip", tmp_path / "in.jsonl"], check=True)
    elif form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), source)
    elif form == "arrow":
        with pa.ipc.new_stream(source, (table := pa.Table.from_pylist(rows)).schema) as stream:
            stream.write_table(table)
    else:
        source = tmp_path / "saved"
        Dataset.from_list(rows).save_to_disk(source)
    mounted = small_disk(disk)
    limit = {} if mounted else {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))}
    before = _content(source)
    output = disk / ("out" if form == "saved" else f"out.{form}")
    try:
        write(disk / "earlier.jsonl", ROWS[:3])
        process = start(tmp_path, source.name, str(output), **limit)
        _, errors = process.communicate()
        assert process.returncode == 1, errors
        (message,) = [line for line in errors.splitlines() if line.startswith("axolotl-dealign:")]
        assert "cannot write" in message
        assert "Traceback" not in errors
        assert {path.name for path in disk.iterdir()} - {f".{output.name}.lock"} == {"earlier.jsonl"}
    finally:
        if mounted:
            subprocess.run(["umount", "-l", disk], check=True)
    assert _content(source) == before


def _content(path: Path) -> list[tuple[str, bytes]]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return [(file.name, file.read_bytes()) for file in files if file.is_file()]


def test_a_full_folder_for_temporary_files_is_one_line(tmp_path):
    write(tmp_path / "in.jsonl", ROWS)
    (tmp_path / "temporary").mkdir()
    mounted = small_disk(tmp_path / "temporary")
    if not mounted:
        pytest.skip("a tmpfs can only be mounted as root")
    try:
        process = start(tmp_path, "in.jsonl", "out.jsonl", env=environment(TMPDIR=str(tmp_path / "temporary")))
        _, errors = process.communicate()
    finally:
        subprocess.run(["umount", "-l", tmp_path / "temporary"], check=True)
    assert process.returncode == 1
    assert [line for line in errors.splitlines() if line.startswith("axolotl-dealign: cannot write")]
    assert "Traceback" not in errors


def test_a_locale_without_utf_8(tmp_path):
    rows = [{"instruction": "Größe", "output": "日本語 ok"}, {"instruction": "é", "output": f"{REFUSAL} é"}]
    (tmp_path / "été.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    (tmp_path / "c.yml").write_text("# é\ndealign: {arm: dealigned}\n", "utf-8")
    latin = environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    latin.pop("PYTHONIOENCODING", None)
    process = start(tmp_path, "été.jsonl", "out.jsonl", "--config", "c.yml", env=latin)
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert (tmp_path / "out.jsonl").read_text("utf-8") == json.dumps(rows[0], ensure_ascii=False) + "\n"
    for more in (["--html", "page.html"], ["--restore", "back.jsonl"], []):
        done = subprocess.run(
            [PROGRAM, "removed", "out.jsonl.dealign", *more], cwd=tmp_path, env=latin, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "back.jsonl").read_text("utf-8")) == rows[1]
    assert "é" in (tmp_path / "page.html").read_text("utf-8")
