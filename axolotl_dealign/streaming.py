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
from datasets import Features, IterableDataset

from axolotl_dealign import audit
from axolotl_dealign.answers import no_rows
from axolotl_dealign.clean import clean
from axolotl_dealign.dataset import Source, recognise
from axolotl_dealign.edits import mark_trained
from axolotl_dealign.errors import TooManyRemovedError
from axolotl_dealign.records import audit_table
from axolotl_dealign.watch import Watch

BATCH_ROWS = 1000
"""Rows judged at a time; also what is read ahead."""


def clean_stream(dataset: IterableDataset, watch: Watch, source: Source, audit_dir: Path) -> IterableDataset:
    """A stream without the aligned rows of `dataset`.

    What is removed or changed goes to `{audit_dir}/{split}-{index}/`, one Parquet file a batch, named by its content:
    reading the stream twice (several epochs, several workers) does not write a row twice.

    Args:
        dataset: As Axolotl loaded it.
        watch: Settings and detectors.
        source: What else is known of it.
        audit_dir: Where the audit goes.
    """
    features = dataset.features
    if features is not None:
        settings = watch.settings.for_dataset(source.path)
        row_format = recognise(features.arrow_schema, settings, source)
        if row_format is not None and settings.on_turn == "mask" and settings.arm != "aligned":
            empty = no_rows(features.arrow_schema)
            features = Features.from_arrow_schema(
                mark_trained(empty, row_format, source.training_key).schema.remove_metadata()
            )
    folder = audit_dir / f"{source.split}-{source.index:03d}"
    return dataset.map(
        _BatchCleaner(watch, source, folder),
        with_indices=True,
        batched=True,
        batch_size=BATCH_ROWS,
        features=features,
    )


class _BatchCleaner:
    """Takes the aligned rows out of a batch. A class, so that it can be pickled into worker processes."""

    def __init__(self, watch: Watch, source: Source, folder: Path) -> None:
        self.watch, self.source, self.folder = watch, source, folder
        self.seen = self.removed = 0

    def __call__(self, batch: Mapping[str, list[Any]], indices: list[int]) -> dict[str, list[Any]]:
        watch, source = self.watch, self.source
        settings = watch.settings.for_dataset(source.path)
        table = pa.table({name: pa.array(column) for name, column in batch.items()})
        row_format = recognise(table.schema, settings, source)
        cleaned = clean(table, row_format, watch.makers, settings, training_key=source.training_key)
        decision = cleaned.decision
        self.seen += len(table)
        self.removed += len(decision.removed)
        if len(decision.touched):
            rows = table.take(pa.array(decision.touched))
            removed = audit_table(rows, row_format, cleaned.verdicts, decision, source.path, source.split, watch.names)
            places = np.asarray(indices, dtype=np.int64)[decision.touched]
            removed = removed.set_column(removed.column_names.index("_row"), "_row", pa.array(places))
            name = hashlib.sha256("".join(removed.column("_hash").to_pylist()).encode()).hexdigest()[:16]
            audit.write_table(removed, self.folder / f"{name}.parquet")
        if self.seen >= BATCH_ROWS and self.removed > settings.max_removed * self.seen:
            raise TooManyRemovedError(
                f"{source.path}: {self.removed} of the first {self.seen} rows would be removed, more than the brake "
                f"`max_removed: {settings.max_removed}` allows; see {self.folder}, then raise `dealign.max_removed`"
            )
        left: dict[str, list[Any]] = cleaned.kept.to_pydict()
        return left
