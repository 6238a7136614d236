"""Parquet files, Arrow files and streams, and what `datasets` loads: written as they came, changed rows apart."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets import Dataset

from axolotl_dealign.answers import no_rows
from axolotl_dealign.dataset import PIECE_BYTES, PIECE_ROWS, piece_rows
from axolotl_dealign.edits import apply
from axolotl_dealign.errors import DealignError
from axolotl_dealign.files.plan import Plan, Progress, Touched


class TableReader(ABC):
    """A dataset whose rows come as Arrow tables."""

    schema: pa.Schema
    size: int
    unit = "rows"

    def pieces(self, columns: Sequence[str] | None, progress: Progress) -> Iterator[pa.Table]:
        """All rows in order; only some columns where they are named."""
        for table in self._tables(columns):
            yield table
            progress(len(table))

    def rewrite(self, part: Path, plan: Plan, touched: Touched, progress: Progress) -> int:
        """Write the rows that stay to `part` and hand over the touched ones.

        Returns:
            How many rows were written.
        """
        row_format, decision = plan.row_format, plan.decision
        schema, empty = self.schema, no_rows(self.schema)
        if row_format is not None:
            changed = apply(empty, row_format, decision, training_key=plan.training_key).schema
            # Masking adds a key; what `datasets` and pandas say of the columns in the metadata is then wrong.
            schema = schema if changed.equals(schema) else changed.remove_metadata()
        touched(empty, np.zeros(0, np.int64), None)
        start = written = 0
        with self._sink(part, schema) as sink:
            for table in self.pieces(None, progress):
                places = plan.touched_in(start, len(table))
                if len(places):
                    touched(table.take(pa.array(places - start)), places, None)
                kept = table
                if row_format is not None:
                    kept = apply(table, row_format, decision, start, plan.training_key)
                if len(places):
                    kept = kept.filter(pa.array(plan.stays(start, len(table))))
                sink.write_table(kept.replace_schema_metadata(schema.metadata))
                start, written = start + len(table), written + len(kept)
        return written

    @abstractmethod
    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]: ...

    @abstractmethod
    def _sink(self, part: Path, schema: pa.Schema) -> AbstractContextManager[Any]: ...


class ParquetReader(TableReader):
    """One Parquet file; the output is compressed as the input is."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _reading(path), closing(pq.ParquetFile(path)) as file:
            self.schema, self.size = file.schema_arrow, file.metadata.num_rows
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups)]
        columns = groups[0].num_columns if groups else 0
        self.compression = groups[0].column(0).compression.lower() if columns else "snappy"
        self.piece = _rows_a_piece(sum(group.total_byte_size for group in groups), self.size)

    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        with _reading(self.path), closing(pq.ParquetFile(self.path)) as file:
            for batch in file.iter_batches(batch_size=self.piece, columns=columns):
                yield pa.Table.from_batches([batch])

    def _sink(self, part: Path, schema: pa.Schema) -> AbstractContextManager[Any]:
        writer: AbstractContextManager[Any] = pq.ParquetWriter(
            part, schema, compression="none" if self.compression == "uncompressed" else self.compression
        )
        return writer


class ArrowReader(TableReader):
    """One Arrow IPC file or stream, written as the same."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _reading(path), open(path, "rb") as raw:
            self.is_file = raw.read(6) == b"ARROW1"
        with _reading(path), self._open() as source:
            self.schema = source.schema
            self.size = sum(batch.num_rows for batch in self._batches(source))

    def _open(self) -> Any:
        source = pa.memory_map(str(self.path))
        return pa.ipc.open_file(source) if self.is_file else pa.ipc.open_stream(source)

    def _batches(self, source: Any) -> Iterator[pa.RecordBatch]:
        if self.is_file:
            return (source.get_batch(i) for i in range(source.num_record_batches))
        return iter(source)

    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        with _reading(self.path), self._open() as source:
            waiting: list[pa.RecordBatch] = []
            rows = size = 0
            for batch in self._batches(source):
                # RE2 starts cold on every table: `datasets` writes batches of 1,000 rows.
                if waiting and (rows + batch.num_rows > PIECE_ROWS or size + batch.nbytes > PIECE_BYTES):
                    yield from _sliced(pa.Table.from_batches(waiting), columns)
                    waiting, rows, size = [], 0, 0
                waiting.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
            if waiting:
                yield from _sliced(pa.Table.from_batches(waiting), columns)

    def _sink(self, part: Path, schema: pa.Schema) -> AbstractContextManager[Any]:
        make = pa.ipc.new_file if self.is_file else pa.ipc.new_stream
        writer: AbstractContextManager[Any] = make(str(part), schema)
        return writer


class LoadedReader(TableReader):
    """A dataset that the library `datasets` loaded, written as the output's name asks.

    Args:
        dataset: What was loaded.
        form: `saved` (a `save_to_disk` folder), `parquet`, `arrow` or `json`.
    """

    def __init__(self, dataset: Dataset, form: str) -> None:
        self.dataset, self.form = dataset, form
        self.schema, self.size = dataset.features.arrow_schema, len(dataset)

    def _tables(self, columns: Sequence[str] | None) -> Iterator[pa.Table]:
        dataset = self.dataset if columns is None else self.dataset.select_columns(list(columns))
        yield from dataset.with_format("arrow").iter(batch_size=piece_rows(self.dataset))

    def _sink(self, part: Path, schema: pa.Schema) -> AbstractContextManager[Any]:
        if self.form == "parquet":
            parquet: AbstractContextManager[Any] = pq.ParquetWriter(part, schema)
            return parquet
        stream: AbstractContextManager[Any] = pa.ipc.new_stream(str(self._stream(part)), schema)
        return stream

    def _stream(self, part: Path) -> Path:
        return part if self.form == "arrow" else part.with_name(f"{part.name}.arrow")

    def rewrite(self, part: Path, plan: Plan, touched: Touched, progress: Progress) -> int:
        """Write the rows that stay to `part` and hand over the touched ones.

        Returns:
            How many rows were written.
        """
        stream = self._stream(part)
        try:
            written = super().rewrite(part, plan, touched, progress)
            if stream != part and self.form != "parquet":
                kept = Dataset.from_file(str(stream))
                if self.form == "json":
                    kept.to_json(str(part), force_ascii=False)
                else:
                    kept.save_to_disk(str(part))
        finally:
            if stream != part:
                stream.unlink(missing_ok=True)
        return written


def _sliced(table: pa.Table, columns: Sequence[str] | None) -> Iterator[pa.Table]:
    """A table in pieces: a file may be one huge batch."""
    chosen = table if columns is None else table.select(columns)
    step = _rows_a_piece(table.nbytes, len(table))
    for start in range(0, len(table), step):
        yield chosen.slice(start, step)


def _rows_a_piece(size: int, rows: int) -> int:
    return int(np.clip(PIECE_BYTES * max(1, rows) // max(1, size), 256, PIECE_ROWS))


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What a damaged file raises while it is read, as one line."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        text = " ".join(str(error).split())
        raise DealignError(f"{path} cannot be read ({text}); is it whole, and of the format its name says?") from error
