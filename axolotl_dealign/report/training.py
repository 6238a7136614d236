"""The sections about what the arms were made of: removed rows, and whether the arms are comparable."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

from axolotl_dealign.audit import read_summary
from axolotl_dealign.report.blocks import Block, Quote, Quotes, Section, Table
from axolotl_dealign.report.model import Report, Trained
from axolotl_dealign.report.words import NONE, count, percent
from axolotl_dealign.types import JSON

EXAMPLES = 3
"""Removed rows shown of each kind."""

TRAINING = "training.json"
"""Beside the audit's summary: what the plugin counted while training (steps, epochs, tokens), by name."""

FOLDERS = ("output_dir", "dataset_prepared_path")
"""Settings of Axolotl in which arms differ by construction."""

EQUAL = (
    "model_num_parameters model_dtype lm_eval_version transformers_version limit gen_kwargs max_length batch_size "
    "chat_template_sha system_instruction_sha fewshot_as_multiturn random_seed numpy_seed torch_seed fewshot_seed "
    "tokenizer_bos_token tokenizer_eos_token"
).split()
"""Settings of lm-eval in which arms that are compared should not differ."""


def removed(report: Report) -> Section | None:
    """What was removed from the training data, by kind, with examples."""
    rows, data, examples = [], [], []
    for arm, trained in _each(report):
        if trained.audit is None:
            continue
        summary = read_summary(trained.audit)
        entry = {
            "arm": arm,
            **{key: summary.get(key) for key in ("seed", "remove", "threshold", "detectors", "datasets")},
        }
        if entry in data:
            continue
        data.append(entry)
        rows += [[arm, *_counts(dataset)] for dataset in summary["datasets"]]
        if arm == report.main:
            examples = _examples(trained.audit, summary["datasets"])
    if not rows:
        return None
    columns = ["arm", "dataset", ">rows", ">removed", ">changed", ">share", "removed by kind"]
    blocks: list[Block] = [Table(columns, rows)]
    blocks += [Table(["dataset", *(f">{kind}" for kind in _kinds(data))], _verdicts(data), "All answers by verdict")]
    if examples:
        blocks += [f"Examples of what {report.main} was not trained on as it stood:", Quotes(examples)]
    return Section("removed", "Removed rows", blocks, {"trainings": data})


def comparability(report: Report) -> Section:
    """Are the arms alike in everything but the rows they were trained on?"""
    runs = list(_each(report))
    names = _names(report)
    settings = [{**t.run.settings, **(t.run.settings.get("config") or {})} for _, t in runs]
    rows = [["", "model", *(_ending(t.run.model) for _, t in runs)]]
    rows += [_row(key, [one.get(key) for one in settings]) for key in EQUAL if any(key in one for one in settings)]
    facts = [_training(t) for _, t in runs]
    keys = list(dict.fromkeys(key for fact in facts for key in fact))
    rows += [["", key, *(_show(fact.get(key)) for fact in facts)] for key in keys]
    blocks: list[Block] = [Table(["check", "setting", *names], rows, "Evaluation and training of each arm")]
    differing = [row[1] for row in rows if row[0]]
    blocks.append(
        f"The arms differ in {', '.join(differing)}: part of what is measured may be that."
        if differing
        else "The arms were evaluated with the same settings. They differ in rows, and so in steps and tokens."
    )
    asked = sum(report.prompts.values())
    blocks.append(
        f"{count(asked, 'question')} asked with different prompts in different arms ({', '.join(report.prompts)}): the "
        "arms did not get the same text."
        if asked
        else "Every question that is compared had the same prompt in every arm."
    )
    changed = _config_changes(runs, names)
    if changed:
        blocks.append(
            Table(["key", *names], changed, "Where the Axolotl configs of the arms differ, but for their folders")
        )
    if report.command:
        blocks.append(f"Command: {report.command}")
    data = {
        name: {"model": t.run.model, **{key: one.get(key) for key in EQUAL}, "training": fact}
        for name, (_, t), one, fact in zip(names, runs, settings, facts, strict=True)
    }
    return Section(
        "comparability", "Comparability", blocks, {"runs": data, "differing": differing, "prompts": report.prompts}
    )


def _each(report: Report) -> Iterator[tuple[str, Trained]]:
    for arm, trainings in report.arms.items():
        for trained in trainings:
            yield arm, trained


def _names(report: Report) -> list[str]:
    """A name for each training: the arm, and its seed or number where there are several."""
    return [
        arm if len(trainings) == 1 else f"{arm} {number if trained.seed is None else f'seed {trained.seed}'}"
        for arm, trainings in report.arms.items()
        for number, trained in enumerate(trainings, start=1)
    ]


def _counts(dataset: JSON) -> list[str]:
    rows, gone, changed = (int(dataset.get(key, 0)) for key in ("rows", "removed", "changed"))
    kinds: Counter[str] = Counter(dataset.get("removed_kinds", {}))
    by_kind = ", ".join(f"{kind} {number:,}" for kind, number in kinds.most_common() if number) or NONE
    share = percent((gone + changed) / rows) if rows else NONE
    return [
        f"{dataset['path']} ({dataset.get('split', 'train')})",
        f"{rows:,}",
        f"{gone:,}",
        f"{changed:,}",
        share,
        by_kind,
    ]


