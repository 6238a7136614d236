"""Clean a dataset that is read as it is trained on: nothing is materialised, nothing is known of its end.

Rows are judged batch by batch. The arm `control` therefore draws from each batch as many rows as `dealigned` would
remove from it, and the brake looks at the share among the rows read so far.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from datasets import IterableDataset

from axolotl_dealign import audit
from axolotl_dealign.clean import decide, judge
from axolotl_dealign.dataset import Watch, audit_table, recognise
from axolotl_dealign.errors import TooManyRemovedError

BATCH_ROWS = 1000
"""Rows judged at a time; also what is read ahead."""


def clean_stream(
    dataset: IterableDataset, watch: Watch, entry: Mapping[str, Any], audit_dir: Path, index: int, split: str
) -> IterableDataset:
    """A stream without the aligned rows of `dataset`.

    What is removed goes to `{audit_dir}/{split}-{index}/`, one Parquet file a batch, named by its content: reading the
    stream twice (several epochs, several workers) does not write a row twice.

    Args:
        dataset: As Axolotl loaded it.
        watch: Settings and detectors.
        entry: Its block under `datasets:` or `pretraining_dataset:`.
        audit_dir: Where the audit goes.
        index: Its place under `datasets:`.
        split: `train` or `test`.
    """
    path = str(entry.get("path"))
    cleaner = _BatchCleaner(watch, dict(entry), path, audit_dir / f"{split}-{index:03d}", index, split)
    return dataset.filter(cleaner, with_indices=True, batched=True, batch_size=BATCH_ROWS)


class _BatchCleaner:
    """Says of each row of a batch whether it stays. A class, so that it can be pickled into worker processes."""

    def __init__(self, watch: Watch, entry: dict[str, Any], path: str, folder: Path, index: int, split: str) -> None:
        self.watch, self.entry, self.path = watch, entry, path
        self.folder, self.index, self.split = folder, index, split
        self.seen = self.removed = 0

    def __call__(self, batch: Mapping[str, list[Any]], indices: list[int]) -> list[bool]:
        settings = self.watch.settings
        table = pa.table({name: pa.array(column) for name, column in batch.items()})
        row_format = recognise(table.schema, settings, self.path, self.entry.get("type"), self.entry)
        verdicts = judge(table, row_format, list(self.watch.detectors.values()), settings)
        rows = decide(verdicts, settings, draw=self.index)
        self.seen += len(table)
        self.removed += len(rows)
        if len(rows):
            mask = np.zeros(len(table), dtype=bool)
            mask[rows] = True
            removed = audit_table(
                table.filter(pa.array(mask)), rows, verdicts, self.path, self.split, list(self.watch.detectors)
            )
            places = np.asarray(indices, dtype=np.int64)[rows]
            removed = removed.set_column(removed.column_names.index("_row"), "_row", pa.array(places))
            name = hashlib.sha256("".join(removed.column("_hash").to_pylist()).encode()).hexdigest()[:16]
            audit.write_table(removed, self.folder / f"{name}.parquet")
        if self.seen >= BATCH_ROWS and self.removed > settings.max_removed * self.seen:
            raise TooManyRemovedError(
                f"{self.path}: {self.removed} of the first {self.seen} rows would be removed, more than the brake "
                f"`max_removed: {settings.max_removed}` allows; see {self.folder}, then raise `dealign.max_removed`"
            )
        keep = np.ones(len(table), dtype=bool)
        keep[rows] = False
        return keep.tolist()
