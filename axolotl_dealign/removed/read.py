"""An audit folder -> its rows, filtered, a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from axolotl_dealign.audit import read_summary
from axolotl_dealign.errors import ConfigError, DealignError, SchemaError
from axolotl_dealign.formats import find_format
from axolotl_dealign.records import COLUMNS, deciding
from axolotl_dealign.registry import did_you_mean
from axolotl_dealign.types import JSON
from axolotl_dealign.verdicts import VERDICTS

_BATCH = 2048
"""Rows read at a time."""


@dataclass(frozen=True)
class Wanted:
    """Which rows of an audit.

    Attributes:
        kinds: Any of these; all if none is named.
        lowest: Score from which rows are wanted; one without a score is then not.
        highest: Score up to which rows are wanted; the same.
        text: Stands in the answer or its prompt, whatever its case.
        dataset: A dataset's path, or the name of its file in the audit without `.parquet`.
    """

    kinds: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None
    text: str | None = None
    dataset: str | None = None

    def check(self, parts: list[Part]) -> None:
        """Raise ConfigError for a kind or dataset that does not exist."""
        for kind in self.kinds:
            if kind not in VERDICTS:
                raise ConfigError(f"--kind: unknown `{kind}`{did_you_mean(kind, VERDICTS)}")
        names = [name for part in parts for name in (part.path, part.name)]
        if self.dataset is not None and self.dataset not in names:
            raise ConfigError(f"--dataset: none is called `{self.dataset}`{did_you_mean(self.dataset, names)}")


@dataclass(frozen=True)
class Part:
    """One dataset of an audit.

    Attributes:
        name: Of its file, without `.parquet`.
        path: The dataset's, as the user wrote it.
        type: Axolotl's `type:`; None where the audit does not say.
        files: Its rows, in order.
    """

    name: str
    path: str
    type: str | None
    files: tuple[Path, ...]

    @property
    def schema(self) -> pa.Schema:
        """Of its rows, ours and theirs."""
        return _open(self.files[0]).schema_arrow

    def batches(self, wanted: Wanted) -> Iterator[tuple[pa.Table, pa.Array]]:
        """Its rows that are wanted, and the prompts of their answers."""
        for path in self.files:
            file = _open(path)
            for batch in file.iter_batches(batch_size=_BATCH):
                table = pa.Table.from_batches([batch])
                prompts = self._prompts(table)
                mask = _mask(table, prompts, wanted)
                yield table.filter(mask), prompts.filter(mask)

    def _prompts(self, table: pa.Table) -> pa.Array:
        own = table.select(own_columns(table.schema))
        try:
            row_format = find_format(own.schema, self.type, {}, self.path)
        except SchemaError:  # the user named the fields in a YAML that is not here
            row_format = None
        turns = table.column("_turn").to_numpy()
        if row_format is not None:
            answers, prompts = deciding(own, row_format, turns)
            if answers.equals(table.column("_answer").combine_chunks()):
                return prompts
        return pa.nulls(len(table), pa.large_string())


def open_audit(folder: Path) -> list[Part]:
    """The datasets of an audit folder that have rows in it.

    Raises:
        DealignError: There is no audit, or a file of it is missing.
    """
    streamed = sorted(path for path in folder.glob("*-[0-9][0-9][0-9]") if path.is_dir())
    summary = {"datasets": []} if streamed and not (folder / "summary.json").exists() else read_summary(folder)
    parts = []
    for dataset in summary["datasets"]:
        file = folder / dataset["file"]
        if not file.is_file():
            raise DealignError(f"{file} is missing, which {folder / 'summary.json'} names; the audit is not whole")
        parts.append(Part(file.stem, dataset["path"], dataset["type"], (file,)))
    for path in streamed:
        files = tuple(sorted(path.glob("*.parquet"), key=_first_row))
        if files:
            parts.append(Part(path.name, _open(files[0]).read_row_group(0)["_dataset"][0].as_py(), None, files))
    return parts


def rows(parts: list[Part], wanted: Wanted) -> Iterator[JSON]:
    """The wanted rows in order: our columns, `_prompt`, and under `row` their own."""
    for part in parts:
        if wanted.dataset not in (None, part.name, part.path):
            continue
        own = own_columns(part.schema)
        for table, prompts in part.batches(wanted):
            theirs = decoded(table.select(own))
            ours = table.select([name for name in COLUMNS if name in table.column_names]).to_pylist()
            for mine, prompt, row in zip(ours, prompts.to_pylist(), theirs, strict=True):
                yield {**mine, "_prompt": prompt, "row": row}


def own_columns(schema: pa.Schema) -> list[str]:
    """The columns that came with the rows."""
    return [name for name in schema.names if name not in COLUMNS]


def decoded(table: pa.Table) -> list[JSON]:
    """Rows as Python values, with fields that `datasets` keeps as JSON read."""
    mixed = [field.name for field in table.schema if "arrow.json" in str(field.type)]
    found: list[JSON] = table.to_pylist()
    for row in found:
        for name in mixed:
            row[name] = _read(row[name], table.schema.field(name).type)
    return found


def _read(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if str(kind) == "extension<arrow.json>":
        return json.loads(value)
    if pa.types.is_struct(kind):
        return {field.name: _read(value[field.name], field.type) for field in kind}
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return [_read(item, kind.value_type) for item in value]
    return value


def _mask(table: pa.Table, prompts: pa.Array, wanted: Wanted) -> pa.Array:
    mask = np.ones(len(table), bool)
    if wanted.kinds:
        mask &= _true(pc.is_in(table.column("_kind"), value_set=pa.array(wanted.kinds, pa.string())))
    if wanted.lowest is not None:
        mask &= _true(pc.greater_equal(table.column("_score"), pa.scalar(wanted.lowest, pa.float32())))
    if wanted.highest is not None:
        mask &= _true(pc.less_equal(table.column("_score"), pa.scalar(wanted.highest, pa.float32())))
    if wanted.text:
        texts = (table.column("_answer"), prompts)
        found = [_true(pc.match_substring(text, wanted.text, ignore_case=True)) for text in texts]
        mask &= found[0] | found[1]
    return pa.array(mask)


def _true(mask: Any) -> Any:
    return np.asarray(pc.fill_null(mask, False), bool)


def _first_row(path: Path) -> int:
    return int(_open(path).read_row_group(0, columns=["_row"])["_row"][0].as_py())


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise DealignError(f"{path} cannot be read ({' '.join(str(error).split())}); is the audit whole?") from error