def _name(dataset: JSON) -> str:
    return f"{dataset['path']} ({dataset.get('split', 'train')})"


def _kinds(data: list[JSON]) -> list[str]:
    return list(dict.fromkeys(kind for entry in data for d in entry["datasets"] for kind in d.get("kinds", {})))


def _verdicts(data: list[JSON]) -> list[list[str]]:
    """The verdicts on each dataset once: every arm that was looked at with the same detectors says the same."""
    rows = {}
    for dataset in [dataset for entry in data for dataset in entry["datasets"]]:
        counts = [f"{dataset.get('kinds', {}).get(kind, 0):,}" for kind in _kinds(data)]
        row = [_name(dataset), *counts]
        rows[tuple(row)] = row
    return list(rows.values())


def _examples(audit: Path, datasets: list[JSON]) -> list[Quote]:
    """A few rows of each kind, spread over each file."""
    quotes = []
    for dataset in datasets:
        path = audit / str(dataset.get("file"))
        if not path.is_file():
            continue
        table = pq.read_table(path)
        kinds = table.column("_kind").to_pylist()
        for kind in dict.fromkeys(kinds):
            places = [i for i, other in enumerate(kinds) if other == kind]
            for place in places[:: max(1, len(places) // EXAMPLES)][:EXAMPLES]:
                quotes.append(_quote(kind, table.slice(place, 1).to_pylist()[0]))
    return quotes


def _quote(kind: str, row: JSON) -> Quote:
    score = "" if row.get("_score") is None else f", score {row['_score']:.2f}"
    reason = f", {row['_reason']}" if row.get("_reason") else ""
    title = f"{kind}{score}{reason} · {row['_dataset']} row {row['_row']}"
    if isinstance(row.get("_answer"), str):
        return Quote(title, row["_answer"], int(row["_start"] or 0), int(row["_end"] or 0))
    columns = {key: value for key, value in row.items() if not key.startswith("_") and value is not None}
    lines = [
        f"{key}: {value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in columns.items()
    ]
    return Quote(title, "\n".join(lines))


def _row(key: str, values: list[Any]) -> list[str]:
    differs = len({json.dumps(value, sort_keys=True, default=str) for value in values}) > 1
    return ["differs" if differs else "", key, *map(_show, values)]


def _show(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, float):
        return f"{value:,.4g}"
    text = f"{value:,}" if isinstance(value, int) and abs(value) >= 10_000 else str(value)
    return text if len(text) <= 24 or " " in text else f"{text[:12]}…"


def _ending(path: str) -> str:
    """The end of a long path, which tells it from others; a hub id as it is."""
    parts = path.split("/")
    return path if len(parts) <= 3 else f"…/{'/'.join(parts[-3:])}"


def _training(trained: Trained) -> JSON:
    """What the training left on disk about itself, as far as it did."""
    facts: JSON = {}
    if trained.audit is not None:
        datasets = [d for d in read_summary(trained.audit)["datasets"] if d.get("split", "train") == "train"]
        facts["training rows"] = sum(d["rows"] - d["removed"] for d in datasets)
        facts |= _json(trained.audit / TRAINING)
    if trained.model is not None and "steps" not in facts:
        facts |= _checkpoint(trained.model) or _model_card(trained.model)
    return {key: value for key, value in facts.items() if isinstance(value, int | float)}


def _checkpoint(model: Path) -> JSON:
    """What the newest checkpoint says, where checkpoints were kept."""
    states = sorted(model.glob("checkpoint-*/trainer_state.json"), key=lambda path: path.stat().st_mtime)
    if not states:
        return {}
    state, tokens = _json(states[-1]), _json(states[-1].with_name("tokens_state.json"))
    facts = {"steps": state.get("global_step"), "epochs": state.get("epoch"), "tokens": tokens.get("total")}
    return {**facts, "tokens trained on": tokens.get("trainable")}


def _model_card(model: Path) -> JSON:
    """The number of steps from the card that the trainer writes beside the model."""
    try:
        card = (model / "README.md").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return {}
    steps = re.search(r"^- training_steps: (\d+)$", card, re.MULTILINE)
    return {"steps": int(steps[1])} if steps else {}


def _json(path: Path) -> JSON:
    """A file of somebody else's, or nothing: what it says is told, never counted on."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _config_changes(runs: list[tuple[str, Trained]], names: list[str]) -> list[list[str]]:
    configs = []
    for _, trained in runs:
        try:
            text = trained.config.read_text(encoding="utf-8") if trained.config else ""
            config = yaml.safe_load(text) or {}
        except (OSError, yaml.YAMLError):
            config = {}
        configs.append(dict(_flat(config)) if isinstance(config, dict) else {})
    known = [config for config in configs if config]
    if len(known) < 2:
        return []
    keys = sorted({key for config in known for key in config}.difference(FOLDERS))
    return [
        [key, *(_show(config.get(key)) if config else NONE for config in configs)]
        for key in keys
        if len({json.dumps(config.get(key), default=str) for config in known}) > 1
    ]


def _flat(config: JSON, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
