"""Clean a file in two readings: judge every answer and decide, then write what stays and the audit.

Memory holds one piece of the rows and a few bytes an answer, however large the file is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.utils import tqdm

from axolotl_dealign import audit
from axolotl_dealign.dataset import Source, brake, count, recognise
from axolotl_dealign.errors import DealignError
from axolotl_dealign.files.place import move, only_writer, part_of, writing
from axolotl_dealign.files.plan import LINE, Places, Plan, Progress, Reader
from axolotl_dealign.files.settings import Described
from axolotl_dealign.files.source import open_source, refuse_places
from axolotl_dealign.policy import decide
from axolotl_dealign.records import audit_table, row_hash
from axolotl_dealign.summary import summarise
from axolotl_dealign.types import JSON
from axolotl_dealign.verdicts import join, judge, overrule
from axolotl_dealign.watch import Watch


def clean_file(
    source: str, output: Path, watch: Watch, described: Described, audit_dir: Path, say: Callable[[str], object]
) -> JSON:
    """Write `source` without its aligned answers to `output`, and the audit to `audit_dir`.

    Args:
        source: A file, a folder of `save_to_disk` or of data files, or the id of a dataset on the hub.
        output: In the format of `source`; of folders and hub ids, in the one that its name says.
        watch: Settings and detectors.
        described: What else is known of the rows.
        audit_dir: As the plugin writes it.
        say: Called with a line for the user when another process is writing `output`.

    Returns:
        The content of the audit's summary.json.

    Raises:
        ConfigError: There is no such source, or its format is not known.
        DealignError: A row cannot be read, or an output not written; both outputs are as they were before.
    """
    refuse_places(source, output, audit_dir)
    # Where the locale is not UTF-8, or a name is not, Python has the name in a form that cannot be written.
    name = os.fsencode(source).decode("utf-8", "replace")
    opened = open_source(source, output, described.split)
    with writing(output), only_writer(output, lambda: say(f"another `clean` is writing {output}; waiting for it")):
        with part_of(output) as part, part_of(audit_dir) as audit_part:
            audit_part.mkdir()
            if opened.as_dict:
                part.mkdir()
                names = json.dumps({"splits": list(opened.readers)})
                (part / datasets.config.DATASETDICT_JSON_FILENAME).write_text(names, "utf-8")
            counts = []
            for split, reader in opened.readers.items():
                where = Source(name, described.type, described.options, split, described.index)
                target = part / split if opened.as_dict else part
                counts.append(_clean_one(reader, target, watch, where, audit_part, output, source))
            summary = summarise(watch, counts)
            audit.write_json(summary, audit_part / audit.SUMMARY)
            # The audit first: an output never stands without it.
            audit.replace_folder(audit_part, audit_dir)
            move(part, output)
    return summary


def _clean_one(
    reader: Reader, part: Path, watch: Watch, source: Source, audit_dir: Path, output: Path, given: str
) -> JSON:
    """The two readings of one dataset, whose path as the user gave it is `given`.

    Returns:
        Its part of summary.json.
    """
    settings = watch.settings.for_dataset(source.path)
    row_format = recognise(reader.schema, settings, source)
    before = _stamp(given)
    verdicts, hashes = [], []
    by_hash = bool(watch.keep or watch.remove)
    columns = None if by_hash else row_format.columns if row_format else reader.schema.names[:1]
    with _progress(reader, f"Looking for aligned answers in {source.path}") as progress:
        for table in reader.pieces(columns, progress):
            verdicts.append(judge(table, row_format, watch.makers if row_format else [], settings))
            if by_hash:
                hashes += [row_hash(row) for row in table.to_pylist()]
    if not any(piece.rows for piece in verdicts):
        raise DealignError(f"{source.path}: no rows in split `{source.split}`; there is nothing to clean")
    found = join(verdicts)
    if by_hash:
        named = np.array(hashes)
        found = overrule(found, watch.named(named, watch.keep), watch.named(named, watch.remove), len(watch.names))
    decision = decide(found, row_format, settings, draw=source.index)
    if row_format is not None:
        brake(decision, found.rows, row_format, settings, source.path, lambda places: _some(reader, places))
    counts = count(found, decision, row_format, source)
    plan = Plan(decision, row_format, source.training_key)
    with _AuditFile(audit_dir / counts["file"]) as file, _progress(reader, f"Writing {output}") as progress:

        def touched(rows: pa.Table, places: Places, lines: pa.Array | None) -> None:
            table = audit_table(rows, row_format, found, decision, source.path, source.split, watch.names, places)
            file.write(table if lines is None else table.append_column(LINE, lines))

        written = reader.rewrite(part, plan, touched, progress)
    if _stamp(given) != before:
        raise DealignError(f"{source.path} was changed while it was read; run this again")
    if (written, file.rows) != (counts["kept"] + counts["changed"], counts["removed"] + counts["changed"]):
        raise DealignError(
            f"{source.path}: {counts['rows']} rows were read, but {written} written and {file.rows} audited; this is a "
            "bug of axolotl-dealign, please report it"
        )
    return counts


class _AuditFile:
    """A Parquet file of the audit, written a piece at a time."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> _AuditFile:
        return self

    def __exit__(self, *failure: object) -> None:
        if self.writer is not None:
            self.writer.close()

    def write(self, table: pa.Table) -> None:
        """Add rows; the first call, also with none, says what the columns are."""
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.path, table.schema)
        self.rows += len(table)
        if len(table):
            self.writer.write_table(table)


@contextmanager
def _progress(reader: Reader, what: str) -> Iterator[Progress]:
    with tqdm(total=reader.size, desc=what, unit=f"{reader.unit:>5}", unit_scale=reader.unit == "B") as bar:
        yield lambda more: (bar.update(more), None)[1]


def _some(reader: Reader, places: Places) -> pa.Table:
    """A few rows, as examples."""
    start, found = 0, []
    for table in reader.pieces(None, lambda _: None):
        here = places[(places >= start) & (places < start + len(table))] - start
        found.append(table.take(pa.array(here)))
        start += len(table)
        if start > places[-1]:
            break
    return pa.concat_tables(found)


def _stamp(path: str) -> tuple[int, int] | None:
    """Changes when a file is written to."""
    if not Path(path).is_file():
        return None
    stat = Path(path).stat()
    return stat.st_size, stat.st_mtime_ns
