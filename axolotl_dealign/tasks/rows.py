"""The rows of the paper's four benchmarks: from the hub at a pinned revision or from a local copy, checked."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from axolotl_dealign.errors import ConfigError, SchemaError
from axolotl_dealign.types import JSON

SUFFIXES = (".jsonl.gz", ".jsonl", ".parquet")
SWITCH = '--metadata \'{"poa_data": "DIR"}\' or POA_DATA=DIR'


class _Row(BaseModel):
    # Columns that no prompt or score needs are left out, so that a question is the same whatever copy it came from.
    model_config = ConfigDict(strict=True, extra="ignore")


class MMLURow(_Row):
    """A row of `cais/mmlu`; `answer` counts from 0."""

    question: str
    subject: str
    choices: Annotated[list[str], Field(min_length=4, max_length=4)]
    answer: Annotated[int, Field(ge=0, le=3)]


class BBHRow(_Row):
    """A row of BIG-Bench Hard."""

    input: str
    target: str


class Spans(_Row):
    """The answers that DROP's annotators gave to one question, one span each."""

    spans: list[str]
    types: list[str]


class DROPRow(_Row):
    """A row of `ucinlp/drop`."""

    section_id: str
    query_id: str
    passage: str
    question: str
    answers_spans: Spans


class HumanEvalRow(_Row):
    """A row of `openai/openai_humaneval`."""

    task_id: str
    prompt: str
    canonical_solution: str
    test: str
    entry_point: str


@dataclass(frozen=True, slots=True)
class Source:
    """Where the rows of a benchmark are published.

    Attributes:
        hub: The dataset's id on the hub.
        revision: The commit that the prompts were compared with InstructEval's at.
        row: What a row must hold.
        subset_column: The column of a local copy that tells the subsets apart, where there are any.
    """

    hub: str
    revision: str
    row: type[_Row]
    subset_column: str | None = None


SOURCES: Mapping[str, Source] = {
    "mmlu": Source("cais/mmlu", "c30699e8356da336a370243923dbaf21066bb9fe", MMLURow, "subject"),
    # InstructEval loads lukaemon/bbh, whose script `datasets` no longer runs; this is its copy in Parquet.
    "bbh": Source("SaylorTwift/bbh", "b5306be6f827cfafbb545ff5a51f96916029b0fd", BBHRow, "subtask"),
    "drop": Source("ucinlp/drop", "95cda593fae71b60b5b19f82de3fcf3298c1239c", DROPRow),
    "humaneval": Source("openai/openai_humaneval", "7dce6050a7d6d172f3cc5c32aa97f52fa1a2e544", HumanEvalRow),
}


def load(benchmark: str, split: str, subset: str | None = None, poa_data: object = None) -> list[JSON]:
    """Rows of one benchmark in their published order.

    Args:
        benchmark: A key of `SOURCES`.
        split: The hub's name for the split.
        subset: A subject of MMLU or a subtask of BBH.
        poa_data: The folder with local copies, named `{benchmark}_{split}` with one of `SUFFIXES`, all subsets in
            one file. Where it is None the environment variable POA_DATA names it; where that is unset too, the hub
            is asked.

    Returns:
        The rows with the columns of the source, and `id`, which names a question whatever the model or tokenizer.

    Raises:
        ConfigError: No such folder, file or subset, or the hub cannot be reached.
        SchemaError: A row lacks a column, or it holds something else than the prompts are made from.
    """
    source = SOURCES[benchmark]
    folder = poa_data if poa_data is not None else os.environ.get("POA_DATA") or None
    if folder is None:
        where = f"{source.hub}{f' ({subset})' if subset else ''}, split {split}"
        found = list(enumerate(_from_hub(source, split, subset)))
    else:
        if not isinstance(folder, str):
            raise ConfigError(f"poa_data is {folder!r}, not the path of a folder; give {SWITCH}")
        path = _local_file(Path(folder).expanduser(), f"{benchmark}_{split}")
        where = str(path)
        found = list(_of_subset(_read(path, path.stat().st_mtime_ns), source.subset_column, subset, where))
    if not found:
        known = f"no row with {source.subset_column}={subset!r}" if subset and folder else "no row"
        raise ConfigError(f"{where}: {known}; the {benchmark} tasks need the rows of {source.hub}")
    prefix = "/".join(part for part in (benchmark, split, subset) if part)
    return [
        {"id": f"{prefix}/{number}", **_checked(source, row, f"{where}, row {line}")}
        for number, (line, row) in enumerate(found)
    ]


def _from_hub(source: Source, split: str, subset: str | None) -> Iterable[JSON]:
    import datasets

    try:
        rows: Iterable[JSON] = datasets.load_dataset(source.hub, subset, split=split, revision=source.revision)
    except Exception as error:  # the hub's client raises a dozen kinds, none of them telling the user what to do
        raise ConfigError(
            f"cannot load {source.hub} at revision {source.revision[:12]} ({type(error).__name__}: "
            f"{str(error).splitlines()[0][:200] if str(error) else 'no message'}); go online once, or give a local "
            f"copy: {SWITCH}"
        ) from error
    return rows


def _local_file(folder: Path, stem: str) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"no folder {folder}; give the one with the local copies: {SWITCH}")
    for suffix in SUFFIXES:
        if (folder / f"{stem}{suffix}").is_file():
            return folder / f"{stem}{suffix}"
    raise ConfigError(f"{folder} has no {stem}{{{','.join(SUFFIXES)}}}; lm_eval_tasks/README.md says how to fetch it")


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int) -> list[Any]:
    """Every row of a local copy, read once for its many subsets (and again once the file has changed)."""
    try:
        if path.suffix == ".parquet":
            import pyarrow.parquet as pq

            rows: list[Any] = pq.read_table(path).to_pylist()
            return rows
        opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
        with opened as lines:
            return [json.loads(line) for line in lines if line.strip()]
    except (OSError, EOFError, ValueError) as error:  # pyarrow's and json's errors are ValueErrors
        raise SchemaError(f"{path} cannot be read ({type(error).__name__}: {error}); fetch it again") from error


def _of_subset(rows: list[Any], column: str | None, subset: str | None, where: str) -> Iterable[tuple[int, JSON]]:
    for line, row in enumerate(rows):
        if not isinstance(row, dict):
            raise SchemaError(f"{where}, row {line}: not an object but {type(row).__name__}")
        if column is None or subset is None:
            yield line, row
        elif column not in row:
            raise SchemaError(f"{where}, row {line}: no column `{column}` (it has {', '.join(map(str, row))})")
        elif row[column] == subset:
            yield line, row


def _checked(source: Source, row: JSON, where: str) -> JSON:
    try:
        return source.row.model_validate(row).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise SchemaError(
            f"{where}: `{'.'.join(map(str, first['loc']))}`: {first['msg']}; a row must have, as in {source.hub}, "
            f"{', '.join(source.row.model_fields)}"
        ) from error
