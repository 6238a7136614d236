"""The rows of an audit back, in their order and with their own columns."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from axolotl_dealign.audit import whole
from axolotl_dealign.errors import ConfigError, DealignError
from axolotl_dealign.removed.read import Part, Wanted, decoded, own_columns


def restore(parts: list[Part], wanted: Wanted, output: Path) -> int:
    """Write rows as they were before they were removed or changed.

    Args:
        parts: Of the audit.
        wanted: Which rows, of one dataset.
        output: `.jsonl`, whose lines are the row's own where the audit has them; or `.parquet`, for any columns.

    Returns:
        How many rows were written.

    Raises:
        ConfigError: The output is neither, or the rows are of several datasets.
        DealignError: No row is wanted, or JSON cannot hold one.
    """
    if output.suffix not in (".jsonl", ".parquet"):
        raise ConfigError(f"--restore {output}: the name must end in .jsonl or .parquet")
    chosen = [part for part in parts if wanted.dataset in (None, part.name, part.path)]
    counts = {part: sum(len(table) for table, _ in part.batches(wanted)) for part in chosen}
    chosen = [part for part in chosen if counts[part]]
    if not chosen:
        raise DealignError("no row of the audit matches; nothing was written")
    if len(chosen) > 1:
        names = ", ".join(f"{part.name} ({part.path})" for part in chosen)
        raise ConfigError(f"the rows are of {len(chosen)} datasets, {names}; choose one with --dataset")
    tables = (table for table, _ in chosen[0].batches(wanted))
    own = own_columns(chosen[0].schema)

    def write(part: Path) -> None:
        if output.suffix == ".parquet":
            schema = pa.schema([chosen[0].schema.field(name) for name in own])
            with closing(pq.ParquetWriter(part, schema)) as writer:
                for table in tables:
                    writer.write_table(table.select(own))
        else:
            with open(part, "wb") as file:
                for line in _lines(tables):
                    file.write(line.encode("utf-8", "surrogatepass") + b"\n")

    whole(output, write)
    return counts[chosen[0]]


def _lines(tables: Iterator[pa.Table]) -> Iterator[str]:
    for table in tables:
        if "_line" in table.column_names:
            yield from table.column("_line").to_pylist()
            continue
        for row in decoded(table.select(own_columns(table.schema))):
            yield json.dumps(row, ensure_ascii=False, default=_as_text)


def _as_text(value: Any) -> str:
    if hasattr(value, "isoformat"):  # dates and times, which JSON readers find in such texts again
        return str(value.isoformat())
    raise DealignError(f"JSON cannot hold a {type(value).__name__} of these rows; restore them to a .parquet file")
