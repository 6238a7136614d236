"""The audit: every row that was not kept as it was, whole, with the reason; and the counts.

A folder holds `summary.json` and one Parquet file a dataset entry, whose columns `records.py` lists.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from axolotl_dealign.errors import DealignError
from axolotl_dealign.types import JSON

SUMMARY = "summary.json"
VERSION = 1
_OURS = re.compile(r".*-\d{3}(\.parquet)?")
"""What else an audit folder holds: a file a dataset, or a folder for one that was streamed."""


def write_table(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that is whole or not there."""
    whole(path, lambda part: pq.write_table(table, part))


def write_text(text: str, path: Path) -> None:
    """Write a text file that is whole or not there."""
    whole(path, lambda part: part.write_text(text, "utf-8"))


def write_json(value: Any, path: Path) -> None:
    """Write a JSON file that is whole or not there."""
    write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", path)


def read_summary(folder: Path) -> JSON:
    """The counts of an audit folder.

    Raises:
        DealignError: The folder holds no audit, or one of a newer version.
    """
    path = folder / SUMMARY
    try:
        summary: JSON = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DealignError(f"no {SUMMARY} in {folder}; give the audit folder ({{output_dir}}/dealign)") from None
    except json.JSONDecodeError as error:
        raise DealignError(f"{path} is not valid JSON ({error}); run the training or preprocessing again") from None
    if summary.get("version") != VERSION:
        raise DealignError(f"{path} has version {summary.get('version')}, this package reads {VERSION}; upgrade it")
    return summary


def publish(sources: Sequence[Path], summary: JSON, target: Path) -> None:
    """Copy audit folders to where the user looks, as one, replacing what an earlier run left there.

    Args:
        sources: Folders with Parquet files, of which no two have the same name.
        summary: The `summary.json` of the whole.
        target: The audit folder.

    Raises:
        DealignError: The disk is full or the folder cannot be written.
    """
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.mkdir(parents=True, exist_ok=True)
        for source in sources:
            for file in source.glob("*.parquet"):
                shutil.copyfile(file, part / file.name)
        write_json(summary, part / SUMMARY)
        replace_folder(part, target)
    except OSError as error:
        raise DealignError(f"cannot copy the audit to {target}: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def replace_folder(part: Path, target: Path) -> None:
    """Put a whole audit folder where it belongs, in place of an earlier audit and of nothing else.

    Raises:
        DealignError: `target` holds something that is no audit.
        OSError: It cannot be written.
    """
    refuse_foreign(target)
    old = target.with_name(f".{target.name}.old")
    for attempt in range(10):
        shutil.rmtree(old, ignore_errors=True)
        try:
            if target.exists():
                target.rename(old)  # killed behind this line, the audit is missing, never half there
            part.rename(target)
            break
        except OSError:  # another process put its audit there in between, or took it away
            if attempt == 9 or not part.exists():
                raise
    shutil.rmtree(old, ignore_errors=True)


def refuse_foreign(folder: Path) -> None:
    """Make sure that a folder may be replaced by an audit: it holds one, or nothing.

    Raises:
        DealignError: It holds something else, which is named.
    """
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    foreign = [name for name in names if name != SUMMARY and not _OURS.fullmatch(name)]
    if foreign or folder.is_file():
        what = f"holds `{foreign[0]}`, which is no part of an audit" if foreign else "is a file"
        raise DealignError(f"the audit cannot go to {folder}: it {what}; name another folder (`audit_dir`, `--audit`)")


def whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file that is whole or not there.

    Args:
        path: The file.
        write: Writes it at the path that it gets.

    Raises:
        DealignError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        os.close(handle)
        part = Path(name)
        try:
            write(part)
            os.chmod(part, 0o644)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DealignError(f"cannot write {path}: {error}") from error
