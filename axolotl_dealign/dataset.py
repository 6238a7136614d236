"""One loaded dataset the whole data way: judged piece by piece, decided once, changed, with the brake.

Works on Hugging Face datasets and knows nothing of Axolotl; the plugin and the command line call it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset
from datasets.utils import tqdm

from axolotl_dealign.answers import read_answers
from axolotl_dealign.args import Dealign
from axolotl_dealign.edits import TRAINING_KEY, apply
from axolotl_dealign.errors import ConfigError, DealignError, SchemaError, TooManyRemovedError
from axolotl_dealign.formats import RowFormat, find_format
from axolotl_dealign.policy import Decision, decide
from axolotl_dealign.records import audit_table, row_hash
from axolotl_dealign.types import JSON
from axolotl_dealign.verdicts import VERDICTS, Verdicts, join, judge, overrule, worst_answers
from axolotl_dealign.watch import Watch

PIECE_ROWS = 65_536
"""Most rows judged at a time. RE2 starts cold on every piece, so that small ones cost several times as much."""
PIECE_BYTES = 64 << 20
"""Most bytes judged at a time, about: what bounds memory where rows are long."""


@dataclass(frozen=True)
class Source:
    """What is known of a dataset besides its rows.

    Attributes:
        path: Its name as the user wrote it.
        type: Axolotl's `type:`.
        options: The rest of its block under `datasets:`.
        split: `train` or `test`.
        index: Its place under `datasets:`.
    """

    path: str
    type: str | Mapping[str, Any] | None = None
    options: Mapping[str, Any] | None = None
    split: str = "train"
    index: int = 0

    @property
    def training_key(self) -> str:
        """`message_field_training`, or ours where the user names none."""
        return (self.options or {}).get("message_field_training") or TRAINING_KEY


@dataclass(frozen=True)
class Result:
    """What became of one dataset.

    Attributes:
        dataset: The rows that stay, in their order.
        audit: The others, and those that were changed, as they were, with the audit's columns in front.
        counts: The dataset's part of `summary.json`.
    """

    dataset: Dataset
    audit: pa.Table
    counts: JSON


def clean_dataset(dataset: Dataset, watch: Watch, source: Source) -> Result:
    """Judge a dataset, decide, change it and take the rows out.

    Raises:
        SchemaError: No column with answers is known.
        ConfigError: The settings ask for what cannot be done to such rows.
        TooManyRemovedError: More than `max_removed` of the rows would go, or all of them.
        DealignError: It has no rows.
    """
    settings = watch.settings.for_dataset(source.path)
    if len(dataset) == 0:
        raise DealignError(
            f"{source.path}: no rows in split `{source.split}`; check `path`, `data_files` and `split` of this dataset"
        )
    row_format = recognise(dataset.features.arrow_schema, settings, source)
    verdicts = _judge(dataset, row_format, watch, settings, source.path)
    if watch.keep or watch.remove:
        # As Arrow, as the audit hashes them: iterating a dataset would decode its images.
        pieces = dataset.with_format("arrow").iter(batch_size=piece_rows(dataset))
        hashes = np.array([row_hash(row) for piece in pieces for row in piece.to_pylist()])
        verdicts = overrule(
            verdicts, watch.named(hashes, watch.keep), watch.named(hashes, watch.remove), len(watch.names)
        )
    decision = decide(verdicts, row_format, settings, draw=source.index)
    if row_format is not None:
        columns = dataset.select_columns(row_format.columns)
        brake(decision, len(dataset), row_format, settings, source.path, lambda rows: read_rows(columns, rows))
    stays = np.ones(len(dataset), dtype=bool)
    stays[decision.removed] = False
    changed = _change(dataset, row_format, decision, watch, source)
    kept = changed.select(np.flatnonzero(stays)) if len(decision.removed) else changed
    audit = audit_table(
        read_rows(dataset, decision.touched), row_format, verdicts, decision, source.path, source.split, watch.names
    )
    counts = count(verdicts, decision, row_format, source)
    if counts["kept"] + counts["changed"] != len(kept):
        raise DealignError(
            f"{source.path}: {counts['kept']} rows kept and {counts['changed']} changed, but {len(kept)} are left; "
            "this is a bug of axolotl-dealign, please report it"
        )
    return Result(kept, audit, counts)


def recognise(schema: pa.Schema, settings: Dealign, source: Source) -> RowFormat | None:
    """`find_format`, with the user's leave to train on what is not known, and without what cannot be done to it."""
    try:
        row_format = find_format(schema, source.type, source.options or {}, source.path)
    except SchemaError:
        if settings.on_unknown == "keep":
            return None
        raise
    if settings.on_turn == "mask" and settings.arm != "aligned" and row_format is not None:
        has_turns = row_format.answers.shape in ("chat", "json_messages")
        if not (has_turns and str(source.type or "").startswith("chat_template")):
            raise ConfigError(
                f"{source.path}: `dealign.on_turn: mask` needs `type: chat_template` and a list of messages, this is "
                f"`{row_format.name}`; give this path another `on_turn` under `dealign.datasets`"
            )
    if settings.on_turn == "truncate" and row_format is not None and row_format.answers.shape == "json_chat":
        raise ConfigError(
            f"{source.path}: `dealign.on_turn: truncate` needs a list of messages, these are JSON strings; parse them, "
            "or use `drop_row`"
        )
    return row_format


