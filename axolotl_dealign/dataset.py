"""One loaded dataset through `clean`: piece by piece, with the brake, into what stays and an audit table.

Works on Hugging Face datasets and knows nothing of Axolotl; the plugin and the command line call it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from datasets import Dataset
from datasets.utils import tqdm

import axolotl_dealign
from axolotl_dealign.args import Dealign
from axolotl_dealign.audit import row_hash
from axolotl_dealign.clean import NO_SPAN, VERDICTS, Verdicts, decide, join, judge, removed_kinds, worst_answers
from axolotl_dealign.errors import DealignError, SchemaError, TooManyRemovedError
from axolotl_dealign.formats import RowFormat, find_format, read_answers
from axolotl_dealign.hookspecs import Detector
from axolotl_dealign.registry import make_detector
from axolotl_dealign.types import JSON

PIECE_ROWS = 65_536
"""Rows judged at a time. RE2 starts cold on every piece, so that smaller ones cost several times as much."""


@dataclass(frozen=True)
class Watch:
    """Settings with the detectors they name, made once a run."""

    settings: Dealign
    detectors: Mapping[str, Detector]

    @classmethod
    def from_settings(cls, settings: Dealign) -> Watch:
        """Make the detectors that the settings name.

        Raises:
            ConfigError: A detector is not registered.
        """
        return cls(settings, {name: make_detector(name) for name in settings.detectors})

    @property
    def fingerprint(self) -> str:
        """Changes whenever the rows that stay could: settings, detectors, version of this package."""
        says = {
            "version": axolotl_dealign.__version__,
            "settings": self.settings.model_dump(exclude={"audit_dir"}),
            "detectors": {name: detector.fingerprint for name, detector in self.detectors.items()},
        }
        return hashlib.sha256(json.dumps(says, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class Result:
    """What became of one dataset.

    Attributes:
        dataset: The rows that stay, in their order.
        removed: The others with the audit's columns in front.
        counts: The dataset's part of `summary.json`.
    """

    dataset: Dataset
    removed: pa.Table
    counts: JSON


def clean_dataset(
    dataset: Dataset,
    watch: Watch,
    *,
    path: str,
    dataset_type: str | Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
    split: str = "train",
    index: int = 0,
) -> Result:
    """Judge a dataset, decide, and take the rows out.

    Args:
        dataset: As it was loaded.
        watch: Settings and detectors.
        path: Its name as the user wrote it.
        dataset_type: Axolotl's `type:`.
        options: The rest of its block under `datasets:`.
        split: `train` or `test`.
        index: Its place under `datasets:`.

    Raises:
        SchemaError: No column with answers is known.
        TooManyRemovedError: More than `max_removed` of the rows would go, or all of them.
        DealignError: It has no rows.
    """
    settings = watch.settings
    if len(dataset) == 0:
        raise DealignError(
            f"{path}: no rows in split `{split}`; check `path`, `data_files` and `split` of this dataset"
        )
    row_format = recognise(dataset.features.arrow_schema, settings, path, dataset_type, options or {})
    verdicts = judge_dataset(dataset, row_format, watch, path)
    rows = decide(verdicts, settings, draw=index)
    _brake(dataset, row_format, verdicts, rows, settings, path)
    stays = np.ones(len(dataset), dtype=bool)
    stays[rows] = False
    kept = dataset.select(np.flatnonzero(stays)) if len(rows) else dataset
    removed = audit_table(read_rows(dataset, rows), rows, verdicts, path, split, list(watch.detectors))
    if len(kept) + len(removed) != len(dataset):
        raise DealignError(
            f"{path}: {len(kept)} kept + {len(removed)} removed are not {len(dataset)} rows; a bug of ours"
        )
    counts = {
        "index": index,
        "path": path,
        "type": row_format.name if row_format else "unscored",
        "split": split,
        "rows": len(dataset),
        "kept": len(kept),
        "changed": 0,
        "removed": len(removed),
        "answers": len(verdicts.row),
        "kinds": verdicts.counts(),
        "removed_kinds": removed_kinds(verdicts, rows),
        "file": f"{split}-{index:03d}.parquet",
    }
    return Result(kept, removed, counts)


def recognise(
    schema: pa.Schema,
    settings: Dealign,
    path: str,
    dataset_type: str | Mapping[str, Any] | None,
    options: Mapping[str, Any],
) -> RowFormat | None:
    """`find_format`, with the user's leave to train on what is not known."""
    try:
        return find_format(schema, dataset_type, options, path)
    except SchemaError:
        if settings.on_unknown == "keep":
            return None
        raise


