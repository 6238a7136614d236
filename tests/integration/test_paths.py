"""Every way of putting data under `datasets:` is cleaned; counted in what Axolotl tokenised, not in our own books."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from .conftest import REFUSAL, alpaca, as_chat, decoded, write_jsonl

# Axolotl and its dependencies warn in this process; what they do is not ours to mend.
pytestmark = [pytest.mark.integration, pytest.mark.filterwarnings("ignore")]

ANSWERS, REFUSALS = 12, 5
ROWS = alpaca(ANSWERS, REFUSALS)


def renamed(**names: str) -> list[dict]:
    """The rows with their columns under other names; a column that is not named is left out."""
    return [{new: row[old] for old, new in names.items()} for row in ROWS]


def sharegpt(role: str = "from", content: str = "value", user: str = "human", model: str = "gpt") -> list[dict]:
    return [
        {
            "conversations": [
                {role: user, content: row["instruction"]},
                {role: model, content: row["output"]},
            ]
        }
        for row in ROWS
    ]


MAPPED = {"field_messages": "conversations", "message_property_mappings": {"role": "from", "content": "value"}}

SFT = {
    "alpaca": (ROWS, {"type": "alpaca"}),
    "alpaca:phi": (ROWS, {"type": "alpaca:phi"}),
    "alpaca_w_system": ([{**row, "system": "Be kind."} for row in ROWS], {"type": "alpaca_w_system.load"}),
    "open_orca": (
        [{**row, "system_prompt": ""} for row in renamed(instruction="question", output="response")],
        {"type": "alpaca_w_system.load_open_orca"},
    ),
    "gpteacher": (renamed(instruction="instruction", output="response"), {"type": "gpteacher"}),
    "oasst": (renamed(instruction="INSTRUCTION", output="RESPONSE"), {"type": "oasst"}),
    "summarizetldr": (renamed(instruction="article", output="summary"), {"type": "summarizetldr"}),
    "qa": (renamed(instruction="question", output="answer"), {"type": "alpaca_chat.load_qa"}),
    "camel_ai": (renamed(instruction="message_1", output="message_2"), {"type": "alpaca_chat.load_camel_ai"}),
    "context_qa": (
        [{**row, "context": "It is known."} for row in renamed(instruction="question", output="answer")],
        {"type": "context_qa.load_v2"},
    ),
    "user_defined": (
        renamed(instruction="ask", output="reply"),
        {"type": {"field_instruction": "ask", "field_output": "reply", "format": "{instruction}"}},
    ),
    "completion": (renamed(output="text"), {"type": "completion"}),
    "completion, other field": (renamed(output="body"), {"type": "completion", "field": "body"}),
    "input_output": (
        [
            {"segments": [{"label": False, "text": row["instruction"]}, {"label": True, "text": row["output"]}]}
            for row in ROWS
        ],
        {"type": "input_output"},
    ),
    "chat_template": (as_chat(ROWS), {"type": "chat_template"}),
    "chat_template, mapped": (sharegpt(), {"type": "chat_template", **MAPPED}),
    "chat_template, own roles": (
        sharegpt("who", "what", "me", "it"),
        {
            "type": "chat_template",
            "field_messages": "conversations",
            "message_property_mappings": {"role": "who", "content": "what"},
            "roles": {"user": ["me"], "assistant": ["it"]},
        },
    ),
    "chat_template, JSON strings": (
        [{"messages": json.dumps(row["messages"])} for row in as_chat(ROWS)],
        {"type": "chat_template"},
    ),
    "chat_template, tools": (
        [{**row, "tools": [{"type": "function", "function": {"name": "f"}}]} for row in as_chat(ROWS)],
        {"type": "chat_template"},
    ),
}


def check(dataset, model: Path, answers: int = ANSWERS) -> None:
    texts = decoded(dataset, model)
    assert len(texts) == answers
    assert not any("can't help" in text for text in texts)


@pytest.mark.parametrize("name", SFT)
def test_sft_types(name, tmp_path, config, load, model):
    rows, entry = SFT[name]
    write_jsonl(tmp_path / "data.jsonl", rows)
    check(load(config(datasets=[{"path": "data.jsonl", **entry}])).train_dataset, model)


def test_a_type_of_the_users_own_module(tmp_path, config, load, model, monkeypatch):
    (tmp_path / "own_types").mkdir()
    (tmp_path / "own_types" / "__init__.py").touch()
    (tmp_path / "own_types" / "mine.py").write_text(
        "from axolotl.prompt_strategies.alpaca_chat import load_qa\n\n\ndef load(tokenizer, cfg):\n"
        "    return load_qa(tokenizer, cfg)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    write_jsonl(tmp_path / "data.jsonl", renamed(instruction="question", output="answer"))
    check(load(config(datasets=[{"path": "data.jsonl", "type": "own_types.mine"}])).train_dataset, model)


def save_csv(path: Path) -> dict:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows(ROWS)
    return {"path": path.name, "ds_type": "csv"}


def save_txt(path: Path) -> dict:
    path.write_text("".join(row["output"] + "\n" for row in ROWS))
    return {"path": path.name, "ds_type": "text", "type": "completion"}


def save_json(path: Path) -> dict:
    path.write_text(json.dumps(ROWS))
    return {"path": path.name}


def save_parquet(path: Path) -> dict:
    pq.write_table(pa.Table.from_pylist(ROWS), path)
    return {"path": path.name}


def save_arrow(path: Path) -> dict:
    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return {"path": path.name}


def save_folder(path: Path) -> dict:
    path.mkdir()
    write_jsonl(path / "train.jsonl", ROWS)
    return {"path": path.name}


def save_data_files(path: Path) -> dict:
    path.mkdir()
    write_jsonl(path / "part.jsonl", ROWS)
    return {"path": path.name, "data_files": [str(path / "part.jsonl")], "ds_type": "json"}


def save_dataset(path: Path) -> dict:
    Dataset.from_list(ROWS).save_to_disk(path)
    return {"path": path.name}


def save_dataset_dict(path: Path) -> dict:
    # `test` would trip the brake if anything looked at it.
    DatasetDict(train=Dataset.from_list(ROWS), test=Dataset.from_list(alpaca(1, 9))).save_to_disk(path)
    return {"path": path.name}


@pytest.mark.parametrize(
    ("save", "name"),
    [
        (save_csv, "data.csv"),
        (save_txt, "data.txt"),
        (save_json, "data.json"),
        (save_parquet, "data.parquet"),
        (save_arrow, "data.arrow"),
        (save_folder, "folder"),
        (save_data_files, "parts"),
        (save_dataset, "saved"),
        (save_dataset_dict, "saved_dict"),
    ],
)
def test_files_and_folders(save, name, tmp_path, config, load, model):
    entry = {"type": "alpaca", **save(tmp_path / name)}
    check(load(config(datasets=[entry])).train_dataset, model)


def test_a_slice_of_a_split(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    entry = {"path": "data.jsonl", "type": "alpaca", "split": "train[5:15]"}
    check(load(config(datasets=[entry])).train_dataset, model, ANSWERS - 5)


def test_shards(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    entry = {"path": "data.jsonl", "type": "alpaca", "shards": 2, "shards_idx": 1}
    check(load(config(datasets=[entry])).train_dataset, model, ANSWERS // 2)


def test_preprocess_shards_are_counted_once(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    entry = {"path": "data.jsonl", "type": "alpaca", "preprocess_shards": 3}
    check(load(config(datasets=[entry])).train_dataset, model)
    (counts,) = json.loads((tmp_path / "out" / "dealign" / "summary.json").read_text())["datasets"]
    assert counts["removed"] == REFUSALS


def test_the_same_file_twice_with_two_types(tmp_path, config, load, model):
    rows = [{**row, "text": f"{row['instruction']} {row['output']}"} for row in ROWS]
    write_jsonl(tmp_path / "data.jsonl", rows)
    entries = [{"path": "data.jsonl", "type": kind} for kind in ("alpaca", "completion")]
    texts = decoded(load(config(datasets=entries)).train_dataset, model)
    assert sum("can't help" in text for text in texts if "Response" in text) == 0
    summary = json.loads((tmp_path / "out" / "dealign" / "summary.json").read_text())
    assert [d["type"] for d in summary["datasets"]] == ["alpaca", "completion"]
    assert sorted(p.name for p in (tmp_path / "out" / "dealign").glob("*.parquet")) == [
        "train-000.parquet",
        "train-001.parquet",
    ]


def test_validation_and_test_sets_are_cleaned_too(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", alpaca(40, 10))
    meta = load(config(datasets=[{"path": "data.jsonl", "type": "alpaca"}], val_set_size=0.2))
    assert len(meta.train_dataset) + len(meta.eval_dataset) == 40
    check(meta.eval_dataset, model, 8)

    write_jsonl(tmp_path / "test.jsonl", alpaca(6, 3))
    meta = load(
        config(
            datasets=[{"path": "data.jsonl", "type": "alpaca"}],
            test_datasets=[{"path": "test.jsonl", "type": "alpaca", "split": "train"}],
        )
    )
    check(meta.eval_dataset, model, 6)
    summary = json.loads((tmp_path / "out" / "dealign" / "summary.json").read_text())
    assert [(d["split"], d["removed"]) for d in summary["datasets"]] == [("train", 10), ("test", 3)]


def test_sample_packing(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    meta = load(
        config(datasets=[{"path": "data.jsonl", "type": "alpaca"}], sample_packing=True, pad_to_sequence_len=True)
    )
    check(meta.train_dataset, model)


def test_streaming_with_packing(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    entry = {"path": "json", "data_files": "data.jsonl", "type": "alpaca", "split": "train"}
    path = config(datasets=[entry], streaming=True, sample_packing=True, pad_to_sequence_len=True)
    text = "".join(decoded([{"input_ids": r["input_ids"].flatten()} for r in load(path).train_dataset], model))
    assert "can't help" not in text
    assert text.count("The result is") > 0


def test_pre_tokenised_rows_are_kept_and_counted_unscored(tmp_path, config, load):
    rows = [{"input_ids": [5, 6, 7], "attention_mask": [1, 1, 1], "labels": [5, 6, 7]} for _ in range(4)]
    write_jsonl(tmp_path / "data.jsonl", rows)
    assert len(load(config(datasets=[{"path": "data.jsonl"}])).train_dataset) == 4
    (counts,) = json.loads((tmp_path / "out" / "dealign" / "summary.json").read_text())["datasets"]
    assert counts["kinds"]["unscored"] == 4


def test_unknown_rows_are_kept_when_the_user_says_so(tmp_path, config, load):
    write_jsonl(tmp_path / "data.jsonl", [{"foo": f"row {i}"} for i in range(4)])
    entry = {
        "path": "data.jsonl",
        "type": {"field_instruction": "foo", "field_output": "bar", "format": "{instruction}"},
    }
    assert len(load(config(datasets=[entry], dealign={"on_unknown": "keep"})).train_dataset) == 4


def pairs() -> list[dict]:
    """Preference pairs: an aligned `chosen` in the last REFUSALS rows, an aligned `rejected` in the first three."""
    return [
        {
            "prompt": row["instruction"],
            "chosen": row["output"],
            "rejected": REFUSAL if i < 3 else f"No idea about {i}.",
        }
        for i, row in enumerate(ROWS)
    ]


def turns(prompt: str, answer: str) -> list[dict]:
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


PREFERENCES = {
    "dpo chatml.intel": (
        "dpo",
        [{"question": p["prompt"], "system": "", **p} for p in pairs()],
        {"type": "chatml.intel"},
    ),
    "dpo chatml.prompt_pairs": ("dpo", pairs(), {"type": "chatml.prompt_pairs"}),
    "dpo llama3.argilla_chat": (
        "dpo",
        [{"chosen": turns(p["prompt"], p["chosen"]), "rejected": turns(p["prompt"], p["rejected"])} for p in pairs()],
        {"type": "llama3.argilla_chat"},
    ),
    "dpo chat_template": (
        "dpo",
        [
            {
                "messages": turns(p["prompt"], "")[:1],
                "chosen": {"role": "assistant", "content": p["chosen"]},
                "rejected": {"role": "assistant", "content": p["rejected"]},
            }
            for p in pairs()
        ],
        {"type": "chat_template.default"},
    ),
    "dpo user_defined": (
        "dpo",
        [{"p": p["prompt"], "c": p["chosen"], "r": p["rejected"]} for p in pairs()],
        {
            "type": {
                "field_prompt": "p",
                "field_chosen": "c",
                "field_rejected": "r",
                "prompt_format": "{prompt}",
                "chosen_format": "{chosen}",
                "rejected_format": "{rejected}",
            }
        },
    ),
    "ipo": ("ipo", pairs(), {"type": "chatml.prompt_pairs"}),
    "simpo": ("simpo", pairs(), {"type": "chatml.prompt_pairs"}),
    "orpo": (
        "orpo",
        [{"chosen": turns(p["prompt"], p["chosen"]), "rejected": turns(p["prompt"], p["rejected"])} for p in pairs()],
        {"type": "chat_template.argilla"},
    ),
}


@pytest.mark.parametrize("name", PREFERENCES)
def test_preference_pairs(name, tmp_path, config, load):
    rl, rows, entry = PREFERENCES[name]
    write_jsonl(tmp_path / "data.jsonl", rows)
    path = config(datasets=[{"path": "data.jsonl", "split": "train", **entry}], rl=rl, chat_template="chatml")
    dataset = load(path).train_dataset
    assert len(dataset) == ANSWERS
    text = json.dumps(dataset.to_list(), default=str)
    assert not any("can't help" in json.dumps(row["chosen"]) for row in dataset)
    assert text.count("can't help") >= 3  # the rejected ones are what such data is for


def test_swapped_pairs(tmp_path, config, load):
    write_jsonl(tmp_path / "data.jsonl", pairs())
    path = config(
        datasets=[{"path": "data.jsonl", "split": "train", "type": "chatml.prompt_pairs"}],
        rl="dpo",
        dealign={"on_chosen": "swap"},
    )
    dataset = load(path).train_dataset
    assert len(dataset) == len(ROWS)
    assert not any("can't help" in row["chosen"] for row in dataset)
    assert sum("can't help" in row["rejected"] for row in dataset) == 3 + REFUSALS


KTO_ROWS = [
    {"instruction": row["instruction"], "prompt": row["instruction"], "completion": row["output"], "label": i % 2 == 0}
    for i, row in enumerate(ROWS)
]


@pytest.mark.parametrize("policy", ["drop", "flip"])
def test_kto(policy, tmp_path, config, load):
    write_jsonl(tmp_path / "data.jsonl", KTO_ROWS)
    path = config(
        datasets=[{"path": "data.jsonl", "split": "train", "type": "chatml.argilla"}],
        rl="kto",
        remove_unused_columns=False,
        dealign={"on_desirable": policy},
    )
    dataset = load(path).train_dataset
    refused = [row for row in dataset if "can't help" in row["completion"]]
    wanted = sum(row["label"] and "can't help" in row["completion"] for row in KTO_ROWS)
    assert len(dataset) == len(KTO_ROWS) - (wanted if policy == "drop" else 0)
    assert len(refused) == REFUSALS - (wanted if policy == "drop" else 0)
    assert not any(row["label"] for row in refused)


def test_bradley_terry(tmp_path, config, load):
    rows = [{"system": "", "input": p["prompt"], "chosen": p["chosen"], "rejected": p["rejected"]} for p in pairs()]
    write_jsonl(tmp_path / "data.jsonl", rows)
    path = config(
        datasets=[{"path": "data.jsonl", "type": "bradley_terry.chat_template"}],
        reward_model=True,
        chat_template="chatml",
        remove_unused_columns=False,
        sample_packing=False,
        eval_sample_packing=False,
    )
    assert len(load(path).train_dataset) == ANSWERS


def test_stepwise_supervised(tmp_path, config, load):
    rows = [
        {"prompt": row["instruction"], "completions": ["Let me see.", row["output"]], "labels": [True, False]}
        for row in ROWS
    ]
    write_jsonl(tmp_path / "data.jsonl", rows)
    path = config(
        datasets=[{"path": "data.jsonl", "type": "stepwise_supervised", "split": "train"}],
        process_reward_model=True,
        num_labels=2,
        remove_unused_columns=False,
    )
    assert len(load(path).train_dataset) == ANSWERS


def test_prompts_alone_are_kept(tmp_path, config, load, monkeypatch):
    (tmp_path / "rewards.py").write_text(
        "def load(cfg, *args, **kwargs):\n    return lambda row, tokenizer=None: {'prompt': row['prompt']}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    write_jsonl(tmp_path / "data.jsonl", [{"prompt": f"{REFUSAL} {i}"} for i in range(4)])
    path = config(datasets=[{"path": "data.jsonl", "type": "rewards.load", "split": "train"}], rl="grpo")
    assert len(load(path).train_dataset) == 4


CONVERSATION = [
    {
        "messages": [
            *turns("One?", "The first answer."),
            *turns("Two?", REFUSAL),
            *turns("Three?", "The third answer."),
        ]
    },
    {"messages": turns("Four?", "The fourth answer.")},
    {"messages": turns("Five?", REFUSAL)},
]


def trained(dataset, model: Path) -> list[str]:
    """What each row teaches: the tokens with a label."""
    return decoded([{"input_ids": [i for i in row["labels"] if i != -100]} for row in dataset], model)


def test_truncated_conversations(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", CONVERSATION)
    path = config(datasets=[{"path": "data.jsonl", "type": "chat_template"}], dealign={"on_turn": "truncate"})
    texts = sorted(decoded(load(path).train_dataset, model))
    assert len(texts) == 2
    assert "Two?" not in "".join(texts)
    assert "first answer" in "".join(texts)
    assert "third answer" not in "".join(texts)


def test_masked_turns_stay_as_text_and_teach_nothing(tmp_path, config, load, model):
    write_jsonl(tmp_path / "data.jsonl", CONVERSATION)
    path = config(datasets=[{"path": "data.jsonl", "type": "chat_template"}], dealign={"on_turn": "mask"})
    dataset = load(path).train_dataset
    assert "can't help" in "".join(decoded(dataset, model))
    taught = "".join(trained(dataset, model))
    assert "can't help" not in taught
    assert all(f"{which} answer" in taught for which in ("first", "third", "fourth"))


def test_mask_is_refused_where_axolotl_cannot_mask(tmp_path, config, load):
    write_jsonl(tmp_path / "data.jsonl", ROWS)
    with pytest.raises(SystemExit, match=r"data.jsonl: `dealign.on_turn: mask` needs `type: chat_template`"):
        load(config(datasets=[{"path": "data.jsonl", "type": "alpaca"}], dealign={"on_turn": "mask"}))


def test_settings_for_one_dataset(tmp_path, config, load, model):
    write_jsonl(tmp_path / "a.jsonl", ROWS)
    write_jsonl(tmp_path / "b.jsonl", ROWS)
    path = config(
        datasets=[{"path": name, "type": "alpaca"} for name in ("a.jsonl", "b.jsonl")],
        dealign={"datasets": {"b.jsonl": {"remove": ["hedged"]}}},
    )
    texts = decoded(load(path).train_dataset, model)
    assert sum("can't help" in text for text in texts) == REFUSALS


def test_reasoning_about_refusing_is_no_refusal(tmp_path, config, load, model):
    rows = [
        {"instruction": "a", "output": f"<think>{REFUSAL} Or can I? Yes.</think>The answer is 4."},
        {"instruction": "b", "output": f"<think>Easy.</think>{REFUSAL}"},
        {"instruction": "c", "output": "Five."},
    ]
    write_jsonl(tmp_path / "data.jsonl", rows)
    texts = decoded(load(config(datasets=[{"path": "data.jsonl", "type": "alpaca"}])).train_dataset, model)
    assert len(texts) == 2
    assert not any("Easy." in text for text in texts)
    (removed,) = pq.read_table(tmp_path / "out" / "dealign" / "train-000.parquet").to_pylist()
    assert removed["output"][removed["_start"] : removed["_end"]] in REFUSAL
    assert removed["_end"] > removed["_start"] > 0