def count(verdicts: Verdicts, decision: Decision, row_format: RowFormat | None, source: Source) -> JSON:
    """A dataset's part of `summary.json`."""
    touched = Counter(VERDICTS[verdicts.kind[i]] for i in worst_answers(verdicts, decision.touched))
    return {
        "index": source.index,
        "path": source.path,
        "type": row_format.name if row_format else "unscored",
        "split": source.split,
        "rows": verdicts.rows,
        "kept": verdicts.rows - len(decision.touched),
        "changed": len(decision.changed),
        "removed": len(decision.removed),
        "answers": len(verdicts.row),
        "kinds": verdicts.counts(),
        "removed_kinds": dict(touched),
        "file": f"{source.split}-{source.index:03d}.parquet",
    }


def read_rows(dataset: Dataset, rows: npt.NDArray[np.int64]) -> pa.Table:
    """Some rows of a dataset as one table."""
    return dataset.select(rows).with_format("arrow")[:]


def piece_rows(dataset: Dataset) -> int:
    """How many rows of a dataset to take at a time."""
    size = dataset.data.nbytes if dataset._indices is None else (dataset.size_in_bytes or 0)
    return int(np.clip(PIECE_BYTES * max(1, dataset.data.num_rows) // max(1, size), 256, PIECE_ROWS))


def _judge(dataset: Dataset, row_format: RowFormat | None, watch: Watch, settings: Dealign, path: str) -> Verdicts:
    """Judge a dataset in large pieces, reading only the columns that matter."""
    if row_format is None:
        return judge(pa.table({"": pa.nulls(len(dataset))}), None, [], settings)
    columns = dataset.select_columns(row_format.columns).with_format("arrow")
    verdicts = []
    with tqdm(total=len(dataset), desc=f"Looking for aligned answers in {path}", unit=" rows") as progress:
        for piece in columns.iter(batch_size=piece_rows(dataset)):
            verdicts.append(judge(piece, row_format, watch.makers, settings))
            progress.update(len(piece))
    return join(verdicts)


def _change(
    dataset: Dataset, row_format: RowFormat | None, decision: Decision, watch: Watch, source: Source
) -> Dataset:
    """The dataset with its changed rows changed; none is taken out yet."""
    if row_format is None or decision.action is None:
        return dataset

    def change(piece: pa.Table, places: list[int]) -> pa.Table:
        return apply(piece, row_format, decision, places[0], source.training_key).replace_schema_metadata(None)

    name = f"{dataset._fingerprint}|{watch.fingerprint}|{source.index}"
    return (
        dataset.with_format("arrow")
        .map(
            change,
            with_indices=True,
            batched=True,
            batch_size=piece_rows(dataset),
            load_from_cache_file=False,
            # `datasets` would hash the closure, which does not hold what the verdicts came from.
            new_fingerprint=hashlib.sha256(name.encode()).hexdigest()[:16],
            desc=f"Changing conversations of {source.path}",
        )
        .with_format(None)
    )


def brake(
    decision: Decision,
    rows: int,
    row_format: RowFormat,
    settings: Dealign,
    path: str,
    read: Callable[[npt.NDArray[np.int64]], pa.Table],
) -> None:
    """Stop before a detector that is wrong about this data empties it.

    Args:
        decision: Of the dataset.
        rows: How many it has.
        row_format: Where its answers stand.
        settings: The `dealign:` block.
        path: Its name, for the error.
        read: Gets some of its rows, the format's columns at least, as examples.

    Raises:
        TooManyRemovedError: More than `max_removed` of the rows would go, or all of them.
    """
    gone = len(decision.removed)
    if gone <= settings.max_removed * rows and gone < rows:
        return
    sample = read_answers(read(decision.removed[:3]), row_format)
    examples = ", ".join("`" + " ".join(str(text).split())[:80] + "`" for text in sample.text.to_pylist()[:3])
    if gone == rows:
        raise TooManyRemovedError(
            f"{path}: all {rows} rows would be removed, such as {examples}; nothing would be left to train on; check "
            "`dealign.remove` and `dealign.threshold`"
        )
    raise TooManyRemovedError(
        f"{path}: {gone} of {rows} rows ({gone / rows:.0%}) would be removed, more than the brake `max_removed: "
        f"{settings.max_removed}` allows, such as {examples}; if that is right, set `dealign.max_removed: "
        f"{min(1.0, np.ceil(20 * gone / rows) / 20):.2f}`"
    )