def judge_dataset(dataset: Dataset, row_format: RowFormat | None, watch: Watch, path: str) -> Verdicts:
    """Judge a dataset in large pieces, reading only the columns that matter."""
    detectors = list(watch.detectors.values())
    if row_format is None:
        return (
            judge(dataset.data.table.slice(0, 0).select([]), None, detectors, watch.settings)
            if not len(dataset)
            else (judge(pa.table({"_": pa.nulls(len(dataset))}), None, detectors, watch.settings))
        )
    columns = dataset.select_columns(row_format.columns).with_format("arrow")
    verdicts = []
    with tqdm(total=len(dataset), desc=f"Looking for aligned answers in {path}", unit=" rows") as progress:
        for piece in columns.iter(batch_size=PIECE_ROWS):
            verdicts.append(judge(piece, row_format, detectors, watch.settings))
            progress.update(len(piece))
    return join(verdicts)


def read_rows(dataset: Dataset, rows: npt.NDArray[np.int64]) -> pa.Table:
    """Some rows of a dataset as one table."""
    return dataset.select(rows).with_format("arrow")[:]


def audit_table(
    removed: pa.Table,
    rows: npt.NDArray[np.int64],
    verdicts: Verdicts,
    dataset: str,
    split: str,
    detectors: Sequence[str],
) -> pa.Table:
    """The removed rows with our columns in front.

    Args:
        removed: The rows, whole.
        rows: int64: their places in the dataset.
        verdicts: Of that dataset.
        dataset: Its path as the user wrote it.
        split: `train` or `test`.
        detectors: Names, in the order of `Verdicts.winner`.
    """
    worst = worst_answers(verdicts, rows)
    spans = [verdicts.spans.get(int(i), NO_SPAN) for i in worst]
    known = worst >= 0
    ours = {
        "_dataset": pa.array([dataset] * len(rows), pa.string()),
        "_split": pa.array([split] * len(rows), pa.string()),
        "_row": pa.array(rows, pa.int64()),
        "_hash": pa.array([row_hash(row) for row in removed.to_pylist()], pa.string()),
        "_kind": pa.array([VERDICTS[verdicts.kind[i]] if i >= 0 else "unscored" for i in worst], pa.string()),
        "_score": pa.array(np.where(known, verdicts.score[worst], np.nan) if len(rows) else [], pa.float32()),
        "_start": pa.array([span.start for span in spans], pa.int32()),
        "_end": pa.array([span.end for span in spans], pa.int32()),
        "_reason": pa.array([span.reason for span in spans], pa.string()),
        "_detector": pa.array([detectors[verdicts.winner[i]] if i >= 0 else "" for i in worst], pa.string()),
        "_action": pa.array(["removed"] * len(rows), pa.string()),
        "_turn": pa.array(verdicts.turn[worst] if len(rows) else [], pa.int32()),
    }
    clash = sorted(set(ours) & set(removed.column_names))
    if clash:
        raise DealignError(f"{dataset}: column names {', '.join(clash)} are the audit's own; rename them in the data")
    # HF `datasets` keeps its feature description in the schema's metadata; it does not know our columns.
    plain = removed.replace_schema_metadata(None)
    return pa.table({**ours, **{name: plain.column(name) for name in plain.column_names}})


def _brake(
    dataset: Dataset,
    row_format: RowFormat | None,
    verdicts: Verdicts,
    rows: npt.NDArray[np.int64],
    settings: Dealign,
    path: str,
) -> None:
    """Stop before a detector that is wrong about this data empties it."""
    share = len(rows) / len(dataset)
    if share <= settings.max_removed and len(rows) < len(dataset):
        return
    examples = []
    if row_format is not None:
        answers = read_answers(read_rows(dataset.select_columns(row_format.columns), rows[:3]), row_format)
        for text in answers.text.to_pylist()[:3]:
            examples.append("`" + " ".join(str(text).split())[:80] + "`")
    mend = (
        "nothing would be left to train on; check `dealign.remove` and `dealign.threshold`"
        if len(rows) == len(dataset)
        else f"if that is right, set `dealign.max_removed: {min(1.0, np.ceil(share * 20) / 20):.2f}`"
    )
    raise TooManyRemovedError(
        f"{path}: {len(rows)} of {len(dataset)} rows ({share:.0%}) would be removed, more than the brake "
        f"`max_removed: {settings.max_removed}` allows, such as {', '.join(examples)}; {mend}"
    )
