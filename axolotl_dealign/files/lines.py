"""JSON lines (and a JSON array of objects): a row that is kept is written as the text that it is.

What is judged is read with the columns that `datasets` would infer, as Axolotl reads it, but only the columns with
answers are parsed.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pyarrow as pa
import pyarrow.json as paj
from datasets import Dataset, Features, load_dataset

from axolotl_dealign.answers import no_rows
from axolotl_dealign.dataset import PIECE_BYTES, PIECE_ROWS
from axolotl_dealign.errors import DealignError
from axolotl_dealign.files.edit import edit_row
from axolotl_dealign.files.place import writing
from axolotl_dealign.files.plan import LINE, Plan, Progress, Touched

COMPRESSED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}
"""End of a file's name -> pyarrow's name of the codec."""

_SAMPLE = 10 << 20
"""Bytes from which `datasets` infers the columns (its JSON builder's `chunksize`)."""

_BOM = b"\xef\xbb\xbf"


class JsonReader:
    """One file of JSON lines or of one JSON array, perhaps compressed (gzip, bz2, zstd, lz4 by its name)."""

    unit = "B"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = path.stat().st_size
        self.codec = COMPRESSED.get(path.suffix.lower())
        with self._open() as file:
            head = file.read(64)
            is_array = head.lstrip(_BOM + b" \t\r\n").startswith(b"[")
            self.array = _Array(path, _text(path, head + file.read())) if is_array else None
        self.schema: pa.Schema = pa.schema([])
        self.mixed: set[str] = set()
        self.features = self._infer()
        self.schema = self.features.arrow_schema
        # Fields of mixed types are kept by `datasets` in a type of its own, which pyarrow's JSON reader cannot make.
        self.mixed = {name for name, feature in self.features.items() if "Json(" in repr(feature)}

    def pieces(self, columns: Sequence[str] | None, progress: Progress) -> Iterator[pa.Table]:
        """All rows in order; only some columns where they are named."""
        start = 0
        for lines in self._lines(progress):
            yield self._parse(lines, columns, range(start, start + len(lines)))
            start += len(lines)

    def rewrite(self, part: Path, plan: Plan, touched: Touched, progress: Progress) -> int:
        """Write the rows that stay to `part`, those that are not changed as they stand, and hand over the touched ones.

        Returns:
            How many rows were written.
        """
        if LINE in self.schema.names:
            raise DealignError(f"{self.path}: the column `{LINE}` is named as the audit's own; rename it in the data")
        touched(no_rows(self.schema), np.zeros(0, np.int64), _texts([]))
        start = written = 0
        with self._create(part) as file:
            if self.array is not None:
                file.write(self.array.head)
            for lines in self._lines(progress):
                places = plan.touched_in(start, len(lines))
                if len(places):
                    rows = [lines[place - start] for place in places.tolist()]
                    touched(self._parse(rows, None, places.tolist()), places, _texts(rows))
                for place in plan.changed_in(start, len(lines)).tolist():
                    lines[place - start] = edit_row(lines[place - start], plan, place)
                stays = plan.stays(start, len(lines))
                kept = [line for line, stay in zip(lines, stays.tolist(), strict=True) if stay]
                between = b"" if self.array is None else self.array.between
                file.write((between if written and kept else b"") + between.join(kept))
                start, written = start + len(lines), written + len(kept)
            if self.array is not None:
                file.write(self.array.tail)
        return written

    def _lines(self, progress: Progress) -> Iterator[list[bytes]]:
        """The rows as text, with the end of line that each has; blank lines are no rows."""
        if self.array is not None:
            for start in range(0, len(self.array.rows), PIECE_ROWS):
                yield self.array.rows[start : start + PIECE_ROWS]
            progress(self.size)
            return
        with self._open() as file:
            rest, before = b"", 0
            while block := file.read(PIECE_BYTES):
                lines = io.BytesIO(rest + block).readlines()
                del block  # what is read here is held several times over in the end
                rest = lines.pop() if not lines[-1].endswith(b"\n") else b""
                rows = [line for line in lines if line.strip()]
                del lines
                for start in range(0, len(rows), PIECE_ROWS):
                    yield rows[start : start + PIECE_ROWS]
                position = self.raw.tell()
                progress(position - before)
                before = position
            if rest.strip():
                yield [rest]
            progress(self.size - before)

    def _parse(self, lines: list[bytes], columns: Sequence[str] | None, places: Sequence[int]) -> pa.Table:
        """Rows, which stand at `places`, as a table of the inferred schema or of some of its columns.

        Raises:
            DealignError: A row is no JSON object, or does not fit; with the number of its line.
        """
        names = self.schema.names if columns is None else list(columns)
        try:
            return self._table(lines, names)
        except (pa.ArrowException, ValueError, TypeError):
            low, high = 0, len(lines)  # lines[:low] parse, lines[:high] do not
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if self._parses(lines[:middle], names) else (low, middle)
            raise self._bad(lines[low], places[low]) from None

    def _parses(self, lines: list[bytes], names: list[str]) -> bool:
        try:
            self._table(lines, names)
        except (pa.ArrowException, ValueError, TypeError):
            return False
        return True

    def _table(self, lines: list[bytes], names: list[str]) -> pa.Table:
        texts = lines
        if lines and lines[0].startswith(_BOM):
            texts = [lines[0][len(_BOM) :], *lines[1:]]
        # With both, and as many objects as lines, there is one object on every line.
        if not all(text.startswith(b"{") and text.endswith(b"}") for text in map(bytes.strip, texts)):
            raise ValueError("a line that is no JSON object")
        if self.array is not None:  # an element may stand on several lines; in JSON strings there are no raw ones
            texts = [text.replace(b"\n", b" ") + b"\n" for text in texts]
        parsed = {name for name in names if name in self.mixed}
        plain = pa.schema([self.schema.field(name) for name in names if name not in parsed])
        table = paj.read_json(
            pa.BufferReader(b"".join(texts)),
            paj.ReadOptions(block_size=max(4 << 20, 2 * max(map(len, texts), default=0))),
            paj.ParseOptions(explicit_schema=plain, unexpected_field_behavior="ignore"),
        )
        if len(table) != len(lines):
            raise ValueError("not one JSON object a line")
        table.validate(full=True)  # texts are UTF-8
        if parsed:
            features = Features({name: self.features[name] for name in names if name in parsed})
            rows = [{name: row.get(name) for name in features} for row in map(json.loads, texts)]
            mixed = Dataset.from_list(rows, features=features).with_format("arrow")[:]
            for name in mixed.column_names:
                table = table.append_column(self.schema.field(name), mixed.column(name))
        return table.select(names)

    def _infer(self) -> Features:
        """The columns, as `datasets` infers them from the beginning of the file."""
        sample: list[bytes] = []
        size = 0
        for line in chain.from_iterable(self._lines(lambda _: None)):
            sample.append(line)
            size += len(line)
            if size >= _SAMPLE:
                break
        if not sample:
            raise DealignError(f"{self.path} holds no rows")
        text = b"\n".join(line.strip().replace(b"\n", b" ") for line in sample) + b"\n"
        with writing(Path(tempfile.gettempdir())), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sample.jsonl"
            file.write_bytes(text)
            try:
                features = load_dataset("json", data_files=str(file), split="train", streaming=True).features
                if features is None:  # datasets 4 knows them before the first row is read, earlier versions do not
                    block = paj.ReadOptions(block_size=len(text))
                    features = Features.from_arrow_schema(paj.read_json(io.BytesIO(text), block).schema)
            except Exception:  # it is called otherwise in every version; the first row that does not parse says why
                features = None
        if features is not None:
            return cast(Features, features)
        self._parse(sample, [], range(len(sample)))
        raise DealignError(f"{self.path}: `datasets` finds no columns in the first {len(sample)} rows; are they alike?")

    def _bad(self, line: bytes, row: int) -> DealignError:
        """The error for a row that does not parse."""
        try:
            text = line.decode()
            value = json.loads(text.removeprefix("\ufeff"))
            why = "does not fit the columns of the rows before it" if isinstance(value, dict) else "is no JSON object"
        except UnicodeDecodeError:
            why = "is not UTF-8"
        except ValueError as error:
            why = f"is no valid JSON ({error})"
        place = f"{self.path}: row {row}" if self.array else f"{self.path}:{self._number(row)}: the line"
        return DealignError(f"{place} {why}; mend or delete it. It begins with {line[:80]!r}")

    def _number(self, row: int) -> int:
        """The number of a row's line, blank ones counted."""
        number, rest = 0, b""
        with self._open() as file:
            while True:
                block = file.read(_SAMPLE)
                lines = (rest + block).split(b"\n")
                rest = lines.pop() if block else b""
                for line in lines:
                    number, row = number + 1, row - bool(line.strip())
                    if row < 0 or not block:
                        return number

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        with open(self.path, "rb") as raw:
            self.raw = raw
            try:
                yield cast(BinaryIO, pa.CompressedInputStream(raw, self.codec) if self.codec else raw)
            except (OSError, pa.ArrowException) as error:
                raise DealignError(f"{self.path} cannot be read ({error}); is it whole?") from error

    @contextmanager
    def _create(self, part: Path) -> Iterator[BinaryIO]:
        with open(part, "wb") as raw:
            if self.codec is None:
                yield raw
                return
            with pa.CompressedOutputStream(raw, self.codec) as stream:
                yield cast(BinaryIO, stream)


class _Array:
    """A JSON array, taken apart into the texts of its elements. It has to be read whole."""

    def __init__(self, path: Path, text: str) -> None:
        decoder = json.JSONDecoder()
        start = end = last = _after_space(text, text.index("[") + 1)
        self.head, self.between, self.rows = text[:start].encode(), b",", list[bytes]()
        try:
            while text[end : end + 1] != "]":
                if self.rows:
                    if text[end : end + 1] != ",":
                        raise json.JSONDecodeError("Expecting ',' or ']'", text, end)
                    start = _after_space(text, end + 1)
                value, stop = decoder.raw_decode(text, start)
                if not isinstance(value, dict):
                    raise json.JSONDecodeError("Expecting an object", text, start)
                if len(self.rows) == 1:
                    self.between = text[last:start].encode()
                self.rows.append(text[start:stop].encode())
                last, end = stop, _after_space(text, stop)
        except json.JSONDecodeError as error:
            raise DealignError(f"{path}:{error.lineno}: no valid JSON array of objects ({error}); mend it") from None
        self.tail = text[last:].encode()


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        number = data[: error.start].count(b"\n") + 1
        raise DealignError(f"{path}:{number}: the line is not UTF-8; convert the file to UTF-8") from None


def _after_space(text: str, at: int) -> int:
    while text[at : at + 1] in (" ", "\t", "\n", "\r"):
        at += 1
    return at


def _texts(lines: list[bytes]) -> pa.Array:
    texts = [line.decode("utf-8", "replace").strip().removeprefix("\ufeff") for line in lines]
    return pa.array(texts, pa.large_string())
