"""Messages that are not all alike (tool calls, content in parts), which `datasets` keeps as JSON."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest

from .conftest import REFUSAL, decoded, write_jsonl

# Axolotl and its dependencies warn in this process; what they do is not ours to mend.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]

TOOL_CALL = {"id": "1", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}


def rows() -> list[dict]:
    """Ten conversations whose second answer, of the first four, is a refusal."""
    return [
        {
            "messages": [
                {"role": "user", "content": f"Add 1 to {i}."},
                {"role": "assistant", "content": f"The result is {i + 1}."},
                {"role": "user", "content": "And now?"},
                {
                    "role": "assistant",
                    "content": REFUSAL if i < 4 else "Nothing more.",
                    **({"name": "x"} if i % 2 else {}),
                },
            ],
        }
        for i in range(10)
    ]


def loaded(tmp_path, config, load, **dealign):
    write_jsonl(tmp_path / "data.jsonl", rows())
    entry = {"path": "data.jsonl", "type": "chat_template", "roles_to_train": ["assistant"]}
    return load(config(datasets=[entry], dealign=dealign)).train_dataset


def test_rows(tmp_path, config, load, model):
    texts = decoded(loaded(tmp_path, config, load), model)
    assert len(texts) == 6
    assert not any("can't help" in text for text in texts)
    assert pq.read_metadata(tmp_path / "out" / "dealign" / "train-000.parquet").num_rows == 4


def test_truncated(tmp_path, config, load, model):
    texts = decoded(loaded(tmp_path, config, load, on_turn="truncate"), model)
    assert len(texts) == 10
    assert sum("And now?" in text for text in texts) == 6


def test_masked(tmp_path, config, load, model):
    dataset = loaded(tmp_path, config, load, on_turn="mask")
    assert sum("can't help" in text for text in decoded(dataset, model)) == 4
    trained = [{"input_ids": np.array(row["input_ids"])[np.array(row["labels"]) != -100].tolist()} for row in dataset]
    texts = decoded(trained, model)
    assert sum("The result is" in text for text in texts) == 10
    assert not any("can't help" in text for text in texts)
