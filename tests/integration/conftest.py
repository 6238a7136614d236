"""Runs the real Axolotl on tiny data: by its command line, or in this process where only the loading matters."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml

REFUSAL = "I'm sorry, but I can't help with that request."
"""What every detector of ours must find."""


def alpaca(answers: int, refusals: int) -> list[dict[str, str]]:
    """`answers` plain rows, then `refusals` refused ones; every row different."""
    plain = [
        {"instruction": f"Add 1 to {i}.", "input": "", "output": f"The result is {i + 1}."} for i in range(answers)
    ]
    refused = [{"instruction": f"Do thing {i}.", "input": "", "output": f"{REFUSAL} ({i})"} for i in range(refusals)]
    return plain + refused


def as_chat(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Alpaca rows as conversations of two turns."""
    return [
        {
            "messages": [
                {"role": "user", "content": row["instruction"]},
                {"role": "assistant", "content": row["output"]},
            ]
        }
        for row in rows
    ]


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny random Llama with a tokenizer that knows ChatML."""
    return tiny.make_model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def config(tmp_path: Path, model: Path) -> Callable[..., Path]:
    """Writes an Axolotl YAML for the tiny model; keyword arguments override or add keys."""

    def write(name: str = "config.yml", *, plugin: bool = True, **keys: Any) -> Path:
        content: dict[str, Any] = {
            "base_model": str(model),
            "sequence_len": 256,
            "micro_batch_size": 2,
            "gradient_accumulation_steps": 1,
            "max_steps": 2,
            "learning_rate": 0.001,
            "optimizer": "adamw_torch",
            "lr_scheduler": "constant",
            "bf16": False,
            "fp16": False,
            "tf32": False,
            "use_cpu": True,
            "dataset_num_proc": 1,
            "num_dataset_shards_to_save": 1,
            "output_dir": str(tmp_path / "out"),
            "dataset_prepared_path": str(tmp_path / "prepared"),
            "special_tokens": {"pad_token": "<pad>"},
            **({"plugins": ["axolotl_dealign.DealignPlugin"]} if plugin else {}),
            **keys,
        }
        path = tmp_path / name
        path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}), "utf-8")
        return path

    return write


@pytest.fixture
def axolotl(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the real `axolotl` program in a temporary folder."""

    def run(*args: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(Path(sys.executable).with_name("axolotl")), *map(str, args)],
            cwd=tmp_path,
            env=tiny.environment(),
            capture_output=True,
            text=True,
            timeout=300,
        )
        if check and done.returncode:
            raise AssertionError(
                f"axolotl {args} exited with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            )
        return done

    return run


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Path], Any]:
    """Loads the datasets of a config with Axolotl's own code, in this process.

    Returns the `TrainDatasetMeta` that Axolotl trains on.
    """
    for key, value in tiny.environment().items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)

    def run(path: Path) -> Any:
        from axolotl.cli.config import load_cfg
        from axolotl.common.datasets import load_datasets, load_preference_datasets

        cfg = load_cfg(str(path))
        return load_preference_datasets(cfg=cfg) if cfg.rl else load_datasets(cfg=cfg)

    return run


def decoded(dataset: Any, model: Path) -> list[str]:
    """The rows of a tokenised dataset as text."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    return [tokenizer.decode(row["input_ids"]) for row in dataset]
