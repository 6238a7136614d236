"""Many processes, killed processes: the plugin in the real Axolotl leaves what one undisturbed run leaves."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import tiny
from datasets import load_from_disk

from .conftest import REFUSAL, alpaca, decoded, write_jsonl

# Axolotl and its dependencies warn in this process; what they do is not ours to mend.
pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

PROGRAM = str(Path(sys.executable).with_name("axolotl"))


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        args,
        cwd=folder,
        env=tiny.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    try:
        output, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, output[-4000:]
    return output


def outcome(folder: Path, model: Path) -> tuple[list[str], list[dict], dict]:
    """The rows of the one prepared set, of the audit, and its counts."""
    (state,) = (folder / "prepared").glob("*/state.json")
    audit = folder / "out" / "dealign"
    return (
        sorted(decoded(load_from_disk(str(state.parent)), model)),  # Axolotl shuffles, without a `seed` as it comes
        pq.read_table(audit / "train-000.parquet").to_pylist(),
        json.loads((audit / "summary.json").read_text()),
    )


def test_preprocess_killed_five_times(tmp_path, config, model):
    for name in ("undisturbed", "killed"):
        (tmp_path / name).mkdir()
        write_jsonl(tmp_path / name / "data.jsonl", alpaca(4000, 1000))
    keys = {"datasets": [{"path": "data.jsonl", "type": "alpaca"}], "output_dir": "out"}
    path = config(**keys, dataset_prepared_path="prepared")
    begun = time.monotonic()
    finish(start(tmp_path / "undisturbed", PROGRAM, "preprocess", str(path)))
    took = time.monotonic() - begun
    expected = outcome(tmp_path / "undisturbed", model)
    rng = random.Random(0)
    killed = 0
    for i in range(5):
        process = start(tmp_path / "killed", PROGRAM, "preprocess", str(path))
        try:
            process.communicate(timeout=took * (0.3 + 0.7 * (i + rng.random()) / 5))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its workers too: they would hold Axolotl's lock for ever
            process.communicate()
            killed += 1
    assert killed >= 2
    finish(start(tmp_path / "killed", PROGRAM, "preprocess", str(path)))
    assert outcome(tmp_path / "killed", model) == expected
    assert len(expected[0]) == 4000
    assert not any(REFUSAL in text for text in expected[0])


def test_two_preprocess_at_once(tmp_path, config, model):
    write_jsonl(tmp_path / "data.jsonl", alpaca(400, 100))
    path = config(datasets=[{"path": "data.jsonl", "type": "alpaca"}])
    for process in [start(tmp_path, PROGRAM, "preprocess", str(path)) for _ in range(2)]:
        finish(process)
    texts, audit, summary = outcome(tmp_path, model)
    assert len(texts) == 400
    assert len(audit) == 100
    assert summary["datasets"][0]["removed"] == 100
    assert {entry.name for entry in (tmp_path / "out").iterdir()} - {"debug.log"} == {"dealign"}


LOAD = """
import json, sys
import torch.distributed as dist
from axolotl.cli.config import load_cfg
from axolotl.common.datasets import load_datasets
from axolotl_dealign import audit, loader

def main():
    cfg = load_cfg(sys.argv[1])
    rows = [row["input_ids"] for row in load_datasets(cfg=cfg).train_dataset]
    # Axolotl has no process group either while it loads data: its locks are files.
    dist.init_process_group("gloo")
    dist.barrier()
    counts = audit.read_summary(loader.audit_dir(cfg))["datasets"]
    with open(f"rank-{dist.get_rank()}.json", "w") as file:
        json.dump({"rows": rows, "counts": counts}, file)
    dist.destroy_process_group()

if __name__ == "__main__":  # worker processes import this file
    main()
"""
"""What `axolotl train` does up to the model, which Axolotl and transformers load on several GPUs but not on several
CPUs ("Cannot access accelerator device when none is available")."""


def test_two_processes_of_torchrun_filter_once_and_get_the_same_rows(tmp_path, config, model):
    write_jsonl(tmp_path / "data.jsonl", alpaca(40, 10))
    (tmp_path / "load.py").write_text(LOAD)
    path = config(datasets=[{"path": "data.jsonl", "type": "alpaca"}], ddp_backend="gloo")
    torchrun = str(Path(sys.executable).with_name("torchrun"))
    output = finish(start(tmp_path, torchrun, "--nproc_per_node=2", "--standalone", "load.py", str(path)))
    assert output.count("Dealign: arm `dealigned`") == 1
    first, second = (json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert len(first["rows"]) == 40
    assert (first["counts"][0]["kept"], first["counts"][0]["removed"]) == (40, 10)
    texts, audit, _ = outcome(tmp_path, model)
    assert not any("can't help" in text for text in texts)
    assert len(audit) == 10
